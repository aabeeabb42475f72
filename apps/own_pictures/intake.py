"""What somebody's folder of pictures holds.

Every file is tried before anything learns from it. For each that can't be used, a line
says why. The files stay as they are."""

import bisect
import math
import statistics
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from apps.sharing.cards import write_card
from helpers.datasets import find_near_duplicates, groups
from helpers.pictures import Pictures, fingerprint, listed
from panels.corrections import (
    apply_corrections,
    kinds_of,
    read_corrections,
    retire_corrections,
)
from safeguards.folders import (
    DataError,
    check_class_names,
    name_of,
    part_of,
    visible,
)
from safeguards.look_alikes import (
    ALIKE,
    SHORTEST,
    SMALLEST,
    is_tiny,
    turned_pairs,
    undecided,
)
from safeguards.pictures import MAX_BYTES, TOO_LARGE_ADVICE
from safeguards.progress import progress_bar
from safeguards.text import counted, plain, printable

LEAST = 8  # different pictures a class: folds need five to learn from, and some others
# Of these, as many look like none of another class. Seven tenths of them are to learn
# from, and `out_of_fold` needs five; others may all be among those to judge by.
LEAST_OWN = 7
LIKENESS = ALIKE  # of two pictures that count as one, see `find_near_duplicates`
LEAST_LIKENESS = 0.5  # that may be asked for
NAMED = 3  # of the files that show the same in two classes, or one of each class
MOST_LINES = 20  # about single files; the lists have all
MOST_NAMED = 3  # of the pictures with a decision, of each kind
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".rar", ".7z")

# Kinds of files that are left out though they can be read
COPY = "copy"
IN_TWO = "in two classes"


class Remark(NamedTuple):
    """What there is to say of a file.

    kind: the kind of fault.
    reason: how a sentence goes on that begins with the file's name."""

    path: Path
    kind: str
    reason: str

    def __str__(self):
        return f"{place(self.path)} {self.reason}"


class Intake(NamedTuple):
    """What `look_through` found in a folder.

    pictures: the `Pictures` that can be used, each once, their labels as decided.
    left_out: a `Remark` on every other file.
    doubtful: a `Remark` on each that is used, but may not show what was meant.
    alike: the pairs of paths in `pictures` that look alike, those in two classes first.
    undecided: what pixels couldn't decide, a text, or "" for nothing.
    given: the pictures before decisions.
    decided: {position in `given`: label, or None for discard}.
    retired: why earlier decisions hold no longer, a text each.
    joined_in_words: how many count as one and what may be wrong with that, some lines,
        or "" for nothing.
    likeness: of each pair in `alike`.
    unsure: the (likeness, path, path) of pairs that pixels couldn't decide."""

    pictures: Pictures
    left_out: list
    doubtful: list
    alike: list
    undecided: str
    given: Pictures
    decided: dict
    retired: list
    joined_in_words: str = ""
    likeness: tuple = ()
    unsure: tuple = ()

    @property
    def kinds(self):
        """How many files were left out for which kind of fault, as a text."""
        return _counted(Counter(file.kind for file in self.left_out))

    @property
    def decisions(self):
        """How many labels somebody decided on, and how, as a text."""
        return _counted(kinds_of(self.given, self.decided))

    @property
    def decided_paths(self):
        """The files whose label somebody decided on, a set of paths."""
        return {self.given.paths[position] for position in self.decided}

    def decided_in(self, pictures):
        """How many of these pictures have a label that somebody decided on."""
        return len(self.decided_paths.intersection(pictures.paths))


