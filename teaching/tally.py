"""What a class answered: python -m teaching.tally [--notes] FILE-OR-FOLDER …

Reads learners' my_progress.jsonl, in folders at any depth: nbgrader's `submitted`, the
hub's `learners`, what Moodle or Canvas packs up, which put a name before and a number
behind. A file is a learner. Without a place, the environment variable TALLY names it,
as `make tally` does, so that a folder's name may hold blanks.

Of each Predict exercise it counts the first answers; of each Fill how many tried, how
many solved it, and whom which hint met; of each Explore the notes, and with --notes
prints them.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from exercises._core import LESSONS, Fill, Predict, events, exercises
from safeguards.printing import run_tool

KNOWN = {
    number: kind for lesson in LESSONS for number, kind in exercises(lesson).items()
}
# As `check` names it, with what a browser or a learning platform puts around that.
FILES = ("*my_progress*.jsonl", "*my_progress*.jsonl.txt")
HINTS = 3  # of an exercise, the most frequent ones


def read(path):
    """A learner's file → ({exercise: its events, oldest first}, what is wrong with it
    or "")."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        return {}, f"cannot be read ({error.strerror})"
    kept = events(path)
    of = {}
    for event in kept:
        if isinstance(event["exercise"], str) and event["exercise"] in KNOWN:
            of.setdefault(event["exercise"], []).append(event)
    wrong = sum(map(bool, map(str.strip, lines))) - sum(map(len, of.values()))
    return of, f"{wrong} lines are no event of an exercise" if wrong else ""


def found(places):
    """The files that are meant → list of paths, each once."""
    paths = []
    for place in places:
        if place.is_dir():
            paths += sorted(path for name in FILES for path in place.rglob(name))
        else:
            paths.append(place)
    return list(dict.fromkeys(path.resolve() for path in paths))


def tally(learners, notes=False):
    """Print what {learner: {exercise: events}} holds, exercise by exercise."""
    for number, kind in KNOWN.items():
        tried = {name: of[number] for name, of in learners.items() if number in of}
        done = {
            name: [e for e in of if e["done"] is True] for name, of in tried.items()
        }
        done = {name: of for name, of in done.items() if of}
        if not tried:
            continue
        print(f"\n{number}  {kind.done} by {len(done)} of {len(tried)} who tried")
        if isinstance(kind, Fill):
            hints = Counter(
                h for of in tried.values() for h in {str(e.get("hint")) for e in of}
            )
            hints.pop("None", None)
            for hint, times in hints.most_common(HINTS):
                print(f"  {times:4}  {hint.splitlines()[0]}")
        elif isinstance(kind, Predict):
            answers = Counter(str(of[0].get("answer")) for of in done.values())
            for answer, times in answers.most_common():
                print(
                    f"  {times:4}  {'#' * round(40 * times / len(done)):40}  {answer}"
                )
        elif notes:
            for name, of in done.items():
                print(f"  {name}: {of[-1].get('answer')}")


def main():
    """The command line; returns the exit status: 1 if no file was found or one is
    damaged."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("places", nargs="*", type=Path, metavar="FILE-OR-FOLDER")
    parser.add_argument(
        "--notes", action="store_true", help="print the notes, with their files"
    )
    given = parser.parse_args()
    named = os.environ.get("TALLY")
    if not (given.places or named):
        parser.error('which folder? As in: make tally TALLY="My class/handed in"')
    places = given.places or [Path(named)]
    paths = found([place.expanduser() for place in places])
    if not paths:
        print("No my_progress.jsonl there.", file=sys.stderr)
        return 1
    read_files = {path: read(path) for path in paths}
    print(f"{len(paths)} files")
    tally({path: of for path, (of, _) in read_files.items()}, given.notes)
    damaged = {path: wrong for path, (_, wrong) in read_files.items() if wrong}
    for path, wrong in damaged.items():
        print(f"{path}: {wrong}; what could be read is counted.", file=sys.stderr)
    return 1 if damaged else 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
