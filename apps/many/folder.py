"""Predictions for a folder of pictures, however many: a row for each, in a CSV file.

Memory holds a few batches and the file names of one folder at a time, never all
pictures or rows. Rows are only added at the end, so whatever stops a run, the next one
goes on from there."""

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
from hashlib import blake2b, sha256
from itertools import islice
from pathlib import Path
from threading import Semaphore
from typing import NamedTuple

import numpy as np

from apps.many.answers import answering
from apps.many.fast import faster
from apps.sharing.doubts import UNLIKE, UNSURE, doubt
from apps.sharing.exported import load_exported
from helpers.images import resize
from helpers.labels import decode
from helpers.models import Classifier, load_classifier
from safeguards.cores import usable_cores
from safeguards.familiar import written
from safeguards.folders import NO_PICTURES
from safeguards.keys import undescribed
from safeguards.pictures import UNREACHABLE, ImageError
from safeguards.progress import progress_bar
from safeguards.whole_files import atomic_write

# A table's columns begin with what people look for: path, then …
NOTE = "note"  # … why the likeliest class is no answer, then …
CLASS_COLUMNS = ("name", "probability", "wnid")  # … of each of the likeliest, then …
FILE_COLUMNS = ("error", "bytes", "modified", "model")
EXPORTED = (".onnx", ".tflite")  # suffixes of the files that load_exported takes
FORMULA = "=+-@\t\r"  # a spreadsheet runs a text that begins with one of these
AT_ONCE = 2  # batches in the network: one alone leaves cores idle between its layers
DECIMALS = 6  # of a probability
CACHE_PIXELS = 400_000  # of a batch that fits a processor's cache


class BatchError(ValueError):
    """A folder or its table can't be used; says why, and what to do next."""


class TableError(BatchError):
    """A table is of something else, or can't be written: another name helps."""


class OtherTableError(TableError):
    """A table holds rows of another model, or with other columns."""


class Summary(NamedTuple):
    """What a run did.

    rows: how many new ones it wrote.
    unreadable: how many of them hold an error.
    kept: how many rows of earlier runs are still there.
    seconds: from the first batch to the last.
    out: the table's path.
    unsure: how many of the new rows say that the classifier isn't sure.
    unlike: how many of them say that the picture is like nothing it learned from; None
    where that isn't known."""

    rows: int
    unreadable: int
    kept: int
    seconds: float
    out: Path
    unsure: int = 0
    unlike: int | None = None

    def __repr__(self):
        rate = f" at {self.rows / self.seconds:.0f} a second" if self.rows else ""
        unlike = "" if self.unlike is None else f", {self.unlike:,} {UNLIKE}"
        return (
            f"<{self.out.name}: {self.rows:,} new rows{rate}, {self.unreadable:,} of "
            f"them unreadable{unlike}; {self.kept:,} kept>"
        )


