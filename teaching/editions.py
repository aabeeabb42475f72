"""Write the editions of the lessons into build/: python -m teaching.editions [EDITION
…]

student     the project for learners: the lessons without the folded solutions, and
            without outputs unless --outputs is given (teaching/handout.py)
instructor  with solutions filled in, run, all folded texts open, and the notes of
            docs/teaching.md
html        a site of the lessons with their outputs, to be read from disk:
            html/index.html
nbgrader    a course for nbgrader: source/NN/…, to release, collect and grade with it

Without names, all. Each is laid out like the project, but for nbgrader, which wants the
lessons at the top. The notebooks in notebooks/ are the only source. For `instructor`
and `html` the lessons run, two at a time, as a learner without a network would see
them; an edition in which a check does not say that the solution is right is not
written.
"""

import argparse
import asyncio
import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell, new_markdown_cell

from exercises._core import Explore, Fill, Predict, events, exercises
from safeguards.printing import run_tool
from teaching import handout
from teaching.lessons import (
    CODE,
    ROOT,
    SOLUTION,
    EditionError,
    checked,
    cleared,
    read_all,
    relinked,
    solutions,
    whole,
)
from tools.record.run_lessons import alone

NAMES = ("student", "instructor", "html", "nbgrader")
TEACHING = Path("docs/teaching.md")
AT_A_TIME = 2  # lessons that run
SITE = ROOT / "teaching" / "site"
FOLDED = re.compile(r"(?s)\s*<details>\s*<summary>(.*?)</summary>(.*?)</details>")
# What a locked cell holds; learners get the first two lines.
TEST = """from exercises import check
check("{number}", {answer})
### BEGIN HIDDEN TESTS
from exercises._core import require
require("{number}", {answer})
### END HIDDEN TESTS"""
VIEW = "application/vnd.jupyter.widget-view+json"


# -- the editions of one notebook ------------------------------------------------------


def instructor(notebook, notes=None):
    """A copy with each solution in the place of its stub, all folded texts open, and
    the instructor's notes after the title. It has not run yet."""
    made, answers = cleared(notebook), solutions(notebook)
    filled = set()
    for stub, cell in zip(made.cells, made.cells[1:], strict=False):
        if (found := checked(cell)) and found[0] in answers:
            stub.source = answers[found[0]]
            filled.add(found[0])
    if lost := set(answers) - filled:
        raise EditionError(
            f"No cell checks what the solution of {', '.join(lost)} answers."
        )
    for cell in made.cells:
        if cell.cell_type == "markdown":
            # A solution's code is above the check now.
            cell.source = SOLUTION.sub(
                lambda match: CODE.sub("", match[0]), cell.source
            )
            cell.source = FOLDED.sub(unfolded, cell.source).strip()
    if notes:
        made.cells.insert(1, new_markdown_cell(f"## Notes for instructors\n\n{notes}"))
    return made


def unfolded(match):
    """A folded text, open."""
    return f"\n\n**{match[1].strip()}**\n\n{match[2].strip()}\n"


def graded(notebook, kinds):
    """A copy as nbgrader's source. kinds: {number: `Predict`, `Fill` or `Explore`}.

    Fill: the solution below the stub, as a region that nbgrader takes out, and a locked
    test of 2 points. Predict: 1 point for any answer. Explore: by hand, a point for
    each of the rubric's. A test takes neither `check` nor what judges for marks from
    the learner's variables."""
    made, answers, cells = handout.student(notebook), solutions(notebook), []
    for cell, following in zip(made.cells, [*made.cells[1:], None], strict=True):
        if not (found := checked(cell)):
            cells.append(cell)
            continue
        number = found[0]
        kind, points = kinds[number], 2
        stub, _, line = cell.source.rpartition("\n")
        if isinstance(kind, Explore):
            by_hand = region("# Graded by hand: the rubric follows.")
            cell.source = f"{stub}\n{by_hand}\n{line}"
            points = len(re.findall(r"(?m)^\s*(?:[-*]|\d+\.) ", following.source))
            mark(cell, f"notes-{number}", points=points, grade=True, solution=True)
            cells.append(cell)
            continue
        if isinstance(kind, Predict):
            name = stub.partition(" ")[0]
            right = (kind.choices or kind.between)[0]
            cell.source = (
                f"{stub}\n{region(f'{name} = {right!r}  # any of the answers counts')}"
            )
            cells.append(cell)
            cell, points = new_code_cell(line), 1
        else:
            cells[-1].source += "\n" + region(answers[number])
        mark(cells[-1], f"answer-{number}", solution=True)
        cell.source = TEST.format(line=line, number=number, answer=found[1])
        mark(cell, f"test-{number}", points=points, grade=True, locked=True)
        cells.append(cell)
    made.cells = cells
    return made


