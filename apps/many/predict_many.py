"""Classify a folder or bucket of pictures on as many machines as there are, with Ray Data.

python apps/many/predict_many.py FOLDER OUT [--model NAME] [--actors 2] [--address HOST:PORT]

FOLDER is one that every machine sees under the same path, or an address of an object store, as in
s3://bucket/pictures (with s3fs installed; fsspec knows dozens of kinds). So is OUT, which becomes
a folder of Parquet files; its rows are those of `apps.many.folder.predict_folder`, in any order.
Without --address all happens on this machine; docs/scale.md says how to start more. Stopped, the
same command goes on where it was; pictures that have come since are added.
"""

import argparse
import io
import json
import logging
import os
import socket
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from posixpath import join

import fsspec
import pyarrow as pa
import ray
from pyarrow import dataset, parquet
from ray.data import ActorPoolStrategy, DataContext

from apps.many.folder import BatchError, Predictor, names_below
from helpers.images import resize
from helpers.models import DEFAULT
from helpers.training import base_of, progress_bar
from safeguards.pictures import UNREACHABLE, ImageError
from safeguards.whole_files import whole

BATCH = 32  # pictures in the network at a time
NUMBERS = {"bytes": pa.int64(), "modified": pa.int64(), "probability": pa.float64()}


class Worker:
    """An actor: a process, on whatever machine, that loads the model once and keeps it."""

    def __init__(self, out, about):
        # One core an actor: TensorFlow alone would start as many threads as the machine has cores.
        os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        self.out, self.about = out, about
        self.store, place = opened(about["folder"])
        self.root, self.near = place, self.store and tempfile.TemporaryDirectory()
        if self.near:
            place = self.near.name
        self.predictor = Predictor(about["model"], place, about["top"])
        kinds = ((c, NUMBERS.get(c.partition("_")[0], pa.string())) for c in self.predictor.columns)
        self.schema = pa.schema(kinds)

    def __call__(self, block):
        """{"path": names} → how many rows there are now in a file of their own. The file's name
        follows from theirs: a block that is done twice, as a machine was lost, is there once."""
        names, rows = block["path"].tolist(), []
        for start in range(0, len(names), BATCH):
            part = names[start : start + BATCH]
            found = self.rows(self.fetched(part) if self.store else part)
            rows += [row | {"path": name} for row, name in zip(found, part, strict=True)]
        schema = self.schema.with_metadata({"about": json.dumps(self.about)})
        table = pa.Table.from_pylist(rows, schema)
        keep(table, self.out, sha256("\0".join(names).encode()).hexdigest()[:32])
        return {"rows": [len(rows)], "unreadable": [len(rows) - table["error"].null_count]}

    def rows(self, names):
        """A row, a dict, for each name; what cannot be read has an error in it."""
        rows = self.predictor(names)
        return [row | {"modified": None} for row in rows] if self.store else rows  # it is a copy's

    def fetched(self, names):
        """Copy pictures from the store to this machine, many at once → the copies' names."""
        places = [join(self.root, name) for name in names]
        found = self.store.cat(places, on_error="omit")
        for number, place in enumerate(places):  # no name of a stranger's becomes a path here
            path = Path(self.near.name, str(number))
            path.unlink(missing_ok=True)
            if place in found:
                path.write_bytes(found[place])
        return [str(number) for number in range(len(names))]


