"""A page with no server, for any static host: `python -m apps.page.build mine.onnx`.

It writes build/page/.
The files there run the exported model in the visitor's browser. `make page` fetches what they need
of onnxruntime-web first; without make, `npm ci --ignore-scripts` in the folder page does.
"""

import argparse
import gzip
import io
import json
import os
import re
import shutil
import sys
import textwrap
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np

from apps.sharing.share import export_onnx, load_exported
from helpers.images import load_image
from helpers.labels import imagenet_classes
from helpers.models import (
    DEFAULT,
    LICENCES,
    ROOT,
    Classifier,
    WeightsUnavailable,
    load_classifier,
)
from safeguards.model_files import ModelFileError
from safeguards.pictures import MAX_BYTES, MAX_PIXELS
from safeguards.text import printable, typed
from safeguards.whole_files import incoming

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"
RUNTIME = HERE / "node_modules" / "onnxruntime-web"
SCRIPT = "ort.wasm.bundle.min.mjs"  # of RUNTIME: runs models on one thread …
BINARY = "ort-wasm-simd-threaded.wasm"  # … by this
PAGE = ROOT / "build" / "page"
# Of ImageNet's classes, in the public domain or ours: publish a page, and you may publish them.
SAMPLES = ("cat", "coffee", "uniform", "photographer", "laptop_render")
SIDE = 480  # pixels of a sample's longer side
MOST = 25_000_000  # bytes of all files: visitors wait for them, some on a phone
LARGE = 2000  # weights of a layer from which on they are kept in 16 bits
MOVED = 0.01  # of any probability: the most that 16 bits may change on the samples
HASHED = 12  # letters of a file's SHA-256 that are part of its name


class RuntimeMissing(RuntimeError):
    """What runs models in a browser is not on this machine; says how to fetch it."""


class PageTooLarge(ValueError):
    """A model's page would have more than `MOST` bytes."""


def build_page(model=DEFAULT, folder=PAGE, samples=None):
    """Write a page that runs a model in the visitor's browser, as static files → its folder.
    model: a file of `export_onnx`; a file of `save_classifier`, a known name or a `Classifier`,
    exported first. Large weights go to 16 bits where that leaves the answers for `SAMPLES` as they
    are and moves no probability by more than `MOVED`. samples, for visitors to try: {name: whatever
    `load_image` takes}, or a list of paths and names of sample photographs; None: `SAMPLES` for a
    model that knows classes of ImageNet, nothing for others.
    The page begins with index.html; the name of every other file holds the start of its SHA-256, so
    that no browser shows an older one. The folder appears whole or not at all, in the place of an
    older page. RuntimeMissing without onnxruntime-web, ModelFileError and whatever
    `load_classifier` raises for a file that is no such model, FileExistsError for a folder that
    holds something else than a page, PageTooLarge over `MOST` bytes."""
    folder = Path(folder).expanduser().absolute()
    if foreign := _foreign(folder):
        raise FileExistsError(
            f"{folder} holds more than a page, {foreign[0]}: name another folder, or delete that "
            "one if you need nothing in it."
        )
    script, binary = _runtime()
    with incoming(folder.parent) as made:
        page = made / "page"
        page.mkdir()
        exported, graph = _model(model, made / "model.onnx")
        if samples is None:
            known = {wnid for wnid, _ in imagenet_classes()}
            samples = SAMPLES if any(wnid in known for wnid, _ in exported.classes) else ()
        about = {
            "name": exported.name,
            "size": exported.size,
            "rule": asdict(exported.rule),
            "classes": [name for _, name in exported.classes],
            # Every web server sends .bin; some do not know .onnx, .wasm or .gz.
            "model": _put(page, "network.bin", graph),
            "script": _put(page, "ort.js", script),
            # A quarter of its bytes: browsers unpack it, so that no host need be set up to do that.
            "binary": _put(page, "ort.bin", gzip.compress(binary, 6, mtime=0)),
            "samples": _samples(samples, page),
            "most": {"bytes": MAX_BYTES, "pixels": MAX_PIXELS},
        }
        text = json.dumps(about, ensure_ascii=False, indent=1)
        _put(page, "page.json", text.encode())
        _put_static(page, _licences(exported))
        if (size := page_size(page)) > MOST:
            raise PageTooLarge(
                f"The page would have {size / 1e6:.0f} MB, more than {MOST // 10**6}: build on a "
                f"smaller model, such as {DEFAULT}."
            )
        if folder.exists():
            os.replace(folder, made / "older")  # which goes with `made`
        os.replace(page, folder)
    return folder


