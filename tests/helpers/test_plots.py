"""Pictures with a text, and the figures."""

import base64
import io
from html.parser import HTMLParser
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cases import thorough_but
from PIL import Image

from helpers import keras
from helpers.plots import (
    BLUE,
    ORANGE,
    confusion_figure,
    curves,
    gallery,
    image_tag,
    show,
)


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
    parser.handle_starttag = lambda tag, attributes: tags.append(
        (tag, dict(attributes))
    )
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
    [
        "a cat",
        "a < b & c > d",
        'says "meow"',
        "it's",
        "&lt;",
        "<img onerror=alert(1)>",
        "猫 é",
    ],
)
def test_tag_holds_the_picture_and_its_text(picture, alt):
    attributes = read(image_tag(picture, alt))
    assert set(attributes) == {"alt", "src"}
    assert attributes["alt"] == alt
    assert np.array_equal(decode(attributes["src"]), picture)


def test_tag_with_a_width(picture):
    assert read(image_tag(picture, "a cat", width=300))["width"] == "300"


def test_tag_of_a_figure():
    matrix = confusion_figure([[2, 1], [0, 3]], ["cat", "dog"], "Pets")
    attributes = read(image_tag(matrix, "four numbers"))
    width, height = decode(attributes["src"]).size
    assert 640 <= width < 1000
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


# -- confusion matrix, curves, gallery -------------------------------------------------


def test_confusion_figure_writes_each_count_where_it_belongs():
    figure = confusion_figure(
        [[5, 1, 0], [2, 7, 0], [0, 0, 300]], ["cat", "dog", "owl"], "Pets"
    )
    (axes,) = figure.axes
    counts = {text.get_position(): text.get_text() for text in axes.texts}
    assert (counts[1, 0], counts[0, 1], counts[2, 2]) == (
        "1",
        "2",
        "300",
    )  # (column, row)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "cat",
        "dog",
        "owl",
    ]
    labels = (axes.get_title(), axes.get_xlabel(), axes.get_ylabel())
    assert labels == ("Pets", "predicted", "true")
    top, bottom = axes.transData.transform([(0, 0), (0, 2)])[:, 1]
    assert top > bottom
    assert plt.get_fignums() == [], "not shown a second time by Jupyter"


def apart(texts):
    """Whether no two of a drawn figure's texts overlap."""
    boxes = [text.get_window_extent() for text in texts]
    return not any(a.overlaps(b) for a, b in combinations(boxes, 2))


@pytest.mark.parametrize(
    "side, name",
    thorough_but(
        [(2, "no"), (4, "a desktop computer"), (60, "class")],
        (2, "no"),
        (4, "a desktop computer"),
    ),
)
def test_confusion_figure_of_many_classes_can_be_read(side, name):
    figure = confusion_figure(
        np.full((side, side), 88), [f"{name} {i}" for i in range(side)], "T"
    )
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert apart(axes.get_xticklabels()) and apart(axes.get_yticklabels())
    assert apart(axes.texts[: side + 1])


@pytest.mark.parametrize("matrix", [[[1, 2]], [[1]], [1, 2, 3, 4]])
def test_confusion_figure_needs_a_name_for_each_row(matrix):
    with pytest.raises(ValueError, match="names of 2 classes"):
        confusion_figure(matrix, ["a", "b"], "Pets")


def history(**values):
    """A Keras History, as `fit` returns it."""
    callback = keras.callbacks.History()
    callback.history = values
    return callback


def run(*loss):
    """A History in which every value can be told from every other."""
    loss = np.array(loss)
    values = {
        "loss": loss,
        "val_loss": loss + 1,
        "accuracy": 0.5 - loss,
        "val_accuracy": -loss,
    }
    return history(**{name: list(value) for name, value in values.items()})


def lines(axes):
    """The drawn lines: {label: values}."""
    return {
        line.get_label(): line.get_ydata()
        for line in axes.lines
        if len(line.get_xdata()) > 2
    }


