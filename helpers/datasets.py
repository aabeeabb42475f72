"""Data sets: the shipped one, public ones, your own folder; splits that don't leak.

A folder holds class folders, or train/, validation/ (or val/) and perhaps test/ with
class folders in each; every file in a class folder is a picture. If something is wrong,
a DataError says where."""

import math
import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from helpers.models import ROOT
from helpers.pictures import Pictures, fingerprint, listed
from safeguards import alike_in_words
from safeguards.addresses import FetchError
from safeguards.archives import ArchiveError, fetch_archive
from safeguards.folders import (
    TITLES,
    DataError,
    check_class_names,
    filming_order,
    part_of,
    visible,
)
from safeguards.look_alikes import ALIKE, look_alikes
from safeguards.progress import progress_bar
from safeguards.tables import read_table
from safeguards.text import counted
from safeguards.whole_files import temporary_folder_in

COMPUTERS = ROOT / "data" / "computers"
HOME = "~/.cache/transfer-learning"  # of downloaded data sets
MAX_COMPARISONS = 16  # of sets for look-alikes, kept in this session


class _Public(NamedTuple):
    """A public data set: a row of datasets.tsv.
    sha256: as pytorch/tutorials (.jenkins/download_data.py), tensorflow/datasets
    (tf_flowers/checksums.tsv) and, where Microsoft publishes none, gomlx/gomlx (dogs
    vs. cats) check it; flaw: a file that is no picture, "unreadable" (some are), or
    "none"."""

    address: str
    sha256: str
    megabytes: str
    folder: str
    flaw: str


PUBLIC = {
    name: _Public(*values) for name, *values in read_table("helpers", "datasets.tsv")
}

