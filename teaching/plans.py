"""The course plans: which cells they run, and which of the others must be run as well.

teaching/plans.toml has them, section by section; python -m teaching.guide writes them
into docs/teaching.md.
"""

import json
import re
import subprocess
import symtable
import sys
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from teaching.lessons import ROOT

PLANS = ROOT / "teaching" / "plans.toml"
AFTER_CORE = "Going further"
NOTEBOOK_NAMES = ["display", "get_ipython"]  # known in a notebook without an import


class PlanError(Exception):
    """A plan does not fit its lesson; says what is wrong where."""


class Cell(NamedTuple):
    """A code cell: its place in the notebook, its section's heading, what it reads that
    an earlier cell must define, and what it defines."""

    index: int
    section: str
    source: str
    reads: frozenset
    defines: frozenset

    @property
    def beginning(self):
        """Its first line of code, by which a reader finds it."""
        lines = (line.strip() for line in self.source.splitlines())
        return next(
            (line for line in lines if line and not line.startswith(("#", "%"))), ""
        )


def plans():
    """What plans.toml holds: a list of dictionaries with name, for, unit and steps."""
    return tomllib.loads(PLANS.read_text(encoding="utf-8"))["plan"]


def steps():
    """Every step that runs something of a lesson → list of (plan's name, step)."""
    return [
        (plan["name"], step)
        for plan in plans()
        for step in plan["steps"]
        if "lesson" in step
    ]


def path_of(lesson):
    """A lesson's notebook, by its number. Raises a PlanError."""
    found = [*ROOT.glob(f"notebooks/{lesson}_*.ipynb")]
    if len(found) != 1:
        raise PlanError(f"There is no lesson {lesson}.")
    return found[0]


@cache
def read_cells(path):
    """A notebook's code cells, as `Cell`s."""
    notebook = nbformat.read(path, as_version=4)
    section, placed = "", []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            section = [section, *section_names(cell.source)][-1]
        elif cell.cell_type == "code":
            placed.append((index, section, cell.source))
    codes = [plain(source) for *_, source in placed]
    return [
        Cell(*place, reads, defined(code))
        for place, code, reads in zip(placed, codes, undefined(codes), strict=True)
    ]


def plain(source):
    """A cell's source as Python, without what only notebooks know."""
    return TransformerManager().transform_cell(source)


def defined(code):
    """The names that a cell gives a value to."""
    table = symtable.symtable(code, "cell", "exec")
    return frozenset(
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported()
    )


def undefined(codes):
    """The names that each piece of code reads and has not defined → list of sets."""
    with tempfile.TemporaryDirectory() as folder:
        for number, code in enumerate(codes):
            Path(folder, f"{number}.py").write_text(code, encoding="utf-8")
        options = ["--isolated", "--no-cache", "--select=F821", "--output-format=json"]
        options += ["--config", f"builtins={json.dumps(NOTEBOOK_NAMES)}"]
        said = subprocess.run(
            [sys.executable, "-m", "ruff", "check", *options, "."],
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        if said.returncode not in (0, 1):
            raise RuntimeError(f"ruff failed:\n{said.stderr}")
    found = [set() for _ in codes]
    for fault in json.loads(said.stdout):
        if fault["code"] != "F821":
            raise PlanError(f"A cell is no Python: {fault['message']}")
        name = re.search(r"`(.+?)`", fault["message"])[1]
        found[int(Path(fault["filename"]).stem)].add(name)
    return [frozenset(names) for names in found]


@cache
def all_sections(path):
    """A notebook's sections, with or without code, in order."""
    notebook = nbformat.read(path, as_version=4)
    return [
        name
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for name in section_names(cell.source)
    ]


def section_names(text):
    """The sections that begin in a text."""
    text = re.sub(r"(?ms)^```.*?^```", "", text)
    return re.findall(r"(?m)^## (.+?) *$", text)


def core(path):
    """The sections of a lesson's core."""
    known = all_sections(path)
    return known[: known.index(AFTER_CORE)] if AFTER_CORE in known else known


def sections(step):
    """The sections that a step runs, in order. Raises a PlanError for a section that
    the lesson does not have."""
    path = path_of(step["lesson"])
    known, parts = all_sections(path), core(path)
    ends = [step[end] for end in ("from", "to") if end in step]
    within = [*ends, *step.get("without", [])]
    after = step.get("also", [])
    for name in [*within, *after]:
        if name not in known or (name in within and name not in parts):
            raise PlanError(
                f"Lesson {step['lesson']} has no section “{name}”"
                f"{' in its core' if name in within else ''}, which {PLANS.name} "
                f"names. It has: {', '.join(known)}."
            )
    first = parts.index(step["from"]) if "from" in step else 0
    last = parts.index(step["to"]) if "to" in step else len(parts) - 1
    left_out = step.get("without", [])
    chosen = [name for name in parts[first : last + 1] if name not in left_out]
    return chosen + after


def also_needed(chosen, cells):
    """The cells that must be run although their sections are left out: those that give
    a name the value that a chosen cell, or one of these, reads. chosen: a set of
    sections → list of `Cell`s in their order. Raises a PlanError if no cell does."""
    run = {cell.index for cell in cells if cell.section in chosen}
    needed, waiting = set(), sorted(run)
    by_index = {cell.index: cell for cell in cells}
    while waiting:
        cell = by_index[waiting.pop()]
        for name in cell.reads:
            source = source_of(name, cell, cells)
            if source.index not in run | needed:
                needed.add(source.index)
                waiting.append(source.index)
    return [by_index[index] for index in sorted(needed)]


def source_of(name, reader, cells):
    """The cell that gives a name the value that another reads: the last one above it,
    else the first one below, since a function reads when it is called. Raises a
    PlanError if there is none."""
    defining = [cell for cell in cells if name in cell.defines]
    above = [cell for cell in defining if cell.index < reader.index]
    if above:
        return above[-1]
    if defining:
        return defining[0]
    raise PlanError(
        f"“{reader.section}”: no cell defines {name}, which the one that begins "
        f"“{reader.beginning}” reads."
    )


def to_run(step):
    """The code cells that a step runs, in order, and those among them whose sections it
    leaves out → (list, list)."""
    cells = read_cells(path_of(step["lesson"]))
    chosen = sections(step)
    needed = also_needed(set(chosen), cells)
    run = [cell for cell in cells if cell.section in chosen or cell in needed]
    return run, needed
