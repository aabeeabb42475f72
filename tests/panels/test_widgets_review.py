"""The panels that look at errors and decide on labels, worked without a browser."""

import html
import re
import threading

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from helpers import keras
from helpers.explain import grad_cam, overlay
from helpers.images import ResizeRule
from helpers.pictures import Pictures
from helpers.plots import BLUE, ORANGE, image_tag
from panels import _common, error_browser, errors, label_cleaner
from panels.corrections import apply_corrections, read_corrections, write_corrections

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
CLASSES = ("green", "red <b>")
COLOURS = {"green": (0, 200, 0), "red <b>": (200, 0, 0)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Ten pictures of each class: a colour at the upper left, darker from one to the
    next."""
    folder, paths = tmp_path_factory.mktemp("colours"), []
    for name in CLASSES:
        (folder / name).mkdir()
        for i in range(10):
            image = Image.new("RGB", (40, 40))
            image.paste(
                tuple(value - 10 * i for value in COLOURS[name]), (0, 0, 20, 20)
            )
            paths.append(folder / name / f"{i}.png")
            image.save(paths[-1])
    return tuple(paths)


@pytest.fixture
def pictures(made, request):
    """A name of its own for each test: panels of the same name share what they keep in
    mind."""
    return Pictures(request.node.name, made, np.repeat([0, 1], 10), CLASSES)


@pytest.fixture(scope="module")
def model():
    """A network whose logits are how green and how red a picture is."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.AveragePooling2D(8)(inputs)
    x = keras.layers.Conv2D(2, 1, use_bias=False)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(x))
    model.set_weights([np.array([[[[0, 1], [1, 0], [0, 0]]]]), np.eye(2)])
    model.rule = ResizeRule()
    return model


@pytest.fixture
def probabilities():
    """Of green: 0.95, 0.90 … for green pictures, of which the last two are taken for
    red; 0.05, 0.10 … for red ones, of which the last is taken for green."""
    green = np.r_[np.linspace(0.95, 0.6, 8), 0.2, 0.4, np.linspace(0.05, 0.4, 9), 0.7]
    return np.c_[green, 1 - green]


@pytest.fixture
def browser(pictures, probabilities, model):
    return error_browser(pictures, probabilities, model)


def captions(panel):
    """What is written under each picture."""
    return [
        html.unescape(c)
        for c in re.findall("<figcaption.*?>(.*?)</figcaption>", panel.result.value)
    ]


def alts(part):
    return [html.unescape(alt) for alt in re.findall('<img alt="(.*?)"', part.value)]


def text(part):
    return re.sub("<img.*?>", "", part.value)


# -- the errors ------------------------------------------------------------------------


def test_surest_errors_come_first_then_the_least_certain(browser):
    assert captions(browser) == [
        "green, taken for red <b> 0.80 (green 0.20)",
        "red <b>, taken for green 0.70 (red <b> 0.30)",
        "green, taken for red <b> 0.60 (green 0.40)",
        "green, right, 0.60",
        "red <b>, right, 0.60",
        "red <b>, right, 0.64",
        "green, right, 0.65",
        "red <b>, right, 0.69",
    ]
    assert "20 pictures, 3 answered wrong; page 1 of 3." in text(browser.result)


def test_beside_each_picture_is_where_the_model_looks(browser, pictures, model):
    picture, explained, *_ = alts(browser.result)
    assert picture == "A picture of: green"
    assert explained.startswith("What speaks for red <b>: ")
    image = pictures[8].images()[0]
    heat = grad_cam(model, image, 1)
    assert (
        image_tag(overlay(model, image, heat, errors.SIDE), explained)
        in browser.result.value
    )
    green = next(
        alt for alt in alts(browser.result) if alt.startswith("What speaks for green")
    )
    assert green == "What speaks for green: nothing, anywhere", (
        "there is no green in a red picture"
    )
    assert "What speaks for green: most of it above, on the left" in alts(
        browser.result
    )


