"""The exercises of lesson 02: prepare images."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise

AVERAGED = 4  # by how much pixels differ at the most, on average, that two filters have averaged


def centred(answer):
    """A function of pixels 0…255, of uint8 or float32 → −1…1, a new array."""
    random = np.random.default_rng()
    whole = random.integers(20, 200, (2, 8, 8, 3)).astype("uint8")  # neither black nor white
    given = whole.astype("float32")
    wanted = given / 127.5 - 1
    found = numbers(call(answer, handed := given.copy()))
    if not np.array_equal(handed, given):
        raise Hint("The picture that was handed over has changed: compute a new array from it.")
    if found.shape != wanted.shape:
        raise Hint(f"Pictures of shape {wanted.shape} came back with shape {found.shape}.")
    low, high = given.min(), given.max()
    mistakes = {
        "Nothing is scaled yet: 0 should become −1, and 255 should become 1.": given,
        "That is 0…1. What must still be done so that 0 becomes −1?": given / 255,
        "That is 0…2: as wide as it should be, but where does 0 belong?": given / 127.5,
        "Scaled by this picture's own darkest and lightest value: a dark picture would come out "
        "bright. Use the same two numbers for all.": 2 * (given - low) / (high - low) - 1,
        "255 does not quite become 1. How many steps are there from 0 to 255?": given / 128 - 1,
    }
    recognise(mistakes, lambda mistake: np.allclose(found, mistake, atol=1e-4))
    if not np.allclose(found, wanted, atol=1e-4):
        worst = np.abs(found - wanted).argmax()
        raise Hint(f"{given.flat[worst]:.0f} became {found.flat[worst]:.4f}: is that from −1 to 1?")
    for_bytes = numbers(call(answer, handed := whole.copy()), "For uint8 the result")
    if not np.array_equal(handed, whole):
        raise Hint("Right for float32, but a uint8 picture that was handed over has changed.")
    if for_bytes.shape != wanted.shape or not np.allclose(for_bytes, wanted, atol=1e-2):
        raise Hint("Right for float32, wrong for uint8: what can a byte not hold?")
    return "Right: −1…1, a new array, and the input is as it was."


def from_card(answer):
    """A function (photograph, side, means) → what the model card in the lesson describes."""
    from PIL import Image

    from helpers import keras
    from helpers.images import SQUASH, ResizeRule, crop_box, resize

    random, side = np.random.default_rng(), 12
    width, height = (int(side * n) for n in random.permutation([random.uniform(8, 10), 5]))
    colours = random.permutation([60, 120, 180]) + random.uniform(-60, 60, (4, 4, 3))
    smooth = Image.fromarray(colours.clip(0, 255).astype("uint8")).resize((width, height))
    rough = np.asarray(smooth) + random.choice([-50, 50], (height, width, 1))
    photograph = Image.fromarray(rough.clip(0, 255).astype("uint8"))
    means = tuple((random.permutation([90, 115, 140]) + random.uniform(-5, 5, 3)).round(1).tolist())
    before = photograph.copy()
    found = numbers(call(answer, photograph, side, means))
    if photograph != before:
        raise Hint("The photograph itself was changed: make a new picture from it.")
    if found.shape == (side, side, 3):
        raise Hint("One picture, not yet a batch: which axis is missing?")
    if found.shape != (1, side, side, 3):
        raise Hint(f"The shape is {found.shape}; the network takes {(1, side, side, 3)}.")

    def pixels(picture):
        return np.asarray(picture, "float64")[np.newaxis]

    def prepared(picture):
        return (pixels(picture) - means)[..., ::-1]

    square, short = resize(photograph, side), min(width, height)
    if np.abs(found - prepared(square)).mean() < AVERAGED:
        return "Right: cut, averaged, blue first, each colour less its own mean, a batch."
    cut = photograph.crop(crop_box(width, height, ResizeRule()))
    blue_first = pixels(square)[..., ::-1]
    mistakes = {
        "The numbers are much too small: the card does not say that they are divided.": (
            prepared(square) / 255
        ),
        "Divided by 255 before the means were taken off: the card does not say so.": (
            blue_first / 255 - means[::-1]
        ),
        "Red still comes first.": pixels(square) - means,
        "Each colour lost a mean, but whose? In which order are the pixels, and the means, when "
        "you subtract?": blue_first - means,
        "Red comes first, and the means were reversed.": pixels(square) - means[::-1],
        "The order is right. What about the means?": blue_first,
        "These are VGG16's means. This model's are handed over as `means`.": (
            keras.applications.vgg16.preprocess_input(pixels(square))
        ),
        "Each colour lost its mean over this one picture. Over which pictures are `means`?": (
            blue_first - blue_first.mean(axis=(1, 2), keepdims=True)
        ),
        "Only the size has changed. What about colours and means?": pixels(square),
        "The whole photograph was squashed. What does the card say?": (
            prepared(resize(photograph, side, SQUASH))
        ),
        "This square comes from a corner, not from the centre.": (
            prepared(resize(photograph.crop((0, 0, short, short)), side))
        ),
        "Pixels were picked, not averaged.": prepared(cut.resize((side, side), Image.NEAREST)),
        "The values were rounded to whole bytes: what is below 0 came out wrong.": (
            np.trunc(prepared(square)) % 256
        ),
    }

    def made(mistake):
        return np.abs(found - mistake).mean() < min(AVERAGED, 0.1 * np.abs(mistake).mean())

    recognise(mistakes, made)
    raise Hint("The shape is right, the numbers are not: go through the card, line by line.")


EXERCISES = {
    "02.1": Predict("squashed", "no antialiasing", "swapped", "scaled"),
    "02.2": Fill(centred),
    "02.3": Fill(from_card),
    "02.4": Explore(),
}
