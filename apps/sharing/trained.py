"""Load what the page that learns lets its visitors take with them."""

import base64
import json
from pathlib import Path

import numpy as np

from apps.sharing.classifier import as_classifier
from helpers.models import REGISTRY, load_classifier
from helpers.training import new_model
from safeguards.familiar import familiar, read_document
from safeguards.model_files import MAX_CLASSES, MAX_TEXT, ModelFileError

FORMAT = "transfer-learning head 1"  # what such a file says of itself
MAX_BYTES = 100_000_000  # of a file: a thousand classes have 7 MB, as many pictures too
LENGTH = 1e-3  # how far the length of a picture's features may be from 1


def load_trained(path):
    """Load a file NAME.json of the page that learns (`make page TRAIN=1`).
    It's a `Classifier` on the network that the page carries, by name, with its weights
    as they are on this machine: `save_classifier`, `export_onnx` and all else take it.
    The page's own weights are rounded, so probabilities differ by up to 0.001.
    It also says what is like nothing it learned from, by the threshold chosen there.
    The file is JSON and can't run code: "format", "name", "base" (a name of the
    registry), "classes" (names), "kernel" (a row of numbers for each class, a column
    for each feature), "bias" (numbers, one for each class) and "familiar": "within"
    (the threshold, a cosine distance), "names" of pictures learned from and their
    "features" (rows of length 1). Tables are float32, little-endian, in base64.
    ModelFileError for any other file, FileNotFoundError where there's none,
    WeightsUnavailable as in `load_classifier`."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check its name and folder.")
    try:
        details = _read(path)
    except (MemoryError, PermissionError):
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelFileError(
            f"{path} is no file of the page that learns, or damaged ({error}): "
            "download it from the page again."
        ) from error
    base = load_classifier(details["base"])
    model = new_model(base, len(details["classes"]))
    head = model.get_layer("head")
    kernel = details["kernel"].T
    if head.get_weights()[0].shape != kernel.shape:
        raise ModelFileError(
            f"{path} has {kernel.shape[0]} weights for each class, which does not fit "
            f"{details['base']}: download it from the page again."
        )
    head.set_weights([kernel, details["bias"]])
    return as_classifier(
        model, details["classes"], name=details["name"], familiar=details["familiar"]
    )


def _read(path):
    """What such a file says, checked; ValueError, TypeError or KeyError otherwise."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES // 10**6} MB")
    details = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(details, dict) or details.get("format") != FORMAT:
        raise ValueError(f"it does not begin with the format {FORMAT!r}")
    if details["base"] not in REGISTRY:
        raise ValueError(f"there is no network {details['base']!r:.100}")
    classes = details["classes"]
    if not isinstance(classes, list) or not 2 <= len(classes) <= MAX_CLASSES:
        raise ValueError(f"it should have from 2 to {MAX_CLASSES} classes")
    for text in (details["name"], *classes):
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT:
            raise ValueError(
                f"names should be text of 1 to {MAX_TEXT} letters, not {text!r:.100}"
            )
        text.encode()  # half a letter, as JSON can hold it, could not be shown
    if len(set(classes)) < len(classes):
        raise ValueError("two classes have the same name")
    bias = np.array(details["bias"], "float32")
    kernel = _table(details["kernel"], len(classes))
    if bias.shape != (len(classes),):
        raise ValueError(f"{len(classes)} classes, but {bias.size} biases")
    if not np.isfinite(bias).all():
        raise ValueError("some biases are no numbers")
    known = _familiar(details["familiar"], kernel.shape[1])
    return {**details, "kernel": kernel, "bias": bias, "familiar": known}


def _table(text, rows):
    """A table of finite numbers from base64: float32 (rows, columns)."""
    table = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    table = table.reshape(rows, -1)
    if not table.size or not np.isfinite(table).all():
        raise ValueError("a table is empty or holds what is no number")
    return table


def _familiar(content, width):
    """The `Familiar` that such a file holds. width: how many features there are."""
    within = float(content["within"])
    text = json.dumps({"within": within, "names": content["names"]})
    names = read_document(text).names
    features = _table(content["features"], len(names))
    lengths = np.linalg.norm(features, axis=1)
    if features.shape[1] != width or np.abs(lengths - 1).max() > LENGTH:
        raise ValueError("the features of its pictures don't fit its weights")
    return familiar(features, names, within)
