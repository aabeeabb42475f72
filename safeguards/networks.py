"""The steps of a Keras network, layers and operations, whatever is nested in it: one by
one, as what they work out, and changed."""

import inspect

import numpy as np

# For pictures of any size: a size that no layer would leave as it is by chance.
ODD_SIDES = (13, 17, 3, 5, 7)
# Of numbers that a layer is tried with.
RANGES = ((-300, 300), (0, 255), (100, 150), (0, 1))


class NetworkError(ValueError):
    """A network is built so that the helpers cannot work with it; says why, and what
    to do next."""


def is_graph(layer):
    """Whether a layer is a network whose steps are known: a built Functional or
    Sequential one."""
    import keras

    if isinstance(layer, keras.Sequential):
        return layer.built and type(layer).call is keras.Sequential.call
    # Only networks made from inputs and outputs know their operations. One with a
    # `call` of its own may do something else than what they say.
    is_functional = isinstance(layer, keras.Model) and hasattr(layer, "operations")
    if not is_functional:
        return False
    return type(layer).call.__module__.startswith("keras.")


def check_graph(network):
    """NetworkError, with its name, for a network whose steps are not known, at any
    depth."""
    import keras

    if is_graph(network):
        for layer in network.layers:
            if isinstance(layer, keras.Model):
                check_graph(layer)
        return
    kind = type(network)
    if not isinstance(network, keras.Model):
        raise NetworkError(f"A {kind.__name__} is no Keras model: pass a keras.Model.")
    is_sequential = isinstance(network, keras.Sequential)
    if is_sequential and kind.call is keras.Sequential.call:
        raise NetworkError(
            f"The model {network.name!r} is not built yet: let "
            "keras.Input(shape=(size, size, 3)) be its first entry."
        )
    raise NetworkError(
        f"{network.name!r} is a model with a class of its own ({kind.__name__}), "
        "so nobody can tell its layers apart. Build it with keras.Sequential, or "
        "as keras.Model(inputs, outputs)."
    )


def assembled(inputs, outputs, name=None):
    """A Functional keras.Model between symbolic tensors, in lists; of a Sequential's
    as well."""
    import keras

    return keras.Model(_single(inputs), _single(outputs), name=name)


def _single(values):
    """The value in a list of one, or the list."""
    return values[0] if len(values) == 1 else values


def run(operation, *arguments, **options):
    """Call a step of a network as when it predicts: nothing is random, no statistic
    is updated."""
    if knows_training(operation):
        options["training"] = False
    return operation(*arguments, **options)


def knows_training(operation):
    """Whether a step of a network does something else while it is trained."""
    # Keras's own property of this name is private.
    return "training" in inspect.signature(type(operation).call).parameters


def replay(network, inputs, call):
    """Go through a network step by step, into nested ones as well → what the last
    step returned. inputs: a list; call(operation, *arguments, **options): `run`, or
    what else to do at a step, with what the steps before it returned. These need not be
    tensors, so that a network can be asked about as well as computed. NetworkError for
    a network with a class of its own."""
    import keras

    def step(operation, *arguments, **options):
        if isinstance(operation, keras.Model):
            return replay(operation, keras.tree.flatten(arguments), call)
        return call(operation, *arguments, **options)

    check_graph(network)
    functional = assembled(network.inputs, network.outputs)
    # What keras.models.clone_model is made of; nothing public goes through a network
    # with numbers.
    outputs = functional._run_through_graph(inputs, call_fn=step)
    return _single(keras.tree.flatten(outputs))


def leaves(network):
    """The layers of a network in order, those of nested networks in place of these:
    a list. NetworkError for a network with a class of its own, whose layers cannot
    be told apart."""
    import keras

    check_graph(network)
    layers = []
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            layers += _without_inputs(leaves(layer))
        else:
            layers.append(layer)
    return layers


def _without_inputs(steps):
    """The steps of a list that aren't mere inputs."""
    import keras

    input_layer = keras.layers.InputLayer
    return [step for step in steps if not isinstance(step, input_layer)]


def parts(layer):
    """A layer and all that is inside it, at any depth: a list."""
    # Keras's own, as nothing public sees into wrappers.
    return list(layer._flatten_layers())


def set_weights(network, weights):
    """Give a network weights, in the order of its own."""
    import keras

    network.set_weights(weights)
    for layer in parts(network):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with numbers made of its weights


