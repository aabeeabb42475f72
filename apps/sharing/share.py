"""A classifier in one file: its class names, crop and preprocessing travel along."""

import gc
import json
import os
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from PIL import Image
from scipy.special import softmax

from apps.sharing.portable import for_older_keras
from helpers.images import ResizeRule, resize, to_batch
from helpers.models import AT_ONCE, Classifier, load_classifier, unchanged
from helpers.timing import Timing
from helpers.training import preprocessed
from safeguards.keys import key_of
from safeguards.logits import check_logits, ends_in, logits_of
from safeguards.model_files import DOCUMENTS, MAX_SIDE, ModelFileError, check_finite, parse_details
from safeguards.networks import (
    assembled,
    check_graph,
    only_trains,
    operations,
    replay,
    rewired,
    run,
    set_weights,
)
from safeguards.text import plain
from safeguards.whole_files import atomic_write, digest, note_digest, shipped

RUNTIMES = {".onnx": "onnxruntime", ".tflite": "LiteRT"}
# How far an export may be from the classifier, in the probability of a class: …
EXACT = 1e-3
EXACT_LOG = 0.02  # … and in its logarithm
REPEATED = 1e-4  # how far a second answer may be from the first, as a share of the largest
ROUNDED = 0.1  # where the classifier itself works in half precision, or on one picture
INT8 = 0.15  # … on average, of pictures that it was calibrated with
# Names of dtypes and of Keras's policies that a runtime may not know, or answer in.
HALF = {"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"}


def as_classifier(model, classes, name="mine", rule=None, size=None, outputs=None):
    """A trained model for RGB 0…255, as of `new_model` and `fit`, as a `Classifier`.
    classes: names, as `Dataset.classes`, or (wnid, name) pairs, in output order; a name
    without a WordNet id stands for both. rule: how a picture becomes a square, None:
    `model.rule`. size: pixels a side, needed where the model takes pictures of any
    size. outputs: "logits" or "probabilities", needed where the model's last layers do
    not tell what it puts out, and then tried with three pictures; of probabilities the
    classifier takes logarithms. ValueError where classes and outputs differ or classes
    have no order, the outputs are neither, the input is no square RGB picture, or no
    rule is known."""
    check_graph(model)
    size = _side(model, size)
    pairs = _pairs(classes)
    if outputs is not None or ends_in(model).what == "softmax":
        model = logits_of(model, outputs, size)
    check_logits(model, "a Classifier")
    if model.output_shape != (None, len(pairs)):
        raise ValueError(f"{len(pairs)} classes, but the model's output is {model.output_shape}.")
    rule = rule or getattr(model, "rule", None)
    if rule is None:
        raise ValueError("How do pictures become squares? Give the rule the model was trained by.")
    terms = getattr(model, "terms", "")  # those of the base, as `new_model` notes them
    return Classifier(name, model, size, rule, unchanged, pairs, terms)


def _side(model, size):
    """Pixels a side of the pictures a model takes; ValueError where it takes something else."""
    if size is not None and not (isinstance(size, int | np.integer) and 0 < size <= MAX_SIDE):
        raise ValueError(f"size={size!r} should be pixels a side, a whole number of 1…{MAX_SIDE}.")
    if len(model.inputs) > 1:
        names = ", ".join(tensor.name for tensor in model.inputs)
        raise ValueError(
            f"The model has {len(model.inputs)} inputs ({names}), but a Classifier answers one "
            "picture: build a keras.Model whose only input is the picture."
        )
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(
            f"The model's input is {shape}, but a Classifier takes RGB pictures, (None, size, size,"
            " 3). Of grey ones, make grey inside the model: keras.ops.image.rgb_to_grayscale."
        )
    if shape[0] is not None:
        raise ValueError(
            f"The model takes {shape[0]} pictures at a time, no more and no fewer. Call it on a "
            "keras.Input((size, size, 3)), and pass a keras.Model from this to what it returns."
        )
    height, width = shape[1:3]
    if height is None and width is None and size is None:
        raise ValueError(
            "The model takes pictures of any size: give size, the pixels a side it was trained "
            "with, such as size=224."
        )
    sides = {side for side in (height, width, size) if side is not None}
    if len(sides) > 1:
        given = "" if size is None else f", and size={size} was given"
        raise ValueError(
            f"The model's input is {shape}{given}: a Classifier takes squares, of the size the "
            "model was built for."
        )
    return int(sides.pop())


