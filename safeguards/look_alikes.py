"""Which pictures show the same: copies in other sizes, qualities and cuts, shots in a
row.

A copy differs from its picture everywhere a little and nowhere much: by what JPEG, a
resize or a camera's noise change. Two things differ somewhere much, be it in a needle.
So what counts is the largest difference of a cell of two small copies, in units of what
noise may change there; 1 is a likeness of `ALIKE`. In four steps:

1. `_nearest` chooses a few candidates for each picture, by coarse light and colours.
2. `_differences` compares each pair, after making one as bright as the other.
3. Where that fails, `_moved` looks for one picture inside the other (Lucas and Kanade
   1981): it may be cut out, or the hand has moved. If the place is right, but the
   picture isn't, as under a fixed camera, `_second_look` compares it with all others at
   that place.
4. `_with_a_gap` leaves out what is a matter of degree: where other pictures differ
   hardly more than those that would count as one, as things of nearly one shade do.

Pixels cannot tell the frames of a film from different things under one camera. Where
it is known what was taken right after what, `_following` can."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from safeguards.progress import progress_bar

SIDE = 64  # cells across and down a copy's light
COLOUR = 32  # cells across and down its colours
# the likeness of two pictures that differ by as much as noise may change at most
ALIKE = 0.95
# Grey levels that noise may change in a cell, by cells a side; Cb and Cr in colours
NOISE = {16: 2.0, 32: 2.8, 64: 5.0}
COLOUR_NOISE = 3.6
# of what a cell differs from those next to it: what another sharpness may change
EDGES = {16: 0.2, 32: 0.3, 64: 0.35}
SMALL = 170  # pixels a side, below which a cell holds so few that they change more
MOVED_NOISE = 3  # times the noise: a moved picture is resampled
HOPELESS = 14  # times the noise, from which on nobody needs to know how much
GREY = 5  # levels of Cb and Cr below which a picture has no colours
BRIGHT = 220  # grey levels from which on a brighter copy may have lost some
# Where 0.3 of the cells differ from a neighbour by 6 grey levels, there is enough to
# see to believe in a movement, or in another contrast.
STRUCTURE = 6
TEXTURED = 0.3
NEAREST = 6  # pictures which each is compared with
# Ranks of further ones in which it is only looked for: with many cut-outs of one
# background, the nearest are other cut-outs.
FURTHER = (12, 24, 48)
LOOKED_FOR = 3  # of the nearest, in which it is looked for as well
RELATED = 0.3  # correlation below which a picture is not looked for in another
# Where it is looked for: cells a side, steps, and how much of the difference must then
# be gone for it to be looked for further
LEVELS = ((8, 3, 0.1), (8, 4, 0.3), (16, 5, 0.6), (32, 5, 0.7))
UNEXPLAINED = 0.1  # of the difference may be left by a movement
FOUND = 0.3  # of the difference is gone where the place is right, but not the picture
LEAST_MOVE = 0.006  # of a side: less than that is no movement
STRETCH = 0.03  # of a side, by which a place may be off: cameras stretch nothing
EDGE = 0.045  # of a side, next to which a moved picture is not compared
OVERLAP = 0.4  # of a picture must lie in the other
STEPS = (1, 0.7, 0.5, 0.35)  # times the noise that are tried for a gap, …
GAP = 1.6  # … which is so many times as wide
RESEMBLING = 0.95  # correlation of pictures that may be frames of one film
FOLLOWING = 0.8  # correlation of frames that follow one another, at least
CHANCE = 0.02  # of the pairs far apart are as alike as frames of a film
SHORTEST = 12  # frames of a film, at least
BLOCK = 512  # rows compared at once, for memory
STILL = np.array([0, 1, 0, 0, 0, 1], "float32")  # x, x by u, x by v; y, y by u, y by v


class Look(NamedTuple):
    """A picture as it is compared. light: uint8 (64, 64); colour: uint8 (32, 32, 2), Cb
    and Cr, 128 where there is no colour; size: width and height in pixels."""

    light: np.ndarray
    colour: np.ndarray
    size: tuple


class Pair(NamedTuple):
    """How much two pictures look alike, at most 1, and their positions, the lower one
    first."""

    likeness: float
    first: int
    second: int


def look(image):
    """The `Look` of an RGB PIL image."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3)
    small = small.convert("YCbCr")
    colour = np.asarray(small.resize((COLOUR, COLOUR), Image.Resampling.BOX))[:, :, 1:]
    return Look(np.asarray(small.getchannel(0)), colour, image.size)


