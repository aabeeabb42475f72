"""The exercises of lesson 09: share your model."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call


def may_replace(answer):
    """A function (a, b, names_a, names_b) → whether b's probabilities are those of a."""
    random, names, turned = np.random.default_rng(), ["x", "a", "m", "b"], [2, 0, 3, 1]
    a = random.dirichlet([0.3] * 4, size=200)
    a[:4] = [[0.31, 0.3, 0.2, 0.19]] * 3 + [[0.8, 0.1, 0.06, 0.04]]
    other, one_wrong, three_wrong = np.roll(a, 1, axis=1), a.copy(), a.copy()
    lower, higher = a.copy(), a.copy()
    other[0] = a[0]
    one_wrong[0] = [0.3, 0.31, 0.2, 0.19]
    three_wrong[:3] = a[:3][:, [1, 0, 2, 3]]
    lower[3], higher[3] = [0.8, 0.07, 0.075, 0.055], [0.8, 0.13, 0.045, 0.025]
    new_names = [names[i] for i in turned]
    cases = (
        (True, a, names, "Not even a copy of a passes. Were columns or names moved in one only?"),
        (False, other, names, "Only the first picture agrees. On how many did you compare?"),
        (
            *(True, a[:, turned], new_names),
            "The columns come in another order, and the names say so. How do you find each class?",
        ),
        (
            *(False, a[:, turned], names),
            "The columns come in another order, and the names do not say so.",
        ),
        (
            *(False, a, new_names),
            "The columns are the same, but the names say that they are other classes.",
        ),
        (False, a, sorted(names), "The names were sorted, and the columns left as they were."),
        (False, a, ["x", "a", "m", "c"], "One class has another name."),  # sorts to the same place
        (False, a[:, :3], names[:3], "In b one class is missing."),
        (True, one_wrong, names, "One answer of 200 turns, by a hair. How many may?"),
        (False, three_wrong, names, "Three answers of 200 turn, by a hair. How many may?"),
        (
            *(False, lower, names),
            "Every answer stays the same, but in one picture another class falls by 0.03.",
        ),
        (
            *(False, higher, names),
            "Every answer stays the same, but in one picture another class rises by 0.03.",
        ),
    )
    for right, b, names_b, hint in cases:
        handed = a.copy(), b.copy(), [*names], [*names_b]
        given = call(answer, *handed)
        if np.ndim(given) or np.asarray(given).dtype != bool:
            kind = type(given).__name__
            raise Hint(f"Return one True or False; this is of type {kind}.")
        if not all(map(np.array_equal, handed, (a, b, names, names_b))):
            raise Hint("Your function has changed what it was given. Work on copies.")
        if bool(given) != right:
            raise Hint(f"{hint} Your function says {bool(given)}.")
    return "Right: names matched, answers compared, and every probability looked at."


EXERCISES = {
    "09.1": Predict("both", "only the names", "only the cut", "neither"),
    "09.2": Predict("order", "255", "BGR", "resizing"),
    "09.3": Fill(may_replace),
    "09.4": Explore(),
}
