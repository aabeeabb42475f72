"""How much two pictures differ in the cell where they differ most.

A copy differs from its picture everywhere a little and nowhere much. So a difference is
told in units of what noise, JPEG and a resize may change in that cell: up to 1, two
pictures count as alike."""

from typing import NamedTuple

import numpy as np

from safeguards.look_alikes.copies import (
    BLOCK,
    FAINT,
    SIDE,
    blocks,
    comparable,
    correlations,
    detail_of,
)

# What noise may change in a cell, by cells a side: grey levels, and levels of Cb and Cr
NOISE = {64: 6.5, 32: 3.5, 16: 2.2}
COLOUR_NOISE = 3.6
# of what a cell differs from those next to it: what another sharpness may change
EDGES = 0.35
FLAT = 20  # grey levels: the detail of a cell through which no edge goes
BRIGHT = 220  # grey levels from which on a brighter copy may have lost some
MOST_CONTRAST = 1.7  # times, by which a copy may differ where there is much to see, …
MOST_LIGHT = 1.3  # … and where there isn't
RESAMPLED = 2.5  # times the noise, in a moved picture
SCREENED = 3  # units in a rough comparison, from which on there is no exact one
COARSELY_ALIKE = 1.6  # times as much as noise may change on the whole


class Tone(NamedTuple):
    """What makes pictures of less contrast as bright as those of more. gain, offset:
    (m, 1, 1); lost: (m, 16, 16), grey levels that a copy may have lost by it."""

    gain: np.ndarray
    offset: np.ndarray
    lost: np.ndarray


def differences(copies, a, b, limit=1):
    """Of pictures a and b as they are: (m,). Up to `limit` they are exact; what is more
    may be anything above it."""
    found = np.full(len(a), np.inf)
    near = np.flatnonzero(_is_worth_a_look(copies, a, b, limit))
    for some in blocks(len(near), BLOCK):
        some = near[some]
        one, other = a[some], b[some]
        light = {side: copies.light[side][one] for side in (16, 32, SIDE)}
        detail = {side: copies.detail[side][one] for side in (16, 32)}
        colour = copies.colour[16][:, one]
        found[some] = _worst(copies, light, detail, colour, one, other, limit)
    return found


def moved_differences(copies, a, b, light, colour, inside, limit=1):
    """Of pictures a, where they lie in b, and b: (m,), as `differences`. light: by
    cells a side, of 16 and 32; colour: Cb and Cr, (m, 16, 16) each; inside: bool
    (m, 16, 16), the cells to compare."""
    detail = {side: detail_of(grids) for side, grids in light.items()}
    return _worst(copies, light, detail, colour, a, b, limit, RESAMPLED, inside)


def _is_worth_a_look(copies, a, b, limit):
    """Whether pictures may be alike by coarse light: bool (m,). A few passes over few
    cells spare most pairs the exact comparison."""
    worth = np.zeros(len(a), bool)
    noise = np.maximum(copies.noise[a], copies.noise[b])
    correlation = correlations(copies, a, b)
    contrast = np.maximum(copies.contrast[a], copies.contrast[b])
    # What the best contrast and brightness leave of the difference
    left = contrast * np.sqrt((1 - correlation**2).clip(0))
    edges = np.sqrt(np.square(copies.detail[16]).mean((1, 2)))
    unit = noise * NOISE[16] + EDGES * np.minimum(edges[a], edges[b])
    # Pictures of next to no contrast have no correlation to speak of.
    is_likely = (left <= COARSELY_ALIKE * limit * unit) | (contrast < FAINT)
    is_likely &= comparable(copies, a, b)
    likely = np.flatnonzero(is_likely)
    for some in blocks(len(likely), BLOCK):
        some = likely[some]
        worst = _rough_difference(copies, a[some], b[some], _wide(noise[some]))
        worth[some] = worst <= SCREENED * limit
    return worth


def _rough_difference(copies, a, b, noise):
    """In the worst of the coarse cells that are neither bright nor dark, after making
    both pictures as bright and of the same contrast: (m,)."""
    one, other = copies.light[16][a], copies.light[16][b]
    slope = copies.contrast[b] / np.maximum(copies.contrast[a], 1)
    slope = np.where(copies.contrast[a] < FAINT, 1, slope)
    offset = other.mean((1, 2)) - slope * one.mean((1, 2))
    difference = np.abs(one * _wide(slope) + _wide(offset) - other)
    edges = np.minimum(copies.detail[16][a], copies.detail[16][b])
    difference /= noise * NOISE[16] + EDGES * edges
    is_extreme = np.maximum(one, other) > BRIGHT
    is_extreme |= np.minimum(one, other) < 255 - BRIGHT
    difference[is_extreme] = 0
    return difference.max((1, 2))


