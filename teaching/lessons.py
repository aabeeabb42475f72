"""The lessons, as all that is made from them needs them: their cells, exercises and
solutions, links that hold elsewhere, and folders that appear whole."""

import contextlib
import copy
import os
import re
import shutil
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent

# Code is matched first, and left alone.
LINK = re.compile(
    r"(?s)```.*?```|`[^`\n]*`|(?P<text>\[[^\[\]]*\])"
    r"\((?![a-z]+:|#)(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)"
)
# A folded solution, wherever in a cell it stands: its number, and what is folded.
SOLUTION = re.compile(
    r"(?s)<details>\s*<summary>Solution (\d\d\.\d+)</summary>(.*?)</details>\s*"
)
CODE = re.compile(r"(?ms)^```python\n(.*?)\n```$\n*")


class EditionError(Exception):
    """An edition cannot be made; says why."""


def read_all():
    """Every lesson, and the page → {path from the project's folder: notebook}."""
    paths = sorted(ROOT.glob("notebooks/*.ipynb"))
    return {path.relative_to(ROOT): nbformat.read(path, as_version=4) for path in paths}


def solutions(notebook):
    """The folded solutions of a notebook → {number: code that replaces the stub
    cell}."""
    found = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for number, folded in SOLUTION.findall(cell.source):
                (found[number],) = CODE.findall(folded)
    return found


def checked(cell):
    """What a code cell checks in its last line → (number, expression), or None."""
    found = re.search(r'(?m)^check\("([\d.]+)", (.*)\)\s*\Z', cell.source)
    return found.groups() if found and cell.cell_type == "code" else None


def cleared(notebook):
    """A copy without outputs."""
    made = copy.deepcopy(notebook)
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return made


def relinked(text, source, folder, place, carried):
    """A text of the folder `source` with links that hold in `folder` of an edition.

    place: a function of a file's path in the project → its path in the edition.
    carried: a function of a path → whether the edition has that file; of links to
    others only the text stays. Absolute addresses and code are left alone."""

    def change(match):
        if not match["path"]:
            return match[0]
        path = Path(os.path.normpath(source / match["path"]))
        if not carried(path):
            return match["text"][1:-1]
        target = Path(os.path.relpath(place(path), folder)).as_posix()
        return f"{match['text']}({target}{match['anchor'] or ''})"

    return LINK.sub(change, text)


@contextlib.contextmanager
def whole(folder):
    """A folder to be filled, which then replaces `folder`: at no time is half an
    edition there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    yield partial
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
