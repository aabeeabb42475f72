"""How good a model is, and how sure one can be of that: intervals, comparisons, costs, thresholds.

Labels and predictions are class positions, (n,) whole numbers (or bool), as `argmax` gives them;
what cannot be evaluated (none at all, other lengths, probabilities in their place) is a ValueError.
"""

import json
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import classification_report, confusion_matrix

from helpers.models import RECORDED
from safeguards.whole_files import SUMS, shipped

RECORDED_VALIDATION = RECORDED / "validation.npz"  # made by tools/record/record_validation.py


class RecordingError(RuntimeError):
    """The recorded answers are missing or not the shipped ones; says what to do next."""


class Estimate(NamedTuple):
    """A figure with its 95 % interval, low to high, from n pictures."""

    value: float
    low: float
    high: float
    n: int

    def __repr__(self):
        to = "–" if self.low >= 0 else " to "
        return f"{self.value:z.2f} ({self.low:z.2f}{to}{self.high:z.2f}), n = {self.n}"


class Difference(Estimate):
    """An `Estimate` that may be negative, and is written with its sign."""

    __slots__ = ()

    def __repr__(self):
        return f"{self.value:+z.2f} ({self.low:+z.2f} to {self.high:+z.2f}), n = {self.n}"


def accuracy(labels, predicted):
    """The share of right answers → `Estimate` with the 95 % Wilson interval (Wilson 1927)."""
    right = np.equal(*_positions(labels, predicted))
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return Estimate(float(right.mean()), float(interval.low), float(interval.high), len(right))


def bootstrap_mean(values, seed=0):
    """The mean of one number a picture → `Estimate` with the 95 % percentile interval of 10,000
    draws of as many pictures, with repetition (Efron 1979). values: floats (n,), n at least 2.
    Where all are equal the interval has no width: a weakness of the method, not certainty."""
    values = np.asarray(values, float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        found = f"{values.shape}, finite: {np.isfinite(values).all()}"
        raise ValueError(f"Give one finite number a picture, two or more; this has shape {found}.")
    drawn = bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=seed)
    low, high = drawn.confidence_interval
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def difference(labels, predicted_a, predicted_b, seed=0):
    """How much more often b is right than a: accuracy of b − accuracy of a, on the same pictures
    → `Difference` with a paired `bootstrap_mean`: pictures are drawn, each with both answers."""
    labels, a, b = _positions(labels, predicted_a, predicted_b)
    return Difference(*bootstrap_mean((labels == b).astype(int) - (labels == a), seed))


def gap(a, b):
    """How much higher the accuracy b is than a, of other pictures: two `Estimate`s → `Difference`
    with the 95 % interval of Newcombe (1998, method 10), n: the pictures of both."""
    value = b.value - a.value
    below = np.hypot(b.value - b.low, a.high - a.value)
    above = np.hypot(b.high - b.value, a.value - a.low)
    return Difference(value, float(value - below), float(value + above), a.n + b.n)


def verdict(result, guess, width=0.2):
    """What an accuracy shows and what not, in a sentence; ≈ marks what comes from training.
    result: `Estimate`; guess: what always giving the same answer gets on these pictures, 0…1;
    width: how wide the 95 % interval may be where one is to know how good the model is."""
    always = f"always giving the same answer ({guess:.2f})"
    guess, low, high = (round(share, 2) for share in (guess, result.low, result.high))  # as printed
    if high < guess:
        return f"Worse than {always}: look at the labels and at the errors."
    span, known = f"≈{low:.2f} to ≈{high:.2f}", round(high - low, 2) <= width
    if low <= guess and known:
        return f"Hardly better than {always}, if at all: {span} on pictures like these."
    if low <= guess:
        return (
            f"Too few pictures to tell: {span} is possible, and that holds what {always} gets. "
            "Collect more, or pictures that differ more."
        )
    if known:
        return f"Better than {always}: {span} on pictures like these."
    n = result.n  # until a result like this one says it to within the width
    while np.ptp(binomtest(round(result.value * n), n).proportion_ci(method="wilson")) > width:
        n += 1
    return (
        f"Better than {always}, but too few pictures to tell by how much: {span}. It would "
        f"take ≈{n} test pictures to say it to ±{width / 2:g}."
    )


