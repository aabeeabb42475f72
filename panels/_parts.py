"""What the panels share: what they keep in mind, how they work, warn and draw bars."""

import html
import threading
import time
from contextlib import contextmanager, suppress

from traitlets import TraitError

from helpers.images import resize
from helpers.plots import BLUE, image_tag
from safeguards.pictures import NO_HTTP, ImageError, fetch
from safeguards.text import printable

PAUSE = 0.3  # seconds after its work in which a panel takes no click
LABELS = {"description_width": "8em"}  # so that the fields of a panel begin below one another
_kept = {}  # panel → {part: (value at first, value now)}, for this session


def remember(panel, **parts):
    """Give parts the values they had when this panel was last made in this session, and keep later
    ones: a cell that is run again shows what it showed. What the cell now sets otherwise counts.
    panel: its kind and what it is about, as a tuple; a name alone may be that of two models."""
    kept = _kept.setdefault(panel, {})
    for name, part in parts.items():
        first = part.value
        if name in kept and kept[name][0] == first:
            with suppress(TraitError):  # an option that is gone, as of a model without weights
                part.value = kept[name][1]

        def keep(change, name=name, first=first):
            kept[name] = first, change["new"]

        part.observe(keep, "value")


def alert(error, title="No picture"):
    """What went wrong, as HTML that is read aloud at once."""
    return f"<p role='alert'><b>{html.escape(title)}:</b> {html.escape(printable(str(error)))}</p>"


def fetch_web(url):
    """The bytes at an http(s) address; an ImageError for all else, as nobody at a panel may read
    paths of this machine."""
    if not url.lower().startswith(("http://", "https://")):
        raise ImageError(
            "Give an http:// or https:// address, or choose your own file below.", NO_HTTP
        )
    return fetch(url)


class Work:
    """What a panel does when it is used, one thing at a time: JupyterLab sends what a browser says
    to two threads of the kernel, the first messages to one and the later ones to the other.
    result: the HTML part that says what is done; button: bears an hourglass meanwhile. It is not
    disabled, as a key user would lose their place."""

    def __init__(self, result, button=None):
        self.result, self.button, self.lock = result, button, threading.RLock()
        self.ended = float("-inf")  # when it last was done

    @contextmanager
    def __call__(self, text):
        """`with work("Loading …"):` says so until the block ends; what it raises is told in the
        panel, and raised on."""
        icon = self.button and self.button.icon
        if self.button:
            self.button.icon = "hourglass"
        self.result.value = f"<p role='status'>{html.escape(text)}</p>"
        try:
            yield
        except Exception as error:
            self.result.value = alert(f"{type(error).__name__}: {error}", "This went wrong")
            raise
        finally:
            if self.button:
                self.button.icon = icon
            self.ended = time.monotonic()

    def observe(self, part, handle):
        """Call `handle` with each change of a part's value, after what is being done."""

        def alone(change):
            with self.lock:
                handle(change)

        part.observe(alone, "value")

    def on_click(self, start, button=None):
        """Call `start` on a click on the button, None: the one that bears the hourglass. A click
        made while the panel works waits, and is seen the moment the work ends, sooner than a person
        could react: it is dropped, and so is a second one by a slip."""

        def alone(_):
            with self.lock:
                if time.monotonic() - self.ended >= PAUSE:
                    start()
                    self.ended = time.monotonic()

        (button or self.button).on_click(alone)


def figure(image, alt, caption, shortest=0):
    """A picture with a caption, as HTML; small ones are enlarged without smoothing to at least
    `shortest` pixels."""
    factor = max(1, -(-shortest // min(image.size)))
    image = image.resize((image.width * factor, image.height * factor), 0)  # 0: nearest
    return (
        f"<figure style='margin: 0; max-width: {image.width}px'>{image_tag(image, alt)}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def seen(image, classifier):
    """What a classifier's network sees of a picture, as HTML: the square, and the numbers."""
    square, numbers = resize(image, classifier.size, classifier.rule), classifier.prepare(image)
    said = f"What {classifier.name} sees: {square.width}×{square.height} pixels"
    enlarged = ", enlarged" if square.width < 192 else ""
    low, high = number(numbers.min()), number(numbers.max())
    caption = f"{said}{enlarged}, given to it as numbers from {low} to {high}."
    return figure(square, said, caption, 192)


def number(value):
    """Three digits, or as many as two places take: 253, −0.96."""
    return f"{round(float(value), 2) + 0.0:.3g}".replace("-", "−")  # + 0.0: of −0.0


def bar_table(predictions, threshold=0.0):
    """`Prediction`s as an HTML table of bars; those below the threshold are hollow, and a dashed
    line stands where it is."""
    rows = ""
    for _, name, probability in predictions:
        fill = BLUE if probability >= threshold else "transparent"
        bar = f"width: {probability:.1%}; height: 1em; background: {fill}; border: 1px solid {BLUE}"
        rows += (
            "<tr><th scope='row' style='text-align: right; font-weight: normal; padding: 2px 8px'>"
            f"{html.escape(name.replace('_', ' '))}</th><td style='padding: 2px 0; width: 12em; "
            f"{_line(threshold)}'><div style='{bar}; box-sizing: border-box'></div></td>"
            f"<td style='padding: 2px 8px'>{probability:.2f}</td></tr>"
        )
    line = f" (dashed: {threshold:.2f})" if threshold else ""
    return (
        "<table style='border-collapse: collapse'><caption style='text-align: left'>"
        f"Probability of the likeliest classes{line}</caption>{rows}</table>"
    )


def _line(threshold):
    """The style of a cell with a dashed line at this share of its width, if it is above 0."""
    if not threshold:
        return ""
    dashes = "repeating-linear-gradient(currentcolor 0 4px, transparent 4px 7px)"
    return f"background: {dashes} {threshold:.1%} 0 / 2px 100% no-repeat"
