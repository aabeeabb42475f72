"""The first page of a report says what was asked and answered, and no more."""

import numpy as np
import pytest
from PIL import Image

from apps.own_pictures.front import front_page, hardest_first, small
from apps.own_pictures.intake import Intake
from apps.own_pictures.judging import InTurn
from apps.own_pictures.keep import Settings
from helpers.evaluate import accuracy
from helpers.pictures import Pictures


@pytest.fixture
def test_pictures(tmp_path):
    classes = ("<b>ants</b>", "bees")
    paths = []
    for i, name in enumerate(["a<i>.png", "b.png", "c.png", "d.png", "e.png"]):
        folder = tmp_path / f"class {i % 2}"
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (900, 300 + i)).save(folder / name)
        paths.append(folder / name)
    return Pictures("pets", tuple(paths), np.array([0, 1, 0, 1, 0]), classes)


SETTINGS = Settings("/a <b>/pets", "efficientnet_lite1", 0.98, True, "2026-11-30")
PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [0.05, 0.95]])


def test_wrong_answers_come_first_each_kind_by_its_loss(test_pictures):
    assert hardest_first(test_pictures, PROBABILITIES).tolist() == [4, 1, 2, 3, 0]


def test_what_somebody_reads_who_has_to_decide(test_pictures):
    found = Intake(test_pictures, [], [], [], "", test_pictures, {}, [])
    notes = ["Few.", "", "a\n<b>"]
    page = front_page(found, test_pictures, PROBABILITIES, None, notes, SETTINGS)
    parts = [
        "does a picture show &lt;b&gt;ants&lt;/b&gt; or bees?",
        "it got ≈3 of 5 test pictures right",
        "(0.23–0.88), n = 5",
        "<p>Few.</p>",
        "<p>a<br>&lt;b&gt;</p>",
        "In brackets:",
        "answer →</th>",
        "&lt;b&gt;ants&lt;/b&gt;</th><td",
        "≈2</td>",
        "It got these right</h3>",
        "a&lt;i&gt;.png",
        "It got these wrong</h3>",
        "→ bees ≈0.95<br>e.png",
        ">efficientnet_lite1</td>",
        "TRANSFER_MODEL=efficientnet_lite1 make mine PICTURES=",
        "/a &lt;b&gt;/pets",
        "ALIKE=0.98 TUNE=1",
    ]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert "<b>ants" not in page and "<i>" not in page
    assert "<p></p>" not in page and "none of these pictures" not in page


def test_examples_are_said_to_be_some_of_them_where_there_are_more(test_pictures):
    wrong = np.eye(2)[1 - test_pictures.labels]
    found = Intake(test_pictures, [], [], [], "", test_pictures, {}, [])
    page = front_page(found, test_pictures, wrong, None, [], SETTINGS)
    assert "<h3>It got these wrong (3 of ≈5)</h3>" in page
    assert "It got these right" not in page


def test_examples_are_of_as_many_classes_as_can_be(test_pictures):
    sure = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7], [0.95, 0.05]])
    found = Intake(test_pictures, [], [], [], "", test_pictures, {}, [])
    page = front_page(found, test_pictures, sure, None, [], SETTINGS)
    # The surest are three of the first class: e, a, c. One of them makes room for d.
    captions = [f"<br>{name}" for name in ("e.png", "d.png", "a&lt;i&gt;.png")]
    places = [page.index(caption) for caption in captions]
    assert places == sorted(places)
    assert "<br>c.png" not in page and "<br>b.png" not in page


def test_no_wrong_answer_is_said_in_words(test_pictures):
    right = np.eye(2)[test_pictures.labels]
    found = Intake(test_pictures, [], [], [], "", test_pictures, {}, [])
    page = front_page(found, test_pictures, right, None, [], SETTINGS)
    assert "It got these wrong" not in page
    assert "It got none of these pictures wrong." in page


def test_where_few_were_tested_in_turn_the_page_is_about_all_of_them(test_pictures):
    """One figure, and examples and a matrix that go with it."""
    answers = np.array([0, 1, 0, 1, 1])
    probabilities = 0.8 * np.eye(2)[answers] + 0.1
    in_turn = InTurn(accuracy(test_pictures.labels, answers), None, probabilities)
    found = Intake(test_pictures, [], [], [], "", test_pictures, {}, [])
    test = test_pictures[:2]
    page = front_page(found, test, np.eye(2)[[0, 1]], in_turn, [], SETTINGS)
    assert "testing all 5 pictures in turn, each by" in page
    assert "the mean of the ten rounds" in page
    assert "It got these right (3 of ≈4)" in page and "→ bees ≈0.90<br>e.png" in page
    assert page.count("≈2</td>") == 2 and page.count("≈1</td>") == 1


def test_pictures_are_no_larger_than_needed(test_pictures):
    assert {image.width for image in small(test_pictures.paths)} == {512}
