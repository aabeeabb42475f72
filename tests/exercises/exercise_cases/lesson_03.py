"""Lesson 03: answers that are right and wrong."""

from exercise_cases import Case

TOP3 = """
def top3(outputs, classes, from_logits):
    probabilities = softmax(outputs) if from_logits else outputs
    order = np.argsort(probabilities)[::-1][:3]
    return [(*classes[i], probabilities[i]) for i in order]
"""
ERROR = """
def calibration_error(confidence, correct, bins):
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    filled = np.unique(place)
    count = np.array([(place == b).sum() for b in filled])
    stated = np.array([confidence[place == b].mean() for b in filled])
    came_true = np.array([correct[place == b].mean() for b in filled])
    return np.sum(count * np.abs(came_true - stated)) / len(correct)
"""

CASES = {
    "03.1": Case(
        wrong={
            TOP3.replace("[::-1]", ""): "three least likely",
            TOP3.replace("[::-1][:3]", "[-3:]"): "likeliest should come first",
            TOP3.replace(" if from_logits else outputs", ""): "a second softmax",
            TOP3.replace("if from_logits", "if not from_logits"): "as they came",
            TOP3.replace("softmax(outputs) if from_logits else outputs", "outputs"): (
                "as they came"
            ),
            TOP3.replace(
                "softmax(outputs) if", "np.exp(outputs) / np.exp(outputs).sum() if"
            ): ("large scores"),
            """
def top3(outputs, classes, from_logits):
    order = np.argsort(outputs)[::-1][:3]
    shares = softmax(outputs[order]) if from_logits else outputs[order]
    return [(*classes[i], share) for i, share in zip(order, shares)]
""": "sum to 1, as if",
            TOP3.replace("(*classes[i],", "(classes[i],"): "take it apart",
            TOP3.replace("(*classes[i],", "(i, classes[i][1],"): "should be the wnid",
            TOP3.replace("*classes[i]", "*classes[i][::-1]"): "should be the wnid",
            TOP3.replace(
                "*classes[i]", "classes[i][0], classes[i][0]"
            ): "but not their names",
            TOP3.replace("[:3]", ""): "three guesses",
            TOP3.replace("*classes[i]", "*classifier.classes[i]"): "should be the wnid",
            TOP3.replace(
                "order = np", "outputs.sort()\n    order = np"
            ): "have changed",
        },
        right=[
            """
def top3(outputs, classes, from_logits):
    return labels.decode(softmax(outputs) if from_logits else outputs, classes, top=3)
""",
            """
def top3(outputs, classes, from_logits):
    probabilities = keras.ops.softmax(outputs) if from_logits else outputs
    shares, positions = keras.ops.top_k(probabilities, 3)
    best = zip(np.array(positions), shares)
    return tuple([classes[i][0], classes[i][1], share] for i, share in best)
""",
        ],
        names="""
from helpers import keras
from helpers.labels import imagenet_classes


class classifier:
    classes = (("n00000000", "thing"),) * 1000


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()
""",
    ),
    "03.4": Case(
        wrong={
            ERROR.replace("np.sum(count * ", "np.mean(").replace(
                " / len(correct)", ""
            ): ("Which should count more"),
            ERROR.replace("np.abs", ""): "cancel out",
            "def calibration_error(confidence, correct, bins):\n"
            "    return abs(confidence.mean() - correct.mean())\n": "cancel out",
            ERROR.replace(" / len(correct)", ""): "grows with their number",
            ERROR.replace("np.unique(place)", "np.arange(bins)"): "a bin that is empty",
            ERROR.replace("bins - 1)", "bins)"): "a bin of their own",
            ERROR.replace(
                "np.minimum((confidence * bins).astype(int), bins - 1)", "PLACE"
            ).replace("PLACE", "(confidence * bins).astype(int)"): "a bin of their own",
            ERROR.replace("np.unique(place)", "np.setdiff1d(place, bins)").replace(
                "np.minimum((confidence * bins).astype(int), bins - 1)",
                "(confidence * bins).astype(int)",
            ): "They are left out",
            ERROR.replace("* bins", "* 10").replace("bins - 1", "9"): "Ten bins, but",
            ERROR.replace(
                "np.abs(came_true - stated)", "(came_true - stated) ** 2"
            ): "squared",
            ERROR.replace("np.sum(count * ", "np.max(").replace(
                " / len(correct)", ""
            ): ("the largest gap"),
            ERROR.replace(
                "    return", "    stated = (filled + 0.5) / bins\n    return"
            ): ("middle of a bin"),
            ERROR.replace("return", "return 100 *"): "points of a hundred",
            ERROR.replace(
                "correct[place == b]", "correct[confidence > 0.5]"
            ): "on paper",
        },
        right=[
            """
def calibration_error(confidence, correct, bins):
    edges = np.linspace(0, 1, bins + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(confidence[inside].mean() - correct[inside].mean())
            error += gap * inside.sum() / len(confidence)
    return error
""",
            """
def calibration_error(confidence, correct, bins):
    gaps = np.histogram(confidence, bins, (0, 1), weights=correct - confidence)[0]
    return [np.abs(gaps).sum() / len(gaps) * bins / len(correct)]
""",
        ],
    ),
}
