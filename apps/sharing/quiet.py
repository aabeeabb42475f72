"""Keep converters and runtimes from filling the screen."""

import os
import tempfile
import warnings
from contextlib import contextmanager


@contextmanager
def quiet():
    """Show no warnings, and nothing that C++ writes to standard error.
    Converters warn of their own code, and write to file descriptor 2 themselves."""
    with tempfile.TemporaryFile() as noise, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = os.dup(2)
        os.dup2(noise.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
