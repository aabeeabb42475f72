"""Files that appear whole or not at all, and shipped ones that are what was shipped."""

import os
import platform
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from hashlib import file_digest
from pathlib import Path

ABANDONED = 24 * 3600  # seconds
SUMS = "SHA256SUMS"  # the hashes of the files beside it: `sha256sum * > SHA256SUMS`


@contextmanager
def incoming(folder):
    """A new folder within `folder`, which is made where it is missing, to prepare something in: it
    is on the same disk, so that one step moves the result, and goes when all is done. A process
    that was killed cannot tidy up: the next one on this machine does, or any a day later.
    Raises an OSError."""
    import psutil

    folder.mkdir(parents=True, exist_ok=True)
    own = f".incoming-{platform.node()}-"
    for left in folder.glob(".incoming-*"):
        pid = left.name.removeprefix(own).partition("-")[0]
        with suppress(OSError):  # another process has removed it, or owns it
            killed = left.name.startswith(own) and pid.isdigit() and not psutil.pid_exists(int(pid))
            if killed or time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f"{own}{os.getpid()}-") as name:
        yield Path(name)


@contextmanager
def whole(path):
    """A path to write a file at, which is moved to `path` in one step if all went well: an error
    leaves what was there before, and of two processes at once each moves a whole file.
    Its folder is made where it is missing. Raises an OSError where it cannot be written."""
    try:
        with incoming(path.parent) as folder:
            part = folder / path.name
            yield part
            # Else a file can have its name before its bytes are on the disk, when power fails.
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
    except OSError as error:
        error.add_note(f"{path} is not written: make room there, or name a folder of yours.")
        raise


def digest(path, algorithm="sha256"):
    """The hash of a file, in hexadecimal. Raises an OSError."""
    with open(path, "rb") as file:
        return file_digest(file, algorithm).hexdigest()


def shipped(path):
    """Whether a file is the one whose hash stands in SHA256SUMS beside it."""
    return f"{digest(path)}  {path.name}" in _sums(path)


def note_digest(path):
    """Put the hash of a file into SHA256SUMS beside it: every tool that makes what ships does."""
    others = [line for line in _sums(path) if line[66:] != path.name]
    with whole(path.with_name(SUMS)) as part:
        lines = sorted([*others, f"{digest(path)}  {path.name}"], key=lambda line: line[66:])
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _sums(path):
    with suppress(FileNotFoundError):
        return path.with_name(SUMS).read_text(encoding="utf-8").splitlines()
    return []
