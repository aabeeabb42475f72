"""What holds for every test and every lesson run as one: no network, no weights, an empty home."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
CLOSED = "http://127.0.0.1:9"  # nothing listens there: a download fails at once


def pytest_configure(config):
    """Make this process, and all it starts, a learner's machine without a network."""
    home = tempfile.TemporaryDirectory()
    config.add_cleanup(home.cleanup)
    # The font cache is the one thing kept: the set-up has built it inside the environment.
    os.environ.setdefault("MPLCONFIGDIR", str(Path(sys.prefix) / "matplotlib"))
    unwanted = {"ALL_PROXY", "all_proxy", "TRANSFER_HOSTED", "TRANSFER_PICTURES"}
    if not config.getoption("nbval_lax"):  # what is compared was made with the shipped model
        unwanted |= {"TRANSFER_MODEL", "TRANSFER_WEIGHTS"}
    for name in unwanted:
        os.environ.pop(name, None)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        os.environ[name] = os.environ[name.lower()] = CLOSED
    os.environ["TRANSFER_PROGRESS"] = str(Path(home.name) / "my_progress.jsonl")
    os.environ["TRANSFER_RESULTS"] = str(Path(home.name) / "my_results")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    for name in ("HOME", "USERPROFILE", "KERAS_HOME"):
        os.environ[name] = home.name
    # Pythons started from here, such as the lessons' kernels, stay on this machine: see there. Not
    # xdist's workers, which come through here themselves: pytest-socket watches their tests.
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        os.environ["PYTHONPATH"] = str(ROOT / "tests" / "guard")
        os.environ["GUARD_LOG"] = str(Path(home.name) / "guard.log")


def pytest_report_header():
    """Whether the machine could be left at all."""
    return f"network: {'none but loopback' if os.environ.get('OFFLINE') else 'not cut off'}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail a lesson's cell that tried to leave the machine, whatever the cell made of it. What
    other tests start may try: it is stopped, and no cell's fault."""
    report = yield
    with contextlib.suppress(FileNotFoundError):
        log = Path(os.environ["GUARD_LOG"])
        tried = log.read_text(encoding="utf-8")
        log.unlink()
        if item.path.suffix == ".ipynb" and call.when == "call":
            report.outcome, report.longrepr = "failed", f"Tried to leave this machine:\n{tried}"
    return report
