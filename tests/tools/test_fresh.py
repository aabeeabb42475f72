"""`make fresh`: the original comes back, and what a learner wrote is never lost."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from programs import git

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = '{"cells": ["original"]}\n'
LESSON = "03_decode_predictions.ipynb"

pytestmark = pytest.mark.skipif(
    not (shutil.which("git") and shutil.which("make")), reason="needs git and make"
)


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """Whoever runs the tests, git knows no name but those given here."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{role}_NAME", raising=False)
        monkeypatch.delenv(f"GIT_{role}_EMAIL", raising=False)


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
    # No git above the tests' folders.
    ceiling = {"GIT_CEILING_DIRECTORIES": tempfile.gettempdir()}
    environment = os.environ | ceiling | variables
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


# -- learners who use git themselves ---------------------------------------------------

LEARNER = {"user.name": "Ada", "user.email": "ada@example.org"}


def commit_mine(folder, text="mine, committed"):
    """A learner changes the lesson and commits it under a name of their own."""
    for name, value in LEARNER.items():
        git(folder, "config", name, value)
    (folder / "notebooks" / LESSON).write_text(text)
    subprocess.run(["git", "commit", "-qam", "my answers"], cwd=folder, check=True)


def cloned(origin, folder):
    """A learner's clone of a folder, with an upstream."""
    git(origin.parent, "clone", "-q", str(origin), str(folder))
    return folder


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("pushed", [False, True])
def test_what_a_learner_has_committed_is_no_original(clone, tmp_path, times, pushed):
    """Not where it was pushed to a copy of their own, either."""
    mine = cloned(clone, tmp_path / "mine")
    for time in range(times):
        commit_mine(mine, f"mine {time}")
    if pushed:
        git(clone, "config", "receive.denyCurrentBranch", "ignore")
        git(mine, "push", "-q")
    done = fresh(mine)
    assert done.returncode == 0, done.stderr
    assert notebooks(mine)[LESSON] == ORIGINAL
    assert list(kept(mine).values()) == [f"mine {times - 1}"]
    assert "by x" in done.stdout


def test_what_somebody_without_a_name_has_not_pushed_is_no_original(clone, tmp_path):
    """On another machine, or in a lab, they committed under another name."""
    mine = cloned(clone, tmp_path / "mine")
    commit_mine(mine)
    for name in LEARNER:
        git(mine, "config", name, "other@example.org")
    assert fresh(mine).returncode == 0
    assert notebooks(mine)[LESSON] == ORIGINAL


def test_the_newest_original_comes_back(clone, tmp_path):
    """After `git pull`: the version that belongs to the rest of the project."""
    mine = cloned(clone, tmp_path / "mine")
    commit_mine(mine)
    (clone / "notebooks" / LESSON).write_text("a better original")
    git(clone, "commit", "-qam", "better")
    git(mine, "pull", "-q", "--no-rebase", "-X", "ours")
    assert notebooks(mine)[LESSON] == "mine, committed"
    assert fresh(mine).returncode == 0
    assert notebooks(mine)[LESSON] == "a better original"


def test_a_zip_file_put_under_git_by_the_learner(clone):
    """All commits are the learner's own: the first one brought the lesson."""
    shutil.rmtree(clone / ".git")
    git(clone, "init", "-q")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "as downloaded")
    (clone / "notebooks" / LESSON).write_text("mine")
    git(clone, "commit", "-qam", "my answers")
    git(clone, "config", "user.name", "x")
    git(clone, "config", "user.email", "x@example.org")
    assert fresh(clone).returncode == 0
    assert notebooks(clone)[LESSON] == ORIGINAL


def test_another_commit_may_be_named(clone):
    (clone / "notebooks" / LESSON).write_text("version two")
    git(clone, "commit", "-qam", "two")
    first = git(clone, "rev-parse", "HEAD~")
    said = fresh(clone).stdout
    assert "nothing was done" in said
    assert git(clone, "rev-parse", "--short", "HEAD") in said
    assert "ORIGINAL=COMMIT" in said
    assert fresh(clone, ORIGINAL=first).returncode == 0
    assert notebooks(clone)[LESSON] == ORIGINAL
    refused = fresh(clone, ORIGINAL="nonsense")
    assert refused.returncode != 0
    assert "ORIGINAL=nonsense is no commit" in refused.stderr


def test_inside_the_repository_of_a_course(clone, tmp_path):
    """The project is one folder of a larger repository."""
    course = tmp_path / "course"
    course.mkdir()
    shutil.rmtree(clone / ".git")
    clone.rename(course / "week 1")
    git(course, "init", "-q")
    git(course, "add", "-A")
    git(course, "commit", "-qm", "x")
    project = cloned(course, tmp_path / "mine") / "week 1"
    (project / "notebooks" / LESSON).write_text("mine")
    done = fresh(project)
    assert done.returncode == 0, done.stderr
    assert notebooks(project)[LESSON] == ORIGINAL
    commit_mine(project)
    assert fresh(project).returncode == 0
    assert notebooks(project)[LESSON] == ORIGINAL


def test_a_repository_without_a_commit_gets_a_line(clone):
    shutil.rmtree(clone / ".git")
    git(clone, "init", "-q")
    git(clone, "add", "-A")
    (clone / "notebooks" / LESSON).write_text("mine")
    done = fresh(clone)
    assert done.returncode != 0
    assert "Nothing was committed here yet" in done.stderr
    assert notebooks(clone)[LESSON] == "mine"
    assert kept(clone) == {}


def test_a_folder_of_another_user_gets_the_line_that_helps(clone, tmp_path):
    """As in Docker and WSL; git itself pretends it here."""
    (clone / "notebooks" / LESSON).write_text("mine")
    other = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "HOME": str(tmp_path)}
    done = fresh(clone, **other)
    assert done.returncode != 0
    assert "belongs to another user" in done.stderr
    (advice,) = re.findall(r"^git config .*$", done.stderr, re.MULTILINE)
    assert notebooks(clone)[LESSON] == "mine"
    subprocess.run(["sh", "-c", advice], env=os.environ | other, check=True)
    assert fresh(clone, **other).returncode == 0
    assert notebooks(clone)[LESSON] == ORIGINAL


def test_a_copy_that_cannot_be_made_leaves_the_lesson(clone, tmp_path):
    """The disk is full, say: mine is still there."""
    (clone / "notebooks" / LESSON).write_text("mine")
    (tmp_path / "cp").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "cp").chmod(0o755)
    done = fresh(clone, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode != 0
    assert notebooks(clone) == {LESSON: "mine", "04_choose_a_goal.ipynb": ORIGINAL}