class Predictor:
    """A classifier for file names: call it with a list of them, get a dict for each.

    It's the step of `predict_folder` that can run anywhere: in a thread here, or on
    another machine.

    model: a `Classifier`, an exported file's path, or what `load_classifier` takes.
    folder: what the names are relative to.
    top: how many of the likeliest classes a row has, the likeliest first.

    The keys of a row are `columns(top)`. Its numbers are int and float, probabilities
    with six decimals; None stands where there is nothing to say."""

    def __init__(self, model, folder, top=1):
        self.classifier = model
        slots = AT_ONCE
        if not isinstance(model, Classifier) and Path(model).suffix in EXPORTED:
            self.classifier = load_exported(model, threads=1)
            slots = usable_cores()
        elif not isinstance(model, Classifier):
            self.classifier = load_classifier(model)
        self.folder = Path(folder).expanduser()
        self.top = top
        self._key = self.classifier.key()
        self.model = _no_formula(f"{self.classifier.name} {self._model_digest()[:16]}")
        self._slots = Semaphore(slots)
        self.columns = columns(min(top, len(self.classifier.classes)))
        self._computes = self.classifier
        self._answer = answering(self._computes)
        # The first prediction compiles the network: here, before threads do.
        self._answers(self._room_for(1))

    def hurry(self, pictures):
        """Compute in ONNX Runtime from now on, if that pays for so many pictures.

        Returns whether it does: then each thread that calls this keeps one core busy,
        and as many threads as there are cores are best."""
        exported = faster(self.classifier, pictures, self._key, self._answer)
        if exported is None:
            return False
        self._computes = exported
        self._answer = answering(exported)
        self._slots = Semaphore(usable_cores())
        return True

    def __call__(self, names):
        pixels = self._room_for(len(names))
        rows = []
        readable = []
        for name in names:
            row = dict.fromkeys(self.columns)
            row["path"] = _path_without_formula(name)
            row["model"] = self.model
            rows.append(row)
            image = self._read(name, row)
            if image is not None:
                pixels[len(readable)] = np.asarray(image)
                readable.append(row)
        answers = self._answers(pixels[: len(readable)])
        count = len(self.classifier.classes)
        for row, (classes, judged) in zip(readable, answers, strict=True):
            row.update(self._class_values(classes))
            row[NOTE] = doubt(classes[0].probability, count, judged)
        return rows

    def _model_digest(self):
        """Hexadecimal digits for all that a row depends on."""
        known = self.classifier.familiar
        if known is None or known.features is None:  # or in the file that has the key
            return self._key
        digest = sha256(self._key.encode())
        for content in written(known).values():
            digest.update(content)
        return digest.hexdigest()

    def _room_for(self, count):
        """An array for the pixels of so many pictures."""
        size = self.classifier.size
        return np.zeros((count, size, size, 3), "uint8")

    def _read(self, name, row):
        """A picture, resized, or None; `row` gets the file's version and any error."""
        path = self.folder / name
        image = None
        try:
            version = _version(path)
            image = resize(path, self.classifier.size, self.classifier.rule)
        except (OSError, ImageError) as error:
            if getattr(error, "kind", UNREACHABLE) == UNREACHABLE:
                cause = error.__cause__ or error  # without the path on this machine
                reason = getattr(cause, "strerror", None) or cause
                row["error"] = f"It cannot be read ({reason})."
                return None  # without a version, so that the next run tries again
            row["error"] = str(error)
        row["bytes"], row["modified"] = version
        return image

    def _answers(self, pixels):
        """Of each picture the likeliest classes, as `decode` returns them, and the
        `Judged`, or None where that isn't known."""
        if not len(pixels):
            return []
        with self._slots:
            batch = self._computes.preprocess_input(pixels.astype("float32"))
            probabilities, judged = self._answer(batch)
        classes = decode(probabilities, self.classifier.classes, self.top)
        return list(zip(classes, judged or [None] * len(classes), strict=True))

    def _class_values(self, classes):
        """What a row says of the likeliest classes: {column: value}."""
        values = []
        for prediction in classes:
            values.append(_no_formula(prediction.name))
            values.append(round(prediction.probability, DECIMALS))
            values.append(_no_formula(prediction.wnid))
        return dict(zip(_class_columns(len(classes)), values, strict=True))


def predict_folder(
    folder,
    model,
    out="predictions.csv",
    top=1,
    batch_size=None,
    threads=None,
    progress=True,
    fast=True,
):
    """Predict every picture in and below a folder, into a CSV table → `Summary`.

    All files but hidden ones count, in the order of their names. A row says path (below
    `folder`); note, where the likeliest class is no answer: "not sure", or "like
    nothing it learned from" of a classifier that knows that; name, probability and wnid
    of the `top` likeliest classes; error, which a file has instead if it's no readable
    picture; bytes, modified (nanoseconds, as the system keeps it) and model. The table
    is UTF-8 with a mark at its beginning, without which Excel would guess another
    encoding.

    Run again after an interruption, or with more pictures, it adds what is missing and
    replaces rows of files that have changed since. Files that couldn't be opened are
    tried again. Only one run at a time can write to a table. With layers that aren't
    Keras's own, nobody can tell whether a network is still the same: a line says that
    no later run can go on with its table.

    model: as in `Predictor`.
    batch_size: pictures in the network at a time; None: `fitting`.
    threads: None: one more than there are cores to use; as many in ONNX Runtime.
    progress: whether to show a bar with the rate and the time left.
    fast: whether to let ONNX Runtime compute where that pays (see apps.many.fast).

    Raises a BatchError if the folder can't be read, a TableError, which is one, if the
    table can't be written or is of something else (it's left as it was); a ValueError
    for numbers below 1."""
    for number in (top, batch_size, threads):
        if number is not None and number < 1:
            raise ValueError("top, batch_size and threads should be 1 or more.")
    folder = Path(folder).expanduser().resolve()
    out = Path(out).expanduser().resolve()
    next(names_below(folder), None)  # BatchError before a model is loaded
    predictor = Predictor(model, folder, top)
    why = undescribed(predictor.classifier.network)
    if why:
        print(
            f"No later run can go on with a table of {predictor.classifier.name}: "
            f"name another file each time. {why}"
        )
    done = _resume(out, predictor)
    batch_size = batch_size or fitting(predictor.classifier)

    def missing_names():
        for name in names_below(folder, out):
            if not _is_in(done, _path_hash(_path_without_formula(name))):
                yield name

    total = len(done) + sum(1 for _ in missing_names())
    batches = _batches(missing_names(), batch_size)
    hurries = fast and predictor.hurry(total - len(done))
    threads = threads or usable_cores() + (not hurries)
    written = 0
    unreadable = 0
    unsure = 0
    unlike = None if predictor.classifier.familiar is None else 0
    with (
        _explained(out),
        _open(out, "a") as file,
        progress_bar(total, "pictures", len(done), progress) as bar,
        # Threads that enter and leave this in turns wouldn't restore it.
        warnings.catch_warnings(),
        closing(_in_order(predictor, batches, threads)) as results,
    ):
        writer = _writer(file, predictor.columns)
        start = time.perf_counter()
        for rows in results:
            if not os.path.samestat(os.fstat(file.fileno()), os.stat(out)):
                raise BatchError(
                    f"Another run writes to {out} now: this one has stopped."
                )
            writer.writerows(rows)
            file.flush()
            written += len(rows)
            unreadable += sum(row["error"] is not None for row in rows)
            unsure += sum(row[NOTE] == UNSURE for row in rows)
            if unlike is not None:
                unlike += sum(row[NOTE] == UNLIKE for row in rows)
            bar.update(len(rows))
        seconds = time.perf_counter() - start
    return Summary(written, unreadable, len(done), seconds, out, unsure, unlike)


