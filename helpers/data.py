"""Labelled pictures: the shipped set, public ones, a learner's own folder; splits that do not leak.

A folder holds class folders, or train/, validation/ (or val/) and perhaps test/ with class folders
in each; every file in a class folder is a picture. A fault is a DataError that names the place."""

import math
import os
import shutil
import tarfile
import zipfile
from collections import Counter, namedtuple
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
import requests
from tqdm.auto import tqdm

from helpers.images import HEADERS, TIMEOUT, ImageError, ResizeRule, load_image, resize
from helpers.models import ROOT, picture_key

COMPUTERS, SQUARE = ROOT / "data" / "computers", ResizeRule()
PARTS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
NO_PICTURES = ("Thumbs.db", "desktop.ini", "__MACOSX")  # what systems leave behind; also .hidden

# folder: where in the archive the pictures are; but: a file there that is none; unreadable: whether
# files that cannot be read are left out. SHA-256 as checked by pytorch/tutorials (.jenkins/
# download_data.py), tensorflow/datasets (tf_flowers/checksums.tsv) and, as Microsoft publishes
# none and tensorflow/datasets has an older file's, gomlx/gomlx (examples/dogsvscats).
Public = namedtuple("Public", "address digest megabytes folder but unreadable")
PUBLIC = {
    "hymenoptera": Public(
        "https://download.pytorch.org/tutorial/hymenoptera_data.zip",
        "fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209",
        *(47, "hymenoptera_data", "train/ants/imageNotFound.gif", False),
    ),
    "flowers": Public(
        "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
        "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
        *(229, "flower_photos", None, False),
    ),
    "cats_vs_dogs": Public(
        "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
        "kagglecatsanddogs_5340.zip",
        "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
        *(825, "PetImages", None, True),
    ),
}
_openings = Counter()  # of test sets in this session, by folder
_known = {}  # SHA-256 of a file → (key of its pixels, its 16×16 thumbnail)


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
        """`per_class` pictures of each class, drawn by `seed`: a larger one with the same seed
        holds the smaller. DataError where a class has too few."""
        rng, rows = np.random.default_rng(seed), []
        for label, name in enumerate(self.classes):
            own = np.flatnonzero(self.labels == label)
            if not 1 <= per_class <= len(own):
                raise DataError(
                    f"{self.name} has {len(own)} pictures of {name}, {per_class} were asked for: "
                    "ask for 1 or more, and for no more than the smallest class has."
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
        """A tf.data.Dataset of (float32 (b, size, size, 3) RGB in 0…255, int64 labels (b,)),
        cut and resized by the classifier's own rule.
        seed: None keeps the order; a number shuffles, anew in every epoch and the same for the
        same seed. The files are read here and now, once, and kept as bytes: size · size · 3 each.
        DataError as in `images`."""
        import tensorflow as tf

        pixels = tf.constant(self.array(classifier.size, classifier.rule, "uint8"))
        labels = tf.constant(self.labels)
        rows = tf.data.Dataset.range(len(self))
        if seed is not None:
            rows = rows.shuffle(max(1, len(self)), seed=seed)
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
    _test: Pictures | None

    @property
    def classes(self):
        """The class names, sorted: labels are positions in it."""
        return self.train.classes

    def __repr__(self):
        test = "no test set" if self._test is None else "a test set"
        return f"<{self.name}: {self.train!r}, {self.validation!r}, {test}>"

    def open_test(self):
        """The test pictures; says how often they were opened in this session, since what is chosen
        by looking at them is no longer judged by them. DataError where the set has none."""
        if self._test is None:
            raise DataError(
                f"{self.name} has no test set: report the validation score and say so, or keep "
                f"pictures for it in {self.folder / 'test'}, a folder a class."
            )
        _openings[self.folder] += 1
        times = f"{_openings[self.folder]} time{'s' * (_openings[self.folder] > 1)}"
        print(f"Test set of {self.name} opened: {times} in this session")
        return self._test


def load_dataset(source="computers", seed=0):
    """A `Dataset` by name or from a folder.
    source: "computers", which ships with the lessons; "hymenoptera" (47 MB), "flowers" (229 MB) or
    "cats_vs_dogs" (825 MB), downloaded once into the folder TRANSFER_DATA or, without that
    variable, ~/.cache/transfer-learning; or the path of a folder (see the top of this module).
    seed: of the split, 60/20/20, where the folder has none. Pictures of a folder or a public set
    are all read once; near-duplicates in two parts are reported. Raises a DataError."""
    if source == "computers":
        name, folder = source, COMPUTERS
    elif source in PUBLIC:
        name, folder = source, _public(source)
    else:
        folder = Path(source).expanduser().resolve()
        name = folder.name
    if not folder.is_dir():
        raise DataError(
            f"There is no data set and no folder {str(source)!r} here ({Path.cwd()}). Data sets: "
            f"computers, {', '.join(PUBLIC)}. Or pass the path of a folder of class folders."
        )
    below = {path.name: path for path in _visible(folder) if path.is_dir()}
    if below.keys() & PARTS.keys():
        parts = _given_parts(name, folder, below)
    else:
        whole = _listed(name, folder)
        parts = [
            replace(part, name=f"{name}/{title}")
            for part, title in zip(
                split(whole, seed=seed), dict.fromkeys(PARTS.values()), strict=True
            )
        ]
    if folder != COMPUTERS:  # of which a test says the same
        _report_near_duplicates(name, folder, parts)
    return Dataset(name, folder, *parts, *[None] * (3 - len(parts)))


def _visible(folder):
    """What is in a folder, by name, without what systems hide or leave there."""
    found = (path for path in folder.iterdir() if path.name not in NO_PICTURES)
    return sorted(path for path in found if not path.name.startswith("."))


def _given_parts(name, folder, below):
    parts = {}
    for title, path in below.items():
        part = PARTS.get(title)
        if part is None or part in parts:
            raise DataError(
                f"{path} is one folder too many beside {', '.join(below.keys() - {title})}: there "
                "should be train, validation (or val) and perhaps test, each with class folders."
            )
        parts[part] = _listed(f"{name}/{part}", path)
    for part in ("train", "validation"):
        if part not in parts:
            raise DataError(
                f"{folder} has {' and '.join(sorted(below))} but no {part}: add that folder, or "
                "pass a folder of class folders only, which is split for you."
            )
    for part in parts.values():
        if different := set(part.classes) ^ set(parts["train"].classes):
            raise DataError(
                f"{part.name} and {name}/train differ in {', '.join(sorted(different))}: each part "
                "needs the same class folders, with pictures in all of them."
            )
    return [parts[part] for part in dict.fromkeys(PARTS.values()) if part in parts]


def _listed(name, folder):
    """The `Pictures` of a folder of class folders."""
    paths, labels = [], []
    classes = [path for path in _visible(folder) if path.is_dir()]
    for label, path in enumerate(classes):
        files = _visible(path)
        if inner := [file for file in files if file.is_dir()]:
            raise DataError(
                f"{path} should hold the pictures of one class but holds the folder "
                f"{inner[0].name}: pass the folder just above the class folders."
            )
        if not files:
            raise DataError(f"{path} holds no pictures: add some, or remove this class folder.")
        paths += files
        labels += [label] * len(files)
    if len(classes) < 2:
        found = f"only one class ({classes[0].name})" if classes else "no class folders"
        raise DataError(
            f"{folder} has {found}: make a folder for each of two or more classes and put its "
            f"pictures in it. To find one thing, let the second hold pictures without it."
        )
    return Pictures(name, tuple(paths), np.array(labels), tuple(path.name for path in classes))


def _read(path):
    """The bytes of a file of a set."""
    try:
        if data := path.read_bytes():
            return data
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}): put it back, or load the set again without."
        ) from error
    raise DataError(f"{path} is empty: replace or remove it, and load the set again.")


