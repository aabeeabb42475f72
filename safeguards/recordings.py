"""Recorded arrays that ship with the lessons, read only as they were shipped."""

import json

import numpy as np

from safeguards.whole_files import SUMS, shipped


class RecordingError(RuntimeError):
    """The recorded answers are missing or not the shipped ones; says what to do."""


def read_recording(path, *names):
    """Arrays of a shipped .npz file, by name, and the dict that says how it was made.
    RecordingError where the file is missing or another one."""
    restore = f"git checkout data/recorded/{path.name} data/recorded/{SUMS}"
    advice = f"Bring it back: {restore}"
    try:
        if not shipped(path):
            raise RecordingError(
                f"{path} isn't the file that ships with the lessons. {advice}"
            )
        with np.load(path) as file:
            arrays = [file[name] for name in names]
            provenance = json.loads(file["about"].item())
    except OSError as error:
        reason = error.strerror
        raise RecordingError(f"{path} can't be read ({reason}). {advice}") from error
    return arrays, provenance