def look_alikes(looks, order, threshold=ALIKE, parts=None):
    """The `Pair`s that look alike, the most alike first; where many are alike, also by
    way of others, as few pairs as join them, so that each of these pictures is in one
    of the pairs. looks: a `Look` a picture. order: whole numbers (n,), which differ by
    1 where a picture follows another, as in a film. threshold: the likeness from which
    on two are alike; none are from 1 on. parts: numbers (n,), to find pairs of
    different parts only."""
    n = len(looks)
    if n < 2 or threshold >= 1:
        return []
    copies = _Copies(looks)
    limit = np.log(threshold) / np.log(ALIKE)  # times the noise
    keys = np.arange(n) if parts is None else np.unique(parts, return_inverse=True)[1]
    in_order = _of_others(_following(copies, np.asarray(order)), keys)
    in_order = in_order[:, in_order[2] <= limit]
    found = np.empty((3, 0))
    rows = np.arange(n)
    bar = progress_bar(None, "comparing", delay=2)
    while len(rows):
        bar.update()
        others = _nearest(copies, rows, keys)
        found = np.concatenate((found, *_compared(copies, rows, others, limit)), 1)
        if parts is not None:
            break
        keys = _connected(n, np.concatenate((found, in_order), 1), limit)
        # Those who have found nobody but their own have not seen the others yet: one of
        # each group goes on.
        near = others[:, : min(NEAREST, n - 1)]
        rows = rows[((near >= 0) & (keys[near] == keys[rows][:, None])).all(1)]
        rows = rows[np.unique(keys[rows], return_index=True)[1]]
    bar.close()
    found = _with_a_gap(n, found, in_order, limit)
    return _fewest(n, np.concatenate((found, in_order), 1))


def undecided(looks, keys):
    """How many pictures resemble one of another key as a whole, though they differ
    somewhere, and the `Pair` of the nearest of them; None where there are none. looks:
    a `Look` a picture; keys: (n,), the same for pictures that count as one."""
    if len(looks) < 2:
        return None
    copies, rows = _Copies(looks), np.arange(len(looks))
    nearest = _nearest(copies, rows, np.unique(keys, return_inverse=True)[1])[:, 0]
    like = nearest >= 0
    like[like] = _alike_in_shape(copies, rows[like], nearest[like]) >= RESEMBLING
    a, b = rows[like], nearest[like]
    if not len(a):
        return None
    difference = _differences(copies, a, b)
    best = difference.argmin()
    return len(a), _pair(a[best], b[best], difference[best])


def _pair(a, b, difference):
    first, second = sorted((int(a), int(b)))
    return Pair(float(ALIKE**difference), first, second)


class _Copies:
    """The small copies of all pictures, on several grids."""

    def __init__(self, looks):
        n = len(looks)
        light = np.array([look.light for look in looks], "float32")
        self.light = {side: _shrunk(light, side) for side in (64, 32, 16, 8)}
        colour = np.array([look.colour for look in looks], "float32") - 128
        self.colour = np.ascontiguousarray(np.moveaxis(colour, 3, 0))
        self.size = np.array([look.size for look in looks], "float32")
        self.contrast = self.light[16].std((1, 2))
        self.noise = np.maximum(1, SMALL / np.sqrt(self.size.prod(1))) ** 1.5
        self.grey = np.abs(colour).max((1, 2, 3)) < GREY
        self.textured = (_detail(self.light[32]) > STRUCTURE).mean((1, 2)) > TEXTURED
        # To find candidates: contrast and brightness count little, colours much
        coarse = self.light[16].reshape(n, -1)
        mean = coarse.mean(1, keepdims=True)
        contrast = 40 / np.maximum(coarse.std(1, keepdims=True), 8)
        colour = colour.reshape(n, 8, 4, 8, 4, 2).mean((2, 4)).reshape(n, -1)
        shape = (coarse - mean) * contrast
        self.rows = np.concatenate((shape, 4 * colour * contrast, mean / 4), 1)
        self.shape = shape / np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1)

    def __len__(self):
        return len(self.size)


