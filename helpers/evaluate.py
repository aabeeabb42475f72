"""How good a model is and how sure we can be of it: intervals, costs, thresholds.

Labels and predictions are class positions: whole numbers (or bool), (n,), as `argmax`
gives them. Anything else, such as no pictures, other lengths or probabilities, is a
ValueError."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, bootstrap

from helpers.models import RECORDED
from safeguards.recordings import read_recording

DRAWS = 10_000  # of the bootstrap
WHOLE_NUMBERS = "iub"  # the kinds of dtypes: int, unsigned int and bool
# Made by tools/record/record_validation.py, which asked networks about two sets of
# pictures.
RECORDED_VALIDATION = RECORDED / "validation.npz"
PICTURE_SETS = ("imagenet_val", "photos")


class Estimate(NamedTuple):
    """A value with its 95 % interval, low to high, from n pictures."""

    value: float
    low: float
    high: float
    n: int

    def __repr__(self):
        to = "–" if self.low >= 0 else " to "
        interval = f"{self.low:z.2f}{to}{self.high:z.2f}"
        return f"{self.value:z.2f} ({interval}), n = {self.n}"


class Difference(Estimate):
    """An `Estimate` that may be negative, and is written with its sign."""

    __slots__ = ()

    def __repr__(self):
        interval = f"{self.low:+z.2f} to {self.high:+z.2f}"
        return f"{self.value:+z.2f} ({interval}), n = {self.n}"


def accuracy(labels, predicted):
    """The share of right answers → `Estimate` with the 95 % Wilson interval (1927)."""
    labels, predicted = _class_positions(labels, predicted)
    right = labels == predicted
    test = binomtest(int(right.sum()), len(right))
    interval = test.proportion_ci(method="wilson")
    return Estimate(
        value=float(right.mean()),
        low=float(interval.low),
        high=float(interval.high),
        n=len(right),
    )


def bootstrap_mean(values, seed=0):
    """The mean of one number per picture → `Estimate` with a bootstrap interval.
    It's the 95 % percentile interval from 10,000 draws of as many pictures, with
    repetition (Efron 1979). If all values are equal it has no width: a weakness of the
    method, not certainty.
    values: floats (n,), n at least 2; ValueError otherwise."""
    values = np.asarray(values, float)
    all_finite = np.isfinite(values).all()
    if values.ndim != 1 or len(values) < 2 or not all_finite:
        raise ValueError(
            "Give one finite number a picture, two or more; this has shape "
            f"{values.shape}, finite: {all_finite}."
        )
    drawn = bootstrap(
        (values,),
        np.mean,
        n_resamples=DRAWS,
        method="percentile",
        rng=seed,
    )
    interval = drawn.confidence_interval
    return Estimate(
        value=float(values.mean()),
        low=float(interval.low),
        high=float(interval.high),
        n=len(values),
    )


def difference(labels, predicted_a, predicted_b, seed=0):
    """How much more often b is right than a, on the same pictures → `Difference`.
    It's the accuracy of b minus that of a, with a paired `bootstrap_mean`: each picture
    is drawn together with both answers."""
    labels, a, b = _class_positions(labels, predicted_a, predicted_b)
    a_right = (labels == a).astype(int)
    b_right = (labels == b).astype(int)
    mean = bootstrap_mean(b_right - a_right, seed)
    return Difference(*mean)


def expected_cost(positive, scores, threshold, miss, alarm, weights=None):
    """The mean cost per picture if the answer is yes where score ≥ threshold.
    positive: bool (n,), the truth; scores: floats (n,); threshold: one, or an array;
    miss, alarm: the cost of a wrong no and of a wrong yes, 0 or more; weights: (n,),
    how often each picture counts (None: once). Returns a float, or an array shaped like
    threshold."""
    positive, scores, weights = _checked_scores(positive, scores, weights)
    _check_costs(miss, alarm)
    total_weight = weights.sum()
    order = np.argsort(scores)
    scores = scores[order]
    positive = positive[order]
    weights = weights[order]
    # No goes to the lowest scores, so the sums over the lowest 0, 1, 2, … are enough.
    positives_below = np.append(0, np.cumsum(weights * positive))
    negatives_below = np.append(0, np.cumsum(weights * ~positive))
    answers_no = np.searchsorted(scores, threshold)
    misses = positives_below[answers_no]
    alarms = negatives_below[-1] - negatives_below[answers_no]
    cost = (miss * misses + alarm * alarms) / total_weight
    return cost if np.ndim(threshold) else float(cost)


def thresholds(scores):
    """One threshold for each way to split these scores into no and yes.
    The first says yes to all, the last no to all, the others lie halfway between
    neighbours. scores: probabilities (n,), 0…1; ValueError otherwise. Returns floats,
    ascending."""
    different = np.unique(np.asarray(scores, float))
    # NaN is sorted to the end, and is not <= 1.
    in_range = different.size and different[0] >= 0 and different[-1] <= 1
    if not in_range:
        raise ValueError(
            "Scores should be probabilities, from 0 to 1: softmax makes them."
        )
    highest = different[-1]
    no_to_all = (highest + 1) / 2
    if highest == 1:
        no_to_all = np.nextafter(1, 2)
    edges = np.append(0, different)
    halfway = (edges[:-1] + edges[1:]) / 2
    return np.append(halfway, no_to_all)


def choose_threshold(positive, scores, miss, alarm, weights=None):
    """The one of the `thresholds` with the lowest `expected_cost` on these pictures.
    So give it validation pictures. Of several equally cheap ones it's the middle one.
    scores: probabilities (n,), 0…1; the rest as for `expected_cost`."""
    candidates = thresholds(scores)
    costs = expected_cost(positive, scores, candidates, miss, alarm, weights)
    is_cheapest = np.isclose(costs, costs.min(), rtol=1e-9, atol=0)
    cheapest = candidates[is_cheapest]
    middle = (len(cheapest) - 1) // 2
    return float(cheapest[middle])


def expected_calibration_error(probabilities, labels, bins=15):
    """The mean distance between confidence and accuracy over equally wide bins, 0…1.
    See Guo et al. (2017). probabilities: floats (n, classes), each row sums to 1;
    labels: class positions (n,)."""
    probabilities = np.asarray(probabilities)
    is_table = probabilities.ndim == 2
    sums = probabilities.sum(axis=-1)
    if not is_table or not np.allclose(sums, 1, atol=1e-3):
        raise ValueError(
            "Probabilities should be (pictures, classes), each row with sum 1."
        )
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    labels, predicted = _class_positions(labels, predicted, classes=n_classes)
    right = predicted == labels
    confidence = probabilities.max(axis=1)
    bin_of_each = (confidence * bins).astype(int)
    bin_of_each = np.minimum(bin_of_each, bins - 1)
    total = 0
    for bin_number in range(bins):
        inside = bin_of_each == bin_number
        right_answers = np.sum(right[inside])
        expected = np.sum(confidence[inside])
        total += abs(right_answers - expected)
    return float(total / len(labels))


def recorded_answers(pictures="imagenet_val"):
    """What networks answered for labelled photographs that can't be shipped.
    pictures: "imagenet_val", 650 of ImageNet's validation set, cut to 227 × 227 pixels;
    or "photos", 200 others that may be training pictures: good for differences only.
    Returns (labels, answers, provenance): class positions (n,) of `imagenet_classes()`;
    a dict from a run's name to its class positions (n,); a dict that says how they were
    made. A run has the name of a network of the registry, or one like
    "efficientnet_lite0 at 128 px", or "efficientnet_lite0, not scaled at all", with one
    of the ways of lesson 02. ValueError for other pictures, RecordingError where the
    file isn't the shipped one."""
    if pictures not in PICTURE_SETS:
        raise ValueError(
            f"No answers about {pictures!r} are recorded, only {PICTURE_SETS}."
        )
    names = ("runs", f"{pictures}/labels", f"{pictures}/answers")
    arrays, provenance = read_recording(RECORDED_VALIDATION, *names)
    runs, labels, answers = arrays
    answers = answers.astype(int)
    answers_of_run = dict(zip(runs.tolist(), answers, strict=True))
    return labels.astype(int), answers_of_run, provenance


