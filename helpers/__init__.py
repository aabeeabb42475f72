"""Small helpers shared by the lessons; TensorFlow is imported only when it is first needed."""

import os
import sys
from functools import wraps
from math import prod

from helpers.images import load_image, sample_names
from safeguards.pictures import ImageError
from helpers.labels import Prediction
from helpers.models import WeightsUnavailable, available, has_weights, lesson_model
from helpers.models import load_classifier


def __getattr__(name):
    """`from helpers import keras`: Keras on TensorFlow, without TensorFlow's start-up messages."""
    if name != "keras":
        raise AttributeError(f"module 'helpers' has no attribute {name!r}")
    # The variable wins over ~/.keras/keras.json; either may name a backend meant for other work.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Level 3 leaves six lines that C++ writes to standard error, before it reads the level.
    keep, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        if "tensorflow" not in sys.modules:
            os.dup2(null, 2)
        import keras
        import tensorflow as tf
    finally:
        os.dup2(keep, 2)
        os.close(keep)
        os.close(null)
    found = (keras.backend.backend(), keras.config.image_data_format(), keras.config.floatx())
    if found != (needed := ("tensorflow", "channels_last", "float32")):
        raise RuntimeError(
            f"The lessons need Keras with {needed}, but it is set to {found}. Remove or correct "
            "keras.json in the folder .keras of your home, or import helpers first, and restart."
        )
    tf.get_logger().setLevel("ERROR")  # its retracing hints hold addresses, new in every run
    if not hasattr(keras.initializers.GlorotUniform.__call__, "__wrapped__"):
        keras.initializers.GlorotUniform.__call__ = _lean(keras.initializers.GlorotUniform.__call__)
    return keras


def _lean(draw):
    """Keras's way to draw a layer's first weights, with the same result, for a computer with 2 GB:
    of VGG16's largest layer (411 MB) it holds three copies at once, as compiled code two."""
    import tensorflow as tf

    @wraps(draw)
    def compiled(self, shape, dtype=None, **more):
        if prod(shape) < 10**7:
            return draw(self, shape, dtype, **more)
        return tf.function(lambda: draw(self, shape, dtype, **more))()

    return compiled
