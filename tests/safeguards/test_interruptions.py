"""Killed, interrupted, out of room: what is there is whole, and an error says what to
do."""

import io
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tiny
from cases import thorough_but
from lessons import SUPPORT
from PIL import Image

from apps.sharing.cards import model_card, write_card
from apps.sharing.classifier import as_classifier
from apps.sharing.saving import save_classifier
from helpers import keras, load_classifier, training
from helpers.datasets import load_dataset
from helpers.evaluate import accuracy
from helpers.images import ResizeRule
from helpers.models import Classifier
from helpers.pictures import Pictures
from helpers.training import extract_features, fine_tune, fit, new_model, predict
from panels import corrections
from panels.collect import collect_widget
from safeguards.feature_files import write_features
from safeguards.folders import DataError
from safeguards.whole_files import atomic_write, temporary_folder_in


@pytest.mark.parametrize("kills", thorough_but([40, 200], 40))
def test_kills_leave_nothing_half_written_in_use(kills, tmp_path, record_property):
    """Always of two processes at the same work in the same folder."""
    command = [sys.executable, "interrupt.py", str(kills), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SUPPORT)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert counts["kills"] == kills
    assert counts["files read"] > 1.5 * kills
    assert counts["left half-written"] > kills / 20, "they came while one was written"
    record_property(
        "killed while writing", ", ".join(f"{k} {n}" for k, n in counts.items())
    )


SAVE = """
import sys
from helpers import keras, load_classifier
from apps.sharing.classifier import as_classifier
from apps.sharing.exporting import export_onnx
from apps.sharing.saving import save_classifier
from helpers.images import ResizeRule
layers = keras.layers
network = keras.Sequential([keras.Input((8, 8, 3)), \
layers.Flatten(), layers.Dense(3000),
                            layers.Dense(2)])
model = as_classifier(network, ["a", "b"], rule=ResizeRule())
print("ready", flush=True)
while True:
    save_classifier(model, sys.argv[1])
"""


@pytest.mark.slow
def test_killed_while_a_model_is_saved(tmp_path, record_property):
    path, left = tmp_path / "mine.keras", 0
    draw = np.random.default_rng(0)
    for _ in range(15):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVE, path], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0.2, 2))
        child.kill()
        child.wait()
        left += len(list(tmp_path.glob(".incoming-*")))
        if path.exists():
            assert load_classifier(path).logits(["cat"]).shape == (1, 2)
    assert path.exists() and left
    record_property(
        "killed while a model was saved", f"15 times, {left} half-written, none used"
    )


# -- what a killed process leaves ------------------------------------------------------


def test_what_killed_processes_left_goes_and_what_is_at_work_stays(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", "import pathlib, sys, time\n"
         "from safeguards.whole_files import temporary_folder_in\n"
         "with temporary_folder_in(pathlib.Path(sys.argv[1])):\n"
         "    print(flush=True); time.sleep(99)", tmp_path],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    child.stdout.readline()
    (theirs,) = tmp_path.iterdir()
    (theirs / "part").write_text("half")
    old, other = (
        tmp_path / ".incoming-another machine-1-x",
        tmp_path / ".incoming-another-1-y",
    )
    old.mkdir()
    other.mkdir()
    os.utime(old, (0, time.time() - 25 * 3600))
    with temporary_folder_in(tmp_path) as ours:
        assert {*tmp_path.iterdir()} == {theirs, other, ours}
    child.kill()
    child.wait()
    with temporary_folder_in(tmp_path) as ours:
        assert {*tmp_path.iterdir()} == {other, ours}


def test_two_downloads_at_once_are_no_fault(tmp_path, monkeypatch):
    """The one that is slower finds the set of the other in its place."""
    from helpers import datasets

    def slow(name, address, sha256, megabytes, folder):
        other = tmp_path / name / "a"
        other.mkdir(parents=True)
        (other / "1").write_text("whole")
        (folder / "all" / "a").mkdir(parents=True)

    monkeypatch.setenv("TRANSFER_DATA", str(tmp_path))
    monkeypatch.setitem(
        datasets.PUBLIC, "set", datasets._Public("http://x", "sum", "1", "all", "none")
    )
    monkeypatch.setattr(datasets, "fetch_archive", slow)
    assert (datasets._public("set") / "a" / "1").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


# -- no room, no permission ------------------------------------------------------------


