"""A web address for each sample, so that a lesson can show a download without a network."""

import mimetypes
import os
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from helpers.images import SAMPLES

HOST = "127.0.0.1"  # this computer, and nobody else's


class SampleHandler(BaseHTTPRequestHandler):
    """Answers with a sample's file, byte for byte, and with nothing else."""

    def do_GET(self):
        """Send the sample whose address is asked for, or 404 where there is none."""
        path = files().get(self.path)
        if path is None:
            self.send_error(404)
            return
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", mimetypes.guess_type(path.name)[0])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        """Keep the server's log out of the notebook."""


@cache
def files():
    """The file behind each address: {"/cat.png": its path, …}."""
    paths = {name: Path(sample.path()) for name, sample in SAMPLES.items()}
    return {f"/{name}{path.suffix}": path for name, path in paths.items()}


@cache
def start_server():
    """Serve the samples to this computer until Python ends → where the server is."""
    server = ThreadingHTTPServer((HOST, 0), SampleHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    # Where web traffic goes through a proxy, this computer is still asked directly.
    exceptions = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    os.environ["no_proxy"] = f"{HOST},{exceptions}"
    return f"http://{HOST}:{server.server_port}"


def sample_url(name):
    """The web address of a sample, on this computer alone and for as long as Python runs.
    The first call starts a small web server, and has requests to it bypass any proxy.
    ValueError for what is not in `sample_names()`."""
    if name not in SAMPLES:
        raise ValueError(f"No sample is called {name!r}. There are: {', '.join(SAMPLES)}.")
    return f"{start_server()}/{name}{Path(SAMPLES[name].path()).suffix}"
