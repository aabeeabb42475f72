"""Train, export and judge *pocket*, the small classifier that ships with the lessons.

python tools/pretrain_pocket.py --data tiny_imagenet.zip --work FOLDER [--exclude LIST]
    [--teacher mobilenet_v2.weights.h5]      trains, resumes where it was stopped, writes FOLDER
python tools/pretrain_pocket.py --data tiny_imagenet.zip --evaluate models/pocket.keras
    [--photos … --hymenoptera … --overlap … --record FILE.npz]   prints the model card's table

Any Keras backend does (`KERAS_BACKEND`); torch is the fastest on a CPU with bfloat16. With
--teacher a first run on the backend openvino makes only the teacher's maps, faster than others.
"""

import argparse
import csv
import datetime
import io
import json
import math
import os
import sys
import time
import zipfile
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from helpers.evaluate import accuracy, expected_calibration_error
from helpers.files import note_digest, whole
from helpers.images import (
    ImageError,
    ResizeRule,
    crop_box,
    load_image,
    resize,
    to_batch,
)
from helpers.labels import decode, imagenet_classes

SIZE = 64
TEMPERATURE = 2.0
TEACHER_SHARE = 0.6
SMOOTHING = 0.1
TEACHER_SIZE = 192
TEACHER_DIRECTIONS = 384
FEATURE_WEIGHT = 2.0
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
CENTRE = ResizeRule("square", 5 / 7)  # leaves room to move by a fifth of its own side
BILINEAR, BICUBIC, LANCZOS = Image.BILINEAR, Image.BICUBIC, Image.LANCZOS
NEWER_KEYS = {"input_axes", "output_axes", "quantization_config"}  # unknown to Keras 3.12


class DataError(ValueError):
    """The training pictures, or a list about them, are not as they must be."""


class Round(NamedTuple):
    """What one round of falling learning rates is made of."""

    epochs: int
    rate: float  # its highest learning rate, as a part of the training's
    smallest: float  # the least part of a picture's area that a crop covers
    outwards: float  # share of the crops that reach outside the picture
    largest: float  # such a crop's area, at most, in pictures
    filters: tuple  # a crop is scaled with one of them
    sizes: dict  # progress 0…1 in the round → sides in pixels, of which each batch has one


# Small pictures first, for speed; many sizes at the end, so that all of them are known.
ROUNDS = (
    Round(22, 1.0, 0.35, 0.1, 1.8, (BILINEAR,),
          {0: [32, 32, 40], 0.5: [40, 48], 0.85: [48, 56, 64, 64, 80]}),
    Round(18, 0.4, 0.2, 0.1, 1.8, (BILINEAR,), {0: [40, 48, 56], 0.6: [48, 56, 64, 64, 80, 96]}),
    Round(16, 0.4, 0.2, 0.1, 1.8, (BILINEAR,), {0: [40, 48, 56], 0.6: [48, 56, 64, 64, 80, 96]}),
    Round(10, 0.4, 0.2, 0.2, 2.5, (BILINEAR, BICUBIC, LANCZOS),
          {0: [48, 56, 64], 0.5: [56, 64, 64, 64, 80, 96, 128]}),
)  # fmt: skip


# ---------------------------------------------------------------- reading pictures


@dataclass
class Pictures:
    """uint8 pictures (n, SIZE, SIZE, 3), labels (n,), wnids in class order, `Teacher` or None."""

    pictures: np.ndarray
    labels: np.ndarray
    wnids: list
    teacher: "Teacher | None" = None


def _members(path):
    """Name → function that reads its bytes, for every file of a folder or zip."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): file.read_bytes for file in files}
    if not path.exists():
        raise DataError(f"There is no folder or zip file {path}.")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is neither a folder nor a zip file.")
    archive = zipfile.ZipFile(path)
    names = sorted(name for name in archive.namelist() if not name.endswith("/"))
    return {name: (lambda name=name: archive.read(name)) for name in names}


def read_pictures(path, split, exclude=()):
    """Read "train" or "val" of a folder or zip as `Pictures`, classes in sorted order.

    Layout: train/<wnid>/* and val/<wnid>/*, or Tiny ImageNet as published, also inside one outer
    folder. `exclude`: names such as train/<wnid>/1.webp to leave out. Pictures of another size are
    cut to a central square and scaled. DataError names what is missing, empty or unreadable.
    """
    members, found, annotations = {}, {"train": {}, "val": {}}, {}
    for name, read in _members(path).items():
        parts = PurePosixPath(name).parts
        start = next((i for i, part in enumerate(parts) if part in found), None)
        if start is None:
            continue
        parts = parts[start:]
        if parts == ("val", "val_annotations.txt"):
            annotations = dict(line.split("\t")[:2] for line in read().decode().splitlines())
        elif len(parts) > 2 and Path(name).suffix.lower() in PICTURES:
            members["/".join(parts)] = read
    for name in members:
        part, wnid, *_, file = name.split("/")
        if part == "val" and wnid == "images":
            if file not in annotations:
                raise DataError(f"{name} has no line in val/val_annotations.txt.")
            wnid = annotations[file]
        found[part].setdefault(wnid, []).append(name)
    for part, classes in found.items():
        if not classes:
            raise DataError(f"{path} holds no pictures in {part}/<class>/.")
    if unknown := set(exclude) - set(members):
        raise DataError(
            f"{len(unknown)} of the {len(set(exclude))} pictures to exclude are not in {path}, "
            f"for example {min(unknown)}: is this the list for these data?"
        )
    if Path(path).is_dir():
        for folder in sorted(Path(path).glob("train/*/")):
            found["train"].setdefault(folder.name, [])
    wnids = sorted(set(found["train"]) | set(found["val"]))
    if len(wnids) < 2:
        raise DataError(f"{path} has one class, {wnids[0]}: a classifier needs two.")
    exclude, names = set(exclude), []
    for label, wnid in enumerate(wnids):
        kept = [name for name in found[split].get(wnid, []) if name not in exclude]
        if not kept:
            raise DataError(f"Class {wnid} has no picture in {split}.")
        names += [(name, label) for name in kept]
    pictures = np.empty((len(names), SIZE, SIZE, 3), "uint8")
    for i, (name, _) in enumerate(names):
        try:
            pictures[i] = resize(members[name](), SIZE)
        except ImageError as error:
            raise DataError(f"{name} in {path} cannot be read: {error}") from error
    return Pictures(pictures, np.array([label for _, label in names]), wnids)


