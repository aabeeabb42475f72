"""The exercises of lesson 10: scale out."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, recognise


def missing(answer):
    """A function (files, rows) → the paths that have no up-to-date row, each once."""

    def given(*handed):
        found = call(answer, *handed)
        try:
            return sorted(str(path) for path in found)
        except TypeError:
            kind = type(found).__name__
            raise Hint(f"Return a list of paths; this is of type {kind}.") from None

    # What an interrupted run left of its table, and the folder some days later.
    random = np.random.default_rng()
    names = [f"{letter}{random.integers(100)}.jpg" for letter in "abcdefghij"]
    files = {name: (int(random.integers(1, 9999)), int(random.integers(10**9))) for name in names}
    done, gone = [names[i] for i in (9, 1, 3, 4, 7)], "moved_away.jpg"
    rows = [(name, *files[name]) for name in done] + [(gone, *files[names[0]])]
    rows = [rows[i] for i in random.permutation(len(rows))]
    newer, older, other = names[3], names[1], names[4]
    for name, size, later in ((newer, 0, 1), (older, 0, -1), (other, 1, 0)):
        files[name] = (files[name][0] + size, files[name][1] + later)
    overlooked = {
        newer: "has a row, but was written anew since, with as many bytes as before",
        older: "has a row, but was replaced by an older copy since, with as many bytes",
        other: "has a row, but another size by now, with the time of before",
        names[0]: f"has no row: the one with its size and time is that of {gone}",
    }
    right = [name for name in names if name not in done or name in overlooked]
    mistakes = {
        "These are all files. The ones that have their row would get a second one.": names,
        "Are you counting rows? The table need not hold the first files of the folder: files "
        "came in between, and one was moved away.": names[len(rows) :],
        "These have their row. Asked for are the others.": [n for n in names if n not in right],
        f"{gone} is in the table and no longer in the folder: there is nothing to predict.": [
            *right,
            gone,
        ],
    }
    handed = dict(files), list(rows)
    paths = given(*handed)
    if handed != (files, rows):
        raise Hint("Your function has changed what it was given. Work on copies.")
    if len(paths) != len(set(paths)):
        raise Hint("A path occurs twice in your result: it would get two rows.")
    recognise(mistakes, lambda mistake: paths == sorted(mistake))
    left = [name for name in overlooked if name not in paths]
    if left and sorted([*paths, *left]) == sorted(right):
        raise Hint(f"{left[0]} {overlooked[left[0]]}. Name, size or time alone do not tell.")
    if paths != sorted(right):
        raise Hint(
            f"Of {len(files)} files, {len(right)} have no row of their present version; your "
            f"function names {len(paths)}. Try it on three files and one row."
        )
    if given({}, list(rows)):
        raise Hint("An empty folder has nothing to do, whatever the table holds.")
    if given(dict(files), []) != sorted(files):
        raise Hint("With an empty table, every file is still to be done, each once.")
    return "Right: each file by name, size and time, whatever order the rows are in."


EXERCISES = {
    "10.1": Predict("twice", "less than twice", "not at all"),
    "10.2": Fill(missing),
    "10.3": Explore(),
}
