"""Build a page with no server, for any static host.

`python -m apps.page.build mine.onnx` writes build/page/, in these steps:

1. export the model to ONNX, if it isn't exported yet, and let it answer once
2. keep its large weights in 16 bits where that leaves the answers as they are, and take
   out what the pictures are called that it learned from
3. put network, onnxruntime-web and sample pictures into a temporary folder, each file
   under a name that holds the start of its hash, and note the names in page.json
4. add the files of static/, in which the names of other files become the hashed ones,
   and the model card, if there's one beside the model's file
5. move the folder to its place in one step, instead of an older page

With --train the page learns in the visitor's browser: it has the network without its
last layer, a head is trained on the visitor's own pictures, and the files of train/
come along. It's written to build/train/.

`make page` fetches onnxruntime-web first; without make, `npm ci --ignore-scripts` in
apps/page does.
"""

import argparse
import gzip
import html
import io
import json
import os
import re
import shutil
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from apps.page.card import CARD, card_as_html, card_beside, measured, unfilled
from apps.sharing.doubts import sure_from
from apps.sharing.exported import load_exported
from apps.sharing.exporting import export_onnx
from apps.sharing.quiet import quiet
from apps.sharing.trained import load_trained
from helpers.images import load_image
from helpers.labels import imagenet_classes
from helpers.models import (
    DEFAULT,
    LICENCES,
    REGISTRY,
    ROOT,
    Classifier,
    WeightsUnavailable,
    load_classifier,
)
from helpers.training import base_of
from safeguards.familiar import DOCUMENT, document
from safeguards.model_files import ModelFileError
from safeguards.pictures import MAX_BYTES, MAX_PIXELS
from safeguards.printing import run_tool
from safeguards.scaling import preprocessed
from safeguards.text import printable, typed
from safeguards.whole_files import temporary_folder_in

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"
TRAIN = HERE / "train"  # what only the page that learns has
PAGE = ROOT / "build" / "page"
TRAINING_PAGE = ROOT / "build" / "train"

RUNTIME = HERE / "node_modules" / "onnxruntime-web"
SCRIPT = "ort.wasm.bundle.min.mjs"  # of RUNTIME: runs models on one thread …
BINARY = "ort-wasm-simd-threaded.wasm"  # … by this
COMPRESSION = 6  # gzip's level

# Of ImageNet's classes, in the public domain or ours: whoever publishes a page may
# publish them.
SAMPLES = ("cat", "coffee", "uniform", "photographer", "laptop_render")
SIDE = 480  # pixels of a sample's longer side
QUALITY = 90  # of its JPEG

MOST = 25_000_000  # bytes of all files: visitors wait for them, some on a phone
LARGE = 2000  # weights of a layer from which on they're kept in 16 bits
MOVED = 0.01  # of any probability: the most that 16 bits may change on the samples
APART = 0.01  # of a cosine distance: the same
STEPS = 32767  # of weights in whole numbers of 16 bits, on either side of 0
HASHED = 12  # letters of a file's SHA-256 that are part of its name
LINE = 100  # letters of licences.txt
CARD_HERE = "<!-- card -->"  # in card.html
MEASURED_HERE = "<!-- measured -->"  # in index.html: what it says of the card
HEADLINE = "What is in this picture?"  # of index.html
FEW_CLASSES = 4  # of at most so many, the headline names all …
LONGEST_HEADLINE = 60  # … if it has at most so many letters


class RuntimeMissing(RuntimeError):
    """What runs models in a browser isn't on this machine; says how to fetch it."""


class PageTooLarge(ValueError):
    """A model's page would have more than `MOST` bytes."""


