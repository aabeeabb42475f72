"""The exercises of lesson 01: use a pretrained model."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise


def as_batch(answer):
    """A function of one picture's pixels (rows, columns, 3) → a batch of one."""
    random = np.random.default_rng()
    rows, columns = random.choice(np.arange(5, 12), 2, replace=False)
    pixels = random.uniform(0, 255, (rows, columns, 3)).astype("float32")
    result = call(answer, handed := pixels.copy())
    if isinstance(result, list | tuple):
        raise Hint("A list means several inputs to Keras. Make one array, with one axis more.")
    given = numbers(result)
    if given.shape == pixels.shape:
        raise Hint(f"Still one picture: a network would take its {rows} rows for {rows} pictures.")
    if given.shape == (*pixels.shape, 1):
        raise Hint(f"The new axis came last: that says {rows} pictures of {columns}×3 pixels.")
    if not set(pixels.shape) <= set(given.shape):
        raise Hint(
            f"{pixels.shape} became {given.shape}: that is no longer the picture handed over. Keep "
            "its three lengths, and put one axis more."
        )
    if given.shape != (1, *pixels.shape):
        raise Hint(f"{pixels.shape} became {given.shape}. Where does the lesson's new axis stand?")
    if not np.array_equal(given[0], pixels):
        raise Hint("The shape is right, but the pixels have changed. Only an axis was asked for.")
    if handed.shape != pixels.shape:
        raise Hint("The picture that was handed over has another shape now: make a new array.")
    return f"Right: {pixels.shape} became {given.shape}, one picture with the same pixels."


def best_of_each(answer):
    """A function (images, classifier) → the likeliest `Prediction` of each, in one batch."""
    from PIL import Image

    from helpers import keras
    from helpers.images import ResizeRule, to_batch
    from helpers.models import Classifier

    random, side, batches, prepared = np.random.default_rng(), 8, [], []
    shapes = [(40, 64, 3), (72, 48, 3), (56, 88, 3)]
    images = [
        Image.fromarray(random.integers(0, 256, (5, 5, 3), "uint8")).resize((columns, rows))
        for rows, columns, _ in shapes
    ]
    weights = random.normal(0, 0.2, (side * side * 3, 6)).astype("float32")

    class Counted(keras.Model):
        """Notes how many pictures come with each call; its `predict` is quick for a few."""

        def __call__(self, x, *arguments, **options):
            if isinstance(x, np.ndarray) or hasattr(x, "numpy"):  # or Keras is tracing
                batches.append(len(x))
            return super().__call__(x, *arguments, **options)

        def predict(self, x, *arguments, **options):
            return keras.ops.convert_to_numpy(self(np.asarray(x)))

        predict_on_batch = predict

    def own(pixels):
        if np.ndim(pixels) == 4:
            prepared.append(len(pixels))
        return scaled(pixels)

    def scaled(pixels):
        return (np.asarray(pixels, "float32")[..., ::-1] - 90) / 60

    def best(pixels, whole=False):
        """As the classifier would answer: [(name, probability), …]."""
        scores = pixels.reshape(len(pixels), -1) @ weights
        shares = np.exp(scores - scores.max(axis=None if whole else 1, keepdims=True))
        shares /= shares.sum(axis=None if whole else 1, keepdims=True)
        return [(classes[row.argmax()][1], row.max()) for row in shares]

    classes = tuple((f"n{random.integers(10**8):08}", f"kind_{letter}") for letter in "abcdef")
    start = keras.Input((side, side, 3))
    layer = keras.layers.Dense(6, use_bias=False)
    network = Counted(start, layer(keras.layers.Flatten()(start)))
    layer.set_weights([weights])
    classifier = Classifier("tiny", network, side, ResizeRule(), own, classes)

    result = call(answer, handed := images.copy(), classifier)
    if [image.size for image in images] != [shape[1::-1] for shape in shapes] or handed != images:
        raise Hint("What was handed over has changed. `resize` makes a new, small picture.")
    found = predictions(result, len(images))
    pixels = to_batch(images, side, classifier.rule)

    def same(mistake, order=lambda answers: answers):
        pairs = zip(order(found), order(mistake), strict=True)
        return all(a[0] == b[0] and abs(a[1] - b[1]) < 1e-3 for a, b in pairs)

    if same(expected := best(scaled(pixels))):
        if max(batches or prepared, default=1) == 1:
            raise Hint("The answers are right, but each picture went alone: stack them, ask once.")
        return "Right: pictures of three sizes, one batch, and the model's own three lines."
    vgg16 = keras.applications.vgg16.preprocess_input
    mistakes = {
        "Softmax shared 1 out among all pictures together: each row has a 1 of its own.": (
            best(scaled(pixels), whole=True)
        ),
        "The pixels reached the network as they were. Which line prepares them?": best(pixels),
        "The preprocessing was applied twice.": best(scaled(scaled(pixels))),
        "The pixels were prepared for VGG16, not for the classifier that was handed over.": (
            best(vgg16(pixels.copy()))
        ),
    }
    recognise(mistakes, same)
    for filter in Image.Resampling:
        small = [np.asarray(image.resize((side, side), filter)) for image in images]
        if same(best(scaled(np.stack(small)))):
            raise Hint("The pictures were squashed. This classifier has a resize rule of its own.")
    if same(expected, order=sorted):
        raise Hint("These are the right answers in another order than the pictures.")
    raise Hint("Another class or probability came out. Are size, preprocessing and names its own?")


def predictions(result, n):
    """What a learner returned for n pictures as [(name, probability), …], or a `Hint`."""
    if hasattr(result, "probability"):
        raise Hint(f"One answer, but there were {n} pictures: return a list, one for each.")
    result = list(result)
    if len(result) != n:
        raise Hint(f"{len(result)} came back for {n} pictures: one answer for each is asked for.")
    if all(isinstance(entry, list) for entry in result):
        raise Hint("Each entry is a list of guesses. Which of them is the likeliest?")
    if all(isinstance(entry, str) for entry in result):
        raise Hint("Names alone: keep the whole predictions, as `decode` returns them.")
    if not all(isinstance(entry, tuple) and len(entry) == 3 for entry in result):
        raise Hint("Each entry should be a prediction, as `decode` returns it.")
    found = [(name, float(probability)) for _, name, probability in result]
    if not all(0 <= probability <= 1 for _, probability in found):
        raise Hint("Probabilities lie between 0 and 1; these are raw scores.")
    return found


EXERCISES = {
    "01.1": Predict("error", "zeros", "equal", "sure"),
    "01.2": Fill(as_batch),
    "01.3": Fill(best_of_each),
    "01.4": Explore(),
}
