"""How many cores this process may use, which can be fewer than the machine has."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds in a period


def usable_cores():
    """The cores that threads of this process can keep busy at once, at least 1.

    A container's share counts, and cores that the process was kept away from."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _share(cores)))


def _share(cores):
    """The cores that a container may use, rounded up; `cores` where nothing says so."""
    try:
        quota, period = QUOTA.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return cores