def recorded_logits():
    """EfficientNet-Lite0's logits for the 650 pictures of "imagenet_val".
    Returns (labels, logits, provenance): class positions (n,), float32 (n, 1000), a
    dict that says how they were made. RecordingError where the file isn't what was
    shipped."""
    arrays, provenance = read_recording(
        RECORDED_VALIDATION, "imagenet_val/labels", "logits"
    )
    labels, logits = arrays
    return labels.astype(int), logits.astype("float32"), provenance


def _class_positions(*arrays, classes=None):
    """Labels and predictions as arrays of one length; ValueError otherwise."""
    arrays = [np.asarray(array) for array in arrays]
    shapes = [array.shape for array in arrays]
    named_shapes = ", ".join(str(shape) for shape in shapes)
    if any(len(shape) == 2 for shape in shapes):
        raise ValueError(
            f"Shapes {named_shapes}: of scores (n, classes) take .argmax(axis=1) first."
        )
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise ValueError(
            f"Shapes {named_shapes}: give one label and one prediction a picture."
        )
    if not arrays[0].size:
        raise ValueError("There is no picture to evaluate: these are empty.")
    dtypes = [array.dtype for array in arrays]
    for dtype in dtypes:
        if dtype.kind not in WHOLE_NUMBERS:
            raise ValueError(
                f"Types {', '.join(map(str, dtypes))}: give class positions, which are "
                "whole numbers (or bool)."
            )
    together = np.concatenate(arrays)
    low = together.min()
    high = together.max()
    if classes is not None and (low < 0 or high >= classes):
        raise ValueError(
            f"Positions {low} to {high}, but {classes} classes: 0 to {classes - 1}."
        )
    return arrays


def _checked_scores(positive, scores, weights):
    """The truth, scores and weights as arrays of one length; ValueError otherwise."""
    positive = np.asarray(positive)
    scores = np.asarray(scores, float)
    if weights is None:
        weights = np.ones(len(scores))
    weights = np.asarray(weights, float)
    shapes = (positive.shape, scores.shape, weights.shape)
    if len(set(shapes)) > 1 or scores.ndim != 1:
        named_shapes = ", ".join(str(shape) for shape in shapes)
        raise ValueError(
            "Give one truth, one score and one weight a picture; these are "
            f"{named_shapes}."
        )
    if not scores.size:
        raise ValueError("There is no picture to evaluate: these are empty.")
    if positive.dtype != bool:
        raise ValueError("Say in positive what is true: bool, such as labels == 1.")
    all_finite = np.isfinite(scores).all() and np.isfinite(weights).all()
    if not all_finite:
        raise ValueError(
            "A score or a weight is not a finite number (did training diverge?)."
        )
    if weights.min() < 0 or weights.sum() == 0:
        raise ValueError("Weights should be 0 or more, and not all 0.")
    return positive, scores, weights


def _check_costs(miss, alarm):
    """ValueError for costs that say nothing."""
    finite = np.isfinite(miss) and np.isfinite(alarm)
    if not finite or miss < 0 or alarm < 0 or miss + alarm == 0:
        raise ValueError(
            f"Costs should be 0 or more, and not both 0: miss {miss}, alarm {alarm}."
        )
