"""safeguards.addresses: whatever servers send, it ends soon, small, and in words."""

import io
import itertools
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import urllib3
from cases import thorough_but
from server import CHUNKED, DATA, GOOD, PACKED, Drip, Hostile, bomb, head, to

from safeguards import addresses
from safeguards.addresses import (
    FetchError,
    RefusedError,
    SchemeError,
    TooMuchError,
    download,
)

SECONDS = 0.5  # given to a hostile server
LIMIT = 10**6  # bytes
TALLY = Counter()  # what came of hostile answers and addresses, by kind
LENGTH = b"%d" % len(DATA)


def gzipped(data):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def ever(*parts, first=()):
    """The first parts once, the others for ever."""
    return lambda: itertools.chain(first, itertools.cycle(parts))


SLOW, MUCH = "not complete after 0.5 seconds", TooMuchError
BROKEN = FetchError
# name: (what is sent, what comes of it: data, a kind of error, or words of a
# FetchError)
ANSWERS = {
    # the body
    "honest": ([head(Content_Length=LENGTH), DATA], DATA),
    "endless": (ever(bytes(2**16), first=[GOOD, b"\r\n"]), MUCH),
    "one byte too many": ([GOOD, b"\r\n", bytes(LIMIT + 1)], MUCH),
    "as much as is allowed": ([GOOD, b"\r\n", bytes(LIMIT)], bytes(LIMIT)),
    "a terabyte announced": ([head(Content_Length=b"%d" % 10**12), None], MUCH),
    "a length of 5000 digits": ([head(Content_Length=b"9" * 5000), DATA], DATA),
    "more than announced": ([head(Content_Length=b"10"), DATA], DATA[:10]),
    "less than announced": ([head(Content_Length=b"9999"), DATA], "more expected"),
    "nothing of what is announced": ([head(Content_Length=LENGTH)], "more expected"),
    "a negative length": ([head(Content_Length=b"-5"), DATA], DATA),
    "a length in words": ([head(Content_Length=b"ten"), DATA], DATA),
    "two lengths": ([head(Content_Length=b"5, 10"), DATA], "InvalidHeader"),
    "no length and a reset": (lambda: iter([GOOD, b"\r\n", DATA]), DATA),
    "drip": ([GOOD, b"\r\n", Drip(bytes(9999))], SLOW),
    "silence in the body": ([head(Content_Length=LENGTH), DATA[:9], None], SLOW),
    "no content": ([head(b"204 No Content")], b""),
    "a part": ([head(b"206 Partial Content", Content_Length=LENGTH), DATA], DATA),
    # chunks
    "chunks": ([CHUNKED, b"400\r\n", DATA, b"\r\n0\r\n\r\n"], DATA),
    "endless chunks": (ever(b"8000\r\n", bytes(2**15), b"\r\n", first=[CHUNKED]), MUCH),
    "a chunk of a petabyte": ([CHUNKED, b"4000000000000\r\n", DATA], "IncompleteRead"),
    "a chunk of -5": ([CHUNKED, b"-5\r\n", DATA], BROKEN),
    "a chunk of what": ([CHUNKED, b"what\r\n", DATA], "IncompleteRead"),
    "a chunk size without end": (ever(b"0" * 2**16, first=[CHUNKED]), BROKEN),
    "a chunk size that drips": ([CHUNKED, Drip(b"0" * 9999)], SLOW),
    "a chunk extension that drips": ([CHUNKED, b"5;", Drip(b"x" * 9999)], SLOW),
    "trailers without end": (ever(b"X: y\r\n", first=[CHUNKED, b"0\r\n"]), SLOW),
    "trailers that drip": ([CHUNKED, b"0\r\n", Drip(b"x" * 9999)], SLOW),
    "chunks and a length": (
        [
            GOOD,
            b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n",
            DATA,
            b"\r\n0\r\n\r\n",
        ],
        DATA,
    ),
    "chunks that stop": ([CHUNKED, b"400\r\n", DATA, b"\r\n"], "IncompleteRead"),
    # packed bodies
    "gzip": ([PACKED % b"gzip", gzipped(DATA)], DATA),
    "gzip bomb": ([PACKED % b"gzip", bomb(31)], MUCH),
    "deflate bomb": ([PACKED % b"deflate", bomb(15)], MUCH),
    "bomb in a bomb": ([PACKED % b"gzip, gzip", bomb(31, layers=2)], MUCH),
    "bomb in five": (
        [PACKED % b"gzip, gzip, gzip, gzip, gzip", bomb(31, layers=5)],
        MUCH,
    ),
    "packed a hundred times": (
        [PACKED % b", ".join([b"gzip"] * 100), DATA],
        "Too many",
    ),
    "gzip that is none": ([PACKED % b"gzip", DATA], "decode"),
    "gzip cut short": ([PACKED % b"gzip", gzipped(DATA)[:30]], None),
    "gzip members of nothing": (
        ever(gzipped(b"") * 999, first=[PACKED % b"gzip"]),
        SLOW,
    ),
    "packed in an unknown way": ([PACKED % b"rot13", DATA], DATA),
    # the head
    "a status line that drips": ([Drip(b"HTTP/1.1 200 " + b"O" * 9999)], SLOW),
    "headers that drip": ([GOOD, Drip(b"X-Header: y\r\n" * 999)], SLOW),
    "headers without end": (ever(b"X: y\r\n", first=[GOOD]), "ConnectionError"),
    "a header without end": (
        ever(b"y" * 2**16, first=[GOOD, b"X: "]),
        "ConnectionError",
    ),
    "a status line without end": (ever(b"y" * 2**16, first=[b"HTTP/1.1 200 "]), BROKEN),
    "continue, for ever": (ever(b"HTTP/1.1 100 Continue\r\n\r\n"), SLOW),
    "processing, for ever": (ever(head(b"102 Processing")), "status 102"),
    "silence": ([None], SLOW),
    "nothing": ([b""], "ConnectionError"),
    "noise": ([bytes(range(256))], BROKEN),
    "no protocol": ([DATA.replace(b"\n", b"")], BROKEN),
    "HTTP/0.9": ([b"<html>A cat</html>"], BROKEN),
    "HTTP/9.9": ([b"HTTP/9.9 200 OK\r\n\r\n", DATA], BROKEN),
    "status 999": ([head(b"999 Denied"), DATA], "status 999"),
    "status 0": ([head(b"0 Nothing"), DATA], BROKEN),
    "no status": ([b"HTTP/1.1\r\n\r\n"], BROKEN),
    "a header that is none": ([GOOD, b"what\r\n\r\n", DATA], None),
    "NUL in a header": ([GOOD, b"X: \0\r\n\r\n", DATA], DATA),
    "a thousand cookies": (
        [GOOD, b"Set-Cookie: " + b"a=b; " * 9999 + b"\r\n\r\n", DATA],
        DATA,
    ),
    "another kind of content": ([head(Content_Type=b"text/html"), DATA], DATA),
    # refusals
    "not found": ([head(b"404 Not Found"), DATA], "404"),
    "an endless refusal": (ever(bytes(2**16), first=[head(b"403 Forbidden")]), "403"),
    "a reason that steers": ([head(b"500 \x1b[2J\x07\xe2\x80\xae<b>")], "500"),
    "a reason of 60 kB": ([head(b"500 " + b"x" * 60_000)], "500"),
    "a password asked for": (
        [head(b"401 Unauthorized", WWW_Authenticate=b"Basic")],
        "401",
    ),
    # redirects
    "to itself": (to(b"/to%20itself"), "5 redirects"),
    "without end": (
        lambda: to(b"/without%20end?" + b"x" * next(COUNTER)),
        "5 redirects",
    ),
    "to nowhere": (to(b""), "status 302"),
    "without a place": ([head(b"302 Found")], "status 302"),
    "to a file": (to(b"file:///etc/passwd"), SchemeError),
    "to a file on a host": (to(b"file://localhost/etc/passwd"), SchemeError),
    "to ftp": (to(b"ftp://127.0.0.1/cat.jpg"), SchemeError),
    "to gopher": (to(b"gopher://127.0.0.1:25/_MAIL"), SchemeError),
    "to data": (to(b"data:text/plain,cat"), SchemeError),
    "to a script": (to(b"javascript:alert(1)"), SchemeError),
    "to a path, for ever longer": (to(b"x/" * 30_000), BROKEN),
    "to half a host": (to(b"http://["), BROKEN),
    "to no host": (to(b"http://"), BROKEN),
    "to a strange host": (to(b"http://\xff\xfe/"), BROKEN),
    "to port 99999": (to(b"http://127.0.0.1:99999/"), BROKEN),
    "to steer": (to(b"http://\x1b[2J\x07/"), BROKEN),
    "redirect with a drip": (
        [GOOD.replace(b"200", b"302"), Drip(b"Location: /x" * 999)],
        SLOW,
    ),
    "redirect with a body": (
        ever(bytes(2**16), first=[head(b"302 Found", Location=b"/honest")]),
        DATA,
    ),
    # busy servers
    "busy once": ([[head(b"503 Busy")], [GOOD, b"\r\n", DATA]], DATA),
    "busy for ever": ([head(b"503 Busy")], "503"),
    "busy for an hour": ([head(b"429 Too Many Requests", Retry_After=b"3600")], "429"),
    "busy for ages": ([head(b"429 Too Many Requests", Retry_After=b"9" * 400)], "429"),
    "busy till 1970": (
        [
            [head(b"503 Busy", Retry_After=b"Thu, 01 Jan 1970 00:00:00 GMT")],
            [GOOD, b"\r\n", DATA],
        ],
        DATA,
    ),
    "busy till 9999": (
        [head(b"503 Busy", Retry_After=b"Fri, 31 Dec 9999 23:59:59 GMT")],
        "503",
    ),
    "busy for a while": (
        [[head(b"429 Slow Down", Retry_After=b"soon")], [GOOD, b"\r\n", DATA]],
        DATA,
    ),
}
COUNTER = itertools.count(1)
# Each of these waits for the deadline: a few stand for them.
WAITING = {name for name, (_, wanted) in ANSWERS.items() if wanted == SLOW}
WAITING -= {"silence", "drip", "headers that drip"}


