"""Images: load them from anywhere, crop or squash them to a square, make batches."""

import importlib.util
import math
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from safeguards.rgb import load_reduced, load_with_doubts
from safeguards.tables import read_table


class _Sample(NamedTuple):
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


def _read_samples():
    """The rows of samples.tsv: {name: `_Sample`}."""
    samples = {}
    for name, library, file, classes, shows in read_table("helpers", "samples.tsv"):
        right_classes = tuple(classes.split(", ")) if classes else ()
        samples[name] = _Sample(library, file, right_classes, shows)
    return samples


SAMPLES = _read_samples()
NAMES = ", ".join(SAMPLES)
TWICE = 2  # decoded pixels for one, across and down, at least
ADVICE = f"Pass a web address, a file's path, a binary file or one of: {NAMES}."


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
    image, _ = load_with_doubts(_without_name(source), ADVICE)
    return image


def _without_name(source):
    """A sample's path instead of its name; anything else as it is."""
    # NumPy's texts count as arrays.
    if type(source) is str and source.strip() in SAMPLES:
        return SAMPLES[source.strip()].path()
    return source


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
    """A (size, size) RGB PIL image of anything `load_image` takes, cut and smoothed.
    A JPEG file of over 2 megapixels isn't decoded at its full size, but at least at
    twice the size that's needed: much sooner, and values differ by 0.2 on average."""
    short_side = math.ceil(TWICE * size / rule.fraction)
    picture = load_reduced(_without_name(image), ADVICE, short_side)
    box = crop_box(*picture.whole.size, rule)
    smoothing = Image.Resampling[rule.filter.upper()]
    return picture.resized(box, (size, size), smoothing)


def to_batch(images, size, rule=ResizeRule()):
    """Float32 (n, size, size, 3) of 0…255 from one image, a list or a batch."""
    many = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
    if not many:
        images = [images]
    squares = [resize(image, size, rule) for image in images]
    arrays = [np.asarray(square) for square in squares]
    return np.stack(arrays).astype(np.float32)
