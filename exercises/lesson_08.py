"""The exercises of lesson 08: compare models."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise


def median_latency(answer):
    """A function (call, batch, clock, repeats) → median milliseconds a picture, after a warm-up."""
    pictures = int(np.random.default_rng().choice([3, 4, 6, 7]))  # not 5, the repeats

    def attempt(duration, repeats=5):
        """(What it returns, number of calls) where call number k takes duration(k) seconds."""
        now, made = [100.0], []
        batch = np.zeros((pictures, 8, 8, 3), "float32")

        def called(argument):
            now[0] += duration(len(made))
            made.append(np.shape(argument))

        given = numbers(call(answer, called, batch, lambda: now[0], repeats))
        if given.ndim:
            raise Hint(f"One number is asked for; this has shape {given.shape}.")
        if not made or set(made) != {batch.shape}:
            raise Hint("Call the function with the whole batch, as it is.")
        return float(given), len(made)

    steady, _ = attempt(lambda k: 2.0)
    milliseconds = 2000 / pictures
    mistakes = {
        f"That is the time of the batch. It holds {pictures} pictures: what is it for each?": 2000,
        "These are seconds: milliseconds were asked for.": milliseconds / 1000,
        "These are seconds for the whole batch: asked for are milliseconds a picture.": 2,
        "That is all repeats together: what is it for one?": 5 * milliseconds,
        "Twice as long as a call takes: does the clock run while you warm up, too?": (
            2 * milliseconds
        ),
    }
    if abs(steady) < 0.01:
        raise Hint("That is next to nothing. Which clock did you read? One is handed in: use it.")
    recognise(mistakes, lambda mistake: np.isclose(steady, mistake))
    if not np.isclose(steady, milliseconds):
        raise Hint(
            f"Every call took 2 s for {pictures} pictures. Yours makes {steady:.4g} of it: what "
            "should it be, in milliseconds a picture?"
        )
    slow_at_first, made = attempt(lambda k: 8 if k < 3 else 2)  # after one call two slow of five
    for odd in (0.5, 50):  # one in five calls, wherever counting begins
        if not np.isclose(attempt(lambda k, odd=odd: odd if k % 5 == 4 else 2)[0], milliseconds):
            raise Hint("One odd call among five moved your result: is it a median?")
    if made < 5 or (made == 5 and not np.isclose(slow_at_first, 4 * milliseconds)):
        raise Hint(f"Five repeats, after one call that does not count: yours made {made} calls.")
    if not np.isclose(slow_at_first, milliseconds):
        raise Hint("The first calls were slow, and they count in your result. Was it warmed up?")
    return "Right: warmed up, divided by the pictures, and a median."


EXERCISES = {
    "08.1": Predict("VGG16", "MobileNetV2", "neither"),
    "08.2": Fill(median_latency),
    "08.3": Explore(),
}
