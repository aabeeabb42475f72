"""The exercises of lesson 04: choose a goal."""

import numpy as np

from exercises._core import (
    Explore,
    Fill,
    Hint,
    Predict,
    call,
    numbers,
    recognise,
    draw_distinct,
)


def recall_and_precision(answer):
    """A function (positive, yes) → (recall, precision); precision is nan if no answer is yes."""
    random = np.random.default_rng()

    def draw():
        hits, misses, alarms, refused = counts = random.integers(4, 30, 4)
        right = np.array([hits / (hits + misses), hits / (hits + alarms)])
        mistakes = {
            "a share of all pictures. Of which is it to be one?": [hits / sum(counts)],
            "a share of negatives, and it is about the positives.": [
                refused / (refused + alarms),
                alarms / (refused + alarms),
            ],
            "the accuracy, the share of right answers of either kind.": [
                (hits + refused) / sum(counts)
            ],
            "a count. What is it a share of?": [hits, misses, alarms],
            "a share of errors. How many were right?": 1 - right,
        }
        return np.concatenate([right, *mistakes.values()]), counts, right, mistakes

    counts, right, mistakes = draw_distinct(draw)
    order = random.permutation(sum(counts))
    truth = np.repeat([True, True, False, False], counts)[order]
    given = _two(answer, truth, np.repeat([True, False, True, False], counts)[order])
    if np.allclose(given, right[::-1]):
        raise Hint("Right, but the other way round: recall first.")
    if np.allclose(given, 100 * right):
        raise Hint("Right, but in points of a hundred: shares from 0 to 1 are asked for.")
    off = ~np.isclose(given, right)
    named = [*zip(("recall", "precision"), np.where(off, given, np.inf), strict=True)]
    said = {
        f"What you return as {name} is {hint}": (wrong, values)
        for hint, values in mistakes.items()
        for name, wrong in named
    }
    recognise(said, lambda pair: np.isclose(*pair).any())
    if off.any():
        wrong = " and ".join(np.array(["recall", "precision"])[off])
        raise Hint(f"Not right yet: {wrong}. Above the line stand the hits; what stands below?")
    recall, precision = _two(answer, truth, np.zeros(len(truth), bool))
    if not np.isnan(precision):
        raise Hint(f"Where no picture gets a yes, precision came out as {precision:g}: use nan.")
    if recall != 0:
        raise Hint("Where no picture gets a yes, no positive is found: what is recall then?")
    return "Right, also where no picture gets a yes."


def _two(answer, truth, answers):
    """The pair of numbers that the learner's function returns."""
    given = numbers(call(answer, *(handed := (truth.copy(), answers.copy()))))
    if given.shape != (2,):
        raise Hint(f"Two numbers are asked for, recall and precision; shape here: {given.shape}.")
    if not (np.array_equal(handed[0], truth) and np.array_equal(handed[1], answers)):
        raise Hint("The arrays that were handed over have changed: make new ones.")
    return given


def settle(answer):
    """A function (validation, test, miss, alarm) → (calibrated, threshold, mean cost on test)."""
    for dear, cheap in (("miss", "alarm"), ("alarm", "miss")):
        _settled(answer, dear, cheap)
    return "Right, for two pairs of costs: chosen on one set, reported on the other."


def _settled(answer, dear, cheap):
    """One pair of costs, on fresh scores that are not calibrated."""
    from helpers.evaluate import choose_threshold, expected_cost, threshold_from_costs

    random = np.random.default_rng()

    def drawn(n):
        truth = random.permutation(np.arange(n) % 2 == 0)
        return truth, random.beta(np.where(truth, 2, 1), np.where(truth, 3, 6))

    def draw():
        """Each way to choose a threshold should cost something else, on both sets."""
        price = {dear: random.uniform(2, 5), cheap: random.uniform(1, 1.5)}
        formula = threshold_from_costs(**price)
        validation, test = drawn(60), drawn(800)

        def chosen(*pairs):
            return choose_threshold(*map(np.concatenate, zip(*pairs, strict=True)), **price)

        turned = choose_threshold(*validation, miss=price["alarm"], alarm=price["miss"])
        ways = [chosen(validation), chosen(test), chosen(validation, test), formula, 0.5, turned]
        costs = [[expected_cost(*s, way, **price) for way in ways] for s in (validation, test)]
        return costs, price, validation, test, ways, costs

    price, validation, test, ways, costs = draw_distinct(draw)
    miss, alarm, formula = price["miss"], price["alarm"], ways[3]

    def cost(pair, threshold):
        return expected_cost(*pair, threshold, **price)

    handed = [(truth.copy(), scores.copy()) for truth, scores in (validation, test)]
    given = numbers(call(answer, *handed, miss, alarm))
    if given.shape != (3,):
        raise Hint(f"Three numbers are asked for, in this order; shape here: {given.shape}.")
    if not all(map(np.array_equal, sum(handed, ()), (*validation, *test))):
        raise Hint("What was handed over has changed: make new arrays.")
    calibrated, threshold, reported = given.tolist()
    if np.isclose(calibrated, miss / (alarm + miss)):
        raise Hint("First number: from there on a *no* would be the cheaper error. Turn it round.")
    if np.isclose(calibrated, alarm / miss):
        raise Hint("First number: that is the ratio of the costs, which may well exceed 1.")
    if not np.isclose(calibrated, formula):
        raise Hint("First number: at which p does a yes cost what a no costs?")
    _judge_threshold(threshold, ways, cost(validation, threshold), cost(test, threshold), costs)
    right = cost(test, threshold)
    mistakes = {
        "Third number: that is the cost where the threshold was chosen, and too good.": costs[0][0],
        "Third number: that is the least cost on the test set, of another threshold.": costs[1][1],
        "Third number: that is of another threshold than your second number.": costs[1][3:],
        "Third number: that is the cost of all pictures. What is it for one?": right * len(test[0]),
        "Third number: that is a share of wrong answers. What does each of the two cost?": np.mean(
            (test[1] >= threshold) != test[0]
        ),
    }
    if np.isclose(reported, right):
        return
    recognise(mistakes, lambda mistake: np.isclose(reported, mistake).any())
    if np.isclose(reported, expected_cost(*test, threshold, alarm, miss)):
        raise Hint("Third number: miss and alarm have changed places.")
    raise Hint("Third number: what does your threshold cost, a picture, on the test set?")


def _judge_threshold(threshold, ways, on_validation, on_test, costs):
    """The second number: chosen where it should be?"""
    if np.isclose(on_validation, costs[0][0]):
        return
    if np.isclose(on_test, costs[1][1]):
        raise Hint(
            "Second number: chosen on the pictures that are to judge it. Which set is for that?"
        )
    if np.isclose(on_validation, costs[0][2]) and np.isclose(on_test, costs[1][2]):
        raise Hint("Second number: the test pictures took part in the choice. What judges it then?")
    if np.isclose(threshold, ways[3]):
        raise Hint("Second number: right if the scores are calibrated, and you don't know that.")
    if np.isclose(threshold, 0.5):
        raise Hint("Second number: 0.5 knows nothing of the costs.")
    raise Hint("Second number: on the validation pictures another threshold costs less.")


EXERCISES = {
    "04.1": Fill(recall_and_precision),
    "04.2": Predict(1, 2, 3),
    "04.3": Predict(between=(0, 1)),
    "04.4": Fill(settle),
    "04.5": Explore(),
}
