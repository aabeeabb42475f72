"""What holds for every test: no network, no weights, an empty home, and no silent skips."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from lessons import LESSONS, code_cells, exempt

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
CLOSED = "http://127.0.0.1:9"  # nothing listens there: a download fails at once


def pytest_configure(config):
    """Make this process, and all it starts, a learner's machine without a network."""
    home = tempfile.TemporaryDirectory()
    config.add_cleanup(home.cleanup)
    # The font cache is the one thing kept: the set-up has built it inside the environment.
    os.environ.setdefault("MPLCONFIGDIR", str(Path(sys.prefix) / "matplotlib"))
    for name in ("TRANSFER_MODEL", "TRANSFER_WEIGHTS", "ALL_PROXY", "all_proxy"):
        os.environ.pop(name, None)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        os.environ[name] = os.environ[name.lower()] = CLOSED
    os.environ["TRANSFER_PROGRESS"] = str(Path(home.name) / "progress.jsonl")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    for name in ("HOME", "USERPROFILE", "KERAS_HOME"):
        os.environ[name] = home.name


def pytest_report_header():
    """How much of the lessons is not compared with what is committed."""
    cells = [cell for lesson in LESSONS for cell in code_cells(lesson)]
    return (
        f"lessons: {len(LESSONS)}, code cells: {len(cells)}, "
        f"exempt from comparison: {sum(map(exempt, cells))}"
    )


def pytest_terminal_summary(terminalreporter):
    """Print what tests measured, which is no matter of right or wrong: their `record_property`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture(scope="session")
def shared_data():
    """The folder of test material beside the checkout. Tests that ask for it are skipped without
    it, and a skip of any kind is a failure where it is there."""
    if not SHARED.is_dir():
        pytest.skip("needs real weights and photographs in ../shared/data, which is not here")
    return SHARED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Turn a skip into a failure where the material for the test is present."""
    report = yield
    if report.skipped and "shared_data" in item.fixturenames and SHARED.is_dir():
        report.outcome = "failed"
        report.longrepr = f"Skipped although {SHARED} is there: {report.longrepr[-1]}"
    return report
