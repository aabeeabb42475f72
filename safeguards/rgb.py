"""Pictures of any kind as upright, 8-bit RGB, with what is transparent on white."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from safeguards import pictures
from safeguards.depths import Numbers, as_grey, doubts_on_white
from safeguards.pictures import NOT_AN_IMAGE, ImageError, Whole

WHITE = 255
STRIP = 256  # rows that are put on white at a time: all at once would take much memory
SCALES = {"bool": WHITE, "uint8": 1, "uint16": 1 / 256}  # from 1 of a dtype to 8 bits
CHANNELS = ((), (1,), (3,), (4,))  # what an array's shape may end in


class Picture(NamedTuple):
    """An RGB picture that may have been decoded at a fraction of its size.
    image: a PIL image; whole: a `Whole`."""

    image: Image.Image
    whole: Whole

    def resized(self, box, size, smoothing):
        """A part of the whole picture as an RGB PIL image of another size.
        box: (left, top, right, bottom) in pixels of the whole picture; size: width and
        height; smoothing: a filter of Pillow's. Of decoded pixels that lie only partly
        in the box, only that part counts; none beyond them does."""
        whole = self.whole
        left, top, right, bottom = (edge / whole.scale for edge in box)
        left += whole.left
        right += whole.left
        top += whole.top
        bottom += whole.top
        first_column = math.floor(left)
        first_row = math.floor(top)
        cut = (first_column, first_row, math.ceil(right), math.ceil(bottom))
        within = (
            left - first_column,
            top - first_row,
            right - first_column,
            bottom - first_row,
        )
        return self.image.crop(cut).resize(size, smoothing, within)


def load_with_doubts(source, advice=""):
    """Any picture as a new RGB image, and why it may not show what was meant.
    source: an address, a path, bytes, a file, an upload, a PIL image or an array;
    advice: what to say can be passed instead. The reasons are a list of ends of
    sentences that begin with the picture's name, such as “ends in rows of one flat
    grey, …”. Raises an ImageError."""
    picture, doubts = _load(source, advice)
    return picture.image, doubts


def load_reduced(source, advice, short_side):
    """Any picture as a `Picture`, of which no more is decoded than needed: JPEG files
    of over 2 megapixels at a half, a quarter or an eighth of their size, if the short
    side then has `short_side` pixels or more. source and advice as above, which stays
    as it was. Raises an ImageError."""
    picture, _ = _load(source, advice, short_side)
    return picture


def _load(source, advice, short_side=None):
    """(the `Picture`, its doubts) of what `load_with_doubts` takes."""
    if hasattr(source, "__array__"):
        image = _to_rgb(_from_array(np.asarray(source)))
        return Picture(image, Whole(image.size)), []
    is_file = not isinstance(source, Image.Image)
    if is_file:
        source = pictures.read(source, advice)
    decoded = pictures.decode(source, short_side)
    with pictures.faults_explained(
        source
    ):  # some show only as the pixels are converted
        image = _to_rgb(decoded.image, decoded.numbers, is_file)
        on_white = doubts_on_white(decoded.image, decoded.numbers, image)
    image.info.clear()  # it is upright and RGB now, whatever its metadata say
    return Picture(image, decoded.whole), decoded.doubts + on_white


def _from_array(array, numbers=Numbers(), is_file=False):  # noqa: B008
    """An 8-bit PIL image of an array; ImageError where nobody knows what is white."""
    kind = array.dtype.name
    channels = array.shape[2:]
    scale = SCALES.get(kind)
    good = array.ndim in (2, 3) and array.size and channels in CHANNELS
    if "float" in kind:
        scale = WHITE
        if good:
            lowest = array.min()
            highest = array.max()
            kind += f" from {lowest:g} to {highest:g}"
            good = lowest >= 0 and highest <= 1  # False of NaN
    if not good or not scale:
        if is_file:
            raise ImageError(
                f"It holds {kind}, where 0 should be black and 1 white: save it so, or "
                "with 8 bits.",
                NOT_AN_IMAGE,
            )
        raise ImageError(
            f"This array {array.shape} of {kind} should be (height, width[, 1, 3 or "
            "4]) of uint8 or of floats in 0…1. Of a batch, pass array[0]; 0…255 needs "
            ".astype('uint8')",
            NOT_AN_IMAGE,
        )
    if channels == (1,):
        array = array[..., 0]
    return Image.fromarray(as_grey(array, scale, numbers))


def _to_rgb(image, numbers=Numbers(), is_file=False):  # noqa: B008
    """A picture of any mode as RGB, what is transparent on white."""
    if image.mode[0] in "IF":  # I;16, I, F: Pillow alone would clip them to white
        image = _from_array(np.asarray(image), numbers, is_file)
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        srgb = ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    flat = Image.new("RGB", image.size)
    for top in range(0, image.height, STRIP):
        bottom = min(top + STRIP, image.height)
        strip = image.crop((0, top, image.width, bottom))
        if numbers.transparent is not None:
            strip.info["transparency"] = numbers.transparent
        flat.paste(_on_white(strip), (0, top))
    return flat


def _on_white(image):
    """A picture with transparency as RGB."""
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    composite = Image.alpha_composite(white, image)
    return composite.convert("RGB")
