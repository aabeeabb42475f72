"""What all exercises share: the three kinds, `check`, and what a learner's folder keeps of it.

A lesson's exercises are `EXERCISES` in `exercises.lesson_NN`: number → `Predict`, `Fill` or
`Explore`. A `Fill` has a judge, a function of the answer. It raises `Hint` when the answer is not
right, and returns what is to be said when it is.
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
STUB = "Nothing to check yet: put your answer in the place of the three dots, then run this again."


class Hint(Exception):
    """An answer is not right yet; its text is what the learner reads."""


class Verdict(NamedTuple):
    """What `check` says of an answer: true if it counts as done, and shown as its text."""

    done: bool
    text: str

    def __bool__(self):
        return self.done

    def __repr__(self):
        return self.text


class Predict:
    """A question answered before its cells are run: one of `choices`, or a number in `between`
    (both ends included). The answer is noted, not judged: what they put out does that."""

    done = "answered"

    def __init__(self, *choices, between=None):
        self.choices, self.between = choices, between

    def judge(self, noted):
        """What is said of an answer, as `plain` returns it."""
        return f"Noted: {noted}. Now run on and compare with what comes out."

    def plain(self, answer):
        """The answer as it is kept: one of the choices, whatever its capitals and type, or a
        float."""
        if self.between:
            low, high = self.between
            with contextlib.suppress(TypeError, ValueError, OverflowError):
                if low <= float(answer) <= high:
                    return float(answer)
            raise Hint(f"Answer with a number from {low} to {high}.")
        for choice in self.choices:
            if str(answer).strip().lower() == str(choice).lower():
                return choice
        raise Hint(f"Answer with one of these: {', '.join(map(repr, self.choices))}.")


class Explore:
    """An open task: the learner's notes are kept and compared with the rubric by a person."""

    done = "noted"

    def judge(self, noted):
        """What is said of notes, as `plain` returns them."""
        return "Noted. Now open the rubric below and compare."

    def plain(self, answer):
        """The notes, some words at least, without the blanks around them."""
        if not isinstance(answer, str) or len(answer.split()) < 5:
            raise Hint("Write a sentence or two between the quotes: what you did, what you saw.")
        return answer.strip()


class Fill:
    """A few lines of code, judged by `judge(answer)`."""

    done = "solved"

    def __init__(self, judge):
        self.judge = judge

    def plain(self, answer):
        """The answer as it is: functions are judged, not kept."""
        return answer


def call(answer, *arguments, nothing=False):
    """Call a learner's function → what it returns, or a `Hint` that says why there is nothing.
    nothing: None is fine, as of a function that changes what it is given."""
    if not callable(answer):
        kind = type(answer).__name__
        raise Hint(f"Hand over the function itself, its name without brackets; this is of {kind}.")
    try:
        result = answer(*arguments)
    except (Exception, SystemExit) as error:
        raise Hint(f"Your function stopped with {type(error).__name__}: {error}") from error
    if result is ...:
        raise Hint(STUB)
    if result is None and not nothing:
        raise Hint("Your function returned nothing: is `return` missing?")
    return result


def numbers(result, what="The result"):
    """What a learner's function returned as a float64 array, or a `Hint`."""
    try:
        return np.asarray(result, dtype="float64")
    except (TypeError, ValueError) as error:
        kind = type(result).__name__
        raise Hint(f"{what} should be an array of numbers; this is of type {kind}.") from error


def recognise(mistakes, made):
    """Raise the hint of the first of the usual mistakes, {hint: what comes of it}, for which
    `made(what comes of it)` is true: the answer is that one."""
    for hint, mistake in mistakes.items():
        if made(mistake):
            raise Hint(hint)


def told_apart(draw):
    """Draw a task at random until no mistake gives what another, or the right answer, gives.
    draw: a function without arguments → (all these figures in a row, …). RuntimeError if it never
    succeeds: then mistakes that are listed apart are one and the same."""
    for _ in range(1000):
        figures, *drawn = draw()
        if np.diff(np.sort(figures)).min() >= 1e-3:
            return drawn
    raise RuntimeError("no task that tells the usual mistakes apart")


def exercises(lesson):
    """A lesson's exercises → {number: `Predict`, `Fill` or `Explore`}."""
    return importlib.import_module(f"exercises.lesson_{lesson}").EXERCISES


class Check:
    """`check(number, answer)`, and `check.progress()`."""

    def __call__(self, number, answer):
        """Judge `answer` to the exercise `number`, say "05.2" → `Verdict`. Never raises for an
        answer, whatever it is. What came of it is appended to the learner's progress."""
        lesson = str(number)[:2]
        known = exercises(lesson) if lesson in LESSONS else {}
        if number not in known:
            there = ", ".join(known) or "none"
            return Verdict(False, f"There is no exercise {number!r}. Lesson {lesson} has: {there}.")
        if answer is ...:
            return Verdict(False, STUB)
        exercise, noted = known[number], None
        try:
            noted = exercise.plain(answer)
            verdict = Verdict(True, exercise.judge(noted))
        except Hint as hint:
            verdict = Verdict(False, str(hint))
        except Exception as error:  # an answer so odd that the judge stumbled
            reason = f"{type(answer).__name__}: {type(error).__name__}: {error}"
            verdict = Verdict(False, f"This cannot be judged ({reason}). What was asked for?")
        if verdict.text == STUB:
            return verdict
        event = {"exercise": number, "done": verdict.done}
        if not isinstance(exercise, Fill):
            event["answer"] = noted
        elif not verdict:
            event["hint"] = verdict.text
        kept = _keep(event)
        return verdict if kept else verdict._replace(text=f"{verdict.text}\n{_unkept()}")

    def progress(self):
        """Print each lesson's exercises and which of them are done, by this folder's file."""
        done = {event["exercise"] for event in events() if event["done"]}
        for lesson in LESSONS:
            known = exercises(lesson)
            marks = [f"{n} {known[n].done if n in done else 'open'}" for n in known]
            print(f"lesson {lesson}: {len(done & set(known))} of {len(known)}", *marks, sep=" · ")
        print(f"(kept in {progress_file().name}, in the folder of this notebook)")


def progress_file():
    """Where progress is kept: `TRANSFER_PROGRESS`, or `my_progress.jsonl` beside the notebook."""
    return Path(os.environ.get("TRANSFER_PROGRESS") or "my_progress.jsonl")


def events(path=None):
    """What was kept, oldest first → list of {"exercise", "done", "time", and "answer" or "hint"}.
    A line that is no such event, such as one cut off by a crash, is left out."""
    try:
        lines = (path or progress_file()).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not there yet, or not readable: then nothing is known
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict) and {"exercise", "done", "time"} <= set(event):
                found.append(event)
    return found


def _keep(event):
    """Append an event unless it says what the exercise's last one said → whether it is kept.

    One short line, appended: two kernels at once, or a crash, cannot harm what is there."""
    before = [e for e in events() if e["exercise"] == event["exercise"]]
    if before and {k: v for k, v in before[-1].items() if k != "time"} == event:
        return True
    line = json.dumps(event | {"time": time.strftime("%Y-%m-%dT%H:%M:%S")})
    try:
        with progress_file().open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
            cut_off = size and file.read(1) != b"\n"
            file.write(b"\n" * bool(cut_off) + line.encode() + b"\n")
    except OSError:
        return False
    return True


def _unkept():
    return f"(Not kept: {progress_file().name} cannot be written in this folder.)"


check = Check()
