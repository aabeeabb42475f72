"""Fetching weights for a classroom, from a server on this machine that can
misbehave."""

import functools
import hashlib
import os
import platform
import runpy
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cases import thorough_but
from legacy import save_legacy
from server import Server

from helpers import keras, models, weights
from helpers.models import REGISTRY, WeightsUnavailable

DATA = np.random.default_rng(0).bytes(300_000)  # several blocks of a download
LENGTH = len(DATA)

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.fixture
def small(server, monkeypatch):
    """VGG16's and VGG19's rows of the registry, with files of a few kilobytes → VGG16's
    path."""
    for name in ("vgg16", "vgg19"):
        entry = REGISTRY[name]._replace(digest=hashlib.md5(DATA).hexdigest())
        monkeypatch.setitem(REGISTRY, name, entry)
        server.files[entry.file] = DATA
    return REGISTRY["vgg16"].file


@pytest.fixture
def fetch(server, tmp_path):
    """`_fetch` from the server into a folder that is not there yet."""
    return functools.partial(
        weights._fetch, folder=tmp_path / "a" / "folder", address=server.address
    )


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


# -- one model -------------------------------------------------------------------------


def test_file_arrives_under_keras_own_name(server, small, fetch, capsys):
    path = fetch("vgg16")
    assert path.name == Path(small).name
    assert path.read_bytes() == DATA
    assert listing(path.parent) == [path.name]
    assert f"{LENGTH}/{LENGTH}" in capsys.readouterr().out, "a progress bar"


def test_sha256_is_checked_as_well(server, small, fetch, monkeypatch):
    digest = hashlib.sha256(DATA).hexdigest()
    monkeypatch.setitem(REGISTRY, "vgg16", REGISTRY["vgg16"]._replace(digest=digest))
    assert fetch("vgg16").read_bytes() == DATA
    server.files[small] = DATA[::-1]
    with pytest.raises(WeightsUnavailable, match="damaged or another file"):
        fetch("vgg16", folder=fetch.keywords["folder"] / "other")


def test_second_run_downloads_nothing(server, small, fetch, capsys):
    first, written = fetch("vgg16"), fetch("vgg16").stat().st_mtime_ns
    assert fetch("vgg16") == first
    assert first.stat().st_mtime_ns == written
    assert server.asked == [small]
    assert "vgg16: already there, checked" in capsys.readouterr().out


FAULTS = {
    "truncated": "only 150000 out of 300000 bytes",
    "dies": "reset",
    "stalls": "timed out",
    "other data": "damaged or another file",
    "missing": "404",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "before", thorough_but(["nothing", "a damaged file"], "a damaged file")
)
def test_failed_download_leaves_nothing_and_can_be_repeated(
    server, small, fetch, fault, before
):
    folder = fetch.keywords["folder"]
    folder.mkdir(parents=True)
    if before == "a damaged file":
        (folder / Path(small).name).write_bytes(DATA[:1000])
    there = listing(folder)
    if fault == "other data":
        server.files[small] = DATA[::-1]
    elif fault == "missing":
        del server.files[small]
    else:
        server.faults[small] = fault
    limit = socket.getdefaulttimeout()
    socket.setdefaulttimeout(0.5)
    try:
        with pytest.raises(
            WeightsUnavailable, match=f"{FAULTS[fault]}.*; run this again"
        ):
            fetch("vgg16")
    finally:
        socket.setdefaulttimeout(limit)
    assert listing(folder) == there

    server.files[small] = DATA
    server.faults.clear()
    assert fetch("vgg16").read_bytes() == DATA
    assert listing(folder) == [Path(small).name]


