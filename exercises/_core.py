"""What all exercises share: `check`, the three kinds, and the learner's progress.

A lesson's exercises are the dictionary `EXERCISES` in `exercises.lesson_NN`, which maps
numbers to `Predict`, `Fill` or `Explore`. A `Fill` has a judge, a function of the
learner's answer: it raises `Hint` if the answer isn't right yet, and returns the praise
to show if it is.
"""

import contextlib
import importlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

LESSONS = [f"{lesson:02}" for lesson in range(11)]
STUB = (
    "Nothing to check yet: put your answer in place of the three dots, then run "
    "this again."
)
# Draws at random before a task whose mistakes can't be told apart counts as a bug.
MAX_DRAWS = 1000
# Two figures nearer to each other than this could be taken for the same answer.
MIN_DIFFERENCE = 1e-3
# An open task wants a sentence or two, not a single word.
MIN_NOTE_WORDS = 5


class Hint(Exception):
    """An answer isn't right yet; the text is what the learner reads."""


class Feedback(NamedTuple):
    """What `check` answers: true if the exercise is done, displayed as its text."""

    done: bool
    text: str

    def __bool__(self):
        return self.done

    def __repr__(self):
        return self.text


class Predict:
    """A question to answer before running the cells below it.

    The answer is one of `choices`, or a number in `between`, a pair of bounds that are
    both included. It is noted, not judged: the outputs below do that.
    """

    done = "answered"

    def __init__(self, *choices, between=None):
        self.choices = choices
        self.between = between

    def judge(self, noted):
        """The reply to an answer, as `parse` returned it."""
        return f"Noted: {noted}. Now run on and compare with what comes out."

    def parse(self, answer):
        """The answer in the form that is stored: one of the choices, or a float.

        Capitals, surrounding blanks and the type don't matter. Raises `Hint` for
        anything else.
        """
        if self.between:
            return self._parse_number(answer)
        typed = str(answer).strip().lower()
        for choice in self.choices:
            if typed == str(choice).lower():
                return choice
        options = ", ".join(repr(choice) for choice in self.choices)
        raise Hint(f"Answer with one of these: {options}.")

    def _parse_number(self, answer):
        low, high = self.between
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            value = float(answer)
            if low <= value <= high:
                return value
        raise Hint(f"Answer with a number from {low} to {high}.")


class Explore:
    """An open task: notes to store, which a person compares with the rubric."""

    done = "noted"

    def judge(self, noted):
        """The reply to notes, as `parse` returned them."""
        return "Noted. Now open the rubric below and compare."

    def parse(self, answer):
        """The notes without surrounding blanks; raises `Hint` if they are too short."""
        if not isinstance(answer, str) or len(answer.split()) < MIN_NOTE_WORDS:
            raise Hint(
                "Write a sentence or two between the quotes: what you did, what you "
                "saw."
            )
        return answer.strip()


class Fill:
    """A few lines of code to write, judged by `judge(answer)`."""

    done = "solved"

    def __init__(self, judge):
        self.judge = judge

    def parse(self, answer):
        """The answer as it is: functions are judged, not stored."""
        return answer


def call(answer, *arguments, may_return_none=False):
    """Call a learner's function and return its result.

    may_return_none: for functions that change what they are given. Raises `Hint` if
    `answer` isn't a function, fails, or returns nothing.
    """
    if not callable(answer):
        kind = type(answer).__name__
        raise Hint(
            "Hand over the function itself, its name without brackets; this is of "
            f"{kind}."
        )
    try:
        result = answer(*arguments)
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise Hint(f"Your function stopped with {kind}: {error}") from error
    if result is ...:
        raise Hint(STUB)
    if result is None and not may_return_none:
        raise Hint("Your function returned nothing: is `return` missing?")
    return result


def numbers(result, what="The result"):
    """A learner's result as a float64 array; raises `Hint` if it isn't made of numbers.

    what: the hint's subject.
    """
    try:
        return np.asarray(result, dtype="float64")
    except (TypeError, ValueError) as error:
        kind = type(result).__name__
        raise Hint(
            f"{what} should be an array of numbers; this is of type {kind}."
        ) from error


def recognise(mistakes, matches):
    """Raise the hint for the usual mistake the learner made, if it is one of them.

    mistakes: a dictionary {hint: what the mistake leads to}; the first entry for which
    `matches(what the mistake leads to)` is true counts.
    """
    for hint, outcome in mistakes.items():
        if matches(outcome):
            raise Hint(hint)


def _are_apart(figures):
    """Whether all numbers of a sequence differ by MIN_DIFFERENCE at least."""
    return np.diff(np.sort(figures)).min() >= MIN_DIFFERENCE


