"""Try jupyterhub_config.py with a class.

python -m teaching.hub.measure_hub [--record] [--learners N …]

Starts JupyterHub with configurable-http-proxy on loopback. So many learners log in,
each server is started, and at one moment all open lesson 01 and run every cell of it,
over the same websocket that a browser uses. Memory is the proportional share (PSS) of
each learner's server and kernel, looked at once a second; with --record,
docs/hub_needs.tsv and the table in docs/teaching.md are written anew. Linux, with what
requirements/teaching.txt names and configurable-http-proxy on PATH.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from pathlib import Path

import psutil
import requests
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from safeguards.printing import run_tool
from tools.record.measure_lessons import ROOT, record

RECORDED = ROOT / "docs" / "hub_needs.tsv"
LESSON = "notebooks/01_use_a_pretrained_model.ipynb"
# The configuration as it is. Only root has to say that it means it, as in
# tools/setup/lab.py.
WRAPPED = """load_subconfig({config!r})
if {root}:
    c.Spawner.args = [*c.Spawner.args, "--allow-root"]
"""


class Hub:
    """A running hub, as a context: `address`, `password`, `folder`; `log` is what it
    said."""

    def __init__(self, **variables):
        self._all = contextlib.ExitStack()
        self.folder = Path(self._all.enter_context(tempfile.TemporaryDirectory()))
        self.password = secrets.token_hex(8)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.variables = {
            "HUB_PASSWORD": self.password,
            "HUB_FOLDER": str(self.folder / "class"),
            "HUB_PORT": str(port),
        } | variables

    def __enter__(self):
        config = self.folder / "config.py"
        text = WRAPPED.format(
            config=str(ROOT / "teaching" / "hub" / "jupyterhub_config.py"),
            root=os.geteuid() == 0,
        )
        config.write_text(text, encoding="utf-8")
        out = self._all.enter_context(open(self.folder / "log", "w"))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", config],
            cwd=self.folder,
            env=os.environ | self.variables,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self):
        web, end = requests.Session(), time.monotonic() + 60
        web.trust_env = False  # no proxy between this machine and itself
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(requests.ConnectionError):
                if web.get(f"{self.address}/hub/api/", timeout=5).ok:
                    return
            time.sleep(0.3)
        raise RuntimeError(f"JupyterHub does not answer:\n{self.log}")

    def __exit__(self, *_):
        started = self._started()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for left in psutil.wait_procs(started, timeout=5)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        self._all.close()

    def _started(self):
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    @property
    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def held(self):
        """What each learner's processes hold now → {name: bytes, proportional
        share}."""
        held = defaultdict(int)
        for process in self._started():
            with contextlib.suppress(psutil.Error):
                if name := process.environ().get("JUPYTERHUB_USER"):
                    held[name] += process.memory_full_info().pss
        return dict(held)


class Learner:
    """Somebody who logs in, has a server, and runs notebooks on it."""

    def __init__(self, hub, name):
        self.hub, self.name = hub, name
        self.web = requests.Session()
        self.web.trust_env = False
        self.server = f"{hub.address}/user/{name}"

    def ask(self, method, address, **more):
        answer = self.web.request(method, address, timeout=120, **more)
        answer.raise_for_status()
        return answer

    def log_in(self, password):
        """Through the form, as in a browser → whether the hub let them in."""
        page = f"{self.hub.address}/hub/login"
        self.ask("GET", page)
        form = {
            "username": self.name,
            "password": password,
            "_xsrf": self.web.cookies["_xsrf"],
        }
        answer = self.web.post(page, data=form, allow_redirects=False, timeout=120)
        if answer.status_code != 302:
            return False
        user = f"{self.hub.address}/hub/api/users/{self.name}"
        # The page that the form leads to; it gives the session a new cookie against
        # forgery.
        self.ask("GET", f"{self.hub.address}/hub/token")
        crumb = next(
            c.value for c in self.web.cookies if c.name == "_xsrf" and c.path == "/hub/"
        )
        made = self.ask(
            "POST", f"{user}/tokens", headers={"X-XSRFToken": crumb}, json={}
        )
        self.web.cookies.clear()
        self.token = f"token {made.json()['token']}"
        self.web.headers["Authorization"] = self.token
        return True

    def start(self):
        """Start the server → seconds until it answers."""
        begun = time.perf_counter()
        self.ask("POST", f"{self.hub.address}/hub/api/users/{self.name}/server")
        while not self.ask(
            "GET", f"{self.hub.address}/hub/api/users/{self.name}"
        ).json()["server"]:
            time.sleep(0.5)
        self.ask("GET", f"{self.server}/api/status")
        return time.perf_counter() - begun

    def stop(self):
        """Stop the server and wait until it is gone."""
        address = f"{self.hub.address}/hub/api/users/{self.name}"
        self.ask("DELETE", f"{address}/server")
        while self.ask("GET", address).json()["servers"]:
            time.sleep(0.2)

    def open(self, path):
        """A notebook from the learner's folder → the sources of its code cells."""
        content = self.ask("GET", f"{self.server}/api/contents/{path}").json()[
            "content"
        ]
        return [c["source"] for c in content["cells"] if c["cell_type"] == "code"]

    async def run(self, path, sources):
        """Run cells in a kernel of the notebook → what they printed, and seconds.
        RuntimeError with the error's text where one fails."""
        session = await asyncio.to_thread(
            self.ask,
            "POST",
            f"{self.server}/api/sessions",
            json={
                "path": path,
                "name": path,
                "type": "notebook",
                "kernel": {"name": "python3"},
            },
        )
        kernel = session.json()["kernel"]["id"]
        address = f"{self.server}/api/kernels/{kernel}/channels".replace(
            "http", "ws", 1
        )
        headers = {"Authorization": self.token}
        socket = await websocket_connect(HTTPRequest(address, headers=headers))
        begun = time.perf_counter()
        printed = [
            text for source in sources for text in await self._cell(socket, source)
        ]
        seconds = time.perf_counter() - begun
        socket.close()
        return "".join(printed), seconds

    async def _cell(self, socket, source):
        asked = uuid.uuid4().hex
        header = {
            "msg_id": asked,
            "msg_type": "execute_request",
            "username": self.name,
            "session": self.name,
            "version": "5.4",
        }
        content = {
            "code": source,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        message = {
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
        }
        await socket.write_message(
            json.dumps(message | {"channel": "shell", "buffers": []})
        )
        printed, answered, idle = [], False, False
        while not (answered and idle):
            text = await asyncio.wait_for(socket.read_message(), 600)
            if text is None:
                raise RuntimeError(
                    f"{self.name}: the connection to the kernel is gone."
                )
            # Widgets send messages with binary parts, which no cell waits for.
            message = (
                json.loads(text) if isinstance(text, str) else {"parent_header": {}}
            )
            if message["parent_header"].get("msg_id") != asked:
                continue
            content, kind = message["content"], message["msg_type"]
            if kind == "error":
                raise RuntimeError(
                    f"{self.name}: {content['ename']}: {content['evalue']}\n{source}"
                )
            printed += [content["text"]] if kind == "stream" else []
            answered |= kind == "execute_reply"
            idle |= kind == "status" and content["execution_state"] == "idle"
        return printed


class Watch(threading.Thread):
    """Looks at what learners hold, once a second: `peaks` of each, `together` of
    all."""

    def __init__(self, hub):
        super().__init__(daemon=True)
        self.hub, self.over = hub, threading.Event()
        self.peaks, self.together = defaultdict(int), 0

    def run(self):
        while not self.over.wait(1):
            held = self.hub.held()
            self.together = max(self.together, sum(held.values()))
            for name, now in held.items():
                self.peaks[name] = max(self.peaks[name], now)


async def attend(learners, path):
    """All open a notebook and run it at one moment → seconds of each."""
    sources = [learner.open(path) for learner in learners]
    runs = await asyncio.gather(
        *(
            learner.run(path, cells)
            for learner, cells in zip(learners, sources, strict=True)
        )
    )
    return [seconds for _, seconds in runs]


async def measure(count):
    """A class of so many → a row, {column: text}."""
    with Hub() as hub:
        learners = [Learner(hub, f"learner{i}") for i in range(count)]
        for learner in learners:
            if not learner.log_in(hub.password):
                raise RuntimeError(f"{learner.name} was not let in:\n{hub.log}")
        starts = await asyncio.gather(
            *(asyncio.to_thread(one.start) for one in learners)
        )
        idle = hub.held()
        watch = Watch(hub)
        watch.start()
        seconds = await attend(learners, LESSON)
        watch.over.set()
        watch.join()
    return {
        "learners": str(count),
        "server_started_s": f"{max(starts):.0f}",
        "lesson_median_s": f"{statistics.median(seconds):.0f}",
        "lesson_slowest_s": f"{max(seconds):.0f}",
        "server_mb": f"{statistics.median(idle.values()) / 1e6:.0f}",
        "learner_peak_mb": f"{max(watch.peaks.values()) / 1e6:.0f}",
        "all_peak_mb": f"{watch.together / 1e6:.0f}",
    }


def main():
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learners", type=int, nargs="+", default=[1, 8])
    parser.add_argument(
        "--record", action="store_true", help="write down what was measured"
    )
    asked = parser.parse_args()
    rows = []
    for count in asked.learners:
        rows.append(asyncio.run(measure(count)))
        print(
            *(f"{name} {value}" for name, value in rows[-1].items()),
            sep=", ",
            flush=True,
        )
    if asked.record:
        record(RECORDED, "teaching/hub/measure_hub.py", rows)
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
