"""Where a network looks: Grad-CAM for every model of the lessons, also a fine-tuned one."""

from functools import partial
from itertools import count
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from helpers.images import resize, to_batch
from helpers.models import Classifier
from safeguards.keys import undescribed
from safeguards.logits import check_logits, ends_in, picture_size
from safeguards.networks import only_trains, replay, run

PART = 8  # pictures at a time: for the gradients a network keeps much of what it computes
MOVED = 0.1  # of a side, or one place of a map: what is shown further off misleads visibly
FLAT = 1e-6  # of a gradient: what its places add up to, where they cancel each other
# What Keras's own steps do to places, by the names of their classes. POOLING and SLIDING: a window
# goes over them.
POOLING = {"MaxPooling2D", "AveragePooling2D", "MaxPool", "AveragePool"}
ADAPTIVE = {"AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D"}
SLIDING = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", *POOLING}
EDGES = {"ZeroPadding2D", "Cropping2D"}
# They make more or fewer places of the same part of the picture.
SCALING = {"UpSampling2D", "Resizing", "Resize", "Conv2DTranspose", *ADAPTIVE}
# Each place by itself, or a little of all places to each.
STAYING = {
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Dense", "Identity"),
    *("BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization"),
    *("RMSNormalization", "Normalization", "Rescaling", "Dropout", "ActivityRegularization"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Divide", "TrueDivide"),
    *("Negative", "Absolute", "Abs", "Square", "Sqrt", "Power", "Exp", "Log", "Log1p", "Cast"),
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "Mish", "Softplus"),
    *("Sigmoid", "HardSigmoid", "HardSilu", "Tanh", "Clip"),
    *("LayerScale", "CustomScaleLayer"),  # those of ConvNeXt and InceptionResNetV2
}
CHANNELS = {"Concatenate", "Flip", "Split", "Mean", "Max", "Min", "Sum"}  # where along these
# What may make the answer of the last maps, beside STAYING; CUTTING: not of maps themselves.
ENDING = {
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Mean", "Max", "Min", "Sum", "Flatten"),
    *("Reshape", "Squeeze", "ExpandDims", "Ravel", *SLIDING, *ADAPTIVE),
}
CUTTING = {"Concatenate", "Flip", "Split", "GetItem"}
OTHERWISE = (
    "To see what such a network goes by, cover parts of the picture, and compare its answers."
)
WHOLE = (0.0, 1.0), (0.0, 1.0)  # from the upper to the lower edge, from the left to the right
_explained = WeakKeyDictionary()  # network → its output, and what `_last_maps` found


def grad_cam(model, images, class_index=None):
    """Where a network finds what speaks for a class: float32 maps of 0…1 over the square it sees.
    Grad-CAM (Selvaraju et al. 2017) at the last layer that still tells places apart and is no
    pooling: its channels, each weighted by its mean gradient of the class's logit, are added, what
    is negative becomes 0, the largest value 1 (if all is 0, nothing there speaks for the class). Of
    a network with branches that meet after that, the last layers of all of them are added.
    model: a `Classifier`, or a Keras model of logits such as `new_model` makes; images: a picture,
    as `load_image` takes it, or a list; class_index: a position in the outputs, one for all or one
    a picture, None: the likeliest. Returns (size, size), for a list (n, size, size). ValueError
    where there is no such class, the model puts out no logits or has no `rule`, where its maps do
    not lie over the picture, reach the answer otherwise than pooled or flattened, or nobody knows
    (then with the layer's name), and where the score does not change with them."""
    many, (network, size, rule) = isinstance(images, (list, tuple)), _parts(model)
    pictures = images if many else [images]
    classes = network.output_shape[-1]
    wanted = np.broadcast_to(-1 if class_index is None else class_index, len(pictures))
    if class_index is not None and not all(0 <= index < classes for index in wanted):
        raise ValueError(f"The model has {classes} classes: class_index should be 0…{classes - 1}.")
    last = _last_maps(network, size)
    heat = np.empty((len(pictures), size, size), "float32")
    for start in range(0, len(pictures), PART):
        part = slice(start, start + PART)
        batch = to_batch(pictures[part], size, rule)
        if isinstance(model, Classifier):
            batch = model.preprocess_input(batch)
        maps, felt = _maps(network, last, batch, wanted[part])
        if not felt.all():
            raise ValueError(
                f"Grad-CAM cannot tell where the network looks in picture {start + felt.argmin()} "
                "(from 0): the class's score does not change with what its last maps add up to. "
                "So it is where weights are all 0, as before training, where a ReLU behind them is "
                "0 or a limit is reached, or where places speak for and against it alike. Train "
                "the model, or ask for another class or picture."
            )
        heat[part] = [_spread(places, size) for places in maps]
    return heat if many else heat[0]