def _pairs(classes):
    """Class names or (wnid, name) pairs → a tuple of pairs; ValueError for anything else."""
    if isinstance(classes, set | frozenset | dict):
        raise ValueError(
            f"A {type(classes).__name__} of classes does not say which output is which: give a "
            "list, in the order of the labels the model was trained with, such as dataset.classes."
        )
    try:
        entries = [(c, c) if isinstance(c, str) else tuple(c) for c in classes]
        pairs = tuple((str(w), str(n)) for w, n in entries if isinstance(w, str))
        sound = len(pairs) == len(entries) and all(isinstance(n, str) for _, n in entries)
    except (TypeError, ValueError):  # what is no list, and an entry that is no pair
        sound = False
    if not sound or not all(name.strip() for pair in pairs for name in pair):
        raise ValueError(
            f"classes should be a list of names, or of (wnid, name) pairs, in output order, not "
            f"{classes!r:.100}."
        )
    # WordNet ids tell classes apart: ImageNet has two kinds of crane, and of maillot.
    ids = [wnid for wnid, _ in pairs]
    if twice := sorted({wnid for wnid in ids if ids.count(wnid) > 1}):
        raise ValueError(
            f"{', '.join(twice)!r:.100} stands for more than one class: give each a name of its "
            "own."
        )
    return pairs


def save_classifier(classifier, path):
    """Save a `Classifier` as one .keras file for RGB 0…255 → its path. `load_classifier` reads it.
    In it, as layers, is the model's own preprocessing, so that nobody can get it wrong; beside
    Keras's own members, which `keras.models.load_model` reads, lie classes.json, the (wnid, name)
    pairs, and classifier.json: name, size, resize rule, and the terms of pretrained weights.
    Outputs stay logits. The file appears whole or not at all, and only if it answers as the
    classifier does. ValueError for another suffix, a preprocessing that is no scaling, layers that
    are not Keras's own, outputs that are no logits, weights that are no numbers, a classifier that
    answers with no number or with something else each time, and a file that answers otherwise.
    """
    path = _with_suffix(path, ".keras")
    check_finite(classifier.network, classifier.name)
    check_logits(classifier.network, "a Classifier")
    with atomic_write(path) as part:
        raw_network(classifier).save(part)
        for_older_keras(part)
        with ZipFile(part, "a") as file:
            for name, text in _documents(classifier).items():
                file.writestr(name, text)
        try:
            network = load_classifier(part).network
        except ModelFileError as error:
            raise ValueError(
                f"{classifier.name} is not saved: its file could not be loaded safely. Replace "
                "Lambda and custom layers by Keras's own."
            ) from error
        _check_answers(classifier)
        batch = _test_pictures(classifier.size)
        with np.errstate(invalid="ignore"):  # what is no number is told below
            found = softmax(np.asarray(network(batch, training=False)), axis=-1)
        if reason := _difference(classifier, batch, found):
            raise ValueError(f"{classifier.name} is not saved: its file {reason}.")
    return path


def raw_network(classifier):
    """The classifier's network for RGB 0…255 (n, size, size, 3) → logits, float32, without what
    only training needs: optimiser, augmentation, dropout, wherever they stand. Its preparation is
    in front of it, as layers. Weights are shared with `classifier.network`; of one in half
    precision they are copied into a network of float32."""
    from helpers import keras

    network = _in_float32(rewired(classifier.network, _kept))
    inputs = keras.Input((classifier.size, classifier.size, 3))
    prepared = preprocessed(inputs, classifier)
    if prepared is inputs:
        return assembled(network.inputs, network.outputs, "classifier")
    return keras.Model(inputs, network(prepared), name="classifier")


def _kept(step):
    """The step of a network itself, or None where it matters while training only."""
    return None if only_trains(step) else step


def _in_float32(network):
    """A network in half precision, or with parts in it, as one of float32 with the same weights."""
    from helpers import keras

    if not any(getattr(step, "compute_dtype", None) in HALF for step in operations(network)):
        return network
    whole = assembled(network.inputs, network.outputs, network.name)
    single = keras.Model.from_config(_single(whole.get_config()))
    set_weights(single, whole.get_weights())
    return single


def _single(config):
    """A network's configuration with float32 wherever it says half precision."""
    if isinstance(config, dict):
        return {key: _single(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_single, config))
    return "float32" if isinstance(config, str) and config in HALF else config


