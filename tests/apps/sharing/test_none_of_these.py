"""A classifier that says “like nothing it learned from”, the same in every file."""

import json
from dataclasses import replace
from zipfile import ZipFile

import numpy as np
import pytest
import tiny
from cases import thorough_but

from apps.sharing import as_classifier, export_onnx, load_exported, save_classifier
from apps.sharing.cards import model_card
from helpers.datasets import load_dataset
from helpers.evaluate import accuracy
from helpers.models import load_classifier
from helpers.neighbours import familiar_within
from helpers.training import extract_features, new_model
from safeguards.familiar import DOCUMENT, TABLE, familiar
from safeguards.model_files import ModelFileError


@pytest.fixture(scope="module")
def computers():
    return load_dataset("computers").train.subset(6)


@pytest.fixture(scope="module")
def knowing(computers, tmp_path_factory):
    """A `Classifier` that knows what it learned from."""
    base = tiny.classifier()
    cache = tmp_path_factory.mktemp("cache")
    features = extract_features(base, computers, cache)
    names = [path.name for path in computers.paths]
    known = familiar(features, names, familiar_within(features))
    model = new_model(base, len(computers.classes))
    return as_classifier(model, computers.classes, familiar=known)


@pytest.fixture(scope="module")
def pictures(computers):
    """Some that it learned from, and noise."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), "uint8")
    return [*computers.paths[:3], *noise]


@pytest.fixture(scope="module", params=thorough_but([".keras", ".onnx"], ".keras"))
def from_file(request, knowing, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / f"mine{request.param}"
    if request.param == ".keras":
        return load_classifier(save_classifier(knowing, path))
    return load_exported(export_onnx(knowing, path))


def test_it_knows_its_own_pictures_and_not_noise(knowing, computers, pictures):
    answers = [knowing.predict(picture) for picture in pictures]
    for answer, path in zip(answers[:3], computers.paths, strict=False):
        assert not answer.judged.unlike
        assert answer.judged.nearest == path.name
        assert answer.judged.distance == pytest.approx(0, abs=1e-3)
    assert all(answer.judged.unlike for answer in answers[3:])
    assert "like nothing it learned from" in repr(answers[-1])
    assert len(answers[-1]) == 4, "a list of predictions all the same"


def test_its_file_says_the_same(knowing, from_file, pictures):
    for picture in pictures:
        expected = knowing.predict(picture)
        found = from_file.predict(picture)
        assert found == [
            (wnid, name, pytest.approx(probability, abs=1e-3))
            for wnid, name, probability in expected
        ]
        assert found.judged.unlike == expected.judged.unlike
        assert found.judged.nearest == expected.judged.nearest or (
            expected.judged.unlike
        )
        assert found.judged.distance == pytest.approx(
            expected.judged.distance, abs=1e-3
        )


def test_the_network_itself_still_gives_logits(knowing, tmp_path):
    from helpers import keras

    path = save_classifier(knowing, tmp_path / "mine.keras")
    network = keras.models.load_model(path)
    assert network.output_shape == (None, 4)


@pytest.mark.thorough
def test_without_it_nothing_changes(knowing, tmp_path, pictures):
    plain = replace(knowing, familiar=None)
    assert type(plain.predict(pictures[0])) is list
    with ZipFile(save_classifier(plain, tmp_path / "plain.keras")) as file:
        assert not {DOCUMENT, TABLE} & {*file.namelist()}
    exported = load_exported(export_onnx(plain, tmp_path / "plain.onnx"))
    assert type(exported.predict(pictures[0])) is list


def test_a_file_whose_pictures_have_other_features_is_refused(knowing, tmp_path):
    narrow = familiar(np.ones((3, 5)), ["a", "b", "c"], 0.1)
    path = tmp_path / "mine.keras"
    save_classifier(replace(knowing, familiar=None), path)
    with ZipFile(path, "a") as file:
        file.writestr(DOCUMENT, json.dumps({"within": 0.1, "names": narrow.names}))
        file.writestr(TABLE, narrow.features.tobytes())
    with pytest.raises(ModelFileError, match="other features"):
        load_classifier(path)


def test_its_card_says_so(knowing, tmp_path):
    measured = {"accuracy": accuracy([0, 1], [0, 1])}
    card = model_card(knowing, tmp_path / "card.md", "made-up", measured)
    text = card.read_text("utf-8")
    assert "like nothing it learned from, it says that as well." in text
    assert "| like nothing it learned from | further than " in text
    assert 'there is no "none of these"' not in text
