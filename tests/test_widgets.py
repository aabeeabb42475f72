"""The panel of lesson 01, worked without a browser: its parts are plain Python objects."""

import io
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import ipywidgets
import pytest
from PIL import Image

from helpers.images import sample_names
from helpers.labels import Prediction
from helpers.plots import image_tag
from helpers.widgets import classify_widget


class Rows:
    """A classifier that tells pictures apart by their height, and remembers what it was given."""

    name = "rows"

    def __init__(self):
        self.seen = []

    def predict(self, image, top):
        self.seen.append(image.size)
        share = 1 / image.height
        return [Prediction(f"n{i}", f"class_{i}<", share / 2**i) for i in range(top)]


def picture(width, height):
    """The bytes of a PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def site():
    """A web server on this machine with two pictures and a page; → its address."""
    pages = {"/small.png": picture(8, 4), "/large.png": picture(900, 500), "/": b"<html>Hello"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path.partition("?")[0])
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *arguments):
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def classifier():
    return Rows()


@pytest.fixture
def panel(classifier):
    return classify_widget(classifier)


def alts(panel):
    """The alt texts of the pictures in the result."""
    return re.findall(r'<img alt="(.*?)"', panel.result.value)


def text(panel):
    """The result without its pictures."""
    return re.sub("<img.*?>", "", panel.result.value)


def test_an_address_gives_its_picture_and_a_bar_chart(panel, classifier, site):
    panel.address.value = f"  {site}/small.png "
    assert classifier.seen == [(8, 4)]
    shown, chart = alts(panel)
    assert shown == f"Classified: {site}/small.png"
    assert chart.startswith("Bar chart of the top 5: class 0&lt; 0.25, class 1&lt; 0.12, ")
    assert text(panel) == ""
    assert not panel.button.disabled


def test_top_is_the_number_of_bars(classifier, site):
    panel = classify_widget(classifier, top=2)
    panel.address.value = f"{site}/small.png"
    assert alts(panel)[1] == "Bar chart of the top 2: class 0&lt; 0.25, class 1&lt; 0.12"


def test_the_whole_picture_is_classified_and_a_small_one_shown(panel, classifier, site):
    panel.address.value = f"{site}/large.png"
    assert classifier.seen == [(900, 500)]
    assert image_tag(Image.new("RGB", (320, 178), "teal"), alts(panel)[0]) in panel.result.value


def test_a_second_click_classifies_again_and_replaces_the_result(panel, classifier, site):
    panel.address.value = f"{site}/small.png"
    first = panel.result.value
    panel.button.click()
    assert classifier.seen == [(8, 4)] * 2
    assert len(alts(panel)) == 2
    assert panel.result.value == first


def test_another_address_replaces_the_result(panel, site):
    panel.address.value = f"{site}/small.png"
    panel.address.value = f"{site}/large.png"
    assert [alt for alt in alts(panel) if "png" in alt] == [f"Classified: {site}/large.png"]


@pytest.mark.parametrize("sample", sample_names())
def test_a_sample_is_classified(panel, classifier, sample):
    panel.sample.value = sample
    assert len(classifier.seen) == 1
    assert alts(panel)[0] == f"Classified: {sample}"


def test_an_address_takes_the_place_of_a_sample(panel, classifier, site):
    panel.sample.value = "cat"
    panel.address.value = f"{site}/small.png"
    assert panel.sample.value is None
    assert alts(panel)[0] == f"Classified: {site}/small.png"
    panel.sample.value = "cat"
    assert alts(panel)[0] == "Classified: cat"
    assert len(classifier.seen) == 3


def test_a_sample_empties_the_address(panel, classifier, site):
    panel.address.value = f"{site}/small.png"
    panel.sample.value = "cat"
    assert panel.address.value == ""
    panel.address.value = f"{site}/small.png"
    assert alts(panel)[0] == f"Classified: {site}/small.png"
    assert len(classifier.seen) == 3


def test_emptying_the_address_leaves_the_result(panel, classifier, site):
    panel.address.value = f"{site}/small.png"
    before = panel.result.value
    panel.address.value = ""
    assert panel.result.value == before
    assert len(classifier.seen) == 1


@pytest.mark.parametrize("page", ["/none.png", "/", "/none.png?<b>"])
def test_an_address_without_a_picture_is_explained(panel, classifier, site, page):
    panel.address.value = f"{site}/small.png"
    panel.address.value = site + page
    assert "No picture:" in text(panel)
    assert "role='alert'" in text(panel)
    assert alts(panel) == []
    assert classifier.seen == [(8, 4)]
    assert not panel.button.disabled
    panel.address.value = f"{site}/small.png"
    assert len(alts(panel)) == 2


@pytest.mark.parametrize(
    "typed",
    ["cat", "mine.jpg", "ftp://example.org/cat.png", "data:image/png,", "//", "https:/x.org/a.png"],
)
def test_what_is_no_web_address_is_told_what_is(panel, classifier, typed):
    panel.address.value = typed
    assert "No picture:" in text(panel)
    assert "http:// or https://" in text(panel)
    assert "Now yours" in text(panel)
    assert classifier.seen == []


@pytest.mark.parametrize("typed", ["http://", "https://[", "HTTPS://nowhere.invalid/"])
def test_an_address_that_leads_nowhere_is_explained(panel, classifier, typed):
    panel.address.value = typed
    assert "No picture:" in text(panel)
    assert "Now yours" not in text(panel)
    assert classifier.seen == []


def test_a_path_on_this_machine_is_not_read(panel, classifier, tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(picture(8, 4))
    for typed in (str(path), path.as_uri()):
        panel.address.value = typed
        assert "No picture:" in text(panel)
    assert classifier.seen == []


def test_an_empty_address_is_asked_for(panel, classifier):
    panel.button.click()
    assert "Give an http:// or https:// address." in text(panel)
    panel.address.value = "   "
    panel.button.click()
    assert "Give an http:// or https:// address." in text(panel)
    assert classifier.seen == []


@pytest.mark.parametrize("typed", ["<script>alert(1)</script>", "http://<img src=x onerror=f()>"])
def test_what_is_typed_never_becomes_html(panel, typed):
    panel.address.value = typed
    assert "No picture:" in panel.result.value
    assert not re.search("<(script|img)", panel.result.value)


def test_html_in_a_good_address_never_leaves_the_alt_text(panel, site):
    panel.address.value = f'{site}/small.png?"><script>alert(1)</script>'
    assert "<script" not in panel.result.value
    assert len(alts(panel)) == 2


def test_an_unexpected_error_frees_the_button(panel, classifier, site, monkeypatch):
    monkeypatch.setattr(classifier, "predict", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        panel.address.value = f"{site}/small.png"
    assert not panel.button.disabled


def test_each_part_has_a_label(panel):
    parts = [panel.address, panel.button, panel.sample]
    assert [part.description for part in parts] == ["Address", "Classify", "or a sample"]
    assert isinstance(panel, ipywidgets.VBox)
    assert [*panel.children[0].children, *panel.children[1:]] == [*parts, panel.result]
