"""The lessons: their form, and that they hold on other processors and on a real model.

The strict comparison itself is nbval, in every run of pytest (see pyproject.toml).
"""

import ast
import builtins
import os
import re
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from lessons import LESSONS, NOTEBOOKS, TEMPLATE, code_cells, exempt, read
from nbval.plugin import get_sanitize_patterns

ROOT = NOTEBOOKS.parent
SANITIZE = ROOT / "tests" / "lessons" / "nbval_sanitize.cfg"

each_lesson = pytest.mark.parametrize(
    "lesson", [*LESSONS, TEMPLATE], ids=lambda path: path.stem
)


def heavy(lesson):
    """Whether a lesson trains or exports networks: minutes for each machine it is
    repeated as."""
    return lesson.name >= "05"


each_lesson_again = pytest.mark.parametrize(
    "lesson",
    [
        pytest.param(
            path, marks=pytest.mark.slow if heavy(path) else pytest.mark.thorough
        )
        for path in (*LESSONS, TEMPLATE)
    ],
    ids=lambda path: path.stem,
)


def output_texts(lesson, *mime_types):
    """Every text of the given kinds in a lesson's outputs."""
    for cell in code_cells(lesson):
        for output in cell.outputs:
            for mime_type in mime_types:
                if text := output.get("data", {}).get(mime_type):
                    yield text


# -- form ------------------------------------------------------------------------------


@each_lesson
def test_is_one_clean_run(lesson):
    notebook = read(lesson)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    counts = [cell.execution_count for cell in code_cells(lesson)]
    assert counts == list(range(1, len(counts) + 1)), (
        "run from top to bottom: make lessons"
    )
    assert all(cell.source.strip() for cell in notebook.cells), "an empty cell"


@each_lesson
def test_holds_nothing_of_the_machine_that_ran_it(lesson):
    notebook = read(lesson)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert "version" not in notebook.metadata.language_info
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "jupyter", "slideshow"}, cell.source
    text = lesson.read_text(encoding="utf-8")
    assert not re.search(
        r"/(home|root|Users|tmp|work)/\w|[A-Z]:\\\\\w|site-packages", text
    )


@each_lesson
def test_is_small(lesson):
    assert lesson.stat().st_size < 2e6
    cells = read(lesson).cells
    headings = [
        i for i, cell in enumerate(cells) if cell.source.startswith("## Going further")
    ]
    assert len(headings) == 1, "one cell starts with “## Going further”"
    assert len(cells) <= 55


@each_lesson
def test_names_its_model_once(lesson):
    source = "\n".join(cell.source for cell in code_cells(lesson))
    assert source.count("lesson_model(") == 1


def test_the_first_lesson_predicts_at_once():
    first, second = code_cells(LESSONS[0])[:2]
    assert ".predict(" in first.source + second.source
    assert first.outputs + second.outputs


def names(code):
    """The names that some code binds, and those that it uses."""
    bound, used = set(), set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.alias):
            bound.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    return bound, used


def told(markdown):
    """The names in the pieces of code that a text tells its reader to use."""
    used = set()
    for piece in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", markdown):
        for form in (piece, f"dict({piece})"):  # an argument alone, such as rule=SQUASH
            try:
                used |= names(form)[1]
                break
            except SyntaxError:  # a file's name, an address, …
                continue
    return used


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_what_goes_further_can_be_left_out(lesson):
    """Everything else, the exercises included, uses only what the rest of the lesson
    made."""
    cells = read(lesson).cells
    further, yours = (
        next(i for i, cell in enumerate(cells) if cell.source.startswith(f"## {title}"))
        for title in ("Going further", "Now yours")
    )
    known, further_only = set(dir(builtins)) | {"display"}, set()
    for cell in cells[further:yours]:
        if cell.cell_type == "code":
            further_only |= names(cell.source)[0]
    for cell in (*cells[:further], *cells[yours:]):
        if cell.cell_type == "code":
            bound, used = names(cell.source)
            known |= bound
            assert used <= known, f"{used - known} in: {cell.source}"
    for cell in (*cells[:further], *cells[yours:]):
        if cell.cell_type == "markdown" and "**Exercise" in cell.source:
            late = told(cell.source) & further_only - known - {
                "keras"
            }  # the library's name
            assert not late, f"{late} in: {cell.source}"


class Pictures(HTMLParser):
    """Collects the alt text of each picture, None where it has none."""

    def __init__(self):
        super().__init__()
        self.alts = []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))


@each_lesson
def test_every_picture_can_be_read_aloud(lesson):
    assert not list(output_texts(lesson, "image/png", "image/jpeg", "image/svg+xml")), (
        "a picture without alt text: show it with helpers.plots.show"
    )
    pictures = Pictures()
    for text in output_texts(lesson, "text/html", "text/markdown"):
        pictures.feed(text)
    for cell in read(lesson).cells:
        if cell.cell_type == "markdown":
            pictures.feed(cell.source)
            pictures.alts += re.findall(r"!\[(.*?)\]\(", cell.source)
    assert all(alt and alt.strip() for alt in pictures.alts), pictures.alts