def export_onnx(classifier, path):
    """Export a `Classifier` for other runtimes, browsers and languages as .onnx → its path.
    The graph takes "image", RGB 0…255, float32 (n, size, size, 3), and gives "probabilities",
    float32 (n, classes), each row with sum 1. The file's metadata_props hold classes.json and
    classifier.json, as `save_classifier` writes them. Before the file appears it has to give the
    same answers in onnxruntime. ValueError for another suffix, as in `save_classifier`, and for a
    layer, by name, that ONNX does not know or works out otherwise. See keras.Model.export."""
    path = _with_suffix(path, ".onnx")
    with atomic_write(path) as part:
        _exported(classifier, part, _write_onnx)
    return path


def _write_onnx(classifier, path):
    with _quiet(), _collected():
        import onnx

        _graph(classifier, path, "onnx")
        model = onnx.load(path)
        (start,), (end,) = model.graph.input, model.graph.output
        for tensor in (start, end):
            tensor.type.tensor_type.shape.dim[0].dim_param = "n"
        for node in model.graph.node:
            node.output[:] = ["probabilities" if o == end.name else o for o in node.output]
        end.name = "probabilities"
        onnx.helper.set_model_props(model, _documents(classifier))
        onnx.save(model, path)


def export_litert(classifier, path, calibration=None):
    """Export a `Classifier` for phones and small devices as .tflite → its path.
    The graph is that of `export_onnx`, for one picture at a time or several. calibration: None
    keeps float32; or some 100 pictures of the kind it will see, not those it is judged by: weights
    and activations become int8, scaled by what these pictures need (in- and output stay float32).
    classes.json and classifier.json lie in a zip archive at the end of the file, where LiteRT's own
    metadata tools keep such files. Before the file appears it has to give the same answers in
    LiteRT, or, of int8, nearly the same for the calibration pictures. ValueError as in
    `export_onnx`. See tf.lite.TFLiteConverter."""
    path = _with_suffix(path, ".tflite")
    with atomic_write(path) as part:
        _exported(classifier, part, partial(_write_litert, calibration=calibration), calibration)
    return path


def _write_litert(classifier, path, calibration=None):
    graph = path.with_name("graph")
    with _quiet():
        import tensorflow as tf

        _graph(classifier, graph, "tf_saved_model")
        converter = tf.lite.TFLiteConverter.from_saved_model(str(graph))
        if calibration is not None:
            pixels = to_batch(calibration, classifier.size, classifier.rule)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([row[None]] for row in pixels)
        path.write_bytes(converter.convert())
    shutil.rmtree(graph)
    with ZipFile(path, "a") as file:
        for name, text in _documents(classifier).items():
            file.writestr(name, text)


def _check_answers(classifier):
    """ValueError where a classifier itself answers the test pictures with what is no
    number, or with something else each time: no file could answer as it does."""
    reason = _unsound(classifier)
    if reason is None:
        return
    step = _culprit(classifier, lambda front: _unsound(front) is not None)
    if step is None:  # with the weights in float32 it does
        to_do = "Half precision cannot hold its numbers: build it in float32, with these weights"
    else:
        to_do = f"Mend or replace its layer {step.name!r} ({type(step).__name__})"
    raise ValueError(f"{classifier.name} cannot be passed on: it {reason}. {to_do}.")


def _unsound(classifier):
    """What is wrong with a classifier's own answers, in words, or None."""
    pictures = _test_pictures(classifier.size)
    first, again = (
        classifier.forward(classifier.preprocess_input(pictures.copy())) for _ in range(2)
    )
    if not (np.isfinite(first).all() and np.isfinite(again).all()):
        return "answers plain pictures, a ramp or noise with what is no number"
    if np.abs(first - again).max() > REPEATED * np.abs(first).max():
        return "answers the same pictures with something else each time"
    alone = classifier.forward(classifier.preprocess_input(pictures[-1:].copy()))
    if np.abs(alone - first[-1:]).max() > ROUNDED * np.abs(first).max():
        return "answers a picture with something else where others are beside it"
    return None


# suffix: (the function that exports so, what writes the file)
WRITERS = {
    ".onnx": ("export_onnx", _write_onnx),
    ".tflite": ("export_litert", _write_litert),
}


