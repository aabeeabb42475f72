"""Collect pictures for a data set of one's own."""

import html
import io
import re
from contextlib import suppress
from pathlib import Path

import ipywidgets

from helpers.images import load_image
from helpers.models import picture_key
from helpers.pictures import NO_PICTURES, TITLES, DataError, visible
from helpers.plots import image_tag
from panels._parts import LABELS, Work, alert, fetch_web, remember
from safeguards.pictures import ImageError
from safeguards.whole_files import whole

LONGEST, ENOUGH = 1024, 3  # pixels of a side; pictures a class for load_dataset's three parts
SYSTEM = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}


def collect_widget(classes, folder):
    """A panel that fills `folder`/<class>/ with pictures from addresses, one a line, or from files;
    `load_dataset(folder)` reads them. It says of each what became of it, and counts.
    Kept is an upright RGB JPEG of at most 1024 pixels a side without metadata, so without the place
    where a photograph was taken, and alike for every class, named after its pixels. What is there
    already, in whatever class, is not kept again; nothing is overwritten, no file half-written.
    classes: names, which become those of folders; folder: a path, made when it is needed. Returns
    an ipywidgets VBox with the parts `target` (the class), `addresses`, `button`, `upload`,
    `counts` and `result`. DataError for names that cannot be folders, or a folder that is none."""
    folder = Path(folder).expanduser()
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: give the path of a folder, or of a new one.")
    panel = ipywidgets.VBox()
    panel.target = target = ipywidgets.RadioButtons(description="Class", options=_checked(classes))
    panel.addresses = addresses = ipywidgets.Textarea(description="Addresses", rows=4)
    addresses.placeholder = "https://… one a line"
    panel.button = button = ipywidgets.Button(icon="plus", button_style="primary")
    panel.upload = upload = ipywidgets.FileUpload(multiple=True, accept="image/*")
    panel.counts, panel.result = ipywidgets.HTML(), ipywidgets.HTML()
    work, known = Work(panel.result, button), {}

    def add(sources):
        """Keep each (name, function that returns its bytes) → names of what could not be had."""
        rows, failed = [], []
        with work("Looking at what is there …"):
            _look(folder, known)
        for i, (name, read) in enumerate(sources, 1):
            with work(f"Picture {i} of {len(sources)} …"):
                try:
                    rows.append((name, *_kept(load_image(read()), folder, target.value, known)))
                except (ImageError, OSError) as error:
                    rows.append((name, f"✗ not kept: {error}", None))
                    failed.append(name)
        panel.result.value = _report(rows)
        count()
        return failed

    def by_click():
        lines = [line.strip() for line in addresses.value.splitlines() if line.strip()]
        addresses.disabled = True  # what is typed meanwhile would be lost
        try:
            failed = add([(line, lambda line=line: fetch_web(line)) for line in lines])
        finally:
            addresses.disabled = False
        addresses.value = "\n".join(failed)  # to be corrected

    def by_upload(change):
        if files := change["new"]:
            upload.value = ()  # so that the same file can be chosen again
            add([(file["name"], lambda file=file: bytes(file["content"])) for file in files])

    def count(_=None):
        found = {path.name: len(visible(path)) for path in _folders(folder)}
        panel.counts.value = _counted(dict.fromkeys(target.options, 0) | found)
        button.description = f"Add addresses to {target.value}"
        upload.description = f"Add files to {target.value}"

    for part, tip in (
        (target, "The class of the pictures that you add next"),
        (addresses, "Addresses of pictures on the web, one a line"),
        (button, "Fetch the pictures and keep them in the folder of this class"),
        (upload, "Choose one or several files; they are kept in the folder of this class"),
    ):
        part.tooltip, part.layout.max_width = tip, "100%"
    for part in (target, addresses):
        part.style, part.layout.width = LABELS, "44em"
    for part in (button, upload):
        part.layout.width = "auto"
    remember(("collect", folder.resolve()), target=target, addresses=addresses)
    work.on_click(by_click)
    work.observe(upload, by_upload)
    work.observe(target, count)
    count()
    limit = ipywidgets.HTML(
        "Files: up to 10 MB at once, from make lab 64 MB; more does not arrive."
    )
    row = ipywidgets.HBox([button, upload, limit], layout=ipywidgets.Layout(flex_flow="row wrap"))
    advice = ipywidgets.HTML(
        "Collect only what you may use: mind the licence, and ask whoever can be recognised."
    )
    panel.children = [target, addresses, row, advice, panel.result, panel.counts]
    return panel


