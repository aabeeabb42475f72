"""Grad-CAM, on networks whose right map is known, on each kind of model, and
shuffled."""

import dataclasses

import numpy as np
import pytest
import tiny
from cases import thorough_but
from PIL import Image
from scipy.stats import spearmanr

from helpers import keras
from helpers.datasets import load_dataset
from helpers.explain import grad_cam, overlay
from helpers.images import ResizeRule
from helpers.models import Classifier
from helpers.training import new_model

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
SIZE = 32
CORNER = (slice(0, 8), slice(24, 32))  # above, on the right
SQUARE = ResizeRule()


def classifier_of(network, preprocess=lambda batch: batch, rule=SQUARE):
    return Classifier("tiny", network, SIZE, rule, preprocess, None)


def patch(rows, columns, colour=(255, 0, 0), size=SIZE):
    """A black picture with one coloured patch."""
    pixels = np.zeros((size, size, 3), "uint8")
    pixels[rows, columns] = colour
    return Image.fromarray(pixels)


def colours(head="pooled"):
    """A network whose class is a colour: the mean of red, of green, minus that of blue.
    What is known: red's map is where the picture is red, in 4×4 places of 8×8 pixels;
    blue has none."""
    layers, places = keras.layers, SIZE // 8
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.AveragePooling2D(4 if head == "flat" else 8)(inputs)
    x = layers.Conv2D(3, 1, use_bias=False, name="colours")(x)
    if head == "pooled":
        x = layers.GlobalAveragePooling2D()(x)
        kernel = np.diag([1.0, 1.0, -1.0])
    elif head == "flat":  # as VGG's
        x = layers.Flatten()(layers.AveragePooling2D(2)(x))
        kernel = np.tile(np.diag([1.0, 1.0, -1.0]), (places**2, 1)) / places**2
    else:  # as MobileNetV3's: 1×1 maps at the end
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Conv2D(3, 1, use_bias=False, name="dense")(x)
        kernel = np.diag([1.0, 1.0, -1.0])[None, None]
        x = layers.Flatten()(x)
    if head != "convolution":
        x = layers.Dense(3, use_bias=False, name="dense")(x)
    network = keras.Model(inputs, x)
    network.get_layer("colours").set_weights([np.eye(3)[None, None]])
    network.get_layer("dense").set_weights([kernel])
    return classifier_of(network)


@pytest.fixture(scope="module")
def learned():
    return tiny.trained()


@pytest.fixture(scope="module")
def renders():
    """Three pictures of each class that the networks have not seen."""
    return load_dataset("computers").validation.subset(3).images()


# -- where the right map is known ------------------------------------------------------


@pytest.mark.parametrize("head", ["pooled", "flat", "convolution"])
def test_map_is_where_the_class_is(head):
    heat = grad_cam(colours(head), patch(*CORNER), 0)
    assert (heat.shape, heat.dtype) == ((SIZE, SIZE), "float32")
    assert (heat.min(), heat.max()) == (0, 1)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert row < 8 and column >= 24
    assert heat[:, :16].max() == heat[16:].max() == 0, (
        "two places away there is nothing"
    )


def test_each_class_has_its_own_map():
    both = np.asarray(patch(slice(0, 8), slice(0, 8))) + patch(
        slice(24, 32), slice(0, 8), (0, 200, 0)
    )
    red, green = (grad_cam(colours(), both, index) for index in (0, 1))
    assert red[:8, :8].mean() > 0.5 and red[16:].max() == 0
    assert green[24:, :8].mean() > 0.5 and green[:16].max() == 0


def test_without_a_class_it_is_the_likeliest():
    for index, colour in enumerate([(255, 0, 0), (0, 255, 0)]):
        image = patch(*CORNER, colour)
        np.testing.assert_array_equal(
            grad_cam(colours(), image), grad_cam(colours(), image, index)
        )


def test_what_speaks_against_a_class_is_left_out():
    assert not grad_cam(colours(), patch(*CORNER, (0, 0, 255)), 2).any()
    assert not grad_cam(colours(), patch(*CORNER, (0, 0, 0)), 0).any(), "0, not NaN"


