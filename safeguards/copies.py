"""Copies of networks, and frozen layers: checks that strangers' layers play along."""

from functools import partial

import numpy as np

from safeguards.keys import check_own, undescribed
from safeguards.networks import (
    NetworkError,
    leaves,
    parts,
    replay,
    run,
    set_weights,
)

# Pixels a side of the noise for networks that take pictures of any size.
ANY_SIDE = 32
UNLIKE = ("name", "built")  # in a copy
ADVICE = (
    "Register its class, and functions that it is given, with "
    "keras.saving.register_keras_serializable, and let its get_config return all that "
    "its __init__ takes; or use Keras's own layers in its place."
)


def copy_network(network, with_weights):
    """A copy of a network, with its weights or with fresh random ones.
    NetworkError for a layer that can't be copied or does something else in the copy."""
    import keras

    copy = keras.models.clone_model(network, clone_function=copy_layer, recursive=True)
    if with_weights:
        set_weights(copy, network.get_weights())
        _check_copy(network, copy)
    return copy


def copy_layer(layer, **changes):
    """A layer of the same kind and settings, with weights of its own.
    changes: settings that differ. NetworkError for a layer that can't be copied."""
    try:
        copy = type(layer).from_config(layer.get_config() | changes)
    except Exception as error:  # of somebody's own layer anything can come
        raise NetworkError(
            f"The layer {_named(layer)} cannot be copied. {_advice(layer)}"
        ) from error
    _check_settings(layer, copy)
    return copy


def _advice(layer):
    """What to do about a layer that Keras cannot make again from its configuration."""
    try:
        for part in parts(layer):
            check_own(part)
    except NetworkError:
        return ADVICE
    return "It is Keras's own, but its configuration is not whole: use another kind."


def check_configuration(network):
    """NetworkError, with its name, for a layer of Keras's own that was changed after
    it was made, and whose configuration does not say so: a file would not know."""
    for layer in leaves(network):
        copy_layer(layer)


def _check_settings(layer, copy):
    """NetworkError where a layer of Keras's own has settings that its copy lacks."""
    for one, other in zip(parts(layer), parts(copy), strict=False):
        if type(one) is not type(other) or not type(one).__module__.startswith(
            "keras."
        ):
            continue
        for name, value in vars(one).items():
            is_setting = isinstance(value, bool | int | float | str)
            if not is_setting or name.startswith("_") or name in UNLIKE:
                continue
            copied = getattr(other, name, None)
            if copied is not None and copied != value:  # None: not built yet
                raise NetworkError(
                    f"The layer {_named(one)} was made with {name}={copied}, and is at "
                    f"{value} now, which its copy would not know: build the network "
                    f"with {name}={value} from the start."
                )


def _check_copy(network, copy):
    """NetworkError where a layer, such as somebody's own, does something else in the
    copy."""
    if undescribed(network) is None:  # Keras's own settings are all copied
        return
    wanted = _outputs_of_steps(network)
    copied = _outputs_of_steps(copy)
    for (step, output), (_, copied_output) in zip(wanted, copied, strict=True):
        if not np.array_equal(output, copied_output, equal_nan=True):
            raise NetworkError(
                f"The layer {_named(step)} does something else when it is copied. "
                f"{ADVICE}"
            )


def _outputs_of_steps(network):
    """What each step of a network makes of noise: a list of (step, array)."""
    results = []
    replay(network, _noise(network), partial(_run_and_note, results))
    return results


def _run_and_note(results, step, *arguments, **options):
    """Run a step of a network, and add what it puts out to the results."""
    import keras

    outputs = run(step, *arguments, **options)
    for output in keras.tree.flatten(outputs):
        results.append((step, np.asarray(output)))
    return outputs


def _noise(network):
    """Two random pictures for each input of a network: a list of float32 0…255."""
    rng = np.random.default_rng(0)
    batches = []
    for tensor in network.inputs:
        sides = [side or ANY_SIDE for side in tensor.shape[1:]]
        batch = rng.uniform(0, 255, (2, *sides))
        batches.append(batch.astype("float32"))
    return batches


def check_frozen(network):
    """ValueError, with its name, for a frozen layer that changes while others learn.
    The network learns once, from noise, to find out, if it has any layer that might
    change: of Keras's own BatchNormalization doesn't, and SpectralNormalization does.
    All weights are as before in the end."""
    import keras

    layers = [layer for layer in parts(network) if not isinstance(layer, keras.Model)]
    frozen = [layer for layer in layers if layer.weights and not layer.trainable]
    if not frozen or all(_stays_frozen(layer) for layer in layers):
        return
    before = [(variable, variable.numpy()) for variable in network.variables]
    noise = _noise(network)
    if len(noise) == 1:
        noise = noise[0]
    network(noise, training=True)
    changed = set()
    for variable, value in before:
        if not np.array_equal(variable.numpy(), value):
            changed.add(id(variable))
    for variable, value in before:
        variable.assign(value)
    for layer in frozen:
        own = {id(weight) for weight in layer.weights}
        if changed & own:
            raise ValueError(
                f"The layer {_named(layer)} changes its weights in training even where "
                "it is frozen. If it is yours, let its call change them only where "
                "`training and self.trainable` holds, as BatchNormalization does; else "
                "use another in its place."
            )


def _stays_frozen(layer):
    """Whether a layer is one of Keras's own that change nothing while frozen."""
    import keras

    is_kerass = type(layer).__module__.startswith("keras.")
    return is_kerass and not isinstance(layer, keras.layers.SpectralNormalization)


def _named(layer):
    return f"{layer.name!r} ({type(layer).__name__})"
