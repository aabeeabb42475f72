"""The names of the 1000 ImageNet classes, and how probabilities become names."""

from functools import cache
from typing import NamedTuple

import numpy as np

from safeguards.tables import read_table


class Prediction(NamedTuple):
    """One guess: WordNet id, class name and probability (0…1)."""

    wnid: str
    name: str
    probability: float

    def __repr__(self):
        return f"{self.name} {self.probability:.2f}"


@cache
def imagenet_classes():
    """The 1000 (wnid, name) pairs in the order of the networks' outputs.
    They are those of Keras's own class index, sorted by wnid."""
    return tuple(
        (wnid, name) for wnid, name in read_table("helpers", "imagenet_classes.tsv")
    )


def decode(probabilities, classes, top=5):
    """The `top` most probable classes (all, where there are fewer), best first.
    probabilities: floats, (classes,) or (pictures, classes); classes: (wnid, name)
    pairs or plain names, in the order of the outputs. Returns a list of `Prediction`,
    or a list of these lists, one per picture. ValueError where the lengths differ, for
    NaN and for top < 1. See `keras.applications.…decode_predictions`."""
    probabilities = np.asarray(probabilities)
    if probabilities.shape[-1:] != (len(classes),):
        raise ValueError(
            f"{len(classes)} classes, but probabilities of shape "
            f"{probabilities.shape}: pass the class list of the model that made them."
        )
    if top < 1 or np.isnan(probabilities).any():
        raise ValueError(
            "top should be 1 or more, and no probability NaN (did training diverge?)."
        )
    if probabilities.ndim > 1:
        return [decode(row, classes, top) for row in probabilities]
    # A stable sort of the negatives keeps equal probabilities in class order.
    best_first = np.argsort(-probabilities, kind="stable")
    predictions = []
    for position in best_first[:top]:
        label = classes[position]
        wnid, name = (label, label) if isinstance(label, str) else label
        predictions.append(Prediction(wnid, name, float(probabilities[position])))
    return predictions


# Groups of ImageNet classes that mean one thing to people: positions in the table.
GROUPS = {
    "computers": [527, 590, 620, 681],  # desktop, hand-held, laptop, notebook
    "cats": range(281, 286),  # tabby … Egyptian cat: the house cats
    "dogs": range(151, 269),  # Chihuahua … Mexican hairless
    "birds": [*range(7, 25), *range(80, 101), *range(127, 147)],  # cock … albatross
}


@cache
def groups():
    """Groups of ImageNet classes that mean one thing to people: {group name: wnids}."""
    wnids = [wnid for wnid, _ in imagenet_classes()]
    return {
        name: tuple(wnids[position] for position in positions)
        for name, positions in GROUPS.items()
    }


def group_probability(probabilities, classes, group):
    """The probability that the picture shows one of a group's classes: their sum.
    probabilities: floats (…, classes); classes: (wnid, name) pairs; group: a name from
    `groups()`. Returns floats (…,). ValueError where the group is unknown, the model
    has none of its classes, or the lengths differ."""
    if group not in groups():
        raise ValueError(f"No group {group!r}; there are {', '.join(groups())}.")
    members = groups()[group]
    is_member = np.array([wnid in members for wnid, _ in classes])
    if is_member.shape != np.shape(probabilities)[-1:]:
        raise ValueError(
            "This is the class list of another model: pass that of this one."
        )
    if not is_member.any():
        raise ValueError(
            f"No class of the group {group!r} here: ask a model that knows one."
        )
    return np.asarray(probabilities)[..., is_member].sum(axis=-1)
