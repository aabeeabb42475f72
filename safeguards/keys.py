"""What a network's answers depend on, as a short text: what was computed for the
same key is still right, and a changed key says that it has to be computed again."""

import io
import json
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from types import EllipsisType
from uuid import uuid4

import numpy as np
from PIL import Image, ImageCms

from safeguards.networks import NetworkError, check_graph, parts, replay
from safeguards.pictures import ImageError

RUNTIMES = "keras", "tensorflow", "numpy", "pillow"
LARGE = 4000, 3000  # pixels of the largest test picture: a photograph of 12 megapixels
SHOWN = 6  # of the prepared pictures are computed: the preparation shows in all
DIGITS = 3  # of outputs: other processors differ by about a millionth
# Keras's own layers that run what somebody else wrote.
CARRIERS = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
# Of a layer's configuration: its outputs do not depend on them.
FORGOTTEN = "name", "trainable"
TRAINING = "_initializer", "_regularizer", "_constraint"  # ends of such names


def key_of(network, size, rule, resize, preprocess_input, *more):
    """SHA-256, in hexadecimal, of all that a network's outputs for picture files
    depend on. Those are: its steps, with their settings and weights (without names),
    what it makes of fixed pictures, the packages that compute it, and what our reader
    makes of fixed picture files. Where nobody can tell all of that (see `undescribed`),
    the key is another one each time.
    network: (n, size, size, 3) → numbers, a Keras model, or a file's graph with its
    `digest`; resize: our reader, (file, size, rule) → an image; preprocess_input: what
    comes before the network; more: texts to put into the key."""
    prepared = preprocess_input(_pictures(size))
    texts = [f"{size} {rule}", *more, *_versions(), _read(size, rule, resize), _exactly(prepared)]
    options = {} if hasattr(network, "digest") else {"training": False}
    try:
        texts += [*_steps(network), _roughly(network(prepared[-SHOWN:], **options))]
    except NetworkError:
        texts.append(uuid4().hex)
    return sha256("\n".join(texts).encode()).hexdigest()


def undescribed(network):
    """Why a network's configuration and weights do not say all that it does, in two
    sentences, or None where they do: where all layers and functions are Keras's own.
    Other code can change while its name and its settings stay the same."""
    try:
        _steps(network)
    except NetworkError as error:
        return str(error)
    return None


def _pictures(size):
    """Pictures that show what is done to them: the colours without grey, at last black
    and white, ramps through all values, noise of pixels and of larger squares:
    float32 (12, size, size, 3)."""
    rng = np.random.default_rng(0)
    plain = np.array([*product((0, 255), repeat=3)])[[*range(1, 7), 0, 7], None, None]
    ramp = np.arange(size * size).reshape(size, size, 1) * 256 // max(256, size * size)
    squares = np.arange(size) * 8 // size
    pictures = [
        *plain,
        ramp,
        (ramp + [0, 85, 170]) % 256,
        rng.integers(0, 256, (size, size, 3)),
        rng.integers(0, 256, (8, 8, 3))[squares][:, squares],
    ]
    return np.stack([np.broadcast_to(p, (size, size, 3)) for p in pictures]).astype("float32")


def _exactly(array):
    array = np.ascontiguousarray(array)
    return f"{array.dtype} {array.shape} {sha256(array.tobytes()).hexdigest()}"


def _roughly(outputs):
    """A few weighted sums of each row, to so many digits that processors agree on."""
    rows = np.asarray(outputs).astype("float64").reshape(len(outputs), -1)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (rows.shape[1], 4))
    scale = np.sqrt(np.square(rows).mean(axis=1, keepdims=True))
    scale = np.maximum(scale, 1e-3 * scale.max() + 1e-30)
    shares = np.hstack([np.log(scale), rows @ signs / scale / np.sqrt(rows.shape[1])])
    return f"{(np.round(shares, DIGITS) + 0.0).tolist()}"  # adding 0: no -0.0


def _versions():
    for name in (*RUNTIMES, "onnxruntime", "ai-edge-litert"):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:  # a runtime that is not here computes nothing
            yield f"{name} none"


# -- how a network is built ------------------------------------------------------------


def _steps(network):
    """A line for each step of a network: what it does, with which weights and which
    earlier steps' outputs. What is nested is written out, so that only what is
    computed counts. NetworkError where Keras's configuration does not say that."""
    if hasattr(network, "digest"):
        return [network.digest]
    import keras

    check_graph(network)
    lines = []

    def call(step, *arguments, **options):
        lines.append(_line(step, arguments, options))
        outputs = len(step._inbound_nodes[0].output_tensors)
        found = [f"step {len(lines)} output {k}" for k in range(outputs)]
        return found if outputs > 1 else found[0]

    outputs = replay(network, [f"input {k}" for k in range(len(network.inputs))], call)
    models = [part for part in parts(network) if isinstance(part, keras.Model)]
    for model in models:
        _check(model)
    types = {f"{tensor.dtype}" for model in models for tensor in model.inputs}
    return [*lines, f"{outputs} {sorted(types)}"]


