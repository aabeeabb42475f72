"""Lesson 01: answers that are right and wrong."""

from exercise_cases import Case

SMALL = """
def best_of_each(images, classifier):
    small = [resize(image, classifier.size, classifier.rule) for image in images]
"""
ARRAY = (
    SMALL
    + "    batch = np.stack([keras.utils.img_to_array(image) for image in small])\n"
)
SCORES = (
    ARRAY
    + """
    prepared = classifier.preprocess_input(batch)
    scores = classifier.network.predict(prepared, verbose=0)
"""
)
BEST = "    return [decode(softmax(row), classifier.classes, 1)[0] for row in scores]\n"
ALONE = """
def best_of_each(images, classifier):
    answers = []
    for image in images:
        small = resize(image, classifier.size, classifier.rule)
        batch = np.expand_dims(keras.utils.img_to_array(small), axis=0)
        scores = classifier.network.predict(\
classifier.preprocess_input(batch), verbose=0)
        answers += decode(softmax(scores[0]), classifier.classes, 1)
    return answers
"""

CASES = {
    "01.2": Case(
        wrong={
            SCORES + "    return decode(softmax(scores[0]), classifier.classes, 1)\n": (
                "one answer for each"
            ),
            SCORES
            + "    return decode(softmax(scores[0]), classifier.classes, 1)[0]\n": (
                "return a list"
            ),
            SCORES
            + "    return decode(softmax(scores, axis=-1), classifier.classes, 1)\n": (
                "a list of guesses"
            ),
            SCORES
            + (
                "    return [g[0] for g in decode(softmax(scores), "
                "classifier.classes, 1)]\n"
            ): ("among all pictures together"),
            SCORES + BEST.replace("softmax(row)", "row"): "raw scores",
            SCORES + BEST.replace("[0]", "[0].name"): "Names alone",
            SCORES + BEST.replace("[0]", "[0][1:]"): "as `decode` returns",
            SCORES + BEST.replace("scores]", "scores[::-1]]"): "in another order",
            SCORES.replace("classifier.preprocess_input(batch)", "batch")
            + BEST: "as they were",
            SCORES.replace("input(batch)", "input(classifier.preprocess_input(batch))")
            + BEST: ("applied twice"),
            SCORES.replace("classifier.pre", "keras.applications.vgg16.pre")
            + BEST: "for VGG16",
            SCORES.replace(
                "resize(image, classifier.size, classifier.rule)",
                "image.resize((classifier.size, classifier.size))",
            )
            + BEST: "were squashed",
            SCORES.replace("classifier.size", "224")
            + BEST: "Your function stopped with",
            ALONE: "each picture went alone",
            "def best_of_each(images, classifier):\n"
            "    return [classifier.predict(image, top=1)[0] for image in images]\n": (
                "each picture went alone"
            ),
            SCORES.replace(
                "small = [resize(image, classifier.size, classifier.rule) for image "
                "in images]",
                "side = classifier.size\n"
                "    small = [image.thumbnail((side, side)) or resize(image, side)"
                " for image in images]",
            )
            + BEST: "has changed",
        },
        right=[
            """
def best_of_each(images, classifier):
    batch = [np.asarray(resize(i, classifier.size, classifier.rule), float) \
for i in images]
    prepared = [classifier.preprocess_input(pixels) for pixels in batch]
    probabilities = softmax(classifier.network(np.array(prepared)), axis=1)
    return [decode(row, classifier.classes)[0] for row in probabilities]
""",
            """
def best_of_each(images, classifier):
    prepared = []
    for image in images:
        pixels = keras.utils.img_to_array(\
resize(image, classifier.size, classifier.rule))
        prepared.append(classifier.preprocess_input(np.expand_dims(pixels, axis=0)))
    scores = classifier.network.predict_on_batch(np.concatenate(prepared))
    return tuple(decode(softmax(row), classifier.classes, 1)[0] for row in scores)
""",
            """
def best_of_each(images, classifier):
    guesses = decode(classifier.probabilities(images), classifier.classes, top=1)
    return [guess for (guess,) in guesses]
""",
        ],
        names="from helpers.images import resize\nfrom helpers.labels import decode",
    ),
}
