"""What a million or a billion pictures cost: machines, hours, money, and what limits
them.

python -m tools.record.scale_costs [--pictures 5e6] [--machines 3] [--core-hour 0.04] …
python -m tools.record.scale_costs --record

Rates are measured with --record, on one core: seconds of the processor (not of the
clock, so that other work counts little) for each step of a picture, and for Ray's
actors, one and two at a time. They are kept in docs/scale_rates.tsv. Everything else is
an assumption, an option with a default: prices differ between sellers, places and
years, so give yours. Usually it says how many machines are done within --hours; with
--machines, how many hours so many take. Without options it prints the tables of
docs/scale.md; with --record it also writes them there.
"""

import argparse
import csv
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safeguards.printing import run_tool

ROOT = Path(__file__).resolve().parents[2]
RATES, PAGE = ROOT / "docs" / "scale_rates.tsv", ROOT / "docs" / "scale.md"
MODELS = "efficientnet_lite0", "mobilenet_v2", "resnet50"
SIDES = 1024, 768  # pixels of the picture that is decoded, as a phone's or a web page's
REPEATS, BLOCKS, TURNS = 7, 8, 3

PICTURES = 1e6, 1e9  # how many the tables are for
COUNT_LIMIT = 1e15  # pictures or machines; more are a slip of the finger
FREE = "core_hour", "requests", "gpu_hour"  # may cost nothing; the rest is above 0

# Assumptions: option, default, what it is.
ASSUMED = {
    "hours": (24, "until it has to be done"),
    "cores": (16, "per machine"),
    "core_hour": (0.04, "dollars, rented by the hour"),
    "network": (1.0, "gigabytes a second that one machine can read"),
    "store": (50.0, "gigabytes a second from the store, in all"),
    "requests": (0.4, "dollars for a million requests to the store"),
    "efficiency": (0.8, "what many machines do, as a share of as many times one"),
    "gpu_factor": (100.0, "how much faster a GPU runs the network than a core does"),
    "gpu_hour": (1.0, "dollars for a GPU, without the cores that feed it"),
}


def steps(path, name):
    """{step: seconds of the processor} for one picture, on one core: reading, decoding
    and resizing, the network. The median of several rounds in turns."""
    import numpy as np

    from helpers.images import resize
    from helpers.models import REGISTRY, Classifier, build_network
    from safeguards.scaling import unchanged

    entry = REGISTRY[name]
    network = build_network(name, None)  # random weights: as fast as real ones
    classifier = Classifier(name, network, entry.size, entry.rule, unchanged, ())
    batch = np.zeros((8, classifier.size, classifier.size, 3), "float32")
    work = {
        "read": (lambda: path.read_bytes(), 1),
        "decode": (lambda: resize(path, classifier.size, classifier.rule), 1),
        "network": (lambda: classifier.forward(batch), len(batch)),
    }
    found = {step: [] for step in work}
    for call, _ in work.values():
        call()
    for _ in range(REPEATS):
        for step, (call, pictures) in work.items():
            times = 8 // pictures
            start = time.process_time()
            for _ in range(times):
                call()
            found[step].append((time.process_time() - start) / times / pictures)
    medians = {step: float(np.median(seconds)) for step, seconds in found.items()}
    medians["decode"] -= medians["read"]  # it reads as well
    return medians


# Ray's actors at work on blocks of small pictures, one and two in turns: what each
# block took, by the clock and by the processor's.
ACTORS = """
import json, os, sys, time, ray
from helpers.models import DEFAULT
from apps.many.predict_many import Worker, predict_many

class Timed(Worker):
    def __call__(self, block):
        begun, cpu = time.time(), time.process_time()
        done = super().__call__(block)
        line = json.dumps([\
begun, time.time(), time.process_time() - cpu, done["rows"][0]])
        with open(f"{marks}.{os.getpid()}", "a") as file:
            file.write(line + "\\n")
        return done

folder, place, turns = sys.argv[1:]
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
for turn in range(int(turns)):
    for actors in (1, 2):
        marks = f"{place}/{turn}.{actors}"
        predict_many(folder, DEFAULT, marks, actors, block=128, worker=Timed)
"""


def ray_rates():
    """For each turn what one and two of Ray's actors do, each as (pictures a second of
    the clock, seconds of the processor a picture), from their second block on, while
    all are at work."""
    with tempfile.TemporaryDirectory() as folder:
        pictures, place = Path(folder, "pictures"), Path(folder, "place")
        place.mkdir()
        pictures.mkdir()
        source = sorted((ROOT / "data" / "computers" / "train").rglob("*.jpg"))
        for number in range(128 * BLOCKS):
            shutil.copy(source[number % len(source)], pictures / f"{number:06}.jpg")
        own = {"RAY_worker_niceness": "0"}
        command = [sys.executable, "-c", ACTORS, pictures, place, str(TURNS)]
        off = {"RAY_USAGE_STATS_ENABLED": "0"}
        subprocess.run(command, env=os.environ | own | off, check=True)
        return [
            [_rate(place, f"{turn}.{n}.*") for n in (1, 2)] for turn in range(TURNS)
        ]


