"""The exercises: each check refuses the stub and wrong answers, and accepts right ones.

The answers are run in the place of the stub cell of the notebook, the folded solution
as it stands there: what a learner unfolds is what was run.
"""

import ast
import importlib
import json
import re
import threading
from functools import cache

import numpy as np
import pytest
from lessons import LESSONS, code_cells, read

from exercises import check
from exercises._core import LESSONS as NUMBERED
from exercises._core import (
    STUB,
    Explore,
    Fill,
    Hint,
    Predict,
    call,
    draw_distinct,
    events,
    exercises,
    numbers,
    recognise,
)

LESSON = {path.name[:2]: path for path in LESSONS}
KNOWN = {
    number: kind for lesson in NUMBERED for number, kind in exercises(lesson).items()
}
FILLS = [number for number, kind in KNOWN.items() if isinstance(kind, Fill)]
CASES = {
    number: case
    for lesson in NUMBERED
    for number, case in importlib.import_module(
        f"exercise_cases.lesson_{lesson}"
    ).CASES.items()
}


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    """Each test with a progress of its own, which starts empty."""
    monkeypatch.setenv("TRANSFER_PROGRESS", str(tmp_path / "progress.jsonl"))
    return tmp_path / "progress.jsonl"


# -- the notebooks and the list of exercises -------------------------------------------


def check_cell(number):
    """Where a lesson checks an exercise: (position among the code cells, answer's
    expression)."""
    found = []
    for position, cell in enumerate(code_cells(LESSON[number[:2]])):
        if match := re.search(rf'(?m)^check\("{number}", (.*)\)\s*\Z', cell.source):
            found.append((position, match[1]))
    assert len(found) == 1, f"{number} is checked in the last line of exactly one cell"
    return found[0]


def folded(number, summary):
    """The folded cell of an exercise, "Solution 05.2" or "Rubric 05.3"; it holds
    nothing else."""
    start, end = f"<details><summary>{summary} {number}</summary>", "</details>"
    cells = [
        c.source.strip() for c in read(LESSON[number[:2]]).cells if start in c.source
    ]
    (cell,) = cells
    assert cell.startswith(start)
    assert cell.endswith(end)
    assert cell.count("<details") == 1, (
        "a cell of its own, so that an edition can leave it out"
    )
    return cell


@pytest.mark.parametrize("lesson", NUMBERED)
def test_each_lesson_has_its_exercises_of_three_kinds(lesson):
    known = exercises(lesson)
    assert list(known) == [f"{lesson}.{n + 1}" for n in range(len(known))]
    assert len(known) >= 3
    assert {type(kind) for kind in known.values()} == {Predict, Fill, Explore}
    source = "\n".join(cell.source for cell in code_cells(LESSON[lesson]))
    assert sorted(re.findall(r'check\("([\d.]+)"', source)) == sorted(known)
    assert source.count("check.progress()") == 1
    text = "\n".join(
        c.source for c in read(LESSON[lesson]).cells if c.cell_type == "markdown"
    )
    for number in known:
        assert text.count(f"**Exercise {number}") == 1, "one text introduces it"


@pytest.mark.parametrize("number", KNOWN)
def test_the_untouched_notebook_says_that_nothing_is_checked_yet(number):
    position, _ = check_cell(number)
    (output,) = code_cells(LESSON[number[:2]])[position].outputs
    assert output.data["text/plain"] == STUB


@pytest.mark.parametrize(
    "number", [n for n, kind in KNOWN.items() if isinstance(kind, Explore)]
)
def test_open_tasks_have_a_rubric(number):
    assert len(folded(number, "Rubric").splitlines()) > 3


# -- each check, both ways -------------------------------------------------------------


