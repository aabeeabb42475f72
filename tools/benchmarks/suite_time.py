"""How long each lesson takes to run, from the recorded run of
tools/record/measure_lessons.py.

python -m tools.benchmarks.suite_time
"""

import csv
import sys

from helpers.models import ROOT
from helpers.plots import BLUE
from safeguards.printing import run_tool
from tools.benchmarks.report import Part, alone, axes_of

RECORDED = ROOT / "docs" / "lesson_needs.tsv"


def recorded():
    """What the file says of itself, and its rows."""
    with RECORDED.open(encoding="utf-8", newline="") as file:
        said = next(file).strip("# \n")
        return said, list(csv.DictReader(file, delimiter="\t"))


def measure(quick=False):
    """The recorded processor seconds of the lessons, as shares of all → `Part`. Nothing
    is run."""
    from matplotlib.figure import Figure

    said, lessons = recorded()
    seconds = {row["lesson"]: float(row["cpu_seconds"]) for row in lessons}
    shares = {lesson: own / sum(seconds.values()) for lesson, own in seconds.items()}
    rows = [
        {
            "lesson": lesson,
            "share of all lessons": f"{shares[lesson]:.1%}",
            "CPU seconds": f"{own:.0f}",
        }
        for lesson, own in seconds.items()
    ]
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = axes_of(figure)[0]
    drawn = axes.bar(
        list(shares), [100 * share for share in shares.values()], color=BLUE
    )
    axes.bar_label(drawn, fmt="%.0f")
    axes.margins(y=0.12)
    axes.set(
        xlabel="lesson",
        ylabel="% of all",
        title="Processor time of the lessons (recorded)",
    )
    alt = (
        "Bars, share of each lesson in the processor time of all, recorded: "
        + ", ".join(f"{lesson} {share:.0%}" for lesson, share in shares.items())
    )
    text = (
        "Not measured now. {}. Processor seconds, of all cores, of each lesson from "
        "top to bottom in a kernel of its own; every run of the tests holds lessons "
        "against these figures."
    )
    return Part(
        "The lessons' own time (recorded)", text.format(said), rows, figure, f"{alt}."
    )


if __name__ == "__main__":
    sys.exit(run_tool(alone, measure, __doc__))
