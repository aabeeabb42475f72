"""The same task two ways: features computed once (lesson 05), and the widely copied
recipe.

python -m tools.benchmarks.transfer_recipe [--data hymenoptera] [--model mobilenet_v2]
                                           [--repeats 3] [--epochs 10] [--size 160]

--data: what helpers.datasets.load_dataset takes. The model's weights must be on this
machine (TRANSFER_WEIGHTS, or Keras's cache). Each repeat runs both ways in turn, in
this process; the clock starts with the pretrained network in memory and the pictures as
files, and stops when the validation pictures have their answers. No cache is used.
Leave the machine alone meanwhile: the CPU seconds of all cores, printed beside the time
that passed, show whether it was.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import keras
from helpers.datasets import load_dataset
from helpers.evaluate import Estimate, accuracy, difference
from helpers.models import DEFAULT, REGISTRY, has_weights, load_classifier
from helpers.plots import BLUE, ORANGE
from helpers.training import base_of, extract_features
from safeguards.folders import DataError
from safeguards.printing import run_tool
from safeguards.scaling import preprocessed
from tools.benchmarks.report import Part, axes_of, ratio, short, toy

GUIDES = "mobilenet_v2"  # the network of the recipe's guide
SIZES = {DEFAULT: 128, GUIDES: 160}  # pixels a side, as the lessons and the guide train
BATCH = 32
AT_MOST, FROZEN = (
    1 / 25,
    100 / 154,
)  # of its time; the part of the layers the recipe keeps frozen
TASK, TIMES, EQUAL = "pictures, network", "time", "time until as accurate"
OURS, THEIRS = "accuracy, features once", "accuracy, recipe"
TEXT = """\
A pretrained network learns a new task two ways, from the same files, without a cache. \
*Features
once* (lesson 05): the network runs once over each picture, \
and logistic regression learns from
what it puts out. *The recipe*, as in [TensorFlow's guide][guide] and the many copies \
of it: ten
epochs with the network frozen, ten more with its last third fine-tuned. \
Times are the recipe's,
in units of what features once took in the same round; *until as accurate*: \
until the end of its
first epoch with at least the accuracy of features once, chosen afterwards, \
which flatters the
recipe. Accuracies are those on the validation pictures, of the run in the middle, \
with 95 %
intervals; *gain*: features once less the recipe, on the same pictures. \
What ImageNet knows of
ants and bees helps both ways alike.

[guide]: https://www.tensorflow.org/tutorials/images/transfer_learning"""


class Run(NamedTuple):
    """One way, once. seconds: until the validation pictures had their answers;
    estimate: of the accuracy on them; predicted: their classes; history: (seconds,
    accuracy) after each epoch."""

    seconds: float
    estimate: Estimate
    predicted: object = None
    history: tuple = ()


def features_once(classifier, dataset):
    """Features of all pictures, then lesson 05's head → the classes predicted for the
    validation set."""
    with tempfile.TemporaryDirectory() as cache:
        train = extract_features(classifier, dataset.train, cache)
        validation = extract_features(classifier, dataset.validation, cache)
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return head.fit(train, dataset.train.labels).predict(validation)


def recipe(classifier, dataset, epochs=10, seed=0):
    """TensorFlow's guide to transfer learning
    (tensorflow.org/tutorials/images/transfer_learning): the frozen base runs again in
    every epoch, behind an augmentation, then its last layers are fine-tuned.
    classifier: its weights are changed. → the classes predicted for the validation set,
    and (seconds, accuracy on it) of each epoch."""
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    start, history = time.perf_counter(), []
    two = (
        len(dataset.classes) == 2
    )  # the guide's own case: one output, the second class's

    def pictures(part, shuffle):
        found = keras.utils.image_dataset_from_directory(
            part.paths[0].parent.parent,
            class_names=list(dataset.classes),
            shuffle=shuffle,
            batch_size=BATCH,
            image_size=(classifier.size, classifier.size),
            verbose=False,
        )
        if {*found.file_paths} != {*map(str, part.paths)}:
            raise DataError(
                f"The recipe reads other pictures than those of {part.name}."
            )
        return found.prefetch(tf.data.AUTOTUNE)

    train, validation = (
        pictures(dataset.train, True),
        pictures(dataset.validation, False),
    )
    augmentation = keras.Sequential(
        [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.2)]
    )
    base = base_of(classifier)
    inputs = keras.Input((classifier.size, classifier.size, 3))
    x = base(
        preprocessed(augmentation(inputs), classifier.preprocess_input), training=False
    )
    outputs = keras.layers.Dense(1 if two else len(dataset.classes))(
        keras.layers.Dropout(0.2)(x)
    )
    model = keras.Model(inputs, outputs)
    loss = (
        keras.losses.BinaryCrossentropy
        if two
        else keras.losses.SparseCategoricalCrossentropy
    )
    metric = (
        keras.metrics.BinaryAccuracy(name="accuracy", threshold=0)
        if two
        else "accuracy"
    )

    def note(_, logs):
        history.append((time.perf_counter() - start, logs["val_accuracy"]))

    def run(optimizer):
        model.compile(optimizer, loss(from_logits=True), metrics=[metric])
        model.fit(
            train,
            shuffle=False,  # the data set itself shuffles
            epochs=epochs,
            validation_data=validation,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=note)],
            verbose=0,
        )

    base.trainable = False
    run(keras.optimizers.Adam(1e-4))
    base.trainable = True
    for layer in base.layers[: int(FROZEN * len(base.layers))]:
        layer.trainable = False
    run(keras.optimizers.RMSprop(1e-5))
    logits = model.predict(validation, verbose=0)
    return (logits[:, 0] > 0).astype(int) if two else logits.argmax(axis=1), history


