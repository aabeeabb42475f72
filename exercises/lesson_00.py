"""Lesson 00, start here: its exercises and their judges."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call
from helpers.labels import Prediction, imagenet_classes


def second_name(answer):
    """Judge a function of a list of predictions that returns the second's name."""
    guesses = _random_guesses()
    given_list = guesses.copy()
    result = call(answer, given_list)
    if given_list != guesses:
        raise Hint(
            "The list was changed. Look a guess up in it, without taking anything out."
        )
    _check_is_a_name(result, guesses)

    names = [guess.name for guess in guesses]
    if result not in names:
        raise Hint(
            "The check hands over another list, and this name is not in it: use the "
            "list."
        )
    if result == names[-2]:
        raise Hint(
            "That is the second from the end. The best guess stands first in the list."
        )
    if result != names[1]:
        raise Hint(
            "That is the name of another guess. With which number does Python begin?"
        )
    return "Right: the second name, of a list that your function had never seen."


def _random_guesses():
    """Five to seven predictions of ImageNet classes, best first."""
    random = np.random.default_rng()
    classes = random.choice(
        imagenet_classes(), random.integers(5, 8), replace=False
    ).tolist()
    probabilities = random.uniform(0.01, 0.2, len(classes)).tolist()
    probabilities.sort(reverse=True)
    return [
        Prediction(wnid, name, probability)
        for (wnid, name), probability in zip(classes, probabilities, strict=True)
    ]


def _check_is_a_name(result, guesses):
    """Raise a hint unless the result is a text that could be a name."""
    if isinstance(result, Prediction):
        raise Hint("That is a whole guess. Which of its three parts is asked for?")
    if isinstance(result, list | tuple):
        raise Hint(
            "That is several things. First pick one guess from the list, then its name."
        )
    if not isinstance(result, str):
        raise Hint(f"A name is text; this is of type {type(result).__name__}.")
    if result in [guess.wnid for guess in guesses]:
        raise Hint(
            "That is the WordNet id of a guess. Which of the three parts is its name?"
        )
    if len(result) == 1:
        raise Hint("A single letter: one step too many was taken into a name.")
    if result in [str(guess) for guess in guesses]:
        raise Hint(
            "That is a whole guess, as text. Which of its three parts is asked for?"
        )


EXERCISES = {
    "00.1": Predict("a", "b", "c"),
    "00.2": Fill(second_name),
    "00.3": Explore(),
}
