"""Cached features, heads and fine-tuning, on stand-ins with random weights."""

import dataclasses
import gc
import json
import os
import subprocess
import sys
import weakref
import zipfile

import numpy as np
import pytest
import variants
from cases import thorough_but
from PIL import Image
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from apps.sharing.classifier import as_classifier
from apps.sharing.saving import save_classifier
from helpers import images, keras, training
from helpers.datasets import load_dataset
from helpers.images import SQUASH, ResizeRule
from helpers.models import Classifier, load_classifier
from helpers.pictures import Pictures
from safeguards import feature_files
from safeguards.folders import DataError
from safeguards.logits import logits_of
from safeguards.networks import leaves, parts
from safeguards.scaling import unchanged

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


@pytest.fixture(scope="module")
def deep():
    """Seven convolutions with BatchNorm, for pictures of any size, with random
    weights."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = inputs = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    for channels, stride in (
        (8, 2),
        (8, 1),
        (16, 2),
        (16, 1),
        (24, 2),
        (24, 1),
        (24, 1),
    ):
        x = layers.Conv2D(
            channels,
            3,
            stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
        )(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    outputs = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    return Classifier(
        "deep", keras.Model(inputs, outputs), 32, ResizeRule(), unchanged, None
    )


def stand_in(name, preprocess, size=32):
    """A tiny untrained network with a BatchNorm layer that stands in for a large
    one."""
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(4, 3, strides=2),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(6, activation="relu"),
            layers.Dense(10),
        ]
    )
    network = keras.Model(network.inputs[0], network.outputs[0])
    return Classifier(name, network, size, ResizeRule(), preprocess, None)


@pytest.fixture(scope="module")
def tiny():
    return stand_in("tiny", lambda x: x / 255)


@pytest.fixture(scope="module")
def mobilenet():
    """MobileNetV2's own layers, narrow and for small pictures, with random weights."""
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, weights=None, classes=10, classifier_activation=None
    )
    norms = [
        x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)
    ]
    for norm in norms:
        norm.momentum = 0.0
    network(np.random.default_rng(0).uniform(-1, 1, (24, 32, 32, 3)), training=True)
    for (
        norm
    ) in norms:  # its statistics fit its weights now, so that signals get through
        norm.momentum = 0.9
    preprocess = keras.applications.mobilenet_v2.preprocess_input
    return Classifier(
        "mobilenet", network, 32, ResizeRule(), lambda x: preprocess(+x), None
    )


@pytest.fixture
def toy(tmp_path):
    """24 pictures of 40×30 pixels in two classes: reddish and bluish noise."""
    rng, paths = np.random.default_rng(0), []
    (tmp_path / "pictures").mkdir()
    labels = np.arange(24) % 2
    for i, label in enumerate(labels):
        pixels = rng.integers(0, 120, (30, 40, 3), "uint8")
        pixels[..., 2 * label] += 100
        paths.append(tmp_path / "pictures" / f"{i:02}.png")
        Image.fromarray(pixels).save(paths[-1])
    return Pictures("toy", tuple(paths), labels, ("red", "blue"))


@pytest.fixture
def noise():
    return np.random.default_rng(1).uniform(0, 255, (3, 32, 32, 3)).astype("float32")


# -- the base --------------------------------------------------------------------------


def check_base(classifier, batch):
    """What the base gives, put through the classification layer, are the network's own
    logits."""
    features = np.asarray(training.base_of(classifier)(batch))
    kernel, bias = classifier.network.get_weights()[-2:]
    logits = features @ kernel.reshape(-1, kernel.shape[-1]) + bias
    np.testing.assert_allclose(logits, classifier.network(batch), atol=1e-4)
    return features.shape


def test_base_ends_before_the_classification_layer(deep, mobilenet, noise):
    (units,) = {w.shape[0] for w in deep.network.weights[-2:-1]}
    assert check_base(deep, noise) == (3, units)
    assert check_base(mobilenet, noise / 255) == (3, 1280)
    two_dense = stand_in("vgg", lambda x: x)
    assert check_base(two_dense, noise / 255) == (3, 6), (
        "the last hidden layer, as of VGG"
    )


@pytest.mark.thorough
def test_base_of_a_convolutional_classifier(noise):
    network = keras.applications.MobileNetV3Small(
        (32, 32, 3), weights=None, classes=10, classifier_activation=None
    )
    classifier = Classifier("v3", network, 32, ResizeRule(), lambda x: x, None)
    assert check_base(classifier, noise) == (3, 1024)


def test_base_is_made_once_and_goes_with_its_network(noise):
    classifier = stand_in("x", lambda x: x)
    assert training.base_of(classifier) is training.base_of(classifier)
    training.base_of(classifier).predict_on_batch(noise)
    network = weakref.ref(classifier.network)
    del classifier
    gc.collect()
    assert network() is None, "a large model can be freed"


# -- features and their cache ----------------------------------------------------------


def expected(classifier, pictures):
    prepared = classifier.preprocess_input(
        pictures.array(classifier.size, classifier.rule)
    )
    return np.asarray(training.base_of(classifier)(prepared))


