"""Look into Keras networks, whatever is nested in them: their layers, what they end
in, and how they work something out, step by step."""

import inspect

import numpy as np

# What steps of a network do, as far as «are these logits?» goes, by the names of
# Keras's classes. SAME: they leave numbers as they are (so do Dropout and others that
# `only_trains` finds); MOVING: they move, pick, scale or shift them.
SAME = {
    *("Identity", "ActivityRegularization", "Masking", "Copy", "Cast", "SaturateCast"),
    *("StopGradient", "ConvertToTensor", "Squeeze", "ExpandDims", "Ravel", "Reshape", "Flatten"),
}
MOVING = {
    *("GetItem", "Slice", "Take", "TakeAlongAxis", "Split", "Unstack", "Permute", "Transpose"),
    *("Moveaxis", "Swapaxes", "Flip", "RepeatVector", "Repeat", "BroadcastTo", "Tile"),
    *("Cropping1D", "Cropping2D", "ZeroPadding1D", "ZeroPadding2D", "Pad", "Rescaling"),
    *("BatchNormalization", "BatchNorm", "Sum", "Mean", "Max", "Min", "Amax", "Amin", "Median"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "MaxPooling1D", "MaxPooling2D", "MaxPool"),
    *("Negative", "Concatenate", "Stack", "Hstack", "Append", "Where"),
}
AVERAGING = {
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "AveragePooling1D", "AveragePooling2D"),
    *("AveragePool", "AdaptiveAveragePooling2D"),
}
ADDING = {"Add", "Subtract", "Average"}
COMPARING = {"Maximum", "Minimum"}
BOUNDING = {"Clip", *COMPARING}
DIVIDING = {"Divide", "TrueDivide", "DivideNoNan"}
PRODUCTS = {"Dot", "Matmul", "Einsum", "Tensordot", "Inner", "Conv", "DepthwiseConv"}
CONSTANTS = {"ZerosLike", "OnesLike", "FullLike", "EmptyLike"}
# They have weights, but put out numbers that are bounded or have a sign.
WEIGHTED_ENDS = {"PReLU", "LayerNormalization", "GroupNormalization", "RMSNormalization"}
ONE_SIDED = {
    *("relu", "relu6", "leaky_relu", "p_relu", "elu", "selu", "celu", "gelu", "silu", "swish"),
    *("mish", "softplus", "squareplus", "sparse_plus", "exponential", "hard_silu", "hard_swish"),
}
YES_OR_NO = ("sigmoid", "hard_sigmoid", "sparse_sigmoid", "bounded")  # activations, 0…1 each


class NetworkError(ValueError):
    """A network is built so that the helpers cannot work with it; says why, and what
    to do next."""


def is_graph(layer):
    """Whether a layer is a network whose steps are known: a built Functional or
    Sequential one."""
    from helpers import keras

    if isinstance(layer, keras.Sequential):
        return layer.built and type(layer).call is keras.Sequential.call
    # Only networks made from inputs and outputs know their operations. One with a
    # `call` of its own may do something else than what they say.
    functional = isinstance(layer, keras.Model) and hasattr(layer, "operations")
    return functional and type(layer).call.__module__.startswith("keras.")


def check_graph(network):
    """NetworkError, with its name, for a network whose steps are not known, at any
    depth."""
    from helpers import keras

    if not is_graph(network):
        kind = type(network)
        if not isinstance(network, keras.Model):
            raise NetworkError(f"A {kind.__name__} is no Keras model: pass a keras.Model.")
        if isinstance(network, keras.Sequential) and kind.call is keras.Sequential.call:
            raise NetworkError(
                f"The model {network.name!r} is not built yet: let "
                "keras.Input(shape=(size, size, 3)) be its first entry."
            )
        raise NetworkError(
            f"{network.name!r} is a model with a class of its own ({kind.__name__}), "
            "so nobody can tell its layers apart. Build it with keras.Sequential, or "
            "as keras.Model(inputs, outputs)."
        )
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            check_graph(layer)


def leaves(network):
    """The layers of a network in order, those of nested networks in place of these:
    a list. NetworkError for a network with a class of its own, whose layers cannot
    be told apart."""
    from helpers import keras

    check_graph(network)
    found = []
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            inner = leaves(layer)
            found += [part for part in inner if not isinstance(part, keras.layers.InputLayer)]
        else:
            found.append(layer)
    return found


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


