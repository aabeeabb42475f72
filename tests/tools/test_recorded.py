"""The recorded answers: small, complete, of the shipped weights, and what the networks
say."""

import inspect
import json

import numpy as np
import pytest
from lessons import NOTEBOOKS, code_cells
from PIL import Image

from helpers import evaluate
from helpers.evaluate import (
    RECORDED_VALIDATION,
    accuracy,
    difference,
    recorded_answers,
    recorded_logits,
)
from helpers.images import ResizeRule
from helpers.labels import imagenet_classes
from helpers.models import (
    DEFAULT,
    RECORDED,
    REGISTRY,
    Classifier,
    WeightsUnavailable,
)
from safeguards.recordings import RecordingError
from safeguards.whole_files import note_digest
from tools.record import record_validation as tool

N = {"imagenet_val": 650, "photos": 200}
WNIDS = [wnid for wnid, _ in imagenet_classes()]
# Their names are those of any classifier's, and no network has to be there for them.
WAYS = list(
    tool.ways_to_prepare(Classifier(DEFAULT, None, 224, ResizeRule(), None, None))
)
RUNS = [
    *tool.NETWORKS,
    *(f"{DEFAULT} at {size} px" for size in tool.SIZES),
    *(f"{DEFAULT}, {way}" for way in WAYS if way != "correct"),
]

each_set = pytest.mark.parametrize("pictures", N)


@pytest.fixture(scope="module")
def arrays():
    """What the file holds."""
    with np.load(RECORDED_VALIDATION) as file:
        return dict(file)


# -- small, complete, of the shipped weights -------------------------------------------


def test_all_that_is_recorded_is_small():
    assert sum(path.stat().st_size for path in RECORDED.iterdir()) <= 1.3e6


@each_set
def test_every_run_is_of_every_picture(pictures):
    labels, answers, _ = recorded_answers(pictures)
    assert list(answers) == RUNS
    assert labels.shape == (N[pictures],)
    for positions in (labels, *answers.values()):
        assert positions.shape == labels.shape
        assert positions.min() >= 0
        assert positions.max() < 1000


@each_set
def test_pictures_are_named_and_labels_are_those_of_their_names(arrays, pictures):
    names = arrays[f"{pictures}/files"].tolist()
    assert names == sorted(set(names))
    labels, _, _ = recorded_answers(pictures)
    assert [WNIDS[label] for label in labels] == [name.split("_")[0] for name in names]


def test_nothing_of_the_pictures_but_their_names_is_kept(arrays):
    sets = {f"{title}/{kind}" for title in N for kind in ("files", "labels", "answers")}
    assert set(arrays) == {"about", "runs", "logits"} | sets
    assert arrays["logits"].dtype == np.float16
    kinds = {
        arrays[f"{title}/{kind}"].dtype for title in N for kind in ("labels", "answers")
    }
    assert kinds == {np.dtype("uint16")}


def test_logits_are_those_of_the_answers():
    labels, logits, about = recorded_logits()
    same_labels, answers, same_about = recorded_answers()
    assert (logits.shape, logits.dtype) == ((650, 1000), np.float32)
    np.testing.assert_array_equal(labels, same_labels)
    np.testing.assert_array_equal(logits.argmax(axis=1), answers[DEFAULT])
    assert about == same_about


def test_the_weights_are_those_that_the_lessons_use():
    about = recorded_logits()[-1]
    assert list(about["weights"]) == list(tool.NETWORKS)
    published = {
        name: REGISTRY[name].digest for name in tool.NETWORKS if REGISTRY[name].package
    }
    assert len(published) == 3
    assert published.items() <= about["weights"].items()
    assert len(about["weights"]["mobilenet_v2"]) == 64  # Keras publishes none
    assert set(about["versions"]) == {"keras", "tensorflow", "numpy", "pillow"}
    assert about["date"] >= "2026-11-29"


@pytest.mark.parametrize(
    "name, on_validation, on_photographs",
    [
        ("efficientnet_lite0", 0.82, 0.86),
        ("efficientnet_lite1", 0.80, 0.87),
        ("efficientnet_lite2", 0.80, 0.87),
        ("mobilenet_v2", 0.76, 0.87),
    ],
)
def test_networks_are_as_good_as_they_should_be(name, on_validation, on_photographs):
    for pictures, least in zip(N, (on_validation, on_photographs), strict=True):
        labels, answers, _ = recorded_answers(pictures)
        assert accuracy(labels, answers[name]).value >= least


