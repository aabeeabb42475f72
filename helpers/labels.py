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


def read_table(file):
    """The rows of one of this package's .tsv files, as lists of strings, without the header."""
    lines = (resources.files("helpers") / file).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


@cache
def imagenet_classes():
    """The 1000 (wnid, name) pairs as in Keras's own class index: sorted by wnid, as outputs are."""
    return tuple(map(tuple, read_table("imagenet_classes.tsv")))


def decode(probabilities, classes, top=5):
    """The `top` most probable classes (all, where there are fewer), best first.
    probabilities: floats, (classes,) or (pictures, classes); classes: (wnid, name) pairs or plain
    names, in output order. Returns a list of `Prediction`, or one a picture. ValueError where the
    lengths differ, for NaN and for top < 1. See `keras.applications.…decode_predictions`."""
    probabilities = np.asarray(probabilities)
    if probabilities.shape[-1:] != (len(classes),):
        found = f"{len(classes)} classes, but probabilities of shape {probabilities.shape}"
        raise ValueError(f"{found}: pass the class list of the model that made them.")
    if top < 1 or np.isnan(probabilities).any():
        raise ValueError("top should be 1 or more, and no probability NaN (did training diverge?).")
    if probabilities.ndim > 1:
        return [decode(row, classes, top) for row in probabilities]
    # A stable sort of the negatives keeps equal probabilities in class order.
    best = [
        (classes[i], float(probabilities[i]))
        for i in np.argsort(-probabilities, kind="stable")[:top]
    ]
    return [Prediction(*((c, c) if isinstance(c, str) else c), p) for c, p in best]


@cache
def groups():
    """Groups of ImageNet classes that mean one thing to people: {group name: wnids}."""
    places = {  # in the table
        "computers": [527, 590, 620, 681],  # desktop, hand-held, laptop, notebook
        "cats": range(281, 286),  # tabby … Egyptian cat: the house cats
        "dogs": range(151, 269),  # Chihuahua … Mexican hairless
        "birds": [*range(7, 25), *range(80, 101), *range(127, 147)],  # cock … albatross
    }
    return {name: tuple(imagenet_classes()[i][0] for i in places[name]) for name in places}


def group_probability(probabilities, classes, group):
    """The probability that one of a group's classes is shown: the sum over its members.
    probabilities: floats (…, classes); classes: (wnid, name) pairs; group: a name from `groups()`.
    Returns floats (…,). ValueError where the group is unknown, the model has none of its classes,
    or the lengths differ."""
    if group not in groups():
        raise ValueError(f"No group {group!r}; there are {', '.join(groups())}.")
    member = np.array([wnid in groups()[group] for wnid, _ in classes])
    if member.shape != np.shape(probabilities)[-1:]:
        raise ValueError("This is the class list of another model: pass that of this one.")
    if not member.any():
        raise ValueError(f"No class of the group {group!r} here: ask a model that knows one.")
    return np.asarray(probabilities)[..., member].sum(axis=-1)
