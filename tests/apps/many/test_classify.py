"""`make classify`: a folder of pictures becomes a table, without programming."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from cases import thorough_but
from PIL import Image

from apps.many import classify
from apps.many.folder import Summary, read_predictions
from apps.sharing import export_onnx
from apps.sharing.doubts import UNLIKE, UNSURE
from helpers.models import ROOT
from helpers.neighbours import familiar_within
from safeguards.familiar import familiar
from safeguards.networks import without_last_layer

SETTINGS = ("PICTURES", "MODEL", "TABLE", "TRANSFER_MODEL")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """Runs are in a folder of their own, as if it were the project's."""
    monkeypatch.setattr(classify, "BUILD", tmp_path / "build")
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The file of a classifier to which grey pictures, of whatever brightness, are
    familiar."""
    one = tiny.classifier(2, classes=[("ants", "ants"), ("bees", "bees")])
    size = one.size
    values = np.array([60, 100, 140, 180], "float32")
    greys = np.broadcast_to(values[:, None, None, None], (4, size, size, 3))
    features = np.asarray(without_last_layer(one.network)(greys))
    known = familiar(
        features, [f"{i}.png" for i in range(4)], familiar_within(features)
    )
    knowing = replace(one, familiar=known)
    return export_onnx(knowing, tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture
def mine(model, tmp_path):
    """The same in build/mine, as make mine leaves it."""
    (tmp_path / "build" / "mine").mkdir(parents=True)
    path = tmp_path / "build" / "mine" / "model.onnx"
    path.write_bytes(model.read_bytes())
    return path


@pytest.fixture
def unsorted(tmp_path):
    """Two familiar pictures, noise, and a file that is no picture."""
    folder = tmp_path / "Pictures" / "un $orted"
    folder.mkdir(parents=True)
    for value in (100, 140):
        Image.new("RGB", (50, 40), (value, value, value)).save(folder / f"{value}.png")
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), "uint8")
    Image.fromarray(noise).save(folder / "noise.png")
    (folder / "notes.txt").write_text("none")
    return folder


def test_a_folder_becomes_a_table(mine, unsorted, tmp_path, capsys):
    assert classify.main([str(unsorted)]) == 0
    begins, *ends = capsys.readouterr().out.splitlines()
    assert begins == (
        f"Classifying what is in {Path('Pictures', 'un $orted')} with "
        f"{Path('build', 'mine', 'model.onnx')}; starting takes some seconds …"
    )
    table = tmp_path / "build" / "un $orted.csv"
    assert ends == [
        "4 files: 3 answered (of them 2 not sure, 1 like nothing it learned from: see "
        "the column note), 1 that could not be read (the column error says why).",
        f"Table: {Path('build', 'un $orted.csv')} (one line a picture)",
    ]
    noted = {row["path"]: row["note"] for row in read_predictions(table)}
    assert noted == {
        "100.png": UNSURE,
        "140.png": UNSURE,
        "noise.png": UNLIKE,
        "notes.txt": None,
    }
    before = sorted(unsorted.iterdir())
    (unsorted / "more.png").write_bytes((unsorted / "140.png").read_bytes())
    assert classify.main([f" {unsorted} "]) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "1 new file: 1 answered (of them 1 not sure: see the column note); "
        "4 lines of earlier runs stay."
    )
    assert classify.main([str(unsorted)]) == 0
    assert "No new files: 5 lines of earlier runs stay." in capsys.readouterr().out
    assert sorted(unsorted.iterdir()) == sorted([*before, unsorted / "more.png"])


def test_make_hands_over_what_was_typed(model, unsorted, tmp_path, monkeypatch, capsys):
    """make classify PICTURES=… MODEL=… TABLE=…, by variables that it exports."""
    lines = (ROOT / "Makefile").read_text("utf-8").splitlines()
    assert {"export PICTURES", "export MODEL", "export TABLE"} <= {*lines}
    assert "\t@.venv/bin/python -m apps.many.classify" in lines
    monkeypatch.setenv("PICTURES", str(unsorted))
    monkeypatch.setenv("MODEL", str(model))
    monkeypatch.setenv("TABLE", "my table.csv")
    assert classify.main([]) == 0
    assert "Table: my table.csv (one" in capsys.readouterr().out
    assert len(list(read_predictions(tmp_path / "my table.csv"))) == 4
    assert not (tmp_path / "build").exists()


def test_without_a_classifier_of_ones_own_the_shipped_network_answers(
    unsorted, monkeypatch, capsys
):
    asked = []

    def predict_folder(folder, model, table, top):
        asked.append((folder, model, table, top))
        return Summary(4, 0, 0, 1.0, table)

    monkeypatch.setattr(classify, "predict_folder", predict_folder)
    assert classify.main([str(unsorted), "--top", "3"]) == 0
    table = classify.BUILD / "un $orted.csv"
    assert asked == [(unsorted, "efficientnet_lite0", table, 3)]
    assert "4 files: 4 answered.\n" in capsys.readouterr().out


def test_tensorflow_is_not_needed_for_an_exported_file(model, unsorted, tmp_path):
    code = (
        "import sys; from apps.many.classify import main; "
        f"status = main([{str(unsorted)!r}, '--model', {str(model)!r}, "
        f"'--out', {str(tmp_path / 't.csv')!r}]); "
        "sys.exit(status or 2 * ('tensorflow' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


# -- one clear sentence ----------------------------------------------------------------

REFUSED = {
    "no folder named": ([""], "Which pictures? Name the folder"),
    "mistyped": (["Pictures/unsrted"], "Pictures/unsrted is not there: name a folder"),
    "somebody's home": (["~nobody_of_this_name/x"], "is not there|home directory"),
    "a file": (["Pictures/un $orted/100.png"], "is a file: name a folder"),
    "empty": (["empty"], "empty has no files in it: name a folder of pictures"),
    "no file of a model": (
        ["Pictures", "--model", "build/mine/gone.onnx"],
        "There is no model build/mine/gone.onnx: name a file that is there",
    ),
    "no known model": (["Pictures", "--model", "resnet"], "No model called 'resnet'"),
    "a damaged model": (
        ["Pictures", "--model", "odd.onnx"],
        "is no file of export_onnx",
    ),
}


@pytest.mark.parametrize("case", thorough_but(REFUSED, "mistyped", "empty"))
def test_what_cannot_be_used_is_said_in_a_line(case, unsorted, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".DS_Store").touch()
    (tmp_path / "odd.onnx").write_bytes(b"odd")
    arguments, expected = REFUSED[case]
    assert classify.main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert any(text in line for text in expected.split("|")), line
    assert not list(tmp_path.rglob("*.csv"))


def test_a_table_of_the_classifier_before_is_put_aside(
    mine, unsorted, tmp_path, capsys
):
    """Classify, correct labels, make mine, classify again: nobody names tables."""
    assert classify.main([str(unsorted)]) == 0
    table = tmp_path / "build" / "un $orted.csv"
    before = table.read_bytes()
    for number in (1, 2):
        capsys.readouterr()
        assert classify.main([str(unsorted), "--top", str(1 + number % 2)]) == 0
        printed, complaint = capsys.readouterr()
        aside = f"un $orted-{number}.csv"
        assert f"or another version of it: it's build/{aside} now.\n" in printed
        assert complaint.count("TABLE=") == 0
        assert (table.parent / aside).read_bytes() == before
        before = table.read_bytes()
    # Who has named a table is asked for another name.
    assert classify.main([str(unsorted), "--top", "2", "--out", str(table)]) == 1
    assert table.read_bytes() == before


def test_another_table_is_left_alone_and_the_way_out_is_named(
    mine, unsorted, tmp_path, capsys
):
    table = tmp_path / "build" / "un $orted.csv"
    table.write_text("my notes\n")
    assert classify.main([str(unsorted)]) == 1
    refusal, way_out = capsys.readouterr().err.splitlines()
    assert "is no table of predict_folder" in refusal
    assert "TABLE=other.csv" in way_out and "--out other.csv" in way_out
    assert table.read_text() == "my notes\n"
    assert classify.main([str(unsorted), "--out", "other.csv"]) == 0
    assert len(list(read_predictions("other.csv"))) == 4


def test_a_table_never_goes_among_the_pictures(mine, unsorted, tmp_path, capsys):
    assert classify.main([str(tmp_path)]) == 1
    assert "--out other.csv" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.csv"))


def test_ctrl_c_ends_it_without_a_traceback(mine, unsorted, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(classify, "predict_folder", interrupted)
    assert classify.main([str(unsorted)]) == classify.INTERRUPTED
    assert "the same command goes on" in capsys.readouterr().err
