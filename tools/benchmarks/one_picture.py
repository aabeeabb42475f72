"""One picture at a time: what predict adds to its network, and what Keras's own predict
adds.

python -m tools.benchmarks.one_picture [--quick]
"""

import sys

from helpers import load_image
from helpers.models import DEFAULT
from helpers.timing import time_alternately
from safeguards.printing import run_tool
from tools.benchmarks.report import (
    Part,
    alone,
    axes_of,
    classifiers,
    ratio,
    ratio_bars,
    said,
)
from tools.benchmarks.start_up import breakdown, share_of_tensorflow

TEXT = """\
Times for one picture that is already loaded, \
in units of the compiled network's forward pass on
ready numbers. `classifier.predict` cuts and resizes the picture and names the classes \
as well.
*Keras's predict*, `keras_model.predict(batch)`, and *called*, `keras_model(batch)`, \
get the
ready numbers; both are the model that lies in the classifier."""


def ways(classifier, picture):
    """What is timed: {name: function}; the compiled network first."""
    network, batch = classifier.network, classifier.prepare(picture)
    return {
        "compiled": lambda: classifier.forward(batch),
        "classifier.predict": lambda: classifier.predict(picture),
        "Keras, called": lambda: network(batch, training=False).numpy(),
        "Keras's predict": lambda: network.predict(batch, verbose=0),
    }


def measure(quick=False):
    """The default network and, where its weights are, MobileNetV2 → `Part`."""
    from matplotlib.figure import Figure

    picture, groups, rows = load_image("cat"), {}, []
    for classifier in classifiers(quick):
        times = time_alternately(ways(classifier, picture), 3 if quick else 40)
        bare = times.pop("compiled")
        groups[classifier.name] = {
            name: ratio(own, bare) for name, own in times.items()
        }
        over = ratio(times["Keras's predict"], times["classifier.predict"])
        rows.append(
            {"network": classifier.name}
            | groups[classifier.name]
            | {"Keras's predict / classifier.predict": over}
        )
    share = share_of_tensorflow(breakdown(repeats=1 if quick else 3))
    text = (
        f"{TEXT} Until a fresh Python has its first prediction, with {DEFAULT}, "
        f"TensorFlow's import is {share:.0%} of the processor's time (`python -m "
        "tools.benchmarks.start_up` says where the rest goes)."
    )
    figure = Figure(figsize=(7, 1 + 1.3 * len(rows)), layout="constrained")
    ratio_bars(
        axes_of(figure)[0],
        groups,
        "time (1: the compiled network alone)",
        "One picture",
    )
    alt = f"Bars, time in units of the compiled network's. {said(groups)}."
    return Part("One picture", text, rows, figure, alt)


if __name__ == "__main__":
    sys.exit(run_tool(alone, measure, __doc__))
