"""Run notebooks from top to bottom and save their outputs.

python -m tools.record.run_lessons [FILE …]

Without files, all lessons. Each runs as a learner without a network would see it: with
no weights but those that come with the packages. Nothing is saved where a cell fails.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from safeguards.memory import FEW_ARENAS
from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def run(path):
    """Execute one notebook in its own folder and replace it, outputs and all, in one
    step."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        coalesce_streams=True,
    ).execute()
    # What depends on the machine that ran it, now or in an editor, does not belong in
    # the file.
    notebook.metadata["language_info"].pop("version", None)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    with atomic_write(path) as part:
        nbformat.write(notebook, part)


def alone(folder):
    """A machine without a network, as variables: an empty `folder` for Keras, a closed
    port; and what `make lab` sets for kernels."""
    closed = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return (
        dict.fromkeys(closed, "http://127.0.0.1:9")
        | dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
        | {"KERAS_HOME": str(folder)}
        | FEW_ARENAS
    )


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: every lesson")
    paths = [p.resolve() for p in parser.parse_args().notebooks] or sorted(
        NOTEBOOKS.glob("*.ipynb")
    )
    for name in (
        "TRANSFER_MODEL",
        "TRANSFER_WEIGHTS",
        "TRANSFER_PICTURES",
        "TRANSFER_ALIKE",
        "TRANSFER_TUNE",
    ):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as empty:
        # An empty Keras cache and a closed port: the outputs are those of a learner
        # offline.
        os.environ |= alone(empty)
        # A bar that nobody sees would be saved as it began, at 0 %.
        os.environ["TQDM_DISABLE"] = "1"
        os.environ["TRANSFER_PROGRESS"] = str(Path(empty) / "my_progress.jsonl")
        os.environ["TRANSFER_RESULTS"] = str(Path(empty) / "my_results")
        for path in paths:
            try:
                run(path)
            except CellExecutionError as error:
                print(f"{path.name}: {error}", file=sys.stderr)
                return 1
            print(f"{path.name}: done")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