def files(folder):
    """Path → (inode, time): what is rewritten changes, and what is read stays."""
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_features_are_the_bases(deep, toy, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(training, "AT_ONCE", 7)  # 24 pictures in three parts and a rest
    features = training.extract_features(deep, toy, tmp_path / "cache")
    assert features.dtype == "float32"
    np.testing.assert_allclose(features, expected(deep, toy), rtol=1e-4, atol=1e-4)
    assert capfd.readouterr() == ("", "")
    one = training.extract_features(deep, toy[[5]], tmp_path / "cache")
    np.testing.assert_allclose(one, features[5:6], rtol=1e-4, atol=1e-4)
    assert training.extract_features(deep, toy[toy.labels > 1], tmp_path).shape == (
        0,
        features.shape[1],
    )


def test_features_are_computed_once(deep, toy, tmp_path):
    first = training.extract_features(deep, toy, tmp_path / "a" / "b")
    before = files(tmp_path / "a" / "b")
    assert len(before) == 1
    again = training.extract_features(deep, toy, tmp_path / "a" / "b")
    assert np.array_equal(first, again)
    again += 1  # writable, and no part of the cache
    relabelled = dataclasses.replace(toy, labels=toy.labels[::-1])
    assert np.array_equal(
        first, training.extract_features(deep, relabelled, tmp_path / "a" / "b")
    )
    assert files(tmp_path / "a" / "b") == before


def test_cache_is_where_the_variable_says_or_in_the_home(
    deep, toy, tmp_path, monkeypatch
):
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path / "given"))
    training.extract_features(deep, toy, tmp_path / "explicit")
    assert not (tmp_path / "given").exists()
    training.extract_features(deep, toy)
    assert len(files(tmp_path / "given")) == 1
    monkeypatch.delenv("TRANSFER_CACHE")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    training.extract_features(deep, toy)
    assert (
        len(files(tmp_path / "home" / ".cache" / "transfer-learning" / "features")) == 1
    )


def other_weights(classifier):
    network = keras.models.clone_model(classifier.network)
    values = classifier.network.get_weights()
    values[0] = values[0] * 1.001
    network.set_weights(values)
    return dataclasses.replace(classifier, network=network)


@pytest.mark.parametrize("other", thorough_but(variants.BEFORE, "rescaling"))
def test_features_of_another_network_are_not_used_again(toy, tmp_path, other):
    """Of one with the same weights, as after a mistake in the preparation was
    corrected."""
    own = variants.classifier(variants.network())
    changed = variants.classifier(variants.OTHERS[other]())
    training.extract_features(own, toy, tmp_path / "cache")
    again = training.extract_features(changed, toy, tmp_path / "cache")
    np.testing.assert_allclose(again, expected(changed, toy), rtol=1e-4, atol=1e-4)
    assert len(files(tmp_path / "cache")) == 2


def test_features_are_used_again_whatever_the_head_and_its_names(toy, tmp_path):
    first = training.extract_features(
        variants.classifier(variants.network()), toy, tmp_path / "cache"
    )
    before = files(tmp_path / "cache")
    for build in (*variants.SAME.values(), variants.OTHERS["temperature"]):
        again = training.extract_features(
            variants.classifier(build()), toy, tmp_path / "cache"
        )
        assert np.array_equal(again, first)
    assert files(tmp_path / "cache") == before


EXTRACTED = """
from helpers.datasets import load_dataset
from helpers.training import extract_features
part = load_dataset(rest[0]).train
extract_features(variants.classifier(variants.network()), part, rest[1])
"""


@pytest.mark.thorough
def test_features_are_used_again_after_a_comment_in_our_sources(tmp_path):
    """In another process, too."""
    for name in ("red", "blue"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(8):
            image = Image.effect_noise((20, 20), 10 + k).convert("RGB")
            image.save(tmp_path / "set" / name / f"{k}.png")
    folders = [str(tmp_path / name) for name in ("set", "cache")]
    variants.run_commented(tmp_path / "copy", EXTRACTED, *folders)
    before = files(tmp_path / "cache")
    part = load_dataset(tmp_path / "set").train
    training.extract_features(
        variants.classifier(variants.network()), part, tmp_path / "cache"
    )
    assert len(before) == 1 and files(tmp_path / "cache") == before


@pytest.mark.parametrize(
    "change",
    [
        other_weights,
        lambda c: dataclasses.replace(c, rule=SQUASH),
        lambda c: dataclasses.replace(c, size=48),
        lambda c: dataclasses.replace(c, preprocess_input=lambda x: x / 2),
    ],
    ids=["weights", "rule", "size", "preprocess_input"],
)
def test_another_model_or_preparation_is_computed_anew(deep, toy, tmp_path, change):
    first = training.extract_features(deep, toy, tmp_path / "cache")
    changed = change(deep)
    second = training.extract_features(changed, toy, tmp_path / "cache")
    assert not np.allclose(first, second, rtol=1e-5)
    np.testing.assert_allclose(second, expected(changed, toy), rtol=1e-4, atol=1e-4)


def test_a_changed_picture_is_seen(deep, toy, tmp_path):
    first = training.extract_features(deep, toy, tmp_path / "cache")
    Image.new("RGB", (40, 30), "green").save(toy.paths[3])
    second = training.extract_features(deep, toy, tmp_path / "cache")
    assert np.flatnonzero(np.abs(first - second).max(axis=1) > 1e-3).tolist() == [3]
    np.testing.assert_allclose(second, expected(deep, toy), rtol=1e-4, atol=1e-4)
    turned = training.extract_features(
        deep, toy[np.arange(24)[::-1]], tmp_path / "cache"
    )
    np.testing.assert_allclose(turned[::-1], second, rtol=1e-4, atol=1e-4)


def flip_a_bit(data):
    return data[:1000] + bytes([data[1000] ^ 1]) + data[1001:]


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        lambda d: d[:-4],
        lambda d: d[len(d) // 2 :],
        lambda d: b"",
        lambda d: d[:20],
    ],
    ids=["bit", "shorter", "end", "empty", "beginning"],
)
def test_a_damaged_cache_is_rebuilt(deep, toy, tmp_path, damage):
    first = training.extract_features(deep, toy, tmp_path)
    path = next(tmp_path.glob("*.npz"))
    intact = path.read_bytes()
    path.write_bytes(damage(intact))
    assert np.array_equal(first, training.extract_features(deep, toy, tmp_path))
    assert path.read_bytes() == intact


