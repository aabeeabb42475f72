"""How often a run opens each picture: the same bytes aren't read over and over."""

import sys
from collections import Counter

import nbformat
import numpy as np
import pytest
import tiny
from PIL import Image

import helpers
from apps.own_pictures import keep
from apps.own_pictures.intake import look_through
from apps.own_pictures.kernel import NOTEBOOK
from helpers import pictures
from helpers.datasets import load_dataset
from panels.corrections import write_corrections
from safeguards import folders

MOST = 3  # times: to look at it, to compute with it, and to show it

counting = []  # at most one Counter of paths, while a test counts
sys.addaudithook(
    lambda event, args: (
        [each.update([str(args[0])]) for each in counting] if event == "open" else None
    )
)


@pytest.fixture
def pets(tmp_path):
    """Two classes of real pictures, some with a wrong label, some that look alike."""
    computers = load_dataset("computers").train
    for label, name in enumerate(computers.classes[:2]):
        own = computers[computers.labels == label]
        for number, path in enumerate(own.paths[:14]):
            wrong = number == 0
            folder = tmp_path / "pets" / computers.classes[label ^ wrong]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}{number:02}.jpg").write_bytes(path.read_bytes())
        with Image.open(own.paths[1]) as image:
            smaller = image.resize((image.width - 20, image.height - 20))
            smaller.save(tmp_path / "pets" / name / "again.jpg")
    return tmp_path / "pets"


def run_template():
    """Run the template's cells in this process, as `make mine` runs them in another."""
    names = {}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code" and "template" not in cell.metadata.get("tags", ()):
            exec(cell.source, names)
    return names


@pytest.mark.thorough
def test_a_run_opens_no_picture_more_than_three_times(pets, tmp_path, monkeypatch):
    results = tmp_path / "results"
    given = look_through(pets).pictures
    write_corrections(given, results / keep.CORRECTIONS, {3: given.labels[3]})
    monkeypatch.setattr(folders, "_digests", {})  # as in another process
    monkeypatch.setattr(pictures, "_fingerprints", {})
    monkeypatch.setattr(helpers, "load_classifier", lambda _: tiny.trained())
    monkeypatch.setenv("TRANSFER_PICTURES", str(pets))
    monkeypatch.setenv("TRANSFER_RESULTS", str(results))
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path / "cache"))
    opened = Counter()
    counting.append(opened)
    try:
        names = run_template()
    finally:
        counting.clear()
    times = [opened[str(path)] for path in given.paths]
    assert min(times) >= 2, "else they aren't counted: each is looked at and computed"
    assert max(times) <= MOST
    assert (results / "model.onnx").is_file()
    shown = names["found"].alike and names["suspects"]
    assert shown and names["found"].decided, "else the run shows less than it can"


def test_a_picture_is_read_again_once_it_has_changed(tmp_path):
    path = tmp_path / "a.png"
    found = []
    for colour in ("red", "lime", "blue"):  # files of one length
        Image.new("RGB", (40, 30), colour).save(path)
        found.append((pictures.fingerprint(path).key, folders.file_digest(path)))
    assert len({key for key, _ in found}) == len({digest for _, digest in found}) == 3
    opened = Counter()
    counting.append(opened)
    try:
        assert pictures.fingerprint(path).key == found[-1][0]
        assert folders.file_digest(path) == found[-1][1]
        np.testing.assert_equal(opened[str(path)], 0)
    finally:
        counting.clear()
    path.unlink()
    with pytest.raises(folders.DataError, match=r"a\.png cannot be read"):
        pictures.fingerprint(path)
