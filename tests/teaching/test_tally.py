"""What a class answered, counted from the files that `check` keeps."""

import json
import sys
from pathlib import Path

import pytest

from exercises import check
from teaching import tally

ROOT = Path(__file__).resolve().parents[2]


def run(capsys, monkeypatch, *arguments):
    """The command → (exit status, what it printed, what it complained of)."""
    monkeypatch.setattr(sys, "argv", ["tally.py", *map(str, arguments)])
    status = tally.main()
    return status, *capsys.readouterr()


@pytest.fixture
def learners(tmp_path, monkeypatch):
    """Three learners, each in a folder of their own, as `check` leaves them."""
    notes = "I covered the cat's ears and it said dog."
    did = {
        "ann": [
            ("00.1", "a"),
            ("00.1", "b"),
            ("00.2", 3),
            ("00.2", print),
            ("00.3", notes),
        ],
        "bob": [("00.1", "a"), ("00.2", 3)],
        "cy": [("00.1", "c"), ("00.1", "nonsense")],
    }
    for name, answers in did.items():
        folder = tmp_path / "submitted" / name / "00"
        folder.mkdir(parents=True)
        monkeypatch.setenv("TRANSFER_PROGRESS", str(folder / "my_progress.jsonl"))
        for number, answer in answers:
            check(number, answer)
    with (tmp_path / "submitted/ann/00/my_progress.jsonl").open("a") as file:
        solved = {"exercise": "00.2", "done": True, "time": "2026-01-01T00:00:00"}
        file.write(json.dumps(solved) + "\n")
    return tmp_path / "submitted"


def test_counts_first_answers_solutions_and_hints(learners, capsys, monkeypatch):
    status, printed, complained = run(capsys, monkeypatch, learners)
    assert (status, complained) == (0, "")
    files, predict, fill, explore = printed.strip().split("\n\n")
    assert files == "3 files"
    lines = predict.splitlines()
    assert lines[0] == "00.1  answered by 3 of 3 who tried"
    assert [line.split() for line in lines[1:]] == [
        ["2", 27 * "#", "a"],
        ["1", 13 * "#", "c"],
    ]
    lines = fill.splitlines()
    assert lines[0] == "00.2  solved by 1 of 2 who tried"
    assert lines[1].startswith("     2  Hand over the function itself")
    assert explore == "00.3  noted by 1 of 1 who tried"


def test_prints_notes_only_when_asked(learners, capsys, monkeypatch):
    assert "ears" not in run(capsys, monkeypatch, learners)[1]
    status, printed, _ = run(capsys, monkeypatch, "--notes", learners / "ann")
    assert status == 0
    assert "my_progress.jsonl: I covered the cat's ears and it said dog." in printed


def test_a_file_named_twice_counts_once(learners, capsys, monkeypatch):
    file = learners / "bob" / "00" / "my_progress.jsonl"
    assert run(capsys, monkeypatch, learners, file, file)[1].startswith("3 files\n")


def test_broken_files_are_named_and_the_rest_is_counted(learners, capsys, monkeypatch):
    good = json.dumps({"exercise": "00.1", "done": True, "time": "x", "answer": "a"})
    odd = [
        "\x00[",
        "[" * 100_000,
        '{"exercise": "00.2", "do',
        json.dumps({"exercise": ["00.1"], "done": True, "time": "x"}),
        json.dumps({"exercise": "99.1", "done": True, "time": "x"}),
    ]
    (learners / "my_progress.jsonl").write_text("\n".join([good, *odd]) + "\n\n")
    strange = {
        "exercise": "00.1",
        "done": "yes",
        "time": "x",
        "answer": [1],
        "hint": {"a": 1},
    }
    (learners / "my_progress_2.jsonl").write_text(json.dumps(strange))
    (learners / "my_progress_3.jsonl").mkdir()
    missing = learners / "none.jsonl"
    status, printed, complained = run(capsys, monkeypatch, learners, missing)
    assert status == 1
    assert "00.1  answered by 4 of 5 who tried" in printed
    named = dict(line.split(": ", 1) for line in complained.splitlines())
    assert named[str(learners / "my_progress.jsonl")].startswith("5 lines are no event")
    assert "cannot be read" in named[str(learners / "my_progress_3.jsonl")]
    assert "cannot be read" in named[str(missing)]
    assert len(named) == 3


EVENT = json.dumps({"exercise": "00.1", "done": True, "time": "x", "answer": "a"})


@pytest.mark.parametrize(
    "name",
    [
        # Moodle, with a folder for each learner and without
        "Anna Muster_4711_assignsubmission_file_/my_progress.jsonl",
        "Anna Muster_4711_assignsubmission_file_my_progress.jsonl",
        # Canvas, in time, late, and handed in again
        "musteranna_12_345_my_progress.jsonl",
        "musteranna_LATE_12_345_my_progress-1.jsonl",
        # a browser that had one already, and one that knows better
        "anna/my_progress (1).jsonl",
        "anna/my_progress.jsonl.txt",
        # the hub
        "anna/notebooks/my_progress.jsonl",
    ],
)
def test_finds_files_as_learning_platforms_name_them(
    tmp_path, capsys, monkeypatch, name
):
    path = tmp_path / "my class" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(EVENT)
    monkeypatch.setenv("TALLY", str(tmp_path / "my class"))
    status, printed, complained = run(capsys, monkeypatch)
    assert (status, complained) == (0, "")
    assert "00.1  answered by 1 of 1 who tried" in printed


def test_a_byte_order_mark_costs_no_answer(tmp_path, capsys, monkeypatch):
    (tmp_path / "my_progress.jsonl").write_text(EVENT, encoding="utf-8-sig")
    status, printed, complained = run(capsys, monkeypatch, tmp_path)
    assert (status, complained) == (0, "")
    assert "00.1  answered by 1 of 1 who tried" in printed


def test_make_tally_hands_the_folder_over_whole():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "override TALLY := $(value TALLY)\nexport TALLY\n" in text
    assert "$(TALLY)" not in text, "the shell would take a name with a blank apart"


def test_without_a_folder_it_asks_for_one(capsys, monkeypatch):
    monkeypatch.delenv("TALLY", raising=False)
    with pytest.raises(SystemExit):
        run(capsys, monkeypatch)
    assert 'make tally TALLY="My class/handed in"' in capsys.readouterr().err


def test_where_there_is_nothing_it_says_so(tmp_path, capsys, monkeypatch):
    status, printed, complained = run(capsys, monkeypatch, tmp_path)
    assert (status, printed) == (1, "")
    assert complained == "No my_progress.jsonl there.\n"
