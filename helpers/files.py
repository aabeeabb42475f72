"""Files that appear whole or not at all."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path):
    """A path to write a file at, which is moved to `path` in one step if all went well: an error
    leaves what was there before, and of two processes at once each moves a whole file.
    Its folder is made where it is missing. Raises an OSError where it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".incoming-") as folder:
        part = Path(folder) / path.name
        yield part
        os.replace(part, path)
