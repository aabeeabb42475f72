"""What a model costs: time, memory and bytes, measured so that two models can be compared."""

import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np


class Timing(NamedTuple):
    """Milliseconds a picture: the median of n repeats and the middle half of them, low to high."""

    median: float
    low: float
    high: float
    n: int

    def __repr__(self):
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f}) ms"


def in_turns(calls, repeats=30, warm_up=3):
    """How long functions take → {name: seconds, float (repeats,)}.
    calls: {name: function without arguments}. Each is called `warm_up` times before, as the first
    calls compile and allocate; then all take turns, so that whatever else the computer does hits
    them alike. ValueError where there is nothing to time."""
    if not calls or repeats < 1 or warm_up < 1:
        raise ValueError("Give at least one function, repeat and call to warm up.")
    for call in calls.values():
        for _ in range(warm_up):
            call()
    times = {name: np.empty(repeats) for name in calls}
    for turn in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name][turn] = time.perf_counter() - start
    return times


def latency(calls, pictures=1, repeats=30, warm_up=3):
    """How long functions take a picture → {name: `Timing`}, milliseconds.
    pictures: how many one call handles; the rest, and ValueError, as in `in_turns`."""
    if pictures < 1:
        raise ValueError("Say how many pictures a call handles: at least one.")
    quartiles = {
        name: np.percentile(1000 * seconds / pictures, (50, 25, 75))
        for name, seconds in in_turns(calls, repeats, warm_up).items()
    }
    return {name: Timing(*map(float, found), repeats) for name, found in quartiles.items()}


CHILD = """
import sys, psutil
from helpers.{module} import {load}
{load}(sys.argv[1]).probabilities(["cat"])
print(psutil.Process().memory_info().rss)
"""


def memory(source):
    """Megabytes that a fresh Python process holds after it has loaded a model and classified one
    picture, its libraries among them (TensorFlow alone takes several hundred): a float.
    source: what `load_classifier` or `load_exported` takes; .onnx and .tflite run without
    TensorFlow. RuntimeError with the process's last words where it fails."""
    exported = str(source).endswith((".onnx", ".tflite"))
    module, load = ("share", "load_exported") if exported else ("models", "load_classifier")
    code = CHILD.format(module=module, load=load)
    done = subprocess.run([sys.executable, "-c", code, str(source)], capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise RuntimeError(f"{source} could not be loaded and tried: {''.join(last)}")
    return int(done.stdout.split()[-1]) / 1e6  # libraries may have said something before
