"""Lesson 06: answers that are right and wrong."""

from exercise_cases import Case

UNFREEZE_ALL = """
def unfreeze_last(base, n):
    base.trainable = True
"""
WHY = """
def why(weights_moved, statistics_moved, on_training):
"""

CASES = {
    "06.3": Case(
        wrong={
            WHY
            + """
    if not weights_moved:
        return "pictures"
    if statistics_moved:
        return "statistics"
    return "overfitting" if on_training > 0.9 else "rate"
""": "does it matter whether the weights moved",
            WHY
            + """
    if statistics_moved and not weights_moved:
        return "statistics"
    return "overfitting" if on_training > 0.9 else "rate"
""": "Here the statistics moved",
            WHY
            + """
    if statistics_moved:
        return "statistics"
    return "overfitting" if on_training > 0.9 else "rate"
""": "Here nothing moved",
            WHY
            + """
    if statistics_moved:
        return "statistics"
    if not weights_moved:
        return "pictures"
    return "rate" if on_training > 0.9 else "overfitting"
""": "steps that are far too large",
            WHY
            + """
    if statistics_moved:
        return "statistics"
    return "overfitting" if weights_moved else "pictures"
""": "know them by heart",
            WHY
            + """
    return "the rate"
""": "Return one of",
            WHY
            + """
    return statistics_moved
""": "Return one of",
        },
        right=[
            WHY
            + """
    by_weights = {False: "pictures", True: ("rate", "overfitting")[on_training > 0.8]}
    return "statistics" if statistics_moved else by_weights[weights_moved]
""",
        ],
    ),
    "06.4": Case(
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
}
