"""Labelled pictures: the shipped set, public ones, a learner's own folder; splits that do not leak.

A folder holds class folders, or train/, validation/ (or val/) and perhaps test/ with class folders
in each; every file in a class folder is a picture. A fault is a DataError that names the place."""

import math
import os
import tarfile
import zipfile
from collections import Counter, namedtuple
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from helpers.fetch import FetchError, download
from helpers.files import digest, incoming
from helpers.images import ImageError, ResizeRule, load_image, resize
from helpers.labels import read_table
from helpers.models import ROOT, picture_key

COMPUTERS, SQUARE = ROOT / "data" / "computers", ResizeRule()
TITLES = ("train", "validation", "test")
NO_PICTURES = ("Thumbs.db", "desktop.ini", "__MACOSX")  # systems leave them, and .hidden files
# One line a set in datasets.tsv. sha256: as pytorch/tutorials (.jenkins/download_data.py),
# tensorflow/datasets (tf_flowers/checksums.tsv) and, where Microsoft publishes none, gomlx/gomlx
# (dogs vs. cats) check it; flaw: a file that is no picture, "unreadable" (some are), or "none".
Public = namedtuple("Public", "address sha256 megabytes folder flaw")
PUBLIC = {name: Public(*rest) for name, *rest in read_table("datasets.tsv")}
_openings = Counter()  # of test sets in this session, by folder
_known = {}  # SHA-256 of a file → what fingerprint says of it


class DataError(ValueError):
    """A data set cannot be used as it is; says which file or class, and what to do next."""


@dataclass(frozen=True, eq=False, repr=False)
class Pictures:
    """Picture files with labels; nothing is decoded until it is asked for.
    paths: of the files; labels: int64 (n,), positions in classes; classes: sorted names."""

    name: str
    paths: tuple[Path, ...]
    labels: np.ndarray
    classes: tuple[str, ...]

    def __len__(self):
        return len(self.paths)

    def __repr__(self):
        counts = np.bincount(self.labels, minlength=len(self.classes))
        each = ", ".join(f"{c} {n}" for c, n in zip(self.classes, counts, strict=True))
        return f"<{self.name}: {len(self)} pictures, {each}>"

    def __getitem__(self, index):
        """The pictures a mask (n,) or an array of positions chooses, as `Pictures`."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        return replace(self, paths=tuple(self.paths[i] for i in rows), labels=self.labels[rows])

    def subset(self, per_class, seed=0):
        """`per_class` pictures of each class, drawn by `seed`: a larger subset with the same seed
        holds the smaller. DataError where a class has too few."""
        rng, rows = np.random.default_rng(seed), []
        for label, name in enumerate(self.classes):
            own = np.flatnonzero(self.labels == label)
            if not 1 <= per_class <= len(own):
                raise DataError(
                    f"{self.name} has {len(own)} pictures of {name}, but {per_class} were asked "
                    "for: ask for 1 or more, and no more than its smallest class has."
                )
            rows.extend(rng.permutation(own)[:per_class])
        return replace(self[np.sort(rows)], name=f"{self.name}, {per_class} per class")

    def images(self):
        """The pictures as `load_image` reads them; DataError names a file that is gone or bad."""
        return [_load(path) for path in self.paths]

    def array(self, size, rule=SQUARE, dtype="float32"):
        """(n, size, size, 3) RGB in 0…255, as `to_batch` makes it. DataError as in `images`."""
        array = np.empty((len(self), size, size, 3), dtype)
        for row, path in zip(array, self.paths, strict=True):
            row[:] = np.asarray(resize(_load(path), size, rule))
        return array

    def batches(self, classifier, batch_size=32, seed=None):
        """A tf.data.Dataset of (float32 (b, size, size, 3) RGB in 0…255, int64 labels (b,)), cut
        and resized by the classifier's own rule.
        seed: None keeps the order; a number shuffles, anew in every epoch and the same for the same
        seed. The files are read once, now, and kept in memory as bytes. DataError as in `images`.
        """
        import tensorflow as tf

        pixels = tf.constant(self.array(classifier.size, classifier.rule, "uint8"))
        labels, rng = tf.constant(self.labels), np.random.default_rng(seed)

        def order():  # not tf.data's shuffle: that depends on TensorFlow's global seed, too
            return range(len(self)) if seed is None else rng.permutation(len(self))

        rows = tf.data.Dataset.from_generator(order, output_signature=tf.TensorSpec((), "int64"))
        rows = rows.apply(tf.data.experimental.assert_cardinality(len(self)))
        return rows.batch(batch_size).map(
            lambda i: (tf.cast(tf.gather(pixels, i), tf.float32), tf.gather(labels, i))
        )


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in parts: train and validation to work with, and a test set kept closed."""

    name: str
    folder: Path
    train: Pictures
    validation: Pictures
    _test: Pictures | None = None

    @property
    def classes(self):
        """The class names, sorted: labels are positions in it."""
        return self.train.classes

    def __repr__(self):
        test = "a test set" if self._test else "no test set"
        return f"<{self.name}: {self.train!r}, {self.validation!r}, {test}>"

    def open_test(self):
        """The test pictures; says how often they were opened in this session, for whoever chooses
        by a test set has no test set left. DataError where there is none."""
        if not self._test:
            raise DataError(
                f"{self.name} has no test set: call the validation score one, or put pictures "
                f"that nothing was chosen by into {self.folder / 'test'}, a folder a class."
            )
        _openings[self.folder] += 1
        times = f"{_openings[self.folder]} time{'s' * (_openings[self.folder] > 1)}"
        print(f"Test set of {self.name} opened: {times} in this session")
        return self._test


