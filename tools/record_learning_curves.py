"""Record learning curves: what pocket's weights are worth for few and for many pictures a class.

python tools/record_learning_curves.py [--sizes 1 2 …] [--seeds N]

`learn`, which lesson 05 shows word for word, learns from the computers' training pictures in three
ways; the tool repeats it for several sizes and seeds and writes data/recorded/learning_curves.csv:
the accuracy on all validation pictures (the test set stays closed) and the seconds it took, with
features computed anew. Stopped, it goes on where it was: rows of the same pocket, pictures and
recipe are kept, others are replaced.
"""

import argparse
import csv
import datetime
import inspect
import os
import tempfile
import time
from hashlib import sha256

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import load_classifier
from helpers.data import load_dataset
from helpers.files import note_digest, whole
from helpers.models import POCKET, RECORDED
from helpers.training import extract_features, fine_tune, fit, new_model, predict

WAYS = ("frozen", "fine-tuned", "scratch")
SEEDS = {1: 5, 2: 5, 5: 5, 10: 5, 20: 5, 50: 3, 120: 3}  # pictures a class: number of seeds
FINGERPRINTS = ("model", "data", "recipe")
COLUMNS = ("way", "per_class", "seed", "accuracy", "n", "seconds", "date", *FINGERPRINTS)


def learn(way, classifier, pictures, seed):
    """Learn from `pictures` in one of three ways → a function: pictures → predicted labels."""
    if way == "frozen":
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        head.fit(extract_features(classifier, pictures), pictures.labels)
        return lambda asked: head.predict(extract_features(classifier, asked))
    model = new_model(classifier, len(pictures.classes), way == "fine-tuned", seed=seed)
    if way == "fine-tuned":
        fine_tune(model, pictures, None, head_epochs=60, epochs=15, seed=seed)
    else:
        fit(model, pictures, None, epochs=30, batch_size=16, seed=seed)
    return lambda asked: predict(model, asked).argmax(axis=1)


def fingerprints(dataset):
    """What a row holds for: the start of the SHA-256 of pocket's file, of all training and
    validation pictures with their labels, and of the source of `learn`."""
    pictures = sha256()
    for part in (dataset.train, dataset.validation):
        for path, label in zip(part.paths, part.labels, strict=True):
            pictures.update(path.read_bytes() + bytes([label]))
    model, recipe = sha256(POCKET.read_bytes()), sha256(inspect.getsource(learn).encode())
    digests = (digest.hexdigest()[:16] for digest in (model, pictures, recipe))
    return dict(zip(FINGERPRINTS, digests, strict=True))


def measure(dataset, way, per_class, seed):
    """Learn once, answer all validation pictures → the measured columns of a row."""
    classifier, drawn = load_classifier("pocket"), dataset.train.subset(per_class, seed=seed)
    with tempfile.TemporaryDirectory() as empty:  # features of an earlier run would save time
        os.environ["TRANSFER_CACHE"] = empty
        start = time.process_time()
        answer = learn(way, classifier, drawn, seed)
        seconds = time.process_time() - start
        right = answer(dataset.validation) == dataset.validation.labels
    return {"accuracy": f"{np.mean(right):.4f}", "n": len(right), "seconds": f"{seconds:.1f}"}


def record(dataset, target, seeds=SEEDS, ways=WAYS):
    """Add what is missing to the file `target`, which is complete and readable at any time.
    seeds: {pictures a class: number of seeds}. Returns how many rows were added."""
    about, rows, added = fingerprints(dataset), {}, 0
    if target.exists():
        with target.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if about.items() <= row.items():
                    rows[row["way"], int(row["per_class"]), int(row["seed"])] = row
    wanted = [(way, n, seed) for n in sorted(seeds) for seed in range(seeds[n]) for way in ways]
    for key in wanted:
        if key in rows:
            continue
        measured = measure(dataset, *key)
        date = datetime.date.today().isoformat()
        rows[key] = dict(zip(COLUMNS, key, strict=False)) | measured | {"date": date} | about
        added += 1
        with whole(target) as part, part.open("w", newline="", encoding="utf-8") as file:
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
    parser.add_argument("--seeds", type=int, help="seeds of each size; default: 5, large sizes 3")
    options = parser.parse_args()
    seeds = {n: options.seeds or SEEDS.get(n, 3) for n in options.sizes}
    target = RECORDED / "learning_curves.csv"
    print(f"{record(load_dataset('computers'), target, seeds)} rows added to {target.name}")


if __name__ == "__main__":
    main()
