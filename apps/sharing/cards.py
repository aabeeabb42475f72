"""Model cards: what was measured, and what only the author can add."""

import re
from datetime import date
from hashlib import sha256
from importlib.metadata import version
from itertools import count
from pathlib import Path

from apps.sharing.parity import Parity
from helpers.timing import Timing
from safeguards.text import plain
from safeguards.whole_files import atomic_write

# What it's for comes first: whoever reads a card decides whether to use the model. A
# page shows it without what's for its author, and folds what's technical.
CARD = """# {name}: model card

<!-- for its author -->
Write over each paragraph that begins with **TO FILL IN**: only you can know that. \
Leave the lines in `<!-- … -->` as they are; then what you wrote is kept when the \
card is made again.
<!-- end -->

## What it is for, and what it cannot do
<!-- to fill in: use -->
**TO FILL IN:** what it was made for and must not be used for; on which pictures, \
places, devices
and people it was not tried; which errors it makes most often, and what they cost.
<!-- end -->

{unlike}

## What it was made from
<!-- to fill in: origin -->
**TO FILL IN:** which pictures it learned from, whose they are and on what terms{more}.
<!-- end -->
{origin}
## How good it is
Measured on: {data}. Every figure was measured; ≈ marks what differs a little when it \
is trained or measured again. In brackets: the 95 % interval. n: how many pictures.

| measure | result |
| --- | --- |
{rows}

<!-- technical -->
## Technical details

| | |
| --- | --- |
| made | {made}, with Keras {keras} |
| input | RGB pictures, float32, N×{size}×{size}×3, values 0…255; rescaling is inside |
| how a picture becomes a square | {rule} |
| output | float32, N×{n}: logits in .keras, probabilities in .onnx or .tflite |
| classes, in the order of the outputs | {classes} |
{technical_rows}
<!-- end -->

<!-- for its author -->
## How to use it
`load_classifier("model.keras")` of `helpers`, or `load_exported("model.onnx")` of \
`apps.sharing`, each with `.predict(image)`. They crop and resize a picture as above. \
Any other program has to do that itself. SHA256SUMS beside this card tells whether a \
file is the one that was measured.
<!-- end -->
"""
ALWAYS = 'It always answers with one of its classes: there is no "none of these".'
KNOWS = (
    "It names one of its classes whatever it's shown. If an image is like nothing it "
    "learned from, it says that as well. Most other things are noticed that way; close "
    "relatives of its classes seldom are."
)
LIMIT = (
    "further than {within:.3f} (cosine distance of the features) from the nearest of "
    "{n} images that it keeps for this"
)
# A card's parts lie between two comments, which no reader sees.
FOR_AUTHOR = re.compile(r"(?s)<!-- for its author -->\n.*?<!-- end -->\n*")
TECHNICAL = re.compile(r"(?s)<!-- technical -->\n(.*?)<!-- end -->\n*")
TO_FILL_IN = "**TO FILL IN:**"
FILL_IN = re.compile(r"(?s)(<!-- to fill in: (\w+) -->\n)(.*?)(\n<!-- end -->)")
AS_MADE = re.compile(r"<!-- as made: (\w+) -->\n")  # a card's last line; see `_mark`
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
    technical_rows = []
    for measure, value in measured.items():
        mark = "≈" if isinstance(value, Estimate | Timing) else ""
        row = f"| {measure} | {mark}{_in_words(value)} |"
        is_technical = isinstance(value, Parity | Timing)
        (technical_rows if is_technical else rows).append(row)
    known = classifier.familiar
    if known is not None:
        limit = LIMIT.format(within=known.within, n=len(known.names))
        technical_rows.append(f"| like nothing it learned from | {limit} |")
    if classifier.terms:
        origin = f"\n{plain(classifier.terms)}\n"
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
        technical_rows="\n".join(technical_rows),
        made=date.today().isoformat(),
        keras=version("keras"),
        origin=origin,
        more=more,
        unlike=ALWAYS if known is None else KNOWS,
    )
    return write_card(path, text)


def _in_words(value):
    """What was measured, as a card says it."""
    if isinstance(value, Timing):
        return f"{value}: the median of {value.n} and, in brackets, their middle half"
    return value


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
    What somebody filled in on the card that was there is carried over. If that card was
    changed in other places, it stays as NAME_earlier, NAME_earlier2, …: nothing is
    lost."""
    path = Path(path).expanduser()
    if path.is_file():
        earlier = path.read_text(encoding="utf-8")
        text = _carried_over(earlier, text)
        if _was_changed(earlier):
            with atomic_write(_free_path(path)) as draft:
                draft.write_text(earlier, encoding="utf-8")
    with atomic_write(path) as draft:
        draft.write_text(f"{text}\n<!-- as made: {_mark(text)} -->\n", encoding="utf-8")
    return path


def _mark(text):
    """Hexadecimal digits for a card's text, but for what is there to be filled in."""
    rest = FILL_IN.sub(r"\1\4", text)
    return sha256(rest.encode()).hexdigest()[:16]


def _was_changed(card):
    """Whether a card says anything else than when it was made, but for what was filled
    in."""
    made = AS_MADE.search(card)
    return not made or made[1] != _mark(AS_MADE.sub("", card).removesuffix("\n"))


def _carried_over(earlier, text):
    """A new card's text, with what was filled in on the earlier one, in part or
    whole."""
    filled_in = {name: content for _, name, content, _ in FILL_IN.findall(earlier)}

    def with_content(match):
        start, name, content, end = match.groups()
        return f"{start}{filled_in.get(name, '').strip() or content}{end}"

    return FILL_IN.sub(with_content, text)


def _free_path(path):
    """Where an earlier card goes: a path at which there's nothing yet."""
    for number in count(1):
        free = path.with_stem(f"{path.stem}_earlier{number if number > 1 else ''}")
        if not free.exists():
            return free
