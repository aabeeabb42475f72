"""The exercises of lesson 06: fine-tune."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise


def unfrozen(answer):
    """A function (base, n) that makes the last n layers of a frozen base trainable, no other, and
    no BatchNorm layer. What it returns does not matter."""
    from helpers import keras

    layers, random = keras.layers, np.random.default_rng()
    x = start = keras.Input((8, 8, 3))
    for block in range(random.integers(2, 4)):
        x = layers.Conv2D(4, 3, padding="same", name=f"block{block}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"statistics{block}")(x))
    x = layers.LayerNormalization(name="normalisation")(layers.GlobalAveragePooling2D()(x))
    base = keras.Model(start, x)
    total, norms = len(base.layers), layers.BatchNormalization

    def trained(chosen):
        return {each.name for each in chosen if each.weights and not isinstance(each, norms)}

    for n in range(total, -1, -1):
        for layer in (*base.layers, base):
            layer.trainable = False
        call(answer, base, n, may_return_none=True)
        counted = {id(weight) for weight in base.trainable_weights}
        found = {layer.name for layer in base.layers if counted & {id(w) for w in layer.weights}}
        wanted = trained(base.layers[total - n :])
        if found and not n:
            raise Hint("n = 0 should leave all frozen. What is layers[-0:]?")
        if any(layer.trainable for layer in base.layers if isinstance(layer, norms)):
            raise Hint(
                f"With n = {n} a BatchNorm layer is trainable. Unfreezing the base reaches all "
                "layers inside: when? And a layer may have any name: what tells its kind?"
            )
        if wanted and not found:
            if any(layer.trainable for layer in base.layers):
                raise Hint(
                    "Layers are on, but the base itself is frozen: then none of them counts."
                )
            raise Hint(f"With n = {n} no layer is trainable. Is it `base` itself that you change?")
        if found != wanted:
            if found == trained(base.layers[:n]):
                raise Hint(f"With n = {n} these are the first layers, not the last.")
            if found == trained([layer for layer in base.layers if layer.weights][-n:]):
                raise Hint("n counts all of base.layers, those without weights as well.")
            name = sorted(found ^ wanted)[0]
            should = "should" if name in wanted else "should not"
            raise Hint(f"With n = {n} of {total} the layer {name!r} {should} be trainable.")
    return "Right: the last n layers, none for 0, and no BatchNorm."


def early(losses, patience, anew=True, previous=False, ties=False):
    """(number of epochs run, position of the restored one), as Keras's EarlyStopping has it for
    these validation losses; the options are mistakes."""
    best = wait = 0
    for epoch, loss in enumerate(losses):
        mark = losses[max(epoch - 1, 0) if previous else best]
        if loss < mark or (ties and loss == mark) or not epoch:
            wait *= not anew
        else:
            wait += 1
        if loss < losses[best] or (ties and loss == losses[best]):
            best = epoch
        if wait >= patience:
            break
    return epoch + 1, best


def lowest(losses, patience):
    """The lowest of all losses, whether that epoch is run or not."""
    return losses.index(min(losses))


STOPS = {
    "Training always goes to the end here. What does `patience` ask of the losses?": (
        lambda losses, patience: (len(losses), lowest(losses, patience))
    ),
    "The lowest of all may never be reached: training knows only the losses up to now.": (
        lambda losses, patience: (
            min(lowest(losses, patience) + patience + 1, len(losses)),
            lowest(losses, patience),
        )
    ),
    "The restored epoch comes after the end: it was never run.": (
        lambda *case: (early(*case)[0], lowest(*case))
    ),
    "You restore the last epoch that is run. Were its weights the best?": (
        lambda *case: (early(*case)[0], early(*case)[0] - 1)
    ),
    "The first number counts epochs: if the last has position 4, five were run.": (
        lambda *case: (early(*case)[0] - 1, early(*case)[1])
    ),
    "The second number is a position, and positions begin at 0.": (
        lambda *case: (early(*case)[0], early(*case)[1] + 1)
    ),
    "Epochs run come first, then the position.": lambda *case: early(*case)[::-1],
    "You wait one epoch longer than `patience` says.": (
        lambda losses, patience: early(losses, patience + 1)
    ),
    "Lower than the epoch before? A zigzag that climbs would go on for ever. Lower than what?": (
        lambda *case: early(*case, previous=True)
    ),
    "An equal loss is not a lower one.": lambda *case: early(*case, ties=True),
    "The epochs must be in a row: what happens to their number when the loss falls again?": (
        lambda *case: early(*case, anew=False)
    ),
}


def stopped(answer):
    """A function (losses, patience) → what `early` returns."""
    random, tried = np.random.default_rng(), []
    for _ in range(100):  # of few different values, so that some losses are equal
        losses = (random.integers(3, 9, random.integers(1, 13)) / 10).tolist()
        patience = int(random.integers(1, 4))
        given = numbers(call(answer, losses.copy(), patience))
        if given.shape != (2,):
            raise Hint("Two numbers are asked for: how many epochs are run, and a position.")
        tried.append((losses, patience, tuple(given)))
    wrong = [case for case in tried if case[2] != early(*case[:2])]
    if not wrong:
        return "Right: as Keras's EarlyStopping does it."
    recognise(STOPS, lambda mistake: all(given == mistake(*case) for *case, given in tried))
    losses, patience, _ = min(wrong, key=lambda case: len(case[0]))
    raise Hint(f"Not right for {losses} and patience {patience}: go through these by hand.")


EXERCISES = {
    "06.1": Predict("yes", "no"),
    "06.2": Predict("right", "too small", "too large"),
    "06.3": Fill(unfrozen),
    "06.4": Fill(stopped),
    "06.5": Explore(),
}
