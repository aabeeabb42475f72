"""Record what fine-tuning gains: by day, by night, at several rates, which way up.

python -m tools.record.record_fine_tuning

Lesson 06 shows `by_night`, `turned`, `warm_up`, `fine_tune` and `frozen_features` word
for word and runs the night once. This tool repeats them on EfficientNet-Lite0 and the
computers, with other noise and another order for each seed, and writes the answers to
data/recorded/fine_tuning.npz (class positions, uint8):

- {task}/{seed}/pooled, chosen, tuned: about the test pictures, by a head on the frozen
  pooled features, by one on the frozen features that were best on the validation
  pictures, and by the network fine-tuned; task: day or night; …/labels: the truth;
- rate/{rate}: about the validation pictures by night, fine-tuned at that rate, and
  rate/0: before that;
- way_up/…: the same as by day and by night, for which way up a validation picture is.

Stopped, it goes on where it was: what is there, of the same weights, size, pictures and
recipe, is kept. It takes about ten minutes on two idle cores.
"""

import ast
import datetime
import inspect
import json
import sys
from functools import partial
from hashlib import sha256

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers import keras, load_classifier, training
from helpers.datasets import load_dataset
from helpers.models import DEFAULT, RECORDED, REGISTRY
from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write, note_digest

TARGET = RECORDED / "fine_tuning.npz"
SIZE = 96  # pixels a side, as in the lesson
SEEDS = (0, 1, 2)
PEAK = 3e-4  # of the learning rate: the one that the lesson takes
RATES = (1e-5, 1e-4, PEAK, 1e-3)  # the peaks that are compared
COPIES = 2  # of each training picture by night, each with noise of its own
HEAD_EPOCHS = 40  # of stage 1, at most
HEAD_PATIENCE = 3  # epochs without a lower validation loss that end stage 1
EPOCHS = 5  # of fine-tuning, at most
WAY_UP_EPOCHS = 8  # the same, for which way up
# Of the noise: what is added to validation and test pictures never changes.
VALIDATION_NOISE = 1001
TEST_NOISE = 1002


def by_night(pictures, seed):
    """Pictures in grey, with half the contrast and with noise: uint8 in, uint8 out."""
    grey = pictures.mean(axis=3, keepdims=True)
    dim = 127.5 + 0.5 * (grey - 127.5)
    noise = np.random.default_rng(seed).normal(0, 0.3 * 255, dim.shape)
    noisy = (dim + noise).clip(0, 255).astype("uint8")
    return np.repeat(noisy, 3, axis=3)


def turned(pictures, seed):
    """Each picture turned by 0 to 3 quarters, drawn by seed: (pictures, quarters)."""
    quarters = np.random.default_rng(seed).integers(0, 4, len(pictures))
    pairs = zip(pictures, quarters, strict=True)
    return np.stack([np.rot90(picture, k) for picture, k in pairs]), quarters


def warm_up(peak, steps):
    """A rate that climbs to its peak in a tenth of the steps, then falls smoothly."""
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=peak, warmup_steps=steps // 10
    )


def fine_tune(model, x, y, validation, epochs, rate):
    base = model.get_layer("base")
    base.trainable = True  # every layer inside it, too …
    norms = [
        layer
        for layer in base.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in base.layers[: len(base.layers) // 3] + norms:
        layer.trainable = False  # … but not the first third, and no BatchNorm
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1), loss, metrics=["accuracy"])
    best = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=2, restore_best_weights=True
    )
    return model.fit(
        x,
        y,
        batch_size=16,
        epochs=epochs,
        validation_data=validation,
        callbacks=[best],
        verbose=2,
    )


def frozen_features(classifier):
    """A network: pictures, uint8 → {name: features, (n, d)}, from four places."""
    network, layers = classifier.network, keras.layers
    found = {"pooled at the end": network.layers[-2].output}
    blocks = [layer for layer in network.layers if isinstance(layer, layers.Add)]
    for block in blocks[2::3]:
        averaged = layers.GlobalAveragePooling2D()(block.output)
        found[f"{block.name}, averaged"] = averaged
        found[f"{block.name}, in place"] = layers.Flatten()(block.output)
    raw = keras.Input(network.input_shape[1:], dtype="uint8")
    scaled = classifier.preprocess_input(keras.ops.cast(raw, "float32"))
    return keras.Model(raw, keras.Model(network.input, found)(scaled))


def frozen_answers(classifier, train, validation, test):
    """A small head on each of the frozen features: what it answers about the test
    pictures, {"pooled": …, "chosen": …}. Chosen are the features whose head is right
    most often about the validation pictures. Each argument: (pictures, labels)."""
    look = frozen_features(classifier)
    learned = look.predict(train[0], verbose=0)
    checked = look.predict(validation[0], verbose=0)
    asked = look.predict(test[0], verbose=0)
    heads = {}
    scores = {}
    with threadpool_limits(1, "blas"):
        for name in learned:
            head = LogisticRegression(C=0.001, max_iter=1000)
            heads[name] = make_pipeline(StandardScaler(), head)
            heads[name].fit(learned[name], train[1])
            scores[name] = heads[name].score(checked[name], validation[1])
    pooled, *others = scores
    chosen = max(others, key=scores.get)
    print(scores, "→", chosen, flush=True)
    return {
        "pooled": heads[pooled].predict(asked[pooled]),
        "chosen": heads[chosen].predict(asked[chosen]),
    }


def new_network(classifier, n_classes, train, validation, seed):
    """A network with a trained head on its frozen base: stage 1."""
    keras.backend.clear_session()  # else earlier networks would stay in memory
    model = training.new_model(classifier, n_classes, seed=seed)
    training.fit(
        model,
        train,
        validation,
        epochs=HEAD_EPOCHS,
        patience=HEAD_PATIENCE,
        seed=seed,
    )
    return model