def region(code):
    """Code that nbgrader takes out when it makes what learners get."""
    return f"### BEGIN SOLUTION\n{code}\n### END SOLUTION"


def mark(cell, name, *, points=None, grade=False, solution=False, locked=False):
    """Tell nbgrader what a cell is."""
    cell.metadata.nbgrader = nbformat.from_dict(
        {
            "schema_version": 3,
            "cell_type": cell.cell_type,
            "grade_id": name.replace(".", "-"),
            "grade": grade,
            "solution": solution,
            "locked": locked,
            "task": False,
        }
        | ({"points": points} if grade else {})
    )


# -- files -----------------------------------------------------------------------------


def unmoved(path):
    """The place of a file in an edition that is laid out like the project."""
    return path


def any_file(path):
    """Whether a linked file comes along: not a folder, nor what Python would import in
    the place of the project's own."""
    return not (ROOT / path).is_dir() and path.parts[0] != "helpers"


def write(folder, notebooks, place, pages=(), carried=any_file):
    """Write notebooks, pages, and every file that they link to and that may come along,
    to their places in `folder`."""
    waiting, done = [*notebooks, *pages], set()

    def follow(path):
        if comes := carried(path):
            waiting.append(path)
        return comes

    while waiting:
        path = waiting.pop()
        if path in done or (re.match(r"\d\d_", path.name) and path not in notebooks):
            continue
        done.add(path)
        if not (ROOT / path).is_file():
            raise EditionError(f"A page links to {path}, which is no file.")
        there = folder / place(path)
        there.parent.mkdir(parents=True, exist_ok=True)
        where = path.parent, place(path).parent, place, follow
        if path.suffix == ".ipynb":
            notebook = copy.deepcopy(
                notebooks.get(path) or nbformat.read(ROOT / path, 4)
            )
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = relinked(cell.source, *where)
            nbformat.write(notebook, there)
        elif path.suffix == ".md":
            text = (ROOT / path).read_text(encoding="utf-8")
            there.write_text(relinked(text, *where), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / path, there)


def write_assignment(folder, path, notebook):
    """Write a lesson into nbgrader's folder for it, with the pages and pictures for
    learners that it links to: all notebooks there are graded, and what lies beside them
    is handed out."""
    own = re.match(r"\d\d", path.name)[0]
    learners = set(handout.files())

    def place(file):
        if file.parent != Path("notebooks"):
            return file
        number = file.name[:2]
        return Path(file.name) if number == own else Path("..", number, file.name)

    def carried(file):
        if file.parent == Path("notebooks"):
            return file.name[:2].isdigit()
        return file in learners and file.parts[0] in ("data", "docs")

    write(folder, {path: notebook}, place, carried=carried)


def notes(path):
    """What docs/teaching.md says of a lesson, as a text for the lesson in an
    edition."""
    text = (ROOT / TEACHING).read_text(encoding="utf-8")
    found = re.search(rf"(?ms)^### {path.name[:2]} · .*?\n(.*?)(?=^#{{1,3}} |\Z)", text)
    if not found:
        raise EditionError(f"{TEACHING} has no section “### {path.name[:2]} · …”.")
    # One level below the heading that stands above it here.
    lower = re.sub(r"(?m)^#(#{3,}) ", r"\1 ", found[1].strip())
    return relinked(lower, TEACHING.parent, Path("notebooks"), unmoved, any_file)


# -- running ---------------------------------------------------------------------------


async def run(path, notebook, turn):
    """Run an instructor's notebook, in an empty folder; every check in it must be
    content."""
    async with turn:
        with tempfile.TemporaryDirectory() as folder:
            progress = Path(folder) / "my_progress.jsonl"
            own = {
                "TRANSFER_CACHE": f"{folder}/cache",
                "TRANSFER_PROGRESS": str(progress),
                # The template looks for them beside the project's lessons.
                "TRANSFER_PICTURES": str(ROOT / "data" / "computers" / "validation"),
            }
            client = NotebookClient(
                notebook,
                timeout=600,
                kernel_name="python3",
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
                resources={"metadata": {"path": folder}},
                coalesce_streams=True,
            )
            try:
                await client.async_execute(env={**os.environ, **alone(folder), **own})
            except CellExecutionError as error:
                raise EditionError(
                    f"{path.name}: {error.ename}: {error.evalue}"
                ) from error
            except (CellTimeoutError, DeadKernelError) as error:
                raise EditionError(f"{path.name}: {error}") from error
            done = {event["exercise"] for event in events(progress) if event["done"]}
        numbers = [found[0] for cell in notebook.cells if (found := checked(cell))]
        fills = [n for n in numbers if isinstance(exercises(n[:2])[n], Fill)]
        if refused := sorted(set(fills) - done):
            raise EditionError(
                f"{path.name}: the solution of {', '.join(refused)} is refused."
            )
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        print(f"{path.name}: ran, {len(fills)} solutions accepted", flush=True)


