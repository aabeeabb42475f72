"""helpers.keys: networks that answer differently have different keys, however alike they look."""

import numpy as np
import pytest

from helpers import keras
from helpers.images import ResizeRule
from helpers.models import Classifier, unchanged

layers = keras.layers
ops = keras.ops


def key(step):
    """The key of a tiny network with a step in its middle."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalMaxPooling2D()(step(inputs))
    network = keras.Model(inputs, layers.Dense(3)(x))
    return Classifier("tiny", network, 16, ResizeRule(), unchanged, ("a", "b", "c")).key()


def with_default(limit):
    return layers.Lambda(lambda x, k=limit: ops.relu(x - k))


def around_array(limit):
    values = np.float32([limit])
    return layers.Lambda(lambda x: ops.relu(x - values))


def around_list(limit):
    values = [limit]
    return layers.Lambda(lambda x: ops.relu(x - values[0]))


def around_function(limit):
    def inner(x):
        return x - limit

    return layers.Lambda(lambda x: ops.relu(inner(x)))


def around_itself(limit):
    def again(x, times=1):
        return again(x, times - 1) if times else ops.relu(x - limit)

    return layers.Lambda(lambda x: again(x))


# Each differs from its twin only where noise does not show it: in what is brighter than it gets.
TWINS = {
    "slices": (lambda x: x[:, :15], lambda x: x[:, :16]),
    "slices from the start": (lambda x: x[:, 1:], lambda x: x[:, :15]),
    "defaults": (with_default(254.0), with_default(254.9)),
    "arrays": (around_array(254.0), around_array(254.9)),
    "lists": (around_list(254.0), around_list(254.9)),
    "functions": (around_function(254.0), around_function(254.9)),
    "recursion": (around_itself(254.0), around_itself(254.9)),
    "nested functions": (
        layers.Lambda(lambda x: (lambda y: ops.relu(y - 254.0))(x)),
        layers.Lambda(lambda x: (lambda y: ops.relu(y - 254.9))(x)),
    ),
    "tuples": (
        layers.Lambda(lambda x: ops.relu(x - (254.0, 1.0)[0])),
        layers.Lambda(lambda x: ops.relu(x - (254.9, 1.0)[0])),
    ),
}


@pytest.mark.parametrize("pair", TWINS)
def test_what_noise_does_not_show_is_in_the_key(pair):
    one, other = TWINS[pair]
    assert key(one) != key(other)


@pytest.mark.parametrize("make", [with_default, around_list, around_function, around_itself])
def test_the_same_function_made_again_has_the_same_key(make):
    assert key(make(254.0)) == key(make(254.0))
