"""Copies that pixels can't tell are shown: test pictures beside the nearest that was
learned from."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from apps.own_pictures import leaks
from apps.own_pictures.leaks import Across
from helpers import load_classifier
from helpers.datasets import load_dataset
from helpers.images import load_image
from helpers.pictures import Pictures
from helpers.training import extract_features

PLANTED = 5  # copies among the test pictures
OTHERS = 15  # test pictures that are no copies


def pictures(paths):
    return Pictures("some", tuple(paths), np.arange(len(paths)) % 2, ("a", "b"))


def in_parts(tmp_path, tested, learned_from):
    """(test `Pictures`, a `Learned` of sorts) with features by hand, and noise."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(len(tested) + len(learned_from))]
    for path in paths:
        noise_of(rng).save(path)
    learned = SimpleNamespace(
        features=np.array(learned_from, float),
        features_of=lambda _: np.array(tested, float),
        pictures=pictures(paths[len(tested) :]),
    )
    return pictures(paths[: len(tested)]), learned


def noise_of(rng, cells=12):
    """A picture that is like no other."""
    values = rng.integers(0, 256, (cells, cells, 3), "uint8")
    return Image.fromarray(values).resize((96, 96), Image.Resampling.BICUBIC)


def test_nearest_pairs_come_first(tmp_path):
    tested = [[1, 1], [0, 2], [1, 0.1]]
    test, learned = in_parts(tmp_path, tested, [[1, 0], [0, 1]])
    pairs = leaks.nearest_pairs(test, learned)
    assert [pair[1:] for pair in pairs] == [(1, 1), (2, 0), (0, 0)]
    assert pairs[0].distance == pytest.approx(0)
    assert pairs[2].distance == pytest.approx(1 - np.sqrt(0.5))


def test_pairs_are_written_with_their_files(tmp_path):
    test = pictures([tmp_path / "a" / "x.png", tmp_path / "b" / "y.png"])
    train = pictures([tmp_path / "a" / "z.png", tmp_path / "b" / "w\n.png"])
    pairs = [Across(0.0, 1, 1), Across(0.5, 0, 0)]
    leaks.write_pairs(pairs, test, train, tmp_path)
    lines = (tmp_path / leaks.FILE).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2, "a name can't add a line"
    assert lines[0].startswith("b/y.png and b/w")
    assert lines[1] == "a/x.png and a/z.png"


def test_who_is_much_nearer_than_the_next_stands_beside_the_nearest(tmp_path):
    """A copy may lie further off than different things that crowd together."""
    crowd = [[10, 10 + i / 100, 1] for i in range(4)]
    tested = [[10, 10.005, 1], [1, 9, 8], [10, 10.025, 1.001]]
    test, learned = in_parts(tmp_path, tested, [*crowd, [1, 8, 9], [9, 1, 9]])
    pairs = leaks.closest_pairs(leaks.nearest_pairs(test, learned), test, learned)
    assert (1, 4) in {pair[1:] for pair in pairs[:2]}
    assert len({pair[1:] for pair in pairs}) == len(pairs), "each pair once"
    assert {pair.tested for pair in pairs} == {0, 1, 2}


def test_copies_that_features_miss_are_shown_by_their_pixels(tmp_path):
    """Of text pages photographed again, not one was among the first eight pairs."""
    same = [[10, 10 + i / 100, 1] for i in range(20)]
    test, learned = in_parts(tmp_path, same, same[::-1])
    for i in (3, 7):
        copy = load_image(learned.pictures.paths[i + 5]).rotate(2)
        copy.point(lambda value: 0.8 * value).save(test.paths[i])
    pairs = leaks.closest_pairs(leaks.nearest_pairs(test, learned), test, learned)
    assert {(3, 8), (7, 12)} <= {pair[1:] for pair in pairs[:8]}


