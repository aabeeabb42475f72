"""Time and memory, measured so that models can be compared."""

import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np

from helpers.models import load_classifier


class Timing(NamedTuple):
    """Milliseconds per picture: the median of n repeats, and their middle half."""

    median: float
    low: float
    high: float
    n: int

    def __repr__(self):
        return f"{self.median:.1f} ({self.low:.1f}–{self.high:.1f}) ms"


def time_alternately(calls, repeats=30, warm_up=3):
    """Time functions against each other → {name: seconds, float (repeats,)}.
    calls: {name: function without arguments}; repeats: timed calls of each; warm_up:
    untimed ones before. ValueError where there is nothing to time."""
    if not calls or repeats < 1 or warm_up < 1:
        raise ValueError("Give at least one function, repeat and call to warm up.")
    # The first calls compile and allocate.
    for call in calls.values():
        for _ in range(warm_up):
            call()
    times = {name: np.empty(repeats) for name in calls}
    # In turns, so that whatever else the computer does slows all of them alike; and in
    # another order each time, as one may leave its threads busy for the next.
    rng = np.random.default_rng(0)
    names = list(calls)
    for turn in range(repeats):
        for index in rng.permutation(len(names)):
            name = names[index]
            call = calls[name]
            start = time.perf_counter()
            call()
            times[name][turn] = time.perf_counter() - start
    return times


def latency(calls, pictures=1, repeats=30, warm_up=3):
    """How long functions take per picture → {name: `Timing`}, in milliseconds.
    pictures: how many one call handles; calls, repeats, warm_up and ValueError as for
    `time_alternately`."""
    if pictures < 1:
        raise ValueError("Say how many pictures a call handles: at least one.")
    timings = {}
    for name, seconds in time_alternately(calls, repeats, warm_up).items():
        milliseconds = 1000 * seconds / pictures
        low, median, high = np.percentile(milliseconds, (25, 50, 75))
        timings[name] = Timing(
            median=float(median),
            low=float(low),
            high=float(high),
            n=repeats,
        )
    return timings


# What the fresh process of `memory` runs.
MEASURE_MEMORY = """
import sys, psutil
from {module} import {function}
{function}(sys.argv[1]).probabilities(["cat"])
print(psutil.Process().memory_info().rss)
"""


def memory(source, loader=load_classifier):
    """How many megabytes a process holds that has classified one picture: a float.
    A fresh Python process loads the model; its libraries count too (TensorFlow alone
    takes several hundred megabytes).
    source: a model's name or file; loader: the function of a module that makes a
    classifier of it. RuntimeError with the last line the process wrote if it fails."""
    code = MEASURE_MEMORY.format(module=loader.__module__, function=loader.__name__)
    command = [sys.executable, "-c", code, str(source)]
    finished = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if finished.returncode:
        lines = finished.stderr.strip().splitlines()
        last_line = lines[-1] if lines else ""
        raise RuntimeError(f"{source} could not be loaded and tried: {last_line}")
    # Libraries may have printed something before.
    return int(finished.stdout.split()[-1]) / 1e6