def parts(layer):
    """A layer and all that is inside it, at any depth: a list."""
    return list(layer._flatten_layers())  # Keras's own, as nothing public sees into wrappers


def run(operation, *arguments, **options):
    """Call a step of a network as when it predicts: nothing is random, no statistic
    is updated."""
    if "training" in _signature(operation):
        options["training"] = False
    return operation(*arguments, **options)


def replay(network, inputs, call=run):
    """Go through a network step by step, into nested ones as well → what the last
    step returned. inputs: a list; call(operation, *arguments, **options): what to do
    at a step, with what the steps before it returned. These need not be tensors, so
    that a network can be asked about as well as computed. NetworkError for a network
    with a class of its own."""
    from helpers import keras

    def step(operation, *arguments, **options):
        if isinstance(operation, keras.Model):
            return replay(operation, keras.tree.flatten(arguments), call)
        return call(operation, *arguments, **options)

    check_graph(network)
    whole = assembled(network.inputs, network.outputs)
    # What keras.models.clone_model is made of; nothing public goes through a network
    # with numbers.
    outputs = keras.tree.flatten(whole._run_through_graph(inputs, call_fn=step))
    return outputs[0] if len(outputs) == 1 else outputs


def assembled(inputs, outputs, name=None):
    """A Functional keras.Model between symbolic tensors, in lists; of a Sequential's
    as well."""
    from helpers import keras

    one = [tensors[0] if len(tensors) == 1 else tensors for tensors in (inputs, outputs)]
    return keras.Model(*one, name=name)


def operations(network):
    """The steps of a network, layers or not, those of nested networks in place of
    these: a list. NetworkError for a network with a class of its own."""
    from helpers import keras

    check_graph(network)
    found = []
    for step in assembled(network.inputs, network.outputs).operations:
        found += operations(step) if isinstance(step, keras.Model) else [step]
    return [step for step in found if not isinstance(step, keras.layers.InputLayer)]


def rewired(network, change):
    """The same network, its layers shared, with some steps changed: a keras.Model.
    change(step): the step itself, a layer to take its place, or None to leave it
    out. It is asked about each step at any depth; the network itself comes back
    where nothing changes."""
    from helpers import keras

    if all(change(step) is step for step in operations(network)):
        return network
    nested = {}

    def call(step, *arguments, **options):
        if not isinstance(step, keras.Model):
            step = change(step)
        else:
            if id(step) not in nested:
                gone = len(step.inputs) == 1 and not any(map(change, operations(step)))
                nested[id(step)] = None if gone else rewired(step, change)
            step = nested[id(step)]
        return arguments[0] if step is None else step(*arguments, **options)

    whole = assembled(network.inputs, network.outputs, network.name)
    return keras.models.clone_model(whole, clone_function=lambda same: same, call_function=call)


def only_trains(step):
    """Whether a layer does something while a network is trained only: what it is
    tells, no name. It knows whether it trains, has no weights, and returns what it
    gets when it predicts. Only Keras's own layers are tried: code of others does not
    run here."""
    if "training" not in _signature(step) or getattr(step, "weights", True):
        return False
    if _foreign(step):
        return False
    given = [tensor.shape[1:] for node in step._inbound_nodes[:1] for tensor in node.input_tensors]
    if len(given) != 1:
        return False
    # Where pictures may have any size, a size that no layer would leave as it is by
    # chance.
    shape = [side or odd for side, odd in zip(given[0], (13, 17, 3, 5, 7), strict=False)]
    rng = np.random.default_rng(0)
    for low, high in ((-300, 300), (0, 255), (100, 150), (0, 1)):
        numbers = rng.uniform(low, high, (2, *shape)).astype("float32")
        found = np.asarray(step(numbers, training=False))
        # In half precision it rounds what it returns.
        if not np.array_equal(found, numbers.astype(found.dtype)):
            return False
    return True


def _foreign(step):
    """Whether a step runs code that is not Keras's own."""
    return not type(step).__module__.startswith("keras.") or type(step).__name__ == "Lambda"


def _signature(operation):
    return inspect.signature(type(operation).call).parameters  # Keras's own property is private


# -- what a network ends in ------------------------------------------------------------


class Kind:
    """What numbers are, as far as the steps that made them tell.
    what: "input", "constant", "logits", "logarithm", "softmax", the name of another
    activation, or "unknown"; step: the operation that made them so; last: whether no
    later one changed a value."""

    def __init__(self, what, step=None, last=True):
        self.what = what
        self.step = step
        self.last = last

    @property
    def fine(self):
        """Whether a softmax over such numbers makes sense."""
        return self.what in ("input", "constant", "logits", "logarithm")