def mcnemar(labels, predicted_a, predicted_b):
    """Chance that two equally good models differ as much as these, or more: the exact two-sided
    test (McNemar 1947) on the pictures that only one of the two gets right. p value, 0…1."""
    labels, a, b = _positions(labels, predicted_a, predicted_b)
    only_a, only_b = ((labels == a) & (labels != b)).sum(), ((labels != a) & (labels == b)).sum()
    return float(binomtest(int(only_a), int(only_a + only_b)).pvalue) if only_a + only_b else 1.0


def report(labels, predicted, classes):
    """A text table: precision, recall, F1 and number of pictures of each class, and averages.
    classes: names, in the order of the positions. nan: undefined, as the precision of a class that
    is never predicted. See `sklearn.metrics.classification_report`."""
    labels, predicted = _positions(labels, predicted, classes=len(classes))
    return classification_report(
        labels, predicted, labels=range(len(classes)), target_names=classes, zero_division=np.nan
    )


def confusion(labels, predicted, n_classes):
    """How often each class (row) was taken for each (column): int (n_classes, n_classes)."""
    labels, predicted = _positions(labels, predicted, classes=n_classes)
    return confusion_matrix(labels, predicted, labels=range(n_classes))


def expected_cost(positive, scores, threshold, miss, alarm, weights=None):
    """Mean cost a picture, if the answer is yes from `threshold` on (score ≥ threshold).
    positive: bool (n,), what is true; scores: floats (n,); threshold: one, or an array of them;
    miss, alarm: cost of a wrong no and of a wrong yes, 0 or more; weights: (n,), how often each
    picture counts (None: once). Returns a float, or an array of the thresholds' shape."""
    positive, scores, weights = _scored(positive, scores, weights)
    _costs(miss, alarm)
    order = np.argsort(scores)
    refused = np.searchsorted(scores[order], threshold)  # so many score less
    missed = np.append(0, np.cumsum((weights * positive)[order]))[refused]
    dismissed = np.append(0, np.cumsum((weights * ~positive)[order]))
    cost = (miss * missed + alarm * (dismissed[-1] - dismissed[refused])) / weights.sum()
    return cost if np.ndim(threshold) else float(cost)


def thresholds(scores):
    """One threshold for each way to part these scores into no and yes, from yes to all to no to
    all: floats, ascending, halfway between neighbours. scores: probabilities (n,), 0…1."""
    found = np.unique(np.asarray(scores, float))
    if not found.size or not (found[0] >= 0 and found[-1] <= 1):  # NaN is sorted to the end
        raise ValueError("Scores should be probabilities, from 0 to 1: softmax makes them.")
    edges = np.append(0, found)
    no_to_all = (edges[-1] + 1) / 2 if edges[-1] < 1 else np.nextafter(1, 2)
    return np.append((edges[:-1] + edges[1:]) / 2, no_to_all)