def test_maps_are_computed_once_and_for_those_shown(
    pictures, probabilities, model, monkeypatch
):
    asked = []
    real = errors.grad_cam

    def counting(model, images, classes):
        asked.append(len(images))
        return real(model, images, classes)

    monkeypatch.setattr(errors, "grad_cam", counting)
    browser = error_browser(pictures, probabilities, model)
    assert asked == [8]
    browser.after.click()
    browser.before.click()
    assert asked == [8, 8]


def test_a_picture_without_a_map_keeps_no_other_from_being_shown(
    pictures, probabilities, model, monkeypatch
):
    """Of one, Grad-CAM cannot tell: its card says so, and the page is there."""
    real = errors.grad_cam
    (flat,) = pictures[[8]].images()

    def partial(model, images, classes):
        given = images if isinstance(images, list) else [images]
        if any(image == flat for image in given):
            raise ValueError("the score does not change <here>")
        return real(model, images, classes)

    monkeypatch.setattr(errors, "grad_cam", partial)
    browser = error_browser(pictures, probabilities, model)
    first, *others = captions(browser)
    assert first.startswith("green, taken for red <b> 0.80 (green 0.20)")
    assert "No map: the score does not change <here>" in first
    assert len(others) == 7 and not any("No map" in caption for caption in others)
    assert len(alts(browser.result)) == 15


def test_a_model_that_has_learned_nothing_shows_its_pictures(
    pictures, probabilities, model
):
    blank = keras.models.clone_model(model)
    blank.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    blank.rule = model.rule
    browser = error_browser(pictures, probabilities, blank)
    found = captions(browser)
    assert len(found) == 8 and all("No map: Grad-CAM cannot" in one for one in found)


def test_a_file_that_is_gone_keeps_no_other_from_being_shown(
    pictures, probabilities, model, tmp_path
):
    gone = tmp_path / "gone.png"
    paths = tuple(gone if i == 8 else path for i, path in enumerate(pictures.paths))
    some = Pictures(pictures.name, paths, pictures.labels, CLASSES)
    browser = error_browser(some, probabilities, model)
    assert "This picture cannot be shown" in browser.result.value
    assert "gone.png" in browser.result.value and len(captions(browser)) == 7


def test_right_and_wrong_are_told_by_more_than_colour(browser):
    wrong, *_, right = re.findall("<figure .*?</figure>", browser.result.value)
    assert f"dashed {ORANGE}" in wrong and "taken for" in wrong
    assert f"solid {BLUE}" in right and "right" in right


def test_pages(browser):
    first = captions(browser)
    browser.before.click()
    assert captions(browser) == first
    browser.after.click()
    assert browser.page.value == 2 and len(captions(browser)) == 8
    browser.page.value = 3
    assert len(captions(browser)) == 4 and "page 3 of 3" in text(browser.result)
    browser.after.click()
    assert browser.page.value == 3
    browser.page.value = 99
    assert browser.page.value == 3


def test_filters_by_class(browser):
    browser.page.value = 3
    browser.truth.value = 0
    assert "10 pictures, 2 answered wrong; page 1 of 2." in text(browser.result)
    browser.answer.value = 1
    assert captions(browser) == [
        "green, taken for red <b> 0.80 (green 0.20)",
        "green, taken for red <b> 0.60 (green 0.40)",
    ]
    assert "2 pictures, 2 answered wrong; page 1 of 1." in text(browser.result)
    browser.truth.value = -1
    assert "11 pictures, 2 answered wrong" in text(browser.result)


def test_a_filter_that_nothing_passes(pictures, model):
    browser = error_browser(pictures, np.eye(2)[pictures.labels], model)
    browser.truth.value, browser.answer.value = 0, 1
    assert "0 pictures, 0 answered wrong; page 1 of 1." in text(browser.result)
    assert captions(browser) == []


def test_run_again_it_shows_the_same(browser, pictures, probabilities, model):
    browser.truth.value = 1
    browser.page.value = 2
    again = error_browser(pictures, probabilities, model)
    assert (again.truth.value, again.page.value) == (1, 2)
    assert again.result.value == browser.result.value
    other = error_browser(pictures, probabilities[:, ::-1], model)
    assert (other.truth.value, other.page.value) == (-1, 1), "another model's answers"


def test_class_names_never_become_html(browser):
    assert "<b>" not in browser.result.value
    assert "&lt;b&gt;" in browser.result.value


