"""Data sets: the shipped one, public ones, a learner's own folder; splits that don't leak.

A folder holds class folders, or train/, validation/ (or val/) and perhaps test/ with class
folders in each; every file in a class folder is a picture. A fault is a DataError that names
the place."""

import math
import os
import re
from collections import Counter, namedtuple
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from helpers.labels import read_table
from helpers.models import ROOT
from helpers.pictures import PART_NAMES, TITLES, DataError, Pictures, fingerprint, listed, visible
from safeguards.addresses import FetchError
from safeguards.archives import ArchiveError, fetch_archive
from safeguards.look_alikes import ALIKE, look_alikes, undecided
from safeguards.whole_files import temporary_folder_in

COMPUTERS = ROOT / "data" / "computers"
MAX_COMPARISONS = 16  # of sets for look-alikes, kept in this session

# A line of datasets.tsv. sha256: as pytorch/tutorials (.jenkins/download_data.py),
# tensorflow/datasets (tf_flowers/checksums.tsv) and, where Microsoft publishes none,
# gomlx/gomlx (dogs vs. cats) check it; flaw: a file that is no picture, "unreadable" (some
# are), or "none".
Public = namedtuple("Public", "address sha256 megabytes folder flaw")
PUBLIC = {name: Public(*rest) for name, *rest in read_table("datasets.tsv")}

