"""Lesson 03, decode predictions: its exercises and their judges."""

from functools import partial

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
from helpers.labels import decode, imagenet_classes

TOLERANCE = 1e-4  # of a probability


def softmax(scores):
    """One picture's logits → probabilities."""
    powers = np.exp(scores - np.max(scores))
    return powers / powers.sum()


def top_three(answer):
    """Judge a function (outputs, classes, from_logits) → the three best guesses.

    Each guess should be (wnid, name, probability).
    """
    random = np.random.default_rng()
    # one class for each name, so that a name alone tells the class
    wnids = {name: wnid for wnid, name in imagenet_classes()}
    names = random.choice(list(wnids), random.integers(20, 40), replace=False).tolist()
    classes = [(wnids[name], name) for name in names]
    logits = random.permutation(np.linspace(-4, 5, len(classes)))
    logits = logits + random.uniform(0, 0.1)
    for from_logits in (True, False):
        outputs = logits if from_logits else softmax(logits)
        given = outputs.copy()
        result = call(answer, given, classes.copy(), from_logits)
        if not np.array_equal(given, outputs):
            raise Hint(
                "The outputs that were handed over have changed. Sort a copy, or "
                "positions."
            )
        _judge_guesses(result, outputs, classes, from_logits)
    # exp overflows for these, unless the largest is subtracted first
    large_logits = logits + 1000
    result = call(answer, large_logits.copy(), classes.copy(), True)
    _judge_guesses(result, large_logits, classes, True)
    return "Right, for logits and for probabilities, of classes that it had never seen."


def _judge_guesses(result, outputs, classes, from_logits):
    """Raise a hint unless the result holds the three best guesses for these outputs."""
    wnids, names, probabilities = _parse_guesses(result)
    condition = f"Called with from_logits={from_logits}: "
    if not np.isfinite(probabilities).all():
        raise Hint(
            f"{condition}a probability is {probabilities.min()}. What do large scores "
            "do to exp?"
        )
    shares = softmax(outputs) if from_logits else outputs
    ranking = decode(shares, classes, len(classes))
    best = ranking[:3]
    _judge_classes(wnids, names, ranking, classes)
    expected = np.array([guess.probability for guess in best])
    if np.allclose(probabilities, expected, atol=TOLERANCE):
        return
    if np.allclose(probabilities, expected / expected.sum(), atol=TOLERANCE):
        raise Hint(
            "These three sum to 1, as if there were no others. Softmax of which scores?"
        )
    positions = np.argsort(-outputs)[:3]
    softmax_twice = softmax(outputs)[positions]
    if not from_logits and np.allclose(probabilities, softmax_twice):
        raise Hint(
            f"{condition}outputs are probabilities already; a second softmax levels "
            "them."
        )
    if np.allclose(probabilities, outputs[positions]):
        raise Hint(
            f"{condition}these are the outputs as they came. Are they probabilities "
            "then?"
        )
    raise Hint(
        f"{condition}the right classes, but not their probabilities. What are outputs "
        "then?"
    )


def _parse_guesses(result):
    """A learner's guesses as three lists: wnids, names, probabilities; or a `Hint`."""
    try:
        guesses = [guess if isinstance(guess, str) else list(guess) for guess in result]
    except TypeError as error:
        kind = type(result).__name__
        raise Hint(f"A list is asked for; this holds, or is, {kind}.") from error
    if len(guesses) != 3:
        raise Hint(f"A list of three guesses is asked for; this has {len(guesses)}.")
    if not all(len(guess) == 3 and not isinstance(guess, str) for guess in guesses):
        raise Hint(
            "Each guess should have three parts: wnid, name, probability. An entry of "
            "`classes` is a pair: take it apart."
        )
    if any(np.ndim(value) for guess in guesses for value in guess):
        raise Hint(
            "Each of the three parts should be a single thing, not a list or an array."
        )
    wnids = [str(wnid) for wnid, _, _ in guesses]
    names = [str(name) for _, name, _ in guesses]
    probabilities = numbers([probability for _, _, probability in guesses])
    return wnids, names, probabilities


def _judge_classes(wnids, names, ranking, classes):
    """Raise a hint unless these are the classes of the best three, best first."""
    best = ranking[:3]
    worst = ranking[-3:]
    best_wnids = [guess.wnid for guess in best]
    known_wnids = {wnid for wnid, _ in classes}
    if not set(wnids) <= known_wnids:
        raise Hint(
            "The first part should be the wnid that `classes` has there, the second a "
            "name."
        )
    if sorted(wnids) == sorted(guess.wnid for guess in worst):
        raise Hint(
            "These are the three least likely. In which direction does argsort sort?"
        )
    if sorted(wnids) != sorted(best_wnids):
        raise Hint("These are other classes. Does each position go with its own class?")
    if wnids != best_wnids:
        raise Hint("The right three, but the likeliest should come first.")
    if names != [guess.name for guess in best]:
        raise Hint("The right wnids, but not their names.")


