"""Which pictures are frames of one film, by the order in which they were taken.

Pixels cannot tell these from different things under one camera: somebody walks by, or
another part lies there. But what follows a frame is far more like it than others of its
folder are."""

import numpy as np

from safeguards.look_alikes.copies import comparable, correlations
from safeguards.look_alikes.joining import pairs

SHORTEST = 20  # pictures of a folder, for fewer say too little about how alike they are
FOLLOWING = 0.8  # correlation of frames that follow one another, at least
APART = 8  # frames, beyond which two of a folder don't follow one another
CHANCE = 0.02  # of the pairs that are apart are as alike as frames that follow
LEAST = 5  # pairs that follow one another, in a folder with a film
DRAWN = 4000  # pairs of a folder, to see how alike its pictures are


def following(copies, order):
    """The pairs that follow one another in films and bursts, as alike as noise allows
    at most: (3, m), see `joining`. order: whole numbers (n,), 1 apart where a picture
    comes right after another."""
    found = [np.empty((3, 0))]
    ranked = np.argsort(order, kind="stable")
    breaks = np.flatnonzero(np.diff(order[ranked]) != 1) + 1
    for folder in np.split(ranked, breaks):
        x, y = np.random.default_rng(0).integers(0, len(folder), (2, DRAWN))
        is_apart = np.abs(x - y) > APART
        if len(folder) < SHORTEST or not is_apart.any():
            continue
        x, y = folder[x[is_apart]], folder[y[is_apart]]
        a, b = folder[:-1], folder[1:]
        near = np.square(copies.rows[a] - copies.rows[b]).sum(1)
        far = np.square(copies.rows[x] - copies.rows[y]).sum(1)
        alike = near <= np.quantile(far, CHANCE)
        alike &= correlations(copies, a, b) >= FOLLOWING
        alike &= comparable(copies, a, b)
        if alike.sum() >= max(LEAST, 5 * CHANCE * len(a)):
            found.append(pairs(a[alike], b[alike], np.ones(alike.sum())))
    return np.concatenate(found, 1)
