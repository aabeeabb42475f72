"""Which pictures are mirrored or turned copies of others, by quarters of a turn.

They aren't joined: a gauge's needle may point as far to the left as another's to the
right. So only pictures with enough to see, which as a whole become others when they are
turned so, are told."""

import numpy as np

from safeguards.look_alikes.copies import (
    BLOCK,
    Copies,
    Look,
    blocks,
    correlations,
)
from safeguards.look_alikes.differences import differences
from safeguards.look_alikes.movements import moved_pairs

LIKELY = 0.75  # correlation of pictures, one of them turned, that are compared closely
SYMMETRIC = 0.75  # correlation of a picture with itself turned, at most
ROWS = 512  # pictures whose correlations with all others are in memory at a time


def _mirrored(grids):
    return grids[:, :, ::-1]


def _upside_down(grids):
    return grids[:, ::-1]


def _half_turned(grids):
    return grids[:, ::-1, ::-1]


def _quarter_turned(grids):
    return np.rot90(grids, axes=(1, 2))


def _transposed(grids):
    return grids.swapaxes(1, 2)


def _transposed_other_way(grids):
    return grids[:, ::-1, ::-1].swapaxes(1, 2)


# The other quarter of a turn is this one, of the other picture of a pair.
TURNS = (
    _mirrored,
    _upside_down,
    _half_turned,
    _quarter_turned,
    _transposed,
    _transposed_other_way,
)
SIDES_CHANGE = TURNS[3:]  # height becomes width


def turned_pairs(looks, keys):
    """The pairs (first, second) of positions of pictures of which one is a mirrored or
    turned copy of the other; of each picture at most the likeliest.

    looks: a `Look` a picture; keys: (n,), the same for pictures that count as one."""
    if len(looks) < 2:
        return []
    copies = Copies(looks, np.zeros(len(looks)))
    rows = np.flatnonzero(copies.is_textured & ~copies.is_tiny)
    if len(rows) < 2:
        return []
    numbers = np.unique(keys, return_inverse=True)[1][rows]
    a, b, turn = _likely(copies.shape[rows], numbers)
    found = set()
    for some in blocks(len(a), BLOCK):
        one, other = rows[a[some]], rows[b[some]]
        is_copy = _are_copies(looks, one, other, turn[some])
        for pair in np.sort(np.stack((one, other), 1)[is_copy], axis=1).tolist():
            found.add(tuple(pair))
    return sorted(found)


def _likely(shape, numbers):
    """Each picture, the one that is likeliest to be it turned, and which of TURNS that
    would be: three arrays, only of those that may be. numbers: (n,), the same for
    pictures that count as one."""
    n = len(shape)
    best = np.full(n, LIKELY, "float32")
    other = np.full(n, -1)
    turn = np.zeros(n, int)
    side = int(np.sqrt(shape.shape[1]))
    for number, turned in enumerate(TURNS):
        grids = turned(shape.reshape(n, side, side)).reshape(n, -1)
        for rows in blocks(n, ROWS):
            correlation = grids[rows] @ shape.T
            correlation[numbers[rows][:, None] == numbers] = -1
            nearest = correlation.argmax(1)
            likeness = correlation[np.arange(len(rows)), nearest]
            is_better = likeness > best[rows]
            better = rows[is_better]
            best[better] = likeness[is_better]
            other[better] = nearest[is_better]
            turn[better] = number
    found = np.flatnonzero(other >= 0)
    return found, other[found], turn[found]


def _are_copies(looks, a, b, turn):
    """Whether pictures a, each turned its way, are alike b, but not themselves: bool
    (m,)."""
    m = len(a)
    views = [_turned_look(looks[i], TURNS[way]) for i, way in zip(a, turn, strict=True)]
    views += [looks[i] for i in b]
    views += [looks[i] for i in a]
    copies = Copies(views, np.zeros(3 * m))
    rows = np.arange(m)
    difference = differences(copies, rows, rows + m)
    is_other = correlations(copies, rows, rows + 2 * m) <= SYMMETRIC
    is_open = np.flatnonzero(is_other & (difference > 1))
    one, other, moved = moved_pairs(copies, is_open, is_open + m)
    first, second = np.minimum(one, other), np.maximum(one, other)
    is_asked = (first < m) & (second == first + m)  # it finds others as well
    np.minimum.at(difference, first[is_asked], moved[is_asked])
    return is_other & (difference <= 1)


def _turned_look(look, turned):
    width, height = look.size
    return Look(
        light=turned(look.light[None])[0],
        colour=turned(look.colour[None])[0],
        size=(height, width) if turned in SIDES_CHANGE else (width, height),
    )
