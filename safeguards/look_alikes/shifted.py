"""Which pictures are nearest to which others by their pixels, a little to the side or
nearer to the camera.

To a network, two pages of text, two charts or two x-rays are nearly the same. Their
light isn't, once one is laid upon the other. Nothing is decided by it: it only says
which pairs are worth a look."""

import numpy as np

from safeguards.look_alikes import places
from safeguards.look_alikes.copies import blocks, shrunk
from safeguards.look_alikes.cuts import centred

SIDE = 32  # cells
SHIFT = 1  # cell of these, by which a picture may lie to any side
NEARER = 0.9  # of a side that is seen from nearer by, the middle
ROWS = 256  # pictures compared with all others at a time
MOST = 1_000_000  # pairs to compare, which takes seconds; of more, some are drawn
SMALLEST = 1e-4  # difference that is 0 but for rounding


def nearest_shifted(looks, others):
    """Of pictures, those that are compared: (k,); which of the others is nearest to
    each: (k,); and the share of the difference to it in that to the next: (k,), 0…1.

    looks, others: a `Look` each, two others or more."""
    count = min(len(looks), max(1, MOST // len(others)))
    rows = np.sort(np.random.default_rng(0).permutation(len(looks))[:count])
    views = _views(others)
    positions = np.empty(count, int)
    shares = np.empty(count)
    for some in blocks(count, ROWS):
        likeness = np.full((len(some), len(others)), -1, "float32")
        whole, near = _views([looks[row] for row in rows[some]])
        # Both as they are, or one of them seen from nearer by
        for one, other in ((whole, views[0]), (near, views[0]), (whole, views[1])):
            inner = centred(one[:, SHIFT:-SHIFT, SHIFT:-SHIFT])
            for moved in _moved(other):
                np.maximum(likeness, inner @ centred(moved).T, out=likeness)
        difference = 1 - likeness
        best = difference.argmin(1)
        two = np.partition(difference, 1, axis=1)[:, :2].clip(SMALLEST)
        positions[some] = best
        shares[some] = two[:, 0] / two[:, 1]
    return rows, positions, shares


def _views(looks):
    """The light of pictures, and that of their middle: (n, SIDE, SIDE) each."""
    light = np.array([look.light for look in looks], "float32")
    middle = np.array([[0, NEARER, 0, 0, 0, NEARER]], "float32")
    return shrunk(light, SIDE), places.at(light, middle.repeat(len(light), 0), SIDE)


def _moved(grids):
    """Grids without their edges, moved to each side."""
    inner = SIDE - 2 * SHIFT
    for down in range(2 * SHIFT + 1):
        for across in range(2 * SHIFT + 1):
            yield grids[:, down : down + inner, across : across + inner]
