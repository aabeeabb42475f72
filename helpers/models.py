"""The registry of pretrained models: a network together with the rules its pictures must follow."""

import json
import os
import zipfile
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from helpers.images import ResizeRule, load_image, to_batch
from helpers.labels import decode, imagenet_classes

ROOT = Path(__file__).resolve().parent.parent
POCKET = ROOT / "models" / "pocket.keras"
RECORDED = ROOT / "data" / "recorded"

SHORT_SIDE = ResizeRule("square", 224 / 256)  # resize the short side to 256, then centre 224
SHORT_SIDE_CUBIC = ResizeRule("square", 224 / 256, "bicubic")
EACH_SIDE = ResizeRule("each_side", 0.875)  # the central 87.5 % of each side, squashed to a square


class Entry(NamedTuple):
    """One `keras.applications` model, as published."""

    constructor: str
    module: str  # of keras.applications, for preprocess_input
    size: int  # pixels a side
    rule: ResizeRule  # of its published evaluation
    parameters: int
    megabytes: int  # of the download
    file: str  # below Keras's own address
    digest: str | int  # MD5 or SHA-256; bytes where Keras publishes neither


_K = "_weights_tf_dim_ordering_tf_kernels"
# fmt: off
REGISTRY = {
    "vgg16": Entry("VGG16", "vgg16", 224, SHORT_SIDE, 138_357_544, 528, f"vgg16/vgg16{_K}.h5", "64373286793e3c8b2b4e3219cbf3544b"),
    "vgg19": Entry("VGG19", "vgg19", 224, SHORT_SIDE, 143_667_240, 548, f"vgg19/vgg19{_K}.h5", "cbe5617147190e668d6c5d5026f83318"),
    "resnet50": Entry("ResNet50", "resnet", 224, SHORT_SIDE, 25_636_712, 98, f"resnet/resnet50{_K}.h5", "2cb95161c43110f7111970584f804107"),
    "mobilenet_v2": Entry("MobileNetV2", "mobilenet_v2", 224, EACH_SIDE, 3_538_984, 14, f"mobilenet_v2/mobilenet_v2{_K}_1.0_224.h5", 14_536_120),
    "mobilenet_v3_small": Entry("MobileNetV3Small", "mobilenet_v3", 224, EACH_SIDE, 2_554_968, 10, "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float.h5", "8768d4c2e7dee89b9d02b2d03d65d862"),
    "efficientnet_v2_b0": Entry("EfficientNetV2B0", "efficientnet_v2", 224, ResizeRule("square", 0.875), 7_200_312, 27, "efficientnet_v2/efficientnetv2-b0.h5", "21ecbf6da12460d5c40bb2f29ceb2188"),
    "densenet121": Entry("DenseNet121", "densenet", 224, SHORT_SIDE, 8_062_504, 31, f"densenet/densenet121{_K}.h5", "9d60b8095a5708f2dcce2bca79d332c7"),
    "xception": Entry("Xception", "xception", 299, EACH_SIDE, 22_910_480, 87, f"xception/xception{_K}.h5", "0a58e3b7378bc2990ea3b43d5981f1f6"),
    "convnext_tiny": Entry("ConvNeXtTiny", "convnext", 224, SHORT_SIDE_CUBIC, 28_589_128, 109, "convnext/convnext_tiny.h5", "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff"),
}
# fmt: on


class WeightsUnavailable(RuntimeError):
    """A model's weights are neither on this machine nor to be had from the network."""


class NotRecorded(LookupError):
    """A picture for which no recorded scores exist."""


@dataclass(frozen=True)  # _compiled keeps the network: dataclasses.replace makes a variant
class Classifier:
    """A plain Keras network with the rules it was trained by.

    network: (n, size, size, 3) float32 → (n, classes) logits; size: pixels a side; rule: how a
    picture becomes a square; preprocess_input: the network's own scaling, for RGB in 0…255, which
    it leaves unchanged; classes: (wnid, name) pairs in output order.
    """

    name: str
    network: object
    size: int
    rule: ResizeRule
    preprocess_input: object
    classes: tuple

    def prepare(self, images):
        """One picture or a list of them → the network's input, float32 (n, size, size, 3)."""
        return self.preprocess_input(to_batch(images, self.size, self.rule))

    @cached_property
    def _compiled(self):
        import tensorflow as tf

        return tf.function(lambda batch: self.network(batch, training=False), reduce_retracing=True)

    def logits(self, images):
        """The network's raw scores: float32, (pictures, classes), any sign."""
        return self._compiled(self.prepare(images)).numpy()

    def probabilities(self, images):
        """Softmax of the logits: float32, (pictures, classes), each row sums to 1."""
        return softmax(self.logits(images), axis=-1)

    def predict(self, image, top=5):
        """The `top` likeliest classes of one picture (whatever `load_image` takes), best first."""
        return decode(self.probabilities([image])[0], self.classes, top)

    def __repr__(self):
        return f"<{self.name}: {self.size}×{self.size} pixels, {len(self.classes)} classes>"


def picture_key(image):
    """SHA-256 of an RGB picture's size and pixels: the same whatever file it came from."""
    return sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()


def lesson_model(default="pocket"):
    """The model a lesson uses: `default`, or what the variable TRANSFER_MODEL names instead."""
    return _known(os.environ.get("TRANSFER_MODEL") or default)


