"""The tools that make what is committed: lessons' outputs and recorded scores."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.images import load_image, sample_names

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
TOOLS = Path(__file__).resolve().parent.parent / "tools"


def tool(name, *arguments, **variables):
    return subprocess.run(
        [sys.executable, str(TOOLS / name), *map(str, arguments)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


# -- run_lessons.py --------------------------------------------------------------------------------

SHOW = """import os, urllib.request
print(os.environ.get("TRANSFER_MODEL"), os.environ.get("TRANSFER_WEIGHTS"))
print(sorted(set(urllib.request.getproxies().values())), os.listdir(os.environ["KERAS_HOME"]))
print(os.path.basename(os.getcwd()))"""


def write(path, *sources):
    """A notebook as an editor may leave it."""
    cells = [new_markdown_cell("# Title"), *map(new_code_cell, sources)]
    for cell in cells[1:]:
        cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    """Three notebooks, the second with a fault, and one run over all → (folder, what it said)."""
    folder = tmp_path_factory.mktemp("lessons")
    (folder / "weights").mkdir()
    write(folder / "01_use_a_pretrained_model.ipynb", SHOW)
    write(folder / "02_good.ipynb", "x = 20", "x + 1", SHOW)
    write(folder / "03_faulty.ipynb", "print('before')", "1 / 0", "print('after')")
    (folder / "before").write_bytes((folder / "03_faulty.ipynb").read_bytes())
    done = subprocess.run(
        [sys.executable, TOOLS / "run_lessons.py", *sorted(folder.glob("*.ipynb"))],
        cwd=folder.parent,
        env=os.environ
        | {"TRANSFER_WEIGHTS": f"{folder.name}/weights", "TRANSFER_MODEL": "vgg16"}
        | dict.fromkeys(("http_proxy", "HTTPS_PROXY"), "http://127.0.0.1:1"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return folder, done


def printed(path):
    return nbformat.read(path, as_version=4).cells[-1].outputs[0].text.splitlines()


def test_notebook_is_run_from_top_to_bottom(lessons):
    folder, done = lessons
    assert "02_good.ipynb: done" in done.stdout
    notebook = nbformat.read(folder / "02_good.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = notebook.cells[1:]
    assert [cell.execution_count for cell in cells] == [1, 2, 3]
    assert cells[1].outputs[0].data == {"text/plain": "21"}


def test_nothing_of_the_machine_stays(lessons):
    notebook = nbformat.read(lessons[0] / "02_good.ipynb", as_version=4)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata.language_info
    assert not any(cell.metadata for cell in notebook.cells)


def test_lessons_run_offline_on_pocket_and_the_real_run_on_given_weights(lessons):
    folder, _ = lessons
    offline = ["['127.0.0.1,localhost', 'http://127.0.0.1:9'] []", folder.name]
    assert printed(folder / "02_good.ipynb") == ["None None", *offline]
    real = printed(folder / "01_use_a_pretrained_model.ipynb")
    assert real == [f"None {folder / 'weights'}", *offline]


def test_faulty_notebook_stays_as_it_was(lessons):
    folder, done = lessons
    assert done.returncode == 1
    assert "03_faulty.ipynb" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert (folder / "03_faulty.ipynb").read_bytes() == (folder / "before").read_bytes()
    assert len(list(folder.iterdir())) == 5, "no other file is left"


def test_real_run_needs_weights(tmp_path):
    path = tmp_path / "01_use_a_pretrained_model.ipynb"
    write(path, "1")
    before = path.read_bytes()
    done = tool("run_lessons.py", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{path.name} shows a real run: set TRANSFER_WEIGHTS.\n"
    assert path.read_bytes() == before


# -- record_scores.py ------------------------------------------------------------------------------


def test_recording_needs_weights():
    done = tool("record_scores.py", "--model", "vgg19")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Set TRANSFER_WEIGHTS to a folder with the weights of vgg19.\n"


def test_only_what_hardly_counts_is_coarsened():
    script = runpy.run_path(str(TOOLS / "record_scores.py"))
    logits = np.random.default_rng(0).normal(0, 3, 1000).astype("float32")
    coarse, far = script["coarsen"](logits), logits < logits.max() - script["FAR"]
    np.testing.assert_array_equal(coarse[~far], logits[~far])
    np.testing.assert_allclose(coarse, logits, rtol=0, atol=script["STEP"] / 2)
    assert far.sum() > 500 > 50 > len(np.unique(coarse[far]))


@pytest.mark.thorough
def test_recording_is_what_recorded_logits_reads(tmp_path, monkeypatch):
    from helpers import models

    weights = tmp_path / "mobilenet_v2.weights.h5"
    network = models.build_network("mobilenet_v2", None)
    network.layers[-1].kernel.assign(network.layers[-1].kernel * 1e12)  # or all scores are 0
    network.save_weights(weights)
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(tmp_path))
    computer = tmp_path / "data" / "computers" / "test" / "laptop" / "1.jpg"
    computer.parent.mkdir(parents=True)
    load_image("coffee").rotate(90).save(computer)

    script = runpy.run_path(str(TOOLS / "record_scores.py"))
    recorded = tmp_path / "data" / "recorded"
    monkeypatch.setitem(script["record"].__globals__, "ROOT", tmp_path)
    monkeypatch.setitem(script["record"].__globals__, "RECORDED", recorded)
    script["record"]("mobilenet_v2")
    assert sorted(path.name for path in recorded.iterdir()) == ["SHA256SUMS", "mobilenet_v2.npz"]

    monkeypatch.setattr(models, "RECORDED", recorded)
    pictures = [*sample_names(), computer]
    logits, about = models.recorded_logits(pictures)
    live = models.load_classifier("mobilenet_v2").logits(pictures)
    exact = live >= live.max(axis=1, keepdims=True) - script["FAR"]
    exact[:-1] = True  # the rest of the computers picture's is coarse
    np.testing.assert_allclose(logits[exact], live[exact], rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(logits, live, rtol=1e-3, atol=script["STEP"] / 2 + 1e-2)
    differences = np.abs(live[:, None] - live).max(axis=2) + np.eye(len(live))
    assert differences.min() > 0.1, "no two pictures have the same scores"
    assert about["model"] == "mobilenet_v2"
    assert about["weights"] == weights.name
    assert "mobilenet_v2.preprocess_input" in about["preprocessing"]


# -- photograph_panels.py --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def panels():
    return runpy.run_path(str(TOOLS / "photograph_panels.py"))


def test_every_panel_is_shown_by_its_lesson(panels, tmp_path):
    for name, (lesson, call, _) in panels["PANELS"].items():
        path = panels["up_to"](call, lesson, tmp_path)
        assert f"\n{call}" in nbformat.read(path, as_version=4).cells[-1].source, name
        assert (TOOLS.parent / "docs" / f"{name}.png").is_file()


def test_an_unknown_panel_is_named():
    done = tool("photograph_panels.py", "widgt")
    assert done.returncode == 1
    assert done.stderr.startswith("No panel widgt: there are widget, preprocess")
