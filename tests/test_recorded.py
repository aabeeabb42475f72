"""Recorded runs: what lies in data/recorded is what the models say, and about which pictures."""

import runpy
from hashlib import sha256

import numpy as np
import pytest
from PIL import ImageOps
from scipy.special import softmax

from helpers import has_weights, load_classifier, load_image, recorded_logits
from helpers.images import SAMPLES
from helpers.models import RECORDED, ROOT, NotRecorded, find_weights, picture_key


@pytest.fixture(scope="module")
def pictures():
    """All pictures that tools/record_scores.py scores."""
    return list(runpy.run_path(str(ROOT / "tools" / "record_scores.py"))["pictures"]())


def test_recorded_files_are_small():
    files = sorted(RECORDED.glob("*.npz"))
    assert "mobilenet_v2" in [file.stem for file in files]
    assert max(file.stat().st_size for file in files) <= 1e6


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


def test_recorded_scores_are_those_of_the_live_model(pictures, shared_data, monkeypatch):
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(shared_data.resolve()))
    assert has_weights("mobilenet_v2")
    recorded, about = recorded_logits(pictures)
    weights = find_weights("mobilenet_v2").read_bytes()
    assert about["weights_sha256"] == sha256(weights).hexdigest()
    live = load_classifier("mobilenet_v2").probabilities(pictures)
    np.testing.assert_allclose(softmax(recorded, axis=1), live, rtol=0, atol=0.01)


def test_a_picture_that_was_not_recorded_says_so():
    cat = load_image("cat")
    with pytest.raises(NotRecorded, match=r"picture 1, .* load_classifier\('mobilenet_v2'\)"):
        recorded_logits([cat, ImageOps.mirror(cat)])


def test_a_model_that_was_not_recorded_says_so():
    with pytest.raises(NotRecorded, match=r"load_classifier\('vgg16'\)"):
        recorded_logits("cat", name="vgg16")
