"""Answers to each lesson's fill-in exercises: `CASES` of `lesson_NN`, number →
`Case`."""

from typing import NamedTuple


class Case(NamedTuple):
    """Sources that stand in the place of a stub cell, as a learner would write them.

    `wrong` maps an answer to a piece of the hint it must get; at least two. `right` are
    correct answers that differ from the folded solution; at least one. `names` is run
    before: what the lesson has defined by then and the answers use. The lesson's
    imports are there anyway."""

    wrong: dict
    right: list
    names: str = ""
