"""Images: load them from anywhere, crop or squash them to a square, make batches."""

import importlib.util
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from helpers.labels import read_table
from safeguards import pictures
from safeguards.depths import Numbers, as_grey
from safeguards.pictures import NOT_AN_IMAGE, ImageError

WHITE = 255
STRIP = 256  # rows that are put on white at a time: all at once would take much memory
SCALES = {"bool": WHITE, "uint8": 1, "uint16": 1 / 256}  # from 1 of a dtype to 8 bits


class Sample(NamedTuple):
    """A picture to try things on: a row of samples.tsv.
    library: the installed package that brings it: another project's for photographs,
    `helpers` for the renders, which are pictures of data/computers;
    file: its path, seen from that package's folder;
    classes: the ImageNet classes that would be right answers, () where there are none;
    shows: what it shows, in words."""

    library: str
    file: str
    classes: tuple[str, ...]
    shows: str

    def path(self):
        """Where the file is, found without the seconds that importing can take."""
        package = importlib.util.find_spec(self.library).origin
        return os.path.join(os.path.dirname(package), self.file)


SAMPLES = {
    name: Sample(library, file, tuple(filter(None, classes.split(", "))), shows)
    for name, library, file, classes, shows in read_table("samples.tsv")
}
NAMES = ", ".join(SAMPLES)
ADVICE = f"Pass a web address, path from here, binary file or one of: {NAMES}."


def sample_names():
    """The names of the samples: photographs of installed libraries, and our renders."""
    return list(SAMPLES)


def load_image(source):
    """Any picture as a new, upright, 8-bit RGB PIL image; the source stays as it was.
    source: a sample's name, an http(s) address, a path, bytes, a binary file, an
    ipywidgets upload (`FileUpload.value` or one of its entries), a PIL image, or an
    array (height, width[, 1, 3 or 4]) of uint8, uint16, bool or floats in 0…1.
    Transparency is put on white; of 16 bits the upper 8 are kept, or of fewer in use,
    where a TIFF says how many (MaxSampleValue); an animation gives its first frame.
    Raises an ImageError."""
    return load_with_doubts(source)[0]


def load_with_doubts(source):
    """What `load_image` returns, and why it may not show what was meant.
    The reasons are a list of ends of sentences that begin with the picture's name, such
    as “ends in rows of one flat grey, …”. Raises an ImageError."""
    if hasattr(source, "__array__"):
        return _to_rgb(_from_array(np.asarray(source))), []
    if isinstance(source, str) and source.strip() in SAMPLES:
        source = SAMPLES[source.strip()].path()
    is_file = not isinstance(source, Image.Image)
    if is_file:
        source = pictures.read(source, ADVICE)
    decoded = pictures.decode(source)
    with pictures.faults_explained(source):  # some show only as the pixels are converted
        image = _to_rgb(decoded.image, decoded.numbers, is_file)
    image.info.clear()  # it is upright and RGB now, whatever its metadata say
    return image, decoded.doubts


def _from_array(array, numbers=Numbers(), is_file=False):  # noqa: B008
    """An 8-bit PIL image of an array; ImageError where nobody knows what is white."""
    kind = array.dtype.name
    channels = array.shape[2:]
    scale = SCALES.get(kind)
    good = array.ndim in (2, 3) and array.size and channels in [(), (1,), (3,), (4,)]
    if "float" in kind:
        scale = WHITE
        if good:
            kind += f" from {array.min():g} to {array.max():g}"
            good = array.min() >= 0 and array.max() <= 1  # False of NaN
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
        if strip.mode == "La":
            strip = strip.convert("LA")
        strip = strip.convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        flat.paste(Image.alpha_composite(white, strip).convert("RGB"), (0, top))
    return flat


@dataclass(frozen=True)
class ResizeRule:
    """How an image becomes a square.
    shape: "square" cuts `fraction` of its short side from the centre, "each_side" that
    fraction of each side, to be squashed; fraction: more than 0, up to 1; filter:
    "bilinear" or "bicubic". ValueError for anything else."""

    shape: str = "square"
    fraction: float = 1.0
    filter: str = "bilinear"

    def __post_init__(self):
        shapes = ("square", "each_side")
        filters = ("bilinear", "bicubic")
        known = self.shape in shapes and self.filter in filters
        if not known or not 0 < self.fraction <= 1:
            raise ValueError(f"There is no {self}: see help(ResizeRule).")


SQUASH = ResizeRule("each_side")


def crop_box(width, height, rule):
    """The central (left, top, right, bottom) that a rule cuts out, never empty.
    All are whole pixels."""
    across = width
    down = height
    if rule.shape == "square":
        across = min(width, height)
        down = across
    across = max(1, round(across * rule.fraction))
    down = max(1, round(down * rule.fraction))
    left = (width - across) // 2
    top = (height - down) // 2
    return left, top, left + across, top + down


def resize(image, size, rule=ResizeRule()):
    """A (size, size) RGB PIL image of anything `load_image` takes, cut and smoothed."""
    image = load_image(image)
    box = crop_box(image.width, image.height, rule)
    smoothing = Image.Resampling[rule.filter.upper()]
    return image.crop(box).resize((size, size), smoothing)


def to_batch(images, size, rule=ResizeRule()):
    """Float32 (n, size, size, 3) of 0…255 from one image, a list or a batch."""
    many = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
    if not many:
        images = [images]
    squares = [resize(image, size, rule) for image in images]
    arrays = [np.asarray(square) for square in squares]
    return np.stack(arrays).astype(np.float32)
