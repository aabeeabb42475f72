"""Model cards: what was measured, and what only the author can add."""

from itertools import count
from pathlib import Path

from helpers.timing import Timing
from safeguards.text import plain
from safeguards.whole_files import atomic_write, note_digest, shipped

CARD = """# {name}: model card

Every figure here was measured; ≈ marks what differs a little when it is trained or \
measured again.
What only its author can know is marked **TO FILL IN**.

| | |
| --- | --- |
| input | RGB pictures, values 0…255, {size}×{size} pixels; rescaling is inside |
| how a picture becomes a square | {rule} |
| output | one number for each of {n} classes, in this order: {classes} |

## How good it is
Measured on: {data}. In brackets: of a share the 95 % interval, of a time the middle \
half.

| measure | result |
| --- | --- |
{rows}

## What it was made from
{origin}
**TO FILL IN:** which pictures it learned from, whose they are and on what terms{more}.

## What it is for, and what it cannot do
It always answers with one of its classes: there is no "none of these".

**TO FILL IN:** what it was made for and must not be used for; on which pictures, \
places, devices
and people it was not tried; which errors it makes most often, and what they cost.
"""
CROPS = {  # the shapes of a `ResizeRule`, in words
    "square": "its short side, from the centre",
    "each_side": "each side, then squashed",
}
MOST_CLASSES = 20  # of more than these, a card names only …
FIRST_CLASSES = 10  # … the first


def model_card(classifier, path, data, measured):
    """Write a model card, Markdown, from measurements (Mitchell et al. 2019).
    data: what it was measured on, in words;
    measured: {measure: `Estimate`, `Parity`, `Timing` or text with a computed figure},
    an `Estimate` of the accuracy among them, else ValueError.
    What can't be measured is marked for the author to fill in. Returns the card's path,
    as `write_card` does."""
    from helpers.evaluate import Estimate

    if not any(isinstance(value, Estimate) for value in measured.values()):
        raise ValueError(
            "A card needs a measured accuracy: helpers.evaluate.accuracy makes one."
        )
    rows = []
    for measure, value in measured.items():
        mark = "≈" if isinstance(value, Estimate | Timing) else ""
        rows.append(f"| {measure} | {mark}{value} |")
    if classifier.terms:
        origin = f"{plain(classifier.terms)}\n"
        more = ""
    else:
        origin = ""
        more = "; the pretrained\nmodel it starts from, and its terms"
    text = CARD.format(
        name=plain(classifier.name),
        size=classifier.size,
        n=len(classifier.classes),
        classes=_listed(classifier.classes),
        data=data,
        rule=_described(classifier.rule),
        rows="\n".join(rows),
        origin=origin,
        more=more,
    )
    return write_card(path, text)


def _listed(classes):
    """The names of (wnid, name) pairs, for Markdown; of many, the first few."""
    names = [plain(name) for _, name in classes]
    if len(names) > MOST_CLASSES:
        names = [*names[:FIRST_CLASSES], f"… ({len(names)} in all)"]
    return ", ".join(names)


def _described(rule):
    """A `ResizeRule` in words."""
    percent = 100 * rule.fraction
    return f"{percent:g} % of {CROPS[rule.shape]}; {rule.filter}, antialiased"


def write_card(path, text):
    """Write a card's text at `path`, whole or not at all, and return its path.
    A card is replaced only if it's as it was written, by the hash in SHA256SUMS beside
    it. If somebody has filled it in, the new one goes to NAME_new, NAME_new2, …"""
    path = Path(path).expanduser()
    path = next(each for each in _paths_for(path) if _may_be_written(each))
    with atomic_write(path) as draft:
        draft.write_text(text, encoding="utf-8")
    note_digest(path)
    return path


def _paths_for(path):
    """The paths where a card may go, the best first."""
    yield path
    yield path.with_stem(f"{path.stem}_new")
    for number in count(2):
        yield path.with_stem(f"{path.stem}_new{number}")


def _may_be_written(path):
    """Whether there's nothing at a path, or a card that nobody has changed."""
    return not path.exists() or (path.is_file() and shipped(path))
