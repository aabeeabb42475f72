"""What one run leaves for the next."""

import json

import numpy as np
import pytest
from PIL import Image

from apps.own_pictures import keep
from apps.own_pictures.intake import look_through
from helpers.pictures import Pictures
from panels.corrections import write_corrections


def pictures(folder, labels=(0, 0, 1, 1)):
    """`Pictures` that needn't exist."""
    classes = ("cats", "dogs")
    paths = tuple(
        folder / classes[label] / f"{i}.png" for i, label in enumerate(labels)
    )
    return Pictures(folder.name, paths, np.array(labels), classes)


def earlier_run(tmp_path, folder):
    """A folder of results as a run on `folder` leaves it."""
    earlier = tmp_path / "mine"
    earlier.mkdir()
    keep.write_settings(earlier, folder, "efficientnet_lite0", 0.95)
    for name in (*keep.CARRIED, "model.onnx", "report.html"):
        (earlier / name).write_text(name)
    return earlier


def test_the_same_folder_goes_on_from_what_is_there(tmp_path):
    earlier = earlier_run(tmp_path, tmp_path / "pets")
    results = tmp_path / "new"
    results.mkdir()
    copied = keep.carry_over(earlier, results, f"{tmp_path}/other/../pets")
    assert copied == list(keep.CARRIED)
    assert {path.name for path in results.iterdir()} == {*keep.CARRIED}


@pytest.mark.parametrize("case", ["another folder", "no run", "nothing"])
def test_nothing_is_carried_over_from_elsewhere(tmp_path, case):
    folder = tmp_path / "pets"
    earlier = tmp_path / "mine"
    if case == "another folder":
        earlier = earlier_run(tmp_path, tmp_path / "plants")
    elif case == "no run":
        earlier.mkdir()
        (earlier / keep.CORRECTIONS).write_text("somebody's")
    results = tmp_path / "new"
    results.mkdir()
    assert keep.carry_over(earlier, results, folder) == []
    assert list(results.iterdir()) == []


@pytest.mark.parametrize("name", ["pets", "Häßlich & 'so'", "5 $x$"])
def test_settings_come_back_as_they_were(tmp_path, name):
    written = keep.write_settings(tmp_path, tmp_path / name, "mobilenet_v2", 0.98, True)
    assert keep.read_settings(tmp_path) == written
    assert written.pictures == str(tmp_path / name)
    assert json.loads((tmp_path / keep.SETTINGS).read_text("utf-8"))["tune"] is True


@pytest.mark.parametrize(
    ("folder", "more", "command"),
    [
        ("~/Pictures/pets", (), "make mine PICTURES=~/Pictures/pets"),
        ("~/my pets", (), "make mine PICTURES=~/'my pets'"),
        (keep.ROOT / "data" / "computers", (), "make mine PICTURES=data/computers"),
        ("/x/a$b", (), "make mine PICTURES='/x/a$b'"),
        ("/x/\x1b[2J", (), "make mine PICTURES='/x/�[2J'"),
        ("/x", (0.98, True), "make mine PICTURES=/x ALIKE=0.98 TUNE=1"),
    ],
)
def test_the_command_is_one_to_type(tmp_path, monkeypatch, folder, more, command):
    monkeypatch.setenv("HOME", str(tmp_path))
    network = "efficientnet_lite0"
    settings = keep.write_settings(tmp_path, folder, network, *(more or (0.95,)))
    assert settings.command == command
    other = settings._replace(network="mobilenet_v2")
    assert other.command == f"TRANSFER_MODEL=mobilenet_v2 {command}"


