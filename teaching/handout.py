"""The project as learners get it: python -m teaching.handout

Writes build/student, which is the lessons without solutions and all that they need, and
the same as one file to hand out, build/transfer-learning-lessons.zip. Unpacked, it runs
by itself, as its README says: the set-up, the lessons, `make mine` and `make page`.
What is only for instructors stays here: docs/teaching.md, which has the answers to the
questions, the paper, the tests, and what makes editions.
"""

import argparse
import copy
import re
import shutil
import sys
import zipfile
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write
from teaching.lessons import (
    ROOT,
    SOLUTION,
    EditionError,
    cleared,
    read_all,
    relinked,
    whole,
)

ZIP = "transfer-learning-lessons"  # the file's name, and the folder's that it holds
# Files, and folders with all that lies in them. The notebooks are the student's.
LEARNERS = (
    "CITATION.cff",
    "LICENSE",
    "LICENSE-CONTENT",
    "LICENSES",
    "Makefile",
    "REUSE.toml",
    "apps",
    "data",
    "docs",
    "environment.yml",
    "exercises",
    "helpers",
    "panels",
    "pyproject.toml",
    "requirements.txt",
    "requirements/base.lock",
    "requirements/scale.lock",
    "requirements/scale.txt",
    "safeguards",
    "tools/__init__.py",
    "tools/setup",
)
# What lies in these folders and is for instructors and maintainers.
THEIRS = ("docs/*.tsv", "docs/paper/*", "docs/teaching.md", "tools/setup/README.md")
THEIRS += ("tools/setup/audit.sh", "tools/setup/canary.py", "tools/setup/lock.sh")
THEIRS += ("tools/setup/offline.sh",)
MADE = {"__pycache__", "node_modules", ".ipynb_checkpoints", ".DS_Store"}  # by programs
README = Path("teaching/handout_readme.md")
LICENCE = Path("docs/licence.md")  # the section of that name in the project's README
# Targets of the Makefile that are for instructors and maintainers.
TARGETS = {
    "audit",
    "bench",
    "canary",
    "editions",
    "handout",
    "lessons",
    "links",
    "lint",
    "lock",
    "tally",
    "teaching",
    "test",
    "test-slow",
    "test-thorough",
}
# Variables of `make` that only targets for instructors and maintainers read.
VARIABLES = re.compile(r"EDITIONS|TALLY|CANARY_ARGS|BENCH_ARGS|LOCK_ARGS")

# What a page says of outputs that were saved: a sentence with one of these.
SAVED = re.compile(
    r"(?i)\bsaved\b[^.]*\b(?:earlier|previous|former|last) run\b"
    r"|\bclear (?:all )?outputs\b"
    r"|\boutputs?\b[^.]*\b(?:were|are|equal the) saved\b"
)
SENTENCE = re.compile(r".*?[.!?:][*_)”]*(?=\s|$)|.+$")
READY = """## Are you ready?

Click into the cell below and press **Shift+Enter**. After some seconds, on a slow \
machine half a minute, it says that you are ready. If it says something else, send \
that to whoever teaches you. (If its last line is `No module named 'helpers'`, close \
Jupyter and start it as the [README](../README.md) says.)"""
READY_CODE = """from helpers import load_classifier

best = load_classifier().predict("cat", top=1)[0]
print(f"You are ready. The network on this computer took the sample \
“cat” for: {best.name}.")"""


def files():
    """What learners get besides the notebooks and the README, as paths from the
    project's folder, in order."""
    found = set()
    for name in LEARNERS:
        place = ROOT / name
        found |= {place} if place.is_file() else set(place.rglob("*"))
    paths = {path.relative_to(ROOT) for path in found if path.is_file()}
    return sorted(
        path
        for path in paths
        if not MADE & set(path.parts) and not any(map(path.match, THEIRS))
    )


