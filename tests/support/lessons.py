"""The lessons, and the packages they import, as the tests see them."""

import tomllib
from functools import cache
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = (
    Path(__file__).resolve().parent
)  # on the path of tests, and of what they start
NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
TEMPLATE = NOTEBOOKS / "your_own_pictures.ipynb"  # no lesson, but has a lesson's form

# What makes nbval compare less than the whole output, as a tag or as a comment.
EXEMPTIONS = {
    "nbval-ignore-output",
    "nbval-skip",
    "nbval-raises-exception",
    "raises-exception",
}

# Our own packages, as pyproject.toml installs them.
with (ROOT / "pyproject.toml").open("rb") as file:
    PACKAGES = tomllib.load(file)["tool"]["setuptools"]["packages"]


@cache
def read(lesson):
    """A lesson's notebook, as nbformat reads it."""
    return nbformat.read(lesson, as_version=4)


def code_cells(lesson):
    """A lesson's code cells, in order."""
    return [cell for cell in read(lesson).cells if cell.cell_type == "code"]


def exempt(cell):
    """Whether nbval does not compare all of a cell's output."""
    comments = {
        line.strip("# ").lower().replace("_", "-") for line in cell.source.splitlines()
    }
    return bool(EXEMPTIONS & (comments | set(cell.metadata.get("tags", []))))
