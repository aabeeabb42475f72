"""Figures that were computed by hand, and what cannot be evaluated."""

import numpy as np
import pytest
from scipy.stats import norm

from helpers.evaluate import (
    Difference,
    Estimate,
    accuracy,
    bootstrap_mean,
    choose_threshold,
    difference,
    expected_calibration_error,
    expected_cost,
    thresholds,
)

TRUE = np.array([False, False, True, True])
SCORES = np.array([0.1, 0.4, 0.3, 0.8])


# -- accuracy and its interval ---------------------------------------------------------


def wilson(k, n):
    """Wilson (1927), written out."""
    z, p = norm.ppf(0.975), k / n
    middle, scale = p + z**2 / (2 * n), 1 + z**2 / n
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / scale, (middle + half) / scale


@pytest.mark.parametrize(
    "right, n", [(0, 1), (1, 1), (0, 40), (40, 40), (3, 4), (204, 240)]
)
def test_accuracy_with_wilson_interval(right, n):
    estimate = accuracy(np.zeros(n, int), np.arange(n) >= right)
    assert (estimate.value, estimate.n) == (right / n, n)
    assert estimate[1:3] == pytest.approx(wilson(right, n), abs=1e-9)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_how_estimates_are_written():
    assert str(Estimate(0.85, 0.799, 0.89, 240)) == "0.85 (0.80–0.89), n = 240"
    assert f"{Estimate(1.0, 0.5, 1.0, 4)}" == "1.00 (0.50–1.00), n = 4"
    assert str(Estimate(-0.5, -1.25, 0.001, 4)) == "-0.50 (-1.25 to 0.00), n = 4"
    assert (
        str(Difference(0.05, -0.001, 0.114, 240)) == "+0.05 (+0.00 to +0.11), n = 240"
    )
    assert str(Difference(-0.05, -0.1, -0.01, 7)) == "-0.05 (-0.10 to -0.01), n = 7"


# -- the bootstrap ---------------------------------------------------------------------


def test_bootstrap_mean_is_near_the_normal_interval_for_many_values():
    values = np.random.default_rng(0).exponential(2, 500)
    estimate = bootstrap_mean(values)
    half = norm.ppf(0.975) * values.std() / np.sqrt(500)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_bootstrap_mean_is_fixed_by_its_seed():
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_bootstrap_mean_of_equal_values_has_no_width():
    assert bootstrap_mean([5, 5, 5]) == (5, 5, 5, 3)


@pytest.mark.parametrize("values", [[], [1], [[1, 2]], [1, np.nan], [1, np.inf], 3])
def test_bootstrap_mean_needs_two_finite_numbers(values):
    with pytest.raises(ValueError, match="one finite number a picture, two or more"):
        bootstrap_mean(values)


def test_difference_is_paired_and_covers_the_true_one():
    # b is right where a is, and mends 0.3 of a's 0.3 errors: 0.09 better.
    random, covered, widths = np.random.default_rng(0), 0, []
    for seed in range(100):
        right_a = random.random(150) < 0.7
        right_b = right_a | (random.random(150) < 0.3)
        found = difference(np.ones(150, int), right_a, right_b, seed=seed)
        assert found.value == pytest.approx(right_b.mean() - right_a.mean())
        covered += found.low <= 0.09 <= found.high
        widths.append(found.high - found.low)
    assert 0.9 <= covered / 100 <= 0.99
    # Unpaired, the width would be about 2 * 1.96 * sqrt((0.21 + 0.166) / 150) = 0.196.
    assert np.mean(widths) < 0.11


def test_difference_has_a_sign_and_a_direction():
    labels, wrong = [0, 1] * 20, [1, 0] * 20
    assert difference(labels, wrong, labels) == (1, 1, 1, 40)
    assert difference(labels, labels, wrong) == (-1, -1, -1, 40)
    assert str(difference(labels, labels, labels)) == "+0.00 (+0.00 to +0.00), n = 40"


# -- costs and thresholds --------------------------------------------------------------


