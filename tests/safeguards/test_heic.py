"""HEIC: without pillow-heif a message that helps, with it the picture, within limits.

pillow-heif is never installed for everybody: without it the tests that decode real
files are skipped. What its program may do wrong is tried with others in its place."""

import importlib.util
import os
import re
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from heics import TILE, heic, tiled
from image_errors import raises
from PIL import Image, ImageCms

from apps.own_pictures import intake
from helpers.images import load_image, resize
from helpers.pictures import fingerprint, listed
from safeguards import heic as reader
from safeguards import pictures
from safeguards.pictures import DAMAGED, NOT_AN_IMAGE, TOO_LARGE, ImageError

ROOT = Path(__file__).parents[2]
START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
FILM = b"\0\0\0\x14ftypqt  \0\0\0\0qt  "
ORIENTATION = 0x0112
EXIF = 0x8769
WHEN = 0x9003
COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}

needs_pillow_heif = pytest.mark.skipif(
    importlib.util.find_spec("pillow_heif") is None,
    reason="needs pillow-heif (requirements/heic.txt), which nothing installs unasked",
)


def quarters():
    """A picture that shows which way is up: red, white; white, blue."""
    image = Image.new("RGB", (96, 64), "white")
    image.paste("red", (0, 0, 48, 32))
    image.paste("blue", (48, 32, 96, 64))
    return image


def seen(image):
    """The colours in a picture's corners, row by row."""
    names = []
    for y in (6, image.height - 7):
        for x in (6, image.width - 7):
            colour = np.array(image.getpixel((x, y)))
            far = {name: abs(colour - COLOURS[name]).sum() for name in COLOURS}
            names.append(min(far, key=far.get))
    return " ".join(names)


# ---- without pillow-heif, or where strangers are served


@pytest.mark.parametrize(
    ("brands", "kind"),
    [
        (b"heic____", "HEIC"),
        (b"heix____mif1", "HEIC"),
        (b"hevc____msf1", "HEIC"),  # a sequence
        (b"mif1____mif1heic", "HEIC"),
        (b"mif1____", "HEIC"),
        (b"avif____mif1", "AVIF"),
        (b"mif1____avifmiaf", "AVIF"),
        (b"qt  ____qt  ", "a film"),
        (b"isom____mp42", "a film"),
    ],
)
def test_the_first_bytes_say_what_it_is(brands, kind):
    data = (8 + len(brands)).to_bytes(4) + b"ftyp" + brands
    assert reader.kind_of(data + b"heic") == kind, "what follows the box is no brand"


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0", b"ftypheic", b"\0" * 50])
def test_other_files_are_of_no_such_kind(data):
    assert reader.kind_of(data) is None


def test_without_it_the_message_names_the_command(monkeypatch):
    monkeypatch.setattr(reader, "installed", lambda: False)
    with raises(NOT_AN_IMAGE, match="HEIC.*export it as JPEG") as caught:
        load_image(START)
    (line,) = re.findall("“(.*)”", str(caught.value))
    assert line == reader.typed(
        sys.executable, "-m", "pip", "install", "-r", ROOT / "requirements" / "heic.txt"
    )
    assert (ROOT / "requirements" / "heic.txt").is_file()


def test_hosted_mode_says_no_and_starts_no_program(monkeypatch):
    monkeypatch.setenv("TRANSFER_HOSTED", "1")
    monkeypatch.setattr(reader, "installed", lambda: True)
    monkeypatch.setattr(reader.subprocess, "run", pytest.fail)
    with raises(NOT_AN_IMAGE, match="isn't read here.*JPEG") as caught:
        load_image(START)
    assert "pip" not in str(caught.value)


def test_a_live_photos_film_is_no_picture():
    with raises(NOT_AN_IMAGE, match="film.*same name that ends in .HEIC"):
        load_image(FILM)


def test_nothing_installs_it_unasked():
    names = ["requirements.txt", "environment.yml", "postBuild", "pyproject.toml"]
    files = [ROOT / name for name in names]
    files += (ROOT / "requirements").glob("*.lock")
    for folder in ("tools/setup", "teaching/hub", ".devcontainer"):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert len(files) > 12
    for path in files:
        assert "heif" not in path.read_text("utf-8", errors="ignore").lower(), path
    text = (ROOT / "requirements" / "heic.txt").read_text("utf-8")
    assert "GPL" in text and "pillow-heif>=" in text


# ---- whatever becomes of the program that decodes

