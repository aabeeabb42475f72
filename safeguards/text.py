"""Strangers' texts and commands, so that they can be shown and copied without harm."""

import html
import os
import re
import shlex
import subprocess


def printable(text):
    """A stranger's text without anything that steers a terminal or reorders a line."""
    return "".join(character if character.isprintable() else "�" for character in text)


def counted(number, noun):
    """A number of things, as in “1 picture” and “2,000 pictures”."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def plain(text):
    """A text, such as a stranger's class name, that Markdown shows as it is.

    It's one line, so it fits into a table as well."""
    line = " ".join(text.split())
    text = html.escape(printable(line), quote=False)
    return re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", text)


def typed(*words, windows=os.name == "nt"):
    """A program and its arguments as a line to type in a terminal of this system.

    Words with blanks, or with signs that mean something there, are quoted. On Windows
    it's a line for PowerShell, where a quoted program needs & before it."""
    words = [str(word) for word in words]
    if not windows:
        return shlex.join(words)
    line = subprocess.list2cmdline(words)
    return f"& {line}" if line.startswith('"') else line
