"""What counts as the same picture and what does not, on sets of pictures that are made here."""

import re
import time
from collections import defaultdict
from itertools import combinations

import alike_sets as sets
import numpy as np
import pytest
from PIL import Image

from apps.own_pictures.intake import LEAST, STRICTER, look_through
from helpers import datasets, pictures
from helpers.cleaning import out_of_fold
from helpers.datasets import find_look_alikes, find_near_duplicates, groups, split
from helpers.look_alikes import look, look_alikes
from helpers.pictures import DataError, Fingerprint, Pictures


def written(folder, pictures, quality=85):
    """A set of pictures as a folder of class folders → ({path: thing}, folder)."""
    things = {}
    for number, (label, thing, image) in enumerate(pictures):
        path = folder / label / f"img_{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=quality)
        things[path] = thing
    return things


def counted(pictures, things, threshold=0.95):
    """(things that were taken for several, groups that hold several things, groups by class)."""
    keys = groups(pictures, find_near_duplicates(pictures, threshold=threshold))
    groups_of, things_in = defaultdict(set), defaultdict(set)
    for path, key in zip(pictures.paths, keys, strict=True):
        groups_of[things[path]].add(key)
        things_in[key].add(things[path])
    by_class = [len({*keys[pictures.labels == label]}) for label in range(len(pictures.classes))]
    parted = sum(len(found) > 1 for found in groups_of.values())
    return parted, sum(len(found) > 1 for found in things_in.values()), by_class


def listed(folder):
    return pictures.listed("set", folder)


# -- different things that share a layout ----------------------------------------------------------

