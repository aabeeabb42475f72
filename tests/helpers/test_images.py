"""helpers.images: pictures from anywhere, the same in every way in, and what bad ones
say."""

import io
import os
import subprocess
import sys
import threading
import time
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, unquote

import numpy as np
import pytest
import requests
import tiny
from cases import thorough_but
from image_errors import raises
from PIL import Image, ImageCms
from scipy.special import softmax

from helpers import load_classifier
from helpers.datasets import COMPUTERS
from helpers.images import (
    SAMPLES,
    SQUASH,
    ResizeRule,
    crop_box,
    load_image,
    resize,
    sample_names,
    to_batch,
)
from helpers.labels import imagenet_classes
from helpers.pictures import listed
from helpers.sample_server import sample_url
from safeguards import addresses, pictures
from safeguards.pictures import (
    DAMAGED,
    NO_HTTP,
    NOT_AN_IMAGE,
    TOO_LARGE,
    UNREACHABLE,
    ImageError,
    fetch,
)
from safeguards.rgb import load_reduced

HTML = (
    b"\n<!DOCTYPE html>\n<html><head><title>A cat</title></head><body>A "
    b"cat</body></html>"
)
# Upright pixels from stored ones, by EXIF orientation (Exif 2.3, 4.6.4).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
RULES = [
    ResizeRule(shape, fraction, filter)
    for shape in ("square", "each_side")
    for fraction in (1.0, 0.875)
    for filter in ("bilinear", "bicubic")
]


def pixels(image):
    """The picture as integers that can be subtracted."""
    return np.asarray(image).astype(int)


