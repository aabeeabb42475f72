"""What the tests share: what was measured is printed, and nothing is skipped in
silence."""

from pathlib import Path

import pytest
from lessons import LESSONS, code_cells, exempt

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


def pytest_report_header():
    """How much of the lessons is not compared with what is committed."""
    cells = [cell for lesson in LESSONS for cell in code_cells(lesson)]
    return (
        f"lessons: {len(LESSONS)}, code cells: {len(cells)}, "
        f"exempt from comparison: {sum(map(exempt, cells))}"
    )


def pytest_terminal_summary(terminalreporter):
    """Print what tests measured, which is no matter of right or wrong: their
    `record_property`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
def record_property(record_property):
    """pytest's own, for whatever can be printed: xdist's workers can't send NumPy's
    numbers, and one that tries ends the whole run."""
    return lambda name, value: record_property(name, str(value))


@pytest.fixture(scope="session")
def shared_data():
    """The folder of test material beside the checkout. Tests that ask for it are
    skipped without it, and a skip of any kind is a failure where it is there."""
    if not SHARED.is_dir():
        pytest.skip(
            "needs real weights and photographs in ../shared/data, which is not here"
        )
    return SHARED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Turn a skip into a failure where the material for the test is present."""
    report = yield
    if report.skipped and "shared_data" in item.fixturenames and SHARED.is_dir():
        report.outcome = "failed"
        report.longrepr = f"Skipped although {SHARED} is there: {report.longrepr[-1]}"
    return report
