"""What the numbers in a picture's file mean, and which files may be read wrongly.

How many bits count, whether 0 is black or white, which value is transparent: Pillow
doesn't always say, so it's worked out here. Tags are those of TIFF 6.0, markers those
of JPEG (ITU-T T.81)."""

import io
from typing import NamedTuple

import numpy as np
from PIL import TiffImagePlugin

# Tags of a TIFF.
BITS = 258  # of each channel
PHOTOMETRIC = 262
STRIP_OFFSETS = 273
SAMPLES = 277  # how many channels
STRIP_SIZES = 279  # bytes
MAX_SAMPLE = 281  # the largest value that is used
TILE_OFFSETS = 324
TILE_SIZES = 325  # bytes
SAMPLE_FORMAT = 339
S_MAX_SAMPLE = 341  # MAX_SAMPLE, of any sample format

# Values of PHOTOMETRIC.
WHITE_IS_ZERO = 0
BLACK_IS_ZERO = 1

# Values of SAMPLE_FORMAT.
UNSIGNED = 1
SIGNED = 2
FLOAT = 3

TIFF_STARTS = (b"II*\0", b"MM\0*")
BIG_TIFF_STARTS = (b"II+\0", b"MM\0+")

# Markers of a JPEG: each is the byte 0xFF and one of these.
FRAMES = (0xC0, 0xC1)  # those that aren't progressive
RESTARTS = range(0xD0, 0xD8)
END_OF_IMAGE = b"\xff\xd9"
START_OF_SCAN = 0xDA
RESTART_INTERVAL = 0xDD

TOP_16 = 2**16 - 1  # the largest whole number of 16 bits
TOP_12 = 2**12 - 1
DARK = (
    8  # 16-bit pictures that stay under this fraction of the range mostly have 13 bits
)
NEARLY_WHITE = 240  # the darkest that nobody tells from white at a glance
GREY = (100, 156)  # a JPEG decoder fills gaps with 128, give or take rounding
ROWS = 8  # of pixels, a JPEG's smallest block


def _let_pillow_read(byte_order, photometric, bits, mode, raw_mode):
    """Tell Pillow how to read a kind of grey TIFF that it doesn't know."""
    formats = (UNSIGNED,)
    fill_order = 1
    extra_samples = ()
    kind = (byte_order, photometric, formats, fill_order, (bits,), extra_samples)
    TiffImagePlugin.OPEN_INFO.setdefault(kind, (mode, raw_mode))


# Pillow doesn't know grey where 0 is white of 16 bits in big-endian order, nor of 12
# bits, nor big-endian files of 12 bits, which keep them in the same order. All are read
# as if 0 were black; `numbers_in` tells for which of them that's wrong.
_let_pillow_read(b"MM", WHITE_IS_ZERO, 16, "I;16B", "I;16B")
_let_pillow_read(b"II", WHITE_IS_ZERO, 12, "I;16", "I;12")
_let_pillow_read(b"MM", WHITE_IS_ZERO, 12, "I;16", "I;12")
_let_pillow_read(b"MM", BLACK_IS_ZERO, 12, "I;16", "I;12")


class Numbers(NamedTuple):
    """What the numbers of an opened picture mean.

    top: the largest that whole numbers of 16 bits can be, 65535 or less.
    inverted: whether 0 is white.
    transparent: the value that stands for nothing, a whole number or three, else None.
    halved: whether only the upper 8 of 16 bits are read, as of colours."""

    top: int = TOP_16
    inverted: bool = False
    transparent: int | tuple | None = None
    halved: bool = False


def numbers_in(image):
    """The `Numbers` of a PIL image, asked before its pixels are read.

    Pillow forgets what its file said once they are."""
    raw_mode = _raw_mode(image)
    tags = getattr(image, "tag_v2", {})
    # Pillow itself inverts pictures of other modes where 0 is white.
    is_wide_grey = image.mode[0] in "IF"
    halved = ";16" in raw_mode and image.mode != "I;16" and not is_wide_grey
    return Numbers(
        top=TOP_12 if raw_mode == "I;12" else _top(tags),
        inverted=is_wide_grey and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO,
        transparent=_transparent(image, raw_mode, halved),
        halved=halved,
    )


def _raw_mode(image):
    """Pillow's name for how numbers lie in the file, as in "I;16B"; "" if unknown."""
    tiles = getattr(image, "tile", ())
    if not tiles:
        return ""
    arguments = tiles[0].args
    if isinstance(arguments, str):
        return arguments
    return str(next(iter(arguments or ()), ""))