def load_dataset(source="computers", seed=0):
    """A `Dataset` by name or from a folder.
    source: "computers", which ships with the lessons; "hymenoptera" (47 MB), "flowers" (229 MB) or
    "cats_vs_dogs" (825 MB), downloaded once into the folder TRANSFER_DATA or, without that
    variable, ~/.cache/transfer-learning; or a folder's path (its form: top of this module).
    seed: of the split, 60/20/20, where the folder has none. All but the shipped pictures are read
    once; what looks alike in different parts is reported. Raises a DataError."""
    if source in PUBLIC:
        folder = _public(source)
    else:
        folder = COMPUTERS if source == "computers" else Path(source).expanduser().resolve()
    name = source if source in ("computers", *PUBLIC) else folder.name
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}. Pass the path of a folder of class folders, or the name "
            f"of a data set: computers, {', '.join(PUBLIC)}."
        )
    below = {path.name: path for path in visible(folder) if path.is_dir()}
    if below.keys() & {*TITLES, "val"}:
        parts = _given_parts(name, folder, below)
    else:
        parts = split(listed(name, folder), seed=seed)
        parts = [replace(p, name=f"{name}/{t}") for p, t in zip(parts, TITLES, strict=True)]
    if folder != COMPUTERS:  # which the tests check instead
        pairs = [pair for a, b in combinations(parts, 2) for pair in find_near_duplicates(a, b)]
        if pairs:
            first, second = (path.relative_to(folder) for path in pairs[0])
            print(
                f"{name}: {len(pairs)} pair{'s' * (len(pairs) > 1)} of pictures in different parts "
                f"look alike, which may flatter scores. Most alike: {first} and {second}. "
                "See find_near_duplicates."
            )
    return Dataset(name, folder, *parts)


def split(pictures, shares=(0.6, 0.2, 0.2), seed=0, alike=()):
    """A list of `Pictures`, one a share: each class is split by these shares, at least one picture
    everywhere; what shows the same (`groups`) stays together. Pixels and `seed` place a picture:
    others that come or go move few. DataError where a class has too few different pictures."""
    if min(shares) <= 0 or not math.isclose(sum(shares), 1):
        raise DataError(f"The shares {shares} should be above 0 and add up to 1.")
    n, part_of = len(shares), {}
    keys = groups(pictures, alike)
    for label, name in enumerate(pictures.classes):
        own = [key for key in dict.fromkeys(keys[pictures.labels == label]) if key not in part_of]
        if len(own) < n:
            raise DataError(
                f"{pictures.name} has {len(own)} different pictures of {name} (copies count once), "
                f"too few for {n} parts: add some, or remove this class."
            )
        inner = np.arange(1, n)
        cuts = np.round(np.cumsum(shares)[:-1] * len(own)).astype(int)
        cuts = np.maximum.accumulate(np.maximum(cuts, inner) - inner) + inner
        cuts = np.minimum(cuts, len(own) - inner[::-1])
        own.sort(key=lambda key: sha256(f"{seed} {key}".encode()).digest())
        for part, chosen in enumerate(np.split(own, cuts)):
            part_of.update(dict.fromkeys(chosen.tolist(), part))
    parts = np.array([part_of[key] for key in keys])
    return [replace(pictures[parts == i], name=f"{pictures.name} {i + 1}/{n}") for i in range(n)]


