"""helpers.datasets and helpers.pictures: no split leaks, and every fault names its
place."""

import hashlib
import io
import os
import platform
import re
import tarfile
import threading
import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from cases import thorough_but
from PIL import Image, ImageOps
from server import Server

from helpers import datasets, keras, load_classifier, load_image
from helpers.datasets import find_near_duplicates, load_dataset, split
from helpers.images import SAMPLES, ResizeRule, to_batch
from helpers.models import REGISTRY
from helpers.pictures import Pictures, listed
from safeguards import addresses, archives
from safeguards.folders import TITLES, DataError
from safeguards.keys import picture_key

TABLE = dict(datasets.PUBLIC)  # before tests lead it to their own server


class Shape:
    """As much of a classifier as `batches` needs."""

    def __init__(self, size=32, rule=ResizeRule()):  # noqa: B008
        self.size, self.rule = size, rule


def picture(seed, size=(40, 30)):
    """A small picture like no other seed's."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), "uint8")
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def fill(folder, counts, first=0, format="PNG"):
    """Write class folders with so many different pictures each → the folder."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            file = folder / name / f"{i:03}.{format.lower()}"
            file.write_bytes(encoded(picture(first), format))
            first += 1
    return folder


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def keys(pictures):
    return [picture_key(image) for image in pictures.images()]


@pytest.fixture
def whole(tmp_path):
    """A folder of class folders: 10 cats, 20 dogs."""
    return fill(tmp_path / "pets", {"dogs": 20, "cats": 10})


@pytest.fixture
def parts(tmp_path):
    """A folder that is split already."""
    counts = {"train": (5, 4), "val": (3, 3), "test": (2, 3)}
    for i, (part, (cats, dogs)) in enumerate(counts.items()):
        fill(tmp_path / "given" / part, {"cats": cats, "dogs": dogs}, first=100 * i)
    return tmp_path / "given"


@pytest.fixture
def pets(whole):
    """The files of `whole`, in one piece."""
    return Pictures(
        "pets",
        tuple(sorted(whole.glob("*/*"))),
        np.repeat([0, 1], [10, 20]),
        ("cats", "dogs"),
    )


# -- folders ---------------------------------------------------------------------------


def test_a_folder_that_is_split_is_taken_as_it_is(parts, capsys):
    found = load_dataset(parts)
    assert (found.name, found.classes) == ("given", ("cats", "dogs"))
    assert repr(found) == (
        "<given: <given/train: 9 pictures, cats 5, dogs 4>, "
        "<given/validation: 6 pictures, cats 3, dogs 3>, a test set>"
    )
    for pictures, part in ((found.train, "train"), (found.validation, "val")):
        assert list(pictures.paths) == sorted((parts / part).glob("*/*"))
        assert [found.classes[i] for i in pictures.labels] == [
            p.parent.name for p in pictures.paths
        ]
        assert pictures.labels.dtype == np.int64
    assert capsys.readouterr().out == "", "nothing to report"
    assert list(found.open_test().paths) == sorted((parts / "test").glob("*/*"))


def test_a_folder_of_classes_is_split(whole, monkeypatch):
    monkeypatch.chdir(whole.parent)
    for source in (whole, str(whole), "pets", "./pets/"):
        found = load_dataset(source)
        each = [found.train, found.validation, found.open_test()]
        assert [p.name for p in each] == ["pets/train", "pets/validation", "pets/test"]
        assert [np.bincount(p.labels).tolist() for p in each] == [
            [6, 12],
            [2, 4],
            [2, 4],
        ]
        assert sorted(path for p in each for path in p.paths) == sorted(
            whole.glob("*/*")
        )


def test_a_folder_under_home(whole, monkeypatch):
    monkeypatch.setenv("HOME", str(whole.parent))
    assert load_dataset("~/pets").name == "pets"


def test_what_systems_leave_in_folders_is_no_picture(parts):
    paths = load_dataset(parts).train.paths
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._000.png"):
        (parts / "train" / "cats" / name).write_bytes(b"no picture")
    for folder in (parts, parts / "train"):
        (folder / "__MACOSX" / "cats").mkdir(parents=True)
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / "README.txt").write_text("how these were taken")
    assert load_dataset(parts).train.paths == paths


def test_a_name_comes_before_a_folder(tmp_path, monkeypatch):
    fill(tmp_path / "flowers", {"a": 3, "b": 3})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        datasets, "_public", lambda name: pytest.fail(f"{name} is asked for")
    )
    assert (
        load_dataset("./flowers").classes
        == load_dataset(Path("flowers")).classes
        == ("a", "b")
    )
    with pytest.raises(pytest.fail.Exception, match="flowers is asked for"):
        load_dataset("flowers")


def remove(folder):
    for path in folder.iterdir():
        path.unlink()


