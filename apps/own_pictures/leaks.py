"""Which test pictures lie nearest to one learned from: copies that pixels can't tell.

`find_near_duplicates` compares pixels and misses some copies: a picture cropped and
brightened, two shots of one thing. If one is learned from and the other judges, the
accuracy comes out too high. A network's features bring such pictures together, but also
different things that look much alike; and a copy that's turned, or has no colour, lies
further off. So nothing is decided here, only shown.

A copy may be near its original, or much nearer to it than to anything else. So there
are several orders: by distance; by the share of it in that to the next picture, of
features that are standardised, so that those which vary little count as well; and by
such a share of pixels, as a network sees two pages of text as nearly the same.

How well that works depends on the pictures. So it's tried on copies made for that."""

from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from apps.own_pictures.front import small
from apps.own_pictures.intake import place
from apps.own_pictures.judging import unpaired_difference
from helpers.evaluate import accuracy
from helpers.neighbours import nearest
from helpers.pictures import fingerprint
from safeguards.look_alikes import nearest_shifted

FILE = "nearest_pairs.txt"
SMALLEST = 1e-6  # a cosine distance that's 0 but for rounding
TRIALS = 20  # pictures of which a copy is looked for; as many more are beside them, …
# … as if taken again from elsewhere, with its corners here, in sides: upper left, lower
# left, lower right, upper right, …
CORNERS = ((0.14, 0.03), (0.05, 0.86), (0.97, 0.94), (0.99, 0.12))
DARKER = 0.85  # … and so many times as bright
ENOUGH = 0.8  # of these copies should be recognised


class Across(NamedTuple):
    """A test picture and a training picture near to it.

    distance: the cosine distance of their features, 0…2, or its share, or that of the
    difference of their pixels, in that to the next picture, 0…1; tested, learned_from:
    their positions among the test and the training pictures."""

    distance: float
    tested: int
    learned_from: int


def nearest_pairs(test, learned):
    """An `Across` for each of the test `Pictures`, with the training picture nearest to
    it, the nearest pairs first.

    learned: the `Learned` whose features are used."""
    return _sorted(*_by_distance(test, learned))


def closest_pairs(by_distance, test, learned):
    """The pairs to look at, an `Across` each, the most suspicious first: by turns from
    `by_distance`, what `nearest_pairs` returned, and from those that are much nearer
    than the next picture, by features and by pixels."""
    orders = [by_distance]
    for found in (_by_share(test, learned), _by_pixels(test, learned)):
        orders.append(_sorted(*found))
    pairs = {}  # the first place counts
    for pair in chain.from_iterable(zip_longest(*orders)):
        if pair:  # of thousands, pixels are compared of some only
            pairs.setdefault(pair[1:], pair)
    return list(pairs.values())


def on_trial(learned):
    """Whether `closest_pairs` can be relied on for such pictures, a sentence or two.

    Copies of some training pictures are made, and their originals looked for, beside
    such copies of others: where all that was taken in one way is nearer than what shows
    the same thing, copies aren't recognised.

    learned: a `Learned`."""
    train = learned.pictures
    drawn = np.random.default_rng(0).permutation(len(train))[: 2 * TRIALS]
    originals, others = np.array_split(drawn, 2)
    is_found = np.zeros(len(originals), bool)
    with TemporaryDirectory() as folder:
        copies = _copies(train, originals, Path(folder))
        beside = _copies(train, others, Path(folder))
        known = SimpleNamespace(
            features=np.vstack((learned.features, learned.features_of(beside))),
            features_of=learned.features_of,
            pictures=SimpleNamespace(paths=train.paths + beside.paths),
        )
        for order in (_by_distance, _by_share, _by_pixels):
            rows, _, positions = order(copies, known)
            is_found[rows] |= positions == originals[rows]
    count = int(is_found.sum())
    text = (
        f"Tried on {len(originals)} copies of pictures it learned from, changed as if "
        f"taken again a little from the side: for {count} of them, the original came "
        "out as the nearest."
    )
    if count < ENOUGH * len(originals):
        text += (
            " So here, copies may be missed. If one thing was taken several times, "
            "keep one picture of it, or go by when and where the pictures were taken."
        )
    return text


def _copies(pictures, rows, folder):
    """Changed copies of some `Pictures`, written into a folder."""
    originals = pictures[rows]
    paths = [folder / f"{row}.jpg" for row in rows]
    for path, image in zip(paths, small(originals.paths), strict=True):
        _changed(image).save(path, quality=90)
    return replace(originals, paths=tuple(paths))


def _changed(image):
    """A copy of an image, about as a second shot of it would be."""
    corners = (np.array(CORNERS) * image.size).ravel().tolist()
    seen = image.transform(
        image.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC
    )
    return ImageEnhance.Brightness(seen).enhance(DARKER)


# Each: rows of the pictures (k,), how near they are to one learned from, and to which.


def _by_distance(pictures, learned):
    distances, positions = nearest(learned.features_of(pictures), learned.features)
    return np.arange(len(pictures)), distances, positions


def _by_share(pictures, learned):
    scaler = StandardScaler().fit(learned.features)
    search = NearestNeighbors(n_neighbors=2, metric="cosine")
    search.fit(scaler.transform(learned.features))
    features = scaler.transform(learned.features_of(pictures))
    distances, positions = search.kneighbors(features)
    shares = distances[:, 0] / np.maximum(distances[:, 1], SMALLEST)
    return np.arange(len(pictures)), shares, positions[:, 0]


def _by_pixels(pictures, learned):
    looks = [fingerprint(path).look for path in pictures.paths]
    others = [fingerprint(path).look for path in learned.pictures.paths]
    rows, positions, shares = nearest_shifted(looks, others)
    return rows, shares, positions


def _sorted(rows, distances, positions):
    """An `Across` a row, the smallest distance first."""
    pairs = []
    for i in np.argsort(distances, kind="stable"):
        pairs.append(Across(float(distances[i]), int(rows[i]), int(positions[i])))
    return pairs


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
