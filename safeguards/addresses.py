"""All that comes from an address, pictures and data sets alike, comes through here.

On the learner's own machine an address may lead anywhere, as one typed into a browser. In hosted
mode strangers type addresses on somebody's server: then only public addresses are asked, checked
when their name is looked up and kept for the connection, for each redirect anew."""

import email.utils
import importlib.metadata
import ipaddress
import logging
import os
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

from safeguards.text import printable

TIMEOUT, MAX_REDIRECTS = (5, 10), 5  # seconds to connect and between packets
BUSY, RETRIES, PAUSE = (429, 503), 2, 0.5  # answers to ask again after; seconds, then twice as many
PORTS = (80, 443)  # in hosted mode: others lead to services that are no web sites
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that IANA has given to anybody
EXEMPT = frozenset()  # (address, port) that tests of hosted mode put here; nothing else does
PUBLIC_ONLY = "only public web addresses are read here, at their usual ports"
# Whoever runs the server configures logging; without, nothing is printed beside the panel.
logging.getLogger("requests_hardened").addHandler(logging.NullHandler())


class FetchError(Exception):
    """An address could not be read; says why."""


class SchemeError(FetchError):
    """It leads to neither http:// nor https://."""


class TooMuchError(FetchError):
    """There is more than was to be read."""


class RefusedError(FetchError):
    """Hosted mode does not ask this address."""


def hosted():
    """Whether strangers may type the addresses: TRANSFER_HOSTED says so, 0 or 1, else whether this
    is JupyterHub. (The page sets it.)"""
    said = os.environ.get("TRANSFER_HOSTED")
    return said != "0" if said else any(name.startswith("JUPYTERHUB_") for name in os.environ)


def download(url, file, limit, seconds, accept="*/*", progress=lambda count, total: None):
    """Write what is at an http(s) address to a binary file: at most `limit` bytes, unpacked if the
    server packs them, and in at most `seconds`, from the look-up of the name to the last byte.
    A busy server is asked again. progress: is called now and then with the bytes that are there
    and the announced number or None. Raises a FetchError; what was written is then of no use."""
    work = _Download(url, file, limit, time.monotonic() + seconds, accept)
    work.start()
    try:
        while work.is_alive() and work.left() > 0:
            work.join(min(0.2, work.left()))
            progress(work.count, work.total)
        if work.is_alive():
            raise FetchError(f"not complete after {seconds:g} seconds")
    finally:
        work.stop()  # also where the learner interrupts
    if work.error:
        raise work.error
    progress(work.count, work.total)


class _Download(threading.Thread):
    """A thread of its own, as neither the look-up of a name nor a server that sends its headers or
    chunk sizes letter by letter can be limited in time from within."""

    def __init__(self, url, file, limit, end, accept):
        super().__init__(daemon=True)
        self.url, self.file, self.limit, self.end = url, file, limit, end
        self.count, self.total, self.error = 0, None, None
        self.stopped, self.lock, self.sockets = threading.Event(), threading.Lock(), []
        contact = os.environ.get("TRANSFER_CONTACT", "tutorial")
        version = importlib.metadata.version("transfer-learning-notebooks")
        self.headers = {
            "User-Agent": f"transfer-learning-notebooks/{version} ({contact})",
            "Accept": accept,
            "Accept-Encoding": "identity",  # pictures and archives are packed already
        }

    def left(self):
        return self.end - time.monotonic()

    def stop(self):
        """End all connections, so that the thread ends where it waits for one."""
        self.stopped.set()
        with self.lock:
            for socket in self.sockets:
                with suppress(OSError):  # the server was faster
                    socket.shutdown(2)
                socket.close()
            self.sockets.clear()

    def connected(self, socket):
        """Keep a handle of a new connection: urllib3 and ssl pass the original on and close it."""
        with self.lock:
            if self.stopped.is_set():
                socket.close()
                raise FetchError("stopped")
            self.sockets.append(socket.dup())

    def run(self):
        try:
            self._read()
        except FetchError as error:
            self.error = error
        except requests.exceptions.InvalidSchema as error:
            self.error = SchemeError(_reason(error))
        except InvalidIPAddress:
            self.error = RefusedError(PUBLIC_ONLY)
        except Exception as error:  # requests lets what urllib3 and http.client raise through
            self.error = FetchError(_reason(error))
            self.error.__cause__ = error

    def _read(self):
        # a redirect is closed before its body is read, which could be endless
        hooks = {"response": lambda answer, **_: answer.close() if answer.is_redirect else None}
        with requests.Session() as session:
            session.max_redirects = MAX_REDIRECTS
            # A proxy would look the name up once more, and reach what it likes.
            session.trust_env = not hosted()
            session.adapters.clear()
            for scheme in ("http", "https"):
                session.mount(f"{scheme}://", _adapter(self, scheme))
            for attempt in range(RETRIES + 1):
                with session.get(
                    self.url, headers=self.headers, timeout=TIMEOUT, hooks=hooks, stream=True
                ) as answer:
                    pause = _pause(answer, attempt)
                    if answer.status_code not in BUSY or attempt == RETRIES or pause > self.left():
                        return self._keep(answer)
                self.stopped.wait(pause)

    def _keep(self, answer):
        answer.raise_for_status()
        if answer.status_code not in range(200, 300):
            raise FetchError(f"its answer has the status {answer.status_code}")
        self.total = answer.raw.length_remaining  # as announced, while nothing is read
        if (self.total or 0) > self.limit:
            raise TooMuchError(f"over {self.limit} bytes are announced")
        # read1 returns what has arrived
        while chunk := answer.raw.read1(2**16, True):
            self.count += len(chunk)
            if self.count > self.limit:
                raise TooMuchError(f"over {self.limit} bytes")
            self.file.write(chunk)


def _pause(answer, attempt):
    """The seconds a busy server asks for, or ours."""
    said = answer.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:9])
    with suppress(TypeError, ValueError, OverflowError):
        return email.utils.parsedate_to_datetime(said).timestamp() - time.time()
    return PAUSE * 2**attempt


def _adapter(work, scheme):
    """What makes the connections of a download; in hosted mode, only those that are allowed."""
    public = hosted()

    def check(host, port):
        """host: the address that requests-hardened found and has put in the place of the name."""
        if (host, port) in EXEMPT:
            return
        ip = ipaddress.ip_address(host)
        given = ip.version == 4 or ip in GLOBAL_UNICAST
        if not (given and ip.is_global and not ip.is_multicast and port in PORTS):
            raise RefusedError(PUBLIC_ONLY)

    class Adapter(IPFilterAdapter if public else HTTPAdapter):
        def send(self, request, *arguments, **options):
            if public and "@" in urlsplit(request.url).netloc:
                raise RefusedError("no address with a user name is read here")
            return super().send(request, *arguments, **options)

        def get_connection_with_tls_context(self, *arguments, **options):
            pool = super().get_connection_with_tls_context(*arguments, **options)

            class Connection(type(pool).ConnectionCls):
                def _new_conn(self):
                    if public:
                        check(self.host, self.port)
                    socket = super()._new_conn()
                    work.connected(socket)
                    return socket

            pool.ConnectionCls = Connection
            return pool

    return Adapter(scheme == "https", allow_loopback=bool(EXEMPT)) if public else Adapter()


def _reason(error):
    """The first text an error bears, or its kind."""
    text = next((a for a in error.args if isinstance(a, str)), type(error).__name__)
    return f"{printable(text.partition(' for url')[0]):.200}"