def test_map_lies_on_the_square_that_the_network_sees():
    wide = patch(slice(0, 8), slice(36, 44), size=64).crop(
        (0, 0, 64, 32)
    )  # the square: 16…48
    heat = grad_cam(colours(), wide, 0)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert row < 8 and 20 <= column < 28


def test_a_list_gives_the_map_of_each_picture():
    corners = [
        patch(slice(8 * i, 8 * i + 8), slice(8 * j, 8 * j + 8))
        for i in range(4)
        for j in range(3)
    ]
    heat = grad_cam(colours(), corners, 0)
    assert heat.shape == (12, SIZE, SIZE)
    np.testing.assert_allclose(heat[9], grad_cam(colours(), corners[9], 0), atol=1e-6)
    chosen = grad_cam(colours(), corners[:2], [0, 2])
    np.testing.assert_allclose(chosen[0], heat[0], atol=1e-6)
    assert not chosen[1].any()
    assert grad_cam(colours(), []).shape == (0, SIZE, SIZE)


# -- branches --------------------------------------------------------------------------

layers, ops = keras.layers, keras.ops


def network_of(build, size=SIZE):
    inputs = keras.Input((size, size, 3))
    return keras.Model(inputs, build(inputs))


def maps(x, pool=8):
    """Three maps, of how red, green and blue the places are."""
    if pool > 1:
        x = layers.AveragePooling2D(pool)(x)
    return layers.Conv2D(
        3,
        1,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(np.eye(3)[None, None]),
    )(x)


def mean(x):
    return layers.GlobalAveragePooling2D()(x)


def class_of(*weights):
    """A layer whose class 0 is the sum of what it gets, so weighted; class 1 is
    nothing."""
    kernel = keras.initializers.Constant(
        np.stack([weights, np.zeros(len(weights))], axis=1)
    )
    return layers.Dense(2, use_bias=False, kernel_initializer=kernel)


def join(one, other):
    """Class 0: red in one branch, green in the other."""
    return class_of(1, 0, 0, 0, 1, 0)(layers.Concatenate()([one, other]))


def pooled_apart(x):
    return join(mean(maps(x)), mean(maps(x)))


def average_and_maximum(x):
    x = maps(x)
    return join(mean(x), layers.GlobalMaxPooling2D()(x))


def residual_apart(x):
    x = maps(x)
    return join(mean(x), mean(maps(x, 1)))


def pooled_before(x):
    x = maps(x, 4)
    return join(mean(layers.MaxPooling2D()(x)), mean(layers.AveragePooling2D(2)(x)))


def three_levels(x):
    one = maps(x, 4)
    two = maps(one, 2)
    return class_of(1, 0, 0, 0, 1, 0, 0, 0, 0)(
        layers.Concatenate()([mean(one), mean(two), mean(maps(two, 1))])
    )


def split(x):
    x = layers.Concatenate()([maps(x), maps(x)])
    return join(*(mean(part) for part in ops.split(x, 2, axis=-1)))


def added_logits(x):
    both = [class_of(1, 0, 0)(mean(maps(x))), class_of(0, 1, 0)(mean(maps(x)))]
    said = layers.Identity(
        name="outputs_are_logits"
    )  # as logits_of(model, "logits") says it
    return said(layers.Add()(both))


def nested_maps(x):
    return join(*(mean(network_of(maps)(x)) for _ in range(2)))


def nested_features(x):
    return join(*(network_of(lambda y: mean(maps(y)))(x) for _ in range(2)))


def same_names(x):
    def build(y):
        return mean(maps(layers.Identity(name="same")(y)))

    return join(*(network_of(build)(x) for _ in range(2)))


def shared(x):
    base = network_of(maps)
    return join(mean(base(x)), mean(base(x)))


def two_sizes(x):
    return join(mean(maps(x, 4)), mean(maps(x, 8)))


def frozen_branches(x):
    both = [network_of(maps)(x), network_of(maps)(x)]
    return join(*map(mean, both))


def half_precision(x):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return pooled_apart(x)
    finally:
        keras.config.set_dtype_policy(policy)


BRANCHED = [
    pooled_apart, average_and_maximum, residual_apart, pooled_before, three_levels,
    split, added_logits, nested_maps, nested_features, same_names, shared, two_sizes,
    frozen_branches, half_precision,
]  # fmt: skip


