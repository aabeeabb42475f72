"""The exercises of lesson 07: look inside."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise

TWO = "Return two things: the positions that were left out, and the accuracy."
N = 8  # of so many training pictures that are left out:
PICTURES, TEST = 80, 300


def without_suspects(answer):
    """A function (head, x, y, x_test, y_test, n) → (positions left out, accuracy on test)."""
    for _ in range(4):  # once a wrong way may be right by chance
        _one_draw(answer)
    return "Right: suspects by a head that has not seen them, and a test set left as it is."


def _one_draw(answer):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import cross_val_predict

    random = np.random.default_rng()
    # fitted at once, and with so many features it learns labels by heart
    head = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3)
    x, x_test = random.normal(size=(PICTURES, 60)), random.normal(size=(TEST, 60))
    y, y_test = ((v[:, :3].sum(axis=1) + random.normal(size=len(v)) > 0) * 1 for v in (x, x_test))
    handed = [part.copy() for part in (x, y, x_test, y_test)]
    out, value = _two_things(call(answer, head, *handed, N))
    if not all(map(np.array_equal, handed, (x, y, x_test, y_test))):
        raise Hint("Your function has changed the arrays it was given. Work on copies.")

    by_others = cross_val_predict(head, x, y, cv=5, method="predict_proba")
    by_heart = head.fit(x, y).predict_proba(x)
    others, heart = (p[np.arange(PICTURES), y] for p in (by_others, by_heart))
    suspects, *mistaken = (
        {*np.argsort(p)[:N].tolist()} for p in (others, heart, -others, by_others.max(axis=1))
    )
    if out != suspects:
        hints = (
            "These are judged by a head that has learned their labels. Who has not seen them?",
            "These are the least suspicious. Is the loss large where the probability is large?",
            "Of these the head is least sure. But how probable is the label that was given?",
            f"Other positions than the {N} with the largest out-of-fold loss of their label.",
        )
        raise Hint(hints[([*mistaken, out]).index(out)])
    kept = np.setdiff1d(np.arange(PICTURES), [*out])
    everything = head.fit(x, y).score(x_test, y_test)
    learned = head.fit(x[kept], y[kept]).score(x[kept], y[kept])
    right = head.score(x_test, y_test)
    close = 1.01 / TEST  # rows in another order may turn a picture on the edge
    if abs(value - right) <= close:
        return
    mistakes = {
        "The suspects were found, but the head has learned from them all the same.": everything,
        "This is how well the head knows what it learned from. Which pictures has it not seen?": (
            learned
        ),
        "This is a share of errors, or the accuracy of something else: is right what counts?": (
            1 - right
        ),
        "This is how many are right; an accuracy is a share.": right * TEST,
    }
    recognise(mistakes, lambda mistake: np.isclose(value, mistake))
    raise Hint(
        "This is not the accuracy on all test pictures as they are labelled. Were some left out, "
        "or their labels repaired?"
    )


def _two_things(result):
    """What the function returned → (set of positions, float), or a `Hint`."""
    try:
        out, value = result
    except (TypeError, ValueError) as error:
        raise Hint(TWO) from error
    # an `Estimate` has a value; a set is no array
    out, value = (getattr(part, "value", part) for part in (out, value))
    out, value = ([*part] if isinstance(part, set) else part for part in (out, value))
    out, value = numbers(out, "What was left out"), numbers(value, "The accuracy")
    if not out.ndim and value.ndim == 1:
        raise Hint(f"The other way round. {TWO}")
    if out.ndim != 1 or value.ndim:
        raise Hint(f"Positions are a list, the accuracy is one number. {TWO}")
    if out.shape == (PICTURES,):
        raise Hint(f"One entry for each picture; asked for are the positions of {N} of them.")
    if not np.isin(out, np.arange(PICTURES)).all():
        raise Hint(f"There are {PICTURES} pictures, so positions are whole numbers from 0 on.")
    if len(out) != N or len({*out.tolist()}) != N:
        raise Hint(f"With n = {N} this leaves out {len({*out.tolist()})} pictures.")
    return {*out.astype(int).tolist()}, float(value)


EXERCISES = {
    "07.1": Predict("less", "about 3", "more"),
    "07.2": Fill(without_suspects),
    "07.3": Explore(),
}
