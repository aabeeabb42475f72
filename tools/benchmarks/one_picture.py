"""One picture at a time: what predict adds to its network, what Keras's own predict
adds, what another runtime saves, and what the machine could do.

python -m tools.benchmarks.one_picture [--quick]
"""

import math
import sys
from functools import partial
from tempfile import TemporaryDirectory

import numpy as np

from apps.sharing.exported import load_exported
from apps.sharing.exporting import export_onnx
from helpers import load_image
from helpers.models import DEFAULT
from helpers.timing import time_alternately
from safeguards.networks import parts
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
Times for one picture that is already loaded, in units of the compiled network's forward
pass on ready numbers. `classifier.predict` cuts and resizes the picture and names the
classes as well, and so does *exported*, the same network as lesson 09 exports it, in
ONNX Runtime. *Keras's predict*, `keras_model.predict(batch)`, *predict_on_batch* and
*called*, `keras_model(batch)`, get the ready numbers; all three are ways to ask the
model that lies in the classifier. *The limit* is what the network's multiplications and
additions would take at the rate that a product of two {side} × {side} matrices reaches
on this machine (NumPy, all cores): no convolution gets there, depthwise ones least."""
ONNX = "network.onnx"
SIDE = 2048  # of the square matrices: large enough for a processor's full rate
PRODUCTS = 5  # of which the fastest counts


def multiply_adds(network):
    """How many multiplications, each with an addition, a network needs for a picture:
    those of its convolutions and dense layers, at any depth."""
    from helpers import keras

    counted = 0
    for layer in parts(network):
        if isinstance(layer, keras.layers.Dense):
            counted += math.prod(layer.kernel.shape)
        elif isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
            places = math.prod(layer.output.shape[1:3])
            counted += places * math.prod(layer.kernel.shape)
    return counted


def rate():
    """How many multiplications with additions a second this machine reaches."""
    square = np.ones((SIDE, SIDE), "float32")
    times = time_alternately({"product": lambda: square @ square}, PRODUCTS)
    return SIDE**3 / times["product"].min()


def ways(classifier, picture):
    """What is timed: {name: function}; the compiled network first."""
    network, batch = classifier.network, classifier.prepare(picture)
    return {
        "compiled": lambda: classifier.forward(batch),
        "classifier.predict": lambda: classifier.predict(picture),
        "predict_on_batch": lambda: network.predict_on_batch(batch),
        "Keras, called": lambda: network(batch, training=False).numpy(),
        "Keras's predict": lambda: network.predict(batch, verbose=0),
    }


def measure(quick=False):
    """The default network and, where its weights are, MobileNetV2 → `Part`."""
    from matplotlib.figure import Figure

    picture, groups, rows = load_image("cat"), {}, []
    for classifier in classifiers(quick):
        with TemporaryDirectory() as temporary:
            exported = load_exported(export_onnx(classifier, f"{temporary}/{ONNX}"))
        calls = ways(classifier, picture)
        calls["exported"] = partial(exported.predict, picture)
        times = time_alternately(calls, 3 if quick else 40)
        bare = times.pop("compiled")
        limit = multiply_adds(classifier.network) / rate()
        groups[classifier.name] = {
            name: ratio(own, bare) for name, own in times.items()
        }
        over = ratio(times["Keras's predict"], times["classifier.predict"])
        rows.append(
            {"network": classifier.name}
            | groups[classifier.name]
            | {
                "Keras's predict / classifier.predict": over,
                "the limit": ratio(np.full_like(bare, limit), bare),
            }
        )
    share = share_of_tensorflow(breakdown(repeats=1 if quick else 3))
    text = (
        f"{TEXT.format(side=f'{SIDE:,}')} Until a fresh Python has its first "
        f"prediction, with {DEFAULT}, "
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
