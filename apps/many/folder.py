"""Predictions for a folder of pictures, however many: one row a picture in a CSV file.

Memory holds a few batches and the file names of one folder at a time, never all pictures or rows.
Rows are only ever added at the end, so whatever stops a run, the next one goes on from there."""

import csv
import errno
import os
import stat
import time
import warnings
from array import array
from bisect import bisect_left
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from threading import Semaphore
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from helpers.images import resize
from helpers.labels import decode
from helpers.models import Classifier, load_classifier
from helpers.pictures import NO_PICTURES
from helpers.training import progress_bar
from safeguards.keys import undescribed
from safeguards.pictures import UNREACHABLE, ImageError
from safeguards.whole_files import whole

ABOUT = "path", "bytes", "modified", "model", "error"
FORMULA = "=+-@\t\r"  # a spreadsheet runs what begins with one of these
AT_ONCE = 2  # batches in the network: one alone leaves cores idle between its layers


class BatchError(ValueError):
    """A folder or its table of predictions cannot be used; says why, and what to do next."""


class Summary(NamedTuple):
    """What a run did. rows: new ones; unreadable: how many of them hold an error; kept: rows of
    earlier runs; seconds: from the first batch to the last; out: the table's path."""

    rows: int
    unreadable: int
    kept: int
    seconds: float
    out: Path

    def __repr__(self):
        rate = f" at {self.rows / self.seconds:.0f} a second" if self.rows else ""
        return (
            f"<{self.out.name}: {self.rows:,} new rows{rate}, {self.unreadable:,} of them "
            f"unreadable; {self.kept:,} kept>"
        )


class Predictor:
    """A classifier for file names: call it with a list of them, get a row, a dict, for each.
    The part of `predict_folder` that can run anywhere: in a thread here, or on another machine.
    model: a `Classifier`, or what `load_classifier` takes; folder: what names are relative to; top:
    the classes a row. A row's keys are `columns(top)`, the likeliest class first; numbers are int
    and float, probabilities with six decimals; None where there is nothing to say."""

    def __init__(self, model, folder, top=1):
        self.classifier = model if isinstance(model, Classifier) else load_classifier(model)
        self.folder, self.top = Path(folder).expanduser(), top
        self.model = _safe(f"{self.classifier.name} {self.classifier.key()[:16]}")
        self._turns = Semaphore(AT_ONCE)
        self.columns = columns(min(top, len(self.classifier.classes)))
        size = self.classifier.size
        self._predictions(np.zeros((1, size, size, 3), "uint8"))  # compiles, before threads do

    def __call__(self, names):
        size, rule = self.classifier.size, self.classifier.rule
        pixels = np.empty((len(names), size, size, 3), "uint8")
        rows, good = [], []
        for name in names:
            row = dict.fromkeys(self.columns) | {"path": _safe_path(name), "model": self.model}
            rows.append(row)
            try:
                found = _version(self.folder / name)
                pixels[len(good)] = np.asarray(resize(self.folder / name, size, rule))
                good.append(row)
            except (OSError, ImageError) as error:
                if getattr(error, "kind", UNREACHABLE) == UNREACHABLE:
                    cause = error.__cause__ or error  # not the whole path of this machine
                    reason = getattr(cause, "strerror", None) or cause
                    row["error"] = f"It cannot be read ({reason})."
                    continue  # without a version, so that the next run tries again
                row["error"] = str(error)
            row["bytes"], row["modified"] = found
        for row, best in zip(good, self._predictions(pixels[: len(good)]), strict=True):
            values = [
                v for p in best for v in (_safe(p.wnid), _safe(p.name), round(p.probability, 6))
            ]
            row.update(zip(self.columns[len(ABOUT) :], values, strict=True))
        return rows

    def _predictions(self, pixels):
        if not len(pixels):
            return []
        with self._turns:
            batch = self.classifier.preprocess_input(pixels.astype("float32"))
            logits = self.classifier.forward(batch)
        return decode(softmax(logits, axis=-1), self.classifier.classes, self.top)