def build_page(model=DEFAULT, folder=PAGE, samples=None):
    """Write a page that runs a model in the visitor's browser, as static files.

    Returns its folder. The page begins with index.html; the name of every other file
    holds the start of its SHA-256, so no browser shows an older one. The folder appears
    whole or not at all, instead of an older page.

    model: a file of `export_onnx`; or a file of `save_classifier`, a known name or a
        `Classifier`, which are exported first. Large weights go to 16 bits where that
        leaves the answers for `SAMPLES` and `samples` as they are, and moves no
        probability by more than `MOVED` and no distance by more than `APART`.
    samples: for visitors to try, {name: whatever `load_image` takes}, or a list of
    paths and names of sample photographs. None: `SAMPLES` for a model that knows
    classes of ImageNet, nothing for others.
    The model card beside a model's file goes along, see `card_beside`.

    Raises RuntimeMissing without onnxruntime-web; ModelFileError and whatever
    `load_classifier` raises for a file that is no such model; FileExistsError for a
    folder that holds something else than a page; PageTooLarge over `MOST` bytes."""
    with _new_page(folder) as page:
        named = _named(() if samples is None else samples)
        tried = [*SAMPLES, *(source for _, source in named)]
        exported, network = _exported(model, page.with_name("model.onnx"), tried)
        if samples is None:
            named = _named(_default_samples(exported))
        known = exported.familiar
        details = {
            "classes": [name for _, name in exported.classes],
            "sure": sure_from(len(exported.classes)),
            "within": None if known is None else known.within,
            "samples": _put_samples(page, named),
        }
        _put_parts(page, exported, network, details)
        card = card_beside(model, exported.name)
        index = (STATIC / "index.html").read_text(encoding="utf-8")
        index = index.replace(HEADLINE, _headline(details["classes"]))
        index = index.replace(MEASURED_HERE, measured(card))
        _put_static(page, index, _licences(exported), card)
    return Path(folder).expanduser().absolute()


def build_training_page(folder=TRAINING_PAGE, model=DEFAULT):
    """Write a page that learns from the visitor's pictures in the visitor's browser.

    It carries the network of `model`, a known name, without its last layer, with its
    large weights as whole numbers of 16 bits. All else is as in `build_page`, errors
    included, and its folder is returned, too. `load_trained` in apps.sharing reads what
    the page's visitors download."""
    if model not in REGISTRY:
        raise ValueError(
            f"A page that learns starts from a network by name, not from {model}: "
            f"leave the model out, or name one of {', '.join(REGISTRY)}."
        )
    with _new_page(folder) as page:
        classifier = load_classifier(model)
        network = base_network(classifier, page.with_name("base.onnx"))
        details = {
            "width": base_of(classifier).output_shape[-1],
            "terms": classifier.terms,
        }
        _put_parts(page, classifier, network, details)
        index = (TRAIN / "index.html").read_text(encoding="utf-8")
        _put_static(page, index, _licences(classifier))
    return Path(folder).expanduser().absolute()


@contextmanager
def _new_page(folder):
    """An empty folder, to be filled; afterwards it stands in the place of `folder`.

    If anything goes wrong, whatever was there stays. Beside the empty folder there's
    room for files that are no part of the page."""
    folder = Path(folder).expanduser().absolute()
    _check_folder(folder)
    _runtime()  # without it nothing needs to begin
    with temporary_folder_in(folder.parent) as temporary:
        page = temporary / "page"
        page.mkdir()
        yield page
        _check_size(page)
        if folder.exists():
            os.replace(folder, temporary / "older")  # which goes with `temporary`
        os.replace(page, folder)


def _put_parts(page, classifier, network, details):
    """Put a network, the runtime and page.json, which names them, into a page.

    network: its ONNX file, bytes; details: what else page.json says."""
    script, binary = _runtime()
    # A quarter of its bytes: browsers unpack it, so no host has to be set up.
    packed = gzip.compress(binary, COMPRESSION, mtime=0)
    description = {
        "name": classifier.name,
        "size": classifier.size,
        "rule": asdict(classifier.rule),
        # Every web server sends .bin; some don't know .onnx, .wasm or .gz.
        "model": _put(page, "network.bin", network),
        "script": _put(page, "ort.js", script),
        "binary": _put(page, "ort.bin", packed),
        "most": {"bytes": MAX_BYTES, "pixels": MAX_PIXELS},
        **details,
    }
    text = json.dumps(description, ensure_ascii=False, indent=1)
    _put(page, "page.json", text.encode())


def _check_folder(folder):
    """FileExistsError where a folder holds files that are no page's: they'd be lost."""
    if not folder.exists():
        return
    stems = {path.stem for path in (*STATIC.iterdir(), *TRAIN.iterdir())}
    stems |= {"network", "ort", "page", "sample"}
    hashed_name = rf"({'|'.join(stems)})-[0-9a-f]{{{HASHED}}}\.[a-z]+"
    names = sorted(path.name for path in folder.iterdir())
    for name in names:
        if name != "index.html" and not re.fullmatch(hashed_name, name):
            raise FileExistsError(
                f"{folder} holds more than a page, {name}: name another folder, or "
                "delete that one if you need nothing in it."
            )


def _check_size(page):
    """PageTooLarge over `MOST` bytes."""
    size = page_size(page)
    if size > MOST:
        raise PageTooLarge(
            f"The page would have {size / 1e6:.0f} MB, more than {MOST // 10**6}: "
            f"build on a smaller model, such as {DEFAULT}."
        )


