"""Lesson 04, choose a goal: its exercises and their judges."""

from functools import partial
from typing import NamedTuple

import numpy as np

from exercises._core import (
    Explore,
    Fill,
    Hint,
    Predict,
    call,
    draw_distinct,
    numbers,
    recognise,
)

NAMES = ("recall", "precision")


def recall_and_precision(answer):
    """Judge a function (positive, yes) that returns (recall, precision).

    Precision should be nan where no answer is yes.
    """
    counts, expected, mistakes = draw_distinct(_draw_counts)
    order = np.random.default_rng().permutation(sum(counts))
    positive = np.repeat([True, True, False, False], counts)[order]
    yes = np.repeat([True, False, True, False], counts)[order]
    result = _two_numbers(answer, positive, yes)
    if np.allclose(result, expected[::-1]):
        raise Hint("Right, but the other way round: recall first.")
    if np.allclose(result, 100 * expected):
        raise Hint(
            "Right, but in points of a hundred: shares from 0 to 1 are asked for."
        )
    right = np.isclose(result, expected)
    _recognise_shares(result, right, mistakes)
    if not right.all():
        wrong_names = " and ".join(np.array(NAMES)[~right])
        raise Hint(
            f"Not right yet: {wrong_names}. Above the line stand the hits; what stands "
            "below?"
        )

    # no yes at all: precision is 0 / 0
    never_yes = np.zeros(len(positive), bool)
    recall, precision = _two_numbers(answer, positive, never_yes)
    if not np.isnan(precision):
        raise Hint(
            f"Where no picture gets a yes, precision came out as {precision:g}: use "
            "nan."
        )
    if recall != 0:
        raise Hint(
            "Where no picture gets a yes, no positive is found: what is recall then?"
        )
    return "Right, also where no picture gets a yes."


def _draw_counts():
    """A random task for `draw_distinct`: (figures, counts, expected, mistakes).

    counts: hits, misses, false alarms, correct rejections; expected: recall, precision;
    mistakes: {end of the hint: figures}.
    """
    # none is 0, so that every share exists
    counts = np.random.default_rng().integers(4, 30, 4)
    hits, misses, alarms, rejections = counts
    total = sum(counts)
    negatives = rejections + alarms
    recall = hits / (hits + misses)
    precision = hits / (hits + alarms)
    expected = np.array([recall, precision])
    mistakes = {
        "a share of all pictures. Of which is it to be one?": [hits / total],
        "a share of negatives, and it is about the positives.": [
            rejections / negatives,
            alarms / negatives,
        ],
        "the accuracy, the share of right answers of either kind.": [
            (hits + rejections) / total
        ],
        "a count. What is it a share of?": [hits, misses, alarms],
        "a share of errors. How many were right?": 1 - expected,
    }
    figures = np.concatenate([expected, *mistakes.values()])
    return figures, counts, expected, mistakes


def _recognise_shares(result, right, mistakes):
    """Raise a hint if a wrong number comes from one of the usual mistakes."""
    for hint, values in mistakes.items():
        for name, value, is_right in zip(NAMES, result, right, strict=True):
            if not is_right and np.isclose(value, values).any():
                raise Hint(f"What you return as {name} is {hint}")


def _two_numbers(answer, positive, yes):
    """The pair of numbers that the learner's function returns, or a `Hint`."""
    given_positive = positive.copy()
    given_yes = yes.copy()
    result = numbers(call(answer, given_positive, given_yes))
    if result.shape != (2,):
        raise Hint(
            "Two numbers are asked for, recall and precision; shape here: "
            f"{result.shape}."
        )
    same_positive = np.array_equal(given_positive, positive)
    if not same_positive or not np.array_equal(given_yes, yes):
        raise Hint("The arrays that were handed over have changed: make new ones.")
    return result


class Costs(NamedTuple):
    """What a wrong no (miss) and a wrong yes (alarm) cost."""

    miss: float
    alarm: float

    def of(self, pictures, threshold):
        """The mean cost of a threshold on pictures, a pair (positive, scores)."""
        from helpers.evaluate import expected_cost

        return expected_cost(*pictures, threshold, miss=self.miss, alarm=self.alarm)

    def best_threshold(self, positive, scores):
        """The threshold that costs least on these pictures."""
        from helpers.evaluate import choose_threshold

        return choose_threshold(positive, scores, miss=self.miss, alarm=self.alarm)


def settle(answer):
    """Judge a function (validation, test, miss, alarm) that returns three numbers.

    They are the threshold for calibrated scores, the one that costs least on
    validation, and the latter's mean cost on test.
    """
    for dear in Costs._fields:
        _judge_costs(answer, dear)
    return "Right, for two pairs of costs: chosen on one set, reported on the other."


def _judge_costs(answer, dear):
    """Judge the answer for one pair of costs, on new scores that aren't calibrated.

    dear: which of the two errors costs more, "miss" or "alarm".
    """
    draw = partial(_draw_scores, dear)
    costs, validation, test, thresholds = draw_distinct(draw)
    given_validation = tuple(array.copy() for array in validation)
    given_test = tuple(array.copy() for array in test)
    result = numbers(
        call(answer, given_validation, given_test, costs.miss, costs.alarm)
    )
    if result.shape != (3,):
        raise Hint(
            f"Three numbers are asked for, in this order; shape here: {result.shape}."
        )
    given = (*given_validation, *given_test)
    drawn = (*validation, *test)
    if not all(map(np.array_equal, given, drawn)):
        raise Hint("What was handed over has changed: make new arrays.")
    calibrated, threshold, reported = result.tolist()
    _judge_calibrated(calibrated, costs, thresholds["formula"])
    _judge_threshold(threshold, costs, validation, test, thresholds)
    _judge_reported(reported, threshold, costs, validation, test, thresholds)


