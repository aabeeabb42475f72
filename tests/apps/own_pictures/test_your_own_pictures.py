"""From a folder of photographs to a classifier: the intake, the template notebook, make
mine.

The template as it is shipped is run by nbval, and its form is looked at in
test_notebooks.py.
"""

import importlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import zipfile
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

import nbformat
import numpy as np
import pytest
from jupyter_client.connect import LocalPortCache
from nbclient import NotebookClient
from PIL import Image

from apps.own_pictures import intake as intake_module
from apps.own_pictures import kernel, learn, run
from apps.own_pictures.intake import (
    LEAST,
    LEAST_OWN,
    Intake,
    changes_in_words,
    data_card,
    decided_in_words,
    look_through,
    told,
)
from apps.sharing.exported import load_exported
from helpers import datasets
from helpers.cleaning import out_of_fold
from helpers.datasets import find_near_duplicates, groups, split
from panels.corrections import CorrectionsError, read_corrections, write_corrections
from safeguards.folders import DataError
from safeguards.look_alikes import Pair

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
mine = importlib.import_module("apps.own_pictures.mine")

HEIC = b"\0\0\0\x18ftypheic" + bytes(200)
ODD = ("cats & <b>'dogs'", "5$_x$ 100 % [é]")


def png(seed, size=(40, 30)):
    """The file of a small picture that looks like no other seed's."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def fill(folder, **counts):
    """Class folders with so many different pictures each → the folder."""
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i:02}.png").write_bytes(png(1000 * number + i))
    return folder


def content(folder):
    """All that lies below a folder: {path: hash, or None of what is no file}."""
    return {
        path: sha256(path.read_bytes()).digest() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def pets(tmp_path):
    return fill(tmp_path / "pets", cats=12, dogs=12)


# -- folders that cannot be used -------------------------------------------------------


def missing(folder):
    pass


def empty(folder):
    folder.mkdir()


def one_class(folder):
    fill(folder, cats=12)


def three_pictures(folder):
    fill(folder, cats=2, dogs=1)


def no_class_folders(folder):
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.png").write_bytes(png(i))


def one_class_too_small(folder):
    fill(folder, cats=12, dogs=LEAST - 1)


def empty_subfolder(folder):
    fill(folder, cats=12, dogs=12, birds=0)


def nested(folder):
    fill(folder / "photos", cats=12, dogs=12)


def nested_within_a_class(folder):
    fill(folder, cats=12, dogs=12)
    fill(folder / "cats", kittens=3)


def parts(folder):
    fill(folder / "train", cats=12, dogs=12)
    fill(folder / "val", cats=12, dogs=12)


def parts_as_classes(folder):
    fill(folder, train=12, test=12, bus=12)


def linked_folder(folder):
    fill(folder, cats=12, dogs=12)
    (folder / "dogs" / "more").symlink_to(folder / "cats")


def lost_class(folder):
    fill(folder, cats=12, dogs=12)
    (folder / "birds").symlink_to(folder / "gone")


def all_heic(folder):
    fill(folder, cats=12, dogs=0)
    for i in range(12):
        (folder / "dogs" / f"{i}.heic").write_bytes(HEIC)


def all_copies(folder):
    fill(folder, cats=12, dogs=0)
    for i in range(12):
        (folder / "dogs" / f"{i}.png").write_bytes(png(5000, size=(40 + i, 30)))


def all_in_two_classes(folder):
    fill(folder, cats=12, dogs=0)
    for path in (folder / "cats").iterdir():
        (folder / "dogs" / path.name).write_bytes(path.read_bytes())


def odd_class_name(folder):
    fill(folder, **{"cats": 12, "do\ngs": 12})


def archive(folder):
    with zipfile.ZipFile(folder, "w") as file:
        file.writestr("cats/1.png", png(0))


def archive_by_its_name(folder):
    folder.with_suffix(".rar").write_bytes(b"Rar!")
    return folder.with_suffix(".rar")


def picture(folder):
    folder.write_bytes(png(0))


UNUSABLE = {
    missing: r"There is no folder “.*pets”: check",
    empty: "pets has no class folders: make a folder for each",
    one_class: r"pets has only one class \(cats\)",
    three_pictures: "Too few different pictures that can be used: cats 2, dogs 1. At "
    "least 8 a",
    no_class_folders: "pets has no class folders",
    one_class_too_small: "Too few different pictures that can be used: dogs 7. At "
    "least 8 a",
    empty_subfolder: "birds holds no pictures: add some, or remove this class",
    nested: "photos should hold the pictures of one class, but holds the folder cats: "
    "pass the",
    nested_within_a_class: "cats should hold .* folder kittens: .*, or move its "
    "pictures up",
    parts: r"pets is in parts already \(train, val\): put the pictures of each class "
    r"together",
    parts_as_classes: r"class folder .*pets/test has a name .*: rename it, for "
    r"instance test_class",
    linked_folder: "dogs should .* holds more, a link to a folder: put links to its "
    "pictures",
    lost_class: "birds is a link that leads nowhere: mend or remove it",
    all_heic: r": dogs 0\. .* left out there: 12, such as dogs/0.heic cannot be used. "
    r"This .*HEIC",
    all_copies: r": dogs 1 \(of 12: those that look alike count once\)\. .*something "
    r"else",
    all_in_two_classes: r": cats 0, dogs 0\. .*such as cats/00.png shows the same in "
    r"two classes",
    odd_class_name: "The class folder 'do�gs' has a name that cannot be shown: "
    "rename it",
    archive: "pets is an archive: unpack it, and pass the folder that comes out",
    archive_by_its_name: r"pets.rar is an archive: unpack it",
    picture: "pets is a file: pass the folder of class folders",
}


@pytest.mark.parametrize("prepare", UNUSABLE, ids=lambda prepare: prepare.__name__)
def test_a_folder_that_cannot_be_used_gets_one_clear_line(tmp_path, prepare):
    folder = prepare(tmp_path / "pets") or tmp_path / "pets"
    before = content(tmp_path)
    with pytest.raises(DataError, match=UNUSABLE[prepare]) as error:
        look_through(folder)
    assert "\n" not in str(error.value)
    assert content(tmp_path) == before, "nothing is lost"


def white_on_nothing(path, seed):
    image = Image.new("RGBA", (60, 40), (255, 255, 255, 0))
    image.paste("white", (5, 5, 10 + seed % 40, 30))
    image.save(path.with_suffix(".png"))


def after_a_black_frame(path, seed):
    frames = [Image.new("RGB", (60, 40))]
    frames += [Image.open(io.BytesIO(png(seed, (60, 40))))] * 2
    frames[0].save(path.with_suffix(".gif"), save_all=True, append_images=frames[1:])


def eight_bits_in_sixteen(path, seed):
    with Image.open(io.BytesIO(png(seed, (60, 40)))) as image:
        pixels = np.asarray(image.convert("L"))
    Image.fromarray(pixels.astype("uint16")).save(path.with_suffix(".png"))


DOUBTFUL = {
    white_on_nothing: "has transparent parts, which are seen as white",
    after_a_black_frame: "has 2 frames or pages, of which only the first is seen",
    eight_bits_in_sixteen: "has 16 bits, but uses under an eighth of their range",
}


@pytest.mark.parametrize("has_text", [False, True], ids=["alone", "with a text"])
@pytest.mark.parametrize("classes", [["cats", "dogs"], ["cats"], []])
@pytest.mark.parametrize("write", DOUBTFUL, ids=lambda write: write.__name__)
def test_a_refusal_says_why_pictures_may_be_seen_alike(
    tmp_path, write, classes, has_text
):
    """Of white drawings on nothing it only said to remove the wrong ones."""
    folder = fill(tmp_path / "pets", cats=12, dogs=12)
    for number, name in enumerate(classes):
        for i, path in enumerate(sorted((folder / name).glob("*.png"))):
            path.unlink()
            write(path, 20 * number + i)
    if not classes:
        look_through(folder)
        return
    if has_text:
        (folder / "cats" / "0.txt").write_text("a cat")
    with pytest.raises(DataError) as error:
        look_through(folder)
    assert str(error.value).count(DOUBTFUL[write]) == 1


@pytest.mark.parametrize("nothing", ["", "  "])
def test_no_name_at_all(nothing):
    with pytest.raises(DataError, match="No folder was named"):
        look_through(nothing)


def test_a_folder_that_may_not_be_read(pets, monkeypatch):
    def refused(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("apps.own_pictures.intake.visible", refused)
    with pytest.raises(
        DataError, match="pets cannot be read .Permission denied.: check its rights"
    ):
        look_through(pets)


def test_a_file_that_may_not_be_looked_at(pets, monkeypatch):
    is_file, secret = Path.is_file, pets / "cats" / "03.png"

    def refused(path):
        if path == secret:
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refused)
    (left,) = look_through(pets).left_out
    assert (
        str(left) == "cats/03.png cannot be read (Permission denied): check its rights."
    )


# -- files that are left out -----------------------------------------------------------


def test_every_file_is_used_or_left_out_for_a_reason(pets):
    cats, dogs = pets / "cats", pets / "dogs"
    expected = {}

    def put(path, data, kind, reason):
        path.write_bytes(data)
        expected[path] = kind, reason

    put(dogs / "phone.heic", HEIC, "unreadable", "HEIC")
    put(dogs / "notes.txt", b"a cat", "unreadable", "No picture in a known format")
    put(dogs / "web.jpg", b"<html>", "unreadable", "This is a web page")
    put(cats / "empty.jpg", b"", "unreadable", "is empty")
    put(cats / "cut.png", png(500)[:-300], "unreadable", "damaged or incomplete")
    put(cats / "copy.png", png(3), "copy", "shows the same as cats/03.png: counts once")
    put(pets / "loose.png", png(501), "in no class folder", "is it a picture of one?")
    both = (
        "shows the same in two classes (cats/01.png and dogs/again.png): remove the "
        "wrong one"
    )
    put(dogs / "again.png", png(1), "in two classes", both)
    expected[cats / "01.png"] = "in two classes", both
    with (cats / "film.mov").open("wb") as file:  # far more than fits in memory
        file.truncate(2**36)
    expected[cats / "film.mov"] = "unreadable", "Over 50 MB or 89 megapixels"
    (cats / "link.jpg").symlink_to("/nowhere")
    expected[cats / "link.jpg"] = (
        "unreadable",
        "is no file, or a link that leads nowhere",
    )
    os.mkfifo(cats / "pipe.jpg")  # reading from it would last for ever
    expected[cats / "pipe.jpg"] = "unreadable", "is no file"
    (pets / ".DS_Store").write_bytes(b"the system's")

    intake = look_through(pets)
    found = {file.path: (file.kind, str(file)) for file in intake.left_out}
    assert found.keys() == expected.keys()
    for path, (kind, reason) in expected.items():
        assert found[path][0] == kind
        assert found[path][1].startswith(f"{path.parent.name}/{path.name} ")
        assert reason in found[path][1]
    assert (
        intake.kinds == "8 unreadable, 2 in two classes, 1 in no class folder, 1 copy"
    )
    assert np.bincount(intake.pictures.labels).tolist() == [11, 12]
    assert not {*intake.pictures.paths} & found.keys()


@pytest.mark.parametrize(
    ("counts", "named"),
    [
        ({"cats": 3, "dogs": 1}, "cats/a0.png and cats/a1.png and dogs/a0.png"),
        ({"cats": 1, "dogs": 3}, "cats/a0.png and dogs/a0.png and dogs/a1.png"),
        (
            {"ants": 5, "bees": 1, "cats": 2, "dogs": 1},
            "ants/a0.png and bees/a0.png and cats/a0.png and dogs/a0.png",
        ),
    ],
)
def test_a_file_of_each_class_is_named_where_the_same_lies_in_several(
    tmp_path, counts, named
):
    """Of three copies in one class and one in another, those three were named."""
    folder = fill(tmp_path / "pets", **dict.fromkeys(counts, 12))
    for name, count in counts.items():
        for i in range(count):
            (folder / name / f"a{i}.png").write_bytes(png(77))
    left = look_through(folder).left_out
    assert len(left) == sum(counts.values())
    for remark in left:
        assert f"in two classes ({named}): remove the wrong one" in remark.reason


def test_a_good_folder_is_used_whole(pets):
    intake = look_through(str(pets))
    assert (intake.left_out, intake.alike, intake.kinds) == ([], [], "none")
    assert repr(intake.pictures) == "<pets: 24 pictures, cats 12, dogs 12>"


def test_a_class_called_train_is_a_class_where_nothing_else_speaks_of_parts(tmp_path):
    folder = fill(tmp_path / "vehicles", bus=12, train=12)
    assert look_through(folder).pictures.classes == ("bus", "train")


def test_links_to_pictures_are_used(pets, tmp_path):
    kept = pets.rename(tmp_path / "kept")
    for path in kept.rglob("*.png"):
        (pets / path.parent.name).mkdir(parents=True, exist_ok=True)
        (pets / path.parent.name / path.name).symlink_to(path)
    (pets / "cats" / "again.png").symlink_to(kept / "cats" / "01.png")
    intake = look_through(pets)
    assert len(intake.pictures) == 24
    assert [str(file) for file in intake.left_out] == [
        "cats/again.png shows the same as cats/01.png: counts once."
    ]


def test_names_that_begin_or_end_in_blanks(pets):
    for path in list(pets.rglob("*.png")):
        path.rename(path.with_name(f" {path.name} "))
    folder = pets.rename(pets.with_name(" my pets "))
    intake = look_through(str(folder))
    assert len(intake.pictures) == 24 and intake.left_out == []
    file = folder.parent / "my_corrections.csv"
    write_corrections(intake.pictures, file, {0: 1})
    assert look_through(folder, corrections=file).decisions == "1 relabelled"


def test_pictures_that_may_be_read_wrongly_are_named_and_used(pets):
    values = np.random.default_rng(0).integers(0, 1024, (30, 40), "uint16")
    Image.fromarray(values).save(pets / "cats" / "camera.tif")
    grey = Image.open(io.BytesIO(png(900))).convert("RGB")
    grey.paste((128, 128, 128), (0, 15, 40, 30))
    grey.save(pets / "dogs" / "cut.jpg")
    intake = look_through(pets)
    assert {pets / "cats" / "camera.tif", pets / "dogs" / "cut.jpg"} < {
        *intake.pictures.paths
    }
    dark, cut = map(str, intake.doubtful)
    assert dark.startswith(
        "cats/camera.tif has 16 bits, but uses under an eighth of their range"
    )
    assert cut.startswith("dogs/cut.jpg ends in rows of one flat grey")
    card = data_card(intake, pets.parent / "card.md", {"all": intake.pictures})
    assert "| used, but perhaps read wrongly | 2 |" in card.read_text(encoding="utf-8")


def test_names_with_odd_characters(tmp_path):
    folder = fill(tmp_path / "pets", **dict.fromkeys(ODD, 10))
    files = [
        f"{ODD[0]}/a$ \n\u202e`|.png",
        os.fsdecode(os.fsencode(ODD[0]) + b"/\xff\xfe.png"),
    ]
    for i, name in enumerate(files):
        (folder / name).write_bytes(png(700 + i))
    (folder / ODD[1] / "\x1b[31m.png").write_bytes(b"no picture")
    intake = look_through(folder)
    assert {folder / name for name in files} < {*intake.pictures.paths}
    (left,) = map(str, intake.left_out)
    assert left.startswith(
        f"{ODD[1]}/�[31m.png cannot be used. No picture in a known format"
    )
    assert left.isprintable()


@pytest.mark.thorough
def test_pictures_of_fifty_megapixels_are_used_and_larger_ones_named(pets):
    for name, size in {"phone.jpg": (8660, 5774), "scan.jpg": (12000, 8000)}.items():
        Image.new("RGB", size, "orange").save(pets / "cats" / name)
    intake = look_through(pets)
    assert pets / "cats" / "phone.jpg" in intake.pictures.paths
    (left,) = intake.left_out
    assert str(left) == (
        "cats/scan.jpg cannot be used. Over 50 MB or 89 megapixels: use a smaller "
        "copy. Or remove the file."
    )


# -- no leak ---------------------------------------------------------------------------


@pytest.fixture
def shots(tmp_path):
    """Of each of ten things a class two shots that look alike."""
    folder = fill(tmp_path / "pets", cats=10, dogs=10)
    for path in list(folder.rglob("*.png")):
        with Image.open(path) as image:
            image.resize((80, 60)).save(path.with_suffix(".jpg"), quality=80)
    return folder


def test_what_looks_alike_is_in_one_part(shots):
    intake = look_through(shots)
    assert len(intake.pictures) == 40 and len(intake.alike) == 20
    for seed in range(5):
        train, test = split(intake.pictures, (0.7, 0.3), seed, intake.alike)
        assert find_near_duplicates(train, test) == []
        assert [np.bincount(part.labels).tolist() for part in (train, test)] == [
            [14, 14],
            [6, 6],
        ]
    alone = [split(intake.pictures, (0.7, 0.3), seed) for seed in range(5)]
    assert any(find_near_duplicates(*parts) for parts in alone), (
        "else this test tests nothing"
    )


def test_groups_go_by_way_of_others(pets):
    pictures = look_through(pets).pictures
    a, b, c, d, *_ = pictures.paths
    keys = groups(pictures, [(a, b), (c, d), (b, d)]).tolist()
    assert len({*keys[:4]}) == 1
    assert len({*keys[3:]}) == len(keys) - 3
    assert len({*groups(pictures)}) == len(pictures)


def test_groups_do_not_depend_on_the_order_of_pairs(pets):
    pictures = look_through(pets).pictures
    a, b, c, *_ = pictures.paths
    assert {*groups(pictures, [(a, b), (b, c)])} == {
        *groups(pictures, [(c, b), (b, a)])
    }


def test_a_class_that_looks_like_another_is_named(pets):
    for path in (pets / "cats").iterdir():
        with Image.open(path) as image:
            image.resize((80, 60)).save(pets / "dogs" / f"{path.stem}.jpg", quality=80)
    for path in (pets / "dogs").glob("*.png"):
        path.unlink()
    with pytest.raises(
        DataError,
        match=r"of cats that look .*: 0 of 12, .*, as do cats/\d\d.png and dogs",
    ):
        look_through(pets)


def test_threshold_decides_what_looks_alike(shots):
    assert look_through(shots, threshold=1.01).alike == []


@pytest.mark.parametrize(
    ("likeness", "threshold", "joined", "advised", "not_told"),
    [
        (0.934, 0.95, "the pair", "make mine ALIKE=0.93 …", "keep one of them"),
        (0.934, 0.95, "nothing", "keep one of them", "ALIKE"),
        (0.934, 0.95, "all", "keep one of them", "ALIKE"),
        (0.934, 0.95, "two of two classes", "keep one of them", "film"),
        (0.974, 0.95, "the pair", "keep one of them", "ALIKE"),
        (0.934, 0.98, "the pair", "keep one of them", "film"),
        (0.4, 0.95, "the pair", "keep one of them", "ALIKE"),
    ],
    ids=[
        "a little below",
        "not joined there either",
        "all are joined there",
        "of two classes",
        "parted above",
        "asked for stricter",
        "too far apart",
    ],
)
def test_what_is_advised_of_undecided_pictures_helps(
    pets, monkeypatch, likeness, threshold, joined, advised, not_told
):
    def look_alikes(pictures, threshold):
        if threshold > likeness:
            return []
        paths = pictures.paths
        count = {"nothing": 1, "all": 12}.get(joined, 2)
        return [(likeness, paths[0], path) for path in paths[1:count]]

    found = (2, [Pair(likeness, 0, 12 if joined == "two of two classes" else 1)])
    monkeypatch.setattr(intake_module, "undecided", lambda *_: found)
    monkeypatch.setattr(intake_module, "_look_alikes", look_alikes)
    if likeness > threshold:  # no threshold joins the steps of a long series
        monkeypatch.setattr(intake_module, "_look_alikes", lambda *_: [])
    text = look_through(pets, threshold).undecided
    assert advised in text and not_told not in text


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "1 picture resembles another and differs in"), (2, "2 pictures resemble ano")],
)
def test_one_undecided_picture_is_one(pets, monkeypatch, count, said):
    found = (count, [Pair(0.9, 0, 1)])
    monkeypatch.setattr(intake_module, "undecided", lambda *_: found)
    assert f"Not decided: {said}" in look_through(pets).undecided


@pytest.mark.parametrize("own", [4, 6, 7])
def test_what_is_accepted_can_be_learned(tmp_path, own):
    """Of a class with four pictures of its own three were left to learn from, and five
    folds of them stopped with a ValueError."""
    folder = fill(tmp_path / "pets", ants=12, bees=12, cats=own)
    for name in ("ants", "bees"):
        for number in range(4):
            with Image.open(folder / name / f"{number:02}.png") as image:
                image.resize((60, 45)).save(folder / "cats" / f"{name}{number}.png")
    if own < 7:
        with pytest.raises(
            DataError, match=rf"of cats that look .* class: {own} of {own + 8}, but at"
        ) as error:
            look_through(folder)
        assert "ALIKE=" in str(error.value)
        return
    found = look_through(folder)
    train, test = learn.part(found)
    assert np.bincount(train.labels).min() >= 5
    assert np.bincount(test.labels).min() >= 1
    noise = np.random.default_rng(0).normal(size=(len(train), 4))
    out_of_fold(noise, train, alike=found.alike)
    assert len(split(train, [1 / learn.FOLDS] * learn.FOLDS, alike=found.alike)) == 3


@pytest.mark.parametrize("own", [LEAST_OWN, 8, 9, 10, 13])
@pytest.mark.parametrize("shared", [0, 1, 5])
def test_so_many_of_its_own_suffice(own, shared):
    """Whatever else there is: the first part of a split gets five of a class."""
    for count in range(own, own + shared + 1):
        first, _ = np.split(np.arange(count), datasets._cuts(count, learn.SHARES))
        assert len(first) >= 5


# -- the data card ---------------------------------------------------------------------


def test_data_card_holds_what_was_counted(tmp_path):
    folder = fill(tmp_path / "pets", **{"a|b": 10, "dogs": 9})
    Image.new("RGB", (80, 200), "red").save(folder / "dogs" / "tall.jpg")
    (folder / "dogs" / "copy.png").write_bytes(png(1000))
    intake = look_through(folder)
    train, test = split(intake.pictures, (0.7, 0.3))
    card = data_card(
        intake, tmp_path / "new" / "card.md", {"train": train, "test": test}
    )
    text = card.read_text(encoding="utf-8")
    for line in (
        "# pets: data card",
        "| class | train | test |",
        "| a\\|b | 7 | 3 |",
        "| dogs | 7 | 3 |",
        "| pictures that were used | 20: 19 PNG, 1 JPEG; 0.0 MB |",
        "| width in pixels, as stored | 40 to 80, median 40 |",
        "| height in pixels, as stored | 30 to 200, median 30 |",
        "| copies and files that can't be used | 1: 1 copy |",
        "| labels that a person decided on | 0: none; 0 of them train, 0 of them test "
        "|",
    ):
        assert line in text.splitlines(), line
    assert text.count("**TO FILL IN:**") == 2
    assert isinstance(intake, Intake)


# -- decisions on labels ---------------------------------------------------------------


def test_decisions_outlive_a_tidied_folder(tmp_path):
    """Whoever moves, removes or changes a picture that was decided on is not stopped by
    that."""
    pets = fill(tmp_path / "pets", cats=15, dogs=12)
    file, given = (
        tmp_path / "results" / "my_corrections.csv",
        look_through(pets).pictures,
    )
    write_corrections(given, file, {0: 1, 1: None, 2: 0, 3: 1, 4: None})
    (pets / "cats" / "00.png").rename(
        pets / "dogs" / "moved.png"
    )  # where the decision put it
    (pets / "cats" / "01.png").unlink()
    (pets / "dogs" / "again.png").write_bytes((pets / "cats" / "02.png").read_bytes())
    intake = look_through(pets, corrections=file)
    assert intake.decisions == "1 relabelled, 1 left out"
    assert [reason.split()[0] for reason in intake.retired] == [
        f"cats/0{i}.png" for i in range(3)
    ]
    assert np.bincount(intake.pictures.labels).tolist() == [15 - 5, 12 + 2]
    retired = file.with_name("my_corrections_retired.csv").read_text(encoding="utf-8")
    assert len(retired.splitlines()) == 1 + 3
    again = look_through(pets, corrections=file)
    assert (again.decided, again.retired) == (intake.decided, [])
    assert (
        file.with_name("my_corrections_retired.csv").read_text(encoding="utf-8")
        == retired
    )


def test_decisions_are_named(pets, tmp_path):
    file, given = tmp_path / "my_corrections.csv", look_through(pets).pictures
    assert decided_in_words(look_through(pets)) == ""
    write_corrections(given, file, {0: 0, 1: 0, 2: 1})
    found = look_through(pets, corrections=file)
    sentence = "You decided on 3 labels: 2 kept, 1 relabelled (02.png: cats → dogs)."
    assert decided_in_words(found) == sentence
    assert told(found).splitlines() == [
        "pets: 24 pictures, cats 11, dogs 13",
        "copies and files that can't be used: none",
        sentence,
    ]
    assert found.pictures.name == "pets", "the folder's name goes into cards and pages"
    write_corrections(given, file, {12: 0, 13: 0, 14: 0, 15: 0, 0: None})
    assert decided_in_words(look_through(pets, corrections=file)) == (
        "You decided on 5 labels: 4 relabelled (00.png: dogs → cats; 01.png: dogs → "
        "cats; 02.png: dogs → cats; and 1 more), 1 left out (00.png)."
    )


def test_decisions_that_leave_too_few_pictures_are_named(pets, tmp_path):
    file, given = tmp_path / "my_corrections.csv", look_through(pets).pictures
    write_corrections(given, file, dict.fromkeys(range(5)))
    with pytest.raises(
        DataError, match=r": cats 7\. .* after the decisions in .*my_corrections.csv"
    ):
        look_through(pets, corrections=file)
    write_corrections(given, file, dict.fromkeys(range(12)))
    with pytest.raises(
        CorrectionsError, match="no picture of cats is left: remove some lines"
    ):
        look_through(pets, corrections=file)


def test_without_decisions_the_pictures_are_as_given(pets, tmp_path):
    intake = look_through(pets, corrections=tmp_path / "my_corrections.csv")
    assert (intake.decided, intake.retired, intake.decisions) == ({}, [], "none")
    assert intake.pictures is intake.given


# -- make mine -------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch, tmp_path, capfd):
    """The tool with a folder for its results of its own: arguments → (status, output,
    errors)."""
    monkeypatch.setattr(mine, "BUILD", tmp_path / "build")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mine.py", *map(str, arguments)])
        status = mine.main()
        return status, *capfd.readouterr()

    return run


def without_a_run(monkeypatch, suspects=""):
    """Let the command start nothing and find so many suspects → a list of what it would
    have been started with."""
    given = []

    @contextmanager
    def started(folder, results, alike, tune):
        given.append((folder, results, alike, tune))
        (results / "suspected_labels.txt").write_text(suspects)
        yield

    monkeypatch.setattr(mine, "started", started)
    monkeypatch.setattr(run, "run", lambda *_, **__: None)
    monkeypatch.setattr(run, "report", lambda *_: "")
    return given


HOW_LONG = (
    "Python and the network start, up to half a minute. A few hundred pictures take a "
    "minute or two.\n"
)


def test_earlier_results_get_the_next_number(tmp_path):
    for name in ("mine", "mine-2", "mine-3", "mine-stopped.ipynb", "mine-x"):
        (tmp_path / name).mkdir()
    assert mine.next_numbered(tmp_path / "mine") == tmp_path / "mine-4", (
        "after the latest"
    )
    assert mine.next_numbered(tmp_path / "page") == tmp_path / "page-1"


def test_cells_are_as_the_command_needs_them():
    """Each section begins a cell, so that the report can leave it out where its code
    put nothing out; and what takes long says so while it runs."""
    cells = nbformat.read(kernel.NOTEBOOK, as_version=4).cells
    assert {f"## {name}" for name in run.LASTING} <= {
        cell.source.partition("\n")[0] for cell in cells
    }
    for cell in cells:
        if "learn.tune(" in cell.source:
            assert "live" in cell.metadata.tags, "it says how long it'll take"
        in_report = "template" not in cell.metadata.get("tags", ())
        if cell.cell_type == "markdown" and in_report:
            assert "\n## " not in cell.source


def test_mine_without_a_folder(command, monkeypatch, tmp_path):
    monkeypatch.delenv("PICTURES", raising=False)
    status, _, complaint = command()
    assert status == 1
    assert complaint == (
        "Which pictures? Name a folder that holds one folder of pictures for each "
        "class, as in: make mine PICTURES=~/Pictures/pets\n"
    )
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("wrong", ["x", "2", "0", "-1", "nan", "0,3", "0.95 0.98"])
def test_mine_refuses_what_is_no_likeness(command, tmp_path, wrong):
    status, _, complaint = command(tmp_path, "--alike", wrong)
    assert status == 1
    assert complaint.startswith(
        f"ALIKE={wrong} is no likeness: give a number from 0.5 to 1."
    )


@pytest.mark.parametrize(
    ("asked", "likeness"), [("", None), ("0.98", 0.98), (" 0,98 ", 0.98), ("1", 1)]
)
@pytest.mark.parametrize("how", ["option", "variable"])
def test_mine_passes_the_likeness_on(
    command, tmp_path, monkeypatch, asked, likeness, how
):
    given = without_a_run(monkeypatch)
    monkeypatch.setenv("ALIKE", asked if how == "variable" else "0.7")
    arguments = (f"--alike={asked}",) if how == "option" else ()
    assert command(tmp_path, *arguments)[0] == 0
    (folder, _, alike, _), *_ = given
    assert (folder, alike) == (tmp_path, likeness)


def test_make_mine_passes_the_likeness_on():
    """`make mine ALIKE=0.98` sets what the tool reads."""
    root = Path(mine.__file__).parents[2]
    lines = (root / "Makefile").read_text(encoding="utf-8").splitlines()
    assert {"export PICTURES", "export ALIKE"} <= {*lines}
    notebook = nbformat.read(kernel.NOTEBOOK, as_version=4)
    code = "".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert (
        'os.environ.get("TRANSFER_ALIKE")' in code
        and "look_through(folder, likeness," in code
    )


@pytest.mark.parametrize("suspects", ["", "cats/1.png: dogs? ≈0.98\n"])
def test_labels_are_to_be_decided_on_where_one_is_suspected(
    command, tmp_path, monkeypatch, suspects
):
    without_a_run(monkeypatch, suspects)
    _, printed, _ = command(tmp_path)
    assert "report.html first.\n" in printed
    assert ("make labels" in printed) == bool(suspects)


def test_python_that_does_not_start_is_said_in_a_sentence(command, pets, monkeypatch):
    """Its ports may be another program's by the time it opens them."""
    choose = LocalPortCache.find_available_port
    with ExitStack() as held:

        def taken(self, ip):
            port = choose(self, ip)
            held.enter_context(socket.create_server((ip, port)))
            return port

        monkeypatch.setattr(LocalPortCache, "find_available_port", taken)
        status, _, complaint = command(pets)
    assert status == 1
    last = complaint.splitlines()[-1]  # after what the kernel itself says
    assert last.startswith("Python did not start for the notebook (")
    assert last.endswith("run the command again.")


