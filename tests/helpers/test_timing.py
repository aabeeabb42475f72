"""Times and memory, held against things whose cost is known."""

import time

import numpy as np
import pytest

from apps.sharing.exported import load_exported
from helpers.timing import Timing, latency, memory


class Clock:
    """Time that passes only where a function says so, in milliseconds."""

    def __init__(self, monkeypatch):
        self.now, self.order = 0.0, []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now / 1000)

    def function(self, name, *first, then):
        durations = iter(first)

        def call():
            self.order.append(name)
            self.now += next(durations, then)

        return call


def test_median_and_middle_half_without_the_first_calls(monkeypatch):
    clock = Clock(monkeypatch)
    slow_start = clock.function("a", 900, 500, *range(2, 22, 2), then=None)
    found = latency({"a": slow_start}, repeats=10, warm_up=2)["a"]
    assert isinstance(found, Timing)
    np.testing.assert_allclose(found[:3], np.percentile(range(2, 22, 2), (50, 25, 75)))
    assert found.n == 10
    assert str(found) == "11.0 (6.5–15.5) ms"


def test_a_batch_is_divided_by_its_pictures(monkeypatch):
    clock = Clock(monkeypatch)
    found = latency({"batch": clock.function("batch", then=80)}, pictures=16, repeats=3)
    np.testing.assert_allclose(found["batch"][:3], 5)


def test_functions_take_turns(monkeypatch):
    clock = Clock(monkeypatch)
    calls = {name: clock.function(name, then=1) for name in "abc"}
    latency(calls, repeats=30, warm_up=1)
    order = "".join(clock.order)
    first, *turns = (order[i : i + 3] for i in range(0, len(order), 3))
    assert first == "abc"
    assert {"".join(sorted(turn)) for turn in turns} == {"abc"}
    assert len(set(turns)) == 6  # each follows each


@pytest.mark.parametrize(
    "bad", [{"calls": {}}, {"pictures": 0}, {"repeats": 0}, {"warm_up": 0}], ids=str
)
def test_nothing_to_time_is_refused(bad):
    with pytest.raises(ValueError, match="at least one"):
        latency(**{"calls": {"a": lambda: None}} | bad)


def test_memory_names_the_fault():  # what it measures: see test_share
    with pytest.raises(RuntimeError, match="There is no file none.onnx"):
        memory("none.onnx", load_exported)
