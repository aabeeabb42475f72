"""The panel that collects pictures, with a web server on this machine and real
files."""

import io
import os
import re
import threading

import numpy as np
import pytest
from PIL import Image
from server import Server

from helpers.datasets import load_dataset
from helpers.images import load_image
from panels import _common, collect, collect_widget
from safeguards.folders import DataError

NORTH = {1: "N", 2: (52, 31, 0)}  # of Exif's place: GPSLatitudeRef and GPSLatitude


def photograph(seed, size=(40, 30), kind="PNG", **options):
    """The bytes of a picture that is unlike any other."""
    pixels = np.random.default_rng(seed).integers(
        0, 256, (size[1], size[0], 3), "uint8"
    )
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def site():
    """A web server on this machine with four pictures and a page; → its address."""
    with Server() as server:
        server.files = {f"{i}.png": photograph(i) for i in range(4)}
        server.files |= {"page": b"<html>Hello", "same.png": photograph(0)}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.address
        server.shutdown()


@pytest.fixture(autouse=True)
def new_session():
    """A session in which no panel has been made."""
    _common._remembered.clear()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "mine"


@pytest.fixture
def panel(folder):
    return collect_widget(["cup", "my phone"], folder)


def add(panel, *lines, target="cup"):
    """Paste addresses and click → the report."""
    panel.target.value = target
    panel.addresses.value = "\n".join(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_common, "PAUSE", 0)  # as if it came later
        panel.button.click()
    return report(panel)


def choose(panel, **files):
    """Choose files as the browser does: {name: bytes} → the report."""
    entry = {"type": "image/png", "size": 1, "last_modified": 0}
    value = [
        {**entry, "name": name, "content": memoryview(files[name])} for name in files
    ]
    panel.upload.set_state({"value": value})
    return report(panel)


def report(panel):
    """(name, what became of it) for each item of the result."""
    items = re.findall("<span.*?>(.*?)</span><br>(.*?)</li>", panel.result.value)
    assert len(items) == panel.result.value.count("<li>")
    return items


def counts(panel):
    """The table of counts: {class: (pictures, what is lacking)}."""
    rows = re.findall("<tr>(.*?)</tr>", panel.counts.value)
    return {
        name: rest for name, *rest in (re.findall(">([^<>]+)<", row) for row in rows)
    }