def encoded(image, format="PNG", **options):
    """The bytes of a picture file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def exif(orientation):
    """EXIF data that holds nothing but an orientation."""
    data = Image.Exif()
    data[0x0112] = orientation
    return data


@pytest.fixture(scope="module")
def cat():
    """A small real photograph."""
    return load_image("cat").resize((90, 60))


@pytest.fixture(scope="module")
def photos():
    """All sample photographs."""
    return [load_image(name) for name in sample_names()]


@pytest.fixture(scope="module")
def noise():
    """Pictures that no camera takes: the hardest to resize alike, and extreme
    shapes."""
    random = np.random.default_rng(0)
    sizes = [(224, 224), (300, 200), (37, 50), (1, 500), (500, 1), (1, 1), (600, 512)]
    arrays = [random.integers(0, 256, (*size, 3), "uint8") for size in sizes]
    return [*arrays, random.integers(0, 2, (300, 200, 3), "uint8") * 255]


@pytest.fixture(scope="module")
def server(cat):
    """A web server on this machine that answers well and badly; the value is its
    address."""
    jpeg, png = encoded(cat, "JPEG"), encoded(cat)

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status=200, body=b"", **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def endless(self, chunk):
            self.send_response(302 if "redirect" in self.path else 200)
            self.send_header("Location", "/cat.png")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(chunk)
            except OSError:
                return  # the client has hung up, as it should

        def do_GET(self):
            self.server.agents.append(self.headers["User-Agent"])
            page = self.path.strip("/")
            if page == "cat.png":
                self.answer(body=png, Content_Type="image/png", Content_Length=len(png))
            elif page == "mislabelled":
                self.answer(body=png, Content_Type="text/plain; charset=utf-8")
            elif page == "gone":
                self.answer(404, HTML)
            elif page == "broken":
                self.answer(503)
            elif page == "page":
                self.answer(body=HTML, Content_Type="image/jpeg")
            elif page == "empty":
                self.answer(Content_Length=0)
            elif page == "truncated":
                self.answer(body=jpeg[: len(jpeg) // 2])
            elif page == "cut":
                self.answer(body=jpeg[:100], Content_Length=len(jpeg))
            elif page.startswith("to/"):
                self.answer(302, Location=unquote(page.removeprefix("to/"), "latin-1"))
            elif page.startswith("hops/"):
                left = int(page.removeprefix("hops/")) - 1
                self.answer(302, Location=f"/hops/{left}" if left else "/cat.png")
            elif page == "announced":
                self.answer(body=b"\xff" * 1000, Content_Length=10**12)
            elif page in ("endless", "endless-redirect"):
                self.endless(b"\xff" * 65536)

        def log_message(self, *_):
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.agents, server.daemon_threads = [], True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield SimpleNamespace(address=f"http://127.0.0.1:{server.server_port}", of=server)
    server.shutdown()
    server.server_close()


# ---- ways in


RENDERS = [name for name in sample_names() if name.endswith("_render")]


def test_the_samples_are_seven_photographs_and_three_renders():
    assert (len(sample_names()), len(RENDERS)) == (10, 3)
    for name, sample in SAMPLES.items():
        image = load_image(name)
        assert image.mode == "RGB" and min(image.size) >= 160, name
        small = pixels(image.resize((100, 100)))
        shades = len(np.unique(small.reshape(-1, 3), axis=0))
        assert shades > (200 if name == "photographer" else 1500), (
            f"{name} is a drawing"
        )
        grey = np.ptp(small, axis=2).mean() < 2
        assert grey == ("in black and white" in sample.shows), name
        assert 10 < len(sample.shows) < 80


def test_renders_are_named_as_such_and_everything_else_is_of_another_library():
    for name, sample in SAMPLES.items():
        assert (sample.library == "helpers") == (name in RENDERS)
        assert sample.shows.startswith("a computed picture") == (name in RENDERS)
        assert sample.library in ("helpers", "skimage", "sklearn", "matplotlib")


@pytest.mark.parametrize("name", RENDERS)
def test_a_render_is_a_picture_of_the_shipped_set_with_a_right_label(name):
    path = Path(SAMPLES[name].path()).resolve().relative_to(COMPUTERS)
    kinds = {"desktop": "desktop", "laptop": "laptop", "clock": "other"}
    part, kind, _ = path.parts
    assert (part, kind) == ("validation", kinds[name.removesuffix("_render")])
    assert path.as_posix() not in (COMPUTERS / "wrong_labels.tsv").read_text("utf-8")


def test_samples_without_a_class_say_so_in_words_and_not_in_their_names():
    names = {name for _, name in imagenet_classes()}
    for name, sample in SAMPLES.items():
        assert set(sample.classes) <= names, name
        assert ("ImageNet has no class" in sample.shows) == (not sample.classes), name
    assert 2 <= sum(not sample.classes for sample in SAMPLES.values()) <= 3


def test_most_samples_are_right():
    one = load_classifier()
    best = {name: one.predict(name, top=1)[0].name for name in SAMPLES}
    right = [name for name, sample in SAMPLES.items() if best[name] in sample.classes]
    assert len(right) >= 6, best
    assert len({*right} - {*RENDERS}) >= 3, best


def test_samples_load_without_importing_their_libraries():
    code = (
        "import sys; from helpers.images import *; [load_image(n) for n in "
        "sample_names()];print({'skimage', 'sklearn', 'matplotlib', 'tensorflow', "
        "'keras'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_each_sample_has_a_web_address_on_this_computer():
    for name in SAMPLES:
        url = sample_url(name)
        assert url.startswith("http://127.0.0.1:") and f"/{name}." in url
        answer = requests.get(url, timeout=10)
        assert answer.headers["Content-Type"].startswith("image/")
        assert (pixels(load_image(answer.content)) == pixels(load_image(name))).all()


@pytest.mark.parametrize(
    "path", ["", "cat", "cat.png/", "../cat.png", "..%2Fcat.png", "x.png"]
)
def test_nothing_but_the_samples_has_one(path):
    address = sample_url("cat").removesuffix("cat.png")
    request = requests.Request("GET", address).prepare()
    request.url = address + path  # as it is given: requests would take .. out of it
    with requests.Session() as session:
        assert session.send(request, timeout=10).status_code == 404
    with pytest.raises(
        ValueError, match="No sample is called 'kat'. There are: cat, coffee"
    ):
        sample_url("kat")


def test_requests_for_a_sample_pass_by_a_proxy():
    code = (
        "import os, requests; from helpers.sample_server import "
        "sample_url;print(requests.get(sample_url('cat'), timeout=10).status_code, "
        "os.environ['no_proxy'])"
    )
    closed = dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    env = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env | closed | {"NO_PROXY": "example.org"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "200 127.0.0.1,example.org\n"


def test_every_way_in_gives_the_same_picture(cat, server, tmp_path, monkeypatch):
    data = encoded(cat)
    (tmp_path / "my cat ü.png").write_bytes(data)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    upload = {"name": "cat.png", "content": memoryview(data), "size": len(data)}
    with (tmp_path / "my cat ü.png").open("rb") as file:
        sources = {
            "path": tmp_path / "my cat ü.png",
            "text": str(tmp_path / "my cat ü.png"),
            "home": "~/my cat ü.png",
            "bytes": data,
            "bytearray": bytearray(data),
            "memoryview": memoryview(data),
            "file": file,
            "memory": io.BytesIO(data),
            "upload": (upload,),
            "entry": upload,
            "image": cat,
            "opened": Image.open(io.BytesIO(data)),
            "array": np.asarray(cat),
            "address": f"{server.address}/cat.png",
            "spaces around": f"  {server.address}/cat.png\n",
            "redirects": f"{server.address}/hops/5",
            "wrong type": f"{server.address}/mislabelled",
        }
        for way, source in sources.items():
            image = load_image(source)
            assert type(image) is Image.Image and image.mode == "RGB", way
            assert np.array_equal(pixels(image), pixels(cat)), way
        assert not file.closed


@pytest.mark.parametrize("name", [" cat.png", "cat.png ", "\tcat.png\n", " "])
def test_a_name_may_begin_or_end_in_blanks(name, cat, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(encoded(cat))
    monkeypatch.chdir(tmp_path)
    for source in (name, tmp_path / name, str(tmp_path / name)):
        assert np.array_equal(pixels(load_image(source)), pixels(cat))
    (tmp_path / name).rename(tmp_path / "dog.png")
    assert load_image(" dog.png\n").size == cat.size, "pasted with blanks around it"


def test_a_real_upload_widget_works(cat):
    from ipywidgets import FileUpload

    data = encoded(cat)
    widget = FileUpload()
    entry = {"name": "c", "type": "", "size": len(data), "last_modified": 0}
    widget.set_state(
        {"value": [{**entry, "content": memoryview(data)}]}
    )  # as the browser does
    assert np.array_equal(pixels(load_image(widget.value)), pixels(cat))
    assert np.array_equal(pixels(load_image(widget.value[0])), pixels(cat))


def test_what_is_given_is_never_changed(cat):
    stored = Image.open(io.BytesIO(encoded(cat.convert("RGBA"), exif=exif(6))))
    before = stored.copy(), stored.getexif()[0x0112], stored.size, stored.mode
    load_image(stored).putpixel((0, 0), (1, 2, 3))
    resize(stored, 20)
    assert (stored.getexif()[0x0112], stored.size, stored.mode) == before[1:]
    assert np.array_equal(pixels(stored), pixels(before[0]))
    for array in (np.asarray(cat).copy(), np.asarray(cat) / 255):
        copy = array.copy()
        load_image(array).putpixel((0, 0), (1, 2, 3))
        to_batch(array, 20)[:] = 7
        assert np.array_equal(array, copy)
    load_image("cat").putpixel((0, 0), (1, 2, 3))
    assert load_image("cat").getpixel((0, 0)) != (1, 2, 3)


# ---- upright, 8 bits, RGB


FORMATS = {
    "PNG": ("PNG", {}),
    "TIFF": ("TIFF", {}),
    "packed TIFF": ("TIFF", {"compression": "tiff_lzw"}),
    "WEBP": ("WEBP", {"lossless": True}),
    "JPEG": ("JPEG", {"quality": 95, "subsampling": 0}),
}


@pytest.mark.parametrize("orientation", thorough_but(UPRIGHT, 3, 5, 6))
@pytest.mark.parametrize("kind", thorough_but(FORMATS, "PNG", "JPEG"))
def test_upright(orientation, kind, cat):
    format, options = FORMATS[kind]
    undo = UPRIGHT[{6: 8, 8: 6}.get(orientation, orientation)]
    stored = Image.fromarray(np.ascontiguousarray(undo(np.asarray(cat))))
    assert np.array_equal(UPRIGHT[orientation](np.asarray(stored)), np.asarray(cat))
    data = encoded(stored, format, exif=exif(orientation), **options)
    loaded = Image.open(io.BytesIO(data))
    loaded.load()
    for source in (data, Image.open(io.BytesIO(data)), loaded):
        image = load_image(source)
        assert image.size == cat.size
        error = np.abs(pixels(image) - pixels(cat))
        assert error.mean() < 3 if format == "JPEG" else error.max() == 0
        assert np.array_equal(pixels(load_image(image)), pixels(image)), "turned twice"


@pytest.mark.parametrize("format", ["PNG", "WEBP", "JPEG"])
def test_broken_metadata_does_not_refuse_a_picture(format, cat):
    with warnings.catch_warnings(action="error"):
        assert (
            load_image(encoded(cat, format, exif=b"Exif\0\0rubbish")).size == cat.size
        )
        assert (
            load_image(encoded(cat, format, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff")).size
            == cat.size
        )


def lab(image):
    """The picture in CIELAB."""
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.profileToProfile(image, *profiles, outputMode="LAB")


MODES = {  # how to make the mode, and how far its colours may be from the original's
    "RGB": (lambda image: image, 0),
    "RGBX": (lambda image: image.convert("RGBX"), 0),
    "RGBA": (lambda image: image.convert("RGBA"), 0),
    "RGBa": (lambda image: image.convert("RGBA").convert("RGBa"), 0),
    "CMYK": (lambda image: image.convert("CMYK"), 0),
    "YCbCr": (lambda image: image.convert("YCbCr"), 4),
    "HSV": (lambda image: image.convert("HSV"), 6),
    "LAB": (lab, 6),
}
GREY = {
    "L": lambda grey: grey,
    "LA": lambda grey: grey.convert("LA"),
    "La": lambda grey: grey.convert("LA").convert("La"),
    "P": lambda grey: grey.convert("P"),
    "PA": lambda grey: grey.convert("P").convert("PA"),
    "F": lambda grey: Image.fromarray((np.asarray(grey) / 255).astype("float32")),
    "I;16": lambda grey: Image.fromarray(np.asarray(grey).astype("uint16") * 257),
    "I;16B": lambda grey: Image.frombytes(
        "I;16B",
        grey.size,
        (np.asarray(grey).astype(">u2") * 256).astype(">u2").tobytes(),
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_colour_modes(mode, cat):
    convert, tolerance = MODES[mode]
    source = convert(cat)
    assert source.mode == mode
    assert np.abs(pixels(load_image(source)) - pixels(cat)).max() <= tolerance


@pytest.mark.parametrize("mode", GREY)
def test_grey_modes_become_three_equal_channels(mode, cat):
    grey = cat.convert("L")
    source = GREY[mode](grey)
    assert source.mode == mode
    image = load_image(source)
    assert np.array_equal(pixels(image), np.repeat(pixels(grey)[:, :, None], 3, axis=2))


def test_one_bit():
    image = load_image(encoded(Image.fromarray(np.array([[True, False]]))))
    assert image.mode == "RGB" and pixels(image)[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_byte(format):
    values = np.array([[0, 255, 256, 1000], [32768, 65279, 65280, 65535]], "uint16")
    image = load_image(encoded(Image.fromarray(values), format))
    assert pixels(image)[:, :, 0].tolist() == [[0, 0, 1, 3], [128, 254, 255, 255]]
    assert (
        pixels(load_image(values.astype(">u2")))[:, :, 2].tolist()
        == pixels(image)[:, :, 2].tolist()
    )


def test_cmyk_jpeg(cat):
    image = load_image(encoded(cat.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels(image) - pixels(cat)).mean() < 4


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_put_on_white(format):
    rgba = np.array([[[200, 0, 0, 0], [200, 0, 0, 255], [0, 100, 200, 51]]], "uint8")
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    for source in (encoded(Image.fromarray(rgba), format, **options), rgba):
        white, red, faint = pixels(load_image(source))[0].tolist()
        assert white == [255, 255, 255] and red == [200, 0, 0]
        assert np.abs(np.array(faint) - [204, 224, 244]).max() <= 1


def test_transparency_of_palettes_and_greys():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    for format in ("PNG", "GIF"):
        image = load_image(encoded(palette, format, transparency=0))
        assert pixels(image)[0].tolist() == [[255, 255, 255], [40, 50, 60]]
    grey_alpha = Image.merge(
        "LA", [Image.new("L", (1, 1), 0), Image.new("L", (1, 1), 51)]
    )
    assert pixels(load_image(encoded(grey_alpha)))[0, 0].tolist() == [204, 204, 204]
    for mode, colour in (("L", 7), ("RGB", (1, 2, 3))):
        data = encoded(Image.new(mode, (1, 1), colour), transparency=colour)
        assert pixels(load_image(data))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("format", "options"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {}), ("MPO", {})],
)
def test_the_first_of_several_pictures(format, options):
    red, blue = (Image.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    data = encoded(red, format, save_all=True, append_images=[blue], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert np.abs(pixels(load_image(data)) - [255, 0, 0]).max() <= 2


def test_arrays():
    colour = np.arange(24, dtype="uint8").reshape(2, 4, 3) * 10
    for array in (
        colour,
        colour[:, ::-1][:, ::-1],
        np.asfortranarray(colour),
        colour / 255,
    ):
        assert np.array_equal(pixels(load_image(array)), colour)
    assert np.array_equal(pixels(load_image((colour / 255).astype("float16"))), colour)
    for grey in (colour[:, :, 0], colour[:, :, :1]):
        assert np.array_equal(pixels(load_image(grey))[:, :, 1], colour[:, :, 0])
    assert pixels(load_image(np.eye(2, dtype=bool)))[:, :, 0].tolist() == [
        [255, 0],
        [0, 255],
    ]
    assert pixels(load_image(np.array([[0.0, 0.5, 1.0]])))[0, :, 0].tolist() == [
        0,
        128,
        255,
    ]


# ---- what goes wrong, and what the message says

BAD = {  # source: type of error, words of its message
    "no such picture.jpg": (
        UNREACHABLE,
        "'no such picture.jpg'.*No such file.*address.*cat",
    ),
    "": (UNREACHABLE, "''"),
    "a\0b": (UNREACHABLE, "null byte"),
    "long " * 2000: (UNREACHABLE, "cannot be read"),
    str(Path(__file__).parents[1]): (UNREACHABLE, "tests"),
    str(Path(__file__).parents[1] / "conftest.py"): (NOT_AN_IMAGE, "known format"),
    "file:///etc/hostname": (NO_HTTP, "file:.*pass its path"),
    "file:/etc/hostname": (NO_HTTP, "http"),
    "FTP://example.org/cat.jpg": (NO_HTTP, "http"),
    "data:image/png;base64,AAAA": (NO_HTTP, "http"),
    "blob:http://localhost/1": (NO_HTTP, "http"),
    "http://": (UNREACHABLE, "Invalid URL"),
    "http://[": (UNREACHABLE, "connection"),
    f"http://{'a' * 70}.org/": (UNREACHABLE, "connection"),
    b"": (NOT_AN_IMAGE, "nothing to read"),
    b"P6 1 1 255 abc": (NOT_AN_IMAGE, "known format"),  # PPM, which Pillow would open
    b"hello, world": (NOT_AN_IMAGE, "known format.*JPEG, PNG"),
    HTML: (NOT_AN_IMAGE, "web page: copy the address of the picture"),
    b"\0\0\0\x10ftypqt  \0\0\0\0": (NOT_AN_IMAGE, "film.*JPEG"),
    b"<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0'><html><svg/>": (
        NOT_AN_IMAGE,
        "web page",
    ),
    b"<body><p>no more <html> here": (NOT_AN_IMAGE, "web page"),
    b"<svg xmlns='http://www.w3.org/2000/svg'/>": (
        NOT_AN_IMAGE,
        "drawing, SVG.*as PNG",
    ),
    b"<?xml version='1.0'?>\n<!-- made by <html> --><svg:svg/>": (NOT_AN_IMAGE, "SVG"),
    b"\xef\xbb\xbf<?xml version='1.0'?>\n<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG "
    b"1.1//EN' 'http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd' [<!ENTITY a "
    b"'b'>]>\n<svg/>": (
        NOT_AN_IMAGE,
        "drawing, SVG.*as PNG",
    ),
    b"<?xml version='1.0'?><!DOCTYPE plist><plist/>": (NOT_AN_IMAGE, "known format"),
    b"\xff\xd8\xff\xe0\0\x10JFIF": (DAMAGED, "incomplete.*again"),
    b"\x89PNG\r\n\x1a\n": (DAMAGED, "incomplete"),
    (): (NOT_AN_IMAGE, "0 uploads"),
    (b"one", b"two"): (NOT_AN_IMAGE, "2 uploads: pass one"),
    5: (NOT_AN_IMAGE, "int is no picture.*path"),
    None: (NOT_AN_IMAGE, "NoneType is no picture"),
}


@pytest.mark.parametrize("source", BAD, ids=lambda source: repr(source)[:30])
def test_bad_sources(source):
    kind, words = BAD[source]
    with raises(kind, match=f"(?s){words}") as caught:
        load_image(source)
    message = str(caught.value)
    assert isinstance(caught.value, ImageError) and isinstance(caught.value, ValueError)
    assert len(message) < 500 and "object at 0x" not in message


BAD_ARRAYS = {
    "batch": (np.zeros((1, 8, 8, 3), "uint8"), r"array\[0\]"),
    "channels first": (np.zeros((3, 8, 8), "uint8"), r"\(3, 8, 8\).*height, width"),
    "two channels": (np.zeros((8, 8, 2), "uint8"), "height, width"),
    "a row": (np.zeros(8, "uint8"), "height, width"),
    "empty": (np.zeros((0, 8, 3), "uint8"), "height, width"),
    "floats to 255": (np.full((8, 8), 255.0), "from 255 to 255.*0…1.*astype"),
    "negative": (np.full((8, 8), -1.0), "from -1"),
    "nan": (np.full((8, 8), np.nan), "nan"),
    "int64": (np.zeros((8, 8), int), "int64.*astype"),
    "complex": (np.zeros((8, 8), complex), "complex128"),
    "text": (np.array([["a"]]), "str"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays(case):
    array, words = BAD_ARRAYS[case]
    with raises(NOT_AN_IMAGE, match=words):
        load_image(array)


@pytest.mark.parametrize("value", [np.nan, -1, 255, np.inf])
def test_float_pictures_out_of_range(value):
    with raises(NOT_AN_IMAGE, match="0…1"):
        load_image(Image.fromarray(np.full((2, 2), value, "float32")))


def test_integers_without_a_known_white_are_refused(cat):
    with raises(NOT_AN_IMAGE, match="int32.*uint8"):
        load_image(cat.convert("I"))


def test_files_opened_wrongly(tmp_path, cat):
    (tmp_path / "cat.png").write_bytes(encoded(cat))
    (tmp_path / "note.txt").write_text("hello")
    for name in ("cat.png", "note.txt"):
        with (
            (tmp_path / name).open(encoding="utf-8") as text,
            pytest.raises(ImageError, match="binary file"),
        ):
            load_image(text)
    with (tmp_path / "cat.png").open("rb") as file:
        file.read()
        with raises(NOT_AN_IMAGE, match="nothing to read"):
            load_image(file)
    with raises(UNREACHABLE, match="closed file"):
        load_image(file)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_cut_file_is_an_error_and_never_half_a_picture(format, cat):
    data = encoded(cat, format)
    whole = pixels(load_image(data))
    for part in (0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
        with raises(DAMAGED, match="again"):
            load_image(data[: int(len(data) * part)])
    for missing in range(1, 30):  # the last bytes of some formats hold no pixels
        try:
            assert np.array_equal(pixels(load_image(data[:-missing])), whole)
        except ImageError as error:
            assert error.kind == DAMAGED


def test_damaged_files_give_a_picture_or_an_image_error(cat):
    random = np.random.default_rng(0)
    outcomes = []
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        data = np.frombuffer(encoded(cat, format, exif=exif(6)), "uint8")
        for _ in range(60):
            damaged = data.copy()
            places = random.integers(
                0, min(len(data), random.choice([60, 400, 10**6])), 5
            )
            damaged[places] = random.integers(0, 256, 5)
            try:
                outcomes.append(load_image(damaged.tobytes()).mode)
            except ImageError as error:
                outcomes.append(error.kind)
    assert "RGB" in outcomes and DAMAGED in outcomes


def test_a_closed_or_empty_pil_image(cat):
    closed = Image.open(io.BytesIO(encoded(cat)))
    closed.close()
    with pytest.raises(ImageError):
        load_image(closed)
    with raises(NOT_AN_IMAGE, match="no pixels"):
        load_image(cat.crop((5, 5, 5, 9)))


def test_decompression_bombs(cat, monkeypatch):
    for size in (
        9_500,
        20_000,
    ):  # just above the limit, and where Pillow itself refuses
        data = encoded(Image.new("1", (size, size)))
        assert len(data) < 100_000
        with (
            warnings.catch_warnings(action="error"),
            raises(TOO_LARGE, match="smaller"),
        ):
            load_image(data)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 90 * 60)
    load_image(encoded(cat))
    with raises(TOO_LARGE, match="smaller"):
        load_image(encoded(cat.resize((91, 60))))


def test_large_files(cat, tmp_path, monkeypatch):
    data = encoded(cat)
    (tmp_path / "cat.png").write_bytes(data)
    sources = (tmp_path / "cat.png", data, {"content": data}, lambda: io.BytesIO(data))
    for limit, expected in ((len(data), None), (len(data) - 1, TOO_LARGE)):
        monkeypatch.setattr(pictures, "MAX_BYTES", limit)
        for source in sources:
            source = source() if callable(source) else source
            if expected is None:
                assert load_image(source).size == cat.size
            else:
                with raises(TOO_LARGE, match="smaller"):
                    load_image(source)


# ---- the network


def test_fetch_returns_bytes_and_says_who_asks(server, cat):
    assert fetch(f"{server.address}/cat.png") == encoded(cat)
    assert server.of.agents[-1].startswith("transfer-learning-notebooks")


@pytest.mark.parametrize(
    ("page", "kind", "words"),
    [
        ("gone", UNREACHABLE, "404.*save the picture"),
        ("broken", UNREACHABLE, "503"),
        ("cut", UNREACHABLE, "IncompleteRead"),
        ("hops/6", UNREACHABLE, "5 redirects"),
        ("page", NOT_AN_IMAGE, "web page"),
        ("empty", NOT_AN_IMAGE, "nothing to read|known format"),
        ("truncated", DAMAGED, "again"),
        ("to/file:///etc/hostname", NO_HTTP, "isn't an http"),
        ("to/ftp://127.0.0.1/cat.jpg", NO_HTTP, "isn't an http"),
        ("to/http://", UNREACHABLE, "connection"),
        ("to/http://[", UNREACHABLE, "connection"),
        ("to/http://\xff", UNREACHABLE, "connection"),
    ],
)
def test_bad_answers(server, page, kind, words, monkeypatch):
    monkeypatch.setattr(addresses, "PAUSE", 0.05)  # before a busy server is asked again
    with raises(kind, match=words) as caught:
        load_image(f"{server.address}/{quote(page, encoding='latin-1')}")
    assert len(str(caught.value)) < 400 and "object at 0x" not in str(caught.value)


def test_nothing_listens_or_the_name_is_unknown():
    for address in (
        "http://127.0.0.1:9/cat.jpg",
        "http://no-such-host.invalid/cat.jpg",
    ):
        with raises(UNREACHABLE, match=f"{address}.*Error.*connection"):
            load_image(address)


@pytest.mark.parametrize("page", ["endless", "announced"])
def test_a_download_ends_at_the_limit(server, page, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", 500 if page == "announced" else 200_000)
    with raises(TOO_LARGE, match="smaller"):
        load_image(f"{server.address}/{page}")


def test_the_body_of_a_redirect_is_not_read(server, cat):
    start = time.monotonic()
    assert load_image(f"{server.address}/endless-redirect").size == cat.size
    assert time.monotonic() - start < 3


# ---- squares and batches


def test_crop_box():
    square, each = ResizeRule("square", 0.875), ResizeRule("each_side", 0.875)
    assert crop_box(600, 400, ResizeRule()) == (100, 0, 500, 400)
    assert crop_box(600, 400, square) == (125, 25, 475, 375)
    assert crop_box(600, 400, each) == (37, 25, 562, 375)
    assert crop_box(600, 400, SQUASH) == (0, 0, 600, 400)
    for size in ((1, 1), (1, 3000), (3000, 1), (2, 3), (7, 5)):
        for rule in (
            *RULES,
            ResizeRule("square", 0.001),
            ResizeRule("each_side", 0.001),
        ):
            left, top, right, bottom = crop_box(*size, rule)
            assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
            assert (
                abs(left - (size[0] - right)) <= 1
                and abs(top - (size[1] - bottom)) <= 1
            )
            assert all(type(edge) is int for edge in (left, top, right, bottom))


@pytest.mark.parametrize(
    "wrong",
    [{"shape": "round"}, {"filter": "nearest"}, {"fraction": 0}, {"fraction": 1.1}],
)
def test_impossible_rules(wrong):
    with pytest.raises(ValueError, match="ResizeRule"):
        ResizeRule(**wrong)


def test_resize_is_pillows(photos):
    for photo in photos:
        whole = photo.resize((96, 96), Image.Resampling.BILINEAR)
        assert np.array_equal(pixels(resize(photo, 96, SQUASH)), pixels(whole))
        cut = photo.crop(crop_box(*photo.size, ResizeRule())).resize((96, 96), 2)
        assert np.array_equal(pixels(resize(photo, 96)), pixels(cut))


@pytest.fixture(scope="module")
def large():
    """A photograph of 2.4 megapixels, its sides no multiple of 8: the last column and
    row of its reduced form are filled only partly."""
    return load_image("building").resize((1999, 1203))


@pytest.mark.parametrize("orientation", thorough_but(range(1, 9), 1, 6))
@pytest.mark.parametrize("rule", RULES[2::3], ids=str)
def test_a_large_jpeg_is_decoded_at_a_quarter_and_hardly_another(
    large, rule, orientation
):
    """With a box in whole reduced pixels, or one from another side, they'd differ by
    0.7 to 1.6 on average."""
    data = encoded(large, "JPEG", quality=95, exif=exif(orientation))
    reduced = load_reduced(data, "", 2 * 100)
    assert reduced.whole.scale == 4
    upright = load_image(data)
    assert reduced.whole.size == upright.size
    assert max(reduced.image.size) == 500
    difference = pixels(resize(data, 100, rule)) - pixels(resize(upright, 100, rule))
    assert 0 < abs(difference).mean() < 0.5 and abs(difference).max() < 10


@pytest.mark.parametrize(
    ("short_side", "scale"), [(1203, 1), (602, 1), (601, 2), (300, 4), (150, 8), (9, 8)]
)
def test_no_more_of_a_jpeg_is_decoded_than_needed(large, short_side, scale):
    picture = load_reduced(encoded(large, "JPEG"), "", short_side)
    assert picture.whole.scale == scale
    assert picture.whole.size == large.size
    assert picture.image.size == (-(-1999 // scale), -(-1203 // scale))
    assert min(picture.image.size) >= min(short_side, 151)


def test_small_jpegs_and_other_files_are_read_whole(large):
    small = large.resize((1600, 1200))
    for data in (encoded(small, "JPEG"), encoded(large), encoded(large, "WEBP")):
        whole = load_image(data)
        assert np.array_equal(pixels(resize(data, 32)), pixels(resize(whole, 32)))


def test_an_opened_file_stays_as_it_was(large):
    with Image.open(io.BytesIO(encoded(large, "JPEG"))) as opened:
        whole = resize(opened, 32)
        assert opened.size == large.size
        assert np.array_equal(pixels(whole), pixels(resize(load_image(opened), 32)))


def test_training_and_prediction_see_the_same_of_a_large_jpeg(large, tmp_path):
    for name in ("houses", "others"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(encoded(large, "JPEG"))
    path = tmp_path / "houses" / "1.jpg"
    classifier = tiny.classifier()
    learned_from = listed("set", tmp_path).array(tiny.SIZE)
    assert np.array_equal(learned_from, to_batch([path, path.read_bytes()], tiny.SIZE))
    assert not np.array_equal(learned_from[:1], to_batch(load_image(path), tiny.SIZE))
    (wanted,) = softmax(classifier.forward(learned_from[:1]), axis=-1)
    best = classifier.predict(path)[0]
    assert best.probability == pytest.approx(wanted.max(), abs=1e-6)
    assert classifier.probabilities([path])[0] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.thorough
def test_probabilities_of_12_megapixels_hardly_move(record_property):
    classifier = load_classifier()
    names = ("building", "flower", "coffee", "cat")
    large = [load_image(name).resize((4000, 3000)) for name in names]
    files = [encoded(image, "JPEG", quality=92) for image in large]
    reduced = classifier.probabilities(files)
    whole = classifier.probabilities([load_image(data) for data in files])
    largest = abs(reduced - whole).max()
    record_property("12 megapixels, a quarter against all", f"{largest:.3f}")
    assert largest <= 0.05
    assert (reduced.argmax(axis=1) == whole.argmax(axis=1)).all()


def test_resize_is_antialiased():
    lines = np.tile(np.array([0, 255], "uint8"), (256, 128))
    assert np.abs(pixels(resize(lines, 32)) - 127.5).max() < 8


def test_batches(cat):
    one = to_batch(cat, 32)
    assert one.shape == (1, 32, 32, 3) and one.dtype == np.float32
    assert np.array_equal(one[0], pixels(resize(cat, 32)))
    many = to_batch(["cat", cat, np.asarray(cat)], 32, SQUASH)
    assert many.shape == (3, 32, 32, 3) and np.array_equal(many[1], many[2])
    assert np.array_equal(to_batch(np.stack([cat, cat]), 32, SQUASH), many[1:])
    assert np.array_equal(to_batch((cat,), 32), one)
    assert many.min() >= 0 and 200 < many.max() <= 255
    with pytest.raises(ValueError, match="at least one"):
        to_batch([], 32)