def look_through(folder, threshold=LIKENESS, corrections=None):
    """Look at every file below a folder of class folders → `Intake`.

    Left out are files that are no pictures, damaged or too large, copies (the first one
    stays), and pictures that lie in two classes, as nobody knows which is right.

    threshold: from which likeness on two pictures count as one, as in
        `find_near_duplicates`; from 1 on only copies do.
    corrections: a corrections file (see `panels.corrections`). If there is one, it's
        applied, after `retire_corrections`.

    Raises a DataError if there's no such folder, it has another form, or a class has
    fewer than LEAST different pictures; a CorrectionsError for a file that is damaged
    or would use up every picture of a class."""
    folder = _checked_folder(folder)
    listed_pictures, left_out = _listed(folder)
    readable, unreadable = _readable(listed_pictures)
    once, copies = _without_copies(readable)
    left_out += unreadable
    left_out += copies
    pairs = _checked_pairs(once, threshold, left_out)
    pictures = once
    decided = {}
    retired = []
    if corrections is not None and Path(corrections).exists():
        retired = retire_corrections(once, corrections)
        # Corrected or not, it's the same folder: its name goes into cards and pages.
        pictures = replace(apply_corrections(once, corrections), name=once.name)
        decided = read_corrections(once, corrections)
        when = f" This is so after the decisions in {corrections}."
        pairs = _checked_pairs(pictures, threshold, left_out, when)
    resembling, unsure = _unsure(pictures, pairs)
    used = set(pictures.paths)
    doubtful = _doubtful(path for path in once.paths if path in used)
    return Intake(
        pictures=pictures,
        left_out=left_out,
        doubtful=doubtful,
        alike=[pair[1:] for pair in pairs],
        undecided=_undecided(pictures, pairs, threshold, resembling, unsure),
        given=once,
        decided=decided,
        retired=retired,
        joined_in_words=_joined_in_words(pictures, pairs),
        likeness=tuple(pair[0] for pair in pairs),
        unsure=tuple(unsure),
    )


def write_lists(found, results):
    """Write left_out.txt and look_alike.txt, a line for each file or pair."""
    alike = []
    for likeness, pair in zip(found.likeness, found.alike, strict=True):
        alike.append(_described((likeness, *pair)))
    for pair in found.unsure:
        alike.append(f"not decided: {_described(pair)}")
    lists = {
        "left_out.txt": [str(remark) for remark in found.left_out],
        "look_alike.txt": alike,
    }
    for name, lines in lists.items():
        text = "".join(f"{line}\n" for line in lines)
        (results / name).write_text(text, encoding="utf-8")


def told(found):
    """What there is to say of a folder, in lines; of many files the first."""
    pictures = found.pictures
    counts = np.bincount(pictures.labels, minlength=len(pictures.classes))
    classes = [
        f"{printable(name)} {count}"
        for name, count in zip(pictures.classes, counts, strict=True)
    ]
    lines = [
        f"{printable(pictures.name)}: {len(pictures)} pictures, {', '.join(classes)}",
        f"copies and files that can't be used: {found.kinds}",
    ]
    lines += map(str, found.left_out[:MOST_LINES])
    for remark in found.doubtful[:MOST_LINES]:
        lines.append(f"used, but look at it: {remark}")
    lines.append(decided_in_words(found) or "labels decided on: none")
    for reason in found.retired:
        lines.append(
            f"a decision that isn't needed or doesn't apply any more: {reason} (kept "
            "in my_corrections_retired.csv)"
        )
    return "\n".join(lines)


def decided_in_words(found, judged=None):
    """What somebody decided on labels, a sentence with the first names; or "".

    judged: the `Pictures` that the accuracy comes from, to say where that may be too
    high: only labels that an answer contradicted were looked at."""
    if not found.decided:
        return ""
    given = found.given
    changed = []
    left_out = []
    judging = {} if judged is None else set(judged.paths)
    flattered = False
    for position, label in found.decided.items():
        file = printable(given.paths[position].name)
        before = given.labels[position]
        if label is None:
            left_out.append(file)
            flattered = bool(judging)  # nobody knows any more whether it would judge
        elif label != before:
            names = f"{given.classes[before]} → {given.classes[label]}"
            changed.append(f"{file}: {printable(names)}")
            flattered = flattered or given.paths[position] in judging
    parts = []
    kept = len(found.decided) - len(changed) - len(left_out)
    if kept:
        parts.append(f"{kept} kept")
    for what, texts in {"relabelled": changed, "left out": left_out}.items():
        if texts:
            parts.append(f"{len(texts)} {what} ({_named(texts)})")
    labels = counted(len(found.decided), "label")
    text = f"You decided on {labels}: {', '.join(parts)}."
    if flattered:
        text += (
            " Only labels that an answer contradicted were looked at, so the accuracy "
            "may come out a little too high. The model card says so."
        )
    return text