# ---------------------------------------------------------------- teacher


@dataclass
class Teacher:
    """What MobileNetV2 sees in every training picture, and a linear head that names it.

    maps: float16 (n, cells, cells, d), its last features at every place, reduced to their d main
    directions; kernel (d, classes) and bias (classes,): the head, trained on `maps` alone.
    """

    maps: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray


def teacher_maps(data, weights, work):
    """MobileNetV2's feature maps of all pictures: float16 (n, 6, 6, TEACHER_DIRECTIONS).

    They are kept in `work` and used again for the same pictures and weights; the first time takes
    10 to 30 minutes and 28 kB of disk a picture. An interrupted run starts over.
    """
    import keras

    about = sha256(data.pictures).hexdigest() + sha256(Path(weights).read_bytes()).hexdigest()
    path, note = work / "teacher.npy", work / "teacher.txt"
    if note.exists() and note.read_text() == about:
        return np.load(path, mmap_mode="r")
    build, n = keras.applications.MobileNetV2, len(data.pictures)
    whole = build(input_shape=(224, 224, 3), weights=str(weights))
    base = build(input_shape=(TEACHER_SIZE, TEACHER_SIZE, 3), weights=None, include_top=False)
    base.set_weights(whole.get_weights()[:-2])  # all but the classifier's own head

    def features(pictures):
        large = [
            Image.fromarray(picture).resize((TEACHER_SIZE, TEACHER_SIZE), Image.BICUBIC)
            for picture in pictures
        ]
        batch = keras.applications.mobilenet_v2.preprocess_input(np.stack(large))
        return np.asarray(base.predict_on_batch(batch))

    chosen = np.random.default_rng(0).permutation(n)[:4000]
    sample = np.concatenate(
        [features(data.pictures[p]) for p in np.split(chosen, range(64, len(chosen), 64))]
    )
    sample = sample.reshape(-1, sample.shape[-1])
    middle = sample.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(sample - middle, rowvar=False))
    directions = directions[:, -TEACHER_DIRECTIONS:].astype("float32")
    cells = base.output_shape[1]
    shape = (n, cells, cells, directions.shape[1])
    maps = np.lib.format.open_memmap(path, "w+", "float16", shape)
    for start in range(0, n, 64):
        maps[start : start + 64] = (
            features(data.pictures[start : start + 64]) - middle
        ) @ directions
        if start % 6400 == 0:
            print(f"teacher: {start} of {n} pictures", flush=True)
    maps.flush()
    note.write_text(about)
    return maps