@pytest.mark.parametrize(
    "build",
    thorough_but(BRANCHED, pooled_apart, nested_features, two_sizes),
    ids=lambda build: build.__name__,
)
def test_all_branches_are_in_the_map(build):
    """One sees what is red, another what is green: each speaks for the class in its
    corner."""
    network = network_of(build)
    network.trainable = build is not frozen_branches
    pixels = np.asarray(patch(*CORNER)) + patch(slice(24, 32), slice(0, 8), (0, 255, 0))
    heat = grad_cam(classifier_of(network), pixels, 0)
    assert heat[CORNER].mean() > 0.5, "red"
    assert heat[24:, :8].mean() > 0.5, "green"
    assert heat[8:24, 8:24].max() < 0.3, "nothing between them"


def test_a_map_counts_once():
    """What two ways lead on from counts for both; what lies on the way is not added
    again."""
    single = network_of(lambda x: class_of(2, 0, 0)(mean(maps(x))))
    double = network_of(
        lambda x: class_of(1, 0, 0, 1, 0, 0)(
            layers.Concatenate()([mean(maps(x)), mean(maps(x))])
        )
    )
    red = patch(*CORNER)
    wanted = grad_cam(classifier_of(single), red, 0)
    np.testing.assert_allclose(
        grad_cam(classifier_of(double), red, 0), wanted, atol=1e-6
    )


def by_way_of(step):
    """A network in which a step comes before the first maps."""
    return lambda x: class_of(1, 1, 1)(mean(maps(step(x), 1)))


def beside(step):
    """A network in which a step leads around the maps."""
    return lambda x: layers.Dense(2)(layers.Concatenate()([mean(maps(x)), step(x)]))


def tta(x):
    base = network_of(lambda y: mean(maps(y)))
    return class_of(1, 1, 1)(layers.Average()([base(x), base(ops.flip(x, axis=2))]))


def after(step):
    """A network in which a step takes what the last maps put out."""
    return lambda x: layers.Dense(2)(layers.Flatten()(step(maps(x, 4))))


def padded_often(x):
    for _ in range(5):
        x = layers.ZeroPadding2D(((3, 0), (3, 0)))(x)
    return class_of(1, 1, 1)(mean(maps(x, 1)))


def never_padded(x):
    for _ in range(6):
        x = layers.Conv2D(3, 3)(x)
    return class_of(1, 1, 1)(mean(x))


def by_halves(x):
    one, other = ops.split(x, 2, axis=1)
    return join(mean(maps(one)), mean(maps(other)))


def turned_and_added(x):
    x = maps(x, 1)
    return layers.Dense(2)(mean(layers.Add()([x, layers.Permute((2, 1, 3))(x)])))


def attended(x):
    x = layers.Reshape((64, 3))(maps(x, 4))
    x = layers.MultiHeadAttention(1, 4)(x, x)
    return layers.Dense(2)(layers.GlobalAveragePooling1D()(x))


def weighted_places(x):
    x = layers.Reshape((64, 3))(maps(x, 4))
    return layers.Dense(2)(layers.Flatten()(layers.Dot(axes=1)([x, x])))


def normalised_by_place(x):
    layer = layers.Normalization(axis=(1, 2, 3))
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 3)))
    return layer(x)


def recurrent_(x):
    return layers.Dense(2)(layers.SimpleRNN(3)(layers.Reshape((64, 3))(maps(x, 4))))


