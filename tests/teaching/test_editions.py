"""What is made from the lessons: for learners, for instructors, for nbgrader, and the
site.

What is in them is tested on every lesson; run and graded is one light lesson, since
`make editions` itself stops where a lesson fails or a check refuses its solution.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from browser import browser
from exercise_cases import lesson_00
from lessons import LESSONS, NOTEBOOKS, TEMPLATE, read
from links import dead

from exercises._core import STUB, Explore, Fill, Predict, exercises
from teaching import editions, handout
from teaching import lessons as parts

ROOT = NOTEBOOKS.parent

# Light ones: with a panel, and with exercises that need no network's training.
WITH_PANEL = next(
    path.relative_to(ROOT) for path in LESSONS if path.name.startswith("01")
)
GRADED = next(path for path in LESSONS if path.name.startswith("00"))

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def teaching():
    """What `make teaching` installs. Skipped where it is not there; in CI that is a
    failure."""
    if missing := [
        name
        for name in ("nbgrader", "sphinx", "myst_nb", "furo")
        if not find_spec(name)
    ]:
        reason = f"needs {', '.join(missing)} (make teaching)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    # nbgrader starts alembic by name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder with the editions that need no run, made by the command."""
    folder = tmp_path_factory.mktemp("build")
    command = [sys.executable, "-m", "teaching.editions", "student", "nbgrader"]
    subprocess.run([*command, "--to", folder], cwd=ROOT, check=True, timeout=120)
    return folder


def fills(lesson):
    return [
        n for n, kind in exercises(lesson.name[:2]).items() if isinstance(kind, Fill)
    ]


def texts(notebook, kind="markdown"):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == kind)


def test_instructors_keep_the_packages_that_learners_have():
    learners, instructors = (
        set(re.findall(r"(?m)^[\w.-]+==[^\s;]+", (ROOT / name).read_text()))
        for name in ("requirements/base.lock", "requirements/teaching.lock")
    )
    names = {pin.partition("==")[0] for pin in learners}
    shared = {pin for pin in instructors if pin.partition("==")[0] in names}
    assert len(shared) > 30
    assert shared <= learners


# -- students --------------------------------------------------------------------------


@each_lesson
def test_students_get_all_but_solutions_and_outputs(made, lesson):
    notebook = editions.copy.deepcopy(
        read(made / "student" / "notebooks" / lesson.name)
    )
    nbformat.validate(notebook)
    if lesson.name.startswith("00"):
        del notebook.cells[1:3]  # which say whether all is ready
    assert fills(lesson)
    assert not re.search("<summary>Solution", texts(notebook))
    for kept in (r"(?m)^#+ .*", r"(?m)^\| .*", r"(?m)^\*\*Exercise .*", r"(?m)^- .*"):
        assert re.findall(kept, texts(notebook)) == re.findall(
            kept, re.sub("(?s)<summary>Solution.*?</details>", "", texts(read(lesson)))
        )
    for kept in ("<summary>Answer</summary>", "<summary>Rubric "):
        assert texts(notebook).count(kept) == texts(read(lesson)).count(kept) >= 1
    assert texts(notebook, "code") == texts(read(lesson), "code")
    assert not any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")


