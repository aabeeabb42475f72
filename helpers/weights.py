"""Put weights into a folder, for a classroom without a network.

    python -m helpers.weights efficientnet_lite0 vgg16 --to FOLDER

copies what an installed package holds and downloads the rest. The files keep their own
names. Learners then set TRANSFER_WEIGHTS to that folder; the last line says how."""

import argparse
import os
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path

from helpers.models import REGISTRY, WeightsUnavailable, build_network, find_weights
from safeguards.model_files import is_intact
from safeguards.printing import run_tool
from safeguards.text import typed
from safeguards.whole_files import temporary_folder_in

ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/"
STALLED = 60  # seconds without a byte, after which a download has failed


def _fetch(name, folder, address=ADDRESS):
    """Put a network's weights into `folder`, unless they are there and intact.
    Only an intact file is moved into place, so an interrupted run can be repeated.
    Returns the file's path. WeightsUnavailable where that fails, an OSError where the
    folder can't be used."""
    folder = Path(folder).resolve()
    entry = REGISTRY[name]
    target = folder / Path(entry.file).name
    if target.is_file() and _is_usable(name, target):
        print(f"{name}: already there, checked")
        return target
    with temporary_folder_in(folder) as temporary:
        if entry.package:
            path = _copy(name, temporary)
            origin = "copied"
        else:
            path = _download(name, temporary, address)
            origin = "fetched"
        if not _is_usable(name, path):
            raise WeightsUnavailable(
                "what arrived is damaged or another file; run this again"
            )
        os.replace(path, target)
    print(f"{name}: {origin} and checked, {target}")
    return target


def _copy(name, folder):
    """A copy in `folder` of the weights that an installed package holds."""
    path = find_weights(name)
    if path is None or not is_intact(REGISTRY[name], path):
        build_network(name)  # its error says how to install them
    target = folder / Path(REGISTRY[name].file).name
    return Path(shutil.copy(path, target))


def _download(name, folder, address):
    """A network's weights as Keras downloads them, in `folder`."""
    from helpers import keras

    file = REGISTRY[name].file
    try:
        path = keras.utils.get_file(
            Path(file).name, address + file, cache_subdir=str(folder)
        )
    except Exception as error:
        # Keras raises a bare Exception for every failed download.
        message = f"could not be downloaded ({error}); run this again"
        raise WeightsUnavailable(message) from error
    return Path(path)


def _is_usable(name, path):
    """Whether a weights file is intact; one without a published hash must also load."""
    if not is_intact(REGISTRY[name], path):
        return False
    if isinstance(REGISTRY[name].digest, int):
        with suppress(WeightsUnavailable):
            return bool(build_network(name, path))
        return False
    return True


def _setting(folder, windows=os.name == "nt"):
    """What to type in a terminal of this system, on Windows PowerShell, so that weights
    are looked for in `folder`. Its quotes keep blanks and signs in the path as they
    are."""
    if windows:
        path = str(folder).replace("'", "''")
        return f"$env:TRANSFER_WEIGHTS = '{path}'"
    # Only the path is quoted: with the name in the quotes it would set nothing.
    return f"TRANSFER_WEIGHTS={typed(folder, windows=False)}"


def _main(arguments=None):
    """The command line. Returns the exit status: 0 if every model is there and
    intact."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.weights", description=__doc__
    )
    parser.add_argument("models", nargs="+", choices=list(REGISTRY))
    parser.add_argument(
        "--to", required=True, metavar="FOLDER", help="made if it is not there"
    )
    options = parser.parse_args(arguments)
    socket.setdefaulttimeout(STALLED)  # without it Keras's download waits for ever
    failed = False
    for name in options.models:
        try:
            _fetch(name, options.to)
        except (WeightsUnavailable, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
    if not failed:
        folder = Path(options.to).resolve()
        print(f"Learners now set {_setting(folder)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(run_tool(_main))