class FeatureWorker(Worker):
    """The same for features, what a head is trained on: rows of path, error, features."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.base = base_of(self.predictor.classifier)
        kinds = {"path": pa.string(), "error": pa.string(), "features": pa.list_(pa.float32())}
        self.schema = pa.schema(kinds.items())

    def rows(self, names):
        classifier, rows, pictures = self.predictor.classifier, [], []
        for name in names:
            rows.append({"error": None})
            path = self.predictor.folder / name
            try:
                if not path.is_file():
                    raise ImageError("It is no file that can be read.", UNREACHABLE)
                pictures.append(resize(path, classifier.size, classifier.rule))
            except ImageError as error:
                rows[-1]["error"] = str(error)
        good = [row for row in rows if row["error"] is None]
        if good:
            features = self.base.predict_on_batch(classifier.prepare(pictures))
            for row, values in zip(good, features, strict=True):
                row["features"] = values
        return rows


def predict_many(folder, model, out, actors, top=1, block=500, worker=Worker, address=None):
    """Predict every picture in `folder` once, into Parquet files in `out` → (rows, unreadable) of
    this run. block: pictures in a file, done anew if their machine is lost; address: as in
    `connect`, unless Ray is connected already; the rest as in `predict_folder`. BatchError where
    there is no file or no Ray, or `out` holds what was made with another folder, model or top."""
    folder, out = absolute(folder), absolute(out)  # a worker's working directory is another
    model = absolute(model) if str(model).endswith(".keras") else model
    about = {"folder": folder, "model": model, "top": top, "worker": worker.__name__}
    if not (names := missing(folder, out, about)):
        return 0, 0
    if not ray.is_initialized():  # only now: it takes a while, and there is something to do
        connect(address)
    DataContext.get_current().enable_progress_bars = False
    blocks = [pa.table({"path": names[i : i + block]}) for i in range(0, len(names), block)]
    done = ray.data.from_arrow(blocks).map_batches(
        worker,
        fn_constructor_args=(out, about),
        batch_size=block,
        compute=ActorPoolStrategy(size=min(actors, len(blocks))),
        num_cpus=1,
    )
    rows = unreadable = 0
    with progress_bar(len(names), "pictures") as bar:
        for count in done.iter_rows():
            rows += count["rows"]
            unreadable += count["unreadable"]
            bar.update(count["rows"])
    return rows, unreadable


def connect(address=None):
    """Connect to the Ray at HOST:PORT, or start one on this machine. BatchError where none is."""
    if address:
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal() and int(port) < 2**16):
            raise BatchError(f"{address} is no HOST:PORT: pass an address as in 10.0.0.1:6379.")
        try:  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except OSError as error:
            raise BatchError(
                f"There is no Ray at {address} ({error}): start it there by `ray start --head` "
                "(docs/scale.md)."
            ) from error
    # What Ray says of each run, and that we have a progress bar of our own; warnings are left.
    DataContext.get_current().print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
    # An error that is none: https://github.com/ray-project/ray/issues/57733
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports to its makers
    print("Connecting …" if address else "Starting Ray, some tens of seconds …", flush=True)
    ray.init(address, log_to_driver=False, logging_level=logging.WARNING)


def absolute(place):
    """A path or an address, as a text that means the same wherever it is read."""
    return str(place) if "://" in str(place) else os.path.abspath(os.path.expanduser(place))


def opened(place):
    """(fsspec's file system, place in it) of an address, (None, path) of an ordinary folder."""
    return fsspec.core.url_to_fs(place) if "://" in place else (None, place)


def keep(table, out, name):
    """Write a table to a file in `out`, which appears whole or not at all."""
    buffer, (store, place) = io.BytesIO(), opened(out)
    parquet.write_table(table, buffer)
    if store:
        store.pipe_file(join(place, f"{name}.parquet"), buffer.getvalue())
        return
    with whole(Path(place, f"{name}.parquet")) as part:
        part.write_bytes(buffer.getvalue())


def missing(folder, out, about):
    """The names of all files below `folder`, hidden ones aside, that `out` has no row for."""
    store, root = opened(folder)
    if store:
        names = (place.removeprefix(root).lstrip("/") for place in sorted(store.find(root)))
        names = [n for n in names if not any(part.startswith(".") for part in n.split("/"))]
    else:
        names = list(names_below(root))
    if not names:
        raise BatchError(f"{folder} holds no file: pass another folder.")
    if (done := made(out)) is None:
        return names
    if (before := json.loads(done.schema.metadata[b"about"])) != about:
        raise BatchError(f"{out} was made with {before}, not {about}: name another OUT.")
    kept = set(done.to_table(columns=["path"])["path"].to_pylist())
    return [name for name in names if name not in kept]


def made(out):
    """The rows in `out`, as a data set of pyarrow's; None where there are none."""
    store, place = opened(out)
    if not (store or fsspec.filesystem("file")).exists(place):
        return None
    done = dataset.dataset(place, format="parquet", filesystem=store)
    return done if done.files else None


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of pictures, or an address as in s3://bucket/pictures")
    parser.add_argument("out", help="a folder or address for Parquet files")
    parser.add_argument("--model", default=DEFAULT, help="what load_classifier takes")
    parser.add_argument("--top", type=int, default=1, help="likeliest classes a row")
    parser.add_argument("--features", action="store_true", help="keep features, no predictions")
    actors = "processes of one core each; otherwise %(default)s, the cores of this machine"
    parser.add_argument("--actors", type=int, default=os.cpu_count(), help=actors)
    parser.add_argument(
        "--block", type=int, default=500, help="pictures a file of OUT; otherwise %(default)s"
    )
    parser.add_argument("--address", help="of the cluster's first machine, as in 10.0.0.1:6379")
    asked = parser.parse_args()
    worker = FeatureWorker if asked.features else Worker
    options = asked.actors, asked.top, asked.block, worker, asked.address
    try:
        rows, unreadable = predict_many(asked.folder, asked.model, asked.out, *options)
    except BatchError as error:
        return str(error)
    print(f"{asked.out}: {rows:,} new rows, {unreadable:,} of them unreadable")
    return 0


if __name__ == "__main__":
    sys.exit(main())
