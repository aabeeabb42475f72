"""How data/computers is made: the plan, the scenes, the camera; and Blender where it is
there."""

import importlib.util
import inspect
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOOLS = Path(__file__).resolve().parents[2] / "tools" / "make_computers"
sys.path.insert(0, str(TOOLS))
tool = importlib.import_module("render_computers")
camera, drawings, scenes, shapes, things = (
    importlib.import_module(f"computers.{name}")
    for name in ("camera", "drawings", "scenes", "shapes", "things")
)

SMALL = {"train": 30, "validation": 2, "test": 3}


# -- the plan --------------------------------------------------------------------------


def test_plan_names_every_picture_once():
    names = [name for name, _, _ in tool.plan()]
    assert len(set(names)) == len(names) == 4 * sum(tool.SPLITS.values())
    assert Counter(name.rsplit("/", 1)[0] for name in names) == {
        f"{split}/{kind}": count
        for split, count in tool.SPLITS.items()
        for kind in scenes.CLASSES
    }


def test_wrong_labels_lie_in_training_alone_and_leave_the_counts():
    for counts in (tool.SPLITS, SMALL):
        plan = tool.plan(counts)
        wrong = [
            (name, folder, shown) for name, folder, shown in plan if folder != shown
        ]
        assert len(wrong) == counts["train"] * 4 // 30
        assert {name.split("/")[0] for name, _, _ in wrong} == {"train"}
        for split, count in counts.items():
            shown = Counter(shown for name, _, shown in plan if name.startswith(split))
            assert shown == dict.fromkeys(scenes.CLASSES, count)


def test_list_of_wrong_labels_follows_the_plan():
    head, *rows = tool.wrong_labels(SMALL).splitlines()
    assert head == "picture\tclass"
    assert rows == sorted(
        f"{n}\t{shown}" for n, folder, shown in tool.plan(SMALL) if folder != shown
    )
    assert len(rows) == 4


# -- scenes ----------------------------------------------------------------------------


def test_a_seed_gives_one_scene():
    for kind in scenes.CLASSES:
        scene = scenes.sample_scene(kind, 7)
        assert scene == scenes.sample_scene(kind, 7)
        assert scene != scenes.sample_scene(kind, 8)


def test_surroundings_do_not_know_the_class():
    for seed in range(20):
        settings = [
            scenes.sample_scene(kind, seed)["setting"] for kind in scenes.CLASSES
        ]
        assert settings.count(settings[0]) == len(scenes.CLASSES)
    assert list(inspect.signature(scenes.sample_setting).parameters) == ["rng"]


def test_no_two_pictures_of_the_set_share_a_scene():
    drawn = [
        scenes.sample_scene(shown, scenes.seed_of(name))
        for name, _, shown in tool.plan()
    ]
    assert len({scene["detail"] for scene in drawn}) == len(drawn)
    assert len({scene["setting"]["desk_seed"] for scene in drawn}) == len(drawn)
    assert len({json.dumps(scene["setting"]) for scene in drawn}) == len(drawn)


def test_every_variant_and_thing_comes_up():
    drawn = [
        scenes.sample_scene(kind, seed)
        for kind in scenes.CLASSES
        for seed in range(300)
    ]
    for kind in scenes.CLASSES:
        seen = {scene["variant"] for scene in drawn if scene["kind"] == kind}
        assert seen == set(scenes.SUBJECTS[kind])
    assert {name for scene in drawn for name in scene["setting"]["clutter"]} == set(
        scenes.CLUTTER
    )
    assert set(scenes.CLUTTER) | set(scenes.SUBJECTS["other"]) <= set(things.THINGS)