# -- what the comparison leaves out ----------------------------------------------------


def test_at_most_a_tenth_is_exempt_from_comparison():
    cells = [cell for lesson in LESSONS for cell in code_cells(lesson)]
    assert sum(map(exempt, cells)) <= 0.1 * len(cells)


def test_sanitising_leaves_results_alone():
    results = [
        "Egyptian_cat 0.62",
        "top-1 0.519, top-5 0.777",
        "(1, 64, 64, 3) float32",
        "[[0.1, 0.9]]",
        '<img alt="Bar chart: espresso 0.91">',
    ]
    for pattern, _ in get_sanitize_patterns(SANITIZE.read_text(encoding="utf-8")):
        assert len(pattern) < 80
        assert not [result for result in results if re.search(pattern, result)], pattern


# -- runs on other machines and on a real model ----------------------------------------


def files():
    """Size and time of every file where a lesson might write; of the top folder only
    the names."""
    found = dict.fromkeys(ROOT.iterdir())
    for folder in ("notebooks", "data", "models"):
        for path in (ROOT / folder).rglob("*"):
            found[path] = (path.stat().st_size, path.stat().st_mtime)
    return set(found.items())


def run(lesson, *options, within=(), **variables):
    """Run a lesson in a process of its own → CPU seconds; fails with what it printed.
    within: a command that runs the command after it."""
    before, started = files(), os.times()
    cell, whole = (600, 1500) if heavy(lesson) else (120, 400)  # seconds at the most
    options = (f"--nbval-cell-timeout={cell}", *options)
    with (
        tempfile.TemporaryDirectory() as cache
    ):  # or features of an earlier run would be read
        done = subprocess.run(
            [
                *within,
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "no:cacheprovider",
                *options,
                lesson,
            ],
            cwd=ROOT,
            env=os.environ | variables | {"TRANSFER_CACHE": cache},
            capture_output=True,
            text=True,
            timeout=whole,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    # A notebook of which nothing was collected passes as well.
    assert f"{len(code_cells(lesson))} passed" in done.stdout
    # What every run of all lessons is held to: test_budget.py
    noted = re.findall(r"(?m)^CPU seconds of the lessons: (\d\d) \d+$", done.stdout)
    assert noted == [lesson.name[:2]] * (lesson in LESSONS)
    changed = {path.name for path, _ in files() ^ before}
    assert not changed, "a lesson leaves the checkout as it was"
    # user and system time of finished child processes, the kernel among them
    return sum(os.times()[2:4]) - sum(started[2:4])


class TestOlderProcessor:
    """oneDNN's kernels for a processor without AVX compute other last digits."""

    @each_lesson_again
    def test_same_outputs(self, lesson):
        seconds = run(lesson, ONEDNN_MAX_CPU_ISA="SSE41")
        assert heavy(lesson) or seconds < 60, "CPU seconds"


@pytest.mark.slow
class TestWithoutOneDNN:
    """Eigen's kernels, as on machines for which oneDNN is off."""

    @each_lesson
    def test_same_outputs(self, lesson):
        seconds = run(lesson, TF_ENABLE_ONEDNN_OPTS="0")
        assert heavy(lesson) or seconds < 60, "CPU seconds"


@pytest.mark.slow
class TestRealModel:
    """The series on MobileNetV2: other outputs, but no error and every assertion
    holds."""

    @each_lesson
    def test_runs(self, lesson, shared_data):
        weights = str(shared_data.resolve())
        run(
            lesson,
            "--nbval-lax",
            TRANSFER_MODEL="mobilenet_v2",
            TRANSFER_WEIGHTS=weights,
        )


@pytest.fixture
def small_machine():
    """A command that gives another one 1.6 GB of memory and no swap: Binder's 2 GB,
    without what Jupyter's server takes. Where Linux permits no such limit, the test is
    skipped."""
    root, most = Path("/sys/fs/cgroup"), 1_600_000_000
    limits = {"memory.max": most, "memory.swap.max": 0}
    if (
        root / "memory"
    ).is_dir():  # version 1 of control groups; its second is memory and swap
        root = root / "memory"
        limits = {"memory.limit_in_bytes": most, "memory.memsw.limit_in_bytes": most}
    group = root / f"lessons-{os.getpid()}"
    try:
        group.mkdir()
        for name, limit in limits.items():
            (group / name).write_text(str(limit))
    except OSError as error:
        pytest.skip(f"memory cannot be limited here: {error}")
    yield ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group)]
    group.rmdir()


@pytest.mark.slow
class TestSmallMachine:
    """Each lesson, with the pytest that runs it, gets along with 1.6 GB."""

    @each_lesson
    def test_same_outputs(self, lesson, small_machine):
        run(lesson, within=small_machine)
