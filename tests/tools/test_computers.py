"""data/computers: complete, clean, and telling its classes apart by nothing but their
subjects."""

import importlib
import io
import sys
from collections import Counter
from hashlib import sha256

import numpy as np
import pytest
from cases import thorough_but
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers.models import ROOT

FOLDER = ROOT / "data" / "computers"
CLASSES, SPLITS = (
    ("desktop", "laptop", "handheld", "other"),
    ("train", "validation", "test"),
)


sys.path.insert(0, str(ROOT / "tools" / "make_computers"))
tool = importlib.import_module("render_computers")


@pytest.fixture(scope="module")
def wrong():
    """The planted wrong labels: {path from the set's folder: class it shows}."""
    head, *rows = (FOLDER / "wrong_labels.tsv").read_text(encoding="utf-8").splitlines()
    assert head == "picture\tclass"
    return dict(row.split("\t") for row in rows)


@pytest.fixture(scope="module")
def pictures():
    """{path from the set's folder: the file's bytes}."""
    paths = sorted(FOLDER.glob("*/*/*"))
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def shown(pictures, wrong):
    """The class that each picture shows, in the order of `pictures`."""
    return np.array([wrong.get(name, name.split("/")[1]) for name in pictures])


@pytest.fixture(scope="module")
def pixels(pictures):
    """uint8 (pictures, 160, 160, 3)."""
    return np.stack(
        [np.asarray(Image.open(io.BytesIO(data))) for data in pictures.values()]
    )


# -- complete and clean ----------------------------------------------------------------


def test_the_set_has_the_promised_counts(pictures):
    counts = Counter(tuple(name.split("/")[:2]) for name in pictures)
    minimum = dict(zip(SPLITS, (120, 40, 60), strict=True))
    assert set(counts) == {(split, kind) for split in SPLITS for kind in CLASSES}
    assert all(
        count == tool.SPLITS[split] >= minimum[split]
        for (split, _), count in counts.items()
    )
    assert set(pictures) == {name for name, _, _ in tool.plan()}


def test_every_picture_is_a_small_rgb_jpeg(pictures):
    for name, data in pictures.items():
        image = Image.open(io.BytesIO(data))
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (160, 160)), (
            name
        )
        assert not image.getexif(), name
    assert sum(map(len, pictures.values())) <= 12e6


def test_no_picture_occurs_twice(pictures):
    assert len({sha256(data).hexdigest() for data in pictures.values()}) == len(
        pictures
    )


def test_no_two_pictures_look_alike(pixels):
    grey = (
        pixels.mean(-1)
        .reshape(len(pixels), 16, 10, 16, 10)
        .mean((2, 4))
        .reshape(len(pixels), -1)
    )
    grey = (grey - grey.mean(1, keepdims=True)) / grey.std(1, keepdims=True)
    likeness = grey @ grey.T / grey.shape[1] - np.eye(len(grey))
    assert likeness.max() < 0.98


def test_wrong_labels_are_the_planned_ones(wrong, pictures):
    assert (FOLDER / "wrong_labels.tsv").read_text(
        encoding="utf-8"
    ) == tool.wrong_labels()
    assert set(wrong) <= set(pictures)
    assert all(name.split("/")[1] != kind in CLASSES for name, kind in wrong.items())
    assert {name.split("/")[0] for name in wrong} == {"train"}
    train = sum(name.startswith("train/") for name in pictures)
    assert 0.025 <= len(wrong) / train <= 0.035


# -- nothing gives the class away but the subject --------------------------------------


MODELS = {
    "linear": LogisticRegression(max_iter=1000),
    "forest": RandomForestClassifier(200, min_samples_leaf=5, random_state=0),
}


@pytest.mark.parametrize("model", thorough_but(MODELS, "linear"))
def test_colour_and_file_size_say_next_to_nothing(model, pictures, pixels, shown):
    rows = np.c_[pixels.mean((1, 2)), [len(data) for data in pictures.values()]]
    train = np.array([name.startswith("train/") for name in pictures])
    model = make_pipeline(StandardScaler(), MODELS[model])
    model.fit(rows[train], shown[train])
    test = np.array([name.startswith("test/") for name in pictures])
    assert model.score(rows[test], shown[test]) < 0.40  # chance is 0.25
    guesses = cross_val_predict(
        model, rows, shown, cv=5
    )  # over all, the interval is narrower
    assert (guesses == shown).mean() < 0.40


# -- realism: what a network says that learned from photographs alone ------------------


@pytest.mark.thorough
def test_a_network_sees_the_computers_and_none_elsewhere_as_the_card_says():
    found = tool.realism()
    assert tool.report(found) in (FOLDER / "README.md").read_text(encoding="utf-8")
    rates = {kind: hits / count for kind, (hits, count) in found.items()}
    assert set(rates) == set(CLASSES)
    assert min(rates[kind] for kind in ("desktop", "laptop", "handheld")) >= 0.80
    assert rates["other"] <= 0.10


def test_the_card_counts_right(pictures, wrong):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    megabytes = sum(map(len, pictures.values())) / 1e6
    assert f"{len(pictures)} pictures, {megabytes:.1f} MB" in card
    assert f"{len(wrong)} training labels" in card
