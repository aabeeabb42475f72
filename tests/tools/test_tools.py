"""The tools that make what is committed: lessons' outputs and pictures of panels."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
TOOLS = Path(__file__).resolve().parents[2] / "tools" / "record"


def tool(name, *arguments, **variables):
    return subprocess.run(
        [sys.executable, str(TOOLS / name), *map(str, arguments)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


# -- run_lessons.py --------------------------------------------------------------------

SHOW = """import os, urllib.request
print(os.environ.get("TRANSFER_MODEL"), os.environ.get("TRANSFER_WEIGHTS"))
print(sorted(set(urllib.request.getproxies().values())), \
os.listdir(os.environ["KERAS_HOME"]))
print(os.path.basename(os.getcwd()))"""


def write(path, *sources):
    """A notebook as an editor may leave it."""
    cells = [new_markdown_cell("# Title"), *map(new_code_cell, sources)]
    for cell in cells[1:]:
        cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebook.metadata["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {"state": {}}
    }
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    """Three notebooks, the second with a fault, and one run over all → (folder, what it
    said)."""
    folder = tmp_path_factory.mktemp("lessons")
    (folder / "weights").mkdir()
    write(folder / "01_good.ipynb", SHOW)
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


def test_lessons_run_offline_with_no_other_weights_than_those_of_the_packages(lessons):
    folder, _ = lessons
    offline = ["['127.0.0.1,localhost', 'http://127.0.0.1:9'] []", folder.name]
    for name in ("01_good.ipynb", "02_good.ipynb"):
        assert printed(folder / name) == ["None None", *offline]


def test_faulty_notebook_stays_as_it_was(lessons):
    folder, done = lessons
    assert done.returncode == 1
    assert "03_faulty.ipynb" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert (folder / "03_faulty.ipynb").read_bytes() == (folder / "before").read_bytes()
    assert len(list(folder.iterdir())) == 5, "no other file is left"


# -- photograph_panels.py --------------------------------------------------------------


@pytest.fixture(scope="module")
def panels():
    return runpy.run_path(str(TOOLS / "photograph_panels.py"))


def test_every_panel_is_shown_by_its_lesson(panels, tmp_path):
    for name, (lesson, call, _) in panels["PANELS"].items():
        path = panels["up_to"](call, lesson, tmp_path)
        assert f"\n{call}" in nbformat.read(path, as_version=4).cells[-1].source, name
        assert (TOOLS.parents[1] / "docs" / f"{name}.png").is_file()


@pytest.mark.thorough
def test_an_unknown_panel_is_named():
    done = tool("photograph_panels.py", "widgt")
    assert done.returncode == 1
    assert done.stderr.startswith("No panel widgt: there are widget, preprocess")
