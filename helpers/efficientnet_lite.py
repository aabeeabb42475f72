"""EfficientNet-Lite, a small ImageNet network made for phones, in plain Keras.

EfficientNet (Tan and Le, 2019, https://arxiv.org/abs/1905.11946) stacks blocks that
widen an image's channels, filter each one by itself, and narrow them again (the
inverted residuals of MobileNetV2, https://arxiv.org/abs/1801.04381). Lite, Google's
version for phones, leaves out squeeze-and-excitation and keeps activations below 6: it
runs fast and survives 8-bit rounding."""

import math

# The seven stages of EfficientNet-B0. Columns: how often the block is repeated; the
# side of its filter, in pixels; the stride of the first repeat; how many times the
# block widens the channels; how many channels come out.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32  # of the first convolution, in every size of Lite
HEAD_CHANNELS = 1280  # of the last convolution: the features that are classified
# How much wider (channels) and deeper (repeats) than B0.
WIDTH_AND_DEPTH = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}


def efficientnet_lite(name, size, classes=1000, activation=None):
    """A network of the EfficientNet-Lite family with random weights: a keras.Model.
    name: a key of WIDTH_AND_DEPTH; size: pixels a side. The network takes float32
    (n, size, size, 3), RGB after `preprocess_input`, and returns logits (n, classes),
    or what `activation` makes of them."""
    from helpers import keras

    width, depth = WIDTH_AND_DEPTH[name]
    inputs = keras.Input((size, size, 3))
    x = _convolution(inputs, STEM_CHANNELS, 3, 2, "stem")
    number = 0
    for stage in STAGES:
        repeats, kernel, stride, expansion, channels = stage
        channels = _multiple_of_8(width * channels)
        if stage not in (
            STAGES[0],
            STAGES[-1],
        ):  # these two have one block in every size
            repeats = math.ceil(depth * repeats)
        for _ in range(repeats):
            x = _block(x, channels, kernel, stride, expansion, f"block{number}")
            stride = 1  # only the first block of a stage makes the image smaller
            number += 1
    x = _convolution(x, HEAD_CHANNELS, 1, 1, "head")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = keras.layers.Dense(classes, activation=activation, name="classes")(x)
    return keras.Model(inputs, outputs, name=name)


def _block(x, channels, kernel, stride, expansion, name):
    """An inverted residual: widen the channels, filter each one, narrow them again."""
    from helpers import keras

    start = x
    if expansion > 1:
        wide = expansion * x.shape[-1]
        x = _convolution(x, wide, 1, 1, f"{name}_expand")
    depthwise = keras.layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same",
        use_bias=False,
        name=f"{name}_depthwise_conv",
    )
    x = _normalised(depthwise(x), f"{name}_depthwise")
    # No activation after the narrow layer: it would cost more there than it adds.
    x = _convolution(x, channels, 1, 1, f"{name}_project", activation=False)
    same_shape = stride == 1 and start.shape[-1] == channels
    if same_shape:
        x = keras.layers.Add(name=f"{name}_add")([start, x])
    return x


def _convolution(x, channels, kernel, stride, name, activation=True):
    """A convolution without bias, then batch normalisation and ReLU6."""
    from helpers import keras

    layer = keras.layers.Conv2D(
        channels,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        name=f"{name}_conv",
    )
    return _normalised(layer(x), name, activation)


def _normalised(x, name, activation=True):
    """Batch normalisation, then ReLU6: below 0 becomes 0, above 6 becomes 6."""
    from helpers import keras

    x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)
    if activation:
        x = keras.layers.ReLU(6, name=f"{name}_relu")(x)
    return x


def _multiple_of_8(channels):
    """The nearest multiple of 8, but at least 0.9 × `channels`; processors like it."""
    rounded = int(channels + 4) // 8 * 8
    rounded = max(8, rounded)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def preprocess_input(batch):
    """Scale RGB from 0…255 to about -1…1, as the network learned it.
    Returns a new array or tensor."""
    return (batch - 127) / 128


def set_weights(network, arrays):
    """Give a network of `efficientnet_lite` the weights of its PyTorch port, in place.
    arrays: as `read_torch_file` returns them, in the order of the layers. ValueError
    where they don't fit."""
    weights = []
    for name, array in arrays.items():
        if name.endswith("num_batches_tracked"):  # a counter of training
            continue
        if "_depthwise_conv" in name:
            array = array.transpose(2, 3, 0, 1)  # PyTorch: channels, 1, height, width
        elif array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)  # PyTorch: out, in, height, width
        elif array.ndim == 2:
            array = array.T  # PyTorch: out, in
        weights.append(array)
    network.set_weights(weights)
