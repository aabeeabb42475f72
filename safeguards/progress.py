"""Progress, for people who watch; none where text goes to a file."""

from tqdm import auto, std


def progress_bar(total, title, initial=0, show=True):
    """A line that disappears: a widget in notebooks, nothing if text goes to a file, or
    where TQDM_DISABLE is set."""
    options = {}
    if not show:
        options["disable"] = True
    elif auto.notebook_tqdm is std.tqdm:  # no widget
        options["disable"] = None  # tqdm looks where its text goes
    return auto.tqdm(
        total=total,
        desc=title,
        initial=initial,
        leave=False,
        **options,
    )
