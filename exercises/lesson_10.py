"""Lesson 10, scale out: its exercises and their judges."""

from typing import NamedTuple

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, recognise

MOVED_AWAY = "moved_away.jpg"


class Task(NamedTuple):
    """What an interrupted run left of its table, and the folder some days later."""

    files: dict  # path → (bytes, time in nanoseconds)
    rows: list  # (path, bytes, time) of the pictures that are done
    expected: list  # paths that are to be done
    overlooked: dict  # path → why it must be done, if that is easily overlooked


def missing(answer):
    """Judge a function (files, rows) → the paths without an up-to-date row."""
    task = _random_task()
    given_files = dict(task.files)
    given_rows = list(task.rows)
    paths = _paths(answer, given_files, given_rows)
    if given_files != task.files or given_rows != task.rows:
        raise Hint("Your function has changed what it was given. Work on copies.")
    if len(paths) != len(set(paths)):
        raise Hint("A path occurs twice in your result: it would get two rows.")
    _recognise_paths(paths, task)
    if paths != sorted(task.expected):
        raise Hint(
            f"Of {len(task.files)} files, {len(task.expected)} have no row of their "
            f"present version; your function names {len(paths)}. Try it on three files "
            "and one row."
        )
    if _paths(answer, {}, list(task.rows)):
        raise Hint("An empty folder has nothing to do, whatever the table holds.")
    if _paths(answer, dict(task.files), []) != sorted(task.files):
        raise Hint("With an empty table, every file is still to be done, each once.")
    return "Right: each file by name, size and time, whatever order the rows are in."


def _paths(answer, files, rows):
    """What the learner's function returns, as a sorted list of texts, or a `Hint`."""
    result = call(answer, files, rows)
    try:
        return sorted(str(path) for path in result)
    except TypeError:
        kind = type(result).__name__
        raise Hint(f"Return a list of paths; this is of type {kind}.") from None


def _random_task():
    """Ten files: five are done, three of these have changed since, and one is gone."""
    random = np.random.default_rng()
    names = [f"{letter}{random.integers(100)}.jpg" for letter in "abcdefghij"]
    files = {}
    for name in names:
        size = int(random.integers(1, 9999))
        modified = int(random.integers(10**9))
        files[name] = (size, modified)
    done = [names[position] for position in (9, 1, 3, 4, 7)]
    rows = [(name, *files[name]) for name in done]
    rows.append((MOVED_AWAY, *files[names[0]]))
    rows = [rows[position] for position in random.permutation(len(rows))]

    newer = names[3]
    older = names[1]
    resized = names[4]
    _change(files, newer, later=1)
    _change(files, older, later=-1)
    _change(files, resized, larger=1)
    overlooked = {
        newer: "has a row, but was written anew since, with as many bytes as before",
        older: "has a row, but was replaced by an older copy since, with as many bytes",
        resized: "has a row, but another size by now, with the time of before",
        names[0]: f"has no row: the one with its size and time is that of {MOVED_AWAY}",
    }
    expected = [name for name in names if name not in done or name in overlooked]
    return Task(files, rows, expected, overlooked)


def _change(files, name, larger=0, later=0):
    size, modified = files[name]
    files[name] = (size + larger, modified + later)


def _recognise_paths(paths, task):
    """Raise a hint if the paths come from one of the usual mistakes."""
    names = list(task.files)
    up_to_date = [name for name in names if name not in task.expected]
    mistakes = {
        "These are all files. The ones that have their row would get a second one.": (
            names
        ),
        "Are you counting rows? The table need not hold the first files of the folder: "
        "files came in between, and one was moved away.": names[len(task.rows) :],
        "These have their row. Asked for are the others.": up_to_date,
        f"{MOVED_AWAY} is in the table and no longer in the folder: there is nothing "
        "to predict.": [*task.expected, MOVED_AWAY],
    }
    recognise(mistakes, lambda mistake: paths == sorted(mistake))
    left_out = [name for name in task.overlooked if name not in paths]
    if left_out and sorted([*paths, *left_out]) == sorted(task.expected):
        name = left_out[0]
        raise Hint(
            f"{name} {task.overlooked[name]}. No single one of name, size "
            "and time is enough."
        )


EXERCISES = {
    "10.1": Predict("the same", "less", "not at all"),
    "10.2": Fill(missing),
    "10.3": Explore(),
}
