"""Which pictures may be cut out of which others, pixel by pixel, with no search.

Fine lines lead no search to the right place (see `movements`). But a program that cuts
mostly leaves the middle, a side or a corner: then the sizes tell the place."""

import numpy as np

from safeguards.look_alikes import places
from safeguards.look_alikes.copies import softened

ANCHORS = [(x, y) for x in (-0.5, 0, 0.5) for y in (-0.5, 0, 0.5)]  # where it is cut
LEAST_SHARE = 0.75  # of a side is left
SIZES = 12  # the most frequent, of which pictures are looked at, …
PAIRS = 8  # … and of these, pairs of sizes
LIKELY = 0.9  # correlation of a picture with what it is cut out of


def cuts(copies):
    """For each picture that may be cut out of another the likeliest: others a, pictures
    b (k,), and the places of b in a (k, 6)."""
    sizes, size_of, count = np.unique(
        copies.size, axis=0, return_inverse=True, return_counts=True
    )
    often = np.argsort(-count, kind="stable")[:SIZES]
    share = sizes[often] / sizes[often][:, None]  # of a whole's sides in a part's
    is_cut = (share >= LEAST_SHARE).all(2) & (share <= 1).all(2) & (share < 1).any(2)
    wholes, parts = np.nonzero(is_cut)
    many = np.argsort(-count[often[wholes]] * count[often[parts]], kind="stable")
    likeness = np.full(len(copies), LIKELY)
    whole_of = np.full(len(copies), -1)
    place_of = np.zeros((len(copies), 6), "float32")
    for whole, part in zip(wholes[many[:PAIRS]], parts[many[:PAIRS]], strict=True):
        a = np.flatnonzero(size_of.ravel() == often[whole])
        b = np.flatnonzero(size_of.ravel() == often[part])
        goal = centred(copies.light[16][b])
        finer = softened(copies.light[32][a])
        across, down = share[whole, part]
        for x, y in ANCHORS:
            place = x * (1 - across), across, 0, y * (1 - down), 0, down
            place = np.array([place], "float32")
            cut = places.at(finer, place.repeat(len(a), 0), 16)
            found = goal @ centred(cut).T
            best = found.argmax(1)
            found = found[np.arange(len(b)), best]
            is_better = found > likeness[b]
            better = b[is_better]
            likeness[better] = found[is_better]
            whole_of[better] = a[best[is_better]]
            place_of[better] = place
    b = np.flatnonzero(whole_of >= 0)
    return whole_of[b], b, place_of[b]


def centred(grids):
    """Grids (n, side, side) as rows whose products are correlations."""
    rows = grids.reshape(len(grids), -1)
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1)
