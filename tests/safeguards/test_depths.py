"""safeguards.depths: what the numbers in a file mean, a table with the right pixels of
each."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from hostile import chunk, encoded, picture, png
from image_errors import raises
from PIL import Image, ImageDraw

from helpers.images import load_image
from safeguards.depths import misses_data
from safeguards.pictures import DAMAGED, NOT_AN_IMAGE
from safeguards.rgb import load_with_doubts

SHADES = np.array(
    [[0, 64, 128, 20], [200, 255, 30, 7]]
)  # of 255, what every file below shows
ORDERS = {"little-endian": "<", "big-endian": ">"}
ZERO = {"white is zero": 0, "black is zero": 1}


def packed(values, bits):
    """Rows of whole numbers of some bits, one after another, each row from a new byte
    on."""
    rows = []
    for row in values.reshape(len(values), -1):
        text = "".join(format(int(value), f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8))
    return rows


def tiff(values, order="<", photometric=1, bits=None, tags=(), whole=True):
    """A TIFF by hand. values: (height, width[, channels]) of the kind that is stored;
    bits: if fewer than that; tags: {tag: whole numbers} besides."""
    height, width, *channels = values.shape
    count = channels[0] if channels else 1
    if bits:
        body = b"".join(packed(values, bits))
    else:
        bits = 8 * values.dtype.itemsize
        body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    kinds = {"u": 1, "i": 2, "f": 3}
    entries = {
        256: [width],
        257: [height],
        258: [bits] * count,
        259: [1],
        262: [photometric],
        273: [0],
        277: [count],
        278: [height],
        279: [len(body)],
        339: [kinds[values.dtype.kind]] * count,
    } | dict(tags)
    for _ in range(
        2
    ):  # the place of the pixels follows from the length of what comes before
        rest, directory = b"", b""
        for tag, numbers in sorted(entries.items()):
            code, letter = (4, "I") if tag in (256, 257, 273, 278, 279) else (3, "H")
            data = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
            if len(data) > 4:
                place = 8 + 2 + 12 * len(entries) + 4 + len(rest)
                rest, data = rest + data, struct.pack(f"{order}I", place)
            directory += struct.pack(
                f"{order}HHI", tag, code, len(numbers)
            ) + data.ljust(4, b"\0")
        entries[273] = [8 + 2 + len(directory) + 4 + len(rest)]
    head = b"II*\0" if order == "<" else b"MM\0*"
    head += struct.pack(f"{order}IH", 8, len(entries))
    data = head + directory + bytes(4) + rest + body
    return data if whole else data[: -len(body) // 2]


def stored(kind):
    """The shades as a file of some kind holds them, and how many bits that takes, None
    for all."""
    if kind[0] == "f":
        return (SHADES / 255).astype(kind), None
    bits = int(kind[1:])
    values = np.round(SHADES / 255 * (2**bits - 1)).astype(
        "uint16" if bits > 8 else "uint8"
    )
    return values, None if bits in (8, 16) else bits


def seen(kind, inverted=False):
    """What 8-bit grey comes of the shades, kept as `stored` holds them: the upper bits,
    or, of fewer than 8, these spread over 0 to 255."""
    values, _ = stored(kind)
    if kind[0] == "f":
        values = np.float64(1) - values if inverted else values
        return np.floor(np.float64(values) * 255 + 0.5).astype(int)
    bits = int(kind[1:])
    values = values.astype(int)
    values = 2**bits - 1 - values if inverted else values
    return values >> (bits - 8) if bits >= 8 else values * 255 // (2**bits - 1)


def grey(data):
    """A file's pixels, (height, width): of three equal channels."""
    pixels = np.asarray(load_image(data)).astype(int)
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]


# -- TIFF ------------------------------------------------------------------------------


