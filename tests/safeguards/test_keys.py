"""safeguards.keys: networks that answer differently have different keys, however alike
they look, and of networks with code that nobody can compare nothing is used again."""

import re
from functools import partial

import numpy as np
import pytest
import variants
from cases import thorough_but
from PIL import Image

from apps.many.folder import BatchError, predict_folder, read_predictions
from helpers import keras, load_image
from helpers.images import resize
from helpers.pictures import Pictures
from helpers.training import extract_features
from safeguards.keys import key_of, undescribed

layers = keras.layers
ops = keras.ops
SIZE = variants.SIZE


def network(step):
    """A tiny network with a step in its middle; its weights are always the same."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = step(inputs)
    x = layers.GlobalMaxPooling2D()(x) if len(x.shape) == 4 else layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(4)(x))


def key(step):
    return variants.classifier(network(step)).key()


@pytest.fixture
def folder(tmp_path):
    """Three pictures of noise."""
    (tmp_path / "pictures").mkdir()
    for k in range(3):
        image = Image.effect_noise((20, 20), 40 + k).convert("RGB")
        image.save(tmp_path / "pictures" / f"{k}.png")
    return tmp_path / "pictures"


# -- what Keras's configuration describes ----------------------------------------------


def shared(first, second):
    def step(x):
        one, other = (
            layers.Dense(
                3, kernel_initializer=keras.initializers.Constant(np.eye(3) * k)
            )
            for k in (1, 2)
        )
        x = layers.Activation("tanh")(one(x) + other(x) - 200.0)
        return [one, other][second]([one, other][first](x))

    return step


def over_rows(pooling, name):
    def step(x):
        inputs = keras.Input((SIZE, 3), name=f"{name}_input")
        y = layers.Conv1D(4, 3, name=f"{name}_conv")(inputs)
        row = keras.Model(inputs, pooling(2, name=f"{name}_pool")(y), name=name)
        return layers.TimeDistributed(row, name=f"{name}_rows")(x)

    return step


def whole_numbers(dtype):
    def build(inputs):
        front = keras.Input((SIZE, SIZE, 3), dtype=dtype)
        return keras.Model(front, ops.cast(front, "float32"))(inputs / 2.5)

    return build


# Each differs from its twin only in what noise shows hardly or not at all.
TWINS = {
    "slices": (lambda x: x[:, :15], lambda x: x[:, :16]),
    "slices from the start": (lambda x: x[:, 1:], lambda x: x[:, :15]),
    "thresholds": (layers.ReLU(threshold=254.0), layers.ReLU(threshold=254.9)),
    "arrays": (
        lambda x: x - np.float32([0, 0, 0]),
        lambda x: x - np.float32([0, 0, 1e-5]),
    ),
    "halves": (
        lambda x: ops.split(x, 2, axis=1)[0],
        lambda x: ops.split(x, 2, axis=1)[1],
    ),
    "shared layers": (shared(0, 0), shared(1, 1)),
    "shared layers in turn": (shared(0, 1), shared(1, 0)),
    "inside a wrapper": (
        over_rows(layers.AveragePooling1D, "a"),
        over_rows(layers.MaxPooling1D, "a"),
    ),
    "the input's type": (whole_numbers("float32"), whole_numbers("uint8")),
}


@pytest.mark.parametrize("pair", thorough_but(TWINS, "slices", "arrays"))
def test_what_noise_does_not_show_is_in_the_key(pair):
    one, other = TWINS[pair]
    assert key(one) != key(other)
    assert key(one) == key(one)


def ones(shape, dtype):
    return ops.ones(shape, dtype)


# Built twice, with other names, or with what only training uses.
ALIKE = {
    "names inside a wrapper": (
        over_rows(layers.MaxPooling1D, "a"),
        over_rows(layers.MaxPooling1D, "b"),
    ),
    "a start of one's own": (
        lambda x: layers.Dense(3, kernel_initializer="ones")(x),
        lambda x: layers.Dense(3, kernel_initializer=ones)(x),
    ),
}


@pytest.mark.parametrize("pair", ALIKE)
def test_what_outputs_do_not_depend_on_is_not_in_the_key(pair):
    one, other = ALIKE[pair]
    assert key(one) == key(other)


# A preparation changes few values, and with them the key.
PREPARED = {
    "white": lambda x: np.where(x >= 255, 0, x),
    "black": lambda x: np.where(x == 0, 9, x),
    "one value": lambda x: np.where(x == 77, 78, x),
    "one value of blue": lambda x: np.where(x == [300, 300, 201], 0, x).astype(
        "float32"
    ),
    "yellow": lambda x: np.where((x == [255, 255, 0]).all(-1, keepdims=True), 0, x),
    "light grey": lambda x: np.where((x == 254).all(-1, keepdims=True), 0, x),
    "the last row": lambda x: (
        x * (np.arange(x.shape[1]) < x.shape[1] - 1)[:, None, None]
    ),
    "this size": lambda x: x * 2 if x.shape[1] == SIZE else x,
}


@pytest.mark.parametrize("change", thorough_but(PREPARED, "white", "one value"))
def test_a_preparation_shows_in_the_key_wherever_it_changes_something(change):
    one = variants.classifier(variants.network())
    other = variants.classifier(variants.network(), PREPARED[change])
    assert one.key() != other.key()


def test_how_large_jpegs_are_read_shows_in_the_key():
    """A reader that decodes all of them gives other pixels: features of another key."""

    def reads_all(data, size, rule):
        return resize(load_image(data), size, rule)

    def reads_alike(data, size, rule):
        return resize(data, size, rule)

    tiny = variants.classifier(variants.network())
    keys = []
    for reader in (resize, reads_alike, reads_all):
        keys.append(
            key_of(tiny.network, tiny.size, tiny.rule, reader, tiny.preprocess_input)
        )
    assert keys[0] == keys[1] != keys[2]


# -- what it does not describe ---------------------------------------------------------


def limited(limit):
    def limit_(x):
        return ops.minimum(x, limit)

    return limit_


def relu(x):
    """Called as one of Keras's own, which is what Keras writes down of it."""
    return ops.minimum(x, 254.0)


