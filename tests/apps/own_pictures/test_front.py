"""The first page of a report says what was asked and answered, and no more."""

import numpy as np
import pytest
from PIL import Image

from apps.own_pictures.front import front_page, hardest_first, small
from apps.own_pictures.intake import Intake
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
    result = accuracy(test_pictures.labels, PROBABILITIES.argmax(axis=1))
    found = Intake(test_pictures, [], [], [], "", test_pictures, {}, [])
    notes = ["Few.", "", "a\n<b>"]
    page = front_page(found, test_pictures, PROBABILITIES, result, notes, SETTINGS)
    parts = [
        "does a picture show &lt;b&gt;ants&lt;/b&gt; or bees?",
        "it got ≈3 of 5 test pictures right",
        "(0.23–0.88), n = 5",
        "<p>Few.</p>",
        "<p>a<br>&lt;b&gt;</p>",
        "In brackets:",
        "Confusion matrix: 3 of 5 pictures on the diagonal",
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
    assert "<p></p>" not in page and "none of the test pictures" not in page


def test_examples_are_said_to_be_some_of_them_where_there_are_more(test_pictures):
    wrong = np.eye(2)[1 - test_pictures.labels]
    result = accuracy(test_pictures.labels, 1 - test_pictures.labels)
    found = Intake(test_pictures, [], [], [], "", test_pictures, {}, [])
    page = front_page(found, test_pictures, wrong, result, [], SETTINGS)
    assert "<h3>It got these wrong (3 of ≈5)</h3>" in page
    assert "It got these right" not in page


def test_examples_are_of_as_many_classes_as_can_be(test_pictures):
    sure = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7], [0.95, 0.05]])
    result = accuracy(test_pictures.labels, test_pictures.labels)
    found = Intake(test_pictures, [], [], [], "", test_pictures, {}, [])
    page = front_page(found, test_pictures, sure, result, [], SETTINGS)
    # The surest are three of the first class: e, a, c. One of them makes room for d.
    captions = [f"<br>{name}" for name in ("e.png", "d.png", "a&lt;i&gt;.png")]
    places = [page.index(caption) for caption in captions]
    assert places == sorted(places)
    assert "<br>c.png" not in page and "<br>b.png" not in page


def test_no_wrong_answer_is_said_in_words(test_pictures):
    right = np.eye(2)[test_pictures.labels]
    result = accuracy(test_pictures.labels, test_pictures.labels)
    found = Intake(test_pictures, [], [], [], "", test_pictures, {}, [])
    page = front_page(found, test_pictures, right, result, [], SETTINGS)
    assert "It got these wrong" not in page
    assert "It got none of the test pictures wrong." in page


def test_pictures_are_no_larger_than_needed(test_pictures):
    assert {image.width for image in small(test_pictures.paths)} == {512}