@pytest.mark.parametrize("zero", ZERO)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "u12", "u16", "f4"])
def test_grey_tiffs(kind, order, zero):
    values, bits = stored(kind)
    if not ZERO[zero]:
        values = 1 - values if kind[0] == "f" else 2 ** int(kind[1:]) - 1 - values
    data = tiff(values, ORDERS[order], ZERO[zero], bits)
    expected = seen(kind)
    difference = np.abs(grey(data) - expected)
    assert difference.max() <= (kind[0] == "f" and not ZERO[zero]), (
        "1 for what 1 - x has rounded"
    )
    assert load_with_doubts(data)[1] == []


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("zero", ZERO)
@pytest.mark.parametrize("mode", ["1", "L", "I;16", "F"])
def test_compressed_grey_tiffs(mode, zero, compression):
    kind = {"1": "u1", "L": "u8", "I;16": "u16", "F": "f4"}[mode]
    values, _ = stored(kind)
    image = Image.fromarray(values > 0 if mode == "1" else values)
    data = encoded(image, "TIFF", compression=compression, tiffinfo={262: ZERO[zero]})
    with Image.open(
        io.BytesIO(data)
    ) as file:  # Pillow turns some round as it writes, some not
        assert file.mode == mode
        same = file.tag_v2[262] == 1 or mode in "1L"
    np.testing.assert_allclose(
        grey(data), seen(kind, inverted=not same), atol=mode == "F"
    )


# photometric, how many, the tag that says what the last one is, which is 128 of 255
CHANNELS = {
    "colours": (2, 3, None),
    "colours and alpha": (2, 4, 2),
    "colours and alpha, multiplied": (2, 4, 1),
    "colours and something": (2, 4, 0),
    "grey and alpha": (1, 2, 2),
    "inks": (5, 4, None),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["u8", "u16"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_tiffs_of_several_channels(channels, kind, order):
    photometric, count, extra = CHANNELS[channels]
    values, _ = stored(kind)
    top = 2 ** int(kind[1:]) - 1
    planes = np.repeat(values[:, :, None], count, 2)
    shades, half = SHADES.astype(float), round(top * 128 / 255)
    if extra is not None or photometric == 5:
        planes[:, :, -1] = half if photometric != 5 else 0
    if extra == 1:
        planes[:, :, :-1] = np.minimum(planes[:, :, :-1], half)
        shades = np.minimum(shades, 128) + 127
    elif extra == 2:
        shades = shades * 128 / 255 + 127
    elif photometric == 5:
        shades = 255 - shades
    tags = {} if extra is None else {338: [extra]}
    data = tiff(planes, ORDERS[order], photometric, tags=tags)
    if channels == "grey and alpha" and kind == "u16":
        with raises(
            NOT_AN_IMAGE, match="holds 2 channels of 16-bit whole numbers, which"
        ):
            load_image(data)
    else:
        assert np.abs(grey(data) - shades).max() <= 1


@pytest.mark.parametrize("zero", ZERO)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("bits", "tags"),
    [
        (10, {281: [1023]}),
        (12, {281: [4095]}),
        (12, {281: [3970]}),  # the brightest that is there
        (12, {341: [4095]}),
        (14, {281: [2**14 - 1]}),
        (16, {281: [2**16 - 1]}),
        (16, {281: [4095]}),  # wrong: there are larger ones
        (16, {281: [1]}),
    ],
)
def test_fewer_bits_in_a_file_of_sixteen(bits, tags, order, zero):
    values, _ = stored(f"u{bits}")
    values = values if ZERO[zero] else 2**bits - 1 - values
    if (largest := tags.get(281, [0])[0]) == 3970:
        values = np.minimum(values, largest)
    expected = seen(f"u{bits}")
    if largest == 3970:
        expected = (
            np.minimum(expected, 3970 >> 4) if ZERO[zero] else np.maximum(expected, 7)
        )
    data = tiff(values.astype("uint16"), ORDERS[order], ZERO[zero], tags=tags)
    assert np.array_equal(grey(data), expected)
    assert load_with_doubts(data)[1] == []


@pytest.mark.parametrize("zero", ZERO)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [10, 12, 13, 14, 16])
@pytest.mark.parametrize("format", ["TIFF", "PNG", "colours"])
def test_pictures_of_unknown_bits_are_doubted(format, bits, order, zero):
    values, _ = stored(f"u{bits}")
    if format == "PNG":
        data = encoded(Image.fromarray(values), "PNG")
    else:
        planes = values if format == "TIFF" else np.repeat(values[:, :, None], 3, 2)
        data = tiff(planes, ORDERS[order], ZERO[zero] if format == "TIFF" else 2)
    image, doubts = load_with_doubts(data)
    shade = "white" if format == "TIFF" and not ZERO[zero] else "black"
    words = [
        f"has 16 bits, but uses under an eighth .* it is seen as nearly {shade}. If "
        "that"
    ]
    assert len(doubts) == (bits < 14)
    for doubt, pattern in zip(doubts, words, strict=False):
        assert re.match(pattern, doubt)
        assert "stretched" in doubt
    assert image.mode == "RGB"


