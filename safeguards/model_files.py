"""Saved classifiers from strangers: a .keras file is checked before Keras sees it."""

import json
import math
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from safeguards import familiar
from safeguards.networks import without_last_layer
from safeguards.whole_files import digest

DOCUMENTS = ("classes.json", "classifier.json")  # what a file says beside its network
MEMBERS = [*DOCUMENTS, "config.json", "metadata.json", "model.weights.h5"]
MAX_SIDE = 4096  # pixels of an image that a network takes
MAX_CLASSES = 100_000
MAX_TEXT = 1000  # letters of a name, or of the terms
MAX_OUTPUTS = 2**27  # numbers that a layer may put out for an image: half a gigabyte
SMALLEST_WEIGHT = 2  # bytes, of float16
MD5_DIGITS = 32  # hexadecimal digits, by which it's told from SHA-256
RESAVE = "Have it saved anew by save_classifier."


class ModelFileError(ValueError):
    """A file can't be loaded safely as a classifier; says why, and what to do next."""


def read_details(path, make_rule):
    """What a file of `save_classifier` says beside its network, read without Keras.

    A dict: name, size, rule, classes ((wnid, name) pairs), terms ("" in a file that has
    none, as older ones), familiar (a `Familiar`, or None in a file that has none).
    make_rule: makes the rule of its entries, as `ResizeRule` does.
    ModelFileError for any other file, and for one whose members could be written
    elsewhere or aren't of the size they say."""
    if path.suffix != ".keras":
        if path.suffix.lower() == ".keras":
            raise ModelFileError(
                f"{path} should end in .keras, in small letters: rename it."
            )
        raise ModelFileError(
            f"{path} is no .keras file. An .h5 file can run code when it is loaded: "
            "open it only if it is your own, with keras.models.load_model, and save it "
            "by save_classifier."
        )
    try:
        with zipfile.ZipFile(path) as file:
            _check_members(path, file.infolist())
            documents = {name: file.read(name) for name in DOCUMENTS}
            known = None
            if familiar.DOCUMENT in file.namelist():
                known = familiar.read(*(file.read(name) for name in familiar.FILES))
        return parse_details(documents, make_rule) | {"familiar": known}
    except (MemoryError, PermissionError, ModelFileError):
        raise
    except Exception as error:  # of zipfile, json, or what is made of what they return
        raise ModelFileError(
            f"{path} is damaged or no .keras file ({error}): copy or save it again."
        ) from error


def _check_members(path, members):
    """ModelFileError where a file holds something else than a saved classifier."""
    names = sorted(member.filename for member in members)
    if not {*DOCUMENTS} <= {*names}:
        raise ModelFileError(
            f"{path} holds no class list or no resize rule, so nobody knows what its "
            "outputs mean: save it with save_classifier."
        )
    # Stored as they are, members cannot unfold to more than the file's own size.
    stored = all(
        member.compress_type == zipfile.ZIP_STORED
        and member.file_size == member.compress_size
        for member in members
    )
    expected = (MEMBERS, sorted([*MEMBERS, *familiar.FILES]))
    if names not in expected or not stored:
        raise ModelFileError(
            f"{path} holds something else than a classifier saved by save_classifier "
            f"({', '.join(names):.200}), perhaps to do harm. Ask its author for "
            "another."
        )


def parse_details(documents, make_rule):
    """The JSON texts of DOCUMENTS, {name: text} → what `read_details` returns.
    An exception, mostly ValueError, TypeError or KeyError, for any others."""
    classes, details = (json.loads(documents[name]) for name in DOCUMENTS)
    name = details["name"]
    size = details["size"]
    rule = make_rule(**details["rule"])
    terms = details.get("terms", "")
    pairs = tuple((wnid, text) for wnid, text in classes)
    if not (
        type(size) is int and 0 < size <= MAX_SIDE and 0 < len(pairs) <= MAX_CLASSES
    ):
        raise ValueError(
            f"size or classes are missing, or over {MAX_SIDE} pixels or {MAX_CLASSES} "
            "classes"
        )
    for text in (name, terms, *(text for pair in pairs for text in pair)):
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise ValueError(
                f"names and terms should be text of at most {MAX_TEXT} letters"
            )
        text.encode()  # half a letter, as JSON can hold it, could not be shown
    return {"name": name, "size": size, "rule": rule, "classes": pairs, "terms": terms}


