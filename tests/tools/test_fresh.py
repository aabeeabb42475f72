"""`make fresh`: the original comes back, and what a learner wrote is never lost."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from programs import git

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = '{"cells": ["original"]}\n'
LESSON = "03_decode_predictions.ipynb"

pytestmark = pytest.mark.skipif(
    not (shutil.which("git") and shutil.which("make")), reason="needs git and make"
)


@pytest.fixture
def clone(tmp_path):
    """A folder as git clone makes it: two lessons, the Makefile and what it runs."""
    folder = tmp_path / "my lessons"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "tools" / "setup").mkdir(parents=True)
    for name in (LESSON, "04_choose_a_goal.ipynb"):
        (folder / "notebooks" / name).write_text(ORIGINAL)
    for name in ("Makefile", ".gitignore", "tools/setup/fresh.sh"):
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")
    return folder


def fresh(folder, number="03", **variables):
    environment = (
        os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)} | variables
    )
    return subprocess.run(
        [
            "make",
            "-s",
            "fresh",
            *([f"NOTEBOOK={number}"] if number is not None else []),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


def notebooks(folder):
    """What is beside the lessons → {name: text}."""
    return {path.name: path.read_text() for path in (folder / "notebooks").iterdir()}


def kept(folder):
    return {
        name: text for name, text in notebooks(folder).items() if name.startswith("my_")
    }


@pytest.mark.parametrize("number", ["03", "3"])
def test_the_original_comes_back_and_mine_is_kept(clone, number):
    (clone / "notebooks" / LESSON).write_text("mine")
    (clone / "notebooks" / "04_choose_a_goal.ipynb").write_text("mine, too")
    done = fresh(clone, number)
    assert done.returncode == 0, done.stderr
    (name,) = kept(clone)
    assert re.fullmatch(r"my_03_decode_predictions_\d{4}-\d\d-\d\d_\d{4}\.ipynb", name)
    assert name in done.stdout
    assert notebooks(clone) == {
        LESSON: ORIGINAL,
        "04_choose_a_goal.ipynb": "mine, too",
        name: "mine",
    }


def test_nothing_kept_before_is_overwritten(clone):
    for text in ("first", "second", "third"):  # within one minute, most times
        (clone / "notebooks" / LESSON).write_text(text)
        assert fresh(clone).returncode == 0
    assert sorted(kept(clone).values()) == ["first", "second", "third"]


def test_an_untouched_lesson_is_left_alone(clone):
    done = fresh(clone)
    assert done.returncode == 0
    assert "nothing was done" in done.stdout
    assert kept(clone) == {}


def test_a_deleted_lesson_comes_back(clone):
    (clone / "notebooks" / LESSON).unlink()
    assert fresh(clone).returncode == 0
    assert notebooks(clone)[LESSON] == ORIGINAL
    assert kept(clone) == {}


def test_git_sees_nothing_new(clone):
    """What is kept is the learner's: no commit takes it along, and no staged change
    appears."""
    (clone / "notebooks" / LESSON).write_text("mine")
    fresh(clone)
    status = ["git", "status", "--porcelain"]
    assert (
        subprocess.run(status, cwd=clone, capture_output=True, text=True).stdout == ""
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [(None, "NOTEBOOK=03"), ("", "NOTEBOOK=03"), ("x", "NOTEBOOK=03"),
     ("*", "NOTEBOOK=03"), ("77", "There is no lesson 77, but these: 03 04")],
)  # fmt: skip
def test_another_number_gets_a_line(clone, number, words):
    (clone / "notebooks" / LESSON).write_text("mine")
    done = fresh(clone, number)
    assert done.returncode != 0
    assert words in done.stderr
    assert notebooks(clone)[LESSON] == "mine"


def test_a_folder_from_a_zip_file_gets_a_line(clone):
    shutil.rmtree(clone / ".git")
    (clone / "notebooks" / LESSON).write_text("mine")
    done = fresh(clone)
    assert done.returncode != 0
    assert "not made by git clone" in done.stderr
    assert notebooks(clone)[LESSON] == "mine"


def test_a_copy_that_cannot_be_made_leaves_the_lesson(clone, tmp_path):
    """The disk is full, say: mine is still there."""
    (clone / "notebooks" / LESSON).write_text("mine")
    (tmp_path / "cp").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "cp").chmod(0o755)
    done = fresh(clone, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode != 0
    assert notebooks(clone) == {LESSON: "mine", "04_choose_a_goal.ipynb": ORIGINAL}