def _line(step, arguments, options):
    """A step's class, settings and weights, the steps of networks that it holds, such
    as TimeDistributed, and what it is given."""
    import keras

    inner = parts(step) if isinstance(step, keras.Layer) else [step]
    networks = [part for part in inner if isinstance(part, keras.Model)]
    for part in inner:
        _check(part)
    kind = f"{type(step).__module__}.{type(step).__qualname__}"
    weights = [_exactly(weight) for weight in getattr(step, "weights", ())]
    try:
        line = [kind, _bare(step.get_config()), weights, arguments, options]
        line += map(_steps, networks)
        return json.dumps(line, sort_keys=True, default=_text)
    except (NotImplementedError, TypeError) as error:
        raise _foreign(step, "is given what Keras cannot write down") from error


def _check(part):
    """NetworkError where a layer, or a function that it holds, is not Keras's own."""
    import keras

    held = {} if isinstance(part, keras.Model) else vars(part)
    held = [value for name, value in held.items() if not name.endswith(TRAINING)]
    for one in (type(part), *filter(callable, held)):
        module = getattr(one, "__module__", None) or type(one).__module__
        if not module.startswith("keras.") or type(part).__name__ in CARRIERS:
            name = getattr(one, "__qualname__", type(one).__qualname__)
            raise _foreign(part, f"runs code that is not Keras's own ({name})")


def _foreign(part, what):
    return NetworkError(
        f"{part.name!r} {what}, so nobody can tell from outside what it does, or whether "
        "that has changed. Use Keras's own layers and functions in its place."
    )


def _bare(config):
    """A configuration without what changes nothing, or is said by a network's steps."""
    if isinstance(config, list | tuple):
        return [*map(_bare, config)]
    kind = isinstance(config, dict) and f"{config.get('class_name')}"
    if not kind or "DTypePolicy" in kind:  # whose name says what it does
        return config
    if kind in ("Functional", "Sequential"):
        return kind
    kept = (key for key in config if key not in FORGOTTEN and not key.endswith(TRAINING))
    return {key: _bare(config[key]) for key in kept}


def _text(value):
    """What a step is given and JSON does not know: parts of an index, and arrays."""
    if hasattr(value, "__array__"):
        return _exactly(np.asarray(value))
    if isinstance(value, slice | EllipsisType):
        return repr(value)
    raise TypeError(value)


# -- what our reader makes of files ----------------------------------------------------


@cache  # a tenth of a second for each size and rule, once a process
def _read(size, rule, resize):
    """A hash of the pixels that `resize` makes of fixed picture files."""
    found = sha256()
    for data in _files():
        try:
            found.update(np.asarray(resize(data, size, rule)).tobytes())
        except ImageError as error:
            found.update(error.kind.encode())
    return found.hexdigest()


@cache
def _files():
    """Picture files as bytes: each way of keeping a picture once, small, and a large
    photograph."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), "uint8")).resize((64, 48))
    clear = small.convert("RGBA")
    clear.putalpha(small.convert("L"))
    grey = np.asarray(small.convert("L")).astype("uint16") * 257 - 100
    pictures = [
        *((small.convert(mode), "JPEG", {}) for mode in ("RGB", "L", "CMYK")),
        (small, "JPEG", {"progressive": True, "icc_profile": _profile()}),
        *((small, "JPEG", {"exif": _turned(turn)}) for turn in range(2, 9)),
        *((small.convert(mode), "PNG", {}) for mode in ("RGB", "L", "P", "1")),
        *((clear.convert(mode), "PNG", {}) for mode in ("RGBA", "LA")),
        *((small.convert(mode), "PNG", {"transparency": 9}) for mode in ("L", "P")),
        (small, "PNG", {"transparency": small.getpixel((0, 0))}),
        (Image.fromarray(grey), "PNG", {}),
        (Image.fromarray(grey), "PNG", {"transparency": int(grey[0, 0])}),
        *((small.convert(mode), "TIFF", {}) for mode in ("RGB", "L", "CMYK")),
        (Image.fromarray(grey), "TIFF", {}),
        (Image.fromarray(grey / np.float32(65535)), "TIFF", {}),
        (clear, "WEBP", {"lossless": True}),
        *((small.convert("P"), kind, {}) for kind in ("GIF", "BMP")),
        (small, "GIF", {"save_all": True, "append_images": [clear]}),
        *((small.resize(side), "PNG", {}) for side in ((9, 9), (300, 20), (20, 300))),
        (small.resize(LARGE, Image.Resampling.NEAREST), "JPEG", {}),
    ]
    return tuple(_bytes(*picture) for picture in pictures)


def _turned(turn):
    """EXIF data that says how a camera was held: 1…8."""
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def _profile():
    """A colour profile, for pictures whose numbers mean other colours than sRGB's."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def _bytes(picture, kind, options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
