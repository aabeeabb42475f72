"""Look at a model's errors, and at where it looks."""

import html

import ipywidgets
import numpy as np

from helpers.explain import grad_cam, overlay
from helpers.plots import BLUE, ORANGE, image_tag
from panels._common import LABELS, Worker, alert_html, persist_values

PER_PAGE = 8
SIDE = 144  # pixels of a picture on the page


def error_browser(pictures, probabilities, model):
    """A panel of a model's answers: the wrong ones, the surest on top, then the right ones, the
    least certain on top. Beside each picture lies the Grad-CAM of the answer, computed for those
    shown alone. Two filters: what it really is, what it was taken for. A cell that is run again
    shows the same filters and page.
    pictures: `Pictures`; probabilities: the model's for them, (n, classes); model: as `grad_cam`
    takes it, with these classes as outputs. Returns an ipywidgets VBox with the parts `truth`,
    `answer`, `page`, `before`, `after` and `result`, where errors are told, too. ValueError where
    pictures, probabilities and outputs do not fit together, or it gets logits."""
    classes, labels = pictures.classes, pictures.labels
    probabilities = np.asarray(probabilities, float)
    if not len(pictures) or probabilities.shape != (len(pictures), len(classes)):
        found = f"probabilities {probabilities.shape}, not ({len(pictures)}, {len(classes)})"
        raise ValueError(f"{found}: give one row a picture, and pictures at all.")
    if (probabilities < 0).any() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise ValueError("Each row of probabilities should have the sum 1: softmax makes them.")
    outputs = getattr(model, "network", model).output_shape[-1]
    if outputs != len(classes):
        raise ValueError(f"The model has {outputs} outputs, the pictures {len(classes)} classes.")
    answers, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = answers != labels
    order = np.lexsort((np.where(wrong, -sure, sure), ~wrong))
    options, cards = [("all classes", -1), *((name, i) for i, name in enumerate(classes))], {}
    panel = ipywidgets.VBox()
    panel.truth = truth = ipywidgets.Dropdown(options=options, description="Really")
    panel.answer = answer = ipywidgets.Dropdown(options=options, description="Taken for")
    panel.page = page = ipywidgets.BoundedIntText(1, min=1, max=len(order), description="Page")
    panel.before = before = ipywidgets.Button(description="Previous page", icon="arrow-left")
    panel.after = after = ipywidgets.Button(description="Next page", icon="arrow-right")
    panel.result = result = ipywidgets.HTML()
    work = Worker(result)

    def look(rows):
        """Make the cards of these pictures, those that are not there yet, all in one go."""
        if new := [i for i in rows if i not in cards]:
            images = pictures[new].images()
            maps = grad_cam(model, images, answers[new])
            for i, image, heat in zip(new, images, maps, strict=True):
                cards[i] = _card(image, overlay(model, image, heat, SIDE), heat, said(i), wrong[i])

    def said(i):
        really, taken = classes[labels[i]], classes[answers[i]]
        if wrong[i]:
            own = probabilities[i, labels[i]]
            return really, taken, f"{really}, taken for {taken} {sure[i]:.2f} ({really} {own:.2f})"
        return really, taken, f"{really}, right, {sure[i]:.2f}"

    def draw(_=None):
        rows = np.array([truth.value in (-1, label) for label in labels])
        rows &= [answer.value in (-1, given) for given in answers]
        rows = order[rows[order]]
        pages = max(1, -(-len(rows) // PER_PAGE))
        page.max = pages  # a larger value moves there
        shown = rows[(page.value - 1) * PER_PAGE : page.value * PER_PAGE].tolist()
        count = f"{len(rows)} pictures, {wrong[rows].sum()} answered wrong"
        status = f"<p role='status'>{count}; page {page.value} of {pages}.</p>"
        try:
            with work.busy("Looking inside …"):
                look(shown)
            result.value = status + "".join(cards[i] for i in shown)
        except ValueError as error:  # of the pictures, or of Grad-CAM
            result.value = status + alert_html(error, "These cannot be shown")

    def filtered(_):
        if page.value == 1:
            draw()
        page.value = 1  # which draws, too, if it was another

    about = pictures.name, pictures.paths, hash(probabilities.tobytes())
    persist_values(("errors", *about), truth=truth, answer=answer, page=page)
    for part, tip in (
        (truth, "Show only pictures that really are of this class"),
        (answer, "Show only pictures that the model takes for this class"),
        (page, "Pages of eight pictures; the arrow keys turn them"),
    ):
        part.style, part.tooltip = LABELS, tip
        work.observe(part, draw if part is page else filtered)
    before.on_click(lambda _: setattr(page, "value", page.value - 1))  # which stays in its bounds
    after.on_click(lambda _: setattr(page, "value", page.value + 1))
    draw()
    wrap = ipywidgets.Layout(flex_flow="row wrap")
    panel.children = [
        ipywidgets.HBox([truth, answer], layout=wrap),
        ipywidgets.HBox([page, before, after], layout=wrap),
        result,
    ]
    return panel


def _card(image, explained, heat, said, wrong):
    """A picture and its map as HTML; a frame tells right from wrong, and so do the words."""
    really, taken, caption = said
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    mark = f"dashed {ORANGE}" if wrong else f"solid {BLUE}"
    return (
        f"<figure style='display: inline-block; margin: 4px 8px 8px 4px; vertical-align: top; "
        f"border-top: 6px {mark}'>{image_tag(small, f'A picture of: {really}')} "
        f"{image_tag(explained, f'What speaks for {taken}: {_place(heat)}')}"
        f"<figcaption style='max-width: {2 * SIDE}px; line-height: 1.3'>{html.escape(caption)}"
        "</figcaption></figure>"
    )


def _place(heat):
    """Where a map is strongest, in words."""
    if not heat.any():
        return "nothing, anywhere"
    row, column = (3 * np.array(np.unravel_index(heat.argmax(), heat.shape)) // len(heat)).tolist()
    names = (
        ("above", "halfway up", "below")[row],
        ("on the left", "in the middle", "on the right")[column],
    )
    return f"most of it {names[0]}, {names[1]}"
