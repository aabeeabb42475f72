"""What somebody's folder of pictures holds: every file is tried before anything learns from it, and
of each that cannot be used there is a line that says why. The files stay as they are."""

import bisect
import math
import statistics
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from apps.sharing.share import write_card
from helpers.cleaning import apply_corrections, kinds_of, read_corrections, retire_corrections
from helpers.datasets import (
    class_like_part,
    find_look_alikes,
    find_undecided,
    groups,
)
from helpers.pictures import TITLES, DataError, Pictures, fingerprint, listed, visible
from safeguards.pictures import FORMATS, MAX_BYTES, TOO_LARGE_ADVICE
from safeguards.text import plain, printable

LEAST = 8  # different pictures a class: five folds need five to learn from, and some must be left
LIKENESS = 0.95  # of two pictures that count as one, see `find_look_alikes`
LEAST_LIKENESS = 0.5  # that may be asked for
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".rar", ".7z")


class Remark(NamedTuple):
    """What is to be said of a file: its path, the kind of fault, and the reason, which follows its
    name in a sentence."""

    path: Path
    kind: str
    reason: str

    def __str__(self):
        return f"{place(self.path)} {self.reason}"


class Intake(NamedTuple):
    """pictures: the `Pictures` that can be used, each once, their labels as decided; left_out: a
    `Remark` on every other file; doubtful: a `Remark` on each that is used, but may not show what
    was meant; alike: the pairs of paths in pictures that look alike, those in two classes first;
    undecided: what pixels could not decide, a text, or "" for nothing; given: the pictures before
    decisions; decided: {position in given: label, or None for discard}; retired: why earlier
    decisions hold no longer, a text each."""

    pictures: Pictures
    left_out: list
    doubtful: list
    alike: list
    undecided: str
    given: Pictures
    decided: dict
    retired: list

    @property
    def kinds(self):
        """How many files were left out for which kind of fault, as a text."""
        return _counted(Counter(file.kind for file in self.left_out))

    @property
    def decisions(self):
        """How many labels somebody decided on, and how, as a text."""
        return _counted(kinds_of(self.given, self.decided))

    def decided_in(self, part):
        """How many pictures of a part are there with a label that somebody decided on."""
        return len({self.given.paths[position] for position in self.decided} & {*part.paths})


def look_through(folder, threshold=LIKENESS, corrections=None):
    """Look at every file below a folder of class folders → `Intake`.
    Left out are files that are no pictures, damaged or too large, copies (the first one stays), and
    pictures that lie in two classes, as nobody knows which is right. threshold: from which likeness
    on two pictures count as one, as in `find_look_alikes`; from 1 on only copies do. corrections: a
    corrections file (see `helpers.cleaning`), applied where there is one, after
    `retire_corrections`. DataError where there is no such folder, it has another form, or a class
    has fewer than LEAST different pictures; CorrectionsError for a file that is damaged or takes a
    class all of its pictures."""
    folder = _checked(folder)
    try:
        _in_parts(folder)
        found = listed(printable(folder.name), folder)
        left_out = [
            Remark(path, "in no class folder", "lies in no class folder: is it a picture of one?")
            for path in visible(folder)
            if not path.is_dir()
        ]
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}): check its rights.") from error
    for name in found.classes:
        if printable(name) != name:
            raise DataError(
                f"The class folder {printable(name)!r} has a name that cannot be shown: rename it."
            )
    with ThreadPoolExecutor(2) as pool:  # decoding leaves Python's lock to others
        tried = pool.map(_fault, found.paths)
        bar = tqdm(tried, f"reading {found.name}", len(found), leave=False, delay=2)
        faults = dict(zip(found.paths, bar, strict=True))
    left_out += [Remark(path, "unreadable", fault) for path, fault in faults.items() if fault]
    good = found[np.array([not faults[path] for path in found.paths], bool)]
    once, copies = _once(good)
    left_out += copies
    pairs = _enough(once, threshold, left_out)
    doubtful = [
        Remark(path, "doubtful", reason)
        for path in once.paths
        for reason in fingerprint(path).doubts
    ]
    if corrections is None or not Path(corrections).exists():
        return Intake(once, left_out, doubtful, pairs, _undecided(once, pairs), once, {}, [])
    retired = retire_corrections(once, corrections)
    pictures = apply_corrections(once, corrections)
    doubtful = [remark for remark in doubtful if remark.path in {*pictures.paths}]
    pairs = _enough(
        pictures, threshold, left_out, f" This is so after the decisions in {corrections}."
    )
    decided = read_corrections(once, corrections)
    unsure = _undecided(pictures, pairs)
    return Intake(pictures, left_out, doubtful, pairs, unsure, once, decided, retired)


