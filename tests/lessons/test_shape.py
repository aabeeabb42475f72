"""How much a lesson asks of its reader: budgets, the form of its cells, and that the
minutes it states are those that follow from it."""

import ast
import base64
import io
import re
from collections import defaultdict

import nbformat
import pytest
from lessons import LESSONS, ROOT, TEMPLATE, code_cells, read
from PIL import Image

from tools.record import lesson_shape
from tools.record.lesson_shape import is_folded, shape

MOST_CELLS = 30  # in the core
MOST_WORDS = 1300  # in the core
MOST_LINES = 110  # of shown code in the core
LONGEST_CELL = 14  # lines, wherever it is shown
MOST_NAMES = 10  # imported from our own packages
LONGEST_SENTENCE = 18  # words, on average
NARROWEST_FIGURE = 640  # pixels

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
each_notebook = pytest.mark.parametrize(
    "lesson", [*LESSONS, TEMPLATE], ids=lambda path: path.stem
)


@each_lesson
def test_core_keeps_to_its_budget(lesson):
    found = shape(read(lesson))
    assert found.cells <= MOST_CELLS
    assert found.words <= MOST_WORDS
    assert found.lines <= MOST_LINES


@each_notebook
def test_no_shown_cell_is_long(lesson):
    assert shape(read(lesson)).longest <= LONGEST_CELL


@each_notebook
def test_few_names_are_ours(lesson):
    names = shape(read(lesson)).names
    assert len(names) <= MOST_NAMES, sorted(names)


@each_notebook
def test_sentences_are_short(lesson):
    assert shape(read(lesson)).sentence <= LONGEST_SENTENCE


def asserts(cell):
    """Whether a code cell asserts something."""
    lines = [line for line in cell.source.splitlines() if line.lstrip()[:1] not in "%!"]
    tree = ast.parse("\n".join(lines))
    return any(isinstance(node, ast.Assert) for node in ast.walk(tree))


@each_notebook
def test_a_folded_cell_says_what_it_only_does_and_asserts_are_folded(lesson):
    for cell in code_cells(lesson):
        if is_folded(cell):
            assert cell.source.startswith("# Only "), cell.source
            assert "hide-input" in cell.metadata.get("tags", [])
        else:
            assert not asserts(cell), cell.source


def bound_at_top_level(source):
    """The names that a cell's own statements bind; loop variables are nobody's."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
                # `x[0] = …` and `x.y = …` change x, they don't bind it
                names -= {
                    n.id
                    for part in ast.walk(target)
                    if isinstance(part, ast.Subscript | ast.Attribute)
                    for n in ast.walk(part)
                    if isinstance(n, ast.Name)
                }
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


@each_lesson
def test_a_name_means_one_thing(lesson):
    cells = defaultdict(list)
    for number, cell in enumerate(code_cells(lesson), start=1):
        for name in bound_at_top_level(cell.source):
            cells[name].append(number)
    again = {name: found for name, found in cells.items() if len(found) > 1}
    again.pop("figure", None)  # what a cell draws
    again.pop("_", None)
    assert not again, "bound in several cells"


def pngs(lesson):
    """Each PNG in a lesson's outputs, as a Pillow image; without the small examples,
    with captions, on a report's first page."""
    for cell in code_cells(lesson):
        for output in cell.outputs:
            text = output.get("data", {}).get("text/html", "")
            text = re.sub(r"(?s)<figure .*?</figure>", "", text)
            for data in re.findall(r"data:image/png;base64,([\w+/=]+)", text):
                yield Image.open(io.BytesIO(base64.b64decode(data)))


@each_lesson
def test_figures_are_wide_enough_to_read_and_small_to_keep(lesson):
    for image in pngs(lesson):
        assert image.width >= NARROWEST_FIGURE
        assert image.mode == "P", "a palette PNG: helpers.plots.show writes one"


@each_notebook
def test_no_progress_bar_is_left_at_its_start(lesson):
    for cell in code_cells(lesson):
        for output in cell.outputs:
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            assert not re.search(r"(?m)(^|\s)0%", text), cell.source


