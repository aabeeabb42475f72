"""A folder of pictures: predict_folder, a loop over Keras's predict, and the ceiling.

python -m tools.benchmarks.folder [--quick]
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from apps.many.folder import AT_ONCE, fitting, predict_folder, read_predictions
from helpers.images import resize
from helpers.timing import time_alternately
from safeguards.printing import run_tool
from tools.benchmarks.report import (
    Part,
    alone,
    axes_of,
    classifiers,
    linked,
    ratio,
    ratio_bars,
    said,
)

TEXT = """\
The loop calls Keras's `predict` for one picture after the other, as most examples do. \
It is not
that of lesson 10, which calls `classifier.predict` and takes a fraction of this one's \
time (*One
picture* has both). The ceiling is an estimate, from what each stage takes alone, \
in the same
rounds, with all cores to itself: decoding and resizing in threads, \
and the network on pixels that
are ready. Both stages need the same cores, so on a processor their times add up; \
*of the slower
stage* would be the ceiling if the network had hardware of its own. \
A share of 1 is as fast as
possible; a little more is within what other work on the machine does to the stages, \
or one stage
fills gaps that the other leaves. Model loaded beforehand; \
`predict_folder` starts without a table,
and its whole call counts."""


def compare(classifier, folder, batch, repeats, part=8):
    """Rounds of the loop, on one picture in `part`, the stages, and predict_folder →
    {name: seconds a picture, (repeats,)}, and the share of equal answers."""
    paths, size, rule = sorted(folder.iterdir()), classifier.size, classifier.rule
    few, table, network = paths[::part], folder.with_suffix(".csv"), classifier.network
    pixels, answers = np.empty((len(paths), size, size, 3), "uint8"), {}

    def decode(row):
        pixels[row] = np.asarray(resize(paths[row], size, rule))

    def compute(start):
        ready = pixels[start : start + batch].astype("float32")
        classifier.forward(classifier.preprocess_input(ready))

    def threaded(threads, work, items):
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, items))

    def loop():
        for path in few:
            logits = network.predict(classifier.prepare(path), verbose=0)
            answers[path.name] = classifier.classes[logits[0].argmax()][0]

    def ours():
        table.unlink(missing_ok=True)
        predict_folder(folder, classifier, table, batch_size=batch, progress=False)

    decoders = (os.cpu_count() or 1) + 1
    calls = {
        "decode": lambda: threaded(decoders, decode, range(len(paths))),
        "network": lambda: threaded(AT_ONCE, compute, range(0, len(paths), batch)),
        "predict_folder": ours,
        "loop": loop,
    }
    seconds = {
        name: times / (len(few) if name == "loop" else len(paths))
        for name, times in time_alternately(calls, repeats, warm_up=1).items()
    }
    rows = {row["path"]: row["wnid"] for row in read_predictions(table)}
    return seconds, float(
        np.mean([rows[name] == answer for name, answer in answers.items()])
    )


def measure(quick=False):
    """The default network and, where its weights are, MobileNetV2, on the training
    pictures of computers → `Part`."""
    from matplotlib.figure import Figure

    rows, shares = [], {}
    for classifier in classifiers(quick):
        count, repeats = (24, 2) if quick else (240, 5)
        with TemporaryDirectory() as temporary:
            folder = linked(Path(temporary) / "pictures", count)
            times, same = compare(classifier, folder, fitting(classifier), repeats)
        ceiling = times["decode"] + times["network"]
        shares[classifier.name] = {
            "predict_folder": ratio(ceiling, times["predict_folder"]),
            "the loop": ratio(ceiling, times["loop"]),
        }
        slower = np.maximum(times["decode"], times["network"])
        rows.append(
            {
                "network": classifier.name,
                "Keras loop's time": ratio(times["loop"], times["predict_folder"]),
                "share of the ceiling": shares[classifier.name]["predict_folder"],
                "of the slower stage": ratio(slower, times["predict_folder"]),
                "decoding, of both stages": ratio(times["decode"], ceiling),
                "same answers": f"{same:.3f}",
            }
        )
    figure = Figure(figsize=(7, 1 + 0.9 * len(rows)), layout="constrained")
    ratio_bars(axes_of(figure)[0], shares, "share of the ceiling (1: as fast as "
                                           "possible)",
               "A folder of pictures")  # fmt: skip
    alt = f"Bars, share of the ceiling. {said(shares)}."
    return Part(
        "A folder: predict_folder, and a loop over Keras's predict",
        TEXT,
        rows,
        figure,
        alt,
    )


if __name__ == "__main__":
    sys.exit(run_tool(alone, measure, __doc__))
