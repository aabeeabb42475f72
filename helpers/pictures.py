"""Labelled picture files: a folder's pictures with their classes, read when they're needed."""

from collections import namedtuple
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from helpers.images import ResizeRule, load_image, load_with_doubts, resize
from helpers.models import picture_key
from safeguards.look_alikes import look
from safeguards.pictures import ImageError, taken

SQUARE = ResizeRule()
TITLES = ("train", "validation", "test")
PART_NAMES = (*TITLES, "val")  # what a folder of one part may be called
NO_PICTURES = ("Thumbs.db", "desktop.ini", "__MACOSX")  # systems leave them

# What's known of a picture's file. key: the same for the same pixels; look: what
# `safeguards.look_alikes` compares; doubts: why it may not show what was meant, a list;
# taken: when, as the camera wrote it, or None.
Fingerprint = namedtuple("Fingerprint", "key look doubts taken", defaults=[None])
_fingerprints = {}  # SHA-256 of a file → its Fingerprint


class DataError(ValueError):
    """A data set can't be used as it is; says which file or class, and what to do next."""


@dataclass(frozen=True, eq=False, repr=False)
class Pictures:
    """Picture files with labels; nothing is decoded until it's asked for.
    paths: of the files; labels: int64 (n,), positions in classes; classes: sorted names."""

    name: str
    paths: tuple[Path, ...]
    labels: np.ndarray
    classes: tuple[str, ...]

    def __len__(self):
        return len(self.paths)

    def __repr__(self):
        counts = np.bincount(self.labels, minlength=len(self.classes))
        each = ", ".join(
            f"{name} {count}" for name, count in zip(self.classes, counts, strict=True)
        )
        return f"<{self.name}: {len(self)} pictures, {each}>"

    def __getitem__(self, index):
        """The pictures a mask (n,) or an array of positions chooses, as `Pictures`."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        paths = tuple(self.paths[row] for row in rows)
        return replace(self, paths=paths, labels=self.labels[rows])

    def subset(self, per_class, seed=0):
        """`per_class` pictures of each class, drawn by `seed`: a larger subset with the same
        seed holds the smaller. DataError where a class has too few."""
        rng = np.random.default_rng(seed)
        rows = []
        for label, name in enumerate(self.classes):
            own = np.flatnonzero(self.labels == label)
            if not 1 <= per_class <= len(own):
                raise DataError(
                    f"{self.name} has {len(own)} pictures of {name}, but {per_class} were "
                    "asked for: ask for 1 or more, and no more than its smallest class has."
                )
            rows.extend(rng.permutation(own)[:per_class])
        return replace(self[np.sort(rows)], name=f"{self.name}, {per_class} per class")

    def images(self):
        """The pictures as `load_image` reads them; DataError names a missing or bad file."""
        return [_load(path) for path in self.paths]

    def array(self, size, rule=SQUARE, dtype="float32"):
        """(n, size, size, 3) RGB in 0…255, as `to_batch` makes it. DataError as in `images`."""
        array = np.empty((len(self), size, size, 3), dtype)
        for row, path in zip(array, self.paths, strict=True):
            row[:] = np.asarray(resize(_load(path), size, rule))
        return array

    def batches(self, classifier, batch_size=32, seed=None):
        """A tf.data.Dataset of (float32 (b, size, size, 3) RGB in 0…255, int64 labels (b,)),
        cut and resized by the classifier's own rule.
        seed: None keeps the order; a number shuffles, anew in every epoch and the same for
        the same seed. The files are read once, now, and kept in memory as pixels. DataError
        as in `images`."""
        import tensorflow as tf

        pixels = tf.constant(self.array(classifier.size, classifier.rule, "uint8"))
        labels = tf.constant(self.labels)
        rng = np.random.default_rng(seed)

        def order():  # not tf.data's shuffle: that depends on TensorFlow's global seed, too
            return range(len(self)) if seed is None else rng.permutation(len(self))

        def pictures_at(rows):
            return tf.cast(tf.gather(pixels, rows), tf.float32), tf.gather(labels, rows)

        row = tf.TensorSpec((), "int64")
        rows = tf.data.Dataset.from_generator(order, output_signature=row)
        rows = rows.apply(tf.data.experimental.assert_cardinality(len(self)))
        return rows.batch(batch_size).map(pictures_at)


def listed(name, folder):
    """The `Pictures` of a folder of class folders, none of them opened yet; DataError where
    the folder has another form."""
    class_folders = []
    for path in visible(folder):
        if path.is_dir():
            class_folders.append(path)
        elif path.is_symlink() and not path.exists():  # else a class would be missing silently
            raise DataError(f"{path} is a link that leads nowhere: mend or remove it.")
    paths = []
    labels = []
    for label, class_folder in enumerate(class_folders):
        files = _files_of_class(class_folder)
        paths += files
        labels += [label] * len(files)
    if len(class_folders) < 2:
        count = "no class folders"
        if class_folders:
            count = f"only one class ({class_folders[0].name})"
        raise DataError(
            f"{folder} has {count}: make a folder for each of two or more classes and put its "
            "pictures in. To find one thing, fill the second with pictures that lack it."
        )
    classes = tuple(path.name for path in class_folders)
    return Pictures(name, tuple(paths), np.array(labels), classes)


def _files_of_class(class_folder):
    """The files in a class folder; DataError where it holds none, or a folder."""
    files = visible(class_folder)
    folders = [file for file in files if file.is_dir()]
    holds = f"{class_folder} should hold the pictures of one class, but holds"
    if folders and folders[0].is_symlink():
        raise DataError(
            f"{holds} {folders[0].name}, a link to a folder: put links to its pictures there, "
            "or the pictures, instead."
        )
    if folders:
        raise DataError(
            f"{holds} the folder {folders[0].name}: pass the folder just above the class "
            "folders, or move its pictures up."
        )
    if not files:
        raise DataError(f"{class_folder} holds no pictures: add some, or remove this class.")
    return files


def visible(folder):
    """What's in a folder, by name, without what systems hide or leave there."""
    paths = [
        path
        for path in folder.iterdir()
        if path.name not in NO_PICTURES and not path.name.startswith(".")
    ]
    return sorted(paths, key=lambda path: path.name)


def fingerprint(path):
    """The `Fingerprint` of a picture's file; bytes seen before in this session aren't decoded
    again. DataError, which begins with the path, where it's no good picture."""
    data = _read(path)
    key = sha256(data).digest()
    if key not in _fingerprints:
        image, doubts = _load(path, load_with_doubts)
        known = Fingerprint(picture_key(image), look(image), doubts, taken(data))
        _fingerprints[key] = known
    return _fingerprints[key]


def read_file(path):
    """The bytes of a picture's file, even of an empty one; DataError where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        advice = "put it back, or load the set again without it"
        raise DataError(f"{path} cannot be read ({error.strerror}): {advice}.") from error


def _read(path):
    data = read_file(path)
    if not data:
        raise DataError(f"{path} is empty: replace or remove it, and load the set again.")
    return data


def _load(path, load=load_image):
    try:
        return load(_read(path))
    except ImageError as error:
        raise DataError(f"{path} cannot be used. {error} Or remove the file.") from error
