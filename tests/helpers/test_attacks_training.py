"""What looks like a network of ours and is built otherwise: training, copies, bases."""

import numpy as np
import pytest
from cases import thorough_but

from helpers import keras
from helpers.images import ResizeRule
from helpers.models import Classifier
from helpers.training import base_of, fit, new_model, predict
from safeguards.networks import set_weights
from safeguards.scaling import unchanged

layers, ops = keras.layers, keras.ops
SIZE = 16
N = 16
LARGE = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.3, seed=0)}


def pictures():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (N, SIZE, SIZE, 3)).astype("float32"), np.arange(N) % 2


def of_its_own(head, front=None):
    """A model with a frozen base, built by hand, always the same one."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 255)(layers.Conv2D(6, 3, activation="relu")(inputs))
    base = keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name="base")
    base.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    features = base(front(inputs) if front else inputs)
    return keras.Model(inputs, head(features, inputs))


def dense(units=2):
    return layers.Dense(units, **LARGE)


def twice(x):
    layer = dense(6)
    return layer(layer(x))


def summed(x):
    return layers.Add()([x, dense(6)(x)])


def beside(x, inputs):
    colours = layers.Rescaling(1 / 255)(layers.GlobalAveragePooling2D()(inputs))
    return dense()(layers.Concatenate()([x, colours]))


HEADS = {
    "a layer": lambda x, _: dense()(x),
    "layers in a row": lambda x, _: dense()(layers.ReLU()(dense(8)(x))),
    "an operation in the row": lambda x, _: dense()(ops.sin(5 * dense(8)(x))),
    "a sum": lambda x, _: dense()(x + dense(6)(x)),
    "a sum by a layer": lambda x, _: dense()(summed(x)),
    "a layer used twice": lambda x, _: dense()(twice(x)),
    "branches": lambda x, _: dense()(layers.Concatenate()([dense(4)(x), dense(3)(x)])),
    "the picture beside": beside,
}
FRONTS = {
    "what trains": lambda x: layers.Conv2D(3, 1, **LARGE)(x),
    "what varies": lambda x: layers.RandomRotation(0.5, seed=1)(x),
    "what varies, nested": lambda x: keras.Sequential([layers.RandomFlip(seed=1)])(x),
    "statistics": lambda x: layers.BatchNormalization(center=False, scale=False)(x),
}
OWN = {kind: (head, None) for kind, head in HEADS.items()} | {
    f"in front: {kind}": (HEADS["a layer"], front) for kind, front in FRONTS.items()
}


@pytest.mark.parametrize("kind", thorough_but(OWN, "in front: statistics"))
def test_models_of_ones_own_train_as_in_keras(kind):
    """Whatever stands around the base is trained as it is used."""
    (x, y), (ours, keras_) = pictures(), (of_its_own(*OWN[kind]) for _ in range(2))
    fit(ours, (x, y), None, 3, learning_rate=0.01, batch_size=4)
    keras.utils.set_random_seed(0)
    keras_.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    keras_.fit(x, y, epochs=3, batch_size=4, verbose=0)
    np.testing.assert_allclose(ours(x), keras_(x), rtol=1e-3, atol=1e-4)


def normalised(x):
    layer = layers.Normalization()
    layer.adapt(pictures()[0])
    return layer(x)


def with_statistics():
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(6, 3, activation="relu")(normalised(inputs))
    return keras.Model(inputs, dense()(layers.GlobalAveragePooling2D()(x)))


def classifier(network):
    pairs = tuple((name, name) for name in "ab")
    return Classifier("own", network, SIZE, ResizeRule(), unchanged, pairs)


@pytest.mark.parametrize("nested", [False, True])
def test_a_copy_has_the_statistics_that_were_learned(nested):
    network = with_statistics()
    if nested:
        inputs = keras.Input((SIZE, SIZE, 3))
        network = keras.Model(inputs, network(inputs))
    one = classifier(network)
    x = pictures()[0]
    copy = new_model(one, 2).get_layer("base")
    np.testing.assert_allclose(copy(x), base_of(one)(x), rtol=1e-4)
    other = keras.models.clone_model(network)
    set_weights(other, network.get_weights())
    np.testing.assert_allclose(other(x), network(x), rtol=1e-4)


def test_the_base_of_a_network_that_was_changed():
    network = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Conv2D(6, 3),
            layers.GlobalAveragePooling2D(),
            dense(8),
            dense(2),
        ]
    )
    assert base_of(classifier(network)).output_shape == (None, 8)
    network.pop()
    assert base_of(classifier(network)).output_shape == (None, 6)


def test_an_output_with_a_name_is_refused():
    network = of_its_own(HEADS["a layer"])
    named = keras.Model(network.inputs, {"answer": network.outputs[0]})
    with pytest.raises(ValueError, match=r"by name.*model.outputs\[0\]"):
        predict(named, pictures()[0])
    told = keras.Model(named.inputs, named.outputs[0])
    np.testing.assert_allclose(predict(told, pictures()[0]).sum(axis=-1), 1, rtol=1e-5)