def test_interrupted_run_leaves_nothing_and_can_be_repeated(small, fetch, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keras.utils.Progbar, "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch("vgg16")
    assert listing(fetch.keywords["folder"]) == []
    assert fetch("vgg16").read_bytes() == DATA


def test_killed_run_can_be_repeated(small, fetch):
    """Nothing is tidied up after a kill: what it left must neither be used nor stay."""
    folder = fetch.keywords["folder"]
    left = folder / f".incoming-{platform.node()}-{10**9}-killed"
    left.mkdir(parents=True)
    (left / Path(small).name).write_bytes(DATA[:1000])
    assert fetch("vgg16").read_bytes() == DATA
    assert listing(folder) == [Path(small).name]


def test_one_model_leaves_the_download_of_another_alone(small, fetch):
    folder = fetch.keywords["folder"]
    running = folder / ".incoming-vgg19"
    running.mkdir(parents=True)
    fetch("vgg16")
    assert running.is_dir()


# -- a model for which Keras publishes no hash -----------------------------------------


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    """MobileNetV2 with random weights → (network, its file's bytes)."""
    network = models.build_network("mobilenet_v2", None)
    path = tmp_path_factory.mktemp("mobilenet") / "legacy.h5"
    save_legacy(network, path)
    return network, path.read_bytes()


@pytest.mark.thorough
def test_without_hash_size_and_loading_are_checked(
    server, mobilenet, fetch, monkeypatch
):
    network, data = mobilenet
    entry = REGISTRY["mobilenet_v2"]._replace(digest=len(data))
    monkeypatch.setitem(REGISTRY, "mobilenet_v2", entry)
    for wrong in (data[:-1], data + b"\0", bytes(len(data))):
        server.files[entry.file] = wrong
        with pytest.raises(WeightsUnavailable, match="damaged or another file"):
            fetch("mobilenet_v2")
    assert listing(fetch.keywords["folder"]) == []

    server.files[entry.file] = data
    path = fetch("mobilenet_v2")
    # The learner's side of it: the folder is all there is.
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(path.parent))
    loaded = models.load_classifier("mobilenet_v2").network.get_weights()
    assert all(map(np.array_equal, loaded, network.get_weights()))


def test_only_mobilenet_has_no_hash():
    """The size of the published file, in bytes."""
    sizes = {
        n: entry.digest
        for n, entry in REGISTRY.items()
        if not isinstance(entry.digest, str)
    }
    assert sizes == {"mobilenet_v2": 14_536_120}


# -- the command line ------------------------------------------------------------------


@pytest.fixture
def main(server, monkeypatch):
    """The command line, with the server in place of Keras's; it sets this process's
    time limit."""
    here = functools.partial(weights._fetch, address=server.address)
    monkeypatch.setattr(weights, "_fetch", here)
    limit = socket.getdefaulttimeout()
    yield lambda *arguments: weights._main(list(map(str, arguments)))
    socket.setdefaulttimeout(limit)


def test_several_models(small, main, tmp_path, capsys):
    assert main("vgg16", "vgg19", "--to", tmp_path) == 0
    assert listing(tmp_path) == [
        Path(REGISTRY[name].file).name for name in ("vgg16", "vgg19")
    ]
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"Learners now set TRANSFER_WEIGHTS={tmp_path}"
    assert err == ""


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell reads the line")
@pytest.mark.parametrize(
    "name", ["plain", "two words", "Ada's", "$HOME", "a;b", 'say "hi"', "é"]
)
def test_line_for_learners_can_be_pasted(small, main, tmp_path, capsys, name):
    assert main("vgg16", "--to", tmp_path / name) == 0
    line = capsys.readouterr().out.splitlines()[-1].removeprefix("Learners now set ")
    show = f'{line}; printf %s "$TRANSFER_WEIGHTS"'
    done = subprocess.run(
        ["sh", "-c", show], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == str((tmp_path / name).resolve())
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("folder", "line"),
    {
        r"C:\weights": r"$env:TRANSFER_WEIGHTS = 'C:\weights'",
        r"C:\Ada L\$a": r"$env:TRANSFER_WEIGHTS = 'C:\Ada L\$a'",
        r"C:\Ada's": r"$env:TRANSFER_WEIGHTS = 'C:\Ada''s'",
    }.items(),
)
def test_line_for_learners_with_windows_is_for_powershell(folder, line):
    assert weights._setting(folder, windows=True) == line


def test_failure_of_one_does_not_stop_the_next(server, small, main, tmp_path, capsys):
    del server.files[small]
    assert main("vgg16", "vgg19", "--to", tmp_path) == 1
    assert listing(tmp_path) == [Path(REGISTRY["vgg19"].file).name]
    out, err = capsys.readouterr()
    assert "Learners now set" not in out
    (line,) = err.splitlines()
    assert line.startswith("vgg16: could not be downloaded")


def test_stalled_download_ends(server, small, main, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weights, "STALLED", 0.5)
    server.faults[small] = "stalls"
    assert main("vgg16", "--to", tmp_path) == 1
    assert "timed out" in capsys.readouterr().err


def test_folder_that_cannot_be_used(main, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setattr(
        sys, "argv", ["weights", "vgg16", "--to", str(tmp_path / "file")]
    )
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(weights.__file__, run_name="__main__")
    assert caught.value.code == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_unknown_model_is_refused_with_the_known_ones(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "helpers.weights",
            "vgg16",
            "vgg17",
            "--to",
            str(tmp_path / "new"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "'vgg17'" in done.stderr
    assert all(name in done.stderr for name in REGISTRY)
    assert not (tmp_path / "new").exists()