def tried(tmp_path, images, features_of):
    """(how many of 20 originals were found; what's said) after a trial.

    images: 40; features_of: of an image → (d,)."""
    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)

    def features(some):
        return np.array([features_of(load_image(path)) for path in some.paths], float)

    train = pictures(paths)
    learned = SimpleNamespace(
        features=features(train), features_of=features, pictures=train
    )
    said = leaks.on_trial(learned)
    return int(re.search(r"Tried on 20 copies .+ for (\d+) of them", said)[1]), said


def quarters(image):
    means = image.resize((2, 2), Image.Resampling.BOX)
    return np.asarray(means).astype(float).ravel() - 128


def test_on_trial_it_finds_the_originals_of_copies(tmp_path):
    rng = np.random.default_rng(1)
    images = [noise_of(rng, cells=6) for _ in range(40)]
    count, said = tried(tmp_path, images, quarters)
    assert count >= 16 and "missed" not in said


def test_that_copies_may_be_missed_is_told(tmp_path):
    """As of parts on one ground, that differ in a dot: what was taken from one side is
    nearer than what shows the same."""
    images = []
    for i in range(40):
        images.append(noise_of(np.random.default_rng(1)))
        images[-1].paste((0, 0, 0), (10 + 2 * i, 40, 12 + 2 * i, 42))
    count, said = tried(tmp_path, images, quarters)
    assert count < 16 and "copies may be missed" in said


def by_nearness(n, wrong):
    """What's said where the nearest of n pictures are pictures 0, 1 and so on; wrong:
    those that were answered wrongly."""
    test = pictures([f"{i}.png" for i in range(n)])
    answers = test.labels.copy()
    answers[wrong] = 1 - answers[wrong]
    pairs = [Across(i / n, i, 0) for i in range(n)]
    return leaks.by_nearness(pairs, test, answers)


def test_a_test_that_copies_make_easier_is_named():
    lines, warning = by_nearness(40, wrong=range(20, 40, 2))
    assert "most like what it learned from: ≈1.00" in lines
    assert "least like it:                  ≈0.50" in lines
    assert "difference: ≈+0.50 (" in lines
    assert "come out better" in warning and leaks.FILE in warning
    assert "≈0.50 (" in warning


@pytest.mark.parametrize("wrong", [[], [0, 39], [0, 1, 2], [37]])
def test_what_may_be_chance_or_is_the_other_way_round_is_no_warning(wrong):
    lines, warning = by_nearness(40, wrong)
    assert lines.count("\n") == 2 and warning == ""


def test_an_odd_number_of_pictures_all_count():
    lines, _ = by_nearness(5, [])
    assert "n = 3" in lines and "n = 2" in lines


def cropped(image, share=0.9):
    width, height = image.size
    return image.crop((0, 0, round(share * width), round(share * height)))


COPIES = {
    "cropped": cropped,
    "cropped and brighter": lambda image: ImageEnhance.Brightness(
        cropped(image)
    ).enhance(1.2),
    "mirrored": ImageOps.mirror,
    "turned a little": lambda image: image.rotate(4, expand=False),
}


@pytest.mark.thorough
@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_of_what_was_learned_from_come_first(tmp_path, change):
    """Whatever the pixels say: with the features of the network that's used."""
    train = load_dataset().train.subset(20)
    others = load_dataset().validation.subset(4)[:OTHERS]
    copies = []
    for i in range(PLANTED):
        copies.append(tmp_path / f"{i}.png")
        change(load_image(train.paths[7 * i])).save(copies[-1])
    test = pictures([*others.paths, *copies])
    classifier = load_classifier()
    learned = SimpleNamespace(
        features=extract_features(classifier, train, tmp_path / "cache"),
        features_of=lambda some: extract_features(classifier, some, tmp_path / "cache"),
        pictures=train,
    )
    pairs = leaks.closest_pairs(leaks.nearest_pairs(test, learned), test, learned)
    first = pairs[: 2 * PLANTED]
    found = {(pair.tested - len(others), pair.learned_from) for pair in first}
    assert {(i, 7 * i) for i in range(PLANTED)} <= found
