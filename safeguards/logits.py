"""What Keras networks take and what they put out, at any depth."""

from typing import NamedTuple

import numpy as np

from safeguards.networks import NetworkError, assembled, bared, check_graph, replay, run, walk

# Layers with weights whose outputs can be any number, unless an activation follows.
LINEAR = ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D")
# What may follow the last layer that gives numbers their meaning: layers that hand them
# on as they are while a network predicts, …
DROPPING = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
NOISY = ("AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization")
SAME = (*DROPPING, *NOISY, "Identity", "Flatten", "Reshape")
# … and layers that leave logits logits, but not probabilities probabilities.
POOLING = ("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling2D")
CHANGING = (*POOLING, "Rescaling")
# An Identity of such a name, at the end, says what layers do not: see `logits_of`.
SAID = {"outputs_are_logits": "logits", "outputs_are_logarithms": "logarithm"}
TINY = 1e-30  # the least probability of which a logarithm is taken
ROUNDED = 0.01  # how far probabilities, and their sum, may be off


def picture_size(network):
    """Pixels a side of the pictures that a network takes; ValueError where these may
    be any."""
    check_graph(network)
    size = network.inputs[0].shape[1]
    if size is None:
        raise NetworkError(
            "This model takes pictures of any size: say which. Call it on an input of "
            "that size: inputs = keras.Input((size, size, 3)); keras.Model(inputs, "
            "model(inputs)). Or use as_classifier(model, classes, size=size)."
        )
    return size


class End(NamedTuple):
    """What a network puts out, as its last layers tell.
    what: "logits", "softmax", "logarithm" (of a softmax), "sigmoid" or "unknown"; step:
    the layer or operation that tells it; last: whether none after it changes numbers."""

    what: str
    step: object
    last: bool


def ends_in(network):
    """What a network puts out, as an `End`, told by the last step that gives numbers
    their meaning: only layers of Keras's own that leave no doubt are known.
    NetworkError for a network with a class of its own."""
    check_graph(network)
    output = network.outputs[0]
    step, tensor, passed = walk(output, _hands_on)
    changing = [later for later in passed if _kind(later) in CHANGING]
    what = _meaning(step, tensor)
    if what != "logits" and changing:
        return End("unknown", changing[0], True)
    if what in ("softmax", "logarithm") and tensor.shape[-1] != output.shape[-1]:
        return End("unknown", step, True)  # it was over places, not over classes
    return End(what, step, not changing)


def _kind(step):
    """The name of a step's class, or "" where that is not Keras's own."""
    return type(step).__name__ if type(step).__module__.startswith("keras.src.") else ""


def _hands_on(step):
    """Whether a step is one of those that may follow the one that gives a meaning."""
    import keras

    if _kind(step) == "Activation":
        return step.activation is keras.activations.linear
    if getattr(step, "data_format", None) == "channels_first":
        return False
    return _kind(step) in SAME + CHANGING and _said(step) is None


def _said(step):
    """What the name of a step says of outputs, or None."""
    return SAID.get(step.name.rstrip("_0123456789"))


def _meaning(step, tensor):
    """`End.what` of a step, whatever it is given. tensor: its output."""
    import keras

    kind = _kind(step)
    if kind == "Identity":
        return _said(step)
    if kind in ("Softmax", "LogSoftmax") and step.axis in (-1, len(tensor.shape) - 1):
        return {"Softmax": "softmax", "LogSoftmax": "logarithm"}[kind]
    if kind == "Sigmoid":
        return "sigmoid"
    if kind not in (*LINEAR, "Activation"):
        return "unknown"
    # A constraint on weights can bound what comes out, or give it a sign.
    if step.activation is keras.activations.linear and step.kernel_constraint is None:
        return "logits"
    for what in ("softmax", "sigmoid"):
        if step.activation is getattr(keras.activations, what):
            return what
    log_softmax = step.activation is keras.activations.log_softmax
    return "logarithm" if log_softmax else "unknown"


def check_logits(network, who):
    """ValueError where a network puts out something else than logits, the numbers that
    a softmax turns into probabilities, of two or more classes, and where nobody can
    tell. who: needs them, for the message, such as "a Classifier"."""
    end, one = ends_in(network), _has_one(network)
    if end.what in ("logits", "logarithm") and not one:
        return
    what = f"ends in a {end.what} (layer {end.step.name!r})"
    to_do = "Pass logits_of(model), from safeguards.logits."
    anew = "let the last layer be Dense(n) without activation, and train the model anew."
    if end.what == "unknown":
        activation = getattr(getattr(end.step, "activation", None), "__name__", "")
        kind = f"{type(end.step).__name__} {activation}".strip()
        what = f"ends in {end.step.name!r} ({kind})"
        shares = "the probability of yes" if one else "probabilities with sum 1"
        to_do = (
            "Only you can know whether these are some. If so, pass logits_of(model, "
            f'"logits"), from safeguards.logits, or, if they are {shares}, '
            f'logits_of(model, "probabilities"). If neither, {anew}'
        )
    elif one and end.what in ("logits", "sigmoid"):
        what = "has one output"
        to_do += " It puts out two, for the classes no and yes."
    elif one:
        what = f"{what} over one class, which is always 1"
        to_do = f"For n classes {anew}"
    elif end.what == "sigmoid":
        to_do = (
            "If several classes can be right at once, shares with sum 1 cannot say so: "
            f"work with the model in Keras itself. If one is right, {anew}"
        )
    raise ValueError(
        f"This model {what}, but {who} needs logits, the numbers that a softmax turns "
        f"into probabilities, of two or more classes. {to_do}"
    )


