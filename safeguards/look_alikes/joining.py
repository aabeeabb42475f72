"""Which pairs make pictures count as one.

Pairs are arrays (3, m): the lower position, the higher one, and how much the pictures
differ, in units of what noise may change (see `differences`)."""

import numpy as np

from safeguards.look_alikes.differences import differences

CLIQUE = 0.9  # of copies of one picture must be like the one in their middle
# Units up to which pairs of a chain count, tried one after another
STEPS = (0.8, 0.64, 0.5, 0.4, 0.32, 0.25, 0.2)
GAP = 1.4  # times as much the nearest other picture must differ
UNSURE = 1.02  # units of difference of pairs that are alike by way of others only


def pairs(a, b, difference):
    """Pairs of pictures as columns (first, second, how much they differ), each with the
    smaller number first."""
    return np.stack((np.minimum(a, b), np.maximum(a, b), difference))


def of_others(found, keys):
    """Those pairs that are of two keys."""
    first, second = found[:2].astype(int)
    return found[:, keys[first] != keys[second]]


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
    are alike only by way of others, they are things of slightly different shades. Of
    these, some still count as one if they differ less, and clearly less than others."""
    n = len(copies)
    judged = found.copy()
    first, second = found[:2].astype(int)
    keys = connected(n, found, 1)
    is_chain = _chains(copies, keys, found, np.ones(n, bool))
    is_open = is_chain[keys]
    is_doubtful = is_open[first] & is_open[second] & (found[2] <= 1)
    judged[2, is_doubtful] = UNSURE
    for level in STEPS:
        if not is_open.any():
            break
        keys = connected(n, found, level)
        is_apart = keys[first] != keys[second]
        nearest = np.full(keys.max() + 1, np.inf)  # of other groups, for each
        for end in (first[is_apart], second[is_apart]):
            np.minimum.at(nearest, keys[end], found[2, is_apart])
        has_gap = (nearest > GAP * level) & ~_chains(copies, keys, found, is_open)
        is_kept = is_doubtful & ~is_apart & has_gap[keys[first]]
        is_kept &= is_open[first] & (found[2] <= level)
        judged[2, is_kept] = found[2, is_kept]
        is_open &= ~has_gap[keys]
    return judged


def _chains(copies, keys, found, is_open):
    """Which groups of more than two open pictures aren't all like the one of them that
    most are like: bool, by key."""
    n = len(copies)
    size = np.bincount(keys)
    first, second = found[:2].astype(int)
    is_own = (found[2] <= 1) & (keys[first] == keys[second])
    degree = np.bincount(first[is_own], minlength=n)
    degree += np.bincount(second[is_own], minlength=n)
    ranked = np.lexsort((-np.arange(n), degree, keys))
    middle = ranked[np.cumsum(size) - 1][keys]
    others = np.flatnonzero(is_open & (size[keys] > 2) & (middle != np.arange(n)))
    alike = differences(copies, others, middle[others]) <= 1
    count = np.bincount(keys[others], minlength=len(size))
    share = np.bincount(keys[others], alike, len(size)) / count.clip(1)
    return (count > 0) & (share < CLIQUE)
