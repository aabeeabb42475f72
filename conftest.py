"""At the root, as it holds for tests and notebooks: no network, no weights, an empty
home.

pytest asks the conftest.py files above what it collects, and nbval collects from
notebooks/, so tests/conftest.py would not be heard there.
"""

import contextlib
import csv
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import psutil
import pytest
from nbval import kernel as nbval_kernel

from safeguards.memory import FEW_ARENAS

ROOT = Path(__file__).resolve().parent
NEEDS = ROOT / "docs" / "lesson_needs.tsv"
GROWN, ROOM, ENOUGH = (
    1.5,
    5,
    5,
)  # times what is recorded, CPU seconds, lessons to judge a machine by
CLOSED = "http://127.0.0.1:9"  # nothing listens there: a download fails at once
STARTS = 3  # of a lesson's kernel


def pytest_configure(config):
    """Make this process, and all it starts, a learner's machine without a network."""
    home = tempfile.TemporaryDirectory()
    config.add_cleanup(home.cleanup)
    # pyproject.toml names this file as seen from here; nbval looks for it from the
    # folder that pytest was started in.
    sanitize = config.getoption("nbval_sanitize_with")
    if sanitize and not Path(sanitize).exists():
        config.option.nbval_sanitize_with = str(ROOT / sanitize)
    # The font cache is the one thing kept: the set-up has built it inside the
    # environment.
    os.environ.setdefault("MPLCONFIGDIR", str(Path(sys.prefix) / "matplotlib"))
    unwanted = {"ALL_PROXY", "all_proxy", "TRANSFER_HOSTED", "TRANSFER_PICTURES"}
    unwanted |= {"TRANSFER_ALIKE", "ALIKE", "TRANSFER_TUNE", "TUNE"}
    if not config.getoption(
        "nbval_lax"
    ):  # what is compared was made with the shipped model
        unwanted |= {"TRANSFER_MODEL", "TRANSFER_WEIGHTS"}
    for name in unwanted:
        os.environ.pop(name, None)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        os.environ[name] = os.environ[name.lower()] = CLOSED
    os.environ["TRANSFER_PROGRESS"] = str(Path(home.name) / "my_progress.jsonl")
    os.environ["TRANSFER_RESULTS"] = str(Path(home.name) / "my_results")
    # Lessons run side by side here. The threads that OpenBLAS would start for small
    # matrices then wait for each other, for most of lesson 07's time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ |= FEW_ARENAS
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    for name in ("HOME", "USERPROFILE", "KERAS_HOME"):
        os.environ[name] = home.name
    # Pythons started from here, such as the lessons' kernels, stay on this machine: see
    # there. Not xdist's workers, which come through here themselves: pytest-socket
    # watches their tests.
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        os.environ["PYTHONPATH"] = str(ROOT / "tests" / "support" / "guard")
        os.environ["GUARD_LOG"] = str(Path(home.name) / "guard.log")


def started(start=nbval_kernel.start_new_kernel):
    """nbval's function that starts a kernel, but for one that dies before its first
    word.

    Its ports were free when they were chosen, and a second later, when it opens them,
    they may be another worker's. Nothing of the lesson has run by then."""

    def start_new_kernel(*arguments, **named):
        for _ in range(STARTS - 1):
            with contextlib.suppress(RuntimeError):
                return start(*arguments, **named)
        return start(*arguments, **named)

    return start_new_kernel


nbval_kernel.start_new_kernel = started()


def pytest_report_header():
    """Whether the machine could be left at all."""
    return (
        "network: "
        f"{'none but loopback' if os.environ.get('OFFLINE') else 'not cut off'}"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """A lesson's kernel, which the set-up of its first cell starts, shows no progress
    bars, as when the outputs were saved (tools/record/run_lessons.py)."""
    if item.path.suffix != ".ipynb":
        return (yield)
    os.environ["TQDM_DISABLE"] = "1"
    try:
        return (yield)
    finally:
        del os.environ["TQDM_DISABLE"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail a lesson's cell that tried to leave the machine, whatever the cell made of
    it. What other tests start may try: it is stopped, and no cell's fault."""
    report = yield
    with contextlib.suppress(FileNotFoundError):
        log = Path(os.environ["GUARD_LOG"])
        tried = log.read_text(encoding="utf-8")
        log.unlink()
        if item.path.suffix == ".ipynb" and call.when == "call":
            report.outcome, report.longrepr = (
                "failed",
                f"Tried to leave this machine:\n{tried}",
            )
    return report


# -- what lessons may cost -------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item, nextitem):
    """Note what a lesson has cost the processor, after its last cell, before its kernel
    goes."""
    last = nextitem is None or nextitem.parent is not item.parent
    if last and item.path.match("notebooks/[0-9][0-9]_*.ipynb"):
        kernel = item.parent.kernel
        if kernel and kernel.is_alive():
            times = psutil.Process(kernel.km.provisioner.pid).cpu_times()
            # its own, and of what it started; what follows is no work
            item.user_properties.append(("CPU seconds", sum(times[:4])))


def spent(reporter):
    """What the lessons of this run have cost: {number: CPU seconds}."""
    return {
        Path(report.nodeid.partition("::")[0]).name[:2]: value
        for report in reporter.getreports("")
        for name, value in report.user_properties
        if name == "CPU seconds" and report.when == "teardown"
    }


def budgets():
    """What tools/record/measure_lessons.py has recorded: {number: CPU seconds}."""
    with NEEDS.open(encoding="utf-8", newline="") as file:
        next(file)  # where it is from
        rows = csv.DictReader(file, delimiter="\t")
        return {row["lesson"]: float(row["cpu_seconds"]) for row in rows}


def overdrawn(spent, budgets):
    """What to say of lessons that have grown by more than half, and some seconds:
    {number: CPU seconds}, twice → texts. Another machine is faster or slower at all
    lessons, so the median lesson sets the scale; with few lessons nothing can be
    said."""
    known = spent.keys() & budgets.keys()
    if len(known) < ENOUGH:
        return []
    scale = median(spent[lesson] / budgets[lesson] for lesson in known)
    return [
        f"Lesson {lesson} takes {spent[lesson]:.0f} CPU seconds; by what is recorded "
        f"it should be {scale * budgets[lesson]:.0f} here. Make it cheaper, or, if it "
        "is worth that, record anew: python -m tools.record.measure_lessons --record"
        for lesson in sorted(known)
        if spent[lesson] > scale * (GROWN * budgets[lesson] + ROOM)
    ]


def pytest_sessionfinish(session):
    """Fail a run in which a lesson has grown."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    right = reporter and session.exitstatus == pytest.ExitCode.OK
    if right and (found := spent(reporter)) and overdrawn(found, budgets()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    """Say what the lessons have cost, and which of them too much."""
    if found := spent(terminalreporter):
        costs = ", ".join(
            f"{lesson} {seconds:.0f}" for lesson, seconds in sorted(found.items())
        )
        terminalreporter.write_line(f"CPU seconds of the lessons: {costs}")
        for text in overdrawn(found, budgets()):
            terminalreporter.write_line(text, red=True)
