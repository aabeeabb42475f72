"""A server on this machine for downloads, which can misbehave."""

import http.server
import socket
import struct
import time


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`, by path; `faults` says which answers go wrong, and how."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}/"
        self.files, self.faults, self.asked = {}, {}, []


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
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault == "stalls":
            time.sleep(3)

    def log_message(self, *_):
        pass
