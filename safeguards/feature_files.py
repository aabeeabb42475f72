"""Features on disk: a file of numbers that is whole and of the right key, or none."""

from contextlib import suppress

import numpy as np

from safeguards.whole_files import atomic_write


def read_features(path, key):
    """The array in an .npz file, or None where there's no file, or not of this key,
    or a damaged one: zip archives hold a checksum of what is in them."""
    with (
        suppress(Exception),  # a damaged file may raise anything
        np.load(path, allow_pickle=False) as file,
    ):
        return file[key]
    return None


def write_features(path, key, features):
    """Write an array to an .npz file under its key, or say why it's not kept."""
    try:
        with atomic_write(path) as draft:
            np.savez(draft, allow_pickle=False, **{key: features})
    except OSError as error:
        print(
            f"Features are not kept: {path.parent} cannot be written "
            f"({error.strerror}). Set TRANSFER_CACHE to a folder of yours."
        )
