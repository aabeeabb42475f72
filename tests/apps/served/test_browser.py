"""What learners see, in a real browser: the page of `make app`, and the lessons in
JupyterLab."""

import json
import re
import shutil
import sys
import threading
import time
from dataclasses import replace

import nbformat
import psutil
import pytest
import tiny
from browser import (
    ROOT,
    SECONDS,
    Panel,
    Server,
    browser,
    free_port,
    new_page,
    violations,
)
from lessons import LESSONS
from PIL import ImageOps
from playwright.sync_api import expect
from server import Server as Site

from apps.sharing.exporting import export_onnx
from apps.sharing.saving import save_classifier
from helpers import load_classifier, load_image, sample_names
from helpers.models import DEFAULT


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="class")
def classifier():
    """The default network; a class of tests may have another."""
    return load_classifier()


@pytest.fixture(scope="class")
def expected(classifier):
    """What it answers, as [[class, probability], …] in the panel's words."""

    def answers(picture, top=5):
        predictions = classifier.predict(picture, top)
        return [[p.name.replace("_", " "), f"{p.probability:.2f}"] for p in predictions]

    return answers


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with two photographs, one of them in a file of 20 MB, and a text."""
    folder = tmp_path_factory.mktemp("pictures")
    ImageOps.mirror(load_image("flower")).save(folder / "mine.png")
    load_image("coffee").resize((2700, 2500)).save(folder / "large.bmp")
    assert (folder / "large.bmp").stat().st_size > 20e6
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def site(pictures):
    """A web server on this machine that has one photograph, mine.png."""
    with Site() as server:
        server.files["mine.png"] = (pictures / "mine.png").read_bytes()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def screenshots(request):
    """A folder that outlives the tests, and that git ignores."""
    return request.config.cache.mkdir("screenshots")


@pytest.fixture
def keep(request, screenshots):
    """Keep a screenshot of a page, named after the test."""
    name = re.sub(r"\W+", "_", request.node.nodeid.partition("::")[2])
    return lambda page: page.screenshot(
        path=screenshots / f"{name}.png", full_page=True
    )


def serve_app(folder, *options, **variables):
    """The page, as `make app` serves it, but for the addresses it asks: those of `site`
    as well."""
    variables = {"TRANSFER_HOSTED": "0"} | variables
    command = [
        "sh",
        "apps/served/app.sh",
        "--no-browser",
        f"--port={free_port()}",
        *options,
    ]
    return Server(command, r"http://127\.0\.0\.1:\d+/", folder / "app.log", **variables)


def visit(chromium, server):
    """Open the page `make app` serves, up to where it says that it loads."""
    page = new_page(chromium)
    page.goto(server.address, wait_until="commit")
    return page


def kernel_of(page, server):
    """The process behind an open page."""
    text = page.locator("#jupyter-config-data").text_content()
    (kernel,) = [
        k for k in server.kernels() if json.loads(text)["kernelId"] in k.cmdline()[-1]
    ]
    return kernel


# What a stranger may call a class, a file or an address. It must never become part of
# the page.
BAD = "<img src=x onerror=window.caught=1>"
PANELS = f"""
from dataclasses import replace
from pathlib import Path

import numpy as np
from IPython.display import HTML, display
from helpers import load_classifier, load_image
from helpers.pictures import Pictures
from helpers.training import new_model
from panels import *

bad, folder = {BAD!r}, Path(FOLDER)
paths = [folder / "set" / name / (name + ".png") for name in (bad, bad + "2")]
for path, sample in zip(paths, ("cat", "coffee")):
    path.parent.mkdir(parents=True, exist_ok=True)
    load_image(sample).save(path)
