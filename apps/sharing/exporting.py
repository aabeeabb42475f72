"""Export a classifier for other runtimes, trying each file before it appears."""

from functools import partial
from typing import NamedTuple

import numpy as np

from apps.sharing.answers import difference, trial_pictures
from apps.sharing.contents import path_ending_in, raw_network
from apps.sharing.exported import load_exported
from apps.sharing.faults import check_answers, layer_at_fault
from apps.sharing.quiet import quiet
from apps.sharing.writers import write_litert, write_onnx
from helpers.images import to_batch
from safeguards.logits import check_logits
from safeguards.memory import give_back, one_at_a_time
from safeguards.model_files import check_finite
from safeguards.networks import without_last_layer
from safeguards.whole_files import atomic_write


class Format(NamedTuple):
    """A kind of file: the function that exports it, what runs it, what writes it."""

    export: str
    runtime: str
    write: object


JUDGED = 2  # pictures with structure, the first of the trial's
CLOSE = 1e-3  # how far a distance may be from the classifier's own
FORMATS = {
    ".onnx": Format("export_onnx", "onnxruntime", write_onnx),
    ".tflite": Format("export_litert", "LiteRT", write_litert),
}


def export_onnx(classifier, path):
    """Export a `Classifier` for other runtimes, browsers and languages, as .onnx.
    The graph takes "image", RGB 0…255, float32 (n, size, size, 3), and gives
    "probabilities", float32 (n, classes), each row with sum 1. The file's
    metadata_props hold classes.json and classifier.json, as `save_classifier` writes
    them. Where it's known which images the classifier learned from, the graph also
    gives "distance" to the nearest of them and which one is "nearest", (n, 1) each, and
    familiar.json says which distance is usual.
    The file appears only if it gives the same answers in onnxruntime. Returns its path.
    ValueError for another suffix, as in `save_classifier`, and for a layer, by name,
    that ONNX doesn't know or works out otherwise. See keras.Model.export."""
    path = path_ending_in(".onnx", path)
    with atomic_write(path) as draft:
        _write_and_try(classifier, draft)
    return path


def export_litert(classifier, path, calibration=None):
    """Export a `Classifier` for phones and small devices, as .tflite.
    The graph is that of `export_onnx`, for one picture at a time or several.
    classes.json and classifier.json are in a zip archive at the end of the file, where
    LiteRT's own metadata tools keep such files.
    calibration: None keeps float32. Given some 100 pictures of the kind it will see,
    but not those it's judged by, weights and activations become int8, scaled by what
    these pictures need; input and output stay float32.
    The file appears only if it gives the same answers in LiteRT; in int8, nearly the
    same for the calibration pictures. Returns its path.
    ValueError as in `export_onnx`. See tf.lite.TFLiteConverter."""
    path = path_ending_in(".tflite", path)
    with atomic_write(path) as draft:
        _write_and_try(classifier, draft, calibration)
    return path


def _write_and_try(classifier, path, calibration=None):
    """Write an export at `path` and try it in its runtime.
    ValueError says what's wrong, from which layer on, and what to do."""
    check_finite(classifier.network, classifier.name)
    check_logits(classifier.network, "a Classifier")
    check_answers(classifier)
    raw_network(classifier)  # what it refuses isn't the runtime's fault
    give_back()  # a converter needs it
    name = classifier.name
    format = FORMATS[path.suffix]
    reason = _failure(classifier, path, format.write, calibration)
    if reason is None:
        return
    text = f"{name} is not exported: the file {reason}."
    if calibration is not None and _failure(classifier, path, format.write) is None:
        raise ValueError(f"{text} Without calibration, as float32, it can be.")
    front_path = path.with_name(f"front{path.suffix}")

    def fails(front):
        return _failure(front, front_path, format.write) is not None

    layer = layer_at_fault(classifier, fails)
    if layer is not None:
        text = (
            f"{name} is not exported: the layer {layer.name!r} ("
            f"{type(layer).__name__}) does not work in {format.runtime}: with it the "
            f"file {reason}."
        )
    (other_suffix,) = FORMATS.keys() - {path.suffix}
    other = FORMATS[other_suffix]
    other_path = path.with_name(f"other{other_suffix}")
    if _failure(classifier, other_path, other.write) is None:
        raise ValueError(
            f"{text} {other.export} can do it; or put other layers in its place."
        )
    raise ValueError(f"{text} Put other layers of Keras in its place, and train them.")


def _failure(classifier, path, write, calibration=None):
    """Write an export and compare it with the classifier: None, or what's wrong, in
    words. calibration: the pictures that `write` scales int8 by, or None."""
    int8 = calibration is not None
    if int8:
        write = partial(write, calibration=calibration)
    pictures = trial_pictures(classifier.size)
    try:
        write(classifier, path)
        give_back()  # of a converter's memory, hundreds of MB
        exported = load_exported(path)
        with quiet():
            probabilities = exported.network(pictures)
            if int8 and np.isfinite(probabilities).all():
                pictures = to_batch(calibration, classifier.size, classifier.rule)
                probabilities = exported.network(pictures)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # converters and runtimes raise their own kinds
        cause = error.__cause__ or error
        message = str(cause).replace(str(path), path.name)
        text = " ".join(message.split()) or type(cause).__name__
        return f"cannot be made or read ({text:.300})"
    reason = difference(classifier, pictures, probabilities, int8)
    if reason is None and path.suffix == ".onnx" and classifier.familiar is not None:
        reason = _judges_otherwise(classifier, exported, pictures)
    return reason


def _judges_otherwise(classifier, exported, pictures):
    """What's wrong with the distances that an exported file gives, or None.
    pictures: raw RGB 0…255, float32 (n, size, size, 3)."""
    base = without_last_layer(classifier.network)
    # Two will do: all of them have shown already that the file's features are right.
    pictures = pictures[:JUDGED]
    prepared = classifier.preprocess_input(pictures.copy())
    features = one_at_a_time(base, prepared, training=False)
    judged = classifier.familiar.judge(np.reshape(features, (len(pictures), -1)))
    distances, _ = exported.network.nearest(pictures)
    apart = max(
        abs(expected.distance - given)
        for expected, given in zip(judged, distances, strict=True)
    )
    if apart > CLOSE:
        return f"gives distances to what was learned from that are {apart:.3f} off"
    return None
