"""How the time of predict_folder grows with the number of pictures.

python -m tools.benchmarks.more_pictures [--quick]
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from scipy.stats import linregress, t

from apps.many.folder import predict_folder
from helpers import load_classifier
from safeguards.printing import run_tool
from tools.benchmarks.report import Part, alone, grown, linked, ratio, toy

COUNTS = {
    250: 3,
    1_000: 3,
    4_000: 2,
    16_000: 1,
}  # pictures: rounds, so that it takes minutes
FIRST, AGAIN = "predict_folder", "again, with nothing to do"
TEXT = """\
`predict_folder` with {network} on folders of hard links to the training pictures of
*computers*; then *again*, on the folder that is done, \
where it only finds that nothing is
missing. Times *a picture*, in units of those with the smallest folder in the same \
round: 1
means that twice as many pictures take twice as long. On logarithmic axes, \
time over pictures
has the slope {first} and, again, {again} (95 % interval); 1 is proportional."""


def seconds(classifier, counts):
    """counts: {pictures: rounds}, the fewest first → {name: {pictures: seconds of its
    rounds}}."""
    found = {name: {count: [] for count in counts} for name in (FIRST, AGAIN)}
    with TemporaryDirectory() as temporary:
        top = Path(temporary)
        folders = {count: linked(top / str(count), count) for count in counts}
        predict_folder(
            folders[min(counts)], classifier, top / "warm.csv", progress=False
        )
        for turn in range(max(counts.values())):
            for count in (count for count, rounds in counts.items() if turn < rounds):
                table = top / f"{count}-{turn}.csv"
                for times, new in zip(found.values(), (count, 0), strict=True):
                    start = perf_counter()
                    done = predict_folder(
                        folders[count], classifier, table, progress=False
                    )
                    times[count].append(perf_counter() - start)
                    if (done.rows, done.unreadable, done.kept) != (new, 0, count - new):
                        raise RuntimeError(
                            f"{done}, of {count:,} pictures: its time says nothing."
                        )
    return found


def slope(times):
    """{count: [seconds, …]} → the slope on logarithmic axes with its 95 % interval, in
    words."""
    points = np.log([(count, own) for count, all_of in times.items() for own in all_of])
    fit = linregress(*points.T)
    half = t.ppf(0.975, len(points) - 2) * fit.stderr
    return (
        f"{fit.slope:.2f} ({fit.slope - half:.2f}–{fit.slope + half:.2f}, n = "
        f"{len(points)})"
    )


def a_picture(times):
    """{count: [seconds, …]} → {count: `Ratio`} of the time a picture to that with the
    fewest."""
    fewest, base = next(iter(times.items()))
    return {
        count: ratio(np.divide(own, count), np.divide(base[: len(own)], fewest))
        for count, own in times.items()
    }


def measure(quick=False):
    """The default network, or a toy → `Part`."""
    classifier = toy() if quick else load_classifier()
    found = seconds(classifier, {20: 2, 60: 1, 490: 1} if quick else COUNTS)
    first, again = map(slope, found.values())
    text = TEXT.format(network=classifier.name, first=first, again=again)
    curves = {name: a_picture(times) for name, times in found.items()}
    return Part("More pictures", text, *grown(curves, "pictures", "time a picture"))


if __name__ == "__main__":
    sys.exit(run_tool(alone, measure, __doc__))