def fitting(classifier):
    """How many pictures, 8…64, fit a processor's cache and keep its cores busy."""
    pictures = CACHE_PIXELS // classifier.size**2
    return max(8, min(64, pictures))


def columns(top=1):
    """The columns of a table with the `top` likeliest classes.

    Those of the second class are called name_2 and so on."""
    return ["path", NOTE, *_class_columns(top), *FILE_COLUMNS]


def _class_columns(top):
    """Those of the `top` likeliest classes."""
    names = list(CLASS_COLUMNS)
    for rank in range(2, top + 1):
        names += [f"{name}_{rank}" for name in CLASS_COLUMNS]
    return names


def read_predictions(table):
    """The rows of a table, one at a time, as `Predictor` made them.

    Raises a BatchError for a file that is no such table."""
    table = Path(table).expanduser()
    with _explained(table), _open(table, "r") as file:
        yield from _read_rows(file, table)


def names_below(folder, *without):
    """The files in and below a folder, as / paths relative to it, sorted in each
    folder.

    Hidden files and the paths in `without` are left out, and links to folders aren't
    followed. Raises a BatchError if this is no folder or can't be listed."""

    def fail(error):
        raise BatchError(
            f"{error.filename} cannot be listed ({error.strerror}): pass the path of a "
            "folder that can be read, with all that is in it."
        ) from error

    for top, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(filter(_is_visible, folders))
        below = Path(top).relative_to(folder).as_posix()
        for name in sorted(filter(_is_visible, files)):
            if Path(top) / name not in without:
                yield name if below == "." else f"{below}/{name}"


def _is_visible(name):
    return not name.startswith(".") and name not in NO_PICTURES


def _version(path):
    """(bytes, nanoseconds), which tell when a file has changed.

    Raises an OSError for anything but a file."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # reading from a pipe could last for ever
        raise OSError(errno.EINVAL, "no ordinary file")
    return status.st_size, status.st_mtime_ns


def _no_formula(text):
    """A stranger's text, so that a spreadsheet shows it and runs no formula in it."""
    if len(text) > 1 and text[0] in FORMULA:
        return f"'{text}"
    return text


def _path_without_formula(name):
    """The same for a path, which still leads to its file."""
    return f"./{name}" if name[0] in FORMULA else name


def _path_hash(path):
    """64 bits that stand for a path, whose text would take a hundred bytes."""
    digest = blake2b(os.fsencode(path), digest_size=8).digest()
    return int.from_bytes(digest)


def _is_in(numbers, number):
    """Whether a sorted array holds a number."""
    index = bisect_left(numbers, number)
    return index < len(numbers) and numbers[index] == number


def _batches(names, size):
    """Lists of up to `size` names."""
    while batch := list(islice(names, size)):
        yield batch