_openings = Counter()  # of test sets in this session, by folder
_compared = {}  # hash of what was compared → the pairs found


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
    if below.keys() & {*PART_NAMES}:
        parts = _given_parts(name, folder, below)
    else:
        parts = split(listed(name, folder), seed=seed)
        parts = [replace(p, name=f"{name}/{t}") for p, t in zip(parts, TITLES, strict=True)]
    if folder != COMPUTERS:  # which the tests check instead
        pairs = find_look_alikes(*parts)
        if pairs:
            count = len({path for _, *pair in pairs for path in pair})
            first, second = (path.relative_to(folder) for path in pairs[0][1:])
            print(
                f"{name}: {count} pictures look like one in another part, which may flatter "
                f"scores. Most alike: {first} and {second} (likeness {pairs[0][0]:.2f}). "
                "See find_look_alikes."
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
    for label in range(len(pictures.classes)):
        own = [key for key in dict.fromkeys(keys[pictures.labels == label]) if key not in part_of]
        if len(own) < n:
            raise DataError(_too_few(pictures, label, len(own), n, alike))
        inner = np.arange(1, n)
        cuts = np.round(np.cumsum(shares)[:-1] * len(own)).astype(int)
        cuts = np.maximum.accumulate(np.maximum(cuts, inner) - inner) + inner
        cuts = np.minimum(cuts, len(own) - inner[::-1])
        own.sort(key=lambda key: sha256(f"{seed} {key}".encode()).digest())
        for part, chosen in enumerate(np.split(own, cuts)):
            part_of.update(dict.fromkeys(chosen.tolist(), part))
    parts = np.array([part_of[key] for key in keys])
    return [replace(pictures[parts == i], name=f"{pictures.name} {i + 1}/{n}") for i in range(n)]


def _too_few(pictures, label, count, n, alike):
    """What to say where a class has too few different pictures for n parts."""
    own = pictures[pictures.labels == label]
    # without those that look alike, would there be enough?
    joined = [pair for pair in alike if {*pair} & {*own.paths}] if len({*groups(own)}) >= n else []
    alone = "those that look alike count once" if joined else "copies count once"
    text = (
        f"{pictures.name} has {count} different pictures of {pictures.classes[label]} ({alone}), "
        f"too few for {n} parts: add some that show something else, or remove this class."
    )
    if joined:
        first, second = (path.name for path in joined[-1])
        text += f" If {first} and {second} do not show the same, raise the threshold for the pairs."
    return text


def groups(pictures, alike=()):
    """What shows the same: for each picture a text, equal for files with the same pixels, and for
    those of the pairs of paths in `alike` (see `find_near_duplicates`), also by way of others.
    Pairs of which one is not among these pictures count for nothing."""
    keys = np.array([known.key for known in _fingerprints(pictures)])
    names, row_of_key = np.unique(keys, return_inverse=True)
    number = dict(zip(pictures.paths, row_of_key.tolist(), strict=True))
    # Union-find: each group is a tree, and its root the first of its names, which sorts first.
    root = list(range(len(names)))

    def find(i):
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    left = len(names)
    for a, b in alike:
        if left == 1:
            break  # all are one group: no pair can change that
        if a in number and b in number:
            first, second = sorted((find(number[a]), find(number[b])))
            root[second] = first
            left -= first != second
    return names[np.array([find(i) for i in range(len(names))], int)[row_of_key]]


def find_near_duplicates(pictures_a, pictures_b=None, threshold=ALIKE):
    """Pairs of pictures that look alike: [(path in a, path in b), …], the most alike first; see
    `find_look_alikes`. pictures_b: None looks for pairs within pictures_a."""
    several = [pictures_a] if pictures_b is None else [pictures_a, pictures_b]
    return [(a, b) for _, a, b in find_look_alikes(*several, threshold=threshold)]


def find_look_alikes(*several, threshold=ALIKE):
    """How much pictures look alike: [(likeness, path, path), …], the most alike first.
    several: one `Pictures`, or some between which to look for pairs. threshold: the likeness from
    which on two pictures count as alike, above 0; from 1 on none do. At 0.95 two pictures differ
    nowhere by more than JPEG, a resize or a camera's noise may change; each 0.95 again is as much.
    Found are copies in another size, quality or brightness, with up to a tenth of each side cut
    off, shots of one scene from the hand, and films, whose files must be named in order or hold the
    time they were taken. Of many that are alike, also by way of others, as few pairs are given as
    join them: each picture is in one of them at least.
    Missed are mirrored copies, those turned by more than a few degrees, small parts of a picture,
    some that were sharpened or made a fifth brighter, and of things on a plain ground shots from
    the hand, and those that were cut out and then resized, made brighter or of other contrast.
    Different things that differ by less than noise may change count as one: look at the pairs, and
    raise the threshold where they are wrong. How it is done stands in `safeguards.look_alikes`."""
    paths = [path for pictures in several for path in pictures.paths]
    known = [known for pictures in several for known in _fingerprints(pictures)]
    parts = np.repeat(np.arange(len(several)), [len(pictures) for pictures in several])
    parts = parts if len(several) > 1 else None
    order = _order(paths, [one.taken for one in known])
    # The same pictures are asked about again and again: by `look_through`, then by `out_of_fold`.
    asked = repr(
        ([one.key for one in known], order, threshold, parts if parts is None else [*parts])
    )
    asked = sha256(asked.encode()).digest()
    if asked not in _compared:
        while len(_compared) >= MAX_COMPARISONS:
            del _compared[next(iter(_compared))]  # the oldest
        _compared[asked] = look_alikes([one.look for one in known], order, threshold, parts)
    return [(pair.likeness, paths[pair.first], paths[pair.second]) for pair in _compared[asked]]


def find_undecided(pictures, alike):
    """Pictures that resemble others as a whole and differ somewhere, so that pixels cannot tell
    frames of a film from two things: (how many, (likeness, path, path) of the nearest), or None.
    alike: the pairs of paths that count as one."""
    looks = [known.look for known in _fingerprints(pictures)]
    found = undecided(looks, groups(pictures, alike))
    if found is None:
        return None
    count, (likeness, first, second) = found
    return count, (likeness, pictures.paths[first], pictures.paths[second])


def _order(paths, times):
    """Whole numbers, 1 apart where one file of a folder comes next to another: by the time they
    were taken if all of its files hold one, else by name, 9 before 10, as cameras and programs that
    take films apart number them."""
    timeless = {path.parent for path, time in zip(paths, times, strict=True) if time is None}

    def key(path, time):
        parts = re.split(r"(\d+)", path.name)
        name = [(not p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts]
        return path.parent, "" if path.parent in timeless else time, name

    keys = {path: key(path, time) for path, time in zip(paths, times, strict=True)}
    place, folder, number = {}, None, -1
    for path in sorted(keys, key=keys.get):
        number += 1 if path.parent == folder else 2
        place[path], folder = number, path.parent
    return [place[path] for path in paths]


def _fingerprints(pictures):
    bar = tqdm(pictures.paths, f"reading {pictures.name}", leave=False, delay=2)
    return [fingerprint(path) for path in bar]


def class_like_part(folder):
    """DataError where a class folder has the name of a part: train, validation, val or test."""
    for path in visible(folder):
        if path.name in PART_NAMES and path.is_dir():
            files = visible(path)
            if files and not any(file.is_dir() for file in files):
                raise DataError(
                    f"The class folder {path} has a name that stands for a part of a data set: "
                    f"rename it, for instance {path.name}_class."
                )


def _given_parts(name, folder, below):
    class_like_part(folder)
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


def _public(name):
    """The folder of a public set, downloaded if it is not there. Only a whole one is moved into
    place, so an interrupted run can be repeated."""
    entry = PUBLIC[name]
    home = os.environ.get("TRANSFER_DATA") or "~/.cache/transfer-learning"
    target = Path(home).expanduser().resolve() / name
    if target.is_dir():
        return target
    try:
        with temporary_folder_in(target.parent) as folder:
            fetch_archive(name, entry.address, entry.sha256, int(entry.megabytes), folder)
            _leave_out(name, folder / entry.folder, entry.flaw)
            try:
                os.replace(folder / entry.folder, target)
            except OSError:
                if not target.is_dir():  # else another process was faster
                    raise
    except ArchiveError as error:
        raise DataError(str(error)) from error
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