def until_base(model):
    """(a model up to its base's features, the layers after that), or None where
    something up to there learns or varies, or what follows is not a row of single
    layers."""
    import keras

    features = model.outputs[0]
    layers_after = []
    step, given, _ = made_by(features)
    while step.name != "base":
        is_layer = isinstance(step, keras.Layer)
        if len(given) != 1 or not is_layer or step in layers_after:
            return None
        features = given[0]
        layers_after.insert(0, step)
        step, given, _ = made_by(features)
    front = keras.Model(model.inputs[0], features)
    others = [other for other in front.operations if other is not step]
    varies = any(knows_training(other) for other in others)
    if varies or front.trainable_weights or not layers_after:
        return None
    return front, layers_after


def operations(network):
    """The steps of a network, layers or not, those of nested networks in place of
    these: a list. NetworkError for a network with a class of its own."""
    import keras

    check_graph(network)
    steps = []
    for step in assembled(network.inputs, network.outputs).operations:
        if isinstance(step, keras.Model):
            steps += operations(step)
        else:
            steps.append(step)
    return _without_inputs(steps)


def rewired(network, change):
    """The same network, its layers shared, with some steps changed: a keras.Model.
    change(step): the step itself, a layer to take its place, or None to leave it
    out. It is asked about each step at any depth; the network itself comes back
    where nothing changes."""
    import keras

    if all(change(step) is step for step in operations(network)):
        return network
    nested = {}  # id of a nested network → what takes its place

    def changed(step):
        if not isinstance(step, keras.Model):
            return change(step)
        if id(step) not in nested:
            nested[id(step)] = _rewired_inside(step, change)
        return nested[id(step)]

    def call(step, *arguments, **options):
        step = changed(step)
        if step is None:
            return arguments[0]
        return step(*arguments, **options)

    return _called_anew(network, call, network.name)


def _rewired_inside(network, change):
    """What takes the place of a nested network: None where nothing of it stays."""
    if len(network.inputs) == 1 and not any(map(change, operations(network))):
        return None
    return rewired(network, change)


def _called_anew(network, call, name=None):
    """The same layers, each called by call(layer, *arguments, **options)."""
    import keras

    return keras.models.clone_model(
        assembled(network.inputs, network.outputs, name),
        clone_function=lambda layer: layer,
        call_function=call,
    )


def without_last_layer(network):
    """A network without its last layer with weights, and what follows that: a
    keras.Model, its layers shared. NetworkError for a network with a class of its own,
    without weights, or whose last layer with weights gets several inputs."""
    return _giving_features(network, outputs_too=False)


def with_features(network):
    """A network that gives two things in one go: its features, as `without_last_layer`
    does, and its own output. A keras.Model, its layers shared; errors as there."""
    return _giving_features(network, outputs_too=True)


def _giving_features(network, outputs_too):
    """A network for the input of its last layer with weights and, if outputs_too, for
    its outputs after that."""
    import keras

    check_graph(network)
    with_weights = [layer for layer in network.layers if layer.weights]
    if not with_weights:
        raise NetworkError(
            f"{network.name!r} has no layer with weights: it has learned nothing."
        )
    last = with_weights[-1]
    inner = None
    if isinstance(last, keras.Model):
        inner = _giving_features(last, outputs_too)
    inputs_of_last = []

    def call(layer, *arguments, **options):
        if layer is not last:
            return layer(*arguments, **options)
        if not inner:
            inputs_of_last.extend(keras.tree.flatten(arguments))
            return layer(*arguments, **options)
        features, *outputs = keras.tree.flatten(inner(*arguments))
        inputs_of_last.append(features)
        return _single(outputs) if outputs_too else layer(*arguments, **options)

    # Not layer.input: a layer can be part of several models.
    copy = _called_anew(network, call)
    features = keras.tree.flatten(inputs_of_last)
    if len(features) > 1:
        raise NetworkError(
            f"The last layer with weights, {last.name!r}, gets {len(features)} inputs, "
            "so there are no features that it alone works on. Give it one, by "
            "Concatenate for example."
        )
    outputs = copy.outputs if outputs_too else []
    return assembled(copy.inputs, [*features, *outputs])