def page_size(folder):
    """Bytes of all files of a page together."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _put(page, name, data):
    """Write a file of a page under a name that changes with its content → that name."""
    stem, _, suffix = name.partition(".")
    own = f"{stem}-{sha256(data).hexdigest()[:HASHED]}.{suffix}"
    (page / own).write_bytes(data)
    return own


def _put_static(page, licences):
    """Write the files of STATIC, in which each names others by the names they have in the page."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in STATIC.iterdir()}
    texts["licences.txt"] += licences
    index = texts.pop("index.html")
    names = {}
    while texts:
        # The name of a file depends on the names in it, so those of which it speaks come first.
        name = next(name for name in sorted(texts) if not _mentioned(texts[name], texts))
        names[name] = _put(page, name, _renamed(texts.pop(name), names).encode())
    files = " ".join(sorted(path.name for path in page.iterdir()))
    index = _renamed(index, names).replace('data-files=""', f'data-files="{files}"')
    (page / "index.html").write_text(index, encoding="utf-8")


def _mentioned(text, names):
    """Those of the names that a text has in quotes, as another file's address."""
    return [name for name in names if re.search(rf'"(\./)?{re.escape(name)}"', text)]


def _renamed(text, names):
    """A text with the names in quotes put in the place of others: {old: new}."""
    for old, new in names.items():
        text = re.sub(rf'"(\./)?{re.escape(old)}"', rf'"\g<1>{new}"', text)
    return text


def _foreign(folder):
    """Names in a folder that no page has: they would be lost with it."""
    if not folder.exists():
        return []
    stems = {path.stem for path in STATIC.iterdir()} | {"network", "ort", "page", "sample"}
    ours = re.compile(rf"index\.html|({'|'.join(stems)})-[0-9a-f]{{{HASHED}}}\.[a-z]+")
    return sorted(path.name for path in folder.iterdir() if not ours.fullmatch(path.name))


def _runtime():
    """onnxruntime-web as (script, WebAssembly), bytes."""
    try:
        return [(RUNTIME / "dist" / name).read_bytes() for name in (SCRIPT, BINARY)]
    except OSError as error:
        raise RuntimeMissing(
            "onnxruntime-web, which runs models in a browser, is not on this machine. `make page` "
            "fetches it, once; without make, `npm ci --ignore-scripts` does, in the folder page. "
            "Both need npm, which comes with Node.js (https://nodejs.org), and a network."
        ) from error


def _model(model, path):
    """A model as (an `Exported` that has answered once, what browsers get of it: bytes). path: for
    its ONNX file."""
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
            "export the model by apps.sharing.share.export_onnx."
        )
    return exported, _halved(path, exported)


def _halved(path, exported):
    """An ONNX file, whose `Exported` is given, with its large weights in 16 bits: bytes. Visitors
    wait half as long; the runtime widens the weights when it loads them and computes as before.
    Where that would change an answer, or a probability by more than `MOVED`: the file as it is."""
    import onnx

    model = onnx.load(path)
    inputs = {tensor.name for tensor in model.graph.input}  # may be given by who runs it
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        # What is small, such as a scale for each channel, saves nothing and moves much.
        if values.dtype != np.float32 or values.size < LARGE or tensor.name in inputs:
            continue
        name, half = tensor.name, f"{tensor.name}_float16"
        with np.errstate(over="ignore"):  # what no longer fits is seen in the answers
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    small = path.with_stem("small")
    onnx.save(model, small)
    before, after = (one.probabilities(list(SAMPLES)) for one in (exported, load_exported(small)))
    same = np.array_equal(before.argmax(axis=1), after.argmax(axis=1))
    near = np.abs(before - after).max() <= MOVED  # False of NaN
    return (small if same and near else path).read_bytes()


def _samples(samples, page):
    """Put the samples into the page → [{name, file}, …]."""
    named = samples.items() if isinstance(samples, dict) else [(Path(s).stem, s) for s in samples]
    entries = []
    for name, source in named:
        image, data = load_image(source), io.BytesIO()
        image.thumbnail((SIDE, SIDE))
        image.save(data, "JPEG", quality=90)
        entries.append({"name": name, "file": _put(page, "sample.jpg", data.getvalue())})
    return entries


def _licences(exported):
    """What licences.txt says of the model, with the text of each licence that its terms name."""
    title = f"The model: {printable(exported.name)}"
    said = printable(exported.terms) or (
        "Its file says nothing of terms: ask whoever made it, and whoever made what it was made of."
    )
    parts = [f"{title}\n{'=' * len(title)}\n\n{textwrap.fill(said, 100)}\n"]
    for licence, link in LICENCES.items():
        if link in exported.terms:
            file = ROOT / "LICENSES" / f"{licence.replace(' ', '-')}.txt"
            parts.append(file.read_text(encoding="utf-8"))
    return "".join(f"\n{part}" for part in parts)


def main(arguments=None):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m apps.page.build", description=__doc__)
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT,
        help=".onnx, .keras or a known name; default: %(default)s",
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
    print("Browsers may keep every file but index.html; apps/page/README.md says how to tell them.")
    print("To look at it here, this serves it at http://127.0.0.1:8000 until you press Ctrl+C:")
    serve = ["-m", "http.server", "--bind", "127.0.0.1", "--directory"]
    print(typed(sys.executable, *serve, page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