def verdict(number, source=None):
    """What `check` says when `source` stands in the place of the stub cell, the stub if
    None."""
    position, expression = check_cell(number)
    cells = code_cells(LESSON[number[:2]])[:position]
    namespace = {"__name__": "lesson"}
    for cell in cells[:-1]:  # what the lesson has imported by then
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(compile(ast.Module([node], []), "lesson", "exec"), namespace)
    exec(CASES[number].names, namespace)
    exec(cells[-1].source if source is None else source, namespace)
    return check(number, eval(expression, namespace))


@cache
def verdicts_on_wrong(number):
    """{source: what `check` says of it}; some checks take seconds."""
    return {source: verdict(number, source) for source in CASES[number].wrong}


def solution(number):
    """The code of the folded solution."""
    (code,) = re.findall(r"(?ms)^```python\n(.*?)^```", folded(number, "Solution"))
    return code


def test_every_fill_in_has_its_cases():
    assert sorted(CASES) == sorted(FILLS)


@pytest.mark.parametrize("number", FILLS)
def test_refuses_the_untouched_stub(number):
    assert verdict(number) == (False, STUB)


@pytest.mark.parametrize("number", FILLS)
def test_refuses_wrong_answers_with_the_right_hint(number):
    assert len(CASES[number].wrong) >= 2
    for source, hint in CASES[number].wrong.items():
        done, text = verdicts_on_wrong(number)[source]
        assert not done, source
        assert hint in text, source


@pytest.mark.parametrize("number", FILLS)
def test_accepts_the_folded_solution(number):
    done, text = verdict(number, solution(number))
    assert done, text


@pytest.mark.parametrize("number", FILLS)
def test_accepts_other_correct_ways(number):
    assert CASES[number].right
    for source in CASES[number].right:
        done, text = verdict(number, source)
        assert done, f"{source}\n{text}"


class Odd:
    """Nothing works with it."""

    def __getattribute__(self, name):
        raise RuntimeError("odd")

    def __eq__(self, other):
        raise RuntimeError("odd")

    __hash__ = None


def raises(*arguments):
    raise SystemExit("out")


RUBBISH = [
    None, 0, -1, 2.5, float("nan"), True, "", "x", b"x", [], [[1], [1, 2]], (), {}, {1},
    object(), np.array([]), np.array(["x"]), np.zeros((3, 3)), np.full(9, np.nan), int,
    print, raises, Odd(), lambda: 1, lambda *a: "x", lambda *a: [], lambda *a: a,
    lambda *a: Odd(), lambda *a: np.nan, lambda *a: {}, lambda *a: np.array(None),
    lambda *a: iter(()), lambda *a: np.zeros(0), lambda *a: True, lambda *a: 0,
    lambda *a: a[0], lambda *a: np.ones((2, 3, 4)),
]  # fmt: skip


@pytest.mark.parametrize("number", KNOWN)
def test_rubbish_is_refused_and_stops_nothing(number):
    accepted = [answer for answer in RUBBISH if check(number, answer).done]
    if isinstance(
        KNOWN[number], Predict
    ):  # a number or a word may be one of the choices
        accepted = [
            answer for answer in accepted if not isinstance(answer, int | float | str)
        ]
    assert accepted == []


@pytest.mark.parametrize("number", FILLS)
def test_no_hint_holds_the_answer(number):
    lines = {line.strip() for line in solution(number).splitlines()}
    telling = {
        line for line in lines if len(line) > 12 and not line.startswith(("def ", "#"))
    }
    for said in verdicts_on_wrong(number).values():
        assert not [line for line in telling if line in said.text]


# -- what is kept ----------------------------------------------------------------------


def test_an_answer_is_noted_in_any_spelling_and_shown_as_text(own_progress):
    assert (
        repr(check("05.1", "20"))
        == "Noted: 20. Now run on and compare with what comes out."
    )
    assert check("05.1", " MORE ")
    (first, second) = events()
    assert (first["answer"], second["answer"]) == (20, "more")
    assert "one of these: 20, 60, 120" in check("05.1", 21).text


