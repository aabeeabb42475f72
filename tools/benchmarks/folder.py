"""A folder of pictures: predict_folder, what its users would write otherwise, and the
ceiling.

python -m tools.benchmarks.folder [--quick] [--small N] [--large N]
"""

import argparse
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from PIL import Image

from apps.many.fast import faster
from apps.many.folder import fitting, predict_folder, read_predictions
from helpers.datasets import load_dataset
from helpers.images import resize
from helpers.models import load_classifier
from helpers.timing import time_alternately
from safeguards.cores import usable_cores
from safeguards.printing import run_tool
from tools.benchmarks.report import (
    Part,
    axes_of,
    in_words,
    ratio,
    ratio_bars,
    said,
    short,
    toy,
)

BATCH = 32  # pictures, as in most examples
# Of so many pictures, one goes through the slowest loops. It has no divisor in common
# with the numbers of different pictures, so all of these are among them.
EACH = 11
ROUNDS = 5
APART = 8  # of the training pictures, one in so many is enlarged: all classes
SMALL = 2000  # pictures of a phone's messages
LARGE = 200  # as a phone takes them
GRAIN = 6  # of 255: without it, an enlarged picture decodes faster than a photograph
ALWAYS = 10**9  # pictures for which writing the graph pays

OURS = "predict_folder"
IN_KERAS = "predict_folder, fast=False"
DATASET = "image_dataset_from_directory, predict"
PIPELINE = "tf.data, predict"
BATCHES = "Pillow, predict_on_batch"
ONE_BY_ONE = "Keras's predict, one by one"
STAGES = "decoding alone + network alone"

TEXT = """\
The same files, classified in the ways that one finds in guides and examples. Times are
in units of `predict_folder`'s, so more is slower. *{dataset}* is Keras's
own, and *{pipeline}* a pipeline by TensorFlow's guide: parallel calls, and batches
fetched ahead. *{batches}* is a plain loop over batches of {batch};
*{one_by_one}* the loop of most examples, with our preparation; these two
get one picture in {each}. All start with a loaded network and no table.

`predict_folder` computes in ONNX Runtime here, *{in_keras}* in
TensorFlow. Writing the network's graph, once, took as long as TensorFlow takes for
{pays:,} of the small pictures; `predict_folder` does it only where that pays.

*{stages}* is the ceiling: what each stage takes with all
cores to itself, in the same rounds. Both need the same cores, so their times add up.
*Same answers* is the share of pictures with the most likely class that Keras gives,
prepared as the network was trained; *{dataset}*,
*{pipeline}* and *{batches}* prepare them as guides do."""


class Kind(NamedTuple):
    """A kind of picture: how many, and of what size in pixels."""

    name: str
    count: int
    width: int
    height: int
    originals: int  # how many of them differ; the others are links


def pictures_in(folder, kind):
    """Write the pictures of a kind: those of computers, enlarged, with grain."""
    rng = np.random.default_rng(0)
    sources = load_dataset().train.paths[::APART]
    folder.mkdir(parents=True)
    for number in range(kind.count):
        path = folder / f"{number:06}.jpg"
        if number >= kind.originals:
            os.link(folder / f"{number % kind.originals:06}.jpg", path)
            continue
        with Image.open(sources[number % len(sources)]) as image:
            large = image.convert("RGB").resize((kind.width, kind.height))
        grain = rng.normal(0, GRAIN, (kind.height, kind.width, 1)).astype("float32")
        pixels = np.clip(np.asarray(large) + grain, 0, 255).astype("uint8")
        Image.fromarray(pixels).save(path, quality=90)
    return folder


