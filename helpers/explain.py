"""Where a network looks: Grad-CAM for every model of the lessons, also a fine-tuned one."""

from functools import partial
from itertools import count
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from helpers.images import resize, to_batch
from helpers.models import Classifier
from helpers.networks import check_logits, ends_in, picture_size, replay, run

PART = 8  # pictures at a time: for the gradients a network keeps much of what it computes
PADDING = 0.1  # of a side: more moves what lies inside visibly
POOLING = {
    *("MaxPooling2D", "AveragePooling2D", "MaxPool", "AveragePool"),
    *("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D"),
}
CUTTING = {"Cropping2D", "CenterCrop", "RandomCrop", "Slice", "CropImages"}
MOVING = {
    *("Reshape", "Permute", "Transpose", "Moveaxis", "Swapaxes", "Fliplr", "Flipud", "Rot90"),
    *("Roll", "Tile", "Repeat", "DepthToSpace", "SpaceToDepth", "ExtractPatches", "Take"),
    *("AffineTransform", "PerspectiveTransform", "ScaleAndTranslate", "MapCoordinates"),
    *("ElasticTransform", "Lambda"),
}
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
    where there is no such class, or the model puts out no logits, has no such layer, a way around
    it, or no `rule`."""
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
        heat[part] = [_spread(places, size) for places in _maps(network, last, batch, wanted[part])]
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
    places: it lies over the picture, place for place; learned: a layer with weights took part,
    so that it is more than a prepared picture; last: the numbers of the steps whose maps it was
    made of, and, where the picture went on without one, "" as long as it has places, then the
    name of the step that gave these up."""

    def __init__(self, tensor, places, learned, last):
        self.tensor = tensor
        self.places = places
        self.learned = learned
        self.last = last


def _last_maps(network, size):
    """The numbers of a network's steps, as `replay` takes them, that put out its last maps: on each
    way from the picture to the answer the last one with places that is no pooling. Found with one
    picture that goes through. ValueError where a way has none."""
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
            "logits_of(model) from helpers.networks does so."
        )
    numbers = count()

    def call(step, *arguments, **options):
        number = next(numbers)
        given = [x for x in keras.tree.flatten((arguments, options)) if isinstance(x, _Seen)]
        arguments, options = keras.tree.map_structure(
            lambda x: x.tensor if isinstance(x, _Seen) else x, (arguments, options)
        )
        outputs = run(step, *arguments, **options)
        return keras.tree.map_structure(partial(_seen, step, number, given, arguments), outputs)

    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 255, (1, size, size, 3)).astype("float32")
    noise = keras.ops.convert_to_tensor(noise)
    last = keras.tree.flatten(replay(network, [_Seen(noise, True, False, {""})], call))[0].last
    found, without = ({x for x in last if isinstance(x, kind)} for kind in (int, str))
    if not found:
        raise ValueError(
            "No layer of this model tells places apart (with 4 axes: picture, height, width, "
            "channel), or none does before places are cut off or moved: Grad-CAM explains "
            f"convolutional networks. See {', '.join(map(repr, sorted(without)))}."
        )
    if without:
        raise ValueError(
            f"In this model the picture reaches the answer by way of "
            f"{', '.join(map(repr, sorted(without)))}, too, where no layer with weights has told "
            "places apart before: a map could not show that part. Grad-CAM explains networks "
            "whose answer comes from convolutions alone."
        )
    _explained[network] = network.outputs[0], found
    return found


def _seen(step, number, given, arguments, tensor):
    """What is known of a tensor that a step has put out."""
    places = any(x.places for x in given) and not _moves(step, arguments, tensor)
    places = places and len(tensor.shape) == 4 and 1 not in tensor.shape[1:3]
    learned = any(x.learned for x in given) or _learns(step)
    if places and learned and type(step).__name__ not in POOLING:
        return _Seen(tensor, places, learned, {number})
    last = {x for one in given for x in one.last}
    if not places:
        last = {x if x != "" else step.name for x in last}
    return _Seen(tensor, places, learned, last)


def _learns(step):
    """Whether a step has weights that mix channels or places, unlike those of Normalization."""
    return any(len(weight.shape) > 1 for weight in getattr(step, "weights", ()))


def _moves(step, arguments, tensor):
    """Whether a step puts places elsewhere, so that its maps no longer lie over the picture."""
    name = type(step).__name__
    axes = np.atleast_1d(getattr(step, "axis", ()) or ())
    before = next((x.shape for x in arguments if hasattr(x, "shape")), tensor.shape)
    if name == "Flip" or name == "Concatenate":
        return len(axes) == 0 or any(axis % 4 != 3 for axis in axes)
    if name == "GetItem":
        places = np.arange(before[1] * before[2]).reshape(1, *before[1:3], 1)
        left = np.broadcast_to(places, before)[arguments[1]]
        return not np.array_equal(left[..., :1], np.broadcast_to(places, (*before[:3], 1)))
    if name in ("ZeroPadding2D", "Pad"):  # a pixel or two, as strided convolutions want it
        return any(b - a > PADDING * a for a, b in zip(before[1:3], tensor.shape[1:3], strict=True))
    if name in CUTTING:
        return before[1:3] != tensor.shape[1:3]
    if name == "Resizing" and (step.crop_to_aspect_ratio or step.pad_to_aspect_ratio):
        return before[1] * tensor.shape[2] != before[2] * tensor.shape[1]
    return name in MOVING


def _maps(network, last, batch, wanted):
    """Grad-CAM's maps (n, h, w), as small as the layers make them. wanted: -1 is the likeliest."""
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
    total = tf.zeros((len(batch), *side))
    for each, gradient in zip(maps, tape.gradient(scores, maps), strict=True):
        if gradient is None:  # one of several outputs, of which another is used
            continue
        # Sums, not means: maps of several sizes then count by what all of their places add.
        weights = tf.reduce_sum(tf.cast(gradient, tf.float32), axis=(1, 2), keepdims=True)
        heat = tf.reduce_sum(weights * tf.cast(each, tf.float32), axis=-1, keepdims=True)
        total += tf.image.resize(heat, side)[..., 0]
    return tf.nn.relu(total).numpy()


def _spread(places, side):
    """A map on side × side pixels, bilinearly, its largest value 1 unless all are 0."""
    image = Image.fromarray(np.asarray(places, "float32"))
    heat = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    return heat / heat.max() if heat.max() > 0 else heat