def url(server, name):
    return server.address + name.replace(" ", "%20")


@pytest.fixture(scope="module")
def hostile():
    with Hostile(
        {name.replace(" ", "%20"): answer for name, (answer, _) in ANSWERS.items()}
    ) as it:
        yield it


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(addresses, "PAUSE", 0.05)
    monkeypatch.setattr(
        addresses, "TIMEOUT", (5, 5)
    )  # longer than what is given in all


def got(address, seconds=20, limit=LIMIT, **options):
    """What is at an address, with no more effort than was allowed."""
    file, started = io.BytesIO(), time.monotonic()
    try:
        download(address, file, limit, seconds, **options)
        TALLY["the data"] += 1
    except FetchError as error:
        TALLY[type(error).__name__] += 1
        assert str(error).isprintable() and 0 < len(str(error)) < 300
        raise
    except KeyboardInterrupt:
        TALLY["interrupted"] += 1
        raise
    finally:
        TALLY["tried"] += 1
        assert time.monotonic() - started < seconds + 3
        assert file.tell() <= limit
    return file.getvalue()


def threads():
    return [
        t for t in threading.enumerate() if type(t).__module__ == addresses.__name__
    ]


def gone(timeout=2):
    """Wait until no download is left."""
    end = time.monotonic() + timeout
    while threads() and time.monotonic() < end:
        time.sleep(0.01)
    return threads() == []


