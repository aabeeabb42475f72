"""Files that classifiers travel in: what comes back is what was saved; hostile ones are refused."""

import dataclasses
import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from helpers import keras, load_classifier, models
from helpers.data import load_dataset
from helpers.images import ResizeRule
from helpers.labels import Prediction
from helpers.models import ModelFileError
from helpers.share import as_classifier, save_classifier
from helpers.training import augmentation, base_of, fit, new_model


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("computers")


@pytest.fixture(scope="module")
def pictures(dataset):
    """Real pictures that nothing here learns from: the validation part."""
    return dataset.validation.images()


@pytest.fixture(scope="module")
def pocket():
    return load_classifier("pocket")


@pytest.fixture(scope="module")
def learned(pocket, dataset):
    """A learner's model: a head for the computers on pocket's frozen base, augmentation inside."""
    model = new_model(pocket, len(dataset.classes), augment=augmentation())
    few = dataset.train.subset(10)
    fit(model, (few.array(64), few.labels), None, 4, learning_rate=0.01)
    return as_classifier(model, dataset.classes, "computers")


@pytest.fixture(scope="module")
def files(tmp_path_factory, pocket, learned):
    folder = tmp_path_factory.mktemp("saved")
    return {c.name: save_classifier(c, folder / f"{c.name}.keras") for c in (pocket, learned)}


# -- what is saved comes back ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pocket", "computers"])
def test_file_gives_the_same_classifier(files, pocket, learned, pictures, name):
    saved = {"pocket": pocket, "computers": learned}[name]
    read = load_classifier(str(files[name]))
    assert (read.name, read.size, read.rule, read.classes) == (
        saved.name, saved.size, saved.rule, saved.classes,
    )  # fmt: skip
    some = pictures[::10]
    assert np.array_equal(read.prepare(some), np.stack([saved.prepare(i)[0] for i in some]))
    np.testing.assert_allclose(read.logits(some), saved.logits(some), atol=1e-5)
    assert read.predict(some[0]) == saved.predict(some[0])
    assert isinstance(read.predict(some[0])[0], Prediction)


def test_names_without_wordnet_ids_stand_for_both(learned, pictures):
    best = learned.predict(pictures[0], top=1)[0]
    assert best.wnid == best.name in ("desktop", "handheld", "laptop", "other")
    probabilities = learned.probabilities(pictures)
    assert len(set(probabilities.argmax(axis=1))) == 4, "it learned something"


def test_plain_keras_reads_it_too(files, learned, pictures):
    network = keras.models.load_model(files["computers"], safe_mode=True)
    batch = learned.prepare(pictures[:5])
    np.testing.assert_allclose(
        network.predict(batch, verbose=0), learned.logits(pictures[:5]), atol=1e-5
    )


def test_what_training_needed_stays_behind(files, learned):
    assert learned.network.optimizer is not None
    weights = sum(w.nbytes for w in map(np.asarray, learned.network.get_weights()))
    assert files["computers"].stat().st_size < 1.1 * weights


def test_own_preprocessing_becomes_layers(tmp_path, monkeypatch, pictures):
    build = models.build_network
    monkeypatch.setattr(models, "build_network", lambda name: build(name, weights=None))
    keras.utils.set_random_seed(0)
    real = load_classifier("mobilenet_v2")
    rule = ResizeRule("each_side", 0.875)
    read = load_classifier(save_classifier(real, tmp_path / "real.keras"))
    assert (read.rule, read.size, read.classes) == (rule, 224, real.classes)
    batch = read.prepare(pictures[:2])
    assert batch.max() > 2, "raw RGB"
    np.testing.assert_allclose(read.logits(pictures[:2]), real.logits(pictures[:2]), atol=1e-4)
    features = base_of(read)(batch)
    expected = base_of(real)(real.prepare(pictures[:2]))
    np.testing.assert_allclose(features, expected, atol=1e-4)


def test_channel_order_travels(tmp_path, pocket, pictures):
    """A network with VGG's preprocessing: colours reversed, means taken off."""
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inputs))
    preprocess = keras.applications.vgg16.preprocess_input
    own = models.Classifier(
        "bgr", keras.Model(inputs, outputs), 8, ResizeRule(),
        lambda batch: preprocess(np.array(batch)), (("a", "a"), ("b", "b")),
    )  # fmt: skip
    read = load_classifier(save_classifier(own, tmp_path / "bgr.keras"))
    np.testing.assert_allclose(read.logits(pictures[:3]), own.logits(pictures[:3]), rtol=1e-4)


