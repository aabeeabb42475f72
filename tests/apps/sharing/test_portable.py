"""A saved classifier is read by every version of Keras from 3.12 on."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tiny

from apps.sharing.classifier import as_classifier
from apps.sharing.portable import NEWER, for_older_keras
from apps.sharing.saving import save_classifier
from helpers import keras, load_classifier
from helpers.images import ResizeRule

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


def settings(path):
    """All (key, value) pairs of the network's description in a file, however deep."""

    def entries(value):
        if isinstance(value, list):
            return [entry for item in value for entry in entries(item)]
        if not isinstance(value, dict):
            return []
        return [
            *value.items(),
            *(entry for item in value.values() for entry in entries(item)),
        ]

    with zipfile.ZipFile(path) as file:
        return entries(json.loads(file.read("config.json")))


def test_settings_that_older_versions_refuse_are_left_out(tmp_path):
    network = tiny.network(3)
    network.save(tmp_path / "keras.keras")
    assert NEWER.keys() <= {key for key, _ in settings(tmp_path / "keras.keras")}
    path = save_classifier(tiny.classifier(), tmp_path / "ours.keras")
    assert not NEWER.keys() & {key for key, _ in settings(path)}


def test_nothing_else_changes(tmp_path):
    network, path = tiny.network(3), tmp_path / "a.keras"
    network.save(path)
    expected = keras.models.load_model(path).get_config()
    with zipfile.ZipFile(path) as file:
        before = {name: file.read(name) for name in file.namelist()}
    for_older_keras(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.keras"]
    with zipfile.ZipFile(path) as file:
        after = {name: file.read(name) for name in file.namelist()}
        assert {member.compress_type for member in file.infolist()} == {
            zipfile.ZIP_STORED
        }
    assert list(after) == list(before)
    assert [name for name in after if after[name] != before[name]] == ["config.json"]
    again = keras.models.load_model(path, safe_mode=True)
    assert again.get_config() == expected
    noise = np.random.default_rng(0).uniform(0, 255, (2, tiny.SIZE, tiny.SIZE, 3))
    np.testing.assert_array_equal(again(noise), network(noise))


def test_a_setting_in_use_stays(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(renorm=True, renorm_momentum=0.5)(inputs)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    model = as_classifier(keras.Model(inputs, outputs), ["a", "b"], rule=ResizeRule())
    path = save_classifier(model, tmp_path / "renorm.keras")
    kept = dict(settings(path))
    assert (kept["renorm"], kept["renorm_momentum"]) == (True, 0.5)
    assert load_classifier(path).network.layers[1].renorm


LOAD = """
import sys, warnings
import keras, numpy
warnings.simplefilter("error")
network = keras.models.load_model(sys.argv[1], safe_mode=True, compile=False)
numpy.save(sys.argv[3], network.predict(numpy.load(sys.argv[2]), verbose=0))
print(keras.__version__)
"""


@pytest.mark.thorough
def test_the_oldest_keras_loads_a_saved_classifier(tmp_path):
    folder = os.environ.get("OLDEST_KERAS")
    if not folder:
        pytest.skip(
            "set OLDEST_KERAS: pip install --no-deps --target FOLDER keras==3.12.4"
        )
    classifier = load_classifier()
    path = save_classifier(classifier, tmp_path / "lite0.keras")
    noise = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3)).astype("float32")
    np.save(tmp_path / "noise.npy", noise)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LOAD,
            path,
            tmp_path / "noise.npy",
            tmp_path / "logits.npy",
        ],
        env=os.environ | {"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["3.12.4"]
    expected = classifier.forward(classifier.preprocess_input(noise))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-4)