@pytest.mark.parametrize("name", thorough_but(ANSWERS, *(ANSWERS.keys() - WAITING)))
def test_whatever_a_server_sends(hostile, name):
    wanted, before = ANSWERS[name][1], psutil.Process().memory_info().rss
    seconds = SECONDS if wanted == SLOW else 20
    if isinstance(wanted, bytes):
        assert got(url(hostile, name), seconds) == wanted
    elif wanted is None:  # either is right
        with suppress(FetchError):
            got(url(hostile, name), seconds)
    else:
        kind, words = (FetchError, wanted) if isinstance(wanted, str) else (wanted, "")
        with pytest.raises(kind) as caught:
            got(url(hostile, name), seconds)
        assert type(caught.value) is kind and words in str(caught.value)
    assert psutil.Process().memory_info().rss - before < 60e6
    assert gone(), "nothing goes on"


# ---- the deadline, and what else stops a download


def test_the_deadline_holds_for_the_look_up_of_a_name(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2))
    with pytest.raises(FetchError, match=SLOW):
        got("http://slow.example/", SECONDS)
    assert len(threads()) == 1, "a look-up cannot be ended"
    assert gone(5)


def test_the_deadline_holds_where_nobody_answers_the_knock(hostile):
    """A full queue: the system takes no connection any more, and refuses none."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        with pytest.raises(FetchError, match=SLOW):
            got(f"http://127.0.0.1:{address[1]}/", SECONDS)
        for each in waiting:
            each.close()
    assert gone(6)


@pytest.mark.parametrize(
    "name", thorough_but(["silence", "status line", "noise"], "noise")
)
def test_the_deadline_holds_where_tls_does_not_begin(name):
    answer = {"silence": [None], "status line": [Drip(b"x" * 9999)], "noise": [DATA]}[
        name
    ]
    with Hostile({"": answer}) as server:
        with pytest.raises(FetchError):
            got(server.address.replace("http:", "https:"), SECONDS)
        assert gone() and server.ended.acquire(timeout=2)


def test_reads_have_a_limit_of_their_own(hostile, monkeypatch):
    monkeypatch.setattr(addresses, "TIMEOUT", (0.3, 0.3))
    with pytest.raises(FetchError, match="ReadTimeout"):
        got(url(hostile, "silence"), seconds=5)
    with pytest.raises(FetchError, match="Read timed out"):
        got(url(hostile, "silence in the body"), seconds=5)


def test_who_waits_can_interrupt(hostile):
    def interrupt(count, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        got(url(hostile, "drip"), seconds=60, progress=interrupt)
    assert gone()


def test_the_connection_is_closed_whatever_comes_of_it():
    answers = {
        "good": [GOOD, b"\r\n", DATA],
        "kept": [head(Content_Length=LENGTH), DATA, None],
    }
    answers |= {
        "endless": ever(bytes(2**16), first=[GOOD, b"\r\n"]),
        "drip": [Drip(bytes(9999))],
    }
    with Hostile(answers) as server:
        for name in answers:
            with suppress(FetchError):
                got(server.address + name, SECONDS)
            assert server.ended.acquire(timeout=2), name


def test_progress_is_told(hostile):
    seen = []
    answer = [head(Content_Length=LENGTH), DATA[:9], Drip(DATA[9:60]), DATA[60:]]
    with Hostile({"slow": answer}) as server:
        got(server.address + "slow", seconds=9, progress=lambda *now: seen.append(now))
    assert len(seen) > 2 and seen[-1] == (len(DATA), len(DATA))
    assert seen == sorted(seen)


def test_a_busy_server_is_asked_three_times_and_waited_for():
    now = [head(b"429 Too Many Requests", Retry_After=b"1")]
    with Hostile(
        {"busy": [head(b"503 Busy")], "soon": [now, [GOOD, b"\r\n", DATA]]}
    ) as server:
        with pytest.raises(FetchError, match="503"):
            got(server.address + "busy")
        started = time.monotonic()
        assert got(server.address + "soon", seconds=5) == DATA
        assert time.monotonic() - started >= 1
    assert server.asked == ["busy"] * 3 + ["soon"] * 2


def test_a_busy_server_is_not_waited_for_beyond_the_deadline(hostile):
    started = time.monotonic()
    for name in ("busy for an hour", "busy for ages", "busy till 9999"):
        with pytest.raises(FetchError, match="429|503"):
            got(url(hostile, name), seconds=30)
    assert time.monotonic() - started < 15


# ---- who asks, and by what way


def test_it_says_who_asks(hostile, monkeypatch):
    agent = r"User-Agent: transfer-learning-notebooks/\d+\.\d+\.\d+ \(%s\)\r\n"
    got(url(hostile, "honest"))
    assert re.search(agent % "tutorial", hostile.heads[-1].decode())
    monkeypatch.setenv("TRANSFER_CONTACT", "https://school.example/, me@school.example")
    got(url(hostile, "honest"), accept="image/*")
    said = hostile.heads[-1].decode()
    assert re.search(agent % "https://school.example/, me@school.example", said)
    assert "Accept: image/*\r\n" in said and "Accept-Encoding: identity\r\n" in said


def proxied(monkeypatch, proxy):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy)
        monkeypatch.setenv(name.upper(), proxy)


def test_a_learners_proxy_is_used(monkeypatch):
    with Hostile({"/elsewhere.example/a": [GOOD, b"\r\n", DATA]}) as proxy:
        proxy.answers["http://elsewhere.example/a"] = [GOOD, b"\r\n", DATA]
        proxied(monkeypatch, proxy.address)
        assert got("http://elsewhere.example/a") == DATA
        with pytest.raises(FetchError, match="ProxyError"):
            got("https://elsewhere.example/a")
    assert proxy.heads[-1].startswith(b"CONNECT elsewhere.example:443 ")


def test_a_proxy_that_drips_meets_the_deadline(monkeypatch):
    with Hostile(
        {"elsewhere.example:443": [Drip(b"HTTP/1.1 200 " + b"x" * 9999)]}
    ) as proxy:
        proxied(monkeypatch, proxy.address)
        with pytest.raises(FetchError, match=SLOW):
            got("https://elsewhere.example/a", SECONDS)
        assert gone()


# ---- hosted mode: strangers type the addresses


@pytest.fixture
def knocks(monkeypatch):
    """Hosted mode; → the addresses that a connection was begun to, which fails but for
    `EXEMPT`."""
    monkeypatch.setenv("TRANSFER_HOSTED", "1")
    begun, connect = [], urllib3.connection.connection.create_connection

    def begin(address, *arguments, **options):
        begun.append(address)
        if address in addresses.EXEMPT:
            return connect(address, *arguments, **options)
        raise OSError("the tests stay on this machine")

    monkeypatch.setattr(urllib3.connection.connection, "create_connection", begin)
    return begun


@pytest.fixture
def exempt(hostile, knocks, monkeypatch):
    """The hostile server may be asked in hosted mode; → where it listens."""
    monkeypatch.setattr(addresses, "EXEMPT", frozenset({hostile.server_address}))
    return hostile.server_address


def words(text):
    """The words of a text, in which ␉ stands for a tab and so on."""
    return [word.translate({0x2400 + i: i for i in range(32)}) for word in text.split()]


PRIVATE = words("""
127.0.0.1 127.0.0.1. 127.1 127.0.1 127.255.255.254 0x7f000001 0x7f.1 0x7F.0x0.0x0.0x1 \
2130706433
0177.0.0.1 0177.1 017700000001 00000000177.0.0.1 0 0.0.0.0 0x0 00 localhost LOCALHOST \
localhost.
127.0.0.1%2e [::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] \
[::ffff:0:7f00:1]
[::127.0.0.1] [::7f00:1] [::1%25lo] [64:ff9b::7f00:1] [64:ff9b::169.254.169.254] \
[64:ff9b:1::1]
[2002:7f00:1::] [2002:a00:1::1] [2001::1] [2001:0:7f00:1::] [2001:db8::1] [2001:20::1] \
[2001:10::1]
[3fff::1] [5f00::1] [100::1] [fc00::1] [fd12:3456::1] [fe80::1] [fe80::1%25eth0] \
[fec0::1]
[feff::1] [ff02::1] [ff0e::1] [4000::1] [ffff::1] [0:0:0:0:0:ffff:a9fe:a9fe]
10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.1.254 3232235777 \
0xc0a80101
169.254.169.254 169.254.0.1 0xa9fea9fe 2852039166 0251.0376.0251.0376 100.64.0.1 \
100.127.255.255
192.0.0.1 192.0.0.170 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 \
203.0.113.1
224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
①②⑦.⓪.⓪.① 127。0。0。1 ⑯⑨.254.169.254 lOcAlHoSt １２７.0.0.1
""")
TRICKS = words(
    r"""
