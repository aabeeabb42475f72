"""All that comes from a web address, pictures and data sets alike, comes through here.

On the learner's own machine an address may lead anywhere, as in a browser. In hosted
mode strangers type addresses on somebody's server. Then only public addresses are
asked: each is checked when its name is looked up, and kept for the connection; a
redirect is checked again."""

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

TIMEOUT = (5, 10)  # seconds: to connect, and between packets
MAX_REDIRECTS = 5
BUSY = (429, 503)  # the statuses of an answer after which we ask again
RETRIES = 2
PAUSE = 0.5  # seconds before the first retry; then twice as many
PORTS = (80, 443)  # in hosted mode: others lead to services that aren't web sites
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that IANA gives out
EXEMPT = frozenset()  # (address, port): only tests of hosted mode put some here
PUBLIC_ONLY = "only public web addresses are read here, at their usual ports"
CHUNK = 2**16  # bytes that are read at a time
# Whoever runs the server configures logging; without, nothing is printed beside the
# panel.
logging.getLogger("requests_hardened").addHandler(logging.NullHandler())


class FetchError(Exception):
    """An address could not be read; says why."""


class SchemeError(FetchError):
    """An address leads to neither http:// nor https://."""


class TooMuchError(FetchError):
    """There's more at an address than the limit."""


class RefusedError(FetchError):
    """Hosted mode doesn't ask this address."""


def hosted():
    """Whether strangers may type the addresses.

    TRANSFER_HOSTED says so, 0 or 1 (the served page sets it); without it, strangers are
    expected where this is JupyterHub."""
    setting = os.environ.get("TRANSFER_HOSTED")
    if setting:
        return setting != "0"
    return any(name.startswith("JUPYTERHUB_") for name in os.environ)


def _ignore(_count, _total):
    pass


def download(url, file, limit, seconds, accept="*/*", progress=_ignore):
    """Write what is at an http(s) address to a binary file.

    limit: bytes it may have, unpacked if the server packs them.
    seconds: for all of it, from looking up the name to the last byte.
    accept: the kinds of file to ask for, as in HTTP's Accept header.
    progress: is called now and then with the number of bytes so far, and the announced
        one or None.

    A busy server is asked again. Raises a FetchError; discard what was written then."""
    end = time.monotonic() + seconds
    thread = _Download(url, file, limit, end, accept)
    thread.start()
    try:
        while thread.is_alive() and thread.seconds_left() > 0:
            thread.join(min(0.2, thread.seconds_left()))
            progress(thread.count, thread.total)
        if thread.is_alive():
            raise FetchError(f"not complete after {seconds:g} seconds")
    finally:
        thread.stop()  # also where the learner interrupts
    if thread.error:
        raise thread.error
    progress(thread.count, thread.total)


