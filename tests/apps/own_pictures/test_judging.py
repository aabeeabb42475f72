"""What an accuracy shows, and how two of other pictures differ, against published
figures."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from apps.own_pictures.intake import Intake
from apps.own_pictures.judging import (
    InTurn,
    accuracy_of,
    compared,
    compared_in_turn,
    doubts,
    for_the_card,
    in_words,
    judge_accuracy,
    most_frequent_errors,
    other_things,
    repeated_out_of_fold,
    said_of_each,
    summary,
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
        (
            2,
            10,
            "Worse than guessing one class every time, which gets 60 % right: look",
        ),
        (
            6,
            10,
            "Too few pictures to tell: it may get ≈31 to ≈83 % of pictures like these "
            "right, perhaps no more than guessing one class every time, which gets 60",
        ),
        (
            10,
            10,
            "Better than guessing one class every time, which gets 60 % right, but too "
            "few pictures to tell by how much: it may get ≈72 to ≈100 % of pictures",
        ),
        (
            600,
            1000,
            "It probably gets ≈57 to ≈63 % of pictures like these right. That's hardly "
            "better than guessing one class every time, which gets 60 % right, if at",
        ),
        (
            950,
            1000,
            "It probably gets ≈93 to ≈96 % of pictures like these right, so it's "
            "better than guessing one class every time, which gets 60 % right.",
        ),
    ],
)
def test_judgement_says_what_an_accuracy_shows(right, n, start):
    assert judge_accuracy(counted(right, n), 0.6).startswith(start)


def test_judgement_goes_by_what_it_prints():
    """“Better than 50 %: 50 to 80 %” would contradict itself."""
    result = counted(24, 36)
    assert 0.5 < result.low < 0.505
    assert judge_accuracy(result, 0.5).startswith(
        "Too few pictures to tell: it may get ≈50 to ≈80 % of"
    )
    assert judge_accuracy(counted(54, 86), 0.5).startswith(
        "It probably gets ≈52 to ≈72 % of pictures like these right, so"
    )


def test_judgement_says_how_many_pictures_would_do():
    """In pictures for the folder, three of ten of which become test pictures."""
    sentence = judge_accuracy(counted(24, 30), 0.5, pictures=100)
    assert sentence.endswith(
        " ≈100 more pictures in the folder would narrow that down to ±10 %."
    )
    assert "more" not in judge_accuracy(counted(24, 30), 0.5)
    span = [np.ptp(counted(round(0.8 * n), n)[1:3]) for n in (59, 60)]
    assert span[0] > 0.2 >= span[1]


@pytest.mark.parametrize(("count", "advice"), [(99, False), (100, True)])
def test_only_one_number_says_how_many_more(count, advice):
    """Where there are few, what all of them say in turn has it."""
    pictures = some_pictures(np.arange(count) % 2)
    found = Intake(pictures, [], [], [], "", pictures, {}, [])
    sentence = in_words(found, pictures[:30], counted(24, 30))
    assert ("more pictures" in sentence) == advice


def test_of_few_pictures_the_words_begin_with_the_figure_to_trust():
    pictures = some_pictures([0, 1] * 20)
    found = Intake(pictures, [], [], [], "", pictures, {}, [])
    in_turn = InTurn(counted(38, 40), None, None)
    assert in_words(found, pictures[:12], counted(12, 12), in_turn) == (
        "It probably gets ≈83 to ≈99 % of pictures like these right, so it's better "
        "than guessing one class every time, which gets 50 % right. That's from "
        "testing all 40 pictures in turn, each by classifiers that hadn't learned from "
        "it (ten rounds): the share of right answers is ≈0.95 (0.83–0.99), n = 40. "
        "About 120 more pictures in the folder would make that interval half as wide. "
        "On the 12 test pictures alone it's ≈1.00 (0.76–1.00), n = 12. They're few: "
        "trust the figure for all pictures more. The interval for all also allows for "
        "the luck of which pictures were learned from."
    )


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
        in_turn = repeated_out_of_fold(features, labels, np.arange(24), new_head, 3)
        found = in_turn.accuracy
        others, truth = clouds(4000, 2.5, 1000 + seed)
        share = np.mean(new_head().fit(features, labels).predict(others) == truth)
        held.append(found.low <= share <= found.high)
        assert found.n == 24
    assert np.mean(held) >= 0.9


def test_no_mistakes_are_no_certainty():
    features, labels = clouds(24, 50, 0)
    features += 50 * labels[:, None]
    in_turn = repeated_out_of_fold(features, labels, np.arange(24), new_head, 2)
    found = in_turn.accuracy
    assert found.value == found.high == 1
    np.testing.assert_allclose(in_turn.votes, np.eye(2)[labels])
    assert in_turn.probabilities.argmax(axis=1).tolist() == labels.tolist()
    np.testing.assert_allclose(in_turn.probabilities.sum(axis=1), 1)
    assert in_turn.probabilities.max() < 1
    assert found.low == pytest.approx(accuracy(labels, labels).low)


def test_look_alikes_do_not_judge_each_other():
    """Each picture is there twice, its label means nothing: half are right, by luck."""
    features, _ = clouds(40, 0, 0)
    features = np.repeat(features, 2, axis=0)
    labels = np.repeat(np.random.default_rng(0).permutation(np.arange(40) % 2), 2)
    groups = np.repeat(np.arange(40), 2)

    def by_heart():
        return KNeighborsClassifier(1)

    found, votes, _ = repeated_out_of_fold(features, labels, groups, by_heart, 5)
    leaking = repeated_out_of_fold(features, labels, np.arange(80), by_heart, 5)
    np.testing.assert_allclose(votes.sum(axis=1), 1)
    assert found.low < 0.5 < found.high
    assert leaking.accuracy.value > found.value + 0.2


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
    assert "then: ≈0.50 (" in text and "now: ≈1.00 (" in text
    assert "change: ≈+0.50 (" in text and "chance" not in text


def test_no_change_is_no_certainty():
    """The interval of 0 of 18 goes up to 0.18 (Wilson 1927)."""
    test = some_pictures([0, 1] * 9)
    then = test.labels.copy()
    then[0] = 1 - then[0]
    text = compared(test, (np.arange(18), then), then)
    assert "change: none" in text
    assert "With 18 of them, a change of up to ±0.18 " in text
    little = compared(test, (np.arange(18), then), test.labels)
    assert "change: ≈+0.06" in little
    assert little.endswith("The interval includes 0, so this may be chance.")


def test_where_few_were_tested_in_turn_the_change_is_that_of_all():
    pictures = some_pictures([0, 1] * 20)
    then = np.full((30, 2), 0.5)
    now = np.eye(2)[pictures.labels]
    labels = pictures.labels
    text = compared_in_turn(pictures, (np.arange(5, 35), then, labels[5:35]), now)
    assert text == (
        "Since the last run, on the 30 pictures that were in both, all tested in turn:"
        "\n"
        "then: ≈0.500; now: ≈1.000; change: ≈+0.500 (+0.500 to +0.500), n = 30"
    )
    then[:15] = now[:15]
    then[15:] = 1 - now[15:30]  # half of them always wrong
    first = np.arange(30), then, labels[:30]
    mixed = compared_in_turn(pictures, first, now * 0 + 0.5)
    assert "change: ≈+0.000 (-0." in mixed and mixed.endswith("No change to be seen.")
    better = compared_in_turn(pictures, first, now * 0.2 + 0.4)
    assert better.endswith("The interval includes 0, so this may be chance.")
    same = compared_in_turn(pictures, (np.arange(30), now[:30], labels[:30]), now)
    assert same.endswith("no change: it got each picture right just as often.")
    old = labels[:30].copy()
    old[:3] = 1 - old[:3]
    corrected = compared_in_turn(pictures, (np.arange(30), now[:30], old), now)
    assert "then: ≈1.000; now: ≈1.000; " in corrected
    assert "\nBy the labels you had then, it was ≈0.900. Labels that" in corrected
    nothing = np.array([], int), np.zeros((0, 2)), np.array([], int)
    assert compared_in_turn(pictures, nothing, now) == ""


def test_suspects_are_those_that_nobody_has_decided_on():
    pictures = some_pictures([0, 0, 1, 1])
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    found = Intake(pictures, [], [], [], "", pictures, {3: 1}, [])
    assert suspects(found, said) == [1, 2], "the surest first"


def test_each_picture_is_judged_by_heads_that_had_not_learned_from_it():
    """In turn where they are few; else out of fold, and the test pictures anyway."""
    pictures = some_pictures([0, 0, 1, 1])
    found = Intake(pictures, [], [], [], "", pictures, {}, [])
    in_turn = InTurn(counted(3, 4), None, np.eye(2)[[0, 0, 1, 0]])
    train = pictures[[3, 0]], np.array([[0.2, 0.8], [0.7, 0.3]])
    test = pictures[[1, 2]], np.array([[0.4, 0.6], [0.1, 0.9]])
    assert said_of_each(found, in_turn, (train, test)) is in_turn.probabilities
    said = said_of_each(found, None, (train, test))
    assert said[:, 0].tolist() == [0.7, 0.4, 0.1, 0.2]
    assert suspects(found, said) == [1], "a test picture's label can be wrong, too"


def test_errors_are_counted_by_kind():
    pictures = some_pictures([0, 0, 0, 1, 1])
    right = pictures.labels
    assert most_frequent_errors(pictures, right) == "none"
    answers = np.array([1, 1, 0, 0, 1])
    said = "a taken for b: ≈2; b taken for a: ≈1"
    assert most_frequent_errors(pictures, answers) == said


LOOK = " It can't find every wrong label: look through your folders, too."


@pytest.mark.parametrize(
    ("suspected", "decided", "said"),
    [
        (
            [1, 2],
            {},
            "Labels that may be wrong: ≈2 pictures to look at, of all 50. They may all "
            "be hard pictures with the right label: look before you change anything.",
        ),
        (
            list(range(12)),
            {},
            "Labels that may be wrong: ≈12 pictures to look at, of all 50. Up to ≈9 "
            "may be hard pictures with the right label: look before you change "
            "anything.",
        ),
        ([], {}, "Labels that may be wrong: none was contradicted."),
        (
            [],
            {3: 1},
            "Labels that may be wrong: none that you haven't decided on.",
        ),
    ],
)
def test_what_is_said_of_labels_that_may_be_wrong(suspected, decided, said):
    pictures = some_pictures([0, 1] * 25)
    found = Intake(pictures, [], [], [], "", pictures, decided, [])
    assert doubts(suspected, found, counted(90, 100)) == said + LOOK


def test_the_summary_explains_a_card_that_was_put_aside(tmp_path):
    pictures = some_pictures([0, 1] * 20)
    found = Intake(pictures, [], [], [], "", pictures, {0: 1}, [])
    (tmp_path / "model_card.md").touch()
    test = pictures[:12]
    few = [counted(9, 12), None, ["Few.", ""], [2], "lite0", tmp_path]
    text = summary(found, test, *few)
    assert "pictures like these right" in text and "\nFew.\nlabels that" in text
    assert "\naccuracy on 12 test pictures: ≈0.75" in text
    in_turn = InTurn(counted(38, 40), None, None)
    shorter = summary(found, test, counted(9, 12), in_turn, [], [], "lite0", tmp_path)
    assert shorter.splitlines()[1].startswith("It probably gets ≈83 to")
    assert text.endswith("made: model_card.md")
    (tmp_path / "model_card_earlier.md").touch()
    assert summary(found, test, *few).endswith(
        "\nmodel_card_earlier.md: the card as you had changed it; what you filled in "
        "is on the new one, too"
    )


def test_the_card_says_it_in_words_that_need_no_explanation():
    test = some_pictures([0, 1] * 20)
    learned = SimpleNamespace(name="others")
    alarms = counted(2, 40)
    rows = for_the_card(
        counted(39, 40), None, alarms, test, test, "lite0", learned, "same"
    )
    assert [*rows] == [
        "accuracy",
        "guessing one class every time",
        "in words",
        "learned from",
        "base",
        "features",
        "test pictures wrongly called like nothing it learned from",
        "ONNX file against what was measured",
    ]
    in_turn = InTurn(counted(39, 40), None, None)
    few = for_the_card(
        counted(9, 12), in_turn, alarms, test, test, "lite0", learned, "same"
    )
    assert list(few)[1::-1] == [
        "accuracy, the test pictures alone",
        "accuracy, all pictures tested in turn (the figure to trust)",
    ]
    assert few["accuracy, all pictures tested in turn (the figure to trust)"].n == 40


def test_accuracy_of_probabilities():
    some = SimpleNamespace(labels=np.array([0, 1, 1, 0]))
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.8, 0.2], [1.0, 0.0]])
    result = accuracy_of(some, probabilities)
    assert (result.value, result.n) == (0.75, 4)