@pytest.mark.parametrize("step", thorough_but([1, 11], 11))
def test_no_flipped_bit_gives_other_features(step, tmp_path):
    """Wherever it is: what is read is what was written, or nothing. step: how many bits
    further on the next one is."""
    path = tmp_path / "x.npz"
    features = np.random.default_rng(0).random((3, 5), "float32")
    feature_files.write_features(path, "key", features)
    intact = path.read_bytes()
    noticed = 0
    for place in range(0, 8 * len(intact), step):
        damaged = bytearray(intact)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        found = feature_files.read_features(path, "key")
        noticed += found is None
        assert found is None or np.array_equal(found, features), place
    assert noticed > 8 * features.nbytes / step


def test_a_file_under_another_name_is_not_taken(deep, toy, tmp_path):
    """Somebody tidies up the folder and mixes up two files."""
    training.extract_features(deep, toy, tmp_path)
    path = next(tmp_path.glob("*.npz"))
    flipped = toy[np.arange(24)[::-1]]
    right = training.extract_features(deep, flipped, tmp_path)
    (other,) = set(tmp_path.glob("*.npz")) - {path}
    other.write_bytes(path.read_bytes())
    assert np.array_equal(training.extract_features(deep, flipped, tmp_path), right)


@pytest.mark.parametrize("fault", ["gone", "damaged"])
def test_a_picture_that_cannot_be_read_is_named(deep, toy, tmp_path, fault):
    training.extract_features(deep, toy, tmp_path / "cache")
    before = files(tmp_path / "cache")
    if fault == "gone":
        toy.paths[20].unlink()
    else:
        toy.paths[20].write_bytes(toy.paths[20].read_bytes()[:-2000])
    with pytest.raises(DataError, match="20.png"):
        training.extract_features(deep, toy, tmp_path / "cache")
    assert files(tmp_path / "cache") == before, "nothing half-written"


def test_a_folder_that_cannot_be_written_costs_the_cache_only(
    deep, toy, tmp_path, capsys
):
    (tmp_path / "file").touch()
    features = training.extract_features(deep, toy, tmp_path / "file" / "cache")
    np.testing.assert_allclose(features, expected(deep, toy), rtol=1e-4, atol=1e-4)
    said = capsys.readouterr().out
    assert "Features are not kept" in said and "TRANSFER_CACHE" in said
    assert said.count("\n") == 1 and str(tmp_path / "file") in said


@pytest.mark.parametrize(
    "fault", [KeyboardInterrupt, OSError(28, "No space left on device")]
)
def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch, capsys, fault):
    def replace(*paths):
        raise fault

    monkeypatch.setattr(os, "replace", replace)
    if fault is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            feature_files.write_features(
                tmp_path / "x.npz", "key", np.ones(5, "float32")
            )
    else:
        feature_files.write_features(tmp_path / "x.npz", "key", np.ones(5, "float32"))
        assert "No space left on device" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


WRITER = """
import sys
from pathlib import Path
import numpy as np
from safeguards.feature_files import read_features, write_features
path, value = Path(sys.argv[1]), float(sys.argv[2])
for _ in range(200):
    write_features(path, "key", np.full(30_000, value, "float32"))
    found = read_features(path, "key")
    assert found is not None and len(set(found.tolist())) == 1, found
"""


@pytest.mark.thorough
def test_two_processes_at_once_do_not_mix_their_files(tmp_path):
    path = tmp_path / "cache" / "x.npz"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(i)], stderr=subprocess.PIPE
        )
        for i in (1, 2)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors.decode()
    assert [p.name for p in path.parent.iterdir()] == ["x.npz"]


# -- a head on features ----------------------------------------------------------------


