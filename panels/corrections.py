"""The corrections file: what a person decided about suspected labels.

It's a table (CSV, UTF-8) for people to read and edit. Each line holds the picture's
path below the data set's folder, the SHA-256 of its file, the label it was given,
"keep", "relabel" or "discard", and the new label. The pictures themselves are never
changed."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from safeguards.folders import TITLES, file_digest
from safeguards.whole_files import atomic_write

COLUMNS = ("picture", "sha256", "given", "decision", "new")


class CorrectionsError(ValueError):
    """A corrections file can't be read, written or used; says why and what to do."""


class _Outdated(CorrectionsError):
    """A decision is about a picture as it was."""


def read_corrections(pictures, file):
    """The decisions in a corrections file, oldest first: {position in pictures: label}.
    The label is None for discard, and the given one for keep. {} where there is no file
    yet. CorrectionsError where a line is no decision, or is about a picture that's
    missing, has been changed, or has another label by now."""
    file = Path(file).expanduser()
    positions = _positions(pictures)
    decisions = {}
    for number, row in _rows(file):
        try:
            position, label = _decision(pictures, positions, row)
            if position in decisions:
                raise CorrectionsError(f"{row[0]} has a decision already")
        except CorrectionsError as error:
            advice = "Correct or remove the line, or name another file."
            message = f"{file}, line {number}: {error}. {advice}"
            raise CorrectionsError(message) from error
        decisions[position] = label
    return decisions


def retire_corrections(pictures, file):
    """Take out the decisions that fit no longer, since somebody tidied up.
    Their pictures are gone, changed, in another class folder, or were to get a label
    that's no class now. The lines are added to NAME_retired.csv beside the file.
    Returns the reasons, a text each. CorrectionsError where a file can't be read or
    written; `read_corrections` tells of other faults."""
    file = Path(file).expanduser()
    positions = _positions(pictures)
    kept = []
    retired = []
    reasons = []
    for _, row in _rows(file):
        try:
            _decision(pictures, positions, row)
        except _Outdated as outdated:
            reasons.append(str(outdated))
            retired.append(row)
            continue
        except CorrectionsError:
            pass  # for `read_corrections` to tell
        kept.append(row)
    if retired:
        retired_file = file.with_stem(f"{file.stem}_retired")
        older = [row for _, row in _rows(retired_file)]
        _write(retired_file, older + retired)
        _write(file, kept)
    return reasons


def write_corrections(pictures, file, decisions):
    """Replace a corrections file in one step; its folder is made where it's missing.
    decisions: {position in pictures: label, or None to discard}, as `read_corrections`
    returns them. CorrectionsError where it can't be written: the old file stays."""
    file = Path(file).expanduser()
    classes = pictures.classes
    rows = []
    for position, label in decisions.items():
        path = pictures.paths[position]
        if label is not None and not 0 <= label < len(classes):
            last = len(classes) - 1
            raise CorrectionsError(
                f"Label {label} of {_name_in_set(path)} should be in 0…{last}."
            )
        given = pictures.labels[position]
        new_class = ""
        if label is None:
            decision = "discard"
        elif label == given:
            decision = "keep"
        else:
            decision = "relabel"
            new_class = classes[label]
        row = (_name_in_set(path), _digest(path), classes[given], decision, new_class)
        rows.append(row)
    _write(file, rows)


def kinds_of(pictures, decisions):
    """A Counter of how many decisions are "kept", "relabelled" and "left out".
    decisions: {position in pictures: label, or None to discard}."""
    kinds = Counter()
    for position, label in decisions.items():
        if label is None:
            kinds["left out"] += 1
        elif label == pictures.labels[position]:
            kinds["kept"] += 1
        else:
            kinds["relabelled"] += 1
    return kinds