def predict_folder(
    folder, model, out="predictions.csv", top=1, batch_size=None, threads=None, progress=True
):
    """Predict every picture in a folder and the folders below it, into a CSV table → `Summary`.
    All files but hidden ones count, in the order of their names. A row says path (below folder),
    bytes, modified (nanoseconds, as the system keeps it), model, error, and wnid, name and
    probability of the `top` likeliest classes. What is no readable picture has an error instead.
    Run again after an interruption, or with more pictures, it adds what is missing and replaces
    rows of files that have changed since; those that could not be opened are tried again.
    Of a network with layers that are not Keras's own nobody can tell whether it is still the same:
    a line says that no later run can go on with its table.
    model: as in `Predictor`; batch_size: pictures in the network at a time, None: `fitting`;
    threads: None: one more than cores; progress: show a bar with rate and time left. One run at a
    time can write to a table. BatchError where the folder cannot be read, or the table cannot be
    written or is of something else: it is left as it was. ValueError for numbers below 1."""
    if min(number for number in (top, batch_size, threads) if number is not None) < 1:
        raise ValueError("top, batch_size and threads should be 1 or more.")
    folder, out = (Path(path).expanduser().resolve() for path in (folder, out))
    any(names_below(folder))  # BatchError before a model is loaded
    predictor = Predictor(model, folder, top)
    why = undescribed(predictor.classifier.network)
    if why:
        print(
            f"No later run can go on with a table of {predictor.classifier.name}: name another "
            f"file each time. {why}"
        )
    done = _resume(out, predictor)

    def missing():
        for name in names_below(folder, out):
            place = bisect_left(done, number := _number(_safe_path(name)))
            if done[place : place + 1] != array("Q", [number]):
                yield name

    names, rows, unreadable = missing(), 0, 0
    size = batch_size or fitting(predictor.classifier)
    parts = iter(lambda: list(islice(names, size)), [])
    with (
        _explained(out),
        _open(out, "a") as file,
        progress_bar(len(done) + sum(1 for _ in missing()), "pictures", len(done), progress) as bar,
        warnings.catch_warnings(),  # threads that enter and leave it in turns would not restore it
        closing(_in_order(predictor, parts, threads or (os.cpu_count() or 1) + 1)) as ready,
    ):
        lines, start = _lines(file, predictor.columns), time.perf_counter()
        for part in ready:
            if not os.path.samestat(os.fstat(file.fileno()), os.stat(out)):
                raise BatchError(f"Another run writes to {out} now: this one has stopped.")
            lines.writerows(part)
            file.flush()
            rows += len(part)
            unreadable += sum(row["error"] is not None for row in part)
            bar.update(len(part))
        seconds = time.perf_counter() - start
    return Summary(rows, unreadable, len(done), seconds, out)