def test_what_was_answered_in_turn_comes_back_for_pictures_of_both_runs(tmp_path):
    """Also for one that was moved into another class meanwhile."""
    for name in ("cats/0", "cats/1", "dogs/2", "dogs/3"):
        path = tmp_path / "pets" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    votes = np.array([[1, 0], [0.2, 0.8], [0.3, 0.7], [0, 1]])
    nothing, *_ = keep.earlier_in_turn(tmp_path, pictures(tmp_path / "pets"))
    assert len(nothing) == 0
    keep.write_in_turn(tmp_path, pictures(tmp_path / "pets"), votes)
    (tmp_path / "pets" / "cats" / "1.png").rename(tmp_path / "pets" / "dogs" / "1.png")
    (tmp_path / "pets" / "cats" / "0.png").write_text("another picture")
    now = pictures(tmp_path / "pets", (0, 1, 1, 1))
    positions, then, labels = keep.earlier_in_turn(tmp_path, now)
    assert positions.tolist() == [1, 2, 3]
    assert labels.tolist() == [0, 1, 1], "as they were"
    np.testing.assert_array_equal(then, votes[1:])
    other = Pictures(now.name, now.paths, now.labels, ("cats", "owls"))
    assert len(keep.earlier_in_turn(tmp_path, other)[0]) == 0
    keep.write_in_turn(tmp_path, now, None)
    assert len(keep.earlier_in_turn(tmp_path, now)[0]) == 0


def test_answers_come_back_for_the_pictures_of_both_tests(tmp_path):
    used = pictures(tmp_path / "pets", (0, 1, 1, 1))
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.2, 0.8]])
    path = tmp_path / keep.ANSWERS
    keep.write_answers(path, used, said, used[2:])
    answers = keep.read_answers(path)
    assert answers["cats/0.png"] == ("learned from", "cats", "cats", 0.9)
    assert answers["dogs/2.png"] == ("test", "dogs", "cats", 0.9)
    now = pictures(tmp_path / "pets", (0, 1, 1, 1, 1))
    positions, labels = keep.earlier_answers(answers, now)
    assert positions.tolist() == [2, 3], "neither what it learned from nor new ones"
    assert labels.tolist() == [0, 1]
    assert keep.read_answers(tmp_path / "none.csv") == {}
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="isn't what an earlier run wrote"):
        keep.read_answers(path)


def test_a_class_that_is_gone_is_no_answer(tmp_path):
    three = Pictures("pets", (tmp_path / "pets" / "cats" / "0.png",), np.array([0]), ())
    three = Pictures(three.name, three.paths, three.labels, ("cats", "dogs", "owls"))
    path = tmp_path / keep.ANSWERS
    keep.write_answers(path, three, np.array([[0.1, 0.2, 0.7]]), three)
    positions, _ = keep.earlier_answers(
        keep.read_answers(path), pictures(tmp_path / "pets")
    )
    assert len(positions) == 0


def finished_run(folder, results, said):
    """A run's folder whose heads said this of 20 pictures: (20, 2)."""
    for i in range(20):
        path = folder / ("cats", "dogs")[i // 10] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, (40, 40, 3), "uint8")
        Image.fromarray(noise).save(path)
    results.mkdir()
    keep.write_settings(results, folder, "efficientnet_lite0", 0.95)
    given = look_through(folder).given
    keep.write_out_of_fold(results, given, np.asarray(said))
    return given


def test_the_panel_shows_what_is_suspected_and_what_was_decided(tmp_path):
    """And no other, as it had to show one: the report names none then."""
    sure = np.repeat([[0.9, 0.1], [0.1, 0.9]], 10, axis=0)
    sure[0] = [0.55, 0.45]  # the least sure of those it agrees with
    results = tmp_path / "mine"
    given = finished_run(tmp_path / "pets", results, sure)
    assert "nothing to decide" in keep.labels_panel(results).value
    write_corrections(given, results / keep.CORRECTIONS, {2: 0, 15: 0})
    panel = keep.labels_panel(results)
    assert "2 of 2 decided: 1 kept, 1 relabelled, 0 left out.<" in panel.status.value
    assert "run the same command again: make mine" in panel.shown.value
    keep.write_settings(results, tmp_path / "pets", "efficientnet_lite0", 0.95)
    assert "nothing is left to do" in keep.labels_panel(results).shown.value
    sure[16] = [0.8, 0.2]
    keep.write_out_of_fold(results, given, sure)
    panel = keep.labels_panel(results)
    assert "2 of 3 decided" in panel.status.value
    assert "dogs/16.png" in panel.shown.value


def test_the_panel_needs_a_finished_run(tmp_path):
    with pytest.raises(ValueError, match="no finished run: make one with make mine"):
        keep.labels_panel(tmp_path)
