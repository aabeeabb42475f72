"""Count what a lesson asks of its reader, and write the minutes that follow from it.

python -m tools.record.lesson_shape [--write] [FILE …]

One row a lesson: cells, words and lines of shown code in its core (all before “Going
further”), its longest shown cell, words a sentence, the names it imports from us, and
its minutes. With --write these minutes go into the lesson's first cell, the README's
table and docs/teaching.md. tests/lessons/test_shape.py holds the lessons to the budget.

The minutes are an estimate: 180 words and 5 lines of code a minute, 8 minutes an
exercise, unless it states its own. Learners who were timed on earlier versions of the
lessons fit it.
"""

import argparse
import ast
import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat

from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
OURS = {"apps", "exercises", "helpers", "panels", "safeguards"}
WORDS_PER_MINUTE = 180
LINES_PER_MINUTE = 5
MINUTES_PER_EXERCISE = 8
# Stated minutes are rounded up to a multiple of this; more would be false precision.
ROUND_TO = 5

STATED = re.compile(r"(?m)^\*\*Time[:.]\*\*.*$")
# An exercise that takes longer says so, as in "**Exercise 10.3 (40 minutes).**".
EXERCISE = re.compile(r"\*\*Exercise \d\d\.\d(?: \((\d+) minutes\))?")


class Shape(NamedTuple):
    """What a lesson's core holds; `minutes` are not rounded, `sections` pairs a heading
    with its minutes."""

    cells: int
    words: int
    lines: int
    longest: int
    sentence: float
    names: frozenset
    sections: list
    minutes: float
    with_exercises: float
    whole: float


def is_folded(cell):
    """Whether a code cell's input is folded away."""
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden"))


def code_lines(cell):
    """The lines of a code cell that are not blank."""
    return [line for line in cell.source.splitlines() if line.strip()]


def prose(markdown):
    """A text as it is read: without folded parts, pictures and addresses of links."""
    text = re.sub(r"(?s)<details>.*?</details>", "", markdown)
    text = re.sub(r"!\[.*?\]\(.*?\)", "", text)
    text = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", text)
    text = re.sub(r"(?s)<[^>]*>", "", text)
    return re.sub(r"(?m)^\|[-:| ]+\|$", "", text)


def count_words(text):
    """Words, that is, pieces between blanks that hold a letter or a digit."""
    return sum(1 for piece in text.split() if re.search(r"\w", piece))


def sentence_length(text):
    """The average number of words in a sentence; headings, tables and code are left
    out."""
    text = re.sub(r"(?s)```.*?```", "", text)
    text = re.sub(r"(?m)^(#|\|).*$", "", text)
    pieces = re.split(r"(?<=[.!?])[\s*_”)]+|\n\s*\n|\n\s*[-*] ", text)
    counts = [words for words in map(count_words, pieces) if words]
    return sum(counts) / max(1, len(counts))


def imported_names(notebook):
    """The names that a notebook imports from our packages."""
    names = set()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        lines = cell.source.splitlines()
        source = "\n".join(line for line in lines if not re.match(r"\s*[%!]", line))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module:
                if node.module.partition(".")[0] in OURS:
                    names |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.Import):
                names |= {
                    alias.name
                    for alias in node.names
                    if alias.name.partition(".")[0] in OURS
                }
    return frozenset(names)


def exercise_minutes(text):
    """Minutes for the exercises in a text."""
    stated = EXERCISE.findall(text)
    return sum(int(minutes or MINUTES_PER_EXERCISE) for minutes in stated)


def estimate(words, lines):
    """Minutes to read, by the figures above."""
    return words / WORDS_PER_MINUTE + lines / LINES_PER_MINUTE


def sections_of(cells):
    """(heading, its minutes) for each section; what comes before the first one counts
    as that one's."""
    sections = []
    words = lines = 0
    for cell in cells:
        if cell.cell_type == "code":
            lines += 0 if is_folded(cell) else len(code_lines(cell))
            continue
        for piece in re.split(r"(?m)^(?=## )", prose(cell.source)):
            if piece.startswith("## "):
                if sections:
                    sections[-1][1] += estimate(words, lines)
                    words = lines = 0
                sections.append([piece.splitlines()[0][3:].strip(), 0.0])
            words += count_words(piece)
    if sections:
        sections[-1][1] += estimate(words, lines)
    return [tuple(section) for section in sections]


