"""See what wrong preparation does to a picture and to the answer."""

import html
from dataclasses import replace
from functools import partial

import ipywidgets
import numpy as np
from PIL import Image
from scipy.special import softmax

from helpers.images import load_image, sample_names, to_batch
from helpers.labels import decode
from panels._common import LABELS, Worker, bar_table, figure_html, format_number, persist_values

SHAPES = {"cut to a square": "square", "squashed": "each_side"}
OWN, TWICE = "the model's own", "÷ 255, then its own"
SCALINGS = {
    OWN: lambda batch, own: own(batch),
    TWICE: lambda batch, own: own(batch / 255),
    "÷ 255: 0…1": lambda batch, own: batch / 255,
    "÷ 127.5 − 1: −1…1": lambda batch, own: batch / 127.5 - 1,
    "none: 0…255": lambda batch, own: batch,
}
COLOURS = 255 * np.float32([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])


def preprocess_widget(classifier, image="cat"):
    """A panel in which a picture is prepared in a right or wrong way: what the network then sees
    and answers, beside the correct way; in words, which choice is the right one.
    classifier: a `Classifier`; image: the first picture, whatever `load_image` takes. Where the
    network rescales by a layer of its own, choices are made below that layer, else they could only
    be made on top of it. Returns an ipywidgets VBox with the parts `picture`, `shape`, `colours`,
    `scaling`, `status` (whether the answer changes) and `result`. Raises an ImageError."""
    own = _Preparation(classifier)
    pictures = {name: name for name in sample_names()}
    if not (isinstance(image, str) and image in pictures):
        pictures = {"yours": load_image(image)} | pictures
    panel = ipywidgets.VBox()
    panel.picture = ipywidgets.Dropdown(description="Picture", options=list(pictures))
    panel.picture.value = "yours" if "yours" in pictures else image
    panel.shape = ipywidgets.RadioButtons(description="Shape", options=list(SHAPES))
    panel.shape.value = own.shape
    panel.colours = ipywidgets.RadioButtons(description="Colours", options=["RGB", "BGR"])
    panel.colours.value = own.colours
    panel.scaling = ipywidgets.RadioButtons(description="Scaling", options=list(SCALINGS))
    panel.status, panel.result = ipywidgets.HTML(), ipywidgets.HTML()
    choices, work = (panel.shape, panel.colours, panel.scaling), Worker(panel.status)

    def update(_=None):
        with work.busy("Working …"):
            picture = load_image(pictures[panel.picture.value])
            right = own.run(picture, own.shape, own.colours, OWN)
            yours = own.run(picture, *(choice.value for choice in choices))
        panel.status.value = f"<p role='status'>{_compared(yours[1][0], right[1][0])}</p>"
        panel.result.value = (
            f"<div style='line-height: 1.5'><ul style='margin: 0'>{own.judged(*choices)}</ul>"
            f"<p>{own.place}</p><div style='display: flex; flex-wrap: wrap; gap: 1em'>"
            + _column("Your way", *yours)
            + _column(f"{classifier.name}'s way", *right)
            + "</div></div>"
        )

    for part, tip in (
        (panel.picture, "The picture that is prepared"),
        (panel.shape, "How the picture becomes a square"),
        (panel.colours, "In which order red, green and blue reach the network"),
        (panel.scaling, "What becomes of the numbers 0…255"),
    ):
        part.tooltip, part.style, part.layout.max_width = tip, LABELS, "100%"
    about = classifier.name, tuple(classifier.classes)
    persist_values(("preprocess", *about), picture=panel.picture, shape=panel.shape,
             colours=panel.colours, scaling=panel.scaling)  # fmt: skip
    for part in (panel.picture, *choices):
        work.observe(part, update)
    update()
    for choice in choices:
        choice.layout.width = "15em"
    row = ipywidgets.HBox(choices, layout=ipywidgets.Layout(flex_flow="row wrap"))
    panel.children = [panel.picture, row, panel.status, panel.result]
    return panel


