"""The first page of a report, for somebody who has to decide, and its pictures."""

import html
from collections import Counter
from datetime import date
from functools import lru_cache

import numpy as np
from sklearn.metrics import confusion_matrix

from apps.own_pictures.judging import accuracy_of, in_words, judged_by
from helpers import load_image
from helpers.cleaning import suspicion
from helpers.plots import gallery, image_tag
from safeguards.folders import file_version
from safeguards.text import printable

THUMBNAIL = (512, 512)  # pixels: no figure needs more
KEPT = 128  # thumbnails, as many as a report shows
EXAMPLE = (200, 200)  # pixels, on the first page
EXAMPLES = 3  # of each kind on the first page
MOST_ERRORS = 24  # in a gallery
FEWEST_SHOWN = 8  # in a gallery, right answers among them where few are wrong
READING = (
    "In brackets: the range in which the share could well lie for other pictures of "
    "this kind (a 95 % interval). ≈ marks what may come out a little different when "
    "it's trained again. n: how many pictures were judged."
)
OF_ROUNDS = "Beside a picture: the mean of the ten rounds."
WRONG_LABEL = (
    "Is a label plainly wrong here? <code>make labels</code> shows each of these "
    "pictures that you haven't decided on, so that you can correct it. The cards then "
    "say that you did."
)
CELL = 'style="text-align: left; white-space: normal; overflow-wrap: anywhere"'
HEAD = 'style="text-align: left; white-space: nowrap"'
COUNT = 'style="text-align: right"'
NAME_END = 18  # letters of a file's name that fit over a picture


def small(paths, size=THUMBNAIL):
    """Pictures as a list of PIL images, none of them larger than `size`."""
    images = []
    for path in paths:
        image = _thumbnail(file_version(path), path).copy()
        image.thumbnail(size)
        images.append(image)
    return images


@lru_cache(KEPT)
def _thumbnail(version, path):
    """A picture's file as a small PIL image. version: what its file is known by."""
    image = load_image(path)
    image.thumbnail(THUMBNAIL)
    return image


def hardest_first(pictures, probabilities):
    """Positions of pictures, wrong answers first, each kind by its loss, the largest
    first. pictures: `Pictures`; probabilities: floats (n, classes)."""
    is_right = probabilities.argmax(axis=1) == pictures.labels
    return np.lexsort((-suspicion(probabilities, pictures.labels), is_right))


def error_gallery(pictures, probabilities, title):
    """A figure of the answers with the largest loss, wrong ones first.

    Above each picture: its class → what it was taken for, with the probability, or ✓;
    and the end of its file's name. Returns a matplotlib figure."""
    order = hardest_first(pictures, probabilities)
    answers = probabilities.argmax(axis=1)
    n_wrong = int((answers != pictures.labels).sum())
    order = order[: max(FEWEST_SHOWN, min(MOST_ERRORS, n_wrong))]
    return label_gallery(pictures[order], probabilities[order], title)


def label_gallery(pictures, probabilities, title):
    """A figure of `Pictures`, above each its label, what was answered and its file."""
    titles = []
    for row, path in enumerate(pictures.paths):
        titles.append(
            f"{_title(pictures, row, probabilities)}\n{path.name[-NAME_END:]}"
        )
    columns = min(6, len(pictures))
    return gallery(small(pictures.paths), titles, title, columns=columns)


def _title(pictures, row, probabilities):
    """A picture's class and, where it's another one, what it was taken for."""
    answer = probabilities[row].argmax()
    label = pictures.classes[pictures.labels[row]]
    if answer == pictures.labels[row]:
        return f"{label} ✓ ≈{probabilities[row, answer]:.2f}"
    return f"{label} → {pictures.classes[answer]} ≈{probabilities[row, answer]:.2f}"


