"""The panel for right and wrong preparation, on tiny networks that want different
things."""

import base64
import io
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import tiny
from PIL import Image

from helpers import ImageError, keras, load_image
from helpers.images import SQUASH, resize, sample_names
from helpers.models import Classifier
from panels import _common, preprocess_widget

DIVIDED, CENTRED, NONE = "÷ 255: 0…1", "÷ 127.5 − 1: −1…1", "none: 0…255"


@pytest.fixture(scope="module")
def inside():
    """A model that rescales by a layer of its own. Its weights are random, but its
    answers differ from picture to picture, so that another preparation can be seen."""
    classifier = tiny.classifier(6)
    (*_, last), usual = (
        classifier.network.layers,
        classifier.logits(sample_names()).mean(axis=0),
    )
    kernel, _ = last.get_weights()
    last.set_weights([300 * kernel, -300 * usual])
    return replace(classifier)  # without what it had compiled


@pytest.fixture(autouse=True)
def new_session():
    """A session in which no panel has been made."""
    _common._remembered.clear()


@pytest.fixture
def panel(inside):
    return preprocess_widget(inside)


@pytest.fixture(scope="module")
def caffe():
    """A model that wants BGR minus means, as VGG16, and whose logits are the means of
    what it gets, in the order in which it gets them."""
    inputs = keras.Input((8, 8, 3))
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    preprocess = keras.applications.vgg16.preprocess_input
    return Classifier(
        "caffe", network, 8, SQUASH, preprocess, ("first", "second", "third")
    )


def text(panel):
    """The words of the panel."""
    return " ".join(
        re.sub("<.*?>", " ", panel.status.value + panel.result.value).split()
    )


def answers(panel):
    """The bars of both columns: (name, probability) for each."""
    tables = re.findall("<table.*?</table>", panel.result.value)
    found = [
        re.findall(r"<th[^>]*>([^<]+)</th>.*?>(\d\.\d\d)</td>", table)
        for table in tables
    ]
    return found


def seen(panel):
    """The pictures of both columns, as arrays."""
    found = re.findall('base64,(.*?)"', panel.result.value)
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found
    ]


def test_starts_with_the_correct_preparation(panel, inside):
    wanted = [
        (p.name.replace("_", " "), f"{p.probability:.2f}")
        for p in inside.predict("cat")
    ]
    assert answers(panel) == [wanted, wanted]
    assert text(panel).startswith(f"The same answer: {wanted[0][0]} {wanted[0][1]}.")
    assert "correctly prepared" not in text(panel)
    assert "wrong" not in text(panel)
    assert text(panel).count("– right.") == 3
    for square in seen(panel):
        assert np.array_equal(square[::7, ::7], resize("cat", tiny.SIZE, inside.rule))


def test_colours_the_wrong_way_round(panel, inside):
    panel.colours.value = "BGR"
    assert "Colours: BGR – wrong: tiny wants RGB." in text(panel)
    swapped = Image.fromarray(np.asarray(load_image("cat"))[..., ::-1])
    first = inside.predict(swapped, top=1)[0]
    assert answers(panel)[0][0][1] == f"{first.probability:.2f}"
    assert f"correctly prepared {answers(panel)[1][0][0]}" in text(panel)
    yours, _ = seen(panel)
    assert np.array_equal(yours[::7, ::7], resize(swapped, tiny.SIZE, inside.rule))


def test_the_wrong_shape(panel, inside):
    panel.shape.value = "squashed"
    assert "Shape: squashed – wrong: tiny wants cut to a square." in text(panel)
    first = replace(inside, rule=SQUASH).predict("cat", top=1)[0]
    assert answers(panel)[0][0] == (
        first.name.replace("_", " "),
        f"{first.probability:.2f}",
    )


def test_scaling_mistakes_are_made_below_the_layer_that_rescales(panel, inside):
    panel.picture.value = "uniform"
    panel.scaling.value = "÷ 255, then its own"
    assert text(panel).startswith("Another answer:")
    assert "wrong: tiny wants black as −1, white as 1." in text(panel)
    assert "takes the place of the layer that rescales in this network" in text(panel)
    assert "Your way: numbers −1 to −0.99" in text(panel)
    panel.scaling.value = NONE
    square = np.asarray(resize("uniform", tiny.SIZE, inside.rule))
    assert f"Your way: numbers {square.min()} to {square.max()}" in text(panel)
    assert "tiny&#x27;s way: numbers −0.91 to 0.96" in text(panel)