class Ways:
    """What is compared, on the pictures of one folder. Each method classifies them all
    and returns the index of each one's class, (n,)."""

    def __init__(self, classifier, folder):
        self.classifier = classifier
        self.folder = folder
        self.paths = sorted(folder.iterdir())
        self.table = folder.with_suffix(".csv")
        self.exported = faster(classifier, ALWAYS)

    def ours(self, fast=True):
        """predict_folder, into a new table."""
        self.table.unlink(missing_ok=True)
        predict_folder(
            self.folder, self.classifier, self.table, progress=False, fast=fast
        )
        index = {wnid: i for i, (wnid, _) in enumerate(self.classifier.classes)}
        return np.array([index[row["wnid"]] for row in read_predictions(self.table)])

    def dataset(self):
        """Keras's own reader of folders, and predict."""
        from helpers import keras

        size = self.classifier.size
        pictures = keras.utils.image_dataset_from_directory(
            self.folder,
            labels=None,
            shuffle=False,
            image_size=(size, size),
            batch_size=BATCH,
            crop_to_aspect_ratio=True,
            verbose=False,
        )
        return self._predicted(pictures.map(self.classifier.preprocess_input))

    def pipeline(self):
        """A pipeline as TensorFlow's guide to performance has it."""
        import tensorflow as tf

        size = self.classifier.size

        def load(path):
            image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
            return self.classifier.preprocess_input(
                tf.image.resize(image, (size, size))
            )

        paths = tf.data.Dataset.from_tensor_slices(list(map(str, self.paths)))
        pictures = paths.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH)
        return self._predicted(pictures)

    def _predicted(self, batches):
        import tensorflow as tf

        ahead = batches.prefetch(tf.data.AUTOTUNE)
        return self.classifier.network.predict(ahead, verbose=0).argmax(-1)

    def batches(self):
        """Pillow's resize, one picture after the other, and predict_on_batch; of every
        `EACH` pictures only one."""
        size = self.classifier.size
        paths = self.paths[::EACH]
        found = []
        for start in range(0, len(paths), BATCH):
            pixels = []
            for path in paths[start : start + BATCH]:
                with Image.open(path) as image:
                    pixels.append(np.asarray(image.convert("RGB").resize((size, size))))
            batch = self.classifier.preprocess_input(np.array(pixels, "float32"))
            found.append(self.classifier.network.predict_on_batch(batch).argmax(-1))
        return np.concatenate(found)

    def one_by_one(self):
        """predict with one picture at a time; of every `EACH` pictures only one."""
        found = []
        for path in self.paths[::EACH]:
            batch = self.classifier.prepare(path)
            found.append(self.classifier.network.predict(batch, verbose=0)[0].argmax())
        return np.array(found)

    def stages(self):
        """The two stages of predict_folder, each by itself: {name: function}."""
        size = self.classifier.size
        pixels = np.empty((len(self.paths), size, size, 3), "uint8")
        at_once = fitting(self.classifier)

        def decode(row):
            pixels[row] = np.asarray(
                resize(self.paths[row], size, self.classifier.rule)
            )

        def compute(start):
            ready = pixels[start : start + at_once].astype("float32")
            self.exported.forward(self.exported.preprocess_input(ready))

        def threaded(work, items):
            with ThreadPoolExecutor(usable_cores()) as pool:
                list(pool.map(work, items))

        return {
            "decode": lambda: threaded(decode, range(len(self.paths))),
            "network": lambda: threaded(compute, range(0, len(self.paths), at_once)),
        }


def compare(classifier, folder, rounds):
    """Rounds of all ways on one folder → {way: seconds a picture, (rounds,)}, and {way:
    share of the answers that Keras gives to pictures prepared as they should be}."""
    ways = Ways(classifier, folder)
    answers = {}
    calls = {
        OURS: ways.ours,
        IN_KERAS: lambda: ways.ours(fast=False),
        DATASET: ways.dataset,
        PIPELINE: ways.pipeline,
        BATCHES: ways.batches,
        ONE_BY_ONE: ways.one_by_one,
    }

    def answered(way, call):
        answers[way] = call()

    timed = {
        way: lambda way=way, call=call: answered(way, call)
        for way, call in calls.items()
    }
    times = time_alternately(timed | ways.stages(), rounds, warm_up=1)
    seconds = {}
    for way, own in times.items():
        seconds[way] = own / len(ways.paths[:: _step(way)])
    seconds[STAGES] = seconds.pop("decode") + seconds.pop("network")
    same = {}
    for way, own in answers.items():
        same[way] = np.mean(own == answers[IN_KERAS][:: _step(way)])
    return seconds, same


