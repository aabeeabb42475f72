"""The canary: what it makes of failing tests, with stand-ins for pip and the index."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load():
    """The tool as a module, a new one each time."""
    spec = importlib.util.spec_from_file_location(
        "canary", ROOT / "tools" / "setup" / "canary.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def canary(monkeypatch):
    """The tool, in an environment whose packages are a dictionary; c 2, which a brings
    along where all is renewed, breaks one test."""
    module = load()
    locked, newest = {"a": "1", "b": "1", "c": "1"}, {"a": "2", "b": "1", "c": "2"}
    here = dict(locked)

    def pip(*arguments, check=True):
        if "--require-hashes" in arguments:
            here.update(locked)
        for argument in arguments:
            name = argument.split(">")[0]
            if name == "never":
                return False, "…\nERROR: no such thing"
            if name in newest:
                here[name] = newest[name]
            if name == "a" and "eager" in arguments:
                here["c"] = newest["c"]
        return True, ""

    ran = []

    def failures(tests):
        ran.append(list(tests))
        return {"tests/test_x.py::test_c"} if here["c"] == "2" else set()

    monkeypatch.setattr(module, "pip", pip)
    monkeypatch.setattr(module, "versions", lambda: dict(here))
    monkeypatch.setattr(module, "failures", failures)
    module.ran = ran
    return module


def test_names_the_package_that_breaks_a_test(canary, capsys):
    assert not canary.try_out("Newest", ["a>=1,<3", "b>=1,<3", "c>=1,<3"], [])
    printed = capsys.readouterr().out
    assert "2 packages differ" in printed
    assert "c 1 → 2" in printed
    assert "broken by: c\n" in printed
    # All tests once, then for each renewed package only the file that failed.
    assert canary.ran == [[], ["tests/test_x.py"], ["tests/test_x.py"]]


def test_says_so_where_nothing_breaks(canary, capsys):
    assert canary.try_out("Newest", ["b>=1,<3"], [])
    assert "0 packages differ from the lock\n  all passed" in capsys.readouterr().out
    assert canary.ran == []


def test_names_a_package_that_only_others_bring(canary, capsys):
    assert not canary.try_out("Newest", ["a>=1,<3"], [])
    printed = capsys.readouterr().out
    assert "    a: 0 failed" in printed
    assert "broken by: c\n" in printed


def test_says_what_cannot_be_installed(canary, capsys):
    assert not canary.try_out("Newest", ["never>=1,<3"], [])
    assert "ERROR: no such thing" in capsys.readouterr().out


@pytest.mark.thorough
def test_reads_what_pytest_found(tmp_path, monkeypatch):
    canary = load()
    monkeypatch.setattr(canary, "ROOT", tmp_path)
    monkeypatch.setattr(canary, "ENVIRONMENT", tmp_path)
    monkeypatch.setattr(canary, "RESULT", tmp_path / "result.xml")
    monkeypatch.setattr(canary, "PYTHON", sys.executable)
    monkeypatch.setattr(canary, "RANGES", "test_x.py::test_ranges")
    tests = tmp_path / "test_x.py"
    tests.write_text(
        "def test_a(): 1 / 0\ndef test_b(): pass\ndef test_ranges(): 1 / 0\n"
    )
    assert canary.failures(["test_x.py"]) == {"test_x.py::test_a"}
    assert canary.files({"test_x.py::test_a"}) == ["test_x.py"]
    assert canary.failures(["missing.py"]) == {"pytest itself"}
    assert canary.files({"pytest itself"}) == []
    assert "ZeroDivisionError" in (tmp_path / "pytest.log").read_text()


def test_reads_the_requirements():
    canary = load()
    bounded, names = canary.requirements(True), canary.requirements(False)
    assert len(bounded) == len(names) > 20
    assert all(
        line.startswith(name) and line != name
        for line, name in zip(bounded, names, strict=True)
    )
    assert not [line for line in bounded if line.startswith("-")]