def data_card(intake, path, parts):
    """Write a data card, Markdown, from what was counted (Gebru et al. 2021) → its path.
    parts: {name: `Pictures`} that its pictures were split into. What cannot be counted is marked
    for whoever took the pictures to fill in; see `write_card`."""
    pictures = intake.pictures
    names = [plain(name) for name in pictures.classes]
    counts = [np.bincount(part.labels, minlength=len(names)) for part in parts.values()]
    rows = [
        f"| {name} | {' | '.join(str(count[i]) for count in counts)} |"
        for i, name in enumerate(names)
    ]
    sizes, formats, total = [], Counter(), 0
    for file in pictures.paths:
        with Image.open(file, formats=FORMATS) as image:
            sizes.append(image.size)
            formats[image.format] += 1
        total += file.stat().st_size
    widths, heights = zip(*sizes, strict=True)
    text = CARD.format(
        name=plain(pictures.name),
        parts=" | ".join(parts),
        lines=" | ".join("---" for _ in parts),
        rows="\n".join(rows),
        n=len(pictures),
        formats=_counted(formats),
        megabytes=total / 1e6,
        left=len(intake.left_out),
        kinds=intake.kinds,
        doubtful=len(intake.doubtful),
        decided=len(intake.decided),
        decisions=intake.decisions,
        places=", ".join(f"{intake.decided_in(p)} of them {n}" for n, p in parts.items()),
        alike=len(intake.alike),
        width=_range(widths),
        height=_range(heights),
    )
    return write_card(path, text)


CARD = """# {name}: data card

Every figure here was counted. What only who took the pictures can know is marked **TO FILL IN**.

| class | {parts} |
| --- | {lines} |
{rows}

| | |
| --- | --- |
| pictures that were used | {n}: {formats}; {megabytes:.1f} MB |
| width in pixels, as stored | {width} |
| height in pixels, as stored | {height} |
| pairs that look alike | {alike}; pictures that look alike are in the same part |
| files left out | {left}: {kinds} |
| used, but perhaps read wrongly | {doubtful} |
| labels that a person decided on | {decided}: {decisions}; {places} |

## Where it comes from
**TO FILL IN:** who took the pictures, when, where and with what; whose they are and on what terms;
whether people can be recognised and have agreed; who gave the labels, and how.

## What it does not show
**TO FILL IN:** which kinds, places, light, seasons, devices and people are missing; whether one
class was photographed in other places or with another camera than the others: then a model learns
the place or the camera.
"""


def _counted(kinds):
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "none"


def _range(values):
    return f"{min(values)} to {max(values)}, median {statistics.median(values):g}"


def _checked(folder):
    """The path of a folder; DataError where there is none."""
    if not str(folder).strip():
        raise DataError("No folder was named: pass the path of a folder of class folders.")
    try:
        folder = Path(folder).expanduser().resolve()
    except RuntimeError as error:  # as for ~somebody
        raise DataError(f"“{folder}” names no folder: there is no such user here.") from error
    shown = printable(str(folder))
    if folder.is_dir():
        return folder
    if not folder.exists():
        raise DataError(f"There is no folder “{shown}”: check its name and place.")
    if folder.suffix.lower() in ARCHIVES or zipfile.is_zipfile(folder):
        raise DataError(f"{shown} is an archive: unpack it, and pass the folder that comes out.")
    raise DataError(f"{shown} is a file: pass the folder of class folders.")


def _in_parts(folder):
    """DataError where a folder holds train, test and so on in the place of classes."""
    names = [path.name for path in visible(folder) if path.name in (*TITLES, "val")]
    if len(names) > 1:
        class_like_part(folder)
        raise DataError(
            f"{printable(str(folder))} is in parts already ({', '.join(names)}): put the pictures "
            "of each class together in one folder; they are parted here, without a leak."
        )


def _fault(path):
    """Why a file cannot be used, as the end of a sentence that begins with its name, or None."""
    try:
        if not path.is_file():
            return "is no file, or a link that leads nowhere."
        if path.stat().st_size > MAX_BYTES:
            return f"cannot be used. {TOO_LARGE_ADVICE}"
        fingerprint(path)
    except DataError as error:
        return str(error).removeprefix(f"{path} ")
    except OSError as error:  # of stat, as in a folder that may be listed, but not entered
        return f"cannot be read ({error.strerror}): check its rights."
    return None


