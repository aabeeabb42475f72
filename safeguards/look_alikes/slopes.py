"""Which pictures may lie in which others, moved, as far as their slopes tell.

What small movements make of a picture are combinations of its slopes, across and down,
each as it is and times u and v (Simard's tangent distance, 1993). So products of
matrices tell by how much a small movement brings two pictures together at best."""

import numpy as np

from safeguards.look_alikes import places
from safeguards.look_alikes.copies import BLOCK, blocks

PROMISING = 0.2  # of the difference that one step may take away, at least, …
HOPEFUL = 0.75  # … and the correlation after it
SAMPLE = 128  # pictures, drawn by lot, among which …
MATES = 2  # … those are looked for in which another may lie, …
MATCHING = 0.35  # … as one step may take away so much of the difference


def mates(copies, keys):
    """For each picture some of other keys that it may be cut out of something like:
    positions (n, MATES), -1 where there are no more. They are drawn from all by lot.

    With many cut-outs of one background, the nearest of each are other cut-outs, and
    where it was cut out is only seen beside a whole picture."""
    n = len(copies)
    sample = np.random.default_rng(0).permutation(n)[:SAMPLE]
    light = _centred(copies)
    bases = _tangents(copies, sample)[sample].swapaxes(0, 1).reshape(64, -1)
    after = np.square(light @ bases).reshape(n, len(sample), 8).sum(2)
    gone = gone_of(light @ light[sample].T, np.sqrt(after))
    gone[keys[:, None] == keys[sample]] = -np.inf
    found = np.full((n, MATES), -1)
    every = np.arange(n)
    for rank in range(min(MATES, len(sample))):
        best = gone.argmax(1)
        is_good = gone[every, best] >= MATCHING
        found[is_good, rank] = sample[best[is_good]]
        gone[every, best] = -np.inf
    return found


def is_promising(copies, a, b):
    """Whether one small movement could take away enough of the difference of pictures a
    and b: bool (m,)."""
    bases = _tangents(copies, np.unique(np.concatenate((a, b))))
    light = _centred(copies)
    before = np.einsum("ij,ij->i", light[a], light[b])
    after = np.zeros(len(a))
    for one, other in ((a, b), (b, a)):
        for some in blocks(len(a), BLOCK):
            shares = np.matmul(light[other[some], None], bases[one[some]])[:, 0]
            correlation = np.linalg.norm(shares, axis=1)
            after[some] = np.maximum(after[some], correlation)
    return (gone_of(before, after) >= PROMISING) & (after >= HOPEFUL)


def _centred(copies):
    """Light (n, 64) whose products are correlations."""
    light = copies.light[8].reshape(len(copies), -1)
    light = light - light.mean(1, keepdims=True)
    return light / np.linalg.norm(light, axis=1, keepdims=True).clip(1)


def gone_of(before, after):
    """The share of a difference that is gone, by correlations."""
    return 1 - (1 - after) / (1 - before).clip(1e-6)


def _tangents(copies, rows):
    """An orthonormal basis of what small movements, light and contrast make of a
    picture: (n, 64, 8), filled at `rows` only."""
    bases = np.zeros((len(copies), 64, 8), "float32")
    for some in blocks(len(rows), BLOCK):
        some = rows[some]
        bases[some] = np.linalg.qr(system_of(copies.light[8][some]))[0]
    return bases


def system_of(grids):
    """What becomes of grids (m, side, side) by a little of each movement, of contrast
    and of light: (m, side², 8)."""
    m, side = len(grids), grids.shape[1]
    u, v = places.ends(side)
    down, across = np.gradient(grids, axis=(1, 2))
    down = down.reshape(m, -1) * side
    across = across.reshape(m, -1) * side
    moves = (across, across * u, across * v, down, down * u, down * v)
    grids = grids.reshape(m, -1)
    return np.stack((*moves, grids, np.ones_like(grids)), 2)
