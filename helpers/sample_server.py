"""A web address for each sample: a lesson can show a download without a network."""

import os
from functools import cache
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from helpers.images import SAMPLES

HOST = "127.0.0.1"  # this computer, and nobody else's


class _SampleHandler(SimpleHTTPRequestHandler):
    """Answers with a sample's file, byte for byte, and with nothing else."""

    def translate_path(self, path):
        """The file of the sample at this address, or "", which is found nowhere."""
        return _files().get(path, "")

    def log_message(self, *arguments):
        """Keep the server's log out of the notebook."""


def _address_path(name):
    """The part of a sample's address that follows the server's: "/cat.png"."""
    return f"/{name}{Path(SAMPLES[name].path()).suffix}"


@cache
def _files():
    """The file behind each address: {"/cat.png": its path, …}."""
    files = {}
    for name, sample in SAMPLES.items():
        files[_address_path(name)] = str(sample.path())
    return files


@cache
def _start_server():
    """Serve the samples to this computer until Python ends → the server's address."""
    server = ThreadingHTTPServer((HOST, 0), _SampleHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    # Where web traffic goes through a proxy, this computer must be asked directly.
    exceptions = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    os.environ["no_proxy"] = f"{HOST},{exceptions}"
    return f"http://{HOST}:{server.server_port}"


def sample_url(name):
    """The web address of a sample, on this computer alone and for as long as Python
    runs. The first call starts a small web server, and lets requests to it bypass any
    proxy. ValueError for what isn't in `sample_names()`."""
    if name not in SAMPLES:
        known = ", ".join(SAMPLES)
        raise ValueError(f"No sample is called {name!r}. There are: {known}.")
    return _start_server() + _address_path(name)
