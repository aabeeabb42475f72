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
import copy
import os
import re
import sys
from asyncio import CancelledError
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter

from apps.own_pictures import keep
from safeguards.folders import as_meant
from safeguards.memory import FEW_ARENAS
from safeguards.printing import INTERRUPTED, run_tool
from safeguards.text import plain, printable
from safeguards.whole_files import atomic_write, temporary_folder_in

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "your_own_pictures.ipynb"
BUILD = ROOT / "build"
PANEL = "application/vnd.jupyter.widget-view+json"
# TensorFlow takes seconds to import: it does so while pictures are looked through.
AHEAD = (
    "import threading; "
    "threading.Thread(target=lambda: __import__('helpers').keras, daemon=True).start()"
)
LABELS = """# Are these labels wrong?

Run the cell below (Shift+Enter). It shows the pictures whose label was contradicted,
the surest first. Each decision is kept at once, in `my_corrections.csv`; your pictures
stay as they are. Then make the classifier again, by the same command as before: it uses
your decisions, and says what they changed."""
LASTING = {  # sections that may take long: {heading: how long, about}
    "Learn": "some ten seconds, or more with many pictures",
    "Export": "half a minute",
}


class StoppedError(Exception):
    """The notebook did not come to its end; says why in a line."""


class _Client(NotebookClient):
    """Runs a notebook; what cells tagged "live" print is printed here too, at once."""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream" and _has_tag(cell, "live"):
            print(msg["content"]["text"], end="", flush=True)
        return super().process_message(msg, cell, cell_index)


def run(folder, results, alike=None, tune=False):
    """Run the notebook on a folder of pictures; it writes into `results` → the
    notebook.

    alike: from which likeness on two pictures count as one; None for the notebook's
    own; tune: whether to try fine-tuning. Raises a StoppedError."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = _Client(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=[
            "--IPKernelApp.log_level=CRITICAL",
            f"--IPKernelApp.exec_lines={AHEAD}",
        ],
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        coalesce_streams=True,
        shutdown_kernel="immediate",  # it has written all; TensorFlow takes 2 s to end
        skip_cells_with_tag="template",  # what you do in the notebook itself
        on_cell_start=_heading_printer(notebook),
    )
    environment = {
        **os.environ,
        **FEW_ARENAS,
        "TRANSFER_PICTURES": str(folder),
        "TRANSFER_RESULTS": str(results),
        "TRANSFER_ALIKE": "" if alike is None else str(alike),
        "TRANSFER_TUNE": "1" if tune else "",
    }
    try:
        client.execute(env=environment)
    except (CellExecutionError, DeadKernelError, AssertionError) as error:
        # After Ctrl-C nbclient's own handler closes the kernel, then stumbles over
        # that.
        if hasattr(client, "_async_cleanup_kernel_future"):
            raise KeyboardInterrupt from None
        raise StoppedError(reason(error, notebook)) from error
    except RuntimeError as error:
        raise StoppedError(
            f"Python did not start for the notebook ({error}). That can happen once: "
            "run the command again."
        ) from error
    _make_readable_elsewhere(notebook)
    return notebook


def _heading_printer(notebook):
    """A function that prints a section's heading when its first code cell starts."""
    headings = {}  # of the section that a cell is in
    for i, cell in enumerate(notebook.cells):
        source = cell.source if cell.cell_type == "markdown" else ""
        own_headings = re.findall(r"(?m)^#+ (.*)", source)
        headings[i] = own_headings[-1] if own_headings else headings[i - 1]
    printed = set()

    def print_heading(cell, cell_index):
        heading = headings[cell_index]
        skipped = cell.cell_type != "code" or _has_tag(cell, "template")
        if not skipped and heading not in printed:
            printed.add(heading)
            how_long = f" ({LASTING[heading]})" if heading in LASTING else ""
            print(f"{heading} …{how_long}", flush=True)

    return print_heading


