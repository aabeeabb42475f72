"""What a million pictures cost: the options of tools/record/scale_costs.py."""

import pytest

from tools.record import scale_costs

RATE = {"bytes": 1e5, "read": 0.0, "decode": 0.009, "network": 0.027}
GIVEN = {name: value for name, (value, _) in scale_costs.ASSUMED.items()}


def rows(text, *columns):
    """The rows of printed tables that have these columns: [{column: text}]."""
    found = []
    names = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            names = None
        elif names is None:
            names = cells
        elif set(columns) <= set(names) and not cells[0].startswith("-"):
            found.append(dict(zip(names, cells, strict=True)))
    return found


def printed(capsys, *arguments):
    scale_costs.main(arguments)
    return capsys.readouterr().out


def test_without_options_it_prints_what_the_page_shows(capsys):
    text = printed(capsys).removesuffix("\n")
    assert text in scale_costs.PAGE.read_text("utf-8")


def test_a_line_for_each_number_of_pictures_and_each_model(capsys):
    text = printed(capsys, "--pictures", "5e6", "250000", "2e10")
    plans = rows(text, "pictures", "machines")
    assert len(plans) == 3 * len(scale_costs.MODELS)
    assert {row["pictures"] for row in plans} == {"5e6", "250000", "2e10"}


def test_machines_turn_the_question_round(capsys):
    one = scale_costs.plan(RATE, 1e9, GIVEN, machines=1)
    ten = scale_costs.plan(RATE, 1e9, GIVEN, machines=10)
    assert ten["machines"] == 10
    assert ten["hours"] == pytest.approx(one["hours"] / 10)
    assert ten["dollars a million"] == pytest.approx(one["dollars a million"])
    # as many as it takes in the hours given need no longer than these
    free = scale_costs.plan(RATE, 1e9, GIVEN)
    same = scale_costs.plan(RATE, 1e9, GIVEN, machines=free["machines"])
    assert same == free
    text = printed(capsys, "--pictures", "1e9", "--machines", "10")
    assert {row["machines"] for row in rows(text, "pictures", "machines")} == {"10"}
    assert "machines 10" in text and "hours 24" not in text


def test_more_machines_do_not_hurry_the_store():
    slow = GIVEN | {"store": 1.0}
    plans = [scale_costs.plan(RATE, 1e9, slow, machines=n) for n in (1000, 2000)]
    assert {plan["limited by"] for plan in plans} == {"the store"}
    assert plans[0]["hours"] == plans[1]["hours"] == pytest.approx(1e14 / 1e9 / 3600)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ("--pictures 0", "whole number from 1"),
        ("--pictures -5", "whole number from 1"),
        ("--pictures 1.5", "whole number from 1"),
        ("--pictures 1e6 nan", "whole number from 1"),
        ("--pictures 1e99", "whole number from 1"),
        ("--pictures many", "invalid count value: 'many'"),
        ("--pictures", "expected at least one argument"),
        ("--machines 0", "whole number from 1"),
        ("--machines 2.5", "whole number from 1"),
        ("--machines inf", "whole number from 1"),
        ("--machines two", "invalid count value: 'two'"),
        ("--machines 3 --hours 5", "leave one of them out"),
        ("--record --machines 3", "leave out --pictures and --machines"),
        ("--record --pictures 5e6", "leave out --pictures and --machines"),
        *(
            (f"--{name.replace('_', '-')} {wrong}", "should be a number, ")
            for name in scale_costs.ASSUMED
            for wrong in ("-1", "nan", "inf")
        ),
        *(
            (f"--{name} 0", "more than 0")
            for name in ("hours", "cores", "network", "store", "gpu-factor")
        ),
        ("--cores four", "invalid number value: 'four'"),
        ("--efficiency 1.2", "1 or less"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        scale_costs.main(arguments.split())
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert said in shown.err and not shown.out


@pytest.mark.parametrize("name", scale_costs.FREE)
def test_what_costs_nothing_may_be_nothing(name, capsys):
    text = printed(capsys, f"--{name.replace('_', '-')}", "0")
    assert rows(text, "dollars a million")