def _rate(place, marks):
    blocks = [
        [json.loads(line) for line in mark.read_text().splitlines()][1:]
        for mark in place.glob(marks)
        if mark.is_file()
    ]
    start = max(own[0][0] for own in blocks)
    end = min(own[-1][1] for own in blocks)
    both = [
        block
        for own in blocks
        for block in own
        if block[0] >= start and block[1] <= end
    ]
    # A block that begins before the other worker's first, or ends after its last,
    # counts in part.
    pictures = sum(
        block[3]
        * max(0, min(end, block[1]) - max(start, block[0]))
        / (block[1] - block[0])
        for own in blocks
        for block in own
    )
    return pictures / (end - start), sum(b[2] for b in both) / sum(b[3] for b in both)


def measured():
    """The rows of the table of rates, {column: text}."""
    import numpy as np
    import tensorflow as tf

    from helpers import load_image

    turns = ray_rates()  # first, as Ray does not start where a machine is very busy
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.jpg")
        load_image("coffee").resize(SIDES).save(path, quality=90)
        for name in MODELS:
            seconds = steps(path, name)
            size = f"{path.stat().st_size}"
            rows.append(
                {"what": name, "bytes": size}
                | {k: f"{v:.3g}" for k, v in seconds.items()}
            )
    by_clock = [two[0] / one[0] / 2 for one, two in turns]
    by_cpu = [one[1] / two[1] for one, two in turns]
    for name, ratios in (("clock", by_clock), ("processor", by_cpu)):
        low, middle, high = np.percentile(ratios, (0, 50, 100))
        text = f"{middle:.2f} ({low:.2f}–{high:.2f}, n = {len(ratios)})"
        rows.append(
            {"what": f"two actors against twice one, by the {name}", "bytes": text}
        )
    return rows


def read_rates():
    """(where they are from, {model: {step: seconds, "bytes": …}}, {clock: efficiency as
    text})."""
    first, *lines = RATES.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines, delimiter="\t"))
    rates = {
        row.pop("what"): {k: float(v) for k, v in row.items()}
        for row in rows
        if row["network"]
    }
    return (
        first.removeprefix("# "),
        rates,
        {r["what"]: r["bytes"] for r in rows if not r["network"]},
    )


def plan(rate, pictures, given, machines=None):
    """What `pictures` need → {what: number or text}. rate: of one model; given:
    assumptions; machines: how many there are, None: as many as it takes."""
    core = sum(rate[step] for step in ("read", "decode", "network"))
    core_hours = pictures * core / 3600
    bytes_all = pictures * rate["bytes"]
    each = {  # machines that each limit asks for, if the work is to end in time
        "processor": core_hours / given["cores"] / given["hours"] / given["efficiency"],
        "network": bytes_all / (given["network"] * 1e9 * 3600 * given["hours"]),
    }
    machines = machines or math.ceil(max(each.values()))
    limit = max(each, key=each.get)
    if limit == "processor":
        limit = max(("decode", "network"), key=rate.get)
        limit = {"decode": "decoding", "network": "the model"}[limit]
    else:
        limit = "reading"
    hours = given["hours"] * max(each.values()) / machines
    store = bytes_all / (given["store"] * 1e9) / 3600
    if store > hours:
        limit, hours = "the store", store
    money = machines * hours * given["cores"] * given["core_hour"]
    money += pictures / 1e6 * given["requests"]
    return {
        "pictures": f"{pictures:g}".replace("e+0", "e").replace("e+", "e"),
        "core hours": core_hours,
        "machines": machines,
        "hours": hours,
        "dollars a million": money / pictures * 1e6,
        "limited by": limit,
    }


def feed(rate, given):
    """What a GPU changes → {what: number}: it runs the network, cores only read and
    decode."""
    gpu = given["gpu_factor"] / rate["network"]
    cores = gpu * (rate["read"] + rate["decode"])
    hour = given["gpu_hour"] + cores * given["core_hour"]
    return {
        "pictures a second": gpu,
        "cores to feed it": cores,
        "gigabytes a second": gpu * rate["bytes"] / 1e9,
        "dollars a million": hour / 3600 / gpu * 1e6 + given["requests"],
    }


