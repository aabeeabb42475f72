"""Buttons that open the lessons in a browser: python -m tools.release.launch [OPTION]

Without options, the buttons in README.md are written anew for the address in
CITATION.cff.

--repository ADDRESS  note the project's public address first: https://github.com/OWNER/NAME
--copies FOLDER       write the copies of the lessons that Colab and Kaggle open: there
                      a notebook comes alone, so each copy has a cell that fetches the
                      project, at the commit it was made from. FOLDER becomes the branch
                      `launch` (CONTRIBUTING.md).

CITATION.cff is the one place that holds the address. While it holds none, README.md
says so.
"""

import argparse
import posixpath
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
CITATION, README = ROOT / "CITATION.cff", ROOT / "README.md"
START, END = (
    "<!-- buttons: written by tools/release/launch.py -->",
    "<!-- end of buttons -->",
)
BRANCH = "launch"
TITLE = "# Copies for Colab and Kaggle\n"
FIRST = "00_start_here.ipynb"
OWN = {"check-versions"}  # the cell about a set-up of one's own
BADGES = {
    "Binder": "https://mybinder.org/badge_logo.svg",
    "Codespaces": "https://github.com/codespaces/badge.svg",
    "Colab": "https://colab.research.google.com/assets/colab-badge.svg",
    "Kaggle": "https://kaggle.com/static/images/open-in-kaggle.svg",
}
NOTE = """\
[![Open in Colab]({Colab})]({colab}) [![Open in Kaggle]({Kaggle})]({kaggle})

**On Colab or Kaggle, run the next cell first.** It takes up to a minute, and leaves \
what is installed there as it is. On Kaggle, *Settings → Turn on internet* has to be \
chosen before. Elsewhere it does nothing."""
CELL = """\
import os
import runpy
import subprocess
import tempfile

if {{"COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"}} & os.environ.keys():
    os.environ["GIT_TERMINAL_PROMPT"] = "0"  # fail rather than ask for a password
    address, commit = "{address}", "{commit}"
    folder = os.path.join(tempfile.gettempdir(), f"lessons-{{commit[:10]}}")
    fetch = ["fetch", "-q", "--depth=1", address, commit]
    os.makedirs(folder, exist_ok=True)
    for step in ["init", "-q"], fetch, ["checkout", "-qf", "FETCH_HEAD"]:
        if subprocess.run(["git", "-C", folder, *step]).returncode:
            raise SystemExit(\
f"The lessons could not be fetched from {{address}}: no internet?")
    runpy.run_path(f"{{folder}}/tools/release/hosted.py")["prepare"]({export})"""


class LaunchError(Exception):
    """What was asked for cannot be done; says why."""


# -- the address -----------------------------------------------------------------------


def checked(address):
    """An address in the one form used here, without a slash or .git at its end.
    LaunchError."""
    found = re.fullmatch(r"(https://github\.com/[\w-]+/[\w.-]+?)(\.git)?/?", address)
    if not found:
        raise LaunchError(
            f"{address!r} is not https://github.com/OWNER/NAME: Colab, Kaggle and "
            "Codespaces open what is on GitHub."
        )
    return found[1]


def noted(citation):
    """The address that the text of CITATION.cff holds, None if none. LaunchError."""
    found = re.findall(r"(?m)^repository-code: *(.*)$", citation)
    return checked(found[0]) if found else None


def note(citation, address):
    """The text of CITATION.cff with another address."""
    line = f"repository-code: {address}\n"
    if noted(citation):
        return re.sub(r"(?m)^repository-code:.*\n", line, citation)
    return re.sub(r"(?m)^license: .*\n", lambda found: found[0] + line, citation)


# -- the buttons -----------------------------------------------------------------------


def links(address, name=FIRST):
    """Where a lesson opens → {service: address}. Binder and Codespaces open the whole
    project."""
    project = address.removeprefix("https://github.com/")
    copy = f"{project}/blob/{BRANCH}/{name}"
    return {
        "Binder": f"https://mybinder.org/v2/gh/{project}/HEAD?labpath=notebooks%2F{name}",
        "Codespaces": f"https://codespaces.new/{project}",
        "Colab": f"https://colab.research.google.com/github/{copy}",
        "Kaggle": f"https://kaggle.com/kernels/welcome?src=https://github.com/{copy}",
    }


def lessons():
    """The notebooks that get a copy: the lessons, and the template."""
    folder = ROOT / "notebooks"
    return [
        *sorted(folder.glob("[0-9][0-9]_*.ipynb")),
        folder / "your_own_pictures.ipynb",
    ]


