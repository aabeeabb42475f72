"""A network's preprocessing as layers computes the same, and no more than needed."""

import numpy as np
import pytest

from safeguards.scaling import preprocessed


def alike(batch):
    return batch / 127.5 - 1


def by_colour(batch):
    return batch[..., ::-1] - np.array([103.9, 116.8, 123.7], "float32")


@pytest.mark.parametrize("preprocess_input", [alike, by_colour])
def test_layers_compute_what_the_function_does(preprocess_input):
    from helpers import keras

    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, preprocessed(inputs, preprocess_input))
    batch = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype("float32")
    expected = preprocess_input(batch.copy())
    assert model(batch).numpy() == pytest.approx(expected, abs=1e-4)


def test_colours_that_are_scaled_alike_are_scaled_by_one_number():
    from helpers import keras

    inputs = keras.Input((4, 4, 3))
    layer = keras.Model(inputs, preprocessed(inputs, alike)).get_layer("preprocess")
    assert np.shape(layer.scale) == np.shape(layer.offset) == ()
