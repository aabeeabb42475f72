"""Labelled picture files: a folder's pictures and classes, read when they're needed."""

from collections import namedtuple
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from helpers.images import ADVICE, ResizeRule, resize
from safeguards.folders import (
    DataError,
    check_count,
    class_folders,
    file_version,
    files_of_class,
    read_file,
)
from safeguards.keys import picture_key
from safeguards.look_alikes import look
from safeguards.pictures import ImageError, stored, taken
from safeguards.rgb import load_with_doubts
from safeguards.text import counted

SQUARE = ResizeRule()

# What's known of a picture's file. key: the same for the same pixels; look: what
# `safeguards.look_alikes` compares; doubts: why it may not show what was meant, a list;
# taken: when, as the camera wrote it, or None; stored: (format, width, height).
Fingerprint = namedtuple(
    "Fingerprint", "key look doubts taken stored", defaults=[None, None]
)
_fingerprints = {}  # a file's version → its Fingerprint


@dataclass(frozen=True, eq=False, repr=False)
class Pictures:
    """Picture files with labels; nothing is decoded until it's asked for.
    paths: of the files; labels: int64 (n,), positions in classes; classes: names,
    sorted."""

    name: str
    paths: tuple[Path, ...]
    labels: np.ndarray
    classes: tuple[str, ...]

    def __len__(self):
        return len(self.paths)

    def __repr__(self):
        counts = np.bincount(self.labels, minlength=len(self.classes))
        named = zip(self.classes, counts, strict=True)
        each = ", ".join(f"{name} {count}" for name, count in named)
        return f"<{self.name}: {len(self)} pictures, {each}>"

    def __getitem__(self, index):
        """The pictures a mask (n,) or an array of positions chooses, as `Pictures`."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        paths = tuple(self.paths[row] for row in rows)
        return replace(self, paths=paths, labels=self.labels[rows])

    def subset(self, per_class, seed=0):
        """`per_class` pictures of each class, drawn by `seed`.
        A larger subset with the same seed holds the smaller. DataError where a class
        has too few."""
        rng = np.random.default_rng(seed)
        rows = []
        for label, name in enumerate(self.classes):
            own = np.flatnonzero(self.labels == label)
            if not 1 <= per_class <= len(own):
                raise DataError(
                    f"{self.name} has {counted(len(own), 'picture')} of {name}, but "
                    f"{per_class} "
                    "were asked for: ask for 1 or more, and no more than its smallest "
                    "class has."
                )
            rows.extend(rng.permutation(own)[:per_class])
        chosen = self[np.sort(rows)]
        return replace(chosen, name=f"{self.name}, {per_class} per class")

    def images(self):
        """The pictures as `load_image` reads them.
        A DataError names a missing or bad file."""
        return [_load(path, _read(path))[0] for path in self.paths]

    def array(self, size, rule=SQUARE, dtype="float32"):
        """The pictures as `to_batch` makes them: (n, size, size, 3) RGB in 0…255.
        DataError as in `images`."""
        array = np.empty((len(self), size, size, 3), dtype)
        for row, path in enumerate(self.paths):
            with _named(path):
                array[row] = np.asarray(resize(_read(path), size, rule))
        return array

    def batches(self, classifier, batch_size=32, seed=None):
        """A tf.data.Dataset of batches, cut and resized by the classifier's own rule.
        Each is float32 (b, size, size, 3) RGB in 0…255 and int64 labels (b,). The files
        are read once, now, and kept in memory as pixels.
        seed: None keeps the order; a number shuffles, anew in every epoch and the same
        for the same seed. DataError as in `images`."""
        import tensorflow as tf

        pixels = tf.constant(self.array(classifier.size, classifier.rule, "uint8"))
        labels = tf.constant(self.labels)
        rng = np.random.default_rng(seed)

        # Not tf.data's shuffle: that depends on TensorFlow's global seed, too.
        def order():
            if seed is None:
                return range(len(self))
            return rng.permutation(len(self))

        def pictures_at(rows):
            batch = tf.gather(pixels, rows)
            return tf.cast(batch, tf.float32), tf.gather(labels, rows)

        row = tf.TensorSpec((), "int64")
        rows = tf.data.Dataset.from_generator(order, output_signature=row)
        rows = rows.apply(tf.data.experimental.assert_cardinality(len(self)))
        return rows.batch(batch_size).map(pictures_at)


def listed(name, folder):
    """The `Pictures` of a folder of class folders, none of them opened yet.
    DataError where the folder has another form."""
    folders = class_folders(folder)
    paths = []
    labels = []
    for label, class_folder in enumerate(folders):
        files = files_of_class(class_folder)
        paths += files
        labels += [label] * len(files)
    check_count(folder, folders)
    classes = tuple(class_folder.name for class_folder in folders)
    return Pictures(name, tuple(paths), np.array(labels), classes)


def fingerprint(path):
    """The `Fingerprint` of a picture's file.
    It's read and decoded once in this session, and again only if it has changed.
    DataError, which begins with the path, where it's no good picture."""
    version = file_version(path)
    if version not in _fingerprints:
        data = _read(path)
        image, doubts = _load(path, data)
        _fingerprints[version] = Fingerprint(
            key=picture_key(image),
            look=look(image),
            doubts=doubts,
            taken=taken(data),
            stored=stored(data),
        )
    return _fingerprints[version]


def _read(path):
    data = read_file(path)
    if not data:
        raise DataError(
            f"{path} is empty: replace or remove it, and load the set again."
        )
    return data


def _load(path, data):
    """The picture in a file's bytes, and why it may not show what was meant."""
    with _named(path):
        return load_with_doubts(data, ADVICE)


@contextmanager
def _named(path):
    """An ImageError becomes a DataError that begins with the path."""
    try:
        yield
    except ImageError as error:
        raise DataError(
            f"{path} cannot be used. {error} Or remove the file."
        ) from error