def choose_threshold(positive, scores, miss, alarm, weights=None):
    """The one of the `thresholds` with the least `expected_cost` on these pictures (so give
    validation pictures), of several the middle one. scores: probabilities (n,), 0…1."""
    candidates = thresholds(scores)
    costs = expected_cost(positive, scores, candidates, miss, alarm, weights)
    best = candidates[np.isclose(costs, costs.min(), rtol=1e-9, atol=0)]
    return float(best[(len(best) - 1) // 2])


def threshold_from_costs(miss, alarm):
    """The probability from which a yes is cheaper than a no: alarm / (alarm + miss).
    It holds for calibrated probabilities (Elkan 2001); costs are 0 or more, not both 0."""
    _costs(miss, alarm)
    return alarm / (alarm + miss)


def expected_calibration_error(probabilities, labels, bins=15):
    """Mean distance of confidence and accuracy over equally wide bins (Guo et al. 2017), 0…1.
    probabilities: floats (n, classes), each row sums to 1; labels: class positions (n,)."""
    probabilities = np.asarray(probabilities)
    if probabilities.ndim != 2 or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise ValueError("Probabilities should be (pictures, classes), each row with sum 1.")
    labels, best = _positions(labels, probabilities.argmax(1), classes=probabilities.shape[1])
    confidence, right = probabilities.max(axis=1), best == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(np.sum(right[place == b]) - np.sum(confidence[place == b])) for b in range(bins)]
    return float(sum(gaps) / len(labels))


def recorded_answers(pictures="imagenet_val"):
    """What networks answered about labelled photographs that can't be shipped.
    pictures: "imagenet_val", 650 of ImageNet's validation set, cut to 227 × 227 pixels; or
    "photos", 200 others that may be training pictures: good for differences only.
    Returns (labels, answers, about): class positions (n,) of `imagenet_classes()`; a dict
    from a run's name to its class positions (n,); a dict that says how they were made. A
    run is called like a network of the registry, or "efficientnet_lite0 at 128 px", or
    "efficientnet_lite0, not scaled at all", with one of the ways of lesson 02. ValueError
    for other pictures, RecordingError where the file isn't the shipped one."""
    known = ("imagenet_val", "photos")
    if pictures not in known:
        raise ValueError(f"No answers about {pictures!r} are recorded, only {known}.")
    wanted = "runs", f"{pictures}/labels", f"{pictures}/answers"
    (runs, labels, answers), about = _recorded(*wanted)
    by_run = dict(zip(runs.tolist(), answers.astype(int), strict=True))
    return labels.astype(int), by_run, about


def recorded_logits():
    """EfficientNet-Lite0's logits for the 650 pictures of "imagenet_val".
    Returns (labels, logits, about): class positions (n,), float32 (n, 1000), a dict that
    says how they were made. RecordingError where the file isn't the shipped one."""
    (labels, logits), about = _recorded("imagenet_val/labels", "logits")
    return labels.astype(int), logits.astype("float32"), about


def _recorded(*names):
    """Arrays of the recorded file, by name, and the dict that says how it was made."""
    path = RECORDED_VALIDATION
    advice = f"Bring it back: git checkout data/recorded/{path.name} data/recorded/{SUMS}"
    try:
        if not shipped(path):
            raise RecordingError(f"{path} isn't the file that ships with the lessons. {advice}")
        with np.load(path) as file:
            return [file[name] for name in names], json.loads(file["about"].item())
    except OSError as error:
        raise RecordingError(f"{path} can't be read ({error.strerror}). {advice}") from error


def _positions(*arrays, classes=None):
    """Class positions as arrays of one length, the labels first; ValueError says what is wrong."""
    arrays = [np.asarray(array) for array in arrays]
    shapes = ", ".join(str(array.shape) for array in arrays)
    if any(array.ndim == 2 for array in arrays):
        raise ValueError(f"Shapes {shapes}: of scores (n, classes) take .argmax(axis=1) first.")
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        raise ValueError(f"Shapes {shapes}: give one label and one prediction a picture.")
    if not arrays[0].size:
        raise ValueError("There is no picture to evaluate: these are empty.")
    if any(array.dtype.kind not in "iub" for array in arrays):
        kinds = ", ".join(str(array.dtype) for array in arrays)
        raise ValueError(f"Types {kinds}: give class positions, which are whole numbers (or bool).")
    if classes is not None and any(a.min() < 0 or a.max() >= classes for a in arrays):
        low, high = min(a.min() for a in arrays), max(a.max() for a in arrays)
        raise ValueError(f"Positions {low} to {high}, but {classes} classes: 0 to {classes - 1}.")
    return arrays


def _scored(positive, scores, weights):
    """What is true (bool), scores and weights as arrays of one length; ValueError otherwise."""
    positive, scores = np.asarray(positive), np.asarray(scores, float)
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    if len({positive.shape, scores.shape, weights.shape}) > 1 or scores.ndim != 1:
        shapes = f"{positive.shape}, {scores.shape}, {weights.shape}"
        raise ValueError(f"Give one truth, one score and one weight a picture; these are {shapes}.")
    if not scores.size:
        raise ValueError("There is no picture to evaluate: these are empty.")
    if positive.dtype != bool:
        raise ValueError("Say in positive what is true: bool, such as labels == 1.")
    if not (np.isfinite(scores).all() and np.isfinite(weights).all()):
        raise ValueError("A score or a weight is not a finite number (did training diverge?).")
    if weights.min() < 0 or weights.sum() == 0:
        raise ValueError("Weights should be 0 or more, and not all 0.")
    return positive, scores, weights


def _costs(miss, alarm):
    if not (0 <= miss < np.inf and 0 <= alarm < np.inf and miss + alarm > 0):
        raise ValueError(f"Costs should be 0 or more, and not both 0: miss {miss}, alarm {alarm}.")