class Limit:
    def __call__(self, x):
        return ops.minimum(x, 254.0)


class Own(layers.Layer):
    def __init__(self, function=abs, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)


@keras.saving.register_keras_serializable("test_keys")
class Registered(layers.Layer):
    """What it does can still be another thing than when it had this name before."""

    limit = 254.0

    def call(self, x):
        return ops.minimum(x, self.limit)


class OwnNorm(layers.BatchNormalization):
    pass


class OwnModel(keras.Model):
    """Made of inputs and outputs, as Keras's own."""


def model_of_ones_own(x):
    inputs = keras.Input((SIZE, SIZE, 3))
    return OwnModel(inputs, layers.ReLU()(inputs))(x)


def replaced(x):
    layer = layers.Identity()
    layer.call = limited(254.0)
    return layer(x)


def in_a_wrapper(layer):
    def step(x):
        row = keras.Sequential([keras.Input((SIZE, 3)), layer()])
        return layers.TimeDistributed(row)(x)

    return step


# How it is made, and what it is called in the sentence.
FOREIGN = {
    "closure": (lambda x: layers.Activation(limited(254.0))(x), "'activation"),
    "named as Keras's": (lambda x: layers.Dense(3, activation=relu)(x), "'dense"),
    "partial": (
        lambda x: layers.Dense(3, activation=partial(ops.relu))(x),
        "'dense.*partial",
    ),
    "object": (lambda x: layers.Activation(Limit())(x), "'activation.*Limit"),
    "Lambda": (lambda x: layers.Lambda(lambda x: x + 1)(x), "'lambda"),
    "layer": (lambda x: Own()(x), "'own.*Own"),
    "registered": (lambda x: Registered()(x), "'registered.*Registered"),
    "subclass": (lambda x: OwnNorm()(x), "'own_norm.*OwnNorm"),
    "model": (model_of_ones_own, "'own_model.*OwnModel"),
    "in a wrapper": (in_a_wrapper(Own), "'own.*Own"),
    "closure in a wrapper": (
        in_a_wrapper(lambda: layers.Activation(limited(254.0))),
        "'activation",
    ),
    "as an activation": (lambda x: layers.Dense(3, activation=Own())(x), "'dense.*Own"),
    "replaced": (replaced, "'identity.*limit_"),
    "function of an operation": (
        lambda x: ops.vectorized_map(abs, x),
        "'vectorized_map",
    ),
}


