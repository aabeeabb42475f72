"""Progress, for people who watch; none where text goes to a file."""

import os

from tqdm import auto, std


def progress_bar(total, title, initial=0, show=True, delay=0):
    """A line that disappears: a widget in notebooks, nothing if text goes to a file, or
    where TQDM_DISABLE is set. delay: seconds of work before it appears."""
    # tqdm itself doesn't ask the variable where it is a widget.
    disable = not show or bool(os.environ.get("TQDM_DISABLE"))
    if not disable and auto.notebook_tqdm is std.tqdm:  # no widget
        disable = None  # tqdm looks where its text goes
    return auto.tqdm(
        total=total,
        desc=title,
        initial=initial,
        leave=False,
        disable=disable,
        delay=delay,
    )
