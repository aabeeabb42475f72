"""Pictures of any kind as upright, 8-bit RGB, with what is transparent on white."""

import numpy as np
from PIL import Image, ImageCms

from safeguards import pictures
from safeguards.depths import Numbers, as_grey
from safeguards.pictures import NOT_AN_IMAGE, ImageError

WHITE = 255
STRIP = 256  # rows that are put on white at a time: all at once would take much memory
SCALES = {"bool": WHITE, "uint8": 1, "uint16": 1 / 256}  # from 1 of a dtype to 8 bits
CHANNELS = ((), (1,), (3,), (4,))  # what an array's shape may end in


def load_with_doubts(source, advice=""):
    """Any picture as a new RGB image, and why it may not show what was meant.
    source: an address, a path, bytes, a file, an upload, a PIL image or an array;
    advice: what to say can be passed instead. The reasons are a list of ends of
    sentences that begin with the picture's name, such as “ends in rows of one flat
    grey, …”. Raises an ImageError."""
    if hasattr(source, "__array__"):
        return _to_rgb(_from_array(np.asarray(source))), []
    is_file = not isinstance(source, Image.Image)
    if is_file:
        source = pictures.read(source, advice)
    decoded = pictures.decode(source)
    with pictures.faults_explained(
        source
    ):  # some show only as the pixels are converted
        image = _to_rgb(decoded.image, decoded.numbers, is_file)
    image.info.clear()  # it is upright and RGB now, whatever its metadata say
    return image, decoded.doubts


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
