"""The recorded fine-tuning of lesson 06, and the tool that makes it."""

import ast
import inspect
import json
from functools import partial

import numpy as np
import pytest
import tiny
from lessons import NOTEBOOKS, code_cells

from helpers import evaluate, keras, training
from helpers.datasets import load_dataset
from helpers.models import load_classifier
from safeguards.recordings import read_recording
from tools.record import record_fine_tuning as tool

# -- the recorded run ------------------------------------------------------------------


@pytest.fixture(scope="module")
def computers():
    """The pictures that it was made with."""
    return load_dataset("computers")


def read(*names):
    """Arrays of the shipped file."""
    return read_recording(tool.TARGET, *names)[0]


def test_recording_is_of_the_default_network_and_these_pictures_and_recipe(computers):
    _, about = read_recording(tool.TARGET)
    assert tool.about(computers).items() <= about.items()


def test_recording_is_complete_and_holds_nothing_else():
    ways = ("labels", "pooled", "chosen", "tuned")
    tasks = [f"{task}/{seed}" for task in ("day", "night") for seed in tool.SEEDS]
    wanted = {f"{task}/{way}" for task in (*tasks, "way_up/0") for way in ways}
    wanted |= {f"rate/{rate:g}" for rate in (0, *tool.RATES)} | {"rate/labels"}
    with np.load(tool.TARGET) as file:
        assert set(file) == wanted | {"about"}


def test_recorded_answers_are_of_all_pictures(computers):
    test = computers.open_test()
    for task in ("day", "night"):
        for seed in tool.SEEDS:
            labels, *answers = read(
                *(f"{task}/{seed}/{way}" for way in ("labels", "pooled", "tuned"))
            )
            np.testing.assert_array_equal(labels, test.labels)
            assert {answer.shape for answer in answers} == {labels.shape}
    (labels,) = read("rate/labels")
    np.testing.assert_array_equal(labels, computers.validation.labels)


def gain(task, seed, against):
    """How much more often fine-tuned is right than a head on frozen features."""
    names = [f"{task}/{seed}/{way}" for way in ("labels", against, "tuned")]
    return evaluate.difference(*read(*names))


@pytest.mark.parametrize("seed", tool.SEEDS)
def test_by_night_fine_tuning_beats_the_pooled_features(seed):
    found = gain("night", seed, "pooled")
    assert found.value >= 0.1
    assert found.low > 0


@pytest.mark.parametrize("seed", tool.SEEDS)
def test_by_day_there_is_hardly_anything_to_gain(seed):
    assert gain("day", seed, "pooled").value < 0.1
    assert gain("day", seed, "chosen").low <= 0


def test_which_way_up_a_picture_is_frozen_features_know_in_place():
    labels, pooled, chosen = read(
        "way_up/0/labels", "way_up/0/pooled", "way_up/0/chosen"
    )
    assert evaluate.difference(labels, pooled, chosen).low > 0.2
    assert gain("way_up", 0, "pooled").low > 0.1
    assert gain("way_up", 0, "chosen").low <= 0


@pytest.mark.parametrize(
    "part",
    [tool.by_night, tool.turned, tool.warm_up, tool.fine_tune, tool.frozen_features],
    ids=lambda part: part.__name__,
)
def test_lesson_shows_the_recipe_word_for_word(part):
    """Only lines may be broken elsewhere: notebooks have longer ones."""
    assert ast.unparse(ast.parse(inspect.getsource(part))) in map(ast.unparse, shown())


def shown():
    """The statements of lesson 06."""
    for cell in code_cells(NOTEBOOKS / "06_fine_tune.ipynb"):
        yield from ast.parse(cell.source).body


def test_lesson_takes_a_rate_that_it_compares_and_shows_every_seed():
    texts = list(map(ast.unparse, shown()))
    steps = f"steps={tool.EPOCHS} * len(night) // 16"
    assert f"rate = warm_up({tool.PEAK!r}, {steps})" in texts
    assert tool.PEAK in tool.RATES
    compared = tuple(f"{rate:g}" for rate in tool.RATES)
    assert f"tried = {compared}" in texts
    assert f"seeds = {tool.SEEDS}" in texts


