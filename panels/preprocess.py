"""See what wrong preparation does to a picture and to the answer."""

import html
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import ipywidgets
import numpy as np
from PIL import Image
from scipy.special import softmax

from helpers.images import load_image, sample_names, to_batch
from helpers.labels import decode
from panels._common import (
    LABELS,
    Worker,
    bar_table,
    figure_html,
    format_number,
    persist_values,
    readable,
    wrapping_row,
)

TOP = 5  # answers on show
SQUARE_SIDE = 224  # pixels: smaller squares are enlarged
SHAPES = {"cut to a square": "square", "squashed": "each_side"}
OWN = "the model's own"
TWICE = "÷ 255, then its own"
# Each scaling is a function of a batch of RGB 0…255 and of the model's own scaling.
SCALINGS = {
    OWN: lambda batch, own: own(batch),
    TWICE: lambda batch, own: own(batch / 255),
    "÷ 255: 0…1": lambda batch, own: batch / 255,
    "÷ 127.5 − 1: −1…1": lambda batch, own: batch / 127.5 - 1,
    "none: 0…255": lambda batch, own: batch,
}
# Uniform pictures that show what a model's scaling makes of each colour.
BLACK = (0, 0, 0)
WHITE = (255, 255, 255)
RED = (255, 0, 0)
GREEN = (0, 255, 0)
BLUE = (0, 0, 255)
TEST_COLOURS = np.array([BLACK, WHITE, RED, GREEN, BLUE], "float32")


def preprocess_widget(classifier, image="cat"):
    """A panel in which a picture is prepared in a right or wrong way.

    It shows what the network then gets and answers, beside the correct way, and says in
    words which choice is right.

    classifier: a `Classifier`; image: the first picture, whatever `load_image` takes.
    If the network rescales with a layer of its own, the choices take effect after that
    layer, as they would only add to it before. Returns an ipywidgets VBox with the
    attributes `picture`, `shape`, `colours`, `scaling`, `status` (whether the answer
    changes) and `result`. Raises an ImageError.
    """
    preparation = _Preparation(classifier)
    pictures = {name: name for name in sample_names()}
    if isinstance(image, str) and image in pictures:
        first = image
    else:
        first = "yours"
        pictures = {first: load_image(image)} | pictures
    panel = _make_widgets(list(pictures), first, preparation)
    worker = Worker(panel.status)

    def update(_=None):
        shape = panel.shape.value
        colours = panel.colours.value
        scaling = panel.scaling.value
        with worker.busy("Working …"):
            picture = load_image(pictures[panel.picture.value])
            right = preparation.run(
                picture, preparation.shape, preparation.colours, OWN
            )
            yours = preparation.run(picture, shape, colours, scaling)
        comparison = _comparison(yours.predictions[0], right.predictions[0])
        panel.status.value = f"<p role='status'>{comparison}</p>"
        right_title = f"{classifier.name}'s way"
        panel.result.value = (
            "<div style='line-height: 1.5'><ul style='margin: 0'>"
            f"{preparation.judge(shape, colours, scaling)}</ul>"
            f"<p>Your scaling takes the place of {preparation.own_scaling}.</p>"
            "<div style='display: flex; flex-wrap: wrap; gap: 1em'>"
            f"{_column('Your way', yours)}"
            f"{_column(right_title, right)}</div></div>"
        )

    widgets = {
        "picture": panel.picture,
        "shape": panel.shape,
        "colours": panel.colours,
        "scaling": panel.scaling,
    }
    key = ("preprocess", classifier.name, tuple(classifier.classes))
    persist_values(key, **widgets)
    for widget in widgets.values():
        worker.observe(widget, update)
    update()
    return panel


def _make_widgets(pictures, first, preparation):
    """The panel with its widgets, laid out and labelled, without what they do."""
    panel = ipywidgets.VBox()
    panel.picture = ipywidgets.Dropdown(description="Picture", options=pictures)
    panel.picture.value = first
    panel.shape = ipywidgets.RadioButtons(description="Shape", options=list(SHAPES))
    panel.shape.value = preparation.shape
    panel.colours = ipywidgets.RadioButtons(
        description="Colours", options=["RGB", "BGR"]
    )
    panel.colours.value = preparation.colours
    panel.scaling = ipywidgets.RadioButtons(
        description="Scaling", options=list(SCALINGS)
    )
    panel.status = ipywidgets.HTML()
    panel.result = ipywidgets.HTML()
    tooltips = {
        panel.picture: "The picture that is prepared",
        panel.shape: "How the picture becomes a square",
        panel.colours: "In which order red, green and blue reach the network",
        panel.scaling: "What becomes of the numbers 0…255",
    }
    for widget, tooltip in tooltips.items():
        widget.tooltip = tooltip
        widget.style = LABELS
        widget.layout.max_width = "100%"
    choices = (panel.shape, panel.colours, panel.scaling)
    for choice in choices:
        choice.layout.width = "15em"
    panel.children = [
        panel.picture,
        wrapping_row(*choices),
        panel.status,
        panel.result,
    ]
    return panel


class Run(NamedTuple):
    """What one way to prepare a picture leads to."""

    image: (
        Image.Image
    )  # what, prepared correctly, would give the network the same numbers
    predictions: list  # the likeliest classes
    low: float  # the smallest number that the network gets
    high: float  # the largest


