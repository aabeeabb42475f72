"""Kill processes that write, at random moments, and look at what they leave.

    python tests/support/interrupt.py KILLS FOLDER

Two processes at a time do the same work in the same folder until both are killed
(SIGKILL). Prints as JSON how often, how many had left something half-written, and how
many whole files were read. What is half-written and in use is an AssertionError.
Without TensorFlow: a fork costs little.
"""

import functools
import http.server
import io
import itertools
import json
import os
import random
import re
import signal
import sys
import tarfile
import threading
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from apps.sharing import cards
from exercises import _core
from helpers import datasets
from helpers.evaluate import accuracy
from helpers.images import ResizeRule, load_image
from helpers.models import Classifier
from helpers.pictures import Pictures
from panels import collect, corrections
from safeguards.feature_files import read_features, write_features
from safeguards.whole_files import atomic_write, note_digest, shipped


def noise(seed, side=24):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), "uint8")
    return Image.fromarray(pixels)


class Features:
    """The cache of `extract_features`, of up to four megabytes a file."""

    def __init__(self, folder):
        self.folder = folder

    def features(self, seed):
        rng = np.random.default_rng(seed)
        return rng.random((rng.integers(1, 1000), 1000), "float32")

    def write(self, turn):
        path = self.folder / f"{turn % 5}.npz"
        write_features(path, f"{turn % 5}", self.features(turn % 5))

    def check(self):
        for path in self.folder.glob("*.npz"):
            found = read_features(path, path.stem)
            assert np.array_equal(found, self.features(int(path.stem))), path
            yield path


class Corrections:
    """The file in which the panel keeps decisions."""

    def __init__(self, folder):
        self.file = folder / "corrections.csv"
        paths = []
        for i in range(300):
            paths.append(folder / "set" / "ab"[i % 2] / f"{i}.png")
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            paths[-1].write_bytes(b"%d" % i)
        labels = np.arange(300) % 2
        self.pictures = Pictures("set", tuple(paths), labels, ("a", "b"))

    def write(self, turn):
        count = 1 + turn * 37 % 300
        decisions = {i: (i + count) % 2 for i in range(count)}
        corrections.write_corrections(self.pictures, self.file, decisions)

    def check(self):
        found = corrections.read_corrections(self.pictures, self.file)
        assert found == {i: (i + len(found)) % 2 for i in range(len(found))}
        if found:
            yield self.file


class Progress:
    """What a learner has answered: only added to, so that what was said stays."""

    def __init__(self, folder):
        os.environ["TRANSFER_PROGRESS"] = str(folder / "my_progress.jsonl")
        self.known = 0

    def write(self, turn):
        _core._keep(
            {"exercise": "05.1", "done": True, "answer": f"{os.getpid()} {turn} " * 50}
        )

    def check(self):
        found = _core.events()
        assert len(found) >= self.known, "an answer is lost"
        self.known = len(found)
        for event in found:
            assert len(set(event["answer"].split())) <= 2, event
            yield event


class Collected:
    """Pictures that a learner collects."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, turn):
        collect._keep("noise", noise(turn, 300), self.folder, "ab"[turn % 2], {})

    def check(self):
        for path in self.folder.glob("*/*.jpg"):
            assert load_image(path).size == (300, 300)
            yield path


class Card:
    """A model card."""

    def __init__(self, folder):
        self.file = folder / "card.md"
        self.model = Classifier(
            "m", None, 64, ResizeRule(), None, (("a", "a"), ("b", "b"))
        )
        self.rows = {f"measure {i}": "text" * 50 for i in range(500)}
        self.rows["accuracy"] = accuracy([0, 1], [0, 1])

    def write(self, turn):
        cards.model_card(self.model, self.file, f"turn {turn}", self.rows)

    def check(self):
        if self.file.exists():
            text = self.file.read_text("utf-8")
            assert text.count("| measure ") == 501
            assert re.search(r"\n<!-- as made: \w{16} -->\n$", text)
            yield self.file


class Shipped:
    """A file with its hash beside it. Of the two, one may be of a moment before: never
    half."""

    def __init__(self, folder):
        self.file = folder / "asset"

    def write(self, turn):
        with atomic_write(self.file) as part:
            part.write_bytes(bytes([turn % 256]) * 500_000)
        note_digest(self.file)

    def check(self):
        if self.file.exists():
            content = self.file.read_bytes()
            assert content == content[:1] * 500_000
            yield shipped(self.file)


class Download:
    """A public data set: its download, unpacking and sorting out."""

    def __init__(self, folder):
        archive, self.home = io.BytesIO(), folder / "home"
        with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as file:
            for i in range(40):
                content, entry = (
                    noise(i, 90).tobytes(),
                    tarfile.TarInfo(f"all/{i % 2}/{i}"),
                )
                entry.size = len(content)
                file.addfile(entry, io.BytesIO(content))
        (folder / "web").mkdir()
        (folder / "web" / "set.tgz").write_bytes(archive.getvalue())
        handler = functools.partial(Silent, directory=folder / "web")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        digest = sha256(archive.getvalue()).hexdigest()
        address = f"http://127.0.0.1:{server.server_port}/set.tgz"
        for i in range(1000):
            datasets.PUBLIC[f"set{i}"] = datasets._Public(
                address, digest, "1", "all", "none"
            )
        os.environ["TRANSFER_DATA"] = str(self.home)

    def write(self, turn):
        sys.stderr = io.StringIO()  # the bar
        datasets._public(f"set{len(list(self.home.glob('set*')))}")

    def check(self):
        for path in self.home.glob("set*"):
            files = sorted(path.glob("*/*"), key=lambda file: int(file.name))
            assert [file.name for file in files] == [f"{i}" for i in range(40)]
            assert files[7].read_bytes() == noise(7, 90).tobytes()
            yield path


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Print nothing."""


def work(job, turn):
    """The life of a process that is killed."""
    try:
        for i in itertools.count(turn):
            job.write(i)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)


def main(kills, folder):
    draw, counts, jobs = random.Random(0), Counter(), {}
    for kind in (Features, Corrections, Progress, Collected, Card, Shipped, Download):
        own = Path(folder) / kind.__name__
        own.mkdir()
        jobs[own] = kind(own)
    for number in range(int(kills) // 2):
        own, job = list(jobs.items())[number % len(jobs)]
        children = []
        for turn in (draw.randrange(10**6), draw.randrange(10**6)):
            if not (pid := os.fork()):
                work(job, turn)
            children.append(pid)
        slow = 0.12 if isinstance(job, Download) else 0.03
        for pid in draw.sample(children, 2):
            time.sleep(draw.random() * slow)
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            status = os.waitpid(pid, 0)[1]
            assert os.WIFSIGNALED(status), f"{own.name} failed by itself"
            counts["kills"] += 1
        counts["files read"] += sum(1 for _ in job.check())
        counts["left half-written"] += len(list(own.rglob(".incoming-*")))
    for own, job in jobs.items():
        if not isinstance(job, Progress):
            job.write(10**6)
            job.write(10**6 + 1)  # in another class's folder
            assert not list(own.rglob(".incoming-*")), "what kills left stays"
            assert list(job.check()), f"{own.name} was never written"
    print(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