def test_a_solution_goes_wherever_in_a_cell_it_stands():
    folded = (
        "<details><summary>Solution 00.{}</summary>\n\n```python\nx = {}\n```\n\nSo."
        "\n</details>"
    )
    sources = [
        f"Before.\n\n{folded.format(2, 1)}\n\n## Summary\n\nAfter.",
        folded.format(4, 2),
    ]
    cells = [nbformat.v4.new_markdown_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert editions.solutions(notebook) == {"00.2": "x = 1", "00.4": "x = 2"}
    (left,) = handout.student(notebook).cells
    assert left.source == "Before.\n\n## Summary\n\nAfter."


def test_students_can_get_the_outputs():
    lesson = read(LESSONS[3])
    kept = handout.student(lesson, outputs=True)
    outputs = [cell.outputs for cell in kept.cells if cell.cell_type == "code"]
    assert outputs == [
        cell.outputs for cell in lesson.cells if cell.cell_type == "code"
    ]


@each_lesson
def test_code_finds_its_files_wherever_the_notebook_lies(lesson):
    """nbgrader's lie at the top; what a comment proposes is for the project."""
    code = re.sub(r"#.*", "", texts(read(lesson), "code"))
    assert '"../' not in code, "editions lie elsewhere: COMPUTERS / …"


def test_every_link_holds_in_every_edition(made, tmp_path):
    lessons = {path.relative_to(ROOT): read(path) for path in LESSONS}
    plain = {path: editions.instructor(notebook) for path, notebook in lessons.items()}
    editions.write(tmp_path, plain, editions.unmoved)
    for edition in (made / "student", made / "nbgrader" / "source", tmp_path):
        pages = [*edition.rglob("*.ipynb"), *edition.rglob("*.md")]
        assert len(pages) > len(LESSONS)
        assert {page: lost for page in pages if (lost := dead(page))} == {}


# -- instructors -----------------------------------------------------------------------


@each_lesson
def test_instructors_get_solutions_in_the_place_of_stubs_and_all_texts_open(lesson):
    before = read(lesson)
    notebook = editions.instructor(before)
    nbformat.validate(notebook)
    assert len(notebook.cells) == len(before.cells)
    assert "<details" not in texts(notebook)
    assert texts(notebook).count("**Answer**") == texts(before).count(
        "<summary>Answer<"
    )
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    solutions = editions.solutions(before)
    assert sorted(solutions) == fills(lesson)
    for number, solution in solutions.items():
        assert f"**Solution {number}**" in texts(notebook)
        (check,) = [n for n, source in enumerate(code) if f'check("{number}"' in source]
        assert code[check - 1] == solution


@pytest.mark.thorough
def test_the_template_runs_in_an_empty_folder():
    """Nothing beside it is what lies beside the project's own notebooks."""
    template = editions.instructor(read(TEMPLATE))
    asyncio.run(editions.run_all({TEMPLATE.relative_to(ROOT): template}))
    outputs = [cell.get("outputs") for cell in template.cells]
    assert "accuracy on " in str(outputs)


def test_a_solution_that_no_cell_checks_is_named():
    notebook = editions.copy.deepcopy(read(GRADED))
    notebook.cells = [c for c in notebook.cells if not c.source.startswith("check(")]
    with pytest.raises(
        editions.EditionError, match="No cell checks what the solution of 00"
    ):
        editions.instructor(notebook)


def test_of_a_link_to_what_an_edition_lacks_only_the_text_stays(made):
    asked = []

    def carried(path):
        asked.append(path)
        return path == Path("data/README.md")

    text = (
        "In [tests/](../tests) [and](../helpers/datasets.py#L1), [a "
        "card](../data/README.md#x), `[0](1)`, [all](https://x.org/y)."
    )
    assert parts.relinked(
        text, Path("docs"), Path("notebooks"), editions.unmoved, carried
    ) == (
        "In tests/ and, [a card](../data/README.md#x), `[0](1)`, [all](https://x.org/y)."
    )
    assert asked == [
        Path("tests"),
        Path("helpers/datasets.py"),
        Path("data/README.md"),
    ]


def test_nothing_beside_a_notebook_is_imported_in_the_place_of_our_own(made):
    ours = {"helpers", "exercises", "panels", "apps", "safeguards", "tools"}
    for notebook in made.rglob("*.ipynb"):
        assert not ours & {path.name for path in notebook.parent.iterdir()}, notebook


def test_notes_stand_below_the_title(tmp_path, monkeypatch):
    monkeypatch.setattr(editions, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    teaching = tmp_path / editions.TEACHING
    teaching.write_text(
        "# Teaching\n\n## By lesson\n\n### 00 · Start\n\nSay "
        "[this](../notebooks/04_x.ipynb).\n\n#### Errors\n\nNone, see [a "
        "card](../data/README.md#a).\n\n### 04 · Goal\n\nNot this.\n"
    )
    said = editions.notes(GRADED)
    assert said == (
        "Say [this](04_x.ipynb).\n\n### Errors\n\nNone, see [a "
        "card](../data/README.md#a)."
    )
    notebook = editions.instructor(read(GRADED), said)
    assert notebook.cells[1].source == f"## Notes for instructors\n\n{said}"
    nbformat.validate(notebook)
    with pytest.raises(editions.EditionError, match="no section “### 05 · …”"):
        editions.notes(LESSONS[5])


def run(path, notebook):
    asyncio.run(editions.run_all({path: notebook}))
    return notebook


@pytest.fixture(scope="module")
def ran():
    """An instructor's lesson that has run: its checks are content, or this would have
    failed."""
    return run(WITH_PANEL, editions.instructor(read(ROOT / WITH_PANEL)))


@pytest.mark.thorough
def test_solutions_are_run_and_accepted(ran):
    for number in fills(WITH_PANEL):
        (cell,) = [cell for cell in ran.cells if f'check("{number}"' in cell.source]
        assert cell.outputs[0].data["text/plain"] not in ("", STUB)
    counts = [cell.execution_count for cell in ran.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.thorough
def test_a_solution_that_its_check_refuses_stops_the_edition():
    notebook = nbformat.v4.new_notebook(cells=read(GRADED).cells[:0])
    number = fills(GRADED)[0]
    sources = "from exercises import check", f'check("{number}", print)'
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    with pytest.raises(
        editions.EditionError, match=f"the solution of {number} is refused"
    ):
        run(GRADED, notebook)
    notebook.cells[1].source = "1 / 0"
    with pytest.raises(editions.EditionError, match="ZeroDivisionError"):
        run(GRADED, notebook)


def test_an_edition_that_fails_leaves_the_former_one(tmp_path):
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("former")
    with pytest.raises(ZeroDivisionError), editions.whole(tmp_path / "html") as folder:
        (folder / "index.html").write_text("half")
        1 / 0  # noqa: B018
    assert (tmp_path / "html" / "index.html").read_text() == "former"
    with editions.whole(tmp_path / "html") as folder:
        (folder / "other.html").write_text("new")
    assert [path.name for path in (tmp_path / "html").iterdir()] == ["other.html"]


# -- nbgrader --------------------------------------------------------------------------


def cell(notebook, name):
    """A cell by nbgrader's name for it."""
    (found,) = [
        c
        for c in notebook.cells
        if c.metadata.get("nbgrader", {}).get("grade_id") == name
    ]
    return found


def answer_to(number):
    """What the lesson hands over to `check` in an exercise."""
    found = [parts.checked(cell) for cell in read(GRADED).cells]
    return next(answer for known, answer in filter(None, found) if known == number)


def points(kind):
    return {"Fill": 2, "Predict": 1, "Explore": 0}[kind.__class__.__name__]


@each_lesson
def test_nbgrader_knows_every_exercise_and_its_points(made, lesson):
    notebook = read(made / "nbgrader" / "source" / lesson.name[:2] / lesson.name)
    nbformat.validate(notebook)
    for number, kind in exercises(lesson.name[:2]).items():
        name = number.replace(".", "-")
        if isinstance(kind, Explore):
            rubric = cell(notebook, f"notes-{name}").metadata.nbgrader.points
            assert 3 <= rubric <= 6, "a point for each line of the rubric"
        else:
            assert "### BEGIN SOLUTION" in cell(notebook, f"answer-{name}").source
            assert cell(notebook, f"test-{name}").metadata.nbgrader.points == points(
                kind
            )
    names = [
        c.metadata.nbgrader.grade_id for c in notebook.cells if "nbgrader" in c.metadata
    ]
    assert (
        len(names)
        == len(set(names))
        == sum(2 - isinstance(k, Explore) for k in exercises(lesson.name[:2]).values())
    )


@each_lesson
def test_an_assignment_is_one_notebook_and_gives_nothing_away(made, lesson):
    """All notebooks in it are graded, and all else is handed out with it."""
    folder = made / "nbgrader" / "source" / lesson.name[:2]
    assert [path.name for path in folder.rglob("*.ipynb")] == [lesson.name]
    rest = {p.relative_to(folder).parts[0] for p in folder.rglob("*") if p.is_file()}
    assert rest - {lesson.name} <= {"data", "docs"}
    assert not list(folder.rglob("teaching*"))


@pytest.mark.parametrize("variable", ["check", "require", "verdict"])
def test_marks_ask_no_variable_of_the_learners(variable, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_PROGRESS", str(tmp_path / "my_progress.jsonl"))
    number = fills(GRADED)[0]
    test = editions.TEST.format(number=number, answer="answer")
    wrong = {"answer": print, variable: lambda *_: True}
    with pytest.raises(AssertionError, match=r"\w+"):
        exec(test, wrong)
    right = {variable: "something else"}
    solution = editions.solutions(read(GRADED))[number]
    exec(f"{solution}\nanswer = {answer_to(number)}", right)
    exec(test, right)


INNOCENT = "\ncheck = verdict = require = "
TRICK = "\ncheck = lambda *a: True"


@pytest.fixture(scope="module")
def course(teaching, made, tmp_path_factory):
    """One lesson released and handed in; graded → the course's folder, and what
    nbgrader said.

    Ann does it all, and has variables of her own; Bob errs where code is asked for,
    leaves the rest as it was and calls something else `check`; Cy copied a cell, Dan's
    browser renamed the file, and Eve's was cut off."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(made / "nbgrader", folder, dirs_exist_ok=True)

    def nbgrader(command, status=0):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", command, "00"],
            cwd=folder,
            env=os.environ | {"TRANSFER_PROGRESS": str(folder / "my_progress.jsonl")},
            timeout=900,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == status, done.stderr
        return done.stderr

    nbgrader("generate_assignment")
    solutions = editions.solutions(read(GRADED))
    for learner in ("ann", "bob", "cy", "dan", "eve"):
        handed_in = folder / "submitted" / learner / "00"
        shutil.copytree(folder / "release" / "00", handed_in)
        path = handed_in / GRADED.name
        notebook = nbformat.read(path, as_version=4)
        if learner == "cy":
            twin = editions.copy.deepcopy(cell(notebook, f"test-{fill_name()}"))
            twin.id = "copied"
            notebook.cells.append(twin)
        elif learner == "dan":
            path.rename(path.with_name(f"{path.stem} (1).ipynb"))
            continue
        elif learner == "eve":
            path.write_text(path.read_text()[:1000])
            continue
        for number, kind in exercises("00").items():
            name = number.replace(".", "-")
            if isinstance(kind, Fill):
                wrong = next(iter(lesson_00.CASES[number].wrong))
                right = solutions[number] + INNOCENT + answer_to(number)
                source = right if learner == "ann" else wrong + TRICK
                cell(notebook, f"answer-{name}").source = source
            elif isinstance(kind, Predict) and learner == "ann":
                answer = cell(notebook, f"answer-{name}")
                right = (kind.choices or kind.between)[-1]
                answer.source = f"{answer.source.split()[0]} = {right!r}"
            elif isinstance(kind, Explore) and learner == "ann":
                notes = cell(notebook, f"notes-{name}")
                notes.source = notes.source.replace(
                    "...", '"I saw five things and two more."', 1
                )
        nbformat.write(notebook, path)
    said = nbgrader("autograde", status=1)
    nbgrader("generate_feedback")
    return folder, said


def fill_name():
    """nbgrader's name for the first exercise with code."""
    return fills(GRADED)[0].replace(".", "-")


@pytest.mark.thorough
def test_a_fault_of_one_learner_stops_that_learner_only_and_is_named(course):
    folder, said = course
    graded = {path.parent.name for path in folder.glob("autograded/*/00")}
    assert graded == {"ann", "bob"}
    ends = said.splitlines()[-3:]
    assert f"cy/00/{GRADED.name} is not graded: it has more than one cell" in ends[0]
    assert f"test-{fill_name()}" in ends[0]
    assert f"dan/00/{GRADED.stem} (1).ipynb is not graded" in ends[1]
    assert f"is called {GRADED.name}" in ends[1]
    assert f"eve/00/{GRADED.name} is not graded: it is no notebook" in ends[2]


@pytest.mark.thorough
def test_nbgrader_releases_the_stub_and_no_solution(course):
    course, _ = course
    released = nbformat.read(course / "release" / "00" / GRADED.name, as_version=4)
    assert not re.search(
        "SOLUTION|HIDDEN|<summary>Solution", texts(released, "code") + texts(released)
    )
    stubs = [
        c.source
        for c in read(GRADED).cells
        if "..." in c.source and c.cell_type == "code"
    ]
    for number in fills(GRADED):
        assert (
            cell(released, f"answer-{number.replace('.', '-')}").source.strip() in stubs
        )
        test = cell(released, f"test-{number.replace('.', '-')}")
        assert f'\ncheck("{number}", ' in test.source
        assert test.metadata.nbgrader.locked


POINTS = """
import json, sys
from nbgrader.api import Gradebook

with Gradebook(sys.argv[1]) as book:
    handed_in = {name: book.find_submission("00", name) for name in ("ann", "bob")}
    cells = book.find_assignment("00").notebooks[0].grade_cells
    found = {
        "by hand": sum(c.max_score for c in cells if c.name.startswith("notes-")),
        "of": {name: one.max_score for name, one in handed_in.items()},
        "points": {name: one.score for name, one in handed_in.items()},
        "to be graded by hand": {name: one.needs_manual_grade \
for name, one in handed_in.items()},
    }
print(json.dumps(found))
"""


@pytest.mark.thorough
def test_nbgrader_gives_points_for_what_the_check_accepts(course):
    course, _ = course
    # In a process of its own: nbgrader brings setuptools, which changes how Python
    # imports.
    said = subprocess.run(
        [sys.executable, "-c", POINTS, f"sqlite:///{course}/gradebook.db"],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    full = sum(map(points, exercises("00").values()))
    assert found["by hand"] >= 3
    assert found["of"] == dict.fromkeys(("ann", "bob"), full + found["by hand"])
    assert found["points"] == {"ann": full, "bob": 0}
    assert found["to be graded by hand"]["ann"]


@pytest.mark.thorough
def test_nbgraders_feedback_holds_the_hint(course):
    course, _ = course
    page = (
        course / "feedback" / "bob" / "00" / GRADED.with_suffix(".html").name
    ).read_text()
    for number in fills(GRADED):
        hint = next(iter(lesson_00.CASES[number].wrong.values()))
        assert hint in page


# -- the site --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(teaching, ran, tmp_path_factory):
    """The site, in which the lesson that has run shows its panel."""
    folder = tmp_path_factory.mktemp("site")
    notebooks = editions.read_all()
    notebooks[WITH_PANEL] = editions.shown(notebooks[WITH_PANEL], ran)
    assert editions.site(folder, notebooks) == 0, (
        "Sphinx warns of nothing, such as a dead link"
    )
    return folder


@pytest.mark.thorough
def test_the_site_is_read_from_disk(site):
    pages = sorted(site.rglob("*.html"))
    assert {path.stem for path in LESSONS} < {page.stem for page in pages}
    with browser() as chromium:
        context = chromium.new_context()
        asked = []
        context.on(
            "request", lambda r: re.match("file:|data:", r.url) or asked.append(r.url)
        )
        context.on(
            "requestfailed", lambda request: asked.append(f"failed: {request.url}")
        )
        page = context.new_page()
        page.on("pageerror", lambda error: asked.append(str(error)))
        links, ids = {}, {}
        for path in pages:
            page.goto(path.as_uri(), wait_until="networkidle")
            unnamed = page.locator(
                "img:not([alt]), img[alt=''], img[alt*='No description']"
            )
            assert unnamed.count() == 0, path
            assert page.evaluate(
                "[...document.images].every(i => i.complete && i.naturalWidth)"
            )
            links[path] = page.evaluate("[...document.links].map(link => link.href)")
            ids[path.as_uri()] = page.evaluate(
                "[...document.querySelectorAll('[id]')].map(e => e.id)"
            )
            if path.stem == WITH_PANEL.stem:
                panel = page.locator(".widget-text input").first
                panel.wait_for()
                assert page.get_by_role("button", name="Classify").is_visible()
                page.screenshot(path=site.parent / "panel.png")
        assert asked == []
    for path, found in links.items():
        for link in found:
            file, _, anchor = link.partition("#")
            if file.startswith("file:"):
                there = unquote(file.removeprefix("file://"))
                assert os.path.isfile(there), f"{path}: {link}"
                if anchor and file in ids:
                    assert unquote(anchor) in ids[file], f"{path}: {link}"
