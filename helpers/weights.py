"""Put weights into a folder for a classroom without a network.

    python -m helpers.weights efficientnet_lite0 vgg16 --to FOLDER

copies what an installed package holds and downloads the rest. The files keep their own names;
learners then set TRANSFER_WEIGHTS to that folder."""

import argparse
import os
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path

from helpers.models import (
    REGISTRY,
    WeightsUnavailable,
    build_network,
    find_weights,
    is_intact,
)
from safeguards.whole_files import incoming

ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/"
STALLED = 60  # seconds without a byte


def fetch_weights(name, folder, address=ADDRESS):
    """Put one network's weights into `folder` unless they are there and intact; → their path.
    Only an intact file is moved into place, so an interrupted run can be repeated. Raises
    WeightsUnavailable where that fails, OSError where the folder cannot be used."""
    folder = Path(folder).resolve()
    entry = REGISTRY[name]
    target = folder / Path(entry.file).name
    if target.is_file() and loads(name, target):
        print(f"{name}: already there, checked")
        return target
    with incoming(folder) as part:
        path = copied(name, part) if entry.package else downloaded(name, part, address)
        if not loads(name, path):
            raise WeightsUnavailable("what arrived is damaged or another file; run this again")
        os.replace(path, target)
    print(f"{name}: {'copied' if entry.package else 'fetched'} and checked, {target}")
    return target


def copied(name, folder):
    """A copy in `folder` of the weights that an installed package holds."""
    path = find_weights(name)
    if path is None or not is_intact(name, path):
        build_network(name)  # its error says how to install them
    return Path(shutil.copy(path, folder / Path(REGISTRY[name].file).name))


def downloaded(name, folder, address):
    """A network's weights as Keras downloads them, in `folder`."""
    from helpers import keras

    file = REGISTRY[name].file
    try:
        path = keras.utils.get_file(Path(file).name, address + file, cache_subdir=str(folder))
    except Exception as error:  # Keras raises a bare Exception for every failed download
        text = f"could not be downloaded ({error}); run this again"
        raise WeightsUnavailable(text) from error
    return Path(path)


def loads(name, path):
    """Whether a weights file is intact; one that has no published hash must also load."""
    if not is_intact(name, path):
        return False
    if isinstance(REGISTRY[name].digest, int):
        with suppress(WeightsUnavailable):
            return bool(build_network(name, path))
        return False
    return True


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
