"""The course plans: each names sections that there are, and runs as it is written."""

import os
import sys
import tempfile

import nbformat
import pytest
from nbclient import NotebookClient

from teaching import guide, handout, plans
from tools.record.run_lessons import alone

STEPS = plans.steps()
PARTIAL = [  # whole lessons run in other tests
    (name, step)
    for name, step in STEPS
    if {"from", "to", "without", "also"} & step.keys()
]


def named(steps):
    return [
        f"{name.partition(':')[0]}: {guide.said(step)}"[:70] for name, step in steps
    ]


# -- each plan -------------------------------------------------------------------------


@pytest.mark.parametrize("step", [s for _, s in STEPS], ids=named(STEPS))
def test_a_plan_names_sections_that_there_are(step):
    assert plans.sections(step)


@pytest.mark.parametrize("step", [s for _, s in PARTIAL], ids=named(PARTIAL))
def test_a_plan_with_what_the_guide_adds_defines_every_name(step):
    """By another way than the plans' own: all its cells, one after another."""
    run, _ = plans.to_run(step)
    (missing,) = plans.undefined(["\n".join(plans.plain(c.source) for c in run)])
    assert missing == frozenset()


@pytest.mark.thorough
@pytest.mark.parametrize("step", [s for _, s in PARTIAL], ids=named(PARTIAL))
def test_a_plan_runs_as_it_is_written(step):
    """As a learner runs it, exercises left as they are."""
    run, _ = plans.to_run(step)
    indices = {cell.index for cell in run}
    notebook = nbformat.read(plans.path_of(step["lesson"]), as_version=4)
    notebook.cells = [c for i, c in enumerate(notebook.cells) if i in indices]
    with tempfile.TemporaryDirectory() as folder:
        own = {
            "TRANSFER_CACHE": f"{folder}/cache",
            "TRANSFER_PROGRESS": f"{folder}/my_progress.jsonl",
            "TRANSFER_RESULTS": f"{folder}/my_results",
        }
        NotebookClient(
            handout.student(notebook),
            timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
        ).execute(env={**os.environ, **alone(folder), **own})


def test_the_first_plan_fills_ninety_minutes():
    plan = plans.plans()[0]
    assert plan["name"].startswith("90 minutes")
    assert sum(int(step["when"]) for step in plan["steps"]) == 90


def test_the_guide_has_the_plans_as_they_are():
    text = guide.GUIDE.read_text(encoding="utf-8")
    assert guide.renewed(text) == text, "run python -m teaching.guide"


# -- how what is needed is found -------------------------------------------------------

LESSON = {
    "": [],
    "Set up": ["import math", "# a comment\nx = 1"],
    "First": ["y = x + 1\ndef double(z):\n    return factor * z", "factor = 2"],
    "Second": ["y = 3", "later = double(y)"],
    "Third": ["%matplotlib inline\nprint(y, math.pi, display)", "print(later)"],
    "Going further": ["more = later"],
    "Now yours": ["print([x for x in range(3)], x)", "print(more)"],
}


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """A lesson of a few cells, as number 77."""
    cells = [nbformat.v4.new_markdown_cell("# A title\n\n```\n## No heading\n```")]
    for section, sources in LESSON.items():
        if section:
            cells.append(
                nbformat.v4.new_markdown_cell(f"Text.\n\n## {section}\n\nText.")
            )
        cells += map(nbformat.v4.new_code_cell, sources)
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "77_made_up.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    monkeypatch.setattr(plans, "ROOT", tmp_path)
    return path


def needed(**step):
    return [cell.beginning for cell in plans.to_run({"lesson": "77", **step})[1]]


def test_what_a_plan_needs_of_what_it_leaves_out(lesson):
    assert needed(to="First") == []
    assert needed(**{"from": "First"}) == ["import math", "x = 1"]
    # `y` as the whole lesson would have it, `double` for `later`, and what that needs.
    assert needed(**{"from": "Third"}) == [
        "import math",
        "x = 1",
        "y = x + 1",
        "factor = 2",
        "y = 3",
        "later = double(y)",
    ]
    assert needed(without=["Second"]) == ["y = 3", "later = double(y)"]
    # After the core, also what “Going further” would have given.
    assert needed(also=["Now yours"]) == ["more = later"]


def test_cells_run_in_the_order_of_the_lesson(lesson):
    run, _ = plans.to_run({"lesson": "77", "from": "Third"})
    assert [cell.index for cell in run] == sorted(cell.index for cell in run)


def test_a_name_that_nothing_defines_is_reported_with_its_cell(lesson):
    notebook = nbformat.read(lesson, as_version=4)
    notebook.cells.insert(3, nbformat.v4.new_code_cell("print(nowhere)"))
    other = lesson.with_name("78_other.ipynb")
    nbformat.write(notebook, other)
    with pytest.raises(
        plans.PlanError, match=r"“Set up”: .* nowhere, .*“print\(nowhere\)”"
    ):
        plans.to_run({"lesson": "78"})


@pytest.mark.parametrize(
    "step",
    [
        {"from": "The first"},
        {"to": "First "},
        {"without": ["First", "no"]},
        {"also": ["Nobody's"]},
        {"to": "Now yours"},
    ],
)
def test_a_section_that_is_not_there_is_named(lesson, step):
    with pytest.raises(
        plans.PlanError, match="Lesson 77 has no section “.*It has: Set"
    ):
        plans.sections({"lesson": "77", **step})


def test_a_lesson_that_is_not_there_is_named(lesson):
    with pytest.raises(plans.PlanError, match="There is no lesson 76"):
        plans.sections({"lesson": "76"})


def test_a_guide_that_is_behind_is_noticed(tmp_path, monkeypatch, capsys):
    old = guide.GUIDE.read_text(encoding="utf-8").replace(
        "| 15 | 00, to", "| 20 | 00, to"
    )
    copy = tmp_path / "teaching.md"
    copy.write_text(old, encoding="utf-8")
    monkeypatch.setattr(guide, "GUIDE", copy)
    monkeypatch.setattr(sys, "argv", ["guide", "--check"])
    assert guide.main() == 1
    assert "run python -m teaching.guide" in capsys.readouterr().err
    assert copy.read_text(encoding="utf-8") == old
    monkeypatch.setattr(sys, "argv", ["guide"])
    assert guide.main() == 0
    assert "| 15 | 00, to" in copy.read_text(encoding="utf-8")