@pytest.mark.parametrize(
    "threshold, misses, alarms",
    [(0, 0, 2), (0.1, 0, 2), (0.2, 0, 1), (0.3, 0, 1), (0.35, 1, 1), (0.4, 1, 1),
     (0.5, 1, 0), (0.8, 1, 0), (0.9, 2, 0), (-np.inf, 0, 2), (np.inf, 2, 0)],
)  # fmt: skip
def test_cost_by_hand(threshold, misses, alarms):
    cost = expected_cost(TRUE, SCORES, threshold, miss=5, alarm=1)
    assert type(cost) is float
    assert cost == (5 * misses + alarms) / 4


def test_cost_of_many_thresholds_is_that_of_each():
    random = np.random.default_rng(0)
    positive, scores = (
        random.random(200) < 0.3,
        random.random(200).round(2),
    )  # with ties
    weights, thresholds = random.random(200), np.linspace(-0.1, 1.1, 130)
    costs = expected_cost(positive, scores, thresholds, 5, 1, weights)
    assert costs.shape == (130,)
    for threshold, cost in zip(thresholds, costs, strict=True):
        yes = scores >= threshold
        each = 5 * (positive & ~yes) + 1.0 * (~positive & yes)
        assert cost == pytest.approx(np.average(each, weights=weights))


def test_weights_count_pictures_repeatedly():
    times = np.array([1, 4, 2, 3])
    repeated = expected_cost(
        np.repeat(TRUE, times), np.repeat(SCORES, times), 0.35, 5, 1
    )
    assert expected_cost(TRUE, SCORES, 0.35, 5, 1, weights=times) == pytest.approx(
        repeated
    )


def test_thresholds_part_the_scores_in_every_way():
    assert thresholds([0.5, 0.1, 0.5]) == pytest.approx([0.05, 0.3, 0.75])
    assert list(thresholds([1, 0])) == [0, 0.5, np.nextafter(1, 2)]
    scores = np.random.default_rng(0).random(40).round(1)
    refused = [(scores < threshold).sum() for threshold in thresholds(scores)]
    counts = np.unique(scores, return_counts=True)[1]
    assert refused == [0, *np.cumsum(counts)]


@pytest.mark.parametrize(
    "scores", [[], [np.nan], [0.5, np.nan], [-0.1, 0.5], [0.5, 1.1], [np.inf]]
)
def test_thresholds_are_for_probabilities(scores):
    with pytest.raises(ValueError, match="probabilities"):
        thresholds(scores)


@pytest.mark.parametrize(
    "miss, alarm, threshold",
    [
        (5, 1, 0.2),  # between 0.1 and 0.3: one alarm
        (1, 5, 0.6),  # between 0.4 and 0.8: one miss
        (1, 1, 0.2),  # one alarm (0.2) or one miss (0.6): of two, the lower
        (1, 0, 0.05),  # no miss (0.05 and 0.2) costs nothing: of two, the lower
    ],
)
def test_threshold_by_hand(miss, alarm, threshold):
    assert choose_threshold(TRUE, SCORES, miss, alarm) == pytest.approx(threshold)


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
@pytest.mark.parametrize("scores", [[0.0, 1.0], [0.2, 0.2], [0.0, 0.0], [1.0, 1.0]])
def test_one_class_only_gets_one_answer_to_all(positive, scores):
    threshold = choose_threshold(np.array(positive), scores, 5, 1)
    assert (np.array(scores) >= threshold).tolist() == positive
    assert expected_cost(np.array(positive), scores, threshold, 5, 1) == 0


def test_all_wrong_falls_back_on_one_answer():
    threshold = choose_threshold(~TRUE, [0.1, 0.2, 0.8, 0.9], 5, 1)
    assert threshold == pytest.approx(0.05)


def test_no_threshold_is_cheaper_than_the_chosen_one():
    random = np.random.default_rng(0)
    for _ in range(50):
        positive, scores = random.random(30) < 0.5, random.random(30).round(1)
        weights, (miss, alarm) = random.random(30), random.random(2)
        chosen = choose_threshold(positive, scores, miss, alarm, weights)
        thresholds = [-1, *np.linspace(0, 1.05, 106)]
        costs = expected_cost(positive, scores, thresholds, miss, alarm, weights)
        best = expected_cost(positive, scores, chosen, miss, alarm, weights)
        assert best == pytest.approx(costs.min())