def _transparent(image, raw_mode, halved):
    """The value that stands for nothing, in the numbers that Pillow gives; or None."""
    value = image.info.get("transparency")
    if value is None or isinstance(value, bytes):  # bytes: of a palette, Pillow does it
        return None
    if raw_mode in ("L;2", "L;4"):  # Pillow spreads these over 0…255
        bits = int(raw_mode[2:])
        value = value * 255 // (2**bits - 1)
    if halved and isinstance(value, tuple):
        value = tuple(channel >> 8 for channel in value)
    return value


def _top(tags):
    """The largest value of the bits in use, if a TIFF says how many these are."""
    for tag in (MAX_SAMPLE, S_MAX_SAMPLE):
        value = tags.get(tag)
        if isinstance(value, tuple):
            value = max(value, default=0)
        if isinstance(value, int | float) and 255 < value < 2**16:
            bits = int(value).bit_length()
            return 2**bits - 1
    return TOP_16


def as_grey(array, scale, numbers=Numbers()):  # noqa: B008
    """The 8-bit grey of an array of bool, uint8, uint16 or floats: uint8, same shape.

    scale: what 1 becomes in 8 bits; for uint16 it follows from `top` instead. Whole
    numbers are cut, floats rounded. If a value is over `top`, more bits are in use than
    the file says, and all of them count."""
    white = 1
    rounding = 0.5 if array.dtype.kind == "f" else 0
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        white = numbers.top if array.max() <= numbers.top else TOP_16
        scale = 256 / (white + 1)
    pixels = np.empty(array.shape, np.uint8)
    # Row by row: all of them at once would take much memory.
    for row, values in zip(pixels, array, strict=True):
        brightness = white - values if numbers.inverted else values
        row[...] = brightness * np.float64(scale) + rounding
        if isinstance(numbers.transparent, int):
            row[values == numbers.transparent] = 255
    return pixels


def doubts(image, numbers, frames=1):
    """Why a picture, its pixels just read, may not show what was meant.

    frames: how many its file holds, of which it is the first. A list of ends of
    sentences that begin with its name. None of them is certain: a dark room or a grey
    floor may have been meant."""
    reasons = []
    if frames > 1:
        reasons.append(
            f"has {frames} frames or pages, of which only the first is seen. If "
            "another one shows what was meant, save that as a file of its own."
        )
    if _uses_few_bits(image, numbers):
        shade = "white" if numbers.inverted else "black"
        reasons.append(
            "has 16 bits, but uses under an eighth of their range, as with cameras of "
            f"10 or 12 bits: it is seen as nearly {shade}. If that is wrong, save it "
            "anew, its values stretched to the whole range."
        )
    if numbers.halved and numbers.transparent is not None:
        reasons.append(
            "has colours of 16 bits, one of which is transparent: those so close to it "
            "that 8 bits cannot tell them apart are seen as white, too. If that is "
            "wrong, save it anew, with an alpha channel."
        )
    if _ends_in_flat_grey(image):
        reasons.append(
            "ends in rows of one flat grey, as a JPEG does from which data are "
            "missing. If a part of it is missing, save or download it again."
        )
    return reasons


def doubts_on_white(image, numbers, seen):
    """As `doubts`, of a decoded picture and what is seen of it: RGB, what is
    transparent on white."""
    is_transparent = numbers.transparent is not None or image.has_transparency_data
    if not is_transparent or numbers.halved:  # of these, `doubts` has said it
        return []
    if "A" in image.getbands() and image.getchannel("A").getextrema()[0] == 255:
        return []  # it might have been, but it's opaque
    if min(low for low, _ in seen.getextrema()) < NEARLY_WHITE:
        return []
    return [
        "has transparent parts, which are seen as white, and so nothing but white is "
        "left of it. If it shows something, save it anew on a ground of another colour."
    ]


def _uses_few_bits(image, numbers):
    """Whether a 16-bit picture stays far below its range, though its file allows it."""
    if numbers.halved:
        largest = max(high for _, high in image.getextrema()[:3])
        return largest < 2**8 / DARK
    if image.mode[:4] != "I;16" or numbers.top < TOP_16:
        return False
    largest = np.asarray(image).max()
    return largest < 2**16 / DARK