def test_a_failed_save_leaves_what_was_there(tmp_path, learned, monkeypatch):
    path = tmp_path / "mine.keras"
    path.write_text("my older file")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("helpers.share.ZipFile.writestr", full)
    with pytest.raises(OSError, match="no space"):
        save_classifier(learned, path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.keras"]
    assert path.read_text() == "my older file"


def test_what_cannot_be_saved_is_refused(tmp_path, learned, dataset):
    with pytest.raises(ValueError, match=r"end in \.keras"):
        save_classifier(learned, tmp_path / "mine.h5")
    with pytest.raises(ValueError, match="3 classes, but the model's output is"):
        as_classifier(learned.network, dataset.classes[:3])
    inputs = keras.Input((8, 8, 3))
    flat = keras.layers.Flatten()(inputs)
    softmax = keras.Model(inputs, keras.layers.Dense(2, "softmax")(flat))
    with pytest.raises(ValueError, match="ends in a softmax"):
        as_classifier(softmax, ["a", "b"], rule=ResizeRule())
    with pytest.raises(ValueError, match="Give the rule"):
        as_classifier(keras.Model(inputs, keras.layers.Dense(2)(flat)), ["a", "b"])


# -- files that are refused ------------------------------------------------------------------------


def rewritten(source, target, change=lambda members: None, compression=zipfile.ZIP_STORED):
    """A copy of a .keras file with its members, [[name, content], …], changed."""
    with zipfile.ZipFile(source) as file:
        members = [[name, file.read(name)] for name in file.namelist()]
    change(members)
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w", compression) as file:
        warnings.simplefilter("ignore")  # of duplicate names
        for name, content in members:
            file.writestr(name, content)
    return target


def without(name):
    return lambda members: members.remove(next(m for m in members if m[0] == name))


def with_json(name, change):
    def apply(members):
        member = next(m for m in members if m[0] == name)
        member[1] = json.dumps(change(json.loads(member[1]))).encode()

    return apply


FAULTS = {
    "no class list": (without("classes.json"), "no class list"),
    "no rule": (without("classifier.json"), "no class list and resize rule"),
    "path upwards": (lambda m: m.append(["../evil.py", b"x"]), "something else"),
    "absolute path": (lambda m: m.append(["/tmp/evil.py", b"x"]), "something else"),
    "assets": (lambda m: m.append(["assets/x", b"x"]), "something else"),
    "twice": (lambda m: m.append(["config.json", b"{}"]), "something else"),
    "no network": (without("config.json"), "something else"),
    "no JSON": (lambda m: m[-1].__setitem__(1, b"\xff"), "damaged"),
    "other JSON": (with_json("classifier.json", lambda _: [1]), "damaged"),
    "unknown rule": (
        with_json("classifier.json", lambda d: d | {"rule": {"shape": "round"}}),
        "damaged",
    ),
    "size is text": (with_json("classifier.json", lambda d: d | {"size": "64"}), "damaged"),
    "names are numbers": (with_json("classes.json", lambda c: [[1, 2] for _ in c]), "damaged"),
    "fewer names": (with_json("classes.json", lambda c: c[:3]), "does not fit"),
    "another size": (with_json("classifier.json", lambda d: d | {"size": 32}), "does not fit"),
    "weights cut": (
        lambda m: next(x for x in m if x[0] == "model.weights.h5").__setitem__(1, b"\x89HDF"),
        "cannot be loaded",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_foreign_or_hostile_file_is_refused(files, tmp_path, fault):
    change, message = FAULTS[fault]
    path = rewritten(files["computers"], tmp_path / "other.keras", change)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_classifier(path)
    assert str(path) in str(caught.value)
    assert not (tmp_path.parent / "evil.py").exists()


def test_members_that_unfold_are_refused(files, tmp_path):
    path = rewritten(
        files["computers"],
        tmp_path / "bomb.keras",
        lambda m: m[0].__setitem__(1, b"{}" + b" " * 10**7),
        zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(ModelFileError, match="something else"):
        load_classifier(path)


def test_no_code_runs(tmp_path, learned, files):
    """A Lambda in an otherwise complete file; it cannot be saved by mistake either."""
    witness = str(tmp_path / "ran")
    layer = keras.layers.Lambda(lambda x, path: [os.mkdir(path), x][1], arguments={"path": witness})
    network = keras.Sequential([learned.network, layer])
    network.build((None, 64, 64, 3))
    os.rmdir(witness)  # building it ran the code
    bad = dataclasses.replace(learned, network=network)
    with pytest.raises(ValueError, match="Replace Lambda"):
        save_classifier(bad, tmp_path / "bad.keras")
    network.save(tmp_path / "bare.keras")
    with zipfile.ZipFile(files["computers"]) as good:
        rest = [[name, good.read(name)] for name in ("classes.json", "classifier.json")]
    path = rewritten(tmp_path / "bare.keras", tmp_path / "bad.keras", lambda m: m.extend(rest))
    with pytest.raises(ModelFileError, match="could run code"):
        load_classifier(path)
    assert not os.path.exists(witness)


def test_other_files_are_refused(tmp_path):
    legacy = tmp_path / "old.h5"
    legacy.write_bytes(b"\x89HDF\r\n\x1a\n")
    for name in (legacy, str(legacy), tmp_path / "model.onnx"):
        Path(name).touch()
        with pytest.raises(ModelFileError, match=r"no \.keras file"):
            load_classifier(name)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_classifier(tmp_path / "none.keras")
    (tmp_path / "page.keras").write_text("<!doctype html>")
    with pytest.raises(ModelFileError, match="damaged"):
        load_classifier(tmp_path / "page.keras")
