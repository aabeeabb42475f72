"""docs/security.md: the test that it names behind each promise is there."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "security.md"


@cache
def names(path):
    """Every function of a file of tests, those in classes as well."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_each_promise_names_its_tests():
    rows = re.findall(
        r"(?m)^\| (?!promise|---)(.*?) \| (.*) \|$", PAGE.read_text("utf-8")
    )
    assert len(rows) >= 20
    for promise, behind in rows:
        found = re.findall(r"`(test_\w+\.py)::(test_\w+)`", behind)
        assert found, promise
        for file, name in found:
            (path,) = TESTS.rglob(file)
            assert name in names(path), f"{file}::{name}"