def test_of_calibrated_probabilities_the_costs_give_the_threshold():
    random = np.random.default_rng(0)
    scores = random.random(200_000)
    positive = random.random(200_000) < scores
    assert choose_threshold(positive, scores, 5, 1) == pytest.approx(1 / 6, abs=0.02)


@pytest.mark.parametrize(
    "miss, alarm", [(0, 0), (-1, 2), (1, -1), (np.nan, 1), (1, np.inf)]
)
def test_costs_that_make_no_sense(miss, alarm):
    for call in (
        lambda: expected_cost(TRUE, SCORES, 0.5, miss, alarm),
        lambda: choose_threshold(TRUE, SCORES, miss, alarm),
    ):
        with pytest.raises(ValueError, match="Costs should be 0 or more"):
            call()


@pytest.mark.parametrize(
    "positive, scores, weights, said",
    [
        (TRUE, SCORES[:3], None, "one truth, one score"),
        (TRUE, SCORES, [1], "one truth, one score"),
        (TRUE[None], SCORES[None], None, "one truth, one score"),
        (TRUE[:0], SCORES[:0], None, "no picture"),
        (TRUE.astype(int), SCORES, None, "bool"),
        (TRUE, [0.1, np.nan, 0.2, 0.3], None, "not a finite number"),
        (TRUE, SCORES, [1, 1, 1, np.inf], "not a finite number"),
        (TRUE, SCORES, [0, 0, 0, 0], "Weights should be 0 or more"),
        (TRUE, SCORES, [1, 1, -1, 1], "Weights should be 0 or more"),
    ],
)
def test_scores_that_make_no_sense(positive, scores, weights, said):
    with pytest.raises(ValueError, match=said):
        expected_cost(positive, scores, 0.5, 5, 1, weights)
    with pytest.raises(ValueError, match=f"{said}|probabilities"):
        choose_threshold(positive, scores, 5, 1, weights)


@pytest.mark.parametrize("scores", [[-3.0, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 7.0]])
def test_threshold_of_logits_is_refused(scores):
    with pytest.raises(ValueError, match="probabilities"):
        choose_threshold(TRUE, scores, 5, 1)


# -- calibration -----------------------------------------------------------------------


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1]] * 10)
    assert expected_calibration_error(probabilities, [0] * 9 + [1]) == pytest.approx(0)
    assert expected_calibration_error(probabilities, [1] * 10) == pytest.approx(0.9)
    # Two bins: 0.6, right 1 of 2 (gap 0.1), and 1.0, right 1 of 2 (gap 0.5).
    mixed, labels = np.array([[0.6, 0.4], [0.6, 0.4], [0, 1], [0, 1]]), [0, 1, 1, 0]
    assert expected_calibration_error(mixed, labels) == pytest.approx(
        (2 * 0.1 + 2 * 0.5) / 4
    )
    assert expected_calibration_error(mixed, labels, bins=1) == pytest.approx(0.3)


@pytest.mark.parametrize("probabilities", [[[3.0, -1.0]], [0.5, 0.5], [[1.0, 1.0]]])
def test_calibration_needs_probabilities(probabilities):
    with pytest.raises(ValueError, match="sum 1"):
        expected_calibration_error(probabilities, [0])


def test_calibration_needs_a_class_for_each_label():
    with pytest.raises(ValueError, match="Positions 0 to 2, but 2 classes"):
        expected_calibration_error([[0.5, 0.5]], [2])


# -- what cannot be evaluated ----------------------------------------------------------


@pytest.mark.parametrize(
    "labels, predicted, said",
    [
        ([], [], "no picture to evaluate"),
        ([0, 1], [0], "one label and one prediction a picture"),
        (0, 0, "one label and one prediction a picture"),
        ([0, 1], [[0.2, 0.8], [0.3, 0.7]], "argmax"),
        ([0, 1], [0.2, 0.8], "whole numbers"),
        (["cat"], ["cat"], "whole numbers"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        accuracy,
        lambda labels, predicted: difference(labels, predicted, predicted),
    ],
    ids=["accuracy", "difference"],
)
def test_bad_predictions(call, labels, predicted, said):
    with pytest.raises(ValueError, match=said):
        call(np.array(labels), np.array(predicted))
