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


def _checked(probabilities, classes):
    probabilities = np.asarray(probabilities)
    if probabilities.shape[-1:] != (len(classes),):
        found = f"{len(classes)} classes, but probabilities of shape {probabilities.shape}"
        raise ValueError(f"{found}: pass the class list of the model that made them.")
    if np.isnan(probabilities).any():
        raise ValueError("NaN is no probability: did training diverge? Lower the learning rate.")
    return probabilities


def decode(probabilities, classes, top=5):
    """The `top` most probable classes (all, where there are fewer), best first.

    probabilities: floats, (classes,) for one picture or (pictures, classes); classes: a list of
    (wnid, name) pairs or plain names, in output order. Returns a list of `Prediction`, or one
    such list a picture. ValueError where the lengths differ, for NaN and for top < 1.
    """
    probabilities = _checked(probabilities, classes)
    if top < 1:
        raise ValueError(f"top is how many classes to name, 1 or more, not {top}.")
    if probabilities.ndim > 1:
        return [decode(row, classes, top) for row in probabilities]
    pairs = [(c, c) if isinstance(c, str) else tuple(c) for c in classes]
    # A stable sort of the negatives keeps equal probabilities in class order.
    best = np.argsort(-probabilities, kind="stable")[:top]
    return [Prediction(*pairs[i], float(probabilities[i])) for i in best]


_MEMBERS = {  # by their places in the table
    "computers": [527, 590, 620, 681],  # desktop, hand-held, laptop, notebook
    "cats": range(281, 286),  # tabby … Egyptian cat: the house cats
    "dogs": range(151, 269),  # Chihuahua … Mexican hairless
    # cock … great grey owl, black grouse … black swan, white stork … albatross
    "birds": [*range(7, 25), *range(80, 101), *range(127, 147)],
    "insects": range(300, 327),  # tiger beetle … lycaenid
}


@cache
def groups():
    """Groups of ImageNet classes that mean one thing to people: {group name: wnids}."""
    return {g: tuple(imagenet_classes()[i][0] for i in places) for g, places in _MEMBERS.items()}


def group_probability(probabilities, classes, group):
    """The probability that one of a group's classes is shown: the sum over its members.

    probabilities: floats (…, classes); classes: as for `decode`; group: a name from `groups()` or
    a list of wnids. Returns floats (…,). ValueError where the group is unknown, the model has
    none of its classes, or the lengths differ.
    """
    if isinstance(group, str) and group not in groups():
        raise ValueError(f"No group {group!r}; there are {', '.join(groups())}.")
    wnids = groups()[group] if isinstance(group, str) else group
    columns = [i for i, c in enumerate(classes) if (c if isinstance(c, str) else c[0]) in wnids]
    if not columns:
        raise ValueError(f"This model has no class of the group {group!r}: choose another model.")
    return _checked(probabilities, classes)[..., columns].sum(axis=-1)
