"""A page with no server: python -m helpers.page mine.onnx writes build/page/, for any static host.

The files there run the exported model in the visitor's browser. `make page` fetches what they need
of onnxruntime-web first; without make, `npm ci --ignore-scripts` in the folder page does.
"""

import argparse
import gzip
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from helpers.files import digest, incoming
from helpers.images import MAX_BYTES, MAX_PIXELS, load_image
from helpers.labels import imagenet_classes
from helpers.models import ROOT, Classifier, ModelFileError, WeightsUnavailable, load_classifier
from helpers.share import export_onnx, load_exported

STATIC, RUNTIME = ROOT / "page" / "static", ROOT / "page" / "node_modules" / "onnxruntime-web"
PAGE = ROOT / "build" / "page"
PARTS = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"  # of RUNTIME, for one thread
MADE = {"ort.js", "ort.wasm.gz", "page.json", "samples"}  # beside the files of STATIC and the model
# Of ImageNet's classes, and in the public domain: whoever publishes a page may publish them, too.
SAMPLES = ("cat", "coffee", "uniform", "photographer", "laptop_render")
SIDE = 480  # pixels of a sample's longer side
MOST = 25_000_000  # bytes of all files: visitors wait for them, some on a phone


class RuntimeMissing(RuntimeError):
    """What runs models in a browser is not on this machine; says how to fetch it."""


class PageTooLarge(ValueError):
    """A model's page would have more than `MOST` bytes."""


def build_page(model="pocket", folder=PAGE, samples=None):
    """Write a page that runs a model in the visitor's browser, as static files → its folder.
    model: a file of `export_onnx`, taken as it is; a file of `save_classifier`, a known name or a
    `Classifier`, exported first. samples, for visitors to try: {name: whatever `load_image` takes},
    or a list of paths and names of sample photographs; None: `SAMPLES` for a model that knows
    classes of ImageNet, nothing for others. The folder appears whole or not at all, in the place of
    an older page. RuntimeMissing without onnxruntime-web, ModelFileError and whatever
    `load_classifier` raises for a file that is no such model, FileExistsError for a folder that
    holds something else than a page, PageTooLarge over `MOST` bytes."""
    folder = Path(folder).expanduser().absolute()
    if foreign := _foreign(folder):
        raise FileExistsError(
            f"{folder} holds more than a page, {foreign[0]}: name another folder."
        )
    script, binary = _runtime()
    with incoming(folder.parent) as made:
        page = made / "page"
        shutil.copytree(STATIC, page)
        exported = _model(model, page / "model.onnx")
        (page / "ort.js").write_bytes(script)
        # A quarter of its bytes: browsers unpack it, so that no host need be set up to do that.
        (page / "ort.wasm.gz").write_bytes(gzip.compress(binary, 6, mtime=0))
        # A name of its own for each model: else a browser may keep an older one for it.
        file = f"model-{digest(page / 'model.onnx')[:12]}.onnx"
        os.replace(page / "model.onnx", page / file)
        if samples is None:
            known = {wnid for wnid, _ in imagenet_classes()}
            samples = SAMPLES if any(wnid in known for wnid, _ in exported.classes) else ()
        about = {
            "name": exported.name,
            "size": exported.size,
            "rule": asdict(exported.rule),
            "classes": [name for _, name in exported.classes],
            "model": file,
            "samples": _samples(samples, page),
            "most": {"bytes": MAX_BYTES, "pixels": MAX_PIXELS},
        }
        text = json.dumps(about, ensure_ascii=False, indent=1)
        (page / "page.json").write_text(text, encoding="utf-8")
        if (size := page_size(page)) > MOST:
            raise PageTooLarge(
                f"The page would have {size / 1e6:.0f} MB, more than {MOST // 10**6}: build on a "
                "smaller model, such as pocket or mobilenet_v2."
            )
        if folder.exists():
            os.replace(folder, made / "older")  # which goes with `made`
        os.replace(page, folder)
    return folder


def page_size(folder):
    """Bytes of all files of a page together."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _foreign(folder):
    """Names in a folder that no page has: they would be lost with it."""
    if not folder.exists():
        return []
    ours = MADE | {path.name for path in STATIC.iterdir()}
    found = [path.name for path in folder.iterdir() if not path.match("model-*.onnx")]
    return sorted(set(found) - ours)


def _runtime():
    """onnxruntime-web as (script, WebAssembly), bytes."""
    try:
        return [(RUNTIME / "dist" / name).read_bytes() for name in PARTS]
    except OSError as error:
        raise RuntimeMissing(
            "onnxruntime-web, which runs models in a browser, is not on this machine. `make page` "
            "fetches it, once; without make, `npm ci --ignore-scripts` does, in the folder page. "
            "Both need npm, which comes with Node.js (https://nodejs.org), and a network."
        ) from error


def _model(model, path):
    """Put a model in ONNX at `path` → it as an `Exported`, which has answered once."""
    shown = model
    if str(model).endswith(".onnx"):
        source = Path(model).expanduser()
        if not source.is_file():
            raise FileNotFoundError(f"There is no file {source}: check its name and folder.")
        shutil.copyfile(source, path)
    elif str(model).endswith(".tflite"):
        raise ModelFileError(f"{model}: browsers run ONNX. Export the model by export_onnx.")
    else:
        classifier = model if isinstance(model, Classifier) else load_classifier(model)
        shown = classifier.name
        export_onnx(classifier, path)
    try:
        exported = load_exported(path)  # the copy: nothing beside the file goes along
        answer = exported.probabilities(["cat"])
    except MemoryError:
        raise
    except Exception as error:  # the runtime raises its own kinds
        reason = str(error).replace(str(path), "it")
        raise ModelFileError(f"{shown} cannot be used for a page: {reason:.300}") from error
    if answer.shape != (1, len(exported.classes)) or not np.allclose(answer.sum(), 1, atol=1e-3):
        raise ModelFileError(
            f"{shown} cannot be used for a page: for a picture of raw RGB, 0…255, it does not give "
            f"{len(exported.classes)} probabilities. Scaling and softmax belong into the file: "
            "export the model by helpers.share.export_onnx."
        )
    return exported


def _samples(samples, page):
    """Put the samples into the page → [{name, file}, …]."""
    named = samples.items() if isinstance(samples, dict) else [(Path(s).stem, s) for s in samples]
    entries = []
    (page / "samples").mkdir()
    for number, (name, source) in enumerate(named, 1):
        image = load_image(source)
        image.thumbnail((SIDE, SIDE))
        image.save(page / "samples" / f"{number}.jpg", quality=90)
        entries.append({"name": name, "file": f"samples/{number}.jpg"})
    return entries


def main(arguments=None):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m helpers.page", description=__doc__)
    parser.add_argument(
        "model", nargs="?", default="pocket", help=".onnx, .keras or a known name; default: pocket"
    )
    parser.add_argument(
        "--to", default=PAGE, type=Path, metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument("--samples", nargs="*", metavar="PICTURE", help="files visitors can try")
    options = parser.parse_args(arguments)
    try:
        page = build_page(options.model, options.to, options.samples)
    except (RuntimeMissing, WeightsUnavailable, ValueError, OSError) as error:
        print(f"No page is written: {error}", file=sys.stderr)
        return 1
    print(f"{page}: {page_size(page) / 1e6:.1f} MB, to be put on any web host as it is.")
    print("To look at it here, this serves it at http://127.0.0.1:8000 until you press Ctrl+C:")
    print(f'{sys.executable} -m http.server --bind 127.0.0.1 --directory "{page}"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
