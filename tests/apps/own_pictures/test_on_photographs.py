"""What is promised of ants and bees, on real photographs and the real network; skipped
where they aren't there."""

import numpy as np
import pytest

from apps.own_pictures.intake import Intake
from apps.own_pictures.judging import repeated_out_of_fold, suspects
from apps.own_pictures.learn import new_head
from helpers.datasets import load_dataset
from helpers.labels import imagenet_classes
from helpers.models import load_classifier
from helpers.neighbours import familiar_within
from helpers.pictures import Pictures
from helpers.training import extract_features
from safeguards.familiar import familiar

pytestmark = pytest.mark.thorough

# WordNet ids of ImageNet's insects other than ants and bees: positions in its list.
INSECTS = [*range(300, 309), *range(311, 327)]


def flat(folder, keep=lambda wnid: True):
    """The `Pictures` of a folder of files whose names begin with a WordNet id."""
    paths = [p for p in sorted(folder.glob("*.jpg")) if keep(p.name.split("_")[0])]
    return Pictures(folder.name, tuple(paths), np.zeros(len(paths), int), ("any",))


@pytest.fixture(scope="module")
def seen(shared_data, tmp_path_factory):
    """(all ants and bees, {set: (labels, features)}), each computed once."""
    classifier = load_classifier()
    cache = tmp_path_factory.mktemp("cache")
    ours = load_dataset(shared_data / "hymenoptera")
    insects = {imagenet_classes()[i][0] for i in INSECTS}
    sets = {
        "train": ours.train,
        "validation": ours.validation,
        "other things": flat(shared_data / "photos", lambda w: w not in insects),
        "other insects": flat(shared_data / "imagenet_val", lambda w: w in insects),
    }
    features = {
        name: (pictures.labels, extract_features(classifier, pictures, cache))
        for name, pictures in sets.items()
    }
    return ours, features


def drawn(pictures, per_class, seed):
    """Rows of `per_class` pictures of each class, and the other rows."""
    chosen = pictures.subset(per_class, seed=seed)
    rows = np.flatnonzero(np.isin(pictures.paths, chosen.paths))
    return rows, np.setdiff1d(np.arange(len(pictures)), rows)


@pytest.mark.parametrize("per_class", [20, 120])
def test_other_things_are_noticed_and_own_ones_are_not(
    seen, per_class, record_property
):
    ours, features = seen
    labels, train = features["train"]
    shares = []
    for seed in range(5):
        rows, _ = drawn(ours.train, per_class, seed)
        names = [path.name for path in np.array(ours.train.paths)[rows]]
        known = familiar(train[rows], names, familiar_within(train[rows]))
        shares.append(
            {
                name: np.mean([judged.unlike for judged in known.judge(table)])
                for name, (_, table) in features.items()
                if name != "train"
            }
        )
    means = {name: float(np.mean([s[name] for s in shares])) for name in shares[0]}
    record_property(
        f"called like nothing it learned from, {per_class} a class", str(means)
    )
    assert means["other things"] >= 0.9
    assert means["validation"] <= 0.15


def test_twelve_a_class_are_enough_for_most(seen, record_property):
    ours, features = seen
    labels, train = features["train"]
    others_labels, others = features["validation"]
    shares = []
    for seed in range(10):
        rows, rest = drawn(ours.train, 12, seed)
        head = new_head().fit(train[rows], labels[rows])
        truth = np.append(labels[rest], others_labels)
        answers = head.predict(np.concatenate([train[rest], others]))
        shares.append(np.mean(answers == truth))
    record_property("ants and bees, 12 a class", str(np.round(shares, 3)))
    assert np.mean(shares) >= 0.85


def test_swapped_labels_are_the_first_suspects(seen, record_property):
    ours, features = seen
    _, train = features["train"]
    found = []
    for seed in range(10):
        rows, _ = drawn(ours.train, 30, seed)
        pictures = ours.train[rows]
        swapped = np.random.default_rng(seed).choice(len(rows), 5, replace=False)
        pictures.labels[swapped] = 1 - pictures.labels[swapped]
        alone = np.arange(len(rows))  # none of them look alike
        in_turn = repeated_out_of_fold(train[rows], pictures.labels, alone, new_head)
        whole = Intake(pictures, [], [], [], "", pictures, {}, [])
        first = suspects(whole, in_turn.probabilities)[:7]
        found.append(len(set(first) & set(swapped.tolist())))
    record_property("swapped among the first seven", str(found))
    assert np.mean(found) >= 4
