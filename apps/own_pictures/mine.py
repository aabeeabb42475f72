"""Make a classifier of a folder of pictures.

make mine PICTURES=FOLDER, or python -m apps.own_pictures.mine FOLDER.

With --alike 0.98, or make mine ALIKE=0.98, fewer pictures that look alike count as one.

notebooks/your_own_pictures.ipynb is run on the folder, which stays as it is, and so does the
notebook. What comes of it lies in build/mine afterwards: the model (model.keras, model.onnx), its
cards, and the run itself to read, as report.html and as report.ipynb. It appears whole or not at
all; what was there before is kept beside it, as build/mine-1, mine-2 and so on.
"""

import argparse
import os
import re
import sys
from asyncio import CancelledError
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter

from safeguards.text import plain, printable
from safeguards.whole_files import incoming, whole

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "your_own_pictures.ipynb"
BUILD = ROOT / "build"
PANEL = "application/vnd.jupyter.widget-view+json"


class StoppedError(Exception):
    """The notebook did not come to its end; says why in a line."""


def run(folder, results, alike=None):
    """The notebook, run on a folder of pictures; it writes into `results`. alike: the likeness from
    which on two pictures count as one, None for the notebook's own. StoppedError."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    headings = {}  # of the section that a cell is in
    for i, cell in enumerate(notebook.cells):
        found = re.findall(r"(?m)^#+ (.*)", cell.source if cell.cell_type == "markdown" else "")
        headings[i] = found[-1] if found else headings[i - 1]
    told = set()

    def tell(cell, cell_index):
        heading = headings[cell_index]
        if cell.cell_type == "code" and heading not in told:
            told.add(heading)
            print(f"{heading} …", flush=True)

    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        coalesce_streams=True,
        skip_cells_with_tag="template",  # what one does in the notebook itself
        on_cell_start=tell,
    )
    own = {"TRANSFER_PICTURES": str(folder), "TRANSFER_RESULTS": str(results)}
    own["TRANSFER_ALIKE"] = "" if alike is None else str(alike)
    try:
        client.execute(env={**os.environ, **own})
    except (CellExecutionError, DeadKernelError, AssertionError) as error:
        if hasattr(client, "_async_cleanup_kernel_future"):  # nbclient's own handler of Ctrl-C was
            raise KeyboardInterrupt from None  # called; it closes the kernel and stumbles over that
        raise StoppedError(reason(error, notebook)) from error
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # panels need a running notebook
            cell.outputs = [
                output for output in cell.outputs if PANEL not in output.get("data", {})
            ]
        if cell.cell_type == "markdown":  # links within the project lead nowhere from here
            cell.source = re.sub(r"\[([^\]]*)\]\((?!\w+:)[^)]*\)", r"\1", cell.source)
    return notebook


def reason(error, notebook):
    """Why a run stopped, in a line; the run so far is kept where the line may not be enough."""
    if isinstance(error, DeadKernelError):
        return (
            "Python ended while it computed, mostly for want of memory: close other programs, or "
            "make smaller copies of the pictures."
        )
    if getattr(error, "ename", "") == "DataError":  # says all there is to say
        return error.evalue
    with whole(stopped()) as part:
        nbformat.write(notebook, part)
    name, text = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    line = " ".join(text.split())
    return f"It stopped with {name}: {line} The run so far is in {shown(stopped())}."


def report(notebook, pictures, folder):
    """Write the run as a notebook and, to be read, as a page that needs nothing else, and print its
    summary, with which the page begins; it has no code, and no instructions for the notebook."""
    nbformat.write(notebook, folder / "report.ipynb")
    cells = [c for c in notebook.cells if "template" not in c.metadata.get("tags", ())]
    (summary,) = (c for c in cells if "summary" in c.metadata.get("tags", ()))
    told = "".join(output.get("text", "") for output in summary.outputs)
    print(told, end="")
    title = printable(pictures.name)
    head = f"# {plain(title)}\n\nThe code that made this is in `report.ipynb`."
    page = {**notebook, "cells": [nbformat.v4.new_markdown_cell(head), summary]}
    page["cells"] += [cell for cell in cells if cell is not summary]
    html, _ = HTMLExporter(
        exclude_input=True, exclude_output_prompt=True, exclude_input_prompt=True
    ).from_notebook_node(nbformat.from_dict(page), {"metadata": {"name": title}})
    # Nothing here needs the scripts, some of which would come from other hosts.
    html = re.sub(r"(?s)<script\b.*?</script>", "", html)
    (folder / "report.html").write_text(html, encoding="utf-8")


def likeness(text):
    """The likeness that was asked for: a number, or None where none was. StoppedError."""
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = 0
    if not 0.5 <= value <= 1:  # False of NaN
        raise StoppedError(
            f"ALIKE={text} is no likeness: give a number from 0.5 to 1. At 0.95 and more two "
            "pictures count as one without it; at 1 only copies do."
        )
    return value


def kept(folder):
    """Where what is in a folder goes: its name with the next number."""
    found = (re.fullmatch(rf"{folder.name}-(\d+)", path.name) for path in folder.parent.iterdir())
    return folder.with_name(f"{folder.name}-{1 + max((int(f[1]) for f in found if f), default=0)}")


def stopped():
    """Where a run goes that ended with an error which the notebook does not know."""
    return BUILD / "mine-stopped.ipynb"


def shown(path):
    """A path as one would type it in the project's folder."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("PICTURES", ""))
    parser.add_argument(
        "--alike",
        default=os.environ.get("ALIKE", ""),
        help="likeness from which on two pictures count as one: 0.95, or 1 for copies only",
    )
    given = parser.parse_args()
    asked = given.folder
    if not os.path.lexists(os.path.expanduser(asked)):  # else its name has blanks at the ends
        asked = asked.strip()
    mine = BUILD / "mine"
    try:
        alike = likeness(given.alike.strip())
        if not asked:
            raise StoppedError(
                "Which pictures? Name a folder that holds one folder of pictures for each class, "
                "as in: make mine PICTURES=~/Pictures/pets"
            )
        with incoming(BUILD) as part:
            (part / "mine").mkdir()
            pictures = Path(asked).expanduser().absolute()
            report(run(pictures, part / "mine", alike), pictures, part / "mine")
            if os.path.lexists(mine):
                before = mine.rename(kept(mine))
                print(f"What was in {shown(mine)} is now in {shown(before)}.")
            (part / "mine").rename(mine)
            stopped().unlink(missing_ok=True)
    except (StoppedError, OSError, RuntimeError) as error:  # the last: no home of ~somebody
        for text in (error, *getattr(error, "__notes__", ())):
            print(printable(str(text)), file=sys.stderr)
        return 1
    except (KeyboardInterrupt, CancelledError):  # the latter while the kernel starts
        print("Stopped: nothing was changed.", file=sys.stderr)
        return 130
    print(f"All of it is in {shown(mine)}; read {shown(mine / 'report.html')} first.")
    print(f"As a page: make page MODEL={shown(mine / 'model.onnx')}")
    print('With pictures of yours to try on it: PAGE_ARGS="--samples ant.jpg bee.jpg" behind that')
    return 0


if __name__ == "__main__":
    sys.exit(main())