def test_another_name_of_the_right_scaling_is_right(panel):
    panel.scaling.value = CENTRED
    assert f"Scaling: {CENTRED} – right." in text(panel)
    assert answers(panel)[0] == answers(panel)[1]
    panel.scaling.value = DIVIDED
    assert f"Scaling: {DIVIDED} – wrong" in text(panel)


def test_of_a_model_that_wants_blue_first(caffe):
    panel = preprocess_widget(caffe, Image.new("RGB", (20, 10), (130, 118, 102)))
    assert (panel.shape.value, panel.colours.value) == ("squashed", "BGR")
    assert "takes the place of its preprocess_input" in text(panel)
    assert [name for name, _ in answers(panel)[0]] == ["third", "second", "first"]
    panel.colours.value = "RGB"
    assert "Colours: RGB – wrong: caffe wants BGR." in text(panel)
    assert text(panel).startswith("Another answer: first")
    panel.colours.value, panel.scaling.value = "BGR", DIVIDED
    assert [name for name, _ in answers(panel)[0]] == ["third", "second", "first"], (
        "blue first"
    )
    assert "Your way: numbers 0.4 to 0.51" in text(panel)
    assert "wrong: caffe wants black as −124, white as 151." in text(panel)


def test_a_model_that_is_given_what_it_rescales_deeper_inside(inside):
    nested = keras.Sequential([keras.Input((tiny.SIZE, tiny.SIZE, 3)), inside.network])
    panel = preprocess_widget(replace(inside, name="nested", network=nested))
    assert answers(panel)[0] == answers(preprocess_widget(inside))[0]
    panel.scaling.value = NONE
    assert f"Scaling: {NONE} – right." in text(panel)
    panel.scaling.value = DIVIDED
    assert "wrong: nested wants black as 0, white as 255." in text(panel)
    assert text(panel).startswith("Another answer:")


def test_a_picture_of_ones_own_comes_first(inside):
    panel = preprocess_widget(inside, Image.new("RGB", (30, 20), "teal"))
    assert panel.picture.value == "yours"
    assert panel.picture.options[:2] == ("yours", "cat")
    panel.picture.value = "cat"
    assert answers(panel) == answers(preprocess_widget(inside, "cat"))
    assert preprocess_widget(inside, "building").picture.value == "building"
    with pytest.raises(ImageError):
        preprocess_widget(inside, "no such picture")


def test_every_combination_answers(panel):
    parts = panel.shape, panel.colours, panel.scaling
    for choices in itertools.product(*(part.options for part in parts)):
        for part, choice in zip(parts, choices, strict=True):
            part.value = choice
        assert text(panel).count("– wrong") + text(panel).count("– right.") == 3
        assert [len(column) for column in answers(panel)] == [5, 5]


def test_is_labelled_and_keeps_what_was_chosen(panel, inside):
    parts = {
        name: getattr(panel, name)
        for name in ("picture", "shape", "colours", "scaling")
    }
    assert {name: part.description.lower() for name, part in parts.items()} == dict(
        zip(parts, parts, strict=True)
    )
    assert all(part.tooltip for part in parts.values())
    assert "role='status'" in panel.status.value
    panel.shape.value, panel.picture.value = "squashed", "building"
    again = preprocess_widget(inside)
    assert (again.shape.value, again.picture.value) == ("squashed", "building")
    assert text(again) == text(panel)


def test_names_never_become_html(caffe):
    panel = preprocess_widget(
        replace(caffe, name="<b>me", classes=("<i>", "<u>", "<s>"))
    )
    panel.colours.value = "RGB"
    assert not re.search("<[bius]>(?!(The same|Another) answer)", panel.status.value)
    assert not re.search("<[bius]>", panel.result.value)


def test_augmentation_is_not_at_work():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.RandomBrightness(0.9)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))
    network = keras.Model(inputs, x)
    varied = Classifier(
        "varied", network, 8, SQUASH, lambda batch: batch, ("r", "g", "b")
    )
    shown = {text(preprocess_widget(varied, "coffee")) for _ in range(3)}
    assert len(shown) == 1 and "wrong" not in shown.pop()