@pytest.fixture
def no_room():
    """No file may grow beyond 4 kB, as on a full disk, in this process and until the
    test ends."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.fixture
def pictures(tmp_path):
    paths = []
    for i in range(400):
        paths.append(tmp_path / "set" / "ab"[i % 2] / f"{i:03}.png")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (i % 256, i // 256, 0)).save(paths[-1])
    return Pictures("set", tuple(paths), np.arange(400) % 2, ("a", "b"))


def dense(n=2):
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(),
                                keras.layers.Dense(n)])  # fmt: skip
    return as_classifier(network, [f"{i}" for i in range(n)], rule=ResizeRule())


def test_a_full_disk_is_told_and_leaves_what_was_there(
    tmp_path, pictures, no_room, capsys
):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "m.keras").write_text("before")
    # Changed by somebody, the earlier card would be put aside first.
    card = write_card(folder / "card.md", "before\n").read_text()
    corrections.write_corrections(pictures, folder / "c.csv", {0: 1})
    before = (folder / "c.csv").read_bytes()

    with pytest.raises(
        corrections.CorrectionsError, match="cannot be written .*File too large"
    ):
        corrections.write_corrections(
            pictures, folder / "c.csv", dict.fromkeys(range(400), 0)
        )
    assert (folder / "c.csv").read_bytes() == before

    with pytest.raises(OSError, match="too large") as caught:
        save_classifier(dense(), folder / "m.keras")
    assert "m.keras is not written: make room there" in caught.value.__notes__[0]
    model = Classifier("m", None, 64, ResizeRule(), None, (("a", "a"), ("b", "b")))
    rows = {f"{i}": "x" * 100 for i in range(100)} | {"a": accuracy([0], [0])}
    with pytest.raises(OSError, match="too large") as caught:
        model_card(model, folder / "card.md", "x", rows)
    assert "card.md is not written: make room there" in caught.value.__notes__[0]
    assert (folder / "m.keras").read_text() == "before"
    assert (folder / "card.md").read_text() == card

    write_features(folder / "f.npz", "key", np.zeros(5000, "float32"))
    assert "Features are not kept" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {
        "c.csv",
        "card.md",
        "m.keras",
    }

    panel = collect_widget(["a", "b"], folder / "collected")
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    entry = {"name": "noise.png", "type": "", "size": 1, "last_modified": 0}
    panel.upload.set_state(
        {"value": [entry | {"content": memoryview(file.getvalue())}]}
    )
    assert "not kept" in panel.result.value and "File too large" in panel.result.value
    assert not list((folder / "collected").rglob("*.jpg"))


def test_a_folder_that_cannot_be_written_is_told(tmp_path, pictures, capsys):
    """A file in the place of a folder refuses root as well."""
    (tmp_path / "file").touch()
    no_folder = tmp_path / "file" / "folder"
    with pytest.raises(
        corrections.CorrectionsError, match="name a file in a folder of yours"
    ):
        corrections.write_corrections(pictures, no_folder / "c.csv", {0: 1})
    with pytest.raises(OSError) as caught:
        save_classifier(dense(), no_folder / "m.keras")
    assert "name a folder of yours" in caught.value.__notes__[0]
    classifier, few = tiny.classifier(), pictures[:3]
    assert np.array_equal(
        extract_features(classifier, few, cache=no_folder),
        extract_features(classifier, few, tmp_path),
    )
    assert "cannot be written (Not a directory)" in capsys.readouterr().out
    with pytest.raises(DataError, match="is a file"):
        collect_widget(["a"], tmp_path / "file")


def test_whole_makes_no_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "never"):
        pass
    assert list(tmp_path.iterdir()) == []


# -- an interrupted training -----------------------------------------------------------


@pytest.fixture(scope="module")
def learned():
    """What knows the pictures already, so that a head learns them in a few epochs."""
    return tiny.trained()


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("computers")


@pytest.fixture
def interrupt_in(monkeypatch):
    """Make the kernel's interrupt come at the end of the epoch that is given."""

    def prepare(epoch):
        class Bar:
            n = 0

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def update(self, _=1):
                self.n += 1
                if self.n == epoch:
                    raise KeyboardInterrupt

        monkeypatch.setattr(training, "progress_bar", lambda *_: Bar())

    return prepare


@pytest.mark.parametrize("patience", thorough_but([None, 9], 9))
def test_an_interrupted_training_leaves_a_usable_model(
    learned, dataset, interrupt_in, patience
):
    interrupt_in(5)
    model = new_model(learned, 4)
    few, validation = dataset.train.subset(5), dataset.validation.subset(5)
    until = "its best epoch, 4" if patience else "now"
    with pytest.raises(
        KeyboardInterrupt, match=f"Stopped in epoch 5 of 30.* until {until}"
    ) as at:
        fit(model, few, validation, 30, 0.01, patience=patience)
    assert at.value.__suppress_context__, "one line, not Keras's own"
    found = predict(model, few)
    assert (found.argmax(axis=1) == few.labels).mean() > 0.6, "it learned"
    classifier = as_classifier(model, dataset.classes)
    assert len(classifier.predict("cat", top=2)) == 2
    interrupt_in(99)
    assert len(fit(model, few, None, 2).history["loss"]) == 2, "and can go on"


def test_interrupted_fine_tuning_does_not_go_on(learned, dataset, interrupt_in):
    interrupt_in(2)
    model = new_model(learned, 4)
    base = model.get_layer("base").get_weights()
    few = dataset.train.subset(2)
    with pytest.raises(KeyboardInterrupt, match="epoch 2 of 3"):
        fine_tune(model, few, None, head_epochs=3, epochs=3)
    assert all(map(np.array_equal, base, model.get_layer("base").get_weights()))
    assert predict(model, few).shape == (8, 4)


@pytest.mark.thorough
def test_a_real_interrupt(learned, dataset):
    """The signal that a kernel gets, at any moment of a training that would take
    minutes."""
    if threading.current_thread() is not threading.main_thread():
        pytest.fail("signals arrive in the main thread, so the test has to run there")
    model, few = new_model(learned, 4), dataset.train.subset(5)
    training.unfreeze(model, 3)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt, match="Stopped in epoch .* of 100000"):
            fit(model, few, None, 100_000)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert np.isfinite(predict(model, few)).all()
