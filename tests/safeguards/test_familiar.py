"""What a classifier keeps of the images it learned from, and what a stranger's file may
say of them."""

import json

import numpy as np
import pytest

from helpers.neighbours import familiar_within, nearest
from safeguards.familiar import (
    DOCUMENT,
    MOST,
    TABLE,
    Answer,
    familiar,
    read,
    written,
)

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(30, 16)) + 2
NAMES = [f"cats/{i}.jpg" for i in range(30)]


def known(features=FEATURES, names=NAMES):
    return familiar(features, names, familiar_within(features))


def test_it_judges_by_the_rule_of_the_lessons():
    others = RANDOM.normal(size=(50, 16)) * 3
    distances, positions = nearest(others, FEATURES)
    found = known().judge(others)
    assert [each.distance for each in found] == pytest.approx(distances, abs=2e-3)
    assert [each.nearest for each in found] == [NAMES[i] for i in positions]
    within = familiar_within(FEATURES)
    sure = np.abs(distances - within) > 5e-3
    flagged = np.array([each.unlike for each in found])
    assert (flagged == (distances > within))[sure].all()
    assert flagged.any() and not all(each.unlike for each in known().judge(FEATURES))


def test_of_many_images_some_are_kept():
    many = RANDOM.normal(size=(MOST + 500, 4))
    kept = known(many, [str(i) for i in range(len(many))])
    assert kept.features.shape == (MOST, 4)
    assert len(set(kept.names)) == MOST
    row = int(kept.names[7])
    direction = many[row] / np.linalg.norm(many[row])
    assert kept.features[7] == pytest.approx(direction, abs=1e-3)


def test_an_answer_says_so_and_is_a_list_all_the_same():
    near, far = known().judge(np.stack([FEATURES[0], -FEATURES[0]]))
    assert Answer(["a", "b"], near) == ["a", "b"]
    assert repr(Answer(["a"], near)) == "['a']"
    assert repr(Answer(["a"], far)).startswith("like nothing it learned from (the")


def test_it_comes_back_as_it_was_written():
    members = written(known())
    again = read(members[DOCUMENT], members[TABLE])
    assert again.names == tuple(NAMES) and again.within == known().within
    assert np.array_equal(again.features, known().features)
    assert written(None) == {}


HALVES = np.ones((2, 4), "float16")


@pytest.mark.parametrize(
    "content, array",
    [
        ({"within": "0.1", "names": ["a", "b"]}, HALVES),
        ({"within": -0.1, "names": ["a", "b"]}, HALVES),
        ({"within": float("nan"), "names": ["a", "b"]}, HALVES),
        ({"within": 0.1, "names": []}, HALVES[:0]),
        ({"within": 0.1, "names": ["a"] * (MOST + 1)}, HALVES),
        ({"within": 0.1, "names": ["a", 3]}, HALVES),
        ({"within": 0.1, "names": ["a", "b" * 2000]}, HALVES),
        ({"within": 0.1, "names": ["a", "\ud800"]}, HALVES),
        ({"within": 0.1, "names": ["a", "b", "c"]}, HALVES),
        ({"within": 0.1, "names": ["a", "b"]}, HALVES[:0]),
        ({"within": 0.1, "names": ["a", "b"]}, HALVES * np.float16("nan")),
        ({"names": ["a", "b"]}, HALVES),
        ([1], HALVES),
    ],
)
def test_a_strangers_file_may_say_nothing_else(content, array):
    with pytest.raises((ValueError, KeyError, TypeError)):
        read(json.dumps(content), array.tobytes())


@pytest.mark.parametrize("cut", [0, 1, 10, 101])
def test_a_table_that_was_cut_off(cut):
    members = written(known())
    with pytest.raises(ValueError):
        read(members[DOCUMENT], members[TABLE][:cut])


def test_names_and_rows_have_to_fit():
    with pytest.raises(ValueError, match="one row a name"):
        familiar(FEATURES, NAMES[:3], 0.1)
