"""Measure what each lesson needs of a computer.

python -m tools.record.measure_lessons [--record] [FILE …]

Each lesson runs from top to bottom in a kernel of its own, as for a learner without a
network: no weights but those that come with the packages, empty caches. Peak memory is
the most that the kernel ever held (its libraries among it), as the operating system
counts it, and the most that was seen, five times a second, in the programs that the
lesson started beside it. Seconds depend on the computer and on what else it does; those
of the processor less so. With --record, docs/lesson_needs.tsv and the table in
docs/teaching.md are written anew; that takes all lessons. Linux and macOS.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import platform
import sys
import tempfile
import threading
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient

from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write
from tools.record.run_lessons import alone

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "docs" / "lesson_needs.tsv"
GUIDE = ROOT / "docs" / "teaching.md"
COLUMNS = ("lesson", "seconds", "cpu_seconds", "kernel_mb", "beside_mb", "files_mb")
# Asked of the kernel after the last cell: its peak, and the processor's seconds of it
# and of what it started. (The peak of what it started is no use: a new process starts
# with its parent's.)
ASK = """
import json, resource
own, beside = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps([own.ru_maxrss, \
sum(u.ru_utime + u.ru_stime for u in (own, beside))]))"""
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in one of ru_maxrss


class Beside(threading.Thread):
    """Watches what the programs started by a kernel hold together: `peak`, in bytes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.over = 0, threading.Event()

    def run(self):
        while not self.over.wait(0.2):
            for kernel in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    # Before it becomes another program, a new process looks like its
                    # parent.
                    begun = [
                        p
                        for p in kernel.children(recursive=True)
                        if p.cmdline() != kernel.cmdline()
                    ]
                    held = sum(p.memory_full_info().uss for p in begun)
                    self.peak = max(self.peak, held)


def run(path):
    """Run one notebook, which stays as it is → a row, {column: text}.
    CellExecutionError where a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(ASK))
    with tempfile.TemporaryDirectory() as kept:
        os.environ |= alone(kept) | {"TRANSFER_CACHE": kept}
        os.environ["TRANSFER_PROGRESS"] = str(Path(kept) / "progress.jsonl")
        beside, start = Beside(), time.perf_counter()
        beside.start()
        NotebookClient(
            notebook,
            timeout=3600,  # on a busy machine, too
            kernel_name="python3",
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            resources={"metadata": {"path": str(path.parent)}},
        ).execute()
        seconds = time.perf_counter() - start
        beside.over.set()
        beside.join()
        files = sum(p.stat().st_size for p in Path(kept).rglob("*") if p.is_file())
    kernel, cpu = json.loads(notebook.cells[-1].outputs[0].text)
    figures = (
        f"{seconds:.0f}",
        f"{cpu:.0f}",
        f"{kernel * UNIT / 1e6:.0f}",
        f"{beside.peak / 1e6:.0f}",
        f"{files / 1e6:.1f}",
    )
    return dict(zip(COLUMNS, (path.stem[:2], *figures), strict=True))


def machine():
    """What recorded figures belong to, in a line."""
    return (
        f"{date.today()}, {platform.system()} {platform.machine()}, "
        f"{psutil.cpu_count()} processor cores shared with other work, "
        f"{psutil.virtual_memory().total / 1e9:.0f} GB of memory, Python "
        f"{platform.python_version()}, tensorflow {version('tensorflow')}"
    )


def record(table, tool, rows):
    """Write rows, dicts with the same keys, to a TSV file whose first line says where
    they are from, and as a table into the guide, between the comments that name the
    file. The files are replaced whole."""
    said = f"Recorded by {tool}: {machine()}"
    text = GUIDE.read_text(encoding="utf-8")
    start, end = f"<!-- {table.name} -->\n", f"<!-- end of {table.name} -->"
    (before, rest), columns = text.split(start), list(rows[0])
    cells = [
        [name.replace("_", " ") for name in columns],
        ["---"] + ["---:"] * (len(columns) - 1),
    ]
    cells += [[*row.values()] for row in rows]
    lines = [f"| {' | '.join(line)} |" for line in cells]
    new = "\n".join([f"{said}.", "", *lines, ""])
    text = before + start + "\n" + new + "\n" + end + rest.split(end)[1]
    with io.StringIO(newline="") as out:
        out.write(f"# {said}\n")
        writer = csv.DictWriter(out, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        texts = {table: out.getvalue(), GUIDE: text}
    for path, new in texts.items():
        with atomic_write(path) as part:
            part.write_text(new, encoding="utf-8", newline="\n")


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: every lesson")
    parser.add_argument(
        "--record", action="store_true", help="write down what was measured"
    )
    asked = parser.parse_args()
    if asked.record and asked.notebooks:
        parser.error("--record takes all lessons: leave out the files")
    for name in ("TRANSFER_MODEL", "TRANSFER_WEIGHTS"):
        os.environ.pop(name, None)
    rows = []
    print("\t".join(COLUMNS))
    for path in asked.notebooks or sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        rows.append(run(path.resolve()))
        print("\t".join(rows[-1].values()), flush=True)
    if asked.record:
        record(RECORDED, "tools/record/measure_lessons.py", rows)
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
