"""Servers on this machine for downloads: one that can misbehave, and one that does
nothing else."""

import http.server
import socket
import socketserver
import struct
import threading
import time
import zlib


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`, by path; `faults` says which answers go wrong, and how."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}/"
        self.files, self.faults, self.asked = {}, {}, []

    def serve_forever(self, poll_interval=0.05):
        """As it is, but ends at once: each test that has a server of its own waits."""
        super().serve_forever(poll_interval)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path[1:]
        data, fault = self.server.files.get(path), self.server.faults.get(path)
        self.server.asked.append(path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if fault else data)
        self.wfile.flush()
        if fault == "dies":  # what the system sends for a process that is gone: a reset
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            self.connection.close()
        elif fault == "stalls":
            time.sleep(3)

    def log_message(self, *_):
        pass


GOOD = b"HTTP/1.1 200 OK\r\n"
DATA = bytes(range(256)) * 4  # what an honest answer brings
CHUNKED = GOOD + b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = GOOD + b"Content-Encoding: %s\r\n\r\n"


class Drip(bytes):
    """Bytes that are sent one by one, with a pause after each."""


def head(status=b"200 OK", **headers):
    """The head of an answer; _ in a name stands for -."""
    lines = [b"HTTP/1.1 " + status]
    lines += [
        name.replace("_", "-").encode() + b": " + headers[name] for name in headers
    ]
    return b"\r\n".join([*lines, b"", b""])


def to(place, status=b"302 Found"):
    """A redirect."""
    return [head(status, Location=place, Content_Length=b"0")]


def bomb(wbits, layers=1, size=10**8):
    """Packed zeros, `size` of them within the innermost layer; wbits as in zlib, 31:
    gzip."""
    packer, zeros = zlib.compressobj(9, wbits=wbits), bytes(2**20)
    data = b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()
    for _ in range(layers - 1):
        packer = zlib.compressobj(9, wbits=wbits)
        data = packer.compress(data) + packer.flush()
    return data


class Hostile(socketserver.ThreadingTCPServer):
    """Sends whatever bytes it is told to. `answers`: {path: what is sent, some bytes
    after others, or a list of such lists, one for each time it is asked}; `asked`: all
    paths, `heads`: what came with them; `ended`: a semaphore that is released when a
    connection is over."""

    daemon_threads = allow_reuse_address = True
    request_queue_size = 50

    def __init__(self, answers=()):
        super().__init__(("127.0.0.1", 0), Attack)
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"
        self.answers, self.asked, self.heads = dict(answers), [], []
        self.ended = threading.Semaphore(0)
        self.thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), daemon=True
        )

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Attack(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            request = b""
            while b"\r\n\r\n" not in request and (more := self.request.recv(2**16)):
                request += more
                if not request.startswith(
                    (b"GET ", b"CONNECT ")
                ):  # TLS where none is spoken
                    break
            path = (
                request.split(b" ")[1].decode("latin-1").removeprefix("/")
                if more
                else ""
            )
            path = path.partition("?")[0]
            self.server.asked.append(path)
            self.server.heads.append(request)
            answer = self.server.answers.get(path, [head(b"404 Not Found")])
            if isinstance(answer, list) and isinstance(answer[0], list):
                answer = answer[min(self.server.asked.count(path), len(answer)) - 1]
            for part in answer() if callable(answer) else answer:
                self.send(part)
        except OSError:
            pass  # hung up, as a client should
        finally:
            self.server.ended.release()

    def send(self, part):
        if part is None:  # nothing more comes, until the client hangs up
            self.request.recv(1)
        elif isinstance(part, Drip):
            for letter in part:
                self.request.sendall(bytes([letter]))
                time.sleep(0.01)
        else:
            self.request.sendall(part)
