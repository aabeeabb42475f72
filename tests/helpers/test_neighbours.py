"""helpers.neighbours: the nearest training image, and how near is near enough."""

import numpy as np
import pytest

from helpers.neighbours import familiar_within, nearest

# Directions on a circle, in degrees: the cosine distance of two is known by hand.
ANGLES = np.array([0, 10, 30, 90])


def at(angles, length=1.0):
    """Features that point in these directions."""
    radians = np.radians(angles)
    return length * np.stack([np.cos(radians), np.sin(radians)], axis=1)


def distance(degrees):
    """The cosine distance of two directions that far apart."""
    return 1 - np.cos(np.radians(degrees))


@pytest.mark.parametrize("length", [0.01, 1, 1000])
def test_the_nearest_one_is_found_whatever_the_length(length):
    distances, positions = nearest(at([12, 80, 200], length), at(ANGLES))
    assert positions.tolist() == [1, 3, 3]
    assert distances == pytest.approx(distance([2, 10, 110]))


def test_a_training_image_does_not_count_as_its_own_neighbour():
    leave_one_out = distance([10, 10, 20, 60])
    assert familiar_within(at(ANGLES), 1) == pytest.approx(distance(60))
    assert familiar_within(at(ANGLES), 0.5) == pytest.approx(
        np.quantile(leave_one_out, 0.5)
    )


def test_copies_are_no_distance_apart():
    assert familiar_within(at([5, 5, 5])) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "tables, said",
    [
        ((at([1])[0], at([1])), "Shapes"),
        ((at([1]), np.ones((3, 5))), "same base"),
        ((at([]), at([1])), "Shapes"),
        ((at([1]), at([])), "Shapes"),
        ((at([1]) * np.nan, at([1])), "finite"),
    ],
)
def test_other_tables_are_refused(tables, said):
    with pytest.raises(ValueError, match=said):
        nearest(*tables)


def test_one_training_image_has_no_neighbour():
    with pytest.raises(ValueError, match="two or more"):
        familiar_within(at([1]))