def _exported(classifier, path, write, calibration=None):
    """Write an export at `path` and try it in its runtime; ValueError says what is
    wrong, from which layer on, and what to do."""
    check_finite(classifier.network, classifier.name)
    check_logits(classifier.network, "a Classifier")
    _check_answers(classifier)
    raw_network(classifier)  # what it refuses is no fault of the runtime
    reason = _failure(classifier, path, write, calibration)
    if reason is None:
        return
    text = f"{classifier.name} is not exported: the file {reason}."
    if calibration is not None:
        if _failure(classifier, path, _write_litert) is None:
            raise ValueError(f"{text} Without calibration, as float32, it can be.")
        write = _write_litert
    part = path.with_name(f"part{path.suffix}")
    step = _culprit(classifier, lambda front: _failure(front, part, write) is not None)
    if step is not None:
        text = (
            f"{classifier.name} is not exported: the layer {step.name!r} ("
            f"{type(step).__name__}) does not work in {RUNTIMES[path.suffix]}: with it the "
            f"file {reason}."
        )
    suffix, (export, other) = next((s, o) for s, o in WRITERS.items() if s != path.suffix)
    if _failure(classifier, path.with_name(f"other{suffix}"), other) is None:
        raise ValueError(f"{text} {export} can do it; or put other layers in its place.")
    raise ValueError(f"{text} Put other layers of Keras in its place, and train them.")


def _failure(classifier, path, write, calibration=None):
    """Write an export and compare it with the classifier → None, or what is wrong, in
    words."""
    try:
        write(classifier, path)
        exported = load_exported(path)
        tried = _test_pictures(classifier.size)
        with _quiet():
            found = exported.network(tried)
            if calibration is not None and np.isfinite(found).all():
                tried = to_batch(calibration, classifier.size, classifier.rule)
                found = exported.network(tried)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # converters and runtimes raise their own kinds
        cause = error.__cause__ or error
        text = " ".join(str(cause).replace(str(path), path.name).split())
        return f"cannot be made or read ({text or type(cause).__name__:.300})"
    return _difference(classifier, tried, found, calibration is not None)


def _test_pictures(size):
    """Pictures that a file is tried on: float32 (11, size, size, 3), 0…255. Noise,
    coarse and fine, a ramp both ways, black, white, grey, red, green and blue."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 8, 8, 3), "uint8")
    coarse = [np.asarray(Image.fromarray(c).resize((size, size)), "float32") for c in coarse]
    fine = rng.integers(0, 256, (size, size, 3)).astype("float32")
    ramp = np.broadcast_to(np.linspace(0, 255, size)[:, None, None].round(), fine.shape)
    plain = [(0, 0, 0), (255,) * 3, (128,) * 3, (255, 0, 0), (0, 255, 0), (0, 0, 255)]
    plain = [np.broadcast_to(np.array(colour), fine.shape) for colour in plain]
    pictures = [*coarse, fine, ramp, ramp.transpose(1, 0, 2), *plain]
    return np.stack(pictures).astype("float32")


def _difference(classifier, batch, found, int8=False):
    """How probabilities differ from the classifier's for raw pictures, in words, or None."""
    parts = [np.array(batch[start : start + AT_ONCE]) for start in range(0, len(batch), AT_ONCE)]
    logits = [classifier.forward(classifier.preprocess_input(part)) for part in parts]
    wanted = softmax(np.concatenate(logits), axis=-1)
    if found.shape != wanted.shape:
        return f"gives {found.shape[-1]} outputs for {wanted.shape[-1]} classes"
    if found.dtype != "float32":
        return f"gives {found.dtype} instead of float32"
    if not np.isfinite(found).all():
        return "gives what is no number for some pictures"
    most = np.abs(found - wanted).max(axis=-1)
    if int8:  # single pictures may differ more
        far = most.mean() > INT8
    elif any(
        getattr(step, "compute_dtype", None) in HALF for step in operations(classifier.network)
    ):
        far = most.max() > ROUNDED  # as float32 it answers more precisely
    else:
        # In logarithms as well: what is nearly 0 or 1 either way can still be wrong.
        logarithms = [np.log(np.maximum(p, 1e-6)) for p in (found, wanted)]
        far = most.max() > EXACT or np.abs(logarithms[0] - logarithms[1]).max() > EXACT_LOG
    if far:
        return f"answers otherwise than {classifier.name}: probabilities differ by {most.max():.3f}"
    return None


