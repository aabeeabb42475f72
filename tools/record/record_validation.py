"""Record what networks answer about labelled photographs that can't be shipped.

python -m tools.record.record_validation FOLDER

FOLDER holds imagenet_val/, pictures of ImageNet's validation set, and photos/, other
labelled photographs; a file's name begins with the WordNet id of its class.
TRANSFER_WEIGHTS names the folder with MobileNetV2's weights. The pictures carry
research terms and stay where they are. What is kept, in data/recorded/validation.npz,
are labels and answers, which `helpers.evaluate` reads:

- of both sets, the class that each network puts on top (uint16): EfficientNet-Lite0, 1,
  2 and MobileNetV2 at their own sizes, Lite0 at smaller ones, and Lite0 given images
  that were prepared wrongly;
- of imagenet_val also Lite0's logits (float16), so that its probabilities can be
  judged.
"""

import argparse
import datetime
import json
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from helpers.evaluate import RECORDED_VALIDATION
from helpers.images import crop_box, load_image, to_batch
from helpers.labels import imagenet_classes
from helpers.models import (
    DEFAULT,
    ROOT,
    WeightsUnavailable,
    find_weights,
    load_classifier,
)
from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write, digest, note_digest

SETS = ("imagenet_val", "photos")
NETWORKS = (
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "mobilenet_v2",
)
SIZES = (96, 128, 160, 192)  # pixels a side: Lite0 at less than its own 224
PACKAGES = ("keras", "tensorflow", "numpy", "pillow")  # whose versions may matter
BATCH = 32  # pictures in a network at a time: hundreds at once would take gigabytes
STEP = 1 / 64  # logits are rounded to multiples of this: the file is a quarter smaller


def ways_to_prepare(classifier):
    """Return a dict of functions from a list of images to the network's input."""
    size, rule = classifier.size, classifier.rule
    scale = classifier.preprocess_input

    def pixels(images, rule=rule):
        return to_batch(images, size, rule)

    def moved(image):
        return image.crop((0, 0, int(0.9 * image.width), int(0.9 * image.height)))

    def picked(image):
        cut = image.crop(crop_box(*image.size, rule))
        return np.asarray(cut.resize((size, size), Image.NEAREST), dtype="float32")

    squash = replace(rule, shape="each_side")
    bilinear = replace(rule, filter="bilinear")
    return {
        "correct": lambda images: scale(pixels(images)),
        "a tenth off": lambda images: scale(pixels([moved(i) for i in images])),
        "bilinear filter": lambda images: scale(pixels(images, bilinear)),
        "squashed": lambda images: scale(pixels(images, squash)),
        "no antialiasing": lambda images: scale(np.stack([picked(i) for i in images])),
        "red and blue swapped": lambda images: scale(pixels(images)[..., ::-1]),
        "1/255 instead of own scaling": lambda images: pixels(images) / 255,
        "1/255, then own scaling": lambda images: scale(pixels(images) / 255),
        "own scaling twice": lambda images: scale(scale(pixels(images))),
        "not scaled at all": lambda images: pixels(images),
    }


def labelled(folder):
    """The pictures of a set → (names without .jpg, images, labels as class
    positions)."""
    positions = {wnid: i for i, (wnid, _) in enumerate(imagenet_classes())}
    paths = sorted(folder.glob("*.jpg"))
    labels = [positions[path.name.partition("_")[0]] for path in paths]
    return [path.stem for path in paths], [load_image(path) for path in paths], labels


def logits(classifier, prepare, images):
    """A network's logits, float32 (images, classes), for images prepared some way."""
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return np.concatenate([classifier.forward(prepare(part)) for part in parts])


def runs():
    """Of each run (name, classifier, how images are prepared); Lite0 as it is comes
    first."""
    for name in NETWORKS:
        classifier = load_classifier(name)
        yield name, classifier, classifier.prepare
    for size in SIZES:
        classifier = load_classifier(DEFAULT, size=size)
        yield f"{DEFAULT} at {size} px", classifier, classifier.prepare
    classifier = load_classifier(DEFAULT)
    for way, prepare in ways_to_prepare(classifier).items():
        if way != "correct":
            yield f"{DEFAULT}, {way}", classifier, prepare


def about():
    """How the run was made, as a dict that JSON can hold."""
    return {
        "tool": "tools/record/record_validation.py",
        "date": datetime.date.today().isoformat(),
        "weights": {name: digest(find_weights(name)) for name in NETWORKS},
        "versions": {name: version(name) for name in PACKAGES},
        "logits": f"of {DEFAULT}, on {SETS[0]}, rounded to multiples of {STEP}",
    }


def record(folder, target=RECORDED_VALIDATION):
    """Run everything over the pictures in `folder` and write `target`; returns its
    path. Raises WeightsUnavailable where a network has no weights on this machine, and
    FileNotFoundError where there are no pictures; nothing is written then."""
    for name in NETWORKS:
        if find_weights(name) is None:
            raise WeightsUnavailable(
                f"No weights of {name}: set TRANSFER_WEIGHTS to a folder that holds "
                "them."
            )
    arrays = {"about": np.array(json.dumps(about()))}
    sets = {}
    for title in SETS:
        files, images, labels = labelled(folder / title)
        if not files:
            raise FileNotFoundError(f"There are no pictures in {folder / title}.")
        arrays[f"{title}/files"] = np.array(files)
        arrays[f"{title}/labels"] = np.array(labels, dtype="uint16")
        sets[title] = images
    names, best = [], {title: [] for title in SETS}
    for name, classifier, prepare in tqdm(runs(), "runs"):
        names.append(name)
        for title, images in sets.items():
            scores = logits(classifier, prepare, images)
            best[title].append(scores.argmax(axis=1))
            if (name, title) == (DEFAULT, SETS[0]):
                arrays["logits"] = ((scores / STEP).round() * STEP).astype("float16")
    arrays["runs"] = np.array(names)
    for title in SETS:
        arrays[f"{title}/answers"] = np.array(best[title], dtype="uint16")
    with atomic_write(target) as part:
        np.savez_compressed(part, **arrays)
    note_digest(target)
    return target


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds imagenet_val/ and photos/")
    try:
        target = record(parser.parse_args().folder)
    except (WeightsUnavailable, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
