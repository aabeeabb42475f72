"""Record a real model's scores, for learners without its weights.

python tools/record_scores.py --model mobilenet_v2 (with TRANSFER_WEIGHTS at the weights' folder)
scores the sample photographs, and the computers pictures once they exist, and writes
data/recorded/<model>.npz: logits in float16 by `picture_key`, and how they were made. Of the
computers pictures, the logits far below a picture's largest are kept in coarse steps (`coarsen`).
"""

import argparse
import datetime
import json
import sys
from hashlib import sha256

import numpy as np

from helpers.files import note_digest, whole
from helpers.images import load_image, sample_names
from helpers.models import (
    RECORDED,
    REGISTRY,
    ROOT,
    WeightsUnavailable,
    find_weights,
    load_classifier,
    picture_key,
)

FAR, STEP = 6, 0.5  # a logit is coarsened where its share is below exp(-6) of the largest one's


def pictures():
    """What is recorded: every sample photograph, then every picture of data/computers."""
    for name in sample_names():
        yield load_image(name)
    for path in sorted((ROOT / "data" / "computers").glob("*/*/*.jpg")):
        yield load_image(path)


def coarsen(logits):
    """Logits (classes,) with those more than FAR below the largest rounded to multiples of STEP,
    so that hundreds of pictures compress to less than a megabyte."""
    return np.where(logits < logits.max() - FAR, np.round(logits / STEP) * STEP, logits)


def record(name):
    """Score all pictures with one registry model and write the file; returns its path."""
    path = find_weights(name)
    if path is None:
        raise WeightsUnavailable(f"Set TRANSFER_WEIGHTS to a folder with the weights of {name}.")
    from helpers import keras

    classifier = load_classifier(name)
    logits = {}
    for n, image in enumerate(pictures()):
        row = classifier.logits(image)[0]
        logits[picture_key(image)] = row if n < len(sample_names()) else coarsen(row)
    about = {
        "model": name,
        "weights": path.name,
        "weights_sha256": sha256(path.read_bytes()).hexdigest(),
        "preprocessing": f"{classifier.size} pixels, {classifier.rule}, "
        f"keras.applications.{REGISTRY[name].module}.preprocess_input",
        "rounding": f"float16; in computers, below the largest - {FAR}: to multiples of {STEP}",
        "keras": keras.__version__,
        "date": datetime.date.today().isoformat(),
    }
    target = RECORDED / f"{name}.npz"
    with whole(target) as part:
        np.savez_compressed(
            part,
            keys=np.array(list(logits)),
            logits=np.stack(list(logits.values())).astype("float16"),
            about=np.array(json.dumps(about)),
        )
    note_digest(target)
    print(
        f"{len(logits)} pictures, {target.stat().st_size / 1e3:.0f} kB: {target.relative_to(ROOT)}"
    )
    return target


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=list(REGISTRY), default="mobilenet_v2")
    try:
        record(parser.parse_args().model)
    except WeightsUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