def apply_corrections(pictures, file):
    """`Pictures` with a file's new labels and without what it discards.
    The pictures' files stay as they are. CorrectionsError as for `read_corrections`,
    where there is no file, and where a class would lose all of its pictures."""
    if not Path(file).expanduser().is_file():
        raise CorrectionsError(
            f"There is no corrections file {file}: check its name and folder."
        )
    labels = pictures.labels.copy()
    kept = np.ones(len(pictures), bool)
    for position, label in read_corrections(pictures, file).items():
        if label is None:
            kept[position] = False
        else:
            labels[position] = label
    emptied = set(pictures.labels.tolist()) - set(labels[kept].tolist())
    if emptied:
        name = pictures.classes[emptied.pop()]
        raise CorrectionsError(
            f"With the corrections in {file} no picture of {name} is left: remove "
            "some lines of it."
        )
    return replace(pictures, name=f"{pictures.name}, corrected", labels=labels)[kept]


def _write(file, rows):
    """Replace a corrections file by these rows under the head line, in one step."""
    try:
        with (
            atomic_write(file) as unfinished,
            # "surrogateescape": a file's name may be no UTF-8
            unfinished.open(
                "w", newline="", encoding="utf-8", errors="surrogateescape"
            ) as lines,
        ):
            for row in [COLUMNS, *rows]:
                # A carriage return in a name isn't quoted by itself.
                carriage_return = "\r" in "".join(row)
                quoting = csv.QUOTE_ALL if carriage_return else csv.QUOTE_MINIMAL
                writer = csv.writer(lines, lineterminator="\n", quoting=quoting)
                writer.writerow(row)
    except OSError as error:
        raise CorrectionsError(
            f"{file} cannot be written ({error.strerror}): name a file in a folder of "
            "yours."
        ) from error


def _rows(file):
    """(line number, values) of each line below the head; none where there is no file.
    CorrectionsError where it's no corrections file."""
    try:
        # "-sig": spreadsheets begin their files with a mark.
        with file.open(
            newline="", encoding="utf-8-sig", errors="surrogateescape"
        ) as lines:
            rows = list(csv.reader(lines, strict=True))
    except FileNotFoundError:
        return []
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise CorrectionsError(
            f"{file} cannot be read ({reason}): name another file."
        ) from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise CorrectionsError(
            f"{file} is no corrections file: its first line should be "
            f"{','.join(COLUMNS)}."
        )
    # Some editors leave a blank line at the end.
    return [(number, row) for number, row in enumerate(rows[1:], start=2) if row]


def _positions(pictures):
    """The position of each picture by its name in the set."""
    names = map(_name_in_set, pictures.paths)
    return {name: position for position, name in enumerate(names)}


def _name_in_set(path):
    """A picture's path below its data set's folder: [train/]class/file."""
    split = path.parent.parent.name
    name = f"{path.parent.name}/{path.name}"
    return f"{split}/{name}" if split in (*TITLES, "val") else name


def _digest(path):
    return file_digest(path).hex()


def _decision(pictures, positions, row):
    """(position, label or None) of a line; CorrectionsError says what's wrong."""
    if len(row) != len(COLUMNS):
        raise CorrectionsError(f"{len(row)} values instead of {len(COLUMNS)}")
    name, digest, given, decision, new_class = row
    if name not in positions:
        raise _Outdated(f"{name} is not there any more")
    position = positions[name]
    classes = pictures.classes
    if digest != _digest(pictures.paths[position]):
        raise _Outdated(f"{name} was changed since")
    label_now = classes[pictures.labels[position]]
    if given != label_now:
        raise _Outdated(f"{name} was labelled {given!r} then, but is {label_now!r} now")
    if decision == "discard" and not new_class:
        return position, None
    if decision == "keep" and not new_class:
        return position, classes.index(given)
    if decision != "relabel":
        raise CorrectionsError(
            f"{decision!r} should be keep or discard, or relabel with a new label"
        )
    if new_class not in classes:
        raise _Outdated(f"there is no class {new_class!r}, only {', '.join(classes)}")
    return position, classes.index(new_class)