http://example.com@127.0.0.1/ http://example.com:80@127.0.0.1/ http://127.0.0.1#@example.com/
http://127.0.0.1?@example.com/ http://127.0.0.1\@example.com/ http://127.0.0.1\.example.com/
http://127.0.0.1%23@example.com/ http://127.0.0.1:80%40example.com/ http://a:b@example.com/
http://@127.0.0.1/ http://:@127.0.0.1/ http://example.com%00@127.0.0.1/ http://user@8.8.8.8/
http:127.0.0.1 http:/127.0.0.1/ http:///127.0.0.1/ http:////127.0.0.1/ http:\\127.0.0.1\
HTTP://127.0.0.1/ hTTps://127.0.0.1/ http://127.0.0.1:/ http://[::1]:80/ http://127.0.0.1:00080/
http://[127.0.0.1]/ http://[::1/ http://::1/ http://[/ http://] http:// http://. http://..
http://127.0.0.1␉.example.com/ http://%31%32%37.0.0.1/ http://0x7f.0.0.1:443/ https://localhost/
http://127.0.0.1␍␊Host:example.com/ http://␀127.0.0.1/ http://127.0.0.1␛[2J/ http://127.0.0.1␀/
http://8.8.8.8:22/ http://8.8.8.8:8080/ http://8.8.8.8:25/ http://8.8.8.8:6379/
https://8.8.8.8:8443/ http://8.8.8.8:65536/ http://8.8.8.8:-80/ http://8.8.8.8:8o/
file:///etc/passwd file://localhost/etc/passwd FILE:///etc/passwd file:/etc/passwd ftp://8.8.8.8/
gopher://127.0.0.1:25/_x dict://127.0.0.1:11211/stat ldap://127.0.0.1/ data:text/plain,x
javascript:alert(1) jar:http://127.0.0.1!/ about:blank blob:http://127.0.0.1/x ws://127.0.0.1/
unix:///var/run/docker.sock http+unix://%2Fvar%2Frun%2Fdocker.sock/ //127.0.0.1/ view-source:http://x
../data/photo.jpg ~/.ssh/id_rsa C:\Windows\win.ini \\127.0.0.1\share """
    r"""mailto:a@b.c /etc/passwd
