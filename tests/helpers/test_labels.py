"""The class table, decoding and groups, held against Keras's own."""

import ast
import hashlib
import inspect
import json
import sys

import numpy as np
import pytest

from helpers.labels import (
    Prediction,
    decode,
    group_probability,
    groups,
    imagenet_classes,
)

CLASSES = imagenet_classes()
SOME = CLASSES[::5]  # a model with 200 classes of its own


@pytest.fixture(scope="module")
def imagenet_utils():
    """Keras's module of the same purpose, given our table in place of its download."""
    from helpers import keras

    module = sys.modules[
        keras.applications.imagenet_utils.decode_predictions.__module__
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CLASS_INDEX", class_index())
        yield module


def class_index():
    """Our table in the form of the file that Keras downloads."""
    return {str(i): list(pair) for i, pair in enumerate(CLASSES)}


def probabilities(*shape, seed=0):
    """Random distributions over the last axis, float32 as networks give them, without
    ties."""
    values = np.random.default_rng(seed).exponential(size=shape)
    values = (values / values.sum(axis=-1, keepdims=True)).astype("float32")
    assert all(len(set(row)) == shape[-1] for row in values.reshape(-1, shape[-1]))
    return values


# -- the table -------------------------------------------------------------------------


def test_thousand_classes_sorted_by_wnid():
    wnids = [wnid for wnid, _ in CLASSES]
    assert len(wnids) == len(set(wnids)) == 1000
    assert wnids == sorted(wnids)
    assert all(name and name == name.strip() for _, name in CLASSES)


def test_table_is_the_file_keras_downloads(imagenet_utils):
    source = ast.parse(inspect.getsource(imagenet_utils.decode_predictions))
    (expected,) = [
        node.value.value
        for node in ast.walk(source)
        if isinstance(node, ast.keyword) and node.arg == "file_hash"
    ]
    assert hashlib.md5(json.dumps(class_index()).encode()).hexdigest() == expected


# -- decode ----------------------------------------------------------------------------


@pytest.mark.parametrize("top", [1, 5, 1000])
def test_decodes_as_keras_does(imagenet_utils, top):
    batch = probabilities(3, 1000)
    assert decode(batch, CLASSES, top) == imagenet_utils.decode_predictions(batch, top)
    assert decode(batch[1], CLASSES, top) == decode(batch, CLASSES, top)[1]


def test_a_prediction_is_read_by_name_and_prints_short():
    (best,) = decode(np.float32([0.25, 0.75]), [("n1", "ant"), ("n2", "bee")], top=1)
    assert best == Prediction(wnid="n2", name="bee", probability=0.75)
    assert type(best.probability) is float
    assert repr(best) == "bee 0.75"


def test_class_list_of_plain_names():
    decoded = decode([0.2, 0.5, 0.3], ["desktop", "laptop", "hand-held"], top=2)
    assert decoded == [("laptop", "laptop", 0.5), ("hand-held", "hand-held", 0.3)]


def test_fewer_classes_than_asked_for_are_all_given():
    assert len(decode(probabilities(3), ["a", "b", "c"], top=5)) == 3


def test_equal_probabilities_keep_the_order_of_the_classes():
    names = [f"class {i}" for i in range(100)]
    decoded = [p.name for p in decode([0.005, 0.015] * 50, names, top=100)]
    assert decoded == names[1::2] + names[::2]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (probabilities(200), CLASSES),
        (probabilities(1000), SOME),
        (probabilities(2, 200), CLASSES),
        (np.float32(1), ["one"]),
        (np.ones((0,)), ["one"]),
    ],
    ids=["too few", "too many", "batch", "a number", "empty"],
)
def test_class_list_of_another_model_is_refused(values, classes):
    with pytest.raises(ValueError, match="the class list of the model") as caught:
        decode(values, classes)
    assert f"{len(classes)} classes" in str(caught.value)
    assert str(values.shape) in str(caught.value)


@pytest.mark.parametrize(("width", "classes"), [(200, CLASSES), (1000, SOME)])
def test_group_in_the_class_list_of_another_model_is_refused(width, classes):
    with pytest.raises(ValueError, match="the class list of another model"):
        group_probability(probabilities(2, width), classes, "dogs")


@pytest.mark.parametrize("top", [0, -1])
def test_top_below_one_is_refused(top):
    for values in (probabilities(1000), probabilities(2, 1000)):
        with pytest.raises(ValueError, match="top should be 1 or more"):
            decode(values, CLASSES, top)


def test_nan_is_refused():
    values = probabilities(2, 1000)
    values[1, 7] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        decode(values, CLASSES)


# -- groups ----------------------------------------------------------------------------


def test_members_exist_and_belong_to_one_group():
    members = [wnid for group in groups().values() for wnid in group]
    assert len(members) == len(set(members))
    assert set(members) <= {wnid for wnid, _ in CLASSES}


@pytest.mark.parametrize(
    ("group", "size", "inside", "outside"),
    [
        (
            "computers",
            4,
            "desktop_computer hand-held_computer laptop notebook",
            "computer_keyboard monitor mouse web_site iPod",
        ),
        (
            "cats",
            5,
            "tabby tiger_cat Persian_cat Siamese_cat Egyptian_cat",
            "hyena cougar lynx leopard lion",
        ),
        (
            "dogs",
            118,
            "Chihuahua beagle pug Mexican_hairless",
            "conch timber_wolf dingo hyena",
        ),
        (
            "birds",
            59,
            "cock bald_eagle vulture great_grey_owl black_grouse black_swan goose "
            "drake lorikeet hummingbird toucan white_stork spoonbill king_penguin "
            "albatross",
            "stingray European_fire_salamander scorpion centipede tusker hermit_crab "
            "grey_whale",
        ),
    ],
)
def test_group_ends_where_its_kind_ends(group, size, inside, outside):
    wnids = {name: wnid for wnid, name in CLASSES}
    members = groups()[group]
    assert len(members) == size
    assert {wnids[name] for name in inside.split()} <= set(members)
    assert not {wnids[name] for name in outside.split()} & set(members)


@pytest.mark.parametrize("group", groups())
def test_group_is_the_sum_of_its_members(group):
    values = probabilities(4, 1000)
    members = values[:, [wnid in groups()[group] for wnid, _ in CLASSES]]
    summed = group_probability(values, CLASSES, group)
    assert summed.shape == (4,)
    assert (summed >= members.max(axis=1)).all()
    np.testing.assert_allclose(summed, members.sum(axis=1), rtol=1e-6)
    assert group_probability(values[0], CLASSES, group) == pytest.approx(summed[0])


def test_unknown_group_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match="No group 'fish'; there are computers, cats, dogs"
    ):
        group_probability(probabilities(1000), CLASSES, "fish")


def test_model_without_members_is_refused():
    classes = [pair for pair in CLASSES if pair[0] not in groups()["computers"]]
    with pytest.raises(ValueError, match="No class of the group 'computers'"):
        group_probability(probabilities(996), classes, "computers")
