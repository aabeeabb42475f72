"""Make a classifier of a folder of pictures.

make mine PICTURES=FOLDER, or python -m apps.own_pictures.mine FOLDER.

With --alike 0.98, or make mine ALIKE=0.98, fewer pictures that look alike count as one.
With --tune, or make mine TUNE=1, the whole network is fine-tuned as well, afterwards,
and used if it gains more than chance explains: interrupt it, and the classifier made so
far stays.

notebooks/your_own_pictures.ipynb is run on the folder; both stay as they are. The
results are in build/mine afterwards: the model (model.keras, model.onnx), its cards,
and the run itself to read, as report.html and as report.ipynb. They appear whole or not
at all. What was there before is kept beside them, as build/mine-1, mine-2 and so on;
decisions on labels and what was filled in on cards are carried over from there.
"""

import argparse
import os
import sys
from asyncio import CancelledError
from pathlib import Path

from apps.own_pictures import keep
from apps.own_pictures.kernel import StoppedError, started
from safeguards.folders import as_meant
from safeguards.printing import INTERRUPTED, run_tool
from safeguards.text import printable
from safeguards.whole_files import next_numbered, temporary_folder_in

BUILD = Path(__file__).resolve().parents[2] / "build"


def likeness(text):
    """The likeness that was asked for: a number, or None. Raises a StoppedError."""
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = 0
    if not 0.5 <= value <= 1:  # False of NaN
        raise StoppedError(
            f"ALIKE={text} is no likeness: give a number from 0.5 to 1. At 0.95 and "
            "more two pictures count as one without it; at 1 only copies do."
        )
    return value


def stopped_run():
    """The path of a run that ended with an error which the notebook doesn't know."""
    return BUILD / "mine-stopped.ipynb"


def make_classifier(folder, alike, tune=False):
    """Run the notebook on a folder of pictures and put the results into build/mine.

    What was there goes to the next build/mine-N, and what it leaves for the next run on
    the same folder is carried over. Prints the summary once all is there; returns the
    path of build/mine."""
    pictures = Path(folder).expanduser().absolute()
    mine = BUILD / "mine"
    earlier = None
    with temporary_folder_in(BUILD) as temporary:
        results = temporary / "mine"
        results.mkdir()
        carried = keep.carry_over(mine, results, pictures)
        if keep.CORRECTIONS in carried:
            print(f"Decisions on labels are carried over from {keep.shown_path(mine)}.")
        # Nobody should wonder why nothing happens.
        print(
            "Python and the network start, up to half a minute. A few hundred pictures "
            "take a minute or two.",
            flush=True,
        )
        with started(pictures, results, alike, tune) as kernel:
            # A second's import: the kernel starts meanwhile.
            from apps.own_pictures.run import report, run

            notebook = run(kernel, stopped_run(), tune)
        summary = report(notebook, pictures, results)
        if os.path.lexists(mine):
            earlier = mine.rename(next_numbered(mine))
        results.rename(mine)
        stopped_run().unlink(missing_ok=True)
    print(summary, end="")
    if earlier:
        print(
            f"What was in {keep.shown_path(mine)} is now in {keep.shown_path(earlier)}."
        )
    return mine


def tune_classifier(folder, alike):
    """Make the classifier in build/mine anew, with fine-tuning if that pays."""
    print("Now fine-tuning; Ctrl-C ends it and leaves what is there.", flush=True)
    try:
        make_classifier(folder, alike, tune=True)
    except (KeyboardInterrupt, CancelledError):
        print("Stopped: the classifier with frozen features stays.", file=sys.stderr)


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder",
        nargs="?",
        default=os.environ.get("PICTURES", ""),
        help="one that holds a folder of pictures for each class: ~/Pictures/pets",
    )
    parser.add_argument(
        "--alike",
        default=os.environ.get("ALIKE", ""),
        help="how alike two pictures have to be to count as one: 0.95, or 1 for copies "
        "only",
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        default=os.environ.get("TUNE", "") not in ("", "0"),
        help="fine-tune the whole network as well, and use that if it gains more than "
        "chance explains",
    )
    options = parser.parse_args()
    folder = as_meant(options.folder)
    try:
        alike = likeness(options.alike.strip())
        if not folder:
            raise StoppedError(
                "Which pictures? Name a folder that holds one folder of pictures for "
                "each class, as in: make mine PICTURES=~/Pictures/pets"
            )
        mine = make_classifier(folder, alike)
        if options.tune:
            tune_classifier(folder, alike)
    except (StoppedError, OSError, RuntimeError) as error:  # the last: no home of ~ada
        for text in (error, *getattr(error, "__notes__", ())):
            print(printable(str(text)), file=sys.stderr)
        return 1
    except (KeyboardInterrupt, CancelledError):  # the latter while the kernel starts
        print("Stopped: nothing was changed.", file=sys.stderr)
        return INTERRUPTED
    page = keep.shown_path(mine / "report.html")
    model = keep.shown_path(mine / "model.onnx")
    print(f"Read {page} first.")
    if (mine / keep.SUSPECTS).stat().st_size:
        labels = keep.shown_path(mine / "labels.ipynb")
        print(f"Decide on labels: make labels, or open {labels}")
    print(f"As a page for others: make page MODEL={model}")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