def load_network(path, details):
    """The Keras network in a file whose `read_details` are known; nothing of it runs
    code. ModelFileError for what isn't Keras's own, takes more memory than the weights
    in the file or MAX_OUTPUTS justify, is damaged, or doesn't fit the details."""
    import keras

    try:
        _check_network(path, details["size"])
        network = keras.models.load_model(path, compile=False, safe_mode=True)
        shape = network.input_shape, network.output_shape
    except (MemoryError, PermissionError, ModelFileError):
        raise
    except Exception as error:  # Keras raises nearly anything for a damaged file
        raise ModelFileError(
            f"{path} cannot be loaded: it is damaged, of another version of Keras, or "
            f"holds what could run code (a Lambda, a custom layer). {RESAVE}"
        ) from error
    size = details["size"]
    count = len(details["classes"])
    if shape not in [((None, side, side, 3), (None, count)) for side in (size, None)]:
        raise ModelFileError(
            f"{path} does not fit its own class list or size: {count} classes, {size} "
            f"pixels, but a network from {shape[0]} to {shape[1]}. {RESAVE}"
        )
    check_finite(network, path)
    known = details.get("familiar")
    if known is not None:
        features = without_last_layer(network).output_shape[1:]
        if math.prod(features) != known.features.shape[1]:
            raise ModelFileError(
                f"{path} does not fit the images it says it learned from: they have "
                f"other features. {RESAVE}"
            )
    return network


def check_finite(network, name):
    """ModelFileError where a weight is no number: such a network always fails."""
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise ModelFileError(
            f"{name} holds weights that are no numbers (NaN or infinite), as training "
            "leaves them that got out of hand. Train it anew, at a lower learning rate."
        )


def _check_network(path, size):
    """Look at the description of the network in a file before it is made."""
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json")
        room = file.getinfo("model.weights.h5").file_size
    modules = {str(module) for module in _modules(json.loads(config))}
    foreign = sorted(
        module for module in modules if not f"{module}.".startswith("keras.")
    )
    if foreign:
        raise ModelFileError(
            f"{path} asks for code that is not Keras's own "
            f"({', '.join(foreign):.200}): loading it could run code. Have its author "
            "replace custom layers by Keras's own."
        )
    bare = json.dumps(json.loads(config, object_hook=_uncompiled))
    # In a thread of its own, as Keras makes all variables that it owes to this thread
    # later.
    with ThreadPoolExecutor(1) as pool:
        weights, outputs = pool.submit(_needed, bare, size).result()
    if SMALLEST_WEIGHT * weights > room or outputs > MAX_OUTPUTS:
        raise ModelFileError(
            f"{path} cannot be loaded: it asks for {weights:,} weights, but has "
            f"{room:,} bytes of them, and for {outputs:,} numbers between layers. It "
            "is damaged or made to do harm: ask its author for another."
        )


def _uncompiled(entries):
    """A dict of a network's description, without its training: no optimizer is made."""
    if "compile_config" in entries:
        return entries | {"compile_config": None}
    return entries


def _modules(config):
    """The module of every object in a Keras configuration."""
    if isinstance(config, dict):
        if "class_name" in config and "module" in config:
            yield config["module"]
        config = [*config.values()]
    for value in config if isinstance(config, list) else ():
        yield from _modules(value)


def _needed(config, size):
    """(weights, most numbers that a layer puts out for an image) of a network, without
    making its variables."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        network = keras.models.model_from_json(config)
        weights = sum(math.prod(variable.shape) for variable in network.variables)
        if None in network.input_shape[1:]:  # it takes any size, but will get this one
            sized = keras.tree.map_structure(
                lambda _: keras.Input((size, size, 3)), network.input
            )
            network = keras.models.clone_model(network, input_tensors=sized)
        return weights, max(_outputs(network), default=0)


def _outputs(network):
    """How many numbers each layer puts out for an image, at any depth."""
    import keras

    for layer in getattr(network, "operations", getattr(network, "layers", ())):
        yield from _outputs(layer)
        for tensor in keras.tree.flatten(getattr(layer, "output", ())):
            yield math.prod(side or 1 for side in tensor.shape)


def is_intact(entry, path):
    """Whether a weights file is the published one.
    Its hash decides or, where none is published, its size. A file under another name,
    such as <name>.weights.h5, is the user's own: True. The answer is remembered for as
    long as the file's size and time stay the same.
    entry: with the published `file` and `digest`, a hash or, as an int, a size. Raises
    an OSError."""
    path = Path(path)
    if path.name != Path(entry.file).name:
        return True
    if isinstance(entry.digest, int):
        return path.stat().st_size == entry.digest
    algorithm = "md5" if len(entry.digest) == MD5_DIGITS else "sha256"
    return digest_of(path, algorithm) == entry.digest


def digest_of(path, algorithm):
    """The hash of a file in hexadecimal, remembered while its size and time stay the
    same. algorithm: "sha256" or "md5". Raises an OSError."""
    status = path.stat()
    return _digest(path, algorithm, status.st_size, status.st_mtime_ns)


@cache
def _digest(path, algorithm, _size, _time):
    return digest(path, algorithm)
