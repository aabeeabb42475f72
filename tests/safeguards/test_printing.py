"""No tool loses its work to a console: not to its encoding, not to a closed pipe, not
to a full disk."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from safeguards.printing import STAND_INS, run_tool

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ("apps", "helpers", "teaching", "tools")
SIGNS = "≈0.83 → …−–×±≤≥“”’✓✗ café 狗 \udce9"
# Windows' consoles in Western Europe and in Japan, and a container without a locale.
ENCODINGS = ("cp1252", "cp932", "ascii")

# Runs what stands below `if __name__ == "__main__":`, with a stand-in for main that
# prints signs, tool by tool, in one encoding after the other, each redirected to a file
# of the folder; writes [[encoding, tool, what went wrong], …] there.
LAUNCHER = """
import ast, inspect, json, os, runpy, sys
signs, folder, encodings, *tools = sys.argv[1:]
def main(*arguments):
    print(signs)
    return signs
faults = []
def run(tool):
    with open(tool, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)
                and "__main__" in ast.unparse(node.test)]
    names = runpy.run_path(tool)
    for node in ast.walk(block):
        value = names.get(node.id) if isinstance(node, ast.Name) else None
        if inspect.isfunction(value) and value.__module__ != "safeguards.printing":
            names[node.id] = main
    try:
        exec(compile(ast.Module(block.body, []), tool, "exec"), names)
    except SystemExit:
        return ""
    return "its main wasn't run"
for encoding in encodings.split():
    log = os.open(f"{folder}/{encoding}", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    for tool in tools:
        sys.stdout.reconfigure(encoding=encoding, errors="strict")
        try:
            faults.append([encoding, tool, run(tool)])
        except Exception as error:
            faults.append([encoding, tool, f"{type(error).__name__}: {error}"])
        sys.stdout.flush()
with open(f"{folder}/faults.json", "w", encoding="utf-8") as file:
    json.dump(faults, file)
"""


def is_main_block(node):
    return isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)


def find_tools():
    """The files of ours that are run as programs: paths from the project's folder."""
    tools = []
    for folder in HOUSE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if "node_modules" in relative.parts:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if any(map(is_main_block, tree.body)):
                tools.append(relative.as_posix())
    return tools


TOOLS = find_tools()


def start(code, *arguments, encoding="utf-8", **options):
    """Run Python code on a system whose console has this encoding."""
    environment = os.environ | {
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": encoding,
        # render_computers.py is run where only its own folder is known.
        "PYTHONPATH": os.pathsep.join(
            [str(ROOT), str(ROOT / "tools" / "make_computers")]
        ),
    }
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment,
        timeout=300,
        **options,
    )


@pytest.fixture(scope="module")
def redirected(tmp_path_factory):
    """All tools, run with their output redirected → (faults, folder of the logs)."""
    folder = tmp_path_factory.mktemp("logs")
    done = start(LAUNCHER, SIGNS, folder, " ".join(ENCODINGS), *TOOLS, stderr=-1)
    assert (folder / "faults.json").exists(), done.stderr.decode(errors="replace")
    faults = json.loads((folder / "faults.json").read_text(encoding="utf-8"))
    return {(encoding, tool): fault for encoding, tool, fault in faults}, folder


def test_tools_are_found():
    known = {"apps/own_pictures/mine.py", "helpers/weights.py", "apps/page/build.py"}
    assert known <= {*TOOLS}
    assert len(TOOLS) >= 25


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_prints_by_what_knows_its_console(tool):
    tree = ast.parse((ROOT / tool).read_text(encoding="utf-8"))
    (block,) = map(ast.unparse, filter(is_main_block, tree.body))
    # The latter is for a Python that is too old to read our own modules.
    assert "run_tool(" in block or "errors='backslashreplace'" in block


@pytest.mark.thorough
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_tool_stumbles_over_what_a_console_cannot_write(redirected, encoding, tool):
    faults, folder = redirected
    assert faults[encoding, tool] == ""
    assert "~0.83" in (folder / encoding).read_bytes().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_tool_as_it_is_started(encoding, tmp_path):
    """`python -m tools.record.measure_code FOLDER > log`, where the folder's name has
    signs that the console lacks."""
    folder = tmp_path / "≈ 狗 é"
    folder.mkdir()
    (folder / "code.py").write_text("x = 1\n", encoding="utf-8")
    command = [sys.executable, "-m", "tools.record.measure_code", folder]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding).splitlines()[-1].split()[0] == "~"


def test_every_stand_in_is_ascii():
    assert "".join(STAND_INS.values()).isascii()


# -- a console that is gone ------------------------------------------------------------

WORK = """
import sys
from pathlib import Path
from safeguards.printing import run_tool
def main():
    for i in range(20_000):
        print("a line of what was measured", i, flush=i % 100 == 0)
    Path(sys.argv[1]).write_text("whole")
    return int(sys.argv[2])
sys.exit(run_tool(main))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell's pipe")
@pytest.mark.parametrize("status", [0, 3])
def test_nobody_who_reads_on_is_no_fault(tmp_path, status):
    """As in `make mine | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    done = start(WORK, tmp_path / "kept", str(status), stdout=writing, stderr=-1)
    os.close(writing)
    assert (done.returncode, done.stderr) == (status, b"")
    assert (tmp_path / "kept").read_text() == "whole"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(("status", "reported"), [(0, 1), (3, 3)])
def test_a_full_disk_is_told_after_the_work(tmp_path, status, reported):
    with open("/dev/full", "wb") as full:
        done = start(WORK, tmp_path / "kept", str(status), stdout=full, stderr=-1)
    assert done.returncode == reported
    assert done.stderr.decode().startswith("What was printed is incomplete: [Errno 28]")
    assert (tmp_path / "kept").read_text() == "whole"


def test_no_console_at_all(monkeypatch):
    """As under pythonw on Windows."""
    monkeypatch.setattr(sys, "stdout", None)
    assert run_tool(print, "nothing") is None
    assert sys.stdout is None


def test_the_streams_are_as_before(capsys):
    before = sys.stdout, sys.stderr
    assert run_tool(lambda: print("seen") or 4) == 4
    with pytest.raises(ZeroDivisionError):
        run_tool(lambda: 1 / 0)
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "seen\n"
