"""What Keras networks take and what they put out, at any depth."""

from typing import NamedTuple

import numpy as np

from safeguards.networks import (
    NetworkError,
    assembled,
    bared,
    check_graph,
    given_alone,
    replay,
    run,
    walk,
)

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
LOGITS_NAME = "outputs_are_logits"
LOGARITHMS_NAME = "outputs_are_logarithms"
MEANING_OF_NAME = {LOGITS_NAME: "logits", LOGARITHMS_NAME: "logarithm"}
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
    what: "logits", "softmax", "logarithm" (of a softmax), "sigmoid" or "unknown";
    step: the layer or operation that tells it;
    last: whether none after it changes numbers."""

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
    over_classes = tensor.shape[-1] == output.shape[-1]  # else over places
    if what in ("softmax", "logarithm") and not over_classes:
        return End("unknown", step, True)
    return End(what, step, not changing)


def _kind(step):
    """The name of a step's class, or "" where what it works out is not Keras's own."""
    kind = type(step)
    has_own_call = "call" in vars(step)
    if kind.__module__.startswith("keras.src.") and not has_own_call:
        return kind.__name__
    return ""


def _hands_on(step):
    """Whether a step is one of those that may follow the one that gives a meaning."""
    import keras

    if _kind(step) == "Activation":
        return step.activation is keras.activations.linear
    if getattr(step, "data_format", None) == "channels_first":
        return False
    return _kind(step) in SAME + CHANGING and _meaning_of_name(step) is None


def _meaning_of_name(step):
    """What the name of a step says of outputs, or None."""
    return MEANING_OF_NAME.get(step.name.rstrip("_0123456789"))


def _meaning(step, tensor):
    """`End.what` of a step, whatever it is given. tensor: its output."""
    import keras

    kind = _kind(step)
    if kind == "Identity":
        return _meaning_of_name(step)
    if not given_alone(tensor):  # a mask leaves classes out of a softmax
        return "unknown"
    last_axis = len(tensor.shape) - 1
    if kind in ("Softmax", "LogSoftmax") and step.axis in (-1, last_axis):
        return "softmax" if kind == "Softmax" else "logarithm"
    if kind == "Sigmoid":
        return "sigmoid"
    if kind not in (*LINEAR, "Activation"):
        return "unknown"
    activation = step.activation
    # A constraint on weights can bound what comes out, or give it a sign.
    if activation is keras.activations.linear and step.kernel_constraint is None:
        return "logits"
    if activation is keras.activations.softmax:
        return "softmax"
    if activation is keras.activations.sigmoid:
        return "sigmoid"
    if activation is keras.activations.log_softmax:
        return "logarithm"
    return "unknown"


def check_logits(network, who, logarithms=True):
    """ValueError where a network puts out something else than logits, the numbers that
    a softmax turns into probabilities, of two or more classes, and where nobody can
    tell. who: needs them, for the message, such as "a Classifier"; logarithms: whether
    those of probabilities are good enough for it."""
    end = ends_in(network)
    has_one = _has_one(network)
    if end.what in ("logits", "logarithm") and not has_one:
        return
    what, advice = _why_no_logits(end, has_one, logarithms)
    raise ValueError(
        f"This model {what}, but {who} needs logits, the numbers that a softmax turns "
        f"into probabilities, of two or more classes. {advice}"
    )


def _why_no_logits(end, has_one, logarithms):
    """What a model does instead of putting out logits, and what to do about it.
    has_one: whether it puts out one number; logarithms: as in `check_logits`."""
    what = f"ends in a {end.what} (layer {end.step.name!r})"
    advice = "Pass logits_of(model), from safeguards.logits."
    retrain = (
        "let the last layer be Dense(n) without activation, and train the model anew."
    )
    if end.what == "unknown":
        activation = getattr(end.step, "activation", None)
        activation_name = getattr(activation, "__name__", "")
        kind = f"{type(end.step).__name__} {activation_name}".strip()
        shares = "the probability of yes" if has_one else "probabilities with sum 1"
        of_shares = 'logits_of(model, "probabilities")'
        if not logarithms:
            of_shares = "a keras.Model that ends before these are made"
        return f"ends in {end.step.name!r} ({kind})", (
            "Only you can know whether these are some. If so, pass logits_of(model, "
            f'"logits"), from safeguards.logits, or, if they are {shares}, '
            f"{of_shares}. If neither, {retrain}"
        )
    if has_one and end.what in ("logits", "sigmoid"):
        two = "It puts out two, for the classes no and yes."
        return "has one output", f"{advice} {two}"
    if has_one:
        return f"{what} over one class, which is always 1", f"For n classes {retrain}"
    if end.what == "sigmoid":
        return what, (
            "If several classes can be right at once, shares with sum 1 cannot say so: "
            f"work with the model in Keras itself. If one is right, {retrain}"
        )
    return what, advice


def _has_one(network):
    """Whether a network puts out one number a picture; ValueError for two outputs,
    for one that has a name, and for one that has places."""
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
    shape = network.outputs[0].shape
    if len(shape) != 2:
        raise ValueError(
            f"The model's output is {shape}, but one number for each class is needed, "
            "(None, classes): if it has one place only, put keras.layers.Flatten() "
            "after it, else a pooling over its places, and train with that."
        )
    return shape[-1] == 1


def logits_of(model, outputs=None, size=64):
    """A trained model as one of logits, its layers and weights shared: a softmax over
    these gives the model's probabilities. A softmax or sigmoid at its end is left out,
    or undone by a logarithm; a model of logits comes back as it is. Of one output, of
    yes, two are made, for no and yes. `model.rule` and `model.terms` are kept.
    outputs: "logits" or "probabilities", where layers do not tell what comes out; size:
    pixels a side to try that with, where any will do. ValueError where nobody can tell,
    where `outputs` is not true, and for what has no such logits, as four sigmoids."""
    import keras

    end = ends_in(model)
    has_one = _has_one(model)
    hopeless = ("softmax", "logarithm") if has_one else ("sigmoid",)
    is_unsaid = end.what == "unknown" and outputs is None
    if end.what in hopeless or is_unsaid:
        check_logits(model, "a classifier")  # says why
    if outputs is not None:
        _check_claim(model, outputs, end, size)
    tensor = model.outputs[0]
    name = LOGITS_NAME
    is_told_by_name = _kind(end.step) == "Identity"
    if end.what in ("softmax", "logarithm", "sigmoid") and not is_told_by_name:
        tensor = bared(tensor, end.step, _hands_on)
    elif end.what == "unknown" and outputs == "probabilities":
        name = LOGARITHMS_NAME
        tensor = _logarithms(tensor, has_one)
    elif end.what != "unknown" and not has_one:
        return model
    if tensor.shape[-1] == 1:
        zeros = keras.ops.zeros_like(tensor)
        tensor = keras.ops.concatenate([zeros, tensor], axis=-1)
    result = assembled(model.inputs, [tensor], model.name)
    if ends_in(result).what != "logits":
        names = [step.name for step in result.operations]
        if name in names:
            name += f"_{len(names)}"
        tensor = keras.layers.Identity(name=name)(tensor)
        result = assembled(model.inputs, [tensor], model.name)
    for attribute in ("rule", "terms"):
        if hasattr(model, attribute):
            setattr(result, attribute, getattr(model, attribute))
    return result


def _logarithms(tensor, has_one):
    """The logarithms of probabilities; of one, that of yes, of no and yes."""
    import keras

    tensor = keras.ops.cast(tensor, "float32")
    if has_one:
        tensor = keras.ops.concatenate([1 - tensor, tensor], axis=-1)
    return keras.ops.log(keras.ops.maximum(tensor, TINY))


def _check_claim(model, outputs, end, size):
    """ValueError where a model does not put out what somebody says, as far as its
    layers, or its outputs for a black, a white and a noise picture, tell."""
    if outputs not in ("logits", "probabilities"):
        raise ValueError(f'outputs is "logits" or "probabilities", not {outputs!r}.')
    if end.what == "unknown":
        _check_outputs(model, outputs, size)
        return
    actual = "probabilities" if end.what in ("softmax", "sigmoid") else "logits"
    if actual != outputs:
        raise ValueError(
            f"The layer {end.step.name!r} of this model puts out {actual}, not "
            f"{outputs}: leave outputs away."
        )


def _check_outputs(model, outputs, size):
    """ValueError where numbers that a model puts out contradict what somebody says."""
    has_one = _has_one(model)
    tried = _tried(model, size)
    lowest = tried.min()
    highest = tried.max()
    sums = tried.sum(axis=-1)
    are_shares = lowest > -ROUNDED and highest < 1 + ROUNDED
    if not has_one:
        are_shares = are_shares and np.all(abs(sums - 1) < ROUNDED)
    summary = (
        "for a black, a white and a noise picture the model puts out "
        f"{lowest:.3g}…{highest:.3g}, with sums of {sums.min():.3g}…{sums.max():.3g}"
    )
    if outputs == "probabilities" and not are_shares:
        raise ValueError(
            f"These are no probabilities: {summary}. They should be 0…1, with sum 1."
        )
    if outputs == "logits" and are_shares and not has_one:
        raise ValueError(
            f"These are probabilities: {summary}. "
            'Pass "probabilities" instead of "logits".'
        )


def _tried(model, size):
    """What a model puts out for a black, a white and a noise picture: float32."""
    import keras

    inputs = []
    for tensor in model.inputs:
        rng = np.random.default_rng(0)
        shape = [side or size for side in tensor.shape[1:]]
        noise = rng.random(shape)
        pictures = np.stack([np.zeros(shape), np.ones(shape), noise])
        inputs.append(255 * pictures.astype("float32"))
    outputs = replay(model, inputs, run)
    first, *_ = keras.tree.flatten(outputs)
    return np.asarray(first, "float32")
