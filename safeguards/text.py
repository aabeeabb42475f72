"""Strangers' texts and commands, so that they can be shown and copied without harm."""

import os
import shlex
import subprocess


def printable(text):
    """A stranger's text without what could steer a terminal or reorder a line."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def typed(*words, windows=os.name == "nt"):
    """A command, a program and its arguments, as one types it in a terminal of this system: words
    with blanks or signs that mean something there are quoted. On Windows as PowerShell wants it,
    where a quoted program needs & before it."""
    words = [str(word) for word in words]
    if not windows:
        return shlex.join(words)
    line = subprocess.list2cmdline(words)
    return f"& {line}" if line.startswith('"') else line
