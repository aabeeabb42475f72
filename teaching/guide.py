"""Write into docs/teaching.md what follows from other files: python -m teaching.guide

The course plans and what they need of the sections that they leave out, from the
lessons and teaching/plans.toml; the memory for a class, from what was measured. With
--check it only says whether all that is there already, by its exit status.
"""

import argparse
import csv
import math
import sys
import textwrap

from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write
from teaching import plans
from teaching.editions import AT_A_TIME
from teaching.lessons import ROOT, EditionError

GUIDE = ROOT / "docs" / "teaching.md"
CLASS = 20  # learners
MB_PER_GB = 1000
LONGEST = 60  # characters of a cell's first line


def quoted(sections):
    """Sections' names, as the guide writes them."""
    return ", ".join(f"“{name}”" for name in sections)


def said(step):
    """A step in words."""
    parts = []
    if "lesson" in step:
        what = step["lesson"]
        if "also" in step:
            what = f"{quoted(step['also'])} of {what}"
        if "from" in step:
            what += f", from “{step['from']}”"
        if "to" in step:
            what += f"{' ' if 'from' in step else ', '}to “{step['to']}”"
        if "without" in step:
            what += f", without {quoted(step['without'])}"
        parts.append(what)
    if "do" in step:
        parts.append(step["do"])
    return "; ".join(parts)


def beginning(cell):
    """A cell's first line of code, short enough for a table."""
    code = cell.beginning.partition("  #")[0]
    line = textwrap.shorten(code, LONGEST, placeholder=" …")
    line = line.replace("|", r"\|")  # it stands in a table
    return f"`` {line} ``" if "`" in line else f"`{line}`"


def by_section(cells):
    """Cells → list of (their section, the cells' beginnings in words)."""
    found = {}
    for cell in cells:
        found.setdefault(cell.section, []).append(beginning(cell))
    return [(section, ", ".join(lines)) for section, lines in found.items()]


def plan_tables():
    """The plans, each with the cells that it needs of what it leaves out."""
    texts = []
    for plan in plans.plans():
        rows = [f"| {step['when']} | {said(step)} |" for step in plan["steps"]]
        table = "\n".join([f"| {plan['unit']} | what |", "| ---: | --- |", *rows])
        texts.append(f"**{plan['name']}.** {plan['for']}\n\n{table}")
        needed = {}
        for step in plan["steps"]:
            if "lesson" in step:
                for section, lines in by_section(plans.to_run(step)[1]):
                    needed[f"- {step['lesson']}, “{section}”: {lines}"] = True
        if needed:
            texts.append(
                "Of what is left out, run the cells that begin like this all the same, "
                "or later ones end in a NameError:\n\n" + "\n".join(needed)
            )
    return "\n\n".join(texts)


def skipped_table():
    """For each section of each lesson's core but the first, which nobody skips: what
    later sections need of it."""
    rows = []
    for path in sorted(ROOT.glob("notebooks/[0-9][0-9]_*.ipynb")):
        cells, core = plans.read_cells(path), plans.core(path)
        for section in core[1:]:
            needed = plans.also_needed({"", *core} - {section}, cells)
            rows += [
                f"| {path.name[:2]} | {section} | {lines} |"
                for _, lines in by_section(needed)
            ]
    return "\n".join(["| lesson | without | still run |", "| --- | --- | --- |", *rows])


def measured(name):
    """The rows of a table in docs."""
    with open(ROOT / "docs" / name, encoding="utf-8", newline="") as file:
        lines = (line for line in file if not line.startswith("#"))
        return list(csv.DictReader(lines, delimiter="\t"))


def class_memory():
    """One line: the memory for a class on one machine, by plan. A lesson's kernel stays
    when its tab is closed, so it is counted both ways: one at a time, and all."""
    server = max(int(row["server_mb"]) for row in measured("hub_needs.tsv"))
    lesson = {
        row["lesson"]: int(row["kernel_mb"]) + int(row["beside_mb"])
        for row in measured("lesson_needs.tsv")
    }

    def gigabytes(mb):
        return f"{CLASS * (mb + server) / MB_PER_GB:.0f} GB"

    def most(lessons):
        number = max(lessons, key=lesson.get)
        return f"{gigabytes(lesson[number])} (lesson {number})"

    one, all_open = [], []
    for plan in plans.plans()[:2]:
        lessons = sorted({s["lesson"] for s in plan["steps"] if "lesson" in s})
        name = f"for “{plan['name'].partition(':')[0]}”"
        one.append(f"{most(lessons)} {name}")
        all_open.append(f"{gigabytes(sum(lesson[n] for n in lessons))} {name}")
    return (
        f"**Memory for {CLASS} on one machine,** if all run the hungriest lesson at "
        "the same moment and have shut down those before it: "
        f"{', '.join(one)}, {most(lesson)} for the whole series. If each lesson of the "
        f"plan stays open in turn: up to {' and '.join(all_open)}."
    )


def editions_time():
    """One line: how long all editions take, from what the lessons take."""
    seconds = sum(float(row["seconds"]) for row in measured("lesson_needs.tsv"))
    minutes = math.ceil(seconds / AT_A_TIME / 60)
    return (
        f"`make editions` runs every lesson once, {AT_A_TIME} at a time, for the "
        f"instructor's edition and the site: some {minutes} minutes on two idle cores, "
        "by the seconds that [each lesson takes](#what-a-computer-needs). For a class "
        'you rarely need all: `make editions EDITIONS="student nbgrader"` runs none.'
    )


def renewed(text):
    """The guide's text with all its computed parts as they should be. Raises an
    EditionError if the comments that mark a part are missing."""
    parts = {
        "time for editions": editions_time,
        "plans": plan_tables,
        "skipped sections": skipped_table,
        "class memory": class_memory,
    }
    for name, make in parts.items():
        start, end = (
            f"<!-- {name}: python -m teaching.guide -->",
            f"<!-- end of {name} -->",
        )
        if text.count(start) != 1 or text.count(end) != 1:
            raise EditionError(f"{GUIDE.name} lacks {start} or {end}.")
        before, _, rest = text.partition(start)
        after = rest.partition(end)[2]
        text = f"{before}{start}\n\n{make()}\n\n{end}{after}"
    return text


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args()
    text = GUIDE.read_text(encoding="utf-8")
    try:
        new = renewed(text)
    except (EditionError, plans.PlanError) as error:
        print(error, file=sys.stderr)
        return 1
    if asked.check and new != text:
        print("The guide is behind: run python -m teaching.guide", file=sys.stderr)
        return 1
    if new != text:
        with atomic_write(GUIDE) as draft:
            draft.write_text(new, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