def calibration_error(answer):
    """Judge a function (confidence, correct, bins) → expected calibration error.

    It gets few pictures, so that some bins are empty; some confidences are exactly 1.
    """
    for n, bins in ((60, 12), (300, 15)):
        draw = partial(_draw_confidences, n, bins)
        confidence, correct, error, mistakes = draw_distinct(draw)
        given_confidence = confidence.copy()
        given_correct = correct.copy()
        result = numbers(call(answer, given_confidence, given_correct, bins))
        if result.size != 1:
            raise Hint(f"One number is asked for; this has shape {result.shape}.")
        same_confidence = np.array_equal(given_confidence, confidence)
        if not same_confidence or not np.array_equal(given_correct, correct):
            raise Hint("What was handed over has changed: work on new arrays.")
        if np.isnan(result):
            raise Hint(
                "That is nan, not a number. What is the mean of a bin that is empty?"
            )
        recognise(mistakes, partial(_is_one_of, result))
        if not np.isclose(result, error):
            raise Hint(
                f"With {bins} bins and {len(confidence)} pictures yours is "
                f"{result.item():.3f}, and that is not it. Try a case small enough to "
                "work out on paper."
            )
    return "Right, with empty bins and with full confidence, for two numbers of bins."


def _is_one_of(result, values):
    return np.isclose(result, values).any()


def _draw_confidences(n, bins):
    """A random task for `draw_distinct`.

    Returns (figures, confidence, correct, error, mistakes).
    """
    random = np.random.default_rng()
    spread = random.beta(2, 2, n)
    # without those around 0.4, two bins or so are empty
    spread = spread[np.abs(spread - 0.4) > 1.1 / bins]
    almost_sure = random.uniform(1 - 0.9 / bins, 1, n // 8)
    fully_sure = np.ones(n // 6)
    confidence = np.concatenate([spread, almost_sure, fully_sure])

    # by turns too timid and too sure, so that the signs of the gaps differ
    chance = np.where((confidence * 23).astype(int) % 2, 0.9, 0.2)
    # right just below 1 and mostly wrong at 1, so that it matters where 1 goes
    sure = slice(len(spread), None)
    chance[sure] = np.where(confidence[sure] < 1, 1, 0.2)
    correct = random.random(len(confidence)) < chance

    error = _expected_error(confidence, correct, bins)
    mistakes = _calibration_mistakes(confidence, correct, bins)
    figures = [error]
    for values in mistakes.values():
        figures.extend(values)
    return figures, confidence, correct, error, mistakes


def _bin_means(confidence, correct, bins):
    """For each bin: count, mean confidence, accuracy (0 where the bin is empty)."""
    # a confidence of exactly 1 belongs to the last bin
    positions = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(positions, minlength=bins)
    divisor = np.maximum(count, 1)
    mean_confidence = np.bincount(positions, confidence, minlength=bins) / divisor
    accuracy = np.bincount(positions, correct, minlength=bins) / divisor
    return count, mean_confidence, accuracy


def _expected_error(confidence, correct, bins):
    """The expected calibration error."""
    count, mean_confidence, accuracy = _bin_means(confidence, correct, bins)
    return count @ np.abs(accuracy - mean_confidence) / len(confidence)


def _calibration_mistakes(confidence, correct, bins):
    """What the usual mistakes make of the calibration error: {hint: figures}."""
    n = len(confidence)
    count, mean_confidence, accuracy = _bin_means(confidence, correct, bins)
    differences = np.abs(accuracy - mean_confidence)
    error = count @ differences / n
    squared = count @ differences**2 / n
    bin_centres = (np.arange(bins) + 0.5) / bins
    from_centres = count @ np.abs(accuracy - bin_centres) / n
    bias = correct.mean() - confidence.mean()

    below_one = confidence < 1
    n_below = below_one.sum()
    error_below = _expected_error(confidence[below_one], correct[below_one], bins)
    sum_below = error_below * n_below
    # in a bin of their own, each wrong one adds a whole picture to the sum
    wrong_at_one = (~correct[~below_one]).sum()
    question = "Where do the pictures with a confidence of exactly 1 go? "
    return {
        "Every bin counts the same here. Which should count more?": [
            differences.mean(),
            differences[count > 0].mean(),
        ],
        "That is a sum over the pictures: it grows with their number.": [error * n],
        "Right, but in points of a hundred: a share from 0 to 1 is asked for.": [
            100 * error
        ],
        f"Ten bins, but {bins} were asked for.": [
            _expected_error(confidence, correct, 10)
        ],
        "The gaps were squared. Asked for is their plain average.": [
            squared,
            np.sqrt(squared),
        ],
        "That is the largest gap. Asked for is their average.": [differences.max()],
        "The middle of a bin is not what was stated in it: what is?": [from_centres],
        "Too sure and too timid cancel out here. What is a gap?": [bias, -bias],
        f"{question}They are left out.": [sum_below / n, error_below],
        f"{question}They have a bin of their own.": [(sum_below + wrong_at_one) / n],
    }


EXERCISES = {
    "03.1": Fill(top_three),
    "03.2": Predict(between=(0, 1)),
    "03.3": Predict("confidence", "accuracy"),
    "03.4": Fill(calibration_error),
    "03.5": Explore(),
}