LAYOUTS = {
    "fixed camera": lambda: sets.fixed_camera(),
    "fixed camera, small parts": lambda: sets.fixed_camera(side=30),
    "fixed camera, large parts": lambda: sets.fixed_camera(side=160, spread=0.1),
    "fixed camera, parts nearly in one place": lambda: sets.fixed_camera(spread=0.05, turns=8),
    "fixed camera, parts of two colours": lambda: sets.fixed_camera(shades=(90, 230)),
    "scans": lambda: sets.scans(20),
    "products on white": lambda: sets.products(),
    "products of one colour on white": lambda: sets.products(alike=True),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_common_layout_does_not_make_things_the_same(kind, tmp_path):
    """Before, «good 1 of 60»: by way of others, all parts counted as one."""
    written(tmp_path / "set", LAYOUTS[kind]())
    intake = look_through(tmp_path / "set")
    keys = groups(intake.pictures, intake.alike)
    for label, name in enumerate(intake.pictures.classes):
        own = intake.pictures.labels == label
        assert len({*keys[own]}) >= own.sum() / 2, name
    assert len(split(intake.pictures, (0.7, 0.3), alike=intake.alike)) == 2


# -- one thing in many pictures --------------------------------------------------------------------

SHOTS = {
    "shots from the hand": lambda: sets.bursts(),
    "many shots from the hand": lambda: sets.bursts(2, 20),
    "shots from a tripod": lambda: sets.bursts(2, 30, shift=0, turn=0, zoom=0),
    "shots of parts under a fixed camera": lambda: sets.fixed_camera(n=12, shots=5),
    "a camera goes over scenes": lambda: sets.pan(clips=4),
    "people walk by a fixed camera": lambda: sets.walk(clips=4),
    "people walk by slowly": lambda: sets.walk(clips=4, speed=0.008),
}


@pytest.mark.parametrize("kind", SHOTS)
def test_shots_in_a_row_and_films_count_as_one_thing(kind, tmp_path):
    things = written(tmp_path / "set", SHOTS[kind]())
    parted, merged, _ = counted(listed(tmp_path / "set"), things)
    assert (parted, merged) == (0, 0)


@pytest.mark.parametrize("change", sets.CHANGES)
def test_what_becomes_of_a_photograph_counts_as_one_thing(change, tmp_path):
    """In another size, quality, brightness and crop."""
    things = written(tmp_path / "set", sets.copies(change), 20 if "quality" in change else 85)
    parted, merged, _ = counted(listed(tmp_path / "set"), things)
    assert (parted, merged) == (0, 0)


@pytest.mark.parametrize("kind", ["fixed camera", "scans", "products on white"])
@pytest.mark.parametrize("change", ["half the size", "quality 20", "less contrast"])
def test_a_copy_is_found_where_all_share_a_layout(kind, change, tmp_path):
    pictures = LAYOUTS[kind]()[::2]
    for label, thing, image in pictures[:8]:
        pictures.append((label, thing, sets.CHANGES[change](image)))
    things = written(tmp_path / "set", pictures)
    parted, _, _ = counted(listed(tmp_path / "set"), things)
    assert parted == 0


def test_pictures_that_differ_in_colour_alone_are_two(tmp_path):
    """A ripe and an unripe fruit; but a grey copy is a copy."""
    pictures, grey = [], sets.photo(2).convert("L")
    for label, tint in {"ripe": (255, 60, 60), "unripe": (60, 200, 60)}.items():
        level = sum(np.array(tint) * (0.299, 0.587, 0.114))
        for i in range(2):
            shown = grey.resize((320 - 40 * i, 240 - 30 * i))
            planes = [
                shown.point([min(255, round(v * c / level)) for v in range(256)]) for c in tint
            ]
            pictures.append((label, label, Image.merge("RGB", planes)))
    things = written(tmp_path / "set", pictures)
    assert counted(listed(tmp_path / "set"), things) == (0, 0, [1, 1])


# -- pairs and groups ------------------------------------------------------------------------------


def looks(n, noise=1, seed=0):
    """Looks of n shots of one scene, which differ in noise only."""
    random = np.random.default_rng(seed)
    scene = np.asarray(sets.photo(1, (64, 48)), float)
    for _ in range(n):
        pixels = scene + random.normal(0, noise, scene.shape)
        yield look(Image.fromarray(pixels.clip(0, 255).astype("uint8")))


def test_many_that_are_alike_are_told_in_as_few_pairs_as_join_them():
    pairs = look_alikes(list(looks(300)), range(300))
    assert len(pairs) == 299
    assert {i for pair in pairs for i in (pair.first, pair.second)} == {*range(300)}
    assert all(0.95 <= pair.likeness <= 1 and pair.first < pair.second for pair in pairs)
    assert [pair.likeness for pair in pairs] == sorted((p.likeness for p in pairs), reverse=True)


def test_each_picture_with_one_like_it_in_another_part_is_in_a_pair():
    parts = np.repeat([0, 1, 2], 10)
    pairs = look_alikes(list(looks(30)), range(30), parts=parts)
    assert {i for pair in pairs for i in (pair.first, pair.second)} == {*range(30)}
    assert all(parts[pair.first] != parts[pair.second] for pair in pairs)


@pytest.mark.parametrize("threshold", [1, 1.5])
def test_from_one_on_nothing_looks_alike(threshold):
    assert look_alikes(list(looks(5, noise=0)), range(5), threshold) == []


def numbered(n):
    """Pictures that are not there, each of other pixels."""
    folder = datasets.Path("/nowhere/a")
    return Pictures(
        "all", tuple(folder / f"{i}.png" for i in range(n)), np.arange(n) % 2, ("a", "b")
    )


PAIRS = {
    "each with each": lambda paths: combinations(paths, 2),
    "one after another": lambda paths: zip(paths, paths[1:], strict=False),
    "one after another, from the end": lambda paths: list(zip(paths, paths[1:], strict=False))[
        ::-1
    ],
    "all with the first": lambda paths: ((paths[0], path) for path in paths[1:]),
    "halves, then halves of those": lambda paths: (
        (paths[i], paths[i + step])
        for step in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
        for i in range(0, len(paths) - step, 2 * step)
    ),
}


@pytest.mark.parametrize("order", PAIRS)
def test_groups_of_five_thousand_take_no_two_seconds(order, monkeypatch):
    """2,000 took 334 seconds when each pair went through all keys."""
    monkeypatch.setattr(
        datasets, "fingerprint", lambda path: Fingerprint(f"{path.stem:>9}", None, [])
    )
    pictures = numbered(5000)
    pairs = PAIRS[order](pictures.paths)
    start = time.process_time()
    keys = groups(pictures, pairs)
    assert time.process_time() - start < 2
    assert {*keys} == {f"{0:>9}"}, "the first key names the group"


def test_two_thousand_alike_are_found_soon():
    """The pairs are two million."""
    start = time.process_time()
    assert len(look_alikes(list(looks(50)) * 40, range(2000))) == 1999
    assert time.process_time() - start < 20


def test_groups_and_pairs_of_pictures_elsewhere(monkeypatch):
    monkeypatch.setattr(datasets, "fingerprint", lambda path: Fingerprint(path.stem, None, []))
    pictures, other = numbered(4), datasets.Path("/nowhere/a/9.png")
    paths = pictures.paths
    assert groups(
        pictures, [(paths[0], other), (other, paths[1]), (paths[3], paths[2])]
    ).tolist() == [*("0", "1", "2", "2")]


def test_files_follow_one_another_as_cameras_number_them():
    names = ["f1.png", "f10.png", "f2.png", "f9.png", "10.png", "9a.png", "x.png"]
    paths = [datasets.Path("/a") / name for name in names] + [datasets.Path("/b/f0.png")]
    order = dict(zip(paths, datasets._order(paths), strict=True))
    first, *rest = sorted(order, key=order.get)
    assert [path.name for path in (first, *rest)] == [
        *("9a.png", "10.png", "f1.png", "f2.png", "f9.png", "f10.png", "x.png", "f0.png")
    ]
    assert order[rest[-1]] - order[rest[-2]] == 2, "another folder begins"


# -- what the messages advise helps ----------------------------------------------------------------

ADVICE = re.compile(r"make mine ALIKE=([\d.]+) …, or look_through\(folder, threshold=\1\)")


def good_parts(n=20):
    """Good parts that all lie in one place, and nearly are one: nobody can tell them from shots of
    one of them. Bad ones lie anywhere."""
    return sets.fixed_camera(n, spread=0, turns=0.2)[:n] + sets.fixed_camera(n, seed=1)[n:]


def test_a_threshold_that_is_advised_helps(tmp_path):
    written(tmp_path / "set", good_parts())
    with pytest.raises(DataError) as caught:
        look_through(tmp_path / "set")
    message = str(caught.value)
    assert re.search(r"good 1 \(of 20: those that look alike count once\)", message)
    assert re.search(r"are good/img_\d+.jpg and good/img_\d+.jpg \(likeness [01]\.\d+\)\.", message)
    threshold = float(ADVICE.search(message)[1])
    assert threshold in STRICTER
    pictures = look_through(tmp_path / "set", threshold).pictures
    assert np.bincount(pictures.labels).tolist() == [20, 20]


def test_no_threshold_is_advised_where_none_helps(tmp_path):
    scenes = sets.bursts(LEAST - 1, 1) + sets.bursts(1, LEAST - 2, seed=1)
    written(tmp_path / "set", [("many", *rest) for _, *rest in sets.copies("grey")])
    written(tmp_path / "set", [("few", *rest) for _, *rest in scenes[-LEAST + 1 :]])
    with pytest.raises(
        DataError, match=r"few \d \(of 7: those that look alike count once\)"
    ) as caught:
        look_through(tmp_path / "set")
    assert "ALIKE" not in str(caught.value) and "something else" in str(caught.value)


def test_a_class_of_pictures_like_those_of_another(tmp_path):
    """Sorting out helps where labels are wrong, the threshold where they are right."""
    pictures = sets.copies("half the size")
    written(tmp_path / "set", [("a", *rest) for _, *rest in pictures[:24]])
    written(tmp_path / "set", [("b", *rest) for _, *rest in pictures[24:]])
    with pytest.raises(
        DataError, match=r"Nearly all pictures of b look .*\(likeness .*\): sort"
    ) as caught:
        look_through(tmp_path / "set")
    threshold = float(ADVICE.search(str(caught.value))[1])
    assert len(look_through(tmp_path / "set", threshold).pictures) == 36


def test_split_says_what_helps(tmp_path):
    written(tmp_path / "set", good_parts())
    pictures = listed(tmp_path / "set")
    pairs = find_near_duplicates(pictures)
    words = (
        r"different pictures of good \(those that look alike .*something else.*raise the threshold"
    )
    with pytest.raises(DataError, match=words):
        split(pictures, alike=pairs)
    split(pictures, alike=find_near_duplicates(pictures, threshold=1))


def test_folds_keep_together_what_they_are_told(tmp_path):
    written(tmp_path / "set", good_parts())
    pictures = listed(tmp_path / "set")
    with pytest.raises(ValueError, match="of good look alike: add pictures of something else. If"):
        out_of_fold(np.eye(40), pictures)
    assert out_of_fold(np.eye(40), pictures, alike=[]).shape == (40, 2)


def test_how_much_pictures_look_alike_is_told(tmp_path):
    written(tmp_path / "set", sets.copies("half the size", 6))
    found = find_look_alikes(listed(tmp_path / "set"))
    assert len(found) == 3 and all(0.95 <= likeness <= 1 for likeness, _, _ in found)
    assert [(a, b) for _, a, b in found] == find_near_duplicates(listed(tmp_path / "set"))
