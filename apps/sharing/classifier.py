"""A trained Keras model, its class names and its resize rule: a `Classifier`."""

from collections import Counter

import numpy as np

from helpers.images import ResizeRule
from helpers.models import Classifier
from safeguards.logits import check_logits, ends_in, logits_of
from safeguards.model_files import MAX_SIDE
from safeguards.networks import check_graph
from safeguards.scaling import unchanged


def as_classifier(
    model, classes, name="mine", rule=None, size=None, outputs=None, familiar=None
):
    """Make a `Classifier` of a trained model for RGB 0…255, as `new_model` and `fit`
    leave it.
    classes: names, as in `Dataset.classes`, or (wnid, name) pairs, in output order; a
    name without a WordNet id stands for both;
    rule: how a picture becomes a square, None: `model.rule`;
    size: pixels a side, needed where the model takes pictures of any size;
    outputs: "logits" or "probabilities", needed where the model's last layers don't
    tell what it puts out, and then tried with three pictures. The classifier takes
    the logarithms of probabilities;
    familiar: the images it learned from, see `familiar` of safeguards.familiar.
    ValueError where classes and outputs differ in number or classes have no order, the
    outputs are neither, the input isn't a square RGB picture, or no rule is known."""
    check_graph(model)
    size = _side(model, size)
    pairs = _pairs(classes)
    if outputs is not None or ends_in(model).what == "softmax":
        model = logits_of(model, outputs, size)
    check_logits(model, "a Classifier")
    if model.output_shape != (None, len(pairs)):
        raise ValueError(
            f"{len(pairs)} classes, but the model's output is {model.output_shape}."
        )
    rule = rule or getattr(model, "rule", None)
    if rule is None:
        raise ValueError(
            "How do pictures become squares? Give the rule the model was trained by."
        )
    if not isinstance(rule, ResizeRule):
        raise ValueError(
            f"rule={rule!r:.100} should be a ResizeRule of helpers.images."
        )
    terms = getattr(model, "terms", "")  # those of the base, as `new_model` notes them
    return Classifier(name, model, size, rule, unchanged, pairs, terms, familiar)


def _side(model, size):
    """Pixels a side of the pictures a model takes. size: as given, or None.
    ValueError where the model takes something else than square RGB pictures."""
    if size is not None:
        _check_size(size)
    shape = _input_shape(model)
    sides = {side for side in (*shape[1:3], size) if side is not None}
    if not sides:
        raise ValueError(
            "The model takes pictures of any size: give size, the pixels a side it was "
            "trained with, such as size=224."
        )
    if len(sides) > 1:
        given = "" if size is None else f", and size={size} was given"
        raise ValueError(
            f"The model's input is {shape}{given}: a Classifier takes squares, of the "
            "size the model was built for."
        )
    size = int(sides.pop())
    try:
        model.compute_output_shape((None, size, size, 3))
    except ValueError as error:
        raise ValueError(
            f"Pictures of {size} pixels become too small on their way through the "
            "model: give a larger size."
        ) from error
    return size


def _check_size(size):
    """ValueError for a size that isn't a sensible number of pixels."""
    whole_number = isinstance(size, int | np.integer) and not isinstance(size, bool)
    if not whole_number or not 0 < size <= MAX_SIDE:
        raise ValueError(
            f"size={size!r} should be pixels a side, a whole number of 1…{MAX_SIDE}."
        )


def _input_shape(model):
    """The shape of a model's only input, (None, height, width, 3).
    ValueError where there are several inputs, or it has another shape."""
    if len(model.inputs) > 1:
        names = ", ".join(tensor.name for tensor in model.inputs)
        raise ValueError(
            f"The model has {len(model.inputs)} inputs ({names}), but a Classifier "
            "answers one picture: build a keras.Model whose only input is the picture."
        )
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(
            f"The model's input is {shape}, but a Classifier takes RGB pictures, "
            "(None, size, size, 3). Of grey ones, make grey inside the model: "
            "keras.ops.image.rgb_to_grayscale."
        )
    if shape[0] is not None:
        raise ValueError(
            f"The model takes {shape[0]} pictures at a time, no more and no fewer. "
            "Call it on a keras.Input((size, size, 3)), and pass a keras.Model from "
            "this to what it returns."
        )
    return shape


def _pairs(classes):
    """A tuple of (wnid, name) pairs from class names or such pairs.
    ValueError for anything else, and where two classes have the same id."""
    if isinstance(classes, set | frozenset | dict):
        raise ValueError(
            f"A {type(classes).__name__} of classes does not say which output is "
            "which: give a list, in the order of the labels the model was trained "
            "with, such as dataset.classes."
        )
    if isinstance(classes, str | bytes):  # else each letter would be a class
        raise ValueError(f"classes={classes!r:.100} is one name: give a list of names.")
    try:
        pairs = tuple(_pair(entry) for entry in classes)
    except (TypeError, ValueError):  # not a list, or an entry that isn't a pair
        raise ValueError(
            "classes should be a list of names, or of (wnid, name) pairs, in output "
            f"order, not {classes!r:.100}."
        ) from None
    # WordNet ids tell classes apart: ImageNet has two kinds of crane, and of maillot.
    times = Counter(wnid for wnid, _ in pairs)
    repeated = sorted(wnid for wnid in times if times[wnid] > 1)
    if repeated:
        raise ValueError(
            f"{', '.join(repeated)!r:.100} stands for more than one class: give each a "
            "name of its own."
        )
    return pairs


def _pair(entry):
    """(wnid, name) from a class's name or such a pair; TypeError or ValueError."""
    wnid, name = (entry, entry) if isinstance(entry, str) else entry
    if not isinstance(wnid, str) or not isinstance(name, str):
        raise TypeError("not texts")
    if not wnid.strip() or not name.strip():
        raise ValueError("an empty text")
    return str(wnid), str(name)  # without NumPy's kind of text
