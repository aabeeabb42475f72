"""A classifier in one file: its class names, crop and preprocessing travel along."""

import gc
import html
import json
import os
import re
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain, count
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np

from helpers.fetch import printable
from helpers.files import digest, note_digest, shipped, whole
from helpers.images import to_batch
from helpers.measure import Timing
from helpers.models import (
    DOCUMENTS,
    Classifier,
    ModelFileError,
    check_finite,
    ends_in_softmax,
    load_classifier,
    parse_details,
    unchanged,
)
from helpers.portable import for_older_keras
from helpers.training import base_of, preprocessed


def as_classifier(model, classes, name="mine", rule=None):
    """A trained model of logits for RGB 0…255, as of `new_model` and `fit`, as a `Classifier`.
    classes: names, as `Dataset.classes`, or (wnid, name) pairs, in output order; a name without a
    WordNet id stands for both. rule: how a picture becomes a square, None: `model.rule`.
    ValueError where classes and outputs differ, the outputs are no logits or no rule is known."""
    pairs = tuple((c, c) if isinstance(c, str) else tuple(c) for c in classes)
    if model.output_shape != (None, len(pairs)):
        raise ValueError(f"{len(pairs)} classes, but the model's output is {model.output_shape}.")
    rule = rule or getattr(model, "rule", None)
    if rule is None:
        raise ValueError("How do pictures become squares? Give the rule the model was trained by.")
    if ends_in_softmax(model, model.input_shape[1] or 64):
        raise ValueError("The model ends in a softmax: a Classifier needs its logits, without it.")
    terms = getattr(model, "terms", "")  # those of the base, as `new_model` notes them
    return Classifier(name, model, model.input_shape[1], rule, unchanged, pairs, terms)


def save_classifier(classifier, path):
    """Save a `Classifier` as one .keras file for RGB 0…255 → its path. `load_classifier` reads it.
    In it, as layers, is the model's own preprocessing, so that nobody can get it wrong; beside
    Keras's own members, which `keras.models.load_model` reads, lie classes.json, the (wnid, name)
    pairs, and classifier.json: name, size, resize rule, and the terms of pretrained weights.
    Outputs stay logits. The file appears whole or not at all. ValueError for another suffix, a
    preprocessing that is no scaling, layers that are not Keras's own, and weights that are no
    numbers.
    """
    path = _with_suffix(path, ".keras")
    check_finite(classifier.network, classifier.name)
    with whole(path) as part:
        raw_network(classifier).save(part)
        for_older_keras(part)
        with ZipFile(part, "a") as file:
            for name, text in _documents(classifier).items():
                file.writestr(name, text)
        try:
            load_classifier(part)
        except ModelFileError as error:
            raise ValueError(
                f"{classifier.name} is not saved: its file could not be loaded safely. Replace "
                "Lambda and custom layers by Keras's own."
            ) from error
    return path


def raw_network(classifier):
    """The classifier's network for RGB 0…255 (n, size, size, 3), without what only training needs:
    optimiser, augmentation. Where there is something to prepare its layers are as `new_model`
    makes them: preprocess, base, and the last one. Weights are shared with `classifier.network`.
    ValueError for augmentation that does not come first."""
    from helpers import keras

    network, inputs = classifier.network, keras.Input((classifier.size, classifier.size, 3))
    prepared = preprocessed(inputs, classifier)
    if prepared is inputs:
        start, layers = network.inputs[0], [*network.layers]
        while isinstance(layers[0], keras.layers.InputLayer) or _random(layers[0]):
            start = layers.pop(0).output
        if any(_random(layer, any) for layer in layers):
            raise ValueError(
                "Augmentation should come first in a model, in layers or blocks of its own, so "
                "that it can be left out."
            )
        return keras.Model(start, network.outputs[0], name="classifier")
    outputs = network.layers[-1](base_of(classifier)(prepared))
    return keras.Model(inputs, outputs, name="classifier")


def _random(layer, which=all):
    """Whether a layer, or `which` of those in a block, changes pictures at random."""
    inner = [part for part in getattr(layer, "layers", ()) if type(part).__name__ != "InputLayer"]
    if inner:
        return which(_random(part, which) for part in inner)
    return type(layer).__name__.startswith("Random")


def export_onnx(classifier, path):
    """Export a `Classifier` for other runtimes, browsers and languages as .onnx → its path.
    The graph takes "image", RGB 0…255, float32 (n, size, size, 3), and gives "probabilities",
    float32 (n, classes), each row with sum 1. The file's metadata_props hold classes.json and
    classifier.json, as `save_classifier` writes them. ValueError for another suffix, and as there.
    See keras.Model.export."""
    path = _with_suffix(path, ".onnx")
    with whole(path) as part, _quiet(), _collected():
        import onnx

        _graph(classifier, part, "onnx")
        model = onnx.load(part)
        (start,), (end,) = model.graph.input, model.graph.output
        for tensor in (start, end):
            tensor.type.tensor_type.shape.dim[0].dim_param = "n"
        for node in model.graph.node:
            node.output[:] = ["probabilities" if o == end.name else o for o in node.output]
        end.name = "probabilities"
        onnx.helper.set_model_props(model, _documents(classifier))
        onnx.save(model, part)
    return path


