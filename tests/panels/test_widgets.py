"""The panels of the lessons, worked without a browser: their parts are plain Python
objects."""

import io
import re
import threading
import time
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from PIL import Image
from server import Server

from helpers.images import ResizeRule, sample_names, to_batch
from helpers.labels import Prediction
from helpers.models import WeightsUnavailable
from helpers.plots import BLUE, ORANGE, image_tag
from panels import _common, classify, classify_widget, threshold_widget
from safeguards.familiar import Judged

OTHER = "efficientnet_lite0"  # what can be chosen in the panel


class Rows:
    """A classifier that tells pictures apart by their height, and remembers what it was
    given."""

    size, rule, classes = 4, ResizeRule(), [f"class_{i}<" for i in range(20)]

    def __init__(self, name="rows<"):
        self.name, self.seen = name, []

    def prepare(self, image):
        return to_batch(image, self.size, self.rule) - 20

    def predict(self, image, top):
        self.seen.append(image.size)
        share = 2 / image.height
        return [Prediction(f"n{i}", self.classes[i], share / 2**i) for i in range(top)]


def picture(width, height, colour="teal"):
    """The bytes of a PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def choose(upload, **files):
    """Choose files as the browser does: {name: bytes}."""
    entry = {"type": "image/png", "size": 1, "last_modified": 0}
    value = [
        {**entry, "name": name, "content": memoryview(files[name])} for name in files
    ]
    upload.set_state({"value": value})


@pytest.fixture(scope="module")
def site():
    """A web server on this machine with two pictures and a page; → its address."""
    with Server() as server:
        server.files = {"small.png": picture(8, 4), "large.png": picture(900, 500)}
        server.files |= {
            "": b"<html>Hello",
            "small.png?%22%3E%3Cscript%3E": picture(8, 4),
        }
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.address.rstrip("/")
        server.shutdown()


@pytest.fixture(autouse=True)
def new_session():
    """A session in which no panel has been made."""
    _common._remembered.clear()
    classify._last_pictures.clear()


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
    """The words of the result."""
    return " ".join(re.sub("<.*?>", " ", panel.result.value).split())


def bars(panel):
    """The bars of the result: name, probability, and whether the bar is filled."""
    rows = re.findall("<tr>(.*?)</tr>", panel.result.value)
    return [
        (*re.findall(">([^<>]+)<", row), f"background: {BLUE}" in row) for row in rows
    ]


def test_an_address_gives_the_picture_what_is_seen_and_bars(panel, classifier, site):
    panel.address.value = f"  {site}/small.png "
    assert classifier.seen == [(8, 4)]
    assert alts(panel) == [
        f"Classified: {site}/small.png",
        "What rows&lt; sees: 4×4 pixels",
    ]
    assert bars(panel) == [
        ("class 0&lt;", "0.50", True),
        ("class 1&lt;", "0.25", True),
        ("class 2&lt;", "0.12", True),
        ("class 3&lt;", "0.06", True),
        ("class 4&lt;", "0.03", True),
    ]
    assert "class 0&lt; 0.50 Probability of the likeliest classes" in text(panel)
    assert re.search(
        r"Prepared and classified in \d\.\d\d s by rows&lt;, which knows 20",
        text(panel),
    )
    assert "none called “none of these”" in text(panel)


def test_the_square_is_what_the_network_gets(panel, site):
    panel.address.value = f"{site}/small.png"
    square = Image.new("RGB", (192, 192), "teal")
    assert image_tag(square, "What rows< sees: 4×4 pixels") in panel.result.value
    assert "4×4 pixels, enlarged, given to it as numbers from −20 to 108." in text(
        panel
    )


def test_a_large_square_is_not_enlarged(classifier, site):
    classifier.size = 224
    panel = classify_widget(classifier)
    panel.address.value = f"{site}/large.png"
    assert "224×224 pixels, given to it" in text(panel)
    square = Image.new("RGB", (224, 224), "teal")
    assert image_tag(square, alts(panel)[1].replace("&lt;", "<")) in panel.result.value


def test_top_is_the_number_of_bars(classifier, panel, site):
    panel = classify_widget(classifier, top=2)
    panel.address.value = f"{site}/small.png"
    assert len(bars(panel)) == 2
    panel.top.value = 7
    assert len(bars(panel)) == 7
    assert classifier.seen == [(8, 4)], (
        "the answers are there, nothing is computed again"
    )


def test_below_the_threshold_the_panel_is_not_sure(panel, classifier, site):
    panel.address.value = f"{site}/small.png"
    assert "dashed" not in text(panel)
    panel.threshold.value = 0.25
    assert [filled for *_, filled in bars(panel)] == [True, True, False, False, False]
    assert "(dashed: 0.25)" in text(panel)
    assert "Not sure" not in text(panel)
    panel.threshold.value = 0.6
    assert "Not sure: below 0.60. The likeliest is class 0&lt; 0.50." in text(panel)
    assert not any(filled for *_, filled in bars(panel))
    assert classifier.seen == [(8, 4)]


def test_threshold_can_be_given(classifier, site):
    panel = classify_widget(classifier, threshold=0.75)
    panel.address.value = f"{site}/small.png"
    assert "Not sure: below 0.75." in text(panel)


@pytest.mark.parametrize("top, threshold", [(0, 0), (11, 0), (5, -0.1), (5, 1.5)])
def test_what_no_slider_can_show_is_refused(classifier, top, threshold):
    with pytest.raises(
        ValueError, match=f"top is {top}, threshold {threshold}: give 1…10 and"
    ):
        classify_widget(classifier, top, threshold)


def test_the_whole_picture_is_classified_and_a_small_one_shown(panel, classifier, site):
    panel.address.value = f"{site}/large.png"
    assert classifier.seen == [(900, 500)]
    assert (
        image_tag(Image.new("RGB", (240, 133), "teal"), alts(panel)[0])
        in panel.result.value
    )


def test_a_second_click_classifies_again_and_replaces_the_result(
    panel, classifier, site, monkeypatch
):
    monkeypatch.setattr(_common, "PAUSE", 0)  # as if each came later
    panel.address.value = f"{site}/small.png"
    panel.button.click()
    assert classifier.seen == [(8, 4)] * 2
    assert len(alts(panel)) == 2
    panel.address.value = ""
    panel.button.click()
    assert classifier.seen == [(8, 4)] * 3, "without an address, what is shown"


def test_clicks_made_while_the_panel_works_are_dropped(panel, classifier, site):
    panel.address.value = f"{site}/small.png"
    panel.button.click()  # as it comes out of the queue
    panel.button.click()
    assert classifier.seen == [(8, 4)]
    assert len(alts(panel)) == 2


def test_messages_on_two_threads_are_worked_on_one_after_the_other(
    panel, classifier, site
):
    """As JupyterLab sends them, see `Work`."""
    running, most, predict = [], [], classifier.predict

    def slow(image, top):
        running.append(image.size)
        time.sleep(0.05)
        most.append(len(running))
        running.pop()
        return predict(image, top)

    classifier.predict = slow
    acts = [
        lambda: setattr(panel.address, "value", f"{site}/small.png"),
        lambda: setattr(panel.sample, "value", "cat"),
        panel.button.click,
        panel.button.click,
    ]
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert most == [1, 1]
    assert classifier.seen == [(8, 4), (451, 300)], "the clicks were dropped"
    assert alts(panel)[0] == "Classified: cat"
    assert panel.button.icon == "search"


def test_what_was_changed_while_the_panel_works_is_not_dropped(panel, classifier, site):
    panel.address.value = f"{site}/small.png"
    panel.sample.value = "cat"
    panel.address.value = f"{site}/large.png"
    assert classifier.seen == [(8, 4), (451, 300), (900, 500)]
    assert alts(panel)[0] == f"Classified: {site}/large.png"


def test_a_panel_that_works_says_so(panel, classifier, site, monkeypatch):
    said, predict = [], classifier.predict

    def watched(*arguments):
        said.append((panel.button.icon, panel.result.value))
        return predict(*arguments)

    monkeypatch.setattr(classifier, "predict", watched)
    panel.address.value = f"{site}/small.png"
    assert said == [("hourglass", "<p role='status'>Classifying …</p>")]
    assert panel.button.icon == "search"


def test_another_address_replaces_the_result(panel, site):
    panel.address.value = f"{site}/small.png"
    panel.address.value = f"{site}/large.png"
    assert [alt for alt in alts(panel) if "png" in alt] == [
        f"Classified: {site}/large.png"
    ]


@pytest.mark.parametrize("sample", sample_names())
def test_a_sample_is_classified(panel, classifier, sample):
    panel.sample.value = sample
    assert len(classifier.seen) == 1
    assert alts(panel)[0] == f"Classified: {sample}"


def test_each_sample_has_a_small_picture_on_its_button(panel):
    style = panel.children[-1].value
    for name in sample_names():
        assert (
            f"[data-value='{name}'] {{ background-image: url(data:image/jpeg;base64,"
            in style
        )
    assert len(style) < 50_000
    assert "sample-pictures" in panel.sample._dom_classes


def test_an_address_takes_the_place_of_a_sample(panel, classifier, site):
    panel.sample.value = "cat"
    panel.address.value = f"{site}/small.png"
    assert panel.sample.value is None
    assert alts(panel)[0] == f"Classified: {site}/small.png"
    panel.sample.value = "cat"
    assert panel.address.value == ""
    assert alts(panel)[0] == "Classified: cat"
    assert len(classifier.seen) == 3


def test_emptying_the_address_leaves_the_result(panel, classifier, site):
    panel.address.value = f"{site}/small.png"
    before = panel.result.value
    panel.address.value = ""
    assert panel.result.value == before
    assert len(classifier.seen) == 1


def test_each_uploaded_file_has_its_result(panel, classifier):
    panel.sample.value = "cat"
    files = {
        "a.png": picture(8, 4),
        "b<i>.txt": b"text",
        "c.png": b"",
        "d.png": picture(6, 8),
    }
    choose(panel.upload, **files)
    assert classifier.seen[1:] == [(8, 4), (6, 8)]
    assert alts(panel)[::2] == ["Classified: a.png", "Classified: d.png"]
    assert "No picture: b&lt;i&gt;.txt: No picture in a known format" in text(panel)
    assert "No picture: c.png: There is nothing to read" in text(panel)
    assert panel.result.value.count("role='alert'") == 2
    assert (panel.sample.value, panel.address.value) == (None, "")


def test_the_same_file_can_be_uploaded_twice(panel, classifier):
    for _ in range(2):
        choose(panel.upload, **{"a.png": picture(8, 4)})
        assert panel.upload.value == ()
    assert classifier.seen == [(8, 4)] * 2
    assert panel.upload.multiple


def test_the_limit_of_uploads_is_told_beside_the_button(panel):
    assert panel.upload in (row := panel.children[1].children)
    assert "10 MB" in row[-1].value


@pytest.mark.parametrize("page", ["/none.png", "/", "/none.png?<b>"])
def test_an_address_without_a_picture_is_explained(panel, classifier, site, page):
    panel.address.value = f"{site}/small.png"
    panel.address.value = site + page
    assert "No picture:" in text(panel)
    assert "role='alert'" in panel.result.value
    assert alts(panel) == []
    assert classifier.seen == [(8, 4)]
    panel.address.value = f"{site}/small.png"
    assert len(alts(panel)) == 2


@pytest.mark.parametrize(
    "typed",
    [
        "cat",
        "mine.jpg",
        "ftp://example.org/cat.png",
        "data:image/png,",
        "//",
        "https:/x.org/a.png",
    ],
)
def test_what_is_no_web_address_is_told_what_is(panel, classifier, typed):
    panel.address.value = typed
    assert f"No picture: {typed}: Give an http:// or https:// address" in text(panel)
    assert classifier.seen == []


@pytest.mark.parametrize("typed", ["http://", "https://[", "HTTPS://nowhere.invalid/"])
def test_an_address_that_leads_nowhere_is_explained(panel, classifier, typed):
    panel.address.value = typed
    assert "No picture:" in text(panel)
    assert "Give an http" not in text(panel)
    assert classifier.seen == []


def test_a_path_on_this_machine_is_not_read(panel, classifier, tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(picture(8, 4))
    for typed in (str(path), path.as_uri()):
        panel.address.value = typed
        assert "No picture:" in text(panel)
    assert classifier.seen == []


def test_an_empty_address_is_asked_for(panel, classifier, monkeypatch):
    monkeypatch.setattr(_common, "PAUSE", 0)
    for typed in ("", "   "):
        panel.address.value = typed
        panel.button.click()
        assert text(panel).startswith("No picture: Give an http:// or https:// address")
    assert classifier.seen == []


@pytest.mark.parametrize(
    "typed", ["<script>alert(1)</script>", "http://<img src=x onerror=f()>"]
)
def test_what_is_typed_never_becomes_html(panel, typed):
    panel.address.value = typed
    assert "No picture:" in panel.result.value
    assert not re.search("<(script|img)", panel.result.value)


def test_html_in_a_good_address_stays_text(panel, site):
    panel.address.value = f'{site}/small.png?"><script>'
    assert "<script" not in panel.result.value
    assert len(alts(panel)) == 2


def test_an_unexpected_error_is_told_and_raised_and_the_panel_goes_on(
    panel, classifier, site, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "predict", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            panel.address.value = f"{site}/small.png"
    assert text(panel) == "This went wrong: ZeroDivisionError: division by zero"
    panel.address.value = f"{site}/large.png"
    assert len(alts(panel)) == 2


def test_the_models_on_this_machine_can_be_chosen(monkeypatch):
    installed = tuple(f"efficientnet_lite{n}" for n in range(3))
    assert classify_widget(Rows("mine")).model.options == ("mine", *installed)
    assert classify_widget(Rows(installed[1])).model.options == (
        installed[1],
        installed[0],
        installed[2],
    )
    monkeypatch.setattr(classify, "has_weights", lambda name: name in (OTHER, "vgg16"))
    assert classify_widget(Rows("mine")).model.options == ("mine", OTHER, "vgg16")
    assert classify_widget(Rows("vgg16")).model.options == ("vgg16", OTHER)


@pytest.fixture
def other(monkeypatch):
    """Another classifier, which takes the place of a network of the registry."""
    other, loads = Rows(OTHER), []
    monkeypatch.setattr(
        classify, "load_classifier", lambda name: loads.append(name) or other
    )
    classify._load_model.cache_clear()
    yield SimpleNamespace(classifier=other, loads=loads)
    classify._load_model.cache_clear()


def test_another_model_classifies_the_same_picture(panel, classifier, other, site):
    panel.address.value = f"{site}/small.png"
    panel.model.value = OTHER
    assert (classifier.seen, other.classifier.seen) == ([(8, 4)], [(8, 4)])
    assert f"What {OTHER} sees" in text(panel)
    panel.sample.value = "cat"
    assert len(other.classifier.seen) == 2
    panel.model.value = "rows<"
    panel.model.value = OTHER
    assert len(classifier.seen) == 2
    assert other.loads == [OTHER], "it is loaded once"


def test_a_model_can_be_chosen_before_a_picture(panel, other):
    panel.model.value = OTHER
    assert panel.result.value == ""
    panel.sample.value = "cat"
    assert f"What {OTHER} sees" in text(panel)


def test_a_model_that_cannot_be_loaded_leaves_the_former(
    panel, other, site, monkeypatch
):
    panel.address.value = f"{site}/small.png"

    def damaged(_):
        raise WeightsUnavailable("No weights for <it>: damaged.")

    monkeypatch.setattr(classify, "load_classifier", damaged)
    panel.model.value = OTHER
    assert panel.model.value == "rows<"
    assert text(panel).startswith("No model: No weights for &lt;it&gt;: damaged.")
    assert len(alts(panel)) == 2
    panel.sample.value = "cat"
    assert "What rows&lt; sees" in text(panel)


def test_a_cell_that_is_run_again_shows_what_it_showed(panel, site):
    panel.address.value = f"{site}/small.png"
    panel.top.value, panel.threshold.value = 3, 0.25
    again = classify_widget(new := Rows())
    assert (again.address.value, again.top.value) == (f"{site}/small.png", 3)
    assert new.seen == [(8, 4)], "classified by the classifier that the cell has now"
    assert len(bars(again)) == 3
    assert alts(again) == alts(panel)
    again.sample.value = "cat"
    assert alts(panel)[0] == f"Classified: {site}/small.png", (
        "the former panel is left alone"
    )
    assert classify_widget(Rows()).sample.value == "cat"


def test_what_the_cell_now_says_counts_more_than_what_was_chosen(panel):
    panel.top.value = 3
    assert classify_widget(Rows(), top=7).top.value == 7


def test_another_classifier_has_a_panel_of_its_own(panel):
    panel.sample.value = "cat"
    another = classify_widget(Rows("another"))
    assert (another.sample.value, another.result.value) == (None, "")
    namesake = Rows()
    namesake.classes = namesake.classes[:-1]
    another = classify_widget(namesake)
    assert (another.sample.value, another.result.value) == (None, "")


def test_the_chosen_model_is_kept_as_well(panel, other):
    panel.sample.value = "cat"
    panel.model.value = OTHER
    assert f"What {OTHER} sees" in text(classify_widget(Rows()))


def test_each_part_has_a_label(panel):
    parts = ["address", "button", "upload", "sample", "model", "top", "threshold"]
    assert {name: getattr(panel, name).description for name in parts} == {
        "address": "Address",
        "button": "Classify",
        "upload": "Choose files",
        "sample": "or a sample",
        "model": "Model",
        "top": "Answers",
        "threshold": "Not sure below",
    }
    assert all(getattr(panel, name).tooltip for name in parts)
    assert isinstance(panel, ipywidgets.VBox)


def test_what_a_new_panel_prints_is_the_same_on_every_machine(panel, monkeypatch):
    monkeypatch.setattr(classify, "has_weights", lambda _: True)
    more = classify_widget(Rows("with more models"))
    assert (
        panel._repr_mimebundle_()["text/plain"]
        == more._repr_mimebundle_()["text/plain"]
    )


# -- the threshold ---------------------------------------------------------------------

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
        int(number)
        for number in re.findall(r"<td style='[^']*'>(\d+)</td>", panel.result.value)
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
    assert sorted(alts(threshold)[:2]) == ["laptop 0.9: no, a miss"] * 2, (
        "one step, one score"
    )
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
    assert isinstance(
        threshold.slider, ipywidgets.SelectionSlider
    )  # arrow keys, one step each
    assert threshold.slider.description == "Yes from"
    assert "<caption>" in threshold.result.value
    assert len(re.findall("<th scope='(?:col|row)'", threshold.result.value)) == 4
    assert "role='status'" in threshold.result.value


def test_threshold_says_the_same_every_time(images):
    first, second = (
        threshold_widget(TRUE, SCORES, images, NAMES, 5, 1) for _ in range(2)
    )
    assert first.result.value == second.result.value


def test_threshold_needs_one_of_each_a_picture(images):
    with pytest.raises(ValueError, match="6 scores, 5 images and 6 names"):
        threshold_widget(TRUE, SCORES, images[:5], NAMES, 5, 1)
    with pytest.raises(ValueError, match="bool"):
        threshold_widget(TRUE.astype(int), SCORES, images, NAMES, 5, 1)


@pytest.mark.parametrize("unlike", [True, False])
def test_a_picture_like_nothing_it_learned_from_gets_no_class_as_headline(unlike):
    """A classifier that knows what it learned from says so instead."""
    judged = Judged(0.7, "a.jpg", unlike)
    best = Prediction("ant", "ant", 0.9)
    said = classify._summary(best, 0.5, judged)
    assert said.startswith("<b>Like nothing it learned from.</b>") == unlike
    assert "ant 0.90" in said
