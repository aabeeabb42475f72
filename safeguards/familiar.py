"""“None of these”: whether an image is like those that a classifier learned from.

A classifier names one of its classes whatever it's shown, and its largest probability
doesn't tell that it shows none of them. The distance to the nearest image it learned
from does: see `helpers.neighbours`, where the rule is. Here is what of those images a
classifier keeps for it, and how that's written into its file and read from a
stranger's."""

import json
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MOST = 1000  # images that a classifier keeps the features of
LONGEST_NAME = 1000  # letters
DOCUMENT = "familiar.json"
TABLE = "familiar.float16"  # its numbers, row by row, the low byte first
FILES = (DOCUMENT, TABLE)  # beside a network, in a file of `save_classifier`


class Judged(NamedTuple):
    """How far an image is from the nearest one learned from.

    distance: a cosine distance, 0…2; nearest: that image's name; unlike: whether it's
    further than the usual."""

    distance: float
    nearest: str
    unlike: bool


class Answer(list):
    """Predictions, best first, with `judged`: whether the image is like any learned
    from."""

    def __init__(self, predictions, judged):
        super().__init__(predictions)
        self.judged = judged

    def __repr__(self):
        if not self.judged.unlike:
            return super().__repr__()
        return (
            f"like nothing it learned from (the nearest is {self.judged.nearest}); of "
            f"its classes: {super().__repr__()}"
        )


@dataclass(frozen=True, eq=False)
class Familiar:
    """The images that a classifier learned from, as its features know them.

    features: float16 (m, d), each row of length 1; names: of the m images; within: the
    distance that's usual among them, 0…2."""

    features: np.ndarray
    names: tuple
    within: float

    def judge(self, features):
        """A list of `Judged`, one for each row of features, floats (n, d)."""
        features = np.asarray(features, "float32")
        length = np.linalg.norm(features, axis=1, keepdims=True)
        likeness = features / np.maximum(length, 1e-12) @ self.features.T.astype("f4")
        nearest = likeness.argmax(axis=1)
        distances = 1 - likeness[np.arange(len(features)), nearest]
        return [self.judged(*pair) for pair in zip(distances, nearest, strict=True)]

    def judged(self, distance, position):
        """The `Judged` of an image at that distance from the image at `position`."""
        distance = float(distance)
        return Judged(distance, self.names[int(position)], distance > self.within)


def familiar(features, names, within, seed=0):
    """A `Familiar` of all images learned from, or of MOST of them, drawn by `seed`.

    features: floats (m, d); names: m texts; within: as `familiar_within` returns it.
    ValueError where they don't fit together."""
    features = np.asarray(features, "float32")
    if features.ndim != 2 or len(features) != len(names) or not len(names):
        raise ValueError(
            f"Features {features.shape} and {len(names)} names: give one row a name."
        )
    chosen = np.arange(len(names))
    if len(chosen) > MOST:
        drawn = np.random.default_rng(seed).permutation(len(names))
        chosen = np.sort(drawn[:MOST])
    rows = features[chosen]
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    kept_names = tuple(str(names[row])[:LONGEST_NAME] for row in chosen)
    return Familiar(rows.astype("float16"), kept_names, float(within))


def written(known):
    """What a file of `save_classifier` holds of a `Familiar`: {member: bytes}; {} for
    None."""
    if known is None:
        return {}
    table = known.features.astype("<f2").tobytes()
    return {DOCUMENT: document(known).encode(), TABLE: table}


def document(known):
    """A `Familiar` without its features, as JSON."""
    return json.dumps({"within": known.within, "names": known.names}, indent=0)


def read(document_text, table):
    """The `Familiar` of a file's members. An exception, mostly ValueError, TypeError or
    KeyError, for anything else than `written` writes."""
    known = read_document(document_text)
    rows = np.frombuffer(table, "<f2").astype("float16")
    features = rows.reshape(len(known.names), -1)
    if not features.size or not np.isfinite(features).all():
        raise ValueError("its table of features isn't one of numbers")
    return Familiar(features, known.names, known.within)


def read_document(text):
    """A `Familiar` without its features, which an exported graph holds, of `document`'s
    text. An exception, as in `read`, for any other."""
    content = json.loads(text)
    within = content["within"]
    names = tuple(content["names"])
    if not isinstance(within, float) or not 0 <= within <= 2:
        raise ValueError("the usual distance should be a number of 0…2")
    if not 0 < len(names) <= MOST:
        raise ValueError(f"there should be 1…{MOST} names")
    for name in names:
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            raise ValueError(f"names should be texts of up to {LONGEST_NAME} letters")
        name.encode()
    return Familiar(None, names, within)
