"""Where the time goes until a fresh Python has its first prediction, and what a later
one costs.

python -m tools.benchmarks.start_up [--model NAME] [--repeats 5]

Each repeat is a process of its own. TensorFlow's import is what any program pays that
uses it; the rest is ours. CPU seconds of all cores are printed beside the time that
passed.
"""

import argparse
import json
import subprocess
import sys
from statistics import median

from helpers.models import DEFAULT
from safeguards.printing import run_tool

CHILD = """
import json, sys, time
spent, last = {}, (time.perf_counter(), time.process_time())

def done(what):
    global last
    now = time.perf_counter(), time.process_time()
    spent[what], last = (now[0] - last[0], now[1] - last[1]), now

import helpers
done("import helpers")
from helpers import keras
done("import TensorFlow")  # which imports Keras
classifier = helpers.load_classifier(sys.argv[1])
done("load the model")
picture = helpers.load_image("cat")
done("load a picture")
classifier.predict(picture)
done("first prediction")
classifier.predict(picture)
done("second prediction")
print(json.dumps(spent))
"""


def start_up(model=DEFAULT):
    """One fresh process → {step: (seconds, CPU seconds)}, in order."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, model],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {
        step: tuple(times)
        for step, times in json.loads(done.stdout.splitlines()[-1]).items()
    }


def breakdown(model=DEFAULT, repeats=5):
    """Several fresh processes → {step: (seconds, CPU seconds)}, medians."""
    runs = [start_up(model) for _ in range(repeats)]
    return {
        step: tuple(map(median, zip(*(r[step] for r in runs), strict=True)))
        for step in runs[0]
    }


def share_of_tensorflow(steps):
    """The part that TensorFlow's import has in all until the first prediction, in CPU
    time, which other programs on the machine disturb less."""
    first = {
        step: cpu for step, (_, cpu) in steps.items() if step != "second prediction"
    }
    return first["import TensorFlow"] / sum(first.values())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=DEFAULT, help="what load_classifier takes")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    steps = breakdown(options.model, options.repeats)
    for step, (seconds, cpu) in steps.items():
        print(f"{step:<20}{seconds:8.3f} s{cpu:8.3f} s CPU")
    share = share_of_tensorflow(steps)
    print(
        f"TensorFlow's import: {share:.0%} of the CPU time until the first prediction"
    )


if __name__ == "__main__":
    sys.exit(run_tool(main))
