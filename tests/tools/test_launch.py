"""Buttons that open the lessons elsewhere, and the cell that comes first on Colab and
Kaggle.

The services are stand-ins: an environment with packages of other versions than ours,
and an index on this machine that holds ours.
"""

import ast
import base64
import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from zipfile import ZipFile

import nbformat
import pytest
from lessons import LESSONS, PACKAGES, TEMPLATE, code_cells, read
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from programs import git

from tools.release import hosted, launch

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted({name.partition(".")[0] for name in PACKAGES})
# which no lesson imports
COMMANDS = ("kernel.py", "mine.py", "predict_many.py", "run.py", "train_many.py")

ADDRESS = "https://github.com/owner/lessons"
COMMIT = "0123456789" * 4


# -- buttons ---------------------------------------------------------------------------


def test_the_buttons_are_those_of_the_address_in_the_citation():
    readme = launch.README.read_text("utf-8")
    address = launch.noted(launch.CITATION.read_text("utf-8"))
    assert launch.placed(readme, address) == readme, "run tools/release/launch.py"


def test_without_an_address_there_are_no_buttons():
    text = launch.buttons(None)
    assert "no public address" in text and "](" not in text


def test_every_button_leads_to_what_is_there():
    opened = {name: [] for name in launch.BADGES}
    for link in re.findall(r"\]\((https://[^)]+)\)", launch.buttons(ADDRESS)):
        if link in launch.BADGES.values():
            continue
        parts = urlsplit(link)
        assert "owner/lessons" in unquote(link)
        if parts.netloc == "mybinder.org":
            (path,) = parse_qs(parts.query)["labpath"]
            assert (ROOT / path).is_file()
            opened["Binder"].append(path)
        elif parts.netloc == "codespaces.new":
            assert parts.path == "/owner/lessons"
            opened["Codespaces"].append(link)
        else:
            copy = re.search(
                f"github(?:.com)?/owner/lessons/blob/{launch.BRANCH}/(.*)", link
            )[1]
            opened["Kaggle" if "kaggle" in parts.netloc else "Colab"].append(copy)
    names = [path.name for path in (*LESSONS, TEMPLATE)]
    assert opened["Binder"] == ["notebooks/00_start_here.ipynb"]
    assert len(opened["Codespaces"]) == 1
    # The first lesson's has a button, and each has a link.
    assert opened["Colab"] == opened["Kaggle"] == names


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The project as it is here, but without an address, in git."""
    folder = tmp_path_factory.mktemp("repository")
    for name in (*FOLDERS, "notebooks", "tools"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("CITATION.cff", "README.md", "requirements.txt", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    text = (folder / "CITATION.cff").read_text("utf-8")
    (folder / "CITATION.cff").write_text(
        re.sub("(?m)^repository-code.*\n", "", text), "utf-8"
    )
    git(folder, "init", "-q")
    commit(folder)
    return folder


@pytest.fixture
def project(repository, tmp_path, monkeypatch):
    """A clone of the project in which the tools work."""
    folder = tmp_path / "project"
    git(tmp_path, "clone", "-q", repository, folder)
    monkeypatch.setattr(launch, "ROOT", folder)
    monkeypatch.setattr(launch, "CITATION", folder / "CITATION.cff")
    monkeypatch.setattr(launch, "README", folder / "README.md")
    return folder


def commit(folder):
    """Commit all there is → its hash."""
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")
    return git(folder, "rev-parse", "HEAD")


def tool(monkeypatch, *arguments):
    """The command line → exit status."""
    monkeypatch.setattr(sys, "argv", ["launch.py", *map(str, arguments)])
    return launch.main()


def test_one_command_notes_the_address_and_writes_the_buttons(project, monkeypatch):
    for address in (ADDRESS, "https://github.com/another/name"):
        assert tool(monkeypatch, "--repository", f"{address}.git/") == 0
        citation = (project / "CITATION.cff").read_text("utf-8")
        assert (
            citation.count(f"\nrepository-code: {address}\n")
            == 1
            == citation.count("github")
        )
        readme = (project / "README.md").read_text("utf-8")
        assert readme.count(launch.buttons(address)) == 1
    (project / "README.md").write_text(
        readme.replace(launch.buttons(address), "x\n"), "utf-8"
    )
    assert tool(monkeypatch) == 0
    assert (project / "README.md").read_text("utf-8") == readme


def test_another_kind_of_address_is_refused(project, monkeypatch, capsys):
    host, owner = "https://gitlab.com/owner/name", "https://github.com/owner"
    for address in (
        "github.com/owner/name",
        host,
        owner,
        f"{ADDRESS}\nx: y",
        f"{ADDRESS}/tree",
    ):
        assert tool(monkeypatch, "--repository", address) == 1
        assert "https://github.com/OWNER/NAME" in capsys.readouterr().err
    assert git(project, "status", "--porcelain") == ""


def test_a_readme_without_a_place_for_buttons_is_refused(project, monkeypatch, capsys):
    (project / "README.md").write_text("# Lessons\n", "utf-8")
    assert tool(monkeypatch, "--repository", ADDRESS) == 1
    assert launch.START in capsys.readouterr().err
    assert ADDRESS not in (project / "CITATION.cff").read_text("utf-8")


# -- copies ----------------------------------------------------------------------------


def test_copies_need_an_address_and_a_commit(project, monkeypatch, capsys):
    assert tool(monkeypatch, "--copies", project / "build") == 1
    assert "--repository ADDRESS" in capsys.readouterr().err
    assert tool(monkeypatch, "--repository", ADDRESS) == 0
    assert tool(monkeypatch, "--copies", project / "build") == 1
    assert "Commit first" in capsys.readouterr().err
    assert not (project / "build").exists()


def test_copies_take_the_place_of_nothing_but_copies(project, monkeypatch, capsys):
    assert tool(monkeypatch, "--repository", ADDRESS) == 0
    commit(project)
    assert tool(monkeypatch, "--copies", project / "notebooks") == 1
    assert "holds something else" in capsys.readouterr().err
    assert git(project, "status", "--porcelain") == ""


def test_copies_are_the_lessons_with_a_cell_to_begin_with_and_links_that_hold(
    project, monkeypatch
):
    assert tool(monkeypatch, "--repository", ADDRESS) == 0
    made_from = commit(project)
    folder = project / "build" / "launch"
    assert tool(monkeypatch, "--copies", folder) == 0
    (folder / "05_another_name.ipynb").write_text("{}")
    assert tool(monkeypatch, "--copies", folder) == 0  # over the earlier ones
    assert {path.name for path in folder.glob("*.ipynb")} == {
        p.name for p in (*LESSONS, TEMPLATE)
    }
    for path in folder.glob("*.ipynb"):
        copy = nbformat.read(path, as_version=4)
        nbformat.validate(copy)
        note, cell = copy.cells[1:3]
        assert f"/blob/launch/{path.name}" in note.source
        ast.parse(cell.source)
        assert made_from in cell.source and ADDRESS in cell.source
        original = read(project / "notebooks" / path.name).cells
        assert path.name != launch.FIRST or {cell.id for cell in original} >= launch.OWN
        original = [cell for cell in original if cell.id not in launch.OWN]
        assert len(copy.cells) == len(original) + 2
        for mine, theirs in zip(
            [copy.cells[0], *copy.cells[3:]], original, strict=True
        ):
            if mine.cell_type == "code":
                assert mine == theirs
                continue
            for link in re.findall(r"\]\(([^)\s#]+)", mine.source):
                assert re.match("[a-z]+:", link)
                here = re.fullmatch(f"{ADDRESS}/blob/({made_from}|launch)/(.*)", link)
                if here:
                    there = folder if here[1] == "launch" else ROOT
                    assert (there / here[2]).exists(), link
    assert git(project, "status", "--porcelain") == "", (
        "what is made is not in the project's way"
    )


def test_what_exports_models_comes_where_it_is_needed():
    for path, export in ((LESSONS[0], False), (LESSONS[9], True)):
        copy = launch.copied(
            nbformat.read(path, as_version=4), path.name, ADDRESS, COMMIT
        )
        assert ("export=True" in copy.cells[2].source) == export


def imported(*sources):
    """The names of the packages outside Python that code imports anywhere."""
    found = set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(FOLDERS)


def test_nothing_that_the_lessons_import_is_forgotten():
    ours = [
        path.read_text("utf-8")
        for name in FOLDERS
        for path in (ROOT / name).rglob("*.py")
        if path.name not in COMMANDS
    ]
    cells = [cell.source for path in (*LESSONS, TEMPLATE) for cell in code_cells(path)]
    cells = [re.sub(r"(?m)^\s*[%!].*", "", source) for source in cells]
    required = {Requirement(line).name for line in hosted.requirements().values()}
    known = packages_distributions()
    modules = imported(*ours, *cells) - {"pillow_heif"}  # only where somebody adds it
    wanted = {name for module in modules for name in known[module]}
    wanted = {re.sub("[-_.]+", "-", name).lower() for name in wanted} & required
    listed = {*hosted.KEPT, *hosted.WANTED, *hosted.EXPORT}
    assert wanted - listed == set()
    assert listed <= required


def test_the_oldest_versions_are_older_than_ours():
    ranges = {
        name: Requirement(line).specifier
        for name, line in hosted.requirements().items()
    }
    for name, oldest in hosted.KEPT.items():
        assert not ranges[name].contains(oldest)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert SpecifierSet(project["requires-python"]).contains(hosted.PYTHON)


# -- the first cell, on stand-ins for Colab and Kaggle ---------------------------------

OURS = {"tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.5"}
OLDER = {"tensorflow": "2.19.1", "keras": "3.10.0", "numpy": "2.0.2"}
NEWER = {"tensorflow": "2.30.0", "keras": "3.99.0", "numpy": "2.10.0"}
NEW = (*hosted.WEIGHTS, "requests-hardened")  # what no service has
OTHERS = {name: "0.1" for name in hosted.WANTED if name not in NEW}


def wheel(folder, name, version, *needs):
    """A package of one module that says its version → its file."""
    module = name.replace("-", "_")
    information = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": f"__version__ = {version!r}\n",
        f"{information}/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        + "".join(f"Requires-Dist: {need}\n" for need in needs),
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: "
        "py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(
            hashlib.sha256(text.encode()).digest()
        ).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    files[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n"
    made = folder / f"{module}-{version}-py3-none-any.whl"
    with ZipFile(made, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return made


class Service:
    """An environment with packages of given versions, and the index that pip asks
    there."""

    def __init__(self, folder, packages):
        self.folder, self.index = folder, folder / "index"
        venv.create(folder / "venv", symlinks=True)
        (self.packages,) = (folder / "venv").glob("lib/python*/site-packages")
        # The pip of the environment that runs this, as it is: a copy takes seconds.
        for path in (
            Path(importlib.import_module("pip").__file__).parents[1].glob("pip*")
        ):
            (self.packages / path.name).symlink_to(path)
        self.index.mkdir()
        for name, version in packages.items():
            # Installed as pip would: a wheel is what is unpacked there.
            with ZipFile(wheel(self.index, name, version)) as archive:
                archive.extractall(self.packages)
        for name, version in OURS.items():
            wheel(self.index, name, version)
        wheel(self.index, "requests-hardened", "1.3.1")
        for name in hosted.WEIGHTS:
            wheel(self.index, name, "0.1.0")
        wheel(self.index, "tf2onnx", "1.17.0", f"numpy>={OURS['numpy']}")
        for name in ("ai-edge-litert", "onnx", "onnxruntime"):
            wheel(self.index, name, "1.0.0")  # older than ours, as on an older service

    def run(self, *arguments, on="colab", **variables):
        """Run Python there → (exit status, all that was printed)."""
        found = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_FIND_LINKS": str(self.index),
            "PIP_NO_INDEX": "1",
            "TMPDIR": str(self.folder),
            **{
                "colab": {"COLAB_RELEASE_TAG": "x"},
                "kaggle": {"KAGGLE_KERNEL_RUN_TYPE": "x"},
            }.get(on, {}),
        }
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))
        }
        done = subprocess.run(
            [self.folder / "venv" / "bin" / "python", *arguments],
            cwd=self.folder,
            env=kept | found | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout

    def cell(self, source, then="", **options):
        """Run a cell, and what follows it."""
        return self.run("-c", f"{source}\n{then}", **options)

    def state(self):
        """Every file of every package → its content."""
        paths = [path for path in self.packages.glob("*") if not path.is_symlink()]
        files = [p for path in paths for p in (path, *path.rglob("*")) if p.is_file()]
        return {str(p): p.read_bytes() for p in files if "__pycache__" not in p.parts}


@cache
def origin(folder):
    """A repository with what a service fetches → (its address, its commit)."""
    for name in (*FOLDERS, "tools"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    git(folder, "init", "-q")
    first = commit(folder)
    (folder / "later.txt").write_text("x")
    commit(folder)
    return folder.as_uri(), first


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The first cell of a copy, with `export` or without, as a function."""
    address, made_from = origin(tmp_path_factory.mktemp("origin"))
    return lambda export=False: launch.cell(address, made_from, export)


pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("git"),
    reason="stand-ins for services need git",
)

SEEN = """
import importlib.util, json, subprocess, sys
there = [importlib.util.find_spec("helpers").origin, \
importlib.util.find_spec("keras").origin]
code = "from importlib import metadata, util; print(util.find_spec('helpers').origin, "
code += "metadata.version('transfer-learning-notebooks'))"
there.append(subprocess.run([sys.executable, "-c", code], \
capture_output=True, text=True).stdout)
print("SEEN", json.dumps(there))"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "versions, on", [(OLDER, "colab"), (NEWER, "kaggle")], ids=["older", "newer"]
)
def test_what_a_service_has_installed_stays_as_it_is(tmp_path, source, versions, on):
    service = Service(tmp_path, versions | OTHERS)
    before = service.state()
    status, said = service.cell(source(), SEEN, on=on)
    assert status == 0, said
    after = service.state()
    assert before.items() <= after.items()
    modules = {name.replace("-", "_") for name in NEW}
    added = {
        Path(path).relative_to(service.packages).parts[0]
        for path in after.keys() - before
    }
    assert {f"{name}.py" for name in modules} <= added
    assert {re.split(r"[-.]", name)[0] for name in added} == modules
    for name, version in versions.items():
        assert f"{name} {version}" in said
    assert f"installed: {', '.join(NEW)}\n" in said
    assert "tensorflow 2.21, keras 3.15, numpy 2.4" in said, (
        "what the outputs were made with"
    )
    ours, keras, started = json.loads(said.partition("SEEN ")[2])
    assert Path(ours).parent.parent.parent == tmp_path
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert started.split() == [ours, project["version"]], (
        "a process that a lesson starts"
    )
    assert Path(keras).parent == service.packages
    assert not (Path(ours).parents[1] / "later.txt").exists(), (
        "the commit, not the newest"
    )
    # Once more, as after a restart: all is there.
    status, said = service.cell(source(), SEEN, on=on)
    assert (status, service.state()) == (0, after) and "installed: nothing" in said


@pytest.mark.thorough
def test_what_would_change_numpy_is_not_installed(tmp_path, source):
    service = Service(tmp_path, OLDER | OTHERS)
    before = service.state()
    status, said = service.cell(source(export=True))
    assert status == 1 and service.state() == before
    named = ", ".join([*NEW, *hosted.EXPORT])
    assert said.startswith(f"{named} could not")
    assert (
        "nothing was changed" in said
        and "tf2onnx 1.17.0 depends on numpy>=2.4.5" in said
    )
    assert "Traceback" not in said
    assert service.run("-m", "pip", "install", "tf2onnx")[0] == 0  # as other recipes do
    assert (service.packages / f"numpy-{OURS['numpy']}.dist-info").exists(), (
        "this test could fail"
    )


@pytest.mark.thorough
def test_what_exports_models_is_installed_beside_ours(tmp_path, source):
    service = Service(tmp_path, NEWER | OTHERS | {"odd": "1.0+ubuntu.1"})
    status, said = service.cell(source(export=True))
    assert status == 0, said
    assert f"installed: {', '.join([*NEW, *hosted.EXPORT])}\n" in said


@pytest.mark.thorough
@pytest.mark.parametrize(
    "versions, reason",
    [
        (
            OLDER | {"keras": "2.15.0"},
            "keras is 2.15.0 here, and the lessons need 3.10 or newer",
        ),
        (
            OLDER | {"numpy": "1.26.4"},
            "numpy is 1.26.4 here, and the lessons need 2.0 or newer",
        ),
        ({"numpy": "2.4.1", "keras": "3.15.1"}, "tensorflow is not installed here"),
    ],
)
def test_too_old_a_service_is_told_in_one_line(tmp_path, source, versions, reason):
    service = Service(tmp_path, versions | OTHERS)
    before = service.state()
    status, said = service.cell(source(), on="kaggle")
    assert status == 1 and service.state() == before
    assert reason in said and "Traceback" not in said and said.count("\n") == 1


def test_too_old_a_python_is_told(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    assert (
        hosted.unsuitable(OURS)
        == "python is 3.10.12 here, and the lessons need 3.11 or newer"
    )


def test_an_old_python_can_read_what_tells_it():
    for code in (
        launch.cell(ADDRESS, COMMIT),
        Path(hosted.__file__).read_text("utf-8"),
    ):
        ast.parse(code, feature_version=(3, 8))


def test_no_internet_is_told(tmp_path):
    service = Service(tmp_path, {})
    nowhere = (tmp_path / "nowhere").as_uri()
    status, said = service.cell(launch.cell(nowhere, COMMIT))
    assert status == 1 and "Traceback" not in said
    assert f"The lessons could not be fetched from {nowhere}: no internet?" in said


def test_elsewhere_the_cell_does_nothing(tmp_path):
    service = Service(tmp_path, {})
    before = sorted(tmp_path.rglob("*"))
    status, said = service.cell(
        launch.cell((tmp_path / "x").as_uri(), COMMIT), on="laptop"
    )
    assert (status, said, sorted(tmp_path.rglob("*"))) == (0, "", before)


# -- Codespaces and Binder -------------------------------------------------------------


def test_a_codespace_sets_itself_up_as_a_laptop_does():
    settings = json.loads(
        (ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8")
    )
    python = re.fullmatch(
        r"mcr\.microsoft\.com/devcontainers/python:(3\.\d+)-\w+", settings["image"]
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert SpecifierSet(project["requires-python"]).contains(python[1])
    command, target = settings["updateContentCommand"].split()
    assert command == "make"
    assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text("utf-8"))
    editor = settings["customizations"]
    assert all((ROOT / path).is_file() for path in editor["codespaces"]["openFiles"])
    interpreter = editor["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/.venv/bin/python"


def test_binder_has_looked_through_the_fonts_beforehand(tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "MPLCONFIGDIR": str(tmp_path)}
    subprocess.run(["sh", ROOT / "postBuild"], env=environment, check=True, timeout=60)
    assert list(tmp_path.glob("fontlist-*.json"))