class _Preparation:
    """What a classifier wants of a picture, and its network from where it gets that."""

    def __init__(self, classifier):
        import tensorflow as tf

        from helpers import keras

        self.classifier, network = classifier, classifier.network
        kinds = (keras.layers.Rescaling, keras.layers.Normalization)
        inside = [layer.output for layer in network.layers if isinstance(layer, kinds)]
        front = keras.Model(network.inputs[0], inside[-1]) if inside else None
        core = keras.Model(inside[-1], network.outputs[0]) if inside else network
        self._core = tf.function(core, autograph=False, reduce_retracing=True)
        # training=False: layers that vary pictures at random would else do so here
        self._front = partial(front, training=False) if front else lambda batch: batch
        place = "the layer that rescales in this network" if inside else "its preprocess_input"
        self.place = f"Your scaling takes the place of {place}."
        shapes = {shape: name for name, shape in SHAPES.items()}
        self.shape = shapes[classifier.rule.shape]
        size = classifier.size
        self._plain = COLOURS[:, None, None] * np.ones((1, size, size, 1), "float32")
        self._black, self._white, *primaries = self._scaled(self._plain)[:, 0, 0]
        # where red, green and blue went
        self._order = [int((primary - self._black).argmax()) for primary in primaries]
        self.colours = "BGR" if self._order == [2, 1, 0] else "RGB"

    def _scaled(self, batch):
        """The model's own way: RGB 0…255 → what the core gets."""
        return np.asarray(self._front(self.classifier.preprocess_input(batch.copy())))

    def _made(self, batch, scaling):
        """RGB 0…255 scaled in one of the ways; the order of the colours is the model's own."""
        batch = SCALINGS[scaling](batch, self._scaled)
        return batch if scaling in (OWN, TWICE) else batch[..., self._order]

    def run(self, image, shape, colours, scaling):
        """→ the picture that, correctly prepared, would give the core these same numbers; the five
        likeliest classes; the smallest and largest number."""
        rule = replace(self.classifier.rule, shape=SHAPES[shape])
        batch = to_batch(image, self.classifier.size, rule)
        if colours != self.colours:
            batch = batch[..., ::-1]
        batch = self._made(batch, scaling)
        seen = ((batch - self._black) / (self._white - self._black))[0][..., self._order]
        seen = Image.fromarray((255 * seen.clip(0, 1)).round().astype("uint8"))
        scores = self._core(np.ascontiguousarray(batch, "float32"), training=False).numpy()
        predictions = decode(softmax(scores[0]), self.classifier.classes, 5)
        return seen, predictions, batch.min(), batch.max()

    def judged(self, shape, colours, scaling):
        """Which choice is right and which wrong, as HTML list items."""
        wants = f"black as {format_number(self._black.min())}, white as {format_number(self._white.max())}"
        made, own = self._made(self._plain, scaling.value), self._scaled(self._plain)
        said = ""
        for part, right, wanted in (
            (shape, shape.value == self.shape, self.shape),
            (colours, colours.value == self.colours, self.colours),
            (scaling, np.allclose(made, own, atol=0.01), wants),
        ):
            verdict = "right." if right else f"wrong: {self.classifier.name} wants {wanted}."
            said += f"<li>{html.escape(f'{part.description}: {part.value} – {verdict}')}</li>"
        return said


def _compared(yours, right):
    a, b = (html.escape(f"{p.name.replace('_', ' ')} {p.probability:.2f}") for p in (yours, right))
    if yours.name != right.name:
        return f"<b>Another answer:</b> {a}, correctly prepared {b}."
    return f"<b>The same answer:</b> {a}" + (f", correctly prepared {b}." if a != b else ".")


def _column(title, seen, predictions, low, high):
    said = f"{title}: numbers {format_number(low)} to {format_number(high)}"
    picture = figure_html(seen, f"What is seen, {title}", said, 224)
    return f"<div style='width: 22em; max-width: 100%'>{picture}{bar_table(predictions)}</div>"
