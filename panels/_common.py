"""What the panels share: remembered values, one task at a time, and bits of HTML."""

import html
import math
import threading
import time
from contextlib import contextmanager, suppress

import comm
import ipywidgets
from IPython import get_ipython
from PIL.Image import Resampling
from traitlets import TraitError

from helpers.images import resize
from helpers.plots import BLUE, image_tag
from safeguards.pictures import NO_HTTP, ImageError, fetch
from safeguards.text import printable

PAUSE = 0.3  # seconds after its work in which a panel takes no click
LABELS = {"description_width": "8em"}  # aligns the fields of a panel below one another
CONTROL = "jupyter.widget.control"  # what a page opens when it (re)connects
LIMIT = (
    "Up to 64 MB at once (10 MB where the lessons weren't opened by make lab, make app "
    "or tools/setup/lab.py)."
)
SQUARE_SIDE = 192  # pixels: smaller network inputs are shown enlarged

# panel's key → {widget's name: (initial value, latest value)}, for this session
_remembered = {}


# which pages have shown panels, by their connection's number, and what to call when one
# of them has lost its connection and is back
_pages = set()
_after_breaks = []


def persist_values(key, **widgets):
    """Restore what these widgets last held in this session, and go on remembering.

    So a cell that is run again shows what it showed. If the cell now sets another
    initial value, that one counts. key: a tuple, the kind of the panel and what it is
    about; a name alone may be that of two models.
    """
    remembered = _remembered.setdefault(key, {})
    for name, widget in widgets.items():
        initial = widget.value
        if name in remembered and remembered[name][0] == initial:
            # an option may be gone, such as a model whose weights were deleted
            with suppress(TraitError):
                widget.value = remembered[name][1]

        def update(change, name=name, initial=initial):
            remembered[name] = (initial, change["new"])

        widget.observe(update, "value")


def fetch_web(url):
    """The bytes at an http(s) address.

    Raises an ImageError for anything else: nobody at a panel may read this machine's
    files.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ImageError(
            "Give an http:// or https:// address, or choose your own file below.",
            NO_HTTP,
        )
    return fetch(url)


class Worker:
    """Does what a panel is asked to, one thing at a time.

    It needs a lock, since JupyterLab sends a browser's messages to two threads of the
    kernel, the first ones to one and later ones to the other. result: the HTML widget
    that tells what is being done. button: bears an hourglass meanwhile; it isn't
    disabled, as people who use the keyboard would lose their place.
    """

    def __init__(self, result, button=None):
        self.result = result
        self.button = button
        self.lock = threading.RLock()
        self.ended = float("-inf")  # when the last task ended, by the monotonic clock

    @contextmanager
    def busy(self, text):
        """`with worker.busy("Loading …"):` shows the text until the block ends.

        An exception is told in the panel, and raised again.
        """
        icon = self.button and self.button.icon
        if self.button:
            self.button.icon = "hourglass"
        self.result.value = status_html(text)
        try:
            yield
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            self.result.value = alert_html(message, "This went wrong")
            raise
        finally:
            if self.button:
                self.button.icon = icon
            self.ended = time.monotonic()

    def observe(self, widget, handle):
        """Call `handle(change)` for each change of a widget's value, one at a time."""

        def handle_alone(change):
            with self.lock:
                handle(change)

        widget.observe(handle_alone, "value")

    def on_click(self, handle, button=None):
        """Call `handle()` when a button is clicked; None: the one with the hourglass.

        A click during other work waits for the lock, and so arrives the moment that
        work ends, sooner than a person could react to it. It is dropped, and so is an
        accidental double click.
        """

        def handle_alone(_):
            with self.lock:
                if time.monotonic() - self.ended >= PAUSE:
                    handle()
                    self.ended = time.monotonic()

        (button or self.button).on_click(handle_alone)


def receive_files(panel, worker, handle):
    """Call `handle(change)` for the files that arrive by `panel.upload`.

    Files that are too large never arrive: the server breaks the connection, the page
    makes a new one, and the button would wait for an answer for good. So it's replaced
    then, and `panel.limit` says what happened.
    """

    def on_files(change):
        if change["new"]:
            panel.limit.value = LIMIT
        handle(change)

    def renew():
        old = panel.upload
        names = ("accept", "description", "layout", "multiple", "style", "tooltip")
        same = {name: getattr(old, name) for name in names}
        panel.upload = ipywidgets.FileUpload(**same)
        worker.observe(panel.upload, on_files)
        for row in panel.children:
            if old in getattr(row, "children", ()):
                row.children = [
                    panel.upload if widget is old else widget for widget in row.children
                ]
        old.close()
        panel.limit.value = alert_html(
            "The connection broke, and is back. Files that are too large do that: "
            f"choose smaller ones, or fewer at a time. {LIMIT}",
            "Did your files not arrive?",
        )

    panel.limit.value = LIMIT
    worker.observe(panel.upload, on_files)
    _call_after_breaks(worker, renew)


