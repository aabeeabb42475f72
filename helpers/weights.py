"""Fetch weights for a classroom without a network: python -m helpers.weights vgg16 --to FOLDER.

The files keep Keras's own names; learners then set TRANSFER_WEIGHTS to that folder."""

import argparse
import os
import socket
import sys
from contextlib import suppress
from hashlib import file_digest
from pathlib import Path

from helpers.files import incoming
from helpers.models import REGISTRY, WeightsUnavailable, build_network

ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/"
STALLED = 60  # seconds without a byte


def fetch_weights(name, folder, address=ADDRESS):
    """Download one model's weights into `folder` unless they are there and intact; → their path.
    Only an intact file is moved into place, so an interrupted run can be repeated. Raises
    WeightsUnavailable where that fails, OSError where the folder cannot be used."""
    from helpers import keras

    folder, file = Path(folder).resolve(), REGISTRY[name].file
    target = folder / Path(file).name
    if target.is_file() and intact(name, target):
        print(f"{name}: already there, checked")
        return target
    with incoming(folder) as part:
        try:
            path = keras.utils.get_file(target.name, address + file, cache_subdir=str(part))
            if not intact(name, path):
                raise ValueError("what arrived is damaged or another file")
            os.replace(path, target)
        except Exception as error:  # Keras raises a bare Exception for every failed download
            text = f"could not be downloaded ({error}); run this again"
            raise WeightsUnavailable(text) from error
    print(f"{name}: fetched and checked, {target}")
    return target


def intact(name, path):
    """Whether a weights file has the right hash or, where there is none, size, and loads."""
    digest = REGISTRY[name].digest
    if isinstance(digest, int):
        with suppress(WeightsUnavailable):
            return os.path.getsize(path) == digest and bool(build_network(name, path))
        return False
    with open(path, "rb") as file:
        return file_digest(file, "md5" if len(digest) == 32 else "sha256").hexdigest() == digest


def main(arguments=None):
    """The command line; returns the exit status: 0 if every model is there and intact."""
    parser = argparse.ArgumentParser(prog="python -m helpers.weights", description=__doc__)
    parser.add_argument("models", nargs="+", choices=list(REGISTRY))
    parser.add_argument("--to", required=True, metavar="FOLDER", help="made if it is not there")
    options = parser.parse_args(arguments)
    socket.setdefaulttimeout(STALLED)  # else Keras's download waits for ever
    failed = 0
    for name in options.models:
        try:
            fetch_weights(name, options.to)
        except (WeightsUnavailable, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = 1
    if not failed:
        print(f"Learners now set TRANSFER_WEIGHTS={Path(options.to).resolve()}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