WHOLE_FAULTS = {
    "empty class": (
        lambda f: remove(f / "cats"),
        r"pets/cats holds no pictures: add some, or",
    ),
    "new empty class": (
        lambda f: (f / "birds").mkdir(),
        "pets/birds holds no pictures",
    ),
    "one class": (
        lambda f: (f / "cats").rename(f.parent / "cats"),
        r"pets has only one class \(dogs\): make a folder for each of two",
    ),
    "nothing": (
        lambda f: [(f / name).rename(f.parent / name) for name in ("cats", "dogs")],
        "pets has no class folders: make a folder for each",
    ),
    "folders in a class": (
        lambda f: (f / "dogs" / "large").mkdir(),
        "pets/dogs should hold the pictures of one class, but holds the folder large: "
        "pass",
    ),
    "one folder too high": (
        lambda f: (
            f.rename(f.parent / "inner"),
            f.mkdir(),
            (f.parent / "inner").rename(f / "in"),
        ),
        "pets/in should .* holds the folder cats: pass the folder just above the "
        "class folders",
    ),
    "no picture": (
        lambda f: (f / "dogs" / "notes.txt").write_text("good dogs"),
        r"pets/dogs/notes.txt cannot be used. No picture in a known format.*Or remove "
        r"the file",
    ),
    "HEIC": (
        lambda f: (f / "dogs" / "a.heic").write_bytes(
            b"\0\0\0\x18ftypheic" + bytes(100)
        ),
        r"pets/dogs/a.heic cannot be used. This .*HEIC",
    ),
    "cut": (
        lambda f: (f / "cats" / "003.png").write_bytes(encoded(picture(3))[:500]),
        r"pets/cats/003.png cannot be used. It is damaged or incomplete",
    ),
    "no bytes": (
        lambda f: (f / "cats" / "003.png").write_bytes(b""),
        "pets/cats/003.png is empty: replace or remove it",
    ),
    "dead link": (
        lambda f: (f / "cats" / "new.png").symlink_to(f / "gone.png"),
        r"pets/cats/new.png cannot be read \(No such file or directory\): put it back",
    ),
    "too few": (
        lambda f: [(f / "cats" / f"{i:03}.png").unlink() for i in range(2, 10)],
        r"pets has 2 different pictures of cats \(copies count once\), too few for 3",
    ),
}


@pytest.mark.parametrize("fault", WHOLE_FAULTS)
def test_faults_of_a_folder_of_classes(whole, fault):
    break_it, words = WHOLE_FAULTS[fault]
    load_dataset(whole)
    break_it(whole)
    with pytest.raises(DataError, match=f"^(?s:.*{words})") as caught:
        load_dataset(whole)
    message = str(caught.value)
    assert len(message.replace(str(whole), "")) < 350
    assert "web address" not in message, "advice for who called load_image"


PART_FAULTS = {
    "class missing": (
        lambda f: (f / "val" / "dogs").rename(f.parent / "dogs"),
        r"given/val has only one class \(cats\)",
    ),
    "class renamed": (
        lambda f: (f / "test" / "dogs").rename(f / "test" / "dog"),
        "given/test and given/train differ in dog, dogs: each part needs a folder",
    ),
    "class more": (
        lambda f: fill(f / "val", {"birds": 2}, 900),
        "given/validation and given/train differ in birds: each",
    ),
    "empty class": (lambda f: remove(f / "val" / "cats"), "val/cats holds no pictures"),
    "no validation": (
        lambda f: (f / "val").rename(f.parent / "val"),
        r"given has the folders test, train: it should have train, validation \(or "
        r"val\)",
    ),
    "no train": (
        lambda f: (f / "train").rename(f.parent / "t"),
        "the folders test, val: it",
    ),
    "misspelt": (
        lambda f: (f / "test").rename(f / "tset"),
        "the folders train, tset, val: it",
    ),
    "twice": (
        lambda f: fill(f / "validation", {"cats": 1}),
        "train, val, validation: it",
    ),
    "no picture": (
        lambda f: (f / "test" / "cats" / "000.png").write_bytes(b"GIF89a" + bytes(20)),
        "test/cats/000.png cannot be used",
    ),
}


@pytest.mark.parametrize("fault", PART_FAULTS)
def test_faults_of_a_folder_that_is_split(parts, fault):
    break_it, words = PART_FAULTS[fault]
    load_dataset(parts)
    break_it(parts)
    with pytest.raises(DataError, match=words):
        load_dataset(parts)


@pytest.mark.parametrize("source", ["flower", "no/such/folder", "Computers"])
def test_unknown_names_list_the_known_ones(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (
        r"Pass .* or the name of a data set: computers, hymenoptera, flowers, "
        r"cats_vs_dogs\.$"
    )
    with pytest.raises(
        DataError, match=f"^There is no folder {tmp_path / source}. {words}"
    ):
        load_dataset(source)
    monkeypatch.setattr(datasets, "COMPUTERS", tmp_path / "moved")
    with pytest.raises(DataError, match=f"^There is no folder {tmp_path / 'moved'}"):
        load_dataset()


# -- names and links -------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["train", "test", "val", "validation", "Test", "TRAIN", "Val"]
)
def test_a_class_with_the_name_of_a_part_is_to_be_renamed(whole, name):
    """A train among buses is a class; what a data set's parts should look like is no
    help."""
    fill(whole, {name: 10}, first=500)
    words = (
        rf"class folder .*pets/{name} has a name that stands for a part .*: rename "
        rf"it, for "
    )
    with pytest.raises(DataError, match=words):
        load_dataset(whole)
    (whole / name).rename(whole / f"{name}_class")
    assert {*load_dataset(whole).classes} == {"cats", "dogs", f"{name}_class"}


