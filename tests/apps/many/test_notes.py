"""Whatever answers many pictures says which of them are like nothing the classifier
learned from, as `predict` does, and asks the network once."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from cases import thorough_but
from PIL import Image
from scipy.special import softmax

from apps.many import fast
from apps.many.answers import answering
from apps.many.folder import (
    Predictor,
    TableError,
    columns,
    names_below,
    predict_folder,
    read_predictions,
)
from apps.sharing import as_classifier, export_onnx, load_exported, save_classifier
from apps.sharing.doubts import UNLIKE, UNSURE, doubt, sure_from
from helpers.datasets import load_dataset
from helpers.neighbours import familiar_within
from helpers.training import extract_features, new_model
from safeguards.familiar import familiar


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def learned():
    return load_dataset("computers").train.subset(6)


@pytest.fixture(scope="module")
def knowing(learned, tmp_path_factory):
    """A `Classifier` that knows what it learned from."""
    base = tiny.classifier()
    features = extract_features(base, learned, tmp_path_factory.mktemp("cache"))
    names = [path.name for path in learned.paths]
    known = familiar(features, names, familiar_within(features))
    model = new_model(base, len(learned.classes))
    return as_classifier(model, learned.classes, familiar=known)


@pytest.fixture(scope="module")
def folder(learned, tmp_path_factory):
    """Pictures that it learned from, noise, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, path in enumerate(learned.paths[::3]):
        (folder / f"known{number}.jpg").write_bytes(path.read_bytes())
    random = np.random.default_rng(0)
    for number in range(4):
        pixels = random.integers(0, 256, (64, 64, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"noise{number}.png")
    (folder / "notes.txt").write_text("none")
    return folder


@pytest.fixture(scope="module")
def files(knowing, tmp_path_factory):
    """The same classifier in files."""
    there = tmp_path_factory.mktemp("files")
    return {
        ".keras": save_classifier(knowing, there / "mine.keras"),
        ".onnx": export_onnx(knowing, there / "mine.onnx"),
    }


def rows(table):
    return list(read_predictions(table))


# -- the same everywhere ---------------------------------------------------------------


def in_keras(knowing, files, monkeypatch):
    return knowing


def nested(knowing, files, monkeypatch):
    from helpers import keras

    inputs = keras.Input((knowing.size, knowing.size, 3))
    outer = keras.Model(inputs, knowing.network(inputs))
    return replace(knowing, network=outer)


def saved(knowing, files, monkeypatch):
    return files[".keras"]


def exported(knowing, files, monkeypatch):
    return load_exported(files[".onnx"])


def exported_by_path(knowing, files, monkeypatch):
    return str(files[".onnx"])


def in_the_fast_path(knowing, files, monkeypatch):
    monkeypatch.setattr(fast, "EXPORT_SECONDS", 0)
    monkeypatch.setattr(fast, "FEWEST", 0)
    return knowing


WAYS = (in_keras, nested, saved, exported, exported_by_path, in_the_fast_path)


@pytest.mark.parametrize("way", thorough_but(WAYS, in_keras, exported_by_path))
def test_notes_are_those_of_predict(way, knowing, folder, files, tmp_path, monkeypatch):
    model = way(knowing, files, monkeypatch)
    out = tmp_path / "t.csv"
    done = predict_folder(folder, model, out, progress=False)
    graphs = [path.name for path in (tmp_path / "cache").rglob("*.onnx")]
    if way is in_the_fast_path:
        assert graphs == [f"{knowing.key()}-features.onnx"]
    else:
        assert graphs == []
    table = rows(out)
    assert [row["path"] for row in table] == list(names_below(folder))
    for row in table[:-1]:
        assert list(row) == columns()
        answer = knowing.predict(folder / row["path"], top=1)
        plain = UNSURE if answer[0].probability < 0.5 else None
        assert row["note"] == (UNLIKE if answer.judged.unlike else plain)
        assert (row["note"] != UNLIKE) == row["path"].startswith("known")
        assert row["wnid"] == answer[0].wnid
        assert row["probability"] == pytest.approx(answer[0].probability, abs=1e-3)
    assert "known format" in table[-1]["error"] and table[-1]["note"] is None
    assert (done.unreadable, done.unlike) == (1, 4)
    assert "1 of them unreadable, 4 like nothing it learned from; 0 kept" in repr(done)


def test_without_it_tables_only_say_what_is_unsure(knowing, folder, tmp_path):
    out = tmp_path / "t.csv"
    done = predict_folder(folder, replace(knowing, familiar=None), out, progress=False)
    head = '"path","note","name","probability","wnid","error","bytes","modified",'
    assert out.read_text("utf-8-sig").startswith(head)
    *answered, broken = rows(out)
    for row in answered:
        assert row["note"] == (UNSURE if row["probability"] < 0.5 else None)
    assert broken["note"] is None
    assert done.unsure == sum(row["note"] == UNSURE for row in answered)
    assert done.unlike is None and "like nothing" not in repr(done)


def test_an_answer_takes_more_where_a_coin_would_have_a_half():
    assert (sure_from(2), sure_from(3), sure_from(1000)) == (0.6, 0.5, 0.5)
    assert [doubt(p, 2) for p in (0.59, 0.6, 1)] == [UNSURE, None, None]
    assert [doubt(p, 4) for p in (0.49, 0.5)] == [UNSURE, None]
    for unlike, said in ((True, UNLIKE), (False, None)):
        assert doubt(0.9, 2, SimpleNamespace(unlike=unlike)) == said
    assert doubt(0.3, 2, SimpleNamespace(unlike=True)) == UNLIKE


@pytest.mark.parametrize("way", (exported, in_the_fast_path))
def test_a_graph_is_asked_once(way, knowing, folder, files, monkeypatch):
    """For a batch: for probabilities and distances together."""
    predictor = Predictor(way(knowing, files, monkeypatch), folder)
    one = predictor.classifier
    if way is in_the_fast_path:
        one = fast.faster(one, 1000)
    asked = []
    outputs = one.network.outputs
    monkeypatch.setattr(
        one.network, "outputs", lambda *question: asked.append(1) or outputs(*question)
    )
    predictor._answer = one.answers
    predictor(list(names_below(folder)))
    assert len(asked) == 1
    one.predict(folder / "known0.jpg")
    assert len(asked) == 2


@pytest.mark.parametrize("way", (in_keras, nested))
def test_keras_gives_both_in_one_go(way, knowing, files, monkeypatch):
    one = way(knowing, files, monkeypatch)
    monkeypatch.setattr(type(one), "forward", lambda *_: pytest.fail("asked twice"))
    random = np.random.default_rng(1)
    batch = random.uniform(0, 255, (3, one.size, one.size, 3)).astype("float32")
    probabilities, judged = answering(one)(batch)
    monkeypatch.undo()
    expected = softmax(knowing.forward(batch), axis=-1)
    assert probabilities == pytest.approx(expected, abs=1e-5)
    distances = [each.distance for each in judged]
    expected = [each.distance for each in knowing._judged(batch)]
    assert distances == pytest.approx(expected, abs=1e-5)


# -- the fast path ---------------------------------------------------------------------


@pytest.mark.thorough
def test_one_graph_serves_whatever_it_learned_from(knowing, monkeypatch, tmp_path):
    monkeypatch.setattr(fast, "EXPORT_SECONDS", 0)
    assert fast.faster(knowing, 10).familiar is knowing.familiar
    monkeypatch.setattr(fast, "export_onnx", lambda *_: pytest.fail("written again"))
    other = replace(knowing.familiar, within=0.0)
    assert fast.faster(replace(knowing, familiar=other), 10).familiar is other


def test_a_graph_whose_distances_are_off_is_not_used(knowing, monkeypatch, capsys):
    """Though its probabilities are right."""
    right = answering(knowing)

    def off(batch):
        probabilities, judged = right(batch)
        return probabilities, [
            one._replace(distance=one.distance + 1) for one in judged
        ]

    def graph(*_):
        return _Answering(**vars(replace(knowing)))

    monkeypatch.setattr(_Answering, "answers", staticmethod(off))
    monkeypatch.setattr(fast, "_graph", graph)
    assert fast.faster(knowing, 10) is None
    assert "stays in Keras: its graph is 1.0000 off" in capsys.readouterr().out
    monkeypatch.setattr(_Answering, "answers", staticmethod(right))
    assert isinstance(fast.faster(knowing, 10), _Answering)


class _Answering(fast.Exported):
    """An exported file that answers as a test says."""


# -- going on --------------------------------------------------------------------------


@pytest.mark.parametrize("step", thorough_but([29, 211], 211))
def test_a_table_with_notes_is_completed(step, folder, files, tmp_path):
    """Wherever it was cut off, its header included."""
    out = tmp_path / "t.csv"
    predict_folder(folder, files[".onnx"], out, progress=False)
    whole = out.read_bytes()
    header = whole.index(b"\n")
    for length in [30, header - 14, header, *range(header + 1, len(whole), step)]:
        out.write_bytes(whole[:length])
        done = predict_folder(folder, files[".onnx"], out, progress=False)
        assert out.read_bytes() == whole, length
        noted = sum(row["note"] == UNLIKE for row in rows(out))
        assert done.unlike <= noted == 4
    again = predict_folder(folder, files[".onnx"], out, progress=False)
    assert (again.rows, again.unlike, again.kept) == (0, 0, len(rows(out)))


def test_a_table_that_would_say_something_else_is_refused(knowing, folder, tmp_path):
    out = tmp_path / "t.csv"
    predict_folder(folder, knowing, out, progress=False)
    whole = out.read_bytes()
    stricter = replace(knowing.familiar, within=0.0)
    with pytest.raises(TableError, match="made with mine .*, not with mine .*: name"):
        predict_folder(folder, replace(knowing, familiar=stricter), out)
    with pytest.raises(TableError, match="the 1 likeliest classes of mine .*, not 2"):
        predict_folder(folder, knowing, out, top=2)
    assert out.read_bytes() == whole
    # As an earlier version of ours wrote it, without notes.
    lines = []
    for line in whole.decode("utf-8-sig").splitlines():
        cells = line.split(",")
        lines.append(",".join(cells[:1] + cells[2:]) + "\n")
    out.write_text("".join(lines[:-1]), "utf-8")
    with pytest.raises(TableError, match="is no table of predict_folder: name another"):
        predict_folder(folder, knowing, out)
