"""The 1000 ImageNet classes, and from probabilities to names: no network needed."""

from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np


class Prediction(NamedTuple):
    """One guess: WordNet id, class name and probability (0…1)."""

    wnid: str
    name: str
    probability: float

    def __repr__(self):
        return f"{self.name} {self.probability:.2f}"


@cache
def imagenet_classes():
    """The 1000 (wnid, name) pairs in the order of every `keras.applications` model's outputs.

    The same names as `keras.applications.imagenet_utils.decode_predictions`, sorted by wnid.
    """
    lines = (resources.files("helpers") / "imagenet_classes.tsv").read_text("utf-8").splitlines()
    return tuple(tuple(line.split("\t")) for line in lines[1:])


def decode(probabilities, classes, top=5):
    """The `top` most probable classes, best first.

    probabilities: floats, (classes,) for one picture or (pictures, classes); classes: a list of
    (wnid, name) pairs or plain names, in output order. Returns a list of `Prediction`, or one
    such list a picture. ValueError where the lengths differ.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.ndim == 2:
        return [decode(row, classes, top) for row in probabilities]
    if probabilities.shape != (len(classes),):
        raise ValueError(
            f"These probabilities have the shape {probabilities.shape}, but the class list names "
            f"{len(classes)} classes. Pass the class list of the model that made them."
        )
    pairs = [(c, c) if isinstance(c, str) else tuple(c) for c in classes]
    # A stable sort of the negatives keeps equal probabilities in class order.
    best = np.argsort(-probabilities, kind="stable")[:top]
    return [Prediction(*pairs[i], float(probabilities[i])) for i in best]


def _between(first, last):
    wnids = [wnid for wnid, _ in imagenet_classes()]
    return tuple(wnids[wnids.index(first) : wnids.index(last) + 1])


@cache
def groups():
    """Groups of ImageNet classes that mean one thing to people: {group name: wnids}."""
    return {
        # desktop computer, hand-held computer, laptop, notebook (computer)
        "computers": ("n03180011", "n03485407", "n03642806", "n03832673"),
        "cats": _between("n02123045", "n02124075"),  # tabby … Egyptian cat: the house cats
        "dogs": _between("n02085620", "n02113978"),  # Chihuahua … Mexican hairless
        "birds": _between("n01514668", "n01622779")  # cock … great grey owl
        + _between("n01795545", "n01860187")  # black grouse … black swan
        + _between("n02002556", "n02058221"),  # white stork … albatross
        "insects": _between("n02165105", "n02281787"),  # tiger beetle … lycaenid
    }


def group_probability(probabilities, classes, group):
    """The probability that one of a group's classes is shown: the sum over its members.

    probabilities: floats (…, classes); classes: (wnid, name) pairs in output order; group: a name
    from `groups()` or a collection of wnids. Returns floats (…,). ValueError where the group is
    unknown or the model has none of its classes.
    """
    if isinstance(group, str) and group not in groups():
        raise ValueError(f"No group {group!r}; there are {', '.join(groups())}.")
    wnids = groups()[group] if isinstance(group, str) else group
    columns = [i for i, (wnid, _) in enumerate(classes) if wnid in wnids]
    if not columns:
        raise ValueError(f"This model has no class of the group {group!r}: choose another model.")
    return np.asarray(probabilities)[..., columns].sum(axis=-1)
