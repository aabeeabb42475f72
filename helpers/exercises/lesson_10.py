"""The exercises of lesson 10: scale out."""

import numpy as np

from helpers.exercises._core import Explore, Fill, Hint, Predict, call, recognise


def missing(answer):
    """A function (files, rows) → the paths that have no up-to-date row, each once."""

    # What an interrupted run left of its table, and the folder some days later.
    random = np.random.default_rng()
    names = [f"{letter}{random.integers(100)}.jpg" for letter in "abcdefghij"]
    files = {name: (int(random.integers(1, 9999)), int(random.integers(10**9))) for name in names}
    done, changed, gone = [names[i] for i in (9, 1, 3, 4, 7)], names[3], "moved_away.jpg"
    rows = [(name, *files[name]) for name in done] + [(gone, 5, 5)]
    rows = [rows[i] for i in random.permutation(len(rows))]
    size, modified = files[changed]
    files[changed] = (size, modified + 1)  # as many bytes, but written anew
    right = [name for name in names if name not in done or name == changed]
    mistakes = {
        "These are all files. The ones that have their row would get a second one.": names,
        "Are you counting rows? The table need not hold the first files of the folder: files "
        "came in between, and one was moved away.": names[len(rows) :],
        f"{changed} has a row, but was written anew since, with as many bytes as before: name "
        "or size alone do not tell.": [name for name in names if name not in done],
        "These have their row. Asked for are the others.": [n for n in names if n not in right],
        f"{gone} is in the table and no longer in the folder: there is nothing to predict.": [
            *right,
            gone,
        ],
    }
    handed = dict(files), list(rows)
    given = call(answer, *handed)
    try:
        given = [str(path) for path in given]
    except TypeError:
        kind = type(given).__name__
        raise Hint(f"Return a list of paths; this is of type {kind}.") from None
    if handed != (files, rows):
        raise Hint("Your function has changed what it was given. Work on copies.")
    if len(given) != len(set(given)):
        raise Hint("A path occurs twice in your result: it would get two rows.")
    recognise(mistakes, lambda mistake: sorted(given) == sorted(mistake))
    if sorted(given) != sorted(right):
        raise Hint(
            f"Of {len(files)} files, {len(right)} have no row of their present version; your "
            f"function names {len(given)}. Try it on three files and one row."
        )
    if [*call(answer, {}, list(rows))] or [*call(answer, dict(files), [])] != [*files]:
        raise Hint("An empty folder has nothing to do; with an empty table it is every file.")
    return "Right: each file by name, size and time, whatever order the rows are in."


EXERCISES = {
    "10.1": Predict("twice", "less than twice", "not at all"),
    "10.2": Fill(missing),
    "10.3": Explore(),
}
