"""Commands that are printed for people to copy."""

import os
import shlex
import subprocess


def typed(*words, windows=os.name == "nt"):
    """A command, a program and its arguments, as one types it in a terminal of this system: words
    with blanks or signs that mean something there are quoted. On Windows as PowerShell wants it,
    where a quoted program needs & before it."""
    words = [str(word) for word in words]
    if not windows:
        return shlex.join(words)
    line = subprocess.list2cmdline(words)
    return f"& {line}" if line.startswith('"') else line