127.0.0.1
"""
)
PUBLIC = words("""
8.8.8.8 1.1.1.1 93.184.216.34 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 192.167.0.1 \
223.255.255.1
[2606:4700:4700::1111] [2a00:1450::1] [::ffff:8.8.8.8] 134744072 0x08080808
""")


@pytest.mark.parametrize("scheme", thorough_but(["http", "https"], "http"))
@pytest.mark.parametrize("host", PRIVATE)
def test_hosted_mode_knocks_at_no_private_address(knocks, host, scheme):
    with pytest.raises(FetchError):
        got(f"{scheme}://{host}/latest/meta-data")
    assert knocks == []


@pytest.mark.parametrize("trick", TRICKS, ids=ascii)
def test_hosted_mode_falls_for_no_trick(knocks, trick):
    with pytest.raises(FetchError):
        got(trick)
    assert knocks == []


@pytest.mark.parametrize("host", PUBLIC)
def test_hosted_mode_asks_public_addresses(knocks, host):
    with pytest.raises(FetchError, match="ConnectionError"):
        got(f"http://{host}/cat.jpg")
    with pytest.raises(FetchError, match="ConnectionError"):
        got(f"https://{host}/cat.jpg")
    assert {port for _, port in knocks} == {80, 443}
    assert len(knocks) == 2


@pytest.mark.parametrize(
    "first", ["127.0.0.1", "10.0.0.1", "fec0::1", "::7f00:1", "8.8.8.8"]
)
def test_a_name_is_looked_up_once_and_that_address_asked(knocks, monkeypatch, first):
    """What rebinding needs: a public address for the check, another one for the
    connection."""
    look_up, asked = socket.getaddrinfo, []

    def rebinding(host, *arguments, **options):
        if host == "rebind.example":
            asked.append(host)
            host = first if len(asked) == 1 else "127.0.0.1"
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with pytest.raises(FetchError) as caught:
        got("http://rebind.example/")
    assert (knocks, asked) == (
        [("8.8.8.8", 80)] if first == "8.8.8.8" else [],
        ["rebind.example"],
    )
    assert isinstance(caught.value, RefusedError) == (first != "8.8.8.8")


@pytest.mark.parametrize(
    "host", thorough_but(PRIVATE, "169.254.169.254", "localhost", "[::1]")
)
def test_hosted_mode_follows_no_redirect_to_a_private_address(
    knocks, exempt, hostile, host
):
    hostile.answers["private"] = to(f"http://{host}/latest/meta-data".encode())
    if host != "127.0.0.1":  # below
        with pytest.raises(FetchError):
            got(hostile.address + "private")
    assert set(knocks) <= {exempt}


@pytest.mark.parametrize("trick", thorough_but(TRICKS, *TRICKS[:4]), ids=ascii)
def test_hosted_mode_follows_no_trick(knocks, exempt, hostile, trick):
    hostile.answers["trick"] = to(trick.encode("latin-1"))
    with pytest.raises(FetchError):
        got(hostile.address + "trick")
    assert set(knocks) == {exempt}


def test_hosted_mode_follows_no_redirect_to_a_neighbour(knocks, exempt, hostile):
    with Hostile({"": [GOOD, b"\r\n", DATA]}) as neighbour:
        hostile.answers["next"] = to(neighbour.address.encode())
        with pytest.raises(RefusedError, match="only public web addresses"):
            got(hostile.address + "next")
        with pytest.raises(RefusedError):
            got(neighbour.address)
    assert neighbour.asked == [] and set(knocks) == {exempt}
    assert got(url(hostile, "redirect with a body")) == DATA, "others are followed"


def test_hosted_mode_asks_no_proxy(knocks, monkeypatch):
    """It would look the name up anew, and may reach what this machine should not."""
    with Hostile() as proxy:
        proxied(monkeypatch, proxy.address)
        for address in ("http://8.8.8.8/", "https://8.8.8.8/", "http://10.0.0.1/"):
            with pytest.raises(FetchError):
                got(address)
    assert knocks == [("8.8.8.8", 80), ("8.8.8.8", 443)]
    assert proxy.asked == []


def test_hosted_mode_prints_nothing():
    code = (
        "import io\nfrom safeguards.addresses import FetchError, download\n"
        "try:\n    download('http://127.0.0.1/', io.BytesIO(), 9, 9)\n"
        "except FetchError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"TRANSFER_HOSTED": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == (f"{addresses.PUBLIC_ONLY}\n", "")


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"TRANSFER_HOSTED": "1"}, True),
        ({"TRANSFER_HOSTED": "true"}, True),
        ({"TRANSFER_HOSTED": "0"}, False),
        ({"TRANSFER_HOSTED": ""}, False),
        ({"JUPYTERHUB_USER": "me"}, True),
        (
            {
                "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
                "TRANSFER_HOSTED": "",
            },
            True,
        ),
        ({"JUPYTERHUB_USER": "me", "TRANSFER_HOSTED": "0"}, False),
    ],
)
def test_when_it_is_hosted_mode(variables, wanted, monkeypatch):
    monkeypatch.delenv("TRANSFER_HOSTED", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert addresses.hosted() is wanted


def test_no_environment_opens_hosted_mode(monkeypatch):
    """Only tests do, by changing the module."""
    assert frozenset() == addresses.EXEMPT
    assert "\nEXEMPT = frozenset()  #" in Path(addresses.__file__).read_text(
        encoding="utf-8"
    )


def test_on_the_learners_own_machine_all_addresses_can_be_read(hostile, monkeypatch):
    monkeypatch.delenv("TRANSFER_HOSTED", raising=False)
    assert got(url(hostile, "honest").replace("127.0.0.1", "localhost")) == DATA
    assert got(url(hostile, "honest").replace("http://", "http://me:secret@")) == DATA
    for scheme in ("file:///etc/passwd", "ftp://127.0.0.1/"):
        with pytest.raises(SchemeError):
            got(scheme)


def test_counts(record_property):
    """Last: what came of all of it."""
    tried = TALLY.pop("tried")
    assert tried == sum(TALLY.values()) and tried >= len(ANSWERS) - len(WAITING)
    said = ", ".join(f"{kind} {n}" for kind, n in sorted(TALLY.items()))
    record_property(
        "hostile servers and addresses", f"{tried} tried, nothing lost: {said}"
    )