# -- its parts -------------------------------------------------------------------------


@pytest.fixture
def pictures():
    """Noise in colour: uint8 (6, 32, 32, 3)."""
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype("uint8")


def test_by_night_a_picture_is_grey_and_noisy_by_its_seed(pictures):
    night = tool.by_night(pictures, seed=0)
    assert (night.shape, night.dtype) == (pictures.shape, np.uint8)
    assert (night == night[..., :1]).all()
    np.testing.assert_array_equal(night, tool.by_night(pictures, seed=0))
    assert (night != tool.by_night(pictures, seed=1)).mean() > 0.5


def test_turning_keeps_the_pixels_and_says_how_far(pictures):
    turned, quarters = tool.turned(pictures, seed=0)
    assert set(quarters) > {0}
    for picture, after, quarter in zip(pictures, turned, quarters, strict=True):
        np.testing.assert_array_equal(np.rot90(after, -quarter), picture)


@pytest.mark.thorough
def test_frozen_features_are_those_of_the_base(computers):
    classifier = load_classifier(size=tool.SIZE)
    pictures = computers.validation[:3].array(tool.SIZE, classifier.rule, "uint8")
    found = tool.frozen_features(classifier).predict(pictures, verbose=0)
    prepared = classifier.preprocess_input(pictures.astype("float32"))
    expected = training.base_of(classifier)(prepared).numpy()
    np.testing.assert_allclose(found["pooled at the end"], expected, rtol=0, atol=1e-3)
    places = {name.partition(", ")[0] for name in found} - {"pooled at the end"}
    for place in places:
        maps = found[f"{place}, in place"]
        averaged = found[f"{place}, averaged"]
        in_rows = maps.reshape(len(pictures), -1, averaged.shape[1])
        np.testing.assert_allclose(in_rows.mean(axis=1), averaged, rtol=0, atol=1e-4)
    assert len(places) == 3


@pytest.mark.thorough
def test_fine_tuning_moves_weights_and_no_statistic(pictures):
    model = training.new_model(tiny.classifier(), 2)
    labels = np.arange(6) % 2
    weights = model.get_weights()
    tool.fine_tune(model, pictures, labels, (pictures, labels), 1, 1e-3)
    norms = [
        layer
        for layer in model.get_layer("base").layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert norms and not any(layer.trainable for layer in norms)
    statistics = {id(w) for layer in norms for w in layer.weights}
    moved = {
        id(variable)
        for variable, before in zip(model.weights, weights, strict=True)
        if (variable.numpy() != before).any()
    }
    assert moved and not moved & statistics


def test_the_rate_climbs_to_its_peak_and_falls():
    rate = [float(tool.warm_up(0.5, 100)(step)) for step in range(110)]
    assert rate[0] == 0
    assert np.argmax(rate) == 10
    assert rate[10] == pytest.approx(0.5)
    assert rate[-1] < 0.01


# -- the tool, with made-up jobs -------------------------------------------------------


def test_goes_on_where_it_was_and_starts_over_with_another_recipe(
    computers, tmp_path, monkeypatch
):
    target = tmp_path / "fine_tuning.npz"
    monkeypatch.setattr(tool, "load_classifier", lambda name, size: None)
    asked = []

    def job(name, classifier, dataset):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(name)
        return {name: np.arange(3)}

    wanted = {name: partial(job, name) for name in "abc"}
    with pytest.raises(KeyboardInterrupt):
        tool.record(computers, target, wanted)
    assert asked == ["a", "b"]
    asked.clear()
    assert tool.record(computers, target, wanted) == 1
    assert asked == ["c"]
    with np.load(target) as file:
        assert set(file) == {"about", "a", "b", "c"}
        assert file["c"].dtype == np.uint8
        assert tool.about(computers).items() <= json.loads(file["about"].item()).items()
    assert tool.record(computers, target, wanted) == 0

    monkeypatch.setattr(tool, "SETTINGS", ("another",))
    assert tool.record(computers, target, {"a": wanted["a"]}) == 1
    with np.load(target) as file:
        assert set(file) == {"about", "a"}
