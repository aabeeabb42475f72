"""What the accuracy on somebody's own pictures shows, and how two of them differ."""

import numpy as np
from scipy.stats import binomtest

from helpers.evaluate import Difference


def unpaired_difference(a, b):
    """How much higher accuracy b is than a, when they come from different pictures.
    a, b: `Estimate`s. Returns a `Difference` with the 95 % interval of Newcombe (1998,
    method 10); n counts the pictures of both."""
    value = b.value - a.value
    below = np.hypot(b.value - b.low, a.high - a.value)
    above = np.hypot(b.high - b.value, a.value - a.low)
    low = float(value - below)
    high = float(value + above)
    return Difference(value, low, high, a.n + b.n)


def judge_accuracy(result, guess, width=0.2):
    """What an accuracy does and doesn't show, in a sentence; ≈ marks what training
    made. result: an `Estimate`;
    guess: the accuracy of always giving the same answer to these pictures, 0…1;
    width: a wider 95 % interval than this makes the sentence ask for more pictures."""
    always = f"always giving the same answer ({guess:.2f})"
    # Rounded as printed: “better than 0.50: 0.50 to 0.80” would contradict itself.
    guess = round(guess, 2)
    low = round(result.low, 2)
    high = round(result.high, 2)
    if high < guess:
        return f"Worse than {always}: look at the labels and at the errors."
    span = f"≈{low:.2f} to ≈{high:.2f}"
    narrow = round(high - low, 2) <= width
    if low <= guess and narrow:
        return f"Hardly better than {always}, if at all: {span} on pictures like these."
    if low <= guess:
        return (
            f"Too few pictures to tell: {span} is possible, and that holds what "
            f"{always} gets. Collect more, or pictures that differ more."
        )
    if narrow:
        return f"Better than {always}: {span} on pictures like these."
    n = _enough_pictures(result, width)
    return (
        f"Better than {always}, but too few pictures to tell by how much: {span}. "
        f"It would take ≈{n} test pictures to say it to ±{width / 2:g}."
    )


def _enough_pictures(result, width):
    """How many pictures make the interval around this accuracy no wider than
    `width`."""
    n = result.n
    while _interval_width(result.value, n) > width:
        n += 1
    return n


def _interval_width(value, n):
    """How wide the 95 % Wilson interval is around an accuracy from n pictures."""
    test = binomtest(round(value * n), n)
    interval = test.proportion_ci(method="wilson")
    return interval.high - interval.low
