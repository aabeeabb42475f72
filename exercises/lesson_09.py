"""Lesson 09, share your model: its exercises and their judges."""

from typing import NamedTuple

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call

NAMES = ["x", "a", "m", "b"]  # not in the order of the alphabet, so that sorting shows
NEW_ORDER = [2, 0, 3, 1]
N_PICTURES = 200


class Case(NamedTuple):
    """What model b gives, whether it may replace a, and the hint if that isn't said."""

    expected: bool
    b: np.ndarray
    names_b: list
    hint: str


def may_replace(answer):
    """Judge a function (a, b, names_a, names_b) → whether b gives a's answers."""
    a = _random_probabilities()
    for case in (*_cases_of_names(a), *_cases_of_answers(a)):
        data = (a, case.b, NAMES, case.names_b)
        given = (a.copy(), case.b.copy(), NAMES.copy(), case.names_b.copy())
        result = call(answer, *given)
        if np.ndim(result) or np.asarray(result).dtype != bool:
            kind = type(result).__name__
            raise Hint(f"Return one True or False; this is of type {kind}.")
        if not all(map(np.array_equal, given, data)):
            raise Hint("Your function has changed what it was given. Work on copies.")
        if bool(result) != case.expected:
            raise Hint(f"{case.hint} Your function says {bool(result)}.")
    return "Right: names matched, answers compared, and every probability looked at."


def _random_probabilities():
    """Random probabilities, (200, 4); the first four rows are always the same."""
    a = np.random.default_rng().dirichlet([0.3] * 4, size=N_PICTURES)
    a[:3] = [0.31, 0.3, 0.2, 0.19]  # a hair's breadth between the first two
    a[3] = [0.8, 0.1, 0.06, 0.04]  # a sure answer
    return a


def _cases_of_names(a):
    """Cases in which names, columns or whole rows differ."""
    other = np.roll(a, 1, axis=1)
    other[0] = a[0]
    new_columns = a[:, NEW_ORDER]
    new_names = [NAMES[position] for position in NEW_ORDER]
    return (
        Case(
            True,
            a,
            NAMES,
            "Not even a copy of a passes. Were columns or names moved in one only?",
        ),
        Case(
            False,
            other,
            NAMES,
            "Only the first picture agrees. On how many did you compare?",
        ),
        Case(
            True,
            new_columns,
            new_names,
            "The columns come in another order, and the names say so. How do you find "
            "each class?",
        ),
        Case(
            False,
            new_columns,
            NAMES,
            "The columns come in another order, and the names do not say so.",
        ),
        Case(
            False,
            a,
            new_names,
            "The columns are the same, but the names say that they are other classes.",
        ),
        Case(
            False,
            a,
            sorted(NAMES),
            "The names were sorted, and the columns left as they were.",
        ),
        # "c" comes where "b" did, also after sorting
        Case(False, a, ["x", "a", "m", "c"], "One class has another name."),
        Case(False, a[:, :3], NAMES[:3], "In b one class is missing."),
    )


def _cases_of_answers(a):
    """Cases in which some probabilities differ."""
    one_wrong = a.copy()
    one_wrong[0] = [0.3, 0.31, 0.2, 0.19]
    three_wrong = a.copy()
    three_wrong[:3] = [0.3, 0.31, 0.2, 0.19]
    lower = a.copy()
    lower[3] = [0.8, 0.07, 0.075, 0.055]
    higher = a.copy()
    higher[3] = [0.8, 0.13, 0.045, 0.025]
    return (
        Case(
            True,
            one_wrong,
            NAMES,
            "One answer of 200 turns, by a hair. How many may?",
        ),
        Case(
            False,
            three_wrong,
            NAMES,
            "Three answers of 200 turn, by a hair. How many may?",
        ),
        Case(
            False,
            lower,
            NAMES,
            "Every answer stays the same, but in one picture another class falls by "
            "0.03.",
        ),
        Case(
            False,
            higher,
            NAMES,
            "Every answer stays the same, but in one picture another class rises by "
            "0.03.",
        ),
    )


EXERCISES = {
    "09.1": Predict("both", "only the names", "only the cut", "neither"),
    "09.2": Predict("order", "255", "BGR"),
    "09.3": Fill(may_replace),
    "09.4": Explore(),
}
