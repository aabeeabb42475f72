"""Small helpers shared by the lessons; TensorFlow is only imported when it's needed."""

from helpers.images import load_image, sample_names
from helpers.labels import Prediction
from helpers.models import (
    WeightsUnavailable,
    available,
    has_weights,
    lesson_model,
    load_classifier,
)
from helpers.start import start_keras
from safeguards.pictures import ImageError


def __getattr__(name):
    """`from helpers import keras`: Keras on TensorFlow, started on first use."""
    if name != "keras":
        raise AttributeError(f"module 'helpers' has no attribute {name!r}")
    return start_keras()