def changes_in_words(found, earlier):
    """What changed in the folder since an earlier run, a sentence, with the first files
    that lie in another class's folder now; or "".

    found: an `Intake`; earlier: names of files then, such as "cats/1.jpg"; none at a
    first run. A file of which there were two by that name isn't followed."""
    if not earlier:
        return ""
    then = set(earlier)
    names = {name_of(path) for path in found.pictures.paths}
    gone = {}  # {a file's name: the folders that it's no longer in}
    for name in then - names:
        folder, file = name.split("/", 1)
        gone.setdefault(file, []).append(folder)
    new = sorted(names - then)
    moves = []
    for name in new:
        folder, file = name.split("/", 1)
        if len(gone.get(file, ())) == 1:
            moves.append(printable(f"{file}: {gone[file][0]} → {folder}"))
    n_gone = len(then - names) - len(moves)
    n_new = len(new) - len(moves)
    parts = []
    if moves:
        parts.append(f"{counted(len(moves), 'picture')} moved ({_named(moves)})")
    if n_new:
        parts.append(f"{counted(n_new, 'picture')} new")
    if n_gone:
        parts.append(f"{counted(n_gone, 'picture')} no longer used")
    return f"Since the last run: {', '.join(parts)}." if parts else ""


def _named(texts):
    """The first of some texts, and how many more there are."""
    more = len(texts) - MOST_NAMED
    return "; ".join([*texts[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def data_card(intake, path, parts):
    """Write a data card, Markdown, from what was counted (Gebru et al. 2021) → its
    path.

    parts: {name: `Pictures`} that its pictures were split into. What can't be counted
    is marked for whoever took the pictures to fill in; see `write_card`."""
    pictures = intake.pictures
    names = [plain(name) for name in pictures.classes]
    widths = []
    heights = []
    formats = Counter()
    total_bytes = 0
    for file in pictures.paths:
        kind, width, height = fingerprint(file).stored
        widths.append(width)
        heights.append(height)
        formats[kind] += 1
        total_bytes += file.stat().st_size
    decided = []
    for name, part_pictures in parts.items():
        decided.append(f"{intake.decided_in(part_pictures)} of them {name}")
    text = CARD.format(
        name=plain(pictures.name),
        parts=" | ".join(parts),
        lines=" | ".join("---" for _ in parts),
        rows="\n".join(_card_rows(names, parts)),
        n=len(pictures),
        formats=_counted(formats),
        megabytes=total_bytes / 1e6,
        left=len(intake.left_out),
        kinds=intake.kinds,
        doubtful=len(intake.doubtful),
        decided=len(intake.decided),
        decisions=intake.decisions,
        places=", ".join(decided),
        alike=len(intake.alike),
        width=_range(widths),
        height=_range(heights),
    )
    return write_card(path, text)


def _card_rows(names, parts):
    """A row of the card's table for each class: how many pictures each part has."""
    counts = []
    for pictures in parts.values():
        counts.append(np.bincount(pictures.labels, minlength=len(names)))
    for label, name in enumerate(names):
        cells = " | ".join(str(count[label]) for count in counts)
        yield f"| {name} | {cells} |"


CARD = """# {name}: data card

Every figure here was counted. **TO FILL IN** marks what only the photographer can know;
what you write there is kept when the card is made again.

| class | {parts} |
| --- | {lines} |
{rows}

| | |
| --- | --- |
| pictures that were used | {n}: {formats}; {megabytes:.1f} MB |
| width in pixels, as stored | {width} |
| height in pixels, as stored | {height} |
| pairs that look alike | {alike}; pictures that look alike are in the same part |
| copies and files that can't be used | {left}: {kinds} |
| used, but perhaps read wrongly | {doubtful} |
| labels that a person decided on | {decided}: {decisions}; {places} |

## Where it comes from
<!-- to fill in: origin -->
**TO FILL IN:** who took the pictures, when, where and with what; whose they are and on
what terms; whether people can be recognised and have agreed; who gave the labels, and
how.
<!-- end -->

## What it does not show
<!-- to fill in: missing -->
**TO FILL IN:** which kinds, places, light, seasons, devices and people are missing;
whether one class was photographed in other places or with another camera than the
others: then a model learns the place or the camera.
<!-- end -->
"""


def _counted(kinds):
    """A `Counter` as a text, the most frequent first."""
    counts = [f"{count} {kind}" for kind, count in kinds.most_common()]
    return ", ".join(counts) or "none"


def _range(values):
    median = statistics.median(values)
    return f"{min(values)} to {max(values)}, median {median:g}"


def _checked_folder(folder):
    """The path of a folder; DataError where there is none."""
    if not str(folder).strip():
        raise DataError(
            "No folder was named: pass the path of a folder of class folders."
        )
    try:
        folder = Path(folder).expanduser().resolve()
    except RuntimeError as error:  # as for ~somebody
        raise DataError(
            f"“{folder}” names no folder: there is no such user here."
        ) from error
    shown = printable(str(folder))
    if folder.is_dir():
        return folder
    if not folder.exists():
        raise DataError(f"There is no folder “{shown}”: check its name and place.")
    if folder.suffix.lower() in ARCHIVES or zipfile.is_zipfile(folder):
        raise DataError(
            f"{shown} is an archive: unpack it, and pass the folder that comes out."
        )
    raise DataError(f"{shown} is a file: pass the folder of class folders.")


def _listed(folder):
    """(the `Pictures` in a folder, a list of `Remark`s on files in no class folder)."""
    try:
        _check_not_split(folder)
        pictures = listed(printable(folder.name), folder)
        stray = [path for path in visible(folder) if not path.is_dir()]
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}): check its rights."
        ) from error
    for name in pictures.classes:
        if printable(name) != name:
            raise DataError(
                f"The class folder {printable(name)!r} has a name that cannot be "
                "shown: rename it."
            )
    kind = "in no class folder"
    reason = "lies in no class folder: is it a picture of one?"
    return pictures, [Remark(path, kind, reason) for path in stray]


