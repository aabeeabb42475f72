"""Wrong labels: suspect them by what a head says that has not seen them, keep decisions in a file.

A corrections file is a table (CSV, UTF-8) for people to read and edit: the picture below the data
set's folder, the SHA-256 of its file, the label it was given, "keep", "relabel" or "discard", and
the new label. Pictures themselves are never changed."""

import csv
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from helpers.datasets import find_near_duplicates, groups
from helpers.pictures import TITLES, read_file
from safeguards.whole_files import whole

COLUMNS = ("picture", "sha256", "given", "decision", "new")


class CorrectionsError(ValueError):
    """A corrections file cannot be read, written or used; says which line, and what to do next."""


class _Outdated(CorrectionsError):
    """A decision is about a picture as it was."""


def out_of_fold(features, pictures, folds=5, seed=0, alike=None):
    """What a head says of each picture after learning from others only: float (n, classes), each
    row sums to 1. Standardised logistic regression as in lesson 05 (scikit-learn's
    `cross_val_predict`), over folds with equal shares of each class; pictures that look alike (see
    `find_near_duplicates`) are in the same fold, so that none is judged by its copy.
    features: (n, d) of the `Pictures`, in their order; alike: pairs of paths that look alike, if
    they are known already. ValueError where a class has too few."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    n, labels = len(pictures), pictures.labels
    if len(features) != n:
        raise ValueError(f"{len(features)} rows of features, {n} pictures: give one row a picture.")
    counts = np.bincount(labels, minlength=len(pictures.classes))
    if counts.min(initial=folds) < folds:
        few = pictures.classes[counts.argmin()]
        raise ValueError(
            f"{counts.min()} pictures of {few} for {folds} folds: add pictures, or take fewer "
            "folds."
        )
    together = groups(pictures, find_near_duplicates(pictures) if alike is None else alike)
    alike = len({*together}) < n
    parts = StratifiedGroupKFold if alike else StratifiedKFold
    parts = parts(folds, shuffle=True, random_state=seed)
    parts = list(parts.split(features, labels, together if alike else None))
    for learned, _ in parts:
        if missing := {*range(len(counts))} - {*labels[learned].tolist()}:
            few = pictures.classes[missing.pop()]
            raise ValueError(
                f"Nearly all pictures of {few} look alike: add pictures of something else. If they "
                "show different things, pass alike=find_near_duplicates(pictures, threshold=…), "
                "with a threshold nearer to 1."
            )
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    # Several threads wait for each other over matrices this small, most of all where other programs
    # want the cores as well: tens of times as long was measured.
    with threadpool_limits(1, user_api="blas"):
        return cross_val_predict(head, features, labels, cv=parts, method="predict_proba")


def suspicion(probabilities, labels):
    """How much a given label surprises: minus the logarithm of its probability, float (n,).
    probabilities: (n, classes) of a head that has not learned from the picture; labels: positions
    (n,). The larger, the likelier wrong (or the picture is a hard one)."""
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        found = f"{probabilities.shape} and {labels.shape}"
        raise ValueError(f"Give probabilities (n, classes) and labels (n,), not {found}.")
    n = probabilities.shape[1]
    if labels.dtype.kind not in "iu" or not ((labels >= 0) & (labels < n)).all():
        raise ValueError(f"Labels should be positions of classes, whole numbers in 0…{n - 1}.")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # False of NaN
        raise ValueError("Probabilities should be from 0 to 1: softmax makes them of logits.")
    return -np.log(probabilities[np.arange(len(labels)), labels].clip(1e-12))


def read_corrections(pictures, file):
    """The decisions in a corrections file, oldest first: {position in pictures: its label, or None
    for discard}; a label as it was given means keep. {} where there is no file yet.
    CorrectionsError where a line is no decision, or of a picture that is not there, was changed, or
    has another label by now."""
    file, positions, decisions = Path(file).expanduser(), _positions(pictures), {}
    for number, row in _rows(file):
        try:
            position, label = _decision(pictures, positions, row)
            if position in decisions:
                raise CorrectionsError(f"{row[0]} has a decision already")
        except CorrectionsError as error:
            advice = "Correct or remove the line, or name another file."
            raise CorrectionsError(f"{file}, line {number}: {error}. {advice}") from error
        decisions[position] = label
    return decisions


def retire_corrections(pictures, file):
    """Take out of a corrections file what is about pictures as they were, before somebody tidied:
    gone, changed, in another class folder, to get a label that is no class now → why, a text each.
    The lines are added to NAME_retired.csv beside it. CorrectionsError for other faults of it."""
    file, positions = Path(file).expanduser(), _positions(pictures)
    kept, retired, reasons = [COLUMNS], [], []
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
        older = file.with_stem(f"{file.stem}_retired")
        _write(older, [COLUMNS, *(row for _, row in _rows(older)), *retired])
        _write(file, kept)
    return reasons


def write_corrections(pictures, file, decisions):
    """Replace a corrections file in one step; its folder is made where it is missing.
    decisions: {position in pictures: label, or None to discard}, as `read_corrections` returns.
    CorrectionsError where it cannot be written: what was there before is left as it was."""
    file, classes, rows = Path(file).expanduser(), pictures.classes, [COLUMNS]
    for position, label in decisions.items():
        path, given = pictures.paths[position], pictures.labels[position]
        if label is not None and not 0 <= label < len(classes):
            raise CorrectionsError(
                f"Label {label} of {_place(path)} should be in 0…{len(classes) - 1}."
            )
        decision = "discard" if label is None else "keep" if label == given else "relabel"
        new = classes[label] if decision == "relabel" else ""
        rows.append((_place(path), _digest(path), classes[given], decision, new))
    _write(file, rows)


def _write(file, rows):
    try:
        with (
            whole(file) as part,
            part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as lines,
        ):
            for row in rows:  # a name with a carriage return in it is not quoted by itself
                quoting = csv.QUOTE_ALL if "\r" in "".join(row) else csv.QUOTE_MINIMAL
                csv.writer(lines, lineterminator="\n", quoting=quoting).writerow(row)
    except OSError as error:
        raise CorrectionsError(
            f"{file} cannot be written ({error.strerror}): name a file in a folder of yours."
        ) from error


def kinds_of(pictures, decisions):
    """How many decisions are of each kind: a Counter of "kept", "relabelled" and "discarded".
    decisions: {position in pictures: label, or None to discard}."""
    return Counter(
        "discarded" if label is None
        else "kept" if label == pictures.labels[position] else "relabelled"
        for position, label in decisions.items()
    )  # fmt: skip


def apply_corrections(pictures, file):
    """`Pictures` with the labels of a corrections file and without what it discards; the files stay
    as they are. CorrectionsError as in `read_corrections`, where there is no file, and where a
    class loses all of its pictures."""
    if not Path(file).expanduser().is_file():
        raise CorrectionsError(f"There is no corrections file {file}: check its name and folder.")
    labels, kept = pictures.labels.copy(), np.ones(len(pictures), bool)
    for position, label in read_corrections(pictures, file).items():
        if label is None:
            kept[position] = False
        else:
            labels[position] = label
    lost = {*pictures.labels.tolist()} - {*labels[kept].tolist()}
    if lost:
        name = pictures.classes[lost.pop()]
        raise CorrectionsError(
            f"With the corrections in {file} no picture of {name} is left: remove some lines of it."
        )
    return replace(pictures, name=f"{pictures.name}, corrected", labels=labels)[kept]


def _rows(file):
    """(number, values) of each line of a corrections file but the first, and none without a file;
    CorrectionsError where it is no such file."""
    try:
        # "-sig": spreadsheets begin their files with a mark
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            head, *rows = list(csv.reader(lines, strict=True)) or [()]
    except FileNotFoundError:
        return []
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise CorrectionsError(f"{file} cannot be read ({reason}): name another file.") from error
    if tuple(head) != COLUMNS:
        raise CorrectionsError(
            f"{file} is no corrections file: its first line should be {','.join(COLUMNS)}."
        )
    # Some editors leave a blank line at the end.
    return [(number, row) for number, row in enumerate(rows, start=2) if row]


def _positions(pictures):
    return {_place(path): position for position, path in enumerate(pictures.paths)}


def _place(path):
    """Where a picture lies below its data set's folder: [part/]class/file."""
    part, *rest = path.parts[-3:]
    return "/".join([part, *rest] if part in (*TITLES, "val") else rest)


def _digest(path):
    return sha256(read_file(path)).hexdigest()


def _decision(pictures, positions, row):
    """(position, label or None) of a line; CorrectionsError says why it cannot be used."""
    if len(row) != len(COLUMNS):
        raise CorrectionsError(f"{len(row)} values instead of {len(COLUMNS)}")
    place, digest, given, decision, new = row
    if place not in positions:
        raise _Outdated(f"{place} is not among the pictures of {pictures.name}")
    position, classes = positions[place], pictures.classes
    if digest != _digest(pictures.paths[position]):
        raise _Outdated(f"{place} was changed since")
    if given != (now := classes[pictures.labels[position]]):
        raise _Outdated(f"{place} was labelled {given!r} then, but is {now!r} now")
    if decision == "discard" and not new:
        return position, None
    if decision == "keep" and not new:
        return position, classes.index(given)
    if decision != "relabel":
        raise CorrectionsError(
            f"{decision!r} should be keep or discard, or relabel with a new label"
        )
    if new not in classes:
        raise _Outdated(f"there is no class {new!r}, only {', '.join(classes)}")
    return position, classes.index(new)