@pytest.fixture(scope="module")
def blobs():
    """Features of three classes, some of which never vary in training: (train, labels,
    test, …)."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 2, (3, 50))
    labels = np.arange(300) % 3
    features = (centres[labels] + rng.normal(0, 3, (300, 50))).clip(0).astype(
        "float32"
    ) * 40
    features[:60, 40:] = 0
    return features[:60], labels[:60], features[60:], labels[60:]


def test_head_is_logistic_regression(blobs):
    x, y, unseen, truth = blobs
    head = training.fit_head(x, y, 3)
    assert isinstance(head, keras.Sequential)
    assert (head.input_shape, head.output_shape) == ((None, 50), (None, 3))
    scale = np.sqrt(x.var(axis=0) + x.var(axis=0).mean())
    model = LogisticRegression(C=0.1).fit((x - x.mean(axis=0)) / scale, y)
    theirs = model.score((unseen - x.mean(axis=0)) / scale, truth)
    probabilities = training.predict(head, unseen)
    ours = (probabilities.argmax(axis=1) == truth).mean()
    assert ours > theirs - 0.03 and theirs > 0.6
    np.testing.assert_allclose(
        probabilities, softmax(np.asarray(head(unseen)), axis=1), atol=1e-5
    )
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.thorough
def test_head_is_the_same_for_the_same_seed(blobs):
    x, y, unseen, _ = blobs
    first, second, other = (
        training.predict(training.fit_head(x, y, 3, s), unseen) for s in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.thorough
def test_head_of_one_picture_a_class(blobs):
    x, y, unseen, truth = blobs
    probabilities = training.predict(training.fit_head(x[:3], y[:3], 3), unseen)
    assert np.isfinite(probabilities).all()
    assert (probabilities.argmax(axis=1) == truth).mean() > 0.4


def test_labels_must_fit(blobs):
    x, y, *_ = blobs
    with pytest.raises(
        ValueError, match=r"With 3 outputs.* 0…2: found \[1 2 3\].*n_classes"
    ):
        training.fit_head(x, y + 1, 3)
    with pytest.raises(
        ValueError, match=r"60 pictures need as many labels, not \(59,\)"
    ):
        training.fit_head(x, y[1:], 3)
    with pytest.raises(ValueError, match="there should be labels"):
        training.fit_head(x[:0], y[:0], 3)
    for wrong in (y + 0.5, np.full(60, np.nan), np.full(60, "a")):
        with pytest.raises(ValueError, match="With 3 outputs there should be labels"):
            training.fit_head(x, wrong, 3)
    training.fit_head(x, y.astype("float32"), 3, epochs=1)


# -- a new model -----------------------------------------------------------------------

MODULES = ["mobilenet_v2", "vgg16", "resnet", "densenet", "convnext"]


def keras_preprocessing(module):
    own = getattr(keras.applications, module).preprocess_input
    return lambda batch: own(np.array(batch))


@pytest.mark.parametrize("module", thorough_but(MODULES, "mobilenet_v2", "vgg16"))
def test_preprocessing_is_in_the_model_and_in_its_file(module, noise, toy, tmp_path):
    classifier = stand_in(module, keras_preprocessing(module))
    features = training.extract_features(classifier, toy, tmp_path / "cache")
    np.testing.assert_allclose(
        features, expected(classifier, toy), rtol=1e-4, atol=1e-4
    )
    model = training.new_model(classifier, 4)
    assert (model.input_shape, model.output_shape) == ((None, 32, 32, 3), (None, 4))
    assert [layer.name for layer in model.layers[-2:]] == ["base", "head"]
    front = keras.Model(model.inputs[0], model.get_layer("head").input)
    direct = training.base_of(classifier)(classifier.preprocess_input(noise))
    np.testing.assert_allclose(front(noise), direct, rtol=1e-4, atol=1e-4)

    model.get_layer("head").kernel.assign(np.random.default_rng(0).normal(size=(6, 4)))
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        config = file.read("config.json").decode()
    assert "Lambda" not in config and "helpers" not in json.dumps(json.loads(config))
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(
        training.predict(loaded, noise), training.predict(model, noise)
    )


def test_preprocessing_that_is_no_scaling_is_refused():
    with pytest.raises(ValueError, match="must scale and shift each colour by itself"):
        training.new_model(stand_in("x", lambda x: x**2), 4)


def test_a_fine_tuned_model_in_a_file_predicts_the_same(tiny, toy, tmp_path):
    model = training.new_model(tiny, 2, augment=training.augmentation(), dropout=0.2)
    training.fine_tune(model, toy, toy, head_epochs=1, epochs=1, layers=5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    before = training.predict(model, toy)
    with pytest.raises(
        ValueError, match=r"set model.rule .*pictures.array\(size, rule\)"
    ):
        training.predict(loaded, toy)
    assert np.array_equal(
        training.predict(loaded, toy.array(tiny.size, tiny.rule)), before
    )
    loaded.rule = tiny.rule
    assert np.array_equal(training.predict(loaded, toy), before)


def test_pretrained_or_the_same_network_from_scratch(deep):
    own = training.base_of(deep).get_weights()
    pretrained = training.new_model(deep, 2).get_layer("base")
    assert all(map(np.array_equal, own, pretrained.get_weights()))
    assert not pretrained.trainable_weights
    scratch = training.new_model(deep, 2, pretrained=False).get_layer("base")
    assert (
        len(scratch.trainable_weights)
        == len(training.base_of(deep).trainable_weights)
        > 20
    )
    first, second, other = (
        training.new_model(deep, 2, pretrained=False, seed=s)
        .get_layer("base")
        .get_weights()
        for s in (1, 1, 2)
    )
    assert [w.shape for w in first] == [w.shape for w in own]
    assert all(map(np.array_equal, first, second))
    for one, two, pretrained in zip(first, other, own, strict=True):
        if one.ndim > 1:
            assert not np.allclose(one, two) and not np.allclose(one, pretrained)


def test_the_classifier_itself_stays_as_it_was(tiny, toy):
    before = tiny.network.get_weights()
    model = training.new_model(tiny, 2)
    training.fine_tune(model, toy, toy, head_epochs=1, epochs=1)
    assert all(map(np.array_equal, before, tiny.network.get_weights()))
    assert all(layer.trainable for layer in tiny.network.layers)


# -- augmentation ----------------------------------------------------------------------


def test_augmentation_varies_pictures_in_training_only():
    cat = images.to_batch(["cat"], 64)
    augment = training.augmentation(seed=1)
    assert np.array_equal(augment(cat, training=False), cat)
    varied = np.concatenate([augment(cat, training=True) for _ in range(8)])
    assert varied.min() >= 0 and varied.max() <= 255
    difference = np.abs(varied - cat).mean(axis=(1, 2, 3))
    assert (difference > 5).all(), "values of 0…255 really change"
    assert len(set(difference.tolist())) == 8
    twin = training.augmentation(seed=1)
    again = np.concatenate([twin(cat, training=True) for _ in range(8)])
    assert np.array_equal(varied, again)
    other = training.augmentation(seed=2)(cat, training=True)
    assert not np.array_equal(varied[:1], other)


@pytest.mark.thorough
def test_an_augmentation_can_be_used_for_several_models(tiny, toy):
    augment, results = training.augmentation(), []
    for _ in range(2):
        model = training.new_model(tiny, 2, augment=augment)
        training.fit(model, toy, None, epochs=2)
        results.append(model.get_layer("head").get_weights())
    assert all(map(np.array_equal, *results))


# -- unfreezing, and BatchNorm ---------------------------------------------------------


def statistics(model):
    base = model.get_layer("base")
    kind = keras.layers.BatchNormalization
    found = [layer for layer in base.layers if isinstance(layer, kind)]
    assert len(found) > 5
    return [
        np.array(w)
        for layer in found
        for w in (layer.moving_mean, layer.moving_variance)
    ]


def kernels(model):
    return [np.array(w) for w in model.get_layer("base").weights if len(w.shape) == 4]


def moved(before, after):
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


@pytest.mark.thorough
def test_no_moving_statistic_of_the_base_moves(deep, toy):
    model = training.new_model(deep, 2, augment=training.augmentation())
    before, weights = statistics(model), kernels(model)
    training.fit(model, toy, toy, epochs=1)
    assert not any(moved(before, statistics(model)) + moved(weights, kernels(model)))
    training.unfreeze(model)
    training.fit(model, toy, toy, epochs=1)
    assert all(moved(weights, kernels(model))), "the base did train"
    assert not any(moved(before, statistics(model)))
    model.get_layer("base").trainable = False
    model.get_layer(
        "base"
    ).trainable = True  # without `unfreeze` they move: the test can fail
    training.fit(model, toy, toy, epochs=1)
    assert all(moved(before, statistics(model)))


@pytest.mark.thorough
def test_no_moving_statistic_of_mobilenet_moves(mobilenet, toy):
    model = training.new_model(mobilenet, 2)
    before, weights = statistics(model), kernels(model)
    training.fine_tune(model, toy, toy, head_epochs=1, epochs=2)
    assert any(moved(weights, kernels(model))), "the base did train"
    assert not any(moved(before, statistics(model)))


def test_unfreeze_sets_the_last_layers(deep):
    model = training.new_model(deep, 2)
    base = model.get_layer("base")
    bn = keras.layers.BatchNormalization

    def trainable():
        return [i for i, layer in enumerate(base.layers) if layer.trainable_weights]

    able = [i for i, x in enumerate(base.layers) if x.weights and not isinstance(x, bn)]
    training.unfreeze(model)
    assert trainable() == able
    for layers in (0, 1, 12, len(base.layers)):
        training.unfreeze(model, layers)
        assert trainable() == [i for i in able if i >= len(base.layers) - layers]
    for wrong in (-1, len(base.layers) + 1):
        with pytest.raises(
            ValueError, match=f"has {len(base.layers)} layers: layers={wrong}"
        ):
            training.unfreeze(model, wrong)


# -- bases with networks inside --------------------------------------------------------


def backbone(top=False, sequential=False):
    """Two convolutions with BatchNorm; `top`: with a classification layer."""
    layers = keras.layers
    parts = [keras.Input((32, 32, 3))]
    for _ in range(2):
        parts += [
            layers.Conv2D(4, 3),
            layers.BatchNormalization(momentum=0.5),
            layers.ReLU(),
        ]
    parts += [layers.GlobalAveragePooling2D(), *([layers.Dense(2)] if top else [])]
    network = keras.Sequential(parts)
    return network if sequential else keras.Model(network.inputs[0], network.outputs[0])


def chain(*parts):
    return keras.Sequential([keras.Input((32, 32, 3)), *parts])


def of_new_model():
    first = training.new_model(
        plain(backbone(top=True)), 2, augment=keras.layers.RandomFlip()
    )
    return as_classifier(first, ["a", "b"]).network


def two_backbones():
    inputs = keras.Input((32, 32, 3))
    both = [backbone()(inputs), backbone(sequential=True)(inputs)]
    both = keras.layers.Concatenate()(both)
    return keras.Model(inputs, keras.layers.Dense(2)(both))


def frozen_backbone():
    base = backbone()
    base.trainable = False
    return chain(base, keras.layers.Dense(2))


def in_a_wrapper():
    layers = keras.layers
    alone = layers.TimeDistributed(backbone())
    return chain(
        layers.Reshape((1, 32, 32, 3)), alone, layers.Flatten(), layers.Dense(2)
    )


class Block(keras.layers.Layer):
    """A layer that has others inside."""

    def __init__(self, **more):
        super().__init__(**more)
        self.convolution = keras.layers.Conv2D(4, 3)
        self.norm = keras.layers.BatchNormalization(momentum=0.5)

    def call(self, x):
        return self.norm(self.convolution(x))


def in_a_layer():
    return chain(Block(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2))


def plain(network):
    return Classifier(
        "x", network, 32, ResizeRule(), lambda batch: batch, (("a", "a"), ("b", "b"))
    )


# How a network with BatchNorm can be nested: what builds it, how many of these layers
# it has.
NESTED = {
    "flat": (lambda: backbone(top=True), 2),
    "Functional with its top": (
        lambda: chain(keras.layers.Rescaling(1 / 9), backbone(True)),
        2,
    ),
    "Sequential with its top": (lambda: chain(backbone(True, sequential=True)), 2),
    "before a head": (lambda: chain(backbone(), keras.layers.Dense(2)), 2),
    "three deep": (lambda: chain(chain(chain(backbone()), keras.layers.Dense(2))), 2),
    "new_model": (of_new_model, 2),
    "two": (two_backbones, 4),
    "frozen": (frozen_backbone, 2),
    "TimeDistributed": (in_a_wrapper, 2),
    "a layer's own": (in_a_layer, 1),
}


def batch_norms(model):
    kind = keras.layers.BatchNormalization
    return [part for part in parts(model) if isinstance(part, kind)]


def moving(model):
    return [
        np.array(w)
        for layer in batch_norms(model)
        for w in (layer.moving_mean, layer.moving_variance)
    ]


@pytest.mark.parametrize("kind", thorough_but(NESTED, "three deep"))
def test_batch_norm_stays_frozen_however_deep(kind, toy):
    build, count = NESTED[kind]
    classifier, data = plain(build()), (toy.array(32), toy.labels)
    model = training.new_model(classifier, 2)
    front = keras.Model(model.inputs[0], model.get_layer("head").input)
    features = training.base_of(classifier)(data[0], training=False)
    np.testing.assert_allclose(front(data[0], training=False), features, rtol=1e-5)
    assert features.shape[1] > 2, "what the head gets, not what it says"
    before, first = moving(model), kernels(model)
    assert len(batch_norms(model)) == count
    training.fine_tune(model, data, None, head_epochs=1, epochs=1)
    assert any(moved(first, kernels(model))), "the base did train"
    assert not any(moved(before, moving(model)))


@pytest.mark.thorough
def test_batch_norm_that_is_not_frozen_moves(toy):
    """So that the tests above can fail."""
    model = training.new_model(plain(NESTED["three deep"][0]()), 2)
    before = moving(model)
    training.unfreeze(model)
    for layer in batch_norms(model):
        layer.trainable = True
    training.fit(model, toy, None, epochs=1)
    assert all(moved(before, moving(model)))


@pytest.mark.parametrize("kind", thorough_but(NESTED, "three deep"))
def test_from_scratch_all_of_it_trains(kind):
    model = training.new_model(plain(NESTED[kind][0]()), 2, pretrained=False)
    base = model.get_layer("base")
    statistics = 2 * len(batch_norms(base))
    assert len(base.trainable_weights) == len(base.weights) - statistics


@pytest.mark.thorough
def test_a_saved_network_stays_frozen_too(toy, tmp_path):
    first = training.new_model(plain(backbone(top=True)), 2)
    saved = save_classifier(as_classifier(first, ["a", "b"]), tmp_path / "first.keras")
    model = training.new_model(load_classifier(saved), 2)
    before = moving(model)
    training.fine_tune(model, toy, None, head_epochs=1, epochs=2)
    assert len(before) == 4 and not any(moved(before, moving(model)))


@pytest.mark.parametrize(
    "kind",
    thorough_but(["Functional with its top", "three deep", "new_model", "two"], "two"),
)
def test_layers_are_counted_inside_nested_networks(kind):
    model = training.new_model(plain(NESTED[kind][0]()), 2)
    base, able = model.get_layer("base"), len(NESTED["flat"][0]().trainable_weights)
    training.unfreeze(
        model, 5
    )  # a convolution is the fifth of the last two with BatchNorm
    last = [layer for layer in leaves(base) if layer.trainable_weights]
    assert [type(layer).__name__ for layer in last] == ["Conv2D"]
    assert 0 < len(base.trainable_weights) < able
    with pytest.raises(ValueError, match=f"has {len(leaves(base))} layers: layers=99"):
        training.unfreeze(model, 99)


def test_a_wrong_number_of_layers_is_said_before_the_head_trains(tiny, toy):
    model = training.new_model(tiny, 2)
    before = model.get_weights()
    with pytest.raises(ValueError, match="layers=99"):
        training.fine_tune(model, toy, None, layers=99)
    assert all(map(np.array_equal, before, model.get_weights()))


class Subclassed(keras.Model):
    def __init__(self, **more):
        super().__init__(**more)
        self.inner = backbone()

    def call(self, x):
        return self.inner(x)


def test_a_class_of_its_own_is_refused_by_name(toy):
    whole = chain(Subclassed(name="mine"), keras.layers.Dense(2))
    for call in (training.base_of, lambda c: training.new_model(c, 2)):
        with pytest.raises(
            ValueError, match=r"'mine' is a model with a class of its own \(Subclass"
        ):
            call(plain(whole))
    with pytest.raises(ValueError, match="'mine' is a model with a class"):
        training.predict(whole, toy.array(32))


# -- layers of somebody's own in a base ------------------------------------------------


class OwnNorm(keras.layers.BatchNormalization):
    """One that nobody registered."""


class Averaged(keras.layers.Layer):
    """Subtracts a mean that moves in training, whether it is frozen or not, or only
    then."""

    minds = False

    def build(self, shape):
        self.mean = self.add_weight(
            shape=shape[-1:], trainable=False, initializer="zeros"
        )

    def call(self, x, training=False):
        if training and (self.trainable or not self.minds):
            self.mean.assign(0.9 * self.mean + 0.1 * keras.ops.mean(x, (0, 1, 2)))
        return x - self.mean


class Minding(Averaged):
    minds = True


class Forgetful(keras.layers.Layer):
    """Has a setting that its configuration leaves out."""

    def __init__(self, scale=1.0, **more):
        super().__init__(**more)
        self.scale = scale

    def call(self, x):
        return self.scale * x

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        config = super().get_config()
        config.pop("scale", None)
        return config


class Secretive(Forgetful):
    """Has a setting that nobody can write down."""

    def __init__(self, scale, **more):
        super().__init__(scale(1.0), **more)

    get_config = keras.layers.Layer.get_config


def around(layer, deep=False):
    """A network with a layer after its first convolution; deep: inside a nested one."""
    layers = keras.layers
    inner = [layers.Conv2D(4, 3), layer, layers.ReLU()]
    whole = [chain(*inner)] if deep else inner
    return chain(*whole, layers.GlobalAveragePooling2D(), layers.Dense(2))


@pytest.mark.parametrize("deep", thorough_but([False, True], False))
@pytest.mark.parametrize("kind", thorough_but([OwnNorm, Minding], OwnNorm))
def test_own_statistics_that_mind_being_frozen_stay(kind, deep, toy):
    model = training.new_model(
        plain(around(kind(), deep)), 2, augment=keras.layers.RandomFlip()
    )
    (own,) = (part for part in parts(model) if type(part) is kind)
    before = own.get_weights()
    training.fit(model, toy, None, epochs=1)
    assert all(map(np.array_equal, before, own.get_weights()))
    training.unfreeze(model)
    training.fit(model, toy, None, epochs=1)
    if kind is OwnNorm:
        assert all(map(np.array_equal, before, own.get_weights()))


@pytest.mark.parametrize("deep", thorough_but([False, True], True))
@pytest.mark.parametrize(
    "make",
    [
        Averaged,
        lambda **more: keras.layers.SpectralNormalization(
            keras.layers.Conv2D(4, 3), **more
        ),
    ],
    ids=["somebody's own", "Keras's own"],
)
def test_a_layer_that_does_not_mind_being_frozen_is_refused_by_name(make, deep, toy):
    network = around(make(name="wilful"), deep)
    model = training.new_model(
        plain(network), 2, augment=keras.layers.RandomFlip(seed=0)
    )
    before = [np.array(v) for v in model.variables]
    states = [part.trainable for part in parts(model)]
    for call in (
        lambda: training.unfreeze(model, 2),
        lambda: training.fine_tune(model, toy, None),
        lambda: training.fit(model, toy, None, epochs=1),
    ):
        with pytest.raises(
            ValueError, match="'wilful' .* changes its weights .* frozen"
        ):
            call()
    after = [np.array(v) for v in model.variables]
    assert all(map(np.array_equal, before[: len(after)], after)), "it is left as it was"
    assert [part.trainable for part in parts(model)] == states


UNLIKE = {
    "a setting left out": (lambda: Forgetful(2.0, name="mine"), "does something else"),
    "not written down": (lambda: Secretive(np.exp, name="mine"), "cannot be copied"),
    "inside a wrapper": (
        lambda: keras.layers.TimeDistributed(Secretive(np.exp), name="mine"),
        "cannot be copied",
    ),
    "a Lambda": (
        lambda: keras.layers.Lambda(lambda x: x, name="mine"),
        "cannot be copied",
    ),
}


@pytest.mark.parametrize("deep", thorough_but([False, True], True))
@pytest.mark.parametrize("kind", UNLIKE)
def test_what_cannot_be_copied_is_refused_by_name(kind, deep):
    make, said = UNLIKE[kind]
    with pytest.raises(ValueError, match=f"'mine' .* {said}.*Keras's own layers"):
        training.new_model(plain(around(make(), deep)), 2)


# -- models that put out no logits -----------------------------------------------------


def test_a_setting_changed_in_place_is_not_lost_in_a_copy(tmp_path):
    """Keras notes alpha when the layer is made, and not what became of it."""

    def of(layer):
        pooling = keras.layers.GlobalAveragePooling2D()
        convolution = keras.layers.Conv2D(4, 3)
        return plain(chain(convolution, layer, pooling, keras.layers.Dense(2)))

    layer = keras.layers.ELU(name="mine")
    layer.alpha = 3.0
    changed = of(layer)
    for call in (
        lambda: training.new_model(changed, 2),
        lambda: save_classifier(changed, tmp_path / "mine.keras"),
    ):
        with pytest.raises(
            ValueError, match="'mine' .*alpha=1.0.*build .* with alpha=3.0 from"
        ):
            call()
    anew = of(keras.layers.ELU(alpha=3.0))
    training.new_model(anew, 2)
    save_classifier(anew, tmp_path / "mine.keras")


def test_what_keras_itself_cannot_copy_has_another_advice():
    """RandomShear's configuration holds what its __init__ refuses."""
    shear = keras.layers.RandomShear(0.1, 0.1, name="mine")
    with pytest.raises(ValueError, match="'mine' .* cannot be copied.*another kind"):
        training.new_model(plain(around(shear)), 2)