def fitting(classifier):
    """How many pictures at a time fit a processor's cache, and are enough for its cores: 8…64."""
    return max(8, min(64, 400_000 // classifier.size**2))


def columns(top=1):
    """The columns of a table with the `top` likeliest classes: the second's are called wnid_2 …"""
    ends = ["", *(f"_{k}" for k in range(2, top + 1))]
    return [*ABOUT, *(f"{name}{end}" for end in ends for name in ("wnid", "name", "probability"))]


def read_predictions(table):
    """The rows of a table, one at a time, as `Predictor` made them. BatchError where it is none."""
    table = Path(table).expanduser()
    with _explained(table), _open(table, "r") as file:
        yield from _rows(file, table)


def names_below(folder, *without):
    """The files in a folder and below it, as / paths relative to it, sorted within each folder;
    without hidden ones and these paths; links to folders are not followed. BatchError where it is
    no folder or cannot be listed."""

    def failed(error):
        raise BatchError(
            f"{error.filename} cannot be listed ({error.strerror}): pass the path of a folder that "
            "can be read, with all that is in it."
        ) from error

    for top, folders, files in os.walk(folder, onerror=failed):
        folders[:] = sorted(filter(_visible, folders))
        below = Path(top).relative_to(folder).as_posix()
        for name in sorted(filter(_visible, files)):
            if Path(top) / name not in without:
                yield name if below == "." else f"{below}/{name}"


def _visible(name):
    return not name.startswith(".") and name not in NO_PICTURES


def _version(path):
    """(bytes, nanoseconds) by which a changed file is known; an OSError for what is no file."""
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):  # reading from a pipe could last for ever
        raise OSError(errno.EINVAL, "no ordinary file")
    return about.st_size, about.st_mtime_ns


def _safe(text):
    """A stranger's text as a spreadsheet shows it, instead of taking it for a formula."""
    return f"'{text}" if text[1:] and text[0] in FORMULA else text


def _safe_path(name):
    """The same for a path, which still leads to its file."""
    return f"./{name}" if name[0] in FORMULA else name


def _number(path):
    """64 bits that stand for a path: eight bytes each, where texts would take a hundred."""
    return int.from_bytes(blake2b(os.fsencode(path), digest_size=8).digest())


def _in_order(work, parts, threads):
    """The results of work(part), in order, a few ahead of what is asked for."""
    with ThreadPoolExecutor(threads) as pool:
        coming = deque()
        try:
            for part in parts:
                coming.append(pool.submit(work, part))
                if len(coming) > 2 * threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:  # after an interruption only what is under way is waited for
            pool.shutdown(cancel_futures=True)


# -- the table -------------------------------------------------------------------------------------


@contextmanager
def _explained(table):
    """BatchError for what the file system refuses to do with a table."""
    try:
        yield
    except OSError as error:
        raise BatchError(
            f"{table} cannot be used ({error.strerror}): make room there, close it elsewhere, or "
            "name a file in a folder of yours. Rows that it holds stay; run this again to go on."
        ) from error


def _open(table, mode):
    return open(table, mode, newline="\n", encoding="utf-8", errors="surrogateescape")


def _lines(file, names):
    # A name with a carriage return in it is quoted only where all texts are.
    return csv.DictWriter(file, names, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


def _rows(file, table):
    """The rows of a table's open file, without the last where it is cut off."""
    first = file.readline()
    if not first.endswith("\n") and _header(first.count(",") // 3 + 1).startswith(first):
        return  # nothing was written yet, or not even the whole first line
    names = next(csv.reader([first]), [])
    if names != columns(len(names) // 3 - 1):
        raise BatchError(f"{table} is no table of predict_folder: name another file.")
    kinds = [_kind(name) for name in names]
    lines = csv.reader((line for line in file if line.endswith("\n")), strict=True)
    while True:
        try:
            if (values := next(lines, None)) is None:
                return
            values = [kind(v) if v else None for kind, v in zip(kinds, values, strict=True)]
        except (csv.Error, ValueError) as error:
            if "unexpected end" in str(error):  # within a name that has a line's end in it
                return
            raise BatchError(
                f"{table}, line {lines.line_num + 1}, is damaged ({error}): correct or remove it."
            ) from error
        yield dict(zip(names, values, strict=True))


def _header(top):
    return ",".join(f'"{name}"' for name in columns(top)) + "\n"


def _kind(column):
    return float if column.startswith("probability") else int if column in ABOUT[1:3] else str


def _resume(table, predictor):
    """Make a table ready to be added to → the numbers of the paths that it has rows for, sorted.
    It is written anew, without what is to be done again: what an interruption cut off, what could
    not be opened, and what has changed since."""
    numbers, old, current = array("Q"), 0, 0
    with _explained(table), whole(table) as part, _open(part, "w") as new:
        lines = _lines(new, predictor.columns)
        lines.writeheader()
        for row in read_predictions(table) if table.exists() else ():
            if row["model"] != predictor.model or list(row) != predictor.columns:
                raise BatchError(
                    f"{table} holds the {len(row) // 3 - 1} likeliest classes of {row['model']}, "
                    f"not {predictor.top} of {predictor.model}: name another file."
                )
            version, now = (row["bytes"], row["modified"]), None
            with suppress(OSError):  # it was moved away: its row stays
                now = _version(predictor.folder / row["path"])
            current += version == now
            old += version[0] is not None
            if version[0] is not None and now in (version, None):
                lines.writerow(row)
                numbers.append(_number(row["path"]))
        if old and not current:
            raise BatchError(
                f"None of the rows of {table} is of a picture that is in {predictor.folder} now: "
                "was it made for another folder? Name another file."
            )
    numbers = np.unique(numbers)
    return array("Q", numbers.tobytes())