def _draw_scores(dear):
    """A random task for `draw_distinct`.

    Returns (figures, costs, validation, test, thresholds), with thresholds as {how it
    was chosen: threshold}. Each costs something else, on both sets, so that a cost
    tells how its threshold was chosen.
    """

    random = np.random.default_rng()
    prices = {name: random.uniform(1, 1.5) for name in Costs._fields}
    prices[dear] = random.uniform(2, 5)
    costs = Costs(**prices)
    swapped_costs = Costs(miss=costs.alarm, alarm=costs.miss)
    validation = _random_scores(random, 60)
    test = _random_scores(random, 800)  # many, as costs on it should differ
    both = [np.concatenate(arrays) for arrays in zip(validation, test, strict=True)]
    thresholds = {
        "validation": costs.best_threshold(*validation),
        "test": costs.best_threshold(*test),
        "both": costs.best_threshold(*both),
        "formula": costs.alarm / (costs.alarm + costs.miss),
        "half": 0.5,
        "swapped costs": swapped_costs.best_threshold(*validation),
    }
    figures = [
        [costs.of(pictures, threshold) for threshold in thresholds.values()]
        for pictures in (validation, test)
    ]
    return figures, costs, validation, test, thresholds


def _random_scores(random, n):
    """(positive, scores) of n pictures, half of them positive."""
    positive = random.permutation(np.arange(n) % 2 == 0)
    # beta distributions that overlap, and whose scores aren't calibrated
    a = np.where(positive, 2, 1)
    b = np.where(positive, 3, 6)
    return positive, random.beta(a, b)


def _judge_calibrated(calibrated, costs, formula):
    """The first number: the threshold for these costs if scores are calibrated."""
    if np.isclose(calibrated, costs.miss / (costs.alarm + costs.miss)):
        raise Hint(
            "First number: from there on a *no* would be the cheaper error. Turn it "
            "round."
        )
    if np.isclose(calibrated, costs.alarm / costs.miss):
        raise Hint(
            "First number: that is the ratio of the costs, which may well exceed 1."
        )
    if not np.isclose(calibrated, formula):
        raise Hint("First number: at which p does a yes cost what a no costs?")


def _judge_threshold(threshold, costs, validation, test, thresholds):
    """The second number: a threshold chosen on validation.

    Any that costs as little will do: between two scores, it doesn't matter where.
    """

    def costs_like(pictures, choice):
        cost = costs.of(pictures, threshold)
        return np.isclose(cost, costs.of(pictures, thresholds[choice]))

    if costs_like(validation, "validation"):
        return
    if costs_like(test, "test"):
        raise Hint(
            "Second number: chosen on the pictures that are to judge it. Which set is "
            "for that?"
        )
    if costs_like(validation, "both") and costs_like(test, "both"):
        raise Hint(
            "Second number: the test pictures took part in the choice. What judges it "
            "then?"
        )
    if np.isclose(threshold, thresholds["formula"]):
        raise Hint(
            "Second number: right if the scores are calibrated, and you don't know "
            "that."
        )
    if np.isclose(threshold, 0.5):
        raise Hint("Second number: 0.5 knows nothing of the costs.")
    raise Hint(
        "Second number: on the validation pictures another threshold costs less."
    )


def _judge_reported(reported, threshold, costs, validation, test, thresholds):
    """The third number: the mean cost of the chosen threshold on test."""
    right = costs.of(test, threshold)
    if np.isclose(reported, right):
        return
    positive, scores = test
    wrong_share = np.mean((scores >= threshold) != positive)
    other_choices = ("formula", "half", "swapped costs")
    mistakes = {
        "Third number: that is the cost where "
        "the threshold was chosen, and too good.": (
            costs.of(validation, thresholds["validation"])
        ),
        "Third number: that is the least cost on the test set, of another threshold.": (
            costs.of(test, thresholds["test"])
        ),
        "Third number: that is of another threshold than your second number.": [
            costs.of(test, thresholds[choice]) for choice in other_choices
        ],
        "Third number: that is the cost of all pictures. What is it for one?": (
            right * len(positive)
        ),
        "Third number: that is a share of wrong answers. What does each of the two "
        "cost?": wrong_share,
    }
    recognise(mistakes, lambda mistake: np.isclose(reported, mistake).any())
    swapped_costs = Costs(miss=costs.alarm, alarm=costs.miss)
    if np.isclose(reported, swapped_costs.of(test, threshold)):
        raise Hint("Third number: miss and alarm have changed places.")
    raise Hint(
        "Third number: what does your threshold cost, a picture, on the test set?"
    )


EXERCISES = {
    "04.1": Predict(between=(0, 1)),
    "04.2": Predict(1, 2, 3),
    "04.3": Fill(settle),
    "04.4": Fill(recall_and_precision),
    "04.5": Explore(),
}