def export_litert(classifier, path, calibration=None):
    """Export a `Classifier` for phones and small devices as .tflite → its path.
    The graph is that of `export_onnx`, for one picture at a time or several. calibration: None
    keeps float32; or some 100 pictures of the kind it will see, not those it is judged by: weights
    and activations become int8, scaled by what these pictures need (in- and output stay float32).
    classes.json and classifier.json lie in a zip archive at the end of the file, where LiteRT's own
    metadata tools keep such files. ValueError as in `export_onnx`. See tf.lite.TFLiteConverter."""
    path = _with_suffix(path, ".tflite")
    with whole(path) as part, _quiet():
        import tensorflow as tf

        _graph(classifier, part.with_name("graph"), "tf_saved_model")
        converter = tf.lite.TFLiteConverter.from_saved_model(str(part.with_name("graph")))
        if calibration is not None:
            pixels = to_batch(calibration, classifier.size, classifier.rule)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([row[None]] for row in pixels)
        part.write_bytes(converter.convert())
        with ZipFile(part, "a") as file:
            for name, text in _documents(classifier).items():
                file.writestr(name, text)
    return path


class Exported(Classifier):
    """An exported file as a `Classifier`; `network` runs its graph, RGB 0…255 → probabilities."""

    def probabilities(self, images):
        """What the graph gives: float32, (pictures, classes), each row sums to 1."""
        return self.network(self.prepare(images))

    def forward(self, batch):
        """Logarithms of the probabilities: the graph's logits but for a constant a picture."""
        return np.log(np.maximum(self.network(batch), 1e-30))

    def key(self):
        """SHA-256 of the file, in hexadecimal."""
        return self.network.digest


def load_exported(path):
    """A file of `export_onnx` or `export_litert`, in onnxruntime or LiteRT, as an `Exported`.
    Neither needs TensorFlow. Both run on all cores. Open files of people you trust: unlike
    `load_classifier` this leaves all checks to the runtime. ModelFileError for a file of another
    kind or without class list and resize rule, FileNotFoundError where there is none."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check its name and folder.")
    try:
        run, documents = {".onnx": _onnx, ".tflite": _litert}[path.suffix](path)
        run.digest = digest(path)
        return Exported(network=run, preprocess_input=unchanged, **parse_details(**documents))
    except MemoryError:
        raise
    except Exception as error:  # the runtimes raise their own kinds for a damaged file
        raise ModelFileError(
            f"{path} is no file of export_onnx or export_litert ({error}): export it again."
        ) from error


def _onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    documents = session.get_modelmeta().custom_metadata_map
    return lambda batch: session.run(["probabilities"], {"image": batch})[0], documents


def _litert(path):
    with ZipFile(path) as file:
        documents = {name: file.read(name).decode() for name in DOCUMENTS}
    with _quiet():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=os.cpu_count())
        interpreter.allocate_tensors()
    start, end = (
        d[0]["index"] for d in (interpreter.get_input_details(), interpreter.get_output_details())
    )

    turn = Lock()  # an interpreter holds one picture at a time

    def run(batch):
        rows = []
        for picture in batch:
            with turn:
                interpreter.set_tensor(start, picture[None])
                interpreter.invoke()
                rows.append(interpreter.get_tensor(end)[0])
        return np.stack(rows)

    return run, documents


class Parity(NamedTuple):
    """How well two classifiers agree: share of pictures with the same answer, as an `Estimate`
    of helpers.evaluate, and the largest difference of any probability."""

    same: tuple
    difference: float

    def __repr__(self):
        return f"same answer ≈{self.same}, largest difference ≈{self.difference:.4f}"


def parity(reference, other, images):
    """Compare two `Classifier`s, such as one and its `load_exported`, on real pictures → `Parity`.
    images: a list, of the kind they are used for. ValueError where there are none, and where the
    class lists differ: then equal positions mean different things."""
    from helpers.evaluate import accuracy

    if reference.classes != other.classes:
        raise ValueError(
            f"{reference.name} and {other.name} have other classes, or in another order: compare "
            "a model with its own export."
        )
    if not len(images):
        raise ValueError("There is no picture to compare on: give some, of the kind you expect.")
    a, b = (
        np.concatenate([c.probabilities(images[i : i + 8]) for i in range(0, len(images), 8)])
        for c in (reference, other)
    )
    return Parity(accuracy(a.argmax(axis=1), b.argmax(axis=1)), float(np.abs(a - b).max()))


CARD = """# {name}: model card

