"""Measure how long an instructor waits.

python -m teaching.measure_handing_out [--record]

Makes the file for learners, the editions that need no run, and the count of a class's
answers, each once, in a folder of its own. With --record, docs/handing_out.tsv and the
table in docs/teaching.md are written anew. What the other editions take follows from
what the lessons take, which tools/record/measure_lessons.py records.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exercises._core import LESSONS, exercises
from safeguards.printing import run_tool
from teaching.guide import CLASS
from teaching.lessons import ROOT
from tools.record.measure_lessons import record

RECORDED = ROOT / "docs" / "handing_out.tsv"


def timed(*command):
    """Run a module of the project's → seconds, as text."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - begun
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


def answer_everything(folder):
    """Make the progress files of a class in which each did every exercise twice."""
    numbers = [number for lesson in LESSONS for number in exercises(lesson)]
    for learner in range(CLASS):
        place = folder / f"learner{learner}" / "notebooks"
        place.mkdir(parents=True)
        events = [
            {"exercise": number, "done": done, "answer": "a", "time": "x", "hint": "h"}
            for number in numbers
            for done in (False, True)
        ]
        lines = "".join(json.dumps(event) + "\n" for event in events)
        (place / "my_progress.jsonl").write_text(lines, encoding="utf-8")


def measure():
    """Each command once → rows, {column: text}."""
    with tempfile.TemporaryDirectory() as folder:
        to = "--to", Path(folder, "build")
        answer_everything(Path(folder, "class"))
        seconds = {
            "make handout": timed("teaching.handout", *to),
            'make editions EDITIONS="student nbgrader"': timed(
                "teaching.editions", "student", "nbgrader", *to
            ),
            f"make tally, {CLASS} learners": timed(
                "teaching.tally", Path(folder, "class")
            ),
        }
    return [{"command": name, "seconds": said} for name, said in seconds.items()]


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--record", action="store_true", help="write down what was measured"
    )
    asked = parser.parse_args()
    rows = measure()
    for row in rows:
        print(*row.values(), sep="\t")
    if asked.record:
        record(RECORDED, "teaching/measure_handing_out.py", rows)
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
