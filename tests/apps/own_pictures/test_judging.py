"""What an accuracy shows, and how two of other pictures differ, against published
figures."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from apps.own_pictures.intake import Intake
from apps.own_pictures.judging import (
    accuracy_of,
    compared,
    doubts,
    judge_accuracy,
    other_things,
    repeated_out_of_fold,
    suspects,
    unpaired_difference,
)
from apps.own_pictures.learn import new_head
from helpers.evaluate import Difference, accuracy
from helpers.pictures import Pictures


def counted(right, n):
    return accuracy(np.zeros(n, int), np.arange(n) >= right)


def test_difference_has_the_interval_that_was_published():
    """Newcombe (1998), table II, method 10: 56 of 70 and 48 of 80, 10 of 10 and 0 of
    20."""
    found = unpaired_difference(counted(48, 80), counted(56, 70))
    assert (found.value, found.n) == (pytest.approx(0.2), 150)
    assert found[1:3] == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert unpaired_difference(counted(0, 20), counted(10, 10))[:3] == pytest.approx(
        (1, 0.6791, 1), abs=5e-5
    )
    assert unpaired_difference(counted(56, 70), counted(48, 80))[:3] == pytest.approx(
        (-0.2, -0.3339, -0.0524), abs=5e-5
    )
    assert isinstance(found, Difference)


@pytest.mark.parametrize(
    "right, n, start",
    [
        (2, 10, "Worse than always giving the same answer (0.60)"),
        (6, 10, "Too few pictures to tell: ≈0.31 to ≈0.83 is possible, and that holds"),
        (
            10,
            10,
            "Better than always giving the same answer (0.60), but too few pictures "
            "to tell by",
        ),
        (
            600,
            1000,
            "Hardly better than always giving the same answer (0.60), if at all: ≈0.57",
        ),
        (
            950,
            1000,
            "Better than always giving the same answer (0.60): ≈0.93 to ≈0.96 on "
            "pictures",
        ),
    ],
)
def test_judgement_says_what_an_accuracy_shows(right, n, start):
    assert judge_accuracy(counted(right, n), 0.6).startswith(start)


def test_judgement_goes_by_what_it_prints():
    """“Better than 0.50: 0.50 to 0.80” would contradict itself."""
    result = counted(24, 36)
    assert 0.5 < result.low < 0.505
    assert judge_accuracy(result, 0.5).startswith(
        "Too few pictures to tell: ≈0.50 to ≈0.80"
    )
    assert judge_accuracy(counted(54, 86), 0.5).endswith(
        ": ≈0.52 to ≈0.72 on pictures like these."
    )


def test_judgement_says_how_many_pictures_would_do():
    sentence = judge_accuracy(counted(24, 30), 0.5)
    assert "It would take ≈60 test pictures to say it to ±0.1." in sentence
    span = [np.ptp(counted(round(0.8 * n), n)[1:3]) for n in (59, 60)]
    assert span[0] > 0.2 >= span[1]


# -- few pictures ----------------------------------------------------------------------


def clouds(n, apart, seed):
    """Features of two classes, normally distributed, and their labels. Each comes a
    hundred times, as a network's do nearly: the head shrinks the weight of a single one
    too much."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    features = random.normal(size=(n, 8))
    features[:, 0] += apart * labels
    return np.tile(features, 100), labels


@pytest.mark.thorough
def test_of_few_pictures_the_interval_knows_the_luck_of_the_draw():
    """It holds, nearly always, what the head gets right about thousands of others."""
    held = []
    for seed in range(40):
        features, labels = clouds(24, 2.5, seed)
        found = repeated_out_of_fold(features, labels, np.arange(24), new_head, 3)
        others, truth = clouds(4000, 2.5, 1000 + seed)
        share = np.mean(new_head().fit(features, labels).predict(others) == truth)
        held.append(found.low <= share <= found.high)
        assert found.n == 24
    assert np.mean(held) >= 0.9


def test_no_mistakes_are_no_certainty():
    features, labels = clouds(24, 50, 0)
    features += 50 * labels[:, None]
    found = repeated_out_of_fold(features, labels, np.arange(24), new_head, 2)
    assert found.value == found.high == 1
    assert found.low == pytest.approx(accuracy(labels, labels).low)


def test_look_alikes_do_not_judge_each_other():
    """Each picture is there twice, its label means nothing: half are right, by luck."""
    features, _ = clouds(40, 0, 0)
    features = np.repeat(features, 2, axis=0)
    labels = np.repeat(np.random.default_rng(0).permutation(np.arange(40) % 2), 2)
    groups = np.repeat(np.arange(40), 2)

    def by_heart():
        return KNeighborsClassifier(1)

    found = repeated_out_of_fold(features, labels, groups, by_heart, 5)
    leaking = repeated_out_of_fold(features, labels, np.arange(80), by_heart, 5)
    assert found.low < 0.5 < found.high
    assert leaking.value > found.value + 0.2


# -- none of them ----------------------------------------------------------------------


def test_other_things_are_none_of_the_classes():
    assert {"desktop_render", "cat", "flower"} <= {*other_things(("ants", "bees"))}
    others = other_things(("Desktop", "cats", "wild-flowers"))
    assert not {"desktop_render", "cat", "flower"} & {*others}
    assert "laptop_render" in others


# -- then and now ----------------------------------------------------------------------


def some_pictures(labels):
    folder = Path("pets")
    paths = tuple(folder / "ab"[label] / f"{i}.png" for i, label in enumerate(labels))
    return Pictures("pets", paths, np.array(labels), ("a", "b"))


def test_a_change_has_its_interval_on_the_pictures_of_both_runs():
    test = some_pictures([0, 1] * 20)
    earlier = np.arange(30), np.zeros(30, int)  # it always said a
    text = compared(test, earlier, test.labels.copy())
    assert "Since the last run, on the 30 test pictures of both:" in text
    assert "then: ≈0.50" in text and "now:  ≈1.00" in text
    assert "gain: ≈+0.50 (" in text


def test_no_change_is_no_certainty():
    """The interval of 0 of 18 goes up to 0.18 (Wilson 1927)."""
    test = some_pictures([0, 1] * 9)
    then = test.labels.copy()
    then[0] = 1 - then[0]
    text = compared(test, (np.arange(18), then), then)
    assert "gain: none" in text and "With 18 of them, a change of up to ±0.18 " in text
    assert "gain: ≈+0.06" in compared(test, (np.arange(18), then), test.labels)


def test_suspects_are_those_that_nobody_has_decided_on():
    train = some_pictures([0, 0, 1, 1])
    out_of_fold = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    found = Intake(train, [], [], [], "", train, {3: 1}, [])
    assert suspects(found, train, out_of_fold) == [1, 2], "the surest first"
    sentence = doubts([1, 2], counted(90, 100), 50)
    assert "≈2 of the 50 it learned from" in sentence
    assert "If all were right, ≈3 to ≈9 would" in sentence


def test_accuracy_of_probabilities():
    some = SimpleNamespace(labels=np.array([0, 1, 1, 0]))
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.8, 0.2], [1.0, 0.0]])
    result = accuracy_of(some, probabilities)
    assert (result.value, result.n) == (0.75, 4)
