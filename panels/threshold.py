"""See what a threshold does."""

import html

import ipywidgets
import numpy as np

from helpers.plots import BLUE, ORANGE, image_tag
from panels._common import Worker


def threshold_widget(positive, scores, images, names, miss, alarm, start=0.5):
    """A panel that shows what a threshold does: a slider on which each step moves the next picture
    to the other side, the confusion matrix and the cost there, and the pictures whose answer is not
    what it is at `start`, the last that changed first.
    positive: bool (n,), what is true; scores: probabilities (n,); images, names: n PIL images and
    what each shows; miss, alarm: costs of a wrong no and a wrong yes. Returns an ipywidgets VBox
    with the parts `slider` and `result`. ValueError where the lengths differ."""
    # Here, as lesson 01's panel needs neither this nor the libraries behind it.
    from helpers.evaluate import confusion, expected_cost, thresholds

    positive, scores = np.asarray(positive), np.asarray(scores, float)
    if not len(images) == len(names) == len(scores):
        found = f"{len(scores)} scores, {len(images)} images and {len(names)} names"
        raise ValueError(f"{found}: give one of each a picture.")
    always = expected_cost(positive, scores, [-np.inf, np.inf], miss, alarm)
    slider = ipywidgets.SelectionSlider(
        options=[(f"{threshold:.3g}", threshold) for threshold in thresholds(scores)],
        index=int((np.unique(scores) < start).sum()),
        description="Yes from",
    )
    slider.layout.width = "40em"
    result = ipywidgets.HTML()

    def update(_=None):
        yes = scores >= slider.value
        changed = np.flatnonzero(yes != (scores >= start))
        changed = changed[np.argsort(scores[changed], kind="stable")]
        if slider.value > start:
            changed = changed[::-1]
        (_, alarms), (misses, _) = counts = confusion(positive, yes, n_classes=2)
        cost = expected_cost(positive, scores, slider.value, miss, alarm)
        said = (
            f"<b>Cost {cost:.2f} a picture</b> (always yes {always[0]:.2f}, always no "
            f"{always[1]:.2f}): {misses} misses × {miss:g} and {alarms} false alarms × {alarm:g}, "
            f"over {len(yes)} pictures. Answers other than at {start:.2g}: {len(changed)}"
        )
        shown = "".join(
            _changed_side(images[i], names[i], scores[i], yes[i], yes[i] == positive[i])
            for i in changed[:8]
        )
        more = f"; the last {len(changed[:8])} to change:" if len(changed) else "."
        result.value = f"{_table(counts)}<p role='status'>{said}{more}</p>{shown}"

    Worker(result).observe(slider, update)
    update()
    panel = ipywidgets.VBox([slider, result])
    panel.slider, panel.result = slider, result
    return panel


def _table(counts):
    """A confusion matrix of no and yes as an HTML table."""
    heads = "".join(
        f"<th scope='col' style='padding: 0 1em'>answer {answer}</th>" for answer in ("no", "yes")
    )
    rows = ""
    for truth, row in zip(("no", "yes"), counts, strict=True):
        cells = "".join(f"<td style='text-align: center'>{count}</td>" for count in row)
        rows += f"<tr><th scope='row'>truth {truth}</th>{cells}</tr>"
    return f"<table><caption>Pictures</caption><tr><td></td>{heads}</tr>{rows}</table>"


def _changed_side(image, name, score, yes, right):
    """A small picture with its new answer; a frame tells right from wrong, and so do the words."""
    verdict = "right" if right else "a false alarm" if yes else "a miss"
    said = f"{name} {score:.3g}: {'yes' if yes else 'no'}, {verdict}"
    image = image.copy()
    image.thumbnail((96, 96))
    return (
        "<figure style='display: inline-block; margin: 4px; width: 110px; vertical-align: top; "
        f"border-top: 6px {f'solid {BLUE}' if right else f'dashed {ORANGE}'}'>"
        f"{image_tag(image, said)}<figcaption>{html.escape(said)}</figcaption></figure>"
    )