class _Download(threading.Thread):
    """One download, in a thread of its own.

    The look-up of a name can't be limited in time from within, nor a server that sends
    its headers or chunk sizes letter by letter."""

    def __init__(self, url, file, limit, end, accept):
        super().__init__(daemon=True)
        self.url = url
        self.file = file
        self.limit = limit
        self.end = end
        self.count = 0
        self.total = None
        self.error = None
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.sockets = []
        contact = os.environ.get("TRANSFER_CONTACT", "tutorial")
        version = importlib.metadata.version("transfer-learning-notebooks")
        self.headers = {
            "User-Agent": f"transfer-learning-notebooks/{version} ({contact})",
            "Accept": accept,
            "Accept-Encoding": "identity",  # pictures and archives are packed already
        }

    def seconds_left(self):
        return self.end - time.monotonic()

    def stop(self):
        """End all connections, so that a thread that waits for one ends too."""
        self.stopped.set()
        with self.lock:
            for socket in self.sockets:
                with suppress(OSError):  # the server was faster
                    socket.shutdown(2)
                socket.close()
            self.sockets.clear()

    def connected(self, socket):
        """Keep a handle of a new connection.

        urllib3 and ssl pass the original on and close it."""
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
        except Exception as error:
            # requests lets what urllib3 and http.client raise through.
            self.error = FetchError(_reason(error))
            self.error.__cause__ = error

    def _read(self):
        with self._session() as session:
            for attempt in range(RETRIES + 1):
                with session.get(
                    self.url,
                    headers=self.headers,
                    timeout=TIMEOUT,
                    hooks={"response": _close_redirect},
                    stream=True,
                ) as answer:
                    pause = _pause(answer, attempt)
                    is_busy = answer.status_code in BUSY
                    is_last = attempt == RETRIES
                    if not is_busy or is_last or pause > self.seconds_left():
                        self._keep(answer)
                        return
                self.stopped.wait(pause)

    def _session(self):
        session = requests.Session()
        session.max_redirects = MAX_REDIRECTS
        # A proxy would look the name up once more, and reach what it likes.
        session.trust_env = not hosted()
        session.adapters.clear()  # among them those of other schemes
        for scheme in ("http", "https"):
            session.mount(f"{scheme}://", _adapter(self, scheme))
        return session

    def _keep(self, answer):
        answer.raise_for_status()
        if answer.status_code not in range(200, 300):
            raise FetchError(f"its answer has the status {answer.status_code}")
        self.total = answer.raw.length_remaining  # as announced: nothing is read yet
        if (self.total or 0) > self.limit:
            raise TooMuchError(f"over {self.limit} bytes are announced")
        # read1 returns what has arrived, without waiting for a whole chunk.
        while chunk := answer.raw.read1(CHUNK, True):
            self.count += len(chunk)
            if self.count > self.limit:
                raise TooMuchError(f"over {self.limit} bytes")
            self.file.write(chunk)


def _close_redirect(answer, **_):
    """Close a redirect before its body is read, which could be endless."""
    if answer.is_redirect:
        answer.close()


def _pause(answer, attempt):
    """The seconds to wait before asking again: the server's, or else ours."""
    requested = answer.headers.get("Retry-After", "").strip()
    if requested.isascii() and requested.isdigit():
        return float(requested[:9])
    with suppress(TypeError, ValueError, OverflowError):
        moment = email.utils.parsedate_to_datetime(requested)
        return moment.timestamp() - time.time()
    return PAUSE * 2**attempt


def _check_public(address, port):
    """RefusedError unless an IP address is public and its port one of PORTS."""
    if (address, port) in EXEMPT:
        return
    ip = ipaddress.ip_address(address)
    is_assigned = ip.version == 4 or ip in GLOBAL_UNICAST
    is_public = is_assigned and ip.is_global and not ip.is_multicast
    if not is_public or port not in PORTS:
        raise RefusedError(PUBLIC_ONLY)


def _adapter(thread, scheme):
    """What makes a download's connections: in hosted mode, only to public addresses."""
    public_only = hosted()

    class Adapter(IPFilterAdapter if public_only else HTTPAdapter):
        def send(self, request, *arguments, **options):
            if public_only and "@" in urlsplit(request.url).netloc:
                raise RefusedError("no address with a user name is read here")
            return super().send(request, *arguments, **options)

        def get_connection_with_tls_context(self, *arguments, **options):
            pool = super().get_connection_with_tls_context(*arguments, **options)

            class Connection(type(pool).ConnectionCls):
                def _new_conn(self):
                    # host: requests-hardened has put the address in place of the name.
                    if public_only:
                        _check_public(self.host, self.port)
                    socket = super()._new_conn()
                    thread.connected(socket)
                    return socket

            pool.ConnectionCls = Connection
            return pool

    if not public_only:
        return Adapter()
    return Adapter(scheme == "https", allow_loopback=bool(EXEMPT))


def _reason(error):
    """The first text among an error's arguments, or else its type."""
    texts = [argument for argument in error.args if isinstance(argument, str)]
    text = texts[0] if texts else type(error).__name__
    text = text.partition(" for url")[0]
    return f"{printable(text):.200}"