def table(rows):
    """Rows, dicts with the same keys, as a table in Markdown."""

    def cell(value):
        if isinstance(value, str):
            return value
        return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"

    names = list(rows[0])
    lines = [
        names,
        ["---"] + ["---:"] * (len(names) - 1),
        *([cell(v) for v in r.values()] for r in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(given, pictures=PICTURES, machines=None):
    """The text that docs/scale.md shows between its comments.
    pictures: numbers of them, a line for each and for each model; the rest as for
    `plan`."""
    said, rates, ratios = read_rates()
    speed = [
        {"model": name}
        | {f"{step}, ms": 1000 * rate[step] for step in ("read", "decode", "network")}
        | {
            "pictures a second and core": 1
            / sum(rate[s] for s in ("read", "decode", "network"))
        }
        for name, rate in rates.items()
    ]
    plans = [
        {"model": name} | plan(rate, n, given, machines)
        for n in pictures
        for name, rate in rates.items()
    ]
    fed = [{"model": name} | feed(rate, given) for name, rate in rates.items()]
    assumed = "; ".join(
        f"{name.replace('_', ' ')} {value:g}: {ASSUMED[name][1]}"
        for name, value in given.items()
        if name != "hours" or machines is None
    )
    if machines is not None:
        assumed = f"machines {machines}: as many as you have; {assumed}"
    kilobytes = next(iter(rates.values()))["bytes"] / 1000
    lines = [
        f"{said}.",
        f"A picture of {SIDES[0]}×{SIDES[1]} pixels, {kilobytes:.0f} kB; one core.",
    ]
    lines += [
        "",
        table(speed),
        "",
        *(f"- {what}: {text}" for what, text in ratios.items()),
    ]
    lines += ["", f"Assumed, not measured: {assumed}.", "", table(plans)]
    lines += ["", "With a GPU that is fed by cores beside it:", "", table(fed)]
    return "\n".join(lines)


def number(name):
    """What turns the text of an option into a number, or says what's wrong with it.
    name: of an assumption, or "pictures"."""
    is_free = name in FREE

    def parsed(text):
        value = float(text)  # argparse says it where this isn't a number
        if not math.isfinite(value) or value < 0 or (value == 0 and not is_free):
            wanted = "0 or more" if is_free else "more than 0"
            raise argparse.ArgumentTypeError(f"{text} should be a number, {wanted}")
        if name == "efficiency" and value > 1:
            raise argparse.ArgumentTypeError(
                f"{text} should be 1 or less: of machines no more can be had than all"
            )
        return value

    parsed.__name__ = "number"  # as argparse names it: "invalid number value: …"
    return parsed


def count(text):
    """How many pictures or machines a text such as 3 or 5e6 says."""
    value = float(text)
    if not 1 <= value <= COUNT_LIMIT or value != int(value):
        raise argparse.ArgumentTypeError(
            f"{text} should be a whole number from 1 to {COUNT_LIMIT:g}"
        )
    return int(value)


def main(arguments=None):
    """The command line. arguments: texts; None: those of the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--record", action="store_true", help="measure, and write to docs/"
    )
    for name, (value, about) in ASSUMED.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(
            option, type=number(name), default=float(value), help=f"{about} ({value})"
        )
    parser.add_argument(
        "--pictures",
        type=count,
        nargs="+",
        default=list(PICTURES),
        metavar="N",
        help="how many, such as 5e6; several are possible (1e6 1e9)",
    )
    parser.add_argument(
        "--machines",
        type=count,
        metavar="N",
        help="how many you have: then the table says how long they take",
    )
    given = vars(parser.parse_args(arguments))
    pictures, machines = given.pop("pictures"), given.pop("machines")
    if machines is not None and given["hours"] != ASSUMED["hours"][0]:
        parser.error(
            "--machines asks how long it takes, --hours how many machines it takes: "
            "leave one of them out"
        )
    if given.pop("record"):
        if machines is not None or pictures != list(PICTURES):
            parser.error(
                "--record writes the page's own tables: leave out --pictures and "
                "--machines"
            )
        from safeguards.whole_files import atomic_write
        from tools.record.measure_lessons import machine

        rows = measured()
        with io.StringIO(newline="") as out:
            out.write(f"# Recorded by tools/record/scale_costs.py: {machine()}\n")
            writer = csv.DictWriter(
                out, list(rows[0]), delimiter="\t", lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(rows)
            with atomic_write(RATES) as part:
                part.write_text(out.getvalue(), encoding="utf-8", newline="\n")
        page, start, end = (
            PAGE.read_text("utf-8"),
            "<!-- rates -->\n",
            "\n<!-- end of rates -->",
        )
        before, rest = page.split(start)
        text = before + start + "\n" + tables(given) + "\n" + end + rest.split(end)[1]
        with atomic_write(PAGE) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
    print(tables(given, pictures, machines))


if __name__ == "__main__":
    sys.exit(run_tool(main))
