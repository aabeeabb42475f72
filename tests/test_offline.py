"""That the tests' own guard works: a lesson that tries to leave this machine fails."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from lessons import NOTEBOOKS

ROOT = NOTEBOOKS.parent

LEAVES = {
    "a name": "socket.create_connection(('example.org', 80))",
    "an address": "socket.create_connection(('192.0.2.1', 80), timeout=1)",
    "the proxy": "urllib.request.urlopen('http://example.org/', timeout=1)",
}


@pytest.mark.parametrize("line", LEAVES.values(), ids=LEAVES)
def test_a_lesson_that_leaves_fails_even_if_it_catches_the_error(line, tmp_path):
    source = f"import contextlib, socket, urllib.request\nwith contextlib.suppress(OSError): {line}"
    cells = [nbformat.v4.new_code_cell(text, execution_count=1) for text in ("3", source)]
    cells[0].outputs = [
        nbformat.v4.new_output("execute_result", {"text/plain": "3"}, execution_count=1)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (tmp_path / "notebooks").mkdir()
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "notebooks/x.ipynb"
    )
    shutil.copy(ROOT / "conftest.py", tmp_path)
    shutil.copytree(ROOT / "tests" / "guard", tmp_path / "tests" / "guard")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "notebooks"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "Tried to leave this machine" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_where_the_network_is_cut_off_only_this_machine_answers(tmp_path):
    code = (
        "import socket; server = socket.create_server(('127.0.0.1', 0)); "
        "socket.create_connection(server.getsockname()); print('loopback answers'); "
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    )
    done = subprocess.run(
        ["sh", ROOT / "tools" / "offline.sh", sys.executable, "-c", code],
        env={name: os.environ[name] for name in os.environ if name != "GUARD_LOG"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 75:
        assert "not run offline" in done.stderr
        pytest.skip("no network namespace may be made here")
    assert done.stdout == "loopback answers\n"
    assert "Network is unreachable" in done.stderr
