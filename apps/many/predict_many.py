"""Classify a folder or bucket of pictures on as many machines as you have, with Ray
Data.

python apps/many/predict_many.py FOLDER OUT [--model NAME] [--actors 2]
    [--address HOST:PORT]

FOLDER is one that every machine sees under the same path, or an address of an object
store, as in s3://bucket/pictures (with s3fs installed; fsspec knows dozens of kinds).
So is OUT, which becomes a folder of Parquet files; its rows are those of
`apps.many.folder.predict_folder`, in any order. Without --address all happens on this
machine; docs/scale.md says how to start more. If it's stopped, the same command goes on
where it was; pictures that have come since are added."""

import argparse
import io
import json
import logging
import os
import socket
import sys
import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from posixpath import join

import fsspec
import pyarrow as pa
import ray
from pyarrow import dataset, parquet
from ray.data import ActorPoolStrategy, DataContext

from apps.many.fast import faster_features
from apps.many.folder import EXPORTED, BatchError, Predictor, names_below
from helpers.images import resize, to_batch
from helpers.models import DEFAULT
from helpers.training import base_of
from safeguards.pictures import UNREACHABLE, ImageError
from safeguards.printing import run_tool
from safeguards.progress import progress_bar
from safeguards.whole_files import atomic_write

BATCH = 32  # pictures in the network at a time
BLOCK = 500  # pictures in a file of OUT
NUMBERS = {
    "bytes": pa.int64(),
    "modified": pa.int64(),
    "probability": pa.float64(),
}
CONNECTING_SECONDS = 5
MAX_PORT = 2**16 - 1


class Worker:
    """An actor: a process, on any of the machines, that loads the model once.

    out: the folder or address that its files go to.
    settings: {"folder", "model", "top", "worker"}, of the whole run."""

    def __init__(self, out, settings):
        # One core an actor: TensorFlow alone would start a thread for each core.
        os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
        os.environ["TF_NUM_INTEROP_THREADS"] = "1"
        self.out = out
        self.settings = settings
        self.store, self.root = open_location(settings["folder"])
        self.copies = None
        folder = self.root
        if self.store:
            self.copies = tempfile.TemporaryDirectory()
            folder = self.copies.name
        self.predictor = Predictor(settings["model"], folder, settings["top"])
        self.predictor.hurry(0)  # as many actors as cores: none of them writes a graph
        fields = []
        for column in self.predictor.columns:
            kind = column.partition("_")[0]  # without the rank, as in wnid_2
            fields.append((column, NUMBERS.get(kind, pa.string())))
        self.schema = pa.schema(fields)

    def __call__(self, block):
        """{"path": names} → how many rows there are now in a file of their own.

        The file's name follows from theirs: if a machine was lost and a block is done
        twice, it's there once."""
        names = block["path"].tolist()
        rows = []
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            files = self.fetched(batch) if self.store else batch
            for row, name in zip(self.rows(files), batch, strict=True):
                rows.append(row | {"path": name})
        schema = self.schema.with_metadata({"about": json.dumps(self.settings)})
        table = pa.Table.from_pylist(rows, schema)
        file_name = sha256("\0".join(names).encode()).hexdigest()[:32]
        write_table(table, self.out, file_name)
        readable = table["error"].null_count
        return {
            "rows": [len(rows)],
            "unreadable": [len(rows) - readable],
        }

    def rows(self, names):
        """A row, a dict, for each name; what can't be read has an error in it."""
        rows = self.predictor(names)
        if self.store:
            # The time is that of a copy and says nothing of the picture.
            rows = [row | {"modified": None} for row in rows]
        return rows

    def fetched(self, names):
        """Copy pictures from the store to this machine, many at once → the copies'
        names.

        Numbers, as no stranger's name should become a path here."""
        locations = [join(self.root, name) for name in names]
        contents = self.store.cat(locations, on_error="omit")
        copies = []
        for number, location in enumerate(locations):
            copy = Path(self.copies.name, str(number))
            copy.unlink(missing_ok=True)
            if location in contents:
                copy.write_bytes(contents[location])
            copies.append(copy.name)
        return copies


