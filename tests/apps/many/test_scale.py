"""More than one machine: predictions by Ray on a cluster that loses one, and
fine-tuning on several devices and hosts. Machines are processes here, each with a
loopback address of its own."""

import contextlib
import importlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny

from apps.many import fast
from apps.many.folder import (
    BatchError,
    columns,
    predict_folder,
    read_predictions,
)
from apps.sharing.doubts import UNLIKE
from apps.sharing.exported import Exported
from apps.sharing.exporting import export_onnx
from apps.sharing.saving import save_classifier
from helpers import load_classifier, load_image
from helpers.datasets import load_dataset
from helpers.models import ROOT
from helpers.pictures import Pictures
from helpers.training import new_model
from safeguards.familiar import familiar

pytestmark = [
    pytest.mark.thorough,  # Ray takes seconds to start
    # TensorFlow's own, where Keras reads a variable
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
SCALE = ROOT / "apps" / "many"
COMPUTERS = ROOT / "data" / "computers"
HEAD, OTHER = "127.0.0.2", "127.0.0.3"


@pytest.fixture(scope="module")
def many():
    """apps/many/predict_many.py. Skipped where Ray is not there; in CI that is a
    failure."""
    if not find_spec("ray"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Ray (make scale)")
    return importlib.import_module("apps.many.predict_many")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A file that every process can load, however many start."""
    return str(
        save_classifier(
            tiny.classifier(), tmp_path_factory.mktemp("model") / "tiny.keras"
        )
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, model):
    """A folder of 200 pictures, among them what cannot be read, and its rows, {path:
    row}."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, path in enumerate(sorted((COMPUTERS / "train").rglob("*.jpg"))[:196]):
        copy = folder / f"{number % 3}" / f"{number:03}.jpg"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    for name in (
        "=1+1.jpg",
        "größe.jpg",
    ):  # a formula for spreadsheets, and more than ASCII
        load_image("cat").save(folder / name)
    (folder / "empty.jpg").touch()
    (folder / "0" / "page.jpg").write_text("<html>")
    (folder / ".hidden.jpg").write_text("not seen")
    predict_folder(folder, model, folder.parent / "predictions.csv", top=2)
    rows = list(read_predictions(folder.parent / "predictions.csv"))
    assert len(rows) == 200
    return folder, {row["path"].removeprefix("./"): row for row in rows}


@pytest.fixture(scope="module")
def about(model):
    """What the rows of a folder are of, as `predict_many` would note it."""

    def given(folder, worker="Worker"):
        return {"folder": str(folder), "model": model, "top": 2, "worker": worker}

    return given


def block(names):
    return {"path": np.array(names, dtype=object)}


def assert_same(found, expected, without=()):
    """Each picture has one row, the one that predict_folder gives."""
    assert sorted(row["path"] for row in found) == sorted(expected)
    for row in found:
        other = expected[row["path"]]
        assert list(row) == list(other)
        for column, value in row.items():
            if (
                column.startswith("probability") and value is not None
            ):  # other threads, other sums
                assert value == pytest.approx(other[column], abs=1e-4), row
            elif column not in ("path", *without):
                assert value == other[column], (row, column)


# -- one block of names ----------------------------------------------------------------


def test_rows_are_those_of_predict_folder(many, pictures, about, tmp_path):
    folder, expected = pictures
    names = many.missing_names(str(folder), str(tmp_path / "out"), about(folder))
    worker = many.Worker(str(tmp_path / "out"), about(folder))
    for part in (names[:50], names[50:], names[:50]):  # one of them twice
        assert worker(block(part))["rows"] == [len(part)]
    found = many.existing_rows(str(tmp_path / "out"))
    assert len(found.files) == 2
    assert_same(found.to_table().to_pylist(), expected)
    assert many.missing_names(str(folder), str(tmp_path / "out"), about(folder)) == []


def test_a_worker_uses_the_graph_that_is_there(
    many, pictures, about, tmp_path, monkeypatch
):
    """And gives the same rows; it writes none, as many workers would at once."""
    folder, expected = pictures
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fast, "EXPORT_SECONDS", 0)
    before = many.Worker(str(tmp_path / "none"), about(folder)).predictor
    assert before._computes is before.classifier
    assert not (tmp_path / "cache").exists()
    fast.faster(before.classifier, 1)
    worker = many.Worker(str(tmp_path / "out"), about(folder))
    assert isinstance(worker.predictor._computes, Exported)
    names = many.missing_names(str(folder), str(tmp_path / "out"), about(folder))
    assert worker(block(names))["rows"] == [len(names)]
    found = many.existing_rows(str(tmp_path / "out"))
    assert_same(found.to_table().to_pylist(), expected)


def test_a_worker_says_what_is_like_nothing_learned_from(many, pictures, tmp_path):
    """As `predict_folder` does, of an exported file too."""
    folder, _ = pictures
    random = np.random.default_rng(0)
    known = familiar(random.normal(size=(3, 64)), ["a", "b", "c"], 0.0)
    path = tmp_path / "mine.onnx"
    export_onnx(replace(tiny.classifier(), familiar=known), path)
    about = {"folder": str(folder), "model": str(path), "top": 1, "worker": "Worker"}
    names = ["0/000.jpg", "1/001.jpg", "empty.jpg"]
    many.Worker(str(tmp_path / "out"), about)(block(names))
    rows = many.existing_rows(str(tmp_path / "out")).to_table().to_pylist()
    assert {row["path"]: row["note"] for row in rows} == {
        "0/000.jpg": UNLIKE,
        "1/001.jpg": UNLIKE,
        "empty.jpg": None,
    }
    assert list(rows[0]) == columns()


def test_what_has_come_since_is_added(many, pictures, about, tmp_path):
    folder, _ = pictures
    out = str(tmp_path / "out")
    names = many.missing_names(str(folder), out, about(folder))
    many.Worker(out, about(folder))(block(names[:40] + names[60:]))
    assert many.missing_names(str(folder), out, about(folder)) == names[40:60]


def test_rows_of_another_job_are_not_mixed(many, pictures, about, tmp_path):
    folder, _ = pictures
    out = str(tmp_path / "out")
    many.Worker(out, about(folder))(block(["0/000.jpg"]))
    with pytest.raises(BatchError, match="name another OUT"):
        many.missing_names(str(folder), out, about(folder) | {"model": "vgg16"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(BatchError, match="holds no file"):
        many.missing_names(str(tmp_path / "empty"), out, about(tmp_path / "empty"))


def test_a_store_is_read_like_a_folder(many, pictures, about, tmp_path):
    folder, expected = pictures
    store = f"zip://::{shutil.make_archive(tmp_path / 'pictures', 'zip', folder)}"
    names = many.missing_names(store, str(tmp_path / "out"), about(store))
    assert sorted(names) == sorted(expected)
    worker = many.Worker(str(tmp_path / "out"), about(store))
    worker(block(names))
    rows = many.existing_rows(str(tmp_path / "out")).to_table().to_pylist()
    assert_same(rows, expected, without=["modified"])
    assert {row["modified"] for row in rows} == {None}
    # What was taken away since, and a name that would lead out of the folder of copies.
    assert worker(block(["gone.jpg", "../../up.jpg"]))["unreadable"] == [2]


@pytest.mark.parametrize("with_graph", [False, True])
def test_features_are_those_that_a_head_is_trained_on(
    many, pictures, model, about, tmp_path, monkeypatch, with_graph
):
    from helpers.training import base_of, extract_features

    folder, expected = pictures
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path / "cache"))
    if with_graph:  # as after `make mine` on many pictures
        monkeypatch.setattr(fast, "EXPORT_SECONDS", 0)
        monkeypatch.setattr(fast, "FEWEST", 1)
        one = Pictures("one", (folder / "0/000.jpg",), np.zeros(1, int), ("any",))
        extract_features(load_classifier(model), one, faster=fast.faster_features)
    kind = about(folder, "FeatureWorker")
    names = ["0/page.jpg", "0/000.jpg", "gone.jpg", "1/001.jpg"]
    worker = many.FeatureWorker(str(tmp_path / "out"), kind)
    in_onnx_runtime = worker.compute.__module__ == "apps.sharing.exported"
    assert in_onnx_runtime == with_graph
    counts = worker(block(names))
    assert counts == {"rows": [4], "unreadable": [2]}
    rows = many.existing_rows(str(tmp_path / "out")).to_table().to_pylist()
    assert [row["path"] for row in rows] == names
    assert [row["features"] is None for row in rows] == [True, False, True, False]
    classifier = load_classifier(model)
    batch = classifier.prepare([folder / "0/000.jpg", folder / "1/001.jpg"])
    features = base_of(classifier)(batch, training=False).numpy()
    np.testing.assert_allclose(
        [rows[1]["features"], rows[3]["features"]], features, atol=1e-4
    )


# -- what is wrong is said before Ray starts -------------------------------------------


@pytest.fixture
def wanted(many, model, monkeypatch):
    """A call of predict_many that must not come as far as Ray."""
    monkeypatch.setattr(
        many.ray, "init", lambda *_, **__: pytest.fail("Ray was started")
    )
    return lambda folder, out, **given: many.predict_many(
        folder, model, out, 2, **given
    )


def test_a_folder_that_is_not_there(wanted, tmp_path):
    with pytest.raises(BatchError, match="cannot be listed"):
        wanted(tmp_path / "none", tmp_path / "out")


def test_an_address_where_no_ray_is(wanted, pictures, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(
        BatchError, match=f"no Ray at {address}.*start it there by `ray start"
    ):
        wanted(pictures[0], tmp_path / "out", address=address)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "10.0.0.1:", ":6379", "head:ray", "head:99999"]
)
def test_an_address_that_is_none(wanted, pictures, tmp_path, address):
    with pytest.raises(BatchError, match="is no HOST:PORT"):
        wanted(pictures[0], tmp_path / "out", address=address)