def groups(pictures, alike=()):
    """What shows the same: for each picture a text, equal for files with the same pixels, and for
    those of the pairs of paths in `alike` (see `find_near_duplicates`), also by way of others."""
    keys = np.array([key for key, _ in _fingerprints(pictures)])
    row_of = {path: row for row, path in enumerate(pictures.paths)}
    for a, b in alike:
        new, old = sorted((keys[row_of[a]], keys[row_of[b]]))
        keys[keys == old] = new
    return keys


def find_near_duplicates(pictures_a, pictures_b=None, threshold=0.95):
    """Pairs of pictures that look alike: [(path in a, path in b), …], the most alike first.
    pictures_b: None looks for pairs within pictures_a. Alike: 16×16 grey thumbnails with at least
    this correlation, as of copies in another size or quality and of shots in a row. Mirrored or
    cropped copies are missed, and plain scenes may be taken for one another."""
    a = _thumbnails(pictures_a)
    b = a if pictures_b is None else _thumbnails(pictures_b)
    paths, found = (pictures_a if pictures_b is None else pictures_b).paths, []
    for i, row in enumerate(a):
        alike = b @ row
        if pictures_b is None:
            alike[: i + 1] = -1  # itself, and pairs that were seen
        found += [(alike[j], i, j) for j in np.flatnonzero(alike >= threshold)]
    found.sort(key=lambda pair: -pair[0])
    return [(pictures_a.paths[i], paths[j]) for _, i, j in found]


def _thumbnails(pictures):
    """Each as a row of length 1, so that a product of two is their correlation."""
    rows = np.array([thumbnail for _, thumbnail in _fingerprints(pictures)], "float32")
    rows = rows.reshape(len(pictures), 256)
    rows -= rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def _fingerprints(pictures):
    bar = tqdm(pictures.paths, f"reading {pictures.name}", leave=False, delay=2)
    return [fingerprint(path) for path in bar]


def fingerprint(path):
    """(key of the pixels, thumbnail (256,)) of a picture's file; bytes seen before in this session
    are not decoded again. DataError, which begins with the path, where it is no good picture."""
    key = sha256(_read(path)).digest()
    if key not in _known:
        image = _load(path)
        _known[key] = picture_key(image), np.asarray(image.convert("L").resize((16, 16))).ravel()
    return _known[key]


def _load(path):
    try:
        return load_image(_read(path))
    except ImageError as error:
        raise DataError(f"{path} cannot be used. {error} Or remove the file.") from error


def _read(path):
    if data := read_file(path):
        return data
    raise DataError(f"{path} is empty: replace or remove it, and load the set again.")


