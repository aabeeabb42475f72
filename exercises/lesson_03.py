"""The exercises of lesson 03: decode predictions."""

from functools import partial

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
from helpers.labels import decode, imagenet_classes


def softmax(scores):
    """Logits of one picture → probabilities."""
    powers = np.exp(scores - np.max(scores))
    return powers / powers.sum()


def top_three(answer):
    """A function (outputs, classes, from_logits) → three (wnid, name, probability), best first."""
    random = np.random.default_rng()
    known = dict(reversed(pair) for pair in imagenet_classes())  # one class for each name
    names = random.choice(list(known), random.integers(20, 40), replace=False).tolist()
    classes = [(known[name], name) for name in names]
    scores = random.permutation(np.linspace(-4, 5, len(classes))) + random.uniform(0, 0.1)
    for from_logits in (True, False):
        outputs = scores if from_logits else softmax(scores)
        given = call(answer, handed := outputs.copy(), classes.copy(), from_logits)
        if not np.array_equal(handed, outputs):
            raise Hint("The outputs that were handed over have changed. Sort a copy, or positions.")
        _compare(given, outputs, classes, from_logits)
    _compare(call(answer, scores + 1000, classes.copy(), True), scores + 1000, classes, True)
    return "Right, for logits and for probabilities, of classes that it had never seen."


def _compare(given, outputs, classes, from_logits):
    """What `answer` gave for these outputs, with what it should."""
    try:
        guesses = [guess if isinstance(guess, str) else list(guess) for guess in given]
    except TypeError as error:
        raise Hint(f"A list is asked for; this holds, or is, {type(given).__name__}.") from error
    if len(guesses) != 3:
        raise Hint(f"A list of three guesses is asked for; this has {len(guesses)}.")
    if not all(len(guess) == 3 and not isinstance(guess, str) for guess in guesses):
        raise Hint(
            "Each guess should have three parts: wnid, name, probability. An entry of `classes` "
            "is a pair: take it apart."
        )
    if any(np.ndim(part) for guess in guesses for part in guess):
        raise Hint("Each of the three parts should be a single thing, not a list or an array.")
    wnids, names, stated = ([guess[part] for guess in guesses] for part in range(3))
    wnids, names, stated = list(map(str, wnids)), list(map(str, names)), numbers(stated)
    said = f"Called with from_logits={from_logits}: "
    if not np.isfinite(stated).all():
        raise Hint(f"{said}a probability is {stated.min()}. What do large scores do to exp?")
    probabilities = softmax(outputs) if from_logits else outputs
    order = decode(probabilities, classes, len(classes))
    best, worst = order[:3], order[-3:]
    if not set(wnids) <= set(dict(classes)):
        raise Hint("The first part should be the wnid that `classes` has there, the second a name.")
    if sorted(wnids) == sorted(guess.wnid for guess in worst):
        raise Hint("These are the three least likely. In which direction does argsort sort?")
    if sorted(wnids) != sorted(guess.wnid for guess in best):
        raise Hint("These are other classes. Does each position go with its own class?")
    if wnids != [guess.wnid for guess in best]:
        raise Hint("The right three, but the likeliest should come first.")
    if names != [guess.name for guess in best]:
        raise Hint("The right wnids, but not their names.")
    expected = np.array([guess.probability for guess in best])
    if np.allclose(stated, expected, atol=1e-4):
        return
    if np.allclose(stated, expected / expected.sum(), atol=1e-4):
        raise Hint("These three sum to 1, as if there were no others. Softmax of which scores?")
    if not from_logits and np.allclose(stated, softmax(outputs)[np.argsort(-outputs)[:3]]):
        raise Hint(f"{said}outputs are probabilities already; a second softmax levels them.")
    if np.allclose(stated, np.sort(outputs)[:-4:-1]):
        raise Hint(f"{said}these are the outputs as they came. Are they probabilities then?")
    raise Hint(f"{said}the right classes, but not their probabilities. What are outputs then?")


