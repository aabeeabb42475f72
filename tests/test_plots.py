"""Pictures with a text, and bars."""

import base64
import io
from html.parser import HTMLParser

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers.labels import Prediction
from helpers.plots import bars, image_tag, show

PREDICTIONS = [
    Prediction("n1", "Egyptian_cat", 0.5),
    Prediction("n2", "tabby", 0.25),
    Prediction("n3", "lynx", 0.004),
]


@pytest.fixture
def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype="uint8")
    return Image.fromarray(pixels)


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed, in order."""
    objects = []
    monkeypatch.setattr("IPython.display.display", objects.append)
    return objects


def read(html):
    """The attributes of the one picture that a piece of HTML consists of."""
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    parser.handle_data = tags.append
    parser.feed(html)
    parser.close()
    ((tag, attributes),) = tags
    assert tag == "img"
    return attributes


def decode(source):
    kind, data = source.split(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize(
    "alt",
    ["a cat", "a < b & c > d", 'says "meow"', "it's", "&lt;", "<img onerror=alert(1)>", "猫 é"],
)
def test_tag_holds_the_picture_and_its_text(picture, alt):
    attributes = read(image_tag(picture, alt))
    assert set(attributes) == {"alt", "src"}
    assert attributes["alt"] == alt
    assert np.array_equal(decode(attributes["src"]), picture)


def test_tag_with_a_width(picture):
    assert read(image_tag(picture, "a cat", width=300))["width"] == "300"


def test_tag_of_a_figure():
    attributes = read(image_tag(bars(PREDICTIONS, "title"), "three bars"))
    width, height = decode(attributes["src"]).size
    assert 200 < width < 700
    assert 80 < height < 300


@pytest.mark.parametrize("alt", ["", " \n"])
@pytest.mark.parametrize("call", [image_tag, show])
def test_text_is_required(picture, displayed, call, alt):
    with pytest.raises(ValueError, match="what the picture shows"):
        call(picture, alt)
    assert displayed == []


def test_show_displays_html_and_closes_the_figure(displayed):
    figure, _ = plt.subplots()
    other, _ = plt.subplots()
    assert show(figure, "an empty diagram", width=200) is None
    (html,) = displayed
    attributes = read(html.data)
    assert (attributes["alt"], attributes["width"]) == ("an empty diagram", "200")
    assert plt.get_fignums() == [other.number]
    plt.close(other)


def test_show_takes_a_picture(displayed, picture):
    show(picture, "a cat")
    assert np.array_equal(decode(read(displayed[0].data)["src"]), picture)


@pytest.mark.parametrize("count", [1, 3])
def test_one_bar_a_prediction_the_likeliest_on_top(count):
    figure = bars(PREDICTIONS[:count], "What it sees")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.25, 0.004][:count]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["Egyptian cat", "tabby", "lynx"][:count]
    assert [text.get_text() for text in axes.texts] == ["0.50", "0.25", "0.00"][:count]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
    assert middles == pytest.approx(axes.get_yticks())
    upwards = axes.transData.transform([(0, y) for y in middles])[:, 1]
    assert list(upwards) == sorted(upwards, reverse=True)
    assert (axes.get_title(), axes.get_xlabel()) == ("What it sees", "probability")
    assert axes.get_xlim()[1] > 1, "room for a bar of 1 and its number"
    assert plt.get_fignums() == [], "not shown a second time by Jupyter"
    assert matplotlib.colors.to_hex(axes.patches[0].get_facecolor()) == "#0072b2"