def _known(name):
    if name != "pocket" and name not in REGISTRY:
        raise ValueError(f"No model called {name!r}. There are: pocket, {', '.join(REGISTRY)}.")
    return name


def find_weights(name):
    """Path of a model's weights file on this machine, or None. Downloads nothing.

    Looks in the folder TRANSFER_WEIGHTS (Keras's own file name, or <name>.weights.h5 in Keras 3's
    format), then in Keras's cache. FileNotFoundError where TRANSFER_WEIGHTS is no folder.
    """
    if _known(name) == "pocket":
        return POCKET
    own = Path(REGISTRY[name].file).name
    candidates = []
    if folder := os.environ.get("TRANSFER_WEIGHTS"):
        if not Path(folder).is_dir():
            raise FileNotFoundError(
                f"TRANSFER_WEIGHTS names {folder!r}, which is no folder. Give it the full path of "
                "the folder with the weights files, or unset it."
            )
        candidates += [Path(folder) / own, Path(folder) / f"{name}.weights.h5"]
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    candidates.append(home / "models" / own)
    return next((path for path in candidates if path.is_file()), None)


def has_weights(name):
    """Whether a model can be loaded without the network."""
    return find_weights(name) is not None


def load_classifier(name):
    """A pretrained model ready to use: the network and the rules its pictures must follow.

    name: "pocket" or one of `available()`. Weights come from `find_weights`, else from Keras's
    download. ValueError for an unknown name, WeightsUnavailable where there are none.
    """
    if _known(name) == "pocket":
        return _load_pocket()
    from helpers import keras

    entry, network = REGISTRY[name], build_network(name)
    preprocess = getattr(keras.applications, entry.module).preprocess_input

    def preprocess_input(batch):  # on a copy: Keras's own writes into a floating array
        return preprocess(np.array(batch) if isinstance(batch, np.ndarray) else batch)

    return Classifier(name, network, entry.size, entry.rule, preprocess_input, imagenet_classes())


def build_network(name, weights="search", activation=None):
    """The plain Keras network of a registry model; its output is logits, or probabilities.

    weights: a file's path, None for random weights, or "search" (TRANSFER_WEIGHTS, Keras's cache,
    Keras's download); activation: None for logits, "softmax" for probabilities, Keras's default.
    WeightsUnavailable says what a learner can do.
    """
    from helpers import keras

    entry = REGISTRY[_known(name)]
    path = (find_weights(name) or "imagenet") if weights == "search" else weights
    build = getattr(keras.applications, entry.constructor)
    shape, weights = (entry.size, entry.size, 3), path and str(path)
    try:
        return build(input_shape=shape, weights=weights, classifier_activation=activation)
    except Exception as error:  # Keras raises a bare Exception where a download fails
        damaged = f"{path} is damaged or another model's, delete it"
        reason = damaged if path != "imagenet" else "they could not be downloaded"
        raise WeightsUnavailable(
            f"No weights for {name}: {reason}. You can (1) go on with the model that ships with "
            f'the lessons, load_classifier("pocket"); (2) connect to the network and run this '
            f"again ({entry.megabytes} MB); (3) set TRANSFER_WEIGHTS to a folder that holds "
            f"{Path(entry.file).name}: python -m helpers.weights {name} --to FOLDER fetches it."
        ) from error


def _load_pocket():
    from helpers import keras

    with zipfile.ZipFile(POCKET) as file:  # the class list travels inside the model's own file
        classes = tuple(tuple(pair) for pair in json.loads(file.read("classes.json")))
    network = keras.models.load_model(POCKET, compile=False)
    # Pocket rescales inside the network, so its own preparation changes nothing.
    return Classifier("pocket", network, 64, ResizeRule(), lambda batch: batch, classes)


def recorded_logits(images, name="mobilenet_v2"):
    """A real model's scores from tools/record_scores.py, for a machine without its weights.

    images: one of the recorded pictures or a list of them. Returns float32 logits (pictures, 1000)
    and a dict: model, weights, preprocessing, date. NotRecorded for any other picture or model.
    """
    path = RECORDED / f"{name}.npz"
    if not path.is_file():
        raise NotRecorded(f"No recorded scores of {name!r}: use load_classifier({name!r}).")
    with np.load(path) as data:
        rows = dict(zip(data["keys"].tolist(), data["logits"], strict=True))
        about = json.loads(data["about"].item())
    keys = [picture_key(load_image(i)) for i in (images if isinstance(images, list) else [images])]
    if missing := [i for i, key in enumerate(keys) if key not in rows]:
        raise NotRecorded(
            f"No {name} scores were recorded for picture {missing[0]}, only for the pictures that "
            f"come with the lessons. load_classifier({name!r}) scores any, given its weights."
        )
    return np.stack([rows[key] for key in keys]).astype("float32"), about


def available():
    """A text table of the models: input size, parameters, download, where their weights are."""
    rows = [f"{'name':<20}{'pixels':>7}{'parameters':>13}{'download':>10}  weights"]
    rows.append(f"{'pocket':<20}{64:>7}{'':>13}{'':>10}  with the lessons")
    for name, entry in REGISTRY.items():
        where = "on this machine" if has_weights(name) else "to be downloaded"
        download = f"{entry.megabytes} MB"
        rows.append(f"{name:<20}{entry.size:>7}{entry.parameters:>13,}{download:>10}  {where}")
    return "\n".join(rows)
