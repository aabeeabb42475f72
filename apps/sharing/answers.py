"""Whether a classifier, and the file made from it, answer as they should."""

import numpy as np
from PIL import Image
from scipy.special import softmax

from apps.sharing.contents import works_in_float32
from helpers.models import AT_ONCE

# How far a file's answers may be from the classifier's:
EXACT = 1e-3  # in the probability of a class, …
EXACT_LOG = 0.02  # … and in its logarithm
ROUNDED = 0.1  # where the classifier itself works in half precision
# How far an answer may move, as a share of the largest, if other pictures are beside
# it: half precision rounds otherwise in a batch of another length.
ALONE = 0.02
INT8 = 0.15  # on average, for pictures it was calibrated with
# How far a second answer may be from the first, as a share of the largest logit.
REPEATED = 1e-4
SMALLEST = 1e-6  # the probability below which logarithms aren't compared


def trial_pictures(size):
    """Pictures to try a file on: float32 (11, size, size, 3), whole numbers 0…255.
    Noise, coarse and fine, a ramp both ways, black, white, grey, red, green, blue."""
    shape = (size, size, 3)
    rng = np.random.default_rng(0)
    coarse = []
    for noise in rng.integers(0, 256, (2, 8, 8, 3), "uint8"):
        enlarged = Image.fromarray(noise).resize((size, size))
        coarse.append(np.asarray(enlarged))
    fine = rng.integers(0, 256, shape)
    levels = np.linspace(0, 255, size).round()
    ramp = np.broadcast_to(levels[:, None, None], shape)
    colours = [
        (0, 0, 0),
        (255, 255, 255),
        (128, 128, 128),
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
    ]
    uniform = [np.broadcast_to(colour, shape) for colour in colours]
    pictures = [*coarse, fine, ramp, ramp.transpose(1, 0, 2), *uniform]
    return np.stack(pictures).astype("float32")


def unsound(classifier):
    """What's wrong with a classifier's own answers to the trial pictures, in words,
    or None. A file can't answer as the classifier does if that gives no numbers, others
    each time, or others in other company."""
    pictures = trial_pictures(classifier.size)
    first = _logits_of_raw(classifier, pictures)
    again = _logits_of_raw(classifier, pictures)
    finite = np.isfinite(first) & np.isfinite(again)
    if not finite.all():
        return "answers plain pictures, a ramp or noise with what is no number"
    largest = np.abs(first).max()
    change = np.abs(first - again).max()
    if change > REPEATED * largest:
        return "answers the same pictures with something else each time"
    alone = _logits_of_raw(classifier, pictures[-1:])
    if np.abs(alone - first[-1:]).max() > ALONE * largest:
        return "answers a picture with something else where others are beside it"
    return None


def _logits_of_raw(classifier, batch):
    """A classifier's logits for a batch of raw pictures, which stays as it is."""
    return classifier.forward(classifier.preprocess_input(batch.copy()))


def difference(classifier, batch, probabilities, int8=False):
    """How probabilities differ from a classifier's, in words, or None if they don't.
    batch: raw RGB 0…255, float32 (n, size, size, 3), at any length;
    probabilities: what a file gives for it;
    int8: whether the file works in int8, and so may differ more."""
    expected = probabilities_of_raw(classifier, batch)
    if probabilities.shape != expected.shape:
        outputs = probabilities.shape[-1]
        return f"gives {outputs} outputs for {expected.shape[-1]} classes"
    if probabilities.dtype != "float32":
        return f"gives {probabilities.dtype} instead of float32"
    if not np.isfinite(probabilities).all():
        return "gives what is no number for some pictures"
    distances = np.abs(probabilities - expected).max(axis=-1)  # one a picture
    largest = distances.max()
    if int8:
        too_far = distances.mean() > INT8  # single pictures may differ more
    elif not works_in_float32(classifier.network):
        too_far = largest > ROUNDED  # as float32 it answers more precisely
    else:
        # What's nearly 0 or 1 either way can still be wrong: so logarithms as well.
        ratios = _logarithms(probabilities) - _logarithms(expected)
        largest_ratio = np.abs(ratios).max()
        too_far = largest > EXACT or largest_ratio > EXACT_LOG
    if too_far:
        return (
            f"answers otherwise than {classifier.name}: probabilities differ by "
            f"{largest:.3f}"
        )
    return None


def probabilities_of_raw(classifier, batch):
    """A classifier's probabilities for raw pictures, worked out a few at a time."""
    logits = []
    for start in range(0, len(batch), AT_ONCE):
        some = batch[start : start + AT_ONCE]
        logits.append(_logits_of_raw(classifier, some))
    return softmax(np.concatenate(logits), axis=-1)


def _logarithms(probabilities):
    return np.log(np.maximum(probabilities, SMALLEST))
