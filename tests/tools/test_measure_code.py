"""How much code a folder holds, and the bounds that `helpers` keeps."""

import pytest
from lessons import ROOT

from tools.record import measure_code as tool

MOST_LINES = 2000
MOST_DEFINITIONS = 80
MOST_NODES_A_LINE = 8

DOCUMENTED = '''"""A module.

Of three lines."""

# A comment.
SIZE = 3  # pixels


def area(width):
    """What it says."""
    return width * SIZE
'''


def test_blank_lines_comments_and_docstrings_are_no_code():
    assert tool.measure(DOCUMENTED).lines == 3
    assert tool.measure("").lines == 0


def test_docstrings_are_no_nodes():
    bare = "SIZE = 3\ndef area(width):\n    return width * SIZE\n"
    assert tool.measure(DOCUMENTED).nodes == tool.measure(bare).nodes


def test_a_text_that_is_no_docstring_is_code():
    assert tool.measure('def say():\n    print("""one\ntwo""")\n').lines == 3
    assert tool.measure('x = 1\n"""not the first"""\n').lines == 2


@pytest.mark.parametrize(
    ("source", "nodes"),
    [
        ("", 1),  # the module
        ("pass\n", 2),
        ("x = 1\n", 5),  # module, assignment, name, its context, number
    ],
)
def test_nodes_are_those_of_the_syntax_tree(source, nodes):
    assert tool.measure(source).nodes == nodes


@pytest.mark.parametrize(
    ("source", "definitions"),
    [
        ("def seen(): pass\n", 1),
        ("async def seen(): pass\n", 1),
        ("def _private(): pass\n", 0),
        ("class Seen: pass\n", 1),
        ("class Seen:\n    def seen(self): pass\n    def _private(self): pass\n", 2),
        ("class Seen:\n    def __repr__(self): pass\n", 1),
        ("class _Private:\n    def seen(self): pass\n", 0),
        ("def seen():\n    def inner(): pass\n", 1),
        ("SEEN = lambda: None\n", 0),
    ],
)
def test_public_definitions(source, definitions):
    assert tool.measure(source).definitions == definitions


def test_a_folder_is_the_sum_of_its_files_and_folders(tmp_path):
    assert tool.measure_folder(tmp_path) == tool.Size(0, 0, 0)
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.py").write_text("def a(): pass\n")
    (tmp_path / "inner" / "b.py").write_text("def b(): pass\nx = 1\n")
    (tmp_path / "note.txt").write_text("no code\n")
    size = tool.measure_folder(tmp_path)
    assert (size.lines, size.definitions) == (3, 2)


def test_helpers_stay_small_and_plain():
    """What no lesson teaches belongs elsewhere: see CONTRIBUTING.md."""
    size = tool.measure_folder(ROOT / "helpers")
    assert size.lines <= MOST_LINES
    assert size.definitions <= MOST_DEFINITIONS
    assert size.nodes / size.lines <= MOST_NODES_A_LINE


def test_contributing_names_the_bounds():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for bound in (f"{MOST_LINES:,}", f"{MOST_DEFINITIONS}", f"{MOST_NODES_A_LINE}"):
        assert f"at most {bound} " in text