def read_file(path):
    """The bytes of a picture's file, even of an empty one; DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        advice = "put it back, or load the set again without it"
        raise DataError(f"{path} cannot be read ({error.strerror}): {advice}.") from error


def visible(folder):
    """What is in a folder, by name, without what systems hide or leave there."""
    found = [path for path in folder.iterdir() if path.name not in NO_PICTURES]
    return sorted((p for p in found if not p.name.startswith(".")), key=lambda path: path.name)


def _given_parts(name, folder, below):
    titles = {("validation" if title == "val" else title): title for title in below}
    if len(titles) < len(below) or set(titles) not in ({*TITLES}, {*TITLES[:2]}):
        raise DataError(
            f"{folder} has the folders {', '.join(below)}: it should have train, validation (or "
            "val) and perhaps test, with class folders in each; or class folders, to be split."
        )
    parts = [listed(f"{name}/{t}", below[titles[t]]) for t in TITLES if t in titles]
    for part in parts:
        if different := set(part.classes) ^ set(parts[0].classes):
            raise DataError(
                f"{part.name} and {parts[0].name} differ in {', '.join(sorted(different))}: each "
                "part needs a folder, with pictures, of every class."
            )
    return parts


def listed(name, folder):
    """The `Pictures` of a folder of class folders, none of them opened yet; DataError where the
    folder has another form."""
    paths, labels, classes = [], [], [path for path in visible(folder) if path.is_dir()]
    for label, path in enumerate(classes):
        files = visible(path)
        if inner := [file.name for file in files if file.is_dir()]:
            raise DataError(
                f"{path} should hold the pictures of one class, but holds the folder {inner[0]}: "
                "pass the folder just above the class folders, or move its pictures up."
            )
        if not files:
            raise DataError(f"{path} holds no pictures: add some, or remove this class.")
        paths += files
        labels += [label] * len(files)
    if len(classes) < 2:
        found = f"only one class ({classes[0].name})" if classes else "no class folders"
        raise DataError(
            f"{folder} has {found}: make a folder for each of two or more classes and put its "
            "pictures in. To find one thing, fill the second with pictures that lack it."
        )
    return Pictures(name, tuple(paths), np.array(labels), tuple(path.name for path in classes))


def _public(name):
    """The folder of a public set, downloaded if it is not there. Only a whole one is moved into
    place, so an interrupted run can be repeated."""
    entry = PUBLIC[name]
    home = os.environ.get("TRANSFER_DATA") or "~/.cache/transfer-learning"
    target = Path(home).expanduser().resolve() / name
    if target.is_dir():
        return target
    try:
        with incoming(target.parent) as folder:
            archive, megabytes = folder / "archive", int(entry.megabytes)
            if _download(name, entry.address, archive, megabytes) != entry.sha256:
                raise DataError(f"{name}: what arrived is damaged or another file; run this again.")
            _unpack(archive, folder)
            _leave_out(name, folder / entry.folder, entry.flaw)
            try:
                os.replace(folder / entry.folder, target)
            except OSError:
                if not target.is_dir():  # else another process was faster
                    raise
    except FetchError as error:
        raise DataError(
            f"{name} could not be downloaded ({error}). Check your connection and run this again; "
            'load_dataset("computers") needs none.'
        ) from error
    except OSError as error:
        raise DataError(
            f"{name} cannot be kept in {target.parent} ({error.strerror}): make {entry.megabytes} "
            "MB of room there three times over, or set TRANSFER_DATA to another folder."
        ) from error
    return target


def _download(name, address, path, megabytes):
    """Write what is at an address to a file, with a progress bar → its SHA-256. A set twice as
    large as it should be, or one that comes slower than a megabit a second, is given up."""

    def show(count, total):
        bar.total = total
        bar.update(count - bar.n)

    with path.open("wb") as file, tqdm(desc=name, unit="B", unit_scale=True) as bar:
        download(address, file, 2 * 10**6 * megabytes, 60 + 8 * megabytes, progress=show)
    return digest(path)


def _unpack(archive, folder):
    """Unpack a .zip or .tgz into a folder; an archive that would write elsewhere is refused."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                if not (folder / name).resolve().is_relative_to(folder):
                    raise DataError(f"The archive is refused: {name} would be written elsewhere.")
            file.extractall(folder)
        return
    with tarfile.open(archive) as file:
        try:
            file.extractall(folder, filter="data")
        except tarfile.FilterError as error:
            raise DataError(f"The archive is refused: {error}.") from error


def _leave_out(name, folder, flaw):
    """Remove from a public set what is known to be no picture, or what cannot be read."""
    if flaw not in ("unreadable", "none"):
        (folder / flaw).unlink()
    if flaw != "unreadable":
        return
    pictures, bad = listed(name, folder), []
    for path in tqdm(pictures.paths, f"checking {name}"):
        try:
            fingerprint(path)
        except DataError:
            bad.append(str(path.relative_to(folder)))
            path.unlink()
    print(f"{name}: {len(bad)} of {len(pictures)} files unreadable, left out: {', '.join(bad)}")