def _culprit(classifier, fails):
    """The first step of a classifier's network, at any depth, up to which the network
    fails, or None where it does not. fails: takes a `Classifier`, says whether it does.
    Found by halving, so that it is asked seldom."""
    from helpers import keras

    image = keras.Input((classifier.size, classifier.size, 3))
    pictures = _test_pictures(classifier.size)
    # The steps, what each put out, and after each whose outputs were used.
    steps, made, used = [], [], [set()]

    def call(step, *arguments, **options):
        outputs = run(step, *arguments, **options)
        given = keras.tree.flatten((arguments, options))
        steps.append(step)
        made.extend((len(steps), x) for x in keras.tree.flatten(outputs))
        used.append(used[-1] | {id(x) for x in given})
        return outputs

    replay(raw_network(classifier), [image], call)

    def broken(count):
        """Whether a classifier of the first steps fails, so many: all that they leave to
        others is turned into four numbers of about 1, by fixed weights at random."""
        left = [x for number, x in made if number <= count and id(x) not in used[count]]
        numbers = []
        for tensor in left:
            if tensor.shape[0] is not None:  # of no picture, such as a mean over several
                continue
            flat = keras.layers.Flatten()(keras.ops.cast(tensor, "float32"))
            values = np.abs(keras.Model(image, flat)(pictures, training=False))
            largest = np.nan_to_num(values, posinf=0).max()
            flat = keras.layers.Rescaling(1 / max(largest, 1e-6))(flat)
            weights = keras.initializers.LecunNormal(seed=count)
            numbers.append(keras.layers.Dense(4, kernel_initializer=weights)(flat))
        if not numbers:
            return False
        logits = keras.layers.Add()(numbers) if len(numbers) > 1 else numbers[0]
        pairs = tuple((name, name) for name in "abcd")
        front = replace(classifier, network=keras.Model(image, logits), classes=pairs)
        return fails(replace(front, preprocess_input=unchanged))

    if not broken(len(steps)):
        return None
    works, fault = 0, len(steps)
    while fault - works > 1:
        middle = (works + fault) // 2
        if broken(middle):
            fault = middle
        else:
            works = middle
    return steps[fault - 1]


class Exported(Classifier):
    """An exported file as a `Classifier`; `network` runs its graph, RGB 0…255 → probabilities."""

    def probabilities(self, images):
        """What the graph gives: float32, (pictures, classes), each row sums to 1."""
        return self.network(self.prepare(images))

    def forward(self, batch):
        """Logarithms of the probabilities: the graph's logits but for a constant a picture."""
        return np.log(np.maximum(self.network(batch), 1e-30))

    def key(self):
        """SHA-256, in hexadecimal, of all that predictions depend on: see `safeguards.keys`."""
        return key_of(self.network, self.size, self.rule, resize, unchanged, self.network.digest)


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
        return Exported(
            network=run, preprocess_input=unchanged, **parse_details(documents, ResizeRule)
        )
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
        np.concatenate(
            [c.probabilities(images[i : i + AT_ONCE]) for i in range(0, len(images), AT_ONCE)]
        )
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
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
    note_digest(path)
    return path


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
    # Said outright: some layers, such as CenterCrop, take it for training if nobody says anything,
    # and let BatchNorm after them do so, too.
    logits = raw_network(classifier)(inputs, training=False)
    outputs = keras.layers.Softmax(dtype="float32")(logits)
    spec = keras.InputSpec("float32", (None, *inputs.shape[1:]), name="image")
    model = keras.Model(inputs, outputs)
    if format == "tf_saved_model":
        _save_graph(model, path)
    else:
        model.export(str(path), format=format, input_signature=[spec], verbose=False)


def _save_graph(model, path):
    """Write what a network computes as a SavedModel. Keras's own export traces it several times,
    which takes five times as long."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    module.answer = tf.function(
        lambda image: {"probabilities": model(image, training=False)}, autograph=False
    )
    image = tf.TensorSpec(model.input_shape, tf.float32, name="image")
    tf.saved_model.save(module, str(path), signatures=module.answer.get_concrete_function(image))


@contextmanager
def _collected():
    """tf2onnx copies the graph some hundred times; the copies refer to themselves, are large, and
    few by Python's count, so that they would pile up (0.9 GB for EfficientNet-Lite0). What is older
    is set aside, and the collector comes more often."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.collect()
    gc.set_threshold(700, 2, 1)
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