def without_saved(text):
    """A page's text without the sentences on saved outputs, where there are none."""
    lines = []
    for line in text.split("\n"):
        kept = [one for one in SENTENCE.findall(line) if not SAVED.search(one)]
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(indent + "".join(kept).strip() if SAVED.search(line) else line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def student(notebook, outputs=False):
    """A copy without the folded solutions; without outputs, and without what is said of
    them, unless they are asked for."""
    made = copy.deepcopy(notebook) if outputs else cleared(notebook)
    for cell in made.cells:
        if cell.cell_type == "markdown":
            text = SOLUTION.sub("", cell.source).strip()
            cell.source = text if outputs else without_saved(text)
    made.cells = [cell for cell in made.cells if cell.source.strip()]
    return made


def with_ready_cell(notebook):
    """A copy of lesson 00 whose first cells, between the title and “Set up”, say
    whether all is ready. “Set up” keeps the cell that it speaks of right below it."""
    made = copy.deepcopy(notebook)
    title, heading, set_up = made.cells[0].source.partition("## Set up\n")
    if not heading:
        raise EditionError("Lesson 00 has no section “## Set up” below its title.")
    made.cells[0].source = title.strip()
    made.cells[1:1] = [
        new_markdown_cell(READY, id="are-you-ready"),
        new_code_cell(READY_CODE, id="you-are-ready"),
        new_markdown_cell(heading + set_up, id="set-up"),
    ]
    return made


def readme():
    """The learner's README: the commands are those of the project's, so that there is
    one place to change them."""
    project = (ROOT / "README.md").read_text(encoding="utf-8")
    text = (ROOT / README).read_text(encoding="utf-8")
    without_make = project.partition("**Without make,**")[2]
    for mark, language in ("UNIX", "sh"), ("WINDOWS", "bat"):
        block = re.search(rf"(?ms)^```{language}\n.*?^```$", without_make)
        if not block:
            raise EditionError(
                f"README.md has no block of {language} after “Without make,”."
            )
        text = text.replace(f"{{{mark}}}", block[0])
    return text


def licence():
    """The project README's section on licences, as a page of its own."""
    project = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"(?ms)^## Licence\n.*?(?=^## |\Z)", project)
    if not section:
        raise EditionError("README.md has no section “## Licence”.")
    return section[0].replace("## ", "# ", 1).strip() + "\n"


def makefile():
    """The project's Makefile without the targets of others."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")

    def kept(rule):
        return "" if rule[1] in TARGETS else rule[0]

    text = re.sub(r"(?m)^([a-z-]+):.*\n(?:\t.*\n)*\n?", kept, text)
    lines = [line for line in text.splitlines() if not VARIABLES.search(line)]
    text = "\n".join(lines).strip() + "\n"

    def listed(match):
        return " ".join([".PHONY:", *(t for t in match[1].split() if t not in TARGETS)])

    return re.sub(r"(?m)^\.PHONY:(.*)$", listed, text)


def write(folder, notebooks, outputs=False):
    """Write the project for learners into an empty folder. notebooks: the project's,
    {path: notebook}."""
    pages = {Path("README.md"): readme(), LICENCE: licence()}
    plain = {*files()} - {Path("Makefile")}
    for path in {path for path in plain if path.suffix == ".md"}:
        text = (ROOT / path).read_text(encoding="utf-8")
        pages[path] = text if outputs else without_saved(text) + "\n"
    own = plain | {*pages, *notebooks}

    def adapted(text, path):
        # The section on licences stood in the README, in the project's folder.
        source = Path() if path == LICENCE else path.parent
        return relinked(text, source, path.parent, lambda file: file, own.__contains__)

    for path in own:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    for path in plain - pages.keys():
        shutil.copyfile(ROOT / path, folder / path)
    for path, text in pages.items():
        (folder / path).write_text(adapted(text, path), encoding="utf-8", newline="\n")
    (folder / "Makefile").write_text(makefile(), encoding="utf-8", newline="\n")
    for path, notebook in notebooks.items():
        made = student(notebook, outputs)
        if path.name.startswith("00_"):
            made = with_ready_cell(made)
        for cell in made.cells:
            if cell.cell_type == "markdown":
                cell.source = adapted(cell.source, path)
        nbformat.write(made, folder / path)


def pack(folder, archive):
    """Write a folder into a ZIP file, as one folder of the archive's name; the file
    appears whole or not at all."""
    with (
        atomic_write(archive) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for path in sorted(folder.rglob("*")):
            packed.write(path, Path(archive.stem, path.relative_to(folder)))


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outputs", action="store_true", help="keep saved outputs")
    parser.add_argument(
        "--to", type=Path, default=ROOT / "build", help="default: build"
    )
    given = parser.parse_args()
    student_folder, archive = given.to / "student", given.to / f"{ZIP}.zip"
    try:
        with whole(student_folder) as folder:
            write(folder, read_all(), given.outputs)
    except EditionError as error:
        print(error, file=sys.stderr)
        return 1
    pack(student_folder, archive)
    size = archive.stat().st_size / 1e6
    print(f"{archive} ({size:.0f} MB) is for learners.")
    print(f"{student_folder} holds the same, for a hub.")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
