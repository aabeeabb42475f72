"""Which maps of a network lie over the picture, so that they show where it looks.

A picture of noise goes through the network step by step. Of each tensor on the way we
keep which area of the picture its positions lie over. That's known only while all steps
are among those listed here, which leave positions where they are."""

from dataclasses import dataclass
from functools import partial
from itertools import count
from weakref import WeakKeyDictionary

import numpy as np

from safeguards.keys import described
from safeguards.logits import check_logits, ends_in
from safeguards.networks import NetworkError, only_trains, replay, run

# How far a map may be off, as a share of a side (or one position of the map): what's
# shown further off misleads visibly.
MOVED = 0.1
# From the upper to the lower edge, from the left to the right.
FULL_AREA = ((0.0, 1.0), (0.0, 1.0))

# What Keras's own steps do to positions, by the names of their classes.
POOLING = {"MaxPooling2D", "AveragePooling2D", "MaxPool", "AveragePool"}
ADAPTIVE = {"AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D"}
# A window goes over the positions.
SLIDING = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", *POOLING}
EDGES = {"ZeroPadding2D", "Cropping2D"}
# More or fewer positions of the same area.
SCALING = {"UpSampling2D", "Resizing", "Resize", "Conv2DTranspose", *ADAPTIVE}
# Each position by itself, or a little of all positions to each.
LAYERS = {"Dense", "Identity", "Rescaling", "Dropout", "ActivityRegularization"}
OF_ONE_NETWORK = {"LayerScale", "CustomScaleLayer"}  # ConvNeXt, InceptionResNetV2
ACTIVATION_LAYERS = {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}
LINEAR_UNITS = {"Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu"}
SIGMOIDS = {"Sigmoid", "HardSigmoid", "HardSilu", "Tanh", "Mish", "Softplus"}
NORMALIZATIONS = {
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "Normalization",
    "RMSNormalization",
    "UnitNormalization",
}
SCALING_EACH = ACTIVATION_LAYERS | NORMALIZATIONS | OF_ONE_NETWORK
MERGING = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"}
ARITHMETIC = {"Divide", "TrueDivide", "Negative", "Absolute", "Abs", "Clip", "Cast"}
POWERS = {"Square", "Sqrt", "Power", "Exp", "Log", "Log1p"}
STAYING = set().union(
    LAYERS,
    OF_ONE_NETWORK,
    ACTIVATION_LAYERS,
    LINEAR_UNITS,
    SIGMOIDS,
    NORMALIZATIONS,
    MERGING,
    ARITHMETIC,
    POWERS,
)
# They stay where these work along the channels.
REDUCING = {"Mean", "Max", "Min", "Sum"}
CHANNELS = {"Concatenate", "Flip", "Split", *REDUCING}
# What may make the answer out of the last maps, beside STAYING.
RESHAPING = {"Flatten", "Reshape", "Squeeze", "ExpandDims", "Ravel"}
GLOBAL_POOLING = {"GlobalAveragePooling2D", "GlobalMaxPooling2D"}
ENDING = REDUCING | RESHAPING | GLOBAL_POOLING | SLIDING | ADAPTIVE
# These may do so, too, but not with maps themselves.
CUTTING = {"Concatenate", "Flip", "Split", "GetItem"}
OTHERWISE = (
    "To see what such a network goes by, cover parts of the picture, and compare its "
    "answers."
)

# network → the size it was traced with, what it did then, and its `last_maps`
_last_maps = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)  # no NamedTuple: Keras would take that apart
class _Traced:
    """A tensor on its way through a network.
    area: the area of the picture that its positions lie over, like FULL_AREA, or None
    where it has no positions;
    learned: whether a layer with weights took part, so that it's more than a prepared
    picture;
    maps: the numbers, in `replay`, of the steps that made the last maps behind it;
    bypasses: for each way from the picture without such maps the name of the step that
    gave up positions, or "" as long as there are some."""

    tensor: object
    area: tuple | None
    learned: bool
    maps: set
    bypasses: set


def last_maps(network, size):
    """The steps that put out a network's last maps, as a set of numbers in `replay`.
    On each way from the picture to the answer it's the last step with positions that
    isn't a pooling. size: pixels a side of the picture.
    ValueError where a way has none, where maps don't lie over the picture, and for a
    step if nobody knows that it leaves positions where they are, or only works on what
    was pooled."""
    _check_logits(network)
    try:
        does = described(network)
    except NetworkError as error:
        raise ValueError(
            f"Grad-CAM explains networks of Keras's own layers: {error}"
        ) from error
    known_size, known, numbers = _last_maps.get(network, (None, None, None))
    if (known_size, known) == (size, does):  # layers can change meanwhile
        return numbers
    answer, traced_outputs = _trace(network, size)
    _check_ways(answer)
    for number in answer.maps:
        name, traced = traced_outputs[number]
        _check_area(name, traced)
    _last_maps[network] = size, does, answer.maps
    return answer.maps