def test_probabilities_are_no_logits(blobs):
    """Taken for logits, they come out flat: at 0.38 where Keras says 0.71."""
    x, y, unseen, _ = blobs
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(3, "softmax")])
    model.set_weights([w + 0.1 * np.random.default_rng(0).normal(size=w.shape) for w in
                       model.get_weights()])  # fmt: skip
    for call in (
        lambda model: training.fit(model, (x, y), None, 1),
        lambda model: training.predict(model, unseen),
    ):
        with pytest.raises(ValueError, match="ends in a softmax.*logits_of"):
            call(model)
    advised = logits_of(model)
    np.testing.assert_allclose(
        training.predict(advised, unseen), model(unseen), atol=1e-5
    )
    training.fit(advised, (x, y), None, 1)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_what_is_no_logit_is_neither_fitted_nor_predicted(blobs, activation):
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(3, activation)])
    with pytest.raises(ValueError, match=f"ends in .*{activation}.*fit needs logits"):
        training.fit(model, blobs[:2], None, 1)
    with pytest.raises(
        ValueError, match=f"ends in .*{activation}.*predict needs logits"
    ):
        training.predict(model, blobs[0])


def test_one_output_is_not_the_only_answer(blobs):
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="one output"):
        training.predict(model, blobs[0])


def test_pictures_of_any_size_need_one(toy):
    network = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.GlobalMaxPooling2D()]
    )
    network.add(keras.layers.Dense(2))
    network.rule = ResizeRule()
    with pytest.raises(ValueError, match="any size: say which"):
        training.predict(network, toy)
    inputs = keras.Input((20, 20, 3))  # what it advises
    sized = keras.Model(inputs, network(inputs))
    sized.rule = network.rule
    assert training.predict(sized, toy).shape == (24, 2)