def test_a_number_between_two():
    assert Predict(between=(0, 1)).parse(" 0.5") == 0.5
    for wrong in (2, float("nan"), "x", None, [1]):
        with pytest.raises(Hint, match="from 0 to 1"):
            Predict(between=(0, 1)).parse(wrong)


def test_notes_need_some_words(own_progress):
    assert "a sentence or two" in check("05.3", "yes").text
    assert check("05.3", " I tried both and saw no difference. ")
    assert events()[-1]["answer"] == "I tried both and saw no difference."


def test_progress_outlives_the_kernel_and_says_what_is_done(own_progress, capsys):
    check.progress()
    assert capsys.readouterr().out.startswith("No exercise is done yet.\n")
    check("05.1", 20)
    check("05.2", 3)
    check.progress()
    printed = capsys.readouterr().out
    assert re.search(r"lesson 05: 1 of \d+ · 05.1 answered · 05.2 open", printed)
    assert "nothing done yet in lessons 00, 01, 02, 03, 04, 06" in printed


def test_the_same_verdict_is_kept_once_and_an_untouched_stub_never(own_progress):
    check("05.2", ...)
    check("05.2", lambda *arguments: ...)
    assert not own_progress.exists()
    for _ in range(3):
        check("05.2", 3)
    (event,) = events()
    assert event["hint"].startswith("Hand over the function itself")


def test_a_line_cut_off_by_a_crash_costs_only_itself(own_progress):
    check("05.1", 20)
    with own_progress.open("a") as file:
        file.write('{"exercise": "05.2", "do')
    check("05.3", "I tried both and saw no difference.")
    assert [event["exercise"] for event in events()] == ["05.1", "05.3"]
    own_progress.write_bytes(b"\xff\x00" + b"[" * 100_000 + b'\n3\n{"exercise": 1}\n')
    assert events() == []


def test_kernels_at_once_lose_nothing(own_progress):
    def work(n):
        for k in range(20):
            check("05.3", f"I tried both {n} and {k} times.")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({event["answer"] for event in events()}) == 80
    lines = own_progress.read_text().split("\n")
    assert all(json.loads(line) for line in lines if line)


def test_where_nothing_can_be_kept_the_verdict_still_comes(tmp_path, monkeypatch):
    monkeypatch.setenv(
        "TRANSFER_PROGRESS", str(tmp_path / "missing" / "progress.jsonl")
    )
    done, text = check("05.1", 20)
    assert done
    assert "Not kept" in text


@pytest.mark.parametrize("number", ["05.99", "99.1", "", None, 5.2, "05"])
def test_an_unknown_number_is_named(number):
    done, text = check(number, 1)
    assert not done
    assert "There is no exercise" in text


def test_what_the_judges_share():
    with pytest.raises(Hint, match="stopped with ZeroDivisionError"):
        call(lambda: 1 / 0)
    with pytest.raises(Hint, match="`return` missing"):
        call(lambda: None)
    with pytest.raises(Hint, match="array of numbers"):
        numbers([[1], [1, 2]])
    with pytest.raises(Hint, match="second"):
        recognise({"first": 1, "second": 2, "third": 2}, lambda mistake: mistake == 2)
    assert recognise({"first": 1}, lambda mistake: False) is None
    drawn = iter(
        [([1, 1], "alike"), ([[1, 2], [3, 3]], "alike"), ([[1, 2], [3, 4]], "apart")]
    )
    assert draw_distinct(lambda: next(drawn)) == ["apart"]
    with pytest.raises(RuntimeError, match="tells the usual mistakes apart"):
        draw_distinct(lambda: ([1, 1],))


def test_an_answer_is_looked_at_once():
    """One that fails when it is asked again stops nothing: what was judged is what is
    kept."""

    class Fickle:
        texts = iter(["20", "20"])  # compared with 10, and with 20

        def __str__(self):
            return next(self.texts)

    assert check("05.1", Fickle())
    assert events()[-1]["answer"] == 20
