"""Save, export, check and describe a classifier, so that others can use it."""

from apps.sharing.cards import model_card
from apps.sharing.classifier import as_classifier
from apps.sharing.exported import load_exported
from apps.sharing.exporting import export_litert, export_onnx
from apps.sharing.parity import parity
from apps.sharing.saving import save_classifier
from apps.sharing.trained import load_trained
from safeguards.model_files import ModelFileError

__all__ = [
    "ModelFileError",
    "as_classifier",
    "export_litert",
    "export_onnx",
    "load_exported",
    "load_trained",
    "model_card",
    "parity",
    "save_classifier",
]
