"""Which pairs make pictures count as one.

Pairs are arrays (3, m): the lower position, the higher one, and how much the pictures
differ, in units of what noise may change (see `differences`)."""

import numpy as np

from safeguards.look_alikes.differences import differences

CLIQUE = 0.9  # of copies of one picture must be like the one in their middle
STEPS = (1, 0.8, 0.6, 0.4, 0.2)  # units up to which pairs count, until that is so
UNSURE = 1.02  # units of difference of pairs that are alike by way of others only


def pairs(a, b, difference):
    return np.stack((np.minimum(a, b), np.maximum(a, b), difference))


def connected(n, found, limit):
    """A number for each of n pictures, the same for those that pairs join."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = found[:2, found[2] <= limit].astype(int)
    graph = coo_array((np.ones(len(first)), (first, second)), (n, n))
    return connected_components(graph, directed=False)[1]


def fewest(n, found, limit):
    """Of all pairs the most alike that join the same pictures: a minimum spanning
    forest."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    found = found[:, found[2] <= limit]
    found = found[:, np.argsort(found[2], kind="stable")]
    first, second = found[:2].astype(int)
    once = np.unique(first * n + second, return_index=True)[1]
    # 1 is added as a sparse array does not keep a difference of 0.
    graph = coo_array((1 + found[2, once], (first[once], second[once])), (n, n))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    return pairs(tree.row, tree.col, tree.data - 1)


def without_chains(copies, found):
    """The pairs, of which some count as less alike.

    Copies of one picture are all like one another. Where pictures that haven't moved
    are alike only by way of others, they are things of slightly different shades: only
    those pairs count that differ less."""
    n = len(copies)
    found = found.copy()
    first, second = found[:2].astype(int)
    is_open = np.ones(n, bool)  # not yet known to be no chain
    for level, next_level in zip(STEPS, (*STEPS[1:], -1), strict=True):
        keys = connected(n, found, level)
        is_chain = _chains(copies, keys, is_open, first, second, found[2])
        is_open &= is_chain[keys]
        if not is_open.any():
            break
        is_own = is_open[first] & (keys[first] == keys[second])
        found[2, is_own & (found[2] <= 1) & (found[2] > next_level)] = UNSURE
    return found


def _chains(copies, keys, is_open, first, second, difference):
    """Which groups are chains: bool, by key. Only open pictures are looked at."""
    n = len(copies)
    size = np.bincount(keys)
    is_own = (difference <= 1) & (keys[first] == keys[second])
    degree = np.bincount(first[is_own], minlength=n)
    degree += np.bincount(second[is_own], minlength=n)
    ranked = np.lexsort((np.arange(n)[::-1], degree, keys))
    middle = ranked[np.cumsum(size) - 1]
    others = np.flatnonzero(is_open & (size[keys] > 2) & (middle[keys] != np.arange(n)))
    alike = differences(copies, others, middle[keys[others]]) <= 1
    share = np.bincount(keys[others], alike, len(size)) / np.maximum(size - 1, 1)
    return (share < CLIQUE) & (np.bincount(keys[others], minlength=len(size)) > 0)
