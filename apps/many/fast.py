"""The faster runtime, where only answers are wanted: ONNX Runtime.

A network's graph is written once and kept in the user's cache, under the key of all
that its answers depend on (`safeguards.keys`), so a changed network gets another."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from apps.many.answers import answering
from apps.sharing.exported import Exported, load_exported
from apps.sharing.exporting import export_onnx
from apps.sharing.writers import add_features
from helpers.timing import latency
from helpers.training import AT_ONCE
from safeguards.keys import undescribed
from safeguards.memory import give_back
from safeguards.whole_files import temporary_folder_in

CACHE = "~/.cache/transfer-learning"
CLOSE = 1e-4  # how far a probability or distance may be from the network's own, and a
# feature, as a share of the largest
EXPORT_SECONDS = 12  # that writing a graph takes, about
FEWEST = 300  # pictures whose features may be worth a graph
GAIN = 0.5  # of the network's time that it saves, at least
TRIALS = 3  # timed batches
COMPARED = 2  # pictures of noise, each time a graph is loaded


def faster(classifier, pictures, key=None, answer=None):
    """The same classifier in ONNX Runtime, where that pays; otherwise None.

    It pays where its graph is there already, or saves more seconds than it takes to
    write: a line says so then. One graph serves any number of threads at once, each of
    which keeps one core busy. pictures: how many are to be answered, 0 for a graph only
    if it's there; key: `classifier.key()`, if that's known; answer: the classifier's
    `answering`, if that's at hand. None, with a line that says why, also where the
    network can't be exported, or the cache can't be written.

    What it learned from isn't part of the graph, but compared with the features that
    the graph gives: so the graph stays right if only that changes."""
    if isinstance(classifier, Exported) or undescribed(classifier.network):
        return None
    answer = answer or answering(classifier)

    def compute(batch):
        return answer(classifier.preprocess_input(batch.copy()))

    key = key or classifier.key()
    export = export_onnx
    if classifier.familiar is not None:
        key = f"{key}-features"
        export = _export_with_features
    exported = _graph(classifier, pictures, key, export, compute)
    if exported is None:
        return None
    exported = replace(exported, familiar=classifier.familiar)
    noise = _noise(classifier, COMPARED)
    apart = _apart(compute(noise), exported.answers(noise))
    return exported if _is_close(classifier, apart) else None


def _apart(expected, given):
    """How far two answers are apart: the largest difference of any probability, or of
    any distance to what was learned from."""
    probabilities, judged = expected
    others, judged_too = given
    apart = np.abs(probabilities - others).max()
    for one, other in zip(judged or (), judged_too or (), strict=True):
        apart = max(apart, abs(one.distance - other.distance))
    return apart


def faster_features(classifier, pictures, key, compute):
    """What computes the base's features in ONNX Runtime, where that pays, as for
    `faster`: a function from RGB 0…255, float32 (n, size, size, 3), to float32 (n, d).

    Otherwise None. key: that of the base, as `extract_features` knows it; compute: such
    a function of Keras's."""
    export = _export_with_features
    exported = _graph(classifier, pictures, key, export, compute, FEWEST)
    if exported is None:
        return None
    noise = _noise(classifier, COMPARED)
    expected = np.asarray(compute(noise.copy()))
    given = exported.network.features(noise)
    apart = np.abs(expected - given).max() / np.abs(expected).max()
    return exported.network.features if _is_close(classifier, apart) else None


def _graph(classifier, pictures, key, export, compute, fewest=1):
    """A network's graph from the cache, as an `Exported`, or None where it isn't there
    and writing it doesn't pay, or fails.

    export: what writes it; compute: what it's to take the place of; fewest: pictures
    for which it's estimated whether that pays."""
    folder = Path(os.environ.get("TRANSFER_CACHE") or CACHE).expanduser() / "graphs"
    path = folder / f"{key}.onnx"
    if not path.is_file():
        if pictures < fewest:
            return None
        seconds = GAIN * pictures * seconds_a_picture(classifier, compute)
        if seconds < EXPORT_SECONDS:
            return None
        print(
            f"Switching {classifier.name} to ONNX Runtime: that takes "
            f"≈{EXPORT_SECONDS} s, once, and saves ≈{seconds:.0f} s.",
            flush=True,
        )
        if not _written(classifier, path, export):
            return None
    return load_exported(path, threads=1)


def seconds_a_picture(classifier, compute=None):
    """What the network takes for a picture, in batches, on this machine now.

    compute: the function of a batch that's timed, None: the classifier's own."""
    compute = compute or classifier.forward
    batch = _noise(classifier, AT_ONCE)
    calls = {"network": lambda: compute(batch)}
    times = latency(calls, pictures=AT_ONCE, repeats=TRIALS, warm_up=1)
    return times["network"].median / 1000


def _written(classifier, path, export):
    """Write a graph into the cache; whether that went well."""
    try:
        with temporary_folder_in(path.parent) as folder:
            file = export(replace(classifier, familiar=None), folder / path.name)
            os.replace(file, path)
    except (OSError, ValueError) as error:
        print(f"{classifier.name} stays in Keras: {error}")
        return False
    give_back()  # of what it took to write and try it
    return True


def _export_with_features(classifier, path):
    """Write a graph that gives the features as well → its path."""
    add_features(export_onnx(classifier, path))
    return path


def _noise(classifier, pictures):
    """A batch of so many pictures: float32 (pictures, size, size, 3) of 0…255."""
    shape = (pictures, classifier.size, classifier.size, 3)
    return np.random.default_rng(0).integers(0, 256, shape).astype("float32")


def _is_close(classifier, apart):
    """Whether a graph's answers are the network's, apart from rounding."""
    if apart > CLOSE:
        print(f"{classifier.name} stays in Keras: its graph is {apart:.4f} off.")
    return apart <= CLOSE
