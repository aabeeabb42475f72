"""Debian's Firefox, driven by WebDriver BiDi, which it speaks by itself: Playwright
drives a Firefox of its own only."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
import websocket  # JupyterLab brings it

SECONDS = 60  # to wait for an answer, on a busy machine


class Firefox:
    """One tab. https://w3c.github.io/webdriver-bidi tells the commands."""

    def __init__(self, address):
        self.socket = websocket.create_connection(
            address, timeout=SECONDS, suppress_origin=True
        )
        self.numbers = count(1)
        self.command("session.new", capabilities={})
        self.tab = self.command("browsingContext.create", type="tab")["context"]

    def command(self, method, **params):
        """Send a command → its result. AssertionError where Firefox refuses it."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            pass  # an event
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, address):
        """Open an address, until its scripts were loaded."""
        self.command(
            "browsingContext.navigate", context=self.tab, url=address, wait="complete"
        )

    def run(self, expression):
        """The value of a JavaScript expression, or of the promise that it is, by way of
        JSON."""
        text = "(value) => JSON.stringify(value ?? null)"
        found = self.command(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then({text})",
            target={"context": self.tab},
            awaitPromise=True,
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"]["value"])

    def wait(self, expression):
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + SECONDS
        while not self.run(expression):
            assert time.monotonic() < end, f"not within {SECONDS} s: {expression}"
            time.sleep(0.1)


@contextmanager
def firefox():
    """Firefox ESR. Where it is not installed the test is skipped."""
    if not (program := shutil.which("firefox-esr")):
        pytest.skip("needs Firefox (on Debian: apt install firefox-esr)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        log = Path(profile) / "log"
        options = [
            "--headless",
            "--no-remote",
            "--remote-debugging-port=0",
            "--profile",
            profile,
        ]
        with log.open("w") as file:
            process = subprocess.Popen([program, *options], stdout=file, stderr=file)
        try:
            end = time.monotonic() + SECONDS
            while not (
                found := re.search(
                    r"WebDriver BiDi listening on (ws://\S+)", log.read_text()
                )
            ):
                assert process.poll() is None and time.monotonic() < end, (
                    log.read_text()
                )
                time.sleep(0.1)
            started = Firefox(f"{found[1]}/session")
            yield started
            with suppress(AssertionError, OSError, websocket.WebSocketException):
                started.command("browser.close")
        finally:
            process.terminate()
            process.wait()
