"""Files that are written whole or not at all, and the hashes of the ones we ship."""

import os
import platform
import re
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from hashlib import file_digest
from pathlib import Path

ABANDONED = 24 * 3600  # seconds after which nobody is at work in a temporary folder
SUMS = "SHA256SUMS"  # the hashes of the files beside it: `sha256sum * > SHA256SUMS`
NAME_START = 64 + 2  # in a line of SUMS: after the hash in hexadecimal and two blanks


@contextmanager
def temporary_folder_in(folder):
    """A new folder within `folder` to prepare something in; it goes with the block.

    It's on the same disk, so one step moves the result to its place. `folder` is made
    where it's missing. A process that was killed can't tidy up: the next one on this
    machine does it, or any other a day later. Raises an OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    machine_prefix = f".incoming-{platform.node()}-"
    for leftover in folder.glob(".incoming-*"):
        with suppress(OSError):  # another process has removed it, or owns it
            if _is_abandoned(leftover, machine_prefix):
                shutil.rmtree(leftover)
    prefix = f"{machine_prefix}{os.getpid()}-"
    with tempfile.TemporaryDirectory(dir=folder, prefix=prefix) as name:
        yield Path(name)


def _is_abandoned(folder, machine_prefix):
    """Whether the process that made a temporary folder has ended, or is likely to."""
    import psutil

    if folder.name.startswith(machine_prefix):
        pid = folder.name.removeprefix(machine_prefix).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            return True
    # The processes of other machines can't be looked up: there, its age decides.
    age = time.time() - folder.stat().st_mtime
    return age > ABANDONED


@contextmanager
def atomic_write(path):
    """A path to write a file at, moved to `path` in one step if all goes well.

    An error leaves what was there before, and if two processes write at once, each
    moves a whole file. The folder of `path` is made where it's missing. Raises an
    OSError where the file can't be written."""
    try:
        with temporary_folder_in(path.parent) as folder:
            draft = folder / path.name
            yield draft
            # Without this, a power cut could leave the file's name without its bytes.
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(draft, path)
    except OSError as error:
        error.add_note(
            f"{path} is not written: make room there, or name a folder of yours."
        )
        raise


def next_numbered(path):
    """Where what is at a path goes to make room: the name with the next number, as in
    mine-3 or table-1.csv."""
    latest = 0
    pattern = rf"{re.escape(path.stem)}-(\d+){re.escape(path.suffix)}"
    for other in path.parent.iterdir():
        match = re.fullmatch(pattern, other.name)
        if match:
            latest = max(latest, int(match[1]))
    return path.with_stem(f"{path.stem}-{latest + 1}")


def digest(path, algorithm="sha256"):
    """The hash of a file, in hexadecimal. Raises an OSError."""
    with open(path, "rb") as file:
        return file_digest(file, algorithm).hexdigest()


def shipped(path):
    """Whether a file's hash is the one in SHA256SUMS beside it."""
    return _line_of_sums(path) in _lines_of_sums(path)


def note_digest(path):
    """Put a file's hash into SHA256SUMS beside it: for tools that make what we ship."""
    lines = [line for line in _lines_of_sums(path) if line[NAME_START:] != path.name]
    lines.append(_line_of_sums(path))
    lines.sort(key=lambda line: line[NAME_START:])
    with atomic_write(path.with_name(SUMS)) as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line_of_sums(path):
    """What SHA256SUMS has to say of a file."""
    return f"{digest(path)}  {path.name}"


def _lines_of_sums(path):
    """The lines of SHA256SUMS beside a file; none where there's no such list."""
    sums = path.with_name(SUMS)
    try:
        text = sums.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return text.splitlines()