def test_browser_parts_are_labelled(browser):
    assert isinstance(browser, ipywidgets.VBox)
    fields = [browser.truth, browser.answer, browser.page]
    assert [field.description for field in fields] == ["Really", "Taken for", "Page"]
    assert [b.description for b in (browser.before, browser.after)] == [
        "Previous page",
        "Next page",
    ]
    assert "role='status'" in browser.result.value


def test_a_picture_that_is_gone_is_told(pictures, probabilities, model, tmp_path):
    copy = tmp_path / "gone.png"
    copy.write_bytes(pictures.paths[9].read_bytes())
    paths = (*pictures.paths[:9], copy, *pictures.paths[10:])
    browser = error_browser(
        Pictures("gone", paths, pictures.labels, CLASSES), probabilities, model
    )
    copy.unlink()
    browser.truth.value = 0  # whose second is shown already
    assert "alert" not in browser.result.value
    again = error_browser(
        Pictures("gone", paths, pictures.labels, CLASSES), probabilities, model
    )
    assert (
        "role='alert'" in again.result.value
        and "gone.png cannot be read" in again.result.value
    )
    assert len(captions(again)) == 7, "the others are shown"


def test_a_model_without_places_is_told(pictures, probabilities):
    network = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    network.rule = ResizeRule()
    browser = error_browser(pictures, probabilities, network)
    found = captions(browser)
    assert len(found) == 8
    assert all("No map: " in one and "explains convolutional" in one for one in found)


def test_what_does_not_fit_together(pictures, probabilities, model):
    with pytest.raises(ValueError, match=r"\(19, 2\), not \(20, 2\)"):
        error_browser(pictures, probabilities[:19], model)
    with pytest.raises(ValueError, match=r"\(20, 3\), not \(20, 2\)"):
        error_browser(pictures, np.ones((20, 3)) / 3, model)
    with pytest.raises(ValueError, match="pictures at all"):
        error_browser(pictures[:0], probabilities[:0], model)
    other = keras.Model(model.inputs[0], keras.layers.Dense(3)(model.layers[-1].input))
    with pytest.raises(ValueError, match="3 outputs, the pictures 2 classes"):
        error_browser(pictures, probabilities, other)
    for wrong in (probabilities * np.nan, probabilities * 2, 4 - 7 * probabilities):
        with pytest.raises(ValueError, match="softmax makes them"):
            error_browser(pictures, wrong, model)


# -- the labels ------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine" / "corrections.csv"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """Clicks of a test come faster than those of a person."""
    monkeypatch.setattr(_common, "PAUSE", 0)


SUSPICION = np.arange(20.0)[::-1]  # the first picture first


@pytest.fixture
def panel(pictures, probabilities, file):
    return label_cleaner(pictures, SUSPICION, file, probabilities, first=4)


def test_most_suspicious_picture_is_shown_with_what_was_said_of_it(
    pictures, probabilities, file
):
    panel = label_cleaner(pictures, SUSPICION[::-1], file, probabilities)
    assert "is <b>red &lt;b&gt;</b>. Is that right?" in text(panel.shown)
    assert "red &lt;b&gt;/9.png is <b>" in text(panel.shown)
    assert alts(panel.shown) == ["The picture labelled red <b>"]
    assert re.findall(
        r"<td style='padding: 2px 8px'>(.*?)</td>", panel.shown.value
    ) == [
        "0.70",
        "0.30",
    ]
    assert panel.keep.description == "Keep: red <b>"
    assert panel.label.options == ("green",)
    assert "0 of 20 decided: 0 kept, 0 relabelled, 0 left out." in text(panel.status)
    assert not file.exists(), "looking decides nothing"


def test_each_decision_is_in_the_file_at_once(panel, pictures, file):
    panel.keep.click()
    assert read_corrections(pictures, file) == {0: 0}
    panel.relabel.click()
    assert read_corrections(pictures, file) == {0: 0, 1: 1}
    panel.discard.click()
    assert read_corrections(pictures, file) == {0: 0, 1: 1, 2: None}
    assert "3 of 4 decided: 1 kept, 1 relabelled, 1 left out." in text(panel.status)
    assert panel.progress.value == 3 and panel.progress.max == 4
    assert "green/3.png is <b>" in text(panel.shown)


