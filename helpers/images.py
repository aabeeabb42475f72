"""Pictures: load them safely from anywhere, crop or squash them, make batches."""

import importlib.util
import io
import math
import os
import re
import time
import warnings
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, TiffImagePlugin, UnidentifiedImageError
from PIL.Image import Transpose

from helpers.depths import Numbers, as_grey, doubts, holds, misread, misses_data, numbers_in
from helpers.fetch import FetchError, SchemeError, TooMuchError, download, printable
from helpers.labels import read_table

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # JPEG includes the MPO of many phones
MAX_BYTES, MAX_PIXELS = 50_000_000, 89_478_485  # pixels: Pillow's limit, against bombs
DEADLINE = 30  # seconds for what is at an address
DECODING, SCANS, METADATA = 10, 100, 2**16  # seconds of computing; of a JPEG; bytes looked at
UPRIGHT = dict(enumerate((  # how to turn a picture, by the orientation that Exif gives
    Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM, Transpose.TRANSPOSE,
    Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90), 2))  # fmt: skip
TILE = TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH
COSTLY = "It is made to take much memory or time: save the picture anew, or use another."
TOO_LARGE = f"Over {MAX_BYTES // 10**6} MB or {MAX_PIXELS // 10**6} megapixels: use a smaller copy."


# fmt: off
class ImageError(ValueError): """A picture could not be had; says why and what to do next."""
class UnreachableError(ImageError): """Nothing could be read from this address, path or file."""
class NotAnImageError(ImageError): """What was given is no picture, or in no known format."""
class TooLargeError(ImageError): """More than MAX_BYTES or MAX_PIXELS."""
class TruncatedError(ImageError): """The picture is damaged, or its end is missing."""
class UnsupportedSchemeError(ImageError): """An address that leads to neither http:// nor https://."""
# fmt: on


class Sample(NamedTuple):
    """A picture to try things on: a line of samples.tsv.
    library: the installed package that brings it, of the photographs another project's; `helpers`
    for the renders, which are pictures of data/computers; file: its place, seen from that package's
    folder; classes: the ImageNet classes that would be a right answer, none where there is no such
    class; shows: what is to be seen, in words."""

    library: str
    file: str
    classes: tuple[str, ...]
    shows: str

    def path(self):
        """Where the file is; found without importing the library, which can take seconds."""
        package = importlib.util.find_spec(self.library).origin
        return os.path.join(os.path.dirname(package), self.file)


SAMPLES = {
    name: Sample(library, file, tuple(filter(None, classes.split(", "))), shows)
    for name, library, file, classes, shows in read_table("samples.tsv")
}


def sample_names():
    """The names of the samples: photographs from installed libraries, and renders of our own."""
    return list(SAMPLES)


def load_image(source):
    """Return any picture as a new, upright, 8-bit RGB PIL image; the source stays as it was.
    source: a sample's name, an http(s) address, a path, bytes, a binary file, an ipywidgets
    upload (`FileUpload.value` or one of its entries), a PIL image, or an array (height, width[,
    1, 3 or 4]) of uint8, uint16, bool or floats in 0…1. Transparency is put on white; of 16 bits
    the upper 8 are kept, or of fewer in use, where a TIFF says how many (MaxSampleValue); an
    animation gives its first frame. Raises an ImageError."""
    return load_with_doubts(source)[0]


def load_with_doubts(source):
    """What `load_image` returns, and why it may not show what was meant: a list of ends of
    sentences that begin with its name, as “ends in rows of one flat grey, …”. Raises an ImageError.
    """
    if hasattr(source, "__array__"):
        return _to_rgb(_from_array(np.asarray(source))), []
    data = None if isinstance(source, Image.Image) else _read(source)
    try:
        with warnings.catch_warnings(action="ignore"):  # odd metadata need not worry a learner
            image = _opened(data) if data else source
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if 0 in image.size:
                raise NotAnImageError("This picture has no pixels: nothing is left of it.")
            numbers = numbers_in(image)
            image.load()
            doubted = doubts(image, numbers)
            image = _to_rgb(_upright(image), numbers, data is not None)
    except (Image.DecompressionBombError, MemoryError) as error:
        raise TooLargeError(TOO_LARGE) from error
    except (NotAnImageError, TooLargeError, TruncatedError):
        raise
    except Exception as error:  # a decoder may raise anything on a damaged file
        raise _explained(data or b"", isinstance(error, UnidentifiedImageError)) from error
    image.info.clear()  # it is upright and RGB now, whatever its metadata say
    return image, doubted


class _Bounded(io.BytesIO):
    """Bytes for a decoder that has DECODING seconds, and not much more to read than there is: some
    files consist of pieces that take long each, or of a hundred references to the same megabyte."""

    def __init__(self, data):
        super().__init__(data)
        self.end, self.left = time.thread_time() + DECODING, 4 * len(data) + 2**20
        self.tiff = data[:2] in (b"II", b"MM")

    def read(self, size=-1):
        # Pillow keeps all tags of a TIFF; those over a megabyte it reads in such pieces, and goes
        # on without what it does not get.
        found = super().read(0 if self.tiff and size == ImageFile.SAFEBLOCK else size)
        self.left -= len(found)
        if self.left < 0 or time.thread_time() > self.end:
            raise TooLargeError(COSTLY)
        return found