classifier = load_classifier()
classes = tuple((bad, f"{{i}} {{bad}}") for i in range(len(classifier.classes)))
named = replace(classifier, name=bad, classes=classes)
pictures = Pictures(bad, tuple(paths), np.array([0, 1]), (bad, bad + "2"))
scores = np.array([[0.2, 0.8], [0.3, 0.7]])
display(classify_widget(named), preprocess_widget(named), \
collect_widget(["cup"], folder / "set"))
model = new_model(classifier, 2)
model.get_layer("head").kernel.assign(np.random.default_rng(0).normal(size=(1280, 2)))
display(error_browser(pictures, scores, model))
display(label_cleaner(pictures, [1, 0], folder / "decisions.csv", scores))
display(threshold_widget([False, True], scores[0], pictures.images(), [bad, bad], 1, 1))
"""
CONTROL = f"display(HTML({BAD.replace('caught', 'control')!r}))  # what would happen"


def hostile_notebook(folder):
    """A notebook whose panels show nothing but such names; → its path."""
    cells = [
        nbformat.v4.new_code_cell(PANELS.replace("FOLDER", repr(str(folder / "bad"))))
    ]
    cells.append(nbformat.v4.new_code_cell(CONTROL))
    kernel = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }  # else Lab asks
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "hostile.ipynb")
    return folder / "hostile.ipynb"


def check_names_stay_text(page, shown, folder, keep):
    """In every panel of what is shown, and in what is typed and chosen there; and that
    this would have noticed."""
    expect(page.locator("img[onerror*=control]")).to_be_attached(timeout=2000 * SECONDS)
    page.wait_for_timeout(500)
    assert page.evaluate("window.control") == 1
    panels = shown.locator(".jp-OutputArea-output > .widget-vbox")
    expect(panels).to_have_count(6)
    classify, preprocess, collect, errors, cleaner, threshold = panels.all()
    panel = Panel(page)
    panel.root, panel.alert = classify, classify.get_by_role("alert")
    panel.type(BAD)
    expect(panel.alert).to_contain_text(f"{BAD}: Give an http:// or https:// address")
    address = f"http://127.0.0.1:9/{BAD}"
    panel.type(address)
    expect(panel.alert).to_contain_text(f"{address} cannot be read")
    (folder / BAD).write_text("no picture")
    panel.upload(folder / BAD)
    expect(panel.alert).to_contain_text(f"{BAD}: No picture in a known format")
    (folder / f"{BAD}.png").write_bytes(
        (folder / "bad" / "set" / BAD / f"{BAD}.png").read_bytes()
    )
    panel.upload(folder / f"{BAD}.png")
    expect(classify.locator("figcaption").first).to_have_text(f"{BAD}.png")
    expect(classify.locator("th").first).to_contain_text(BAD)
    expect(classify.get_by_text("Prepared and classified in")).to_contain_text(
        f"by {BAD}"
    )
    expect(classify.get_by_label("Model").locator("option").first).to_have_text(BAD)
    expect(preprocess.locator("th").first).to_contain_text(BAD)
    expect(preprocess.get_by_text("'s way: numbers")).to_contain_text(BAD)
    expect(collect.locator("th").nth(1)).to_have_text(BAD)
    collect.get_by_label("Addresses").fill(f"{BAD}\n{address}")
    collect.get_by_role("button", name="Add addresses").click()
    expect(collect.locator("li").first).to_contain_text(BAD)
    expect(collect.locator("li").nth(1)).to_contain_text(f"{address} cannot be read")
    expect(errors.locator("figcaption").first).to_contain_text(BAD)
    expect(errors.get_by_label("Really").locator("option").nth(1)).to_have_text(BAD)
    expect(cleaner.get_by_text("Is that right?")).to_contain_text(
        f"The label of {BAD}/{BAD}.png is {BAD}"
    )
    expect(cleaner.get_by_role("button", name="Keep:")).to_have_text(f"Keep: {BAD}")
    expect(cleaner.locator("th").first).to_contain_text(BAD)
    cleaner.get_by_role("button", name="Keep:").click()
    expect(cleaner.get_by_role("status")).to_contain_text("1 of 2 decided")
    expect(cleaner.get_by_role("button", name=f"Keep: {BAD}2")).to_be_visible()
    page.wait_for_timeout(2000)  # a click at once would be a slip
    cleaner.get_by_role("button", name="Undo").click()
    expect(cleaner.get_by_role("status")).to_contain_text(
        f"{BAD}/{BAD}.png is open again"
    )
    threshold.get_by_role("slider").press("ArrowRight")
    expect(threshold.locator("figcaption").first).to_contain_text(BAD)
    keep(page)
    assert page.locator("img[src=x]:not([onerror*=control])").count() == 0
    assert page.evaluate("window.caught") is None


class PanelTests:
    """The panel, used as a person does; no test depends on what the one before left
    behind."""

    def test_a_sample(self, panel, expected):
        panel.pick("building")
        assert panel.answers("building") == expected("building")

    def test_an_address(self, panel, expected, site, pictures, keep):
        address = site.address + "mine.png"
        panel.type(address)
        assert panel.answers(address) == expected(pictures / "mine.png")
        assert "mine.png" in site.asked
        keep(panel.page)

    def test_files_one_of_20_megabytes(self, panel, expected, pictures, keep):
        panel.upload(pictures / "mine.png", pictures / "large.bmp")
        for name in ("mine.png", "large.bmp"):
            assert panel.answers(name) == expected(pictures / name)
        keep(panel.page)

    @pytest.mark.thorough
    def test_the_slider_changes_how_many_answers(self, panel, expected):
        panel.pick("coffee")
        panel.answers("coffee")
        slider = panel.root.get_by_role("slider").first
        slider.press("ArrowRight")
        expect(panel.root.locator("table tr")).to_have_count(6)
        assert panel.answers("coffee") == expected("coffee", 6)
        slider.press("ArrowLeft")
        expect(panel.root.locator("table tr")).to_have_count(5)

    @pytest.mark.parametrize(
        "missing", ["none.png", None], ids=["no picture there", "no server"]
    )
    def test_a_broken_address(self, panel, site, missing, expected, keep):
        address = (
            site.address + missing if missing else f"http://127.0.0.1:{free_port()}/"
        )
        panel.type(address)
        expect(panel.alert).to_contain_text(f"{address} cannot be read")
        assert panel.root.get_by_role("img").count() == 0
        keep(panel.page)
        panel.pick("cat")
        assert panel.answers("cat") == expected("cat"), "and goes on"
        expect(panel.alert).not_to_be_attached()

    def test_a_text(self, panel, pictures, keep):
        panel.upload(pictures / "notes.txt")
        expect(panel.alert).to_contain_text("notes.txt: No picture in a known format")
        keep(panel.page)


class PageTests(PanelTests):
    """The page of `make app`; `server` is for those who inherit."""

    @pytest.fixture(scope="class")
    @classmethod
    def page(cls, server, chromium):
        page = visit(chromium, server)
        expect(page.get_by_role("status")).to_contain_text("Loading the classifier")
        yield page
        page.context.close()

    @pytest.fixture(scope="class")
    @classmethod
    def panel(cls, page):
        panel = Panel(page)
        expect(panel.root).to_be_visible()
        started = time.perf_counter()
        panel.pick("cat")
        panel.first_answers = panel.answers("cat")
        panel.first_seconds = time.perf_counter() - started
        return panel

    def test_first_result(self, panel, expected, record_property, screenshots):
        assert panel.first_answers == expected("cat")
        record_property("first result on the page", f"{panel.first_seconds:.2f} s")
        record_property("screenshots", str(screenshots))

    def test_can_be_used_by_everybody(self, panel):
        panel.pick("building")
        panel.answers("building")
        assert violations(panel.page, ["html"]) == []
        assert panel.page.title() == "What is in this picture?"
        assert panel.page.locator("html").get_attribute("lang") == "en"
        headings = panel.page.get_by_role("heading").all()
        assert [heading.inner_text() for heading in headings] == [
            "What is in this picture?"
        ]
        assert panel.page.locator("img:not([alt]), img[alt='']").count() == 0
        assert panel.page.get_by_role("main").get_by_label("Address").count() == 1

    @staticmethod
    def check_nothing_was_asked(page):
        """Of other hosts, in all that was done with it."""
        assert page.asked == []
        assert page.complaints == []


class TestPage(PageTests):
    """With an exported file as its model, which needs no TensorFlow and so is there
    soon."""

    @pytest.fixture(scope="class")
    @classmethod
    def classifier(cls):
        return tiny.sure(sample_names())

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory, chromium, classifier):
        folder = tmp_path_factory.mktemp("app")
        path = export_onnx(classifier, folder / "mine.onnx")
        server = serve_app(folder, MODEL=str(path))
        yield server
        server.close()

    def test_asks_nothing_of_other_hosts(self, page):
        self.check_nothing_was_asked(page)


@pytest.mark.thorough
class TestPageOfANetwork(PageTests):
    """With a learner's saved model: the default under another name."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory, chromium, classifier):
        folder = tmp_path_factory.mktemp("app")
        mine = save_classifier(replace(classifier, name="mine"), folder / "mine.keras")
        server = serve_app(folder, MODEL=str(mine))
        yield server
        server.close()

    def test_uses_the_saved_model_and_others(self, panel, expected, keep):
        panel.pick("uniform")
        panel.answers("uniform")
        model = panel.root.get_by_label("Model")
        names = ["mine", *(f"efficientnet_lite{n}" for n in range(3))]
        assert model.locator("option").all_inner_texts() == names
        status = panel.root.get_by_text("Prepared and classified in")
        expect(status).to_contain_text("by mine")
        model.select_option(DEFAULT)
        expect(status).to_contain_text(f"by {DEFAULT}")
        assert panel.answers("uniform") == expected("uniform")
        keep(panel.page)
        model.select_option("mine")
        expect(status).to_contain_text("by mine")

    def test_fits_a_phone(self, panel, keep):
        panel.pick("photographer")
        panel.answers("photographer")
        size = panel.page.viewport_size
        panel.page.set_viewport_size({"width": 390, "height": 844})
        keep(panel.page)
        too_wide = panel.page.evaluate(
            "[...document.querySelectorAll('*')].filter(e => "
            "e.getBoundingClientRect().right > 390).map(e => e.outerHTML.slice(0, "
            "200))"
        )
        panel.page.set_viewport_size(size)
        assert too_wide == []

    def test_tells_what_it_can_and_keeps(self, panel):
        text = panel.page.get_by_role("main").inner_text()
        assert "1000" in text
        assert "knows only" in text
        assert "nothing is kept" in text

    def test_two_visitors(self, chromium, server, panel, expected, record_property):
        """Each has a kernel of their own, which ends with the page."""
        page = visit(chromium, server)
        other = Panel(page)
        expect(other.root).to_be_visible()
        panel.pick("flower")
        other.pick("clock_render")
        assert other.answers("clock_render") == expected("clock_render")
        assert panel.answers("flower") == expected("flower")
        kernel, first = kernel_of(page, server), kernel_of(panel.page, server)
        assert kernel.pid != first.pid
        megabytes = kernel.memory_full_info().uss / 2**20
        record_property("memory of a page's kernel", f"{megabytes:.0f} MiB")
        page.goto("about:blank")
        assert psutil.wait_procs([kernel], timeout=SECONDS)[1] == []
        assert first.is_running()
        page.context.close()

    def test_asks_nothing_of_other_hosts(self, page):
        self.check_nothing_was_asked(page)


