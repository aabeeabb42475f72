"""docs/teaching.md agrees with the lessons, and its tables with what was recorded."""

import csv
import re

import pytest
from lessons import LESSONS, NOTEBOOKS, read

DOCS = NOTEBOOKS.parent / "docs"
GUIDE = (DOCS / "teaching.md").read_text(encoding="utf-8")


def section(lesson):
    """What the guide says of a lesson."""
    return re.search(rf"(?ms)^### {lesson.name[:2]} · .*?(?=^#{{1,3}} |\Z)", GUIDE)[0]


def core(lesson):
    """The headings of a lesson's core, without its title."""
    text = "\n".join(c.source for c in read(lesson).cells if c.cell_type == "markdown")
    return re.findall(r"(?m)^## (.+?) *$", text.split("## Going further")[0])


each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


@each_lesson
def test_the_sections_are_those_of_the_lesson(lesson):
    """Their minutes are held by tests/lessons/test_shape.py."""
    rows = re.findall(r"(?m)^\| (.+?) \| (\d+) \|$", section(lesson))
    assert [name for name, _ in rows] == core(lesson)
    title = read(lesson).cells[0].source.splitlines()[0].removeprefix("# ")
    assert section(lesson).startswith(f"### {title}\n")


@each_lesson
def test_each_section_that_cures_a_misconception_is_there(lesson):
    """Names between “ and ” are the lesson's headings, or another lesson's, or an
    answer."""
    known = {name for other in LESSONS for name in core(other)}
    known |= {"Going further", "Now yours"}
    cures = re.search(r"(?s)\*\*Misconceptions\*\*(.*?)\*\*Timing", section(lesson))[1]
    named = set(re.findall(r"“(.+?)”", cures))
    assert named
    assert named <= known
    exercises = set(re.findall(r"\b\d\d\.\d\b", cures))
    text = "\n".join(cell.source for cell in read(lesson).cells)
    assert all(f"Exercise {number}" in text for number in exercises)


@pytest.mark.parametrize(
    "table", ["lesson_needs.tsv", "hub_needs.tsv", "handing_out.tsv"]
)
def test_a_table_is_the_recorded_one(table):
    with open(DOCS / table, encoding="utf-8") as file:
        said = file.readline()[2:].strip()
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    shown = GUIDE.split(f"<!-- {table} -->")[1].split(f"<!-- end of {table} -->")[0]
    assert said in shown
    cells = [
        line.strip("| ").split(" | ")
        for line in shown.splitlines()
        if line.startswith("| ")
    ]
    assert cells[2:] == rows


def test_every_lesson_was_measured():
    with open(DOCS / "lesson_needs.tsv", encoding="utf-8") as file:
        rows = csv.DictReader((line for line in file if line[0] != "#"), delimiter="\t")
        assert [row["lesson"] for row in rows] == [
            lesson.name[:2] for lesson in LESSONS
        ]


def needs():
    """Each lesson's memory in MB, that of its programs included → {number: MB}."""
    with open(DOCS / "lesson_needs.tsv", encoding="utf-8") as file:
        rows = csv.DictReader((line for line in file if line[0] != "#"), delimiter="\t")
        return {r["lesson"]: int(r["kernel_mb"]) + int(r["beside_mb"]) for r in rows}


def test_lessons_that_stay_open_are_counted_together():
    """Closing a tab stops no kernel: a class that goes through the first plan holds
    three of them, not the largest one."""
    with open(DOCS / "hub_needs.tsv", encoding="utf-8") as file:
        rows = csv.DictReader((line for line in file if line[0] != "#"), delimiter="\t")
        server = max(int(row["server_mb"]) for row in rows)
    lessons = sum(needs()[number] for number in ("00", "01", "05"))
    said = re.search(r"stays open in turn: up to (\d+) GB for “90 minutes”", GUIDE)[1]
    assert int(said) == round(20 * (lessons + server) / 1000)


def test_learners_are_told_what_an_open_lesson_holds():
    text = (DOCS / "learning.md").read_text(encoding="utf-8")
    said = re.findall(r"(\d+) to (\d+) GB", text)
    assert len(said) == 2
    in_gb = {round(mb / 1000) for mb in needs().values()}
    assert {(int(low), int(high)) for low, high in said} == {(min(in_gb), max(in_gb))}


def test_the_hub_as_the_guide_starts_it_hands_out_no_solutions():
    (block,) = (
        code
        for code in re.findall(r"(?ms)^```sh\n(.*?)^```$", GUIDE)
        if "jupyterhub -f" in code
    )
    made, started = block.split("npm install")
    assert "make handout" in made
    assert "HUB_NOTEBOOKS=build/student" in started