def _call_after_breaks(worker, handle):
    """Call `handle()`, in its turn, whenever a page has lost its connection to the
    kernel and is back. A page that is opened or loaded anew has lost nothing."""
    shell = get_ipython()
    header = getattr(shell, "parent_header", None) or {}
    _pages.add(header.get("session"))

    def handle_alone():
        with worker.lock:
            handle()

    _after_breaks.append(handle_alone)
    comm.get_comm_manager().register_target(CONTROL, _page_connected)


def _page_connected(channel, message):
    """What a kernel does when a page connects: ipywidgets' part, then ours."""
    ipywidgets.Widget.handle_control_comm_opened(channel, message)
    page = message["header"]["session"]
    if page in _pages:
        for handle in _after_breaks:
            handle()
    _pages.add(page)


def wrapping_row(*widgets):
    """Widgets beside one another, continued on the next line where there is no room."""
    return ipywidgets.HBox(widgets, layout=ipywidgets.Layout(flex_flow="row wrap"))


def status_html(text):
    """A plain text as HTML that screen readers announce when it's their turn."""
    return f"<p role='status'>{html.escape(text)}</p>"


def alert_html(error, title="No picture"):
    """What went wrong, as HTML that screen readers announce at once."""
    message = html.escape(printable(str(error)))
    return f"<p role='alert'><b>{html.escape(title)}:</b> {message}</p>"


def figure_html(image, alt, caption="", min_side=0):
    """A picture with a caption, if there is one, as HTML.

    A picture with a side shorter than `min_side` pixels is enlarged by a whole number,
    without smoothing, until it isn't.
    """
    factor = max(1, math.ceil(min_side / min(image.size)))
    enlarged = image.resize(
        (image.width * factor, image.height * factor), Resampling.NEAREST
    )
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return (
        f"<figure style='margin: 0; max-width: {enlarged.width}px'>"
        f"{image_tag(enlarged, alt)}{below}</figure>"
    )


def network_input_html(image, classifier):
    """What a classifier's network gets of a picture, as HTML: the square, its range."""
    square = resize(image, classifier.size, classifier.rule)
    prepared = classifier.prepare(image)
    low = format_number(prepared.min())
    high = format_number(prepared.max())
    alt = f"What {classifier.name} sees: {square.width}×{square.height} pixels"
    enlarged = ", enlarged" if square.width < SQUARE_SIDE else ""
    caption = f"{alt}{enlarged}, given to it as numbers from {low} to {high}."
    return figure_html(square, alt, caption, SQUARE_SIDE)


def format_number(value):
    """Three digits, or as many as two decimals take: 253, −0.96."""
    rounded = round(float(value), 2)
    rounded += 0.0  # turns −0.0 into 0.0
    return f"{rounded:.3g}".replace("-", "−")


def readable(class_name):
    """A class name as people write it, with spaces and without underscores."""
    return class_name.replace("_", " ")


def bar_table(predictions, threshold=0.0):
    """`Prediction`s as an HTML table of bars.

    Bars below the threshold are hollow, and a dashed line stands where it is.
    """
    line_style = _threshold_line(threshold)
    rows = ""
    for _, name, probability in predictions:
        fill = BLUE if probability >= threshold else "transparent"
        rows += (
            "<tr><th scope='row' style='text-align: right; font-weight: normal; "
            f"padding: 2px 8px'>{html.escape(readable(name))}</th>"
            f"<td style='padding: 2px 0; width: 12em; {line_style}'>"
            f"<div style='width: {probability:.1%}; height: 1em; background: {fill}; "
            f"border: 1px solid {BLUE}; box-sizing: border-box'></div></td>"
            f"<td style='padding: 2px 8px'>{probability:.2f}</td></tr>"
        )
    legend = f" (dashed: {threshold:.2f})" if threshold else ""
    return (
        "<table style='border-collapse: collapse'><caption style='text-align: left'>"
        f"Probability of the likeliest classes{legend}</caption>{rows}</table>"
    )


def _threshold_line(threshold):
    """The style of a cell with a dashed line at this share of its width; none for 0."""
    if not threshold:
        return ""
    dashes = "repeating-linear-gradient(currentcolor 0 4px, transparent 4px 7px)"
    return f"background: {dashes} {threshold:.1%} 0 / 2px 100% no-repeat"