@pytest.mark.thorough
def test_on_a_page_names_stay_text_and_only_public_addresses_are_asked(
    chromium, tmp_path, site, keep
):
    """Our page's settings, for another notebook: one with all panels."""
    command = [
        sys.executable,
        "-m",
        "voila",
        hostile_notebook(tmp_path),
        "--no-browser",
    ]
    settings = ROOT / "apps" / "served"
    command += [f"--port={free_port()}", f"--Voila.config_file_paths={settings}"]
    log, path = tmp_path / "app.log", str(ROOT / "apps" / "served")
    server = Server(command, r"http://127\.0\.0\.1:\d+/", log, JUPYTER_PATH=path)
    try:
        page = visit(chromium, server)
        expect(page.locator(".widget-vbox").first).to_be_visible(timeout=2000 * SECONDS)
        check_names_stay_text(page, page, tmp_path, keep)
        panel, asked = Panel(page), len(site.asked)
        panel.root = page.locator(".jp-OutputArea-output > .widget-vbox").first
        panel.alert = panel.root.get_by_role("alert")
        panel.type(f"{site.address}mine.png")
        expect(panel.alert).to_contain_text("only public web addresses are read here")
        assert len(site.asked) == asked
        page.context.close()
    finally:
        server.close()


@pytest.mark.slow
class TestManyVisitors:
    def test_a_page_that_vanishes(self, chromium, tmp_path):
        """As after a crash: it cannot end its kernel itself."""
        options = ("cull_idle_timeout=1", "cull_interval=10")
        server = serve_app(
            tmp_path, *[f"--MappingKernelManager.{option}" for option in options]
        )
        try:
            time.sleep(20)  # the kernel that waits for it is not ended
            page = visit(chromium, server)
            panel = Panel(page)
            for _ in range(2):  # nor is one with a page
                panel.pick("coffee")
                panel.answers("coffee")
                kernel = kernel_of(page, server)
                time.sleep(15)
            assert kernel.is_running()
            page.context.close()
            assert psutil.wait_procs([kernel], timeout=60)[1] == []
        finally:
            server.close()

    def test_ten_at_once(self, chromium, expected, tmp_path, record_property):
        server = serve_app(tmp_path)
        try:
            panels = {
                sample: Panel(visit(chromium, server)) for sample in sample_names()
            }
            assert len(panels) == 10
            for panel in panels.values():
                expect(panel.root).to_be_visible(timeout=600_000)
            started = time.perf_counter()
            for sample, panel in panels.items():
                panel.pick(sample)
            for sample, panel in panels.items():
                assert panel.answers(sample) == expected(sample)
            seconds = time.perf_counter() - started
            kernels = [kernel_of(panel.page, server) for panel in panels.values()]
            memory = sorted(kernel.memory_full_info().uss / 2**20 for kernel in kernels)
            record_property("ten pages at once, all answers", f"{seconds:.1f} s")
            record_property("memory of each kernel, MiB", [round(m) for m in memory])
        finally:
            server.close()


