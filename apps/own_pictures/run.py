"""Run the template notebook on somebody's pictures, and make a report of the run."""

import atexit
import copy
import re

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter

from apps.own_pictures import keep
from apps.own_pictures.kernel import NOTEBOOK, StoppedError
from safeguards.text import plain, printable
from safeguards.whole_files import atomic_write

TUNING = "Fine-tune, if it pays"
PANEL = "application/vnd.jupyter.widget-view+json"
LABELS = """# Are these labels wrong?

Click into the grey box below, then press Shift+Enter. That runs the lines in it, and
shows the pictures whose label was contradicted, the surest first. Each decision is kept
at once, in `my_corrections.csv`; your pictures stay as they are. Then make the
classifier again, by the same command as before: it uses your decisions, and says what
they changed."""
# Lines are broken, and between words: else a phone would cut them off.
STYLE = (
    "<style>pre { white-space: pre-wrap !important; word-break: normal !important }"
    "</style>"
)
LASTING = {  # sections that may take long: {heading: how long, about}
    "Learn": "some ten seconds, or more with many pictures",
    "Export": "half a minute",
}


class _Client(NotebookClient):
    """Runs a notebook; what cells tagged "live" print is printed here too, at once."""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream" and _has_tag(cell, "live"):
            print(msg["content"]["text"], end="", flush=True)
        return super().process_message(msg, cell, cell_index)


def run(kernel, rest, tune=False):
    """Run the notebook in a kernel, which ends with it → the notebook.

    kernel: as from `apps.own_pictures.kernel.started`; rest: a path for the run so far
    where it stops with an error that the notebook doesn't know; tune: whether it tries
    fine-tuning, and says so. Raises a StoppedError."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = _Client(
        notebook,
        km=kernel,
        timeout=None,
        coalesce_streams=True,
        shutdown_kernel="immediate",  # it has written all; TensorFlow takes 2 s to end
        skip_cells_with_tag="template",  # what you do in the notebook itself
        on_cell_start=_heading_printer(notebook, () if tune else (TUNING,)),
    )
    try:
        client.execute(cleanup_kc=True)
    except (CellExecutionError, DeadKernelError, AssertionError) as error:
        # After Ctrl-C nbclient's own handler closes the kernel, then stumbles over
        # that.
        if hasattr(client, "_async_cleanup_kernel_future"):
            raise KeyboardInterrupt from None
        raise StoppedError(reason(error, notebook, rest)) from error
    except RuntimeError as error:
        # nbclient would clean up again when Python ends, and stumble.
        atexit.unregister(client._cleanup_kernel)
        raise StoppedError(
            f"Python did not start for the notebook ({error}). That can happen once: "
            "run the command again."
        ) from error
    _make_readable_elsewhere(notebook)
    return notebook


def _heading_printer(notebook, without):
    """A function that prints a section's heading when its first code cell starts, but
    for some headings."""
    headings = {}  # of the section that a cell is in
    for i, cell in enumerate(notebook.cells):
        source = cell.source if cell.cell_type == "markdown" else ""
        own_headings = re.findall(r"(?m)^#+ (.*)", source)
        headings[i] = own_headings[-1] if own_headings else headings[i - 1]
    printed = set(without)

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


def reason(error, notebook, rest):
    """Why a run stopped, in a line.

    The run so far is kept at the path `rest` where the line may not be enough."""
    if isinstance(error, DeadKernelError):
        return (
            "Python ended while it computed, mostly for want of memory: close other "
            "programs, or make smaller copies of the pictures."
        )
    if getattr(error, "ename", "") == "DataError":  # says all there is to say
        return error.evalue
    with atomic_write(rest) as draft:
        nbformat.write(notebook, draft)
    name = getattr(error, "ename", type(error).__name__)
    text = getattr(error, "evalue", str(error))
    line = " ".join(text.split())
    file = keep.shown_path(rest)
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
        "# Details\n\nFor whoever wants to know more. You can stop reading here. The "
        "code that made all this is in `report.ipynb`."
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
    html = html.replace("</head>", f"{STYLE}</head>", 1)
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