def compare(classifier, dataset, repeats, epochs):
    """Both ways in turn, `repeats` times with seeds 0, 1, …, each on a fresh copy of
    the network. Prints each run and → {way: [Run, …]}."""
    runs = {"features once": [], "recipe": []}
    for seed in range(repeats):
        for way, results in runs.items():
            copy = keras.models.clone_model(classifier.network)
            copy.set_weights(classifier.network.get_weights())
            own, history, more = replace(classifier, network=copy), (), ""
            start, cpu = time.perf_counter(), time.process_time()
            if way == "recipe":
                predicted, history = recipe(own, dataset, epochs, seed)
                more = f", {history[epochs - 1][1]:.2f} before fine-tuning"
            else:
                predicted = features_once(own, dataset)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            estimate = accuracy(dataset.validation.labels, predicted)
            results.append(Run(seconds, estimate, predicted, tuple(history)))
            spent = f"{seconds:>8.1f} s{cpu:>8.1f} s CPU"
            print(f"seed {seed}  {way:<14}{spent}  {estimate}{more}", flush=True)
    return runs


def verdict(runs):
    """Whether features are at least as accurate in at most AT_MOST of the time, by
    medians."""
    (ours, right), (theirs, theirs_right) = (
        map(
            median,
            zip(*((run.seconds, run.estimate.value) for run in results), strict=True),
        )
        for results in runs.values()
    )
    print(
        f"medians: {ours:.1f} s and {theirs:.1f} s, {theirs / ours:.1f} times faster; ",
        end="",
    )
    print(f"accuracy {right:.3f} and {theirs_right:.3f}")
    return right >= theirs_right and ours <= AT_MOST * theirs


def until_equal(runs):
    """How long the recipe takes until it is as accurate as the features once, over the
    time these take, in words; of the runs that get there."""
    found = []
    for once, other in zip(*runs.values(), strict=True):
        there = (
            seconds
            for seconds, right in other.history
            if right > once.estimate.value - 1e-6
        )
        found += [seconds / once.seconds for seconds in [*there][:1]]
    reached = f"reached in {len(found)} of {len(runs['recipe'])} runs"
    return f"{ratio(found, np.ones(len(found)))}, {reached}" if found else reached