@pytest.mark.parametrize("kind", thorough_but(FOREIGN, "closure", "layer"))
def test_what_is_not_keras_own_is_named_and_has_no_lasting_key(kind):
    build, named = FOREIGN[kind]
    assert_named(network(build), named)


def assert_named(one, named):
    assert re.search(named, undescribed(one))
    classifier = variants.classifier(one)
    assert classifier.key() != classifier.key()


class Subclassed(keras.Model):
    def __init__(self, limit):
        super().__init__()
        self.limit = limit
        self.head = layers.Dense(4)

    def call(self, x):
        return self.head(ops.relu(ops.mean(x, axis=(1, 2)) - self.limit))


def subclassed():
    found = Subclassed(250.0)
    found(np.zeros((1, SIZE, SIZE, 3), "float32"))
    return found


def a_function():
    return lambda batch, training=False: batch[:, 0, 0]


@pytest.mark.parametrize("make", [subclassed, a_function])
def test_what_is_no_network_of_steps_has_no_lasting_key(make):
    assert_named(make(), "")


@pytest.mark.parametrize("kind", thorough_but(["closure", "layer", "Lambda"], "layer"))
def test_features_of_such_a_network_are_computed_each_time(
    kind, folder, tmp_path, capsys
):
    pictures = Pictures(
        "noise", tuple(sorted(folder.iterdir())), np.zeros(3, int), ("a",)
    )
    first = network(FOREIGN[kind][0])
    for count in (1, 2):
        extract_features(variants.classifier(first), pictures, tmp_path / "cache")
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and "Features of tiny are not kept" in said
        assert undescribed(first) in said, count
    assert not (tmp_path / "cache").exists()


LIMITS = {
    "closure": lambda limit: lambda x: layers.Activation(limited(limit))(x),
    "named as Keras's": lambda limit: lambda x: layers.Activation(limited(limit))(x),
    "layer": lambda limit: lambda x: Own(limited(limit))(x),
    "Lambda": lambda limit: lambda x: layers.Lambda(limited(limit))(x),
}


@pytest.mark.parametrize("kind", thorough_but(LIMITS, "layer"))
def test_a_table_of_such_a_network_is_not_gone_on_with(kind, folder, tmp_path, capsys):
    table = tmp_path / "table.csv"
    one, other = (variants.classifier(network(LIMITS[kind](k))) for k in (254.0, 90.0))
    predict_folder(folder, one, table, progress=False)
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "No later run can go on" in said
    assert undescribed(one.network) in said
    before = list(read_predictions(table))
    with pytest.raises(BatchError, match="name another file"):
        predict_folder(folder, other, table, progress=False)
    assert list(read_predictions(table)) == before
    predict_folder(folder, other, tmp_path / "other.csv", progress=False)


def test_of_keras_own_layers_nothing_is_said(folder, tmp_path, capsys):
    predict_folder(
        folder,
        variants.classifier(variants.network()),
        tmp_path / "a.csv",
        progress=False,
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "name", thorough_but(["MobileNetV3Small", "ConvNeXtTiny"], "MobileNetV3Small")
)
def test_published_networks_are_described(name):
    assert undescribed(getattr(keras.applications, name)(weights=None)) is None