# -- camera ----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_camera_fills_the_frame_with_the_subject(scale):
    points = np.random.default_rng(0).uniform(-1, 1, (200, 3)) * (0.3, 0.2, 0.1) * scale
    where, axes, distance = camera.fit_camera(points, 30, 25, 50, 0.8, (0.0, 0.0), 0.0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    right, up, back = ((points - where) @ axes).T
    x, y = right / -back / 0.36, up / -back / 0.36  # the frame reaches from -1 to 1
    assert (back < 0).all()
    assert max(np.ptp(x), np.ptp(y)) / 2 == pytest.approx(0.8, abs=0.01)
    assert abs(x.max() + x.min()) < 0.02 and abs(y.max() + y.min()) < 0.02
    assert where[2] > 0 and where[0] > 0 and where[1] < 0
    assert distance == pytest.approx(np.linalg.norm(where), rel=0.1)


def developed(light, **changes):
    setting = scenes.sample_setting(np.random.default_rng(3)) | changes
    return np.asarray(camera.develop(light, setting, np.random.default_rng(0)))


def test_exposure_is_automatic():
    light = np.random.default_rng(1).uniform(0, 1, (160, 160, 3))
    picture = developed(light)
    assert (picture.shape, picture.dtype) == ((160, 160, 3), np.uint8)
    np.testing.assert_array_equal(picture, developed(light * 8))
    assert (
        developed(light, exposure=1.0).mean()
        > developed(light, exposure=-1.0).mean() + 30
    )


def test_white_balance_takes_most_of_a_cast_away():
    grey = np.random.default_rng(1).uniform(0, 1, (160, 160, 1)).repeat(3, axis=2)
    plain = {"tint": [1.0] * 3}
    cast = developed(grey * (2.0, 1.0, 0.5), **plain).mean((0, 1))
    none = developed(grey, **plain).mean((0, 1))
    assert np.ptp(none) < 2 < np.ptp(cast)
    assert cast[0] / cast[2] < 1.8  # it was four times


def test_files_come_near_to_the_size_asked_for():
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (20, 20, 3), "uint8")).resize(
        (160, 160)
    )
    sizes = [len(camera.compress(picture, target)) for target in (4000, 5000, 6000)]
    assert sizes == sorted(sizes) and len(set(sizes)) == 3
    assert abs(sizes[1] - 5000) < 500


# -- drawings and shapes ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["photo", "draw_screen", "draw_small_screen", "draw_page", "draw_cover"]
)
def test_drawings_have_the_size_asked_for_and_follow_the_seed(name):
    draw = getattr(drawings, name)
    pictures = [draw(np.random.default_rng(seed), 120, 90) for seed in (0, 0, 1)]
    assert {(picture.mode, picture.size) for picture in pictures} == {
        ("RGB", (120, 90))
    }
    first, again, another = (picture.tobytes() for picture in pictures)
    assert first == again != another
    for seed in range(30):  # no seed breaks them
        draw(np.random.default_rng(seed), 180, 240)


@pytest.mark.parametrize(
    "shape",
    [
        shapes.box(2, 3, 1),
        shapes.prism(shapes.rectangle(2, 3, 0.3), 0, 1, 0.5),
        shapes.quad(2, 3),
        shapes.lathe([(0, 0), (1, 0), (1, 2)]),
        shapes.ball(1, 2, 3),
        shapes.tube(shapes.curve([(0, 0, 0), (1, 0, 1), (2, 1, 0)]), 0.1),
        shapes.keys(3, 1, 0.1),
    ],
)
def test_shapes_are_whole(shape):
    points, faces, uv = shape
    assert np.isfinite(points).all() and points.shape[1] == 3
    assert set(sum(map(tuple, faces), ())) <= set(range(len(points)))
    assert all(len(set(face)) == len(face) >= 3 for face in faces)
    assert uv is None or (
        uv.shape == (len(points), 2) and 0 <= uv.min() <= uv.max() <= 1
    )


def test_place_tilts_turns_and_moves():
    front = shapes.place(1, 2, 3, tilt=90) @ [0, 0, 1, 1]
    np.testing.assert_allclose(
        front[:3], [1, 1, 3], atol=1e-12
    )  # what looked up looks at -y
    np.testing.assert_allclose(
        (shapes.place(yaw=90) @ [1, 0, 0, 1])[:3], [0, 1, 0], atol=1e-12
    )


# -- the command -----------------------------------------------------------------------


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOLS / "render_computers.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_blender_it_says_what_to_install(tmp_path):
    if importlib.util.find_spec("bpy"):
        pytest.skip("Blender's module is here, so it is not missed")
    done = run("--out", tmp_path / "new")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install" in done.stderr and "bpy" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("part", ["0/2", "3/2", "half"])
def test_a_part_that_there_is_not_is_refused(part):
    done = run("--part", part)
    assert done.returncode == 2
    assert "--part" in done.stderr


def test_blender_renders_and_goes_on_where_it_stopped(tmp_path):
    pytest.importorskip(
        "bpy", reason="needs Blender as a Python module (pip install bpy, own Python)"
    )
    assert (
        run(
            "--out", tmp_path, "--counts", 1, 0, 0, "--samples", 1, "--part", "1/4"
        ).returncode
        == 0
    )
    (made,) = tmp_path.rglob("*.jpg")
    data = made.read_bytes()
    made.unlink()
    assert (
        run(
            "--out", tmp_path, "--counts", 1, 0, 0, "--samples", 1, "--part", "1/4"
        ).returncode
        == 0
    )
    assert made.read_bytes() == data