def overlay(model, image, heat, side=192):
    """A picture in grey under the colours of its map: an RGB PIL image (side, side) of the square
    that the network sees, in more pixels. Light yellow: much speaks for the class there, dark blue:
    nothing (viridis, which brightness alone tells apart as well). model, image: as given to
    `grad_cam`; heat: the map it returned. ValueError where that has another size."""
    import matplotlib

    _, size, rule = _parts(model)
    if np.shape(heat) != (size, size):
        raise ValueError(f"A map of {np.shape(heat)}: give what grad_cam returns, {(size, size)}.")
    grey = np.asarray(resize(image, side, rule).convert("L"), "float32")[..., None] / 255
    colours = matplotlib.colormaps["viridis"](_spread(heat, side))[..., :3]
    return Image.fromarray(np.uint8(255 * (0.45 * grey + 0.55 * colours)))


def _parts(model):
    """(network, size, rule) of a `Classifier` or of a model that takes raw pictures."""
    if isinstance(model, Classifier):
        return model.network, model.size, model.rule
    if not hasattr(model, "rule"):  # a file does not keep it
        raise ValueError(
            "This model does not know how a picture becomes a square: set model.rule to its "
            "classifier's rule."
        )
    return model, picture_size(model), model.rule


class _Seen:
    """What a step of a network puts out.
    places: the part of the picture that its places lie over, as WHOLE, or None where it has no
    places; learned: a layer with weights took part, so that it is more than a prepared picture;
    last: the steps whose maps it was made of, as their numbers in `replay`, and, where the picture
    went on without one, "" as long as it has places, then the name of the step that gave these up.
    """

    def __init__(self, tensor, places, learned, last):
        self.tensor = tensor
        self.places = places
        self.learned = learned
        self.last = last


def _last_maps(network, size):
    """The numbers of a network's steps, as `replay` takes them, that put out its last maps: on each
    way from the picture to the answer the last one with places that is no pooling. Found with one
    picture that goes through. ValueError where a way has none, and for a step of which it is not
    known that it leaves places where they are, or only works on what was pooled."""
    from helpers import keras

    output, found = _explained.get(network, (None, None))
    if output is network.outputs[0]:  # else it was changed meanwhile, as a Sequential can be
        return found
    check_logits(network, "Grad-CAM")
    kind = ends_in(network)
    if kind.what == "logarithm" and kind.last:
        raise ValueError(
            "Grad-CAM needs logits, but this model puts out logarithms of probabilities, whose "
            "gradient vanishes where it is sure: take the model without them. Of a log_softmax, "
            "logits_of(model) from safeguards.logits does so."
        )
    why = undescribed(network)
    if why:
        raise ValueError(f"Grad-CAM explains networks of Keras's own layers: {why}")
    numbers, maps = count(), {}

    def call(step, *arguments, **options):
        number = next(numbers)
        given = [x for x in keras.tree.flatten((arguments, options)) if isinstance(x, _Seen)]
        arguments, options = keras.tree.map_structure(
            lambda x: x.tensor if isinstance(x, _Seen) else x, (arguments, options)
        )
        outputs = run(step, *arguments, **options)
        outputs = keras.tree.map_structure(partial(_seen, step, number, given, arguments), outputs)
        maps[number] = step.name, keras.tree.flatten(outputs)[0]
        return outputs

    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 255, (1, size, size, 3)).astype("float32")
    picture = _Seen(keras.ops.convert_to_tensor(noise), WHOLE, False, {""})
    last = keras.tree.flatten(replay(network, [picture], call))[0].last
    found, without = ({x for x in last if isinstance(x, kind)} for kind in (int, str))
    if not found:
        raise ValueError(
            "No layer of this model tells places apart (with 4 axes: picture, height, width, "
            "channel): Grad-CAM explains convolutional networks. See "
            f"{', '.join(map(repr, sorted(without)))}."
        )
    if without:
        raise ValueError(
            f"In this model the picture reaches the answer by way of "
            f"{', '.join(map(repr, sorted(without)))}, too, where no layer with weights has told "
            "places apart before: a map could not show that part. Grad-CAM explains networks "
            "whose answer comes from convolutions alone."
        )
    for name, seen in map(maps.get, found):
        if _shift(seen.places) > max(MOVED, *(1 / side for side in seen.tensor.shape[1:3])):
            (top, bottom), (left, right) = (np.round(np.multiply(100, x)) for x in seen.places)
            raise ValueError(
                f"The maps of {name!r} do not lie over the picture, but from {top:.0f} to "
                f"{bottom:.0f} % of its height and from {left:.0f} to {right:.0f} % of its width, "
                "by what was cut off and padded before. Grad-CAM explains networks whose maps "
                f"lie over it. {OTHERWISE}"
            )
    _explained[network] = network.outputs[0], found
    return found