def _checked(classes):
    """The class names as a list; DataError where one cannot name a folder on every system."""
    names = [classes] if isinstance(classes, str) else [str(name) for name in classes]
    for name in names:
        own = {*SYSTEM, *TITLES, "val", *map(str.casefold, NO_PICTURES)}
        stem = name.partition(".")[0].rstrip().casefold()  # "con.old" is reserved as well
        reserved = name.casefold() in own or stem in SYSTEM
        long = len(name.encode(errors="replace")) > 200  # of 255 bytes that a name may have
        if reserved or long or not re.fullmatch(r"(?!.*[ .]$)\w[\w .+-]{0,99}", name):
            raise DataError(
                f"{name!r} cannot name the folder of a class: use letters, digits, spaces and "
                f"_ . + - between them, and none of the names {', '.join(TITLES)} and val."
            )
    if not names or len({name.casefold() for name in names}) < len(names):
        raise DataError(f"The classes are {names}: give one name or more, each once.")
    return names


def _folders(folder):
    return [path for path in visible(folder) if path.is_dir()] if folder.is_dir() else []


def _look(folder, known):
    """Bring {key of pixels: path} up to date with what lies in the class folders."""
    for key in [key for key, path in known.items() if not path.exists()]:
        del known[key]
    seen = set(known.values())
    for path in [path for below in _folders(folder) for path in visible(below)]:
        if path not in seen:
            with suppress(ImageError):  # put there by hand; load_dataset will name it
                known[_key(load_image(path))] = path


def _key(image):
    """Of a picture's pixels, in the size in which it would be kept, which it then has."""
    image.thumbnail((LONGEST, LONGEST))
    return picture_key(image)[:16]


def _kept(image, folder, label, known):
    """Save a picture unless it is there → what became of it, and a small copy or None."""
    image.info.clear()  # comments and the like would be saved
    key, buffer = _key(image), io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    stored = _key(load_image(buffer.getvalue()))  # JPEG changes pixels a little, always alike
    if path := known.get(key) or known.get(stored):
        return f"= not kept again: is there as {path.parent.name}/{path.name}", None
    path = folder / label / f"{key}.jpg"
    while path.exists():  # something else by this name
        path = path.with_stem(f"{path.stem}_")
    with whole(path) as part:
        part.write_bytes(buffer.getvalue())
    known[key] = known[stored] = path
    image.thumbnail((48, 48))
    return f"✓ kept as {path.parent.name}/{path.name}", image


def _report(rows):
    """What became of each (name, what, small picture or None), as an HTML list."""
    if not rows:
        return alert("Paste one or more, one a line.", "No addresses")
    items = ""
    for name, what, small in rows:
        picture = image_tag(small, f"Kept: {name}") + " " if small else ""
        items += (
            f"<li>{picture}<span style='overflow-wrap: anywhere'>{html.escape(name)}</span><br>"
            f"{html.escape(what)}</li>"
        )
    kept = sum(small is not None for *_, small in rows)
    role = "status" if all(what[0] != "✗" for _, what, _ in rows) else "alert"
    return (
        f"<div style='line-height: 1.5'><p role='{role}'>Kept {kept} of {len(rows)}:</p>"
        f"<ol style='margin: 0'>{items}</ol></div>"
    )


def _counted(counts):
    """Pictures a class, and what load_dataset still lacks, as an HTML table."""
    rows = ""
    for name, count in counts.items():
        lacks = f"{ENOUGH - count} more needed" if count < ENOUGH else "enough to begin"
        rows += (
            f"<tr><th scope='row' style='text-align: left'>{html.escape(name)}</th>"
            f"<td style='padding: 0 1em'>{count}</td><td>{lacks}</td></tr>"
        )
    caption = "<caption style='text-align: left'>Pictures</caption>"
    return f"<table style='line-height: 1.5'>{caption}{rows}</table>"
