"""Collect pictures for a data set of one's own."""

import html
import io
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import ipywidgets
from PIL import Image

from helpers.images import load_image
from helpers.plots import image_tag
from panels._common import (
    LABELS,
    Worker,
    alert_html,
    fetch_web,
    persist_values,
    receive_files,
    wrapping_row,
)
from safeguards.folders import NO_PICTURES, TITLES, DataError, visible
from safeguards.keys import picture_key
from safeguards.pictures import ImageError
from safeguards.whole_files import atomic_write

MAX_SIDE = 1024  # pixels of a picture that is kept
JPEG_QUALITY = 95
THUMBNAIL = (48, 48)  # pixels of a picture in the report
MIN_PICTURES = 3  # a class, one for each of load_dataset's three parts
KEY_LENGTH = 16  # characters of a file's name
MAX_NAME_BYTES = 200  # of 255 bytes that a file's name may have
# What may name a class: no blank or full stop at the end, at most 100 characters.
CLASS_NAME = re.compile(r"(?!.*[ .]$)\w[\w .+-]{0,99}")
# Names that Windows keeps for devices.
PORTS = {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
SYSTEM_NAMES = {"con", "prn", "aux", "nul", *PORTS}


class Outcome(NamedTuple):
    """What became of one picture that was to be kept."""

    name: str
    text: str
    thumbnail: Image.Image | None = None  # only of a picture that was kept
    failed: bool = False


def collect_widget(classes, folder):
    """A panel that fills `folder`/<class>/ with pictures from addresses or from files.

    `load_dataset(folder)` reads them. The panel tells what became of each picture, and
    counts. What it keeps are upright RGB JPEGs of at most 1024 pixels a side, made
    alike for every class and named after their pixels. They have no metadata, and so
    don't tell where a photograph was taken. A picture that is there already, in
    whatever class, isn't kept again; nothing is overwritten, and no file is
    half-written.

    classes: names, which become those of folders; folder: a path, made when it is
    needed. Returns an ipywidgets VBox with the attributes `target` (the class),
    `addresses` (one a line), `button`, `upload` (a new one after files that were too
    large), `limit`, which tells of them, `counts` and `result`. Raises DataError for
    names that can't be folders, or if the folder is a file.
    """
    folder = Path(folder).expanduser()
    if folder.exists() and not folder.is_dir():
        raise DataError(
            f"{folder} is a file: give the path of a folder, or of a new one."
        )
    panel = _make_widgets(_checked_names(classes))
    worker = Worker(panel.result, panel.button)
    known = {}  # key of a picture's pixels → its path

    def keep_one(name, read):
        try:
            image = load_image(read())
            return _keep(name, image, folder, panel.target.value, known)
        except (ImageError, OSError) as error:
            return Outcome(name, f"✗ not kept: {error}", failed=True)

    def add(sources):
        """Keep each (name, function that returns bytes); returns the failed names."""
        with worker.busy("Looking at what is there …"):
            _update_known(known, folder)
        outcomes = []
        for number, (name, read) in enumerate(sources, 1):
            with worker.busy(f"Picture {number} of {len(sources)} …"):
                outcomes.append(keep_one(name, read))
        panel.result.value = _report_html(outcomes)
        count()
        return [outcome.name for outcome in outcomes if outcome.failed]

    def on_button():
        lines = [line.strip() for line in panel.addresses.value.splitlines()]
        urls = [line for line in lines if line]
        panel.addresses.disabled = True  # what is typed meanwhile would be lost
        try:
            failed = add([(url, lambda url=url: fetch_web(url)) for url in urls])
        finally:
            panel.addresses.disabled = False
        panel.addresses.value = "\n".join(failed)  # to be corrected

    def on_upload(change):
        files = change["new"]
        if files:
            panel.upload.value = ()  # so that the same file can be chosen again
            add(
                [
                    (file["name"], lambda file=file: bytes(file["content"]))
                    for file in files
                ]
            )

    def count(_=None):
        counts = dict.fromkeys(panel.target.options, 0)
        for path in _class_folders(folder):
            counts[path.name] = len(visible(path))
        panel.counts.value = _counts_html(counts)
        panel.button.description = f"Add addresses to {panel.target.value}"
        panel.upload.description = f"Add files to {panel.target.value}"

    key = ("collect", folder.resolve())
    persist_values(key, target=panel.target, addresses=panel.addresses)
    worker.on_click(on_button)
    receive_files(panel, worker, on_upload)
    worker.observe(panel.target, count)
    count()
    return panel


def _make_widgets(classes):
    """The panel with its widgets, laid out and labelled, without what they do."""
    panel = ipywidgets.VBox()
    panel.target = ipywidgets.RadioButtons(description="Class", options=classes)
    panel.addresses = ipywidgets.Textarea(description="Addresses", rows=4)
    panel.addresses.placeholder = "https://… one a line"
    panel.button = ipywidgets.Button(icon="plus", button_style="primary")
    panel.upload = ipywidgets.FileUpload(multiple=True, accept="image/*")
    panel.counts = ipywidgets.HTML()
    panel.result = ipywidgets.HTML()
    tooltips = {
        panel.target: "The class of the pictures that you add next",
        panel.addresses: "Addresses of pictures on the web, one a line",
        panel.button: "Fetch the pictures and keep them in the folder of this class",
        panel.upload: (
            "Choose one or several files; they are kept in the folder of this class"
        ),
    }
    for widget, tooltip in tooltips.items():
        widget.tooltip = tooltip
        widget.layout.max_width = "100%"
    for field in (panel.target, panel.addresses):
        field.style = LABELS
        field.layout.width = "44em"
    for button in (panel.button, panel.upload):
        button.layout.width = "auto"
    panel.limit = ipywidgets.HTML()
    advice = ipywidgets.HTML(
        "Collect only what you may use: mind the licence, and ask whoever can be "
        "recognised."
    )
    panel.children = [
        panel.target,
        panel.addresses,
        wrapping_row(panel.button, panel.upload, panel.limit),
        advice,
        panel.result,
        panel.counts,
    ]
    return panel


def _checked_names(classes):
    """The class names as a list.

    Raises DataError if one can't name a folder on every system, or if one occurs twice.
    """
    names = [classes] if isinstance(classes, str) else [str(name) for name in classes]
    for name in names:
        if not _can_name_a_class(name):
            raise DataError(
                f"{name!r} cannot name the folder of a class: use letters, digits, "
                "spaces and _ . + - between them, and none of the names "
                f"{', '.join(TITLES)} and val."
            )
    # some systems take "Cat" and "cat" for the same folder
    different = {name.casefold() for name in names}
    if not names or len(different) < len(names):
        raise DataError(f"The classes are {names}: give one name or more, each once.")
    return names


def _can_name_a_class(name):
    """Whether a folder may have this name everywhere, and mean a class."""
    ours = {*TITLES, "val", *(other.casefold() for other in NO_PICTURES)}
    stem = name.partition(".")[0].rstrip()  # "con.old" is reserved as well
    if {name.casefold(), stem.casefold()} & SYSTEM_NAMES or name.casefold() in ours:
        return False
    if len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        return False
    return CLASS_NAME.fullmatch(name) is not None


def _class_folders(folder):
    if not folder.is_dir():
        return []
    return [path for path in visible(folder) if path.is_dir()]


def _update_known(known, folder):
    """Bring {key of the pixels: path} up to date with the class folders."""
    for key, path in list(known.items()):
        if not path.exists():
            del known[key]
    known_paths = set(known.values())
    for class_folder in _class_folders(folder):
        for path in visible(class_folder):
            if path in known_paths:
                continue
            # a file put there by hand may be no picture; load_dataset will name it
            with suppress(ImageError):
                known[_shrink_and_key(load_image(path))] = path


def _shrink_and_key(image):
    """Shrink a picture, in place, to the size to keep; returns its pixels' key."""
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    return picture_key(image)[:KEY_LENGTH]


def _keep(name, image, folder, label, known):
    """Save a picture, unless it is there already; returns the `Outcome`."""
    image.info.clear()  # comments and the like would be saved
    key = _shrink_and_key(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    # JPEG changes pixels a little, always alike
    stored_key = _shrink_and_key(load_image(buffer.getvalue()))
    existing = known.get(key) or known.get(stored_key)
    if existing:
        location = f"{existing.parent.name}/{existing.name}"
        return Outcome(name, f"= not kept again: is there as {location}")
    path = folder / label / f"{key}.jpg"
    while path.exists():  # something else by this name
        path = path.with_stem(f"{path.stem}_")
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    known[key] = path
    known[stored_key] = path
    image.thumbnail(THUMBNAIL)
    return Outcome(name, f"✓ kept as {path.parent.name}/{path.name}", image)


def _report_html(outcomes):
    """What became of the pictures, as an HTML list."""
    if not outcomes:
        return alert_html("Paste one or more, one a line.", "No addresses")
    items = ""
    for outcome in outcomes:
        picture = ""
        if outcome.thumbnail is not None:
            picture = image_tag(outcome.thumbnail, f"Kept: {outcome.name}") + " "
        items += (
            f"<li>{picture}<span style='overflow-wrap: anywhere'>"
            f"{html.escape(outcome.name)}</span><br>{html.escape(outcome.text)}</li>"
        )
    n_kept = sum(outcome.thumbnail is not None for outcome in outcomes)
    role = "alert" if any(outcome.failed for outcome in outcomes) else "status"
    return (
        f"<div style='line-height: 1.5'><p role='{role}'>"
        f"Kept {n_kept} of {len(outcomes)}:</p><ol style='margin: 0'>{items}</ol></div>"
    )


def _counts_html(counts):
    """Pictures a class, and what load_dataset still lacks, as an HTML table."""
    rows = ""
    for name, count in counts.items():
        advice = "enough to begin"
        if count < MIN_PICTURES:
            advice = f"{MIN_PICTURES - count} more needed"
        rows += (
            f"<tr><th scope='row' style='text-align: left'>{html.escape(name)}</th>"
            f"<td style='padding: 0 1em'>{count}</td><td>{advice}</td></tr>"
        )
    caption = "<caption style='text-align: left'>Pictures</caption>"
    return f"<table style='line-height: 1.5'>{caption}{rows}</table>"