FAKE = """
import os, sys, time
from pathlib import Path

class options:
    pass

class Picture:
    size = (3, 2)
    mode = "RGB"
    info = {}
    data = bytes(range(18))

def open_heif(file, convert_hdr_to_8bit):
    Path(__file__).with_name("pid").write_text(str(os.getpid()))
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Put a pillow_heif of these lines, the end of open_heif, in place of the real one;
    → a file with the number of the program that used it."""

    def put(lines):
        text = FAKE + textwrap.indent(textwrap.dedent(lines), "    ")
        (tmp_path / "pillow_heif.py").write_text(text, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(reader, "installed", lambda: True)
        return tmp_path / "pid"

    return put


def test_what_the_program_gives_is_the_picture(fake):
    fake("return Picture")
    image = load_image(START)
    assert np.array_equal(np.asarray(image).ravel(), range(18))
    assert image.size == (3, 2) and image.info == {}


@pytest.mark.parametrize(
    ("lines", "kind", "words"),
    [
        ("os._exit(1)", TOO_LARGE, "much memory or time"),
        ("os.abort()", TOO_LARGE, "much memory or time"),
        ("print('[1]'); os._exit(0)", TOO_LARGE, "much memory or time"),
        ("Picture.data = bytes(17); return Picture", TOO_LARGE, "much memory"),
        ("Picture.mode = 'new'; return Picture", TOO_LARGE, "much memory"),
        ("raise MemoryError", TOO_LARGE, "much memory or time"),
        ("raise ValueError('Security limit')", TOO_LARGE, "much memory or time"),
        ("raise ValueError('Invalid input')", DAMAGED, "save or download"),
        ("raise EOFError", DAMAGED, "save or download"),
        ("raise ImportError('no libde265')", NOT_AN_IMAGE, "no libde265.*install"),
    ],
)
def test_what_it_does_wrong_is_told(fake, lines, kind, words):
    fake(lines)
    with raises(kind, match=words):
        load_image(START)


def test_what_is_too_large_is_never_decoded(fake):
    fake("""
        del Picture.data
        Picture.size = 10_000, 9_000
        return Picture
    """)
    with raises(TOO_LARGE, match="megapixels"):
        load_image(START)


def has_ended(number):
    """Whether a program has ended, or ends within seconds: being ended takes a moment,
    and its entry stays until it's asked for."""
    for _ in range(100):
        try:
            if psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_a_program_that_hangs_is_ended(fake, monkeypatch):
    number = fake("time.sleep(100)")
    monkeypatch.setattr(reader, "SECONDS", 3)
    start = time.monotonic()
    with raises(TOO_LARGE, match="much memory or time"):
        load_image(START)
    assert time.monotonic() - start < 50
    assert has_ended(int(number.read_text()))


@pytest.mark.skipif(os.name == "nt", reason="os.kill would end the test on Windows")
def test_interrupting_ends_the_program(fake):
    number = fake("time.sleep(100)")

    def interrupt_once_it_is_at_work():
        while not (number.exists() and number.read_text()):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_once_it_is_at_work, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        load_image(START)
    assert has_ended(int(number.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps both limits")
@pytest.mark.parametrize("lines", ["while True: pass", "bytearray(8 * 2**30)"])
def test_time_and_memory_are_bounded(fake, monkeypatch, lines):
    fake(lines)
    monkeypatch.setattr(reader, "COMPUTING_SECONDS", 1)
    start = time.monotonic()
    with raises(TOO_LARGE, match="much memory or time"):
        load_image(START)
    assert time.monotonic() - start < reader.SECONDS


# ---- with pillow-heif


@needs_pillow_heif
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_a_picture_is_read_as_others_are(mode):
    picture = Image.radial_gradient("L").resize((160, 120)).convert(mode)
    if mode[-1] == "A":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    image = load_image(heic(picture, quality=95))
    assert image.mode == "RGB" and image.info == {}
    difference = np.asarray(image, int) - np.asarray(load_image(picture), int)
    assert abs(difference).mean() < 2


@needs_pillow_heif
def test_a_colour_profile_changes_no_value_as_in_jpegs():
    xyz = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    plain = heic(quarters(), quality=90)
    profiled = heic(quarters(), quality=90, icc_profile=xyz)
    assert xyz in profiled
    assert load_image(plain).tobytes() == load_image(profiled).tobytes()


@needs_pillow_heif
@pytest.mark.parametrize(
    ("orientation", "corners"),
    [
        (1, "red white white blue"),
        (2, "white red blue white"),
        (3, "blue white white red"),
        (4, "white blue red white"),
        (5, "red white white blue"),
        (6, "white red blue white"),
        (7, "blue white white red"),
        (8, "white blue red white"),
    ],
)
def test_it_is_upright_and_turned_once(orientation, corners):
    """A phone writes the turn twice: for HEIC's readers, and as Exif data."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = load_image(heic(quarters(), quality=90, exif=exif.tobytes()))
    assert image.size == ((96, 64) if orientation < 5 else (64, 96))
    assert seen(image) == corners


@needs_pillow_heif
def test_exif_alone_turns_nothing_as_the_standard_says():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = heic(quarters(), quality=90, exif=exif.tobytes())
    assert data.count(b"irot") == 1
    turn = data.index(b"irot") + 4
    image = load_image(data[:turn] + b"\0" + data[turn + 1 :])
    assert image.size == (96, 64) and seen(image) == "red white white blue"


def tile():
    """A tile with red above on the left."""
    image = Image.new("RGB", (TILE, TILE), "white")
    image.paste("red", (0, 0, TILE // 2, TILE // 2))
    return image


@needs_pillow_heif
@pytest.mark.parametrize("turns", range(4))
def test_pictures_of_tiles_are_turned_whole(turns):
    image = load_image(tiled(tile(), 1000, 700, turns))
    assert image.size == ((1000, 700) if turns % 2 == 0 else (700, 1000))
    unturned = np.asarray(load_image(tiled(tile(), 1000, 700)))
    assert np.array_equal(np.asarray(image), np.rot90(unturned, turns))


@needs_pillow_heif
def test_48_megapixels():
    data = tiled(tile(), 8064, 6048, 3)
    assert pictures.stored(data) == ("HEIC", 6048, 8064)
    square = np.asarray(resize(data, 32), int)
    assert square.shape == (32, 32, 3)
    assert abs(square[..., 0] - 255).max() < 6, "white and red"
    assert 170 < square[..., 1].mean() < 215, "a quarter of it is red"


@needs_pillow_heif
@pytest.mark.parametrize(
    ("size", "words"),
    [((12_000, 9_000), "megapixels"), ((60_000, 60_000), "much memory or time")],
)
def test_what_is_too_large_is_refused(size, words):
    """The second has more tiles than libheif reads the list of."""
    with raises(TOO_LARGE, match=words):
        load_image(tiled(tile(), *size))


@needs_pillow_heif
def test_a_damaged_file_gives_a_picture_or_an_image_error():
    data = heic(quarters(), quality=90)
    for end in (30, 100, len(data) // 2, len(data) - 20):
        with raises(DAMAGED, match="save or download"):
            load_image(data[:end])
    rng = np.random.default_rng(0)
    for _ in range(12):
        damaged = bytearray(data)
        for place in rng.integers(24, len(data), 8):
            damaged[place] = rng.integers(256)
        try:
            assert load_image(bytes(damaged)).mode == "RGB"
        except ImageError as error:
            assert error.kind in (DAMAGED, TOO_LARGE, NOT_AN_IMAGE)


@pytest.fixture
def phone(tmp_path):
    """An iPhone user's folder: photographs of two classes, a burst, a Live Photo."""
    rng = np.random.default_rng(0)
    for name, count in (("cups", 8), ("pens", 8)):
        folder = tmp_path / "mine" / name
        folder.mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(0, 256, (6, 8, 3), "uint8")
            photograph = Image.fromarray(noise).resize((160, 120))
            for burst in range(3 if number == 0 else 1):
                exif = Image.Exif()
                time_taken = f"2024:05:01 10:{number:02}:0{burst}"
                exif.get_ifd(EXIF)[WHEN] = time_taken
                moved = photograph.crop((burst, 0, 150 + burst, 120))
                data = heic(moved, quality=80, exif=exif.tobytes())
                (folder / f"IMG_{number}{burst}.HEIC").write_bytes(data)
    (tmp_path / "mine" / "cups" / "IMG_00.MOV").write_bytes(FILM + bytes(5000))
    return tmp_path / "mine"


@needs_pillow_heif
def test_a_phones_folder(phone, tmp_path):
    found = intake.look_through(phone)
    assert len(found.pictures) == 20 and found.doubtful == []
    (film,) = found.left_out
    assert film.path.name == "IMG_00.MOV" and "film" in film.reason
    joined = {path.name for pair in found.alike for path in pair}
    assert joined == {"IMG_00.HEIC", "IMG_01.HEIC", "IMG_02.HEIC"}, "the bursts"
    first = fingerprint(phone / "pens" / "IMG_01.HEIC")
    assert first.taken.startswith("2024:05:01 10:00:01")
    card = intake.data_card(found, tmp_path / "card.md", {"all": found.pictures})
    assert "20: 20 HEIC" in Path(card).read_text("utf-8")
    assert "150 to 150" in Path(card).read_text("utf-8")
    assert found.pictures[:2].array(16).shape == (2, 16, 16, 3)
    with pytest.raises(ValueError, match=re.escape("IMG_00.MOV cannot be used")):
        listed("mine", phone).array(16)


@needs_pillow_heif
def test_when_it_was_taken_is_read_without_decoding(monkeypatch):
    exif = Image.Exif()
    exif.get_ifd(EXIF)[WHEN] = "2024:05:01 10:00:00"
    data = heic(quarters(), exif=exif.tobytes())
    monkeypatch.setattr(pictures, "_heic_notes", {})
    assert pictures.taken(data).strip() == "2024:05:01 10:00:00"
    assert pictures.stored(data) == ("HEIC", 96, 64)
    assert pictures.taken(heic(quarters())) is None