def test_parts_may_be_named_in_capitals(whole):
    """As people name folders on Windows and Macs."""
    for part in ("Train", "VAL"):
        fill(whole.parent / "parts" / part, {"cats": 3, "dogs": 3}, first=len(part))
    found = load_dataset(whole.parent / "parts")
    assert found.classes == ("cats", "dogs") and len(found.validation) == 6
    (whole.parent / "parts" / "train").mkdir()
    with pytest.raises(DataError, match="has the folders Train, VAL, train: it should"):
        load_dataset(whole.parent / "parts")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_what_is_no_ordinary_file_is_named(whole):
    """Reading a pipe would never end."""
    os.mkfifo(whole / "cats" / "pipe.png")
    with pytest.raises(DataError, match="pipe.png is no ordinary file: remove it"):
        load_dataset(whole)


def test_classes_that_all_have_names_of_parts_are_to_be_renamed(tmp_path):
    with pytest.raises(DataError, match="rename it, for instance test_class"):
        load_dataset(fill(tmp_path / "set", {"train": 5, "test": 5}))


def test_pictures_whose_names_end_in_blanks(whole):
    for path in list(whole.glob("*/*.png")):
        path.rename(path.with_name(f" {path.name} "))
    found = load_dataset(whole)
    assert sum(map(len, (found.train, found.validation, found.open_test()))) == 30
    assert len(found.train.images()) == 18


def test_links_to_pictures_are_pictures(whole, tmp_path):
    kept = whole.rename(tmp_path / "kept")
    for path in kept.glob("*/*.png"):
        link = whole / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    found = load_dataset(whole)
    assert {path.parent.parent for path in found.train.paths} == {whole}
    (tmp_path / "linked").mkdir()
    for name in ("cats", "dogs"):
        (tmp_path / "linked" / name).symlink_to(kept / name)
    linked = load_dataset(tmp_path / "linked")
    assert keys(linked.train) == keys(found.train)


LINKS = {
    "to a folder, in a class": (
        "dogs/more",
        "cats",
        "dogs .*holds more, a link to a folder: put",
    ),
    "to nothing, in a class": (
        "dogs/more",
        "gone",
        r"dogs/more cannot be read .*put it back",
    ),
    "to itself, in a class": (
        "dogs/more",
        "dogs/more",
        r"dogs/more cannot be read \(Too many",
    ),
    "to nothing, as a class": (
        "birds",
        "gone",
        "birds is a link that leads nowhere: mend or",
    ),
}


@pytest.mark.parametrize("kind", LINKS)
def test_links_that_cannot_be_used_are_named(whole, kind):
    """A class that is a link to an unmounted disk was left out without a word."""
    link, goal, words = LINKS[kind]
    (whole / link).symlink_to(whole / goal)
    with pytest.raises(DataError, match=words):
        load_dataset(whole)


# -- the test set ----------------------------------------------------------------------


def test_openings_of_a_test_set_are_counted_and_said(whole, parts, capsys):
    load_dataset(whole), load_dataset(parts)
    assert capsys.readouterr().out == ""
    first, second, other = (
        load_dataset(whole),
        load_dataset(str(whole), 1),
        load_dataset(parts),
    )
    for found in (first, other, first, second):
        found.open_test()
    assert capsys.readouterr().out.splitlines() == [
        "Test set of pets opened: 1 time in this session",
        "Test set of given opened: 1 time in this session",
        "Test set of pets opened: 2 times in this session",
        "Test set of pets opened: 3 times in this session",
    ]


def test_without_a_test_set(parts):
    (parts / "test").rename(parts.parent / "kept")
    found = load_dataset(parts)
    assert repr(found).endswith(">, no test set>")
    with pytest.raises(
        DataError, match="given has no test set: .*given/test, a folder a class"
    ):
        found.open_test()


# -- pictures --------------------------------------------------------------------------


def test_choosing_pictures(pets):
    mask = pets.labels == 1
    assert pets[mask].paths == pets.paths[10:]
    assert (pets[mask].labels == 1).all()
    assert (pets[mask].name, pets[mask].classes) == (pets.name, pets.classes)
    some = pets[np.array([12, 3, 3])]
    assert some.paths == (pets.paths[12], pets.paths[3], pets.paths[3])
    assert some.labels.tolist() == [1, 0, 0]
    assert pets[:2].paths == pets.paths[:2]
    assert pets[4].paths == pets.paths[4:5]
    assert len(pets[~mask & mask]) == 0
    for wrong in (mask[1:], [30], "cats", [0.5]):
        with pytest.raises(IndexError):
            pets[wrong]


def test_subsets_take_as_many_of_each_class(pets):
    few, more = pets.subset(3, seed=1), pets.subset(10, seed=1)
    assert np.bincount(few.labels).tolist() == [3, 3]
    assert [
        pets.labels[pets.paths.index(path)] for path in few.paths
    ] == few.labels.tolist()
    assert few.name == "pets, 3 per class"
    assert set(few.paths) < set(more.paths), "the larger holds the smaller"
    assert pets.subset(3, seed=1).paths == few.paths
    assert len({pets.subset(3, seed).paths for seed in range(5)}) == 5


