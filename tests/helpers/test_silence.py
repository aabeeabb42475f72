"""What `helpers` prints and imports, seen from outside: pytest's capture would hide the
noise that TensorFlow writes from C++."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from lessons import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
        ".__init__"
    ): path
    for package in PACKAGES
    for path in sorted((ROOT / package.replace(".", "/")).glob("*.py"))
}
each_module = pytest.mark.parametrize("module", MODULES)


def python(code, folder):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


@each_module
def test_import_is_quiet_and_light(module, tmp_path):
    heavy = "{'tensorflow', 'keras', 'torch', 'jax'}"
    done = python(f"import sys, {module}; print({heavy} & set(sys.modules))", tmp_path)
    assert (done.stdout, done.stderr) == ("set()\n", "")


@each_module
def test_everything_public_is_described(module):
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    nodes, missing = [tree], []
    while nodes:
        node = nodes.pop()
        if not ast.get_docstring(node):
            missing.append(getattr(node, "name", module))
        nodes += [
            child
            for child in node.body
            if isinstance(child, (ast.FunctionDef, ast.ClassDef))
            and not child.name.startswith("_")
            and not isinstance(node, ast.FunctionDef)
        ]
    assert not missing
