"""What the numbers in a picture's file mean: how many bits count, whether 0 is black or white,
which value is transparent; and which files are read, but perhaps not as they were meant."""

import io
from typing import NamedTuple

import numpy as np
from PIL import TiffImagePlugin

BITS, PHOTOMETRIC, SAMPLES, SAMPLE_FORMAT = 258, 262, 277, 339  # tags of TIFF 6.0
MAX_SAMPLE, S_MAX_SAMPLE = 281, 341  # the largest value that is used
WHITE_IS_ZERO = 0  # of PHOTOMETRIC
BLACK_IS_ZERO = 1
SIGNED, FLOAT = 2, 3  # of SAMPLE_FORMAT
DARK = 8  # a 16-bit picture with no value over the range by this has 13 bits or fewer, mostly
GREY = (100, 156)  # what a JPEG decoder fills in where data are missing: 128, give or take rounding
ROWS = 8  # of pixels, a JPEG's smallest block
# Pillow has no entries for grey of 16 bits in big-endian order, nor of 12 bits, where 0 is white,
# and none for big-endian files of 12 bits, which have them in the same order. All are read as if 0
# were black; `numbers_in` tells which of them that is wrong of.
for _order, _zero, _bits, _mode, _raw in (
    (b"MM", WHITE_IS_ZERO, 16, "I;16B", "I;16B"),
    (b"II", WHITE_IS_ZERO, 12, "I;16", "I;12"),
    (b"MM", WHITE_IS_ZERO, 12, "I;16", "I;12"),
    (b"MM", BLACK_IS_ZERO, 12, "I;16", "I;12"),
):
    _key = _order, _zero, (1,), 1, (_bits,), ()
    TiffImagePlugin.OPEN_INFO.setdefault(_key, (_mode, _raw))


class Numbers(NamedTuple):
    """What the numbers of an opened picture mean. top: the largest that whole numbers of 16 bits
    can be, 65535 or less; inverted: whether 0 is white; transparent: the value that stands for
    nothing, a whole number or three, else None; halved: whether only the upper 8 of 16 bits are
    read, as of colours."""

    top: int = 2**16 - 1
    inverted: bool = False
    transparent: int | tuple | None = None
    halved: bool = False


def numbers_in(image):
    """The `Numbers` of a PIL image; ask before its pixels are read, which Pillow then forgets."""
    raw = image.tile[0].args if getattr(image, "tile", ()) else ""
    raw = raw if isinstance(raw, str) else str(next(iter(raw or ()), ""))
    tags = getattr(image, "tag_v2", {})
    transparent = image.info.get("transparency")
    if isinstance(transparent, bytes):  # of a palette: Pillow does it
        transparent = None
    if transparent is not None and raw in ("L;2", "L;4"):  # it spreads these over 0…255 itself
        transparent = transparent * 255 // (2 ** int(raw[2:]) - 1)
    halved = image.mode != "I;16" and ";16" in raw and image.mode[0] not in "IF"
    if halved and isinstance(transparent, tuple):
        transparent = tuple(value >> 8 for value in transparent)
    grey = image.mode[0] in "IF"  # of other modes Pillow turns white and black round itself
    return Numbers(
        4095 if raw == "I;12" else _top(tags),
        grey and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO,
        transparent,
        halved,
    )


def _top(tags):
    """The largest value that the bits in use can have, if a TIFF says how many these are."""
    for tag in (MAX_SAMPLE, S_MAX_SAMPLE):
        value = tags.get(tag)
        value = max(value, default=0) if isinstance(value, tuple) else value
        if isinstance(value, int | float) and 255 < value < 2**16:
            return 2 ** int(value).bit_length() - 1
    return 2**16 - 1


def as_grey(array, scale, numbers=Numbers()):  # noqa: B008
    """8 bits of an array of bool, uint8, uint16 or floats: uint8 of the same shape.
    scale: what 1 is of 8 bits, but of uint16, where it follows from `top`: values are cut, floats
    rounded. Where a value is over `top`, more bits are in use than the file says, and all count."""
    white, rounding = 1, 0.5
    if array.dtype.kind != "f":
        rounding = 0
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        white = numbers.top if array.max() <= numbers.top else 2**16 - 1
        scale = 256 / (white + 1)
    pixels = np.empty(array.shape, np.uint8)
    # not all rows at once: that takes much memory
    for row, values in zip(pixels, array, strict=True):
        seen = white - values if numbers.inverted else values
        row[...] = seen * np.float64(scale) + rounding
        if isinstance(numbers.transparent, int):
            row[values == numbers.transparent] = 255
    return pixels


