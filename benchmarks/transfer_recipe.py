"""The same task two ways: features computed once (lesson 05), and the widely copied recipe.

python benchmarks/transfer_recipe.py [--data hymenoptera] [--repeats 3] [--epochs 10] [--size 160]

--data: what helpers.data.load_dataset takes, of two classes. MobileNetV2's weights must be on this
machine (TRANSFER_WEIGHTS, or Keras's cache). Each repeat runs both ways in turn, in this process;
the clock starts with the pretrained network in memory and the pictures as files, and stops when
the validation pictures have their answers. No cache is used. Leave the machine alone meanwhile:
the CPU seconds of all cores, printed beside the time that passed, show whether it was.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from statistics import median

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import keras
from helpers.data import load_dataset
from helpers.evaluate import accuracy
from helpers.images import ResizeRule
from helpers.models import has_weights, load_classifier
from helpers.training import extract_features

NAME, BATCH = "mobilenet_v2", 32
AT_MOST, FROM_LAYER = 1 / 25, 100  # of its time; layers the recipe keeps frozen


def sized(classifier, size):
    """The classifier with its weights in a network for (size, size, 3), pictures cut to squares."""
    network = keras.applications.MobileNetV2(
        (size, size, 3), weights=None, classifier_activation=None
    )
    network.set_weights(classifier.network.get_weights())
    return replace(classifier, network=network, size=size, rule=ResizeRule())


def features_once(classifier, dataset):
    """Features of all pictures, then lesson 05's head → the classes predicted for the validation
    set."""
    with tempfile.TemporaryDirectory() as cache:
        train = extract_features(classifier, dataset.train, cache)
        validation = extract_features(classifier, dataset.validation, cache)
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return head.fit(train, dataset.train.labels).predict(validation)


def recipe(base, dataset, epochs=10, seed=0):
    """TensorFlow's guide to transfer learning (tensorflow.org/tutorials/images/transfer_learning):
    the frozen base runs again in every epoch, behind an augmentation, then its last layers are
    fine-tuned. base: without a top, (n, size, size, 3) → (n, …, …, d).
    → validation accuracy before fine-tuning, and the classes predicted for that set after it."""
    import tensorflow as tf

    keras.utils.set_random_seed(seed)

    def pictures(part, shuffle):
        return keras.utils.image_dataset_from_directory(
            part.paths[0].parent.parent,
            shuffle=shuffle,
            batch_size=BATCH,
            image_size=base.input_shape[1:3],
            verbose=False,
        ).prefetch(tf.data.AUTOTUNE)

    train, validation = pictures(dataset.train, True), pictures(dataset.validation, False)
    augmentation = keras.Sequential(
        [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.2)]
    )
    inputs = keras.Input(base.input_shape[1:])
    x = keras.applications.mobilenet_v2.preprocess_input(augmentation(inputs))
    x = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dropout(0.2)(x)))

    def run(optimizer):
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0)])
        options = {"epochs": epochs, "validation_data": validation, "verbose": 0}
        history = model.fit(train, shuffle=False, **options)  # the data set itself shuffles
        return history.history["val_binary_accuracy"][-1]

    base.trainable = False
    frozen = run(keras.optimizers.Adam(1e-4))
    base.trainable = True
    for layer in base.layers[:FROM_LAYER]:
        layer.trainable = False
    run(keras.optimizers.RMSprop(1e-5))
    return frozen, (model.predict(validation, verbose=0)[:, 0] > 0).astype(int)


def compare(classifier, base, dataset, repeats, epochs):
    """Both ways in turn, `repeats` times with seeds 0, 1, …, each on a fresh copy of its network.
    Prints each run and → {way: [(seconds, `Estimate` of the validation accuracy), …]}."""
    runs = {"features once": [], "recipe": []}
    for seed in range(repeats):
        for way, results in runs.items():
            network = base if way == "recipe" else classifier.network
            copy = keras.models.clone_model(network)
            copy.set_weights(network.get_weights())
            frozen, start, cpu = "", time.perf_counter(), time.process_time()
            if way == "recipe":
                before, predicted = recipe(copy, dataset, epochs, seed)
                frozen = f", {before:.2f} before fine-tuning"
            else:
                predicted = features_once(replace(classifier, network=copy), dataset)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            results.append((seconds, accuracy(dataset.validation.labels, predicted)))
            spent = f"{seconds:>8.1f} s{cpu:>8.1f} s CPU"
            print(f"seed {seed}  {way:<14}{spent}  {results[-1][1]}{frozen}", flush=True)
    return runs


def verdict(runs):
    """Whether features are at least as accurate in at most AT_MOST of the time, by medians."""
    (ours, right), (theirs, theirs_right) = (
        map(median, zip(*((seconds, estimate.value) for seconds, estimate in results), strict=True))
        for results in runs.values()
    )
    print(f"medians: {ours:.1f} s and {theirs:.1f} s, {theirs / ours:.1f} times faster; ", end="")
    print(f"accuracy {right:.3f} and {theirs_right:.3f}")
    return right >= theirs_right and ours <= AT_MOST * theirs


def main(arguments=None):
    """The command line; returns the exit status: 0 if the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="hymenoptera", help="what load_dataset takes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="of each stage of the recipe")
    parser.add_argument("--size", type=int, default=160, help="pixels a side, for both")
    options = parser.parse_args(arguments)
    if not has_weights(NAME):
        sys.exit(f"Set TRANSFER_WEIGHTS to a folder with the weights of {NAME}.")
    dataset = load_dataset(options.data)
    if len(dataset.classes) != 2:
        found = ", ".join(dataset.classes)
        sys.exit(f"The recipe has one output, for two classes: {dataset.name} has {found}.")
    classifier = sized(load_classifier(NAME), options.size)
    shape = (options.size, options.size, 3)
    base = keras.applications.MobileNetV2(shape, include_top=False, weights=None)
    base.set_weights(classifier.network.get_weights()[:-2])
    return int(not verdict(compare(classifier, base, dataset, options.repeats, options.epochs)))


if __name__ == "__main__":
    sys.exit(main())
