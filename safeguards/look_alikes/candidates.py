"""Which few pictures each is compared with."""

import numpy as np

BLOCK = 512  # pictures whose distances from all others are in memory at a time


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


def once(n, rows, others):
    """The pairs (a, b), a < b, of pictures (k,) and their others (k, …), each once."""
    a = np.repeat(rows, others.shape[1])
    b = others.ravel()
    is_there = b >= 0
    a, b = a[is_there], b[is_there]
    codes = np.unique(np.minimum(a, b) * n + np.maximum(a, b))
    return codes // n, codes % n