def only_trains(step):
    """Whether a layer does something while a network is trained only: what it is
    tells, no name. It knows whether it trains, has no weights, and returns what it
    gets when it predicts. Only Keras's own layers are tried: code of others does not
    run here."""
    if not knows_training(step) or getattr(step, "weights", True):
        return False
    kind = type(step)
    if not kind.__module__.startswith("keras.") or kind.__name__ == "Lambda":
        return False
    given = []
    for call in step._inbound_nodes[:1]:
        given += call.input_tensors
    if len(given) != 1:
        return False
    sides = given[0].shape[1:]
    sides = zip(sides, ODD_SIDES, strict=False)
    shape = [side or odd for side, odd in sides]
    rng = np.random.default_rng(0)
    for low, high in RANGES:
        numbers = rng.uniform(low, high, (2, *shape)).astype("float32")
        outputs = np.asarray(step(numbers, training=False))
        # In half precision it rounds what it returns.
        if not np.array_equal(outputs, numbers.astype(outputs.dtype)):
            return False
    return True


def made_by(tensor):
    """(step, what it was given, which of its outputs it is) of a symbolic tensor."""
    # Keras knows it, and has no public name for it.
    step, _, output = tensor._keras_history
    return step, _call_of(tensor).input_tensors, output


def _call_of(tensor):
    """The call of a step that put out a symbolic tensor, as Keras keeps it."""
    step, call, _ = tensor._keras_history
    return step._inbound_nodes[call]


def given_alone(tensor):
    """Whether the step that put out a symbolic tensor got one tensor, and nothing
    beside it, such as a mask, that changes what it works out."""
    arguments = _call_of(tensor).arguments
    beside = [*arguments.args[1:]]
    beside += [value for name, value in arguments.kwargs.items() if name != "training"]
    return len(arguments.args) == 1 and all(value is None for value in beside)


def walk(tensor, hands_on):
    """From a symbolic tensor back through the steps that hands_on(step) is true for,
    into nested networks and out of them → (the step before these, what that put out,
    the steps on the way)."""
    import keras

    passed = []
    around = []  # the nested networks that the tensor lies in, and their inputs
    while True:
        step, given, output = made_by(tensor)
        if isinstance(step, keras.Model):
            around.append((step, given))
            tensor = step.outputs[output]
        elif isinstance(step, keras.layers.InputLayer) and around:
            network, outer_inputs = around.pop()
            inner_ids = [id(inner_input) for inner_input in network.inputs]
            position = inner_ids.index(id(tensor))
            tensor = outer_inputs[position]
        elif hands_on(step):
            passed.append(step)
            tensor = given[0]
        else:
            return step, tensor, passed


def bared(tensor, end, hands_on):
    """A symbolic tensor as it would be without the activation of the step `end`, to
    which `walk` leads. A layer that has it inside gets a twin without it."""
    import keras

    step, given, output = made_by(tensor)
    if step is end:
        has_weights = getattr(step, "weights", None)
        return _without_activation(step)(given[0]) if has_weights else given[0]
    handed_on = given[0]
    if isinstance(step, keras.Model):
        inner_tensor = step.outputs[output]
        last, start, _ = walk(inner_tensor, hands_on)
        if last is end:
            inner_tensor = bared(inner_tensor, end, hands_on)
            inner = assembled(step.inputs, [inner_tensor], f"{step.name}_bare")
            arguments = _call_of(tensor).arguments
            return inner(*arguments.args, **arguments.kwargs)
        inner_ids = [id(inner_input) for inner_input in step.inputs]
        handed_on = given[inner_ids.index(id(start))]
    return _called_with(tensor, handed_on, bared(handed_on, end, hands_on))


def _without_activation(layer):
    """A twin of a layer with linear activation, which shares all its variables: what
    the one learns, the other knows."""
    import keras

    twin = object.__new__(type(layer))
    vars(twin).update(vars(layer))
    # A name of its own: the layer itself may be needed elsewhere.
    changed = {
        "name": f"{layer.name}_bare",
        "activation": keras.activations.linear,
        "_inbound_nodes": [],
        "_outbound_nodes": [],
    }
    vars(twin).update(changed)
    return twin


def _called_with(tensor, given, instead):
    """What the step that put out a symbolic tensor makes of another one instead of one
    that it was given."""
    import keras

    def chosen(value):
        return instead if value is given else value

    step, _, output = tensor._keras_history
    arguments = _call_of(tensor).arguments
    arguments = (arguments.args, arguments.kwargs)
    positional, named = keras.tree.map_structure(chosen, arguments)
    outputs = step(*positional, **named)
    return keras.tree.flatten(outputs)[output]
