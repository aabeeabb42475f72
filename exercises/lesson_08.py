"""Lesson 08, compare models: its exercises and their judges."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise

REPEATS = 5
CALL_SECONDS = 2.0  # how long a call takes, by the clock that is handed over
SLOW_SECONDS = 8.0  # how long one of the first calls takes
ODD_SECONDS = (0.5, 50.0)  # how long a single odd call takes: too short, too long


def median_latency(answer):
    """Judge a function (call, batch, clock, repeats) → median milliseconds a picture.

    It should call once, or more often, to warm up before it measures.
    """
    # not 5, so that pictures and repeats can't be mixed up
    n_pictures = int(np.random.default_rng().choice([3, 4, 6, 7]))
    expected = 1000 * CALL_SECONDS / n_pictures
    steady, _ = _measure(answer, n_pictures, lambda k: CALL_SECONDS)
    _recognise_units(steady, expected, n_pictures)
    if not np.isclose(steady, expected):
        raise Hint(
            f"Every call took 2 s for {n_pictures} pictures. Yours makes {steady:.4g} "
            "of it: what should it be, in milliseconds a picture?"
        )

    # Three slow calls: after one call of warm-up, two of five are slow, and the median
    # isn't moved by them; without, it is.
    slow_start, n_calls = _measure(
        answer, n_pictures, lambda k: SLOW_SECONDS if k < 3 else CALL_SECONDS
    )
    for odd_seconds in ODD_SECONDS:
        with_odd_call, _ = _measure(answer, n_pictures, _odd_calls(odd_seconds))
        if not np.isclose(with_odd_call, expected):
            raise Hint("One odd call among five moved your result: is it a median?")
    all_slow = expected * SLOW_SECONDS / CALL_SECONDS
    no_warm_up = n_calls == REPEATS and np.isclose(slow_start, all_slow)
    if n_calls < REPEATS or (n_calls == REPEATS and not no_warm_up):
        raise Hint(
            "Five repeats, after one call that does not count: yours made "
            f"{n_calls} calls."
        )
    if not np.isclose(slow_start, expected):
        raise Hint(
            "The first calls were slow, and they count in your result. Was it warmed "
            "up?"
        )
    return "Right: warmed up, divided by the pictures, and a median."


def _odd_calls(odd_seconds):
    """Durations with one odd call in five, wherever counting begins."""
    return lambda k: odd_seconds if k % 5 == 4 else CALL_SECONDS


def _measure(answer, n_pictures, duration):
    """Run the learner's function, with call number k taking `duration(k)` seconds.

    The clock that it gets moves on with each call only. Returns its result as a float,
    and the number of calls.
    """
    batch = np.zeros((n_pictures, 8, 8, 3), "float32")
    now = 100.0  # seconds
    handed_over = []  # (positional arguments, named ones) of each call

    def timed_call(*arguments, **named):
        nonlocal now
        now += duration(len(handed_over))
        handed_over.append((arguments, named))

    def clock():
        return now

    clock.__qualname__ = "clock"  # so that an error calls it what the learner does
    result = numbers(call(answer, timed_call, batch, clock, REPEATS))
    if result.ndim:
        raise Hint(f"One number is asked for; this has shape {result.shape}.")
    if ((), {}) in handed_over:
        raise Hint("`call()` was called without the batch: it should be `call(batch)`.")
    as_it_is = [
        len(arguments) == 1 and not named and np.shape(arguments[0]) == batch.shape
        for arguments, named in handed_over
    ]
    if not handed_over or not all(as_it_is):
        raise Hint(
            "Call the function with the whole batch, as it is, and nothing else."
        )
    return float(result), len(handed_over)


def _recognise_units(steady, expected, n_pictures):
    """Raise a hint if another unit, or another quantity, was returned."""
    mistakes = {
        f"That is the time of the batch. It holds {n_pictures} pictures: what is it "
        "for each?": 1000 * CALL_SECONDS,
        "These are seconds: milliseconds were asked for.": expected / 1000,
        "These are seconds for the whole "
        "batch: asked for are milliseconds a picture.": (CALL_SECONDS),
        "That is all repeats together: what is it for one?": REPEATS * expected,
        "Twice as long as a call takes: does the clock run while you warm up, too?": (
            2 * expected
        ),
    }
    if abs(steady) < 0.01:
        raise Hint(
            "That is next to nothing. Which clock did you read? One is handed in: use "
            "it."
        )
    recognise(mistakes, lambda mistake: np.isclose(steady, mistake))


EXERCISES = {
    "08.1": Predict("VGG16", "MobileNetV2", "neither"),
    "08.2": Fill(median_latency),
    "08.3": Explore(),
}