def calibration_error(answer):
    """A function (confidence, correct, bins) → the expected calibration error, with few pictures:
    some bins are empty, some confidences are exactly 1."""
    random = np.random.default_rng()

    def draw(n, bins):
        spread = random.beta(2, 2, n)
        spread = spread[np.abs(spread - 0.4) > 1.1 / bins]  # two bins or so are empty
        almost = random.uniform(1 - 0.9 / bins, 1, n // 8)
        confidence = np.concatenate([spread, almost, np.ones(n // 6)])
        # Too timid and too sure by turns; right just below 1, and mostly wrong at 1.
        chance = np.where((confidence * 23).astype(int) % 2, 0.9, 0.2)
        chance[len(spread) :] = np.where(confidence[len(spread) :] < 1, 1, 0.2)
        correct = random.random(len(confidence)) < chance
        error, mistakes = _errors(confidence, correct, bins)
        return [error, *sum(mistakes.values(), [])], confidence, correct, error, mistakes

    for n, bins in ((60, 12), (300, 15)):
        confidence, correct, error, mistakes = draw_distinct(partial(draw, n, bins))
        handed = confidence.copy(), correct.copy()
        given = numbers(call(answer, *handed, bins))
        if given.size != 1:
            raise Hint(f"One number is asked for; this has shape {given.shape}.")
        if not all(map(np.array_equal, handed, (confidence, correct))):
            raise Hint("What was handed over has changed: work on new arrays.")
        if np.isnan(given):
            raise Hint("That is nan, not a number. What is the mean of a bin that is empty?")
        recognise(mistakes, lambda values, given=given: np.isclose(given, values).any())
        if not np.isclose(given, error):
            raise Hint(
                f"With {bins} bins and {len(confidence)} pictures yours is {given.item():.3f}, and "
                "that is not it. Try a case small enough to work out on paper."
            )
    return "Right, with empty bins and with full confidence, for two numbers of bins."


def _errors(confidence, correct, bins):
    """The expected calibration error, and what the usual mistakes make of it: {hint: figures}."""

    def table(confidence, correct, bins):
        """Of each bin: number of pictures, what was stated, what came true (0 where empty)."""
        place = np.minimum((confidence * bins).astype(int), bins - 1)
        count, *sums = (np.bincount(place, w, minlength=bins) for w in (None, confidence, correct))
        return count, *(total / np.maximum(count, 1) for total in sums)

    n, less = len(confidence), confidence < 1
    count, stated, came_true = table(confidence, correct, bins)
    gap = np.abs(came_true - stated)
    error = count @ gap / n
    middle = np.abs(came_true - (np.arange(bins) + 0.5) / bins)
    ten, *columns = table(confidence, correct, 10)
    below, *others = table(confidence[less], correct[less], bins)
    left_out, own = below @ np.abs(np.subtract(*others)), (~correct[~less]).sum()
    full = "Where do the pictures with a confidence of exactly 1 go? "
    return error, {
        "Every bin counts the same here. Which should count more?": [
            gap.mean(),
            gap[count > 0].mean(),
        ],
        "That is a sum over the pictures: it grows with their number.": [count @ gap],
        "Right, but in points of a hundred: a share from 0 to 1 is asked for.": [100 * error],
        f"Ten bins, but {bins} were asked for.": [ten @ np.abs(np.subtract(*columns)) / n],
        "The gaps were squared. Asked for is their plain average.": [
            count @ gap**2 / n,
            np.sqrt(count @ gap**2 / n),
        ],
        "That is the largest gap. Asked for is their average.": [gap.max()],
        "The middle of a bin is not what was stated in it: what is?": [count @ middle / n],
        "Too sure and too timid cancel out here. What is a gap?": [
            correct.mean() - confidence.mean(),
            confidence.mean() - correct.mean(),
        ],
        f"{full}They are left out.": [left_out / n, left_out / less.sum()],
        f"{full}They have a bin of their own.": [(left_out + own) / n],
    }


EXERCISES = {
    "03.1": Fill(top_three),
    "03.2": Predict(between=(0, 1)),
    "03.3": Predict(1, 5, "more"),
    "03.4": Fill(calibration_error),
    "03.5": Explore(),
}