# JupyterLab, with what it would do by itself switched off: to leave out of the page
# what is not on the screen, and to save.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
}
OPTIONS = [
    "--ServerApp.token=",
    "--ServerApp.password=",
    "--LabApp.expose_app_in_browser=True",
]
# Sliders of ipywidgets: the label beside them is not tied to what the keyboard moves.
# (The page of `make app` mends that.)
NOT_OURS = [".noUi-handle"]
OPEN = """async path => {
    const app = window.jupyterapp;
    await app.restored;
    const notebook = await app.commands.execute("docmanager:open", { path });
    await notebook.context.ready;
    await notebook.revealed;
    return notebook.id;
}"""
RUN = """async text => {
    const app = window.jupyterapp, \
{ content, sessionContext } = app.shell.currentWidget;
    await sessionContext.ready;
    content.activeCellIndex = content.widgets.findIndex(
        ({ model }) => model.type === "code" && model.sharedModel.source.includes(text)
    );
    await app.commands.execute("notebook:run-cell");
}"""
# The same, after all that stands above it.
RUN_UNTIL = RUN.replace(
    'execute("notebook:run-cell")',
    'execute("notebook:run-all-above");\n    await app.commands.execute('
    '"notebook:run-cell")',
)


@pytest.mark.thorough
class TestJupyterLab(PanelTests):
    """Copies of the lessons in JupyterLab, as `make lab` starts it."""

    @pytest.fixture(scope="class")
    @classmethod
    def page(cls, tmp_path_factory, chromium):
        folder = tmp_path_factory.mktemp("lab")
        for name, settings in SETTINGS.items():
            file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(settings))
        for part in ("notebooks", "docs"):
            shutil.copytree(ROOT / part, folder / "root" / part)
        server = Server(
            [sys.executable, "tools/setup/lab.py", "--no-browser", "--port=0", *OPTIONS]
            + [f"--ServerApp.root_dir={folder / 'root'}"],
            r"http://localhost:\d+/lab",
            folder / "lab.log",
            JUPYTERLAB_SETTINGS_DIR=str(folder / "settings"),
        )
        try:
            page = new_page(chromium)
            page.goto(server.address)
            page.wait_for_function("window.jupyterapp")
            page.root = folder / "root"
            yield page
            page.context.close()
        finally:
            server.close()

    @pytest.fixture(scope="class")
    @classmethod
    def panel(cls, page):
        page.evaluate(OPEN, f"notebooks/{LESSONS[1].name}")
        page.evaluate(RUN_UNTIL, "classify_widget(")
        panel = Panel(page)
        expect(panel.root).to_be_visible(timeout=2000 * SECONDS)
        return panel

    def test_a_cell_that_is_run_again_shows_the_same(self, panel, expected):
        panel.pick("galaxies")
        panel.answers("galaxies")
        panel.page.evaluate(RUN, "classify_widget(")
        expect(panel.root.get_by_role("button", name="galaxies")).to_have_class(
            re.compile("active")
        )
        assert panel.answers("galaxies") == expected("galaxies")

    def test_names_stay_text(self, page, keep):
        hostile_notebook(page.root)
        notebook = page.locator(
            f"#{page.evaluate(OPEN, 'hostile.ipynb')}"
        )  # others stay open
        page.evaluate(RUN, "classify_widget(")
        page.evaluate(RUN, "control")
        check_names_stay_text(page, notebook, page.root, keep)

    @pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
    def test_a_lesson_can_be_read_by_everybody(self, page, lesson, keep):
        notebook = f"#{page.evaluate(OPEN, f'notebooks/{lesson.name}')}"
        headings = page.locator(f"{notebook} :is(h1, h2, h3, h4, h5, h6)")
        expect(headings.first).to_be_visible()
        levels = [
            int(tag[1])
            for tag in headings.evaluate_all("all => all.map(h => h.tagName)")
        ]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(
            below <= above + 1 for above, below in zip(levels, levels[1:], strict=False)
        )
        for alt, loaded in page.locator(f"{notebook} img").evaluate_all(
            "all => Promise.all(all.map(i => i.decode().then(() => [i.alt, "
            "i.naturalWidth > 0])))"
        ):
            assert alt.strip()
            assert loaded
        # The text and the outputs: the rest of a notebook's panel is JupyterLab's.
        ours = [f"{notebook} .jp-RenderedMarkdown", f"{notebook} .jp-OutputArea-output"]
        assert violations(page, ours, NOT_OURS) == []
        keep(page)

    def test_asks_nothing_of_other_hosts(self, panel):
        assert panel.page.asked == []
