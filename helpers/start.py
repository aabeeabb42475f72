"""Start Keras on TensorFlow without TensorFlow's start-up messages."""

import gc
import os
import sys
from contextlib import contextmanager

NEEDED = ("tensorflow", "channels_last", "float32")  # backend, image format, float type


@contextmanager
def _quiet_stderr():
    """Keep what C++ writes to standard error out of a notebook."""
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


@contextmanager
def _without_collecting():
    """Put off Python's search for unused objects. It would go through all of them again
    and again while an import makes a million: a fifth of the seconds it takes. Those
    stay for good, so that later searches leave them out as well."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def start_keras():
    """Import Keras on TensorFlow → the module `keras`.
    RuntimeError where it's set to another backend, image format or float type than the
    lessons need."""
    # The variable wins over ~/.keras/keras.json; either may name another backend.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        # Level 3 leaves six lines that C++ writes before it reads the level.
        with _quiet_stderr(), _without_collecting():
            import keras
    import keras
    import tensorflow as tf

    configured = (
        keras.backend.backend(),
        keras.config.image_data_format(),
        keras.config.floatx(),
    )
    if configured != NEEDED:
        raise RuntimeError(
            f"The lessons need Keras with {NEEDED}, but it is set to {configured}. "
            "Remove or correct keras.json in the folder .keras of your home, or import "
            "helpers first, and restart."
        )
    # Its hints about retracing hold addresses, which are new in every run.
    tf.get_logger().setLevel("ERROR")
    return keras