def test_the_chosen_label_is_given_and_the_likeliest_proposed(made, file):
    classes = ("a", "b", "c")
    pictures = Pictures("three", made, np.arange(20) % 3, classes)
    probabilities = np.tile([0.3, 0.1, 0.6], (20, 1))
    panel = label_cleaner(pictures, SUSPICION, file, probabilities)
    assert panel.label.options == ("c", "b") and panel.label.value == "c"
    panel.label.value = "b"
    panel.relabel.click()
    assert read_corrections(pictures, file) == {0: 1}
    assert panel.label.options == ("c", "a") and panel.label.value == "c", "labelled b"
    plain = label_cleaner(pictures, SUSPICION, file)
    assert plain.label.options == ("a", "c")
    assert "<table" not in plain.shown.value


def test_undo_shows_the_picture_that_it_opens_again(pictures, file, probabilities):
    write_corrections(pictures, file, {1: 0})  # in an earlier session
    panel = label_cleaner(pictures, SUSPICION, file, probabilities, first=4)
    assert "green/1.png is" not in text(panel.shown)
    panel.undo.click()
    assert "green/1.png is open again" in text(panel.status)
    assert "The label of green/1.png is" in text(panel.shown)
    panel.keep.click()
    assert read_corrections(pictures, file) == {1: pictures.labels[1]}


def test_undo_takes_the_last_one_back(panel, pictures, file):
    assert panel.undo.disabled
    panel.keep.click()
    panel.discard.click()
    panel.undo.click()
    assert read_corrections(pictures, file) == {0: 0}
    assert "green/1.png is open again. 1 of 4 decided" in text(panel.status)
    assert "green/1.png is <b>" in text(panel.shown)
    panel.undo.click()
    assert read_corrections(pictures, file) == {}
    assert panel.undo.disabled
    panel.undo.click()
    assert read_corrections(pictures, file) == {}


def test_run_again_it_goes_on_where_the_file_ends(panel, pictures, probabilities, file):
    panel.discard.click()
    panel.keep.click()
    again = label_cleaner(pictures, SUSPICION, file, probabilities, first=4)
    assert "2 of 4 decided: 1 kept, 0 relabelled, 1 left out." in text(again.status)
    assert "green/2.png is <b>" in text(again.shown)
    again.undo.click()
    assert read_corrections(pictures, file) == {0: None}


def test_decisions_on_other_pictures_are_counted_apart(pictures, probabilities, file):
    write_corrections(pictures, file, {0: 0, 9: 1, 10: None})
    panel = label_cleaner(pictures, SUSPICION, file, probabilities, first=4)
    assert (
        "1 of 4 decided: 1 kept, 0 relabelled, 0 left out. The file also holds "
        "decisions on other pictures: 2."
    ) in text(panel.status)


def test_after_the_last_decision_it_says_what_to_do(pictures, file):
    panel = label_cleaner(
        pictures, SUSPICION, file, first=1, then=lambda: "Now <run> it."
    )
    assert "Now" not in panel.shown.value
    panel.keep.click()
    assert "Done." in panel.shown.value
    assert "<p>Now &lt;run&gt; it.</p>" in panel.shown.value


def test_when_all_are_decided(panel, pictures, file):
    for _ in range(4):
        panel.discard.click()
    assert "4 of 4 decided" in text(panel.status) and "Done." in panel.shown.value
    assert "corrections.csv" in panel.shown.value
    assert all(
        p.disabled for p in (panel.keep, panel.label, panel.relabel, panel.discard)
    )
    assert len(apply_corrections(pictures, file)) == 16
    panel.undo.click()
    assert not panel.keep.disabled and "green/3.png is <b>" in text(panel.shown)


def test_decisions_made_elsewhere_meanwhile_are_kept(panel, pictures, file):
    panel.keep.click()
    write_corrections(pictures, file, {0: 0, 2: None, 12: 0})
    panel.relabel.click()
    assert read_corrections(pictures, file) == {0: 0, 2: None, 12: 0, 1: 1}
    assert "green/3.png is <b>" in text(panel.shown)