def answers(model, pictures):
    """The class that the network puts on top: uint8 (n,)."""
    return training.predict(model, pictures).argmax(axis=1).astype("uint8")


def pictures_of(task, classifier, dataset, seed):
    """(pictures, labels) to train on, to validate and to ask about, and how many
    classes there are. task: day, night or way_up, which asks about the validation
    pictures: the lesson opens the test set once."""
    parts = [dataset.train, dataset.validation, dataset.open_test()]
    if task == "way_up":
        parts[2] = dataset.validation
    read = [part.array(classifier.size, classifier.rule, "uint8") for part in parts]
    labels = [part.labels for part in parts]
    if task == "way_up":
        pairs = zip(read, (seed, VALIDATION_NOISE, VALIDATION_NOISE), strict=True)
        return [turned(pictures, drawn) for pictures, drawn in pairs], 4
    if task == "night":
        copies = range(seed * COPIES, (seed + 1) * COPIES)
        read = [
            np.concatenate([by_night(read[0], copy) for copy in copies]),
            by_night(read[1], VALIDATION_NOISE),
            by_night(read[2], TEST_NOISE),
        ]
        labels[0] = np.tile(labels[0], COPIES)
    return list(zip(read, labels, strict=True)), len(dataset.classes)


def learn_task(task, epochs, seed, classifier, dataset):
    """What three ways answer about a task's test pictures: {way: uint8 (n,)}."""
    parts, n_classes = pictures_of(task, classifier, dataset, seed)
    train, validation, test = parts
    found = frozen_answers(classifier, train, validation, test)
    model = new_network(classifier, n_classes, train, validation, seed)
    rate = warm_up(PEAK, epochs * len(train[0]) // 16)
    fine_tune(model, *train, validation, epochs, rate)
    found["tuned"] = answers(model, test[0])
    found["labels"] = test[1]
    return {f"{task}/{seed}/{way}": value for way, value in found.items()}


def learn_rate(peak, classifier, dataset):
    """What a network answers by night about validation, fine-tuned at that rate."""
    parts, n_classes = pictures_of("night", classifier, dataset, seed=0)
    train, validation, _ = parts
    model = new_network(classifier, n_classes, train, validation, seed=0)
    if peak:
        rate = warm_up(peak, EPOCHS * len(train[0]) // 16)
        fine_tune(model, *train, validation, EPOCHS, rate)
    return {
        f"rate/{peak:g}": answers(model, validation[0]),
        "rate/labels": validation[1],
    }


def jobs(seeds=SEEDS, rates=RATES):
    """All that is measured: {an array's name: a function (classifier, dataset)}."""
    found = {}
    for seed in seeds:
        for task in ("night", "day"):
            found[f"{task}/{seed}/tuned"] = partial(learn_task, task, EPOCHS, seed)
    for rate in (0, *rates):
        found[f"rate/{rate:g}"] = partial(learn_rate, rate)
    found["way_up/0/tuned"] = partial(learn_task, "way_up", WAY_UP_EPOCHS, 0)
    return found


RECIPE = (
    by_night,
    turned,
    warm_up,
    fine_tune,
    frozen_features,
    frozen_answers,
    new_network,
    pictures_of,
    learn_task,
    learn_rate,
)
SETTINGS = (
    SIZE,
    PEAK,
    COPIES,
    HEAD_EPOCHS,
    HEAD_PATIENCE,
    EPOCHS,
    WAY_UP_EPOCHS,
    VALIDATION_NOISE,
    TEST_NOISE,
)


def statements(function):
    """A function's source without what it says for readers: docstring, comments,
    layout."""
    tree = ast.parse(inspect.getsource(function))
    body = tree.body[0].body
    if ast.get_docstring(tree.body[0]) is not None:
        del body[0]
    return ast.unparse(tree)


def about(dataset):
    """What the recording holds for: the network's weights and size, and the start of
    the SHA-256 of all pictures with their labels, and of the recipe's statements."""
    pictures = sha256()
    for part in (dataset.train, dataset.validation, dataset.open_test()):
        for path, label in zip(part.paths, part.labels, strict=True):
            pictures.update(path.read_bytes() + bytes([label]))
    source = "\n".join(statements(function) for function in RECIPE)
    recipe = sha256(f"{source}{SETTINGS}".encode())
    return {
        "tool": "tools/record/record_fine_tuning.py",
        "model": REGISTRY[DEFAULT].digest,
        "size": SIZE,
        "data": pictures.hexdigest()[:16],
        "recipe": recipe.hexdigest()[:16],
    }


def recorded(target, made_by):
    """The arrays of the file, if there is one that was made the same way; else none."""
    if not target.exists():
        return {}
    with np.load(target) as file:
        arrays = dict(file)
    before = json.loads(arrays.pop("about").item())
    return arrays if made_by.items() <= before.items() else {}


def record(dataset, target=TARGET, wanted=None):
    """Add what is missing to the file, which is whole at any time. Returns how many
    jobs were done."""
    made_by = about(dataset)
    arrays = recorded(target, made_by)
    classifier = load_classifier(DEFAULT, size=SIZE)
    done = 0
    for name, job in (wanted or jobs()).items():
        if name in arrays:
            continue
        found = job(classifier, dataset)
        arrays |= {key: value.astype("uint8") for key, value in found.items()}
        note = made_by | {"date": datetime.date.today().isoformat()}
        with atomic_write(target) as part, part.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(note)), **arrays)
        note_digest(target)
        print(name, "recorded", flush=True)
        done += 1
    return done


def main():
    """The command line."""
    done = record(load_dataset("computers"))
    print(f"{done} results added to {TARGET.name}")


if __name__ == "__main__":
    sys.exit(run_tool(main))
