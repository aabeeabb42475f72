"""Suspected labels, also on the shipped pictures, and the file that keeps the
decisions."""

import csv
import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_info, threadpool_limits

from helpers.cleaning import out_of_fold, suspicion
from helpers.datasets import COMPUTERS, load_dataset
from helpers.models import load_classifier
from helpers.pictures import Pictures
from helpers.training import extract_features
from panels.corrections import (
    COLUMNS,
    CorrectionsError,
    apply_corrections,
    read_corrections,
    write_corrections,
)
from safeguards.folders import DataError

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


def noise(folder, name, seed):
    """Write a picture that looks like no other; → its path."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), "uint8")
    Image.fromarray(pixels).save(folder / name)
    return folder / name


@pytest.fixture
def pictures(tmp_path):
    """Six of each of three classes, below the folder train."""
    classes, paths = ("cat", "dog, big", "eel"), []
    for label, name in enumerate(classes):
        for i in range(6):
            paths.append(
                noise(tmp_path / "set" / "train" / name, f"{i}.png", 10 * label + i)
            )
    return Pictures("set/train", tuple(paths), np.repeat([0, 1, 2], 6), classes)


@pytest.fixture
def features(pictures):
    """Each class at its own place, with a little noise."""
    rng = np.random.default_rng(0)
    return np.eye(3)[pictures.labels].repeat(40, axis=1) + rng.normal(0, 0.1, (18, 120))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine" / "corrections.csv"


# -- suspicion -------------------------------------------------------------------------


def planted():
    """Which shipped training pictures have a wrong label."""
    with (COMPUTERS / "wrong_labels.tsv").open(encoding="utf-8") as lines:
        wrong = {row["picture"] for row in csv.DictReader(lines, delimiter="\t")}
    paths = load_dataset("computers").train.paths
    return np.array([path.relative_to(COMPUTERS).as_posix() in wrong for path in paths])


@pytest.mark.thorough
def test_planted_labels_are_among_the_first_tenth(tmp_path):
    train = load_dataset("computers").train
    features = extract_features(load_classifier(size=128), train, cache=tmp_path)
    wrong, first = planted(), len(train) // 10
    assert (wrong.sum(), first) == (16, 48)
    for seed in (0, 1, 2):
        suspected = np.argsort(
            -suspicion(out_of_fold(features, train, seed=seed), train.labels)
        )
        assert wrong[suspected[:first]].mean() * first / wrong.sum() >= 0.8


def test_heads_learn_with_one_thread(pictures, features, monkeypatch):
    """Two threads of a matrix library wait for each other, on a busy machine mostly."""
    import sklearn.model_selection

    fit, seen = sklearn.model_selection.cross_val_predict, []

    def watched(*arguments, **options):
        seen.extend(
            one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"
        )
        return fit(*arguments, **options)

    monkeypatch.setattr(sklearn.model_selection, "cross_val_predict", watched)
    with threadpool_limits(2, user_api="blas"):
        out_of_fold(features, pictures, folds=3)
        after = {
            one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"
        }
    assert set(seen) == {1}
    assert after == {2}, "others keep what they had"


def test_a_wrong_label_is_the_most_suspicious(pictures, features):
    pictures.labels[[3, 8]] = [1, 2]
    probabilities = out_of_fold(features, pictures, folds=3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert {*np.argsort(-suspicion(probabilities, pictures.labels))[:2]} == {3, 8}
    assert (probabilities[[3, 8]].argmax(axis=1) == [0, 1]).all()


def test_no_picture_is_judged_by_a_head_that_learned_from_it(pictures):
    """Features that name the picture: learned by heart they would be always right."""
    probabilities = out_of_fold(1000 * np.eye(18), pictures, folds=6)
    right = probabilities[np.arange(18), pictures.labels]
    assert right.max() < 0.4


def test_copies_are_in_the_same_fold(pictures):
    """Each picture twice, with features of its own: only a copy could tell its
    class."""
    copies = []
    for path in pictures.paths:
        copies.append(path.with_name(f"copy of {path.name}"))
        Image.open(path).resize((20, 20)).save(copies[-1])
    both = Pictures(
        "both",
        (*pictures.paths, *copies),
        np.tile(pictures.labels, 2),
        pictures.classes,
    )
    probabilities = out_of_fold(np.tile(1000 * np.eye(18), (2, 1)), both, folds=3)
    right = probabilities[np.arange(36), both.labels]
    assert right.max() < 0.4


def test_folds_follow_the_seed(pictures, features):
    first, again, other = (
        out_of_fold(features, pictures, 3, seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_too_few_pictures_of_a_class(pictures, features):
    with pytest.raises(ValueError, match="2 pictures of eel for 3 folds"):
        out_of_fold(features[:14], pictures[:14], folds=3)
    with pytest.raises(ValueError, match="0 pictures of eel for 5 folds"):
        out_of_fold(features[:12], pictures[:12])
    with pytest.raises(ValueError, match="17 rows of features, 18 pictures"):
        out_of_fold(features[:17], pictures)


def test_a_class_of_copies_cannot_be_judged(pictures, features):
    for path in pictures.paths[1:6]:
        path.write_bytes(pictures.paths[0].read_bytes())
    with pytest.raises(ValueError, match="Nearly all pictures of cat look alike"):
        out_of_fold(features, pictures, folds=3)


def test_suspicion_is_the_loss_of_the_label():
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0], [0.1, 0.9]])
    found = suspicion(probabilities, [0, 1, 1])
    np.testing.assert_allclose(found[[0, 2]], -np.log([0.5, 0.9]))
    assert np.isfinite(found).all() and found.argmax() == 1
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(2,\)"):
        suspicion(probabilities, [0, 1])
    with pytest.raises(ValueError, match="probabilities"):
        suspicion([0.5, 0.5], [0, 1])


# -- the file --------------------------------------------------------------------------


def lines_of(file):
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_file_can_be_read_by_people(pictures, file):
    write_corrections(pictures, file, {0: 1, 7: None, 12: 2})
    rows = lines_of(file)
    assert [row["picture"] for row in rows] == [
        *("train/cat/0.png", "train/dog, big/1.png", "train/eel/0.png"),
    ]
    assert [row["given"] for row in rows] == ["cat", "dog, big", "eel"]
    assert [row["decision"] for row in rows] == ["relabel", "discard", "keep"]
    assert [row["new"] for row in rows] == ["dog, big", "", ""]
    assert len({row["sha256"] for row in rows}) == 3


def test_what_is_written_is_read_in_its_order(pictures, file):
    assert read_corrections(pictures, file) == {}
    decisions = {12: 0, 3: None, 0: 0, 5: 1}
    write_corrections(pictures, file, decisions)
    assert list(read_corrections(pictures, file).items()) == list(decisions.items())
    write_corrections(pictures, file, {})
    assert read_corrections(pictures, file) == {}


def test_a_spreadsheet_may_save_it(pictures, file):
    write_corrections(pictures, file, {3: None})
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_corrections(pictures, file) == {3: None}


def test_file_fits_other_places_of_the_same_set(pictures, file, tmp_path):
    write_corrections(pictures, file, {3: None})
    os.rename(tmp_path / "set", tmp_path / "moved")
    paths = (
        tmp_path / "moved" / path.relative_to(tmp_path / "set")
        for path in pictures.paths
    )
    moved = Pictures("moved", tuple(paths), pictures.labels, pictures.classes)
    assert read_corrections(moved, file) == {3: None}


def test_corrections_are_applied_to_labels_and_not_to_files(pictures, file):
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in pictures.paths
    }
    write_corrections(pictures, file, {0: 1, 7: None, 12: 2})
    corrected = apply_corrections(pictures, file)
    assert corrected.name == "set/train, corrected"
    assert corrected.paths == pictures.paths[:7] + pictures.paths[8:]
    assert Counter(corrected.labels.tolist()) == {0: 5, 1: 6, 2: 6}
    assert corrected.labels[0] == 1
    assert pictures.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6, "a copy was changed"
    after = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in pictures.paths
    }
    assert after == before


def test_corrections_are_not_applied_twice(pictures, file):
    write_corrections(pictures, file, {0: 1})
    with pytest.raises(
        CorrectionsError, match="was labelled 'cat' then, but is 'dog, big' now"
    ):
        apply_corrections(apply_corrections(pictures, file), file)


def test_no_class_is_emptied(pictures, file):
    write_corrections(pictures, file, dict.fromkeys(range(6)))
    with pytest.raises(CorrectionsError, match="no picture of cat is left"):
        apply_corrections(pictures, file)


def test_no_file_to_apply(pictures, file):
    with pytest.raises(CorrectionsError, match="no corrections file .*corrections.csv"):
        apply_corrections(pictures, file)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"picture": "train/cat/9.png"},
            "train/cat/9.png is not there any more",
        ),
        ({"picture": "validation/cat/0.png"}, "is not there any more"),
        ({"sha256": "0" * 64}, "train/cat/0.png was changed since"),
        ({"given": "eel"}, "was labelled 'eel' then, but is 'cat' now"),
        ({"new": "bird"}, "there is no class 'bird', only cat, dog, big, eel"),
        ({"new": ""}, "there is no class ''"),
        ({"decision": "delete"}, "'delete' should be keep or discard, or relabel"),
        ({"decision": "discard"}, "'discard' should be"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(pictures, file, change, message):
    write_corrections(pictures, file, {1: None, 0: 1})
    rows = lines_of(file)
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
        writer.writeheader()
        writer.writerows([rows[0], rows[1] | change])
    for use in (read_corrections, apply_corrections):
        with pytest.raises(
            CorrectionsError, match=f"(?s)corrections.csv, line 3: .*{message}"
        ):
            use(pictures, file)


def test_a_picture_that_was_changed_is_noticed(pictures, file, tmp_path):
    write_corrections(pictures, file, {0: 1})
    noise(pictures.paths[0].parent, "0.png", 99)
    with pytest.raises(
        CorrectionsError, match="line 2: train/cat/0.png was changed since"
    ):
        apply_corrections(pictures, file)
    pictures.paths[0].unlink()
    with pytest.raises(DataError, match="0.png cannot be read"):
        apply_corrections(pictures, file)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no corrections file: its first line should be picture,sha256"),
        ("a;b\n", "no corrections file"),
        (",".join(COLUMNS) + "\ncat\n", "line 2: 1 values instead of 5"),
        (",".join(COLUMNS) + '\n"cat', "cannot be read"),
    ],
)
def test_another_kind_of_file_is_refused_and_kept(pictures, tmp_path, text, message):
    file = tmp_path / "notes.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CorrectionsError, match=message):
        read_corrections(pictures, file)
    assert file.read_text(encoding="utf-8") == text


def test_a_picture_twice_is_refused(pictures, file):
    write_corrections(pictures, file, {0: 1})
    with file.open("a", encoding="utf-8") as lines:
        lines.write(file.read_text(encoding="utf-8").splitlines()[1] + "\n")
    with pytest.raises(
        CorrectionsError, match="line 3: train/cat/0.png has a decision already"
    ):
        read_corrections(pictures, file)


def test_what_cannot_be_written_leaves_what_was_there(pictures, file, monkeypatch):
    write_corrections(pictures, file, {0: 1})
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(
        CorrectionsError, match="cannot be written .No space left on device"
    ):
        write_corrections(pictures, file, {0: 1, 1: 2})
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_folder_that_cannot_be_made(pictures, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(
        CorrectionsError, match="cannot be written .*name a file in a folder"
    ):
        write_corrections(pictures, tmp_path / "taken" / "corrections.csv", {0: 1})
    with pytest.raises(CorrectionsError, match="cannot be written"):
        write_corrections(pictures, tmp_path, {0: 1})
    assert not list(tmp_path.parent.rglob(".incoming-*"))


def test_label_that_is_no_class(pictures, file):
    with pytest.raises(
        CorrectionsError, match="Label 3 of train/cat/0.png should be in 0…2"
    ):
        write_corrections(pictures, file, {0: 3})
    assert not file.exists()


def test_a_carriage_return_in_a_name_and_a_blank_last_line(tmp_path, file):
    paths = [
        noise(tmp_path / "set" / "a", name, i)
        for i, name in enumerate(("1\r2.png", "3.png"))
    ]
    pictures = Pictures("set", tuple(paths), np.array([0, 0]), ("a", "b"))
    write_corrections(pictures, file, {0: 1, 1: None})
    with file.open("a") as lines:
        lines.write("\n\n")
    assert read_corrections(pictures, file) == {0: 1, 1: None}


@pytest.mark.parametrize(
    ("probabilities", "labels", "words"),
    [
        ([[0.5, 0.5]], [2], "0…1"),
        ([[0.5, 0.5]], [-1], "0…1"),
        ([[0.5, 0.5]], [0.0], "whole numbers"),
        ([[3.0, -1.0]], [0], "softmax"),
        ([[np.nan, 0.5]], [0], "softmax"),
    ],
)
def test_suspicion_of_what_is_none(probabilities, labels, words):
    with pytest.raises(ValueError, match=words):
        suspicion(probabilities, labels)
