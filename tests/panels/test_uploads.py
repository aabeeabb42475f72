"""Files that are too large to arrive: the panel says so, and its button works on."""

import io
import sys
from types import SimpleNamespace

import nbformat
import pytest
from browser import Server, browser, free_port, new_page
from PIL import Image
from playwright.sync_api import expect

from panels import _common, collect_widget

MESSAGE = 2**20  # bytes: a limit for these tests, for speed
LIMIT = f"tornado_settings={{'websocket_max_message_size': {MESSAGE}}}"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@pytest.fixture
def folder(tmp_path):
    """A notebook with a panel, a picture, and a file that is too large."""
    code = (
        "from panels import collect_widget\n"
        f"collect_widget(['cat'], {str(tmp_path / 'kept')!r})"
    )
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    notebook.cells = [nbformat.v4.new_code_cell(code)]
    nbformat.write(notebook, tmp_path / "panel.ipynb")
    Image.linear_gradient("L").save(tmp_path / "small.png")
    (tmp_path / "large.png").write_bytes(bytes(3 * MESSAGE))
    return tmp_path


def choose(page, panel, path):
    with page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Add files").click()
    chooser.value.set_files(path)


def check_that_it_works_on(page, panel, folder):
    """Twice too large, then a picture; then nothing is said of it any more."""
    expect(panel.get_by_role("alert")).to_have_count(0)
    for _ in range(2):
        button = panel.get_by_role("button", name="Add files")
        before = button.element_handle()
        choose(page, panel, folder / "large.png")
        expect(panel.get_by_role("alert")).to_contain_text("Files that are too large")
        # A new button, which bears no count of files, takes its place: what is chosen
        # with the old one meanwhile is lost.
        before.wait_for_element_state("hidden")
        expect(button).to_contain_text("(0)")
    choose(page, panel, folder / "small.png")
    expect(panel.get_by_text("kept as cat/")).to_be_visible()
    expect(panel.get_by_role("alert")).to_have_count(0)
    assert len(list((folder / "kept" / "cat").iterdir())) == 1


@pytest.fixture
def page():
    with browser() as chromium:
        yield new_page(chromium)


@pytest.mark.thorough
def test_in_jupyterlab(page, folder):
    command = [sys.executable, "tools/setup/lab.py", "--no-browser", "--port=0"]
    command += ["--ServerApp.token=", "--LabApp.expose_app_in_browser=True"]
    command += [f"--ServerApp.root_dir={folder}", f"--ServerApp.{LIMIT}"]
    server = Server(command, r"http://localhost:\d+/lab", folder / "log")
    try:
        page.goto(server.address)
        page.wait_for_function("window.jupyterapp")
        page.evaluate("""async () => {
            const app = window.jupyterapp;
            await app.restored;
            const notebook = await app.commands.execute(
                "docmanager:open", { path: "panel.ipynb" }
            );
            await notebook.context.ready;
            await notebook.revealed;
            await notebook.sessionContext.ready;
            await app.commands.execute("notebook:run-all-cells");
        }""")
        panel = page.locator(".jp-OutputArea-output > .widget-vbox").last
        check_that_it_works_on(page, panel, folder)
    finally:
        server.close()


@pytest.mark.thorough
def test_on_a_page_of_voila(page, folder):
    command = [sys.executable, "-m", "voila", str(folder / "panel.ipynb")]
    command += ["--no-browser", f"--port={free_port()}", f"--Voila.{LIMIT}"]
    server = Server(command, r"http://\S+:\d+/", folder / "log")
    try:
        page.goto(server.address.replace("localhost", "127.0.0.1"))
        panel = page.locator(".jp-OutputArea-output > .widget-vbox").last
        check_that_it_works_on(page, panel, folder)
    finally:
        server.close()


# -- without a browser -----------------------------------------------------------------


class Channel:
    """A comm of ipywidgets' control channel, as far as opening it goes."""

    def on_msg(self, handle):
        self.handle = handle


def connect(page):
    """A page connects to the kernel, for the first time or once more."""
    message = {"header": {"session": page}, "metadata": {"version": "1.0.0"}}
    _common._page_connected(Channel(), message)


@pytest.fixture
def panel(tmp_path, monkeypatch):
    monkeypatch.setattr(_common, "_pages", set())
    monkeypatch.setattr(_common, "_after_breaks", [])
    return collect_widget(["cat"], tmp_path / "kept")


def test_a_page_that_comes_back_gets_a_new_button_that_works(panel, tmp_path):
    connect("a page")
    old = panel.upload
    connect("a page")
    assert panel.upload is not old
    assert old.comm is None, "it's closed"
    row = panel.children[2].children
    assert panel.upload in row
    assert old not in row
    assert "Files that are too large" in panel.limit.value
    same = ("accept", "description", "multiple", "tooltip")
    assert [getattr(old, name) for name in same] == [
        getattr(panel.upload, name) for name in same
    ]
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    content = memoryview(file.getvalue())
    entry = {"name": "a.png", "type": "image/png", "size": len(content)}
    entry |= {"last_modified": 0, "content": content}
    panel.upload.set_state({"value": [entry]})
    assert len(list((tmp_path / "kept" / "cat").iterdir())) == 1
    assert "too large" not in panel.limit.value


def test_a_page_that_is_opened_or_loaded_anew_keeps_its_button(panel):
    old = panel.upload
    connect("a page")
    connect("another page")
    assert panel.upload is old
    assert "alert" not in panel.limit.value


def test_the_page_that_ran_the_cell_is_known(tmp_path, monkeypatch):
    """In JupyterLab it connected before there was a panel."""
    monkeypatch.setattr(_common, "_pages", set())
    monkeypatch.setattr(_common, "_after_breaks", [])
    shell = SimpleNamespace(parent_header={"session": "a page"})
    monkeypatch.setattr(_common, "get_ipython", lambda: shell)
    panel = collect_widget(["cat"], tmp_path)
    old = panel.upload
    connect("a page")
    assert panel.upload is not old