def _ends_in_flat_grey(image):
    """Whether the last rows of pixels look like what a decoder puts where data end."""
    if image.height <= 2 * ROWS or image.mode not in ("L", "RGB", "CMYK"):
        return False
    last_rows = image.crop((0, image.height - ROWS, *image.size))
    extrema = last_rows.getextrema()
    if image.mode == "L":
        extrema = [extrema]
    darkest, brightest = GREY
    return all(
        high - low <= 2 and darkest <= low and high <= brightest
        for low, high in extrema
    )


def misread(image):
    """Whether Pillow misreads an opened TIFF, or nobody knows which value is white.

    That's so for whole numbers with a sign, or of 32 bits."""
    if image.format != "TIFF":
        return False
    if image.mode == "I":
        return True
    tags = getattr(image, "tag_v2", {})
    return SIGNED in tags.get(SAMPLE_FORMAT, ())


def misses_data(data):
    """Whether a JPEG of one scan lacks some of its restart intervals.

    A file with restart intervals shows it before any pixel is read: each interval ends
    with a marker, and the markers are counted. False where it can't be told."""
    position = 2  # after the marker that starts the image
    interval = 0  # blocks between two restart markers
    blocks = 0
    components = 0
    while data[position : position + 1] == b"\xff":
        marker = data[position + 1]
        length = int.from_bytes(data[position + 2 : position + 4])
        end = position + 2 + length
        segment = data[position + 4 : end]
        if marker in FRAMES and len(segment) >= 6:
            blocks, components = _frame_blocks(segment)
        elif marker == RESTART_INTERVAL and len(segment) == 2:
            interval = int.from_bytes(segment)
        elif marker == START_OF_SCAN:
            if not (interval and blocks) or segment[:1] != bytes([components]):
                return False
            intervals = _ceil_divide(blocks, interval)
            return _count_restarts(data[end:]) < intervals - 1
        position += 2 + max(length, 2)
    return False


def _frame_blocks(segment):
    """(how many blocks of a JPEG are coded together, how many components it has)."""
    height = int.from_bytes(segment[1:3])
    width = int.from_bytes(segment[3:5])
    # Each component has three bytes; the second holds two factors, of 4 bits each.
    factors = [segment[i] for i in range(7, len(segment), 3)]
    components = len(factors)
    complete = all(factors) and len(segment) == 6 + 3 * components
    if components == 1 or not complete:
        factors = [0x11]  # 1 across and 1 down
    block_width = 8 * max(factor >> 4 for factor in factors)
    block_height = 8 * max(factor & 15 for factor in factors)
    across = _ceil_divide(width, block_width)
    down = _ceil_divide(height, block_height)
    return across * down, components


def _count_restarts(scan):
    """How many restart markers come before the end of the image."""
    scan = scan.partition(END_OF_IMAGE)[0]
    return sum(scan.count(bytes([0xFF, marker])) for marker in RESTARTS)


def _ceil_divide(number, divisor):
    return -(-number // divisor)


def describe_tiff(file):
    """What a TIFF holds that Pillow has no way to read, as in “16-bit floats”.

    It ends a sentence that begins with “This TIFF holds”; None where the file is no
    whole TIFF. file: a binary file at its start."""
    head = file.read(8)
    if head[:4] in BIG_TIFF_STARTS:
        head += file.read(8)
    elif head[:4] not in TIFF_STARTS:
        return None
    tags = TiffImagePlugin.ImageFileDirectory_v2(head)
    file.seek(tags.next)
    tags.load(file)
    bits = tags.get(BITS, (1,))
    formats = tags.get(SAMPLE_FORMAT, (UNSIGNED,))
    channels = tags.get(SAMPLES, 1)
    if not _holds_its_pixels(file, tags) or len(bits) not in (1, channels):
        return None
    kind = "whole numbers"
    if formats[0] == SIGNED:
        kind = "whole numbers with a sign"
    elif formats[0] == FLOAT:
        kind = "floats"
    prefix = f"{channels} channels of " if channels > 1 else ""
    return f"{prefix}{bits[0]}-bit {kind}"


def _holds_its_pixels(file, tags):
    """Whether a TIFF says where its pixels are, and is long enough to hold them all."""
    strip_starts = tags.get(STRIP_OFFSETS, ())
    strip_sizes = tags.get(STRIP_SIZES, ())
    tile_starts = tags.get(TILE_OFFSETS, ())
    tile_sizes = tags.get(TILE_SIZES, ())
    if not strip_starts and not tile_starts:
        return False
    end = file.seek(0, io.SEEK_END)
    strips = zip(strip_starts, strip_sizes, strict=False)
    tiles = zip(tile_starts, tile_sizes, strict=False)
    return all(start + size <= end for start, size in (*strips, *tiles))
