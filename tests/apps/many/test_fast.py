"""The faster runtime gives the same answers, only where it pays, and never old ones."""

import numpy as np
import pytest
import tiny
from cases import thorough_but
from PIL import Image

from apps.many import fast
from apps.many.folder import predict_folder, read_predictions
from helpers.pictures import Pictures
from helpers.training import base_of, extract_features
from safeguards.compiled import Compiled


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def at_no_cost(monkeypatch):
    monkeypatch.setattr(fast, "EXPORT_SECONDS", 0)
    monkeypatch.setattr(fast, "FEWEST", 0)


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for i in range(20):
        pixels = random.integers(0, 256, (40, 50, 3), "uint8")
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
    return tmp_path / "pictures"


def graphs(tmp_path):
    return sorted((tmp_path / "cache" / "graphs").glob("*"))


def test_answers_are_the_same(folder, tmp_path, at_no_cost, capsys):
    one = tiny.classifier()
    tables = []
    for quick in (False, True):
        out = tmp_path / f"{quick}.csv"
        predict_folder(folder, one, out, progress=False, fast=quick)
        tables.append(list(read_predictions(out)))
    assert len(graphs(tmp_path)) == 1
    for slow_row, fast_row in zip(*tables, strict=True):
        probabilities = [row.pop("probability") for row in (slow_row, fast_row)]
        assert slow_row == fast_row
        assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-4)
    assert "to ONNX Runtime: that takes ≈0 s, once" in capsys.readouterr().out


@pytest.mark.thorough
def test_a_graph_is_written_once_for_each_network(tmp_path, at_no_cost, monkeypatch):
    one = tiny.classifier()
    assert fast.faster(one, 10) is not None
    monkeypatch.setattr(fast, "export_onnx", lambda *_: pytest.fail("written again"))
    assert fast.faster(one, 10) is not None
    monkeypatch.undo()
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fast, "EXPORT_SECONDS", 0)
    weights = one.network.get_weights()
    one.network.set_weights([0.5 * weight for weight in weights])
    changed = fast.faster(one, 10)
    assert len(graphs(tmp_path)) == 2
    batch = np.full((1, one.size, one.size, 3), 100, "float32")
    expected = one.forward(batch)
    found = changed.forward(batch)
    assert found - found.mean() == pytest.approx(expected - expected.mean(), abs=1e-3)


def test_for_a_few_pictures_nothing_is_written(tmp_path, capsys):
    assert fast.faster(tiny.classifier(), 10) is None
    assert graphs(tmp_path) == []
    assert capsys.readouterr().out == ""


def test_a_graph_that_is_off_is_not_used(tmp_path, at_no_cost, capsys):
    one = tiny.classifier()
    fast.faster(one, 10)
    other = tiny.classifier(seed=1)
    (path,) = graphs(tmp_path)
    path.rename(path.with_name(f"{other.key()}.onnx"))
    assert fast.faster(other, 10) is None
    assert "stays in Keras: its graph is" in capsys.readouterr().out


FAULTS = (OSError("disk full"), ValueError("odd layer"))


@pytest.mark.parametrize("error", thorough_but(FAULTS, FAULTS[0]))
def test_what_cannot_be_exported_stays_in_keras(
    folder, tmp_path, at_no_cost, monkeypatch, capsys, error
):
    def fail(*_):
        raise error

    monkeypatch.setattr(fast, "export_onnx", fail)
    done = predict_folder(folder, tiny.classifier(), tmp_path / "a.csv", progress=False)
    assert (done.rows, done.unreadable) == (20, 0)
    assert f"stays in Keras: {error}" in capsys.readouterr().out


# -- features --------------------------------------------------------------------------


@pytest.fixture
def pictures(folder):
    paths = tuple(sorted(folder.iterdir()))
    return Pictures("noise", paths, np.zeros(len(paths), int), ("any",))


def test_features_are_the_same(pictures, tmp_path, at_no_cost, capsys):
    one = tiny.classifier()
    slow = extract_features(one, pictures, tmp_path / "slow")
    asked = []

    def faster_features(*question):
        asked.append(question)
        return fast.faster_features(*question)

    for name in ("quick", "again"):
        cache = tmp_path / name
        quick = extract_features(one, pictures, cache, faster_features)
        assert (quick != slow).any(), "else Keras computed them"
        assert np.abs(quick - slow).max() <= fast.CLOSE * np.abs(slow).max()
    assert len(graphs(tmp_path)) == 1
    assert capsys.readouterr().out.count("to ONNX Runtime: that takes") == 1, (
        "then it's there"
    )
    extract_features(one, pictures, cache, faster_features)
    assert len(asked) == 2, "no runtime where the features are known"


def test_features_of_few_pictures_cost_no_estimate(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(fast, "seconds_a_picture", lambda *_: pytest.fail("estimated"))
    one = tiny.classifier()
    extract_features(one, pictures, tmp_path / "few", fast.faster_features)
    assert graphs(tmp_path) == []


@pytest.mark.thorough
def test_a_graph_whose_features_are_off_is_not_used(
    pictures, tmp_path, at_no_cost, capsys
):
    extract_features(tiny.classifier(), pictures, tmp_path / "a", fast.faster_features)
    other = tiny.classifier(seed=1)
    (path,) = graphs(tmp_path)
    path.rename(path.with_name("other.onnx"))
    compute = Compiled(base_of(other))
    assert fast.faster_features(other, 20, "other", compute) is None
    assert "stays in Keras: its graph is" in capsys.readouterr().out
