"""Record learning curves: what pretrained weights are worth for few and many pictures.

python -m tools.record.record_learning_curves [--sizes 1 2 …] [--seeds N]

`learn` learns from the computers' training pictures in three ways, of which lesson 05
runs the first one, frozen, live. This tool repeats all three on EfficientNet-Lite0 for
several sizes and seeds and writes data/recorded/learning_curves.csv: the accuracy on
all validation pictures (the test set stays closed) and the seconds of processor time it
took, with features computed anew. One seed follows the other, all sizes each time.
Stopped, it goes on where it was: rows of the same weights, size, pictures and recipe
are kept, others are replaced. The whole run takes about two hours on two cores.
"""

import argparse
import csv
import datetime
import inspect
import math
import os
import sys
import tempfile
import time
from hashlib import sha256

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from helpers import keras, load_classifier
from helpers.datasets import load_dataset
from helpers.models import DEFAULT, RECORDED, REGISTRY
from helpers.training import extract_features, fine_tune, fit, new_model, predict
from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write, note_digest

SIZE = 128  # pixels a side: at its own 224, training would take three times as long
WAYS = ("frozen", "fine-tuned", "scratch")
SIZES = (1, 2, 5, 10, 20, 60, 120)  # pictures a class
SEEDS = dict.fromkeys(SIZES, 5)  # pictures a class: number of seeds
FINGERPRINTS = ("model", "size", "data", "recipe")
COLUMNS = (
    "way",
    "per_class",
    "seed",
    "accuracy",
    "n",
    "seconds",
    "date",
    *FINGERPRINTS,
)


def learn(way, classifier, pictures, seed):
    """Learn from `pictures` in one of three ways → a function: pictures → labels."""
    if way == "frozen":
        head = LogisticRegression(C=0.01, max_iter=1000)
        head.fit(extract_features(classifier, pictures), pictures.labels)
        return lambda others: head.predict(extract_features(classifier, others))
    keras.backend.clear_session()  # else earlier networks would stay in memory
    pretrained = way == "fine-tuned"
    model = new_model(classifier, len(pictures.classes), pretrained, seed=seed)
    if pretrained:
        fine_tune(model, pictures, None, 60, epochs=10, batch_size=16, seed=seed)
    else:
        for layer in model.get_layer("base").layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.9  # so that its statistics keep up with the weights
        steps = math.ceil(len(pictures) / 16)  # in each epoch
        epochs = max(30, 150 // steps)
        rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * steps)
        fit(model, pictures, None, epochs, rate, batch_size=16, seed=seed)
    return lambda others: predict(model, others).argmax(axis=1)


def fingerprints(dataset):
    """What a row holds for: the start of the SHA-256 of the network's weights, its
    size, and the start of the SHA-256 of all training and validation pictures with
    their labels, and of the source of `learn`."""
    pictures = sha256()
    for part in (dataset.train, dataset.validation):
        for path, label in zip(part.paths, part.labels, strict=True):
            pictures.update(path.read_bytes() + bytes([label]))
    recipe = sha256(inspect.getsource(learn).encode())
    return {
        "model": REGISTRY[DEFAULT].digest[:16],
        "size": str(SIZE),
        "data": pictures.hexdigest()[:16],
        "recipe": recipe.hexdigest()[:16],
    }


def measure(dataset, way, per_class, seed):
    """Learn once, answer all validation pictures → the measured columns of a row."""
    classifier = load_classifier(DEFAULT, size=SIZE)
    drawn = dataset.train.subset(per_class, seed=seed)
    # Features of an earlier run would save time. One thread: on a busy machine several
    # get in each other's way, and scikit-learn takes many times as long.
    with tempfile.TemporaryDirectory() as empty, threadpool_limits(1, "blas"):
        os.environ["TRANSFER_CACHE"] = empty
        start = time.process_time()
        answer = learn(way, classifier, drawn, seed)
        seconds = time.process_time() - start
        right = answer(dataset.validation) == dataset.validation.labels
    return {
        "accuracy": f"{np.mean(right):.4f}",
        "n": len(right),
        "seconds": f"{seconds:.1f}",
    }


def record(dataset, target, seeds=SEEDS, ways=WAYS):
    """Add what is missing to the file `target`, which is readable at any time.
    seeds: {pictures a class: number of seeds}. Returns how many rows were added."""
    about, rows, added = fingerprints(dataset), {}, 0
    if target.exists():
        with target.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if about.items() <= row.items():
                    rows[row["way"], int(row["per_class"]), int(row["seed"])] = row
    most = max(seeds.values())
    wanted = [
        (way, n, seed)
        for seed in range(most)
        for n in sorted(seeds)
        for way in ways
        if seed < seeds[n]
    ]
    for key in wanted:
        if key in rows:
            continue
        measured = measure(dataset, *key)
        date = datetime.date.today().isoformat()
        drawn = dict(zip(COLUMNS, key, strict=False))
        rows[key] = drawn | measured | {"date": date} | about
        added += 1
        with (
            atomic_write(target) as part,
            part.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[key] for key in sorted(rows))
        note_digest(target)
        print(*key, *measured.values(), flush=True)
    return added


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(SEEDS), help="pictures a class"
    )
    parser.add_argument("--seeds", type=int, help="seeds of each size; default: 5")
    options = parser.parse_args()
    seeds = {n: options.seeds or SEEDS.get(n, 5) for n in options.sizes}
    target = RECORDED / "learning_curves.csv"
    added = record(load_dataset("computers"), target, seeds)
    print(f"{added} rows added to {target.name}")


if __name__ == "__main__":
    sys.exit(run_tool(main))
