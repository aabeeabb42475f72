"""Which cases of a test `make test` runs, and which only `make test-thorough` and CI
do."""

import pytest


def thorough_but(cases, *kept):
    """Cases for `pytest.mark.parametrize`: those `kept` always run, and all others in
    the thorough tests only.

    A case for several parameters is a tuple. ValueError where one of `kept` is no
    case."""
    unknown = set(kept) - set(cases)
    if unknown:
        raise ValueError(f"These are no cases: {sorted(unknown, key=str)}.")
    marked = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        marks = [] if case in kept else [pytest.mark.thorough]
        marked.append(pytest.param(*values, marks=marks))
    return marked