async def run_all(notebooks):
    """Run instructor's notebooks, in place."""
    turn = asyncio.Semaphore(AT_A_TIME)
    runs = (run(path, notebook, turn) for path, notebook in notebooks.items())
    failed = [e for e in await asyncio.gather(*runs, return_exceptions=True) if e]
    if other := [error for error in failed if not isinstance(error, EditionError)]:
        raise other[0]
    if failed:
        raise EditionError("\n".join(map(str, failed)))


# -- the site --------------------------------------------------------------------------


def shown(notebook, ran):
    """A lesson for the site: as it is committed; panels, which are nothing without what
    a kernel says of them, from the instructor's run."""
    made = copy.deepcopy(notebook)
    outputs = {cell.id: cell.outputs for cell in ran.cells if cell.cell_type == "code"}
    for cell in made.cells:
        if any(VIEW in output.get("data", {}) for output in cell.get("outputs", [])):
            cell.outputs = outputs[cell.id]
    made.metadata.widgets = ran.metadata.get("widgets", {})
    return made


def site(folder, notebooks, builder="html"):
    """Make the site of notebooks with outputs; builder: Sphinx's → 1 if it warned, else
    0."""
    pages = [path.relative_to(ROOT) for path in sorted(ROOT.glob("docs/**/*.md"))]
    with tempfile.TemporaryDirectory() as temporary:
        source, made = Path(temporary) / "source", Path(temporary) / "build" / "site"
        write(source, notebooks, unmoved, [Path("README.md"), *pages])
        shutil.copy(SITE / "index.md", source)
        command = [
            sys.executable,
            "-m",
            "sphinx",
            "-b",
            builder,
            "-c",
            SITE,
            "-W",
            "-q",
        ]
        command += ["--keep-going", "-d", f"{temporary}/doctrees", source, made]
        done = subprocess.run(command)
        shutil.copytree(made, folder, dirs_exist_ok=True)
        return done.returncode


# -- the command -----------------------------------------------------------------------


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("editions", nargs="*", metavar="EDITION", help=", ".join(NAMES))
    parser.add_argument("--outputs", action="store_true", help="keep them for students")
    parser.add_argument(
        "--to", type=Path, default=ROOT / "build", help="default: build"
    )
    parser.add_argument(
        "--links", action="store_true", help="only look up addresses on the web"
    )
    given = parser.parse_args()
    if unknown := set(given.editions) - set(NAMES):
        parser.error(f"no edition {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in ("TRANSFER_MODEL", "TRANSFER_WEIGHTS"):
        os.environ.pop(name, None)
    try:
        if given.links:
            with tempfile.TemporaryDirectory() as folder:
                return site(folder, read_all(), "linkcheck")
        make(given.editions or NAMES, read_all(), given.to, given.outputs)
    except EditionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def make(editions, notebooks, to, outputs=False):
    """Write the editions of `notebooks`, {path: notebook}, into folders of `to`."""
    lessons = {
        path: notebook
        for path, notebook in notebooks.items()
        if path.name[:2].isdigit()
    }
    if "student" in editions:
        with whole(to / "student") as folder:
            handout.write(folder, notebooks, outputs)
    if "nbgrader" in editions:
        with whole(to / "nbgrader" / "source") as folder:
            for path, notebook in lessons.items():
                number = path.name[:2]
                made = graded(notebook, exercises(number))
                write_assignment(folder / number, path, made)
        if not (config := to / "nbgrader" / "nbgrader_config.py").exists():
            shutil.copy(ROOT / "teaching" / "nbgrader_config.py", config)
    if {"instructor", "html"} & set(editions):
        said = {path: notes(path) for path in lessons}
        ran = {path: instructor(n, said.get(path)) for path, n in notebooks.items()}
        asyncio.run(run_all(ran))
    if "instructor" in editions:
        with whole(to / "instructor") as folder:
            write(folder, ran, unmoved)
    if "html" in editions:
        with whole(to / "html") as folder:
            if site(
                folder, {path: shown(n, ran[path]) for path, n in notebooks.items()}
            ):
                raise EditionError("html: Sphinx says above what is wrong.")


if __name__ == "__main__":
    sys.exit(run_tool(main))