def test_a_folder_whose_name_ends_in_a_blank(command, tmp_path, monkeypatch):
    given = without_a_run(monkeypatch)
    (tmp_path / "pets ").mkdir()
    command(f"{tmp_path}/pets ")
    (tmp_path / "pets ").rename(tmp_path / "pets")
    command(f" {tmp_path}/pets ")
    folders = [folder for folder, *_ in given]
    assert folders == [tmp_path / "pets ", tmp_path / "pets"]


def test_mine_says_a_fault_of_the_folder_in_one_line(command, tmp_path):
    one_class(tmp_path / "pets")
    (tmp_path / "build" / "mine").mkdir(parents=True)
    (tmp_path / "build" / "mine" / "earlier").write_text("kept")
    status, _, complaint = command(tmp_path / "pets")
    assert status == 1
    assert re.fullmatch(r"/.*/pets has only one class \(cats\): .*\n", complaint)
    assert [path.name for path in content(tmp_path / "build")] == ["mine", "earlier"]


def test_mine_keeps_a_run_that_nobody_expected_to_stop(command, tmp_path, monkeypatch):
    faulty = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])
    monkeypatch.setattr(run, "LASTING", {"Title": "an hour"})
    codes = ("print('so far')", "print('at once')", "{}['a']")
    faulty.cells += map(nbformat.v4.new_code_cell, codes)
    faulty.cells[2].metadata["tags"] = ["live"]
    nbformat.write(faulty, tmp_path / "faulty.ipynb")
    monkeypatch.setattr(run, "NOTEBOOK", tmp_path / "faulty.ipynb")
    status, printed, complaint = command(tmp_path)
    stopped = tmp_path / "build" / "mine-stopped.ipynb"
    assert (status, printed) == (1, f"{HOW_LONG}Title … (an hour)\nat once\n")
    assert (
        complaint == f"It stopped with KeyError: 'a' The run so far is in {stopped}.\n"
    )
    assert nbformat.read(stopped, 4).cells[1].outputs[0].text == "so far\n"
    assert not (tmp_path / "build" / "mine").exists()