UNREAD = {
    "half precision": (lambda: stored("f2")[0], "16-bit floats"),
    "double precision": (lambda: stored("f8")[0], "64-bit floats"),
    "colours as floats": (
        lambda: np.repeat(stored("f4")[0][..., None], 3, 2),
        "3 .* 32-bit floats",
    ),
    "signed bytes": (
        lambda: (SHADES - 128).astype("int8"),
        "8-bit whole numbers with a sign",
    ),
    "signed": (
        lambda: (SHADES * 9).astype("int16"),
        "16-bit whole numbers with a sign",
    ),
    "of 32 bits": (lambda: SHADES.astype("uint32"), "32-bit whole numbers"),
    "signed, of 32 bits": (
        lambda: SHADES.astype("int32"),
        "32-bit whole numbers with a sign",
    ),
    "grey and alpha": (
        lambda: np.repeat(stored("u16")[0][..., None], 2, 2),
        "2 channels of 16-bit",
    ),
}


@pytest.mark.parametrize("zero", ZERO)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", UNREAD)
def test_what_cannot_be_read_is_called_what_it_is(kind, order, zero):
    """It used to be called damaged, which sends people to look for a better copy."""
    make, words = UNREAD[kind]
    values = make()
    photometric = 2 if values.shape[2:] == (3,) else ZERO[zero]
    with raises(NOT_AN_IMAGE, match=f"^This TIFF holds {words}.*: save it with 8 bits"):
        load_image(tiff(values, ORDERS[order], photometric))
    if kind in ("half precision", "double precision", "grey and alpha"):
        with raises(DAMAGED):  # but half of such a file is damaged
            load_image(tiff(values, ORDERS[order], photometric, whole=False))


@pytest.mark.parametrize("bits", [10, 14])
def test_odd_numbers_of_bits_are_called_what_they_are(bits):
    values, bits = stored(f"u{bits}")
    with raises(NOT_AN_IMAGE, match=f"holds {bits}-bit whole numbers"):
        load_image(tiff(values, bits=bits))


@pytest.mark.parametrize("highest", [2, 255])
def test_floats_over_one_are_called_what_they_are(highest):
    data = tiff((SHADES / 255 * highest).astype("float32"))
    with raises(
        NOT_AN_IMAGE, match=f"^It holds float32 from 0 to {highest}, .* save it so"
    ):
        load_image(data)


# -- PNG -------------------------------------------------------------------------------


def png_of(values, bits, colour, *chunks):
    """A PNG by hand: (height, width[, channels]) of whole numbers."""
    height, width = values.shape[:2]
    body = zlib.compress(b"".join(b"\0" + row for row in packed(values, bits)))
    return png(
        *chunks, width=width, height=height, depth=bits, colour=colour, data=body
    )


