"""The tool that trains and judges pocket, and the files it made: models/ and data/recorded/."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax

from helpers import keras
from helpers.models import POCKET, ROOT

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

spec = importlib.util.spec_from_file_location("pretrain", ROOT / "tools" / "pretrain_pocket.py")
pretrain = sys.modules["pretrain"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pretrain)

CLASSES = {"n02123045": (200, 40, 40), "n07920052": (40, 200, 40), "n00000001": (40, 40, 200)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes, red, green and blue noise: 16 pictures each to train on, 4 to judge by."""
    root, rng = tmp_path_factory.mktemp("made_up"), np.random.default_rng(0)
    for split, n in (("train", 16), ("val", 4)):
        for wnid, colour in CLASSES.items():
            (root / split / wnid).mkdir(parents=True)
            for i in range(n):
                noise = np.clip(rng.normal(colour, 25, (64, 64, 3)), 0, 255).astype("uint8")
                Image.fromarray(noise).save(root / split / wnid / f"{i}.png")
    return root


def zipped(folder, path, outer=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.*"):
            archive.write(file, outer + file.relative_to(folder).as_posix())
    return path


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("split, n", [("train", 48), ("val", 12)])
def test_folder_and_zip_hold_the_same(folder, tmp_path, split, n):
    one = pretrain.read_pictures(folder, split)
    two = pretrain.read_pictures(zipped(folder, tmp_path / "x.zip", "outer/"), split)
    assert one.wnids == two.wnids == sorted(CLASSES)
    assert one.pictures.shape == (n, 64, 64, 3) and one.pictures.dtype == np.uint8
    np.testing.assert_array_equal(one.pictures, two.pictures)
    np.testing.assert_array_equal(one.labels, np.repeat([0, 1, 2], n // 3))
    strongest = one.pictures.mean(axis=(1, 2)).argmax(axis=1)
    expected = [np.argmax(CLASSES[wnid]) for wnid in one.wnids]
    np.testing.assert_array_equal(strongest, np.repeat(expected, n // 3))


def test_tiny_imagenet_as_published(folder, tmp_path):
    (tmp_path / "val" / "images").mkdir(parents=True)
    lines = []
    for wnid in CLASSES:
        (tmp_path / "train" / wnid / "images").mkdir(parents=True)
        for i in range(4):
            for source, target in (
                (folder / "train" / wnid / f"{i}.png", f"train/{wnid}/images/{wnid}_{i}.JPEG"),
                (folder / "val" / wnid / f"{i}.png", f"val/images/{wnid}_{i}.JPEG"),
            ):
                Image.open(source).save(tmp_path / target, quality=95)
            lines.append(f"{wnid}_{i}.JPEG\t{wnid}\t0\t0\t63\t63\n")
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(reversed(lines)))
    ours = pretrain.read_pictures(folder, "val")
    theirs = pretrain.read_pictures(tmp_path, "val")
    assert theirs.wnids == ours.wnids == pretrain.read_pictures(tmp_path, "train").wnids
    np.testing.assert_array_equal(theirs.labels, ours.labels)
    difference = theirs.pictures.mean(axis=(1, 2)) - ours.pictures.mean(axis=(1, 2))
    assert np.abs(difference).max() < 5, "each label has its own picture"


def test_excluded_pictures_are_left_out(folder):
    names = ["train/n02123045/3.png", "train/n07920052/0.png"]
    everything = pretrain.read_pictures(folder, "train")
    fewer = pretrain.read_pictures(folder, "train", names)
    assert len(fewer.labels) == len(everything.labels) - 2
    gone = np.asarray(Image.open(folder / names[0]))
    assert (everything.pictures == gone).all(axis=(1, 2, 3)).sum() == 1
    assert (fewer.pictures == gone).all(axis=(1, 2, 3)).sum() == 0
    with pytest.raises(pretrain.DataError, match="1 of the 2 .*n02123045/x.png"):
        pretrain.read_pictures(folder, "train", [names[0], "train/n02123045/x.png"])


def copy_of(folder, target, leave_out):
    for file in folder.rglob("*.png"):
        name = file.relative_to(folder)
        (target / name.parent).mkdir(parents=True, exist_ok=True)
        if not name.as_posix().startswith(leave_out):
            (target / name).write_bytes(file.read_bytes())
    return target


def test_errors_say_what_is_wrong(folder, tmp_path):
    def fails(path, words):
        with pytest.raises(pretrain.DataError, match=words):
            pretrain.read_pictures(path, "train")

    fails(tmp_path / "nowhere", "no folder or zip file .*nowhere")
    (tmp_path / "text.zip").write_text("no zip")
    fails(tmp_path / "text.zip", "neither a folder nor a zip")
    fails(copy_of(folder, tmp_path / "a", "val/"), r"no pictures in val/")
    fails(copy_of(folder, tmp_path / "b", "train/n07920052"), "n07920052 has no picture in train")
    one = copy_of(folder, tmp_path / "c", ("none",))
    for part in [*one.glob("*/n0[07]*")]:
        for file in part.iterdir():
            file.unlink()
        part.rmdir()
    fails(one, "one class, n02123045")
    broken = copy_of(folder, tmp_path / "d", ("none",))
    (broken / "train/n02123045/5.png").write_bytes(b"GIF89a")
    fails(broken, "train/n02123045/5.png in .* cannot be read")


# -- batches and loss ------------------------------------------------------------------------------


def test_map_is_averaged_under_the_box():
    maps = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float16")
    boxes = np.array([[0, 0, 1, 1], [-0.5, 0.5, 0.5, 1.5]])
    result = pretrain.average_map(maps, boxes)
    np.testing.assert_allclose(result[0], maps[0].mean(axis=(0, 1), dtype="float64"), atol=1e-3)
    corner = maps[1, 2:, :2].mean(axis=(0, 1), dtype="float64")
    np.testing.assert_allclose(result[1], corner, atol=1e-3)


def test_crops_show_what_the_box_says():
    picture = np.zeros((64, 64, 3), "uint8")
    picture[:32, :32] = 255
    whole = np.array([0.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(pretrain.crop(picture, whole, 64, False), picture)
    np.testing.assert_array_equal(pretrain.crop(picture, whole, 64, True), picture[:, ::-1])
    assert pretrain.crop(picture, whole / 2, 32, False).min() == 255
    outside = pretrain.crop(picture, np.array([-0.2, -0.2, 1.2, 1.2]), 70, False)
    np.testing.assert_array_equal(outside[0, [0, -1]], [[255] * 3, [0] * 3])


@pytest.mark.parametrize("number", range(len(pretrain.ROUNDS)))
def test_boxes_are_as_the_round_says(number):
    settings = pretrain.ROUNDS[number]
    boxes = pretrain.draw_boxes(np.random.default_rng(0), 2000, settings)
    sides = boxes[:, 2:] - boxes[:, :2]
    areas = sides.prod(axis=1)
    assert settings.smallest * 0.99 < areas.min() and areas.max() < settings.largest * 1.01
    outwards = (boxes[:, :2] < 0).any(axis=1)
    assert outwards.mean() == pytest.approx(settings.outwards, abs=0.03)
    assert boxes[~outwards].min() >= 0 and boxes[~outwards].max() <= 1


def test_rate_rises_and_falls_in_each_round():
    first, second = (pretrain.ROUNDS[i]._replace(epochs=2 * i + 2) for i in (0, 1))
    rounds = (first, second)
    assert pretrain.place_in_rounds(1.5, rounds) == (first, 0.75)
    assert pretrain.place_in_rounds(2.0, rounds) == (second, 0.0)
    assert pretrain.place_in_rounds(5.0, rounds) == (second, 0.75)
    assert pretrain.place_in_rounds(6.0, rounds) == (second, 1.0)
    rates = [pretrain.learning_rate(progress, 0.2) for progress in (0, 0.03, 0.5, 1)]
    assert rates[0] == rates[3] == 0 < rates[2] < rates[1] == 0.2


def test_loss_is_cross_entropy_divergence_and_distance():
    rng = np.random.default_rng(0)
    logits, features, guess = rng.normal(size=(3, 4, 3)).astype("float32")
    kernel, bias = rng.normal(size=(3, 3)).astype("float32"), np.float32([0, 1, 2])
    labels = np.array([0, 2, 1, 1])
    smooth = np.eye(3)[labels] * 0.9 + 0.1 / 3
    hard = -(smooth * log_softmax(logits, axis=1)).sum(axis=1)
    scores = features @ kernel + bias
    p, q = log_softmax(scores / 2, axis=1), log_softmax(logits / 2, axis=1)
    named = 0.4 * hard + 0.6 * 4 * (np.exp(p) * (p - q)).sum(axis=1)
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(guess, axis=1)
    distance = 1 - (features * guess).sum(axis=1) / lengths
    alone = pretrain.distillation_loss(3)(labels[:, None].astype("float32"), logits)
    np.testing.assert_allclose(alone, hard, rtol=1e-5)
    teacher = pretrain.Teacher(np.zeros((1, 1, 1, 3)), kernel, bias)
    targets = np.concatenate([labels[:, None], features], axis=1).astype("float32")
    outputs = np.concatenate([logits, guess], axis=1)
    result = pretrain.distillation_loss(3, teacher)(targets, outputs)
    np.testing.assert_allclose(result, named + 2 * distance, rtol=1e-4)


@pytest.mark.thorough
def test_teacher_maps_are_made_once(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "TEACHER_SIZE", 64)
    weights = tmp_path / "mobilenet.weights.h5"
    keras.utils.set_random_seed(0)
    keras.applications.MobileNetV2(input_shape=(224, 224, 3), weights=None).save_weights(weights)
    data = pretrain.read_pictures(folder, "val")
    maps = pretrain.teacher_maps(data, weights, tmp_path)
    assert maps.shape == (12, 2, 2, 384) and maps.dtype == np.float16 and np.isfinite(maps).all()
    before = (tmp_path / "teacher.npy").stat().st_mtime_ns
    np.testing.assert_array_equal(pretrain.teacher_maps(data, weights, tmp_path), maps)
    assert (tmp_path / "teacher.npy").stat().st_mtime_ns == before
    data.pictures[0] = 0
    pretrain.teacher_maps(data, weights, tmp_path)
    assert (tmp_path / "teacher.npy").stat().st_mtime_ns > before, "these are other pictures"


def made_up_teacher(labels):
    """Maps that show the class in one direction each, among noise, and the head for them."""
    maps = np.random.default_rng(0).normal(size=(len(labels), 2, 2, 5))
    maps[..., :3] += 3 * np.eye(3)[labels][:, None, None]
    return pretrain.teacher_head(maps.astype("float16"), labels, 3, seed=0, epochs=50)


@pytest.mark.thorough
def test_teachers_head_names_what_its_maps_show():
    labels = np.repeat([0, 1, 2], 16)
    teacher = made_up_teacher(labels)
    scores = teacher.maps.mean(axis=(1, 2), dtype="float32") @ teacher.kernel + teacher.bias
    assert (scores.argmax(axis=1) == labels).mean() > 0.9


# -- training --------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    """A network of one convolution on small pictures instead of the real one."""

    def build(n_classes, mixed=False):
        inputs = keras.Input((None, None, 3))
        x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
        x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
        return keras.Model(inputs, keras.layers.Dense(n_classes)(x))

    monkeypatch.setattr(pretrain, "build_network", build)
    rounds = tuple(part._replace(sizes={0: [16]}) for part in pretrain.ROUNDS)
    monkeypatch.setattr(pretrain, "ROUNDS", rounds)


def test_tool_trains_logs_and_exports(folder, tmp_path, small, capsys):
    work = tmp_path / "work"
    pretrain.main(
        ["--data", str(folder), "--work", str(work), "--epochs", "6", "--batch-size", "8"]
    )
    with open(work / "log.csv") as file:
        log = list(csv.DictReader(file))
    assert [row["epoch"] for row in log] == list("123456")
    assert float(log[-1]["loss"]) < float(log[0]["loss"])
    assert float(log[-1]["top1"]) >= 0.9, "three plain colours are easy"
    assert Image.open(work / "curve.png").size > (300, 100)
    capsys.readouterr()
    pretrain.main(["--evaluate", str(work / "pocket.keras"), "--data", str(folder)])
    table = capsys.readouterr().out
    assert f"validation top-1{'':26}{float(log[-1]['top1']):.3f}" in table
    for part in ("photos", "ants and bees", "computers"):
        assert any(row.startswith(part) and "skipped" in row for row in table.splitlines())
    with zipfile.ZipFile(work / "pocket.keras") as archive:
        classes = json.loads(archive.read("classes.json"))
    names = ["n00000001", "tabby", "espresso"]
    assert classes == [list(pair) for pair in zip(sorted(CLASSES), names, strict=True)]


@pytest.mark.thorough
def test_resumed_is_the_same_as_uninterrupted(folder, tmp_path, small, monkeypatch):
    data, validation = (pretrain.read_pictures(folder, split) for split in ("train", "val"))
    data.teacher = made_up_teacher(data.labels)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    rounds = [part._replace(epochs=1) for part in pretrain.ROUNDS[:2]]
    same = {"data": data, "validation": validation, "rounds": rounds, "batch_size": 8}
    whole = pretrain.train(**same, work=tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(log, path):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "draw_curve", stop)  # the last thing an epoch does
        with pytest.raises(Stop):
            pretrain.train(**same, work=tmp_path / "parts")
    parts = pretrain.train(**same, work=tmp_path / "parts")
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    for other in ({"seed": 1}, {"rounds": rounds[:1]}):
        with pytest.raises(pretrain.DataError, match="'seed': 0.*another --work"):
            pretrain.train(**{**same, **other}, work=tmp_path / "parts")
    another = pretrain.train(**same, work=tmp_path, seed=1)
    assert not np.allclose(whole[0], another[0], rtol=1e-4, atol=1e-5)


@pytest.mark.thorough
def test_the_last_round_goes_on_from_a_model(folder, tmp_path, small):
    """One epoch from a trained network: it still knows the classes that it was given with."""
    tool = ["--data", str(folder), "--batch-size", "8"]
    pretrain.main([*tool, "--work", str(tmp_path / "first"), "--epochs", "6"])
    trained = tmp_path / "first" / "pocket.keras"
    more = ["--last-round", str(trained), "--epochs", "6", "1", "--peak", "0.001"]
    pretrain.main([*tool, "--work", str(tmp_path / "more"), *more])
    with open(tmp_path / "more" / "log.csv") as file:
        (row,) = csv.DictReader(file)
    assert row["epoch"] == "7" and float(row["top1"]) >= 0.9


def test_calibration_finds_how_much_too_sure_a_network_is():
    """Labels drawn from a network's own probabilities, then its last layer made three times as
    sure: calibration takes that back and ranks the classes as before."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    head = keras.layers.Dense(4)
    network = keras.Model(inputs, head(inputs))
    rng = np.random.default_rng(0)
    given = rng.normal(size=(4000, 8)).astype("float32")
    logits = network.predict(given, verbose=0)
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    head.set_weights([3 * weights for weights in head.get_weights()])
    assert pretrain.calibrate(network, given, labels) == pytest.approx(3, abs=0.3)
    after = network.predict(given, verbose=0)
    np.testing.assert_allclose(after, logits, atol=0.5)
    np.testing.assert_array_equal(after.argsort(axis=1), logits.argsort(axis=1))


@pytest.mark.thorough
def test_maps_alone_are_a_run_that_succeeds(folder, tmp_path, monkeypatch, capsys):
    """OpenVINO makes the maps faster than any other backend, and cannot train."""
    work = tmp_path / "work"
    weights = tmp_path / "mobilenet.weights.h5"
    keras.applications.MobileNetV2(input_shape=(224, 224, 3), weights=None).save_weights(weights)
    monkeypatch.setattr(pretrain, "TEACHER_SIZE", 64)
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    pretrain.main(["--data", str(folder), "--work", str(work), "--teacher", str(weights)])
    assert "maps are ready" in capsys.readouterr().out
    assert sorted(path.name for path in work.iterdir()) == ["teacher.npy", "teacher.txt"]


def test_command_line_errors_are_one_line(folder, tmp_path, capsys):
    for arguments, words in (
        (["--data", str(folder)], "needs --data and --work"),
        (["--data", str(tmp_path / "no"), "--work", str(tmp_path)], "no folder or zip"),
        (["--data", str(folder), "--work", str(tmp_path)], "do not fill a batch of 256"),
        (["--data", str(folder), "--work", str(tmp_path), "--epochs", *"12345"], "up to 4 numbers"),
        (
            ["--data", str(folder), "--work", str(tmp_path), "--last-round", str(POCKET)],
            "knows other classes",
        ),
    ):
        with pytest.raises(SystemExit) as caught:
            pretrain.main(arguments)
        assert caught.value.code == 1
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1


# -- the portable file -----------------------------------------------------------------------------


def entries(value):
    """All (key, value) pairs of a nested configuration, however deep."""
    if isinstance(value, list):
        return [entry for item in value for entry in entries(item)]
    if not isinstance(value, dict):
        return []
    return [*value.items(), *(entry for item in value.values() for entry in entries(item))]


def assert_portable(path):
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    found = entries(config)
    newer = {"input_axes", "output_axes", "quantization_config", "renorm", "renorm_clipping"}
    assert not {key for key, _ in found} & newer
    modules = {value for key, value in found if key == "module"}
    assert modules and all(module.split(".")[0] == "keras" for module in modules)
    assert "Lambda" not in {value for key, value in found if key == "class_name"}


@pytest.mark.thorough
@pytest.mark.parametrize("half, near", [(False, 1e-5), (True, 0.02)])
def test_real_network_is_portable(tmp_path, half, near):
    keras.utils.set_random_seed(0)
    network = pretrain.build_network(200)
    classes = [(f"n{i:08}", f"name {i}") for i in range(200)]
    pretrain.write_portable(network, tmp_path / "x.keras", classes, half=half)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["SHA256SUMS", "x.keras"]
    assert_portable(tmp_path / "x.keras")
    assert (tmp_path / "x.keras").stat().st_size < (6.5e6 if half else 13e6)
    again = keras.models.load_model(tmp_path / "x.keras", safe_mode=True)
    assert {weight.dtype for weight in again.weights} == {"float32"}
    noise = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(again(noise), network(noise), atol=near)


def test_shipped_model_is_portable():
    assert POCKET.stat().st_size <= 10e6
    assert_portable(POCKET)
    network = keras.models.load_model(POCKET, safe_mode=True)
    assert network.input_shape == (None, None, None, 3) and network.output_shape == (None, 200)
    with zipfile.ZipFile(POCKET) as archive:
        classes = json.loads(archive.read("classes.json"))
    assert classes == sorted(classes) and len({wnid for wnid, _ in classes}) == 200


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """Two photographs of pocket's classes in photos/, one of them listed; the folder is the cwd."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("n02123045_tabby.png", "n07920052_espresso.png"):
        Image.new("RGB", (80, 60), "teal").save(tmp_path / "photos" / name)
    (tmp_path / "overlap.tsv").write_text("file\tseen\nphotos/n02123045_tabby.png\ttrain/1\n")
    return tmp_path


@pytest.mark.thorough
@pytest.mark.parametrize("absolute", [False, True])
def test_judging_leaves_out_what_the_list_names(judged, absolute):
    photos = judged / "photos" if absolute else "photos"
    rows = dict(pretrain.evaluate(POCKET, photos=photos, overlap="overlap.tsv")[0])
    assert rows["photos of its classes, top-5, 64 px"].endswith("n = 1")
    rows = dict(pretrain.evaluate(POCKET, photos=photos)[0])
    assert rows["photos of its classes, top-5, 64 px"].endswith("n = 2")


def test_a_list_of_other_pictures_is_refused(judged):
    (judged / "photos").rename(judged / "pictures")
    with pytest.raises(pretrain.DataError, match="lists nothing in pictures"):
        pretrain.evaluate(POCKET, photos="pictures", overlap="overlap.tsv")


@pytest.mark.parametrize("content", [b"no zip", None])
def test_a_file_without_a_class_list_is_refused(tmp_path, content):
    path = tmp_path / "other.keras"
    if content:
        path.write_bytes(content)
    else:
        keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(pretrain.DataError, match="holds no class list"):
        pretrain.evaluate(path)


def test_shipped_model_loads_in_the_oldest_keras():
    folder = os.environ.get("OLDEST_KERAS")
    if not folder:
        pytest.skip("set OLDEST_KERAS: pip install --no-deps --target FOLDER keras==3.12.4")
    script = (
        "import keras, numpy, warnings; warnings.simplefilter('error'); "
        f"network = keras.models.load_model({str(POCKET)!r}, safe_mode=True, compile=False); "
        "noise = numpy.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype('float32'); "
        "print(keras.__version__, *network.predict(noise, verbose=0)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    version, *logits = done.stdout.split()
    assert version == "3.12.4"
    noise = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    live = keras.models.load_model(POCKET, compile=False)(noise)
    np.testing.assert_allclose(np.array(logits, "float32"), live[0], atol=1e-4)
