"""How the time to train a head, and to predict, grows with the number of classes.

python -m tools.benchmarks.more_classes [--quick]
"""

import sys

import numpy as np
from sklearn.linear_model import LogisticRegression

from apps.sharing.classifier import as_classifier
from helpers import keras, load_classifier, load_image
from helpers.timing import time_alternately
from helpers.training import base_of, fit_head
from safeguards.printing import run_tool
from safeguards.scaling import preprocessed
from tools.benchmarks.report import Part, alone, grown, ratio, toy

COUNTS = (2, 10, 100, 1_000)
TEXT = """\
Made-up features, {width} numbers for each of {n:,} pictures, \
around a centre for each class:
`fit_head` ({epochs} epochs) and lesson 05's *logistic regression* learn from them. \
`predict`
answers for one picture, with {network} and a head of so many outputs. \
Times in units of those
with the fewest classes."""


def with_head(classifier, count):
    """The classifier's base with a random head for `count` classes, as a
    `Classifier`."""
    inputs = keras.Input((classifier.size, classifier.size, 3))
    features = base_of(classifier)(preprocessed(inputs, classifier.preprocess_input))
    model = keras.Model(inputs, keras.layers.Dense(count)(features))
    return as_classifier(
        model, [f"class {k}" for k in range(count)], rule=classifier.rule
    )


def made_up(count, n, width):
    """Features of n pictures, float32 (n, width), and their labels, in turns."""
    rng, labels = np.random.default_rng(0), np.arange(n) % count
    features = rng.normal(size=(count, width))[labels] + rng.normal(size=(n, width))
    return features.astype("float32"), labels


def compare(classifier, counts, n, repeats, epochs):
    """Heads for so many classes, learned from n pictures, epochs of fit_head →
    {name: {classes: `Ratio` to the fewest}}."""
    width, picture, calls = base_of(classifier).output_shape[-1], load_image("cat"), {}
    for count in counts:
        features, labels = made_up(count, n, width)
        own, head = (
            with_head(classifier, count),
            LogisticRegression(C=0.01, max_iter=1000),
        )
        calls |= {
            ("fit_head", count): lambda x=features, y=labels, k=count: fit_head(
                x, y, k, 0, epochs
            ),
            ("logistic regression", count): lambda x=features, y=labels, h=head: h.fit(
                x, y
            ),
            ("predict", count): lambda own=own: [
                own.predict(picture) for _ in range(10)
            ],
        }
    times = time_alternately(calls, repeats, warm_up=1)
    found = {}
    for name, count in calls:
        found.setdefault(name, {})[count] = ratio(
            times[name, count], times[name, counts[0]]
        )
    return found


def measure(quick=False):
    """The default network, or a toy → `Part`."""
    classifier = toy() if quick else load_classifier()
    counts, n, repeats, epochs = ((2, 4), 40, 1, 1) if quick else (COUNTS, 1_000, 3, 30)
    width = base_of(classifier).output_shape[-1]
    text = TEXT.format(width=width, n=n, epochs=epochs, network=classifier.name)
    curves = compare(classifier, counts, n, repeats, epochs)
    return Part("More classes", text, *grown(curves, "classes", "time", "log"))


if __name__ == "__main__":
    sys.exit(run_tool(alone, measure, __doc__))
