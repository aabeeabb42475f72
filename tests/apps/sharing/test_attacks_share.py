"""Classifiers that no file can stand for: their answers depend on more than the
picture."""

import pytest

from apps.sharing.classifier import as_classifier
from apps.sharing.saving import save_classifier
from helpers import keras
from helpers.images import ResizeRule

layers, ops = keras.layers, keras.ops
SIZE = 16
BESIDE = {
    "mean": (lambda x: x - ops.mean(x, axis=0, keepdims=True), "subtract"),
    "turned over": (lambda x: ops.flip(x, axis=0), "flip"),
    "in a row": (lambda x: ops.cumsum(x, axis=0), "cumsum"),
}


@pytest.mark.parametrize("kind", BESIDE)
def test_answers_that_depend_on_the_pictures_beside_are_refused_by_name(kind, tmp_path):
    change, name = BESIDE[kind]
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    x = layers.Dense(4)(layers.GlobalAveragePooling2D()(change(x)))
    one = as_classifier(keras.Model(inputs, x), [*"abcd"], rule=ResizeRule())
    with pytest.raises(ValueError, match=f"others are beside it.*'{name}"):
        save_classifier(one, tmp_path / "one.keras")
    assert not list(tmp_path.glob("*.keras"))