def _worst(copies, light, detail, colour, a, b, limit, factor=1, inside=None):
    """The largest difference in a cell, on all grids and in the colours, of pictures a,
    given as `light`, its `detail` and `colour`, and pictures b: (m,). factor: times the
    noise."""
    textured = copies.is_textured[a] & copies.is_textured[b]
    noise = np.maximum(copies.noise[a], copies.noise[b]) * factor
    if inside is None:
        inside = np.ones((len(a), 16, 16), bool)
    swap = light[16].std((1, 2)) > copies.contrast[b]
    tints = [
        _swapped(own, other[b], swap)
        for own, other in zip(colour, copies.colour[16], strict=True)
    ]
    coarse = _swapped(light[16], copies.light[16][b], swap)
    details = _swapped(detail[16], copies.detail[16][b], swap)
    tone = _tone(coarse, details, tints, inside, textured)
    # A grey copy of a picture in colours is a copy.
    is_colour_off = textured & (copies.is_grey[a] != copies.is_grey[b])
    coloured = inside & ~_wide(is_colour_off)
    worst = _worst_colour(tints, tone, _wide(noise), coloured)
    rows = np.arange(len(a))
    for side in sorted(light):
        rows = rows[worst[rows] <= limit]
        own = light[side][rows].astype("float32")
        other = copies.light[side][b[rows]].astype("float32")
        if side in detail:
            edges = np.minimum(detail[side][rows], copies.detail[side][b[rows]])
        else:
            edges = np.minimum(detail_of(own), detail_of(other))
        unit = _wide(noise[rows]) * NOISE[side] + EDGES * edges
        both = _swapped(own, other, swap[rows])
        own_tone = Tone(*(values[rows] for values in tone))
        found = _worst_light(both, own_tone, unit, inside[rows])
        worst[rows] = np.maximum(worst[rows], found)
    return worst


def _worst_colour(tints, tone, noise, coloured):
    """The largest difference of Cb or Cr in a coarse cell that counts: (m,)."""
    worst = np.zeros(len(noise))
    for one, other in tints:
        difference = np.abs(tone.gain * one - other) - tone.lost / 2
        difference = difference.clip(0) * coloured
        edges = np.minimum(detail_of(one), detail_of(other))
        difference /= noise * COLOUR_NOISE + EDGES * edges
        worst = np.maximum(worst, difference.max((1, 2)))
    return worst


def _worst_light(both, tone, unit, inside):
    """The largest difference of light in a cell of a grid: (m,)."""
    pale, rich = both
    side = pale.shape[1]
    pale *= tone.gain
    pale += tone.offset
    difference = np.abs(pale.clip(0, 255, out=pale) - rich)
    difference -= _grown(tone.lost, side)
    difference *= _grown(inside, side)
    difference /= unit
    return difference.max((1, 2), initial=0)


def _wide(values):
    """Values (m,) beside cells (m, side, side)."""
    return values[:, None, None]


def _grown(grids, side):
    times = side // grids.shape[1]
    return grids.repeat(times, 1).repeat(times, 2)


def _swapped(one, other, swap):
    """The grids of the picture of less contrast, and of that of more."""
    swap = _wide(swap)
    return np.where(swap, other, one), np.where(swap, one, other)


def _tone(coarse, details, tints, inside, textured):
    """The `Tone` of pictures, given as coarse grids, their details and their tints."""
    (pale, rich), (blue, red) = coarse, tints
    low, high = _range(pale, details[0], blue[0], red[0])
    room = 255 - _range(rich, details[1], blue[1], red[1])[1]
    is_flat = np.minimum(*details) < FLAT
    weight = inside * np.where(_wide(textured), room.clip(1), is_flat)
    gain, offset = _fitted(pale, rich, weight, textured)
    # More light or contrast may have taken some of what was bright, or dark.
    change = np.abs((gain - 1) * pale + offset)
    above = gain * high + offset - BRIGHT
    below = 255 - BRIGHT - gain * low - offset
    lost = np.minimum(np.maximum(above, below).clip(0), change)
    return Tone(gain, offset, lost * _wide(textured))


def _range(light, detail, blue, red):
    """The darkest and the brightest values that the cells may hold, in any of R, G and
    B."""
    channels = np.stack((1.402 * red, 1.772 * blue, -0.344 * blue - 0.714 * red))
    return light + channels.min(0) - detail, light + channels.max(0) + detail


def _fitted(pale, rich, weight, textured):
    """By what gain and offset (m, 1, 1) the picture of less contrast becomes the other,
    in cells that count. Only where there is much to see, both may change."""
    total = np.maximum(weight.sum((1, 2)), 1)
    mean, goal, square, product = (
        (values * weight).sum((1, 2)) / total
        for values in (pale, rich, pale**2, pale * rich)
    )
    slope = (product - mean * goal) / np.maximum(square - mean**2, 1)
    slope = slope.clip(1 / MOST_CONTRAST, MOST_CONTRAST)
    ratio = np.where(pale.std((1, 2)) > FAINT, product / np.maximum(square, 1), 1)
    ratio = ratio.clip(0.8, MOST_LIGHT)
    gain = np.where(textured, slope, ratio)
    offset = np.where(textured, goal - slope * mean, 0)
    return _wide(gain).astype("float32"), _wide(offset).astype("float32")