@pytest.mark.parametrize(
    ("asked", "name"), [(11, "10 pictures of cats"), (0, ""), (-1, "")]
)
def test_subsets_of_impossible_size(pets, asked, name):
    with pytest.raises(DataError, match=rf"^pets has .*{name}, but {asked} were asked"):
        pets.subset(asked)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Pictures as learners have them: photographs in other formats, colours, shapes and
    turned."""
    folder, photo = tmp_path_factory.mktemp("odd"), load_image("cat")
    turned, clear = (
        Image.Exif(),
        load_image("coffee").convert("RGBA").resize((301, 200)),
    )
    turned[0x0112] = 6
    clear.putalpha(clear.getchannel("R"))
    grey16 = (np.asarray(photo.convert("L"), "uint16") * 257).astype("uint16")
    odds = {
        "photo.jpg": (photo, {"quality": 75}),
        "full.jpeg": (photo.resize((333, 97)), {"quality": 95, "subsampling": 0}),
        "grey.jpg": (load_image("building").convert("L"), {}),
        "cmyk.jpg": (photo.convert("CMYK"), {}),
        "turned.jpg": (photo.resize((300, 200)), {"exif": turned}),
        "progressive.JPG": (photo, {"progressive": True}),
        "photo.png": (photo.resize((101, 75)), {}),
        "palette.png": (photo.convert("P"), {}),
        "clear.png": (clear, {}),
        "grey16.png": (Image.fromarray(grey16), {}),
        "tiny.png": (photo.resize((1, 1)), {}),
        "tall.png": (photo.resize((3, 500)), {}),
        "clear.webp": (clear, {}),
        "moving.gif": (photo, {"save_all": True, "append_images": [photo.rotate(90)]}),
        "photo.bmp": (photo, {}),
        "photo.tif": (photo, {"compression": "tiff_lzw"}),
    }
    for name, (image, options) in odds.items():
        image.save(folder / name, **options)
    labels = np.arange(len(odds)) % 2
    return Pictures(
        "odd", tuple(folder / name for name in odds), labels, ("even", "odd")
    )


RULES = {
    "the whole square": Shape(64),
    "squashed": Shape(64, ResizeRule("each_side")),
    "efficientnet_lite0": REGISTRY["efficientnet_lite0"],
    "mobilenet_v2": REGISTRY["mobilenet_v2"],
}


@pytest.mark.parametrize("model", RULES)
def test_all_ways_to_the_pixels_are_to_batch(odd, model):
    size, rule = RULES[model].size, RULES[model].rule
    expected = to_batch(list(odd.paths), size, rule)
    array = odd.array(size, rule)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, expected)
    batches = list(odd.batches(RULES[model], batch_size=5).as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [5, 5, 5, 1]
    assert {images.dtype for images, _ in batches} == {np.dtype("float32")}
    np.testing.assert_array_equal(
        np.concatenate([images for images, _ in batches]), expected
    )
    assert (
        np.concatenate([labels for _, labels in batches]).tolist()
        == odd.labels.tolist()
    )
    for image, path in zip(odd.images(), odd.paths, strict=True):
        np.testing.assert_array_equal(image, load_image(path))


def test_the_rules_are_those_of_the_classifiers(odd):
    classifier = load_classifier()
    entry = RULES["efficientnet_lite0"]
    assert (classifier.size, classifier.rule) == (entry.size, entry.rule)
    ((images, _),) = odd.batches(classifier, batch_size=99)
    np.testing.assert_array_equal(
        classifier.preprocess_input(images), classifier.prepare(odd.images())
    )


def order(batches):
    """What one pass shows, as labels."""
    return np.concatenate(
        [labels for _, labels in batches.as_numpy_iterator()]
    ).tolist()


@pytest.fixture
def numbered(pets):
    """Pictures whose label says which picture it is."""
    return Pictures("all", pets.paths, np.arange(30), tuple(map(str, range(30))))


def test_shuffled_batches(numbered):
    rows = list(range(30))
    plain = numbered.batches(Shape(), 8)
    assert order(plain) == order(plain) == rows, "the order is kept"
    passes = []
    for seed in (3, 3, 4):
        keras.utils.set_random_seed(len(passes))  # whatever else is seeded
        batches = numbered.batches(Shape(), 8, seed)
        assert batches.cardinality() == 4
        passes.append([order(batches) for _ in range(3)])
    assert passes[0] == passes[1] != passes[2]
    assert all(sorted(one) == rows for one in passes[0])
    assert len(set(map(tuple, [*passes[0], *passes[2], rows]))) == 7, (
        "anew in every epoch"
    )


def test_labels_stay_with_their_pictures(numbered):
    expected = numbered.array(32)
    for images, labels in numbered.batches(Shape(), 7, seed=0).as_numpy_iterator():
        np.testing.assert_array_equal(images, expected[labels])


def test_no_pictures_at_all(pets):
    none = pets[[]]
    assert none.images() == [] and none.array(8).shape == (0, 8, 8, 3)
    assert list(none.batches(Shape(), seed=0)) == []
    assert find_near_duplicates(none) == find_near_duplicates(none, pets) == []


USES = {
    "images": lambda pictures: pictures.images(),
    "array": lambda pictures: pictures.array(8),
    "batches": lambda pictures: pictures.batches(Shape()),
    "split": split,
    "near-duplicates": find_near_duplicates,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "fault", thorough_but(["deleted", "cut", "emptied", "another file"], "cut")
)
def test_a_picture_lost_after_loading_is_named(whole, use, fault):
    train = load_dataset(whole).train
    USES[use](train)
    path = train.paths[4]
    match fault:
        case "deleted":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-300])
        case "emptied":
            path.write_bytes(b"")
        case _:
            path.write_bytes(b"<html>moved</html>")
    with pytest.raises(DataError, match=f"^{path} (is|cannot be)"):
        USES[use](train)


def test_what_is_shown_is_what_the_file_holds_now(pets):
    """Nothing remembered stands in for a file that was changed into another good
    picture."""
    split(pets), find_near_duplicates(pets)
    pets.paths[0].write_bytes(pets.paths[1].read_bytes())
    assert find_near_duplicates(pets) == [pets.paths[:2]]
    assert any(set(pets.paths[:2]) <= set(part.paths) for part in split(pets))


# -- splits ----------------------------------------------------------------------------


def test_splits_are_complete_disjoint_and_stratified(pets):
    for shares, counts in {
        (0.6, 0.2, 0.2): [[6, 12], [2, 4], [2, 4]],
        (0.5, 0.5): [[5, 10], [5, 10]],
        (0.1, 0.2, 0.3, 0.4): [[1, 2], [2, 4], [3, 6], [4, 8]],
        (0.98, 0.01, 0.01): [[8, 18], [1, 1], [1, 1]],
        (0.01, 0.01, 0.98): [[1, 1], [1, 1], [8, 18]],
        (0.49, 0.02, 0.49): [[5, 10], [1, 1], [4, 9]],
        (1.0,): [[10, 20]],
    }.items():
        parts = split(pets, shares)
        assert [np.bincount(part.labels).tolist() for part in parts] == counts, shares
        assert sorted(path for part in parts for path in part.paths) == list(pets.paths)
        assert all(part.classes == pets.classes for part in parts)


@pytest.mark.parametrize(
    ("count", "expected"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [3, 1, 1])]
)
def test_small_classes_have_a_picture_everywhere(tmp_path, count, expected):
    found = load_dataset(fill(tmp_path / "few", {"a": count, "b": 20}))
    sizes = [
        (p.labels == 0).sum()
        for p in (found.train, found.validation, found.open_test())
    ]
    assert sizes == expected


def test_the_seed_decides(pets):
    def paths(seed):
        return tuple(part.paths for part in split(pets, seed=seed))

    assert paths(0) == paths(0)
    assert len({paths(seed) for seed in range(6)}) == 6


def test_pictures_that_come_go_move_or_are_renamed_leave_the_others_in_their_part(
    tmp_path,
):
    """Else a second run is judged by other pictures, and what changed is chance."""
    folder = fill(tmp_path / "pets", {"a": 40, "b": 40})

    def part_of():
        parts = split(listed("pets", folder), (0.7, 0.3))
        return {key: i for i, part in enumerate(parts) for key in keys(part)}

    before = part_of()
    (folder / "a" / "003.png").unlink()
    (folder / "a" / "007.png").rename(folder / "b" / "moved.png")
    (folder / "b" / "005.png").rename(folder / "b" / "renamed.png")
    load_image("cat").save(folder / "b" / "new.png")
    after = part_of()
    assert len(before) == 80 and len(after) == 80
    moved = sum(before[key] != after[key] for key in before.keys() & after.keys())
    assert moved <= 3, "one at the border of a class for each that came or went"


@pytest.mark.parametrize("shares", [(0.6, 0.3), (0.6, 0.6), (1, 0), (1.5, -0.5)])
def test_impossible_shares(pets, shares):
    with pytest.raises(DataError, match="above 0 and add up to 1"):
        split(pets, shares)


@pytest.mark.parametrize("seed", thorough_but(range(5), 0))
def test_copies_never_part(tmp_path, seed):
    """The same bytes and the same pixels in another file, in one class or in two."""
    folder = fill(tmp_path / "copies", {"a": 10, "b": 10})
    for i in range(10):
        original = folder / "a" / f"{i:03}.png"
        (folder / "a" / f"copy{i}.png").write_bytes(original.read_bytes())
        load_image(original).save(folder / "b" / f"same{i}.bmp")
        load_image(original).save(folder / "a" / f"as{i}.webp", lossless=True)
    found = load_dataset(folder, seed)
    each = [set(keys(p)) for p in (found.train, found.validation, found.open_test())]
    assert [len(part) for part in each] == [12, 4, 4]
    assert not each[0] & each[1] and not each[0] & each[2] and not each[1] & each[2]
    of_a = [
        p[p.labels == 0] for p in (found.train, found.validation, found.open_test())
    ]
    assert [len(set(keys(part))) for part in of_a] == [6, 2, 2], (
        "b's copies change nothing for a"
    )


def test_copies_do_not_stand_in_for_pictures(tmp_path):
    folder = fill(tmp_path / "copies", {"a": 2, "b": 10})
    for i in range(20):
        (folder / "a" / f"copy{i}.png").write_bytes(
            (folder / "a" / "000.png").read_bytes()
        )
    with pytest.raises(DataError, match="^copies has 2 different pictures of a "):
        load_dataset(folder)


# -- near-duplicates -------------------------------------------------------------------


def altered(image):
    """What cameras, phones and web sites make of one picture."""
    return {
        "quality.jpg": encoded(image, "JPEG", quality=30),
        "small.png": encoded(image.resize((image.width // 3, image.height // 3))),
        "bright.png": encoded(image.point(lambda value: 40 + value * 3 // 4)),
        "grey.png": encoded(image.convert("L")),
        "cut.jpg": encoded(
            image.crop((2, 2, image.width - 2, image.height - 2)), "JPEG"
        ),
    }


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """All sample photographs as small files."""
    folder = tmp_path_factory.mktemp("photos")
    for name in SAMPLES:
        image = load_image(name)
        image.thumbnail((240, 240))
        image.save(folder / f"{name}.png")
    paths = tuple(sorted(folder.glob("*.png")))
    return Pictures(
        "photos", paths, np.arange(len(paths)), tuple(path.stem for path in paths)
    )


def test_photographs_are_no_duplicates_of_one_another(photos):
    assert find_near_duplicates(photos) == []
    both = [(path, path) for path in photos.paths]
    assert sorted(find_near_duplicates(photos, photos)) == both, "but each of itself"


@pytest.mark.parametrize(
    "kind", thorough_but(altered(Image.new("RGB", (9, 9))), "small.png")
)
def test_altered_copies_are_found(photos, tmp_path, kind):
    paths = []
    for image, path in zip(photos.images(), photos.paths, strict=True):
        paths.append(tmp_path / f"{path.stem}-{kind}")
        paths[-1].write_bytes(altered(image)[kind])
    copies = Pictures("copies", tuple(paths), photos.labels, photos.classes)
    found = find_near_duplicates(photos, copies)
    expected = zip(photos.paths, copies.paths, strict=True)
    assert sorted(found) == list(expected)
    both = Pictures(
        "both", (*photos.paths, *paths), np.zeros(2 * len(paths), int), ("a",)
    )
    assert sorted(find_near_duplicates(both)) == sorted(found), (
        "within one list, each pair once"
    )


def test_the_threshold_and_the_order(photos, tmp_path):
    cat = load_image("cat")
    for quality in (30, 90):
        cat.save(tmp_path / f"{quality}.jpg", quality=quality)
    copies = Pictures(
        "copies", tuple(sorted(tmp_path.iterdir())), np.zeros(2, int), ("cat",)
    )
    found = find_near_duplicates(photos, copies)
    assert [(a.stem, b.stem) for a, b in found] == [("cat", "90"), ("cat", "30")]
    assert find_near_duplicates(photos, copies, threshold=0.98) == found[:1]


def test_near_duplicates_in_two_parts_are_reported(parts, capsys):
    original = parts / "train" / "cats" / "001.png"
    load_image(original).save(parts / "test" / "dogs" / "copy.jpg", quality=60)
    load_dataset(parts)
    assert re.fullmatch(
        "given: at least 2 pictures look like one in another part, which may flatter "
        r"scores. Most alike: train/cats/001.png and test/dogs/copy.jpg "
        r"\(likeness 0.9[5-9]\). See find_near_duplicates.\n",
        capsys.readouterr().out,
    )
    (parts / "val" / "cats" / "copy.png").write_bytes(original.read_bytes())
    load_dataset(parts)
    said = capsys.readouterr().out
    assert said.startswith("given: at least 3 pictures look")
    assert "Most alike: train/cats/001.png and val/cats/copy.png (" in said


@pytest.mark.parametrize(
    "turned",
    [ImageOps.mirror, ImageOps.flip, lambda image: image.rotate(90, expand=True)],
    ids=["mirrored", "upside down", "a quarter"],
)
def test_turned_copies_in_another_part_are_reported(parts, photos, capsys, turned):
    """`make mine` named them; here they were in two parts without a word."""
    cat = load_image(photos.paths[0])
    cat.save(parts / "train" / "cats" / "own.png")
    load_dataset(parts)
    assert capsys.readouterr().out == ""
    turned(cat).save(parts / "train" / "cats" / "within.png")
    load_dataset(parts)
    assert capsys.readouterr().out == "", "in one part, it can't flatter scores"
    (parts / "train" / "cats" / "within.png").rename(parts / "val" / "cats" / "t.png")
    load_dataset(parts)
    assert capsys.readouterr().out == (
        "given: 2 pictures show the same as one in another part that was mirrored or "
        "turned, such as train/cats/own.png and val/cats/t.png, which may flatter "
        "scores: remove one of each two.\n"
    )


@pytest.mark.parametrize("where", ["parts", "whole"])
def test_the_same_in_two_classes_is_reported(where, request, capsys):
    """Both labels stayed, without a word."""
    folder = request.getfixturevalue(where)
    load_dataset(folder)
    assert capsys.readouterr().out == ""
    one = folder / "train" if where == "parts" else folder
    for number in (1, 2):
        data = (one / "cats" / f"00{number}.png").read_bytes()
        (one / "dogs" / f"again{number}.png").write_bytes(data)
    load_dataset(folder)
    inner = "train/" if where == "parts" else ""
    assert re.search(
        rf"{folder.name}: 4 files show the same in two classes, such as {inner}cats/"
        rf"00(\d)\.png and {inner}dogs/again\1\.png: remove the wrong one of each\.\n",
        capsys.readouterr().out,
    )


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 picture has"), (3, "3 pictures have")]
)
def test_pictures_too_small_to_compare_are_counted(whole, count, said, capsys):
    for i in range(count):
        picture(900 + i, (31, 33)).save(whole / "cats" / f"small{i}.png")
    load_dataset(whole)
    assert capsys.readouterr().out == (
        f"pets: {said} fewer than 32 x 32 pixels: of such, only exact copies count as "
        "one.\n"
    )


def test_of_which_class_its_pictures_are_copies_is_said(whole):
    """It had “0 different pictures of dogs (copies count once)”."""
    for path in (whole / "dogs").iterdir():
        path.unlink()
    for path in (whole / "cats").iterdir():
        (whole / "dogs" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(
        DataError,
        match=r"0 different pictures of dogs \(copies count once; some show the same "
        r"as pictures of cats: remove the wrong ones\), too few",
    ):
        load_dataset(whole)


def test_near_duplicates_that_a_split_parts_are_reported(whole, capsys):
    for path in list(whole.glob("*/*.png")):
        load_image(path).save(path.with_suffix(".jpg"), quality=50)
    found = load_dataset(whole)
    said = capsys.readouterr().out
    part_of = {}
    for part in (found.train, found.validation, found.open_test()):
        part_of |= dict.fromkeys(part.paths, part.name)
    parted = sum(
        part_of[path] != part_of[path.with_suffix(".jpg")]
        for path in whole.glob("*/*.png")
    )
    assert parted > 5, "else this shows nothing"
    assert said.startswith(
        f"pets: at least {2 * parted} pictures look like one in another part"
    )


# -- public sets -----------------------------------------------------------------------


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(members):
    """A .tgz; a str in place of bytes is a link to it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def jpegs(folders, count=4):
    names = [f"{folder}/{i}.jpg" for folder in folders for i in range(count)]
    return {name: encoded(picture(i), "JPEG") for i, name in enumerate(names)}


