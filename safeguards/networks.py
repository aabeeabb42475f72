"""The steps of a Keras network, layers and operations, whatever is nested in it: one by
one, as what they work out, and changed."""

import inspect

import numpy as np


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
    functional = isinstance(layer, keras.Model) and hasattr(layer, "operations")
    return functional and type(layer).call.__module__.startswith("keras.")


def check_graph(network):
    """NetworkError, with its name, for a network whose steps are not known, at any
    depth."""
    import keras

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


def assembled(inputs, outputs, name=None):
    """A Functional keras.Model between symbolic tensors, in lists; of a Sequential's
    as well."""
    import keras

    one = [tensors[0] if len(tensors) == 1 else tensors for tensors in (inputs, outputs)]
    return keras.Model(*one, name=name)


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
    whole = assembled(network.inputs, network.outputs)
    # What keras.models.clone_model is made of; nothing public goes through a network
    # with numbers.
    outputs = keras.tree.flatten(whole._run_through_graph(inputs, call_fn=step))
    return outputs[0] if len(outputs) == 1 else outputs


def leaves(network):
    """The layers of a network in order, those of nested networks in place of these:
    a list. NetworkError for a network with a class of its own, whose layers cannot
    be told apart."""
    import keras

    check_graph(network)
    found = []
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            inner = leaves(layer)
            found += [part for part in inner if not isinstance(part, keras.layers.InputLayer)]
        else:
            found.append(layer)
    return found


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


def operations(network):
    """The steps of a network, layers or not, those of nested networks in place of
    these: a list. NetworkError for a network with a class of its own."""
    import keras

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
    import keras

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
    if not knows_training(step) or getattr(step, "weights", True):
        return False
    if not type(step).__module__.startswith("keras.") or type(step).__name__ == "Lambda":
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


def made_by(tensor):
    """(step, what it was given, which of its outputs it is) of a symbolic tensor."""
    step, call, place = tensor._keras_history  # Keras knows it, and has no public name
    return step, step._inbound_nodes[call].input_tensors, place


def walk(tensor, hands_on):
    """From a symbolic tensor back through the steps that hands_on(step) is true for,
    into nested networks and out of them → (the step before these, what that put out,
    the steps on the way)."""
    import keras

    passed, around = [], []
    while True:
        step, given, place = made_by(tensor)
        if isinstance(step, keras.Model):
            around.append((step, given))
            tensor = step.outputs[place]
        elif isinstance(step, keras.layers.InputLayer) and around:
            network, outside = around.pop()
            inside = [id(each) for each in network.inputs]
            tensor = outside[inside.index(id(tensor))]
        elif hands_on(step):
            passed.append(step)
            tensor = given[0]
        else:
            return step, tensor, passed


def bared(tensor, end, hands_on):
    """A symbolic tensor as it would be without the activation of the step `end`, to
    which `walk` leads. Of a layer that has it inside a copy without it is made."""
    import keras

    step, given, place = made_by(tensor)
    nested = isinstance(step, keras.Model)
    if nested and walk(step.outputs[place], hands_on)[0] is end:
        inside = bared(step.outputs[place], end, hands_on)
        inner = assembled(step.inputs, [inside], f"{step.name}_bare")
        call = step._inbound_nodes[tensor._keras_history.node_index].arguments
        return inner(*call.args, **call.kwargs)
    if step is not end:
        return step(bared(given[0], end, hands_on))
    if not getattr(step, "weights", None):
        return given[0]
    # A name of its own: the step itself may be needed elsewhere.
    changed = {"activation": "linear", "name": f"{step.name}_bare"}
    plain = type(step).from_config(step.get_config() | changed)
    plain.build(given[0].shape)
    plain.set_weights(step.get_weights())
    return plain(given[0])