@pytest.mark.parametrize("place", [(0, 0), (0, 2), (1, 1)])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_put_on_white(bits, place):
    values, _ = stored(f"u{bits}")
    data = png_of(values, bits, 0, chunk(b"tRNS", struct.pack(">H", values[place])))
    expected = np.where(values == values[place], 255, seen(f"u{bits}"))
    assert np.array_equal(grey(data), expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_is_put_on_white(bits):
    values = np.repeat(stored(f"u{bits}")[0][:, :, None], 3, 2)
    data = png_of(values, bits, 2, chunk(b"tRNS", struct.pack(">HHH", *values[0, 2])))
    expected = seen(f"u{bits}")
    expected[0, 2] = 255
    assert np.array_equal(grey(data), expected)


def test_a_transparent_colour_of_16_bits_is_named():
    """Pillow keeps 8 bits of colours, so their neighbours are taken for it, too."""
    values = np.full((2, 2, 3), 0xF234)
    values[0, 0] = 0xF200
    transparent = chunk(b"tRNS", struct.pack(">HHH", *values[0, 0]))
    image, (doubt,) = load_with_doubts(png_of(values, 16, 2, transparent))
    assert (np.asarray(image) == 255).all()
    assert "16 bits, one of which is transparent" in doubt
    assert load_with_doubts(png_of(values, 16, 2))[1] == []
    deep = (values >> 8, 8, 2, chunk(b"tRNS", struct.pack(">HHH", 0xF2, 0xF2, 0xF2)))
    assert "16 bits" not in "".join(load_with_doubts(png_of(*deep))[1])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("count", [2, 4])
def test_pngs_with_alpha(count, bits):
    values = np.repeat(stored(f"u{bits}")[0][:, :, None], count, 2)
    values[:, :, -1] = round((2**bits - 1) * 128 / 255)
    data = png_of(values, bits, 4 if count == 2 else 6)
    assert np.abs(grey(data) - (SHADES * 128 / 255 + 127)).max() <= 1


def test_a_picture_that_was_opened_already_is_read_alike():
    values, _ = stored("u16")
    data = png_of(values, 16, 0, chunk(b"tRNS", struct.pack(">H", values[0, 1])))
    for source in (tiff(values, photometric=0), tiff(values, ">", 0), data):
        image = Image.open(io.BytesIO(source))
        before = dict(image.info)
        assert np.array_equal(grey(image), grey(source))
        assert dict(image.info) == before
        image.load()
        assert np.array_equal(grey(image), grey(source))


# -- JPEG ------------------------------------------------------------------------------


def holey(share, mode="RGB", **options):
    """A JPEG whose data stop after this share of them, but which has its end marker."""
    scene = picture(mode, (320, 240))
    scene.putpixel((0, 0), (255, 0, 0, 0)[: len(mode)] if mode != "L" else 255)
    data = encoded(scene, "JPEG", quality=85, **options)
    start = data.index(b"\xff\xda") + 12
    return data[: start + round((len(data) - start) * share)] + b"\xff\xd9"


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_jpeg_whose_data_stop_early_is_doubted(share, mode):
    """An intact marker at the end hides from the decoder that half of the picture is
    missing."""
    image, doubts = load_with_doubts(holey(share, mode))
    assert image.size == (320, 240)
    (doubt,) = doubts
    assert (
        doubt.startswith("ends in rows of one flat grey, as a JPEG does")
        and "again" in doubt
    )
    assert load_with_doubts(encoded(picture(mode, (320, 240)), "JPEG"))[1] == []


def test_a_turned_jpeg_whose_data_stop_early_is_doubted():
    turned = Image.Exif()
    turned[0x0112] = 6
    assert len(load_with_doubts(holey(0.5, exif=turned))[1]) == 1


def test_a_damaged_jpeg_that_was_saved_anew_is_doubted():
    image = load_image(holey(0.5))
    for format in ("PNG", "JPEG", "WEBP"):
        assert len(load_with_doubts(encoded(image, format))[1]) == 1, format


@pytest.mark.parametrize(
    "colour", ["white", "black", "red", (90, 90, 90), (128, 140, 160)]
)
def test_plain_grounds_are_not_doubted(colour):
    image = picture("RGB", (320, 240))
    image.paste(Image.new("RGB", (320, 60), colour), (0, 180))
    for format in ("JPEG", "PNG"):
        assert load_with_doubts(encoded(image, format))[1] == []


RESTARTS = [
    {"restart_marker_rows": 1},
    {"restart_marker_blocks": 1},
    {"restart_marker_blocks": 7},
]


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", RESTARTS, ids=str)
def test_where_restart_markers_are_missing_it_is_certain(options, mode, subsampling):
    """Many cameras write them: then it can be told without a doubt."""
    for size in ((320, 240), (319, 241), (17, 9), (200, 8)):
        options = options | {"subsampling": subsampling}
        whole = encoded(picture(mode, size), "JPEG", **options)
        load_image(whole)
        assert not misses_data(whole)
        assert not misses_data(whole + whole + b"\xff\xd0" * 9), (
            "what follows is not looked at"
        )
    start = encoded(picture(mode, (320, 240)), "JPEG", **options)
    place = start.index(b"\xff\xda") + 12
    for share in (0.1, 0.5, 0.9):
        data = start[: place + round((len(start) - place) * share)] + b"\xff\xd9"
        with raises(DAMAGED, match="Data are missing from it"):
            load_image(data)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, *RESTARTS], ids=str)
