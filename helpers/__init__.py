"""Small helpers shared by the lessons; TensorFlow is imported only when it is first needed."""

import os
import sys

from helpers.images import ImageError, load_image, sample_names
from helpers.labels import Prediction
from helpers.models import WeightsUnavailable, available, has_weights, lesson_model
from helpers.models import load_classifier, recorded_logits


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
    return keras
