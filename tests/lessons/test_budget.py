"""What a lesson may cost: a run of all lessons fails when one has grown by more than
half. What each has cost is noted in that same run, by conftest.py above; `run` in
test_notebooks holds it."""

import importlib.util
from types import SimpleNamespace

import pytest
from lessons import LESSONS, NOTEBOOKS

spec = importlib.util.spec_from_file_location(
    "whole_run", NOTEBOOKS.parent / "conftest.py"
)
whole_run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(whole_run)

BUDGETS = {
    "00": 7.0,
    "01": 9.0,
    "02": 15.0,
    "03": 5.0,
    "04": 4.0,
    "05": 120.0,
    "06": 110.0,
}


def times(factor, **changed):
    return {lesson: factor * seconds for lesson, seconds in BUDGETS.items()} | changed


def test_every_lesson_has_a_budget():
    assert [*whole_run.budgets()] == [path.stem[:2] for path in LESSONS]
    assert all(seconds > 0 for seconds in whole_run.budgets().values())


@pytest.mark.parametrize("factor", [0.2, 1, 4])
def test_a_lesson_that_has_grown_is_named_on_any_machine(factor):
    assert whole_run.overdrawn(times(factor), BUDGETS) == []
    within = times(factor, **{"05": factor * 170, "04": factor * 10})
    assert whole_run.overdrawn(within, BUDGETS) == []
    grown = times(factor, **{"05": factor * 190, "04": factor * 12})
    first, second = whole_run.overdrawn(grown, BUDGETS)
    assert first.startswith(f"Lesson 04 takes {factor * 12:.0f} CPU seconds")
    assert f"should be {factor * 120:.0f} here" in second


def test_a_few_lessons_say_nothing_of_a_machine():
    some = {lesson: 90 * seconds for lesson, seconds in [*BUDGETS.items()][:3]}
    assert whole_run.overdrawn(some, BUDGETS) == []
    assert whole_run.overdrawn({}, BUDGETS) == []
    assert whole_run.overdrawn(times(1, **{"99": 1000.0}), BUDGETS) == [], (
        "without a budget"
    )


class Reporter:
    """A run of lessons, as pytest's terminal reporter knows it."""

    def __init__(self, seconds):
        self.lines = []
        self.reports = [
            SimpleNamespace(
                nodeid=f"notebooks/{lesson}_x.ipynb::Cell {cell}",
                when=when,
                # as they come from another process
                user_properties=[["CPU seconds", own]]
                if (cell, when) == (1, "teardown")
                else [],
            )
            for lesson, own in seconds.items()
            for cell in (0, 1)
            for when in ("setup", "teardown")
        ]

    def getreports(self, name):
        return self.reports if name == "" else []

    def write_line(self, text, **_):
        self.lines.append(text)


@pytest.mark.parametrize("before", [pytest.ExitCode.OK, pytest.ExitCode.INTERRUPTED])
@pytest.mark.parametrize("grown", [False, True])
def test_the_run_fails_and_says_why(grown, before, monkeypatch):
    monkeypatch.setattr(whole_run, "budgets", lambda: BUDGETS)
    reporter = Reporter(times(2, **({"06": 500.0} if grown else {})))
    manager = SimpleNamespace(get_plugin=lambda name: reporter)
    session = SimpleNamespace(
        config=SimpleNamespace(pluginmanager=manager), exitstatus=before
    )
    whole_run.pytest_sessionfinish(session)
    fails = grown and before == pytest.ExitCode.OK
    assert session.exitstatus == (pytest.ExitCode.TESTS_FAILED if fails else before)
    whole_run.pytest_terminal_summary(reporter)
    assert reporter.lines[0].startswith("CPU seconds of the lessons: 00 14, 01 18, ")
    assert [line.startswith("Lesson 06 takes 500") for line in reporter.lines[1:]] == [
        True
    ] * grown


def test_a_worker_leaves_the_verdict_to_who_started_it():
    manager = SimpleNamespace(get_plugin=lambda name: None)
    session = SimpleNamespace(
        config=SimpleNamespace(pluginmanager=manager), exitstatus=0
    )
    whole_run.pytest_sessionfinish(session)
    assert session.exitstatus == 0


def test_without_lessons_nothing_is_said():
    reporter = Reporter({})
    whole_run.pytest_terminal_summary(reporter)
    assert reporter.lines == []