def test_whole_jpegs_miss_no_data(options):
    for extra in ({}, {"exif": Image.Exif(), "comment": b"\xff\xda\xff\xd9\xff\xdd"}):
        data = encoded(picture("RGB", (320, 240)), "JPEG", **options, **extra)
        assert not misses_data(data)
        assert load_with_doubts(data)[1] == []


# -- what is transparent, and what comes after the first frame -------------------------


def drawing(ink, ground, mode="RGBA"):
    image = Image.new("RGBA", (60, 40), ground)
    ImageDraw.Draw(image).ellipse((10, 5, 45, 30), fill=ink)
    return image.convert(mode)


CLEAR = (255, 255, 255, 0)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "GIF"])
@pytest.mark.parametrize("ink", ["white", "#f8f8f8", (0, 0, 0, 0)])
def test_white_on_nothing_is_doubted(ink, format):
    """White drawings were seen as white alone, as copies, and nothing said so."""
    data = encoded(drawing(ink, CLEAR), format)
    image, (doubt,) = load_with_doubts(data)
    assert np.asarray(image).min() >= 240
    assert doubt.startswith("has transparent parts, which are seen as white")


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "GIF"])
@pytest.mark.parametrize(
    ("ink", "ground", "mode"),
    [
        ("black", CLEAR, "RGBA"),
        ("#ccc", CLEAR, "RGBA"),
        (CLEAR, "green", "RGBA"),
        ("white", "white", "RGB"),
        ("white", "white", "RGBA"),
        ("white", "black", "L"),
    ],
)
def test_what_can_be_seen_or_is_opaque_is_not_doubted(ink, ground, mode, format):
    assert load_with_doubts(encoded(drawing(ink, ground, mode), format))[1] == []


def test_white_of_which_one_value_is_transparent_is_doubted():
    values = np.full((4, 4), 255)
    values[1, 1] = 7
    data = png_of(values, 8, 0, chunk(b"tRNS", struct.pack(">H", 7)))
    (doubt,) = load_with_doubts(data)[1]
    assert "transparent" in doubt


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "GIF"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_only_the_first_of_several_frames_is_seen_and_that_is_said(count, format):
    frames = [picture("RGB", (60, 40)).rotate(40 * i) for i in range(count)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    image, doubts = load_with_doubts(data)
    assert np.abs(np.asarray(image, int) - np.asarray(frames[0])).mean() < 12
    if count == 1:
        assert doubts == []
    else:
        (doubt,) = doubts
        assert doubt.startswith(f"has {count} frames or pages, of which only the first")


def test_a_smaller_copy_in_a_tiff_is_no_page():
    page = picture("RGB", (60, 40))
    small = page.resize((30, 20))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    data = encoded(page, "TIFF", save_all=True, append_images=[small])
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        assert image.tag_v2[254] == 1, "else this shows nothing"
    assert load_with_doubts(data)[1] == []


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_a_gif_that_is_damaged_after_its_first_frame_is_read(share):
    frames = [picture("RGB", (60, 40)).rotate(40 * i) for i in range(5)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    whole, _ = load_with_doubts(data)
    cut, _ = load_with_doubts(data[: int(len(data) * share)])
    assert np.array_equal(whole, cut)
