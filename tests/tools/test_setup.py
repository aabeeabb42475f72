"""The set-up and the commands, on machines made of stand-ins: no packages are installed
here."""

import http.client
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from contextlib import contextmanager
from glob import iglob
from http.cookiejar import CookieJar
from importlib.metadata import version
from pathlib import Path

import pytest
from cases import thorough_but
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from helpers import sample_names

ROOT = Path(__file__).resolve().parents[2]
lab = runpy.run_path(str(ROOT / "tools" / "setup" / "lab.py"))
TOOLS = (
    "sh",
    "make",
    "awk",
    "cat",
    "mkdir",
    "rm",
    "id",
    "uname",
    "cp",
    "dirname",
    "env",
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("make"), reason="make is not here"
)


def requirements():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


# -- the files that say what is installed ----------------------------------------------


def test_conda_installs_the_same():
    text = (ROOT / "environment.yml").read_text()
    assert re.findall(r"^ +- (.*)$", text, re.MULTILINE) == [
        "conda-forge",
        "python=3.12",
        "pip",
        "pip:",
        "-r requirements.txt",
    ]


def test_every_requirement_has_a_tried_range():
    *packages, last = requirements()
    assert last == "-e ."
    for requirement in map(Requirement, packages):
        operators = {specifier.operator for specifier in requirement.specifier}
        weights = requirement.name.endswith(
            "-pytorch-model"
        )  # of which we know the hash
        assert operators in ([{"=="}] if weights else [{"~="}, {">=", "<"}]), (
            requirement
        )
        assert version(requirement.name) in requirement.specifier, requirement


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_lock_holds_every_requirement_within_its_range(python, platform):
    text = (ROOT / "requirements/base.lock").read_text()
    here = {
        "python_full_version": python,
        "python_version": python[:4],
        "sys_platform": platform,
    }
    pins = {}
    for pin in re.findall(
        r"(?m)^(\S+==.*?) \\\n(?: +--hash=sha256:\S+(?: \\)?\n)+", text
    ):
        requirement = Requirement(pin)
        if requirement.marker is None or requirement.marker.evaluate(here):
            assert requirement.name not in pins
            pins[requirement.name] = str(requirement.specifier).removeprefix("==")
    assert len(re.findall(r"(?m)^[^ #\n]", text)) == len(
        re.findall(r"(?m)^\S+==.* \\$", text)
    )
    for requirement in map(Requirement, requirements()[:-1]):
        assert pins[requirement.name] in requirement.specifier, "make lock"
    # What builds our own package is installed from the lock as well.
    (backend,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"][
        "requires"
    ]
    assert pins["setuptools"] in Requirement(backend).specifier
    assert not re.search(r"(?m)^-|://|file:", text), "no address, no path"


def test_python_versions_are_in_step():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = SpecifierSet(project["requires-python"])
    suitable = [f"3.{minor}" for minor in range(20) if f"3.{minor}" in wanted]
    check = (ROOT / "tools" / "setup" / "check_python.py").read_text()
    first, last = re.search(r"FIRST, LAST = \(3, (\d+)\), \(3, (\d+)\)", check).groups()
    assert suitable == [f"3.{minor}" for minor in range(int(first), int(last) + 1)]
    setup = (ROOT / "tools" / "setup" / "setup.sh").read_text()
    tried = re.search(r"PYTHON:-([^}]*) python3}", setup)[1].split()
    assert tried == [f"python{minor}" for minor in reversed(suitable)]


def test_citation_names_the_version_and_licence_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {project['version']}" in citation
    assert f"license: {project['license']}" in citation


def test_every_sample_photograph_is_credited():
    credits = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("## Licence")[2]
    )
    assert [name for name in sample_names() if f"*{name}*" not in credits] == []


# -- the set-up ------------------------------------------------------------------------