def page_size(folder):
    """Bytes of all files of a page together."""
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return sum(file.stat().st_size for file in files)


def _put(page, name, data):
    """Write a file of a page under a name that changes with its content → that name."""
    stem, _, suffix = name.partition(".")
    content_hash = sha256(data).hexdigest()[:HASHED]
    hashed_name = f"{stem}-{content_hash}.{suffix}"
    (page / hashed_name).write_bytes(data)
    return hashed_name


def _headline(classes):
    """What a page asks, HTML: for a few classes, which of them it is.

    classes: their names, which are strangers' texts."""
    names = [printable(name).replace("_", " ") for name in classes]
    *others, last = names
    text = f"{', '.join(others)} or {last}?"
    if not 2 <= len(names) <= FEW_CLASSES or len(text) > LONGEST_HEADLINE:
        return HEADLINE
    return html.escape(text[0].upper() + text[1:])


def _put_static(page, index, licences, card=""):
    """Write index.html, with what it needs of STATIC and TRAIN.

    In these files the names of others become the names that those have in the page.
    index: its HTML; licences, card: texts that go into licences.txt, and into card.html
    as HTML."""
    known = {}
    for path in (*STATIC.iterdir(), *TRAIN.iterdir()):
        known[path.name] = path.read_text(encoding="utf-8")
    known["licences.txt"] += licences
    known["card.html"] = known["card.html"].replace(CARD_HERE, card_as_html(card))
    texts = _needed(index, known)
    hashed_names = {}
    while texts:
        # A file's hash depends on the names in it, so the files it mentions come first.
        name = next(
            name for name in sorted(texts) if not _mentioned(texts[name], texts)
        )
        text = _renamed(texts.pop(name), hashed_names)
        hashed_names[name] = _put(page, name, text.encode())
    files = " ".join(sorted(path.name for path in page.iterdir()))
    index = _renamed(index, hashed_names)
    index = index.replace('data-files=""', f'data-files="{files}"')
    (page / "index.html").write_text(index, encoding="utf-8")


def _needed(index, known):
    """The texts that an HTML file mentions, and those that they mention: {name: text}.
    known: all there are."""
    needed = {}
    names = _mentioned(index, known)
    while names:
        name = names.pop()
        if name not in needed:
            needed[name] = known[name]
            names += _mentioned(known[name], known)
    needed.pop("index.html", None)
    return needed


def _quoted(name):
    """A pattern for a file's name in quotes, as another file's address."""
    return rf'"(\./)?{re.escape(name)}"'


def _mentioned(text, names):
    """Those of the names that a text has in quotes."""
    return [name for name in names if re.search(_quoted(name), text)]


def _renamed(text, new_names):
    """A text with the names in quotes replaced: {old: new}."""
    for old, new in new_names.items():
        text = re.sub(_quoted(old), rf'"\g<1>{new}"', text)
    return text


def _runtime():
    """onnxruntime-web as (script, WebAssembly), bytes."""
    dist = RUNTIME / "dist"
    try:
        return (dist / SCRIPT).read_bytes(), (dist / BINARY).read_bytes()
    except OSError as error:
        raise RuntimeMissing(
            "onnxruntime-web, which runs models in a browser, is not on this machine. "
            "`make page` fetches it, once; without make, `npm ci --ignore-scripts` "
            "does, in apps/page. Both need npm, which comes with Node.js "
            "(https://nodejs.org), and a network."
        ) from error


def _exported(model, path, tried):
    """A model as (an `Exported` that has answered once, what browsers get of it:
    bytes).

    path: for its ONNX file; tried: pictures that 16 bits are tried with."""
    shown_name = _write_onnx(model, path)
    try:
        exported = load_exported(path)  # the copy: nothing beside the file goes along
        probabilities = exported.probabilities(["cat"])
        if exported.familiar is not None:
            exported.network.nearest(exported.prepare(["cat"]))
            _forget_names(path, exported.familiar)
    except MemoryError:
        raise
    except Exception as error:  # the runtime raises its own kinds
        reason = str(error).replace(str(path), "it")
        raise ModelFileError(
            f"{shown_name} cannot be used for a page: {reason:.300}"
        ) from error
    classes = len(exported.classes)
    has_right_shape = probabilities.shape == (1, classes)
    if not has_right_shape or not np.allclose(probabilities.sum(), 1, atol=1e-3):
        raise ModelFileError(
            f"{shown_name} cannot be used for a page: for a picture of raw RGB, 0…255, "
            f"it does not give {classes} probabilities. Scaling and softmax belong "
            "into the file: export the model by apps.sharing.exporting.export_onnx."
        )
    return exported, _with_small_weights(path, exported, tried)