# -- training --------------------------------------------------------------------------


@pytest.mark.thorough
def test_fit_is_the_same_for_the_same_seed(deep, toy, capfd):
    results, histories = [], []
    for _ in range(2):
        model = training.new_model(deep, 2, pretrained=False, dropout=0.5, seed=1)
        history = training.fit(model, toy, toy[:6], epochs=2, seed=1, batch_size=8)
        histories.append(history.history)
        results.append(training.predict(model, toy))
    assert np.array_equal(*results)
    assert histories[0] == histories[1]
    assert sorted(histories[0]) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert capfd.readouterr() == ("", ""), "quiet"


@pytest.mark.thorough
def test_another_seed_is_another_run(tiny, toy):
    results = []
    for seed in (1, 2):
        model = training.new_model(tiny, 2, pretrained=False)
        training.fit(model, toy, None, epochs=2, seed=seed, batch_size=8)
        results.append(training.predict(model, toy))
    assert not np.array_equal(*results)


@pytest.mark.parametrize("pretrained", thorough_but([True, False], True))
def test_pictures_or_their_arrays(pretrained, tiny, toy):
    array, results = toy.array(32, tiny.rule), []
    for data in (toy, (array, toy.labels)):
        model = training.new_model(tiny, 2, pretrained=pretrained)
        training.fit(model, data, data, epochs=1)
        results.append(model.get_weights())
    assert all(map(np.array_equal, *results))
    assert np.array_equal(training.predict(model, toy), training.predict(model, array))


