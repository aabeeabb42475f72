"""Strangers' models: loading one never runs code, takes no more than it holds, and says
why not."""

import json
import os
import pickle
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from cases import thorough_but
from scipy.special import softmax

from apps.sharing.classifier import as_classifier
from apps.sharing.saving import save_classifier
from helpers import keras, load_classifier, models
from helpers.explain import grad_cam
from helpers.images import ResizeRule
from safeguards.logits import logits_of
from safeguards.model_files import ModelFileError, read_details
from safeguards.whole_files import SUMS, digest, note_digest, shipped

layers = keras.layers
WITNESS = "ran"  # a folder that hostile code would make


def small(*more, side=8, last=None):
    """A network of four layers for two classes, with further layers before the last."""
    return keras.Sequential(
        [
            keras.Input((side, side, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3),
            *more,
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation=last),
        ]
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A sound file of save_classifier."""
    classifier = as_classifier(small(), ["cat", "dog"], "good", ResizeRule())
    return save_classifier(classifier, tmp_path_factory.mktemp("good") / "good.keras")


def changed(good, target, **documents):
    """A copy with members put in place of others; a function gets the JSON that is
    there."""
    with zipfile.ZipFile(good) as file:
        members = {name: file.read(name) for name in file.namelist()}
    for name, new in documents.items():
        name = {"config": "config.json", "weights": "model.weights.h5"}.get(
            name, f"{name}.json"
        )
        if callable(new):
            new = json.dumps(new(json.loads(members[name]))).encode()
        members[name] = new
    with zipfile.ZipFile(target, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return target


def layer(config, kind):
    """The configuration of the first layer of a kind."""
    return next(c for c in config["config"]["layers"] if c["class_name"] == kind)


def with_layer(kind, **settings):
    """Change settings of a layer."""

    def change(config):
        layer(config, kind)["config"].update(settings)
        return config

    return change


def in_place_of(kind, **new):
    """Put another object in the place of a layer; its name stays, so that it is
    connected."""

    def change(config):
        layer(config, kind).update(new)
        return config

    return change


def nested(depth):
    return b"[" * depth + b"]" * depth


def rewritten(weights, change):
    """The bytes of the good file's weights after `change(h5py.File)`."""

    def apply(good, folder):
        with zipfile.ZipFile(good) as file:
            (folder / "weights.h5").write_bytes(file.read("model.weights.h5"))
        with h5py.File(folder / "weights.h5", "a") as file:
            change(file, folder)
        return (folder / "weights.h5").read_bytes()

    return apply


def datasets(file):
    found = []
    file.visititems(
        lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None
    )
    return found


def largest(file):
    return max(datasets(file), key=lambda item: item.size)


def replace_by(link):
    def change(file, folder):
        name = largest(file).name
        del file[name]
        file[name] = link(folder)

    return change


def huge(file, _):
    """A dataset that claims 40 GB, of which none is stored."""
    name = largest(file).name
    del file[name]
    file.create_dataset(name, (100_000, 100_000), "float32", chunks=(1000, 1000))


def external(file, folder):
    name, shape = largest(file).name, largest(file).shape
    del file[name]
    file.create_dataset(
        name, shape, "float32", external=[("/etc/passwd", 0, 4 * np.prod(shape))]
    )


def not_a_number(file, _):
    largest(file)[...] = np.nan


LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAA=", "defaults": None}}
OTHERS = "not Keras's own"
CONFIGS = {  # a change of config.json: what the error says
    "lambda": (
        in_place_of("Rescaling", class_name="Lambda", config={"function": LAMBDA}),
        "code",
    ),
    "module os": (in_place_of("Rescaling", module="os", class_name="mkdir"), OTHERS),
    "ours": (
        in_place_of(
            "Rescaling", module="safeguards.whole_files", class_name="atomic_write"
        ),
        OTHERS,
    ),
    "looks like keras": (
        in_place_of("Rescaling", module="kerasx", class_name="ReLU"),
        OTHERS,
    ),
    "builtin": (
        with_layer(
            "Dense",
            activation={
                "module": "builtins",
                "class_name": "function",
                "config": "eval",
                "registered_name": "function",
            },
        ),
        OTHERS,
    ),
    "registered": (
        in_place_of("Rescaling", module=None, registered_name="mine>Layer"),
        OTHERS,
    ),
    "torch pickle": (
        in_place_of(
            "Rescaling", class_name="TorchModuleWrapper", config={"module": "gASVAAAA"}
        ),
        "cannot be loaded",
    ),
    "utils": (
        in_place_of(
            "Rescaling",
            module="keras.utils",
            class_name="get_file",
            config={"fname": "x", "origin": "file:///x"},
        ),
        "cannot be loaded",
    ),
    "reads a file": (
        in_place_of(
            "Rescaling", class_name="StringLookup", config={"vocabulary": "/etc/passwd"}
        ),
        "cannot be loaded",
    ),
    "unknown layer": (
        in_place_of("Rescaling", class_name="NoSuchLayer"),
        "cannot be loaded",
    ),
    "no layers": (lambda c: c["config"].update(layers=[]) or c, "cannot be loaded"),
    "a list": (lambda _: [], "cannot be loaded"),
    "huge dense": (with_layer("Dense", units=10**9), "asks for"),
    "endless dense": (with_layer("Dense", units=10**30), "asks for"),
    "negative dense": (with_layer("Dense", units=-1), "cannot be loaded"),
    "huge kernel": (
        with_layer("Conv2D", kernel_size=[10**5] * 2, padding="same"),
        "asks for",
    ),
    "more weights than there are": (
        with_layer("Conv2D", kernel_size=[60, 60], padding="same"),
        "asks for",
    ),
    "other shapes": (with_layer("Conv2D", filters=5), "cannot be loaded"),
    "huge between": (
        in_place_of(
            "Rescaling", class_name="UpSampling2D", config={"size": [9999, 9999]}
        ),
        "asks for",
    ),
    "padding": (
        in_place_of("Rescaling", class_name="ZeroPadding2D", config={"padding": 99999}),
        "asks for",
    ),
    "other input": (
        with_layer("InputLayer", batch_shape=[None, 8, 8, 4]),
        "cannot be loaded",
    ),
}
RULE = {"shape": "square", "fraction": 1.0, "filter": "bilinear"}
DOCUMENTS = {
    "deep list": {"classes": nested(100_000)},
    "deep object": {"classifier": b'{"a":' * 100_000},
    "long number": {"classifier": b'{"size": ' + b"9" * 10_000 + b"}"},
    "half a letter": {"classes": b'[["a", "\\ud800"], ["b", "b"]]'},
    "half a name": {"classifier": lambda d: d | {"name": "\udfff"}},
    "long name": {"classes": lambda c: [["a", "x" * 10**6], c[1]]},
    "many classes": {"classes": lambda _: [["a", "b"]] * 200_000},
    "huge size": {"classifier": lambda d: d | {"size": 10**6}},
    "size is true": {"classifier": lambda d: d | {"size": True}},
    "fraction of none": {
        "classifier": lambda d: d | {"rule": RULE | {"fraction": "1"}}
    },
    "not UTF-8": {"classes": b"\xff\xfe[]"},
    "null": {"classes": b"null", "classifier": b"null"},
}
WEIGHTS = {
    "a link to another file": (
        replace_by(lambda folder: h5py.ExternalLink("/etc/passwd", "/x")),
        "cannot be loaded",
    ),
    "a soft link": (
        replace_by(lambda folder: h5py.SoftLink("/elsewhere")),
        "cannot be loaded",
    ),
    "a claim of 40 GB": (huge, "cannot be loaded"),
    "bytes of another file": (external, "cannot be loaded"),
    "NaN": (not_a_number, "no numbers"),
}


def refused(path, message, counts):
    start = time.process_time()
    with pytest.raises(ModelFileError, match=message) as caught:
        load_classifier(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 700
    assert time.process_time() - start < 20
    counts[message] += 1


def resident():
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def test_hostile_files_are_refused(good, tmp_path, monkeypatch, record_property):
    """By reading them, with no memory to speak of, and without running anything."""
    monkeypatch.chdir(tmp_path)
    assert load_classifier(good).name == "good"
    counts, before, path = Counter(), resident(), tmp_path / "bad.keras"
    for name, (change, message) in CONFIGS.items():
        print(name)
        refused(changed(good, path, config=change), message, counts)
    for name, documents in DOCUMENTS.items():
        print(name)
        refused(changed(good, path, **documents), "damaged", counts)
    for name, (change, message) in WEIGHTS.items():
        print(name)
        weights = rewritten(good, change)(good, tmp_path)
        refused(changed(good, path, weights=weights), message, counts)
    assert resident() - before < 600
    # what was not made then is not made later either
    keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert load_classifier(good).logits([np.zeros((9, 9, 3), "uint8")]).shape == (1, 2)
    assert resident() - before < 600
    kinds = ", ".join(f"{kind!r} {n}" for kind, n in counts.most_common())
    record_property("hostile models", f"{counts.total()} tried, all refused: {kinds}")


class Harmful:
    """What a pickle of it does when it is opened."""

    def __reduce__(self):
        return os.mkdir, (WITNESS,)


def test_a_network_made_of_trained_parts_is_saved_and_read(tmp_path):
    """Each part brings how it was compiled; no optimizer must be made to look at it."""
    base = small()
    head = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    head.compile("adam", "mse")
    head.fit(np.zeros((4, 2)), np.zeros((4, 2)), verbose=0)
    network = keras.Model(base.inputs, head(base.outputs[0]))
    classifier = as_classifier(network, ["cat", "dog"], "parts", ResizeRule())
    again = load_classifier(save_classifier(classifier, tmp_path / "parts.keras"))
    given = np.full((1, 8, 8, 3), 100.0)
    np.testing.assert_allclose(again.network(given), network(given), atol=1e-5)


def test_other_kinds_of_file_are_refused(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    harm = pickle.dumps(Harmful())
    np.savez(tmp_path / "model.npz", a=np.array([Harmful()], object))
    content = {
        "model.pkl": harm,
        "model.pt": harm,
        "model.joblib": harm,
        "model.h5": b"\x89HDF\r\n\x1a\n",
        "model.hdf5": harm,
        "model.npz": (tmp_path / "model.npz").read_bytes(),
        "model.bin": good.read_bytes(),
    }
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(
            ModelFileError, match=rf"{name} is no \.keras file.*can run code"
        ):
            load_classifier(tmp_path / name)
        (tmp_path / "renamed.keras").write_bytes(data)
        if name != "model.bin":  # that one is sound
            with pytest.raises(ModelFileError, match="damaged|holds no class list"):
                load_classifier(tmp_path / "renamed.keras")
    (tmp_path / "model.KERAS").write_bytes(good.read_bytes())
    for name in (tmp_path / "model.KERAS", str(tmp_path / "model.KERAS")):
        with pytest.raises(ModelFileError, match="small letters: rename"):
            load_classifier(name)
    assert not Path(WITNESS).exists()
    pickle.loads(harm)
    assert Path(WITNESS).is_dir(), "it would have done harm"


@pytest.mark.parametrize("tries", thorough_but([500, 3000], 500))
def test_damaged_files_give_a_model_or_a_model_file_error(
    tries, good, tmp_path, record_property
):
    """Of documents, names and places in the file: what is read before Keras is."""
    data, random = good.read_bytes(), np.random.default_rng(0)
    path, found = tmp_path / "damaged.keras", Counter()
    tail = data.index(b"PK\1\2")
    for _ in range(tries):
        damaged = bytearray(data)
        for place in random.integers(tail - 900, len(data), random.integers(1, 6)):
            damaged[place] = random.integers(256)
        if random.random() < 0.2:
            damaged = damaged[: random.integers(len(damaged))]
        path.write_bytes(damaged)
        try:
            read_details(path, ResizeRule)
            found["read"] += 1
        except ModelFileError:
            found["ModelFileError"] += 1
    assert min(found["read"], found["ModelFileError"]) > tries / 30
    record_property(
        "damaged models", f"{found.total()} tried: {dict(found)}; nothing else"
    )


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    network = small()
    network.layers[-1].bias.assign([0, np.inf])
    broken = as_classifier(network, ["a", "b"], rule=ResizeRule())
    with pytest.raises(ModelFileError, match="lower learning rate"):
        save_classifier(broken, tmp_path / "broken.keras")
    assert list(tmp_path.iterdir()) == []


# -- a softmax at the end, wherever it hides -------------------------------------------


def softmaxes():
    inputs, hidden = keras.Input((8, 8, 3)), small().layers
    return {
        "activation": small(last="softmax"),
        "layer": keras.Sequential([inputs, *hidden, layers.Softmax()]),
        "activation layer": keras.Sequential(
            [inputs, *hidden, layers.Activation("softmax")]
        ),
        "nested": keras.Sequential([inputs, small(last="softmax")]),
        "operation": keras.Model(inputs, keras.ops.softmax(small()(inputs))),
        "reshaped": keras.Sequential(
            [inputs, small(last="softmax"), layers.Reshape((2,))]
        ),
    }


@pytest.mark.parametrize(
    "kind",
    ["activation", "layer", "activation layer", "nested", "operation", "reshaped"],
)
def test_a_softmax_is_found(kind):
    model = softmaxes()[kind]
    given = np.random.default_rng(0).uniform(0, 9, (3, 8, 8, 3)).astype("float32")
    found = as_classifier(model, ["a", "b"], rule=ResizeRule()).forward(given)
    wanted = np.asarray(model(given))
    np.testing.assert_allclose(softmax(found, axis=1), wanted, atol=1e-5)
    model.rule = ResizeRule()
    with pytest.raises(ValueError, match=r"ends in a softmax.*Pass logits_of\(model\)"):
        grad_cam(model, "cat")
    assert grad_cam(logits_of(model), "cat").shape == (8, 8)


def test_a_changed_model_is_explained_anew():
    model = small(layers.Conv2D(4, 1))
    model.rule = ResizeRule()
    before = grad_cam(model, "cat", 0)
    last = model.layers[-1]
    model.pop()
    model.add(layers.Dense(5))
    with pytest.raises(ValueError, match="0…4"):
        grad_cam(model, "cat", 5)
    grad_cam(model, "cat", 4)
    model.pop()
    model.add(last)
    assert np.array_equal(grad_cam(model, "cat", 0), before)


# -- what ships ------------------------------------------------------------------------

RENEW = "cd data/recorded && sha256sum *.* > SHA256SUMS"


def test_what_ships_is_what_its_hashes_say():
    """Tools write the hash of what they make; of a file that was copied there, see
    RENEW."""
    paths = [path for path in sorted(models.RECORDED.iterdir()) if path.name != SUMS]
    assert [path.name for path in paths if not shipped(path)] == [], (
        f"if that is right: {RENEW}"
    )
    noted = (models.RECORDED / SUMS).read_text("utf-8").split()[1::2]
    assert noted == [path.name for path in paths]


def test_hashes_are_those_of_sha256sum(tmp_path):
    for name in ("b.bin", "a.bin"):
        (tmp_path / name).write_bytes(name.encode())
        note_digest(tmp_path / name)
    note_digest(tmp_path / "b.bin")
    lines = (tmp_path / SUMS).read_text().splitlines()
    assert lines == [
        f"{digest(tmp_path / name)}  {name}" for name in ("a.bin", "b.bin")
    ]
    check = [
        sys.executable,
        "-c",
        "import hashlib; print(hashlib.sha256(b'a.bin').hexdigest())",
    ]
    known = subprocess.run(check, capture_output=True, text=True, check=True).stdout
    assert known.strip() == digest(tmp_path / "a.bin")
    (tmp_path / "a.bin").write_bytes(b"other")
    assert not shipped(tmp_path / "a.bin") and shipped(tmp_path / "b.bin")
