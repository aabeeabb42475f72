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

from safeguards.compiled import compiled
from safeguards.memory import one_at_a_time
from safeguards.networks import NetworkError, check_graph, parts, replay
from safeguards.pictures import ImageError

RUNTIMES = (
    "keras",
    "tensorflow",
    "numpy",
    "pillow",
    "pillow-heif",  # only where somebody asked for it
    "onnxruntime",
    "ai-edge-litert",
)
LARGE = (
    4000,
    3000,
)  # pixels of the largest test picture: a photograph of 12 megapixels
SHOWN = 6  # of the prepared pictures are computed: the preparation shows in all
DIGITS = 3  # of outputs: other processors differ by about a millionth
PROJECTIONS = 4  # weighted sums of a row of outputs
ORIENTATION = 0x0112  # the Exif tag for which way is up
# Keras's own layers that run what somebody else wrote.
CARRIERS = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
# Of a layer's configuration: its outputs do not depend on them.
FORGOTTEN = ("name", "trainable")
TRAINING = ("_initializer", "_regularizer", "_constraint")  # ends of such names


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
    texts = [
        f"{size} {rule}",
        *more,
        *_versions(),
        _read(size, rule, resize),
        _exactly(prepared),
    ]
    try:
        texts += _steps(network)
        # Compiled, a network that is asked for its key again answers six times as fast.
        run = network if hasattr(network, "digest") else compiled(network)
        outputs = one_at_a_time(run, prepared[-SHOWN:])
        texts.append(_roughly(outputs))
    except NetworkError:
        texts.append(uuid4().hex)
    return sha256("\n".join(texts).encode()).hexdigest()


def picture_key(image):
    """SHA-256 of an RGB picture's size and pixels, whatever file it came from."""
    size = str(image.size).encode()
    return sha256(size + image.tobytes()).hexdigest()


def undescribed(network):
    """Why a network's configuration and weights do not say all that it does, in two
    sentences, or None where they do: where all layers and functions are Keras's own.
    Other code can change while its name and its settings stay the same."""
    try:
        described(network)
    except NetworkError as error:
        return str(error)
    return None


def described(network):
    """What a network does, weights apart, as a list of texts: the same for the same
    steps and settings. NetworkError where `undescribed` says why not."""
    return _steps(network, with_weights=False)


def _pictures(size):
    """Pictures that show what is done to them: the colours without grey, at last black
    and white, ramps through all values, noise of pixels and of larger squares:
    float32 (12, size, size, 3)."""
    rng = np.random.default_rng(0)
    corners = list(product((0, 255), repeat=3))  # of all colours, black to white
    black, *colours, white = corners
    colours += [black, white]
    count = size * size
    ramp = np.arange(count).reshape(size, size, 1)
    ramp = ramp * 256 // max(256, count)
    squares = np.arange(size) * 8 // size
    shape = (size, size, 3)
    coloured_ramp = (ramp + [0, 85, 170]) % 256
    noise = rng.integers(0, 256, shape)
    coarse_noise = rng.integers(0, 256, (8, 8, 3))
    coarse_noise = coarse_noise[squares][:, squares]
    pictures = np.array(colours)[:, None, None]
    pictures = [*pictures, ramp, coloured_ramp, noise, coarse_noise]
    pictures = [np.broadcast_to(picture, shape) for picture in pictures]
    return np.stack(pictures).astype("float32")


def _exactly(array):
    array = np.ascontiguousarray(array)
    digest = sha256(array.tobytes()).hexdigest()
    return f"{array.dtype} {array.shape} {digest}"


def _roughly(outputs):
    """A few weighted sums of each row, to so many digits that processors agree on."""
    rows = np.asarray(outputs).astype("float64")
    rows = rows.reshape(len(outputs), -1)
    width = rows.shape[1]
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], (width, PROJECTIONS))
    squares = np.square(rows)
    scale = np.sqrt(squares.mean(axis=1, keepdims=True))
    floor = 1e-3 * scale.max() + 1e-30
    scale = np.maximum(scale, floor)
    sums = rows @ signs / scale / np.sqrt(width)
    shares = np.hstack([np.log(scale), sums])
    rounded = np.round(shares, DIGITS) + 0.0  # adding 0: no -0.0
    return str(rounded.tolist())


def _versions():
    for name in RUNTIMES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:  # a runtime that is not here computes nothing
            yield f"{name} none"


# -- how a network is built ------------------------------------------------------------


def _steps(network, with_weights=True):
    """A line for each step of a network: what it does, with which weights and which
    earlier steps' outputs. What is nested is written out, so that only what is
    computed counts. NetworkError where Keras's configuration does not say that, for
    which the weights, megabytes to hash, need not be read."""
    if hasattr(network, "digest"):
        return [network.digest]

    check_graph(network)
    lines = []

    def call(step, *arguments, **options):
        lines.append(_line(step, arguments, options, with_weights))
        count = len(step._inbound_nodes[0].output_tensors)
        names = [f"step {len(lines)} output {k}" for k in range(count)]
        return names if count > 1 else names[0]

    inputs = [f"input {k}" for k in range(len(network.inputs))]
    outputs = replay(network, inputs, call)
    dtypes = set()
    for model in _models_in(parts(network)):
        check_own(model)
        dtypes.update(str(tensor.dtype) for tensor in model.inputs)
    return [*lines, f"{outputs} {sorted(dtypes)}"]