def test_a_frozen_base_run_ahead_gives_the_same(deep, toy):
    results, histories = [], []
    for augment in (None, keras.layers.Identity()):  # which must be run in every epoch
        model = training.new_model(deep, 2, augment=augment)
        histories.append(training.fit(model, toy, toy, epochs=5).history)
        results.append(model.get_layer("head").get_weights())
        loss, accuracy = model.evaluate(
            toy.array(deep.size, deep.rule), toy.labels, verbose=0
        )
        assert accuracy == pytest.approx(histories[-1]["val_accuracy"][-1])
        assert loss == pytest.approx(histories[-1]["val_loss"][-1], rel=1e-3)
    for one, two in zip(*results, strict=True):
        assert np.abs(one).max() > 1e-3, "it did train"
        np.testing.assert_allclose(one, two, atol=1e-4)
    assert histories[0]["accuracy"] == pytest.approx(histories[1]["accuracy"])


def test_a_training_step_is_traced_once(blobs):
    """Variables made inside it would take a second time, and memory that is never given
    back."""
    traced = []

    class Traced(keras.layers.Layer):
        def call(self, x):
            traced.append(x.shape)
            return x

    model = keras.Sequential([keras.Input((50,)), Traced(), keras.layers.Dense(3)])
    traced.clear()
    training.fit(model, blobs[:2], None, 2, batch_size=30)
    assert traced == [(30, 50)]