def _step(way):
    """Of how many pictures one goes through a way."""
    return EACH if way in (BATCHES, ONE_BY_ONE) else 1


def _rows(shares, agreement):
    """The table: a row a way, with its time and its share of the same answers."""
    rows = []
    for way in next(iter(shares.values())):
        row = {"way": way}
        for kind, ratios in shares.items():
            row[f"time, {kind}"] = ratios[way]
            same = agreement[kind].get(way)
            row[f"same answers, {kind}"] = "" if same is None else f"{same:.3f}"
        rows.append(row)
    return rows


def measure(quick=False, small=SMALL, large=LARGE):
    """The default network on small pictures and on large ones → `Part`."""
    from matplotlib.figure import Figure

    classifier = toy() if quick else load_classifier()
    kinds = [
        Kind("of 0.1 megapixels", small, 360, 270, 60),
        Kind("of 12 megapixels", large, 4000, 3000, 12),
    ]
    if quick:
        kinds = [Kind("of 30 by 40", 24, 30, 40, 8), Kind("of 60 by 80", 16, 60, 80, 8)]
    shares = {}
    agreement = {}
    with (
        TemporaryDirectory() as temporary,
        patch.dict(os.environ, TRANSFER_CACHE=str(Path(temporary) / "cache")),
    ):
        start = time.perf_counter()
        faster(classifier, ALWAYS)
        writing = time.perf_counter() - start
        for kind in kinds:
            folder = pictures_in(Path(temporary) / kind.name / "pictures", kind)
            times, same = compare(classifier, folder, 2 if quick else ROUNDS)
            ours = times.pop(OURS)
            shares[kind.name] = {way: ratio(own, ours) for way, own in times.items()}
            agreement[kind.name] = same
            if kind is kinds[0]:
                pays = writing / float(np.median(times[IN_KERAS]))
            shutil.rmtree(folder)
    rows = _rows(shares, agreement)
    text = TEXT.format(
        dataset=DATASET,
        pipeline=PIPELINE,
        batches=BATCHES,
        one_by_one=ONE_BY_ONE,
        in_keras=IN_KERAS,
        stages=STAGES,
        batch=BATCH,
        each=EACH,
        pays=round(pays),
    )
    same = [f"{of[OURS]:.3f} {name}" for name, of in agreement.items()]
    text += f" That of `predict_folder` is {', '.join(same)}."
    figure = Figure(figsize=(7, 6), layout="constrained")
    slowest = max(found.value for of in shares.values() for found in of.values())
    ratio_bars(
        axes_of(figure)[0],
        shares,
        "time (1: predict_folder)",
        f"A folder: other ways take up to {short(slowest)} times predict_folder's time",
    )
    alt = f"Bars, time in units of predict_folder's. {said(shares)}."
    title = "A folder: predict_folder, and what one would write otherwise"
    return Part(title, text, rows, figure, alt)


def main(arguments=None):
    """The command line: prints the table, and writes nothing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="try it, on a toy")
    parser.add_argument("--small", type=int, default=SMALL, help="pictures of 0.1 MP")
    parser.add_argument("--large", type=int, default=LARGE, help="pictures of 12 MP")
    options = parser.parse_args(arguments)
    if min(options.small, options.large) < 1:
        parser.error("--small and --large should be 1 or more.")
    print(in_words(measure(options.quick, options.small, options.large)))


if __name__ == "__main__":
    sys.exit(run_tool(main))