def _forget_names(path, known):
    """Number the images that an ONNX file's classifier learned from.

    The page doesn't show what they're called, and whoever publishes it may not want
    others to read that. known: their `Familiar`."""
    import onnx

    numbers = tuple(str(i + 1) for i in range(len(known.names)))
    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == DOCUMENT:
            entry.value = document(replace(known, names=numbers))
    onnx.save(model, path)


def _write_onnx(model, path):
    """Write a model's ONNX file to a path → what to call the model in messages."""
    if str(model).endswith(".onnx"):
        source = Path(model).expanduser()
        if not source.is_file():
            raise FileNotFoundError(
                f"There is no file {source}: check its name and folder."
            )
        shutil.copyfile(source, path)
        return model
    if str(model).endswith(".tflite"):
        raise ModelFileError(
            f"{model}: browsers run ONNX. Export the model by export_onnx."
        )
    if isinstance(model, Classifier):
        classifier = model
    elif str(model).endswith(".json"):
        classifier = load_trained(model)
    else:
        classifier = load_classifier(model)
    export_onnx(classifier, path)
    return classifier.name


def base_network(classifier, path):
    """A classifier's network without its last layer, for a page that learns: bytes.

    The graph takes "image", RGB 0…255, and works out "features", but has no outputs:
    the page's graph.js names the features as output, or puts a head on them. path: for
    an ONNX file on the way."""
    import onnx

    from helpers import keras

    image = keras.Input((classifier.size, classifier.size, 3))
    prepared = preprocessed(image, classifier.preprocess_input)
    model = keras.Model(image, base_of(classifier)(prepared, training=False))
    shape = keras.InputSpec("float32", model.input_shape, name="image")
    with quiet():
        model.export(str(path), format="onnx", input_signature=[shape], verbose=False)
    exported = onnx.load(path)
    graph = exported.graph
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    (output,) = graph.output
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == output.name:
                node.output[i] = "features"
    del graph.output[:]
    nodes = []
    for tensor in list(graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= LARGE:
            nodes += _in_steps(graph, tensor, values)
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    return exported.SerializeToString()


def _in_steps(graph, tensor, values):
    """Put whole numbers of 16 bits into a tensor of a graph → the nodes that make
    weights of them again.

    For each output channel there's a step of its own, so features move by a seventh of
    what they do by floats of 16 bits, at the same size."""
    import onnx

    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    step = np.where(largest > 0, largest / STEPS, 1).astype(np.float32)
    whole_numbers = np.rint(values / step).astype(np.int16)
    name = tensor.name
    names = [f"{name}_{part}" for part in ("int16", "float", "step")]
    tensor.CopyFrom(onnx.numpy_helper.from_array(whole_numbers, names[0]))
    graph.initializer.append(onnx.numpy_helper.from_array(step, names[2]))
    return [
        onnx.helper.make_node("Cast", names[:1], names[1:2], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Mul", names[1:], [name]),
    ]


def _with_small_weights(path, exported, tried):
    """An ONNX file with its large weights in 16 bits: bytes.

    Visitors wait half as long; the runtime widens the weights when it loads them, and
    computes as before. Where that would say anything else of the pictures `tried`, it's
    the file as it is. exported: the file's `Exported`."""
    import onnx

    model = onnx.load(path)
    # Whoever runs the network may give other values for these.
    inputs = {tensor.name for tensor in model.graph.input}
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        # What is small, such as a scale for each channel, saves nothing and moves much.
        is_large = values.dtype == np.float32 and values.size >= LARGE
        if is_large and tensor.name not in inputs:
            casts.append(_halve(tensor, values))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    small = path.with_stem("small")
    onnx.save(model, small)
    if _agree(exported, load_exported(small), tried):
        return small.read_bytes()
    return path.read_bytes()


def _agree(one, other, pictures):
    """Whether two `Exported` say the same of some pictures.

    That is the same class for each, and the same of whether it's like those learned
    from; probabilities within `MOVED` of each other, and distances within `APART`."""
    before = one.probabilities(pictures)
    after = other.probabilities(pictures)
    if not np.array_equal(before.argmax(axis=1), after.argmax(axis=1)):
        return False
    if not np.abs(before - after).max() <= MOVED:  # also where it's NaN
        return False
    if one.familiar is None:
        return True
    batch = one.prepare(pictures)
    before, _ = one.network.nearest(batch)
    after, _ = other.network.nearest(batch)
    within = one.familiar.within
    same_verdicts = np.array_equal(before > within, after > within)
    return same_verdicts and bool(np.abs(before - after).max() <= APART)


def _halve(tensor, values):
    """Put 16 bits of its values into a tensor → the node that widens them again."""
    import onnx

    wide_name = tensor.name
    narrow_name = f"{wide_name}_float16"
    with np.errstate(over="ignore"):  # what no longer fits is seen in the answers
        narrow = values.astype(np.float16)
    tensor.CopyFrom(onnx.numpy_helper.from_array(narrow, narrow_name))
    return onnx.helper.make_node(
        "Cast",
        [narrow_name],
        [wide_name],
        to=onnx.TensorProto.FLOAT,
    )


def _default_samples(exported):
    """`SAMPLES` for a model that knows classes of ImageNet, nothing for others."""
    imagenet = {wnid for wnid, _ in imagenet_classes()}
    if any(wnid in imagenet for wnid, _ in exported.classes):
        return SAMPLES
    return ()


def _named(samples):
    """Samples as `build_page` takes them → [(name, what `load_image` takes), …]."""
    if isinstance(samples, dict):
        return list(samples.items())
    return [(Path(source).stem, source) for source in samples]


def _put_samples(page, named):
    """Put the samples into the page → [{name, file}, …]."""
    entries = []
    for name, source in named:
        image = load_image(source)
        image.thumbnail((SIDE, SIDE))
        data = io.BytesIO()
        image.save(data, "JPEG", quality=QUALITY)
        file = _put(page, "sample.jpg", data.getvalue())
        entries.append({"name": name, "file": file})
    return entries


def _licences(exported):
    """What licences.txt says of the model, with each licence that its terms name."""
    title = f"The model: {printable(exported.name)}"
    terms = printable(exported.terms) or (
        "Its file says nothing of terms: ask whoever made it, and whoever made what it "
        "was made of."
    )
    underline = "=" * len(title)
    sections = [f"{title}\n{underline}\n\n{textwrap.fill(terms, LINE)}\n"]
    for licence, link in LICENCES.items():
        if link in exported.terms:
            file = ROOT / "LICENSES" / f"{licence.replace(' ', '-')}.txt"
            sections.append(file.read_text(encoding="utf-8"))
    return "".join(f"\n{section}" for section in sections)


def _say_of_card(model, page):
    """Print what's still to do about the model card beside a model's file."""
    path = Path(model).expanduser().with_name(CARD)
    if any(page.glob("card-*.html")):
        open_places = unfilled(path.read_text(encoding="utf-8", errors="replace"))
        if open_places == 1:
            print(
                f"1 place in {path} is still TO FILL IN, and visitors will see it: "
                "fill it in, then run this again."
            )
        elif open_places:
            print(
                f"{open_places} places in {path} are still TO FILL IN, and visitors "
                "will see them: fill them in, then run this again."
            )
    elif Path(model).is_file() and path.is_file():
        print(
            f"{path} isn't on it: it's of another model, or the model has changed "
            "since it was measured."
        )


def main(arguments=None):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m apps.page.build",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT,
        help=".onnx, .keras, .json of a page that learns, or a known name; default: "
        "%(default)s",
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help=f"default: {PAGE}, or {TRAINING_PAGE} with --train",
    )
    parser.add_argument(
        "--train",
        action="store_true",
        help="a page that learns from its visitors' own pictures",
    )
    parser.add_argument(
        "--samples",
        nargs="*",
        metavar="PICTURE",
        help="files visitors can try",
    )
    options = parser.parse_args(arguments)
    if options.train and options.samples:
        parser.error("a page that learns has no samples: leave --samples out")
    try:
        if options.train:
            page = build_training_page(options.to or TRAINING_PAGE, options.model)
        else:
            page = build_page(options.model, options.to or PAGE, options.samples)
    except (RuntimeMissing, WeightsUnavailable, ValueError, OSError) as error:
        print(f"No page is written: {error}", file=sys.stderr)
        return 1
    megabytes = page_size(page) / 1e6
    serve = ["-m", "http.server", "--bind", "127.0.0.1", "--directory", page]
    print(f"{page}: {megabytes:.1f} MB, to be put on any web host as it is.")
    _say_of_card(options.model, page)
    print("How to put it online is in apps/page/README.md.")
    print(
        "To look at it here, this serves it at http://127.0.0.1:8000 until you press "
        "Ctrl+C:"
    )
    print(typed(sys.executable, *serve))
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