class Machine:
    """A copy of the project and a PATH that holds only what is put there."""

    def __init__(self, folder):
        self.project, self.bin = folder / "a project", folder / "bin"
        (self.project / "tools" / "setup").mkdir(parents=True)
        (self.project / "apps" / "served").mkdir(parents=True)
        (self.project / "notebooks").mkdir()
        (self.project / "requirements").mkdir()
        self.bin.mkdir()
        self.calls = folder / "calls"
        for name in ("Makefile", "requirements/base.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.project / name)
        for name in ("setup.sh", "check_python.py"):
            shutil.copy(
                ROOT / "tools" / "setup" / name, self.project / "tools" / "setup" / name
            )
        shutil.copy(
            ROOT / "apps" / "served" / "app.sh", self.project / "apps" / "served"
        )
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))

    def command(self, name, script):
        """Put a shell script on PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def odd_python(self, name, difference):
        """Put a real Python on PATH that differs from the one running this in
        `difference`."""
        code = (
            "import platform, runpy, sys, sysconfig; sys.argv = sys.argv[1:]; "
            f"{difference}; runpy.run_path(sys.argv[0], run_name='__main__')"
        )
        self.command(name, f'exec "{sys.executable}" -c "{code}" "$@"')

    def good_python(self, name):
        """Put a stand-in for a suitable Python on PATH; its environments only note
        their calls."""
        self.command(
            name,
            f"""case "$*" in
            tools/setup/check_python.py) ;;
            --version) echo Python of {name} ;;
            "-m venv .venv") mkdir -p .venv/bin; \
