"""Lesson 06: answers that are right and wrong."""

from exercise_cases import Case

UNFREEZE_ALL = """
def unfreeze_last(base, n):
    base.trainable = True
"""
STOP_EARLY = """
def stop_early(losses, patience):
    best, waited = 0, 0
    for epoch, loss in enumerate(losses):
"""

CASES = {
    "06.3": Case(
        wrong={
            """
def unfreeze_last(base, n):
    base.trainable = True
    for layer in base.layers:
        layer.trainable = False
    for layer in base.layers[-n:]:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
""": "layers[-0:]",
            """
def unfreeze_last(base, n):
    for layer in batchnorm(base):
        layer.trainable = False
    base.trainable = True
    for layer in base.layers[: len(base.layers) - n]:
        layer.trainable = False
""": "a BatchNorm layer is trainable",
            UNFREEZE_ALL
            + """
    first = len(base.layers) - n
    for position, layer in enumerate(base.layers):
        layer.trainable = position >= first and "batch_norm" not in layer.name
""": "a layer may have any name",
            """
def unfreeze_last(base, n):
    for layer in base.layers[len(base.layers) - n :]:
        layer.trainable = layer not in batchnorm(base)
""": "the base itself is frozen",
            UNFREEZE_ALL
            + """
    for position, layer in enumerate(base.layers):
        layer.trainable = position < n and layer not in batchnorm(base)
""": "the first layers",
            UNFREEZE_ALL
            + """
    weighty = [layer for layer in base.layers if layer.weights]
    for layer in base.layers:
        last = n and layer in weighty[-n:]
        layer.trainable = bool(last) and layer not in batchnorm(base)
""": "those without weights as well",
            UNFREEZE_ALL
            + """
    for position, layer in enumerate(base.layers):
        layer.trainable = position > len(base.layers) - n \
and layer not in batchnorm(base)
""": "should be trainable",
            """
def unfreeze_last(base, n):
    copy = keras.models.clone_model(base)
    copy.trainable = True
    return copy
""": "`base` itself that you change",
        },
        right=[
            UNFREEZE_ALL
            + """
    for layer in base.layers[: len(base.layers) - n] + batchnorm(base):
        layer.trainable = False
    return base
""",
            """
def unfreeze_last(base, n):
    base.trainable = n > 0
    for position, layer in enumerate(reversed(base.layers)):
        layer.trainable = position < n and type(layer).__name__ != "BatchNormalization"
""",
        ],
        names="""
def batchnorm(base):
    return [layer for layer in base.layers \
if isinstance(layer, keras.layers.BatchNormalization)]
""",
    ),
    "06.4": Case(
        wrong={
            """
def stop_early(losses, patience):
    return len(losses), int(np.argmin(losses))
""": "to the end",
            STOP_EARLY
            + """
        if loss < losses[best]:
            best = epoch
        if epoch - best == patience:
            break
    return epoch + 1, int(np.argmin(losses))
""": "never run",
            STOP_EARLY
            + """
        if loss < losses[best]:
            best = epoch
        if epoch - best == patience:
            break
    return epoch + 1, epoch
""": "the last epoch",
            STOP_EARLY
            + """
        if loss < losses[best]:
            best = epoch
        if epoch - best == patience:
            return epoch, best
    return epoch, best
""": "counts epochs",
            STOP_EARLY
            + """
        if loss < losses[best]:
            best = epoch
        if epoch - best > patience:
            break
    return epoch + 1, best
""": "one epoch longer",
            STOP_EARLY
            + """
        if loss <= losses[best]:
            best = epoch
        if epoch - best >= patience:
            break
    return epoch + 1, best
""": "An equal loss",
            STOP_EARLY
            + """
        falls = epoch == 0 or loss < losses[epoch - 1]
        waited = 0 if falls else waited + 1
        if waited == patience:
            break
    return epoch + 1, int(np.argmin(losses[: epoch + 1]))
""": "zigzag",
            STOP_EARLY
            + """
        if loss < losses[best]:
            best = epoch
        elif epoch > 0:
            waited += 1
        if waited == patience:
            break
    return epoch + 1, best
""": "in a row",
            """
def stop_early(losses, patience):
    best = int(np.argmin(losses))
    return min(best + patience + 1, len(losses)), best
""": "may never be reached",
            STOP_EARLY
            + """
        if loss < losses[best]:
            best = epoch
        elif epoch - best >= patience - 1 and epoch:
            break
    return epoch + 1, best
""": "go through these by hand",
            """
def stop_early(losses, patience):
    return int(np.argmin(losses))
""": "Two numbers",
        },
        right=[
            """
def stop_early(losses, patience):
    for end in range(1, len(losses) + 1):
        best = np.argmin(losses[:end])
        if end - 1 - best == patience:
            break
    return np.array([end, best])
""",
            # what Keras itself does
            """
def stop_early(losses, patience):
    from types import SimpleNamespace

    stopper = keras.callbacks.EarlyStopping(patience=patience, mode="min")
    stopper.set_model(SimpleNamespace(stop_training=False))
    stopper.on_train_begin()
    for epoch, loss in enumerate(losses):
        stopper.on_epoch_end(epoch, {"val_loss": loss})
        if stopper.model.stop_training:
            break
    return epoch + 1, stopper.best_epoch
""",
        ],
    ),
}
