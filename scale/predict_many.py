"""Classify a folder or bucket of pictures on as many machines as there are, with Ray Data.

python scale/predict_many.py FOLDER OUT [--model pocket] [--actors 2] [--address HOST:PORT]

FOLDER is one that every machine sees under the same path, or an address of an object store, as in
s3://bucket/pictures (with s3fs installed; fsspec knows dozens of kinds). OUT becomes a folder of
Parquet files, seen by every machine as well; its rows are those of `helpers.batch.predict_folder`,
in any order. Without --address all happens on this machine; docs/scale.md says how to start more.
Stopped, or after a machine was lost, the same command goes on where it was.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from posixpath import join

import fsspec
import pyarrow as pa
import ray
from pyarrow import dataset, parquet
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig

from helpers.batch import BatchError, Predictor, names_below

NUMBERS = {"bytes": pa.int64(), "modified": pa.int64(), "probability": pa.float64()}


class Worker:
    """An actor: a process, on whatever machine, that loads the model once and keeps it."""

    def __init__(self, folder, model, top):
        # One core an actor: TensorFlow alone would start as many threads as the machine has cores.
        os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        self.store, self.root = opened(folder)
        self.near = self.store and tempfile.TemporaryDirectory()
        self.predictor = Predictor(model, self.near.name if self.near else self.root, top)

    def __call__(self, batch):
        """{"path": names} → a table of rows, one a name: what cannot be read has an error."""
        names = batch["path"].tolist()
        rows = self.predictor(self.fetch(names) if self.store else names)
        for row, name in zip(rows, names, strict=True):
            row["path"] = name
            if self.store:
                row["modified"] = None  # that of the copy means nothing
        kinds = {c: NUMBERS.get(c.partition("_")[0], pa.string()) for c in self.predictor.columns}
        return pa.Table.from_pylist(rows, pa.schema(kinds.items()))

    def fetch(self, names):
        """Copy pictures from the store to this machine, many at once, under numbers as names."""
        places = [join(self.root, name) for name in names]
        found = self.store.cat(places, on_error="omit")
        for number, place in enumerate(places):
            path = Path(self.near.name, str(number))
            path.unlink(missing_ok=True)
            if place in found:
                path.write_bytes(found[place])
        return [str(number) for number in range(len(names))]


def predict_many(folder, model, out, actors, top=1, block=500, batch=64):
    """Predict every picture in `folder` once, into Parquet files in `out`.
    Ray must be connected to a cluster (`ray.init`). block: pictures in a file, done anew if their
    machine is lost; batch: those that an actor takes at a time; the rest as in `predict_folder`.
    BatchError where there is nothing to do, or `out` was begun with another folder or model."""
    job = f"{out}.job"
    write_names(folder, job, {"folder": folder, "model": model, "top": top}, block)
    DataContext.get_current().checkpoint_config = CheckpointConfig(
        id_column="path", checkpoint_path=f"{job}/done", delete_checkpoint_on_success=False
    )
    rows = ray.data.read_parquet(f"{job}/names").map_batches(
        Worker,
        fn_constructor_args=(folder, model, top),
        batch_size=batch,
        compute=ActorPoolStrategy(size=actors),
        num_cpus=1,
    )
    rows.write_parquet(out)


def opened(folder):
    """(fsspec file system, place in it) of an address, (None, path) of an ordinary folder."""
    return fsspec.core.url_to_fs(folder) if "://" in folder else (None, os.path.abspath(folder))


def names_in(folder):
    """The names of all files below a folder or an address, relative to it; hidden ones aside."""
    store, root = opened(folder)
    if store is None:
        return list(names_below(root))
    names = (place.removeprefix(root).lstrip("/") for place in sorted(store.find(root)))
    return [name for name in names if not any(part[0] == "." for part in name.split("/"))]


def write_names(folder, job, about, block):
    """Write what is to be predicted, as tables of `block` names, and remember what it is for."""
    names, (files, place) = names_in(folder), fsspec.core.url_to_fs(job)
    if not names:
        raise BatchError(f"{folder} holds no file: pass another folder.")
    if files.exists(f"{place}/about.json"):
        if (before := json.loads(files.cat_file(f"{place}/about.json"))) != about:
            raise BatchError(f"{job} was begun with {before}, not {about}: name another OUT.")
        files.rm(f"{place}/names", recursive=True)
    files.makedirs(f"{place}/names")
    files.pipe_file(f"{place}/about.json", json.dumps(about).encode())
    for start in range(0, len(names), block):
        with files.open(f"{place}/names/{start:012}.parquet", "wb") as file:
            parquet.write_table(pa.table({"path": names[start : start + block]}), file)


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="the pictures: a folder, or an address as in s3://bucket/a")
    parser.add_argument("out", help="a folder or address for Parquet files")
    parser.add_argument("--model", default="pocket", help="what load_classifier takes")
    parser.add_argument("--top", type=int, default=1, help="likeliest classes a row")
    parser.add_argument("--actors", type=int, default=os.cpu_count(), help="one core each")
    parser.add_argument("--block", type=int, default=500, help="pictures a file")
    parser.add_argument("--address", help="of the cluster's first machine, as in 10.0.0.1:6379")
    asked = parser.parse_args()
    ray.init(asked.address, log_to_driver=False)
    try:
        predict_many(asked.folder, asked.model, asked.out, asked.actors, asked.top, asked.block)
    except BatchError as error:
        return str(error)
    table = dataset.dataset(asked.out)
    unreadable = table.count_rows(filter=dataset.field("error").is_valid())
    print(f"{asked.out}: {table.count_rows():,} rows, {unreadable:,} of them unreadable")
    return 0


if __name__ == "__main__":
    sys.exit(main())
