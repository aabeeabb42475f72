"""The panels of the lessons, worked without a browser: their parts are plain Python objects."""

import io
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from helpers.images import sample_names
from helpers.labels import Prediction
from helpers.plots import BLUE, ORANGE, image_tag
from helpers.widgets import classify_widget, threshold_widget


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


# -- the threshold ---------------------------------------------------------------------------------

TRUE = np.array([True, False, True, True, False, True])
SCORES = np.array([0.9, 0.6, 0.3, 0.05, 0.02, 0.9])
NAMES = ["laptop", "mug <b>", "phone", "desktop", "lamp", "laptop"]


@pytest.fixture
def images():
    return [Image.new("RGB", (160, 120), (40 * i, 0, 0)) for i in range(6)]


@pytest.fixture
def threshold(images):
    return threshold_widget(TRUE, SCORES, images, NAMES, miss=5, alarm=1)


def counts(panel):
    """The four numbers of the confusion matrix, row by row."""
    return [
        int(number) for number in re.findall(r"<td style='[^']*'>(\d+)</td>", panel.result.value)
    ]


def test_threshold_starts_where_it_was_told(threshold):
    assert [label for label, _ in threshold.slider.options] == [
        *("0.01", "0.035", "0.175", "0.45", "0.75", "0.95"),
    ]
    assert threshold.slider.label == "0.45"  # answers as 0.5 does
    assert counts(threshold) == [1, 1, 2, 2]
    assert "Cost 1.83 a picture" in text(threshold)  # (2 × 5 + 1) / 6
    assert "(always yes 0.33, always no 3.33)" in text(threshold)
    assert "2 misses × 5 and 1 false alarms × 1, over 6 pictures" in text(threshold)
    assert "Answers other than at 0.5: 0." in text(threshold)
    assert alts(threshold) == []


def test_a_step_down_shows_the_picture_that_changed(threshold, images):
    threshold.slider.index -= 1
    assert counts(threshold) == [1, 1, 1, 3]
    assert "Cost 1.00 a picture" in text(threshold)
    assert alts(threshold) == ["phone 0.3: yes, right"]
    images[2].thumbnail((96, 96))
    assert image_tag(images[2], "phone 0.3: yes, right") in threshold.result.value
    threshold.slider.index -= 2
    assert alts(threshold) == [
        "lamp 0.02: yes, a false alarm",
        "desktop 0.05: yes, right",
        "phone 0.3: yes, right",
    ], "the last to change comes first"
    assert counts(threshold) == [0, 2, 0, 4]


def test_a_step_up_shows_the_pictures_that_changed(threshold):
    threshold.slider.index += 2
    assert counts(threshold) == [2, 0, 4, 0]
    assert sorted(alts(threshold)[:2]) == ["laptop 0.9: no, a miss"] * 2, "one step, one score"
    assert alts(threshold)[2] == "mug &lt;b&gt; 0.6: no, right"
    assert "Answers other than at 0.5: 3; the last 3 to change:" in text(threshold)
    threshold.slider.index -= 2
    assert alts(threshold) == []


def test_right_and_wrong_are_told_by_more_than_colour(threshold):
    threshold.slider.index += 2
    wrong, _, right = re.findall("<figure .*?</figure>", threshold.result.value)
    assert f"dashed {ORANGE}" in wrong
    assert "a miss</figcaption>" in wrong
    assert f"solid {BLUE}" in right
    assert "mug &lt;b&gt; 0.6: no, right</figcaption>" in right


def test_at_most_eight_pictures_are_shown(images):
    scores = np.linspace(0, 0.4, 30)
    panel = threshold_widget(scores > 0.2, scores, images * 5, ["desk"] * 30, 5, 1)
    panel.slider.index = 0
    assert "Answers other than at 0.5: 30; the last 8 to change:" in text(panel)
    assert alts(panel)[0] == "desk 0: yes, a false alarm"
    assert len(alts(panel)) == 8


@pytest.mark.parametrize("start, index", [(0, 0), (0.05, 1), (0.051, 2), (1, 5)])
def test_start_answers_as_its_threshold(images, start, index):
    panel = threshold_widget(TRUE, SCORES, images, NAMES, 5, 1, start=start)
    assert panel.slider.index == index
    assert f"Answers other than at {start:.2g}: 0." in text(panel)


def test_threshold_leaves_the_pictures_alone(threshold, images):
    for index in range(6):
        threshold.slider.index = index
    assert [image.size for image in images] == [(160, 120)] * 6


def test_threshold_panel_is_labelled_and_worked_by_keyboard(threshold):
    assert isinstance(threshold, ipywidgets.VBox)
    assert threshold.children == (threshold.slider, threshold.result)
    assert isinstance(threshold.slider, ipywidgets.SelectionSlider)  # arrow keys, one step each
    assert threshold.slider.description == "Yes from"
    assert "<caption>" in threshold.result.value
    assert len(re.findall("<th scope='(?:col|row)'", threshold.result.value)) == 4
    assert "role='status'" in threshold.result.value


def test_threshold_says_the_same_every_time(images):
    first, second = (threshold_widget(TRUE, SCORES, images, NAMES, 5, 1) for _ in range(2))
    assert first.result.value == second.result.value


def test_threshold_needs_one_of_each_a_picture(images):
    with pytest.raises(ValueError, match="6 scores, 5 images and 6 names"):
        threshold_widget(TRUE, SCORES, images[:5], NAMES, 5, 1)
    with pytest.raises(ValueError, match="bool"):
        threshold_widget(TRUE.astype(int), SCORES, images, NAMES, 5, 1)