class FeatureWorker(Worker):
    """A `Worker` for features, what a head is trained on: path, error, features."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        classifier = self.predictor.classifier
        base = base_of(classifier)

        def compute(pixels):
            return base.predict_on_batch(classifier.preprocess_input(pixels))

        # As for predictions, none of the actors writes a graph.
        key = replace(classifier, network=base, classes=()).key()
        self.compute = faster_features(classifier, 0, key, compute) or compute
        self.schema = pa.schema(
            [
                ("path", pa.string()),
                ("error", pa.string()),
                ("features", pa.list_(pa.float32())),
            ]
        )

    def rows(self, names):
        """A row with features for each name; what can't be read has an error in it."""
        classifier = self.predictor.classifier
        rows = []
        readable = []
        pictures = []
        for name in names:
            row = {"error": None}
            rows.append(row)
            try:
                pictures.append(self._resized(name))
                readable.append(row)
            except ImageError as error:
                row["error"] = str(error)
        if readable:
            size, rule = classifier.size, classifier.rule
            features = self.compute(to_batch(pictures, size, rule))
            for row, values in zip(readable, features, strict=True):
                row["features"] = values
        return rows

    def _resized(self, name):
        """A picture in the network's size; an ImageError where it can't be read."""
        path = self.predictor.folder / name
        if not path.is_file():
            raise ImageError("It is no file that can be read.", UNREACHABLE)
        classifier = self.predictor.classifier
        return resize(path, classifier.size, classifier.rule)


def predict_many(
    folder,
    model,
    out,
    actors,
    top=1,
    block=BLOCK,
    worker=Worker,
    address=None,
):
    """Predict every picture in `folder` once, into Parquet files in `out`.

    Returns (rows, unreadable): how many this run wrote, and how many of them hold an
    error.

    actors: how many processes work at once.
    block: pictures in a file, done again if their machine is lost.
    worker: `Worker` or a class of its kind.
    address: as in `connect`; of no use where Ray is connected already.

    The rest is as in `predict_folder`. Raises a BatchError where there's no file or no
    Ray, or if `out` holds what was made with another folder, model or top."""
    # A worker's working directory is another.
    folder = absolute(folder)
    out = absolute(out)
    if str(model).endswith((".keras", *EXPORTED)):
        model = absolute(model)
    settings = {
        "folder": folder,
        "model": model,
        "top": top,
        "worker": worker.__name__,
    }
    names = missing_names(folder, out, settings)
    if not names:
        return 0, 0
    if not ray.is_initialized():  # only now, as it takes a while
        connect(address)
    DataContext.get_current().enable_progress_bars = False
    blocks = []
    for start in range(0, len(names), block):
        blocks.append(pa.table({"path": names[start : start + block]}))
    results = ray.data.from_arrow(blocks).map_batches(
        worker,
        fn_constructor_args=(out, settings),
        batch_size=block,
        compute=ActorPoolStrategy(size=min(actors, len(blocks))),
        num_cpus=1,
    )
    rows = 0
    unreadable = 0
    with progress_bar(len(names), "pictures") as bar:
        for counts in results.iter_rows():
            rows += counts["rows"]
            unreadable += counts["unreadable"]
            bar.update(counts["rows"])
    return rows, unreadable


def connect(address=None):
    """Connect to the Ray at HOST:PORT, or start one on this machine.

    Raises a BatchError where there is none."""
    if address:
        _check_address(address)
    # What Ray says of each run, and that we have a progress bar of our own; not
    # warnings.
    DataContext.get_current().print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
    # An error that is none: https://github.com/ray-project/ray/issues/57733
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault(
        "RAY_USAGE_STATS_ENABLED", "0"
    )  # else it reports to its makers
    if address:
        print("Connecting …", flush=True)
    else:
        print("Starting Ray, some tens of seconds …", flush=True)
    ray.init(address, log_to_driver=False, logging_level=logging.WARNING)


