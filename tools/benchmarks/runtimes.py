"""Exports against Keras: LiteRT and ONNX Runtime, at equal predictions.

python -m tools.benchmarks.runtimes [--quick]
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from apps.sharing.exported import load_exported
from apps.sharing.exporting import export_litert, export_onnx
from apps.sharing.parity import parity
from helpers import load_classifier
from helpers.datasets import load_dataset
from helpers.timing import time_alternately
from safeguards.printing import run_tool
from tools.benchmarks.report import Part, alone, axes_of, ratio, ratio_bars, said, toy

TEXT = """\
{network} on the same ready numbers, in three runtimes that all use all cores: Keras
compiled, as `classifier.forward` runs it, and the files that lesson 09 exports. \
Each figure is
Keras's time divided by that of the runtime, so more is faster. \
Predictions are compared on {n}
validation pictures of *computers*: *same answer* with its 95 % interval, \
and the largest
difference of any probability. LiteRT gets one picture after the other: \
batches gain nothing
there. int8 gives up equality for size."""


def exports(classifier, calibration, folder):
    """{name: the classifier as another runtime has it}, each from a file in a
    folder."""
    paths = {
        "ONNX Runtime": export_onnx(classifier, folder / "model.onnx"),
        "LiteRT": export_litert(classifier, folder / "model.tflite"),
        "LiteRT, int8": export_litert(classifier, folder / "int8.tflite", calibration),
    }
    return {name: load_exported(path) for name, path in paths.items()}


def measure(quick=False):
    """The default network, or a toy, exported and compared → `Part`. RuntimeError where
    a float export answers otherwise than Keras: its time would mean nothing."""
    from matplotlib.figure import Figure

    classifier, dataset = toy() if quick else load_classifier(), load_dataset()
    each, repeats = (2, 2) if quick else (25, 30)
    calibration = dataset.train.subset(each).images()
    pictures = (
        dataset.validation.subset(each) if quick else dataset.validation
    ).images()
    sizes = {"1 picture": 1, "32 pictures": 32}
    groups, rows = {name: {} for name in sizes}, []
    with TemporaryDirectory() as temporary:
        found = exports(classifier, calibration, Path(temporary))
        agree = {
            name: parity(classifier, other, pictures) for name, other in found.items()
        }
        for name, measured in agree.items():
            if "int8" not in name and measured.same.value < 0.99:
                raise RuntimeError(f"{name} answers otherwise than Keras: {measured}.")
        for group, size in sizes.items():
            batch = classifier.prepare((pictures * size)[:size])
            runs = {"Keras": classifier} | found
            times = time_alternately(
                {n: lambda c=c, b=batch: c.forward(b) for n, c in runs.items()}, repeats
            )
            groups[group] = {name: ratio(times["Keras"], times[name]) for name in found}
    for name, measured in agree.items():
        speeds = {f"speed, {group}": of[name] for group, of in groups.items()}
        difference = f"{measured.difference:.1e}"
        rows.append(
            {"runtime": name}
            | speeds
            | {"same answer": measured.same, "largest difference": difference}
        )
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    title = f"Runtimes: {classifier.name}"
    ratio_bars(axes_of(figure)[0], groups, "speed (1: Keras, compiled)", title)
    alt = f"Bars, speed in units of Keras's. {said(groups)}."
    text = TEXT.format(n=len(pictures), network=classifier.name)
    return Part("LiteRT and ONNX Runtime", text, rows, figure, alt)


if __name__ == "__main__":
    sys.exit(run_tool(alone, measure, __doc__))
