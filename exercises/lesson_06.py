"""Lesson 06, fine-tune: its exercises and their judges."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call


def unfrozen(answer):
    """Judge a function (base, n) that makes a frozen base's last n layers trainable.

    No other layer and no BatchNorm layer may become so. What it returns doesn't matter.
    """
    base = _random_base()
    total = len(base.layers)
    for n in range(total, -1, -1):
        for layer in (*base.layers, base):
            layer.trainable = False
        call(answer, base, n, may_return_none=True)
        _judge_unfrozen(base, n)
    return "Right: the last n layers, none for 0, and no BatchNorm."


def _random_base():
    """A network of two or three convolution blocks, most of its layers named."""
    from helpers import keras

    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for block in range(np.random.default_rng().integers(2, 4)):
        x = layers.Conv2D(4, 3, padding="same", name=f"block{block}")(x)
        # by its name no BatchNorm layer: only its type tells
        x = layers.BatchNormalization(name=f"statistics{block}")(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    # by its name it might be one, but it isn't
    x = layers.LayerNormalization(name="normalisation")(x)
    return keras.Model(inputs, x)


def _judge_unfrozen(base, n):
    """Raise a hint unless the base's last n layers are trainable, as they should be."""
    from helpers import keras

    batch_norm = keras.layers.BatchNormalization
    trainable = _trainable_names(base)
    expected = _names_with_weights(base.layers[len(base.layers) - n :])
    if trainable and n == 0:
        raise Hint(
            "n = 0 should leave all frozen. What is layers[-0:] (and layers[:-0])?"
        )
    if any(isinstance(layer, batch_norm) and layer.trainable for layer in base.layers):
        raise Hint(
            f"With n = {n} a BatchNorm layer is trainable. Unfreezing the base reaches "
            "all layers inside: when? And a layer may have any name: what tells its "
            "kind?"
        )
    if expected and not trainable:
        if any(layer.trainable for layer in base.layers):
            raise Hint(
                "Layers are on, but the base itself is frozen: then none of them "
                "counts."
            )
        raise Hint(
            f"With n = {n} no layer is trainable. Is it `base` itself that you change?"
        )
    if trainable == expected:
        return
    if trainable == _names_with_weights(base.layers[:n]):
        raise Hint(f"With n = {n} these are the first layers, not the last.")
    with_weights = [layer for layer in base.layers if layer.weights]
    if trainable == _names_with_weights(with_weights[-n:]):
        raise Hint("n counts all of base.layers, those without weights as well.")
    name = sorted(trainable ^ expected)[0]
    should = "should" if name in expected else "should not"
    raise Hint(
        f"With n = {n} of {len(base.layers)} the layer {name!r} {should} be trainable."
    )


def _trainable_names(base):
    """The names of the layers whose weights training would change."""
    # asked of the base: while it is frozen itself, its layers' own settings don't count
    trained = {id(weight) for weight in base.trainable_weights}
    return {
        layer.name
        for layer in base.layers
        if any(id(weight) in trained for weight in layer.weights)
    }


def _names_with_weights(layers):
    """The names of those layers that have weights and aren't BatchNorm."""
    from helpers import keras

    batch_norm = keras.layers.BatchNormalization
    return {
        layer.name
        for layer in layers
        if layer.weights and not isinstance(layer, batch_norm)
    }


def cause(weights_moved, statistics_moved, on_training):
    """Why accuracy on validation pictures fell, one of `CAUSES`.

    weights_moved, statistics_moved: whether fine-tuning changed any; on_training: the
    accuracy on the training pictures afterwards.
    """
    if statistics_moved:
        return "statistics"
    if not weights_moved:
        return "pictures"
    return "overfitting" if on_training > 0.9 else "rate"


# Each with what to say where it is the cause and the answer is another.
CAUSES = {
    "statistics": (
        "Here the statistics moved. What is it that lets them, and does it matter "
        "whether the weights moved as well?"
    ),
    "pictures": (
        "Here nothing moved, so the network is the one that was right nine times in "
        "ten. What is left that could have changed?"
    ),
    "overfitting": (
        "This network is nearly always right on the pictures that it trained on. Would "
        "steps that are far too large have left it so?"
    ),
    "rate": (
        "This network is bad even on the pictures that it trained on. Could it know "
        "them by heart?"
    ),
}
# (weights moved, statistics moved, right on training pictures) of the runs tried.
KINDS = (
    (True, True, False),
    (False, True, False),
    (False, False, True),
    (True, False, True),
    (True, False, False),
)


def explained(answer):
    """Judge a function (weights_moved, statistics_moved, on_training) that returns what
    `cause` does."""
    random = np.random.default_rng()
    for weights_moved, statistics_moved, right in KINDS:
        for _ in range(5):
            low, high = (0.91, 1) if right else (0.25, 0.59)
            run = (weights_moved, statistics_moved, float(random.uniform(low, high)))
            result = call(answer, *run)
            if not isinstance(result, str) or result not in CAUSES:
                names = ", ".join(f'"{name}"' for name in sorted(CAUSES))
                raise Hint(f"Return one of {names}.")
            if result != cause(*run):
                raise Hint(
                    f"Not right for {run[0]}, {run[1]}, {run[2]:.2f}. "
                    f"{CAUSES[cause(*run)]}"
                )
    return "Right: the statistics, then whether anything moved, then the training."


EXERCISES = {
    "06.1": Predict("right", "too small", "too large"),
    "06.2": Predict("the same", "a little lower", "much lower"),
    "06.3": Fill(explained),
    "06.4": Fill(unfrozen),
    "06.5": Explore(),
}
