"""Where a network looks: Grad-CAM for every model of the lessons, also a fine-tuned one."""

from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from helpers.images import resize, to_batch
from helpers.models import Classifier, ends_in_softmax

PART = 8  # pictures at a time: for the gradients a network keeps all that it computes
_explained = WeakKeyDictionary()  # network → its output, and what `_with_maps` makes of it


def grad_cam(model, images, class_index=None):
    """Where a network finds what speaks for a class: float32 maps of 0…1 over the square it sees.
    Grad-CAM (Selvaraju et al. 2017) at the last layer that still tells places apart and is no
    pooling: its channels, each weighted by its mean gradient of the class's logit, are added, what
    is negative becomes 0, the largest value 1 (if all is 0, nothing there speaks for the class).
    model: a `Classifier`, or a Keras model of logits such as `new_model` makes; images: a picture,
    as `load_image` takes it, or a list; class_index: a position in the outputs, one for all or one
    a picture, None: the likeliest. Returns (size, size), for a list (n, size, size). ValueError
    where there is no such class, or the model ends in a softmax, has no such layer or no `rule`."""
    many, (network, size, rule) = isinstance(images, (list, tuple)), _parts(model)
    pictures = images if many else [images]
    classes = network.output_shape[-1]
    wanted = np.broadcast_to(-1 if class_index is None else class_index, len(pictures))
    if class_index is not None and not all(0 <= index < classes for index in wanted):
        raise ValueError(f"The model has {classes} classes: class_index should be 0…{classes - 1}.")
    both, heat = _with_maps(network, size), np.empty((len(pictures), size, size), "float32")
    for start in range(0, len(pictures), PART):
        part = slice(start, start + PART)
        batch = to_batch(pictures[part], size, rule)
        if isinstance(model, Classifier):
            batch = model.preprocess_input(batch)
        heat[part] = [_spread(places, size) for places in _maps(both, batch, wanted[part])]
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
    return model, model.input_shape[1], model.rule


def _with_maps(network, size=None):
    """The network, its layers shared, with two outputs: maps (n, h, w, channels) and its own.
    size: of its pictures, None for a part of a network, which may put out what it likes."""
    from helpers import keras

    output, explained = _explained.get(network, (None, None))
    if output is network.outputs[0]:  # else it was changed meanwhile, as a Sequential can be
        return explained
    if size and ends_in_softmax(network, size):
        raise ValueError(
            "Grad-CAM needs logits, but this model ends in a softmax, whose gradient vanishes "
            "where it is sure: take the model without it."
        )
    layer = _last_with_places(network)
    if layer is None:
        raise ValueError(
            "No layer of this model tells places apart (with 4 axes: picture, height, width, "
            "channel): Grad-CAM explains convolutional networks."
        )
    base, maps = _with_maps(layer) if isinstance(layer, keras.Model) else None, []

    def call(called, *arguments, **options):
        if called is not layer:
            return called(*arguments, **options)
        inner, output = base(*arguments, **options) if base else [called(*arguments, **options)] * 2
        maps.append(inner)
        return output

    # Not layer.output: a layer can be part of several models, and a Sequential is built anew.
    whole = keras.Model(network.inputs[0], network.outputs[0])
    whole = keras.models.clone_model(whole, clone_function=lambda same: same, call_function=call)
    explained = keras.Model(whole.inputs[0], [maps[0], whole.outputs[0]])
    _explained[network] = network.outputs[0], explained
    return explained


def _last_with_places(network):
    """The last layer that puts out a map, or the nested model that holds it; None without one."""
    from helpers import keras

    layers = keras.layers
    passed_over = (layers.InputLayer, layers.MaxPooling2D, layers.AveragePooling2D)
    for layer in reversed(network.layers):
        if isinstance(layer, keras.Model):
            if _last_with_places(layer) is not None:
                return layer
        elif not isinstance(layer, passed_over):
            shape = getattr(layer.output, "shape", ())  # MobileNetV3's last maps are 1×1
            if len(shape) == 4 and 1 not in shape[1:3]:
                return layer
    return None


def _maps(both, batch, wanted):
    """Grad-CAM's maps (n, h, w), as small as the layer makes them. wanted: -1 is the likeliest."""
    import tensorflow as tf

    batch = tf.constant(batch)
    with tf.GradientTape() as tape:
        tape.watch(batch)  # or nothing would be recorded where all weights are frozen
        maps, logits = both(batch, training=False)
        chosen = tf.where(wanted < 0, tf.argmax(logits, axis=1), wanted)
        scores = tf.gather(logits, chosen, axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(scores, maps), axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)).numpy()


def _spread(places, side):
    """A map on side × side pixels, bilinearly, its largest value 1 unless all are 0."""
    image = Image.fromarray(np.asarray(places, "float32"))
    heat = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    return heat / heat.max() if heat.max() > 0 else heat
