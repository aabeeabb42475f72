"""Which pictures show the same: copies in other sizes, qualities and crops, shots in a
row, films.

Four steps, a module each: `candidates` chooses a few pictures with which each is
compared; `differences` says how much two differ in the cell where they differ most;
`movements` looks for one picture in the other where that is much, and `cuts` where the
sizes tell the place; `joining` takes those that are alike together, but no chains of
things of slightly different shades. `copies` makes what is compared; `films` tells
frames where pixels cannot; `turned` tells mirrored and turned copies, which stay two;
`shifted` only says which pictures of two parts are worth a look.
"""

from typing import NamedTuple

import numpy as np

from safeguards.look_alikes.candidates import nearest, once
from safeguards.look_alikes.copies import (
    SMALLEST,
    Copies,
    Look,
    content,
    correlations,
    is_tiny,
    look,
)
from safeguards.look_alikes.differences import differences
from safeguards.look_alikes.films import SHORTEST, following
from safeguards.look_alikes.joining import (
    STEPS,
    connected,
    fewest,
    of_others,
    pairs,
    without_chains,
)
from safeguards.look_alikes.movements import cut_pairs, moved_pairs
from safeguards.look_alikes.shifted import nearest_shifted
from safeguards.look_alikes.slopes import mates
from safeguards.look_alikes.turned import turned_pairs
from safeguards.progress import progress_bar

# the likeness of two pictures that differ by as much as noise may change at most
ALIKE = 0.95
NEAREST = 6  # pictures with which each is compared as it is
LOOKED_FOR = 3  # of these, in which it is looked for at another place
AMBASSADORS = 4  # pictures of a group that look for pictures of other groups
RESEMBLING = 0.95  # correlation of pictures that may be frames of one film
HOPELESS = 14  # units of difference, from which on nobody needs to know how much


class Pair(NamedTuple):
    """How much two pictures look alike, at most 1, and their positions, the lower one
    first."""

    likeness: float
    first: int
    second: int


def look_alikes(looks, order, threshold=ALIKE, parts=None, classes=None):
    """The `Pair`s that look alike, the most alike first; where many are alike, also by
    way of others, as few pairs as join them, so that each of these pictures is in one
    of the pairs. Nothing but `order` joins those of a likeness of exactly ALIKE.
    looks: a `Look` a picture. order: whole numbers (n,), which differ by 1 where a
    picture follows another, as in a film. threshold: the likeness from which on two are
    alike; none are from 1 on. parts: (n,), to find pairs of different parts only.
    classes: (n,), if they are known; see `moved_pairs`."""
    n = len(looks)
    if n < 2 or threshold >= 1:
        return []
    # Sorted by what they show, so that nothing but `order` depends on their names
    ranked = np.array(sorted(range(n), key=lambda i: content(looks[i])))
    classes = np.zeros(n) if classes is None else np.asarray(classes)
    copies = Copies([looks[i] for i in ranked], classes[ranked])
    order = np.asarray(order)[ranked]
    parts = None if parts is None else np.asarray(parts)[ranked]
    limit = np.log(threshold) / np.log(ALIKE)
    first, second, difference = _found(copies, order, limit, parts)
    found = pairs(ranked[first.astype(int)], ranked[second.astype(int)], difference)
    return [_pair(*found[:, i]) for i in np.lexsort((found[1], found[0], found[2]))]


def _found(copies, order, limit, parts):
    """The pairs of `look_alikes`, see `joining`, up to so many units of difference."""
    n = len(copies)
    exact_to = max(1, limit)
    keys = np.arange(n)
    if parts is not None:
        keys = np.unique(parts, return_inverse=True)[1]
    cut = pairs(*cut_pairs(copies, exact_to))
    moved = of_others(np.concatenate((following(copies, order), cut), 1), keys)
    still = np.empty((3, 0))
    rows = np.arange(n)
    companions = mates(copies, keys)
    bar = progress_bar(None, "comparing", delay=2)
    while len(rows):
        bar.update()
        others = nearest(copies, rows, keys, NEAREST)
        still = _with_still(copies, still, rows, others, exact_to)
        judged = without_chains(copies, still)
        joined = connected(n, np.concatenate((judged, moved), 1), limit)
        looked_in = np.concatenate((others[:, :LOOKED_FOR], companions[rows]), 1)
        a, b = once(n, rows, looked_in)
        is_open = joined[a] != joined[b]
        found = pairs(*moved_pairs(copies, a[is_open], b[is_open], exact_to))
        moved = np.concatenate((moved, of_others(found, keys)), 1)
        if parts is not None:
            break
        keys = connected(n, np.concatenate((judged, moved), 1), limit)
        # Who has found nobody but their own has not seen the others yet.
        rows = rows[((others >= 0) & (keys[others] == keys[rows][:, None])).all(1)]
        rows = _ambassadors(rows, keys)
    bar.close()
    return fewest(n, np.concatenate((judged, moved), 1), limit)


def _with_still(copies, still, rows, others, exact_to):
    """The pairs found so far, and those of pictures and their candidates (k, count), as
    they are. Who is joined closely already need not be compared."""
    n = len(copies)
    for rank in range(others.shape[1]):
        joined = connected(n, still, STEPS[-1])
        a, b = once(n, rows, others[:, rank : rank + 1])
        is_open = joined[a] != joined[b]
        a, b = a[is_open], b[is_open]
        difference = differences(copies, a, b, exact_to)
        still = np.concatenate((still, pairs(a, b, difference)), 1)
    return still


def _ambassadors(rows, keys):
    """Some rows of each group."""
    ranked = rows[np.argsort(keys[rows], kind="stable")]
    own = keys[ranked]
    start = np.searchsorted(own, own)
    return np.sort(ranked[np.arange(len(ranked)) - start < AMBASSADORS])


def _pair(a, b, difference):
    return Pair(float(ALIKE**difference), int(a), int(b))


def undecided(looks, keys):
    """How many pictures resemble one of another key as a whole, though they differ
    somewhere, and the `Pair`s of each with the nearest such picture, the most alike
    first. looks: a `Look` a picture; keys: (n,), the same for pictures that count as
    one."""
    if len(looks) < 2:
        return 0, []
    copies, rows = Copies(looks, keys), np.arange(len(looks))
    numbers = np.unique(keys, return_inverse=True)[1]
    other = nearest(copies, rows, numbers, 1)[:, 0]
    a, b = rows[other >= 0], other[other >= 0]
    is_like = correlations(copies, a, b) >= RESEMBLING
    is_like &= ~copies.is_tiny[a] & ~copies.is_tiny[b]
    a, b = a[is_like], b[is_like]
    found = pairs(a, b, differences(copies, a, b, HOPELESS))
    # Often each is the other's nearest.
    found = {_pair(*column) for column in found.T}
    return len(a), sorted(found, key=lambda pair: (-pair.likeness, *pair[1:]))
