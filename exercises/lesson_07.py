"""Lesson 07, look inside: its exercises and their judges."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise

N_TRAIN = 80
N_TEST = 300
N_SUSPECTS = 8  # training pictures to leave out
N_FEATURES = 60  # so many that a head learns the labels of N_TRAIN pictures by heart
N_DRAWS = 4  # on a single draw, a wrong way may be right by chance
TWO_THINGS = "Return two things: the positions that were left out, and the accuracy."


def without_suspects(answer):
    """Judge a function (head, x, y, x_test, y_test, n) → (positions, test accuracy).

    It should leave out the n most suspicious training pictures, at these positions.
    """
    for _ in range(N_DRAWS):
        _judge_one_draw(answer)
    return (
        "Right: suspects by a head that has not seen them, and a test set left as it "
        "is."
    )


def _judge_one_draw(answer):
    """Raise a hint unless the answer is right for features drawn at random."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    random = np.random.default_rng()
    head = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3)  # fitted at once
    x, y = _random_features(random, N_TRAIN)
    x_test, y_test = _random_features(random, N_TEST)
    data = (x, y, x_test, y_test)
    given = [array.copy() for array in data]
    left_out, accuracy = _parse_result(call(answer, head, *given, N_SUSPECTS))
    if not all(map(np.array_equal, given, data)):
        raise Hint("Your function has changed the arrays it was given. Work on copies.")
    _judge_suspects(left_out, head, x, y)
    _judge_accuracy(accuracy, left_out, head, x, y, x_test, y_test)


def _random_features(random, n):
    """Features of n pictures, and their labels, 0 or 1, of which some are noise."""
    features = random.normal(size=(n, N_FEATURES))
    scores = features[:, :3].sum(axis=1) + random.normal(size=n)
    return features, (scores > 0).astype(int)


def _judge_suspects(left_out, head, x, y):
    """Raise a hint unless these positions are the most suspect by out-of-fold loss."""
    from sklearn.model_selection import cross_val_predict

    rows = np.arange(N_TRAIN)
    out_of_fold = cross_val_predict(head, x, y, cv=5, method="predict_proba")
    by_heart = head.fit(x, y).predict_proba(x)
    # a small probability of the given label is a large loss
    label_out_of_fold = out_of_fold[rows, y]
    label_by_heart = by_heart[rows, y]
    if left_out == _smallest(label_out_of_fold):
        return
    if left_out == _smallest(label_by_heart):
        raise Hint(
            "These are judged by a head that has learned their labels. Who has not "
            "seen them?"
        )
    if left_out == _smallest(-label_out_of_fold):
        raise Hint(
            "These are the least suspicious. Is the loss large where the probability "
            "is large?"
        )
    if left_out == _smallest(out_of_fold.max(axis=1)):
        raise Hint(
            "Of these the head is least sure. But how probable is the label that was "
            "given?"
        )
    raise Hint(
        f"Other positions than the {N_SUSPECTS} with the largest out-of-fold loss of "
        "their label."
    )


def _smallest(values):
    """The set of the positions of the `N_SUSPECTS` smallest values."""
    return set(np.argsort(values)[:N_SUSPECTS].tolist())


def _judge_accuracy(accuracy, left_out, head, x, y, x_test, y_test):
    """Raise a hint unless it is the test accuracy of a head fitted without those."""
    kept = np.setdiff1d(np.arange(N_TRAIN), list(left_out))
    with_suspects = head.fit(x, y).score(x_test, y_test)
    head.fit(x[kept], y[kept])
    on_training = head.score(x[kept], y[kept])
    expected = head.score(x_test, y_test)
    # rows in another order may turn one picture that is on the edge
    if abs(accuracy - expected) <= 1.01 / N_TEST:
        return
    mistakes = {
        "The suspects were found, but the head has learned from them all the same.": (
            with_suspects
        ),
        "This is how well the head knows what it learned from. Which pictures has it "
        "not seen?": on_training,
        "This is a share of errors, or the accuracy of something else: is right what "
        "counts?": 1 - expected,
        "This is how many are right; an accuracy is a share.": expected * N_TEST,
    }
    recognise(mistakes, lambda mistake: np.isclose(accuracy, mistake))
    raise Hint(
        "This is not the accuracy on all test pictures as they are labelled. Were some "
        "left out, or their labels repaired?"
    )


def _parse_result(result):
    """What the function returned as (set of positions, float), or a `Hint`."""
    try:
        left_out, accuracy = result
    except (TypeError, ValueError) as error:
        raise Hint(TWO_THINGS) from error
    left_out = numbers(_unwrap(left_out), "What was left out")
    accuracy = numbers(_unwrap(accuracy), "The accuracy")
    if left_out.ndim == 0 and accuracy.ndim == 1:
        raise Hint(f"The other way round. {TWO_THINGS}")
    if left_out.ndim != 1 or accuracy.ndim != 0:
        raise Hint(f"Positions are a list, the accuracy is one number. {TWO_THINGS}")
    if left_out.shape == (N_TRAIN,):
        raise Hint(
            f"One entry for each picture; asked for are the positions of {N_SUSPECTS} "
            "of them."
        )
    if not np.isin(left_out, np.arange(N_TRAIN)).all():
        raise Hint(
            f"There are {N_TRAIN} pictures, so positions are whole numbers from 0 on."
        )
    positions = set(left_out.astype(int).tolist())
    if len(left_out) != N_SUSPECTS or len(positions) != N_SUSPECTS:
        raise Hint(f"With n = {N_SUSPECTS} this leaves out {len(positions)} pictures.")
    return positions, float(accuracy)


def _unwrap(value):
    """The number of an `Estimate`, a set as a list (NumPy makes no array of it)."""
    value = getattr(value, "value", value)
    return list(value) if isinstance(value, set) else value


EXERCISES = {
    "07.1": Predict("less", "about 3", "more"),
    "07.2": Fill(without_suspects),
    "07.3": Explore(),
}