def teacher_head(maps, labels, n_classes, seed, epochs=8):
    """A linear head on the pictures' mean features, as a `Teacher`; the same for the same seed."""
    import keras

    keras.utils.set_random_seed(seed)
    means = np.concatenate(
        [maps[i : i + 1000].astype("float32").mean(axis=(1, 2)) for i in range(0, len(maps), 1000)]
    )
    layer = keras.layers.Dense(n_classes, kernel_initializer="zeros")
    head = keras.Sequential([keras.layers.Input(means.shape[1:]), layer])
    rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * math.ceil(len(means) / 512))
    head.compile(
        keras.optimizers.AdamW(rate, weight_decay=3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    fitted = head.fit(means, labels, batch_size=512, epochs=epochs, verbose=0)
    print(f"teacher's head: {fitted.history['accuracy'][-1]:.3f} on its training pictures")
    return Teacher(maps, *head.get_weights())


# ---------------------------------------------------------------- network and loss


def build_network(n_classes, mixed=False):
    """A residual network with squeeze-and-excitation in its later stages.

    Input (n, height, width, 3) float32 0…255, output (n, n_classes) float32 logits. With
    `mixed` (torch backend only) it computes in bfloat16 and with that library's own batch
    normalisation: same variables in the same order, twice as fast on a CPU.
    Residual blocks: He et al. 2016; squeeze-and-excitation: Hu et al. 2018.
    """
    import keras
    from keras import layers

    policy = "mixed_bfloat16" if mixed else "float32"
    norm_class = _torch_norm() if mixed else layers.BatchNormalization

    def convolve(x, filters, kernel=3, strides=1, activate=True):
        x = layers.Conv2D(
            filters, kernel, strides, "same", use_bias=False,
            kernel_initializer="he_normal", dtype=policy,
        )(x)  # fmt: skip
        x = norm_class(momentum=0.9, epsilon=1e-5, dtype=policy)(x)
        return layers.ReLU(dtype=policy)(x) if activate else x

    def excite(x):
        channels = x.shape[-1]
        gate = layers.GlobalAveragePooling2D(keepdims=True, dtype=policy)(x)
        gate = layers.Dense(channels // 8, activation="relu", dtype=policy)(gate)
        gate = layers.Dense(channels, activation="sigmoid", dtype=policy)(gate)
        return layers.Multiply(dtype=policy)([x, gate])

    def residual(x, filters, strides=1, squeeze=True):
        y = convolve(convolve(x, filters, strides=strides), filters, activate=False)
        if squeeze:
            y = excite(y)
        if strides > 1:
            x = layers.AveragePooling2D(strides, padding="same", dtype=policy)(x)
            x = convolve(x, filters, kernel=1, activate=False)
        return layers.ReLU(dtype=policy)(layers.Add(dtype=policy)([x, y]))

    inputs = layers.Input((None, None, 3))
    x = layers.Rescaling(1 / 127.5, -1, dtype="float32")(inputs)
    x = convolve(x, 32, strides=2)
    x = convolve(x, 64, strides=2)
    x = residual(x, 64, squeeze=False)
    x = residual(x, 128, strides=2)
    x = residual(x, 128)
    x = residual(x, 256, strides=2)
    x = residual(x, 256)
    x = convolve(x, 640, kernel=1)
    x = layers.GlobalAveragePooling2D(dtype="float32")(x)
    return keras.Model(inputs, layers.Dense(n_classes, dtype="float32")(x), name="pocket")


def _torch_norm():
    """Keras's BatchNormalization with torch's fused kernel in training."""
    import torch
    from keras import layers

    class TorchBatchNormalization(layers.BatchNormalization):
        def call(self, x, training=None, mask=None):
            if not training:
                return super().call(x, training=training, mask=mask)
            y = torch.nn.functional.batch_norm(
                x.permute(0, 3, 1, 2),
                self.moving_mean.value,
                self.moving_variance.value,
                self.gamma.value.float(),
                self.beta.value.float(),
                True,
                1 - self.momentum,
                self.epsilon,
            )
            return y.permute(0, 2, 3, 1)

    return TorchBatchNormalization


def distillation_loss(n_classes, teacher=None):
    """The loss to train with: cross-entropy with smoothed labels, and what the teacher adds.

    Takes `y_true` (n, 1 + d): the label and the teacher's features, or (n, 1) without a teacher;
    `y_pred` (n, classes + d): logits, and the network's guess of those features. The teacher adds
    the divergence from its head's probabilities (Hinton et al. 2015) and 1 − cosine of its features
    and the guess (a hint from inside, as in FitNets, Romero et al. 2015).
    """
    from keras import ops

    def loss(y_true, y_pred):
        logits = y_pred[:, :n_classes]
        labels = ops.one_hot(ops.cast(y_true[:, 0], "int32"), n_classes)
        labels = labels * (1 - SMOOTHING) + SMOOTHING / n_classes
        hard = -ops.sum(labels * ops.log_softmax(logits), axis=-1)
        if teacher is None:
            return hard
        scores = ops.matmul(y_true[:, 1:], teacher.kernel) + teacher.bias
        wanted, found = ops.softmax(scores / TEMPERATURE), ops.log_softmax(logits / TEMPERATURE)
        soft = ops.sum(wanted * (ops.log_softmax(scores / TEMPERATURE) - found), axis=-1)
        features, guess = ops.normalize(y_true[:, 1:]), ops.normalize(y_pred[:, n_classes:])
        distance = 1 - ops.sum(features * guess, axis=-1)
        named = (1 - TEACHER_SHARE) * hard + TEACHER_SHARE * TEMPERATURE**2 * soft
        return named + FEATURE_WEIGHT * distance

    return loss


# ---------------------------------------------------------------- batches


def draw_boxes(rng, n, settings):
    """(n, 4) left, top, right, bottom in units of the picture, as a `Round` says."""
    area = rng.uniform(settings.smallest, 1.0, n)
    outwards = rng.random(n) < settings.outwards
    area[outwards] = rng.uniform(1.0, settings.largest, outwards.sum())
    ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), n))
    limit = np.where(outwards, math.sqrt(settings.largest) + 0.06, 1.0)
    width = np.minimum(np.sqrt(area * ratio), limit)
    height = np.minimum(np.sqrt(area / ratio), limit)
    left = rng.uniform(0, 1, n) * (1 - width)
    top = rng.uniform(0, 1, n) * (1 - height)
    return np.stack([left, top, left + width, top + height], axis=1)


