"""Decide on suspected labels, one picture at a time."""

import html
from functools import partial

import ipywidgets
import numpy as np

from helpers.labels import Prediction
from panels._common import (
    LABELS,
    Worker,
    alert_html,
    bar_table,
    figure_html,
    status_html,
    wrapping_row,
)
from panels.corrections import (
    CorrectionsError,
    kinds_of,
    read_corrections,
    write_corrections,
)
from safeguards.folders import DataError

MAX_SIDE = 400  # pixels of the picture on show
MIN_SIDE = 320  # pixels: smaller pictures are enlarged


def label_cleaner(pictures, suspicion, file, probabilities=None, first=None, then=None):
    """A panel to check labels, one picture at a time, the most suspicious first.

    Each label can be kept or replaced, or the picture discarded. Every decision is in
    the corrections file at once (see `panels.corrections`), undo takes the last one
    out, and a cell that is run again goes on where the file ends. The pictures
    themselves stay as they are.

    pictures: `Pictures`; suspicion: floats (n,); file: the corrections file's path;
    probabilities: (n, classes) as from `out_of_fold`, to be shown and to propose a
    label; first: how many to go through, None: all; then: None, or a function that says
    what to do after the last decision. Returns an ipywidgets VBox with the attributes
    `keep`, `label`, `relabel`, `discard`, `undo`, `progress`, `shown` and `status`,
    where errors are told. Raises ValueError if the lengths differ.
    """
    suspicion = np.asarray(suspicion, float)
    _check_inputs(pictures, suspicion, probabilities, first)
    order = np.argsort(-suspicion, kind="stable")[:first].tolist()
    classes = pictures.classes
    panel = _make_widgets(len(order))
    worker = Worker(panel.status)
    current = None  # the position of the picture on show; None: no picture is
    reopened = None  # that of the last decision taken back, which is shown again

    def draw(decisions, message=""):
        nonlocal current
        undecided = [i for i in order if i not in decisions]
        current = undecided[0] if undecided else None
        if reopened in undecided:
            current = reopened
        panel.progress.value = len(order) - len(undecided)
        panel.undo.disabled = not decisions
        for widget in (panel.keep, panel.label, panel.relabel, panel.discard):
            widget.disabled = current is None
        progress = f"{panel.progress.value} of {len(order)} decided"
        counts = _count_text(pictures, decisions, order)
        panel.status.value = status_html(f"{message}{progress}: {counts}")
        if current is None:
            path = html.escape(str(file))
            panel.shown.value = (
                f"<p><b>Done.</b> The decisions are in {path}</p>"
                f"<p>{html.escape(then() if then else '')}</p>"
            )
            return
        given = classes[pictures.labels[current]]
        scores = []
        if probabilities is not None:
            scores = _ranked(classes, probabilities[current])
        names = [score.name for score in scores] or classes
        panel.label.options = [name for name in names if name != given]
        panel.label.index = 0
        panel.keep.description = f"Keep: {given}"
        try:
            panel.shown.value = _card(pictures, current, given, scores)
        except DataError as error:  # the decision before it is in the file all the same
            panel.shown.value = alert_html(error, "This picture cannot be shown")

    def act(change):
        """Read the file, change what it says, write it, and show the next picture."""
        try:
            decisions = read_corrections(pictures, file)
            message = change(decisions)
            write_corrections(pictures, file, decisions)
            draw(decisions, message)
        except (CorrectionsError, DataError) as error:
            panel.status.value = alert_html(error, "Nothing was changed")

    def decide(choose_label, decisions):
        if current is not None:  # None: the file could not be read before
            decisions.pop(current, None)  # so that undo takes this one first
            decisions[current] = choose_label()
        return ""

    def undo(decisions):
        nonlocal reopened
        if not decisions:
            return ""
        reopened, _ = decisions.popitem()
        path = pictures.paths[reopened]
        return f"{path.parent.name}/{path.name} is open again. "

    def given_label():
        return int(pictures.labels[current])

    def new_label():
        return classes.index(panel.label.value)

    def no_label():
        return None

    changes = {
        panel.keep: partial(decide, given_label),
        panel.relabel: partial(decide, new_label),
        panel.discard: partial(decide, no_label),
        panel.undo: undo,
    }
    for button, change in changes.items():
        worker.on_click(partial(act, change), button)
    try:
        draw(read_corrections(pictures, file))
    except (CorrectionsError, DataError) as error:
        panel.status.value = alert_html(error, "These corrections cannot be used")
    return panel