def in_the_middle(results):
    """The `Run` with the median accuracy, of two the lower."""
    return sorted(results, key=lambda run: run.estimate.value)[(len(results) - 1) // 2]


def row(name, dataset, runs):
    """A line of the table."""
    ours, theirs = map(in_the_middle, runs.values())
    once, other = ([run.seconds for run in results] for results in runs.values())
    return {
        TASK: name,
        TIMES: ratio(other, once),
        EQUAL: until_equal(runs),
        OURS: ours.estimate,
        THEIRS: theirs.estimate,
        "gain": difference(dataset.validation.labels, theirs.predicted, ours.predicted),
    }


def draw(axes, name, runs):
    """Accuracy over time, in units of what the features once take."""
    for number, (once, other) in enumerate(zip(*runs.values(), strict=True)):
        times, right = np.transpose(other.history)
        label = None if number else "the recipe, epoch by epoch"
        axes.plot(
            times / once.seconds, right, ".-", color=ORANGE, alpha=0.7, label=label
        )
    once = in_the_middle(runs["features once"]).estimate
    spread = [[once.value - once.low], [once.high - once.value]]
    label = "features once, 95 % interval"
    axes.errorbar(
        [1], [once.value], spread, fmt="o", color=BLUE, capsize=4, label=label
    )
    axes.axhline(once.value, color=BLUE, linestyle=":")
    axes.set(
        xscale="log", xlabel="time (1: features once)", ylabel="accuracy, validation"
    )
    axes.set_title(name)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(fontsize="small", loc="lower right")


def measure(quick=False):
    """Both ways on computers with the default network and, where they are to be had, on
    ants and bees with the guide's → `Part`."""
    from matplotlib.figure import Figure

    dataset, left_out = load_dataset(), ""
    tasks = {f"computers, {'toy' if quick else DEFAULT}": (dataset, 1 if quick else 3)}
    if has_weights(GUIDES) and not quick:
        try:
            tasks[f"ants and bees, {GUIDES}"] = load_dataset("hymenoptera"), 3
        except DataError as error:
            left_out = f" Ants and bees were left out: {error}"
    found = {}
    for name, (dataset, repeats) in tasks.items():
        print(name, flush=True)
        network = name.split(", ")[1]
        classifier = toy() if quick else load_classifier(network, SIZES[network])
        found[name] = compare(classifier, dataset, repeats, epochs=1 if quick else 10)
    figure = Figure(figsize=(4.5 * len(found), 3.4), layout="constrained")
    for axes, (name, runs) in zip(
        axes_of(figure, len(found)), found.items(), strict=True
    ):
        draw(axes, name, runs)
    rows = [row(name, tasks[name][0], runs) for name, runs in found.items()]
    shown = "; ".join(
        f"{line[TASK]}: {short(line[TIMES].value)} times the time, at the end "
        f"{line[THEIRS].value:.2f} against {line[OURS].value:.2f}"
        for line in rows
    )
    alt = (
        "Accuracy over time, the recipe's curves against one point, features computed "
        "once. "
    )
    return Part(
        "Features once, and the widely copied recipe",
        TEXT + left_out,
        rows,
        figure,
        f"{alt}{shown}.",
    )


def main(arguments=None):
    """The command line; returns the exit status: 0 if the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="hymenoptera", help="what load_dataset takes")
    parser.add_argument("--model", default=GUIDES, choices=list(REGISTRY))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--epochs", type=int, default=10, help="of each stage of the recipe"
    )
    parser.add_argument("--size", type=int, default=SIZES[GUIDES], help="pixels a side")
    options = parser.parse_args(arguments)
    if not has_weights(options.model):
        sys.exit(
            f"Set TRANSFER_WEIGHTS to a folder with the weights of {options.model}."
        )
    dataset = load_dataset(options.data)
    classifier = load_classifier(options.model, options.size)
    return int(
        not verdict(compare(classifier, dataset, options.repeats, options.epochs))
    )


if __name__ == "__main__":
    sys.exit(run_tool(main))
