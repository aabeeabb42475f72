"""What saved and exported files hold: a network for raw pictures, and its documents."""

import json
from dataclasses import asdict
from pathlib import Path

from safeguards.model_files import DOCUMENTS
from safeguards.networks import assembled, only_trains, operations, rewired, set_weights
from safeguards.scaling import preprocessed

# Dtypes, and Keras's policies, that a runtime may not know or can't answer in.
OTHER_FLOATS = {"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"}


def raw_network(classifier):
    """A classifier's network for RGB 0…255 (n, size, size, 3) → logits, float32.
    What only training needs is left out wherever it stands: optimiser, augmentation,
    dropout. The classifier's preprocessing comes first, as layers. Weights are shared
    with `classifier.network`; those of a network in half precision are copied into
    one of float32."""
    from helpers import keras

    network = _in_float32(rewired(classifier.network, _unless_only_training))
    inputs = keras.Input((classifier.size, classifier.size, 3))
    prepared = preprocessed(inputs, classifier.preprocess_input)
    if prepared is inputs:
        return assembled(network.inputs, network.outputs, "classifier")
    return keras.Model(inputs, network(prepared), name="classifier")


def _unless_only_training(step):
    """A step of a network, or None if it matters only during training."""
    return None if only_trains(step) else step


def works_in_float32(network):
    """Whether every step of a network works in float32."""
    dtypes = {getattr(step, "compute_dtype", None) for step in operations(network)}
    return not dtypes & OTHER_FLOATS


def _in_float32(network):
    """A network as one of float32 with the same weights; itself if it is one."""
    from helpers import keras

    if works_in_float32(network):
        return network
    original = assembled(network.inputs, network.outputs, network.name)
    copy = keras.Model.from_config(_config_in_float32(original.get_config()))
    set_weights(copy, original.get_weights())
    return copy


def _config_in_float32(config):
    """A network's configuration, however deep, with float32 for any other dtype."""
    if isinstance(config, dict):
        return {key: _config_in_float32(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_config_in_float32, config))
    if isinstance(config, str) and config in OTHER_FLOATS:
        return "float32"
    return config


def documents_of(classifier):
    """What a file says beside its network: {file name: JSON text}."""
    details = {
        "name": classifier.name,
        "size": classifier.size,
        "rule": asdict(classifier.rule),
        "terms": classifier.terms,
    }
    classes_file, details_file = DOCUMENTS
    return {
        classes_file: json.dumps(classifier.classes, indent=0),
        details_file: json.dumps(details, indent=0),
    }


def path_ending_in(suffix, path):
    """The path of a file to write; ValueError where it has another suffix."""
    path = Path(path).expanduser()
    if path.suffix != suffix:
        raise ValueError(f"{path} should end in {suffix}: other programs go by it.")
    return path