def _seen(step, number, given, arguments, tensor):
    """What is known of a tensor that a step has put out. ValueError, with the step's name, where
    nobody knows what the step does to places."""
    inner = step.layer if type(step).__name__ == "SpectralNormalization" else step
    name = type(inner).__name__
    places = _places(inner, name, given, arguments, tensor)
    if given and places is None and not _ends(inner, name, given, tensor):
        raise ValueError(
            "Grad-CAM explains networks in which each place of a map stays over its part of the "
            "picture, until maps are pooled or flattened and Dense layers make the answer of that. "
            f"Of {step.name!r} ({name}) nobody knows that it keeps to this. {OTHERWISE}"
        )
    learned = any(x.learned for x in given) or _learns(step)
    if places and learned and name not in POOLING | ADAPTIVE | EDGES:
        return _Seen(tensor, places, learned, {number})
    last = {x for one in given for x in one.last}
    if places is None:
        last = {x if x != "" else step.name for x in last}
    return _Seen(tensor, places, learned, last)


def _learns(step):
    """Whether a step has weights that mix channels or places, unlike those of Normalization."""
    return any(len(weight.shape) > 1 for weight in getattr(step, "weights", ()))


def _ends(step, name, given, tensor):
    """Whether a step is one of those that make the answer of maps, or of what was made of them."""
    if len(tensor.shape) == 4 and max(tensor.shape[1:3]) > 1:  # maps that lie over nothing
        return False
    if name in CUTTING:
        return all(x.places is None for x in given)
    return name in ENDING | STAYING or only_trains(step)


def _places(step, name, given, arguments, tensor):
    """What part of the picture the places of a tensor lie over that a step has put out, or None:
    it has no places, or they are somewhere else, or nobody knows."""
    before = [x for x in given if x.places]
    if not before or len(tensor.shape) != 4 or 1 in tensor.shape[1:3]:
        return None
    if getattr(step, "data_format", None) == "channels_first":
        return None
    places = max((x.places for x in before), key=_shift)
    old, new = before[0].tensor.shape, tensor.shape
    if name in SLIDING:
        return _beyond(places, old[1:3], _slid(step, old[1:3], new[1:3]))
    if name in EDGES:
        edges = step.padding if name == "ZeroPadding2D" else np.negative(step.cropping)
        spans = [(-a, n + b) for n, (a, b) in zip(old[1:3], edges, strict=True)]
        return _beyond(places, old[1:3], spans)
    if name == "Conv2DTranspose":
        kept = all(n * k == m for n, k, m in zip(old[1:3], step.strides, new[1:3], strict=True))
    elif name in SCALING:
        kept = not any(getattr(step, f"{how}_to_aspect_ratio", False) for how in ("crop", "pad"))
    elif name == "GetItem":
        numbers = np.arange(old[1] * old[2]).reshape(1, *old[1:3], 1)
        left = np.broadcast_to(numbers, old)[arguments[1]]
        kept = np.array_equal(left[..., :1], np.broadcast_to(numbers, (*old[:3], 1)))
    elif name in CHANNELS:
        kept = step.axis is not None and all(axis % 4 == 3 for axis in np.atleast_1d(step.axis))
    else:
        kept = old[1:3] == new[1:3] and (name in STAYING or only_trains(step))
    return places if kept else None