def _shrunk(grid, side):
    """Means of the cells of grids (n, s, s), so that `side` are left on a side."""
    while grid.shape[1] > side:
        upper = grid[:, ::2, ::2] + grid[:, ::2, 1::2]
        grid = (upper + grid[:, 1::2, ::2] + grid[:, 1::2, 1::2]) / 4
    return grid


def _detail(grid):
    """How much each cell differs at most from those above, below and beside it."""
    found = np.zeros_like(grid)
    for axis in (1, 2):
        change = np.abs(np.diff(grid, axis=axis))
        before, after = np.split(found, [1], axis)[1], np.split(found, [-1], axis)[0]
        np.maximum(before, change, out=before)
        np.maximum(after, change, out=after)
    return found


def _alike_in_shape(copies, a, b):
    """The correlation of the light of pictures, roughly: (m,)."""
    return np.einsum("ij,ij->i", copies.shape[a], copies.shape[b])


# -- pairs: arrays (3, m) of two positions and how much they differ --------------------


def _pairs(a, b, difference):
    return np.stack((np.minimum(a, b), np.maximum(a, b), difference))


def _of_others(found, keys):
    """Those pairs that are of two keys."""
    return found[:, keys[found[0].astype(int)] != keys[found[1].astype(int)]]


def _connected(n, found, limit):
    """A number for each picture, the same for those that pairs join."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = found[:2, found[2] <= limit].astype(int)
    graph = coo_array((np.ones(len(first)), (first, second)), (n, n))
    return connected_components(graph, directed=False)[1]


def _with_a_gap(n, found, in_order, limit):
    """The pairs that are alike, without groups to which other pictures are hardly less
    alike: these are joined as far as there is a gap."""
    kept = []
    is_free = np.ones(n, bool)
    first, second = found[:2].astype(int)
    frames = in_order * [[1], [1], [0]]
    for step in STEPS:
        level = step * limit
        keys = _connected(n, np.concatenate((found, frames), 1), level)
        outside = keys[first] != keys[second]
        nearest = np.full(n, np.inf)  # of other groups, for each group
        for ends in (first[outside], second[outside]):
            np.minimum.at(nearest, keys[ends], found[2, outside])
        has_gap = (nearest[keys] > GAP * level) | (step == STEPS[-1])
        inside = (found[2] <= level) & is_free[first] & has_gap[first]
        kept.append(found[:, inside])
        is_free &= ~has_gap
    return np.concatenate(kept, 1)


def _fewest(n, found):
    """Of all pairs the most alike that join the same pictures, as `Pair`s: a minimum
    spanning forest."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    found = found[:, np.argsort(found[2], kind="stable")]
    first, second = found[:2].astype(int)
    once = np.unique(first * n + second, return_index=True)[1]
    # 1 is added as a sparse array does not keep a difference of 0.
    graph = coo_array((1 + found[2, once], (first[once], second[once])), (n, n))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    ranked = np.lexsort((tree.col, tree.row, tree.data))
    return [_pair(tree.row[i], tree.col[i], tree.data[i] - 1) for i in ranked]


# -- candidates ------------------------------------------------------------------------