def _check_inputs(pictures, suspicion, probabilities, first):
    """Raise ValueError unless there is one value, or row, for each picture."""
    n = len(pictures)
    n_rows = n if probabilities is None else len(probabilities)
    if not n or suspicion.shape != (n,) or n_rows != n:
        raise ValueError(
            f"{n} pictures, suspicion {suspicion.shape}, {n_rows} rows of "
            "probabilities: give one of each a picture, and pictures at all."
        )
    too_few = first is not None and first < 1
    if not np.isfinite(suspicion).all() or too_few:
        raise ValueError(
            "Suspicion should be finite numbers, and first None, or 1 or more."
        )
    if probabilities is None:
        return
    shape = np.shape(probabilities)
    n_classes = len(pictures.classes)
    if shape[1:] != (n_classes,):
        raise ValueError(
            f"{shape} probabilities, {n_classes} classes: give one of each class."
        )


def _make_widgets(n_pictures):
    """The panel with its widgets, laid out and labelled, without what they do."""
    panel = ipywidgets.VBox()
    panel.keep = ipywidgets.Button(description="Keep", icon="check")
    panel.label = ipywidgets.Dropdown(description="New label", style=LABELS)
    panel.relabel = ipywidgets.Button(description="Relabel", icon="tag")
    panel.discard = ipywidgets.Button(description="Leave out", icon="ban")
    panel.undo = ipywidgets.Button(description="Undo", icon="undo")
    panel.progress = ipywidgets.IntProgress(0, 0, n_pictures, description="Decided")
    panel.status = ipywidgets.HTML()
    panel.shown = ipywidgets.HTML()
    tooltips = {
        panel.keep: "The label is right",
        panel.relabel: "Give the label beside it",
        panel.discard: "It's none of the classes: don't learn from it. The file stays.",
        panel.undo: "Take the last decision back",
    }
    for button, tooltip in tooltips.items():
        button.tooltip = tooltip
        button.layout.width = "auto"
    panel.label.tooltip = "What the picture shows"
    panel.label.layout.width = "18em"
    buttons = wrapping_row(
        panel.keep, panel.label, panel.relabel, panel.discard, panel.undo
    )
    panel.children = [panel.status, panel.progress, buttons, panel.shown]
    return panel


def _ranked(classes, probabilities):
    """One picture's probabilities as `Prediction`s, best first."""
    scores = [
        Prediction("", name, probability)
        for name, probability in zip(classes, probabilities, strict=True)
    ]
    return sorted(scores, key=lambda score: -score.probability)


def _count_text(pictures, decisions, order):
    """How many decisions of each kind there are on the pictures in `order`, in words;
    and how many on others, if there are any: they're in the file as well."""
    here = {i: label for i, label in decisions.items() if i in order}
    counts = kinds_of(pictures, here)
    text = (
        f"{counts['kept']} kept, {counts['relabelled']} relabelled, "
        f"{counts['left out']} left out."
    )
    others = len(decisions) - len(here)
    if others:
        text += f" The file also holds decisions on other pictures: {others}."
    return text


def _card(pictures, position, given, scores):
    """A picture with its label and its out-of-fold probabilities, as HTML."""
    (image,) = pictures[position].images()
    path = pictures.paths[position]
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    min_side = MIN_SIDE if max(image.size) < MIN_SIDE else 0
    name = html.escape(f"{path.parent.name}/{path.name}")
    figure = figure_html(image, f"The picture labelled {given}", min_side=min_side)
    beside = ""
    if scores:
        says = "What a classifier that learned only from other pictures says:"
        beside = f"<div>{says}{bar_table(scores)}</div>"
    return (
        f"<p>The label of {name} is <b>{html.escape(given)}</b>. Is "
        "that right?</p>"
        f"<div style='display: flex; flex-wrap: wrap; gap: 1em'>{figure}{beside}</div>"
    )