def _check_not_split(folder):
    """DataError where a folder holds train, test and so on instead of classes."""
    names = [path.name for path in visible(folder) if part_of(path)]
    if len(names) > 1:
        check_class_names(folder)
        raise DataError(
            f"{printable(str(folder))} is in parts already ({', '.join(names)}): put "
            "the pictures of each class together in one folder; they are split here, "
            "so that pictures that look alike stay together."
        )


def _readable(pictures):
    """(the pictures that can be read, a list of `Remark`s on the others)."""
    faults = {}
    with (
        progress_bar(len(pictures), f"reading {pictures.name}", delay=2) as bar,
        ThreadPoolExecutor(2) as pool,  # decoding leaves Python's lock to others
    ):
        results = pool.map(_fault, pictures.paths)
        for path, fault in zip(pictures.paths, results, strict=True):
            faults[path] = fault
            bar.update()
    remarks = []
    for path, fault in faults.items():
        if fault:
            remarks.append(Remark(path, "unreadable", fault))
    is_good = np.array([not faults[path] for path in pictures.paths], bool)
    return pictures[is_good], remarks


def _fault(path):
    """Why a file can't be used, to follow its name in a sentence; or None."""
    try:
        if not path.is_file():
            return "is no file, or a link that leads nowhere."
        if path.stat().st_size > MAX_BYTES:
            return f"cannot be used. {TOO_LARGE_ADVICE}"
        fingerprint(path)
    except DataError as error:
        return str(error).removeprefix(f"{path} ")
    except OSError as error:  # of stat, as in a folder that may be listed, not entered
        return f"cannot be read ({error.strerror}): check its rights."
    return None


def _doubtful(paths):
    """A `Remark` on each readable picture that may not show what was meant."""
    remarks = []
    for path in paths:
        for reason in fingerprint(path).doubts:
            remarks.append(Remark(path, "doubtful", reason))
    return remarks


def _without_copies(pictures):
    """(the pictures without copies and those in two classes, `Remark`s on these)."""
    same = {}  # the positions of the pictures that show the same
    for position, key in enumerate(groups(pictures)):
        same.setdefault(key, []).append(position)
    kept = []
    left_out = []
    for positions in same.values():
        first_of = {}  # class → its first picture
        for position in positions:
            first_of.setdefault(int(pictures.labels[position]), position)
        if len(first_of) == 1:
            kept.append(positions[0])
            left = positions[1:]
            kind = COPY
            first = place(pictures.paths[positions[0]])
            reason = f"shows the same as {first}: counts once."
        else:
            left = positions
            kind = IN_TWO
            named = dict.fromkeys([*first_of.values(), *positions])
            named = list(named)[: max(NAMED, len(first_of))]
            where = " and ".join(place(pictures.paths[i]) for i in sorted(named))
            reason = f"shows the same in two classes ({where}): remove the wrong one."
        for position in left:
            path = pictures.paths[position]
            # That may be why it seems to show the same.
            doubts = [f" It {doubt}" for doubt in fingerprint(path).doubts]
            left_out.append(Remark(path, kind, "".join([reason, *doubts])))
    return pictures[np.sort(np.array(kept, int))], left_out