def _check_logits(network):
    """ValueError for a network whose outputs rule Grad-CAM out."""
    check_logits(network, "Grad-CAM", logarithms=False)
    end = ends_in(network)
    if end.what == "logarithm" and end.last:
        raise ValueError(
            "Grad-CAM needs logits, but this model puts out logarithms of "
            "probabilities, whose gradient vanishes where it is sure: take the model "
            "without them. Of a log_softmax, logits_of(model) from safeguards.logits "
            "does so."
        )


def _trace(network, size):
    """A network's answer to noise, `_Traced`, and each step's name and first output."""
    import keras

    numbers = count()
    outputs_of_steps = {}

    def call(step, *arguments, **options):
        number = next(numbers)
        given = keras.tree.flatten((arguments, options))
        inputs = [value for value in given if isinstance(value, _Traced)]
        arguments, options = keras.tree.map_structure(_tensor, (arguments, options))
        outputs = run(step, *arguments, **options)
        trace = partial(_traced, step, number, inputs, arguments)
        outputs = keras.tree.map_structure(trace, outputs)
        first, *_ = keras.tree.flatten(outputs)
        outputs_of_steps[number] = step.name, first
        return outputs

    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 255, (1, size, size, 3)).astype("float32")
    picture = _Traced(
        keras.ops.convert_to_tensor(noise),
        FULL_AREA,
        learned=False,
        maps=set(),
        bypasses={""},
    )
    answer = replay(network, [picture], call)
    return keras.tree.flatten(answer)[0], outputs_of_steps


def _tensor(value):
    """What a step can work with."""
    return value.tensor if isinstance(value, _Traced) else value


def _check_ways(answer):
    """ValueError where a way from the picture to the answer has no map."""
    names = sorted(answer.bypasses)
    names = ", ".join(repr(name) for name in names)
    if not answer.maps:
        raise ValueError(
            "No layer of this model tells places apart (with 4 axes: picture, height, "
            "width, channel): Grad-CAM explains convolutional networks. See "
            f"{names}."
        )
    if answer.bypasses:
        raise ValueError(
            f"In this model the picture reaches the answer by way of {names}, too, "
            "where no layer with weights has told places apart before: a map could not "
            "show that part. Grad-CAM explains networks whose answer comes from "
            "convolutions alone."
        )


def _check_area(name, traced):
    """ValueError for a step whose map doesn't lie over the picture."""
    height, width = traced.tensor.shape[1:3]
    tolerance = max(MOVED, 1 / height, 1 / width)
    if _distance_from_edges(traced.area) <= tolerance:
        return
    vertical, horizontal = traced.area
    top, bottom = np.round(np.multiply(100, vertical))
    left, right = np.round(np.multiply(100, horizontal))
    raise ValueError(
        f"The maps of {name!r} do not lie over the picture, but from {top:.0f} to "
        f"{bottom:.0f} % of its height and from {left:.0f} to {right:.0f} % of its "
        "width, by what was cut off and padded before. Grad-CAM explains networks "
        f"whose maps lie over it. {OTHERWISE}"
    )


def _traced(step, number, inputs, arguments, tensor):
    """A step's output as `_Traced`; ValueError, with the step's name, if nobody knows
    what it does to positions."""
    layer = step
    if type(step).__name__ == "SpectralNormalization":
        layer = step.layer
    kind = type(layer).__name__
    area = _area_after(layer, kind, inputs, arguments, tensor)
    if inputs and area is None:
        _check_makes_answer(step, layer, inputs, tensor)
    learned = _mixes(step, kind) or any(traced.learned for traced in inputs)
    if area and learned and kind not in POOLING | ADAPTIVE | EDGES:
        return _Traced(tensor, area, learned, maps={number}, bypasses=set())
    maps = set()
    bypasses = set()
    for traced in inputs:
        maps |= traced.maps
        bypasses |= traced.bypasses
    if area is None and "" in bypasses:
        bypasses = bypasses - {""} | {step.name}
    return _Traced(tensor, area, learned, maps, bypasses)


def _mixes(step, kind):
    """Whether a step's weights mix channels or positions. Those that scale each number
    by itself don't, however many they are."""
    if kind in SCALING_EACH:
        return False
    weights = getattr(step, "weights", ())
    return any(len(weight.shape) > 1 for weight in weights)


