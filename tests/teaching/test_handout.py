"""What learners get as one file: all that the lessons need, and nothing that gives the
answers away."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest
from lessons import NOTEBOOKS, PACKAGES, code_cells, read
from links import dead

from teaching import handout

ROOT = NOTEBOOKS.parent
MOST_SECONDS = 30  # on an idle core


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The file, made by the command and unpacked → the folder that it holds."""
    to = tmp_path_factory.mktemp("build")
    before = os.times()
    command = [sys.executable, "-m", "teaching.handout", "--to", to]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    after = os.times()
    # Of the processor: how long that takes depends on what else is going on.
    assert after.children_user - before.children_user < MOST_SECONDS / 2
    place = tmp_path_factory.mktemp("a learner's Downloads")
    with zipfile.ZipFile(to / "transfer-learning-lessons.zip") as packed:
        packed.extractall(place)
    (folder,) = place.iterdir()
    assert folder.name == "transfer-learning-lessons"
    return folder


def inside(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_it_holds_the_whole_program(unpacked):
    held = inside(unpacked)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *(name.replace(".", "/") for name in PACKAGES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    ours = {Path(name) for name in listed.stdout.split("\0") if name}
    assert len(ours) > 100
    assert ours <= held
    assert {Path("Makefile"), Path("requirements.txt"), Path("README.md")} <= held


def test_it_gives_nothing_away(unpacked):
    assert not [
        path
        for path in inside(unpacked)
        if {"teaching", "tests", "paper", "build", ".git", "__pycache__"}
        & set(path.parts)
        or path.stem.startswith("teaching")
    ]
    for path in unpacked.glob("notebooks/*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        text = "\n".join(cell.source for cell in notebook.cells)
        assert "<summary>Solution" not in text
        assert not any(c.outputs for c in notebook.cells if c.cell_type == "code")


def test_all_its_links_lead_somewhere_in_it(unpacked):
    pages = [path for path in inside(unpacked) if path.suffix in (".ipynb", ".md")]
    assert len(pages) > 15
    for page in pages:
        assert dead(unpacked / page) == [], page
        for link in re.findall(r"\]\((\.\.[^)]*)\)", (unpacked / page).read_text()):
            target = (unpacked / page).parent / link.partition("#")[0]
            assert target.resolve().is_relative_to(unpacked.resolve()), (page, link)


def test_the_readme_fits_a_screen_and_has_the_projects_commands(unpacked):
    text = (unpacked / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 45
    assert not re.search(r"\{[A-Z]+\}", text)
    project = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^```(?:sh|bat)\n(.*?)^```", text)
    assert [block.split()[0] for block in blocks] == ["make", "python3", "py"]
    for block in blocks[1:]:
        assert block in project
    for system in ("Linux", "Mac", "Windows"):
        assert system in text


def test_make_offers_what_is_there(unpacked):
    def said(folder):
        done = subprocess.run(
            ["make", "help"], cwd=folder, capture_output=True, text=True, check=True
        )
        targets = re.findall(r"(?m)^make ([a-z-]+)", done.stdout)
        return targets, done.stdout

    targets, text = said(unpacked)
    assert {"lab", "mine", "page", "setup"} <= set(targets)
    assert not handout.TARGETS & set(targets)
    assert "instructors" not in text
    makefile = (unpacked / "Makefile").read_text(encoding="utf-8")
    rules = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    assert rules == set(targets)
    for script in re.findall(r"\bsh (\S+\.sh)", makefile):
        assert (unpacked / script).is_file(), script
    for module in re.findall(r"python -m ([\w.]+)", makefile):
        assert (unpacked / f"{module.replace('.', '/')}.py").is_file(), module
    assert set(said(ROOT)[0]) == set(targets) | handout.TARGETS


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "Run it.\n\nThe outputs you see below each cell were saved from an earlier "
            "run. *Edit → Clear Outputs of All Cells* removes them, so that you can "
            "guess before you see.",
            "Run it.",
        ),
        (
            "- **Run the cells in order,** Shift+Enter. What stands below them was "
            "saved from an earlier run; *Edit → Clear Outputs of All Cells* hides it.",
            "- **Run the cells in order,** Shift+Enter.",
        ),
        (
            "What already stands below the cells was saved from an earlier run. Go on.",
            "Go on.",
        ),
        (
            "Your outputs should equal the saved ones. Odd ones say so.",
            "Odd ones say so.",
        ),
        (
            "A model that was saved. It has outputs.",
            "A model that was saved. It has outputs.",
        ),
        ("| saved | 0.17 |\n\n`x = 1.` Done.", "| saved | 0.17 |\n\n`x = 1.` Done."),
    ],
)
def test_what_is_said_of_saved_outputs_goes_with_them(text, left):
    assert handout.without_saved(text) == left


def test_no_page_sends_learners_to_the_guide(unpacked):
    """They don't have it: where a link to it was cut, its words would lead nowhere."""
    for path in inside(unpacked):
        if path.suffix in (".md", ".ipynb"):
            assert "teaching.md" not in (unpacked / path).read_text("utf-8"), path


def test_no_page_speaks_of_outputs_that_are_not_there(unpacked):
    for path in inside(unpacked):
        if path.suffix in (".md", ".ipynb") and path.name != "README.md":
            text = (unpacked / path).read_text(encoding="utf-8")
            assert not re.search("(?i)saved from an earlier|Clear Outputs", text), path


def test_the_first_cell_says_that_all_is_ready(unpacked):
    (path,) = unpacked.glob("notebooks/00_*.ipynb")
    nbformat.validate(read(path))
    assert "You are ready" in code_cells(path)[0].source
    assert "Shift+Enter" in read(path).cells[1].source


def test_the_cell_that_a_section_speaks_of_stands_below_it(unpacked):
    """The question whether all is ready comes before “Set up”, not into it."""
    (path,) = unpacked.glob("notebooks/00_*.ipynb")
    (original,) = NOTEBOOKS.glob("00_*.ipynb")
    cells = read(path).cells
    (place,) = (i for i, c in enumerate(cells) if c.source.startswith("## Set up\n"))
    assert "cell below" in cells[place].source
    assert cells[place + 1].source == code_cells(original)[0].source


@pytest.mark.thorough
def test_it_runs_from_the_file_in_an_empty_home(unpacked, tmp_path):
    """Lesson 00, in an environment that knows the packages and no project but this."""
    home = tmp_path / "home"
    home.mkdir()
    venv.create(unpacked / ".venv", with_pip=False)
    (packages,) = (unpacked / ".venv").glob("lib/python*/site-packages")
    packages.joinpath("ours.pth").write_text(f"{unpacked}\n")
    others = [path for path in sys.path if path.endswith("site-packages")]
    packages.joinpath("packages.pth").write_text("\n".join(others) + "\n")
    shutil.copytree(
        Path(sys.prefix, "share", "jupyter", "kernels"),
        unpacked / ".venv" / "share" / "jupyter" / "kernels",
    )
    spec = unpacked / ".venv" / "share" / "jupyter" / "kernels" / "python3"
    python = unpacked / ".venv" / "bin" / "python"
    settings = json.loads((spec / "kernel.json").read_text())
    settings["argv"][0] = str(python)
    (spec / "kernel.json").write_text(json.dumps(settings))
    (path,) = unpacked.glob("notebooks/00_*.ipynb")
    done = subprocess.run(
        [python, "-m", "nbconvert", "--to", "notebook", "--execute", path]
        + ["--output-dir", tmp_path, "--output", "ran.ipynb"],
        env={
            "HOME": str(home),
            "PATH": os.defpath,
            "JUPYTER_PREFER_ENV_PATH": "1",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    first = code_cells(tmp_path / "ran.ipynb")[0]
    assert first.outputs[0].text.startswith("You are ready.")