def _nearest(copies, rows, keys):
    """The nearest pictures of other keys, and some further ones: positions (rows, k),
    the nearest first, -1 where there are no more."""
    last = len(copies) - 2
    ranks = [*range(NEAREST), *FURTHER]
    ranks = sorted({min(rank, last) for rank in ranks})
    energy = np.square(copies.rows).sum(1)
    found = []
    for block in np.split(rows, range(BLOCK, len(rows), BLOCK)):
        distance = energy - 2 * copies.rows[block] @ copies.rows.T
        grey = copies.grey[block]  # of which picture in colours are these copies?
        distance[grey] = -(copies.shape[block[grey]] @ copies.shape.T)
        distance[keys[block][:, None] == keys] = np.inf
        best = np.argpartition(distance, ranks, axis=1)[:, ranks]
        far = np.take_along_axis(distance, best, 1)
        found.append(np.where(np.isinf(far), -1, best))
    return np.concatenate(found)


def _compared(copies, rows, others, limit):
    """Compare pictures with their candidates (rows, k), as they are and moved → a list
    of pairs."""
    near = min(NEAREST, others.shape[1])
    a, b = _once(copies, rows, others[:, :near])
    here = _differences(copies, a, b)
    joined = _connected(len(copies), _pairs(a, b, here), limit)
    look_in = np.concatenate((others[:, :LOOKED_FOR], others[:, near:]), 1)
    c, d = _once(copies, rows, look_in)
    textured = copies.textured[c] & copies.textured[d]
    resized = (copies.size[c] != copies.size[d]).any(1)
    worth = (joined[c] != joined[d]) & (textured | resized)
    worth &= _alike_in_shape(copies, c, d) >= RELATED
    c, d = c[worth], d[worth]
    found = [_pairs(a, b, here)]
    for _ in range(2):  # the smaller view is found better in the larger one
        place, gone = _followed(copies, c, d)
        there = _moved(copies, c, d, place, gone)
        found.append(_pairs(c, d, there))
        lost = (there > limit) & (gone >= FOUND) & _is_movement(place)
        lost &= copies.textured[c] & copies.textured[d]
        if lost.any():
            some = c[lost], d[lost], place[lost], gone[lost]
            found.append(_second_look(copies, *some))
        c, d = d[there > limit], c[there > limit]
    return found


def _once(copies, rows, others):
    """The pairs (a, b), a < b, of pictures and their candidates, each once."""
    a = np.repeat(rows, others.shape[1])
    b = others.ravel()
    a, b = a[b >= 0], b[b >= 0]
    codes = np.unique(np.minimum(a, b) * len(copies) + np.maximum(a, b))
    return codes // len(copies), codes % len(copies)


# -- the largest difference of a cell --------------------------------------------------


def _differences(copies, a, b, place=None):
    """How much pictures a, at a place (m, 6) if they have moved, and b differ in the
    cell where they differ most, in units of noise: (m,)."""
    found = [
        _differences_of_some(
            copies, a[some], b[some], None if place is None else place[some]
        )
        for some in np.split(np.arange(len(a)), range(BLOCK, len(a), BLOCK))
    ]
    return np.concatenate(found)


def _differences_of_some(copies, a, b, place):
    textured = (copies.textured[a] & copies.textured[b])[:, None, None]
    noise = np.maximum(copies.noise[a], copies.noise[b])[:, None, None]
    inside = np.ones((len(a), 16, 16), bool)
    if place is not None:
        inside = _inside(place, 16)
        noise = noise * MOVED_NOISE
    finest = (
        copies.light[SIDE][a] if place is None else _at(copies.light[SIDE], a, place)
    )
    sides = (16, 32, 64) if place is None else (16, 32)
    light = {side: _shrunk(finest, side) for side in sides}
    back = light[16].std((1, 2)) > copies.light[16][b].std((1, 2))
    back = back[:, None, None]
    pale, rich = _swapped(light[16], copies.light[16][b], back)
    colours = []
    for channel in copies.colour:
        one = channel[a] if place is None else _at(channel, a, place)
        colours.append(_swapped(_shrunk(one, 16), _shrunk(channel[b], 16), back))
    pale_tint, rich_tint = np.abs(colours).max(0)
    room = (255 - rich - _detail(rich) - 1.4 * rich_tint).clip(1)
    gain, offset = _tone(pale, rich, inside * np.where(textured, room, 1), textured)
    lost = _lost(pale, pale_tint, gain, offset) * textured
    coloured = inside & ~(textured & (copies.grey[a] != copies.grey[b])[:, None, None])
    worst = np.zeros(len(a))
    for one, other in colours:
        difference = (np.abs(gain * one - other) - lost / 2).clip(0) * coloured
        unit = noise * COLOUR_NOISE + EDGES[16] * np.minimum(
            _detail(one), _detail(other)
        )
        worst = np.maximum(worst, (difference / unit).max((1, 2)))
    rows = np.arange(len(a))
    for side in sides:
        pale, rich = _swapped(
            light[side][rows], copies.light[side][b[rows]], back[rows]
        )
        difference = np.abs((gain[rows] * pale + offset[rows]).clip(0, 255) - rich)
        difference -= _grown(lost[rows], side)
        difference *= _grown(inside[rows], side)
        unit = EDGES[side] * np.minimum(_detail(pale), _detail(rich))
        unit += noise[rows] * NOISE[side]
        worst[rows] = np.maximum(worst[rows], (difference / unit).max((1, 2)))
        rows = rows[worst[rows] < HOPELESS]
    return worst