def front_page(found, test, probabilities, in_turn, notes, settings):
    """The first page, as HTML: the question, the answer, examples, where it's from.

    found: an `Intake`; test, probabilities: the test `Pictures` and (n, classes);
    in_turn: an `InTurn` of all pictures, which are shown instead of the test's, or
    None; notes: more to say, texts, each a paragraph unless it's ""; settings: the
    run's `Settings`. Three right and three wrong answers are shown, of as many classes
    as can be: the likeliest right ones, and the wrong ones with the largest loss.
    Strangers' names are escaped."""
    result = accuracy_of(test, probabilities)
    words = in_words(found, test, result, in_turn)
    judged, said = judged_by(found, test, probabilities, in_turn)
    reading = READING if in_turn is None else f"{READING} {OF_ROUNDS}"
    answers = said.argmax(axis=1)
    is_wrong = answers != judged.labels
    order = hardest_first(judged, said)
    wrong = [row for row in order if is_wrong[row]]
    right = [row for row in order[::-1] if not is_wrong[row]]
    wrong, right = (_of_each_class(rows, judged.labels) for rows in (wrong, right))
    decided = found.decided_paths
    names = ", ".join(judged.classes[:-1]) + f" or {judged.classes[-1]}"
    if in_turn is None:
        words = (
            f"it got ≈{len(right)} of {len(test)} test pictures right, none of which "
            f"it had learned from: a share of ≈{result}. {words}"
        )
    parts = [
        f"<p><b>The question:</b> does a picture show {_escaped(names)}?</p>",
        f"<p><b>The answer:</b> {_escaped(words)}</p>",
        *(f"<p>{_lines(note)}</p>" for note in notes if note),
        f"<p><small>{reading}</small></p>",
        _matrix(judged, answers),
    ]
    for how, rows in (("right", right), ("wrong", wrong)):
        if rows:
            shown = rows[:EXAMPLES]
            some = f" ({len(shown)} of ≈{len(rows)})" if len(rows) > len(shown) else ""
            heading = f"<h3>It got these {how}{some}</h3>"
            parts += [heading, _examples(judged, shown, said, decided)]
    if any(judged.paths[row] not in decided for row in wrong):
        parts.append(f"<p>{WRONG_LABEL}</p>")
    if not wrong:
        parts.append("<p>It got none of these pictures wrong.</p>")
    facts = {
        "made": date.today().isoformat(),
        "network": settings.network,
        "pictures": f"{len(found.pictures)}, of which {len(test)} are test pictures",
        "command": f"{settings.command} (in the project's folder)",
    }
    rows = [
        f"<tr><th {HEAD}>{what}</th><td {CELL}>{_escaped(facts[what])}</td></tr>"
        for what in facts
    ]
    return "\n".join([*parts, f"<table>{''.join(rows)}</table>"])


def _matrix(pictures, answers):
    """How many pictures of each class got which answer, as an HTML table: a figure
    would be too small to read on a phone. answers: class positions (n,)."""
    counts = confusion_matrix(
        pictures.labels, answers, labels=range(len(pictures.classes))
    )
    names = [_escaped(name) for name in pictures.classes]
    head = "".join(f"<th {COUNT}>{name}</th>" for name in names)
    rows = [f"<tr><th {HEAD}>it is ↓, answer →</th>{head}</tr>"]
    for name, row in zip(names, counts, strict=True):
        cells = []
        for count in row:
            share = count / max(1, row.sum())
            shade = f"background: rgba(31, 119, 180, {0.6 * share:.2f})"
            cells.append(f'<td style="text-align: right; {shade}">≈{count}</td>')
        rows.append(f"<tr><th {HEAD}>{name}</th>{''.join(cells)}</tr>")
    return f"<div style='overflow-x: auto'><table>{''.join(rows)}</table></div>"


def _of_each_class(rows, labels):
    """Rows with the first of each class in front, then the second of each, and so on:
    three examples should show more than one class."""
    before = Counter()
    ranks = {}
    for row in rows:
        ranks[row] = before[labels[row]]
        before[labels[row]] += 1
    return sorted(rows, key=ranks.get)


def _examples(pictures, rows, probabilities, decided):
    """Some pictures side by side with what was answered, as HTML. decided: the paths of
    those whose label somebody decided on."""
    figures = []
    images = small([pictures.paths[row] for row in rows], EXAMPLE)
    for row, image in zip(rows, images, strict=True):
        text = _title(pictures, row, probabilities)
        path = pictures.paths[row]
        caption = f"{_escaped(text)}<br>{_escaped(path.name)}"
        if path in decided:
            caption += "<br>you decided on this label"
        figures.append(
            "<figure style='display:inline-block;margin:0.5em'>"
            f"{image_tag(image, printable(text))}"
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return "".join(figures)


def _lines(text):
    """A text of one line or more as HTML."""
    return "<br>".join(map(_escaped, text.splitlines()))


def _escaped(text):
    return html.escape(printable(str(text)))