def place(path):
    """A file below its class folder, as it can be shown."""
    return printable(name_of(path))


def _checked_pairs(pictures, threshold, left_out, when=""):
    """The (likeness, path, path) of pairs that look alike, those in two classes first.

    Raises a DataError, which names them all, if classes have too few different
    pictures, or too few that look like none of another class. when: a sentence to add
    to what the error says."""
    pairs = _look_alikes(pictures, threshold)
    few, mixed = _faulty_classes(pictures, pairs)
    if few:
        text = _too_few(pictures, pairs, few, left_out)
        raise DataError(text + when)
    label_of = _label_of(pictures)
    pairs.sort(key=lambda pair: label_of[pair[1]] == label_of[pair[2]])
    if mixed:
        name = next(iter(mixed))
        own, different = mixed[name]
        label = pictures.classes.index(name)
        pair = next(
            pair for pair in pairs if label in (label_of[pair[1]], label_of[pair[2]])
        )
        raise DataError(
            f"Different pictures of {printable(name)} that look like none of another "
            f"class: {own} of {different}, but at least {LEAST_OWN} are needed. Sort "
            f"out those that look alike in two classes, as do {_described(pair)}."
            f"{_doubts_in_words(pair[1:])}{_to_use_all(pictures, pairs)}{when}"
        )
    return pairs


def _look_alikes(pictures, threshold):
    """The (likeness, path, path) of the pairs that look alike."""
    return find_near_duplicates(pictures, threshold=threshold, return_likeness=True)


def _faulty_classes(pictures, pairs):
    """The classes that can't be learned and judged, as two dicts.

    {class: how many different pictures} of those with too few; and {class: (how many
    look like none of another class, how many there are)} where these are too few."""
    keys = groups(pictures, [pair[1:] for pair in pairs])
    few = {}
    mixed = {}
    for label, name in enumerate(pictures.classes):
        is_own = pictures.labels == label
        own_keys = set(keys[is_own].tolist())
        other_keys = set(keys[~is_own].tolist())
        if len(own_keys) < LEAST:
            few[name] = len(own_keys)
        elif len(own_keys - other_keys) < LEAST_OWN:
            mixed[name] = len(own_keys - other_keys), len(own_keys)
    return few, mixed


def _label_of(pictures):
    """{path: label}."""
    return dict(zip(pictures.paths, pictures.labels.tolist(), strict=True))


def _too_few(pictures, pairs, few, left_out):
    """What to say of classes with too few different pictures."""
    counts = []
    joined = []  # the pairs that make pictures count as one
    for name, different in few.items():
        own = pictures[pictures.labels == pictures.classes.index(name)]
        count = f"{printable(name)} {different}"
        if len(own) > different:
            count += f" (of {len(own)}: those that look alike count once)"
            own_paths = set(own.paths)
            joined += [pair for pair in pairs if own_paths.intersection(pair[1:])]
        counts.append(count)
    text = (
        f"Too few different pictures that can be used: {', '.join(counts)}. "
        f"At least {LEAST} a class are needed, better 40: add pictures that show "
        "something else, or remove the class."
    )
    lost = [remark for remark in left_out if remark.path.parent.name in few]
    if lost:
        text += f" Files left out there: {len(lost)}, such as {lost[0]}"
    alike = [remark.path for remark in lost if remark.kind in (COPY, IN_TWO)]
    if joined:
        # The pair that is joined least surely shows best whether that is right.
        least_alike = min(joined)
        text += " The least alike of those that count as one are "
        text += f"{_described(least_alike)}."
        alike += least_alike[1:]
    text += _doubts_in_words(alike, text)
    if joined:
        text += _to_use_all(pictures, pairs)
    return text


def _doubts_in_words(paths, said=""):
    """Why pictures that look alike may show two things nevertheless; or "" where that
    was said, or there is no doubt."""
    doubtful = _doubtful(paths)
    if not doubtful or doubtful[0].reason in said:
        return ""
    return f" Look at it: {doubtful[0]}"