def kept(folder):
    """Every file below the folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_each_line_is_reported(panel, folder, site):
    lines = [
        f"{site}0.png",
        "",
        f"  {site}none.png ",
        f"{site}page",
        "cat",
        f"{site}1.png",
    ]
    first, none, page, path, last = add(panel, *lines)
    assert first[0] == f"{site}0.png"
    assert re.fullmatch(r"✓ kept as cup/[0-9a-f]{16}\.jpg", first[1])
    assert none == (f"{site}none.png", none[1])
    assert none[1].startswith("✗ not kept: http")
    assert "404" in none[1]
    assert page[1] == (
        "✗ not kept: This is a web page: copy the address of the picture in it."
    )
    assert path[1].startswith("✗ not kept: Give an http:// or https:// address")
    assert last[1].startswith("✓ kept as cup/")
    assert "<p role='alert'>Kept 2 of 5:</p>" in panel.result.value
    assert panel.addresses.value == f"{site}none.png\n{site}page\ncat", (
        "left to be corrected"
    )
    assert len(kept(folder)) == 2


def test_what_was_kept_is_shown(panel, site):
    add(panel, f"{site}0.png")
    assert f'<img alt="Kept: {site}0.png"' in panel.result.value
    assert "<p role='status'>Kept 1 of 1:</p>" in panel.result.value


def test_a_kept_file_is_a_jpeg_without_metadata(panel, folder, site):
    exif = Image.Exif()
    exif[0x8825], exif[0x0112] = NORTH, 6  # place; turned to the right
    data = photograph(7, (1500, 900), "JPEG", exif=exif, comment=b"at home", quality=95)
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(0x8825)[1] == "N"
    choose(panel, **{"IMG_1.jpg": data})
    (file,) = (folder / "cup").iterdir()
    with Image.open(file) as image:
        assert image.format == "JPEG"
        assert image.size == (614, 1024), "upright, and no larger than that"
        assert not image.getexif()
        assert not image.info.keys() & {"exif", "comment", "icc_profile", "xmp"}
    assert b"home" not in file.read_bytes()


def test_a_small_picture_keeps_its_size_and_nearly_its_pixels(panel, folder):
    smooth = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3).astype("uint8")
    buffer = io.BytesIO()
    Image.fromarray(smooth).save(buffer, "PNG")
    choose(panel, **{"a.png": buffer.getvalue()})
    (file,) = (folder / "cup").iterdir()
    assert np.abs(np.asarray(load_image(file)).astype(int) - smooth).max() <= 4


def test_a_picture_is_kept_once_in_whatever_class_and_session(panel, folder, site):
    (name, first), (_, again) = add(panel, f"{site}0.png", f"{site}same.png")
    place = first.removeprefix("✓ kept as ")
    assert again == f"= not kept again: is there as {place}"
    assert add(panel, f"{site}0.png", target="my phone")[0][1] == again
    assert panel.addresses.value == "", "nothing to be corrected"
    assert "<p role='status'>Kept 0 of 1:</p>" in panel.result.value
    later = collect_widget(["cup", "my phone"], folder)
    assert add(later, f"{site}0.png", target="my phone")[0][1] == again
    saved = (folder / place).read_bytes()
    assert choose(later, **{"a copy.jpg": saved})[0][1] == again, "the file itself"
    bmp = io.BytesIO()
    Image.open(io.BytesIO(photograph(0))).save(bmp, "BMP")
    assert choose(later, **{"same.bmp": bmp.getvalue()})[0][1] == again, (
        "the same pixels"
    )
    assert kept(folder) == [place]
    assert (folder / place).read_bytes() == saved


def test_a_picture_put_there_by_hand_counts(panel, folder, site):
    (folder / "my phone").mkdir(parents=True)
    (folder / "my phone" / "by hand.png").write_bytes(photograph(0))
    (folder / "my phone" / "notes.txt").write_text("no picture")
    assert add(panel, f"{site}0.png") == [
        (f"{site}0.png", "= not kept again: is there as my phone/by hand.png"),
    ]


def test_a_file_that_was_removed_can_be_kept_anew(panel, folder, site):
    add(panel, f"{site}0.png")
    (file,) = (folder / "cup").iterdir()
    file.unlink()
    assert (
        add(panel, f"{site}0.png", target="my phone")[0][1]
        == f"✓ kept as my phone/{file.name}"
    )


def test_nothing_is_overwritten(panel, folder, site):
    add(panel, f"{site}0.png")
    (file,) = (folder / "cup").iterdir()
    file.write_bytes(b"something else, no picture")
    later = collect_widget(["cup"], folder)
    assert add(later, f"{site}0.png")[0][1] == f"✓ kept as cup/{file.stem}_.jpg"
    assert file.read_bytes() == b"something else, no picture"


def test_a_picture_counts_by_its_pixels_whatever_its_name(panel, folder, site):
    """In a later session, so that nothing is in mind."""
    add(panel, f"{site}0.png", f"{site}1.png")
    a, b = (folder / "cup").iterdir()
    swapped = a.read_bytes(), b.read_bytes()
    b.write_bytes(swapped[0])
    a.unlink()
    (folder / "cup" / "renamed.jpg").write_bytes(swapped[1])
    large = photograph(5, (1500, 900))
    (folder / "cup" / "large.png").write_bytes(large)
    later = collect_widget(["cup"], folder)
    said = [what for _, what in add(later, f"{site}0.png", f"{site}1.png")]
    places = sorted(
        what.removeprefix("= not kept again: is there as ") for what in said
    )
    assert places == sorted([f"cup/{b.name}", "cup/renamed.jpg"])
    assert (
        choose(later, **{"l.png": large})[0][1]
        == "= not kept again: is there as cup/large.png"
    )


def test_a_failed_write_leaves_nothing(panel, folder, site, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    ((_, what),) = add(panel, f"{site}0.png")
    assert what == "✗ not kept: [Errno 28] No space left on device"
    assert kept(folder) == []
    assert panel.addresses.value == f"{site}0.png"
    monkeypatch.undo()
    assert add(panel, f"{site}0.png")[0][1].startswith("✓ kept")


def test_files_are_reported_each(panel):
    files = {
        "a<b>.png": photograph(1),
        "notes.txt": b"no picture",
        "copy.png": photograph(1),
    }
    first, second, third = choose(panel, **files)
    assert first[0] == "a&lt;b&gt;.png"
    assert second == ("notes.txt", second[1])
    assert second[1].startswith("✗ not kept: No picture in a known format")
    assert third[1].startswith("= not kept again")
    assert panel.upload.value == ()
    assert panel.addresses.value == ""


def test_counts_and_loads(panel, folder, site):
    assert counts(panel) == {
        "cup": ["0", "3 more needed"],
        "my phone": ["0", "3 more needed"],
    }
    assert not folder.exists(), "nothing is made before it is needed"
    choose(panel, **{f"{i}.png": photograph(i) for i in range(4)})
    assert counts(panel)["cup"] == ["4", "enough to begin"]
    panel.target.value = "my phone"
    assert (panel.button.description, panel.upload.description) == (
        "Add addresses to my phone",
        "Add files to my phone",
    )
    choose(panel, **{f"{i}.png": photograph(i) for i in range(4, 7)})
    assert counts(panel)["my phone"] == ["3", "enough to begin"]
    data = load_dataset(folder)
    assert data.classes == ("cup", "my phone")
    assert sum(map(len, (data.train, data.validation))) < 7


def test_other_folders_are_counted_as_load_dataset_would_read_them(panel, folder):
    (folder / "old").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    assert list(counts(collect_widget(["cup"], folder))) == ["cup", "old"]


def test_a_click_without_addresses_asks_for_some(panel):
    assert add(panel, "  ", "") == []
    assert "role='alert'" in panel.result.value
    assert "Paste one or more, one a line." in panel.result.value


def test_a_click_made_while_it_works_is_dropped(panel, site, folder):
    add(panel, f"{site}none.png")
    before = panel.result.value
    panel.button.click()  # as it comes out of the queue
    assert panel.result.value == before


def test_it_says_so_while_it_works(panel, site, monkeypatch):
    said, fetch = [], collect.fetch_web

    def watched(url):
        said.append((panel.result.value, panel.button.icon, panel.addresses.disabled))
        return fetch(url)

    monkeypatch.setattr(collect, "fetch_web", watched)
    add(panel, f"{site}0.png", f"{site}1.png")
    assert said == [
        (f"<p role='status'>Picture {i} of 2 …</p>", "hourglass", True) for i in (1, 2)
    ]
    assert (panel.button.icon, panel.addresses.disabled) == ("plus", False)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "../up",
        "a/b",
        "a\\b",
        "C:",
        ".hidden",
        "cup.",
        "cup ",
        "a\nb",
        "-cup",
    ]
    + [
        "what?",
        "a<b>",
        "con",
        "LPT1",
        "con.old",
        "Nul .x",
        "é" * 101,
        "漢" * 70,
        "train",
        "Validation",
        "val",
        "test",
        "Thumbs.db",
        "x" * 101,
    ],
)
def test_names_that_cannot_be_folders_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="cannot name the folder of a class"):
        collect_widget(["cup", name], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("classes", [[], ["cup", "cup"], ["cup", "Cup"]])
def test_each_class_is_named_once(tmp_path, classes):
    with pytest.raises(DataError, match="give one name or more, each once"):
        collect_widget(classes, tmp_path)


@pytest.mark.parametrize(
    "name", ["hand-held_computer", "Tasse à café", "杯子", "C++ book", "v1.2"]
)
def test_names_in_any_language_are_taken(tmp_path, name):
    panel = collect_widget(name, tmp_path)
    choose(panel, **{"a.png": photograph(0)})
    assert load_image(next((tmp_path / name).iterdir())).size == (40, 30)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file: give the path of a folder"):
        collect_widget(["cup"], tmp_path / "file")


def test_is_labelled_and_keeps_what_was_typed(panel, folder):
    assert panel.target.description == "Class"
    assert panel.addresses.description == "Addresses"
    parts = (panel.target, panel.addresses, panel.button, panel.upload)
    assert all(part.tooltip for part in parts)
    assert "licence" in panel.children[3].value
    panel.target.value, panel.addresses.value = "my phone", "https://half.typed"
    again = collect_widget(["cup", "my phone"], folder)
    assert (again.target.value, again.addresses.value) == (
        "my phone",
        "https://half.typed",
    )
    elsewhere = collect_widget(["cup", "my phone"], folder.parent / "another")
    assert (elsewhere.target.value, elsewhere.addresses.value) == ("cup", "")