PETS = jpegs(["PetImages/Cat", "PetImages/Dog"], 10)
ARCHIVES = {
    "hymenoptera": zipped(
        jpegs(
            [
                f"hymenoptera_data/{p}/{c}"
                for p in ("train", "val")
                for c in ("ants", "bees")
            ]
        )
        | {
            "hymenoptera_data/train/ants/imageNotFound.gif": encoded(
                picture(999), "GIF"
            )
        }
    ),
    "flowers": tarred(
        jpegs([f"flower_photos/{name}" for name in ("daisy", "roses", "tulips")], 5)
        | {"flower_photos/LICENSE.txt": b"CC-BY 2.0, by their photographers"}
    ),
    "cats_vs_dogs": zipped(
        PETS
        | {
            "PetImages/Cat/666.jpg": b"",
            "PetImages/Dog/11702.jpg": PETS["PetImages/Dog/0.jpg"][:400],
            "PetImages/Dog/Thumbs.db": b"no picture",
            "readme[1].txt": b"from Asirra",
        }
    ),
}


@pytest.fixture
def public(monkeypatch, tmp_path):
    """The public sets, small, on a server here; downloads go to `home`."""
    with Server() as server:
        server.home = tmp_path / "a" / "home"
        monkeypatch.setenv("TRANSFER_DATA", str(server.home))
        for name, archive in ARCHIVES.items():
            serve(server, monkeypatch, name, archive)
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