def doubts(image, numbers):
    """Why a picture, its pixels just read, may not show what was meant: ends of sentences that
    begin with its name. That is not certain: a dark room or a grey floor may have been meant."""
    found = []
    if image.mode[:4] == "I;16" or numbers.halved:
        if numbers.halved:
            largest = max(high for _, high in image.getextrema()[:3])
        else:
            largest = np.asarray(image).max()
        known = numbers.top < 2**16 - 1 and not numbers.halved
        if not known and largest < (2**8 if numbers.halved else 2**16) / DARK:
            seen = "white" if numbers.inverted else "black"
            found.append(
                "has 16 bits, but uses under an eighth of their range, as with cameras of 10 or "
                f"12 bits: it is seen as nearly {seen}. If that is wrong, save it anew, its values "
                "stretched to the whole range."
            )
    if image.height > 2 * ROWS and image.mode in ("L", "RGB"):
        last = image.crop((0, image.height - ROWS, *image.size)).getextrema()
        last = [last] if image.mode == "L" else last
        if all(high - low <= 2 and GREY[0] <= low and high <= GREY[1] for low, high in last):
            found.append(
                "ends in rows of one flat grey, as a JPEG does from which data are missing. If a "
                "part of it is missing, save or download it again."
            )
    return found


def misread(image):
    """Whether Pillow reads other numbers than an opened TIFF holds, or such of which nobody knows
    what is white: whole numbers with a sign, or of 32 bits."""
    tags = getattr(image, "tag_v2", {})
    signed = SIGNED in tags.get(SAMPLE_FORMAT, ())
    return image.format == "TIFF" and (signed or image.mode == "I")


def misses_data(data):
    """Whether a JPEG of one scan lacks some of its restart intervals. That can be told without
    reading its pixels, if it has them: each ends with a marker, and they are counted."""
    place, interval, blocks = 2, 0, 0
    while data[place : place + 1] == b"\xff":
        kind, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        segment = data[place + 4 : place + 2 + length]
        if kind in (0xC0, 0xC1) and len(segment) >= 6:  # a frame that is not progressive
            height, width = (int.from_bytes(segment[i : i + 2]) for i in (1, 3))
            sides = [segment[i] for i in range(7, len(segment), 3)]
            count = len(sides)
            if count == 1 or not all(sides) or len(segment) != 6 + 3 * count:
                sides = [0x11]
            across, down = (8 * max(side >> shift & 15 for side in sides) for shift in (4, 0))
            blocks = -(-width // across) * -(-height // down)
        elif kind == 0xDD and len(segment) == 2:
            interval = int.from_bytes(segment)
        elif kind == 0xDA:
            if not (interval and blocks) or segment[:1] != bytes([count]):
                return False
            scan = data[place + 2 + length :]
            scan = scan[: scan.find(b"\xff\xd9") % (len(scan) + 1)]
            marks = sum(scan.count(bytes((0xFF, 0xD0 + i))) for i in range(8))
            return marks < -(-blocks // interval) - 1
        place += 2 + max(length, 2)
    return False


def holds(file):
    """What a TIFF holds that Pillow knows no way to read, as the end of a sentence that begins with
    “This TIFF holds”, or None where it is no whole TIFF. file: a binary file at its start."""
    head = file.read(8)
    if head[:4] in (b"II+\0", b"MM\0+"):  # BigTIFF
        head += file.read(8)
    elif head[:4] not in (b"II*\0", b"MM\0*"):
        return None
    tags = TiffImagePlugin.ImageFileDirectory_v2(head)
    file.seek(tags.next)
    tags.load(file)
    bits, formats = tags.get(BITS, (1,)), tags.get(SAMPLE_FORMAT, (1,))
    count = tags.get(SAMPLES, 1)
    sizes = tags.get(279, ()), tags.get(325, ())  # of strips or tiles, in bytes
    starts = tags.get(273, ()), tags.get(324, ())
    end = file.seek(0, io.SEEK_END)
    whole = all(
        start + size <= end
        for pair in zip(starts, sizes, strict=True)
        for start, size in zip(*pair, strict=False)
    )
    if not whole or not any(starts) or len(bits) not in (1, count):
        return None
    kind = {SIGNED: "whole numbers with a sign", FLOAT: "floats"}.get(formats[0], "whole numbers")
    many = f"{count} channels of " if count > 1 else ""
    return f"{many}{bits[0]}-bit {kind}"
