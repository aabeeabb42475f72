"""A classifier in one file: its class names, crop and preprocessing travel along."""

import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from zipfile import ZipFile

from helpers.models import Classifier, ModelFileError, load_classifier, unchanged
from helpers.training import base_of, preprocessed


def as_classifier(model, classes, name="mine", rule=None):
    """A trained model of logits for RGB 0…255, as of `new_model` and `fit`, as a `Classifier`.
    classes: names, as `Dataset.classes`, or (wnid, name) pairs, in output order; a name without a
    WordNet id stands for both. rule: how a picture becomes a square, None: `model.rule`.
    ValueError where classes and outputs differ, the outputs are no logits or no rule is known."""
    from helpers import keras

    pairs = tuple((c, c) if isinstance(c, str) else tuple(c) for c in classes)
    if model.output_shape != (None, len(pairs)):
        raise ValueError(f"{len(pairs)} classes, but the model's output is {model.output_shape}.")
    if getattr(model.layers[-1], "activation", None) is keras.activations.softmax:
        raise ValueError("The model ends in a softmax: a Classifier needs its logits, without it.")
    rule = rule or getattr(model, "rule", None)
    if rule is None:
        raise ValueError("How do pictures become squares? Give the rule the model was trained by.")
    return Classifier(name, model, model.input_shape[1], rule, unchanged, pairs)


def save_classifier(classifier, path):
    """Save a `Classifier` as one .keras file for RGB 0…255 → its path. `load_classifier` reads it.
    In it, as layers, is the model's own preprocessing, so that nobody can get it wrong; beside
    Keras's own members, which `keras.models.load_model` reads, lie classes.json, the (wnid, name)
    pairs, and classifier.json: name, size, resize rule. Outputs stay logits. The file appears
    whole or not at all. ValueError for another suffix, a preprocessing that is no scaling, and
    layers that are not Keras's own.
    """
    path = Path(path).expanduser()
    if path.suffix != ".keras":
        raise ValueError(f"{path} should end in .keras, the format that cannot run code.")
    details = {"name": classifier.name, "size": classifier.size, "rule": asdict(classifier.rule)}
    with _whole(path) as part:
        raw_network(classifier).save(part)
        with ZipFile(part, "a") as file:
            file.writestr("classes.json", json.dumps(classifier.classes, indent=0))
            file.writestr("classifier.json", json.dumps(details, indent=0))
        try:
            load_classifier(part)
        except ModelFileError as error:
            raise ValueError(
                f"{classifier.name} is not saved: its file could not be loaded safely. Replace "
                "Lambda and custom layers by Keras's own."
            ) from error
    return path


def raw_network(classifier):
    """The classifier's network for RGB 0…255 (n, size, size, 3), without what training left.
    Where there is something to prepare its layers are as `new_model` makes them: preprocess, base,
    and the last one. The weights are shared with `classifier.network`."""
    from helpers import keras

    network, inputs = classifier.network, keras.Input((classifier.size, classifier.size, 3))
    prepared = preprocessed(inputs, classifier)
    if prepared is inputs:
        return keras.Model(network.inputs, network.outputs, name="classifier")
    outputs = network.layers[-1](base_of(classifier)(prepared))
    return keras.Model(inputs, outputs, name="classifier")


@contextmanager
def _whole(path):
    """A file to write, in a folder of its own, that is moved to `path` if all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".incoming-") as folder:
        part = Path(folder) / path.name
        yield part
        os.replace(part, path)