def serve(server, monkeypatch, name, archive):
    server.files[name] = archive
    entry = TABLE[name]._replace(
        address=server.address + name, sha256=hashlib.sha256(archive).hexdigest()
    )
    monkeypatch.setitem(datasets.PUBLIC, name, entry)


def test_the_table_of_public_sets():
    assert list(TABLE) == list(ARCHIVES)
    for entry in TABLE.values():
        assert entry.address.startswith("https://") and entry.address.endswith(
            (".zip", ".tgz")
        )
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
        assert int(entry.megabytes) > 40


COUNTS = {
    "hymenoptera": ([[4, 4], [4, 4]], ("ants", "bees")),
    "flowers": ([[3] * 3, [1] * 3, [1] * 3], ("daisy", "roses", "tulips")),
    "cats_vs_dogs": ([[6, 6], [2, 2], [2, 2]], ("Cat", "Dog")),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_public_sets_are_downloaded_once(public, name, capsys):
    counts, classes = COUNTS[name]
    for _ in range(2):
        found = load_dataset(name)
        each = [found.train, found.validation]
        each += [found.open_test()] if len(counts) == 3 else []
        assert (found.name, found.classes) == (name, classes)
        assert [np.bincount(part.labels).tolist() for part in each] == counts
        assert all(len(part.images()) == len(part) for part in each)
        assert listing(public.home) == [name]
    assert public.asked == [name]
    assert f"{name}: 100%" in capsys.readouterr().err, "a progress bar"
    assert not list(public.home.rglob("imageNotFound.gif"))


def test_unreadable_files_of_cats_vs_dogs_are_counted_and_named(public, capsys):
    load_dataset("cats_vs_dogs")
    line = (
        "cats_vs_dogs: 2 of 22 files unreadable, left out: Cat/666.jpg, Dog/11702.jpg\n"
    )
    assert capsys.readouterr().out == line
    load_dataset("cats_vs_dogs")
    assert capsys.readouterr().out == ""


def test_an_unreadable_file_of_another_set_is_an_error(public, monkeypatch):
    content = jpegs(["flower_photos/daisy", "flower_photos/roses"])
    content["flower_photos/roses/2.jpg"] = b""
    serve(public, monkeypatch, "flowers", tarred(content))
    with pytest.raises(DataError, match=r"roses/2\.jpg is empty"):
        load_dataset("flowers")


def test_a_picture_lost_from_the_cache_is_named(public):
    train = load_dataset("flowers").train
    train.paths[0].unlink()
    with pytest.raises(DataError, match=re.escape(str(train.paths[0]))):
        train.array(8)


def test_without_the_variable_downloads_go_to_the_home(public, monkeypatch, tmp_path):
    monkeypatch.delenv("TRANSFER_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    load_dataset("flowers")
    assert listing(tmp_path / ".cache" / "transfer-learning") == ["flowers"]


FAULTS = {
    "truncated": "could not be downloaded .*more expected",
    "dies": "could not be downloaded .*reset",
    "stalls": "could not be downloaded .*timed out",
    "missing": "could not be downloaded .*404",
    "other data": "what arrived is damaged or another file; run this again",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", thorough_but(["hymenoptera", "flowers"], "flowers"))
def test_a_failed_download_leaves_nothing_and_can_be_repeated(
    public, name, fault, monkeypatch
):
    monkeypatch.setattr(addresses, "TIMEOUT", (1, 0.5))
    if fault == "missing":
        del public.files[name]
    elif fault == "other data":
        public.files[name] = ARCHIVES[name][:-1] + b"\1"
    else:
        public.faults[name] = fault
    with pytest.raises(DataError, match=f"^{name}.*{FAULTS[fault]}"):
        load_dataset(name)
    assert listing(public.home) == []

    public.files[name] = ARCHIVES[name]
    public.faults.clear()
    assert load_dataset(name).name == name
    assert listing(public.home) == [name]


@pytest.mark.parametrize(
    ("module", "step"), [(archives, "_unpack"), (datasets, "_leave_out")]
)
def test_an_interrupted_run_leaves_nothing_and_can_be_repeated(
    public, module, step, monkeypatch
):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            load_dataset("flowers")
    assert listing(public.home) == []
    assert len(load_dataset("flowers").train) == 9


def test_a_killed_run_can_be_repeated(public):
    """Nothing is tidied up after a kill: what it left must neither be used nor stay."""
    own = f".incoming-{platform.node()}-"
    fill(
        public.home / f"{own}{10**9}-killed" / "flower_photos", {"daisy": 9, "weeds": 1}
    )
    (public.home / ".incoming-elsewhere-1-old").mkdir()
    os.utime(public.home / ".incoming-elsewhere-1-old", (0, 0))
    running = public.home / f"{own}{os.getpid()}-alive"
    running.mkdir()
    assert load_dataset("flowers").classes == ("daisy", "roses", "tulips")
    assert listing(public.home) == [running.name, "flowers"], (
        "another's download is left alone"
    )


def test_a_cache_folder_that_cannot_be_used(public, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRANSFER_DATA", str(tmp_path / "file"))
    with pytest.raises(
        DataError, match="flowers cannot be kept in .*/file .*set TRANSFER_DATA"
    ):
        load_dataset("flowers")
    assert public.asked == []


ESCAPES = {
    "zip up": zipped({"flower_photos/a/1.jpg": b"1", "../../escaped.txt": b"2"}),
    "zip absolute": zipped({"flower_photos/a/1.jpg": b"1", "/tmp/escaped.txt": b"2"}),
    "tar up": tarred({"flower_photos/a/1.jpg": b"1", "../../escaped.txt": b"2"}),
    "tar absolute link": tarred({"flower_photos/a": "/etc"}),
    "tar link up": tarred(
        {"flower_photos/a": "../../..", "flower_photos/a/escaped.txt": b"2"}
    ),
}


@pytest.mark.parametrize("kind", ESCAPES)
def test_an_archive_that_would_write_elsewhere_is_refused(
    public, kind, monkeypatch, tmp_path
):
    serve(public, monkeypatch, "flowers", ESCAPES[kind])
    with pytest.raises(
        DataError, match="^The archive is refused: .*(escaped|link|flower_photos/a)"
    ):
        load_dataset("flowers")
    assert listing(public.home) == []
    assert (
        not list(tmp_path.rglob("escaped.txt"))
        and not Path("/tmp/escaped.txt").exists()
    )


# -- the shipped set -------------------------------------------------------------------


@pytest.mark.thorough
def test_parts_of_the_shipped_set_share_nothing(capsys):
    found = load_dataset()
    assert found.classes == ("desktop", "handheld", "laptop", "other")
    assert capsys.readouterr().out == ""
    parts = (found.train, found.validation, found.open_test())
    assert [part.name for part in parts] == [f"computers/{title}" for title in TITLES]
    for a, b in combinations(parts, 2):
        assert not set(keys(a)) & set(keys(b))
        assert find_near_duplicates(a, b) == []
