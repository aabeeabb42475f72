"""The glossary: complete sentences, and each lesson links to it where it explains a
word."""

import re

import pytest
from lessons import LESSONS, NOTEBOOKS, read

GLOSSARY = NOTEBOOKS.parent / "docs" / "glossary.md"
ENTRY = re.compile(
    r"(?ms)^## (.+?)\n\n(.+?) Lesson \[(\d\d)\]\(\.\./notebooks/(\S+)\)\.$"
)


def slug(term):
    return re.sub(r"[^\w\- ]", "", term.lower()).replace(" ", "-")


def entries():
    """[(word, what it says, lesson's number, lesson's file), …]"""
    return ENTRY.findall(GLOSSARY.read_text(encoding="utf-8"))


def text(lesson):
    return "\n\n".join(
        c.source for c in read(lesson).cells if c.cell_type == "markdown"
    )


def test_every_word_is_explained_in_a_sentence_or_two_and_in_order():
    words = [word for word, *_ in entries()]
    headings = re.findall(r"(?m)^## (.+)$", GLOSSARY.read_text(encoding="utf-8"))
    assert words == headings, "an entry without its lesson"
    assert words == sorted(set(words), key=str.lower)
    for word, meaning, number, file in entries():
        assert len(meaning.split()) <= 60, word
        assert file[:2] == number, word


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_links_each_word_that_it_explains(lesson):
    linked = re.findall(r"\]\(\.\./docs/glossary\.md#([\w-]+)\)", text(lesson))
    wanted = [slug(word) for word, _, _, file in entries() if file == lesson.name]
    assert wanted
    assert sorted(set(wanted) - set(linked)) == [], "words without a link"
    assert len(linked) == len(set(linked)), "a word is linked once a lesson"