TURN = "bhwc->bwhc"
# What no map over the picture can show: how it is built, and the layer that is to
# blame.
UNMAPPED = {
    "scaled only": (
        lambda x: layers.Dense(2)(layers.Flatten()(layers.Rescaling(0.1)(x))),
        "flatten",
    ),
    "normalised only": (
        lambda x: layers.Dense(2)(
            layers.Flatten()(
                layers.Normalization(mean=[1.0, 2, 3], variance=[1.0, 1, 1])(x)
            )
        ),
        "flatten",
    ),
    "normalised place by place": (
        lambda x: layers.Dense(2)(layers.Flatten()(normalised_by_place(x))),
        "flatten",
    ),
    "normalised over all places": (
        lambda x: layers.Dense(2)(
            layers.Flatten()(layers.LayerNormalization(axis=(1, 2, 3))(x))
        ),
        "flatten",
    ),
    "scaled place by place": (
        lambda x: layers.Dense(2)(layers.Flatten()(layers.PReLU()(x))),
        "flatten",
    ),
    "scaled place by place beside": (
        beside(lambda x: mean(layers.PReLU()(x))),
        "global_average_pooling2d",
    ),
    "colours beside": (beside(mean), "global_average_pooling2d"),
    "Dense beside": (beside(lambda x: layers.Dense(3)(layers.Flatten()(x))), "flatten"),
    "mirrored beside": (tta, "flip"),
    "cut": (by_way_of(layers.Cropping2D(8)), "conv2d"),
    "centre": (by_way_of(layers.CenterCrop(16, 16)), "center_crop"),
    "sliced": (by_way_of(lambda x: x[:, 8:, 8:]), "get_item"),
    "upside down": (by_way_of(lambda x: x[:, ::-1]), "get_item"),
    "transposed": (by_way_of(layers.Permute((2, 1, 3))), "permute"),
    "transposed by Einsum": (by_way_of(lambda x: ops.einsum(TURN, x)), "einsum"),
    "by swapped axes": (by_way_of(lambda x: ops.swapaxes(x, 1, 2)), "swapaxes"),
    "mixed by a product": (
        by_way_of(lambda x: ops.matmul(x, np.eye(3, dtype="float32"))),
        "matmul",
    ),
    "mixed by Tensordot": (
        by_way_of(lambda x: ops.tensordot(x, np.eye(3, dtype="float32"), axes=1)),
        "tensordot",
    ),
    "reshaped": (by_way_of(layers.Reshape((16, 64, 3))), "reshape"),
    "rolled": (by_way_of(lambda x: ops.roll(x, 8, axis=1)), "roll"),
    "rolled behind": (after(lambda x: ops.roll(x, 8, axis=1)), "roll"),
    "transposed behind": (after(layers.Permute((2, 1, 3))), "permute"),
    "turned and added": (turned_and_added, "permute"),
    "split places": (by_halves, "split"),
    "split behind": (after(lambda x: ops.split(x, 2, axis=1)[0]), "split"),
    "padded": (by_way_of(layers.ZeroPadding2D(16)), "conv2d"),
    "padded often": (padded_often, "conv2d"),
    "never padded": (never_padded, "conv2d"),
    "padded by an operation": (
        by_way_of(lambda x: ops.pad(x, ((0, 0), (8, 0), (8, 0), (0, 0)))),
        "pad",
    ),
    "twice beside itself": (
        by_way_of(lambda x: ops.concatenate([x, x], axis=2)),
        "concatenate",
    ),
    "resized by cutting": (
        by_way_of(layers.Resizing(8, 16, crop_to_aspect_ratio=True)),
        "resizing",
    ),
    "attended": (attended, "multi_head_attention"),
    "weighted places": (weighted_places, "dot"),
    "read in a row": (recurrent_, "simple_rnn"),
    "rounded": (after(ops.round), "round"),
    "without gradient": (after(ops.stop_gradient), "stop_gradient"),
    "Lambda": (by_way_of(layers.Lambda(lambda x: x)), "lambda"),
    "somebody's own": (
        by_way_of(layers.Activation(lambda x: ops.flip(x, 1))),
        "activation",
    ),
}


@pytest.mark.parametrize("kind", thorough_but(UNMAPPED, "rounded", "somebody's own"))
def test_what_no_map_can_show_is_refused_by_name(kind):
    build, layer = UNMAPPED[kind]
    with pytest.raises(
        ValueError, match=f"Grad-CAM explains .*'{layer}|'{layer}.*Grad-CAM explains"
    ):
        grad_cam(classifier_of(network_of(build)), patch(*CORNER), 0)


