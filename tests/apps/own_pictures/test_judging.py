"""What an accuracy shows, and how two of other pictures differ, against published
figures."""

import numpy as np
import pytest

from apps.own_pictures.judging import judge_accuracy, unpaired_difference
from helpers.evaluate import Difference, accuracy


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