def _check_makes_answer(step, layer, inputs, tensor):
    """ValueError for a step without positions that works on maps in an unknown way."""
    kind = type(layer).__name__
    if not _makes_answer(layer, kind, inputs, tensor):
        raise ValueError(
            "Grad-CAM explains networks in which each place of a map stays over its "
            "part of the picture, until maps are pooled or flattened and Dense layers "
            f"make the answer of that. Of {step.name!r} ({kind}) nobody knows that it "
            f"keeps to this. {OTHERWISE}"
        )


def _makes_answer(step, kind, inputs, tensor):
    """Whether a step makes the answer out of maps, or of what was made of them."""
    shape = tensor.shape
    if len(shape) == 4 and max(shape[1:3]) > 1:
        return False  # maps that lie over nothing
    if kind in CUTTING:
        return all(traced.area is None for traced in inputs)
    return kind in ENDING | STAYING or only_trains(step)


def _area_after(step, kind, inputs, arguments, tensor):
    """The area that the positions of a step's output lie over, or None where it has
    no positions, they are somewhere else, or nobody knows."""
    with_positions = [traced for traced in inputs if traced.area]
    after = tuple(tensor.shape)
    if not with_positions or len(after) != 4 or 1 in after[1:3]:
        return None
    if getattr(step, "data_format", None) == "channels_first":
        return None
    areas = [traced.area for traced in with_positions]
    area = max(areas, key=_distance_from_edges)
    before = tuple(with_positions[0].tensor.shape)
    if kind in SLIDING:
        spans = [_window_span(step, axis, before, after) for axis in (1, 2)]
        return _under(area, before, spans)
    if kind in EDGES:
        spans = [_edge_span(step, kind, axis, before) for axis in (1, 2)]
        return _under(area, before, spans)
    return area if _keeps_area(step, kind, arguments, before, after) else None


def _keeps_area(step, kind, arguments, before, after):
    """Whether the positions of a step's output lie over the same area as its input's.
    before, after: the shapes of these."""
    sides = before[1:3]
    if kind == "Conv2DTranspose":
        strides = zip(sides, step.strides, strict=True)
        return after[1:3] == tuple(side * stride for side, stride in strides)
    if kind in SCALING:
        crops = getattr(step, "crop_to_aspect_ratio", False)
        pads = getattr(step, "pad_to_aspect_ratio", False)
        return not crops and not pads
    if kind == "GetItem":
        return _gets_all_positions(arguments[1], before)
    if kind in CHANNELS:
        if step.axis is None:
            return False
        axes = np.atleast_1d(step.axis)
        return all(axis % 4 == 3 for axis in axes)
    if sides != after[1:3]:
        return False
    return kind in STAYING or only_trains(step)


def _gets_all_positions(index, shape):
    """Whether an index into maps leaves out channels only."""
    height, width = shape[1:3]
    numbers = np.arange(height * width)
    numbers = numbers.reshape(1, height, width, 1)
    chosen = np.broadcast_to(numbers, shape)[index]
    all_positions = np.broadcast_to(numbers, (*shape[:3], 1))
    return np.array_equal(chosen[..., :1], all_positions)


def _window_span(step, axis, before, after):
    """From where to where a window goes along an axis, counted in positions before.
    The window's middle is where its result belongs, as wide as one step of it."""
    pool_size = getattr(step, "pool_size", None)
    if pool_size:
        size = pool_size
        dilation = 1
    else:
        size = step.kernel_size
        dilation = step.dilation_rate
    strides = step.strides or size
    stride = _along(strides, axis)
    size = _along(size, axis)
    dilation = _along(dilation, axis)
    reach = (size - 1) * dilation + 1
    way = after[axis] * stride
    padded = 0
    if step.padding == "same":
        padded = max(0, way - stride + reach - before[axis])
    start = (reach - stride) / 2 - padded // 2
    return start, start + way


def _along(value, axis):
    """A setting for one axis of maps, of one number for both or of two."""
    return np.broadcast_to(value, 2)[axis - 1]


def _edge_span(step, kind, axis, before):
    """From where to where the positions left by padding or cropping go."""
    if kind == "ZeroPadding2D":
        first, last = step.padding[axis - 1]
    else:
        first, last = np.negative(step.cropping[axis - 1])
    return -first, before[axis] + last


def _under(area, shape, spans):
    """The area of the picture under a span of positions on each axis, which may begin
    before the first. area, shape: of all positions."""
    edges_under = []
    for edges, length, span in zip(area, shape[1:3], spans, strict=True):
        low, high = edges
        width = (high - low) / length  # of a position
        start, end = span
        edges_under.append((low + width * start, low + width * end))
    return tuple(edges_under)


def _distance_from_edges(area):
    """How far an area's edges are from the picture's, as a share of its sides."""
    return np.abs(np.subtract(area, FULL_AREA)).max()