# -- a cluster -------------------------------------------------------------------------


class Cluster:
    """Nodes of Ray, each started by `ray start` as on a machine of its own."""

    def __init__(self, folder):
        self.folder, self.nodes = folder, {}
        with socket.create_server((HEAD, 0)) as free:
            self.address = f"{HEAD}:{free.getsockname()[1]}"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": os.urandom(32).hex(),
            "RAY_USAGE_STATS_ENABLED": "0",
            # else they wait for whatever else this machine does
            "RAY_worker_niceness": "0",
        }

    def start(self, host):
        """Start a node, and wait until it takes part. Ray itself gives up after 30
        seconds, which a busy machine may need: then again."""
        port = self.address.partition(":")[2]
        role = ["--head", f"--port={port}", "--include-dashboard=false", "--no-monitor"]
        options = role + [f"--temp-dir={self.folder}"] if host == HEAD else []
        options = options or [f"--address={self.address}"]
        log = self.folder / f"{host}.log"
        for _ in range(3):
            with log.open("w") as said:
                self.nodes[host] = psutil.Popen(
                    [
                        Path(sys.executable).with_name("ray"),
                        "start",
                        "--block",
                        *options,
                    ]
                    + [
                        f"--node-ip-address={host}",
                        "--num-cpus=1",
                        "--include-log-monitor=false",
                    ]
                    + ["--object-store-memory=80000000"],
                    stdout=said,
                    stderr=said,
                    env=self.env,
                )
            while self.nodes[host].poll() is None:
                if "Ray runtime started" in log.read_text():
                    return
                time.sleep(0.1)
        pytest.fail(f"{host} did not start:\n{log.read_text()[-3000:]}")

    def lose(self, host):
        """End a node and all its processes at once, as when a machine loses power."""
        node = self.nodes.pop(host)
        for process in [node, *node.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        node.wait()

    def python(self, *arguments, **variables):
        """Start a driver on it."""
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env=self.env | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def cluster(many):
    """Two nodes of one core each."""
    if sys.platform != "linux":
        pytest.skip("needs a loopback address for each node, which Linux has")
    # A short path: it holds sockets, whose names are limited to a hundred characters.
    with tempfile.TemporaryDirectory(
        prefix="ray-", ignore_cleanup_errors=True
    ) as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start(HEAD)
            cluster.start(OTHER)
            yield cluster
        finally:
            for host in [*cluster.nodes]:
                cluster.lose(host)


# Says where each block was done, and takes long enough for one to be lost in the
# middle.
NOTING = """
import os, sys, time, ray
from apps.many.predict_many import Worker, predict_many

class Noting(Worker):
    def __call__(self, block):
        with open(os.path.join(sys_marks, ray.util.get_node_ip_address()), "a") as file:
            file.write("begun\\n")
        time.sleep(0.3)
        return super().__call__(block)

address, model, folder, out, sys_marks = sys.argv[1:]
ray.init(address, log_to_driver=False)
print(predict_many(folder, model, out, 2, top=2, block=10, worker=Noting))
"""


def test_a_cluster_that_loses_a_machine_predicts_every_picture_once(
    many, cluster, pictures, model, tmp_path, record_property
):
    folder, expected = pictures
    out, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    driver = cluster.python("-c", NOTING, cluster.address, model, folder, out, marks)
    start = time.monotonic()
    while not ((marks / OTHER).exists() and len(list(out.glob("*.parquet"))) > 2):
        assert driver.poll() is None, driver.stdout.read()
        assert time.monotonic() - start < 200, "both nodes should have begun"
        time.sleep(0.05)
    cluster.lose(OTHER)
    done = len(many.existing_rows(str(out)).files)
    said, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, said
    assert done < 20, "it was lost in the middle"
    assert re.search(r"(?m)^\(200, 2\)$", said), said  # rows, unreadable
    assert_same(many.existing_rows(str(out)).to_table().to_pylist(), expected)
    record_property("blocks done when a node was lost", f"{done} of 20")


def test_the_command_says_what_it_did_and_nothing_that_frightens(
    cluster, pictures, tmp_path
):
    options = ["--actors", 1, "--block", 100, "--address", cluster.address]
    command = [SCALE / "predict_many.py", pictures[0], tmp_path / "out", *options]
    driver = cluster.python(*command)
    said, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, said
    assert "200 new rows, 2 of them unreadable" in said
    assert "restart will fail" not in said and "Progress bars disabled" not in said, (
        said
    )


def test_a_cluster_lets_nobody_in_without_its_token(cluster):
    code = f"import ray; ray.init('{cluster.address}', log_to_driver=False)"
    wrong = {
        "RAY_AUTH_TOKEN": "0" * 64,
        "RAY_NUM_REDIS_GET_RETRIES": "1",
    }  # it asks 20 times
    said, _ = cluster.python("-c", code, **wrong).communicate(timeout=100)
    assert "InvalidAuthToken" in said


# -- what it costs ---------------------------------------------------------------------


@pytest.fixture
def costs():
    return importlib.import_module("tools.record.scale_costs")


def given(costs, **changed):
    return {name: value for name, (value, _) in costs.ASSUMED.items()} | changed


def test_the_page_shows_what_the_recorded_rates_give(costs):
    assert costs.tables(given(costs)) in costs.PAGE.read_text("utf-8")
    assert set(costs.read_rates()[1]) == set(costs.MODELS)


def test_the_arithmetic(costs):
    rate = {"bytes": 1e5, "read": 0.0, "decode": 0.009, "network": 0.027}
    assumed = given(costs, hours=10, cores=10, core_hour=0.1, efficiency=1, requests=1)
    small, large = (costs.plan(rate, pictures, assumed) for pictures in (1e6, 1e9))
    assert small["core hours"] == pytest.approx(10)  # 1e6 × 0.036 s
    assert (small["machines"], small["hours"]) == (1, pytest.approx(1))
    assert small["dollars a million"] == pytest.approx(1 + 1)
    assert (large["machines"], large["hours"]) == (100, pytest.approx(10))
    assert small["limited by"] == large["limited by"] == "the model"
    # Where the bottleneck moves: a fast model, few cores' worth of network, a slow
    # store.
    fast = rate | {"network": 0.001}
    assert costs.plan(fast, 1e6, assumed)["limited by"] == "decoding"
    assert costs.plan(fast, 1e6, assumed | {"network": 0.01})["limited by"] == "reading"
    slow = costs.plan(fast, 1e9, assumed | {"store": 1})
    assert (slow["limited by"], slow["hours"]) == (
        "the store",
        pytest.approx(1e5 / 3600),
    )
    fed = costs.feed(rate, assumed | {"gpu_factor": 27.0})
    assert fed["pictures a second"] == pytest.approx(1000)
    assert fed["cores to feed it"] == pytest.approx(9)


# -- fine-tuning -----------------------------------------------------------------------

EPOCHS = 1, 1


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A data set of 32 pictures, one batch."""
    folder = tmp_path_factory.mktemp("small")
    for part, count in (("train", 8), ("validation", 1)):
        for source in sorted((COMPUTERS / part).iterdir()):
            (folder / part / source.name).mkdir(parents=True)
            for path in sorted(source.glob("*.jpg"))[:count]:
                shutil.copy(path, folder / part / source.name)
    return folder


def train_many(model, folder, out, *processes):
    """Run apps/many/train_many.py with each process's options → what each printed."""
    command = [
        sys.executable,
        SCALE / "train_many.py",
        out,
        "--data",
        folder,
        "--model",
        model,
    ]
    command += ["--epochs", *map(str, EPOCHS)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen([*command, *options], **pipes) for options in processes]
    try:
        said = [process.communicate(timeout=280)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert not any(process.returncode for process in started), "\n".join(said)
    return said


def weights(network):
    return np.concatenate([np.ravel(weight) for weight in network.get_weights()])


def assert_same_steps(found, expected, classifier):
    """Two trainings took the weights the same way, up to a hundredth of it: rounding
    may turn Adam's step round where a gradient is nearly zero."""
    moved = abs(expected - weights(new_model(classifier, 4))).mean()
    assert moved > 1e-6
    assert abs(found - expected).mean() < moved / 100


def test_several_devices_learn_what_one_does(model, small, tmp_path, monkeypatch):
    fit_on_devices = importlib.import_module("apps.many.train_many").fit_on_devices
    classifier, train = load_classifier(model), load_dataset(small).train
    one = weights(fit_on_devices(classifier, train, ["CPU:0"], EPOCHS))
    train_many(model, small, tmp_path / "two.keras", ["--devices", "2"])
    two = weights(load_classifier(tmp_path / "two.keras").network)
    assert_same_steps(two, one, classifier)


def test_several_hosts_learn_what_one_does(model, small, tmp_path, monkeypatch):
    import tensorflow as tf

    fit_on_hosts = importlib.import_module("apps.many.train_many").fit_on_hosts
    classifier, train = load_classifier(model), load_dataset(small).train
    one = weights(
        fit_on_hosts(tf.distribute.get_strategy(), 0, classifier, train, EPOCHS)
    )
    with contextlib.ExitStack() as stack:  # addresses that are free, and two
        free = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for _ in range(2)
        ]
        hosts = [f"127.0.0.1:{server.getsockname()[1]}" for server in free]
    both = [["--hosts", *hosts, "--index", index] for index in "01"]
    said = train_many(model, small, tmp_path / "two.keras", *both)
    two = weights(load_classifier(tmp_path / "two.keras").network)
    assert_same_steps(two, one, classifier)
    assert [".keras is written" in text for text in said] == [True, False]