def test_a_bar_that_stops_early_does_not_look_like_a_fault(blobs, monkeypatch):
    """A notebook shows a bar in red that's closed before its end."""
    bars = []

    def watched(*question):
        bars.append(tqdm(total=question[0], disable=True))
        return bars[-1]

    monkeypatch.setattr(training, "progress_bar", watched)
    x, y, unseen, _ = blobs
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(3)])
    wrong = (unseen, np.zeros(len(unseen), int))  # it soon gets worse
    history = training.fit(model, (x, y), wrong, 30, 0.05, patience=1)
    assert len(history.epoch) < 30
    assert bars[0].total == bars[0].n


@pytest.mark.thorough
def test_the_best_epoch_is_restored(blobs):
    x, y, unseen, truth = blobs

    def run(epochs, patience):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(3)])
        data = (x / 100, y), (unseen / 100, truth)
        history = training.fit(model, *data, epochs, 0.05, patience=patience).history
        loss = model.evaluate(*data[1], verbose=0)[0]
        return history["val_loss"], loss

    losses, last = run(30, None)
    best = int(np.argmin(losses))
    assert 0 < best < 24, "it must get worse for this to be a test"
    assert last == pytest.approx(losses[-1], rel=1e-4)
    stopped, loss = run(30, 4)
    assert len(stopped) == best + 5
    assert loss == pytest.approx(losses[best], rel=1e-4)
    whole, loss = run(best + 3, 20)  # runs to its end
    assert len(whole) == best + 3
    assert loss == pytest.approx(losses[best], rel=1e-4)
    with pytest.raises(ValueError, match="give validation pictures"):
        training.fit(keras.Sequential(), (x, y), None, 1, patience=1)


def test_class_weights_shift_the_answer(blobs):
    x, y, unseen, _ = blobs
    counts = []
    for weights in (None, {0: 1, 1: 1, 2: 20}):
        model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(3)])
        training.fit(model, (x / 100, y), None, 20, 0.01, class_weight=weights)
        counts.append((training.predict(model, unseen / 100).argmax(axis=1) == 2).sum())
    assert counts[1] > counts[0] + 20


@pytest.mark.thorough
def test_two_stages(deep, toy):
    model = training.new_model(deep, 2)
    weights = kernels(model)
    head, fine = training.fine_tune(
        model, toy, toy, head_epochs=3, epochs=2, layers=20, patience=9
    )
    assert (len(head.history["loss"]), len(fine.history["loss"])) == (3, 2)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-4)
    changed = moved(weights, kernels(model))
    assert not changed[0] and changed[-1], "the first layers stay, the last learn"
    assert fine.history["loss"][-1] < head.history["loss"][0]


# -- the claim -------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name, at_least", [("efficientnet_lite0", 0.93), ("mobilenet_v2", 0.94)]
)
def test_ants_and_bees(
    shared_data, tmp_path, monkeypatch, record_property, name, at_least
):
    """The features of a network that learned from photographs tell ants from bees."""
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(shared_data))
    classifier = load_classifier(name)
    dataset = load_dataset(shared_data / "hymenoptera")
    train, validation = (
        training.extract_features(classifier, part, tmp_path)
        for part in (dataset.train, dataset.validation)
    )
    assert len(validation) == 153
    head = training.fit_head(train, dataset.train.labels, 2)
    right = (
        training.predict(head, validation).argmax(axis=1) == dataset.validation.labels
    )
    record_property(f"ants and bees, {name}", f"{right.mean():.3f} of {len(right)}")
    assert right.mean() >= at_least