def _opened(data):
    """The picture in a file, not decoded yet; TooLargeError where that could take without end."""
    # Each scan of a JPEG goes through all of its pixels; by chance the marker is in other data.
    if data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > SCANS + len(data) / 2**15:
        raise TooLargeError(COSTLY)
    if data[:2] == b"\xff\xd8" and misses_data(data):
        raise TruncatedError("Data are missing from it: save or download the picture again.")
    file = _Bounded(data)
    image = Image.open(file, formats=FORMATS)
    file.left += ImageFile.MAXBLOCK * len(image.tile)  # it may read a block for each of its strips
    tags = getattr(image, "tag_v2", {})
    if math.prod(int(tags.get(side, 1)) for side in TILE) > MAX_PIXELS:
        raise TooLargeError(COSTLY)
    if misread(image):
        raise UnidentifiedImageError
    return image


def _upright(image):
    """The picture as its metadata say it should be turned (TIFFs, Pillow has turned already)."""
    about = Image.new("1", (1, 1))
    about.info = {k: v[:METADATA] for k, v in image.info.items() if isinstance(v, bytes | str)}
    turn = None
    with suppress(Exception):  # broken metadata cannot say which way is up
        turn = UPRIGHT.get(about.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def _explained(data, unknown):
    """Why these bytes could not be read as a picture, as an error; unknown: nobody knows how to."""
    start = data[:1000]
    text = re.sub(rb"(?s)<!--.*?(-->|$)|<\?.*?(\?>|$)", b"", start)
    root = re.search(rb"(?i)<(?:!doctype\s+)?(?:\w+:)?([a-z]+)", text)
    if root and root[1].lower() == b"svg":
        return NotAnImageError("This is a drawing, SVG, not a picture: export it as PNG.")
    if re.search(rb"(?i)<html|<!doctype html", start):
        return NotAnImageError("This is a web page: copy the address of the picture in it.")
    if start[4:8] == b"ftyp":
        return NotAnImageError("This looks like HEIC, as phones write it, or a film: save as JPEG.")
    held = None
    # of a damaged TIFF there is nothing to say
    with suppress(Exception), warnings.catch_warnings(action="ignore"):
        held = unknown and holds(_Bounded(data))
    if held:
        return NotAnImageError(
            f"This TIFF holds {held}, which cannot be read: save it with 8 bits."
        )
    if re.match(rb"\xff\xd8|\x89PNG|RIFF|GIF8|BM|II[*+]\0|MM\0[*+]", start) or not start:
        return TruncatedError("It is damaged or not complete: save or download the picture again.")
    return NotAnImageError(f"No picture in a known format: save it as one of {', '.join(FORMATS)}.")


def _read(source):
    if isinstance(source, str):
        bare = source.strip()
        if re.match(r"(?i)[a-z][a-z0-9+.-]+://|(data|file|blob):", bare):
            source = fetch(bare)
        elif bare in SAMPLES:
            source = SAMPLES[bare].path()
        elif not os.path.lexists(os.path.expanduser(source)):  # a name may end in a blank
            source = bare
    if isinstance(source, (tuple, list)):
        if len(source) != 1:
            raise NotAnImageError(f"{len(source)} uploads: pass one, the first is upload.value[0].")
        source = source[0]
    if isinstance(source, dict):
        source = source.get("content")
    if isinstance(source, (bytes, bytearray, memoryview)):
        source = io.BytesIO(source)
    path = isinstance(source, (str, os.PathLike))
    advice = f"Pass a web address, path from here, binary file or one of: {', '.join(SAMPLES)}."
    if not path and not hasattr(source, "read"):
        raise NotAnImageError(f"This {type(source).__name__} is no picture. {advice}")
    try:
        with open(os.path.expanduser(source), "rb") if path else nullcontext(source) as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreachableError(f"{source!r:.200} cannot be read ({reason}). {advice}") from error
    if not data or not isinstance(data, bytes):
        raise NotAnImageError(f"There is nothing to read, or only text. {advice}")
    if len(data) > MAX_BYTES:
        raise TooLargeError(TOO_LARGE)
    return data


def fetch(url):
    """Return the bytes at an http(s) address, or raise an ImageError: where pictures come in."""
    file, shown = io.BytesIO(), printable(f"{url:.200}")
    try:
        download(url, file, MAX_BYTES, DEADLINE, accept="image/jpeg, image/*")
    except TooMuchError as error:
        raise TooLargeError(TOO_LARGE) from error
    except SchemeError as error:
        message = f"{shown} is no http(s):// address: save the picture and pass its path."
        raise UnsupportedSchemeError(message) from error
    except FetchError as error:
        advice = "Check it and your connection, or save the picture in a browser and use that file."
        raise UnreachableError(f"{shown} cannot be read ({error}). {advice}") from error
    return file.getvalue()


def _from_array(array, numbers=Numbers(), of_file=False):  # noqa: B008
    kind, channels = array.dtype.name, array.shape[2:]
    scale = 255 if "float" in kind else {"bool": 255, "uint8": 1, "uint16": 1 / 256}.get(kind)
    good = array.ndim in (2, 3) and array.size and channels in [(), (1,), (3,), (4,)]
    if "float" in kind and good:
        kind += f" from {array.min():g} to {array.max():g}"
        good = array.min() >= 0 and array.max() <= 1  # False of NaN
    if (not good or not scale) and of_file:
        raise NotAnImageError(
            f"It holds {kind}, where 0 should be black and 1 white: save it so, or with 8 bits."
        )
    if not good or not scale:
        raise NotAnImageError(
            f"This array {array.shape} of {kind} should be (height, width[, 1, 3 or 4]) of uint8"
            " or of floats in 0…1. Of a batch, pass array[0]; 0…255 needs .astype('uint8')"
        )
    array = array[..., 0] if channels == (1,) else array
    return Image.fromarray(as_grey(array, scale, numbers))


def _to_rgb(image, numbers=Numbers(), of_file=False):  # noqa: B008
    if image.mode[0] in "IF":  # I;16, I, F: Pillow alone would clip them to white
        image = _from_array(np.asarray(image), numbers, of_file)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if image.has_transparency_data:
        flat = Image.new("RGB", image.size)
        for top in range(0, image.height, 256):  # not all at once: that takes much memory
            part = image.crop((0, top, image.width, min(top + 256, image.height)))
            if numbers.transparent is not None:
                part.info["transparency"] = numbers.transparent
            part = (part.convert("LA") if part.mode == "La" else part).convert("RGBA")
            white = Image.new("RGBA", part.size, "white")
            flat.paste(Image.alpha_composite(white, part).convert("RGB"), (0, top))
        return flat
    return image.convert("RGB")


@dataclass(frozen=True)
class ResizeRule:
    """How a picture becomes a square: "square" cuts `fraction` of its short side from the centre,
    "each_side" that fraction of each side, to be squashed; filter: "bilinear" or "bicubic"."""

    shape: str = "square"
    fraction: float = 1.0
    filter: str = "bilinear"

    def __post_init__(self):
        known = self.shape in ("square", "each_side") and self.filter in ("bilinear", "bicubic")
        if not known or not 0 < self.fraction <= 1:
            raise ValueError(f"There is no {self}: see help(ResizeRule).")


SQUASH = ResizeRule("each_side")


def crop_box(width, height, rule):
    """Return the central (left, top, right, bottom) in whole pixels, never empty."""
    sides = (min(width, height),) * 2 if rule.shape == "square" else (width, height)
    across, down = (max(1, round(side * rule.fraction)) for side in sides)
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def resize(image, size, rule=ResizeRule()):
    """Return a (size, size) RGB PIL image of anything load_image takes, cut and antialiased."""
    image = load_image(image)
    image = image.crop(crop_box(*image.size, rule))
    return image.resize((size, size), Image.Resampling[rule.filter.upper()])


def resize_tensor(tensor, size, rule=ResizeRule()):
    """Return what `resize` does (within 1) of a (height, width, 3) tensor of 0…255, as float32.
    For tf.data; decode with decode_jpeg(…, channels=3, dct_method="INTEGER_ACCURATE")."""
    import tensorflow as tf

    full = tf.shape(tf.ensure_shape(tensor, (None, None, 3)))[:2]
    side = tf.repeat(tf.reduce_min(full), 2) if rule.shape == "square" else full
    side = tf.maximum(1, tf.cast(tf.round(tf.cast(side, tf.float64) * rule.fraction), tf.int32))
    start = (full - side) // 2
    tensor = tf.image.crop_to_bounding_box(tensor, start[0], start[1], side[0], side[1])
    # Pillow clips between its passes, across then down, or (from 13 on) the other way round here:
    down_first = side[0] - size > tf.maximum(0, 2 * (side[1] - size))
    middle = tf.where(down_first, [size, side[1]], [side[0], size])
    tensor = tf.clip_by_value(tf.image.resize(tensor, middle, rule.filter, antialias=True), 0, 255)
    tensor = tf.image.resize(tensor, (size, size), rule.filter, antialias=True)
    return tf.clip_by_value(tf.round(tensor), 0, 255)


def to_batch(images, size, rule=ResizeRule()):
    """Return float32 (n, size, size, 3) of 0…255 from one picture, a list or a batch of arrays."""
    many = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
    batch = [np.asarray(resize(image, size, rule)) for image in (images if many else [images])]
    return np.stack(batch).astype(np.float32)
