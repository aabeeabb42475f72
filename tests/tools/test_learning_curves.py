"""The recorded learning curves of lesson 05, and the tool that makes them."""

import csv
import inspect
import re
from collections import Counter

import numpy as np
import pytest
import tiny
from lessons import NOTEBOOKS, code_cells
from PIL import Image
from scipy.stats import binomtest

from helpers import load_classifier
from helpers.datasets import load_dataset
from helpers.models import DEFAULT, RECORDED
from tools.record import record_learning_curves as curves


def read(path):
    """The rows of a recorded file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# -- the recorded run ------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    """What ships in data/recorded."""
    return read(RECORDED / "learning_curves.csv")


def test_recorded_run_is_of_the_default_network_and_these_pictures_and_recipe(rows):
    about = curves.fingerprints(load_dataset("computers"))
    assert [row for row in rows if not about.items() <= row.items()] == []


def recorded_seeds(rows):
    """{way: {pictures a class: the seeds that are recorded}}."""
    seeds = {way: {} for way in curves.WAYS}
    for row in rows:
        seeds[row["way"]].setdefault(int(row["per_class"]), []).append(int(row["seed"]))
    return seeds


def test_recorded_run_leaves_no_size_and_no_draw_out(rows):
    """Whatever came out: the first draws of each size, the same ones for each way."""
    frozen, *others = recorded_seeds(rows).values()
    assert sorted(frozen) == sorted(curves.SIZES)
    assert all(sorted(seeds) == list(range(len(seeds))) for seeds in frozen.values())
    assert all(other == frozen for other in others)


def test_recorded_run_has_every_seed(rows):
    wanted = {
        (way, str(size), str(seed))
        for way in curves.WAYS
        for size, seeds in curves.SEEDS.items()
        for seed in range(seeds)
    }
    assert Counter((r["way"], r["per_class"], r["seed"]) for r in rows) == Counter(
        wanted
    )


def test_recorded_accuracies_are_of_all_validation_pictures(rows):
    n = len(load_dataset("computers").validation)
    assert {row["n"] for row in rows} == {str(n)}
    right = np.array([float(row["accuracy"]) for row in rows]) * n
    np.testing.assert_allclose(right, right.round(), rtol=0, atol=n * 6e-5)
    assert min(float(row["seconds"]) for row in rows) > 0


@pytest.mark.parametrize("way", ["frozen", "fine-tuned"])
def test_transfer_beats_scratch_at_10_a_class_outside_the_intervals(rows, way):
    ends = {"scratch": [], way: []}
    for row in rows:
        if row["per_class"] == "10" and row["way"] in ends:
            n = int(row["n"])
            right = binomtest(round(float(row["accuracy"]) * n), n)
            ends[row["way"]].append(right.proportion_ci(method="wilson"))
    # each seed's interval lies above that of every seed from scratch
    assert min(end.low for end in ends[way]) > max(end.high for end in ends["scratch"])


def test_ten_a_class_on_the_frozen_base_do_more_than_all_from_scratch(rows):
    def accuracies(way, per_class):
        chosen = (way, str(per_class))
        return [
            float(r["accuracy"]) for r in rows if (r["way"], r["per_class"]) == chosen
        ]

    assert min(accuracies("frozen", 10)) > max(accuracies("scratch", 120))


def test_lesson_learns_its_frozen_head_by_the_recorded_recipe():
    """The lesson itself holds its live accuracies against the recorded ones."""
    source = "\n".join(
        cell.source for cell in code_cells(NOTEBOOKS / "05_reuse_features.ipynb")
    )
    recipe = re.findall(r"LogisticRegression\(.*?\)", inspect.getsource(curves.learn))
    assert len(recipe) == 1
    assert set(re.findall(r"LogisticRegression\(.*?\)", source)) == set(recipe)


# -- the claim, measured anew ----------------------------------------------------------


@pytest.mark.thorough
def test_twenty_a_class_frozen_and_the_same_network_from_scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path))
    classifier, dataset = (
        load_classifier(DEFAULT, size=curves.SIZE),
        load_dataset("computers"),
    )
    test = dataset.open_test()

    def accuracy(way, seed):
        answer = curves.learn(
            way, classifier, dataset.train.subset(20, seed=seed), seed
        )
        return np.mean(answer(test) == test.labels)

    frozen = np.mean([accuracy("frozen", seed) for seed in range(5)])
    scratch = accuracy(
        "scratch", 0
    )  # its seeds lie close together, and each takes a minute
    assert frozen >= 0.92
    assert frozen - scratch >= 0.25


# -- the tool, on made-up pictures -----------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes, red and green noise: four pictures each to learn from, two for
    validation; and a tiny network to learn them."""
    monkeypatch.setattr(curves, "load_classifier", lambda name, size: tiny.classifier())
    rng = np.random.default_rng(0)
    for part, n in (("train", 4), ("validation", 2)):
        for name, colour in (("green", (40, 200, 40)), ("red", (200, 40, 40))):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(n):
                noise = np.clip(rng.normal(colour, 25, (70, 64, 3)), 0, 255).astype(
                    "uint8"
                )
                Image.fromarray(noise).save(tmp_path / part / name / f"{i}.png")
    return tmp_path


@pytest.mark.thorough
def test_each_way_learns_colours(folder, tmp_path):
    target = tmp_path / "curves.csv"
    assert curves.record(load_dataset(folder), target, {4: 1}) == 3
    rows = read(target)
    assert [row["way"] for row in rows] == sorted(curves.WAYS)
    assert {row["accuracy"] for row in rows if row["way"] != "scratch"} == {"1.0000"}
    assert {(row["per_class"], row["seed"], row["n"]) for row in rows} == {
        ("4", "0", "4")
    }


@pytest.mark.thorough
def test_goes_on_where_it_was_and_starts_over_with_other_pictures(
    folder, tmp_path, monkeypatch
):
    target, pictures = tmp_path / "curves.csv", load_dataset(folder)
    measured = []
    real = curves.measure

    def stopped_after_two(*key):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(key)
        return real(*key)

    monkeypatch.setattr(curves, "measure", stopped_after_two)
    with pytest.raises(KeyboardInterrupt):
        curves.record(pictures, target, {1: 2, 2: 2}, ["frozen"])
    before = read(target)
    assert [(row["per_class"], row["seed"]) for row in before] == [
        ("1", "0"),
        ("2", "0"),
    ]
    monkeypatch.setattr(curves, "measure", real)
    assert curves.record(pictures, target, {1: 2, 2: 2}, ["frozen"]) == 2
    assert [row for row in read(target) if row["seed"] == "0"] == before
    assert curves.record(pictures, target, {1: 2, 2: 2}, ["frozen"]) == 0

    changed = folder / "train" / "red" / "0.png"
    Image.new("RGB", (64, 64), "orange").save(changed)
    assert curves.record(pictures, target, {1: 1}, ["frozen"]) == 1
    assert len(read(target)) == 1
    assert not list(tmp_path.glob("*.partial"))
