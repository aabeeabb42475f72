"""Tools that finish their work, whatever becomes of what they print."""

import codecs
import errno
import os
import sys
from contextlib import contextmanager, suppress

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended
NOBODY_READS = {errno.EPIPE, errno.EINVAL}  # the latter on Windows
# What our tools print beyond ASCII, for consoles that can't write it.
STAND_INS = {
    "≈": "~",
    "→": "->",
    "…": "...",
    "−": "-",
    "–": "-",
    "×": "x",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "“": '"',
    "”": '"',
    "’": "'",
    "✓": "+",
    "✗": "x",
}


def run_tool(main, *arguments):
    """Run a tool's `main(*arguments)`, in which printing never raises.

    Returns what it returns, for `sys.exit`. A sign that the console's encoding lacks
    is written as one that it has, or as \\u72d7. Where nobody reads on (`| head`), the
    rest is dropped; where what is printed can't be written, as on a full disk, it's
    said on stderr, and the status is 1 even if the work itself went well."""
    with _steady("stdout") as stdout, _steady("stderr"):
        status = main(*arguments)
    reason = stdout.lost
    if reason is None or reason.errno in NOBODY_READS:
        return status
    with suppress(OSError):
        print(f"What was printed is incomplete: {reason}.", file=sys.stderr)
    return status or 1


@contextmanager
def _steady(name):
    """Put a `_SteadyStream` in the place of sys.stdout or sys.stderr for a while."""
    stream = getattr(sys, name)
    steady = _SteadyStream(stream)
    setattr(sys, name, steady)
    try:
        yield steady
    finally:
        steady.flush()
        setattr(sys, name, stream)


class _SteadyStream:
    """A text stream that writes what it can. lost: the OSError that ended it, if any.

    stream: what it writes to; None, as sys.stdout is without a console, for nothing."""

    def __init__(self, stream):
        self.stream = stream
        self.lost = None
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="stand_in")

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        self._attempt("write", text)
        return len(text)

    def flush(self):
        self._attempt("flush")

    def _attempt(self, method, *arguments):
        if self.stream is None or self.lost is not None:
            return
        try:
            getattr(self.stream, method)(*arguments)
        except OSError as error:
            self.lost = error
            # What waits in its buffer would raise again when Python ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


def _stand_in(error):
    """For codecs: what to write in the place of one sign that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    end = error.start + 1
    plain = STAND_INS.get(error.object[error.start])
    if plain is not None:
        return plain, end
    error.end = end
    return codecs.backslashreplace_errors(error)


codecs.register_error("stand_in", _stand_in)