def test_a_second_click_at_once_is_a_slip(panel, pictures, file, monkeypatch):
    monkeypatch.setattr(_common, "PAUSE", 60)
    panel.keep.click()
    panel.keep.click()
    assert read_corrections(pictures, file) == {0: 0}


def test_clicks_on_two_threads_are_all_kept(pictures, file):
    """As JupyterLab delivers them."""
    panel = label_cleaner(pictures, SUSPICION, file)
    threads = [threading.Thread(target=panel.keep.click) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_corrections(pictures, file) == dict.fromkeys(range(10), 0) | {
        10: 1,
        11: 1,
    }
    assert panel.progress.value == 12


def test_a_file_that_cannot_be_written_is_told_in_place(pictures, tmp_path):
    (tmp_path / "taken").write_text("no folder")
    panel = label_cleaner(pictures, SUSPICION, tmp_path / "taken" / "corrections.csv")
    shown = panel.shown.value
    panel.keep.click()
    assert "role='alert'" in panel.status.value
    assert re.search("corrections.csv cannot be (read|written)", panel.status.value)
    assert panel.shown.value == shown and panel.progress.value == 0


def test_a_file_of_another_kind_is_told_and_kept(pictures, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("my notes")
    panel = label_cleaner(pictures, SUSPICION, file)
    assert (
        "is no corrections file" in panel.status.value
        and "role='alert'" in panel.status.value
    )
    for button in (panel.keep, panel.relabel, panel.discard, panel.undo):
        button.click()
        assert "is no corrections file" in panel.status.value
    assert file.read_text() == "my notes"
    file.unlink()
    panel.discard.click()
    assert read_corrections(pictures, file) == {}, "it was not shown a picture before"
    assert "green/0.png is <b>" in text(panel.shown)


def test_a_picture_that_cannot_be_shown_is_told_and_the_decision_before_it_kept(
    tmp_path,
):
    paths = tuple(tmp_path / f"{name}.png" for name in "abc")
    for path in paths:
        Image.new("RGB", (8, 8), "teal").save(path)
    file, pictures = (
        tmp_path / "c.csv",
        Pictures("broken", paths, np.array([0, 1, 0]), CLASSES),
    )
    panel = label_cleaner(pictures, np.array([3, 2, 1]), file)
    paths[1].write_bytes(b"no longer a picture")
    panel.keep.click()
    assert read_corrections(pictures, file) == {0: 0}
    assert panel.progress.value == 1 and "alert" not in panel.status.value
    assert (
        "b.png cannot be used" in panel.shown.value and "a.png" not in panel.shown.value
    )
    panel.discard.click()
    assert read_corrections(pictures, file) == {0: 0, 1: None}


def test_cleaner_needs_a_probability_of_each_class(pictures, file):
    with pytest.raises(
        ValueError, match="probabilities, 2 classes: give one of each class"
    ):
        label_cleaner(pictures, SUSPICION, file, np.ones((20, 1)))


def test_cleaner_parts_are_labelled(panel):
    buttons = [panel.keep, panel.relabel, panel.discard, panel.undo]
    assert [b.description for b in buttons] == [
        "Keep: green",
        "Relabel",
        "Leave out",
        "Undo",
    ]
    assert (panel.label.description, panel.progress.description) == (
        "New label",
        "Decided",
    )
    assert isinstance(panel, ipywidgets.VBox)
    assert "role='status'" in panel.status.value


def test_cleaner_needs_one_of_each_a_picture(pictures, probabilities, file):
    with pytest.raises(ValueError, match=r"20 pictures, suspicion \(19,\), 20 rows"):
        label_cleaner(pictures, SUSPICION[1:], file, probabilities)
    with pytest.raises(ValueError, match="19 rows of probabilities"):
        label_cleaner(pictures, SUSPICION, file, probabilities[1:])
    with pytest.raises(ValueError, match="finite"):
        label_cleaner(pictures, SUSPICION * np.nan, file)
    with pytest.raises(ValueError, match="1 or more"):
        label_cleaner(pictures, SUSPICION, file, first=-3)
    with pytest.raises(ValueError, match="pictures at all"):
        label_cleaner(pictures[:0], [], file)
