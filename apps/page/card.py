"""The model card on a page: beside which model it lies, and what visitors see of it."""

import html
import re
from pathlib import Path

from apps.sharing.cards import FOR_AUTHOR, TECHNICAL, TO_FILL_IN
from helpers.models import Classifier
from safeguards.text import plain
from safeguards.whole_files import SUMS, shipped

CARD = "model_card.md"
# A row of a card with an accuracy: its name, value, interval, and number of pictures.
ACCURACY = re.compile(
    r"^\| (accuracy[^|]*) \| ≈?([\d.]+) \(([\d.]+)–([\d.]+)\), n = (\d+) \|$",
    re.MULTILINE,
)


def card_beside(model, name):
    """The text of the model card beside a model's file; "" where there's none of it.

    A card is a model's where it has its name and SHA256SUMS, if that's there as well,
    the file's hash: then the file is the one that was measured. name: the model's."""
    if isinstance(model, Classifier):
        return ""
    path = Path(model).expanduser()
    card = path.with_name(CARD)
    if not path.is_file() or not card.is_file():
        return ""
    if path.with_name(SUMS).is_file() and not shipped(path):
        return ""
    text = card.read_text(encoding="utf-8", errors="replace")
    return text if text.startswith(f"# {plain(name)}: model card\n") else ""


def unfilled(card):
    """In how many places a card's author still has to write something."""
    return card.count(TO_FILL_IN)


def card_as_html(card):
    """A model card, Markdown, as HTML for visitors.

    What's for the author is left out, what's technical is folded. HTML within the card
    is shown, not obeyed."""
    # Beginning with what isn't technical, by turns.
    parts = TECHNICAL.split(FOR_AUTHOR.sub("", card))
    made = []
    for i, part in enumerate(parts):
        is_technical = i % 2 == 1
        made.append(_folded(part) if is_technical else _as_html(part))
    return "".join(made)


def _folded(part):
    """A part of a card, Markdown with a heading, as HTML that is folded under it."""
    heading, _, rest = part.partition("\n")
    summary = html.escape(heading.removeprefix("## "))
    return f"<details>\n<summary>{summary}</summary>\n{_as_html(rest)}</details>\n"


def _as_html(text):
    """Markdown as HTML. Comments are left out."""
    # nbconvert, which reports are made with, brings it.
    import mistune

    convert = mistune.create_markdown(escape=True, plugins=["table"])
    shown = convert(re.sub("(?s)<!--.*?-->", "", text))
    # A card has written < as &lt; already.
    return re.sub("&amp;(lt|gt|amp);", r"&\1;", shown)


def measured(card):
    """What index.html says of a model card, HTML; "" without one."""
    if not card:
        return ""
    text = ""
    first = ACCURACY.search(card)
    if first:
        name, value, low, high, n = first.groups()
        how = " that it hadn't learned from"
        if "in turn" in name:
            how = ", each tested by classifiers that hadn't learned from it"
        text = (
            f"Accuracy: ≈{value}, on {n} pictures{how}; 95 % interval {low} to {high}. "
        )
    link = '<a href="card.html" target="_blank">Model card</a>'
    return f'<p id="measured">{text}{link}</p>'
