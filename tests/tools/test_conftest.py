"""What tests measure reaches the report, also from a worker of pytest-xdist; lessons
are tested alike from whatever folder pytest is started in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from cases import thorough_but
from execnet.gateway_base import dumps_internal

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_recorded_can_be_sent(record_property, request):
    record_property("shares", [np.float64(0.5), np.int64(3)])
    [(name, value)] = request.node.user_properties
    assert dumps_internal({name: value})
    assert isinstance(value, str)


@pytest.fixture
def project(tmp_path):
    """The project's settings for pytest, and one lesson whose result has changed."""
    project = tmp_path / "project"
    for name in ("conftest.py", "pyproject.toml", "tests/lessons/nbval_sanitize.cfg"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    (project / "notebooks").mkdir()
    code = "print('\N{ALMOST EQUAL TO}0.93 (0.91\N{EN DASH}0.95)')"
    cell = nbformat.v4.new_code_cell(code, execution_count=1)
    text = "\N{ALMOST EQUAL TO}0.9 (0.8\N{EN DASH}0.95)\n"
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    lesson = nbformat.v4.new_notebook(cells=[cell])
    lesson.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(lesson, project / "notebooks" / "lesson.ipynb")
    return project


TAKEN = """# Hold the first port that is chosen for a kernel, as another process may.
import socket

from jupyter_client.connect import LocalPortCache

choose = LocalPortCache.find_available_port
held = []


def find_available_port(self, ip):
    port = choose(self, ip)
    if not held:
        held.append(socket.create_server((ip, port)))
    return port


LocalPortCache.find_available_port = find_available_port


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"ports held: {len(held)}")
"""


def run_lesson(lesson, folder, *options):
    """What pytest says of the lesson, started in the folder."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        + [str(lesson)],
        cwd=folder,
        # as on a computer whose files are not in UTF-8
        env=inherited | {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "place", thorough_but(["project", "project/notebooks", "elsewhere"], "elsewhere")
)
def test_lessons_are_compared_alike_from_every_folder(project, tmp_path, place):
    (tmp_path / place).mkdir(exist_ok=True)
    said = run_lesson(project / "notebooks" / "lesson.ipynb", tmp_path / place)
    assert "1 passed" in said, said


@pytest.mark.thorough
def test_a_kernel_whose_port_was_taken_meanwhile_starts_again(project):
    (project / "taken.py").write_text(TAKEN, encoding="utf-8")
    lesson = project / "notebooks" / "lesson.ipynb"
    said = run_lesson(lesson, project, "-p", "taken")
    assert "ports held: 1" in said, said
    assert "1 passed" in said, said