_openings = Counter()  # of test sets in this session, by folder
_comparisons = {}  # hash of what was compared → the pairs


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set: train and validation to work with, and a test set kept closed."""

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
        """The test pictures. It says how often they were opened in this session: if you
        choose by a test set, you have no test set left. DataError where there is
        none."""
        if not self._test:
            raise DataError(
                f"{self.name} has no test set: call the validation score one, or put "
                "pictures that nothing was chosen by into "
                f"{self.folder / 'test'}, a folder a class."
            )
        _openings[self.folder] += 1
        count = _openings[self.folder]
        times = counted(count, "time")
        print(f"Test set of {self.name} opened: {times} in this session")
        return self._test


def load_dataset(source="computers", seed=0):
    """A `Dataset` by name or from a folder.
    source: "computers", which ships with the lessons; "hymenoptera" (47 MB), "flowers"
    (229 MB) or "cats_vs_dogs" (825 MB), downloaded once into the folder TRANSFER_DATA
    or, without that variable, ~/.cache/transfer-learning; or a folder's path (its form:
    top of this module); seed: of the split, 60/20/20, where the folder has none.
    All but the shipped pictures are read once; what looks alike in different parts is
    reported. Raises a DataError."""
    name = source
    if source in PUBLIC:
        folder = _public(source)
    elif source == "computers":
        folder = COMPUTERS
    else:
        folder = Path(source).expanduser().resolve()
        name = folder.name
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}. Pass the path of a folder of class folders, "
            f"or the name of a data set: computers, {', '.join(PUBLIC)}."
        )
    folders = [path for path in visible(folder) if path.is_dir()]
    if any(map(part_of, folders)):
        splits = _given_splits(name, folder, folders)
    else:
        splits = []
        for title, pictures in zip(
            TITLES, split(listed(name, folder), seed=seed), strict=True
        ):
            splits.append(replace(pictures, name=f"{name}/{title}"))
    if folder != COMPUTERS:  # which the tests check instead
        _report_look_alikes(name, folder, splits)
    return Dataset(name, folder, *splits)


def _report_look_alikes(name, folder, splits):
    """Say which pictures look like one in another split, show the same in two classes,
    or are too small to tell."""
    pairs = find_near_duplicates(*splits, return_likeness=True)
    known = [_fingerprints(pictures) for pictures in splits]
    for sentence in alike_in_words.told(folder, splits, known, pairs):
        print(f"{name}: {sentence}")


def split(pictures, shares=(0.6, 0.2, 0.2), seed=0, alike=()):
    """A list of `Pictures`, one for each share of every class.
    Each gets at least one picture of a class, and what shows the same (`groups`) stays
    together. Pixels and `seed` decide where a picture goes: if others come or go, few
    move. DataError where a class has too few different pictures."""
    if min(shares) <= 0 or not math.isclose(sum(shares), 1):
        raise DataError(f"The shares {shares} should be above 0 and add up to 1.")
    n = len(shares)
    split_of_key = {}
    keys = groups(pictures, alike)
    for label in range(len(pictures.classes)):
        own_keys = dict.fromkeys(keys[pictures.labels == label])
        own_keys = [key for key in own_keys if key not in split_of_key]
        if len(own_keys) < n:
            exact = groups(pictures)
            raise DataError(
                alike_in_words.too_few(
                    pictures, label, len(own_keys), n, keys, exact, alike
                )
            )
        own_keys.sort(key=partial(_rank, seed))
        chunks = np.split(own_keys, _cuts(len(own_keys), shares))
        for number, chunk in enumerate(chunks):
            split_of_key.update(dict.fromkeys(chunk.tolist(), number))
    numbers = np.array([split_of_key[key] for key in keys])
    splits = []
    for number in range(n):
        name = f"{pictures.name} {number + 1}/{n}"
        splits.append(replace(pictures[numbers == number], name=name))
    return splits


def _rank(seed, key):
    """What to sort keys by: as good as drawn, and the same whatever others come."""
    return sha256(f"{seed} {key}".encode()).digest()


def _cuts(count, shares):
    """Where to cut a list of `count` by shares, with at least one in each."""
    least = np.arange(1, len(shares))  # one in each share before
    ideal = np.cumsum(shares)[:-1] * count
    cuts = np.round(ideal).astype(int)
    spare = np.maximum(cuts, least) - least
    cuts = np.maximum.accumulate(spare) + least
    return np.minimum(cuts, count - least[::-1])


def groups(pictures, alike=()):
    """What shows the same: for each picture a text.
    It's equal for files with the same pixels, and for the pairs of paths in `alike`
    (see `find_near_duplicates`), also by way of others. Pairs of which one is not among
    these pictures count for nothing."""
    keys = np.array([known.key for known in _fingerprints(pictures)])
    names, name_of_each = np.unique(keys, return_inverse=True)
    number_of = dict(zip(pictures.paths, name_of_each.tolist(), strict=True))
    # Union-find: each group is a tree, and its root the name that sorts first.
    parent = list(range(len(names)))

    def root(number):
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    count = len(names)
    for a, b in alike:
        if count == 1:
            break  # all are one group: no pair can change that
        if a in number_of and b in number_of:
            roots = root(number_of[a]), root(number_of[b])
            first, second = sorted(roots)
            parent[second] = first
            count -= first != second
    roots = np.array([root(number) for number in range(len(names))], int)
    return names[roots[name_of_each]]


def find_near_duplicates(*several, threshold=ALIKE, return_likeness=False):
    """Pairs of pictures that look alike: [(path, path), …], the most alike first.
    At a likeness of 0.95 two pictures differ nowhere by more than JPEG, a resize or a
    camera's noise may change; each 0.95 again is as much. Found are copies in another
    size, quality or brightness, with up to a tenth of each side cut off, shots of one
    scene from the hand, and films, whose files must be named in order or hold the time
    they were taken, 20 or more in a folder. Of many that are alike, also by way of
    others, as few pairs are given as join them: each picture is in at least one.
    Missed are mirrored copies, those turned by more than a few degrees, tinted, framed
    or marked, in 256 colours, of another gamma, some of a quality below 30 or of less
    than 100 pixels a side, small parts of a picture, panoramas 16 times as wide as high
    with a tenth of each side cut off, some that were sharpened or made a sixth
    brighter, shots in little light, in fog or with somebody passing, films from the
    hand and of a talking head in part; of things on a plain ground, such as forms,
    scans and QR codes, shots from the hand and copies made brighter, of other contrast
    or cut off the middle; frames of a film that lie in different folders. Of pictures
    below 32 x 32 pixels only exact copies are found. In two classes, what moved has to
    be twice as much alike, as it may be two parts under a camera.
    Different things that differ by less than noise may change count as one, as do those
    named in the order of a series, such as a rising gauge, 20 or more in a folder: what
    nothing but the order of files joins has a likeness of exactly 0.95. Look at the
    pairs, and raise the threshold where they are wrong. How it is done stands in
    `safeguards.look_alikes`.
    several: one `Pictures`, or some between which to look for pairs; threshold: the
    likeness from which on two pictures count as alike, above 0; from 1 on none do;
    return_likeness: give [(likeness, path, path), …]."""
    paths = []
    known = []
    numbers = []
    classes = []
    for number, pictures in enumerate(several):
        paths += pictures.paths
        known += _fingerprints(pictures)
        numbers += [number] * len(pictures)
        classes += [pictures.classes[label] for label in pictures.labels]
    if len(several) == 1:
        numbers = None
    order = filming_order(paths, [one.taken for one in known])
    # The same pictures are asked about again and again: by `look_through`, then by
    # `out_of_fold`.
    keys = [one.key for one in known]
    question = repr((keys, order, threshold, numbers, classes))
    question = sha256(question.encode()).digest()
    if question not in _comparisons:
        while len(_comparisons) >= MAX_COMPARISONS:
            oldest = next(iter(_comparisons))
            del _comparisons[oldest]
        looks = [one.look for one in known]
        _comparisons[question] = look_alikes(looks, order, threshold, numbers, classes)
    pairs = []
    for pair in _comparisons[question]:
        pairs.append((pair.likeness, paths[pair.first], paths[pair.second]))
    if return_likeness:
        return pairs
    return [(first, second) for _, first, second in pairs]


def _fingerprints(pictures):
    fingerprints = []
    with progress_bar(len(pictures), f"reading {pictures.name}", delay=2) as bar:
        for path in pictures.paths:
            fingerprints.append(fingerprint(path))
            bar.update()
    return fingerprints


def _given_splits(name, folder, folders):
    """The `Pictures` of a folder of train, validation and perhaps test folders."""
    check_class_names(folder)
    folder_of = {part_of(path): path for path in folders}
    titles = [title for title in TITLES if title in folder_of]
    has_others = len(titles) < len(folders)  # or validation twice
    if has_others or titles[:2] != ["train", "validation"]:
        raise DataError(
            f"{folder} has the folders {', '.join(path.name for path in folders)}: it "
            "should have train, validation (or val) and perhaps test, with class "
            "folders in each; or class folders, to be split."
        )
    splits = [listed(f"{name}/{title}", folder_of[title]) for title in titles]
    first = splits[0]
    for pictures in splits:
        different = set(pictures.classes) ^ set(first.classes)
        if different:
            raise DataError(
                f"{pictures.name} and {first.name} differ in "
                f"{', '.join(sorted(different))}: each part needs a folder, with "
                "pictures, of every class."
            )
    return splits


def _public(name):
    """The folder of a public set, downloaded if it is not there. Only a whole one is
    moved into place, so an interrupted run can be repeated."""
    entry = PUBLIC[name]
    home = os.environ.get("TRANSFER_DATA") or HOME
    home = Path(home).expanduser().resolve()
    target = home / name
    if target.is_dir():
        return target
    megabytes = int(entry.megabytes)
    try:
        with temporary_folder_in(home) as temporary:
            fetch_archive(name, entry.address, entry.sha256, megabytes, temporary)
            folder = temporary / entry.folder
            _leave_out(name, folder, entry.flaw)
            try:
                os.replace(folder, target)
            except OSError:
                if not target.is_dir():  # else another process was faster
                    raise
    except ArchiveError as error:
        raise DataError(str(error)) from error
    except FetchError as error:
        raise DataError(
            f"{name} could not be downloaded ({error}). Check your connection and run "
            'this again; load_dataset("computers") needs none.'
        ) from error
    except OSError as error:
        raise DataError(
            f"{name} cannot be kept in {home} ({error.strerror}): make "
            f"{entry.megabytes} MB of room there three times over, or set "
            "TRANSFER_DATA to another folder."
        ) from error
    return target


def _leave_out(name, folder, flaw):
    """Remove from a public set what is known to be no picture, or can't be read."""
    if flaw not in ("unreadable", "none"):
        (folder / flaw).unlink()
    if flaw != "unreadable":
        return
    paths = listed(name, folder).paths
    unreadable = []
    for path in tqdm(paths, f"checking {name}"):
        try:
            fingerprint(path)
        except DataError:
            unreadable.append(str(path.relative_to(folder)))
            path.unlink()
    print(
        f"{name}: {len(unreadable)} of {len(paths)} files unreadable, left out: "
        f"{', '.join(unreadable)}"
    )
