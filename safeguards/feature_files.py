"""Features on disk: a file of numbers that is whole and of the right key, or none."""

from contextlib import suppress
from hashlib import sha256

import numpy as np

from safeguards.whole_files import atomic_write

HASH_BYTES = 32  # of SHA-256, in front of the numbers


def read_features(path, key):
    """The float32 (n,) in a file, or None where there's no file, or not of this key,
    or a damaged one."""
    with suppress(OSError):
        data = path.read_bytes()
        numbers = data[HASH_BYTES:]
        if data[:HASH_BYTES] == _hash(key, numbers):
            return np.frombuffer(numbers, "float32").copy()
    return None


def write_features(path, key, features):
    """Write float32 features to a file, or say why they are not kept."""
    numbers = features.tobytes()
    try:
        with atomic_write(path) as draft:
            draft.write_bytes(_hash(key, numbers) + numbers)
    except OSError as error:
        print(
            f"Features are not kept: {path.parent} cannot be written "
            f"({error.strerror}). Set TRANSFER_CACHE to a folder of yours."
        )


def _hash(key, numbers):
    return sha256(key.encode() + numbers).digest()