def _load(path):
    """`load_image` of a file of a set, which every error names."""
    try:
        return load_image(_read(path))
    except ImageError as error:
        raise DataError(f"{path} cannot be used. {error} Or remove the file.") from error


def split(pictures, shares=(0.6, 0.2, 0.2), seed=0):
    """Split into a list of `Pictures`, one a share, each class by these shares (at least one
    picture everywhere), by `seed`. Files that show the same pixels stay together.
    DataError where a class has fewer different pictures than there are shares."""
    if min(shares) <= 0 or not math.isclose(sum(shares), 1):
        raise DataError(f"The shares {shares} should be above 0 and add up to 1.")
    n, rng = len(shares), np.random.default_rng(seed)
    keys = np.array([key for key, _ in _fingerprints(pictures)])
    part_of = {}  # the key of a picture → which part it belongs to
    for label, name in enumerate(pictures.classes):
        own = [key for key in dict.fromkeys(keys[pictures.labels == label]) if key not in part_of]
        if len(own) < n:
            raise DataError(
                f"{pictures.name} has {len(own)} different pictures of {name}, too few for "
                f"{n} parts: add some, or remove this class."
            )
        inner = np.arange(1, n)
        cuts = np.round(np.cumsum(shares)[:-1] * len(own)).astype(int)
        cuts = np.maximum.accumulate(np.maximum(cuts, inner) - inner) + inner
        cuts = np.minimum(cuts, len(own) - inner[::-1])  # at least one in each
        for part, chosen in enumerate(np.split(rng.permutation(own), cuts)):
            part_of.update(dict.fromkeys(chosen.tolist(), part))
    parts = np.array([part_of[key] for key in keys])
    return [replace(pictures[parts == i], name=f"{pictures.name} {i + 1}/{n}") for i in range(n)]


