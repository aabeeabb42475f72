"""Small helpers shared by the lessons; everything is imported on first use, so this is quick."""

import contextlib
import importlib
import os
import sys

# Where each name lives. Nothing below costs time until a lesson asks for it.
_EXPORTS = {
    "ImageError": "images",
    "load_image": "images",
    "sample_names": "images",
    "Prediction": "labels",
    "WeightsUnavailable": "models",
    "available": "models",
    "lesson_model": "models",
    "has_weights": "models",
    "load_classifier": "models",
    "recorded_logits": "models",
}


def __getattr__(name):
    if name == "keras":
        return _import_keras()
    if name in _EXPORTS:
        return getattr(importlib.import_module(f"helpers.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module 'helpers' has no attribute {name!r}")


def _import_keras():
    """Keras on TensorFlow, without the start-up messages of TensorFlow's C++ part."""
    # The variable wins over ~/.keras/keras.json; either may name a backend meant for other work.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silent_stderr() if "tensorflow" not in sys.modules else contextlib.nullcontext():
        import keras
        import tensorflow as tf
    found = (keras.backend.backend(), keras.config.image_data_format(), keras.config.floatx())
    if found != (needed := ("tensorflow", "channels_last", "float32")):
        raise RuntimeError(
            f"The lessons need Keras with {needed}, but it is set to {found}. Remove or correct "
            "keras.json in the folder .keras of your home, or import helpers first, and restart."
        )
    tf.get_logger().setLevel("ERROR")  # its retracing hints hold addresses, new in every run
    return keras


@contextlib.contextmanager
def _silent_stderr():
    # Level 3 leaves six lines that C++ writes before it reads the level: close the descriptor.
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