def shape(notebook):
    """The Shape of a lesson."""
    cells = notebook.cells
    headings = [
        i for i, cell in enumerate(cells) if cell.source.startswith("## Going further")
    ]
    core = cells[: headings[0]] if headings else cells

    def measure(some):
        text = "\n\n".join(prose(c.source) for c in some if c.cell_type == "markdown")
        shown = [c for c in some if c.cell_type == "code" and not is_folded(c)]
        return text, [len(code_lines(cell)) for cell in shown]

    text, lengths = measure(core)
    whole_text, whole_lengths = measure(cells)
    words = count_words(text)
    lines = sum(lengths)
    return Shape(
        cells=len(core),
        words=words,
        lines=lines,
        longest=max(whole_lengths, default=0),
        sentence=sentence_length(text),
        names=imported_names(notebook),
        sections=sections_of(core),
        minutes=estimate(words, lines),
        with_exercises=estimate(words, lines) + exercise_minutes(text),
        whole=estimate(count_words(whole_text), sum(whole_lengths))
        + exercise_minutes(whole_text),
    )


def rounded(minutes):
    """Minutes as they are stated."""
    return ROUND_TO * math.ceil(minutes / ROUND_TO)


def stated(found):
    """The line of a lesson's first cell that states its minutes."""
    core = rounded(found.minutes)
    exercises = rounded(found.with_exercises)
    text = f"**Time:** core {core} minutes"
    if exercises > core:
        text += f", with its exercises {exercises}"
    return f"{text}; everything, *Going further* too, {rounded(found.whole)}"


def section_rows(found):
    """The rows of the guide's table of a lesson, whole minutes each."""
    return "\n".join(
        f"| {name} | {max(1, round(minutes))} |" for name, minutes in found.sections
    )


def in_guide(guide, title, found):
    """The guide with the table of the lesson called `title` renewed."""
    number = re.escape(title.partition(" ")[0])
    pattern = (
        rf"(?ms)(^### {number} · .*?^\| section \| minutes \|\n\| --- \| ---: \|\n)"
    )
    rows = r"(?:^\| [^\n]*\n)+"
    return re.sub(
        pattern + rows, lambda match: match[1] + section_rows(found) + "\n", guide
    )


def in_readme(readme, name, found):
    """The README with the minutes of the lesson in file `name` renewed: the last column
    of its row."""
    row = rf"(?m)^(\| \[[^\]]*\]\(notebooks/{re.escape(name)}\) \|.*\|)[^|\n]*\|$"
    minutes = f" {rounded(found.minutes)} / {rounded(found.whole)} |"
    return re.sub(row, lambda match: match[1] + minutes, readme)


def write(path, text):
    """Put a text into a file, whole or not at all."""
    if path.read_text(encoding="utf-8") != text:
        with atomic_write(path) as unfinished:
            Path(unfinished).write_text(text, encoding="utf-8")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the minutes in place")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all lessons")
    options = parser.parse_args()
    paths = options.notebooks or sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    guide_path = ROOT / "docs" / "teaching.md"
    readme_path = ROOT / "README.md"
    guide = guide_path.read_text(encoding="utf-8")
    readme = readme_path.read_text(encoding="utf-8")
    print("lesson  cells  words  lines  longest  sentence  names  minutes")
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        found = shape(notebook)
        minutes = [found.minutes, found.with_exercises, found.whole]
        print(
            f"{path.stem[:2]:<6}  {found.cells:>5}  {found.words:>5}  {found.lines:>5}"
            f"  {found.longest:>7}  {found.sentence:>8.1f}  {len(found.names):>5}"
            f"  {' / '.join(str(rounded(value)) for value in minutes)}"
        )
        if options.write:
            first = notebook.cells[0]
            title = first.source.splitlines()[0][2:]
            first.source = STATED.sub(stated(found), first.source, count=1)
            with atomic_write(path) as unfinished:
                nbformat.write(notebook, unfinished)
            guide = in_guide(guide, title, found)
            readme = in_readme(readme, path.name, found)
    if options.write:
        write(guide_path, guide)
        write(readme_path, readme)


if __name__ == "__main__":
    sys.exit(run_tool(main))