def _make_readable_elsewhere(notebook):
    """Take out of a notebook what needs a kernel, or the project's other files."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # panels need a running notebook
            cell.outputs = [
                output for output in cell.outputs if PANEL not in output.get("data", {})
            ]
        if cell.cell_type == "markdown":  # only the text of links within the project
            local_link = r"\[([^\]]*)\]\((?!\w+:)[^)]*\)"
            cell.source = re.sub(local_link, r"\1", cell.source)


def reason(error, notebook):
    """Why a run stopped, in a line.

    The run so far is kept where the line may not be enough."""
    if isinstance(error, DeadKernelError):
        return (
            "Python ended while it computed, mostly for want of memory: close other "
            "programs, or make smaller copies of the pictures."
        )
    if getattr(error, "ename", "") == "DataError":  # says all there is to say
        return error.evalue
    with atomic_write(stopped_run()) as draft:
        nbformat.write(notebook, draft)
    name = getattr(error, "ename", type(error).__name__)
    text = getattr(error, "evalue", str(error))
    line = " ".join(text.split())
    file = shown_path(stopped_run())
    return f"It stopped with {name}: {line} The run so far is in {file}."


def report(notebook, pictures, folder):
    """Write the run as a notebook and as a page to read; returns its summary as text.

    The notebook goes on from here: it names the folder, the choices and its own place
    for results. The page needs nothing else. It begins with its first page for somebody
    who has to decide and with what to do next. It has no instructions for the notebook,
    no code of it, and no section in which there's nothing. pictures: the path of the
    folder it was run on."""
    _write_notebook(notebook, folder)
    cells = [cell for cell in notebook.cells if not _has_tag(cell, "template")]
    (summary,) = (cell for cell in cells if _has_tag(cell, "summary"))
    text = "".join(output.get("text", "") for output in summary.outputs)
    summary.outputs = [output for output in summary.outputs if "text" not in output]
    title = printable(pictures.name)
    head = nbformat.v4.new_markdown_cell(f"# {plain(title)}")
    details = nbformat.v4.new_markdown_cell(
        "# Details\n\nThe code that made all this is in `report.ipynb`."
    )
    first = [head, summary, *(cell for cell in cells if _has_tag(cell, "next"))]
    rest = _without_empty_sections(cell for cell in cells if cell not in first)
    page = nbformat.from_dict({**notebook, "cells": [*first, details, *rest]})
    exporter = HTMLExporter(
        exclude_input=True,
        exclude_output_prompt=True,
        exclude_input_prompt=True,
    )
    html, _ = exporter.from_notebook_node(page, {"metadata": {"name": title}})
    # Nothing here needs the scripts, some of which would come from other hosts.
    html = re.sub(r"(?s)<script\b.*?</script>", "", html)
    (folder / "report.html").write_text(html, encoding="utf-8")
    return text


def _write_notebook(notebook, folder):
    """Write report.ipynb, which works in its own folder as it did in its first run, and
    labels.ipynb, which opens the panel for suspected labels."""
    settings = keep.read_settings(folder)
    written = copy.deepcopy(notebook)
    (parameters,) = (cell for cell in written.cells if _has_tag(cell, "parameters"))
    parameters.source = "\n".join(
        [
            "from pathlib import Path",
            "",
            f"folder = {settings.pictures!r}",
            f"model_name = {settings.network!r}",
            'results = Path(".")  # beside this notebook',
            f"likeness = {settings.likeness!r}",
            f"try_tuning = {settings.tune!r}",
        ]
    )
    nbformat.write(written, folder / "report.ipynb")
    panel = nbformat.v4.new_notebook(metadata=notebook.metadata)
    panel.cells = [
        nbformat.v4.new_markdown_cell(LABELS),
        nbformat.v4.new_code_cell(
            "from apps.own_pictures.keep import labels_panel\n\n"
            'labels_panel(".")  # what the run in this folder suspected'
        ),
    ]
    nbformat.write(panel, folder / "labels.ipynb")


def _without_empty_sections(cells):
    """Cells without the sections whose code put nothing out."""
    sections = []
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            sections.append([])
        if not sections:
            sections.append([])
        sections[-1].append(cell)
    kept = []
    for section in sections:
        outputs = [cell.outputs for cell in section if cell.cell_type == "code"]
        if not outputs or any(outputs):
            kept += section
    return kept


def _has_tag(cell, tag):
    return tag in cell.metadata.get("tags", ())


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


def next_numbered(folder):
    """Where earlier results in a folder go: its name with the next number."""
    latest = 0
    for path in folder.parent.iterdir():
        match = re.fullmatch(rf"{folder.name}-(\d+)", path.name)
        if match:
            latest = max(latest, int(match[1]))
    return folder.with_name(f"{folder.name}-{latest + 1}")


def stopped_run():
    """The path of a run that ended with an error which the notebook doesn't know."""
    return BUILD / "mine-stopped.ipynb"


def shown_path(path):
    """A path as you would type it in the project's folder."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


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
            print(f"Decisions on labels are carried over from {shown_path(mine)}.")
        # Nobody should wonder why nothing happens.
        print(
            "Python and the network start, up to half a minute. A few hundred pictures "
            "take a minute or two.",
            flush=True,
        )
        notebook = run(pictures, results, alike, tune)
        summary = report(notebook, pictures, results)
        if os.path.lexists(mine):
            earlier = mine.rename(next_numbered(mine))
        results.rename(mine)
        stopped_run().unlink(missing_ok=True)
    print(summary, end="")
    if earlier:
        print(f"What was in {shown_path(mine)} is now in {shown_path(earlier)}.")
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
    page = shown_path(mine / "report.html")
    model = shown_path(mine / "model.onnx")
    print(f"Read {page} first.")
    if (mine / keep.SUSPECTS).stat().st_size:
        labels = shown_path(mine / "labels.ipynb")
        print(f"Decide on labels: make labels, or open {labels}")
    print(f"As a page for others: make page MODEL={model}")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