HARMLESS = {
    "resized": layers.Resizing(16, 16),
    "a pixel more": layers.ZeroPadding2D(1),
    "colours turned": lambda x: ops.flip(x, axis=-1)[..., ::-1],
    "augmented": layers.RandomFlip(),
    "channels picked": lambda x: x[:, :, :, :3],
    "padded and cut": lambda x: layers.Cropping2D(2)(layers.ZeroPadding2D(2)(x)),
    "operations": lambda x: ops.relu(2 * x + 1.0),
    "a gate": lambda x: layers.Multiply()([x, layers.Reshape((1, 1, 3))(mean(x))]),
    "a gate of places": lambda x: x * ops.sigmoid(ops.mean(x, axis=-1, keepdims=True)),
    "made larger": layers.UpSampling2D(2),
    "made larger by learning": lambda x: layers.Conv2DTranspose(
        3, 2, 2, kernel_initializer="ones"
    )(x),
    "in a wrapper": layers.SpectralNormalization(
        layers.Conv2D(3, 1, kernel_initializer="ones")
    ),
    "split into channels": lambda x: ops.concatenate(ops.split(x, 3, axis=-1), axis=-1),
}


@pytest.mark.parametrize("kind", thorough_but(HARMLESS, "augmented", "operations"))
def test_what_leaves_places_alone_is_no_obstacle(kind):
    network = network_of(by_way_of(HARMLESS[kind]))
    heat = grad_cam(classifier_of(network), patch(*CORNER), 0)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert row < 9 and column >= 22


@pytest.mark.parametrize(
    "end", thorough_but(["log_softmax", "sigmoid", "relu"], "sigmoid")
)
def test_heads_without_a_useful_gradient(end):
    network = network_of(lambda x: layers.Dense(2, end)(mean(maps(x))))
    with pytest.raises(ValueError, match="Grad-CAM needs logits"):
        grad_cam(classifier_of(network), patch(*CORNER))


def test_of_probabilities_the_layers_before_are_explained():
    """Their logarithms, which other calls take, would be refused next."""
    inputs = keras.Input((SIZE, SIZE, 3))
    logits = class_of(1, 1, 1)(mean(maps(inputs)))
    e = ops.exp(logits / 255)
    network = keras.Model(inputs, e / ops.sum(e, axis=-1, keepdims=True))
    with pytest.raises(ValueError, match="if they .*sum 1, a keras.Model that ends be"):
        grad_cam(classifier_of(network), patch(*CORNER), 0)
    heat = grad_cam(classifier_of(keras.Model(inputs, logits)), patch(*CORNER), 0)
    assert heat[CORNER].mean() > 0.5


# -- a score that does not change ------------------------------------------------------


def untrained(x):
    return layers.Dense(2, kernel_initializer="zeros")(mean(maps(x)))


def dead(x):
    bias = keras.initializers.Constant(-1e3)
    return layers.Dense(2)(
        layers.Dense(4, "relu", bias_initializer=bias)(mean(maps(x)))
    )


def limited(x):
    return layers.Dense(2)(ops.clip(mean(maps(x)), 0, 1e-4))


def above_less_below(x):
    """Above speaks for a class as much as below speaks against it."""
    kernel = np.ones((4, 4, 3))
    kernel[2:] *= -1
    kernel = keras.initializers.Constant(kernel.reshape(48, 1))
    return layers.Dense(1, kernel_initializer=kernel)(layers.Flatten()(maps(x)))


def against_itself(x):
    return class_of(1)(above_less_below(x))


def one_branch_against_itself(x):
    """Green speaks for the class as well, in a branch of its own."""
    both = layers.Concatenate()([above_less_below(x), mean(maps(x))])
    return class_of(1, 0, 1, 0)(both)


@pytest.mark.parametrize(
    "build",
    thorough_but(
        [untrained, dead, limited, against_itself, one_branch_against_itself],
        untrained,
        one_branch_against_itself,
    ),
)
def test_a_score_that_does_not_change_is_not_told_as_a_map_of_nothing(build):
    grey = Image.new("RGB", (SIZE, SIZE), (99, 99, 99))
    with pytest.raises(ValueError, match="picture 0 .*score does not change"):
        grad_cam(classifier_of(network_of(build)), grey, 0)


def test_a_dead_branch_is_no_obstacle():
    """A branch that cannot speak hides nothing."""
    bias = keras.initializers.Constant(-1e4)

    def build(x):
        silent = layers.Dense(3, "relu", bias_initializer=bias)(mean(maps(x)))
        return class_of(1, 1, 1, 1, 0, 0)(layers.Concatenate()([silent, mean(maps(x))]))

    heat = grad_cam(classifier_of(network_of(build)), patch(*CORNER), 0)
    assert heat[CORNER].mean() > 0.5