def test_curves_of_two_runs():
    figure = curves(
        {"frozen": run(0.3, 0.2, 0.1), "fine": run(0.4, 0.3, 0.2)}, "Computers"
    )
    loss, accuracy = figure.axes
    assert lines(loss)["frozen, training"] == pytest.approx([0.3, 0.2, 0.1])
    assert lines(loss)["frozen, validation"] == pytest.approx([1.3, 1.2, 1.1])
    assert lines(accuracy)["fine, training"] == pytest.approx([0.1, 0.2, 0.3])
    assert lines(accuracy)["fine, validation"] == pytest.approx([-0.4, -0.3, -0.2])
    assert list(loss.lines[0].get_xdata()) == [1, 2, 3]
    styles = {
        line.get_label(): (line.get_linestyle(), line.get_color())
        for line in loss.lines
    }
    assert styles["frozen, training"] == ("--", BLUE)
    assert styles["fine, validation"] == ("-", ORANGE)
    assert [axes.get_title() for axes in figure.axes] == [
        "Computers: loss",
        "Computers: accuracy",
    ]
    assert (loss.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy")
    assert len(accuracy.get_legend().get_texts()) == 4


@pytest.mark.parametrize("kind", [list, tuple])
def test_curves_of_stages_follow_each_other(kind):
    figure = curves({"fine": kind([run(0.4, 0.3), run(0.2, 0.1)])}, "Computers")
    for axes in figure.axes:
        assert [len(line.get_xdata()) for line in axes.lines] == [4, 4, 2]
        assert list(axes.lines[-1].get_xdata()) == [2.5, 2.5]  # where the second begins
    assert lines(figure.axes[0])["fine, training"] == pytest.approx(
        [0.4, 0.3, 0.2, 0.1]
    )


def test_curves_of_one_epoch_can_be_seen():
    figure = curves({"short": run(0.4)}, "Computers")
    assert all(line.get_marker() == "." for line in figure.axes[0].lines)


def test_curves_without_validation_say_what_is_missing():
    with pytest.raises(
        ValueError, match="'frozen' has no val_loss, only loss, accuracy"
    ):
        curves({"frozen": history(loss=[1], accuracy=[1])}, "Computers")


@pytest.mark.parametrize("count", [0, 6])
def test_curves_of_more_runs_than_colours(count):
    with pytest.raises(ValueError, match=f"{count} runs: between 1 and 5"):
        curves({str(i): run(0.1) for i in range(count)}, "Computers")


@pytest.mark.parametrize(
    "count, columns, grid", [(1, 8, (1, 1)), (8, 8, (1, 8)), (9, 4, (3, 4))]
)
def test_gallery(picture, count, columns, grid):
    titles = [f"picture {i}" for i in range(count)]
    figure = gallery([picture] * count, titles, "All of them", columns)
    assert figure.axes[0].get_gridspec().get_geometry() == grid
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == titles
    assert all(np.array_equal(axes.images[0].get_array(), picture) for axes in shown)
    assert not any(axes.axison for axes in figure.axes), "no empty frames"
    assert figure.get_suptitle() == "All of them"


def test_gallery_takes_arrays(picture):
    figure = gallery([np.asarray(picture)], ["one"], "One")
    assert np.array_equal(figure.axes[0].images[0].get_array(), picture)


def test_gallery_wraps_long_titles(picture):
    figure = gallery(
        [picture] * 8, ["desktop_computer_with_monitor 0.98\nnot laptop"] * 8, "Long"
    )
    figure.draw_without_rendering()
    assert apart([axes.title for axes in figure.axes])
    assert figure.axes[0].get_title().endswith("0.98\nnot laptop"), "its own lines stay"


@pytest.mark.parametrize("images, titles", [(0, 0), (2, 1), (1, 2)])
def test_gallery_needs_a_title_a_picture(picture, images, titles):
    with pytest.raises(ValueError, match=f"{images} pictures, {titles} titles"):
        gallery([picture] * images, ["a"] * titles, "Pets")
