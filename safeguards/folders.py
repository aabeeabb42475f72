"""Folders of pictures as people and systems leave them, and what can be wrong there."""

import os
import re
from contextlib import contextmanager
from hashlib import sha256

TITLES = ("train", "validation", "test")
PARTS = {title: title for title in TITLES} | {"val": "validation"}  # by their names
NO_PICTURES = ("Thumbs.db", "desktop.ini", "__MACOSX")  # systems leave them

_digests = {}  # a file's version → SHA-256 of its bytes


class DataError(ValueError):
    """A data set can't be used as it is; says which file or class, and what to do
    next."""


def as_meant(text):
    """A path that was typed, without blanks at its ends unless a file's name has them:
    mostly they were typed by mistake."""
    return text if os.path.lexists(os.path.expanduser(text)) else text.strip()


def visible(folder):
    """What's in a folder, by name, without what systems hide or leave there."""
    paths = [
        path
        for path in folder.iterdir()
        if path.name not in NO_PICTURES and not path.name.startswith(".")
    ]
    return sorted(paths, key=lambda path: path.name)


def class_folders(folder):
    """The folders in a folder, by name; DataError for a link that leads nowhere."""
    folders = []
    for path in visible(folder):
        if path.is_dir():
            folders.append(path)
        elif path.is_symlink() and not path.exists():
            # Else a class would be missing silently.
            raise DataError(f"{path} is a link that leads nowhere: mend or remove it.")
    return folders


def check_count(folder, folders):
    """DataError where a folder has fewer than two class folders."""
    if len(folders) >= 2:
        return
    count = "no class folders"
    if folders:
        count = f"only one class ({folders[0].name})"
    raise DataError(
        f"{folder} has {count}: make a folder for each of two or more classes and put "
        "its pictures in. To find one thing, fill the second with pictures that lack "
        "it."
    )


def files_of_class(class_folder):
    """The files in a class folder; DataError where it holds none, or a folder."""
    files = visible(class_folder)
    folders = [file for file in files if file.is_dir()]
    holds = f"{class_folder} should hold the pictures of one class, but holds"
    if folders and folders[0].is_symlink():
        raise DataError(
            f"{holds} {folders[0].name}, a link to a folder: put links to its pictures "
            "there, or the pictures, instead."
        )
    if folders:
        raise DataError(
            f"{holds} the folder {folders[0].name}: pass the folder just above the "
            "class folders, or move its pictures up."
        )
    if not files:
        raise DataError(
            f"{class_folder} holds no pictures: add some, or remove this class."
        )
    return files


def part_of(folder):
    """The part of a data set that a folder's name stands for, in small letters or
    capitals: "train", "validation" (or "val") or "test"; else None."""
    return PARTS.get(folder.name.lower())


def name_of(path):
    """A picture's path below the folder of class folders, as kept from run to run."""
    return f"{path.parent.name}/{path.name}"


def check_class_names(folder):
    """DataError where a class folder has the name of a part (see `part_of`)."""
    for path in visible(folder):
        if part_of(path) is None or not path.is_dir():
            continue
        files = visible(path)
        if files and not any(file.is_dir() for file in files):
            raise DataError(
                f"The class folder {path} has a name that stands for a part of a data "
                f"set: rename it, for instance {path.name}_class."
            )


@contextmanager
def _explained(path):
    """DataError for a file that the system won't let be read."""
    try:
        yield
    except OSError as error:
        advice = "put it back, or load the set again without it"
        raise DataError(
            f"{path} cannot be read ({error.strerror}): {advice}."
        ) from error


def read_file(path):
    """The bytes of a picture's file, even of an empty one; DataError where it can't be
    read."""
    return _read_with_digest(path)[0]


def _read_with_digest(path):
    """The bytes of a file and their SHA-256, which is noted for `file_digest`."""
    if path.exists() and not path.is_file():  # reading from a pipe could last for ever
        raise DataError(f"{path} is no ordinary file: remove it.")
    before = file_version(path)
    with _explained(path):
        data = path.read_bytes()
    _digests[before] = sha256(data).digest()
    return data, _digests[before]


def file_version(path):
    """What a file is known by: it's another one after each change. A tuple.
    DataError where there's no such file."""
    with _explained(path):
        status = os.stat(path)
    times = status.st_mtime_ns, status.st_ctime_ns
    return os.fspath(path), status.st_ino, status.st_size, *times


def file_digest(path):
    """SHA-256 of a file's bytes, which are read only if they weren't before, or have
    changed since. DataError where they can't be."""
    version = file_version(path)
    if version in _digests:
        return _digests[version]
    return _read_with_digest(path)[1]


def filming_order(paths, times):
    """Whole numbers, 1 apart where one file of a folder comes next to another.
    Files are in the order in which they were taken, if each of their folder has a time.
    Else their names decide, 9 before 10, as cameras number them, and programs that take
    films apart. times: when each was taken, or None."""
    time_of = dict(zip(paths, times, strict=True))
    timeless = {path.parent for path, time in time_of.items() if time is None}

    def position(path):
        time = "" if path.parent in timeless else time_of[path]
        return path.parent, time, _natural(path.name)

    numbers = {}
    folder = None
    number = -1
    for path in sorted(time_of, key=position):
        number += 1 if path.parent == folder else 2
        numbers[path] = number
        folder = path.parent
    return [numbers[path] for path in paths]


def _natural(name):
    """What to sort names by so that 9 comes before 10."""
    key = []
    for text in re.split(r"(\d+)", name):
        if text.isdigit():
            key.append((False, int(text), text))
        else:
            key.append((True, 0, text))
    return key