def _in_order(function, inputs, threads):
    """function(input) for each of the inputs, in their order, computed a few ahead."""
    with ThreadPoolExecutor(threads) as pool:
        pending = deque()
        try:
            for value in inputs:
                pending.append(pool.submit(function, value))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # after an interruption, wait only for what is under way
            pool.shutdown(cancel_futures=True)


# -- the table -------------------------------------------------------------------------


@contextmanager
def _explained(table):
    """BatchError for what the file system refuses to do with a table."""
    try:
        yield
    except OSError as error:
        raise TableError(
            f"{table} cannot be used ({error.strerror}): make room there, close it "
            "elsewhere, or name a file in a folder of yours. Rows that it holds stay; "
            "run this again to go on."
        ) from error


def _open(table, mode):
    # File names may be no UTF-8: surrogates keep their bytes. The mark at the beginning
    # is written once, and not read as a part of the first column's name.
    encoding = "utf-8" if mode == "a" else "utf-8-sig"
    return open(table, mode, newline="\n", encoding=encoding, errors="surrogateescape")


def _writer(file, names):
    # A name with a carriage return in it is quoted only where all texts are.
    return csv.DictWriter(
        file, names, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
    )


def _read_rows(file, table):
    """The rows of a table's open file, without the last one if it's cut off."""
    header = file.readline()
    if not header.endswith("\n"):
        most = header.count(",") // len(CLASS_COLUMNS) + 1
        for top in range(1, most + 1):
            if _header(top).startswith(header):
                return  # nothing was written yet, or not even the whole header
    names = next(csv.reader([header]), [])
    if names != columns(_top_of(names)):
        raise TableError(f"{table} is no table of predict_folder: name another file.")
    complete_lines = (line for line in file if line.endswith("\n"))
    reader = csv.reader(complete_lines, strict=True)
    while True:
        try:
            texts = next(reader, None)
            if texts is None:
                return
            row = _parsed(names, texts)
        except (csv.Error, ValueError) as error:
            if "unexpected end" in str(error):  # within a name that holds a line's end
                return
            line = reader.line_num + 1
            raise BatchError(
                f"{table}, line {line}, is damaged ({error}): correct or remove it."
            ) from error
        yield row


def _header(top):
    return ",".join(f'"{name}"' for name in columns(top)) + "\n"


def _top_of(names):
    """How many of the likeliest classes a table with these columns has."""
    return (len(names) - len(columns(1))) // len(CLASS_COLUMNS) + 1


def _parsed(names, texts):
    """A row: {column: value}; a ValueError where a text isn't of its column's type."""
    row = {}
    for name, text in zip(names, texts, strict=True):
        row[name] = _type_of(name)(text) if text else None
    return row


def _type_of(column):
    if column.startswith("probability"):
        return float
    if column in ("bytes", "modified"):
        return int
    return str


def _resume(table, predictor):
    """Make a table ready to be added to → hashes of the paths it has rows for, sorted.

    It's written again without the rows that have to be done again: those that an
    interruption cut off, and those of files that couldn't be opened, or have
    changed."""
    hashes = array("Q")
    with_version = 0
    unchanged = 0
    with (
        _explained(table),
        atomic_write(table) as draft,
        _open(draft, "w") as new,
    ):
        writer = _writer(new, predictor.columns)
        writer.writeheader()
        for row in read_predictions(table) if table.exists() else ():
            _check_row(row, table, predictor)
            if row["bytes"] is None:  # the file couldn't be opened: try again
                continue
            with_version += 1
            version = (row["bytes"], row["modified"])
            version_now = None
            with suppress(OSError):  # it was moved away: its row stays
                version_now = _version(predictor.folder / row["path"])
            if version_now == version:
                unchanged += 1
            if version_now in (version, None):
                writer.writerow(row)
                hashes.append(_path_hash(row["path"]))
        if with_version and not unchanged:
            raise TableError(
                f"None of the rows of {table} is of a picture that is in "
                f"{predictor.folder} now: was it made for another folder? Name another "
                "file."
            )
    sorted_hashes = np.unique(hashes)
    return array("Q", sorted_hashes.tobytes())


def _check_row(row, table, predictor):
    """OtherTableError where a row is of another model, or another number of
    classes."""
    if row["model"] != predictor.model:
        reason = (
            f"was made with {row['model']}, not with {predictor.model}, another model "
            "or another version of it"
        )
    elif _top_of(row) != _top_of(predictor.columns):
        reason = (
            f"holds the {_top_of(row)} likeliest classes of {row['model']}, not "
            f"{predictor.top}"
        )
    else:
        return
    raise OtherTableError(f"{table} {reason}: name another file.")
