"""See what a threshold does."""

import html

import ipywidgets
import numpy as np

from helpers.plots import BLUE, ORANGE, image_tag
from panels._common import Worker

MAX_SHOWN = 8  # pictures whose answer has changed
THUMBNAIL = (96, 96)  # pixels


def threshold_widget(positive, scores, images, names, miss, alarm, start=0.5):
    """A panel that shows what a threshold does.

    Each step of its slider moves the next picture to the other side. Below it are the
    confusion matrix and the cost there, and the pictures whose answer isn't what it is
    at `start`, the last one that changed first.

    positive: bool (n,), what is true; scores: probabilities (n,); images, names: n PIL
    images and what each shows; miss, alarm: the costs of a wrong no and a wrong yes.
    Returns an ipywidgets VBox with the attributes `slider` and `result`. Raises
    ValueError if the lengths differ.
    """
    # Here, as lesson 01's panel needs neither this nor the libraries behind it.
    from sklearn.metrics import confusion_matrix

    from helpers.evaluate import expected_cost, thresholds

    positive = np.asarray(positive)
    scores = np.asarray(scores, float)
    if not len(images) == len(names) == len(scores):
        lengths = f"{len(scores)} scores, {len(images)} images and {len(names)} names"
        raise ValueError(f"{lengths}: give one of each a picture.")
    always_yes, always_no = expected_cost(
        positive, scores, [-np.inf, np.inf], miss, alarm
    )
    n_below_start = int((np.unique(scores) < start).sum())
    slider = ipywidgets.SelectionSlider(
        options=[(f"{value:.3g}", value) for value in thresholds(scores)],
        index=n_below_start,
        description="Yes from",
    )
    slider.layout.width = "40em"
    result = ipywidgets.HTML()

    def changed_pictures():
        """The positions of pictures whose answer has changed, the last one first."""
        changed = np.flatnonzero((scores >= slider.value) != (scores >= start))
        changed = changed[np.argsort(scores[changed], kind="stable")]
        return changed[::-1] if slider.value > start else changed

    def update(_=None):
        yes = scores >= slider.value
        counts = confusion_matrix(positive, yes, labels=[False, True])
        (_, alarms), (misses, _) = counts
        cost = expected_cost(positive, scores, slider.value, miss, alarm)
        changed = changed_pictures()
        shown = changed[:MAX_SHOWN]
        pictures = ""
        for i in shown:
            correct = yes[i] == positive[i]
            pictures += _changed_picture(
                images[i], names[i], scores[i], yes[i], correct
            )
        more = f"; the last {len(shown)} to change:" if len(changed) else "."
        result.value = (
            f"{_confusion_table(counts)}<p role='status'>"
            f"<b>Cost {cost:.2f} a picture</b> (always yes {always_yes:.2f}, always no "
            f"{always_no:.2f}): {misses} misses × {miss:g} and {alarms} false alarms × "
            f"{alarm:g}, over {len(yes)} pictures. Answers other than at {start:.2g}: "
            f"{len(changed)}{more}</p>{pictures}"
        )

    Worker(result).observe(slider, update)
    update()
    panel = ipywidgets.VBox([slider, result])
    panel.slider = slider
    panel.result = result
    return panel


def _confusion_table(counts):
    """A confusion matrix of no and yes as an HTML table."""
    header = "<td></td>"
    for answer in ("no", "yes"):
        header += f"<th scope='col' style='padding: 0 1em'>answer {answer}</th>"
    rows = f"<tr>{header}</tr>"
    for truth, row in zip(("no", "yes"), counts, strict=True):
        cells = ""
        for count in row:
            cells += f"<td style='text-align: center'>{count}</td>"
        rows += f"<tr><th scope='row'>truth {truth}</th>{cells}</tr>"
    return f"<table><caption>Pictures</caption>{rows}</table>"


def _changed_picture(image, name, score, yes, correct):
    """A small picture with its new answer as HTML.

    Its frame tells right from wrong, and so do the words.
    """
    answer = "yes" if yes else "no"
    if correct:
        outcome = "right"
    elif yes:
        outcome = "a false alarm"
    else:
        outcome = "a miss"
    border = f"solid {BLUE}" if correct else f"dashed {ORANGE}"
    text = f"{name} {score:.3g}: {answer}, {outcome}"
    thumbnail = image.copy()
    thumbnail.thumbnail(THUMBNAIL)
    return (
        "<figure style='display: inline-block; margin: 4px; width: 110px; "
        f"vertical-align: top; border-top: 6px {border}'>"
        f"{image_tag(thumbnail, text)}"
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
    )