def buttons(address):
    """README.md's paragraphs about services, for an address or None."""
    if address is None:
        return (
            "**Without installing anything:** not yet. The project has no public "
            "address so far, and the services that open notebooks in a browser need "
            "one. What they read is here: `environment.yml` (Binder), `.devcontainer` "
            "(Codespaces), and `tools/release/launch.py`, which makes copies for "
            "Colab and Kaggle and puts the buttons here."
        )
    whole_project = " ".join(
        f"[![{service}]({BADGES[service]})]({links(address)[service]})"
        for service in ("Binder", "Codespaces")
    )
    single = " · ".join(
        f"{path.stem[:2] if path.stem[0].isdigit() else 'your own pictures'} "
        f"[Colab]({links(address, path.name)['Colab']}) "
        f"[Kaggle]({links(address, path.name)['Kaggle']})"
        for path in lessons()
    )
    return (
        "**Without installing anything:** the whole project, with the versions it "
        f"was tried with: {whole_project}\n\nOne lesson at a time, on Colab or "
        f"Kaggle, with the versions of TensorFlow and NumPy that are there: {single}"
    )


def placed(readme, address):
    """The text of README.md with the buttons for an address. LaunchError if it marks no
    place."""
    pattern = f"(?s)(?<={re.escape(START)}\n).*?(?={re.escape(END)}\n)"
    text, count = re.subn(pattern, lambda _: buttons(address) + "\n", readme)
    if count != 1:
        raise LaunchError(f"README.md needs one line {START} and, below it, one {END}.")
    return text


# -- the copies ------------------------------------------------------------------------


def cell(address, commit, export=False):
    """The code that a copy begins with. `export`: the lesson also exports models."""
    export = "export=True" if export else ""
    return CELL.format(address=address, commit=commit, export=export)


def copied(notebook, name, address, commit):
    """A lesson as Colab and Kaggle need it: with the cell after its title, without
    those about a set-up of one's own, and with links that hold there, to other copies
    where there are some, else to the project at its commit."""
    copies = {path.name for path in lessons()}

    def change(found):
        path = posixpath.normpath(posixpath.join("notebooks", found[2]))
        folder, _, target = path.rpartition("/")
        ours = folder == "notebooks" and target in copies
        return (
            f"{found[1]}({address}/blob/"
            f"{f'{BRANCH}/{target}' if ours else f'{commit}/{path}'}"
        )

    notebook.cells = [part for part in notebook.cells if part.id not in OWN]
    for part in notebook.cells:
        if part.cell_type == "markdown":
            part.source = re.sub(r"(\])\((?![a-z]+:|#)([^)\s#]+)", change, part.source)
    code = "\n".join(part.source for part in notebook.cells if part.cell_type == "code")
    opens = {service.lower(): link for service, link in links(address, name).items()}
    export = "apps.sharing." in code or "onnxruntime" in code
    notebook.cells[1:1] = [
        new_markdown_cell(NOTE.format(**BADGES, **opens), id="hosted"),
        new_code_cell(cell(address, commit, export), id="fetch"),
    ]
    return notebook


def git(*arguments):
    """What a git command prints. LaunchError."""
    done = subprocess.run(
        ["git", "-C", ROOT, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise LaunchError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def write_copies(folder, address):
    """Write the copies of all lessons, of the commit that is checked out, to a new
    folder or over earlier copies → the commit. LaunchError."""
    if address is None:
        raise LaunchError(
            "First note where the project is: python -m tools.release.launch "
            "--repository ADDRESS"
        )
    if changed := git("status", "--porcelain"):
        raise LaunchError(
            f"Commit first: copies fetch a commit, and these are in none:\n{changed}"
        )
    commit = git("rev-parse", "HEAD")
    folder.mkdir(parents=True, exist_ok=True)
    about = folder / "README.md"
    ours = about.exists() and about.read_text("utf-8").startswith(TITLE)
    if any(folder.iterdir()) and not ours:
        raise LaunchError(
            f"{folder} holds something else already: name another folder."
        )
    for path in set(folder.glob("*.ipynb")) - {
        folder / path.name for path in lessons()
    }:
        path.unlink()  # of a lesson that bears another name now
    with atomic_write(about) as part:
        part.write_text(
            f"{TITLE}\nMade by tools/release/launch.py from "
            f"[{commit[:10]}]({address}/tree/{commit}); changes belong "
            f"[there]({address}).\n",
            encoding="utf-8",
        )
    for path in lessons():
        notebook = copied(nbformat.read(path, as_version=4), path.name, address, commit)
        with atomic_write(folder / path.name) as part:
            nbformat.write(notebook, part)
    return commit


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repository", metavar="ADDRESS")
    parser.add_argument("--copies", metavar="FOLDER", type=Path)
    options = parser.parse_args()
    try:
        citation = CITATION.read_text(encoding="utf-8")
        if options.repository:
            citation = note(citation, checked(options.repository))
        address = noted(citation)
        if options.copies:
            commit = write_copies(options.copies, address)
            print(
                f"{options.copies}: they fetch {commit} from {address}, so push that "
                "first."
            )
            return 0
        readme = placed(README.read_text(encoding="utf-8"), address)
        for path, text in ((CITATION, citation), (README, readme)):
            with atomic_write(path) as part:
                part.write_text(text, encoding="utf-8", newline="\n")
    except LaunchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
