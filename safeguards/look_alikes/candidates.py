"""Which few pictures each is compared with."""

import numpy as np

BLOCK = 512  # pictures whose distances from all others are in memory at a time
SAMPLE = 128  # pictures, drawn by lot, among which a picture's mates are looked for
MATES = 3  # of these, those that share a background with a picture
RELATED = 0.5  # correlation of two that share one, even if one of them is cut out


def nearest(copies, rows, keys, count):
    """The nearest pictures of other keys: positions (rows, count), the nearest first,
    -1 where there are no more. keys: numbers (n,)."""
    count = min(count, len(copies) - 1)
    energy = np.square(copies.rows).sum(1)
    found = np.empty((len(rows), count), int)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        distance = copies.rows[block] @ copies.rows.T
        distance *= -2
        distance += energy
        grey = copies.is_grey[block]  # of which picture in colours are these copies?
        if grey.any():
            distance[grey] = -(copies.shape[block[grey]] @ copies.shape.T)
        np.copyto(distance, np.inf, where=keys[block][:, None] == keys)
        every = np.arange(len(block))
        for rank in range(count):  # faster than to sort, as long as there are few
            best = distance.argmin(1)
            far = distance[every, best]
            found[start : start + BLOCK, rank] = np.where(np.isinf(far), -1, best)
            distance[every, best] = np.inf
    return found


def mates(copies, keys):
    """For each picture some of other keys that share its background, whether they are
    near or not: positions (n, MATES), -1 where there are no more.

    With many cut-outs of one background, the nearest of each are other cut-outs, and
    where it was cut out is only seen beside a whole picture."""
    n = len(copies)
    sample = np.random.default_rng(0).permutation(n)[:SAMPLE]
    is_mate = copies.shape @ copies.shape[sample].T >= RELATED
    is_mate &= keys[:, None] != keys[sample]
    found = np.full((n, MATES), -1)
    for rank in range(MATES):
        first = is_mate.argmax(1)
        has_one = is_mate[np.arange(n), first]
        found[has_one, rank] = sample[first[has_one]]
        is_mate[np.arange(n), first] = False
    return found


def once(n, rows, others):
    """The pairs (a, b), a < b, of pictures (k,) and their others (k, …), each once."""
    a = np.repeat(rows, others.shape[1])
    b = others.ravel()
    is_there = b >= 0
    a, b = a[is_there], b[is_there]
    codes = np.unique(np.minimum(a, b) * n + np.maximum(a, b))
    return codes // n, codes % n