def crop(picture, box, size, flip, resample=BILINEAR):
    """Cut `box` out of a (height, width, 3) uint8 picture, scaled to size×size, antialiased."""
    height, width = picture.shape[:2]
    box = box * [width, height, width, height]
    if box.min() < 0 or box[2] > width or box[3] > height:
        pad = max(height, width)
        picture = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), "edge")
        box = box + pad
    result = Image.fromarray(picture).resize((size, size), resample, box=tuple(box))
    result = np.asarray(result)
    return result[:, ::-1] if flip else result


def shift_colours(rng, batch):
    """Brightness, contrast and saturation of each picture, by up to 30 %; float32 0…255."""
    n = len(batch)
    contrast, saturation = rng.uniform(0.7, 1.3, (2, n, 1, 1, 1)).astype("float32")
    brightness = rng.uniform(-30, 30, (n, 1, 1, 1)).astype("float32")
    batch = batch.astype("float32")
    grey = batch.mean(axis=3, keepdims=True)
    batch = grey + saturation * (batch - grey)
    middle = grey.mean(axis=(1, 2), keepdims=True)
    return np.clip(middle + contrast * (batch - middle) + brightness, 0, 255)


def average_map(maps, boxes):
    """Mean of (n, rows, columns, d) teacher features over each box: (n, d).

    The part of the map under a crop is about what the teacher would see in that crop alone
    (Yun et al. 2021, ReLabel).
    """

    def overlap(low, high, cells):
        edges = np.arange(cells + 1) / cells
        weight = np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1])
        weight = np.clip(weight, 0, None)
        return (weight / weight.sum(axis=1, keepdims=True)).astype("float32")

    rows = overlap(boxes[:, 1], boxes[:, 3], maps.shape[1])
    columns = overlap(boxes[:, 0], boxes[:, 2], maps.shape[2])
    weight = rows[:, :, None] * columns[:, None, :]
    n, d = len(maps), maps.shape[-1]
    return (weight.reshape(n, 1, -1) @ maps.astype("float32").reshape(n, -1, d))[:, 0]


def augment(pictures, settings, size, rng):
    """Crops of pictures, as a `Round` says: (n, size, size, 3) float32, and their boxes (n, 4)."""
    n = len(pictures)
    boxes = draw_boxes(rng, n, settings)
    flips = rng.random(n) < 0.5
    filters = rng.choice(settings.filters, n)
    how = zip(pictures, boxes, [size] * n, flips, filters, strict=True)
    return shift_colours(rng, np.stack([crop(*one) for one in how])), boxes


def make_batch(data, order, settings, size, rng):
    """Augmented pictures (n, size, size, 3) float32 and targets (n, 1 + d) for the loss."""
    pictures, boxes = augment(data.pictures[order], settings, size, rng)
    targets = data.labels[order].astype("float32")[:, None]
    if data.teacher is not None:
        targets = np.concatenate([targets, average_map(data.teacher.maps[order], boxes)], axis=1)
    return pictures, targets


def learning_rate(progress, peak, warm_up=0.03):
    """Linear rise, then half a cosine to zero; `progress` 0…1 through one round."""
    if progress < warm_up:
        return peak * progress / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def place_in_rounds(epoch, rounds):
    """(`Round`, progress 0…1 in it) at a point of the training, given in epochs.

    In each round the rate rises and falls to zero (warm restarts: Loshchilov and Hutter 2017).
    """
    for settings in rounds:
        if epoch < settings.epochs:
            return settings, epoch / settings.epochs
        epoch -= settings.epochs
    return rounds[-1], 1.0


def epoch_batches(data, epoch, rounds, batch_size, seed):
    """Yield (round, progress, x, y); `seed`, `epoch` and `rounds` alone decide what comes."""
    order = np.random.default_rng([seed, epoch]).permutation(len(data.labels))
    steps = len(order) // batch_size

    def prepare(step):
        rng = np.random.default_rng([seed, epoch, step])
        settings, progress = place_in_rounds(epoch + step / steps, rounds)
        part = np.sort(order[step * batch_size : (step + 1) * batch_size])
        size = int(rng.choice(settings.sizes[max(s for s in settings.sizes if s <= progress)]))
        return settings, progress, *make_batch(data, part, settings, size, rng)

    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(prepare, step) for step in range(min(3, steps)))
        for step in range(steps):
            yield waiting.popleft().result()
            if step + 3 < steps:
                waiting.append(pool.submit(prepare, step + 3))


def fit_statistics(network, pictures, settings, seed, batch_size=256, batches=48):
    """Measure the BatchNorm statistics anew, which weights that were averaged need, on pictures as
    they are at the end of a round: `settings` says how."""
    sizes, rng = settings.sizes[max(settings.sizes)], np.random.default_rng([seed, 1])
    for batch in range(batches):
        chosen = np.sort(rng.choice(len(pictures), min(batch_size, len(pictures)), replace=False))
        x, _ = augment(pictures[chosen], settings, sizes[batch % len(sizes)], rng)
        network(x, training=True)


# ---------------------------------------------------------------- training


