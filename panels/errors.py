"""Look at a model's errors, and at where it looks."""

import html
import math

import ipywidgets
import numpy as np

from helpers.explain import grad_cam, overlay
from helpers.plots import BLUE, ORANGE, image_tag
from panels._common import (
    LABELS,
    Worker,
    alert_html,
    persist_values,
    status_html,
    wrapping_row,
)

PER_PAGE = 8
SIDE = 144  # pixels of a picture on the page
ALL_CLASSES = -1  # the value of a filter that lets everything pass


def error_browser(pictures, probabilities, model):
    """A panel of a model's answers, each with the Grad-CAM of that answer.

    The wrong ones come first, the surest on top, then the right ones, the least certain
    on top. Two filters choose what a picture really is and what it was taken for. The
    maps are computed only for the pictures on the page. A cell that is run again shows
    the same filters and page.

    pictures: `Pictures`; probabilities: the model's for them, (n, classes); model: as
    `grad_cam` takes it, with these classes as outputs. A picture that can't be read, or
    has no map, doesn't keep the others from being shown: its card says why. Returns an
    ipywidgets VBox with the attributes `truth`, `answer`, `page`, `before`, `after` and
    `result`. Raises ValueError if pictures, probabilities and outputs don't fit
    together, or if it gets logits.
    """
    probabilities = np.asarray(probabilities, float)
    _check_inputs(pictures, probabilities, model)
    answers = _Answers(pictures, probabilities, model)
    panel = _make_widgets(pictures.classes, len(pictures))
    worker = Worker(panel.result)

    def draw(_=None):
        rows = answers.filtered(panel.truth.value, panel.answer.value)
        n_pages = max(1, math.ceil(len(rows) / PER_PAGE))
        panel.page.max = n_pages  # a larger value moves there
        page = panel.page.value
        first = (page - 1) * PER_PAGE
        shown = rows[first : first + PER_PAGE].tolist()
        n_wrong = answers.wrong[rows].sum()
        count = f"{len(rows)} pictures, {n_wrong} answered wrong"
        status = status_html(f"{count}; page {page} of {n_pages}.")
        with worker.busy("Looking inside …"):
            cards = answers.cards(shown)
        panel.result.value = status + "".join(cards)

    def draw_first_page(_):
        if panel.page.value == 1:
            draw()
        panel.page.value = 1  # which draws, too, if it was another

    def turn(step):
        panel.page.value += step  # which stays in its bounds

    # the same pictures with the answers of another model are another panel
    key = ("errors", pictures.name, pictures.paths, hash(probabilities.tobytes()))
    persist_values(key, truth=panel.truth, answer=panel.answer, page=panel.page)
    worker.observe(panel.truth, draw_first_page)
    worker.observe(panel.answer, draw_first_page)
    worker.observe(panel.page, draw)
    panel.before.on_click(lambda _: turn(-1))
    panel.after.on_click(lambda _: turn(1))
    draw()
    return panel


def _check_inputs(pictures, probabilities, model):
    """Raise ValueError unless pictures, probabilities and the model fit together."""
    n_classes = len(pictures.classes)
    expected_shape = (len(pictures), n_classes)
    if not len(pictures) or probabilities.shape != expected_shape:
        raise ValueError(
            f"probabilities {probabilities.shape}, not {expected_shape}: give one row "
            "a picture, and pictures at all."
        )
    sums = probabilities.sum(axis=1)
    if (probabilities < 0).any() or not np.allclose(sums, 1, atol=1e-3):
        raise ValueError(
            "Each row of probabilities should have the sum 1: softmax makes them."
        )
    network = getattr(model, "network", model)
    n_outputs = network.output_shape[-1]
    if n_outputs != n_classes:
        raise ValueError(
            f"The model has {n_outputs} outputs, the pictures {n_classes} classes."
        )


def _make_widgets(classes, n_pictures):
    """The panel with its widgets, laid out and labelled, without what they do."""
    options = [("all classes", ALL_CLASSES)]
    options += [(name, position) for position, name in enumerate(classes)]
    panel = ipywidgets.VBox()
    panel.truth = ipywidgets.Dropdown(options=options, description="Really")
    panel.answer = ipywidgets.Dropdown(options=options, description="Taken for")
    panel.page = ipywidgets.BoundedIntText(1, min=1, max=n_pictures, description="Page")
    panel.before = ipywidgets.Button(description="Previous page", icon="arrow-left")
    panel.after = ipywidgets.Button(description="Next page", icon="arrow-right")
    panel.result = ipywidgets.HTML()
    tooltips = {
        panel.truth: "Show only pictures that really are of this class",
        panel.answer: "Show only pictures that the model takes for this class",
        panel.page: "Pages of eight pictures; the arrow keys turn them",
    }
    for widget, tooltip in tooltips.items():
        widget.tooltip = tooltip
        widget.style = LABELS
    panel.children = [
        wrapping_row(panel.truth, panel.answer),
        wrapping_row(panel.page, panel.before, panel.after),
        panel.result,
    ]
    return panel


