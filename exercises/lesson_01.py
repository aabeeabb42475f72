"""Lesson 01, use a pretrained model: its exercises and their judges."""

from itertools import combinations

import numpy as np

from exercises._core import (
    Explore,
    Fill,
    Hint,
    Predict,
    call,
    draw_distinct,
    recognise,
)

SIDE = 8  # pixels: the input of the tiny network, small so that it is quick
IMAGE_SHAPES = [(40, 64, 3), (72, 48, 3), (56, 88, 3)]  # rows, columns, channels
TOLERANCE = 1e-3  # of a probability


class TinyClassifier:
    """A classifier with random weights that counts the pictures it gets.

    `classifier` is what the learner's function gets; `batches` and `prepared` hold how
    many pictures reached its network and its preprocessing with each call.
    """

    def __init__(self, random):
        from helpers.images import ResizeRule
        from helpers.models import Classifier

        self.batches = []
        self.prepared = []
        self.weights = random.normal(0, 0.2, (SIDE * SIDE * 3, 6)).astype("float32")
        self.classes = tuple(
            (f"n{random.integers(10**8):08}", f"kind_{letter}") for letter in "abcdef"
        )
        self.classifier = Classifier(
            "tiny",
            self._counting_network(),
            SIDE,
            ResizeRule(),
            self._preprocess_input,
            self.classes,
        )

    def _counting_network(self):
        from helpers import keras

        batches = self.batches

        class CountingModel(keras.Model):
            """Notes how many pictures each call gets; `predict` is quick for a few."""

            def __call__(self, x, *arguments, **options):
                # anything else comes from Keras, which is tracing
                if isinstance(x, np.ndarray) or hasattr(x, "numpy"):
                    batches.append(len(x))
                return super().__call__(x, *arguments, **options)

            def predict(self, x, *arguments, **options):
                return keras.ops.convert_to_numpy(self(np.asarray(x)))

            predict_on_batch = predict

        inputs = keras.Input((SIDE, SIDE, 3))
        layer = keras.layers.Dense(6, use_bias=False)
        outputs = layer(keras.layers.Flatten()(inputs))
        layer.set_weights([self.weights])
        return CountingModel(inputs, outputs)

    def _preprocess_input(self, pixels):
        if np.ndim(pixels) == 4:
            self.prepared.append(len(pixels))
        return self.scale(pixels)

    def scale(self, pixels):
        """The preprocessing, without counting: blue first, 0…255 → −1.5…2.75."""
        blue_first = np.asarray(pixels, "float32")[..., ::-1]
        return (blue_first - 90) / 60

    def answers(self, pixels, softmax_axis=1):
        """The best answers to prepared `pixels` as [(name, probability), …].

        softmax_axis: 1, or None for the mistake of sharing 1 among all pictures.
        """
        scores = pixels.reshape(len(pixels), -1) @ self.weights
        highest = scores.max(axis=softmax_axis, keepdims=True)
        powers = np.exp(scores - highest)
        probabilities = powers / powers.sum(axis=softmax_axis, keepdims=True)
        best = probabilities.argmax(axis=1)
        names = [self.classes[position][1] for position in best]
        return list(zip(names, probabilities.max(axis=1), strict=True))


def best_of_each(answer):
    """Judge a function (images, classifier) → each image's best `Prediction`."""
    tiny, images, pixels = draw_distinct(_draw_classifier, _none_agree)
    given = images.copy()
    result = call(answer, given, tiny.classifier)

    sizes = [(columns, rows) for rows, columns, _ in IMAGE_SHAPES]
    if [image.size for image in images] != sizes or given != images:
        raise Hint(
            "What was handed over has changed. `resize` makes a new, small picture."
        )
    answers = _named_probabilities(result, len(images))
    expected = tiny.answers(tiny.scale(pixels))
    if _agree(answers, expected):
        # where nothing was noted, the pictures count as having gone alone
        largest_batch = max(tiny.batches or tiny.prepared, default=1)
        if largest_batch == 1:
            raise Hint(
                "The answers are right, but each picture went alone: stack them, ask "
                "once."
            )
        return (
            "Right: pictures of three sizes, one batch, and the model's own three "
            "lines."
        )
    _recognise_preparation(answers, images, pixels, tiny)
    if _agree(sorted(answers), sorted(expected)):
        raise Hint("These are the right answers in another order than the pictures.")
    raise Hint(
        "Another class or probability came out. Are size, preprocessing and names its "
        "own?"
    )