def _described(pair):
    likeness, first, second = pair
    how = " by the order of their files alone" if likeness == ALIKE else ""
    likeness = math.floor(1000 * likeness) / 1000  # less than what parts them
    return f"{place(first)} and {place(second)} (likeness {likeness:.3f}{how})"


def _threshold_for(is_well, pictures, pairs):
    """The lowest threshold, just above the likeness of a pair, at which `is_well` is
    true of the pairs that look alike then; None where it is at none."""
    if not is_well([]):
        return None
    while True:
        threshold = _next_threshold(is_well, pairs)
        # Pictures that were joined by way of others may be alike themselves, too.
        pairs = _look_alikes(pictures, threshold)
        if is_well(pairs):
            return threshold


def _next_threshold(is_well, pairs):
    """The lowest threshold, just above the likeness of a pair, at which `is_well` is
    true of those of the pairs that are left. It is so where none are, from 1 on."""
    above = {math.floor(1000 * likeness + 1) / 1000 for likeness, *_ in pairs}
    thresholds = sorted(threshold for threshold in above if threshold < 1) + [1]

    def is_well_from(threshold):
        left = [pair for pair in pairs if pair[0] >= threshold]
        return threshold == 1 or is_well(left)

    return thresholds[bisect.bisect_left(thresholds, True, key=is_well_from)]


def _to_use_all(pictures, pairs):
    """How to let fewer pictures count as one, if some threshold then makes all well."""

    def is_well(pairs):
        return not any(_faulty_classes(pictures, pairs))

    threshold = _threshold_for(is_well, pictures, pairs)
    if threshold is None:
        return ""
    return (
        " If they show two things, let fewer count as one: make mine "
        f"ALIKE={threshold} …, or look_through(folder, threshold={threshold}); "
        f"{_at(threshold, pictures, pairs)}."
    )


def _are_one(pictures, pair, pairs):
    """Whether those of a pair count as one where these pairs look alike."""
    keys = groups(pictures, [pair[1:] for pair in pairs])
    key_of = dict(zip(pictures.paths, keys, strict=True))
    return key_of[pair[1]] == key_of[pair[2]]


def _count_as_one(pictures, pairs):
    """{text of `groups`: how many pictures count as one}, the most first."""
    keys = groups(pictures, [pair[1:] for pair in pairs]).tolist()
    return {key: count for key, count in Counter(keys).most_common() if count > 1}


def _joined_in_words(pictures, pairs):
    """How many pictures count as one; and of each kind of pairs, the riskiest first,
    how many there are, the least alike, and how to part these, or all in two classes.
    "" for none."""
    if not pairs:
        return ""
    counts = list(_count_as_one(pictures, pairs).values())
    lines = [
        f"{sum(counts)} of {len(pictures)} pictures count as one with another. Groups: "
        f"{len(counts)}, the largest of {counts[0]}. look_alike.txt lists the pairs, "
        "each with its likeness: to part several at once, choose an ALIKE just above "
        "that of the most alike pair that's wrong, and look again."
    ]
    label_of = _label_of(pictures)
    in_two_classes = []
    in_order = []
    others = []
    for pair in pairs:
        if label_of[pair[1]] != label_of[pair[2]]:
            in_two_classes.append(pair)
        elif pair[0] == ALIKE:
            in_order.append(pair)
        else:
            others.append(pair)
    for kind, found in {
        "in two classes, so a label may be wrong": in_two_classes,
        "taken for frames of a film": in_order,
        "alike by their pixels": others,
    }.items():
        if found:
            least = min(found)
            line = f"Pairs {kind}: {len(found)}, the least alike {_described(least)}."
            line += _to_part(pictures, least, pairs)
            if found is in_two_classes and len(found) > 1:
                line += _to_part_classes(pictures, pairs)
            lines.append(line)
    return "\n".join(lines)


def _to_part(pictures, pair, pairs):
    """How to let the two of a pair count as two."""

    def is_well(pairs):
        return not _are_one(pictures, pair, pairs)

    threshold = _threshold_for(is_well, pictures, pairs)
    return (
        f" If these show two things, make mine ALIKE={threshold} … parts them; "
        f"{_at(threshold, pictures, pairs)}."
    )