class _Preparation:
    """How a classifier wants pictures prepared, and its network without that.

    The network is split after its last rescaling layer: the front rescales, and the
    core gets what a choice in the panel makes of a picture. Without such a layer, the
    core is the whole network. The model's own preparation is found out by trying some
    colours.
    """

    def __init__(self, classifier):
        self.classifier = classifier
        self._split(classifier.network)
        names = {shape: name for name, shape in SHAPES.items()}
        self.shape = names[classifier.rule.shape]
        size = classifier.size
        pixels = np.ones((1, size, size, 1), "float32")
        self._test_batch = TEST_COLOURS[:, None, None] * pixels
        scaled_colours = self._scale(self._test_batch)[:, 0, 0]
        self._black = scaled_colours[0]
        self._white = scaled_colours[1]
        # where red, green and blue went: the channel that each changes most
        self._order = [
            int((primary - self._black).argmax()) for primary in scaled_colours[2:]
        ]
        self.colours = "BGR" if self._order == [2, 1, 0] else "RGB"

    def _split(self, network):
        import tensorflow as tf

        from helpers import keras

        kinds = (keras.layers.Rescaling, keras.layers.Normalization)
        rescaled = [
            layer.output for layer in network.layers if isinstance(layer, kinds)
        ]
        if rescaled:
            front = keras.Model(network.inputs[0], rescaled[-1])
            # training=False: layers that vary pictures at random would do so here
            self._front = partial(front, training=False)
            core = keras.Model(rescaled[-1], network.outputs[0])
            self.own_scaling = "the layer that rescales in this network"
        else:
            self._front = lambda batch: batch
            core = network
            self.own_scaling = "its preprocess_input"
        self._core = tf.function(core, autograph=False, reduce_retracing=True)

    def _scale(self, batch):
        """The model's own way: RGB 0…255 → what the core gets."""
        return np.asarray(self._front(self.classifier.preprocess_input(batch.copy())))

    def _scale_by(self, scaling, batch):
        """RGB 0…255 scaled in one of the ways, the colours in the model's own order."""
        scaled = SCALINGS[scaling](batch, self._scale)
        if scaling in (OWN, TWICE):  # these order the colours themselves
            return scaled
        return scaled[..., self._order]

    def run(self, image, shape, colours, scaling):
        """Prepare a picture in this way and classify it; returns a `Run`."""
        rule = replace(self.classifier.rule, shape=SHAPES[shape])
        batch = to_batch(image, self.classifier.size, rule)
        if colours != self.colours:
            batch = batch[..., ::-1]
        batch = self._scale_by(scaling, batch)
        scores = self._core(np.ascontiguousarray(batch, "float32"), training=False)
        probabilities = softmax(scores.numpy()[0])
        predictions = decode(probabilities, self.classifier.classes, TOP)
        return Run(self._as_image(batch[0]), predictions, batch.min(), batch.max())

    def _as_image(self, scaled):
        """The picture that would give these numbers, prepared the model's own way."""
        brightness = (scaled - self._black) / (self._white - self._black)
        rgb = brightness[..., self._order]
        pixels = (255 * rgb.clip(0, 1)).round()
        return Image.fromarray(pixels.astype("uint8"))

    def judge(self, shape, colours, scaling):
        """Which choices are right and which wrong, as HTML list items."""
        scaled = self._scale_by(scaling, self._test_batch)
        right_scaling = np.allclose(scaled, self._scale(self._test_batch), atol=0.01)
        black = format_number(self._black.min())
        white = format_number(self._white.max())
        wanted_scaling = f"black as {black}, white as {white}"
        return (
            self._judge_choice("Shape", shape, shape == self.shape, self.shape)
            + self._judge_choice(
                "Colours", colours, colours == self.colours, self.colours
            )
            + self._judge_choice("Scaling", scaling, right_scaling, wanted_scaling)
        )

    def _judge_choice(self, description, value, right, wanted):
        outcome = "right."
        if not right:
            outcome = f"wrong: {self.classifier.name} wants {wanted}."
        return f"<li>{html.escape(f'{description}: {value} – {outcome}')}</li>"


def _comparison(yours, right):
    """Whether two best `Prediction`s are the same answer, as HTML."""
    your_answer = _answer_html(yours)
    right_answer = _answer_html(right)
    if yours.name != right.name:
        return (
            f"<b>Another answer:</b> {your_answer}, correctly prepared {right_answer}."
        )
    if your_answer == right_answer:
        return f"<b>The same answer:</b> {your_answer}."
    return f"<b>The same answer:</b> {your_answer}, correctly prepared {right_answer}."


def _answer_html(prediction):
    return html.escape(f"{readable(prediction.name)} {prediction.probability:.2f}")


def _column(title, run):
    """A way's picture and answers as HTML."""
    low = format_number(run.low)
    high = format_number(run.high)
    caption = f"{title}: numbers {low} to {high}"
    alt = f"What is seen, {title}"
    figure = figure_html(run.image, alt, caption, SQUARE_SIDE)
    table = bar_table(run.predictions)
    return f"<div style='width: 22em; max-width: 100%'>{figure}{table}</div>"