def ends_in(network):
    """What a network puts out, as a `Kind`: found by looking at its last steps, at
    any depth. NetworkError for a network with a class of its own."""
    found = replay(network, [Kind("input") for _ in network.inputs], _kind)
    found = found[0] if isinstance(found, list) else found
    if found.what != "unknown":
        return found
    # Of somebody's own layer only what comes out of it can tell.
    outputs = _tried(network)
    if (outputs < 0).any() or (outputs > 1).any() or len(np.unique(outputs)) == 1:
        return Kind("logits", found.step)
    return Kind("softmax" if _shares(network) else "bounded", found.step, last=False)


def _tried(network):
    """What a network puts out for fixed noise: float32 (3, …)."""
    from helpers import keras

    rng = np.random.default_rng(0)
    shapes = [(3, *(side or 32 for side in tensor.shape[1:])) for tensor in network.inputs]
    noise = [rng.uniform(0, 255, shape).astype("float32") for shape in shapes]
    return np.asarray(keras.tree.flatten(replay(network, noise))[0]).astype("float32")


def _shares(network):
    """Whether outputs are shares: none below 0, and of the same sum whatever the
    picture."""
    outputs = _tried(network)
    sums = outputs.sum(axis=-1)
    return bool((outputs >= 0).all() and sums.mean() > 0 and np.allclose(sums, sums.mean(), 1e-3))


def _kind(operation, *arguments, **options):
    """One step of `ends_in`."""
    from helpers import keras

    given = [x for x in keras.tree.flatten((arguments, options)) if isinstance(x, Kind)]
    kind = _kind_of(operation, given)
    outputs = len(operation._inbound_nodes[0].output_tensors)
    return [kind] * outputs if outputs > 1 else kind


def _kind_of(operation, given):
    from helpers import keras

    if isinstance(operation, keras.layers.Wrapper):  # such as TimeDistributed
        inner = operation.layer
        return ends_in(inner) if isinstance(inner, keras.Model) else _kind_of(inner, given)
    name = type(operation).__name__
    if _foreign(operation):
        return Kind("unknown", operation)
    bad = [kind for kind in given if not kind.fine]
    free = [kind for kind in given if kind.what in ("logits", "logarithm")]
    passed = next(iter([*bad, *free, *given]), Kind("constant"))
    if getattr(operation, "activation", None) is not None:
        return _activated(operation, passed)
    if name in CONSTANTS:
        return Kind("constant")
    if name == "LogSoftmax":
        return Kind("logarithm", operation)
    if name == "Log":  # of shares, or of the odds p / (1 - p)
        if passed.what == "unknown":
            return passed
        fit = passed.what in ("softmax", "odds")
        return Kind("logarithm" if fit else f"the logarithm of {passed.what}", operation)
    if name in PRODUCTS:
        return Kind("logits", operation)
    if name == "Softmax":
        axis, shape = operation.axis, operation._inbound_nodes[0].output_tensors[0].shape
        last = axis in (-1, None, len(shape) - 1)
        return Kind("softmax" if last else "softmax over places", operation)
    if name in SAME or isinstance(operation, keras.layers.Layer) and only_trains(operation):
        return passed
    later = Kind(passed.what, passed.step, last=False)
    if name == "Multiply":  # by a gate: the product of it and a logit can be any number
        return free[0] if free else later
    if name in ADDING and free and all(kind.what in ONE_SIDED for kind in bad):
        return free[0]
    if name in AVERAGING and passed.what in ONE_SIDED:
        return Kind("logits", operation)  # as SqueezeNet's
    if name in DIVIDING and len(bad) > 1 and all(kind.what in YES_OR_NO for kind in bad):
        return Kind("odds", operation)
    if name in COMPARING and len(given) > 1 or name in BOUNDING and bad:
        return later
    if name in MOVING | AVERAGING | ADDING | DIVIDING:
        return later
    if name not in WEIGHTED_ENDS and getattr(operation, "weights", None):
        return Kind("logits", operation)
    return Kind(_snake(name), operation)


