"""Found by every Python the tests start, the lessons' kernels among them: whatever
tries to leave this machine is stopped, and noted in the file that GUARD_LOG names, even
if the lesson catches it.

An audit hook sees each lookup and connection that Python makes (PEP 578). TensorFlow's
own C++ is not seen; `.ci/run` therefore runs all of it again where there is no network.
"""

import ipaddress
import os
import sys

# the port of the tests' proxy, at which nothing listens: meant for another machine
CLOSED = "9"


def stays(host, port):
    """Whether an address is on this machine."""
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        here = ipaddress.ip_address(
            host.decode() if isinstance(host, bytes) else host
        ).is_loopback
    except ValueError:  # a name: to look it up is to leave
        return False
    return here and str(port) != CLOSED


def guard(event, arguments):
    """Note and stop what leaves; an address of a Unix socket is a text, not a tuple."""
    if event == "socket.getaddrinfo":
        host, port = arguments[:2]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host, port = arguments[1][:2]
    else:
        return
    if not stays(host, port):
        with open(os.environ["GUARD_LOG"], "a", encoding="utf-8") as log:
            log.write(f"{event} {host}:{port}\n")
        raise OSError(f"The tests stay on this machine: {host}:{port} is elsewhere.")


if os.environ.get("GUARD_LOG"):
    sys.addaudithook(guard)