cp "{self.bin}/inside" .venv/bin/python ;;
            *) exit 1 ;;
            esac""",
        )
        self.command(
            "inside",
            f"""echo "$*" >> "{self.calls}"
            case "$*" in *"pip install"*) exit ${{PIP_STATUS:-0}} ;; esac""",
        )

    def make(self, *arguments, **variables):
        """→ (status, what stdout and stderr hold, make's own closing line aside)"""
        done = subprocess.run(
            ["make", *arguments],
            cwd=self.project,
            env={"PATH": str(self.bin), "HOME": str(self.project)} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        lines = done.stdout.splitlines()
        return done.returncode, [
            line for line in lines if not line.startswith("make: ***")
        ]

    def check(self, python, *options):
        """What tools/setup/check_python.py says of a Python."""
        command = [python, "tools/setup/check_python.py", *options]
        return subprocess.run(
            command, cwd=self.project, capture_output=True, text=True
        ).stdout

    def pip_runs(self):
        return self.calls.read_text().count("base.lock") if self.calls.exists() else 0


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("difference", "line"),
    [
        (
            "sys.version_info = (3, 9, 18)",
            "Python 3.9 .*unsuitable: .* Python 3.11 to 3.13",
        ),
        (
            "sys.version_info = (3, 14, 0)",
            "Python 3.14 .*unsuitable: .* Python 3.11 to 3.13",
        ),
        (
            "sys.version_info = (2, 7, 18)",
            "Python 2.7 .*unsuitable: .* Python 3.11 to 3.13",
        ),
        (
            "sys.modules['ensurepip'] = None",
            r"on Debian and Ubuntu: apt install python3.\d\d-venv",
        ),
        (
            "sys.modules['venv'] = None",
            r"on Debian and Ubuntu: apt install python3.\d\d-venv",
        ),
        ("platform.python_implementation = lambda: 'PyPy'", "usual CPython"),
        ("sys.maxsize = 2**31 - 1", "64-bit"),
        (
            "sysconfig.get_config_vars(); sys.platform = 'darwin'; "
            "platform.machine = lambda: 'x86_64'",
            "Intel Macs",
        ),
        (
            "get = sysconfig.get_config_var; sysconfig.get_config_var = lambda name: "
            "'x86_64-linux-musl' if name == 'HOST_GNU_TYPE' else get(name)",
            "glibc",
        ),
    ],
)
def test_unsuitable_python_gets_one_line(machine, difference, line):
    machine.odd_python("python3", difference)
    status, lines = machine.make("lab")
    assert status != 0
    assert len(lines) == 1
    assert re.search(line, lines[0])
    assert not (machine.project / ".venv").exists()


def test_no_python_gets_one_line(machine):
    # pyenv's placeholders are on PATH for versions that are not chosen, and fail when
    # run.
    machine.command(
        "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127"
    )
    status, lines = machine.make("test")
    assert status != 0
    assert len(lines) == 1
    assert "No working Python found" in lines[0]
    assert "3.11 to 3.13" in lines[0]


def test_takes_the_first_python_that_works(machine):
    machine.command(
        "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127"
    )
    machine.odd_python("python3.12", "sys.modules['ensurepip'] = None")
    machine.good_python("python3.11")
    machine.odd_python("python3", "sys.version_info = (3, 9, 18)")
    status, lines = machine.make("setup")
    assert status == 0
    assert "Python of python3.11" in lines[0]


def test_takes_the_python_named(machine):
    machine.good_python("python3")
    machine.odd_python("mine", "sys.version_info = (3, 9, 18)")
    status, lines = machine.make("setup", "PYTHON=mine")
    assert status != 0
    assert len(lines) == 1
    assert "Python 3.9" in lines[0]
    machine.good_python("mine")
    assert "Python of mine" in machine.make("setup", "PYTHON=mine")[1][0]


def test_second_run_installs_nothing(machine):
    machine.good_python("python3")
    assert machine.make("setup")[0] == 0
    first = machine.calls.read_text()
    assert "--require-hashes -r requirements/base.lock\n" in first
    assert "--no-deps --no-build-isolation -e .\n" in first
    assert "import tensorflow" in first
    assert "import matplotlib.font_manager" in first
    machine.calls.unlink()
    assert machine.make("setup") == (0, [])
    assert machine.calls.read_text() == "tools/setup/check_python.py --existing\n"


@pytest.mark.parametrize("changed", ["requirements/base.lock", "pyproject.toml"])
def test_changed_requirements_are_installed_into_the_same_environment(machine, changed):
    machine.good_python("python3")
    machine.make("setup")
    kept = machine.project / ".venv" / "kept"
    kept.touch()
    with (machine.project / changed).open("a") as file:
        file.write("# new\n")
    assert machine.make("setup")[0] == 0
    assert machine.pip_runs() == 2
    assert kept.exists()


def test_set_up_that_was_cut_off_is_not_trusted(machine):
    machine.good_python("python3")
    status, lines = machine.make("setup", PIP_STATUS="1")
    assert status != 0
    assert "tries again" in lines[-1]
    half = machine.project / ".venv" / "half"
    half.touch()
    assert machine.make("setup")[0] == 0
    assert not half.exists()
    assert machine.pip_runs() == 2


def test_environment_made_by_hand_is_completed(machine):
    machine.good_python("python3")
    subprocess.run(
        [machine.bin / "python3", "-m", "venv", ".venv"],
        cwd=machine.project,
        env={"PATH": str(machine.bin)},
        check=True,
    )
    kept = machine.project / ".venv" / "kept"
    kept.touch()
    assert machine.make("setup")[0] == 0
    assert machine.pip_runs() == 1
    assert kept.exists()


def test_environment_needs_no_venv_module_of_its_own(machine):
    """As one made with virtualenv or uv, where the system's Python lacks venv."""
    machine.odd_python("python3", "sys.modules['ensurepip'] = None")
    inside = machine.project / ".venv" / "bin" / "python"
    inside.parent.mkdir(parents=True)
    inside.symlink_to(machine.bin / "python3")
    assert machine.check(inside, "--existing") == ""
    assert "apt install" in machine.check(inside)


def test_environment_whose_python_is_gone_is_made_anew(machine):
    machine.good_python("python3")
    machine.make("setup")
    (machine.project / ".venv" / "bin" / "python").unlink()
    assert machine.make("setup")[0] == 0
    assert machine.pip_runs() == 2


def test_help_lists_every_target(machine):
    status, lines = machine.make()
    assert status == 0
    assert lines == machine.make("help")[1]
    targets = re.search(
        r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )[1]
    listed = [line.split()[1] for line in lines if line.startswith("make ")]
    assert listed == targets.split()


# -- make lab --------------------------------------------------------------------------


def test_make_lab_passes_arguments_on(machine):
    machine.good_python("python3")
    machine.make("setup")
    assert machine.make("lab", "LAB_ARGS=--port=9999") == (0, [])
    assert machine.calls.read_text().splitlines()[-1] == (
        "tools/setup/lab.py --port=9999"
    )


@pytest.mark.parametrize(
    ("root", "system", "variables", "flags"),
    [
        (True, "linux", {}, ["allow-root", "no-browser"]),  # Docker
        (False, "linux", {}, ["no-browser"]),
        (False, "linux", {"DISPLAY": ":0"}, []),
        (False, "linux", {"BROWSER": "firefox"}, []),
        (False, "darwin", {}, []),
        (False, "win32", {}, []),
        (True, "linux", {"WAYLAND_DISPLAY": "wayland-0"}, ["allow-root"]),
        # WSL: the browser is one of Windows, and can't read a file of Linux
        (
            False,
            "linux",
            {"WSL_DISTRO_NAME": "Ubuntu", "DISPLAY": ":0"},
            ["ServerApp.use_redirect_file=False"],
        ),
        (
            False,
            "linux",
            {"CODESPACE_NAME": "fuzzy-owl-1", "BROWSER": "/vscode/browser.sh"},
            [
                "ServerApp.use_redirect_file=False",
                r"ServerApp.allow_origin_pat=https://fuzzy\-owl\-1-\d+\.app\.github\.dev$",
            ],
        ),
    ],
)
def test_lab_gets_the_flags_it_needs(root, system, variables, flags):
    given = lab["arguments_for_lab"](["--port=9999"], variables, system, root)
    page, uploads, log, *folders = given[:7]
    assert page == "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"
    assert uploads == (
        "--ServerApp.tornado_settings={'websocket_max_message_size': 67108864}"
    )
    assert log == "--Application.log_level=WARN"
    assert all("_dir=" in folder for folder in folders)
    encrypted = "--KernelManager.transport_encryption=auto"
    assert given[7:] == [encrypted, *(f"--{flag}" for flag in flags), "--port=9999"]


def test_a_python_without_jupyter_is_told_so(monkeypatch):
    """Instead of a traceback about a package that came with it."""
    for name in ("zmq", "jupyter_server", "jupyterlab", "tornado", "traitlets"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "find_a_place_to_write" in runpy.run_path(str(ROOT / "tools/setup/lab.py"))


def test_kernels_are_not_encrypted_where_zeromq_cannot(monkeypatch):
    """Nor would they start: Jupyter refuses the setting there."""
    monkeypatch.setattr("zmq.has", lambda capability: capability != "curve")
    given = lab["arguments_for_lab"]([], {}, "linux", False)
    assert not [argument for argument in given if "encryption" in argument]


@pytest.mark.parametrize(
    "asked", ["--ServerApp.root_dir=x", "--notebook-dir=x", "--notebook_dir=x"]
)
def test_another_folder_may_be_asked_for(asked):
    given = lab["arguments_for_lab"]([asked], {}, "linux", False)
    assert [argument for argument in given if "_dir=" in argument or argument == asked]
    assert len([argument for argument in given if "dir=" in argument]) == 1


@pytest.mark.parametrize("asked", ["--debug", "--log-level=INFO"])
def test_more_of_the_log_may_be_asked_for(asked):
    given = lab["arguments_for_lab"]([asked], {}, "linux", False)
    assert [word for word in given if "log" in word or "debug" in word] == [asked]


@pytest.mark.parametrize(
    ("asked", "page"),
    [
        ("build/mine/labels.ipynb", "build/mine/labels.ipynb"),
        (f"{ROOT}/notebooks/a b.ipynb", "notebooks/a%20b.ipynb"),
        ("../elsewhere.ipynb", "notebooks/00_start_here.ipynb"),
    ],
)
def test_a_notebook_that_is_named_is_in_the_address(asked, page):
    given = lab["arguments_for_lab"]([asked, "--port=9"], {}, "linux", False)
    assert given[0] == f"--LabApp.default_url=/lab/tree/{page}"
    left = [asked] if page.startswith("notebooks/00") else []
    assert [word for word in given if word == asked] == left
    assert given[-1] == "--port=9"


def test_labels_before_make_mine_get_a_line():
    assert lab["problem"]("build/mine/none.ipynb") == (
        "There is no build/mine/none.ipynb. Make it first: make mine "
        "PICTURES=~/Pictures/pets"
    )


def test_what_is_asked_for_is_not_said_twice():
    asked = "--ServerApp.tornado_settings={'websocket_max_message_size': 1}"
    given = lab["arguments_for_lab"]([asked, "--allow-root"], {}, "linux", True)
    assert [argument for argument in given if "tornado" in argument] == [asked]
    assert given.count("--allow-root") == 1


def answer(address):
    """Open an address; JupyterLab prints it a moment before it listens."""
    for _ in range(100):
        try:
            return urllib.request.urlopen(address, timeout=30)
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            time.sleep(0.1)
    pytest.fail(f"nothing answers at {address}")


@contextmanager
def started_lab(*arguments, **variables):
    """The real JupyterLab, on this machine only → the address that it prints."""
    command = [sys.executable, "tools/setup/lab.py", *arguments]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME")}
    process = subprocess.Popen(
        [*command, "--no-browser", "--port=0"],
        cwd=ROOT,
        env=inherited | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # ends the loop below where nothing is served
    deadline = threading.Timer(60, process.kill)
    deadline.start()
    try:
        pattern = r"^Open this: (http://localhost:\d+/lab/tree/\S+\.ipynb\?token=\w+)$"
        printed = ""
        for line in process.stdout:
            printed += line
            if found := re.search(pattern, line):
                break
        else:
            pytest.fail(printed)
        yield found[1]
    finally:
        deadline.cancel()
        process.kill()
        process.wait()


def opened(address):
    """Whether the first lesson is there, and what the page says of its settings."""
    with answer(address.replace("/lab/tree/", "/api/contents/")) as contents:
        assert b'"type": "notebook"' in contents.read()
    with answer(address) as page:
        text = page.read().decode()
    return json.loads(re.search(r"<script id=.jupyter-config-data.*?>(.*?)</", text)[1])


OLD_SETTINGS = {
    "ServerApp.root_dir": "jupyter_server_config",
    "ServerApp.notebook_dir": "jupyter_server_config",
    "ServerApp.preferred_dir": "jupyter_lab_config",
    "FileContentsManager.root_dir": "jupyter_server_config",
    "FileContentsManager.preferred_dir": "jupyter_server_config",
    "NotebookApp.notebook_dir": "jupyter_notebook_config",
}


@pytest.mark.parametrize(
    "exists", thorough_but([True, False], False), ids=["elsewhere", "gone"]
)
def test_old_settings_of_the_user_do_not_hide_the_lessons(tmp_path, exists):
    """Folders that somebody chose years ago, by whatever name, and other limits."""
    folder = tmp_path / "Desktop"
    if exists:
        folder.mkdir()
    for setting, file in OLD_SETTINGS.items():
        with (tmp_path / f"{file}.py").open("a") as settings:
            settings.write(f"c.{setting} = {str(folder)!r}\n")
    with started_lab(JUPYTER_CONFIG_DIR=str(tmp_path)) as address:
        page = opened(address)
    assert Path(page["serverRoot"]).expanduser() == ROOT
    assert page["preferredPath"] in ("", "/")


@pytest.mark.thorough
def test_a_lesson_that_is_named_is_what_the_address_opens():
    lesson = "notebooks/05_reuse_features.ipynb"
    with started_lab(lesson) as address:
        assert f"/lab/tree/{lesson}?" in address
        opened(address)


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_lab_opens_where_there_is_no_home():
    """As in Docker for a user that the image doesn't know: nothing can be made in it,
    here not even by root."""
    with started_lab(HOME="/proc/none") as address:
        opened(address)


@pytest.mark.thorough
def test_a_codespace_may_talk_to_the_kernels():
    """Its pages come under another name than JupyterLab's; no other site's may."""
    statuses = {
        "https://fuzzy-owl-1-8888.app.github.dev": 101,
        "https://fuzzy-owl-2-8888.app.github.dev": 403,
        "https://fuzzy-owl-1-8888.app.github.dev.example.org": 403,
    }
    with started_lab(CODESPACE_NAME="fuzzy-owl-1") as address:
        browser = CookieJar()  # a token in the address would excuse any origin
        opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(browser)
        )
        answer(address).close()
        opener.open(address, timeout=30).close()
        host = address.removeprefix("http://").partition("/")[0]
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser)
        for origin, status in statuses.items():
            assert web_socket_status(host, origin, cookies) == status, origin


def web_socket_status(host, origin, cookies):
    """What a web socket that a page of this origin asks for is answered with."""
    connection = http.client.HTTPConnection(host, timeout=30)
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": origin}
    headers |= {"Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==", "Cookie": cookies}
    headers |= {"Sec-WebSocket-Version": "13"}
    connection.request("GET", "/api/events/subscribe", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


# -- a folder in which nothing would work ----------------------------------------------


@pytest.mark.parametrize(
    ("name", "works"),
    [("pets [2026]", False), ("[a]", False), ("a [b", True), ("{a} *b' #%20Ö", True)],
)
def test_a_name_that_hides_the_panels_is_told(tmp_path, name, works):
    """JupyterLab takes [ ] in the path of its extensions for a pattern."""
    machine = Machine(tmp_path / name)
    machine.good_python("python3")
    status, lines = machine.make("setup")
    assert (status == 0) == works
    if not works:
        assert lines[0].startswith("The name of this folder, or of one")
        assert name in lines[0]
        assert not (machine.project / ".venv").exists()
    extensions = tmp_path / name / "labextensions" / "@a" / "b"
    extensions.mkdir(parents=True)
    (extensions / "package.json").write_text("{}")
    found = iglob(str(extensions.parents[1] / "@*" / "*" / "package.json"))
    assert any(found) == works, "JupyterLab has learned to look for them"


def test_lab_without_make_tells_it_as_well(monkeypatch, tmp_path):
    prefix = tmp_path / "pets [2026]" / ".venv"
    prefix.mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert "has [ and ] in its name" in lab["problem"]()
    monkeypatch.undo()
    assert lab["problem"]() is None


def test_lab_without_jupyterlab_gets_a_line(monkeypatch):
    monkeypatch.setitem(lab["problem"].__globals__, "find_spec", lambda name: None)
    assert "isn't installed for" in lab["problem"]()


def test_readme_opens_the_lessons_by_the_same_tool():
    """So its lines for people without make set the limit and the folders, too."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"python tools[/\\]setup[/\\]lab\.py", text)) == 3
    assert not re.search(r"-m jupyter|jupyter.lab -", text)


# -- make app --------------------------------------------------------------------------


def app(machine, *arguments, **variables):
    """Run `make app` → (status, lines printed, what the stand-in for Voila was called
    with)."""
    machine.good_python("python3")
    machine.command("uname", f"echo {variables.pop('system', 'Linux')}")
    machine.make("setup")
    inside = machine.project / ".venv" / "bin" / "python"
    inside.write_text(
        inside.read_text()
        + f'echo "$TRANSFER_MODEL|$JUPYTER_PATH|$*" >> "{machine.calls}"\n'
    )
    machine.calls.unlink()
    status, lines = machine.make("app", *arguments, **variables)
    return status, lines, machine.calls.read_text().splitlines()[-1].split("|")


@pytest.mark.parametrize(
    ("system", "variables", "flags"),
    [
        ("Linux", {}, " --no-browser"),
        ("Linux", {"DISPLAY": ":0"}, ""),
        ("Darwin", {}, ""),
    ],
)
def test_app_gets_the_flags_it_needs(machine, system, variables, flags):
    status, lines, (model, template, call) = app(
        machine, "APP_ARGS=--port=9999", system=system, **variables
    )
    assert (status, lines, model) == (0, [], "")
    assert template == f"{machine.project}/apps/served"
    configuration = f"--Voila.config_file_paths={machine.project}/apps/served"
    assert call == f"-m voila notebooks/app.ipynb {configuration}{flags} --port=9999"


def test_app_takes_a_saved_model_or_a_name(machine):
    mine = machine.project / "my models" / "mine.keras"
    mine.parent.mkdir()
    mine.touch()
    assert app(machine, "MODEL=my models/mine.keras")[2][0] == str(mine)
    assert app(machine, f"MODEL={mine}")[2][0] == str(mine)
    assert app(machine, TRANSFER_MODEL="mobilenet_v2")[2][0] == "mobilenet_v2"
    assert (
        app(machine, "MODEL=resnet50", TRANSFER_MODEL="mobilenet_v2")[2][0]
        == "resnet50"
    )


@pytest.mark.parametrize("kind", ["keras", "onnx"])
def test_app_without_its_model_gets_one_line(machine, kind):
    status, lines, _ = app(machine, f"MODEL=none.{kind}")
    assert status != 0
    assert lines == [
        f"There is no file none.{kind}: name a saved one, as in MODEL=mine.{kind}."
    ]
