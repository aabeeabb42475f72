"""Count how much code a folder holds and how dense it is.

python -m tools.record.measure_code [FOLDER …]

One row a folder, by default helpers and its neighbours: code lines (without blank
lines, comments and docstrings), public definitions (functions, classes and their
methods whose names don't begin with an underscore), and syntax nodes per code line,
which tells packed lines from plain ones: others' teaching code has 4.5 to 9.
CONTRIBUTING.md says how much `helpers` may hold, and tests/tools/test_measure_code.py
holds it to that.
"""

import argparse
import ast
import io
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

from safeguards.printing import run_tool

ROOT = Path(__file__).resolve().parents[2]
NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Size(NamedTuple):
    """How much code there is: `lines`, public `definitions`, syntax `nodes`."""

    lines: int
    definitions: int
    nodes: int


def docstrings(tree):
    """The expressions in `tree` that are docstrings."""
    documented = (ast.Module, *DEFINITIONS)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False):
            yield node.body[0]


def public_definitions(body):
    """How many functions, classes and methods of `body` have public names; what a
    function defines inside itself is nobody else's."""
    count = 0
    for node in body:
        if not isinstance(node, DEFINITIONS) or node.name.startswith("_"):
            continue
        count += 1
        if isinstance(node, ast.ClassDef):
            count += public_definitions(node.body)
    return count


def measure(source):
    """The Size of one module's `source`, a text."""
    tree = ast.parse(source)
    prose = list(docstrings(tree))
    prose_lines = {
        line for text in prose for line in range(text.lineno, text.end_lineno + 1)
    }
    code_lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NOT_CODE:
            code_lines.update(range(token.start[0], token.end[0] + 1))
    nodes = sum(1 for _ in ast.walk(tree))
    return Size(
        lines=len(code_lines - prose_lines),
        definitions=public_definitions(tree.body),
        nodes=nodes - 2 * len(prose),  # an expression and its constant each
    )


def measure_folder(folder):
    """The Size of all Python files in and below `folder`."""
    files = sorted(Path(folder).rglob("*.py"))
    sizes = [measure(file.read_text(encoding="utf-8")) for file in files]
    return Size(*map(sum, zip(*sizes, strict=True))) if sizes else Size(0, 0, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    folders = parser.parse_args().folders or [
        ROOT / name for name in ("safeguards", "helpers", "exercises", "panels", "apps")
    ]
    print(f"{'folder':<24}{'code lines':>12}{'public':>8}{'nodes a line':>14}")
    for folder in folders:
        size = measure_folder(folder)
        density = size.nodes / max(size.lines, 1)
        print(
            f"{folder.name:<24}{size.lines:>12,}{size.definitions:>8}{density:>14.1f}"
        )


if __name__ == "__main__":
    sys.exit(run_tool(main))
