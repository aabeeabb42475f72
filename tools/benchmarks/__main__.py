"""Every benchmark in turn, into RESULTS.md and charts: make bench, or python -m
tools.benchmarks.

python -m tools.benchmarks [--quick] [--out FOLDER]

Figures are ratios of two things that took turns in one run, so that they mean something
on another machine. Leave the machine alone meanwhile. Nothing is written before all is
measured; an earlier RESULTS.md stays until then.
"""

import argparse
import os
import platform
import sys
import time
from contextlib import suppress
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psutil

from helpers.models import ROOT
from safeguards.printing import run_tool
from safeguards.whole_files import temporary_folder_in
from tools.benchmarks import (
    folder,
    more_classes,
    more_pictures,
    one_picture,
    runtimes,
    suite_time,
    transfer_recipe,
)
from tools.benchmarks.report import write

PARTS = (
    transfer_recipe,
    folder,
    one_picture,
    more_pictures,
    more_classes,
    runtimes,
    suite_time,
)
PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "scikit-learn",
    "onnxruntime",
    "ai-edge-litert",
)
TOP = """# Benchmarks: the last run

Written by `make bench`{quick}; what is compared, and how, is in [tools/benchmarks/](.).

{when}, {minutes:.0f} minutes. {machine}; load before: {load}. {versions}.

Every time is a ratio to another that took turns with it in the same run, \
so it means something on
other machines, too: the median of n rounds, in brackets the middle half of them."""


def machine():
    """Processor, cores, memory and system, in words."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):  # on Linux, it has a name
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = [
            line.partition(":")[2].strip()
            for line in lines
            if line.startswith("model name")
        ]
        name = " ".join(named[:1]) or name
    cores, memory = os.cpu_count(), psutil.virtual_memory().total / 1e9
    return f"{name}, {cores} cores, {memory:.0f} GB of memory, {platform.system()}"


def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmarks", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="try all, on a toy; measures nothing"
    )
    parser.add_argument(
        "--out", type=Path, help="a folder, else tools/benchmarks (quick: build/…)"
    )
    options = parser.parse_args(arguments)
    out = options.out or ROOT / (
        "build/benchmarks" if options.quick else "tools/benchmarks"
    )
    with temporary_folder_in(out):
        # raises now, not after half an hour, if nothing can be written there
        pass
    load, start, parts = psutil.getloadavg()[0], time.perf_counter(), {}
    for module in PARTS:
        name = module.__name__.rpartition(".")[2]
        print(f"{(time.perf_counter() - start) / 60:5.1f} min  {name}", flush=True)
        parts[name] = module.measure(options.quick)
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    top = TOP.format(
        quick=" --quick on a toy: the figures mean nothing" if options.quick else "",
        when=date.today(),
        minutes=(time.perf_counter() - start) / 60,
        machine=machine(),
        load=f"{load:.1f}",
        versions=f"Python {platform.python_version()}, {versions}",
    )
    write(parts, top, out)
    print(f"{(time.perf_counter() - start) / 60:5.1f} min  {out / 'RESULTS.md'}")


if __name__ == "__main__":
    sys.exit(run_tool(main))
