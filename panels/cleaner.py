"""Decide on suspected labels, one picture at a time."""

import html
from functools import partial

import ipywidgets
import numpy as np

from helpers.cleaning import CorrectionsError, kinds_of, read_corrections, write_corrections
from helpers.labels import Prediction
from helpers.pictures import DataError
from panels._parts import LABELS, Work, alert, bar_table, figure


def label_cleaner(pictures, suspicion, file, probabilities=None, first=None):
    """A panel that shows pictures one by one, the most suspicious first, to keep their label, give
    them another, or discard them. Each decision is in the corrections file at once (see
    `helpers.cleaning`), undo takes the last one out, and a cell that is run again goes on where the
    file ends. The pictures themselves stay as they are.
    pictures: `Pictures`; suspicion: floats (n,); file: the corrections file's path; probabilities:
    (n, classes) as from `out_of_fold`, to be shown and to propose a label; first: how many to go
    through, None: all. Returns an ipywidgets VBox with the parts `keep`, `label`, `relabel`,
    `discard`, `undo`, `progress`, `shown` and `status`, where errors are told. ValueError where the
    lengths differ."""
    suspicion, n = np.asarray(suspicion, float), len(pictures)
    rows = n if probabilities is None else len(probabilities)
    if not n or suspicion.shape != (n,) or rows != n:
        found = f"{n} pictures, suspicion {suspicion.shape}, {rows} rows of probabilities"
        raise ValueError(f"{found}: give one of each a picture, and pictures at all.")
    if not np.isfinite(suspicion).all() or first is not None and first < 1:
        raise ValueError("Suspicion should be finite numbers, and first None, or 1 or more.")
    if probabilities is not None and np.shape(probabilities)[1:] != (len(pictures.classes),):
        found = f"{np.shape(probabilities)} probabilities, {len(pictures.classes)} classes"
        raise ValueError(f"{found}: give one of each class.")
    order, classes = np.argsort(-suspicion, kind="stable")[:first].tolist(), pictures.classes
    panel = ipywidgets.VBox()
    panel.keep = keep = ipywidgets.Button(description="Keep", icon="check")
    panel.label = label = ipywidgets.Dropdown(description="New label", style=LABELS)
    panel.relabel = relabel = ipywidgets.Button(description="Relabel", icon="tag")
    panel.discard = discard = ipywidgets.Button(description="Discard", icon="trash")
    panel.undo = undo = ipywidgets.Button(description="Undo", icon="undo")
    panel.progress = progress = ipywidgets.IntProgress(0, 0, len(order), description="Decided")
    panel.status, panel.shown = ipywidgets.HTML(), ipywidgets.HTML()
    current, work = None, Work(panel.status)

    def draw(decisions, said=""):
        nonlocal current
        current = next((i for i in order if i not in decisions), None)
        progress.value = len(order) if current is None else sum(i in decisions for i in order)
        undo.disabled = not decisions
        for part in (keep, label, relabel, discard):
            part.disabled = current is None
        said += f"{progress.value} of {len(order)} decided; {_counted(pictures, decisions)}."
        panel.status.value = f"<p role='status'>{html.escape(said)}</p>"
        if current is None:
            panel.shown.value = f"<p><b>Done.</b> The decisions are in {html.escape(str(file))}</p>"
            return
        given = classes[pictures.labels[current]]
        scores = [] if probabilities is None else probabilities[current]
        scores = [Prediction("", *pair) for pair in zip(classes, scores, strict=False)]
        scores.sort(key=lambda score: -score.probability)
        names = [score.name for score in scores] or classes
        label.options, label.index = [name for name in names if name != given], 0
        keep.description = f"Keep: {given}"
        try:
            panel.shown.value = _card(pictures, current, given, scores)
        except DataError as error:  # the decision before it is in the file all the same
            panel.shown.value = alert(error, "This picture cannot be shown")

    def act(change):
        """Read the file, change what it says, write it, and show what is next."""
        try:
            decisions = read_corrections(pictures, file)
            said = change(decisions)
            write_corrections(pictures, file, decisions)
            draw(decisions, said)
        except (CorrectionsError, DataError) as error:
            panel.status.value = alert(error, "Nothing was changed")

    def decide(choose, decisions):
        if current is not None:  # None: the file could not be read before
            decisions.pop(current, None)  # so that undo takes this one first
            decisions[current] = choose()
        return ""

    def take_back(decisions):
        if not decisions:
            return ""
        path = pictures.paths[decisions.popitem()[0]]
        return f"{path.parent.name}/{path.name} is open again. "

    for part, change, tip in (
        (keep, partial(decide, lambda: int(pictures.labels[current])), "The label is right"),
        (relabel, partial(decide, lambda: classes.index(label.value)), "Give the label beside it"),
        (discard, partial(decide, lambda: None), "Leave this picture out: none of the classes"),
        (undo, take_back, "Take the last decision back"),
    ):
        work.on_click(partial(act, change), part)
        part.tooltip, part.layout.width = tip, "auto"
    label.tooltip, label.layout.width = "What the picture shows", "18em"
    try:
        draw(read_corrections(pictures, file))
    except (CorrectionsError, DataError) as error:
        panel.status.value = alert(error, "These corrections cannot be used")
    wrap = ipywidgets.Layout(flex_flow="row wrap")
    panel.children = [
        panel.status,
        progress,
        ipywidgets.HBox([keep, label, relabel, discard, undo], layout=wrap),
        panel.shown,
    ]
    return panel


def _counted(pictures, decisions):
    """How many decisions of each kind there are, in words."""
    kinds = kinds_of(pictures, decisions)
    each = (f"{kinds[kind]} {kind}" for kind in ("kept", "relabelled", "discarded"))
    return f"in the file: {', '.join(each)}"


def _card(pictures, position, given, scores):
    """A picture with its label and, beside it, what was said of it out of fold, as HTML."""
    (image,), path = pictures[position].images(), pictures.paths[position]
    image.thumbnail((320, 320))
    least = 240 if max(image.size) < 240 else 0
    shown = figure(image, f"The picture labelled {given}", f"{path.parent.name}/{path.name}", least)
    beside = f"<div>Learned from the other pictures:{bar_table(scores)}</div>" if scores else ""
    return (
        f"<p>Labelled <b>{html.escape(given)}</b>. Is it?</p>"
        f"<div style='display: flex; flex-wrap: wrap; gap: 1em'>{shown}{beside}</div>"
    )
