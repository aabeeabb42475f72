"""What a network's answers depend on, as a short text: what was computed for the
same key is still right, and a changed key says that it has to be computed again."""

import io
import json
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from PIL import Image

from helpers.images import resize
from helpers.networks import NetworkError, check_graph, replay
from safeguards.pictures import ImageError

RUNTIMES = "keras", "tensorflow", "numpy", "pillow"
LARGE = 4000, 3000  # pixels of the largest test picture: a photograph of 12 megapixels
DIGITS = 3  # of outputs: other processors differ by about a millionth
FORGOTTEN = "name", "trainable"  # of a layer's configuration: its outputs do not depend on them


def key_of(network, size, rule, preprocess_input, *more):
    """SHA-256, in hexadecimal, of all that a network's outputs for picture files
    depend on. Those are: how it is built (without the names of layers), its weights,
    what it makes of fixed noise, the packages that compute it, and what our reader
    makes of fixed picture files, which it is given in `size` and `rule`. network:
    (n, size, size, 3) → numbers, a Keras model or any other callable;
    preprocess_input: what comes before it; more: texts to put into the key."""
    rng = np.random.default_rng(0)
    few = np.concatenate([np.zeros((1, 8, 8, 3)), rng.uniform(0, 255, (2, 8, 8, 3))])
    noise = rng.uniform(0, 255, (2, size, size, 3)).astype("float32")
    weights = network.get_weights() if hasattr(network, "get_weights") else []
    texts = [f"{size} {rule}", *more, *_versions(), _read(size, rule), *_steps(network)]
    texts += [_exactly(preprocess_input(few.astype("float32"))), *map(_exactly, weights)]
    texts += [_roughly(_outputs(network, preprocess_input(noise)))]
    return sha256("\n".join(texts).encode()).hexdigest()


def _exactly(array):
    array = np.ascontiguousarray(array)
    return f"{array.dtype} {array.shape} {sha256(array.tobytes()).hexdigest()}"


def _roughly(array):
    """A few weighted sums, to so many digits that processors agree on."""
    array = np.asarray(array, "float64")
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (4, *array.shape[1:]))
    sums = np.tensordot(array, signs, (range(1, array.ndim), range(1, array.ndim)))
    sums /= np.sqrt(max(1, signs[0].size))
    scale = np.sqrt(np.square(array).mean())
    log_scale = np.log(scale) if scale > 0 else 0.0
    shares = np.round([log_scale, *np.ravel(sums / scale if scale > 0 else sums)], DIGITS)
    return f"{array.shape} {(shares + 0.0).tolist()}"  # adding 0 makes one of 0.0 and -0.0


def _outputs(network, batch):
    if hasattr(network, "get_weights"):
        return np.asarray(network(batch, training=False)).astype("float64")
    return network(batch)


def _versions():
    for name in (*RUNTIMES, "onnxruntime", "ai-edge-litert"):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:  # a runtime that is not here computes nothing
            yield f"{name} none"


# -- how a network is built ------------------------------------------------------------


def _steps(network):
    """A line for each step of a network: what it does and with which earlier steps'
    outputs. What is nested is written out, so that only what is computed counts."""
    lines = []

    def call(operation, *arguments, **options):
        about = _about(operation)
        lines.append(json.dumps([about, arguments, options], sort_keys=True, default=_text))
        outputs = len(operation._inbound_nodes[0].output_tensors)
        found = [f"step {len(lines)} output {k}" for k in range(outputs)]
        return found if outputs > 1 else found[0]

    try:
        check_graph(network)
    except NetworkError:  # its steps are not known: what it makes of noise has to tell
        return [type(network).__qualname__]
    replay(network, [f"input {k}" for k in range(len(network.inputs))], call)
    return lines


def _about(operation):
    kind = type(operation)
    try:
        config = operation.get_config()
    except NotImplementedError:  # a layer of somebody's own: its outputs for noise tell
        config = {}
    if function := getattr(operation, "function", None):  # a Lambda's: without where it was written
        config = {"function": _text(function), "arguments": config.get("arguments")}
    return [f"{kind.__module__}.{kind.__qualname__}", _bare(config)]


def _bare(config):
    """A configuration without what changes nothing."""
    if isinstance(config, dict):
        if "DTypePolicy" in str(config.get("class_name")):  # its name says what it does
            return config
        return {key: _bare(value) for key, value in config.items() if key not in FORGOTTEN}
    return [*map(_bare, config)] if isinstance(config, list | tuple) else config


def _text(value):
    """Anything that JSON does not know, without its place in memory."""
    if isinstance(value, slice):
        return repr((value.start, value.stop, value.step))
    if hasattr(value, "__code__"):
        return json.dumps(_function(value, ()), default=_text)
    if hasattr(value, "__array__"):
        return _exactly(np.asarray(value))
    return getattr(value, "__qualname__", type(value).__qualname__)


def _function(function, callers):
    """What a function does, as far as Python can tell: its code, its defaults, and the values and
    functions around it. callers: those whose description this one is part of."""
    if function in callers:
        return function.__qualname__
    around = [cell.cell_contents for cell in function.__closure__ or ()]
    inner = [
        _function(value, (*callers, function)) if hasattr(value, "__code__") else value
        for value in around
    ]
    return [_code(function.__code__), function.__defaults__, function.__kwdefaults__, inner]


def _code(code):
    """A code object and those inside it, without the file and line they stand in."""
    constants = [_code(c) if hasattr(c, "co_code") else repr(c) for c in code.co_consts]
    return [code.co_code.hex(), code.co_names, constants]


# -- what our reader makes of files ----------------------------------------------------


@cache  # a tenth of a second for each size and rule, once a process
def _read(size, rule):
    """A hash of the pixels that `resize` makes of fixed picture files."""
    found = sha256()
    for data in _files():
        try:
            found.update(np.asarray(resize(data, size, rule)).tobytes())
        except ImageError as error:
            found.update(type(error).__name__.encode())
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
    turned = Image.Exif()
    turned[0x0112] = 6
    pictures = [
        *((small.convert(mode), "JPEG", {}) for mode in ("RGB", "L", "CMYK")),
        (small, "JPEG", {"exif": turned}),
        *((small.convert(mode), "PNG", {}) for mode in ("RGB", "L", "P", "1")),
        *((clear.convert(mode), "PNG", {}) for mode in ("RGBA", "LA")),
        (Image.fromarray(grey), "PNG", {}),
        (small.resize(LARGE, Image.Resampling.NEAREST), "JPEG", {}),
    ]
    return tuple(_bytes(*picture) for picture in pictures)


def _bytes(picture, kind, options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
