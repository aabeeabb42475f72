"""A browser, and the servers whose pages it opens, for tests of what learners see."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
# No sandbox, as root in a container has none: what is opened are our own pages.
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-proxy-server",
]
SECONDS = 30  # to wait for what must appear, on a busy machine


@contextmanager
def browser():
    """Debian's Chromium. Where it is not installed the test is skipped, in CI it
    fails."""
    if not (chromium := shutil.which("chromium")):
        reason = "needs Chromium (on Debian: apt install chromium)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    expect.set_options(timeout=1000 * SECONDS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def new_page(chromium):
    """A page in a browser of its own; `asked`: what it asks of other hosts,
    `complaints`: what the browser finds wrong with it."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1400})
    asked, page = outside(context), context.new_page()
    page.asked, page.complaints = asked, []
    page.set_default_timeout(1000 * SECONDS)
    page.on(
        "console",
        lambda line: line.type == "error" and page.complaints.append(line.text),
    )
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page


class Server:
    """What a command serves on this machine, from the line in which it prints the
    address on."""

    def __init__(self, command, address, log, **variables):
        """address: a pattern of what is printed; log: the file that keeps it."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=inherited | variables,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.address = self._printed(address)
        except BaseException:
            self.close()
            raise

    def _printed(self, pattern):
        end = time.monotonic() + 2 * SECONDS
        while self.process.poll() is None and time.monotonic() < end:
            if found := re.search(pattern, self.log.read_text()):
                return found[0]
            time.sleep(0.1)
        pytest.fail(f"no address was printed:\n{self.log.read_text()}")

    def kernels(self):
        """Its kernels, as processes."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "ipykernel_launcher" in child.cmdline()]

    def close(self):
        """End it, and its kernels, which are not in its process group."""
        if self.process.poll() is None:
            ending = [psutil.Process(self.process.pid), *self.kernels()]
            os.killpg(self.process.pid, signal.SIGTERM)
            for process in psutil.wait_procs(ending, timeout=10)[1]:
                process.kill()
        self.process.wait()


def outside(context):
    """What pages of a browser context ask of any host but this machine: a list that
    fills."""
    asked = []

    def note(request):
        if not re.match(
            r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|(data|blob|about):",
            request.url,
        ):
            asked.append(request.url)

    context.on("request", note)
    context.on("page", lambda page: page.on("websocket", note))
    return asked


def violations(page, places, but=()):
    """What axe-core finds serious or critical, a text for each rule and element.
    places: selectors of what is looked at, but: of what is left out."""
    context = {
        "include": [[place] for place in places],
        "exclude": [[place] for place in but],
    }
    return [
        f"{violation['id']}: {node['html'][:300]}"
        for violation in Axe().run(page, context).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


class Panel:
    """The panel that classifies, in an open page, used as a person does."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".jp-OutputArea-output > .widget-vbox").last
        self.alert = self.root.get_by_role("alert")

    def type(self, address):
        """Type an address and press Enter."""
        self.root.get_by_label("Address").fill(address)
        self.page.keyboard.press("Enter")

    def upload(self, *paths):
        """Choose files of one's own."""
        with self.page.expect_file_chooser() as chooser:
            self.root.get_by_role("button", name="Choose files").click()
        chooser.value.set_files(paths)

    def pick(self, sample):
        """Click on a sample."""
        self.root.get_by_role("button", name=sample).click()

    def answers(self, name):
        """[[class, probability], …] of the picture with this name, once it is shown."""
        picture = self.root.get_by_alt_text(f"Classified: {name}", exact=True)
        expect(picture).to_be_visible()
        assert (
            picture.evaluate("image => image.decode().then(() => image.naturalWidth)")
            > 1
        )
        table = picture.locator("xpath=ancestor::figure/..").locator("table")
        return [
            row.locator("th, td:last-child").all_inner_texts()
            for row in table.locator("tr").all()
        ]
