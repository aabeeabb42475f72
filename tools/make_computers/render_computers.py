"""Render data/computers: photo-like pictures of desktops, laptops, handhelds and other
desk scenes.

Blender as a Python module draws them, from nothing but seeds: in a Python 3.11 of its
own, `pip install "bpy==5.0.*" pillow scipy`, then

    python tools/make_computers/render_computers.py
    # all that is missing; --part 1/2 for a half

One picture takes about two seconds of one core. `--report`, in the lessons' own
environment, prints the data card's table: what the lessons' network says of all
pictures, in ten seconds.

What surrounds the subject (desk, wall, light, camera, exposure, clutter) is drawn from
the seed alone, by `scenes.sample_setting`, which does not know the class.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from computers.camera import compress
from computers.scenes import CLASSES, sample_scene, seed_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "computers"
SPLITS = {"train": 120, "validation": 40, "test": 60}
WRONG = 1 / 30  # the share of training labels that is wrong


def plan(counts=SPLITS):
    """All pictures: (path, class whose folder it lies in, class it shows) in a fixed
    order. For wrong labels every training folder gives places to other classes, in
    cycles, so that folders and true classes keep the same counts."""
    rng = np.random.default_rng(seed_of("wrong labels"))
    shown = {}
    for _ in range(int(counts["train"] * WRONG)):
        order = rng.permutation(CLASSES).tolist()
        for folder, other in zip(order, order[1:] + order[:1], strict=True):
            free = [n for n in range(counts["train"]) if (folder, n) not in shown]
            shown[folder, int(rng.choice(free))] = other
    return [
        (
            f"{split}/{folder}/{n + 1:04}.jpg",
            folder,
            shown.get((folder, n), folder) if split == "train" else folder,
        )
        for split, count in counts.items()
        for n in range(count)
        for folder in CLASSES
    ]


def write_whole(path, data):
    """Write bytes to a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)


def wrong_labels(counts=SPLITS):
    """The list of planted wrong labels as text: picture, and the class it shows."""
    rows = [
        f"{name}\t{shown}\n" for name, folder, shown in plan(counts) if folder != shown
    ]
    return "picture\tclass\n" + "".join(sorted(rows))


OWN = {
    "desktop": ("desktop_computer", "monitor", "screen"),
    "laptop": ("laptop", "notebook"),
    "handheld": ("hand-held_computer", "iPod", "cellular_telephone"),
}


def realism():
    """What a network that learned from photographs alone says of the pictures: {class:
    (hits, pictures)}. A hit has one of the class's own ImageNet classes in the top 5,
    for `other` any of all eight."""
    from helpers import load_classifier

    classifier = load_classifier()
    names = [name for _, name in classifier.classes]
    shown = {
        kind: [FOLDER / name for name, _, k in plan() if k == kind] for kind in CLASSES
    }
    result = {}
    for kind, paths in shown.items():
        wanted = OWN.get(kind) or sum(OWN.values(), ())
        logits = classifier.logits(paths)
        top = np.argsort(-logits, axis=1, kind="stable")[:, :5]
        hits = np.isin(top, [names.index(name) for name in wanted]).any(axis=1)
        result[kind] = int(hits.sum()), len(hits)
    return result


def report(found):
    """What `realism` returns, as the data card's table, with 95 % Wilson intervals."""
    from scipy.stats import binomtest

    rows = [
        "| class | ImageNet classes looked for | in the top 5 |",
        "| --- | --- | --- |",
    ]
    for kind, (hits, count) in found.items():
        low, high = binomtest(hits, count).proportion_ci(method="wilson")
        wanted = ", ".join(OWN[kind]) if kind in OWN else "any of these eight"
        rows.append(
            f"| {kind} | {wanted} | {hits}/{count} = {hits / count:.3f} "
            f"({low:.3f}–{high:.3f}) |"
        )
    return "\n".join(rows)


def part(text):
    """ "2/3" → (1, 3): from which picture, in what steps."""
    k, n = map(int, text.split("/"))
    if not 1 <= k <= n:
        raise ValueError(text)
    return k - 1, n


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder to fill")
    parser.add_argument(
        "--part", type=part, default="1/1", help="k/n: every n-th picture from the k-th"
    )
    parser.add_argument(
        "--counts", type=int, nargs=3, default=list(SPLITS.values()), metavar="N",
        help="pictures a class for training, validation and test",
    )  # fmt: skip
    parser.add_argument("--samples", type=int, default=14, help="light paths a pixel")
    parser.add_argument(
        "--report", action="store_true", help="print the data card's table instead"
    )
    options = parser.parse_args()
    if options.report:
        print(report(realism()))
        return 0
    try:
        from computers.picture import render
    except ModuleNotFoundError as error:
        print(
            f"No module {error.name}: rendering needs Blender as a module. In a "
            'Python 3.11 of its own: pip install "bpy==5.0.*" pillow scipy',
            file=sys.stderr,
        )
        return 1
    counts = dict(zip(SPLITS, options.counts, strict=True))
    write_whole(options.out / "wrong_labels.tsv", wrong_labels(counts).encode())
    start, step = options.part
    for name, _, shown in plan(counts)[start::step]:
        if not (options.out / name).exists():
            scene = sample_scene(shown, seed_of(name))
            write_whole(
                options.out / name,
                compress(render(scene, options.samples), scene["setting"]["bytes"]),
            )
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # Blender's Python has nothing of ours installed
    from safeguards.printing import run_tool

    sys.exit(run_tool(main))