def _to_part_classes(pictures, pairs):
    """How to let no picture count as one with one of another class."""

    def is_well(pairs):
        keys = groups(pictures, [pair[1:] for pair in pairs]).tolist()
        classes = set(zip(keys, pictures.labels.tolist(), strict=True))
        return len(classes) == len(set(keys))

    threshold = _threshold_for(is_well, pictures, pairs)
    return (
        f" If all of them do, make mine ALIKE={threshold} … parts all; "
        f"{_at(threshold, pictures, pairs)}."
    )


def _at(threshold, pictures, pairs):
    """What else another threshold does, to end a sentence. pairs: those that look alike
    at the threshold of now."""
    others = _look_alikes(pictures, threshold)
    count = sum(_count_as_one(pictures, others).values())
    text = f"{count} of {len(pictures)} pictures then count as one with another"
    if threshold > ALIKE and any(pair[0] == ALIKE for pair in pairs):
        text += ", and films are no longer told by their order"
    return text


def _unsure(pictures, pairs):
    """How many pictures resemble another and differ in places, and the (likeness, path,
    path) of those that some threshold might join, the most alike first."""
    looks = [fingerprint(path).look for path in pictures.paths]
    count, found = undecided(looks, groups(pictures, [pair[1:] for pair in pairs]))
    unsure = []
    for likeness, first, second in found:
        if not unsure or likeness >= LEAST_LIKENESS:
            unsure.append((likeness, pictures.paths[first], pictures.paths[second]))
    return count, unsure


def _undecided(pictures, pairs, threshold, resembling, unsure):
    """What to say of pictures that may be of one thing or two, or "".

    resembling, unsure: as from `_unsure`."""
    looks = [fingerprint(path).look for path in pictures.paths]
    sentences = []
    tiny = sum(map(is_tiny, looks))
    if tiny:
        have = "has" if tiny == 1 else "have"
        sentences.append(
            f"Of the pictures, {tiny} {have} fewer than {SMALLEST} x {SMALLEST} "
            "pixels: of these, only exact copies count as one."
        )
    keys = groups(pictures, [pair[1:] for pair in pairs])
    turned = turned_pairs(looks, keys)
    if turned:
        count = len({position for pair in turned for position in pair})
        first, second = (place(pictures.paths[position]) for position in turned[0])
        sentences.append(
            f"Mirrored or turned: {count} pictures show the same as another that was "
            f"mirrored or turned, such as {first} and {second}. They count as "
            "different things: remove one of each two."
        )
    most = max(Counter(path.parent for path in pictures.paths).values())
    if threshold > ALIKE and most >= SHORTEST:
        sentences.append(
            f"Above a likeness of {ALIKE}, frames of a film aren't looked for: some "
            "may be learned from, and others of the same film judged by."
        )
    if not unsure:
        return " ".join(sentences)
    pair = unsure[0]
    how = "resemble another and differ"
    if resembling == 1:
        how = "resembles another and differs"
    sentences.append(
        f"Not decided: {counted(resembling, 'picture')} {how} in places, as do "
        f"{_described(pair)}. They count as different things. look_alike.txt ends "
        "with such pairs."
    )
    label_of = _label_of(pictures)
    is_of_one_class = label_of[pair[1]] == label_of[pair[2]]
    if is_of_one_class and threshold <= LIKENESS:  # stricter, nothing counts as a film
        sentences.append(
            "Frames of a film are recognised only by the order of their names or "
            f"times, in a class folder of {SHORTEST} or more; these two weren't."
        )
    advice = "keep one of them."
    lower = math.floor(100 * pair[0]) / 100
    # Whoever asks for a stricter one has parted some.
    is_lower = LEAST_LIKENESS <= lower < threshold <= LIKENESS
    if is_of_one_class and is_lower:
        lower_pairs = _look_alikes(pictures, lower)
        # Steps of a series are joined by no threshold, or only with all others.
        if _are_one(pictures, pair, lower_pairs) and not any(
            _faulty_classes(pictures, lower_pairs)
        ):
            advice = (
                f"make mine ALIKE={lower} … lets them count as one; "
                f"{_at(lower, pictures, pairs)}. To join more of the pairs, choose the "
                "likeness of the last that shows one thing."
            )
    sentences.append(f"If those two show one thing, {advice}")
    return " ".join(sentences)