def _activated(operation, passed):
    """The `Kind` after a step that has an activation of its own."""
    activation = operation.activation
    name = getattr(activation, "__name__", type(activation).__name__)
    if not getattr(activation, "__module__", "").startswith("keras."):
        return Kind("unknown", operation)
    if name == "linear":
        return Kind("logits", operation) if operation.weights else passed
    if name == "log_softmax":
        return Kind("logarithm", operation)
    return Kind(_snake(name), operation)


def _snake(name):
    """LeakyReLU → leaky_relu, as Keras calls its activations."""
    name = name.replace("ReLU", "Relu").replace("ELU", "Elu")
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def check_logits(network, who):
    """ValueError where a network's outputs are no logits, the numbers that a softmax
    turns into probabilities, or only one. who: needs them, for the message, such as
    "a Classifier"."""
    kind = ends_in(network)
    if network.outputs[0].shape[-1] == 1:
        raise ValueError(
            f"This model has one output, but {who} needs a logit for each of two or "
            f"more classes. {_two(kind)}"
        )
    if kind.fine:
        return
    step = getattr(kind.step, "name", "")
    if kind.what == "softmax" and (kind.last or _shares(network)):
        raise ValueError(
            f"This model ends in a softmax (layer {step!r}), but {who} needs logits, "
            "the numbers that a softmax turns into probabilities: pass "
            "logits_of(model), from helpers.networks."
        )
    advice = "Let the last layer be Dense(n) without activation, and train it again."
    if kind.what in YES_OR_NO:
        advice = (
            "If each class is answered for by itself, so that several can be right, "
            "shares with sum 1 cannot say it. If one is right, let the last layer be "
            "Dense(n) without activation, and train it again."
        )
    raise ValueError(
        f"This model ends in {kind.what} (layer {step!r}), but {who} needs logits: "
        "numbers that can be anything, which a softmax turns into probabilities. "
        f"{advice}"
    )


def _two(kind):
    """What to do with one output, in words."""
    if not kind.fine and kind.what not in YES_OR_NO:
        return (
            f"By its last step, {kind.what}, it cannot say yes or no: let the last "
            "layer be Dense(n) without activation, for n classes, and train it again."
        )
    of = "the probability p of yes, its logits are 0 and log(p / (1 - p))"
    if kind.fine:
        of = "the logit z of yes, the two are 0 and z"
    return (
        f"If it is {of}: logits_of(model), from helpers.networks, puts out these, for "
        "the classes no and yes in this order."
    )


def logits_of(model):
    """A trained model of probabilities as one of logits, its layers and weights shared.
    A softmax at its end is left out (of a last layer that has it inside, a copy is
    made), or, where more follows it, undone by a logarithm: a softmax over the
    result gives the same probabilities. Of one output, a sigmoid's p or a logit z,
    two are made: 0 and z = log(p / (1 - p)), for no and yes. A model of logits is
    returned as it is. `model.rule` and `model.terms` are kept. ValueError for what
    has no such logits, such as four sigmoids."""
    from helpers import keras

    kind, result = ends_in(model), model
    one = model.outputs[0].shape[-1] == 1
    end = ("sigmoid",) if one else ("softmax", "logarithm")
    if kind.what in end and kind.last and type(kind.step).__name__ != "Log":
        bare = {}

        def change(step):
            if step is kind.step and id(step) not in bare:
                bare[id(step)] = _without_activation(step)
            return bare.get(id(step), step)

        result = rewired(model, change)
    left = ends_in(result).what
    undone = result.outputs[0]
    if one and left in YES_OR_NO:
        p = keras.ops.clip(undone, 1e-7, 1 - 1e-7)
        undone = keras.ops.log(p / (1 - p))
    elif left == "softmax" and not one and _shares(result):
        undone = keras.ops.log(keras.ops.maximum(undone, 1e-30))
    if one:
        undone = keras.ops.concatenate([0 * undone, undone], axis=-1)
    if undone is not result.outputs[0]:
        result = assembled(result.inputs, [undone], model.name)
    check_logits(result, "a classifier")
    for name in ("rule", "terms"):
        if hasattr(model, name):
            setattr(result, name, getattr(model, name))
    return result


def _without_activation(step):
    """A copy of a layer without its activation, or None for a step that is nothing
    else."""
    if not getattr(step, "weights", None):
        return None
    plain = type(step).from_config(step.get_config() | {"activation": "linear"})
    plain.build(step._inbound_nodes[0].input_tensors[0].shape)
    plain.set_weights(step.get_weights())
    return plain