def _draw_classifier():
    """A random task for `draw_distinct`.

    Returns (outcomes, tiny classifier, images, their pixels).
    """
    from helpers.images import to_batch

    random = np.random.default_rng()
    tiny = TinyClassifier(random)
    images = _random_images(random)
    pixels = to_batch(images, SIDE, tiny.classifier.rule)
    outcomes = [tiny.answers(tiny.scale(pixels)), *_mistakes(pixels, tiny).values()]
    return outcomes, tiny, images, pixels


def _none_agree(outcomes):
    """Whether no two of several lists [(name, probability), …] hold the same."""
    return not any(_agree(one, other) for one, other in combinations(outcomes, 2))


def _random_images(random):
    """Three pictures of different sizes, with smooth random colours."""
    from PIL import Image

    images = []
    for rows, columns, _ in IMAGE_SHAPES:
        coarse = Image.fromarray(random.integers(0, 256, (5, 5, 3), "uint8"))
        images.append(coarse.resize((columns, rows)))
    return images


def _agree(answers, expected):
    """Whether two lists [(name, probability), …] hold the same."""
    return all(
        name == expected_name and abs(probability - expected_probability) < TOLERANCE
        for (name, probability), (expected_name, expected_probability) in zip(
            answers, expected, strict=True
        )
    )


def _mistakes(pixels, tiny):
    """The usual mistakes' answers: {hint: [(name, probability), …]}."""
    from helpers import keras

    scaled = tiny.scale(pixels)
    for_vgg16 = keras.applications.vgg16.preprocess_input(pixels.copy())
    return {
        "Softmax shared 1 out among all pictures together: each row has a 1 of its "
        "own.": (tiny.answers(scaled, softmax_axis=None)),
        "The pixels reached the network as they were. Which line prepares them?": (
            tiny.answers(pixels)
        ),
        "The preprocessing was applied twice.": tiny.answers(tiny.scale(scaled)),
        "The pixels were prepared for VGG16, not for the classifier that was handed "
        "over.": tiny.answers(for_vgg16),
    }


def _recognise_preparation(answers, images, pixels, tiny):
    """Raise a hint if the pictures were prepared in one of the usual wrong ways."""
    from PIL import Image

    recognise(_mistakes(pixels, tiny), lambda mistake: _agree(answers, mistake))
    for resampling in Image.Resampling:
        squashed = [image.resize((SIDE, SIDE), resampling) for image in images]
        batch = np.stack([np.asarray(image) for image in squashed])
        if _agree(answers, tiny.answers(tiny.scale(batch))):
            raise Hint(
                "The pictures were squashed. This classifier has a resize rule of its "
                "own."
            )


def _named_probabilities(result, n):
    """A learner's n predictions as [(name, probability), …], or a `Hint`."""
    if hasattr(result, "probability"):
        raise Hint(
            f"One answer, but there were {n} pictures: return a list, one for each."
        )
    entries = list(result)
    if len(entries) != n:
        raise Hint(
            f"{len(entries)} came back for {n} pictures: one answer for each is asked "
            "for."
        )
    if all(isinstance(entry, list) for entry in entries):
        raise Hint("Each entry is a list of guesses. Which of them is the likeliest?")
    if all(isinstance(entry, str) for entry in entries):
        raise Hint("Names alone: keep the whole predictions, as `decode` returns them.")
    if not all(isinstance(entry, tuple) and len(entry) == 3 for entry in entries):
        raise Hint("Each entry should be a prediction, as `decode` returns it.")
    answers = [(name, float(probability)) for _, name, probability in entries]
    if not all(0 <= probability <= 1 for _, probability in answers):
        raise Hint("Probabilities lie between 0 and 1; these are raw scores.")
    return answers


EXERCISES = {
    "01.1": Predict("error", "zeros", "equal", "sure"),
    "01.2": Fill(best_of_each),
    "01.3": Explore(),
}
