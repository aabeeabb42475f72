"""Strangers' texts and commands, so that they can be shown and copied without harm."""

import html
import os
import re
import shlex
import subprocess


def printable(text):
    """A stranger's text without what could steer a terminal or reorder a line."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def plain(text):
    """A text, such as a stranger's class name, that Markdown shows as it is, in a table as well."""
    text = html.escape(printable(" ".join(text.split())), quote=False)
    return re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", text)


def typed(*words, windows=os.name == "nt"):
    """A command, a program and its arguments, as one types it in a terminal of this system: words
    with blanks or signs that mean something there are quoted. On Windows as PowerShell wants it,
    where a quoted program needs & before it."""
    words = [str(word) for word in words]
    if not windows:
        return shlex.join(words)
    line = subprocess.list2cmdline(words)
    return f"& {line}" if line.startswith('"') else line
