"""apps/served/nginx.conf with the real nginx in front of the real page, all on this
machine."""

import os
import re
import shutil
import subprocess
import time

import pytest
import requests
from browser import ROOT, Server, free_port
from programs import start_nginx

pytestmark = pytest.mark.thorough  # a page behind a proxy takes seconds to start

SITE = "https://classify.example.org"
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """A function that asks the proxy, as somebody with the password or without."""
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not nginx or not shutil.which("openssl"):
        reason = "needs nginx and openssl (on Debian: apt install nginx-light openssl)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    folder = tmp_path_factory.mktemp("proxy")
    command = ["sh", "apps/served/app.sh", "--no-browser", f"--port={free_port()}"]
    log = folder / "log"
    page = Server([*command, "--preheat_kernel=False"], r"http://\S+", log)
    certificate = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    files = ["-keyout", folder / "classify.key", "-out", folder / "classify.pem"]
    name = [
        "-subj",
        "/CN=classify.example.org",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(
        ["openssl", "req", *certificate, *files, *name], check=True, capture_output=True
    )
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", "secret"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (folder / "classify.htpasswd").write_text(f"ada:{hashed}")
    # As it is but for the places and ports, which are this test's own.
    text, port = (ROOT / "apps" / "served" / "nginx.conf").read_text(), free_port()
    changes = {
        "127.0.0.1:8866": page.address.removeprefix("http://").rstrip("/"),
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/ssl": str(folder),
        "/etc/nginx": str(folder),
    }
    proxy = start_nginx(nginx, folder, text, changes)

    def ask(path="", auth=("ada", "secret"), method="GET", **headers):
        return requests.request(
            method,
            f"https://127.0.0.1:{port}/{path}",
            auth=auth,
            headers=headers,
            verify=folder / "classify.pem",
            timeout=60,
            stream="Upgrade" in headers,
        )

    try:
        for _ in range(100):
            assert proxy.poll() is None, (folder / "error.log").read_text()
            try:
                ask("none")
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                break
        yield ask
    finally:
        proxy.terminate()
        proxy.wait(timeout=30)
        page.close()


@pytest.mark.parametrize("auth", [None, ("ada", "wrong"), ("eve", "secret")])
@pytest.mark.parametrize("path", ["", "api/kernels", "voila/static/main.js"])
def test_asks_who_is_there_before_anything_else(ask, path, auth):
    answer = ask(path, auth=auth)
    assert answer.status_code == 401
    assert "Classify a picture" in answer.headers["WWW-Authenticate"]


@pytest.fixture(scope="module")
def opened(ask):
    """The page, as it is sent to somebody with the password."""
    return ask()


def test_shows_the_page_with_the_same_rules(opened):
    assert opened.status_code == 200
    assert "knows only" in opened.text
    assert "default-src 'none'" in opened.headers["Content-Security-Policy"]


def test_the_page_itself_may_use_its_kernel_and_end_it(ask, opened):
    kernel = re.search(r'"kernelId": "([0-9a-f-]{36})"', opened.text)[1]
    use, end = f"api/kernels/{kernel}/channels", f"voila/api/shutdown/{kernel}"
    assert ask(use, Origin="http://elsewhere.example", **WEBSOCKET).status_code == 403
    assert ask(use, Origin=f"{SITE}.elsewhere.example", **WEBSOCKET).status_code == 403
    with ask(use, Origin=SITE, **WEBSOCKET) as answer:
        assert answer.status_code == 101
    assert ask(end, method="POST", Origin="http://elsewhere.example").status_code == 403
    assert ask(end, auth=None, method="POST", Origin=SITE).status_code == 401
    assert ask(end, method="POST", Origin=SITE).status_code == 204


def test_a_large_request_is_refused(ask):
    answer = ask(
        "voila/api/shutdown/x", method="POST", **{"Content-Length": str(2 * 2**20)}
    )
    assert answer.status_code == 413