def draw_distinct(draw, are_distinct=_are_apart):
    """Draw random tasks until the right answer and all mistakes lead to something else.

    draw: a function without arguments that returns (outcomes, *task), where outcomes is
    a sequence of all that must differ; are_distinct: says whether they do, by default
    of numbers. Returns the task as a list. Raises RuntimeError if no draw will do: then
    two of the mistakes are the same.
    """
    for _ in range(MAX_DRAWS):
        outcomes, *task = draw()
        if are_distinct(outcomes):
            return task
    raise RuntimeError("no task that tells the usual mistakes apart")


def exercises(lesson):
    """A lesson's exercises as {number: `Predict`, `Fill` or `Explore`}."""
    return importlib.import_module(f"exercises.lesson_{lesson}").EXERCISES


class Check:
    """`check(number, answer)` and `check.progress()`."""

    def __call__(self, number, answer):
        """Judge the `answer` to an exercise and return `Feedback`.

        number: a text such as "05.2". Never raises, whatever the answer is. The outcome
        is added to the learner's progress file.
        """
        lesson = str(number)[:2]
        known = exercises(lesson) if lesson in LESSONS else {}
        if number not in known:
            available = ", ".join(known) or "none"
            return Feedback(
                False,
                f"There is no exercise {number!r}. Lesson {lesson} has: {available}.",
            )
        if answer is ...:
            return Feedback(False, STUB)
        exercise = known[number]
        feedback, parsed = _judge(exercise, answer)
        if feedback.text == STUB:
            return feedback
        event = {"exercise": number, "done": feedback.done}
        if not isinstance(exercise, Fill):
            event["answer"] = parsed
        elif not feedback.done:
            event["hint"] = feedback.text
        if _keep(event):
            return feedback
        not_kept = (
            f"(Not kept: {progress_file().name} cannot be written in this folder.)"
        )
        return Feedback(feedback.done, f"{feedback.text}\n{not_kept}")

    def progress(self):
        """Print which exercises are done, from this folder's file, lesson by lesson."""
        done = {event["exercise"] for event in events() if event["done"]}
        untouched = []
        for lesson in LESSONS:
            known = exercises(lesson)
            if not done.intersection(known):
                untouched.append(lesson)
                continue
            states = [
                f"{number} {exercise.done if number in done else 'open'}"
                for number, exercise in known.items()
            ]
            count = f"{len(done.intersection(known))} of {len(known)}"
            print(f"lesson {lesson}: {count}", *states, sep=" · ")
        if untouched == LESSONS:
            print("No exercise is done yet.")
        elif untouched:
            print(f"nothing done yet in lessons {', '.join(untouched)}")
        print(f"(kept in {progress_file().name}, in the folder of this notebook)")


def require(number, answer):
    """Judge an answer for marks: raise AssertionError with the hint unless it's right.

    What grades calls this under its own name: a learner's variable or function called
    `check` has no say in it.
    """
    feedback = Check()(number, answer)
    if not feedback:
        raise AssertionError(feedback.text)


def _judge(exercise, answer):
    """The feedback on an answer, and the answer as parsed (None if it couldn't be)."""
    parsed = None
    try:
        parsed = exercise.parse(answer)
        feedback = Feedback(True, exercise.judge(parsed))
    except Hint as hint:
        feedback = Feedback(False, str(hint))
    except Exception as error:  # an answer so odd that the judge stumbled
        reason = f"{type(answer).__name__}: {type(error).__name__}: {error}"
        feedback = Feedback(
            False, f"This cannot be judged ({reason}). What was asked for?"
        )
    return feedback, parsed


def progress_file():
    """Its path: `TRANSFER_PROGRESS`, or my_progress.jsonl beside the notebook."""
    return Path(os.environ.get("TRANSFER_PROGRESS") or "my_progress.jsonl")


def events(path=None):
    """What the progress file holds, oldest first.

    Returns a list of dictionaries with the keys "exercise", "done", "time", and
    "answer" or "hint". Lines that aren't events, such as one cut off by a crash, are
    left out.
    """
    path = path or progress_file()
    try:
        # An editor on Windows may have put a byte-order mark before the first line.
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:  # not there yet, or not readable: then nothing is known
        return []
    valid = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict) and {"exercise", "done", "time"} <= set(event):
                valid.append(event)
    return valid


def _keep(event):
    """Append an event unless it repeats the exercise's last one.

    One short line is appended and nothing rewritten: neither two kernels at once nor a
    crash can harm what is there already. Returns whether the file holds the event.
    """
    earlier = [e for e in events() if e["exercise"] == event["exercise"]]
    if earlier:
        last = dict(earlier[-1])
        del last["time"]
        if last == event:
            return True
    now = time.strftime("%Y-%m-%dT%H:%M:%S")
    line = json.dumps(event | {"time": now}).encode() + b"\n"
    try:
        with progress_file().open("a+b") as file:
            if _is_cut_off(file):
                line = b"\n" + line
            file.write(line)
    except OSError:
        return False
    return True


def _is_cut_off(file):
    """Whether an open file's last line has no end, as after a crash."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return False
    file.seek(size - 1)
    return file.read(1) != b"\n"


check = Check()