def compiled_trainer(network, data, peak, steps):
    """`network` with the loss and, for a teacher, a head that guesses its features.

    SGD with Nesterov's momentum; the average of the weights reaches back over a twentieth of the
    training's `steps`.
    """
    import keras

    n_classes, outputs = len(data.wnids), network.output
    if data.teacher is not None:
        guess = keras.layers.Dense(data.teacher.maps.shape[-1], name="teacher", dtype="float32")
        pooled = network.layers[-1].input
        outputs = keras.layers.Concatenate(dtype="float32")([outputs, guess(pooled)])
    # 5e-3 applied to the weights is what L2 regularisation of 5e-4 does under momentum 0.9.
    optimizer = keras.optimizers.SGD(
        peak,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-3,
        use_ema=True,
        ema_momentum=1 - 1 / max(2, steps / 20),
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    trainer = keras.Model(network.input, outputs)
    trainer.compile(optimizer=optimizer, loss=distillation_loss(n_classes, data.teacher))
    optimizer.build(trainer.trainable_variables)
    return trainer


def save_checkpoint(path, trainer, settings, epoch, log, previous):
    """Weights, optimizer's state, settings, log and the weights that the round before ended with
    (or None), in one file, written whole or not at all."""
    from keras.ops import convert_to_numpy

    arrays = {f"w{i}": w for i, w in enumerate(trainer.get_weights())}
    state = trainer.optimizer.variables
    arrays |= {f"o{i}": convert_to_numpy(v) for i, v in enumerate(state)}
    arrays |= {f"p{i}": w for i, w in enumerate(previous or [])}
    about = json.dumps({"settings": settings, "epoch": epoch, "log": log})
    with whole(path) as part:
        np.savez(part, about=about, **arrays)


def load_checkpoint(path, trainer, settings):
    """Put a checkpoint back into a compiled trainer; returns (epochs done, log, the weights that
    the round before ended with, or None).

    DataError where it was made with other settings: epochs, seed, batch size, rate, data, teacher.
    """
    with np.load(path) as saved:
        about = json.loads(saved["about"].item())
        if about["settings"] != settings:
            raise DataError(
                f"{path} belongs to a training with {about['settings']}, not {settings}: "
                "use the same settings, or another --work."
            )
        trainer.set_weights([saved[f"w{i}"] for i in range(len(trainer.weights))])
        for i, variable in enumerate(trainer.optimizer.variables):
            variable.assign(saved[f"o{i}"])
        previous = [saved[f"p{i}"] for i in range(sum(name[0] == "p" for name in saved.files))]
        return about["epoch"], about["log"], previous or None


def averaged_weights(trainer, network, data, settings, seed, batches=48, previous=None):
    """The running average of the network's weights, with BatchNorm statistics that fit it.

    previous: weights that half of each number comes from (a "model soup": Wortsman et al. 2022).
    """
    raw = trainer.get_weights()
    trainer.optimizer.finalize_variable_values(trainer.trainable_variables)
    if previous is not None:
        pairs = zip(network.get_weights(), previous, strict=True)
        network.set_weights([(a + b) / 2 for a, b in pairs])
    fit_statistics(network, data.pictures, settings, seed, batches=batches)
    averaged = network.get_weights()
    trainer.set_weights(raw)
    return averaged


def validate(network, weights, validation):
    """(top-1, top-5) of a network with these weights; its own come back afterwards."""
    raw = network.get_weights()
    network.set_weights(weights)
    logits = network.predict(validation.pictures, batch_size=250, verbose=0)
    network.set_weights(raw)
    return top_hits(logits, validation.labels).mean(axis=0).tolist()


def train(data, validation, work, rounds, batch_size=256, peak=0.25, seed=0, start=None):
    """Train from the checkpoint in `work`, or from the start; returns the averaged weights.

    rounds: of `Round`; peak: the learning rate that theirs are parts of; start: a network's
    weights, to run only the last round, beginning with them. What is returned is the average of
    what the last two rounds end with. After every epoch: the checkpoint, one line of log.csv
    (judged on every fifth picture, before that averaging), the curve.
    """
    import keras

    if batch_size > len(data.labels):
        raise DataError(f"{len(data.labels)} pictures do not fill a batch of {batch_size}.")
    keras.utils.set_random_seed(seed)
    network = build_network(len(data.wnids), mixed=keras.backend.backend() == "torch")
    epochs = sum(part.epochs for part in rounds)
    trainer = compiled_trainer(network, data, peak, epochs * (len(data.labels) // batch_size))
    checkpoint, first, log, previous = work / "checkpoint.npz", 0, [], start
    settings = {
        "epochs": [part.epochs for part in rounds],
        "seed": seed,
        "batch size": batch_size,
        "peak": peak,
    }
    settings |= {"pictures": len(data.labels), "classes": len(data.wnids), "teacher": None}
    if data.teacher is not None:
        settings["teacher"] = sha256(data.teacher.maps[::1000].tobytes()).hexdigest()
    if start is not None:
        network.set_weights(start)
        first = epochs - rounds[-1].epochs
    if checkpoint.exists():
        first, log, previous = load_checkpoint(checkpoint, trainer, settings)
        print(f"resuming after {first} of {epochs} epochs from {checkpoint}", flush=True)
    part = Pictures(validation.pictures[::5], validation.labels[::5], validation.wnids)
    for epoch in range(first, epochs):
        started, losses = time.time(), []
        batches = epoch_batches(data, epoch, rounds, batch_size, seed)
        for step, (current, progress, x, y) in enumerate(batches, 1):
            rate = learning_rate(progress, peak * current.rate)
            trainer.optimizer.learning_rate = rate
            losses.append(float(trainer.train_on_batch(x, y)))
            if step % 50 == 0:
                speed = step * batch_size / (time.time() - started)
                print(f"  epoch {epoch + 1} step {step} loss {np.mean(losses[-50:]):.3f} "
                      f"{x.shape[1]} px {speed:.0f}/s", flush=True)  # fmt: skip
        if not np.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss is no longer a number in epoch {epoch + 1}")
        averaged = averaged_weights(trainer, network, data, current, seed, batches=10)
        top_1, top_5 = validate(network, averaged, part)
        row = {
            "epoch": epoch + 1,
            "learning_rate": round(rate, 5),
            "loss": round(float(np.mean(losses)), 4),
            "top1": round(top_1, 4),
            "top5": round(top_5, 4),
            "seconds": round(time.time() - started),
        }
        log.append(row)
        if epoch + 1 == epochs - rounds[-1].epochs:
            previous = averaged
        save_checkpoint(checkpoint, trainer, settings, epoch + 1, log, previous)
        with open(work / "log.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerows(log)
        draw_curve(log, work / "curve.png")
        print(row, flush=True)
    return averaged_weights(trainer, network, data, rounds[-1], seed, previous=previous)


def calibrate(network, pictures, labels):
    """Divide the network's logits by the number that makes its probabilities fit best, inside its
    last layer, and return it: temperature scaling (Guo et al. 2017). No ranking changes."""
    logits = network.predict(pictures, batch_size=250, verbose=0)

    def loss(temperature):
        return -log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean()

    temperature = minimize_scalar(loss, bounds=(0.25, 4), method="bounded").x
    head = network.layers[-1]
    head.set_weights([weights / temperature for weights in head.get_weights()])
    return float(temperature)


def top_hits(logits, labels):
    """(n, 2) bool: is the label the first, is it among the first five?"""
    order = np.argsort(-logits, axis=1)[:, :5] == labels[:, None]
    return np.stack([order[:, 0], order.any(axis=1)], axis=1)


def draw_curve(log, path):
    """Loss and validation accuracy over the epochs, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in log]
    left.plot(epochs, [row["loss"] for row in log], marker=".")
    left.set(xlabel="epoch", ylabel="training loss")
    for key, style in (("top1", "-"), ("top5", "--")):
        right.plot(epochs, [row[key] for row in log], style, marker=".", label=key)
    right.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1))
    right.legend()
    figure.savefig(path, dpi=120)


# ---------------------------------------------------------------- the portable file


def write_portable(network, target, classes, half=False):
    """Save a network so that every Keras from 3.12 on loads it, with its class list inside.

    classes: [(wnid, name), …] in output order, kept as classes.json beside Keras's own members,
    which Keras ignores. `half` stores the large arrays in float16; they load as float32.
    """
    target = Path(target)
    with whole(target) as part:
        network.save(part)
        with zipfile.ZipFile(part) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members["config.json"] = json.dumps(_older(json.loads(members["config.json"]))).encode()
        members["classes.json"] = json.dumps([list(pair) for pair in classes], indent=0).encode()
        if half:
            members["model.weights.h5"] = _halved(members["model.weights.h5"])
        with zipfile.ZipFile(part, "w") as archive:
            for name, content in members.items():  # without a date: the same bytes each time
                archive.writestr(zipfile.ZipInfo(name), content)
    note_digest(target)


def _older(config):
    """Drop the settings (all at their defaults here) that Keras 3.12 does not know."""
    if isinstance(config, list):
        return [_older(value) for value in config]
    if not isinstance(config, dict):
        return config
    return {
        key: _older(value)
        for key, value in config.items()
        if key not in NEWER_KEYS and not key.startswith("renorm")
    }


def _halved(content):
    """An HDF5 file with its arrays of two and more axes in float16."""
    import h5py

    result = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as old, h5py.File(result, "w") as new:

        def copy(name, item):
            if isinstance(item, h5py.Group):
                made = new.require_group(name)
            else:
                small = item.ndim > 1 and item.dtype == "float32"
                made = new.create_dataset(name, data=item[()].astype("f2" if small else item.dtype))
            made.attrs.update(item.attrs)

        old.visititems(copy)
        new.attrs.update(old.attrs)
    return result.getvalue()


# ---------------------------------------------------------------- judging a model


def proportion(hits):
    """ "0.519 (0.509–0.529)": a share with its 95 % Wilson interval, from an array of bool."""
    share = accuracy(np.ones(len(hits), bool), np.asarray(hits))
    return f"{share.value:.3f} ({share.low:.3f}–{share.high:.3f}), n = {share.n}"


def off_centre(image, shift):
    """The middle of a picture, 5/7 of its short side, moved right by `shift` of its own side."""
    left, top, right, bottom = crop_box(*image.size, CENTRE)
    moved = round(shift * (right - left))
    return image.crop((left + moved, top, right + moved, bottom))


def frozen_accuracy(network, train, test, size):
    """Hits (n,) of logistic regression on the network's pooled features; (paths, labels) twice."""
    import keras
    from sklearn.linear_model import LogisticRegression

    features = keras.Model(network.inputs, network.layers[-1].input)

    def extract(paths):
        images = to_batch([load_image(path) for path in paths], size)
        return features.predict(images, batch_size=50, verbose=0)

    head = LogisticRegression(max_iter=5000).fit(extract(train[0]), train[1])
    return head.predict(extract(test[0])) == np.array(test[1])


def labelled_files(folder, overlap=(), per_class=None):
    """(paths, labels) of folder/<class>/*, without those whose path ends in one of `overlap`."""
    paths, labels = [], []
    for group in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
        files = [f for f in sorted(group.iterdir()) if f.suffix.lower() in PICTURES]
        files = [f for f in files if not f.as_posix().endswith(overlap)][:per_class]
        paths += files
        labels += [group.name] * len(files)
    return paths, labels


def read_overlap(path):
    """First column of a table of judging pictures that are also in the training data."""
    lines = Path(path).read_text().splitlines()[1:]
    return tuple("/" + line.split("\t")[0] for line in lines)


def read_model(path):
    """(network, its [wnid, name] pairs) of a .keras file; DataError where it has no class list."""
    import keras

    try:
        with zipfile.ZipFile(path) as archive:
            classes = json.loads(archive.read("classes.json"))
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} holds no class list: give a file that this tool made.") from error
    return keras.models.load_model(path, compile=False), classes


def evaluate(model, validation=None, photos=None, hymenoptera=None, overlap=None, computers=None):
    """Measure a .keras file; returns (rows of (measure, result), validation logits or None)."""
    network, classes = read_model(model)
    wnids = [wnid for wnid, _ in classes]
    listed = read_overlap(overlap) if overlap else ()
    # The list holds folder/file: without the folder's whole path nothing would match it.
    photos, hymenoptera = (f and Path(os.path.abspath(f)) for f in (photos, hymenoptera))
    for folder in filter(None, (photos, hymenoptera)):
        if listed and not any(end.startswith(f"/{folder.name}/") for end in listed):
            raise DataError(f"{overlap} lists nothing in {folder.name}: are both of the same set?")
    rows, logits = [], None

    def predict(images, size=SIZE):
        return network.predict(to_batch(images, size), batch_size=50, verbose=0)

    def skip(measure, option):
        rows.append((measure, f"skipped: no {option} given"))

    if validation is None:
        skip("validation", "--data")
    else:
        if validation.wnids != wnids:
            raise DataError(f"{model} and the data have different classes.")
        logits = network.predict(validation.pictures, batch_size=250, verbose=0)
        hits = top_hits(logits, validation.labels)
        error = expected_calibration_error(softmax(logits, axis=1), validation.labels)
        rows.append(("validation top-1", proportion(hits[:, 0])))
        rows.append(("validation top-5", proportion(hits[:, 1])))
        rows.append(("validation expected calibration error", f"{error:.3f}"))
    if photos is None:
        skip("photos", "--photos")
    else:
        paths = sorted(path for path in photos.iterdir() if path.suffix.lower() in PICTURES)
        pictures = [load_image(path) for path in paths]
        known = [
            (image, wnids.index(path.name.split("_")[0]))
            for image, path in zip(pictures, paths, strict=True)
            if path.name.split("_")[0] in wnids and not path.as_posix().endswith(listed)
        ]
        for size in (64, 80):
            hits = top_hits(predict([i for i, _ in known], size), np.array([k for _, k in known]))
            rows.append((f"photos of its classes, top-5, {size} px", proportion(hits[:, 1])))
        plain = top_five(predict(pictures))
        for size in (96, 128):
            shared = agreement(plain, top_five(predict(pictures, size)))
            rows.append((f"top-5 agreement of {size} with 64 px", f"{shared:.2f}"))
        middle, moved = ([off_centre(i, s) for i in pictures] for s in (0, 0.2))
        shared = agreement(top_five(predict(middle)), top_five(predict(moved)))
        rows.append(("top-5 agreement off-centre by a fifth", f"{shared:.2f}"))
    for name in ("cat", "coffee", "uniform"):
        probabilities = softmax(predict([load_image(name)])[0])
        result = ", ".join(map(str, decode(probabilities, classes, top=3)))
        rows.append((f"library photograph “{name}”", result))
    if hymenoptera is None:
        skip("ants and bees", "--hymenoptera")
    else:
        parts = [labelled_files(hymenoptera / part, listed) for part in ("train", "val")]
        for size in (64, 128):
            hits = frozen_accuracy(network, *parts, size)
            rows.append((f"ants and bees, frozen features, {size} px", proportion(hits)))
    if computers is None:
        skip("computers", "--computers")
    else:
        train_part = labelled_files(Path(computers) / "train", per_class=20)
        test_part = labelled_files(Path(computers) / "validation")
        hits = frozen_accuracy(network, train_part, test_part, SIZE)
        rows.append(("computers, frozen features, 20 per class", proportion(hits)))
    rows.append(("file", f"{Path(model).stat().st_size / 1e6:.1f} MB"))
    rows.append(("parameters", f"{network.count_params():,}"))
    one = np.zeros((1, SIZE, SIZE, 3), "float32")
    times = []
    for _ in range(60):
        start = time.perf_counter()
        network.predict_on_batch(one)
        times.append(time.perf_counter() - start)
    rows.append(("one compiled prediction, median", f"{np.median(times[10:]) * 1000:.1f} ms"))
    return rows, logits


def top_five(logits):
    """The five likeliest classes of each row as sets."""
    return [set(row[:5]) for row in np.argsort(-logits, axis=1)]


def agreement(first, second):
    """Mean share of classes that two lists of top-5 sets have in common."""
    return float(np.mean([len(a & b) / 5 for a, b in zip(first, second, strict=True)]))


def record(path, model, data_name, logits, labels):
    """Write the validation scores that lesson 03 draws its reliability diagram from."""
    order = np.argsort(-logits, axis=1)[:, :5]
    probabilities = np.take_along_axis(softmax(logits, axis=1), order, axis=1)
    about = {
        "model": Path(model).name,
        "weights": sha256(Path(model).read_bytes()).hexdigest(),
        "data": data_name,
        "date": datetime.date.today().isoformat(),
    }
    with whole(Path(path)) as part:
        np.savez_compressed(
            part,
            probabilities=probabilities.astype("float16"),
            classes=order.astype("uint8"),
            labels=labels.astype("uint8"),
            about=json.dumps(about),
        )
    note_digest(Path(path))


# ---------------------------------------------------------------- command line


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder or zip with train/ and val/")
    parser.add_argument("--exclude", type=Path, help="list of training pictures to leave out")
    training = parser.add_argument_group("training")
    training.add_argument("--work", type=Path, help="folder for checkpoint, log, curve, result")
    training.add_argument("--teacher", type=Path, help="MobileNetV2 weights to learn from as well")
    training.add_argument(
        "--epochs", type=int, nargs="+", default=[part.epochs for part in ROUNDS],
        help="of each round of falling rates",
    )  # fmt: skip
    training.add_argument(
        "--last-round",
        type=Path,
        metavar="MODEL",
        help="only the last round, from this .keras file",
    )
    training.add_argument("--batch-size", type=int, default=256)
    training.add_argument("--peak", type=float, default=0.25, help="highest learning rate")
    training.add_argument("--seed", type=int, default=0)
    judging = parser.add_argument_group("judging")
    judging.add_argument("--evaluate", type=Path, metavar="MODEL", help="a .keras file to judge")
    judging.add_argument("--photos", type=Path, help="folder of <wnid>_<name>.jpg")
    judging.add_argument(
        "--hymenoptera", type=Path, help="folder with train/ and val/ of two classes"
    )
    judging.add_argument("--overlap", type=Path, help="table of pictures to leave out of both")
    judging.add_argument("--computers", type=Path, help="folder with train/ and validation/")
    judging.add_argument("--record", type=Path, help="write the validation scores to this .npz")
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before Keras, imported where needed
    try:
        judge(options) if options.evaluate else pretrain(options)
    except (DataError, OSError) as error:
        parser.exit(1, f"{error}\n")


def pretrain(options):
    """Train as the command line says, and leave pocket.keras in the work folder."""
    if options.data is None or options.work is None:
        raise DataError("Training needs --data and --work; judging a model needs --evaluate.")
    if len(options.epochs) > len(ROUNDS):
        raise DataError(f"--epochs takes up to {len(ROUNDS)} numbers, one for each round.")
    rounds = [part._replace(epochs=n) for part, n in zip(ROUNDS, options.epochs, strict=False)]
    exclude = options.exclude.read_text().split() if options.exclude else ()
    data, validation = (read_pictures(options.data, s, exclude) for s in ("train", "val"))
    options.work.mkdir(parents=True, exist_ok=True)
    if options.teacher:
        import keras

        maps = teacher_maps(data, options.teacher, options.work)
        if keras.backend.backend() == "openvino":
            print("The teacher's maps are ready. This backend cannot train: go on with another.")
            return
        data.teacher = teacher_head(maps, data.labels, len(data.wnids), options.seed)
    start = None
    if options.last_round:
        given, classes = read_model(options.last_round)
        if [wnid for wnid, _ in classes] != data.wnids:
            raise DataError(f"{options.last_round} knows other classes than {options.data}.")
        start = given.get_weights()
    weights = train(
        data, validation, options.work, rounds,
        options.batch_size, options.peak, options.seed, start,
    )  # fmt: skip
    network = build_network(len(data.wnids))
    network.set_weights(weights)
    # On the pictures of the log, a fifth of those that the card's calibration error is about.
    temperature = calibrate(network, validation.pictures[::5], validation.labels[::5])
    print(f"logits divided by {temperature:.3f}")
    names = dict(imagenet_classes())
    classes = [(wnid, names.get(wnid, wnid)) for wnid in data.wnids]
    write_portable(network, options.work / "pocket.keras", classes, half=True)
    print(f"wrote {options.work / 'pocket.keras'}")


def judge(options):
    """Print the table of measures, and record the validation scores if asked to."""
    if options.record and not options.data:
        raise DataError("--record needs --data: it writes the scores of its validation part.")
    validation = read_pictures(options.data, "val") if options.data else None
    rows, logits = evaluate(
        options.evaluate, validation, options.photos, options.hymenoptera,
        options.overlap, options.computers,
    )  # fmt: skip
    for measure, result in rows:
        print(f"{measure:<42}{result}")
    if options.record:
        record(options.record, options.evaluate, options.data.stem, logits, validation.labels)


if __name__ == "__main__":
    sys.exit(main())