def _models_in(layers):
    import keras

    return [layer for layer in layers if isinstance(layer, keras.Model)]


def _line(step, arguments, options, with_weights):
    """A step's class, settings and weights, the steps of networks that it holds, such
    as TimeDistributed, and what it is given."""
    import keras

    inner = [step]
    if isinstance(step, keras.Layer):
        inner = parts(step)
    for each in inner:
        check_own(each)
    kind = type(step)
    name = f"{kind.__module__}.{kind.__qualname__}"
    weights = getattr(step, "weights", ()) if with_weights else ()
    weights = [_exactly(weight) for weight in weights]
    try:
        config = _essential(step.get_config())
        networks = [_steps(model, with_weights) for model in _models_in(inner)]
        line = [name, config, weights, arguments, options, *networks]
        return json.dumps(line, sort_keys=True, default=_text)
    except (NotImplementedError, TypeError) as error:
        raise _foreign(step, "is given what Keras cannot write down") from error


def check_own(layer):
    """NetworkError where a layer, or a function that it holds, is not Keras's own."""
    import keras

    carries = type(layer).__name__ in CARRIERS
    code = [type(layer)]
    if not isinstance(layer, keras.Model):
        for name, value in vars(layer).items():
            if callable(value) and not name.endswith(TRAINING):
                code.append(value)
    for one in code:
        module = getattr(one, "__module__", None) or type(one).__module__
        if carries or not module.startswith("keras."):
            name = getattr(one, "__qualname__", type(one).__qualname__)
            raise _foreign(layer, f"runs code that is not Keras's own ({name})")


def _foreign(step, what):
    return NetworkError(
        f"{step.name!r} {what}, so nobody can tell from outside what it does, or "
        "whether that has changed. Use Keras's own layers and functions in its place."
    )


def _essential(config):
    """A configuration without what changes nothing, or is said by a network's steps."""
    if isinstance(config, list | tuple):
        return [_essential(value) for value in config]
    if not isinstance(config, dict):
        return config
    kind = str(config.get("class_name"))
    if "DTypePolicy" in kind:  # whose name says what it does
        return config
    if kind in ("Functional", "Sequential"):
        return kind
    essential = {}
    for name, value in config.items():
        if name not in FORGOTTEN and not name.endswith(TRAINING):
            essential[name] = _essential(value)
    return essential


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
    pixels = sha256()
    for data in _files():
        try:
            image = resize(data, size, rule)
            pixels.update(np.asarray(image).tobytes())
        except ImageError as error:
            pixels.update(error.kind.encode())
    return pixels.hexdigest()


@cache
def _files():
    """Picture files as bytes: each way of keeping a picture once, small, and a large
    photograph."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (12, 16, 3), "uint8")
    small = Image.fromarray(noise).resize((64, 48))
    small_grey = small.convert("L")
    clear = small.convert("RGBA")
    clear.putalpha(small_grey)
    grey = np.asarray(small_grey).astype("uint16")
    grey = grey * 257 - 100  # of 16 bits
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    files = []
    for mode in ("RGB", "L", "CMYK"):
        files.append(_bytes(small.convert(mode), "JPEG"))
        files.append(_bytes(small.convert(mode), "TIFF"))
    files.append(_bytes(small, "JPEG", progressive=True, icc_profile=profile))
    for turn in range(2, 9):
        held = Image.Exif()
        held[ORIENTATION] = turn
        files.append(_bytes(small, "JPEG", exif=held))
    for mode in ("RGB", "L", "P", "1"):
        files.append(_bytes(small.convert(mode), "PNG"))
    for mode in ("RGBA", "LA"):
        files.append(_bytes(clear.convert(mode), "PNG"))
    for mode in ("L", "P"):
        files.append(_bytes(small.convert(mode), "PNG", transparency=9))
    files.append(_bytes(small, "PNG", transparency=small.getpixel((0, 0))))
    deep = Image.fromarray(grey)
    files.append(_bytes(deep, "PNG"))
    files.append(_bytes(deep, "PNG", transparency=int(grey[0, 0])))
    files.append(_bytes(deep, "TIFF"))
    files.append(_bytes(Image.fromarray(grey / np.float32(65535)), "TIFF"))
    files.append(_bytes(clear, "WEBP", lossless=True))
    for kind in ("GIF", "BMP"):
        files.append(_bytes(small.convert("P"), kind))
    files.append(_bytes(small, "GIF", save_all=True, append_images=[clear]))
    for side in ((9, 9), (300, 20), (20, 300)):
        files.append(_bytes(small.resize(side), "PNG"))
    files.append(_bytes(small.resize(LARGE, Image.Resampling.NEAREST), "JPEG"))
    return tuple(files)


def _bytes(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