@each_lesson
def test_the_minutes_are_those_that_follow(lesson):
    found = shape(read(lesson))
    assert lesson_shape.stated(found) in read(lesson).cells[0].source
    title = read(lesson).cells[0].source.splitlines()[0][2:]
    guide = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    run_the_tool = "python -m tools.record.lesson_shape --write"
    assert lesson_shape.in_guide(guide, title, found) == guide, run_the_tool
    assert lesson_shape.in_readme(readme, lesson.name, found) == readme, run_the_tool


# -- the tool itself -------------------------------------------------------------------


def notebook(*cells):
    """A notebook of texts (Markdown) and, where they begin with `>>>`, code."""
    made = nbformat.v4.new_notebook()
    for text in cells:
        if text.startswith(">>>"):
            made.cells.append(nbformat.v4.new_code_cell(text[3:]))
        else:
            made.cells.append(nbformat.v4.new_markdown_cell(text))
    return made


LESSON = (
    "# 99 · A title\n\n**Time:** unknown\n\n## First\n\nFour words, *as* here.",
    ">>>from helpers import load_image, plots\n\nx = 1",
    "**Exercise 99.1.** Do it.\n\n<details>not read</details> ![nor this](a.png)",
    "## Second\n\n[Two words](address.md)",
    ">>>y = 2",
    "## Going further\n\nmore",
    ">>>from panels import collect_widget\nz = 3",
)


def test_what_is_counted():
    found = shape(notebook(*LESSON))
    assert (found.cells, found.lines, found.longest) == (5, 3, 2)
    assert found.words == 3 + 2 + 1 + 4 + 4 + 1 + 2
    assert found.names == {"load_image", "plots", "collect_widget"}
    assert [name for name, _ in found.sections] == ["First", "Second"]
    assert sum(minutes for _, minutes in found.sections) == pytest.approx(found.minutes)
    assert found.with_exercises == pytest.approx(found.minutes + 8)
    assert found.whole > found.with_exercises


def test_an_exercise_that_states_its_minutes_takes_those():
    before = shape(notebook(*LESSON)).with_exercises
    long = [cell.replace("99.1.**", "99.1 (40 minutes).**") for cell in LESSON]
    assert shape(notebook(*long)).with_exercises == pytest.approx(before + 32, abs=0.1)


def test_what_is_folded_is_not_read():
    folded = notebook(*LESSON)
    before = shape(folded)
    folded.cells[1].metadata = {"jupyter": {"source_hidden": True}}
    assert shape(folded).lines == before.lines - 2
    assert shape(folded).names == before.names


def test_minutes_are_put_where_they_belong():
    found = shape(notebook(*LESSON))
    guide = (
        "### 98 · Other\n\n| section | minutes |\n| --- | ---: |\n| A | 9 |\n\n"
        "### 99 · A title\n\n**Aim.**\n\n| section | minutes |\n| --- | ---: |\n"
        "| Old | 7 |\n| Older | 7 |\n\nText\n"
    )
    new = lesson_shape.in_guide(guide, "99 · A title", found)
    assert "| A | 9 |" in new and "Old" not in new and "\n\nText\n" in new
    assert re.findall(r"\| (First|Second) \| 1 \|", new) == ["First", "Second"]
    readme = (
        "| [99 A title](notebooks/99_a.ipynb) | do it | 1 / 2 |\n| [98 B](x) | y | |\n"
    )
    new = lesson_shape.in_readme(readme, "99_a.ipynb", found)
    assert new.splitlines()[0].endswith("| do it | 5 / 10 |")
    assert new.splitlines()[1] == readme.splitlines()[1]


@pytest.mark.parametrize(
    "source, names",
    [
        ("a = b = 1\nc, (d, e) = f", {"a", "b", "c", "d", "e"}),
        ("a[0] = 1\nb.c = 2\nfor i in x:\n    y = i", set()),
        ("def f(x):\n    z = x\nclass C: pass", {"f", "C"}),
    ],
)
def test_what_a_cell_binds(source, names):
    assert bound_at_top_level(source) == names
