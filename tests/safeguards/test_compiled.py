"""A network whose layers are changed in place answers as they are now."""

import numpy as np
import pytest
from cases import thorough_but

from helpers import keras
from helpers.images import ResizeRule
from helpers.models import Classifier
from helpers.training import base_of, extract_features, predict
from safeguards.compiled import Compiled
from safeguards.scaling import unchanged

layers = keras.layers
SIZE = 16
CLASSES = (("a", "a"), ("b", "b"), ("c", "c"))


def made(end="linear"):
    """A `Classifier` with a nested network."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1, 2, 3], name="norm")(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(x)
    inner = [
        keras.Input((SIZE, SIZE, 6)),
        layers.Conv2D(6, 3, activation="tanh", name="inner_conv"),
        layers.BatchNormalization(name="inner_norm"),
    ]
    x = keras.Sequential(inner, name="inner")(x)
    x = layers.LeakyReLU(0.1, name="leaky")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Activation("gelu", name="act")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(3, end, name="head")(x))
    model.rule = ResizeRule()
    return Classifier("own", model, SIZE, model.rule, unchanged, CLASSES)


def setting(layer, name, value, within=None):
    """Set an attribute of a layer, perhaps of one within another."""

    def change(network):
        outer = network.get_layer(within) if within else network
        setattr(outer.get_layer(layer), name, value)

    return change


def other_statistics(network):
    norm = network.get_layer("norm")
    norm.mean = norm.mean + 1


CHANGES = {
    "activation": setting("conv", "activation", keras.activations.tanh),
    "padding": setting("conv", "padding", "valid"),
    "dilation": setting("conv", "dilation_rate", (2, 2)),
    "half precision": setting(
        "conv", "dtype_policy", keras.DTypePolicy("mixed_bfloat16")
    ),
    "scale": setting("scale", "scale", 1 / 99),
    "offset": setting("scale", "offset", 0.3),
    "statistics": other_statistics,
    "slope": setting("leaky", "negative_slope", 0.9),
    "activation inside": setting(
        "inner_conv", "activation", keras.activations.relu, "inner"
    ),
    "epsilon inside": setting("inner_norm", "epsilon", 1.0, "inner"),
    "pooling": setting("pool", "pool_size", (3, 3)),
    "activation layer": setting("act", "activation", keras.activations.sigmoid),
    "weights": lambda network: network.set_weights(
        [1.5 * weight for weight in network.get_weights()]
    ),
}


@pytest.mark.parametrize("kind", thorough_but(CHANGES, "activation", "weights"))
def test_a_layer_changed_in_place_changes_all_answers(kind):
    """The graph of before went on answering, under a new key."""
    classifier = made()
    network = classifier.network
    pictures = np.random.default_rng(5).integers(0, 256, (4, SIZE, SIZE, 3), "uint8")
    batch = pictures.astype("float32")
    base = base_of(classifier)
    features = Compiled(base)
    before = classifier.forward(batch)
    predict(network, pictures)
    features(batch)
    CHANGES[kind](network)
    logits = np.asarray(network(batch, training=False))
    assert np.abs(logits - before).max() > 1e-4
    np.testing.assert_allclose(classifier.forward(batch), logits, atol=1e-5)
    shares = keras.ops.softmax(logits)
    np.testing.assert_allclose(predict(network, pictures), shares, atol=1e-5)
    wanted = np.asarray(base(batch, training=False))
    np.testing.assert_allclose(features(batch), wanted, atol=1e-5)


def test_features_are_those_of_the_layer_as_it_is(tmp_path):
    from PIL import Image

    from helpers.pictures import Pictures

    path = tmp_path / "a" / "1.png"
    path.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), "uint8")
    Image.fromarray(noise).save(path)
    pictures = Pictures("set", (path,), np.array([0]), ("a", "b", "c"))
    classifier = made()
    before = extract_features(classifier, pictures, tmp_path / "cache")
    CHANGES["activation"](classifier.network)
    wanted = base_of(classifier)(noise[None].astype("float32"), training=False)
    for _ in range(2):  # computed, then from the cache
        found = extract_features(classifier, pictures, tmp_path / "cache")
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(found - before).max() > 1e-4


def test_one_graph_serves_as_long_as_nothing_changes(monkeypatch):
    traced = []
    real = Compiled._traced

    def counting(compiled):
        traced.append(compiled)
        return real(compiled)

    monkeypatch.setattr(Compiled, "_traced", counting)
    classifier = made()
    for count in (1, 3, 2):
        classifier.forward(np.zeros((count, SIZE, SIZE, 3), "float32"))
    assert len(traced) == 1


@pytest.mark.parametrize(
    ("end", "advice"),
    [
        ("softmax", r"logits_of\(model\)"),
        ("sigmoid", "train the model anew"),
        ("tanh", "logits_of"),
        ("relu", "logits_of"),
    ],
)
def test_a_classifier_of_what_is_no_logits_does_not_answer(end, advice):
    """A softmax was laid over probabilities: none could be large."""
    classifier = made(end)
    picture = np.zeros((1, SIZE, SIZE, 3), "uint8")
    answers = (classifier.logits, classifier.probabilities)
    for answer in answers:
        with pytest.raises(ValueError, match=rf"(?s)but a Classifier .*{advice}"):
            answer(picture)
