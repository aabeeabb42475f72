"""Tiny networks in many variants, for tests of what must tell them apart."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import helpers
from helpers.images import ResizeRule
from helpers.models import Classifier


class Lazy:
    """A module of Keras that is imported when it is first used: tests of programs
    without TensorFlow import this file, too."""

    def __init__(self, name):
        self.name = name

    def __getattr__(self, name):
        return getattr(getattr(helpers.keras, self.name), name)


layers, ops = Lazy("layers"), Lazy("ops")
SIZE = 16
CLASSES = tuple((name, name) for name in "abcd")


def seeded(build):
    """The `build`'s network with the same weights every time."""
    helpers.keras.utils.set_random_seed(0)
    inputs = helpers.keras.Input((SIZE, SIZE, 3))
    return helpers.keras.Model(inputs, build(inputs))


def network(
    front=("Rescaling", 1 / 255),
    activation="relu",
    middle=(),
    pooling="GlobalAveragePooling2D",
    end=(),
    name=None,
    **convolution,
):
    """A network whose weights are the same whatever it is asked to be."""

    def build(x):
        if front:
            x = getattr(layers, front[0])(*front[1:])(x)
        x = layers.Conv2D(6, 3, activation=activation, name=name, **convolution)(x)
        for layer in middle:
            x = layer(x)
        x = layers.Dense(4)(getattr(layers, pooling)()(x))
        for layer in end:
            x = layer(x)
        return x

    return seeded(build)


def turned_around():
    """The scaling after the convolution instead of before it."""
    return network(front=None, middle=[layers.Rescaling(1 / 255)])


# What has the weights of `network()` and says something else: changed before its last
# layer with weights, or after it.
BEFORE = {
    "rescaling": lambda: network(front=("Rescaling", 1 / 127.5)),
    "offset": lambda: network(front=("Rescaling", 1 / 255, -0.5)),
    "no rescaling": lambda: network(front=None),
    "order": turned_around,
    "activation": lambda: network(activation="gelu"),
    "no activation": lambda: network(activation=None),
    "slope": lambda: network(
        activation=None, middle=[layers.LeakyReLU(negative_slope=0.1)]
    ),
    "pooling": lambda: network(pooling="GlobalMaxPooling2D"),
    "pooling before": lambda: network(middle=[layers.MaxPooling2D()]),
    "stride": lambda: network(strides=2),
    "padding": lambda: network(padding="same"),
    "dilation": lambda: network(dilation_rate=2),
    "cropped": lambda: network(middle=[layers.Cropping2D(2)]),
    "sliced": lambda: network(middle=[lambda x: x[:, 3:]]),
}
AFTER = {
    "a constant": lambda: network(end=[lambda x: x + np.float32([1, 0, 0, 0])]),
    "a skip": lambda: network(end=[lambda x: x + ops.relu(x)]),
    "temperature": lambda: network(end=[lambda x: x / 2]),
    "temperature layer": lambda: network(end=[layers.Rescaling(0.5)]),
    "normalised": lambda: network(end=[layers.UnitNormalization()]),
    "Lambda": lambda: network(end=[layers.Lambda(lambda x: 2 * x)]),
    "other Lambda": lambda: network(end=[layers.Lambda(lambda x: 3 * x)]),
}
OTHERS = BEFORE | AFTER


def nested():
    inputs = helpers.keras.Input((SIZE, SIZE, 3))
    return helpers.keras.Model(inputs, network()(inputs))


def frozen():
    found = network()
    found.trainable = False
    return found


def cloned():
    found = helpers.keras.models.clone_model(network())
    found.set_weights(network().get_weights())
    return found


# What is another object, and says the same.
SAME = {
    "again": network,
    "another name": lambda: network(name="another_name"),
    "nested": nested,
    "frozen": frozen,
    "cloned": cloned,
}


def classifier(network, preprocess_input=lambda batch: batch):
    """A network as a `Classifier` for pictures of 0…255."""
    return Classifier("tiny", network, SIZE, ResizeRule(), preprocess_input, CLASSES)


COMMENTED = """
import pathlib, shutil, sys
folder, source, tests, code, *rest = sys.argv[1:]
for name in ("helpers", "safeguards"):
    copy = pathlib.Path(folder, name)
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(pathlib.Path(source, name), copy, ignore=unwanted)
for path in pathlib.Path(folder).rglob("*.py"):
    text = "# a comment, and two more lines\\n\\n" + path.read_text("utf-8")
    path.write_text(text, "utf-8")
sys.path[:0] = [folder, tests]
import helpers, safeguards, variants
for package in (helpers, safeguards):
    assert pathlib.Path(package.__file__).is_relative_to(folder)
exec(code)
"""


def run_commented(folder, code, *arguments):
    """What a program prints that uses our helpers with a comment in each source
    file; it finds `variants` and, in `rest`, its arguments."""
    tests = Path(__file__).parent
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            COMMENTED,
            folder,
            tests.parents[1],
            tests,
            code,
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
