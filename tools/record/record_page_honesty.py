"""Record whether the page that learns tells the truth about itself.

python -m tools.record.record_page_honesty FOLDER

FOLDER holds train/ and val/ of hymenoptera, photographs of ants and bees, which can't
be shipped. 100 times, 20 training pictures of each class are drawn by a fixed seed. The
page's own JavaScript, run by Node.js, groups look-alikes, estimates the accuracy out of
fold with its interval, and trains a head, which then answers the 153 validation
pictures. The features come from the network that the page carries, once for all draws.
What is kept, in data/recorded/page_honesty.csv, is a line for each draw: the estimate
out of fold, its 95 % interval, how many different pictures it stands on, and the
accuracy on the validation pictures.
"""

import argparse
import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from apps.page.build import base_network
from apps.sharing.quiet import quiet
from helpers.datasets import DataError
from helpers.models import RECORDED, load_classifier
from helpers.pictures import listed
from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write, note_digest

RECORDED_HONESTY = RECORDED / "page_honesty.csv"
SCRIPT = Path(__file__).with_name("page_honesty.mjs")
DRAWS = 100
PER_CLASS = 20
CELLS = 16  # a side of a picture's layout, as in the page's groups.js
AT_ONCE = 8  # pictures in the network at a time
COLUMNS = ("draw", "out_of_fold", "low", "high", "different", "validation")


def described(pictures, classifier, run):
    """What the script needs of `Pictures`: features, layouts and labels, as lists."""
    pixels = pictures.array(classifier.size, classifier.rule)
    features = [
        run(pixels[start : start + AT_ONCE]) for start in range(0, len(pixels), AT_ONCE)
    ]
    cell = classifier.size // CELLS
    layouts = pixels.sum(axis=3).reshape(-1, CELLS, cell, CELLS, cell).sum(axis=(2, 4))
    return {
        "features": np.concatenate(features).tolist(),
        "layouts": layouts.reshape(len(pixels), -1).tolist(),
        "labels": pictures.labels.tolist(),
    }


def features_of_page(classifier):
    """The network that the page carries, as a function from pixels to features."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        network = base_network(classifier, Path(folder) / "base.onnx")
    model = onnx.load_from_string(network)
    output = onnx.helper.make_tensor_value_info(
        "features", onnx.TensorProto.FLOAT, ["n", None]
    )
    model.graph.output.append(output)
    with quiet():
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
    return lambda pixels: session.run(["features"], {"image": pixels})[0]


def measure(folder, draws=DRAWS):
    """The rows of the table, as tuples of COLUMNS, from the folder of hymenoptera."""
    classifier = load_classifier()
    run = features_of_page(classifier)
    train = listed("train", folder / "train")
    validation = listed("validation", folder / "val")
    task = {
        "train": described(train, classifier, run),
        "validation": described(validation, classifier, run),
        "classes": len(train.classes),
        "draws": draws,
        "perClass": PER_CLASS,
    }
    done = subprocess.run(
        [shutil.which("node"), SCRIPT],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=True,
    )
    rows = []
    for found in json.loads(done.stdout):
        estimate = (found["value"], found["low"], found["high"])
        numbers = [f"{number:.4f}" for number in estimate]
        accuracy = f"{found['right'] / found['of']:.4f}"
        rows.append((found["draw"], *numbers, found["n"], accuracy))
    return rows


def covered(rows):
    """In how many rows, as dicts, the interval holds the accuracy on validation."""
    return sum(
        float(row["low"]) <= float(row["validation"]) <= float(row["high"])
        for row in rows
    )


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.expanduser()
    if not shutil.which("node"):
        print("This needs Node.js: https://nodejs.org", file=sys.stderr)
        return 1
    try:
        rows = measure(folder)
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    with atomic_write(RECORDED_HONESTY) as draft:
        draft.write_text(table.getvalue(), encoding="utf-8")
    note_digest(RECORDED_HONESTY)
    told = covered(list(csv.DictReader(io.StringIO(table.getvalue()))))
    print(f"{RECORDED_HONESTY}: the interval holds the accuracy in {told} of {DRAWS}")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