Every figure here was measured; ≈ marks what differs a little when it is trained or measured again.
What only its author can know is marked **TO FILL IN**.

| | |
| --- | --- |
| input | RGB pictures, values 0…255, {size}×{size} pixels; rescaling is inside |
| how a picture becomes a square | {rule} |
| output | one number for each of {n} classes, in this order: {classes} |

## How good it is
Measured on: {data}. In brackets: of a share the 95 % interval, of a time the middle half.

| measure | result |
| --- | --- |
{rows}

## What it was made from
{origin}
**TO FILL IN:** which pictures it learned from, whose they are and on what terms{more}.

## What it is for, and what it cannot do
It always answers with one of its classes: there is no "none of these".

**TO FILL IN:** what it was made for and must not be used for; on which pictures, places, devices
and people it was not tried; which errors it makes most often, and what they cost.
"""


def model_card(classifier, path, data, measured):
    """Write a model card, Markdown, from measurements (Mitchell et al. 2019) → its path.
    data: what it was measured on, in words; measured: {measure: `Estimate`, `Parity`, `Timing` or
    text with a computed figure}, an `Estimate` of the accuracy among them, else ValueError. What
    cannot be measured is marked for the author to fill in; see `write_card`."""
    from helpers.evaluate import Estimate

    if not any(isinstance(value, Estimate) for value in measured.values()):
        raise ValueError("A card needs a measured accuracy: helpers.evaluate.accuracy makes one.")
    rule, names = classifier.rule, [name for _, name in classifier.classes]
    lines = (
        f"| {name} | {'≈' * isinstance(value, Estimate | Timing)}{value} |"
        for name, value in measured.items()
    )
    of = {"square": "its short side, from the centre", "each_side": "each side, then squashed"}
    some = names if len(names) <= 20 else [*names[:10], f"… ({len(names)} in all)"]
    text = CARD.format(
        name=plain(classifier.name), size=classifier.size, n=len(names),
        classes=", ".join(map(plain, some)),
        data=data,
        rule=f"{100 * rule.fraction:g} % of {of[rule.shape]}; {rule.filter}, antialiased",
        rows="\n".join(lines),
        origin=f"{plain(classifier.terms)}\n" if classifier.terms else "",
        more="" if classifier.terms else "; the pretrained\nmodel it starts from, and its terms",
    )  # fmt: skip
    return write_card(path, text)


def write_card(path, text):
    """Write a card's text at `path` → its path. Only a card that is as it was written, by the hash
    in SHA256SUMS beside it, is replaced: where somebody has filled it in, the new one goes to
    NAME_new, NAME_new2 and so on. The file appears whole or not at all."""
    path = Path(path).expanduser()
    others = (path.with_stem(f"{path.stem}_new{n}") for n in chain([""], count(2)))
    free = (p for p in chain([path], others) if not p.exists() or p.is_file() and shipped(p))
    path = next(free)
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
    note_digest(path)
    return path


def plain(text):
    """A text, such as a stranger's class name, that Markdown shows as it is, in a table as well."""
    text = html.escape(printable(" ".join(text.split())), quote=False)
    return re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", text)


def _documents(classifier):
    """What travels beside the graph: {file name: JSON text}."""
    details = {
        "name": classifier.name,
        "size": classifier.size,
        "rule": asdict(classifier.rule),
        "terms": classifier.terms,
    }
    texts = (json.dumps(document, indent=0) for document in (classifier.classes, details))
    return dict(zip(DOCUMENTS, texts, strict=True))


def _with_suffix(path, suffix):
    path = Path(path).expanduser()
    if path.suffix != suffix:
        raise ValueError(f"{path} should end in {suffix}: other programs go by it.")
    return path


def _graph(classifier, path, format):
    """Keras's export of RGB 0…255 → probabilities."""
    from helpers import keras

    inputs = keras.Input((classifier.size, classifier.size, 3))
    outputs = keras.layers.Softmax()(raw_network(classifier)(inputs))
    spec = keras.InputSpec("float32", (None, *inputs.shape[1:]), name="image")
    keras.Model(inputs, outputs).export(
        str(path), format=format, input_signature=[spec], verbose=False
    )


@contextmanager
def _collected():
    """tf2onnx copies the graph some hundred times; the copies refer to themselves, are large, and
    few by Python's count, so that they would pile up (0.9 GB for EfficientNet-Lite0). What is older
    is set aside, and the collector comes more often."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.collect()
    gc.set_threshold(700, 5, 2)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@contextmanager
def _quiet():
    """Converters write to file descriptor 2, from C++, and warn of their own code."""
    with tempfile.TemporaryFile() as noise, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keep = os.dup(2)
        os.dup2(noise.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(keep, 2)
            os.close(keep)
