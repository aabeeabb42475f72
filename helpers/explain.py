"""Where a network looks: Grad-CAM, for the models of the lessons and your own."""

from itertools import count

import numpy as np
from PIL import Image

from helpers.images import resize, to_batch
from helpers.models import Classifier
from safeguards.logits import picture_size
from safeguards.maps import last_maps
from safeguards.networks import replay, run

AT_ONCE = 8  # pictures: for the gradients a network keeps much of what it computes
# A gradient whose sum is this small beside the sum of its sizes cancels out.
FLAT = 1e-6
LIKELIEST = -1  # in the place of a class
GREY_SHARE = 0.45  # of the picture in an overlay; the rest is the map


def grad_cam(model, images, class_index=None):
    """Where a network finds what speaks for a class: maps of the square it sees, 0…1.
    Grad-CAM (Selvaraju et al. 2017) takes the last layer that still tells places apart
    and isn't a pooling. It adds up that layer's channels, each weighted by its mean
    gradient of the class's logit. What's negative becomes 0, the largest value 1 (if
    all is 0, nothing there speaks for the class). If branches meet after that, the
    last layers of all of them are added.
    model: a `Classifier`, or a Keras model of logits such as `new_model` makes; images:
    a picture, as `load_image` takes it, or a list; class_index: a position in the
    outputs, one for all or one a picture, None: the likeliest. Returns float32
    (size, size), for a list (n, size, size).
    ValueError where there is no such class, the model puts out no logits or has no
    `rule`, where its maps don't lie over the picture, reach the answer otherwise than
    pooled or flattened, or nobody knows (then with the layer's name), and where the
    score doesn't change with them."""
    network, size, rule = _network_of(model)
    many = isinstance(images, list | tuple)
    pictures = images if many else [images]
    classes = network.output_shape[-1]
    if class_index is None:
        wanted = np.full(len(pictures), LIKELIEST)
    else:
        wanted = np.broadcast_to(class_index, len(pictures))
        if not all(0 <= index < classes for index in wanted):
            raise ValueError(
                f"The model has {classes} classes: class_index should be "
                f"0…{classes - 1}."
            )
    steps = last_maps(network, size)
    heat = np.empty((len(pictures), size, size), "float32")
    for start in range(0, len(pictures), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        batch = to_batch(pictures[rows], size, rule)
        if isinstance(model, Classifier):
            batch = model.preprocess_input(batch)
        maps, matters = _weighted_maps(network, steps, batch, wanted[rows])
        if not matters.all():
            raise ValueError(
                "Grad-CAM cannot tell where the network looks in picture "
                f"{start + matters.argmin()} (from 0): the class's score does not "
                "change with what its last maps, or those of a branch, add up to. So "
                "it is where weights are all 0, as before training, where a ReLU "
                "behind them is 0 or a limit is reached, or where places speak for and "
                "against it alike. Train the model, or ask for another class or image."
            )
        heat[rows] = [_enlarged(small, size) for small in maps]
    return heat if many else heat[0]


def overlay(model, image, heat, side=192):
    """A picture in grey under the colours of its map.
    It shows the square that the network sees, in more pixels. Light yellow: much speaks
    for the class there, dark blue: nothing (viridis, which brightness alone tells apart
    as well).
    model, image: as given to `grad_cam`; heat: the map it returned. Returns an RGB PIL
    image (side, side). ValueError for a map of another size."""
    import matplotlib

    _, size, rule = _network_of(model)
    if np.shape(heat) != (size, size):
        raise ValueError(
            f"A map of {np.shape(heat)}: give what grad_cam returns, {(size, size)}."
        )
    square = resize(image, side, rule).convert("L")
    grey = np.asarray(square, "float32")[..., None] / 255
    viridis = matplotlib.colormaps["viridis"]
    colours = viridis(_enlarged(heat, side))[..., :3]
    mixed = GREY_SHARE * grey + (1 - GREY_SHARE) * colours
    return Image.fromarray(np.uint8(255 * mixed))


def _network_of(model):
    """(network, size, rule) of a `Classifier` or of a model that takes raw pictures."""
    if isinstance(model, Classifier):
        return model.network, model.size, model.rule
    if not hasattr(model, "rule"):  # a file does not keep it
        raise ValueError(
            "This model does not know how a picture becomes a square: set model.rule "
            "to its classifier's rule."
        )
    return model, picture_size(model), model.rule


def _weighted_maps(network, steps, batch, wanted):
    """Grad-CAM's maps, as small as the layers make them, and whether these show all
    that scores depend on. steps: those that put out the last maps, as numbers in
    `replay`; wanted: the class of each picture, or LIKELIEST. Returns (n, h, w) and
    bool (n,)."""
    import tensorflow as tf

    tape = tf.GradientTape()
    maps = []
    numbers = count()

    def call(step, *arguments, **options):
        outputs = run(step, *arguments, **options)
        if next(numbers) in steps:
            # Cut off from what comes before: a map of one branch may lead to another's
            # as well, and there it counts already.
            outputs = tf.nest.map_structure(tf.stop_gradient, outputs)
            maps.extend(tf.nest.flatten(outputs))
            tape.watch(maps)
        return outputs

    with tape:
        logits = replay(network, [tf.constant(batch)], call)
        logits = tf.cast(logits, tf.float32)
        likeliest = tf.argmax(logits, axis=1)
        chosen = tf.where(wanted == LIKELIEST, likeliest, wanted)
        scores = tf.gather(logits, chosen, axis=1, batch_dims=1)
    gradients = tape.gradient(scores, maps)

    sides = [channels.shape[1:3] for channels in maps]
    sides = np.max(sides, axis=0)
    total = tf.zeros((len(batch), *sides))
    matters = np.zeros(len(batch), bool)
    hidden = np.zeros(len(batch), bool)  # in a branch whose gradients cancel out
    for channels, gradient in zip(maps, gradients, strict=True):
        if gradient is None:  # one of several outputs, of which another is used
            continue
        gradient = tf.cast(gradient, tf.float32)
        # Sums, not means: maps of several sizes count by what all their places add.
        weights = tf.reduce_sum(gradient, axis=(1, 2), keepdims=True)
        sizes = tf.reduce_sum(tf.abs(gradient), axis=(1, 2), keepdims=True)
        varies = tf.abs(weights) > FLAT * sizes
        varies = tf.reduce_any(varies, axis=(1, 2, 3)).numpy()
        matters |= varies
        hidden |= tf.reduce_any(sizes > 0, axis=(1, 2, 3)).numpy() & ~varies
        weighted = weights * tf.cast(channels, tf.float32)
        heat = tf.reduce_sum(weighted, axis=-1, keepdims=True)
        total += tf.image.resize(heat, sides)[..., 0]
    return tf.nn.relu(total).numpy(), matters & ~hidden


def _enlarged(heat, side):
    """A map on side × side pixels, bilinearly, its largest value 1 unless all are 0."""
    image = Image.fromarray(np.asarray(heat, "float32"))
    smooth = image.resize((side, side), Image.Resampling.BILINEAR)
    pixels = np.asarray(smooth)
    highest = pixels.max()
    return pixels / highest if highest > 0 else pixels
