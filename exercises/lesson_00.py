"""The exercises of lesson 00: start here."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call
from helpers.labels import Prediction, imagenet_classes


def second_name(answer):
    """A function of a list of predictions, best first → the name of the second."""
    random = np.random.default_rng()
    classes = random.choice(imagenet_classes(), random.integers(5, 8), replace=False)
    sure = np.sort(random.uniform(0.01, 0.2, len(classes)))[::-1].tolist()
    guesses = [
        Prediction(wnid, name, probability)
        for (wnid, name), probability in zip(classes.tolist(), sure, strict=True)
    ]
    given = call(answer, handed := guesses.copy())
    if handed != guesses:
        raise Hint("The list was changed. Look a guess up in it, without taking anything out.")
    if isinstance(given, Prediction):
        raise Hint("That is a whole guess. Which of its three parts is asked for?")
    if isinstance(given, list | tuple):
        raise Hint("That is several things. First pick one guess from the list, then its name.")
    if not isinstance(given, str):
        raise Hint(f"A name is text; this is of type {type(given).__name__}.")
    if given in [guess.wnid for guess in guesses]:
        raise Hint("That is the WordNet id of a guess. Which of the three parts is its name?")
    if len(given) == 1:
        raise Hint("A single letter: one step too many was taken into a name.")
    if given in map(str, guesses):
        raise Hint("That is a whole guess, as text. Which of its three parts is asked for?")
    names = [guess.name for guess in guesses]
    if given not in names:
        raise Hint("The check hands over another list, and this name is not in it: use the list.")
    if given == names[-2]:
        raise Hint("That is the second from the end. The best guess stands first in the list.")
    if given != names[1]:
        raise Hint("That is the name of another guess. With which number does Python begin?")
    return "Right: the second name, of a list that your function had never seen."


EXERCISES = {
    "00.1": Predict("a", "b", "c"),
    "00.2": Fill(second_name),
    "00.3": Explore(),
}