class _Answers:
    """A model's answers to pictures, in the order of the panel, and their cards."""

    def __init__(self, pictures, probabilities, model):
        self.pictures = pictures
        self.probabilities = probabilities
        self.model = model
        self.given = probabilities.argmax(axis=1)
        self.confidence = probabilities.max(axis=1)
        self.wrong = self.given != pictures.labels
        # the surest errors first, then the least certain right ones
        key = np.where(self.wrong, -self.confidence, self.confidence)
        self.order = np.lexsort((key, ~self.wrong))
        self._cards = {}

    def filtered(self, truth, answer):
        """The positions of pictures that pass both filters, in the panel's order."""
        passes = np.ones(len(self.pictures), bool)
        if truth != ALL_CLASSES:
            passes &= np.asarray(self.pictures.labels) == truth
        if answer != ALL_CLASSES:
            passes &= self.given == answer
        return self.order[passes[self.order]]

    def cards(self, rows):
        """These pictures' cards as HTML; new ones are made all in one go. A card says
        so where its picture can't be read, or has no map."""
        new = [i for i in rows if i not in self._cards]
        if new:
            try:
                images = self.pictures[new].images()
                heatmaps = grad_cam(self.model, images, self.given[new])
            except ValueError:  # of one of them: the others go on without it
                self._cards.update((i, self._card_alone(i)) for i in new)
            else:
                for i, image, heatmap in zip(new, images, heatmaps, strict=True):
                    self._cards[i] = self._card(i, image, heatmap)
        return [self._cards[i] for i in rows]

    def _card_alone(self, i):
        """A picture's card, whatever goes wrong with its file or its map."""
        try:
            (image,) = self.pictures[[i]].images()
        except ValueError as error:
            return alert_html(error, "This picture cannot be shown")
        try:
            heatmap = grad_cam(self.model, image, self.given[i])
        except ValueError as error:
            return self._card(i, image, None, str(error))
        return self._card(i, image, heatmap)

    def _card(self, i, image, heatmap, why_none=""):
        """A picture and its map as HTML; frame and words both tell right from wrong.
        heatmap: None where there is none; why_none: what to say then."""
        truth = self.pictures.classes[self.pictures.labels[i]]
        answer = self.pictures.classes[self.given[i]]
        thumbnail = image.copy()
        thumbnail.thumbnail((SIDE, SIDE))
        shown = [image_tag(thumbnail, f"A picture of: {truth}")]
        caption = html.escape(self._caption(i, truth, answer))
        if heatmap is None:
            caption += f"<br>No map: {html.escape(why_none)}"
        else:
            explained = overlay(self.model, image, heatmap, SIDE)
            strongest = f"What speaks for {answer}: {_strongest_region(heatmap)}"
            shown.append(image_tag(explained, strongest))
        border = f"dashed {ORANGE}" if self.wrong[i] else f"solid {BLUE}"
        return (
            "<figure style='display: inline-block; margin: 4px 8px 8px 4px; "
            f"vertical-align: top; border-top: 6px {border}'>{' '.join(shown)}"
            f"<figcaption style='max-width: {2 * SIDE}px; line-height: 1.3'>{caption}"
            "</figcaption></figure>"
        )

    def _caption(self, i, truth, answer):
        confidence = self.confidence[i]
        if not self.wrong[i]:
            return f"{truth}, right, {confidence:.2f}"
        of_truth = self.probabilities[i, self.pictures.labels[i]]
        return f"{truth}, taken for {answer} {confidence:.2f} ({truth} {of_truth:.2f})"


def _strongest_region(heatmap):
    """Where a map is strongest, in words."""
    if not heatmap.any():
        return "nothing, anywhere"
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    # in thirds; maps are square
    height = ("above", "halfway up", "below")[3 * row // len(heatmap)]
    side = ("on the left", "in the middle", "on the right")[3 * column // len(heatmap)]
    return f"most of it {height}, {side}"