def test_results_are_in_place_before_any_of_them_is_printed(
    command, tmp_path, monkeypatch
):
    """A console that can't say ≈, or that is gone, costs nothing but the words."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])
    code = "import os\nprint('accuracy ≈0.83')\n"
    code += "with open(os.environ['TRANSFER_RESULTS'] + '/model', 'w') as file:\n"
    code += "    print('trained', file=file)"
    made.cells.append(nbformat.v4.new_code_cell(code))
    made.cells[1].metadata["tags"] = ["summary"]
    nbformat.write(made, tmp_path / "made.ipynb")
    monkeypatch.setattr(run, "NOTEBOOK", tmp_path / "made.ipynb")
    monkeypatch.setattr(run, "_write_notebook", lambda *_: None)
    results = tmp_path / "build" / "mine"

    def only_when_kept(*arguments, **options):
        if "≈" in "".join(map(str, arguments)):
            assert (results / "report.html").exists()
            raise UnicodeEncodeError("cp1252", "≈", 0, 1, "not in it")

    monkeypatch.setattr(mine, "print", only_when_kept, raising=False)
    with pytest.raises(UnicodeEncodeError):
        command(tmp_path)
    assert (results / "model").read_text() == "trained\n"


@pytest.mark.thorough
def test_mine_walks_the_whole_loop_twice(command, tmp_path):
    """Look, correct, run again, see what that changed; nothing is asked twice."""
    folder = fill(tmp_path / "two by ten", **dict.fromkeys(ODD, 10))
    for i in range(0, 10, 2):  # labels that say nothing about the pictures
        one, other = (folder / name / f"{i:02}.png" for name in ODD)
        swapped = one.read_bytes(), other.read_bytes()
        other.write_bytes(swapped[0])
        one.write_bytes(swapped[1])
    (folder / ODD[0] / "phone.heic").write_bytes(HEIC)
    before = content(folder)
    for name, earlier in {"mine-1": "first", "mine": "earlier"}.items():
        (tmp_path / "build" / name).mkdir(parents=True)
        (tmp_path / "build" / name / earlier).write_text("kept")
    status, printed, complaint = command(folder)
    assert (status, complaint) == (0, ""), complaint
    assert content(folder) == before, "the pictures stay as they are"
    assert (
        "on 20 pictures of 2 classes; copies and files that can't be used: 1\n"
        in printed
    )
    assert "Too few pictures to tell" in printed, (
        "noise cannot be learned, and six do not tell"
    )
    assert "from testing all 20 pictures in turn" in printed
    build = tmp_path / "build"
    assert sorted(path.name for path in build.iterdir()) == ["mine", "mine-1", "mine-2"]
    assert (build / "mine-1" / "first").read_text() == "kept"
    assert (build / "mine-2" / "earlier").read_text() == "kept"
    made = build / "mine"
    cards = {"model_card.md", "data_card.md", "SHA256SUMS", "run.json", "answers.csv"}
    cards |= {"left_out.txt", "look_alike.txt", "suspected_labels.txt"}
    cards |= {"nearest_pairs.txt", "in_turn.npz"}
    models = {"model.keras", "model.onnx", "out_of_fold.npz"}
    notebooks = {"report.ipynb", "labels.ipynb", "report.html"}
    assert {p.name for p in made.iterdir()} == cards | models | notebooks
    check_models(made)
    check_report(made)

    # The report runs where it lies, on the same folder, and finds its own results.
    report = nbformat.read(made / "report.ipynb", as_version=4)
    nbformat.validate(report)
    panel = nbformat.read(made / "labels.ipynb", as_version=4)
    nbformat.validate(panel)
    assert str(folder) in run_in_place(report, made, stop_before="Learn")
    assert "VBox" in run_in_place(panel, made)

    # A label is decided on and a line filled in; the next run knows both.
    given = look_through(folder).pictures
    write_corrections(given, made / "my_corrections.csv", {0: 1, 10: 0, 2: None})
    card = made / "model_card.md"
    filled = card.read_text(encoding="utf-8").replace("**TO FILL IN:** which", "Mine:")
    card.write_text(filled, encoding="utf-8")
    status, printed, complaint = command(folder)
    assert (status, complaint) == (0, ""), complaint
    assert "Decisions on labels are carried over from" in printed
    made = build / "mine"
    assert read_corrections(given, made / "my_corrections.csv") == {
        0: 1,
        10: 0,
        2: None,
    }
    text = text_of(made / "report.html")
    decided = "You decided on 3 labels: 2 relabelled (00.png: "
    assert text.count(decided) == 2 and decided in printed
    change = r"in both, all tested in turn:\nBy the labels you had .*\nthen: .*; now: "
    assert len(re.findall(change, printed)) == 1, "then and now, compared"
    assert text.count("were in both, all tested in turn:") == 2
    card = (made / "model_card.md").read_text(encoding="utf-8")
    assert "; “tested in turn”: all 19, each by classifiers that hadn't" in card
    assert "The labels of 2 of these were decided on where an answer" in card
    assert "| most frequent errors, tested in turn | " in card
    assert "so the accuracy may come out a little too high" in printed
    assert not list(made.glob("*_earlier*")), "it was only filled in"
    assert "Mine: pictures it learned from" in (made / "model_card.md").read_text(
        encoding="utf-8"
    )
    assert not list(made.glob("*_new*"))


def check_models(made):
    """The model files name the classes, and SHA256SUMS knows the files."""
    assert "phone.heic cannot be used" in (made / "left_out.txt").read_text(
        encoding="utf-8"
    )
    assert [name for _, name in load_exported(made / "model.onnx").classes] == sorted(
        ODD
    )
    with zipfile.ZipFile(made / "model.keras") as file:
        assert [name for _, name in json.loads(file.read("classes.json"))] == sorted(
            ODD
        )
    card = (made / "model_card.md").read_text(encoding="utf-8")
    alone = r"\| accuracy, the test pictures alone \| ≈0\.\d\d "
    interval = r"\(0\.\d\d–[01]\.\d\d\), n = 6 \|"
    assert re.search(alone + interval, card)
    for line in (made / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split(maxsplit=1)
        assert sha256((made / name).read_bytes()).hexdigest() == digest
    assert {"model.keras", "model.onnx"} <= {
        line.split()[1] for line in (made / "SHA256SUMS").read_text().splitlines()
    }


def text_of(page):
    """What somebody reads on a page."""
    html = page.read_text(encoding="utf-8")
    return re.sub(r"<style.*?</style>|<[^>]*>", "", html, flags=re.DOTALL)


def check_report(made):
    """The page begins with the question and the answer, and has nothing empty."""
    page = (made / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    allowed = r"(?!data:|#|https?://(arxiv|doi|www\.apache)\.org)"
    assert not re.search(r"""\b(src|href)=["']""" + allowed, page)
    text = text_of(made / "report.html")
    assert text.split()[:3] == ["two", "by", "ten"]
    order = ["The question:", "The answer:", "It got these", "made"]
    order += ["What next", "make classify", "make page", "predict_folder(", "Details"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "Fine-tune, if it pays" not in text, "no section without content"
    assert "Better than last time" not in text
    folder = made.parent.parent / "two by ten"
    assert f"make mine PICTURES='{folder}'" in text, "the command that made it"
    assert not re.search("import os|Before this:|label_cleaner|<[a-z]+:", text), (
        "no code, no instructions"
    )
    report = nbformat.read(made / "report.ipynb", as_version=4)
    assert not re.search(
        r"\]\((?!https?:)",
        "".join(c.source for c in report.cells if c.cell_type == "markdown"),
    )


def run_in_place(notebook, folder, stop_before=None):
    """Run a notebook in its folder → what it printed and showed, as a text."""
    cells = notebook.cells
    if stop_before:
        headings = [cell.source.startswith(f"## {stop_before}") for cell in cells]
        cells = cells[: headings.index(True)]
    some = nbformat.from_dict({**notebook, "cells": cells})
    NotebookClient(
        some,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        shutdown_kernel="immediate",  # else it may end with a traceback of its own
    ).execute()
    texts = []
    for cell in some.cells:
        for output in cell.get("outputs", ()):
            texts.append(output.get("text", ""))
            texts.append(output.get("data", {}).get("text/plain", ""))
    return cells[1].source + "".join(texts)


def test_what_changed_in_the_folder_is_said(pets):
    found = look_through(pets)
    then = [f"{path.parent.name}/{path.name}" for path in found.given.paths]
    assert changes_in_words(found, then) == ""
    assert changes_in_words(found, []) == "", "a first run"
    (pets / "cats" / "a.png").write_bytes(png(77))
    (pets / "cats" / "00.png").unlink()
    (pets / "cats" / "01.png").rename(pets / "dogs" / "one.png")  # nobody knows it now
    assert changes_in_words(look_through(pets), then) == (
        "Since the last run: 2 pictures new, 2 pictures no longer used."
    )
    file = pets.with_name("decisions.csv")
    write_corrections(look_through(pets).given, file, {0: None})
    used = [name for name in then if name != "cats/02.png"]
    without = look_through(pets, corrections=file)
    assert changes_in_words(without, used).startswith("Since the last run: 2 pictures")
    (pets / "cats" / "02.png").replace(pets / "dogs" / "02.png")  # in another's place
    (pets / "cats" / "a.png").rename(pets / "dogs" / "a.png")
    known = [*then, "cats/a.png", "dogs/one.png"]
    assert changes_in_words(look_through(pets), known) == (
        "Since the last run: 1 picture moved (a.png: cats → dogs), 3 pictures no "
        "longer used."
    )


@pytest.mark.thorough
def test_decisions_on_labels_are_used_by_the_next_run(pets, tmp_path):
    """They go by the whole folder: whatever part a picture is in, and whatever its
    label is now."""
    given, results = look_through(pets).pictures, tmp_path / "results"
    file = results / "my_corrections.csv"
    write_corrections(given, file, {0: 0, 1: 1, 2: None})  # kept, relabelled, left out
    before = file.read_bytes()
    with kernel.started(pets, results) as python:
        notebook = run.run(python, tmp_path / "stopped.ipynb")
    said = "".join(
        o.get("text", "") for c in notebook.cells for o in c.get("outputs", ())
    )
    assert "pets: 23 pictures, cats 10, dogs 13" in said
    assert (
        "You decided on 3 labels: 1 kept, 1 relabelled (01.png: cats → dogs), 1 left "
        "out (02.png)."
    ) in said
    card = (results / "data_card.md").read_text(encoding="utf-8")
    assert "# pets: data card" in card
    assert "corrected" not in (results / "model_card.md").read_text(encoding="utf-8")
    counts = [
        re.search(rf"\| {name} \| (\d+) \| (\d+) \|", card) for name in ("cats", "dogs")
    ]
    assert [int(found[1]) + int(found[2]) for found in counts] == [10, 13]
    assert "| pictures that were used | 23: 23 PNG;" in card
    assert "decided on | 3: 1 kept, 1 relabelled, 1 left out; " in card
    assert file.read_bytes() == before
    assert read_corrections(given, file) == {0: 0, 1: 1, 2: None}, (
        "as the panel reads them"
    )


@pytest.mark.slow
def test_mine_on_photographs(command, shared_data, record_property, tmp_path):
    """Ants and bees: real photographs are learned, and what is reported holds."""
    status, printed, complaint = command(shared_data / "hymenoptera" / "train")
    assert (status, complaint) == (0, "")
    record_property("ants and bees", re.search(r"test pictures: (.*)", printed)[1])
    assert "guessing one class every time, which gets 5" in printed
    found = load_exported(tmp_path / "build" / "mine" / "model.onnx")
    others = look_through(shared_data / "hymenoptera" / "val").pictures
    logits = np.concatenate([found.probabilities(image) for image in others.images()])
    right = np.mean(logits.argmax(axis=1) == others.labels)
    low = float(re.search(r"test pictures: ≈[\d.]+ \(([\d.]+)–", printed)[1])
    assert right > low, "photographs that the notebook never saw"


@pytest.mark.slow
def test_mine_can_be_stopped(pets, tmp_path):
    """Ctrl-C reaches make's whole group of processes: one line, and nothing is left."""
    code = (
        "import sys, mine; mine.BUILD = mine.Path(sys.argv.pop()); "
        "sys.exit(mine.main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(pets), str(tmp_path / "build")],
        cwd=Path(mine.__file__).parent,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "Learn" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, 2)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (130, "Stopped: nothing was changed.\n")
    assert list((tmp_path / "build").iterdir()) == []