def _has_one(network):
    """Whether a network puts out one number a picture; ValueError for two outputs,
    and for one that has a name."""
    if len(network.outputs) > 1:
        names = ", ".join(network.output_names)
        raise ValueError(
            f"The model has {len(network.outputs)} outputs ({names}): pass keras.Model("
            "model.inputs, model.outputs[k]) with the k of the one that holds the "
            "classes."
        )
    if isinstance(getattr(network, "output", None), dict):  # a Sequential may have none
        raise ValueError(
            "The model gives its output by name, in a dict: pass keras.Model("
            "model.inputs, model.outputs[0])."
        )
    return network.outputs[0].shape[-1] == 1


def logits_of(model, outputs=None, size=64):
    """A trained model as one of logits, its layers and weights shared: a softmax over
    these gives the model's probabilities. A softmax or sigmoid at its end is left out,
    or undone by a logarithm; a model of logits comes back as it is. Of one output, of
    yes, two are made, for no and yes. `model.rule` and `model.terms` are kept.
    outputs: "logits" or "probabilities", where layers do not tell what comes out; size:
    pixels a side to try that with, where any will do. ValueError where nobody can tell,
    where `outputs` is not true, and for what has no such logits, as four sigmoids."""
    import keras

    end, one = ends_in(model), _has_one(model)
    hopeless = ("softmax", "logarithm") if one else ("sigmoid",)
    if end.what in hopeless or end.what == "unknown" and outputs is None:
        check_logits(model, "a classifier")  # says why
    if outputs is not None:
        _check_said(model, outputs, end, size)
    tensor, name = model.outputs[0], "outputs_are_logits"
    if end.what in ("softmax", "logarithm", "sigmoid") and _kind(end.step) != "Identity":
        tensor = bared(tensor, end.step, _hands_on)
    elif end.what == "unknown" and outputs == "probabilities":
        name = "outputs_are_logarithms"
        tensor = keras.ops.cast(tensor, "float32")
        if one:
            tensor = keras.ops.concatenate([1 - tensor, tensor], axis=-1)
        tensor = keras.ops.log(keras.ops.maximum(tensor, TINY))
    elif end.what != "unknown" and not one:
        return model
    if tensor.shape[-1] == 1:
        tensor = keras.ops.concatenate([keras.ops.zeros_like(tensor), tensor], axis=-1)
    result = assembled(model.inputs, [tensor], model.name)
    if ends_in(result).what != "logits":
        names = [step.name for step in result.operations]
        name += f"_{len(names)}" if name in names else ""
        tensor = keras.layers.Identity(name=name)(tensor)
        result = assembled(model.inputs, [tensor], model.name)
    for kept in ("rule", "terms"):
        if hasattr(model, kept):
            setattr(result, kept, getattr(model, kept))
    return result


def _check_said(model, outputs, end, size):
    """ValueError where a model does not put out what somebody says, as far as its
    layers, or its outputs for a black, a white and a noise picture, tell."""
    import keras

    if outputs not in ("logits", "probabilities"):
        raise ValueError(f'outputs is "logits" or "probabilities", not {outputs!r}.')
    if end.what != "unknown":
        found = "probabilities" if end.what in ("softmax", "sigmoid") else "logits"
        if found != outputs:
            raise ValueError(
                f"The layer {end.step.name!r} of this model puts out {found}, not "
                f"{outputs}: leave outputs away."
            )
        return
    given = []
    for tensor in model.inputs:
        noise = np.random.default_rng(0).random([side or size for side in tensor.shape[1:]])
        given.append(255 * np.stack([0 * noise, 0 * noise + 1, noise]).astype("float32"))
    tried = np.asarray(keras.tree.flatten(replay(model, given, run))[0], "float32")
    sums = tried.sum(axis=-1)
    shares = np.all((tried > -ROUNDED) & (tried < 1 + ROUNDED))
    if not _has_one(model):
        shares = shares and np.all(abs(sums - 1) < ROUNDED)
    saw = (
        f"for a black, a white and a noise picture the model puts out {tried.min():.3g}…"
        f"{tried.max():.3g}, with sums of {sums.min():.3g}…{sums.max():.3g}"
    )
    if outputs == "probabilities" and not shares:
        raise ValueError(f"These are no probabilities: {saw}. They should be 0…1, with sum 1.")
    if outputs == "logits" and shares and not _has_one(model):
        raise ValueError(
            f'These are probabilities: {saw}. Pass "probabilities" instead of "logits".'
        )