@pytest.mark.parametrize("sizes", [(128, 32), (32, 128)])
def test_of_each_size_the_last_maps_are_its_own(sizes):
    """At 32 pixels the last convolution has one place, at 128 it has 4 × 4."""

    def build(x):
        x = layers.Conv2D(3, 3, 4, "same", kernel_initializer="ones")(maps(x))
        return class_of(1, 1, 1)(mean(x))

    network = network_of(build, None)
    for size in sizes:
        side = size // 4
        red = patch(slice(0, side), slice(size - side, size), size=size)
        model = dataclasses.replace(classifier_of(network), size=size)
        heat = grad_cam(model, red, 0)
        assert heat[:side, -side:].mean() > 0.5
        assert heat[2 * side :, : 2 * side].max() < 0.1


def test_a_head_that_is_changed_in_place_is_looked_at_again():
    network = network_of(lambda x: class_of(1, 1, 1)(mean(maps(x))))
    grad_cam(classifier_of(network), patch(*CORNER), 0)
    network.layers[-1].activation = keras.activations.sigmoid
    with pytest.raises(ValueError, match="Grad-CAM needs logits"):
        grad_cam(classifier_of(network), patch(*CORNER), 0)


def test_the_picture_is_named_whose_score_does_not_change():
    """A ReLU behind the maps lets red through, and nothing else."""
    bias = keras.initializers.Constant(-1.0)
    hidden = layers.Dense(1, "relu", kernel_initializer="ones", bias_initializer=bias)
    model = classifier_of(network_of(lambda x: class_of(1)(hidden(mean(maps(x))))))
    pictures = [patch(*CORNER)] * 9 + [Image.new("RGB", (SIZE, SIZE))]
    assert grad_cam(model, pictures[:9], 0).any()
    with pytest.raises(ValueError, match="picture 9 "):
        grad_cam(model, pictures, 0)


# -- every kind of model ---------------------------------------------------------------


@pytest.mark.thorough
def test_nested_and_preprocessed_is_the_same_as_flat(renders):
    """A model of `new_model` with the original head, so with the original answers."""
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2(
        (SIZE, SIZE, 3),
        alpha=0.35,
        weights=None,
        classes=10,
        classifier_activation=None,
    )
    flat = classifier_of(
        network, lambda batch: batch / 127.5 - 1, ResizeRule("each_side", 0.8)
    )
    nested = new_model(flat, 10)
    nested.get_layer("head").set_weights(network.layers[-1].get_weights())
    wanted = grad_cam(flat, renders, 3)
    assert wanted.any()
    np.testing.assert_allclose(grad_cam(nested, renders, 3), wanted, atol=1e-3)


def test_fine_tuned_model_with_augmentation_frozen_or_not(learned, renders):
    model = new_model(learned, 4, augment=keras.layers.RandomFlip(seed=0), dropout=0.5)
    model.get_layer("head").set_weights(learned.network.layers[-1].get_weights())
    wanted = grad_cam(learned, renders[:2], 2)
    assert wanted.any()
    for model.trainable in (False, True):
        np.testing.assert_allclose(grad_cam(model, renders[:2], 2), wanted, atol=1e-3)


def vgg_like():
    layers = keras.layers
    return [
        *(
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
        ),
        *(
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
        ),
        *(layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dense(5)),
    ]


def test_flattened_top_is_explained_before_its_last_pooling():
    heat = grad_cam(colours("flat"), patch(slice(16, 20), slice(16, 20)), 0)
    assert heat[16:20, 16:20].mean() > 0.7
    found = np.argwhere(heat > 0)
    assert found.min() >= 12 and found.max() < 24, (
        "places of 4 pixels, not of the pooled 8"
    )


def test_sequential_with_a_nested_base(renders):
    keras.utils.set_random_seed(0)
    *convolutions, flatten, hidden, top = vgg_like()
    base = keras.Sequential([keras.Input((SIZE, SIZE, 3)), *convolutions])
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), base, flatten, hidden, top])
    flat = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), *convolutions, flatten, hidden, top]
    )
    model.rule = SQUARE
    wanted = grad_cam(classifier_of(flat), renders[0], 2)
    assert wanted.any()
    np.testing.assert_allclose(grad_cam(model, renders[0], 2), wanted, atol=1e-5)


