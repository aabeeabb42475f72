"""Lesson 06, fine-tune: its exercises and their judges."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise


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
        raise Hint("n = 0 should leave all frozen. What is layers[-0:]?")
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


def early(losses, patience, reset=True, compare_previous=False, accept_ties=False):
    """What Keras's EarlyStopping does with these validation losses.

    Returns (number of epochs run, position of the restored epoch). The options are
    mistakes: not resetting the count of epochs without progress, comparing with the
    epoch before instead of the best, and taking an equal loss for progress.
    """

    def is_progress(loss, reference):
        return loss < reference or (accept_ties and loss == reference)

    best = 0
    waited = 0
    epochs_run = 0
    for epoch, loss in enumerate(losses):
        epochs_run = epoch + 1
        reference = losses[max(epoch - 1, 0)] if compare_previous else losses[best]
        if epoch == 0 or is_progress(loss, reference):
            if reset:
                waited = 0
        else:
            waited += 1
        if is_progress(loss, losses[best]):
            best = epoch
        if waited >= patience:
            break
    return epochs_run, best


def lowest(losses):
    """The position of the lowest of all losses, whether that epoch is run or not."""
    return losses.index(min(losses))


# What the usual mistakes return for (losses, patience), each a function.


def _never_stops(losses, patience):
    return len(losses), lowest(losses)


def _knows_the_future(losses, patience):
    best = lowest(losses)
    return min(best + patience + 1, len(losses)), best


def _restores_an_epoch_never_run(losses, patience):
    epochs_run, _ = early(losses, patience)
    return epochs_run, lowest(losses)


def _restores_the_last(losses, patience):
    epochs_run, _ = early(losses, patience)
    return epochs_run, epochs_run - 1


def _counts_from_0(losses, patience):
    epochs_run, best = early(losses, patience)
    return epochs_run - 1, best


def _position_from_1(losses, patience):
    epochs_run, best = early(losses, patience)
    return epochs_run, best + 1


def _reversed(losses, patience):
    epochs_run, best = early(losses, patience)
    return best, epochs_run


STOPPING_MISTAKES = {
    "Training always goes to the end here. What does `patience` ask of the losses?": (
        _never_stops
    ),
    "The lowest of all may never be reached: "
    "training knows only the losses up to now.": (_knows_the_future),
    "The restored epoch comes after the end: it was never run.": (
        _restores_an_epoch_never_run
    ),
    "You restore the last epoch that is run. Were its weights the best?": (
        _restores_the_last
    ),
    "The first number counts epochs: if the last has position 4, five were run.": (
        _counts_from_0
    ),
    "The second number is a position, and positions begin at 0.": _position_from_1,
    "Epochs run come first, then the position.": _reversed,
    "You wait one epoch longer than `patience` says.": (
        lambda losses, patience: early(losses, patience + 1)
    ),
    "Lower than the epoch before? A zigzag that climbs would go on for ever. Lower "
    "than what?": lambda losses, patience: early(
        losses, patience, compare_previous=True
    ),
    "An equal loss is not a lower one.": (
        lambda losses, patience: early(losses, patience, accept_ties=True)
    ),
    "The epochs must be in a row: what happens to their number when the loss falls "
    "again?": lambda losses, patience: early(losses, patience, reset=False),
}


def stopped(answer):
    """Judge a function (losses, patience) that returns what `early` does."""
    random = np.random.default_rng()
    cases = []
    wrong_cases = []
    for _ in range(100):
        # of few different values, so that some losses are equal
        n_epochs = random.integers(1, 13)
        losses = (random.integers(3, 9, n_epochs) / 10).tolist()
        patience = int(random.integers(1, 4))
        result = numbers(call(answer, losses.copy(), patience))
        if result.shape != (2,):
            raise Hint(
                "Two numbers are asked for: how many epochs are run, and a position."
            )
        case = (losses, patience, tuple(result))
        cases.append(case)
        if tuple(result) != early(losses, patience):
            wrong_cases.append(case)
    if not wrong_cases:
        return "Right: as Keras's EarlyStopping does it."

    def explains_all(mistake):
        return all(
            result == mistake(losses, patience) for losses, patience, result in cases
        )

    recognise(STOPPING_MISTAKES, explains_all)
    losses, patience, _ = min(wrong_cases, key=lambda case: len(case[0]))
    raise Hint(
        f"Not right for {losses} and patience {patience}: go through these by hand."
    )


EXERCISES = {
    "06.1": Predict("yes", "no"),
    "06.2": Predict("right", "too small", "too large"),
    "06.3": Fill(unfrozen),
    "06.4": Fill(stopped),
    "06.5": Explore(),
}
