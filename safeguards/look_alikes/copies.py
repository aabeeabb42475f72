"""The small copies of pictures by which they are compared."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE = 64  # cells across and down a copy's light
COLOUR = 32  # cells across and down its colours
SMALL = 170  # pixels a side, below which a cell holds so few that noise changes it more
SMALLEST = 32  # pixels a side, below which nothing but exact copies is told
GREY = 5  # levels of Cb and Cr below which a picture has no colours
# Where 0.3 of the cells differ from a neighbour by 6 grey levels, there is enough to
# see to believe in a movement, or in another contrast.
STRUCTURE = 6
TEXTURED = 0.3
# To find candidates, each picture is brought to this contrast, in grey levels: the
# deviation of its cells. Those of less than FAINT count as if they had that.
CONTRAST = 40
FAINT = 8
COLOURS_COUNT = 4  # times as much as light, to find candidates, …
BRIGHTNESS_COUNTS = 0.25  # … and this counts so much
BLOCK = 256  # pictures worked on at once: what fits a processor's cache


class Look(NamedTuple):
    """A picture as it is compared. light: uint8 (64, 64); colour: uint8 (32, 32, 2), Cb
    and Cr, 128 where there is no colour; size: width and height in pixels."""

    light: np.ndarray
    colour: np.ndarray
    size: tuple


def look(image):
    """The `Look` of an RGB PIL image."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3)
    small = small.convert("YCbCr")
    colour = np.asarray(small.resize((COLOUR, COLOUR), Image.Resampling.BOX))[:, :, 1:]
    return Look(np.asarray(small.getchannel(0)), colour, image.size)


def content(look):
    """What a `Look` holds, to sort by; the same for exact copies."""
    return look.light.tobytes(), look.colour.tobytes(), look.size


def is_tiny(look):
    """Whether a picture has too few pixels to tell shots of one thing from things."""
    return math.prod(look.size) < SMALLEST**2


class Copies:
    """The looks of n pictures, side by side: float32, where nothing else is said.

    light: by cells a side, (n, side, side) in grey levels, that of 64 uint8;
    detail: by cells a side, what `detail_of` says of it;
    colour: by cells a side, (2, n, side, side), Cb and Cr around 0;
    size: (n, 2), width and height in pixels;
    contrast: (n,), the deviation of the light, in grey levels;
    noise: (n,), how many times as much a picture of few pixels may change;
    is_grey, is_textured, is_tiny: bool (n,);
    same: (n,), numbers, equal for exact copies;
    classes: (n,), of the pictures;
    rows: (n, 385), whose distances say which pictures are candidates;
    shape: (n, 256), whose products are correlations of light."""

    def __init__(self, looks, classes):
        n = len(looks)
        self.classes = classes
        self.size = np.array([look.size for look in looks], "float32")
        self.light = {side: np.empty((n, side, side), "float32") for side in (32, 16)}
        self.light[SIDE] = np.array([look.light for look in looks])
        self.detail = {side: np.empty((n, side, side), "float32") for side in (32, 16)}
        self.colour = {
            side: np.empty((2, n, side, side), "float32") for side in (COLOUR, 16)
        }
        self.is_tiny = np.array([is_tiny(look) for look in looks], bool)
        numbers = {}
        self.same = np.array(
            [numbers.setdefault(content(look), len(numbers)) for look in looks]
        )
        self.is_grey = np.empty(n, bool)
        self.is_textured = np.empty(n, bool)
        for some in blocks(n, BLOCK):
            self._fill(looks, some)
        self.light[8] = shrunk(self.light[16], 8)
        self.contrast = self.light[16].std((1, 2))
        pixels = np.sqrt(self.size.prod(1))  # a side, if it were square
        self.noise = np.maximum(1, SMALL / pixels) ** 1.5
        self.rows, self.shape = self._candidate_rows()

    def _fill(self, looks, some):
        light = self.light[SIDE][some].astype("float32")
        for side in (32, 16):
            light = shrunk(light, side)
            self.light[side][some] = light
            self.detail[side][some] = detail_of(light)
        structured = self.detail[32][some] > STRUCTURE
        self.is_textured[some] = structured.mean((1, 2)) > TEXTURED
        colour = np.array([looks[i].colour for i in some], "float32") - 128
        self.is_grey[some] = np.abs(colour).max((1, 2, 3)) < GREY
        for channel in (0, 1):
            self.colour[COLOUR][channel, some] = colour[..., channel]
            self.colour[16][channel, some] = shrunk(colour[..., channel], 16)

    def _candidate_rows(self):
        n = len(self)
        light = self.light[16].reshape(n, -1)
        mean = light.mean(1, keepdims=True)
        contrast = CONTRAST / np.maximum(self.contrast[:, None], FAINT)
        shape = (light - mean) * contrast
        colour = [shrunk(channel, 8).reshape(n, -1) for channel in self.colour[16]]
        colour = np.concatenate(colour, 1) * contrast * COLOURS_COUNT
        rows = np.concatenate((shape, colour, mean * BRIGHTNESS_COUNTS), 1)
        length = np.linalg.norm(shape, axis=1, keepdims=True)
        return rows, shape / np.maximum(length, 1)

    def __len__(self):
        return len(self.size)


def blocks(n, size):
    """The numbers below n, in arrays of `size` and a rest; none where n is 0."""
    return [np.arange(n)[start : start + size] for start in range(0, n, size)]


def shrunk(grids, side):
    """Means of the cells of grids (n, s, s), so that `side` are left on a side."""
    while grids.shape[1] > side:
        across = grids[:, :, ::2] + grids[:, :, 1::2]
        grids = (across[:, ::2] + across[:, 1::2]) / 4
    return grids


def softened(grids):
    """Means of four cells each of finer grids (m, 2s, 2s), at all places between them:
    (m, 2s - 1, 2s - 1). Every other one is a cell of a grid of s cells a side."""
    grids = grids.astype("float32")
    across = grids[:, :, 1:] + grids[:, :, :-1]
    return (across[:, 1:] + across[:, :-1]) / 4


def detail_of(grids):
    """How much each cell of grids (n, s, s) differs at most from those above, below and
    beside it."""
    found = np.zeros_like(grids)
    down = np.abs(grids[:, 1:] - grids[:, :-1])
    across = np.abs(grids[:, :, 1:] - grids[:, :, :-1])
    for part, change in (
        (found[:, 1:], down),
        (found[:, :-1], down),
        (found[:, :, 1:], across),
        (found[:, :, :-1], across),
    ):
        np.maximum(part, change, out=part)
    return found


def comparable(copies, a, b):
    """Whether pictures a and b have pixels enough to be compared, or are exact copies:
    bool (m,)."""
    is_enough = ~copies.is_tiny[a] & ~copies.is_tiny[b]
    return is_enough | (copies.same[a] == copies.same[b])


def correlations(copies, a, b):
    """Of the light of pictures a and b, roughly: (m,)."""
    return np.einsum("ij,ij->i", copies.shape[a], copies.shape[b])
