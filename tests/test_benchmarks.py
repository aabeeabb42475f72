"""The benchmark scripts on made-up pictures and tiny networks: what they run, print, conclude."""

import importlib.util
import re

import numpy as np
import pytest
from PIL import Image

from helpers import keras
from helpers.data import load_dataset
from helpers.evaluate import accuracy
from helpers.images import ResizeRule
from helpers.models import ROOT, Classifier

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

spec = importlib.util.spec_from_file_location("bench", ROOT / "benchmarks" / "transfer_recipe.py")
bench = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bench)


def folder_of(root, classes):
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("val", 6)):
        for channel, name in enumerate(classes):
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 120, (30, 40, 3), "uint8")
                pixels[..., channel] += 100
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")
    return root


def networks():
    """A base of two layers, and the same with a classification layer."""
    keras.utils.set_random_seed(0)
    base = keras.Sequential(
        [keras.Input((24, 24, 3)), keras.layers.Conv2D(8, 3), keras.layers.BatchNormalization()]
    )
    x = keras.layers.GlobalAveragePooling2D()(base.outputs[0])
    whole = keras.Model(base.inputs[0], keras.layers.Dense(5)(x))
    return base, Classifier("tiny", whole, 24, ResizeRule(), lambda x: x / 127.5 - 1, None)


def test_both_ways_run_on_the_same_pictures(tmp_path, capsys):
    dataset = load_dataset(folder_of(tmp_path, ("blueish", "reddish")))
    base, classifier = networks()
    weights = base.get_weights()
    runs = bench.compare(classifier, base, dataset, repeats=2, epochs=1)
    assert list(runs) == ["features once", "recipe"]
    for results in runs.values():
        assert len(results) == 2
        assert all(seconds > 0 and estimate.n == 12 for seconds, estimate in results)
    assert all(estimate.value == 1 for _, estimate in runs["features once"])
    assert all(map(np.array_equal, weights, base.get_weights())), "each run gets a fresh copy"
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("seed")]) == 4
    times, estimate = r"\d+\.\d s +\d+\.\d s CPU", r"\d\.\d\d \(\d\.\d\d–\d\.\d\d\), n = 12"
    shown = f"seed 1  recipe +{times}  {estimate}, \\d\\.\\d\\d before fine-tuning"
    assert re.fullmatch(shown, lines[-1])


def test_recipe_freezes_then_trains_the_last_layers(tmp_path, monkeypatch):
    dataset = load_dataset(folder_of(tmp_path, ("blueish", "reddish")))
    base, _ = networks()
    before = base.layers[0].get_weights()
    bench.recipe(base, dataset, epochs=1)
    assert not any(layer.trainable for layer in base.layers), "fewer layers than it keeps frozen"
    assert all(map(np.array_equal, before, base.layers[0].get_weights()))
    monkeypatch.setattr(bench, "FROM_LAYER", 0)
    bench.recipe(base, dataset, epochs=1)
    assert not np.array_equal(before[0], base.layers[0].get_weights()[0])


def made_up(ours, theirs):
    """Runs of (seconds, right answers of 100)."""
    return {
        way: [(seconds, accuracy(np.arange(100) >= 0, np.arange(100) < n)) for seconds, n in runs]
        for way, runs in (("features once", ours), ("recipe", theirs))
    }


@pytest.mark.parametrize(
    "ours, theirs, holds",
    [
        ([(4, 90), (3, 90), (900, 1)], [(100, 90), (101, 90), (1, 99)], True),
        ([(4.1, 95)] * 3, [(100, 90)] * 3, False),  # 24 times faster
        ([(1, 89)] * 3, [(100, 90)] * 3, False),
    ],
    ids=["medians decide", "too slow", "less accurate"],
)
def test_verdict(ours, theirs, holds, capsys):
    assert bench.verdict(made_up(ours, theirs)) is holds
    assert capsys.readouterr().out.startswith("medians: ")


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="Set TRANSFER_WEIGHTS .*mobilenet_v2"):
        bench.main(["--data", str(tmp_path)])
    (tmp_path / "mobilenet_v2.weights.h5").touch()
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(tmp_path))
    folder = folder_of(tmp_path / "three", ("a", "b", "c"))
    with pytest.raises(SystemExit, match="has one output, for two classes: three has a, b, c"):
        bench.main(["--data", str(folder)])
