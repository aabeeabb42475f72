"""That the tests' own guard works: a lesson that tries to leave this machine fails."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from cases import thorough_but
from lessons import NOTEBOOKS

ROOT = NOTEBOOKS.parent

LEAVES = (
    "socket.create_connection(('example.org', 80))",  # by a name
    "socket.create_connection(('192.0.2.1', 80), timeout=1)",  # by an address
    "urllib.request.urlopen('http://example.org/', timeout=1)",  # by the proxy
)


def run(folder, *sources, options=("--nbval",), **variables):
    """What pytest prints of a notebook of these cells, with the project's own guard
    beside it."""
    cells = [nbformat.v4.new_code_cell(source, execution_count=1) for source in sources]
    kernel = {
        "kernelspec": {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
    }
    (folder / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(notebook, folder / "notebooks" / "x.ipynb")
    shutil.copy(ROOT / "conftest.py", folder)
    shutil.copytree(
        ROOT / "tests" / "support" / "guard", folder / "tests" / "support" / "guard"
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--nbval-current-env", "notebooks"],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


@pytest.mark.thorough
def test_a_lesson_that_leaves_fails_even_if_it_catches_the_error(tmp_path):
    """In each cell that tries, and in no other."""
    sources = [
        "import contextlib, socket, urllib.request\nwith "
        f"contextlib.suppress(OSError): {line}"
        for line in LEAVES
    ]
    printed = run(tmp_path, "x = 3", *sources, "x = 4")
    assert "3 failed, 2 passed" in printed, printed
    assert printed.count("Tried to leave this machine") >= 3


@pytest.mark.parametrize(
    ("option", "model"),
    thorough_but([("--nbval", None), ("--nbval-lax", "vgg16")], ("--nbval", None)),
)
def test_another_model_is_taken_only_where_outputs_are_not_compared(
    option, model, tmp_path
):
    source = f"import os\nassert os.environ.get('TRANSFER_MODEL') == {model!r}"
    printed = run(tmp_path, source, options=[option], TRANSFER_MODEL="vgg16")
    assert "1 passed" in printed, printed


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_where_the_network_is_cut_off_only_this_machine_answers(tmp_path):
    code = (
        "import socket; server = socket.create_server(('127.0.0.1', 0)); "
        "socket.create_connection(server.getsockname()); print('loopback answers'); "
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    )
    done = subprocess.run(
        ["sh", ROOT / "tools" / "setup" / "offline.sh", sys.executable, "-c", code],
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
