"""Folders of pictures: every file gets one row, the one that `predict` would give,
whatever stops a run in between, and memory does not grow with their number."""

import codecs
import csv
import os
import random
import re
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import variants
from cases import thorough_but
from lessons import SUPPORT
from PIL import Image

from apps.many import folder as batch
from apps.many.folder import (
    BatchError,
    Predictor,
    columns,
    predict_folder,
    read_predictions,
)
from helpers import load_classifier
from helpers.images import ResizeRule, load_image
from helpers.models import ROOT, Classifier

COMPUTERS = ROOT / "data" / "computers"


class Colours(Classifier):
    """Says which colour a picture has most of, without TensorFlow: a process starts at
    once."""

    def forward(self, batch):
        self.network.append(len(batch))  # how many it was given
        return np.float32(batch).mean(axis=(1, 2)) / 255

    def key(self):
        return sha256(f"{self.classes}".encode()).hexdigest()


def colours(classes=("red", "green", "blue")):
    return Colours(
        "colours", [], 16, ResizeRule(), lambda x: x, tuple((c, c) for c in classes)
    )


def pictures(folder, count, seed=0):
    """Small pictures, of which all but the first hundred are links to others."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        if i < 100:
            Image.fromarray(rng.integers(0, 256, (20, 24, 3), "uint8")).save(
                folder / f"{i:06}.png"
            )
        else:
            os.link(folder / f"{i % 100:06}.png", folder / f"{i:06}.png")
    return folder


def rows(table):
    return {row["path"]: row for row in read_predictions(table)}


# -- what is in a row ------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier():
    # not above: the processes that import this module start without TensorFlow
    import tiny

    return tiny.classifier()


def odd(folder):
    """Pictures that a reader in a hurry gets wrong."""
    folder.mkdir()
    big = load_image("coffee").resize((2400, 1600))
    big.save(
        folder / "big.jpg", quality=90
    )  # for which a JPEG decoder could take a shortcut
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    big.resize((300, 200)).save(folder / "turned.jpg", exif=exif)
    clear = load_image("cat").convert("RGBA")
    clear.putalpha(90)
    clear.save(folder / "clear.png")
    grey = np.asarray(load_image("building").convert("L")).astype("uint16") * 256
    Image.fromarray(grey).save(folder / "grey16.png")
    load_image("flower").quantize(32).save(folder / "palette.gif")
    return folder


def test_a_row_says_what_predict_says(classifier, tmp_path):
    folder = odd(tmp_path / "odd")
    for i, path in enumerate(sorted(COMPUTERS.glob("train/*/*.jpg"))[::20]):
        below = folder / "a" / "b" / path.parent.name
        below.mkdir(parents=True, exist_ok=True)
        os.symlink(path, below / f"{i}.jpg")
    found = predict_folder(folder, classifier, tmp_path / "table.csv", top=3)
    table = rows(tmp_path / "table.csv")
    assert found[:3] == (len(table), 0, 0)
    assert list(table) == list(batch.names_below(folder))
    assert len(table) > 20
    assert found.out == tmp_path / "table.csv"
    for name, row in table.items():
        assert list(row) == columns(3)
        best = classifier.predict(folder / name, top=3)
        assert [p.wnid for p in best] == [row["wnid"], row["wnid_2"], row["wnid_3"]]
        assert [p.name for p in best] == [row["name"], row["name_2"], row["name_3"]]
        probabilities = [row["probability"], row["probability_2"], row["probability_3"]]
        np.testing.assert_allclose(
            [p.probability for p in best], probabilities, atol=2e-5
        )
        about = (folder / name).stat()
        assert (row["bytes"], row["modified"]) == (about.st_size, about.st_mtime_ns)


@pytest.mark.parametrize("other", thorough_but(variants.OTHERS, "rescaling"))
def test_rows_of_another_network_are_not_kept(tmp_path, other):
    """Of one with the same weights: after a correction all has to be predicted
    again."""
    folder, table = pictures(tmp_path / "p", 3), tmp_path / "t.csv"
    predict_folder(
        folder, variants.classifier(variants.network()), table, progress=False
    )
    changed = variants.classifier(variants.OTHERS[other]())
    # Some no longer end in logits, which is refused before the table is looked at.
    with pytest.raises(ValueError, match="name another file|needs logits"):
        predict_folder(folder, changed, table, progress=False)


@pytest.mark.parametrize("same", thorough_but(variants.SAME, "another name"))
def test_rows_of_the_same_network_are_kept(tmp_path, same):
    folder, table = pictures(tmp_path / "p", 3), tmp_path / "t.csv"
    predict_folder(
        folder, variants.classifier(variants.network()), table, progress=False
    )
    again = variants.classifier(variants.SAME[same]())
    assert predict_folder(folder, again, table, progress=False)[:3] == (0, 0, 3)


def test_fewer_classes_than_asked_for(tmp_path):
    predict_folder(pictures(tmp_path / "p", 3), colours(), tmp_path / "t.csv", top=9)
    assert all(list(row) == columns(3) for row in read_predictions(tmp_path / "t.csv"))


def test_any_program_can_read_the_table(tmp_path):
    folder = pictures(tmp_path / "p", 1)
    names = [
        "a,b.png",
        'a"b.png',
        "a\nb.png",
        "a\rb.png",
        "ä 家.png",
        "=1+1.png",
        "@x.png",
        "-x.png",
    ]
    if os.name == "posix" and sys.platform != "darwin":
        names.append(os.fsdecode(b"\xff.png"))
    for name in names:
        os.link(folder / "000000.png", folder / name)
    (folder / "000000.png").unlink()
    classifier = colours(("=cmd()", "+", "-5 and more"))
    predict_folder(folder, classifier, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(
        newline="", encoding="utf-8-sig", errors="surrogateescape"
    ) as file:
        table = list(csv.DictReader(file, strict=True))
    assert len(table) == len(names)
    assert {Path(row["path"]).name for row in table} == set(names)
    assert all((folder / row["path"]).is_file() for row in table)
    for row in table:
        assert row["path"][0] not in "=+-@\t\r"
        assert row["name"] in ("'=cmd()", "+", "'-5 and more")
    again = predict_folder(folder, classifier, tmp_path / "t.csv")
    assert (again.rows, again.kept) == (0, len(names))
    # for Excel; once, however many runs add to it
    assert (tmp_path / "t.csv").read_bytes().count(codecs.BOM_UTF8) == 1


def test_what_is_no_picture_has_an_error(tmp_path):
    folder = pictures(tmp_path / "p", 40)
    (folder / "page.jpg").write_text("<html>")
    (folder / "cut.png").write_bytes((folder / "000000.png").read_bytes()[:200])
    (folder / "empty.png").touch()
    (folder / "link.png").symlink_to("nowhere")
    (folder / ".hidden").touch()
    (folder / "Thumbs.db").touch()
    expected = {
        "page.jpg": "web page",
        "cut.png": "damaged",
        "empty.png": "nothing to read",
    }
    expected |= {"link.png": "cannot be read (No such file"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
        expected["pipe.png"] = "no ordinary file"
    found = predict_folder(folder, colours(), tmp_path / "t.csv", batch_size=4)
    assert found[:3] == (40 + len(expected), len(expected), 0)
    table = rows(tmp_path / "t.csv")
    assert len(table) == found.rows
    for name, error in expected.items():
        assert error in table[name]["error"], name
        assert str(tmp_path) not in table[name]["error"]
        assert table[name]["name"] is table[name]["probability"] is None
    assert sum(row["error"] is None for row in table.values()) == 40
    # What could not be opened is tried again, what is no picture is not.
    os.link(folder / "000003.png", folder / "real.png")
    (folder / "link.png").unlink()
    (folder / "link.png").symlink_to("real.png")
    again = predict_folder(folder, colours(), tmp_path / "t.csv")
    left = 1 if "pipe.png" in expected else 0
    assert again[:3] == (2 + left, left, 40 + 3)
    assert rows(tmp_path / "t.csv")["link.png"]["name"] == table["000003.png"]["name"]


def test_one_that_takes_too_much_costs_only_its_own_row(tmp_path, monkeypatch):
    folder = pictures(tmp_path / "p", 3)
    Image.new("RGB", (200, 200)).save(folder / "large.png")
    monkeypatch.setattr("safeguards.pictures.MAX_PIXELS", 10_000)
    assert predict_folder(folder, colours(), tmp_path / "t.csv")[:2] == (4, 1)
    assert "megapixels" in rows(tmp_path / "t.csv")["large.png"]["error"]


# -- interruptions ---------------------------------------------------------------------


def child(folder, table):
    """What the process that is killed does: `predict_folder`, slowly, a few pictures at
    a time."""
    forward = Colours.forward
    Colours.forward = lambda self, batch: time.sleep(0.005) or forward(self, batch)
    predict_folder(folder, colours(), table, batch_size=3)


def run(code):
    """A Python process of its own that has this module as `t`."""
    code = f"import test_batch as t; from pathlib import Path; {code}"
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    where = {"cwd": Path(__file__).parent, "env": os.environ | {"PYTHONPATH": path}}
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **where)


@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")
@pytest.mark.thorough
def test_killed_at_any_moment_it_goes_on(tmp_path):
    folder, table = pictures(tmp_path / "p", 400), tmp_path / "t.csv"
    (folder / "none.png").write_text("none")
    predict_folder(folder, colours(), tmp_path / "whole.csv")
    rng, sizes = random.Random(1), []
    for _ in range(4):
        process = run(f"t.child(Path({str(folder)!r}), Path({str(table)!r}))")
        before = sizes[-1] if sizes else 0
        deadline = time.monotonic() + 60
        while (table.stat().st_size if table.exists() else 0) <= before + 100:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1))
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        sizes.append(table.stat().st_size)
    assert sizes[-1] < (tmp_path / "whole.csv").stat().st_size, "killed before its end"
    found = predict_folder(folder, colours(), table)
    assert 0 < found.kept < 401
    assert found.rows + found.kept == 401
    assert table.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("step", thorough_but([13, 97], 97))
def test_a_table_cut_off_anywhere_is_completed(step, tmp_path):
    """And wherever its last row is. step: bytes from one place to the next."""
    folder, table = pictures(tmp_path / "p", 12), tmp_path / "t.csv"
    os.link(folder / "000000.png", folder / 'a,"\nb\n.png')
    predict_folder(folder, colours(), table)
    whole = table.read_bytes()
    last = range(len(whole) - 30, len(whole), step // 13)
    for length in [*range(0, len(whole), step), *last]:
        table.write_bytes(whole[:length])
        found = predict_folder(folder, colours(), table, threads=1)
        assert table.read_bytes() == whole, length
        assert found.rows + found.kept == 13
    table.write_bytes(whole[:700] + bytes(300))  # as a power failure can leave it
    predict_folder(folder, colours(), table)
    assert table.read_bytes() == whole


def test_nothing_is_done_twice(tmp_path):
    folder, table, classifier = (
        pictures(tmp_path / "p", 30),
        tmp_path / "t.csv",
        colours(),
    )
    predict_folder(folder, classifier, table)
    before = rows(table)
    pictures(folder / "more", 5, seed=1)
    os.utime(folder / "000003.png", ns=(1, 1))
    Image.new("RGB", (9, 9), "blue").save(folder / "000007.png")
    (folder / "000009.png").unlink()
    classifier.network.clear()
    found = predict_folder(folder, classifier, table)
    assert found[:3] == (7, 0, 28)
    assert sum(classifier.network) == 7 + 1, "and one to compile"
    after = rows(table)
    assert len(after) == 35, "the row of a file that was moved away stays"
    assert after["000007.png"]["name"] == "blue"
    changed = {"000003.png", "000007.png"}
    assert all(after[path] == before[path] for path in before.keys() - changed)
    assert len(list(read_predictions(table))) == len(after)


def test_a_stopped_run_keeps_its_rows_and_stops_soon(tmp_path):
    folder, table, classifier = (
        pictures(tmp_path / "p", 300),
        tmp_path / "t.csv",
        colours(),
    )
    forward, calls = Colours.forward, []

    class Stopping(Colours):
        def forward(self, batch):
            calls.append(len(batch))
            if len(calls) == 20:
                raise KeyboardInterrupt
            return forward(self, batch)

    stopping = Stopping(**vars(classifier))
    with warnings.catch_warnings(record=True), pytest.raises(KeyboardInterrupt):
        predict_folder(folder, stopping, table, batch_size=4, threads=2)
    assert len(calls) < 30
    kept = len(rows(table))
    assert 0 < kept <= 80
    found = predict_folder(folder, classifier, table)
    assert (found.rows, found.kept) == (300 - kept, kept)
    assert sorted(rows(table)) == list(batch.names_below(folder))


def test_a_second_run_takes_over(tmp_path):
    folder, table = pictures(tmp_path / "p", 60), tmp_path / "t.csv"

    class Overtaken(Colours):
        def forward(self, batch):
            if sum(self.network) == 21:
                predict_folder(folder, colours(), table)
            return super().forward(batch)

    with pytest.raises(BatchError, match="Another run"):
        predict_folder(
            folder, Overtaken(**vars(colours())), table, batch_size=4, threads=1
        )
    assert sorted(rows(table)) == list(batch.names_below(folder))
    assert len(list(read_predictions(table))) == 60


def test_warnings_are_shown_as_before(tmp_path):
    before = list(warnings.filters)
    predict_folder(
        pictures(tmp_path / "p", 200), colours(), tmp_path / "t.csv", 1, 4, 8
    )
    assert warnings.filters == before


# -- what is refused -------------------------------------------------------------------


def test_a_table_of_something_else_is_refused_and_left_alone(tmp_path):
    folder, table = pictures(tmp_path / "p", 5), tmp_path / "t.csv"
    predict_folder(folder, colours(), table)
    other = pictures(tmp_path / "q", 3, seed=5)
    whole = table.read_bytes()
    refused = {
        "name another file": lambda: predict_folder(folder, colours("abc"), table),
        "the 1 likeliest classes of colours .* not 2": lambda: predict_folder(
            folder, colours(), table, top=2
        ),
        "made for another folder": lambda: predict_folder(other, colours(), table),
    }
    for message, call in refused.items():
        with pytest.raises(BatchError, match=message):
            call()
        assert table.read_bytes() == whole
    lines = whole.splitlines(keepends=True)
    for foreign in (
        b"my notes",
        b"my notes\n",
        b'"path","bytes"\n"a",1\n',
        b"\xff\xd8\xff\n" * 9,
    ):
        table.write_bytes(foreign)
        with pytest.raises(BatchError, match="no table of predict_folder"):
            predict_folder(folder, colours(), table)
        assert table.read_bytes() == foreign
    for damaged in (b'"x"\n', re.sub(rb",(\d)", rb",x\1", lines[1]), b'"a"b,\n'):
        table.write_bytes(b"".join([*lines[:2], damaged, *lines[3:]]))
        with pytest.raises(BatchError, match="line 3, is damaged"):
            predict_folder(folder, colours(), table)


def test_a_folder_that_cannot_be_used(tmp_path):
    pictures(tmp_path / "p", 1)
    for folder in (tmp_path / "missing", tmp_path / "p" / "000000.png"):
        with pytest.raises(
            BatchError, match="cannot be listed .* pass the path of a folder"
        ):
            predict_folder(folder, "no such model", tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()


def test_a_table_that_cannot_be_written(tmp_path):
    folder = pictures(tmp_path / "p", 1)
    (tmp_path / "file").touch()
    for table in (tmp_path / "file" / "t.csv", folder):
        with pytest.raises(BatchError, match="name a file in a folder of yours"):
            predict_folder(folder, colours(), table)
    with pytest.raises(BatchError, match="cannot be used"):
        next(read_predictions(tmp_path / "missing.csv"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_disk_that_is_full(tmp_path, monkeypatch):
    folder, real = pictures(tmp_path / "p", 9), batch._open
    monkeypatch.setattr(batch.os.path, "samestat", lambda *_: True)
    monkeypatch.setattr(
        batch,
        "_open",
        lambda table, mode: real("/dev/full" if mode == "a" else table, mode),
    )
    with pytest.raises(BatchError, match="No space left .* run this again"):
        predict_folder(folder, colours(), tmp_path / "t.csv")


def test_an_empty_folder_gives_an_empty_table(tmp_path):
    (tmp_path / "p").mkdir()
    found = predict_folder(tmp_path / "p", colours(), tmp_path / "p" / "t.csv")
    assert found[:3] == (0, 0, 0)
    assert "0 new rows" in repr(found)
    assert list(read_predictions(tmp_path / "p" / "t.csv")) == []
    os.link(pictures(tmp_path / "q", 1) / "000000.png", tmp_path / "p" / "a.png")
    assert (
        predict_folder(tmp_path / "p", colours(), tmp_path / "p" / "t.csv").rows == 1
    ), "the table is no picture, though it lies among them"


def test_batches_and_threads_of_any_number(tmp_path):
    for threads in (1, 5):
        for size in (1, 7, 1000):
            folder = pictures(tmp_path / f"{threads}-{size}", 23)
            table = folder.with_suffix(".csv")
            predict_folder(folder, colours(), table, batch_size=size, threads=threads)
            assert list(rows(table)) == list(batch.names_below(folder)), "in order"
    for wrong in ({"top": 0}, {"batch_size": 0}, {"threads": -1}):
        with pytest.raises(ValueError, match="should be 1 or more"):
            predict_folder(folder, colours(), tmp_path / "w.csv", **wrong)


# -- the model -------------------------------------------------------------------------


def test_other_weights_are_another_model(classifier, tmp_path):
    first = Predictor(classifier, tmp_path)
    kernel = classifier.network.layers[-1].kernel
    before = kernel.numpy()
    try:
        kernel.assign(before * 1.01)
        assert Predictor(classifier, tmp_path).model != first.model
    finally:
        kernel.assign(before)
    assert Predictor(classifier, tmp_path).model == first.model
    squashed = replace(classifier, rule=ResizeRule("each_side"))
    assert Predictor(squashed, tmp_path).model != first.model


# -- memory ----------------------------------------------------------------------------


def most(folder, table, real=False):
    """Megabytes: the most that a process has held whenever it looked, predicting a
    folder."""
    import psutil

    classifier = load_classifier(size=96) if real else colours()
    kind, held = type(classifier), []
    forward = kind.forward

    def looking(self, batch):
        held.append(psutil.Process().memory_info().rss)
        return forward(self, batch)

    kind.forward = looking
    predict_folder(folder, classifier, table)
    print(max(held) / 1e6)


def peak(folder, table, real=False, timeout=120):
    """The same of a fresh process."""
    process = run(f"t.most(Path({str(folder)!r}), Path({str(table)!r}), {real})")
    shown, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0
    return float(
        shown.splitlines()[-1]
    )  # after a line on a network that is no Keras model


@pytest.mark.thorough
def test_memory_does_not_grow_with_pictures(tmp_path, record_property):
    few, many = pictures(tmp_path / "few", 300), pictures(tmp_path / "many", 4000)
    one, two = peak(few, tmp_path / "few.csv"), peak(many, tmp_path / "many.csv")
    record_property("MB for 300 and 4,000 pictures", f"{one:.0f} and {two:.0f}")
    assert two < one + 10
    assert sum(1 for _ in read_predictions(tmp_path / "many.csv")) == 4000
    # and neither with the rows of an earlier run
    (many / "last.png").write_text("none")
    assert peak(many, tmp_path / "many.csv") < one + 10


@pytest.mark.slow
def test_memory_for_a_hundred_thousand(tmp_path, record_property):
    """With a real network; all in one folder. Their names alone take some megabytes."""
    held = {}
    for count in (1000, 100_000):
        folder, table = (
            pictures(tmp_path / f"{count}", count),
            tmp_path / f"{count}.csv",
        )
        held[count] = peak(folder, table, real=True, timeout=3600)
        assert sum(1 for _ in read_predictions(table)) == count
    record_property("MB for 1,000 and 100,000 pictures", [*map(round, held.values())])
    assert held[100_000] < held[1000] + 50