def _slid(step, old, new):
    """From where to where a window goes, as `old` counts places: a pair of numbers for each side.
    The window's middle is where its result belongs, and a step of it as wide as a place."""
    pool = getattr(step, "pool_size", None)
    size = pool or step.kernel_size
    rate = 1 if pool else step.dilation_rate
    both = (np.broadcast_to(x, 2) for x in (size, step.strides or size, rate))
    for n, m, k, stride, apart in zip(old, new, *both, strict=True):
        k = (k - 1) * apart + 1
        padded = max(0, (m - 1) * stride + k - n) if step.padding == "same" else 0
        start = (k - stride) / 2 - padded // 2
        yield start, start + m * stride


def _beyond(places, counts, spans):
    """The part of the picture under a span of places, which may begin before the first."""
    return tuple(
        (low + (high - low) / n * start, low + (high - low) / n * end)
        for (low, high), n, (start, end) in zip(places, counts, spans, strict=True)
    )


def _shift(places):
    """How far edges are from the picture's, in shares of its sides."""
    return np.abs(np.subtract(places, WHOLE)).max()


def _maps(network, last, batch, wanted):
    """Grad-CAM's maps (n, h, w), as small as the layers make them, and (n,) whether the score
    changes with them. wanted: -1 is the likeliest."""
    import tensorflow as tf

    from helpers import keras

    numbers, maps = count(), []

    def call(step, *arguments, **options):
        outputs = run(step, *arguments, **options)
        if next(numbers) in last:
            # Cut off from what comes before: a map of one branch may lead to another's as well,
            # and there it counts already.
            outputs = keras.tree.map_structure(tf.stop_gradient, outputs)
            maps.extend(keras.tree.flatten(outputs))
            tape.watch(maps)
        return outputs

    with tf.GradientTape() as tape:
        logits = tf.cast(replay(network, [tf.constant(batch)], call), tf.float32)
        chosen = tf.where(wanted < 0, tf.argmax(logits, axis=1), wanted)
        scores = tf.gather(logits, chosen, axis=1, batch_dims=1)
    side = np.max([each.shape[1:3] for each in maps], axis=0)
    total, felt = tf.zeros((len(batch), *side)), np.zeros(len(batch), bool)
    for each, gradient in zip(maps, tape.gradient(scores, maps), strict=True):
        if gradient is None:  # one of several outputs, of which another is used
            continue
        # Sums, not means: maps of several sizes then count by what all of their places add.
        gradient = tf.cast(gradient, tf.float32)
        weights = tf.reduce_sum(gradient, axis=(1, 2), keepdims=True)
        all_of_it = tf.reduce_sum(tf.abs(gradient), axis=(1, 2), keepdims=True)
        felt |= tf.reduce_any(tf.abs(weights) > FLAT * all_of_it, axis=(1, 2, 3)).numpy()
        heat = tf.reduce_sum(weights * tf.cast(each, tf.float32), axis=-1, keepdims=True)
        total += tf.image.resize(heat, side)[..., 0]
    return tf.nn.relu(total).numpy(), felt


def _spread(places, side):
    """A map on side × side pixels, bilinearly, its largest value 1 unless all are 0."""
    image = Image.fromarray(np.asarray(places, "float32"))
    heat = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    return heat / heat.max() if heat.max() > 0 else heat
