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


HEAVY = {"tensorflow", "keras", "torch", "jax"}
IN_TURN = f"""
import importlib, sys
for module in {[*MODULES]}:
    importlib.import_module(module)
    if found := {HEAVY} & {{*sys.modules}}:
        sys.exit(f"{{module}} imports {{found}}")
"""


def test_imports_are_quiet_and_light(tmp_path):
    """One after the other in one process; each by itself is left to the thorough
    tests."""
    done = python(IN_TURN, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.thorough
@each_module
def test_import_is_quiet_and_light(module, tmp_path):
    done = python(f"import sys, {module}; print({HEAVY} & set(sys.modules))", tmp_path)
    assert (done.stdout, done.stderr) == ("set()\n", "")


# What one process takes, in CPU seconds: a busy machine stretches all of them alike.
START_UP = """
import sys, time
seen = [time.process_time()]
def lap():
    seen.append(time.process_time())
    return seen[-1] - seen[-2]
import numpy; print(lap())
import helpers; print(lap())
print(sorted({"scipy", "requests", "sklearn", "matplotlib"} & set(sys.modules)))
from helpers import keras; print(lap())
helpers.load_classifier().predict("cat"); print(lap())
"""


@pytest.mark.thorough
def test_start_up_is_keras_own(tmp_path, record_property):
    """Aims: 0.15 s to import helpers, and 1 s to load and predict, where Keras takes 4.
    What is held has room for noise."""
    done = python(START_UP, tmp_path)
    assert done.stderr == ""
    numpy, ours, others, keras, first = done.stdout.splitlines()
    assert others == "[]", "none of them is needed for a start"
    times = {"numpy": numpy, "helpers": ours, "keras": keras, "first answer": first}
    times = {name: float(seconds) for name, seconds in times.items()}
    record_property("start-up, CPU seconds", times)
    assert times["helpers"] < 4 * times["numpy"]
    assert times["first answer"] < 0.9 * times["keras"]


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
