"""Classify a folder of pictures, into a table with a line for each.

make classify PICTURES=FOLDER, or python -m apps.many.classify FOLDER.

The model is what `make mine` left in build/mine, if that's there, or else the network
that the lessons use; --model, or make classify MODEL=mine.onnx, names another. The
table is build/NAME.csv, after the folder's name; one of another model is kept as
build/NAME-1.csv and so on. --out, or make classify TABLE=other.csv, names another. It
says for each picture the likeliest class and its probability, whether the classifier
isn't sure, or the picture is like nothing it learned from, and why a file couldn't be
read. The pictures stay as they are. Stopped, or with more pictures, the same command
goes on where it was.
"""

import argparse
import os
import sys
from pathlib import Path

from apps.many.folder import (
    EXPORTED,
    BatchError,
    OtherTableError,
    TableError,
    names_below,
    predict_folder,
)
from apps.sharing.doubts import UNLIKE, UNSURE
from helpers.models import DEFAULT
from safeguards.folders import as_meant
from safeguards.printing import INTERRUPTED, run_tool
from safeguards.text import counted, printable
from safeguards.whole_files import next_numbered

BUILD = Path(__file__).resolve().parents[2] / "build"
MODEL_FILES = (*EXPORTED, ".keras")


def classify(folder, model="", table="", top=1):
    """Classify the pictures in and below a folder, and say so → `Summary`.

    folder, model, table: as typed; model and table may be "", see above. Raises a
    BatchError, ValueError, OSError or RuntimeError that says what's wrong."""
    pictures = _folder(folder)
    model = _model(model)
    out = Path(table).expanduser() if table else _table_for(pictures)
    print(
        f"Classifying what is in {_shown(pictures)} with {_shown(model)}; starting "
        "takes some seconds …",
        flush=True,
    )
    try:
        return predict_folder(pictures, model, out, top)
    except OtherTableError:
        if table:
            raise
        earlier = out.rename(next_numbered(out))
        print(
            f"{_shown(out)} was made with another model, or another version of it: "
            f"it's {_shown(earlier)} now.",
            flush=True,
        )
        return predict_folder(pictures, model, out, top)


def account(done):
    """A `Summary` in two lines: what became of the files, and where the table is."""
    kept = counted(done.kept, "line")
    if not done.rows:
        text = f"No new files: {kept} of earlier runs stay."
    else:
        new = "new file" if done.kept else "file"
        answered = done.rows - done.unreadable
        text = f"{counted(done.rows, new)}: {answered:,} answered"
        kinds = ((done.unsure, UNSURE), (done.unlike, UNLIKE))
        doubts = [f"{number:,} {what}" for number, what in kinds if number]
        if doubts:
            text += f" (of them {', '.join(doubts)}: see the column note)"
        if done.unreadable:
            text += (
                f", {done.unreadable:,} that could not be read (the column error says "
                "why)"
            )
        text += f"; {kept} of earlier runs stay." if done.kept else "."
    return f"{text}\nTable: {_shown(done.out)} (one line a picture)"


def _folder(text):
    """The folder of pictures that was typed; BatchError if it can't be used."""
    text = as_meant(text)
    if not text:
        raise BatchError(
            "Which pictures? Name the folder they are in, as in: make classify "
            "PICTURES=~/Pictures/unsorted"
        )
    folder = Path(text).expanduser()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise BatchError(f"{text} {what}: name a folder of pictures.")
    if next(names_below(folder), None) is None:
        raise BatchError(f"{text} has no files in it: name a folder of pictures.")
    return folder.resolve()


def _model(text):
    """The model that was typed, or the default: a file's path or a known name."""
    mine = BUILD / "mine" / "model.onnx"
    if not text and mine.is_file():
        return mine
    model = text or os.environ.get("TRANSFER_MODEL") or DEFAULT
    if Path(model).suffix in MODEL_FILES and not Path(model).expanduser().is_file():
        raise FileNotFoundError(
            f"There is no model {model}: name a file that is there, as in "
            "MODEL=build/mine/model.onnx, which make mine writes."
        )
    return model


def _table_for(pictures):
    """Where the table of a folder goes if nobody says: never among the pictures."""
    if BUILD.is_relative_to(pictures):
        raise TableError(f"{pictures} holds this project, where the table would go.")
    BUILD.mkdir(exist_ok=True)
    return BUILD / f"{pictures.name}.csv"


def _shown(path):
    """A path, or a model's name, as you would type it here."""
    path = Path(path)
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return printable(str(shown))


def main(arguments=None):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m apps.many.classify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder",
        nargs="?",
        default=os.environ.get("PICTURES", ""),
        help="of pictures, with all folders in it: ~/Pictures/unsorted",
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("MODEL", ""),
        help="an .onnx, .tflite or .keras file, or a known name",
    )
    parser.add_argument(
        "--out",
        metavar="TABLE",
        default=os.environ.get("TABLE", ""),
        help="the table's file",
    )
    parser.add_argument(
        "--top", type=int, default=1, help="likeliest classes a line; otherwise 1"
    )
    options = parser.parse_args(arguments)
    if options.top < 1:
        parser.error("--top should be 1 or more")
    try:
        done = classify(options.folder, options.model, options.out, options.top)
    except (ValueError, OSError, RuntimeError) as error:
        print(printable(str(error)), file=sys.stderr)
        if isinstance(error, TableError):
            print(
                "To name another table: TABLE=other.csv after make classify, or --out "
                "other.csv without make.",
                file=sys.stderr,
            )
        return 1
    except KeyboardInterrupt:
        print(
            "Stopped: lines that are written stay, and the same command goes on.",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(account(done))
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
