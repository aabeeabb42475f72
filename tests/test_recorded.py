"""Recorded runs: what lies in data/recorded is what the models say, and about which pictures."""

import json
import runpy
import zipfile
from hashlib import sha256

import numpy as np
import pytest
from PIL import ImageOps
from scipy.special import softmax

from helpers import has_weights, load_classifier, load_image, recorded_logits
from helpers.images import SAMPLES
from helpers.models import POCKET, RECORDED, ROOT, NotRecorded, find_weights, picture_key


@pytest.fixture(scope="module")
def pictures():
    """All pictures that tools/record_scores.py scores."""
    return list(runpy.run_path(str(ROOT / "tools" / "record_scores.py"))["pictures"]())


def test_recorded_files_are_small():
    files = sorted(RECORDED.glob("*.npz"))
    assert [file.stem for file in files] == ["mobilenet_v2", "pocket_validation"]
    assert max(file.stat().st_size for file in files) <= 1e6
    assert (RECORDED / "pocket_validation.npz").stat().st_size <= 300_000


# -- a real 1000-class model on the pictures that come with the lessons ----------------------------


def test_every_picture_of_the_lessons_is_recorded_and_no_other(pictures):
    assert len(pictures) >= len(SAMPLES)
    with np.load(RECORDED / "mobilenet_v2.npz") as file:
        assert sorted(file["keys"]) == sorted({picture_key(picture) for picture in pictures})
        assert file["logits"].shape == (len(file["keys"]), 1000)
        assert file["logits"].dtype == np.float16


def test_recorded_logits_come_in_the_order_asked_for():
    both, about = recorded_logits(["coffee", load_image("cat")])
    assert (both.shape, both.dtype) == ((2, 1000), np.float32)
    np.testing.assert_array_equal(both[1:], recorded_logits("cat")[0])
    assert both[0].argmax() != both[1].argmax()
    assert about["model"] == "mobilenet_v2"


@pytest.mark.thorough
def test_recorded_scores_are_those_of_the_live_model(pictures, shared_data, monkeypatch):
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(shared_data.resolve()))
    assert has_weights("mobilenet_v2")
    some = pictures[: len(SAMPLES)] + pictures[len(SAMPLES) :: 7]  # all take a minute
    recorded, about = recorded_logits(some)
    weights = find_weights("mobilenet_v2").read_bytes()
    assert about["weights_sha256"] == sha256(weights).hexdigest()
    live = load_classifier("mobilenet_v2").probabilities(some)
    np.testing.assert_allclose(softmax(recorded, axis=1), live, rtol=0, atol=0.01)


def test_a_picture_that_was_not_recorded_says_so():
    cat = load_image("cat")
    with pytest.raises(NotRecorded, match=r"picture 1, .* load_classifier\('mobilenet_v2'\)"):
        recorded_logits([cat, ImageOps.mirror(cat)])
    with pytest.raises(NotRecorded, match="this picture, "):
        recorded_logits(ImageOps.mirror(cat))


def test_a_model_that_was_not_recorded_says_so():
    with pytest.raises(NotRecorded, match=r"load_classifier\('vgg16'\)"):
        recorded_logits("cat", name="vgg16")


# -- pocket on Tiny ImageNet's validation pictures, for lesson 03's reliability diagram ------------


@pytest.fixture(scope="module")
def validation():
    """The arrays of the recorded run, and how it was made."""
    with np.load(RECORDED / "pocket_validation.npz") as file:
        return dict(file) | {"about": json.loads(file["about"].item())}


def test_recorded_run_is_of_the_shipped_pocket(validation):
    assert validation["about"]["model"] == POCKET.name
    assert validation["about"]["weights"] == sha256(POCKET.read_bytes()).hexdigest()


def test_recorded_run_covers_all_validation_pictures(validation):
    assert validation["labels"].tolist() == np.repeat(np.arange(200), 50).tolist()
    assert validation["classes"].shape == validation["probabilities"].shape == (10_000, 5)
    assert len(load_classifier("pocket").classes) == 200


def test_recorded_guesses_are_five_different_ones_likeliest_first(validation):
    probabilities = validation["probabilities"].astype(float)
    assert (np.diff(probabilities) <= 0).all()
    assert (probabilities[:, -1] >= 0).all()
    assert (probabilities.sum(axis=1) < 1.002).all()  # each is rounded to float16
    assert (np.diff(np.sort(validation["classes"])) > 0).all()


def test_recorded_accuracy_is_the_one_in_the_model_card(validation):
    hits = validation["classes"] == validation["labels"][:, None]
    top_1, top_5 = hits[:, 0].mean(), hits.any(axis=1).mean()
    card = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    assert f"{top_1:.3f}" in card
    assert f"{top_5:.3f}" in card


def test_recorded_guesses_are_those_of_the_live_pocket(validation, shared_data):
    pocket = load_classifier("pocket")
    with zipfile.ZipFile(shared_data / "tiny_imagenet.zip") as archive:
        names = sorted(name for name in archive.namelist() if "val/" in name and name[-1] != "/")
        rows = np.arange(0, len(names), 25)  # two pictures of each class
        live = pocket.probabilities([archive.read(names[row]) for row in rows])
    assert [pocket.classes[i][0] for i in validation["labels"][rows]] == [
        names[row].split("/")[-2] for row in rows
    ]
    recorded = np.take_along_axis(live, validation["classes"][rows].astype(int), axis=1)
    np.testing.assert_allclose(recorded, validation["probabilities"][rows], rtol=0, atol=2e-3)
