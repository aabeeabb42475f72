"""Lesson 02, prepare images: its exercises and their judges."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise

SIDE = 12  # pixels: the size that the model card asks for
# Two filters that both average differ by less than this, on average over the pixels.
FILTER_TOLERANCE = 4


def centred(answer):
    """Judge a function of pixels 0…255 (uint8, float32) → −1…1, a new array."""
    random = np.random.default_rng()
    # neither black nor white, so that scaling by the picture's own extremes shows
    bytes_batch = random.integers(20, 200, (2, 8, 8, 3)).astype("uint8")
    pixels = bytes_batch.astype("float32")
    expected = pixels / 127.5 - 1
    given = pixels.copy()
    result = numbers(call(answer, given))
    if not np.array_equal(given, pixels):
        raise Hint(
            "The picture that was handed over has changed: compute a new array from it."
        )
    if result.shape != expected.shape:
        raise Hint(
            f"Pictures of shape {expected.shape} came back with shape {result.shape}."
        )
    _recognise_scaling(result, pixels)
    if not np.allclose(result, expected, atol=1e-4):
        worst = np.abs(result - expected).argmax()
        value = pixels.flat[worst]
        became = result.flat[worst]
        raise Hint(f"{value:.0f} became {became:.4f}: is that from −1 to 1?")

    given_bytes = bytes_batch.copy()
    from_bytes = numbers(call(answer, given_bytes), "For uint8 the result")
    if not np.array_equal(given_bytes, bytes_batch):
        raise Hint(
            "Right for float32, but a uint8 picture that was handed over has changed."
        )
    same_shape = from_bytes.shape == expected.shape
    if not same_shape or not np.allclose(from_bytes, expected, atol=1e-2):
        raise Hint("Right for float32, wrong for uint8: what can a byte not hold?")
    return "Right: −1…1, a new array, and the input is as it was."


def _recognise_scaling(result, pixels):
    """Raise a hint if the pixels were scaled in one of the usual wrong ways."""
    low = pixels.min()
    high = pixels.max()
    mistakes = {
        "Nothing is scaled yet: 0 should become −1, and 255 should become 1.": pixels,
        "That is 0…1. What must still be done so that 0 becomes −1?": pixels / 255,
        "That is 0…2: as wide as it should be, but where does 0 belong?": pixels
        / 127.5,
        "Scaled by this picture's own darkest and lightest value: a dark picture would "
        "come out bright. Use the same two numbers for all.": (
            2 * (pixels - low) / (high - low) - 1
        ),
        "255 does not quite become 1. How many steps are there from 0 to 255?": (
            pixels / 128 - 1
        ),
    }
    recognise(mistakes, lambda mistake: np.allclose(result, mistake, atol=1e-4))


def from_card(answer):
    """Judge a function (photograph, side, means) that does what the model card says."""
    from helpers.images import resize

    random = np.random.default_rng()
    photograph = _random_photograph(random)
    base_means = random.permutation([90, 115, 140])
    varied_means = base_means + random.uniform(-5, 5, 3)
    means = tuple(varied_means.round(1).tolist())
    before = photograph.copy()
    result = numbers(call(answer, photograph, SIDE, means))
    if photograph != before:
        raise Hint("The photograph itself was changed: make a new picture from it.")
    if result.shape == (SIDE, SIDE, 3):
        raise Hint("One picture, not yet a batch: which axis is missing?")
    expected_shape = (1, SIDE, SIDE, 3)
    if result.shape != expected_shape:
        raise Hint(f"The shape is {result.shape}; the network takes {expected_shape}.")
    expected = _prepare(resize(photograph, SIDE), means)
    if np.abs(result - expected).mean() < FILTER_TOLERANCE:
        return (
            "Right: cut, averaged, blue first, each colour less its own mean, a batch."
        )
    _recognise_preparation(result, photograph, means)
    raise Hint(
        "The shape is right, the numbers are not: go through the card, line by line."
    )


def _random_photograph(random):
    """A picture far from square whose pixels differ so much that filters matter."""
    from PIL import Image

    long_side = int(SIDE * random.uniform(8, 10))
    width, height = random.permutation([long_side, 5 * SIDE]).tolist()
    base_colours = random.permutation([60, 120, 180])
    colours = base_colours + random.uniform(-60, 60, (4, 4, 3))
    smooth = Image.fromarray(colours.clip(0, 255).astype("uint8"))
    smooth = smooth.resize((width, height))
    rough = np.asarray(smooth) + random.choice([-50, 50], (height, width, 1))
    return Image.fromarray(rough.clip(0, 255).astype("uint8"))


def _pixels(picture):
    """A picture as a batch of one, float64, red first."""
    return np.asarray(picture, "float64")[np.newaxis]


def _prepare(picture, means):
    """A small picture as the card wants it: less the means, blue first."""
    return (_pixels(picture) - means)[..., ::-1]


def _recognise_preparation(result, photograph, means):
    """Raise a hint if the photograph was prepared in one of the usual wrong ways."""
    from PIL import Image

    from helpers import keras
    from helpers.images import SQUASH, ResizeRule, crop_box, resize

    square = resize(photograph, SIDE)
    right = _prepare(square, means)
    red_first = _pixels(square)
    blue_first = red_first[..., ::-1]
    reversed_means = means[::-1]
    own_means = blue_first.mean(axis=(1, 2), keepdims=True)
    squashed = resize(photograph, SIDE, SQUASH)
    short = min(photograph.size)
    corner = resize(photograph.crop((0, 0, short, short)), SIDE)
    cut = photograph.crop(crop_box(*photograph.size, ResizeRule()))
    picked = cut.resize((SIDE, SIDE), Image.NEAREST)
    mistakes = {
        "The numbers are much too small: the "
        "card does not say that they are divided.": (right / 255),
        "Divided by 255 before the means were taken off: the card does not say so.": (
            blue_first / 255 - reversed_means
        ),
        "Red still comes first.": red_first - means,
        "Each colour lost a mean, but whose? In which order are the pixels, and the "
        "means, when you subtract?": blue_first - means,
        "Red comes first, and the means were reversed.": red_first - reversed_means,
        "The order is right. What about the means?": blue_first,
        "These are VGG16's means. This model's are handed over as `means`.": (
            keras.applications.vgg16.preprocess_input(red_first.copy())
        ),
        "Each colour lost its mean over this one picture. Over which pictures are "
        "`means`?": blue_first - own_means,
        "Only the size has changed. What about colours and means?": red_first,
        "The whole photograph was squashed. What does the card say?": (
            _prepare(squashed, means)
        ),
        "This square comes from a corner, not from the centre.": _prepare(
            corner, means
        ),
        "Pixels were picked, not averaged.": _prepare(picked, means),
        "The values were rounded to whole bytes: what is below 0 came out wrong.": (
            np.trunc(right) % 256
        ),
    }

    def matches(mistake):
        # small numbers, as after a division, need a narrower tolerance
        tolerance = min(FILTER_TOLERANCE, 0.1 * np.abs(mistake).mean())
        return np.abs(result - mistake).mean() < tolerance

    recognise(mistakes, matches)


EXERCISES = {
    "02.1": Predict(0, 2, 7, 30),
    "02.2": Fill(centred),
    "02.3": Fill(from_card),
    "02.4": Explore(),
}
