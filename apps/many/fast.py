"""The faster runtime, where only answers are wanted: ONNX Runtime.

A network's graph is written once and kept in the user's cache, under the key of all
that its answers depend on (`safeguards.keys`), so a changed network gets another."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import softmax

from apps.sharing.exported import Exported, load_exported
from apps.sharing.exporting import export_onnx
from helpers.models import AT_ONCE
from helpers.timing import latency
from safeguards.keys import undescribed
from safeguards.whole_files import temporary_folder_in

CACHE = "~/.cache/transfer-learning"
CLOSE = 1e-4  # how far a probability may be from the classifier's own
EXPORT_SECONDS = 12  # that writing a graph takes, about
GAIN = 0.5  # of the network's time that it saves, at least
TRIALS = 3  # timed batches


def faster(classifier, pictures, key=None):
    """The same classifier in ONNX Runtime, where that pays; otherwise None.

    It pays where its graph is there already, or saves more seconds than it takes to
    write: a line says so then. One graph serves any number of threads at once, each of
    which keeps one core busy. pictures: how many are to be answered; key:
    `classifier.key()`, if that's known. None, with a line that says why, also where the
    network can't be exported, or the cache can't be written."""
    if isinstance(classifier, Exported) or undescribed(classifier.network):
        return None
    key = key or classifier.key()
    folder = Path(os.environ.get("TRANSFER_CACHE") or CACHE).expanduser() / "graphs"
    path = folder / f"{key}.onnx"
    if not path.is_file():
        seconds = GAIN * pictures * seconds_a_picture(classifier)
        if seconds < EXPORT_SECONDS:
            return None
        print(
            f"{classifier.name} goes to ONNX Runtime: ≈{EXPORT_SECONDS} s, once, and "
            f"≈{seconds:.0f} s saved.",
            flush=True,
        )
        if not _written(classifier, path):
            return None
    exported = load_exported(path, threads=1)
    return exported if _is_same(classifier, exported) else None


def seconds_a_picture(classifier):
    """What the network takes for a picture, in batches, on this machine now."""
    batch = np.zeros((AT_ONCE, classifier.size, classifier.size, 3), "float32")
    calls = {"network": lambda: classifier.forward(batch)}
    times = latency(calls, pictures=AT_ONCE, repeats=TRIALS, warm_up=1)
    return times["network"].median / 1000


def _written(classifier, path):
    """Write a graph into the cache; whether that went well."""
    try:
        with temporary_folder_in(path.parent) as folder:
            file = export_onnx(replace(classifier, familiar=None), folder / path.name)
            os.replace(file, path)
    except (OSError, ValueError) as error:
        print(f"{classifier.name} stays in Keras: {error}")
        return False
    return True


def _is_same(classifier, exported):
    """Whether a graph from the cache gives the classifier's answers to noise."""
    shape = (2, classifier.size, classifier.size, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape).astype("float32")
    expected = classifier.forward(classifier.preprocess_input(noise.copy()))
    given = exported.forward(noise)
    apart = np.abs(softmax(expected, axis=-1) - softmax(given, axis=-1)).max()
    if apart > CLOSE:
        print(f"{classifier.name} stays in Keras: its graph is {apart:.4f} off.")
    return apart <= CLOSE