def _lost(pale, tint, gain, offset):
    """Grey levels that more light or contrast may have taken from what is bright or
    dark, in some channel of some pixel of a cell."""
    spread = _detail(pale) + 1.4 * tint  # of R, G, B and neighbours around a cell
    brightest = gain * (pale + spread) + offset
    darkest = gain * (pale - spread) + offset
    lost = np.maximum(brightest - BRIGHT, 255 - BRIGHT - darkest).clip(0)
    return np.minimum(lost, np.abs((gain - 1) * pale + offset))


def _grown(grid, side):
    return grid.repeat(side // 16, 1).repeat(side // 16, 2)


def _swapped(one, other, back):
    """The grids of the picture of less contrast, and of that of more."""
    return np.where(back, other, one), np.where(back, one, other)


def _tone(pale, rich, weight, textured):
    """By what gain and offset (m, 1, 1) the picture of less contrast becomes the other.
    Only where there is much to see, contrast may change. weight: of the cells."""
    weight = weight / np.maximum(weight.sum((1, 2), keepdims=True), 1)

    def mean(grid):
        return (grid * weight).sum((1, 2), keepdims=True)

    variance = mean(pale**2) - mean(pale) ** 2
    slope = mean(pale * rich) - mean(pale) * mean(rich)
    slope = (slope / np.maximum(variance, 1)).clip(0.6, 1.7)
    ratio = mean(pale * rich) / np.maximum(mean(pale**2), 1)
    ratio = np.where(variance > 8**2, ratio, 1).clip(0.8, 1.3)
    gain = np.where(textured, slope, ratio)
    offset = np.where(textured, mean(rich) - slope * mean(pale), 0)
    return gain, offset


# -- moved -----------------------------------------------------------------------------


def _moved(copies, a, b, place, gone):
    """How much pictures a at their places and b differ: (m,), infinite where they
    haven't moved as a camera moves."""
    found = np.full(len(a), np.inf)
    good = (gone >= LEVELS[-1][2]) & _is_movement(place)
    good &= _is_rigid(copies, a, b, place)
    found[good] = _differences(copies, a[good], b[good], place[good])
    # What a movement leaves unexplained counts the more.
    return found * np.maximum(1, (1 - gone) / UNEXPLAINED)


def _is_movement(place):
    return np.abs(place - STILL).max(1) >= LEAST_MOVE


def _is_rigid(copies, a, b, place):
    """Whether nothing is stretched or skewed; on a plain ground also nothing enlarged,
    as where something is cut off: (m,)."""
    width, height = (copies.size[a] / copies.size[b][:, :1]).T
    aspect = copies.size[b, 1] / copies.size[b, 0]
    scale = place[:, 1] * width
    stretch = np.abs(scale - place[:, 5] * height / aspect) < STRETCH * scale
    skew = np.abs(place[:, 2] * width / aspect + place[:, 4] * height)
    is_cut = (np.abs(scale - 1) < 0.02) & (copies.size[a] != copies.size[b]).any(1)
    textured = copies.textured[a] & copies.textured[b]
    return stretch & (skew < STRETCH * scale) & (textured | is_cut)


def _second_look(copies, a, b, place, gone):
    """Where one picture is cut out of something like another, but not of that: which of
    all is most like it at that place? → pairs."""
    cut = place[:, 1] * place[:, 5] > 1  # it is the first that is cut out
    place = np.where(cut[:, None], _back(place), place)
    whole, part = np.where(cut, b, a), np.where(cut, a, b)
    best = np.lexsort((-gone, part))
    best = best[np.unique(part[best], return_index=True)[1]]
    whole, part, place = whole[best], part[best], place[best]
    back = _back(place)  # the part, laid over the whole
    inside = _inside(back, 16).reshape(len(part), -1).astype("float32")
    laid = _at(copies.light[16], part, back).reshape(len(part), -1) * inside
    grids = copies.light[16].reshape(len(copies), -1)
    total = inside.sum(1, keepdims=True).clip(1)
    mean = inside @ grids.T / total
    own = laid.sum(1, keepdims=True) / total
    spread = np.sqrt((inside @ np.square(grids).T / total - mean**2).clip(1))
    correlation = (laid @ grids.T / total - own * mean) / spread
    correlation[np.arange(len(part)), part] = -np.inf
    count = min(NEAREST, len(copies) - 1)
    others = np.argpartition(-correlation, count - 1, axis=1)[:, :count].ravel()
    part, place = part.repeat(count), place.repeat(count, 0)
    place, gone = _followed(copies, others, part, place)
    return _pairs(others, part, _moved(copies, others, part, place, gone))


def _back(place):
    """The places (m, 6) of a in b, where those of b in a are given."""
    halves = place.reshape(-1, 2, 3)
    turn = np.linalg.inv(halves[:, :, 1:])
    shift = -turn @ halves[:, :, :1]
    return np.concatenate((shift, turn), 2).reshape(-1, 6).astype("float32")


def _points(place, side):
    """Where the cells of a grid lie at places (m, 6): x and y in cells, (m, side²)."""
    ends = (np.arange(side, dtype="float32") + 0.5) / side - 0.5
    u, v = (points.ravel() for points in np.meshgrid(ends, ends))
    x = place[:, 0, None] + place[:, 1, None] * u + place[:, 2, None] * v
    y = place[:, 3, None] + place[:, 4, None] * u + place[:, 5, None] * v
    return (x + 0.5) * side - 0.5, (y + 0.5) * side - 0.5


def _inside(place, side):
    """Which cells lie within the picture, and not at its very edge: bool (m, side,
    side)."""
    x, y = (points / side for points in _points(place, side))
    low, high = EDGE - 0.5 / side, 1 - EDGE - 0.5 / side
    return ((x > low) & (x < high) & (y > low) & (y < high)).reshape(-1, side, side)


def _at(grid, rows, place):
    """The grids (m, side, side) of some pictures, at places (m, 6), bilinearly."""
    side = grid.shape[1]
    x, y = (points.clip(0, side - 1.001) for points in _points(place, side))
    left, top = x.astype(int), y.astype(int)
    x, y = x - left, y - top
    corner = (rows[:, None] * side + top) * side + left
    cells = grid.reshape(-1)
    upper = cells[corner] * (1 - x) + cells[corner + 1] * x
    lower = cells[corner + side] * (1 - x) + cells[corner + side + 1] * x
    return (upper * (1 - y) + lower * y).reshape(-1, side, side)


def _followed(copies, a, b, place=None):
    """Where pictures b lie in pictures a (m, 6), and how much of the difference that
    explains, from coarse to fine: Gauss and Newton's steps, in which b may be brighter
    or of more contrast."""
    place = np.repeat(STILL[None], len(a), 0) if place is None else place.copy()
    explained, rows = np.zeros(len(a)), np.arange(len(a))
    for side, steps, least in LEVELS:
        if not len(rows):
            break
        found, likeness = _level(copies, a[rows], b[rows], place[rows], side, steps)
        still = copies.light[side]
        before = _correlation(still[a[rows]], still[b[rows]], True)
        explained[rows] = 1 - (1 - likeness) / np.maximum(1 - before, 1e-6)
        good = explained[rows] >= least
        place[rows[good]] = found[good]
        rows = rows[good]
    return place, explained


def _level(copies, a, b, place, side, steps):
    """The best places (m, 6) near `place` on a grid, and the correlation there."""
    finer, goal = copies.light[2 * side], copies.light[side][b]
    ends = (np.arange(side, dtype="float32") + 0.5) / side - 0.5
    u, v = (points.ravel() for points in np.meshgrid(ends, ends))
    best, likeness = place, np.full(len(a), -1.0)
    for _ in range(steps):
        now = _shrunk(_at(finer, a, place), side)
        inside = _inside(place, side)
        found = _correlation(now, goal, inside)
        found[inside.mean((1, 2)) < OVERLAP] = -1
        better = found > likeness
        best = np.where(better[:, None], place, best)
        likeness = np.where(better, found, likeness)
        down, across = (
            change.reshape(len(a), -1) * side
            for change in np.gradient(now, axis=(1, 2))
        )
        rest = (goal - now).reshape(len(a), -1)
        now, inside = now.reshape(len(a), -1), inside.reshape(len(a), -1)
        moves = (across, across * u, across * v, down, down * u, down * v)
        system = np.stack((*moves, now, np.ones_like(now)), 2) * inside[:, :, None]
        square = system.swapaxes(1, 2) @ system
        rest = system.swapaxes(1, 2) @ rest[:, :, None]
        ridge = 1e-5 * np.trace(square, axis1=1, axis2=2) + 1e-3
        square += np.eye(8, dtype="float32") * ridge[:, None, None]
        step = np.linalg.solve(square, rest)[:, :6].reshape(-1, 2, 3)
        # the step was found on the moved picture
        turn = place.reshape(-1, 2, 3)[:, :, 1:]
        place = place + (turn @ step).reshape(-1, 6).clip(-0.1, 0.1)
    return best, likeness


def _correlation(one, other, inside):
    """Of grids (m, side, side), in the cells that are inside: (m,)."""
    inside = np.broadcast_to(inside, one.shape)
    total = np.maximum(inside.sum((1, 2), keepdims=True), 1)
    one = (one - (one * inside).sum((1, 2), keepdims=True) / total) * inside
    other = (other - (other * inside).sum((1, 2), keepdims=True) / total) * inside
    length = np.sqrt(np.square(one).sum((1, 2)) * np.square(other).sum((1, 2)))
    return (one * other).sum((1, 2)) / np.maximum(length, 1)


# -- in order --------------------------------------------------------------------------


def _following(copies, order):
    """The pairs that follow one another in films and bursts, as alike as `ALIKE`: far
    more than others of their folder."""
    found = [np.empty((3, 0))]
    ranked = np.argsort(order, kind="stable")
    breaks = np.flatnonzero(np.diff(order[ranked]) != 1) + 1
    for film in np.split(ranked, breaks):
        if len(film) < SHORTEST:
            continue
        a, b = film[:-1], film[1:]
        x, y = np.random.default_rng(0).integers(0, len(film), (2, 4000))
        apart = np.abs(x - y) > 8
        x, y = film[x[apart]], film[y[apart]]
        near = np.square(copies.rows[a] - copies.rows[b]).sum(1)
        far = np.square(copies.rows[x] - copies.rows[y]).sum(1)
        alike = near <= np.quantile(far, CHANCE)
        alike &= _alike_in_shape(copies, a, b) >= FOLLOWING
        if alike.sum() >= max(5, 5 * CHANCE * len(a)):
            found.append(_pairs(a[alike], b[alike], np.ones(alike.sum())))
    return np.concatenate(found, 1)
