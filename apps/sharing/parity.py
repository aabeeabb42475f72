"""How well two classifiers agree, such as one and its exported file."""

from typing import NamedTuple

import numpy as np


class Parity(NamedTuple):
    """How well two classifiers agree.
    same: the share of pictures with the same answer, an `Estimate` of
    helpers.evaluate;
    difference: the largest of any probability, 0…1."""

    same: tuple
    difference: float

    def __repr__(self):
        return f"same answer ≈{self.same}, largest difference ≈{self.difference:.4f}"


def parity(reference, other, images):
    """Compare two `Classifier`s, such as one and its `load_exported`: a `Parity`.
    images: a list of real pictures, of the kind they're used for.
    ValueError where there are none, and where the class lists differ: equal positions
    would mean different things."""
    if reference.classes != other.classes:
        raise ValueError(
            f"{reference.name} and {other.name} have other classes, or in another "
            "order: compare a model with its own export."
        )
    if not len(images):
        raise ValueError(
            "There is no picture to compare on: give some, of the kind you expect."
        )
    return parity_of(reference.probabilities(images), other.probabilities(images))


def parity_of(expected, given):
    """The `Parity` of two classifiers' probabilities for the same pictures.
    expected, given: floats (n, classes), n at least 1, classes in the same order."""
    from helpers.evaluate import accuracy

    same = accuracy(expected.argmax(axis=1), given.argmax(axis=1))
    return Parity(same, float(np.abs(expected - given).max()))