@pytest.mark.thorough
def test_mobilenet_v3_is_explained_before_its_1x1_maps(renders):
    keras.utils.set_random_seed(1)
    network = keras.applications.MobileNetV3Small(
        (64, 64, 3),
        minimalistic=True,
        weights=None,
        classes=5,
        classifier_activation=None,
    )
    classifier = dataclasses.replace(classifier_of(network), size=64)
    heat = grad_cam(classifier, renders[:4], 0)
    assert heat.shape == (4, 64, 64)
    assert (np.ptp(heat.reshape(4, -1), axis=1) == 1).any()


def test_explaining_leaves_the_model_as_it_was(learned, renders):
    model = new_model(learned, 4)
    model.get_layer("head").set_weights(learned.network.layers[-1].get_weights())
    names, weights = [layer.name for layer in model.layers], model.get_weights()
    trainable = len(model.trainable_weights)
    grad_cam(model, renders[0], 1)
    assert [layer.name for layer in model.layers] == names
    assert len(model.trainable_weights) == trainable
    assert all(
        (a == b).all() for a, b in zip(weights, model.get_weights(), strict=True)
    )


# -- sanity (Adebayo et al. 2018) ------------------------------------------------------


def test_random_weights_give_another_map(learned, renders):
    shuffled = dataclasses.replace(
        learned, network=keras.models.clone_model(learned.network)
    )
    likeliest = learned.probabilities(renders).argmax(axis=1)
    real, random = (
        grad_cam(model, renders, likeliest) for model in (learned, shuffled)
    )
    again = grad_cam(learned, renders, likeliest)

    def correlation(others):
        pairs = [
            (a.ravel(), b.ravel()) for a, b in zip(real, others, strict=True) if b.any()
        ]
        return np.mean([spearmanr(*pair).statistic for pair in pairs])

    assert correlation(again) > 0.999
    assert correlation(random) < 0.7


# -- the picture -----------------------------------------------------------------------


def test_overlay_is_lighter_where_the_map_is_higher():
    classifier, image = colours(), patch(*CORNER)
    heat = np.zeros((SIZE, SIZE), "float32")
    heat[16:] = 1
    drawn = overlay(classifier, Image.new("RGB", (50, 40), "grey"), heat, side=80)
    assert (drawn.size, drawn.mode) == ((80, 80), "RGB")
    light = np.asarray(drawn.convert("L"), float)
    assert light[60:].mean() > light[:20].mean() + 60, (
        "told by brightness, not by hue alone"
    )
    drawn = np.asarray(overlay(classifier, image, heat, side=SIZE), float)
    assert drawn[4, 28].sum() > drawn[4, 4].sum(), "the picture shows through"


# -- what cannot be explained ----------------------------------------------------------


@pytest.mark.parametrize("index", [-1, 3, [0, 3]])
def test_class_that_is_not_there(index):
    with pytest.raises(ValueError, match="3 classes: class_index should be 0…2"):
        grad_cam(colours(), [patch(*CORNER)] * 2, index)


def test_network_without_places():
    network = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    with pytest.raises(ValueError, match="tells places apart"):
        grad_cam(classifier_of(network), patch(*CORNER))


@pytest.mark.parametrize("layer", ["Softmax", "Activation"])
def test_softmax_at_the_end(layer):
    end = (
        keras.layers.Softmax()
        if layer == "Softmax"
        else keras.layers.Activation("softmax")
    )
    network = keras.Sequential([colours().network, end])
    with pytest.raises(ValueError, match="ends in a softmax"):
        grad_cam(classifier_of(network), patch(*CORNER))


def test_model_that_does_not_know_how_pictures_become_squares():
    with pytest.raises(ValueError, match="model.rule"):
        grad_cam(colours().network, patch(*CORNER))


def test_overlay_of_another_map():
    with pytest.raises(ValueError, match=r"\(8, 8\).*\(32, 32\)"):
        overlay(colours(), patch(*CORNER), np.zeros((8, 8)))