def _check_address(address):
    """BatchError unless HOST:PORT answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > MAX_PORT:
        raise BatchError(
            f"{address} is no HOST:PORT: pass an address as in 10.0.0.1:6379."
        )
    endpoint = (host.strip("[]"), int(port))
    try:
        socket.create_connection(endpoint, timeout=CONNECTING_SECONDS).close()
    except OSError as error:
        raise BatchError(
            f"There is no Ray at {address} ({error}): start it there by "
            "`ray start --head` (docs/scale.md)."
        ) from error


def _is_address(location):
    return "://" in str(location)


def absolute(location):
    """A path or an address, as a text that means the same wherever it's read."""
    if _is_address(location):
        return str(location)
    return os.path.abspath(os.path.expanduser(location))


def open_location(location):
    """(fsspec's file system, path in it) of an address; (None, path) of a folder."""
    if _is_address(location):
        return fsspec.core.url_to_fs(location)
    return None, location


def write_table(table, out, name):
    """Write a table to a file in `out`, which appears whole or not at all."""
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    store, folder = open_location(out)
    file_name = f"{name}.parquet"
    if store:
        store.pipe_file(join(folder, file_name), buffer.getvalue())
        return
    with atomic_write(Path(folder, file_name)) as draft:
        draft.write_bytes(buffer.getvalue())


def missing_names(folder, out, settings):
    """The names of all files below `folder` that `out` has no row for.

    Hidden ones are left out."""
    store, root = open_location(folder)
    names = list(_names_in_store(store, root) if store else names_below(root))
    if not names:
        raise BatchError(f"{folder} holds no file: pass another folder.")
    rows = existing_rows(out)
    if rows is None:
        return names
    earlier = json.loads(rows.schema.metadata[b"about"])
    if earlier != settings:
        raise BatchError(
            f"{out} was made with {earlier}, not {settings}: name another OUT."
        )
    done = set(rows.to_table(columns=["path"])["path"].to_pylist())
    return [name for name in names if name not in done]


def _names_in_store(store, root):
    """The names of all files below a folder of an object store, without hidden ones."""
    for location in sorted(store.find(root)):
        name = location.removeprefix(root).lstrip("/")
        if not any(step.startswith(".") for step in name.split("/")):
            yield name


def existing_rows(out):
    """The rows in `out`, as a data set of pyarrow's; None where there are none."""
    store, folder = open_location(out)
    file_system = store or fsspec.filesystem("file")
    if not file_system.exists(folder):
        return None
    rows = dataset.dataset(folder, format="parquet", filesystem=store)
    return rows if rows.files else None


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", help="of pictures, or an address as in s3://bucket/pictures"
    )
    parser.add_argument("out", help="a folder or address for Parquet files")
    parser.add_argument(
        "--model",
        default=DEFAULT,
        help="what load_classifier takes, or an exported file",
    )
    parser.add_argument("--top", type=int, default=1, help="likeliest classes a row")
    parser.add_argument(
        "--features",
        action="store_true",
        help="keep features, no predictions",
    )
    parser.add_argument(
        "--actors",
        type=int,
        default=os.cpu_count(),
        help="processes of one core each; otherwise %(default)s, the cores of this "
        "machine",
    )
    parser.add_argument(
        "--block",
        type=int,
        default=BLOCK,
        help="pictures a file of OUT; otherwise %(default)s",
    )
    parser.add_argument(
        "--address",
        help="of the cluster's first machine, as in 10.0.0.1:6379",
    )
    options = parser.parse_args()
    try:
        rows, unreadable = predict_many(
            options.folder,
            options.model,
            options.out,
            options.actors,
            top=options.top,
            block=options.block,
            worker=FeatureWorker if options.features else Worker,
            address=options.address,
        )
    except BatchError as error:
        return str(error)
    print(f"{options.out}: {rows:,} new rows, {unreadable:,} of them unreadable")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