def _once(pictures):
    """The pictures without copies and without those in two classes, and these as `left_out`."""
    keys, same, kept, left_out = groups(pictures), {}, [], []
    for row, key in enumerate(keys):
        same.setdefault(key, []).append(row)
    for rows in same.values():
        first, places = rows[0], [place(pictures.paths[row]) for row in rows]
        if len({*pictures.labels[rows]}) == 1:
            kept.append(first)
            copies, kind, reason = rows[1:], "copy", f"shows the same as {places[0]}: counts once."
        else:
            where = " and ".join(places[:3])
            kind, copies = "in two classes", rows
            reason = f"shows the same in two classes ({where}): remove the wrong one."
        left_out += [Remark(pictures.paths[row], kind, reason) for row in copies]
    return pictures[np.sort(np.array(kept, int))], left_out


def place(path):
    """A file below its class folder, as it can be shown."""
    return printable(f"{path.parent.name}/{path.name}")


def _enough(pictures, threshold, left_out, when=""):
    """The pairs that look alike, those in two classes first. DataError where classes have too few
    different pictures, and names them all; or where nearly all of a class look like pictures of
    others. when: what else is to be said of that."""
    found = find_look_alikes(pictures, threshold=threshold)
    few, mixed = _faults(pictures, found)
    if few:
        raise DataError(_too_few(pictures, found, few, left_out) + when)
    if mixed:
        label_of = dict(zip(pictures.paths, pictures.labels.tolist(), strict=True))
        label = pictures.classes.index(mixed[0])
        labels = ({label_of[path] for path in pair[1:]} for pair in found)
        pair = next(
            pair for pair, two in zip(found, labels, strict=True) if label in two and len(two) == 2
        )
        raise DataError(
            f"Nearly all pictures of {printable(mixed[0])} look like some of other classes, as do "
            f"{_told(pair)}: sort them out.{_other_threshold(pictures, found)}{when}"
        )
    found.sort(key=lambda pair: pair[1].parent == pair[2].parent)
    return [(first, second) for _, first, second in found]


def _faults(pictures, found):
    """What keeps classes from being learned and judged: {class: how many different pictures} of
    those with too few, and the classes of which nearly all look like others."""
    keys, few, mixed = groups(pictures, [pair[1:] for pair in found]), {}, []
    for label, name in enumerate(pictures.classes):
        own = pictures.labels == label
        different = {*keys[own].tolist()}
        if len(different) < LEAST:
            few[name] = len(different)
        elif len(different - {*keys[~own].tolist()}) < 2:
            mixed.append(name)
    return few, mixed


def _too_few(pictures, found, few, left_out):
    """What to say of classes with too few different pictures."""
    said, joined = [], []
    for name, count in few.items():
        own = pictures[pictures.labels == pictures.classes.index(name)]
        all_of_it = len(own)
        said.append(f"{printable(name)} {count}")
        if all_of_it > count:
            said[-1] += f" (of {all_of_it}: those that look alike count once)"
            joined += [pair for pair in found if {*own.paths} & {*pair[1:]}]
    text = f"Too few different pictures that can be used: {', '.join(said)}. At least {LEAST} a "
    text += "class are needed, better 40: add pictures of something else, or remove the class."
    if lost := [file for file in left_out if file.path.parent.name in few]:
        text += f" Files left out there: {len(lost)}, such as {lost[0]}"
    if joined:  # the pair that is joined least surely shows best whether that is right
        text += f" The least alike of those that count as one are {_told(min(joined))}."
        text += _other_threshold(pictures, found)
    return text


def _told(pair):
    likeness, *paths = pair
    return f"{' and '.join(map(place, paths))} (likeness {likeness:.3f})"


def _other_threshold(pictures, found):
    """How to have fewer pictures count as one, if there is a threshold at which all is well: the
    lowest just above the likeness of a pair."""
    above = sorted({min(1, math.floor(1000 * likeness + 1) / 1000) for likeness, *_ in found} | {1})

    def is_well(value):
        return not any(_faults(pictures, [pair for pair in found if pair[0] >= value]))

    value = above[min(bisect.bisect_left(above, True, key=is_well), len(above) - 1)]
    if any(_faults(pictures, find_look_alikes(pictures, threshold=value))):
        return ""
    return (
        f" If they show two things, let fewer count as one: make mine ALIKE={value} …, or "
        f"look_through(folder, threshold={value})."
    )


def _undecided(pictures, pairs):
    """What to say of pictures that may be frames of a film or two things, or ""."""
    found = find_undecided(pictures, pairs)
    if found is None:
        return ""
    count, pair = found
    text = (
        f"Not decided: {count} pictures resemble another and differ in places, as do {_told(pair)}."
        " They count as different things. If they are frames of a film, name the files in the order"
        " in which they were taken."
    )
    value = math.floor(100 * pair[0]) / 100
    if value >= LEAST_LIKENESS:
        text += f" If those two show one thing, make mine ALIKE={value} … lets them count as one."
    return text
