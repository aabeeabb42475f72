"""Which test pictures lie nearest to one learned from: copies that pixels can't tell.

`find_near_duplicates` compares pixels and misses some copies: a picture cropped and
brightened, two shots of one thing. If one is learned from and the other judges, the
accuracy comes out too high. A network's features bring such pictures together, but also
different things that look much alike; and a copy that's turned, or has no colour, lies
further off. So nothing is decided here, only shown.

A copy may be near its original, or much nearer to it than to anything else. So there
are two orders: by distance, and by the share of it in that to the next picture, of
features that are standardised, so that those which vary little count as well."""

from itertools import chain
from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from apps.own_pictures.intake import place
from apps.own_pictures.judging import unpaired_difference
from helpers.evaluate import accuracy
from helpers.neighbours import nearest

FILE = "nearest_pairs.txt"
SMALLEST = 1e-6  # a cosine distance that's 0 but for rounding


class Across(NamedTuple):
    """A test picture and a training picture near to it.

    distance: the cosine distance of their features, 0…2, or its share in that to the
    next picture, 0…1; tested, learned_from: their positions among the test and the
    training pictures."""

    distance: float
    tested: int
    learned_from: int


def nearest_pairs(test, learned):
    """An `Across` for each of the test `Pictures`, with the training picture nearest to
    it, the nearest pairs first.

    learned: the `Learned` whose features are used."""
    distances, positions = nearest(learned.features_of(test), learned.features)
    return _sorted(distances, positions)


def closest_pairs(by_distance, test, learned):
    """The pairs to look at, an `Across` each, the most suspicious first: by turns from
    `by_distance`, what `nearest_pairs` returned, and from those that are much nearer
    than the next picture."""
    scaler = StandardScaler().fit(learned.features)
    search = NearestNeighbors(n_neighbors=2, metric="cosine")
    search.fit(scaler.transform(learned.features))
    features = scaler.transform(learned.features_of(test))
    distances, positions = search.kneighbors(features)
    shares = distances[:, 0] / np.maximum(distances[:, 1], SMALLEST)
    by_share = _sorted(shares, positions[:, 0])
    both = chain.from_iterable(zip(by_distance, by_share, strict=True))
    pairs = {}  # the first place counts
    for pair in both:
        pairs.setdefault(pair[1:], pair)
    return list(pairs.values())


def _sorted(distances, positions):
    """An `Across` a row, the smallest distance first."""
    rows = np.argsort(distances, kind="stable").tolist()
    return [Across(float(distances[row]), row, int(positions[row])) for row in rows]


def write_pairs(pairs, test, train, results):
    """Write nearest_pairs.txt, a line for each pair: test file and training file."""
    lines = []
    for pair in pairs:
        tested = place(test.paths[pair.tested])
        learned_from = place(train.paths[pair.learned_from])
        lines.append(f"{tested} and {learned_from}\n")
    (results / FILE).write_text("".join(lines), encoding="utf-8")


def by_nearness(pairs, test, answers):
    """What the accuracy is for the half of the test pictures that's nearest to those
    learned from, and for the other half.

    pairs: as from `nearest_pairs`; answers: class positions (n,). Returns (lines; a
    warning, or "" where the difference may be chance). The interval of the difference
    is that of `unpaired_difference`."""
    rows = np.array([pair.tested for pair in pairs])
    near, far = np.array_split(rows, 2)
    of_near = accuracy(test.labels[near], answers[near])
    of_far = accuracy(test.labels[far], answers[far])
    gap = unpaired_difference(of_far, of_near)
    lines = (
        f"the half that's most like what it learned from: ≈{of_near}\n"
        f"the half that's least like it:                  ≈{of_far}\n"
        f"difference: ≈{gap}"
    )
    if gap.low <= 0:
        return lines, ""
    return lines, (
        "Test pictures that are most like those it learned from come out better than "
        f"the others, which get ≈{of_far}. Do some show the very same thing? Then the "
        f"accuracy is too high. The nearest pairs are in {FILE}."
    )
