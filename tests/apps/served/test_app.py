"""What `make app` serves, seen without a browser: one page, to this machine, and
nothing else."""

import re

import nbformat
import psutil
import pytest
import requests
import tiny
from browser import ROOT, Server, free_port
from nbclient import NotebookClient

from apps.sharing.exporting import export_onnx
from apps.sharing.saving import save_classifier
from panels._common import readable

# Files of the project, by any way that leads to some file, and what other Jupyter
# servers offer
CLOSED = [
    "README.md",
    "notebooks/app.ipynb",
    "app.ipynb",
    "00_start_here.ipynb",
    "apps/served/voila.py",
    "files/app.ipynb",
    "voila/files/",
    "voila/files/app.ipynb",
    "voila/files/00_start_here.ipynb",
    "voila/files/../README.md",
    "voila/files/%2e%2e/docs/widget.png",
    "voila/files//etc/passwd",
    "voila/static/../configuration.py",
    "voila/static/%2e%2e/app.py",
    "voila/templates/page/index.html.j2",
    "voila/templates/page/static/../index.html.j2",
    "voila/labextensions/../../../../README.md",
    "voila/tree",
    "voila/render/app.ipynb",
    "voila/api/contents/app.ipynb",
    "api/contents",
    "api/kernels",
    "api/sessions",
    "api/terminals",
    "lab",
    "metrics",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The page, without the kernel that is otherwise started before anybody visits it,
    and with an exported model, which is there soon."""
    command = ["sh", "apps/served/app.sh", "--no-browser", f"--port={free_port()}"]
    folder = tmp_path_factory.mktemp("app")
    model = str(export_onnx(tiny.classifier(), folder / "tiny.onnx"))
    options = ["--preheat_kernel=False"]
    server = Server([*command, *options], r"http://\S+", folder / "log", MODEL=model)
    yield server
    server.close()


def get(server, path="", **headers):
    """Ask for what is at a path, as it is given: `requests` alone would take .. out of
    it."""
    request = requests.Request("GET", server.address, headers=headers).prepare()
    request.url = server.address + path
    with requests.Session() as session:
        return session.send(request, timeout=60)


def elsewhere(text):
    """The other hosts from which a page would load something."""
    return re.findall(r"""(?:src|href)=["']?(?:https?:)?//([^/"']+)""", text)


@pytest.fixture(scope="module")
def page(server):
    """The page, as it is sent to a browser."""
    return get(server)


def test_prints_its_address_and_nothing_else(server):
    assert server.log.read_text().split("\n")[1:] == [server.address, ""]


def test_listens_on_this_machine_only(server):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", server.address)
    sockets = psutil.Process(server.process.pid).net_connections("inet")
    listening = {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_asks_public_addresses_only(server, page):
    """As safeguards.addresses does where this variable is set: tested there, and in the
    browser."""
    assert page.ok, "it has a kernel"
    assert {kernel.environ()["TRANSFER_HOSTED"] for kernel in server.kernels()} == {"1"}


def test_lets_no_other_host_take_part(page):
    rules = dict(
        rule.strip().split(" ", 1)
        for rule in page.headers["Content-Security-Policy"].split(";")
    )
    assert rules["default-src"] == "'none'"
    assert (
        rules["frame-ancestors"]
        == rules["base-uri"]
        == rules["form-action"]
        == "'none'"
    )
    allowed = set(" ".join(rules.values()).split())
    assert allowed == {"'none'", "'self'", "'unsafe-inline'", "data:", "blob:"}
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert elsewhere(page.text) == []


def test_shows_no_source(page):
    assert page.status_code == 200
    assert "knows only" in page.text
    assert "load_classifier" not in page.text


@pytest.mark.parametrize("path", CLOSED)
def test_serves_nothing_but_the_page(server, path):
    answer = get(server, path)
    assert answer.status_code >= 400, answer.url
    assert len(answer.text) < 2000
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("name", ["mine.jpg", "mine.png", "mine.txt", "mine.keras"])
def test_serves_no_picture_of_a_learner(server, name):
    """Refused, whether it is there or not."""
    assert get(server, f"voila/files/{name}").status_code == 403


@pytest.mark.thorough
def test_the_look_is_not_chosen_by_the_address(server):
    """Voila's other templates load from other hosts."""
    text = get(server, "?template=lab&theme=dark").text
    assert 'data-jp-theme-light="true"' in text
    assert elsewhere(text) == []


def test_answers_under_a_name_of_this_machine_only(server):
    assert get(server, Host="elsewhere.example").status_code == 403


def test_a_page_of_another_site_can_neither_end_nor_use_a_kernel(server, page):
    kernel = re.search(r'"kernelId": "([0-9a-f-]{36})"', page.text)[1]
    other = {"Origin": "http://elsewhere.example"}
    end, use = f"voila/api/shutdown/{kernel}", f"api/kernels/{kernel}/channels"
    socket = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
    }
    socket["Sec-WebSocket-Key"] = "MDEyMzQ1Njc4OWFiY2RlZg=="
    assert get(server, use, **socket, **other).status_code == 403
    assert (
        requests.post(server.address + end, headers=other, timeout=60).status_code
        == 404
    )
    assert any(kernel in process.cmdline()[-1] for process in server.kernels())
    assert requests.post(server.address + end, timeout=60).status_code == 204
    assert not any(kernel in process.cmdline()[-1] for process in server.kernels())


@pytest.mark.thorough
@pytest.mark.parametrize("file", ["mine.keras", "mine.onnx"])
def test_a_model_that_cannot_be_used_is_explained(tmp_path, monkeypatch, file):
    (tmp_path / file).write_bytes(b"no model")
    monkeypatch.setenv("TRANSFER_MODEL", str(tmp_path / file))
    notebook = nbformat.read(ROOT / "notebooks" / "app.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120).execute()
    (output,) = notebook.cells[-1].outputs
    assert output.text.startswith("No model: ")
    assert file in output.text


@pytest.mark.thorough
def test_an_exported_model_is_served_without_tensorflow(tmp_path, monkeypatch):
    classifier = tiny.classifier()
    mine = export_onnx(classifier, tmp_path / "mine.onnx")
    monkeypatch.setenv("TRANSFER_MODEL", str(mine))
    notebook = nbformat.read(ROOT / "notebooks" / "app.ipynb", as_version=4)
    source = (
        "import sys\n"
        "panel.sample.value = 'cat'\n"
        "print('tensorflow' in sys.modules, panel.result.value)"
    )
    notebook.cells.append(nbformat.v4.new_code_cell(source))
    NotebookClient(notebook, timeout=120).execute()
    (output,) = notebook.cells[-1].outputs
    loaded, _, shown = output.text.partition(" ")
    assert loaded == "False"
    best = classifier.predict("cat")[0]
    assert f"<b>{readable(best.name)} {best.probability:.2f}</b>" in shown


@pytest.mark.thorough
@pytest.mark.parametrize("own", [True, False], ids=["own classes", "ImageNet's"])
def test_samples_are_offered_for_their_own_classes_only(tmp_path, monkeypatch, own):
    """A classifier of ants and bees has nothing right to say of a cat."""
    classes = [("ants", "ants"), ("bees", "bees")] if own else None
    mine = save_classifier(tiny.classifier(classes=classes), tmp_path / "mine.keras")
    monkeypatch.setenv("TRANSFER_MODEL", str(mine))
    notebook = nbformat.read(ROOT / "notebooks" / "app.ipynb", as_version=4)
    notebook.cells.append(
        nbformat.v4.new_code_cell("print(panel.sample.layout.display)")
    )
    NotebookClient(notebook, timeout=120).execute()
    (output,) = notebook.cells[-1].outputs
    assert output.text.strip() == ("none" if own else "None")