def test_smaller_images_cost_accuracy():
    labels, answers, _ = recorded_answers("photos")
    sizes = [f"{DEFAULT} at {size} px" for size in tool.SIZES]
    assert (
        np.diff([accuracy(labels, answers[run]).value for run in sizes]) > 0.02
    ).all()


def test_what_wrong_preparation_costs():
    """What lesson 02 tells: some mistakes cost everything, some a few points."""
    labels, answers, _ = recorded_answers()
    cost = {way: difference(labels, answers[DEFAULT], answers[f"{DEFAULT}, {way}"])
            for way in WAYS[1:]}  # fmt: skip
    for way in ("1/255, then own scaling", "own scaling twice", "not scaled at all"):
        assert cost[way].high < -0.7
    for way in ("1/255 instead of own scaling", "red and blue swapped"):
        assert -0.15 < cost[way].low < cost[way].high < -0.03
    np.testing.assert_array_equal(
        answers[f"{DEFAULT}, squashed"], answers[DEFAULT]
    )  # square


# -- the functions that read it --------------------------------------------------------


def test_other_pictures_are_refused():
    with pytest.raises(
        ValueError, match="'computers'.* only .*'imagenet_val', 'photos'"
    ):
        recorded_answers("computers")


@pytest.mark.parametrize("read", [recorded_answers, recorded_logits])
def test_a_file_that_is_not_the_shipped_one_is_not_used(read, tmp_path, monkeypatch):
    path = tmp_path / "validation.npz"
    monkeypatch.setattr(evaluate, "RECORDED_VALIDATION", path)
    with pytest.raises(
        RecordingError, match="No such file.* git checkout data/recorded/valid"
    ):
        read()
    data = bytearray(RECORDED_VALIDATION.read_bytes())
    path.write_bytes(data)
    with pytest.raises(
        RecordingError, match="isn't the file .* git checkout data/recorded/"
    ):
        read()
    note_digest(path)
    assert read()
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="isn't the file"):
        read()


# -- the tool --------------------------------------------------------------------------


def test_lesson_shows_how_images_were_prepared_word_for_word():
    source = "\n".join(
        c.source for c in code_cells(NOTEBOOKS / "02_prepare_images.ipynb")
    )
    assert inspect.getsource(tool.ways_to_prepare).strip() in source


def test_pictures_come_in_the_order_of_their_names(tmp_path):
    for name in ("n02123045_2.jpg", "n01440764_9.jpg", "n02123045_1.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    names, images, labels = tool.labelled(tmp_path)
    assert names == ["n01440764_9", "n02123045_1", "n02123045_2"]
    assert labels == [0, 281, 281]
    assert [image.size for image in images] == [(8, 8)] * 3


def test_nothing_is_written_without_weights_or_pictures(tmp_path, monkeypatch, capsys):
    target = tmp_path / "validation.npz"
    with pytest.raises(WeightsUnavailable, match="mobilenet_v2: set TRANSFER_WEIGHTS"):
        tool.record(tmp_path, target)
    monkeypatch.setattr(tool, "NETWORKS", tool.NETWORKS[:1])
    with pytest.raises(FileNotFoundError, match="imagenet_val"):
        tool.record(tmp_path, target)
    assert not target.exists()
    monkeypatch.setattr("sys.argv", ["record_validation.py", str(tmp_path)])
    assert tool.main() == 1
    assert "no pictures in" in capsys.readouterr().err


@pytest.mark.thorough
@each_set
def test_recorded_answers_are_those_of_the_live_networks(
    arrays, pictures, shared_data, monkeypatch
):
    """A part of the pictures, chosen by their number; all of them take minutes."""
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(shared_data.resolve()))
    assert json.loads(arrays["about"].item())["weights"] == tool.about()["weights"]
    names, images, labels = tool.labelled(shared_data / pictures)
    assert names == arrays[f"{pictures}/files"].tolist()
    rows = np.arange(0, len(names), 20)
    for run, (name, classifier, prepare) in enumerate(tool.runs()):
        live = tool.logits(classifier, prepare, [images[row] for row in rows])
        recorded = arrays[f"{pictures}/answers"][run, rows]
        # The runner-up may win on another processor where the two hardly differ.
        gap = (
            live.max(axis=1)
            - np.take_along_axis(live, recorded[:, None].astype(int), 1)[:, 0]
        )
        assert gap.max() < 0.01, name
        if (name, pictures) == (DEFAULT, "imagenet_val"):
            np.testing.assert_allclose(arrays["logits"][rows], live, rtol=0, atol=0.02)