def find_near_duplicates(pictures_a, pictures_b=None, threshold=0.95):
    """Pairs of pictures that look alike: [(path in a, path in b), …], the most alike first.
    pictures_b: None looks for pairs within pictures_a. Alike: their 16×16 grey thumbnails have at
    least the correlation `threshold`: copies in other sizes or qualities, neighbours in a burst;
    mirrored or cropped copies are missed, and plain scenes may be taken for one another."""
    a = _thumbnails(pictures_a)
    b = a if pictures_b is None else _thumbnails(pictures_b)
    paths, found = (pictures_a if pictures_b is None else pictures_b).paths, []
    for i, row in enumerate(a):
        alike = b @ row
        alike[: i + 1 if pictures_b is None else 0] = -1  # itself, and pairs that were seen
        found += [(alike[j], i, j) for j in np.flatnonzero(alike >= threshold)]
    found.sort(key=lambda pair: -pair[0])
    return [(pictures_a.paths[i], paths[j]) for _, i, j in found]


def _thumbnails(pictures):
    """Each as a row of length 1, so that a product of two is their correlation."""
    rows = np.array([thumbnail for _, thumbnail in _fingerprints(pictures)], "float32")
    rows = rows.reshape(len(pictures), -1)
    rows -= rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def _fingerprints(pictures):
    """A list of (picture_key, thumbnail); a file that holds known bytes is not decoded again."""
    found = []
    for path in tqdm(pictures.paths, f"reading {pictures.name}", leave=False, delay=2):
        digest = sha256(_read(path)).digest()
        if digest not in _known:
            image = _load(path)
            grey = np.asarray(image.convert("L").resize((16, 16)))
            _known[digest] = picture_key(image), grey.ravel()
        found.append(_known[digest])
    return found


def _report_near_duplicates(name, folder, parts):
    pairs = [pair for a, b in combinations(parts, 2) for pair in find_near_duplicates(a, b)]
    if pairs:
        first, second = (path.relative_to(folder) for path in pairs[0])
        print(
            f"{name}: {len(pairs)} pairs of pictures in different parts look alike, which flatters "
            f"scores. The most alike: {first} and {second} (see find_near_duplicates)"
        )


def _public(name):
    """The folder of a public set, downloaded if it is not there; only a whole one is moved into
    place, so an interrupted run can be repeated."""
    entry = PUBLIC[name]
    home = Path(os.environ.get("TRANSFER_DATA") or "~/.cache/transfer-learning").expanduser()
    target, incoming = home.resolve() / name, home.resolve() / f".incoming-{name}"
    if target.is_dir():
        return target
    shutil.rmtree(incoming, ignore_errors=True)
    try:
        incoming.mkdir(parents=True)
        archive = incoming / "archive"
        if _download(name, entry.address, archive) != entry.digest:
            raise DataError(
                f"{name}: what arrived is damaged or not the published file; run this again."
            )
        _unpack(archive, incoming)
        _leave_out(name, entry, incoming / entry.folder)
        os.replace(incoming / entry.folder, target)
    except requests.RequestException as error:
        raise DataError(
            f"{name} could not be downloaded ({error}). Check your connection and run this again; "
            f'or use load_dataset("computers"), which needs none.'
        ) from error
    except OSError as error:
        raise DataError(
            f"{name} needs a folder to be kept in, but {home} cannot be used ({error.strerror}): "
            f"free {3 * entry.megabytes} MB, or set TRANSFER_DATA to another folder."
        ) from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return target


def _download(name, address, path):
    """Write what is at an address to a file → its SHA-256."""
    digest, headers = sha256(), {**HEADERS, "Accept": "*/*", "Accept-Encoding": "identity"}
    with requests.get(address, headers=headers, timeout=TIMEOUT, stream=True) as answer:
        answer.raise_for_status()
        total = int(answer.headers.get("Content-Length", 0)) or None
        bar = tqdm(desc=name, total=total, unit="B", unit_scale=True)
        with bar, path.open("wb") as file:
            for chunk in answer.iter_content(2**18):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
    return digest.hexdigest()


def _unpack(archive, folder):
    """Unpack a .zip or .tar.* into a folder and remove it; nothing may lead out of the folder."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                for name in file.namelist():
                    if not (folder / name).resolve().is_relative_to(folder):
                        raise DataError(f"This archive would write to {name!r}: refused.")
                file.extractall(folder)
        else:
            with tarfile.open(archive) as file:
                file.extractall(folder, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise DataError(f"This archive cannot be unpacked ({error}): refused.") from error
    archive.unlink()


def _leave_out(name, entry, folder):
    """Remove what is known to be no picture and, where the set is known for it, what is damaged."""
    if entry.but:
        (folder / entry.but).unlink()
    if entry.unreadable:
        pictures, bad = _listed(name, folder), []
        for path in tqdm(pictures.paths, f"checking {name}"):
            try:
                _load(path)
            except DataError:
                bad.append(path)
                path.unlink()
        names = ", ".join(str(path.relative_to(folder)) for path in bad)
        print(f"{name}: {len(bad)} of {len(pictures)} files are unreadable, left out: {names}")
