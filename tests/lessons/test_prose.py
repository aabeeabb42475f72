"""What is written: links lead somewhere, headings skip no level, words are spelt right.

Addresses on the web are another matter, `make links`: they need a network.
"""

import subprocess
import sys

import pytest
from lessons import LESSONS, NOTEBOOKS, PACKAGES, TEMPLATE, read
from links import dead, headings

ROOT = NOTEBOOKS.parent
FOLDERS = "docs", "data", "requirements", "tools"
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("apps/*/*.md"),  # below it are others', fetched by npm
    *(page for f in FOLDERS for page in ROOT.glob(f"{f}/**/*.md")),
]
PAGES = [
    page for page in PAGES if ".ipynb_checkpoints" not in page.parts
]  # JupyterLab's
TEXTS = [*LESSONS, TEMPLATE, NOTEBOOKS / "app.ipynb", *sorted(PAGES)]

each_text = pytest.mark.parametrize(
    "page", TEXTS, ids=lambda p: str(p.relative_to(ROOT))
)


@each_text
def test_links_lead_somewhere(page):
    assert dead(page) == []


@each_text
def test_headings_do_not_skip_a_level(page):
    levels = [level for level, _ in headings(page)]
    assert levels[0] == 1
    if page.name != "paper.md":  # its title is no heading, by the journal's form
        assert levels.count(1) == 1
    assert all(
        below <= above + 1 for above, below in zip(levels, levels[1:], strict=False)
    )


def test_a_dead_link_is_found(tmp_path):
    other, page = tmp_path / "other.md", tmp_path / "page.md"
    other.write_text(
        "# One\n\n## 95 % of *all*\n\n## Twice\n\n## Twice\n\n<a id='here'></a>\n"
    )
    page.write_text(
        "# Page\n[a](other.md) [b](other.md#95--of-all) [c](other.md#twice-1) "
        "[d](other.md#here) [e](#page) [f](https://example.org/x) "
        "`x[0](y)`\n```\n[g](none.md)\n```\n"
    )
    assert dead(page) == []
    for link in (
        "none.md",
        "other.md#none",
        "#none",
        "other.md#twice-2",
        "other.md#95-of-all",
    ):
        page.write_text(f"# Page\n\n[x]({link})\n")
        assert dead(page) == [link]
        page.write_text(f'# Page\n\n<img src="{link}">\n')
        assert dead(page) == [link]


@each_text
def test_quotation_marks_are_english(page):
    assert set("«»„").isdisjoint(page.read_text(encoding="utf-8"))


# -- spelling --------------------------------------------------------------------------


def misspelt(*paths):
    """What codespell finds in files and folders; the words it is to leave are in
    pyproject.toml."""
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in (0, 65) and not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_no_word_is_misspelt(tmp_path):
    for notebook in (page for page in TEXTS if page.suffix == ".ipynb"):
        sources = (cell.source for cell in read(notebook).cells)
        (tmp_path / f"{notebook.stem}.txt").write_text(
            "\n".join(sources), encoding="utf-8"
        )
    code = [
        path
        for f in (*PACKAGES, "teaching", "tests", "tools")
        for path in ROOT.glob(f"{f}/**/*.py")
    ]
    assert misspelt(tmp_path, *PAGES, *code, ROOT / "Makefile") == []


def test_a_misspelt_word_is_found(tmp_path):
    (tmp_path / "page.md").write_text(
        f"# {'Rec' + 'ieve'}\n\nColour, neighbours, optimiser: all right.\n"
    )
    (found,) = misspelt(tmp_path)
    assert "==> Receive" in found
