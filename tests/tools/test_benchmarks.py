"""The benchmarks on made-up pictures and tiny networks: what they run, print, write,
conclude."""

import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from apps.many.folder import Summary
from apps.sharing.parity import Parity
from helpers.datasets import load_dataset
from helpers.evaluate import accuracy
from helpers.models import ROOT
from safeguards.folders import DataError
from tools.benchmarks import __main__ as bench
from tools.benchmarks import (
    more_pictures,
    one_picture,
    report,
    runtimes,
    transfer_recipe,
)

# TensorFlow's own, where Keras reads a variable
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


def folder_of(root, classes):
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("val", 6)):
        for channel, name in enumerate(classes):
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 120, (30, 40, 3), "uint8")
                pixels[..., channel] += 100
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")
    return root


# -- features once, and the recipe -----------------------------------------------------


@pytest.mark.thorough
def test_both_ways_run_on_the_same_pictures(tmp_path, capsys, monkeypatch):
    dataset = load_dataset(folder_of(tmp_path, ("blueish", "reddish")))
    classifier, used = report.toy(24), []
    real = transfer_recipe.recipe
    monkeypatch.setattr(
        transfer_recipe,
        "recipe",
        lambda own, *rest: used.append(own) or real(own, *rest),
    )
    before = classifier.network.get_weights()
    runs = transfer_recipe.compare(classifier, dataset, repeats=1, epochs=1)
    assert list(runs) == ["features once", "recipe"]
    (once,), (other,) = runs.values()
    assert once.estimate[::3] == (1, 12)
    (first, _), (last, right) = other.history
    assert 0 < first < last < other.seconds
    assert right == pytest.approx(other.estimate.value), "what Keras counts, and we"
    # On a copy, the last layers were trained, the first were not.
    assert all(map(np.array_equal, before, classifier.network.get_weights()))
    convolution, norm = (used[0].network.layers[i] for i in (2, 3))
    assert (convolution.trainable, norm.trainable) == (False, True)
    assert all(map(np.array_equal, before, convolution.get_weights()))
    assert not np.array_equal(classifier.network.layers[3].gamma, norm.gamma)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seed 0  features once ")
    times, estimate = (
        r"\d+\.\d s +\d+\.\d s CPU",
        r"\d\.\d\d \(\d\.\d\d–\d\.\d\d\), n = 12",
    )
    shown = f"seed 0  recipe +{times}  {estimate}, \\d\\.\\d\\d before fine-tuning"
    assert re.fullmatch(shown, lines[1])


def test_of_mobilenet_the_guides_hundred_layers_stay_frozen():
    assert int(transfer_recipe.FROZEN * (154 + 1)) == 100, "of its 154, and the pooling"


def test_both_ways_see_the_same_pictures(tmp_path):
    dataset = load_dataset(folder_of(tmp_path, ("blueish", "reddish")))
    shutil.copy(dataset.train.paths[0], dataset.train.paths[0].with_name("new.png"))
    with pytest.raises(DataError, match="other pictures than those of .*/train"):
        transfer_recipe.recipe(report.toy(24), dataset)


def made_up(ours, theirs):
    """Runs of (seconds, right answers of 100, history)."""
    return {
        way: [
            transfer_recipe.Run(
                seconds,
                accuracy(np.ones(100, int), (np.arange(100) < n).astype(int)),
                None,
                *more,
            )
            for seconds, n, *more in runs
        ]
        for way, runs in (("features once", ours), ("recipe", theirs))
    }


@pytest.mark.parametrize(
    "ours, theirs, holds",
    [
        ([(4, 90), (3, 90), (900, 1)], [(100, 90), (101, 90), (1, 99)], True),
        ([(4.1, 95)] * 3, [(100, 90)] * 3, False),  # 24 times faster
        ([(1, 89)] * 3, [(100, 90)] * 3, False),
    ],
    ids=["medians decide", "too slow", "less accurate"],
)
def test_verdict(ours, theirs, holds, capsys, monkeypatch):
    runs = made_up(ours, theirs)
    assert transfer_recipe.verdict(runs) is holds
    assert capsys.readouterr().out.startswith("medians: ")
    monkeypatch.setattr(transfer_recipe, "compare", lambda *_: runs)
    monkeypatch.setattr(transfer_recipe, "load_classifier", lambda *_: report.toy())
    arguments = ["--model", "efficientnet_lite0", "--data", "computers"]
    assert transfer_recipe.main(arguments) == (0 if holds else 1)


def test_time_until_equally_accurate():
    slow = (100, 92, ((10, 0.5), (30, 0.9), (50, 0.91), (70, 0.89)))
    never = (100, 80, ((10, 0.5), (30, 0.89)))
    until = transfer_recipe.until_equal
    assert until(made_up([(2, 90)] * 2, [slow, slow])) == (
        "15.0 (15.0–15.0), n = 2, reached in 2 of 2 runs"
    )
    assert until(made_up([(2, 90), (3, 90)], [slow, never])) == (
        "15.0, n = 1, reached in 1 of 2 runs"
    )
    assert until(made_up([(2, 90)], [never])) == "reached in 0 of 1 runs"


def test_missing_weights_are_said():
    with pytest.raises(SystemExit, match="Set TRANSFER_WEIGHTS .*mobilenet_v2"):
        transfer_recipe.main([])


# -- ratios, tables, files -------------------------------------------------------------


def test_rounds_are_divided_one_by_one():
    found = report.ratio(
        [2, 20, 300], [1, 10, 100]
    )  # the machine was ten times slower, or more
    assert found == (2, 2, 2.5, 3)
    assert str(found) == "2.00 (2.00–2.50), n = 3"
    assert [report.short(v) for v in (0.01234, 1.006, 99.94, 100.4, 12345.6)] == [
        "0.0123", "1.01", "99.9", "100", "12,346"
    ]  # fmt: skip


def test_what_grows_with_the_number_of_pictures():
    times = {10: [1.0, 2.0], 100: [10.0, 20.0], 1000: [200.0]}
    assert more_pictures.slope({10: [1.0], 100: [10.0], 1000: [100.0]}).startswith(
        "1.00 (1.00–"
    )
    found = more_pictures.a_picture(times)
    assert [found[count].value for count in times] == pytest.approx([1, 1, 2])
    rows, figure, alt = report.grown({"a": found}, "pictures", "time a picture")
    assert rows[0]["1,000 pictures"] == found[1000]
    assert alt.endswith("With 1,000: a 2.00.")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "10", "100", "1,000"
    ]  # fmt: skip


def test_a_time_of_something_else_does_not_count(monkeypatch):
    wrong = Summary(19, 1, 0, 1.0, ROOT)
    monkeypatch.setattr(more_pictures, "predict_folder", lambda *_, **__: wrong)
    with pytest.raises(RuntimeError, match="of 20 pictures: its time says nothing"):
        more_pictures.seconds(report.toy(), {20: 1})
    monkeypatch.setattr(runtimes, "exports", lambda *_: {"ONNX Runtime": report.toy()})
    monkeypatch.setattr(
        runtimes,
        "parity",
        lambda *_: Parity(accuracy(np.arange(4), np.array([0, 1, 2, 0])), 0.4),
    )
    with pytest.raises(
        RuntimeError, match="ONNX Runtime answers otherwise than Keras: "
    ):
        runtimes.measure(quick=True)


def test_multiplications_are_counted_at_any_depth():
    from helpers import keras

    inputs = keras.Input((8, 8, 3))
    inner = keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
            keras.layers.DepthwiseConv2D(3, padding="same"),
        ]
    )
    pooled = keras.layers.GlobalAveragePooling2D()(inner(inputs))
    network = keras.Model(inputs, keras.layers.Dense(5)(pooled))
    convolution = 4 * 4 * (3 * 3 * 3) * 4  # places, kernel, filters
    depthwise = 4 * 4 * (3 * 3) * 4
    assert one_picture.multiply_adds(network) == convolution + depthwise + 4 * 5


@pytest.fixture
def no_start(monkeypatch):
    """What a fresh Python takes has its own test, test_latency.py."""
    steps = {"import TensorFlow": (3, 3), "rest": (1, 1), "second prediction": (9, 9)}
    monkeypatch.setattr(one_picture, "breakdown", lambda repeats: steps)


@pytest.mark.thorough
def test_one_command_writes_it_all(tmp_path, monkeypatch, capsys, no_start):
    dataset = load_dataset(
        folder_of(tmp_path / "p", ("blueish", "greenish", "reddish"))
    )
    monkeypatch.setattr(transfer_recipe, "load_dataset", lambda: dataset)
    out = tmp_path / "out"
    bench.main(["--quick", "--out", str(out)])
    text = (out / "RESULTS.md").read_text(encoding="utf-8")
    assert "the figures mean nothing" in text
    assert "75% of the processor's time" in text
    assert str(ROOT) not in text
    assert text.count("\n## ") == len(bench.PARTS)
    charts = dict(re.findall(r"!\[(.+)\]\((charts/.+\.png)\)", text))
    assert len(charts) == len(bench.PARTS)
    assert all(len(alt) > 40 for alt in charts)
    assert sum((out / chart).stat().st_size for chart in charts.values()) < 150_000
    for chart in charts.values():
        with Image.open(out / chart) as image:
            image.verify()
    assert "`predict_folder` is 1.000 of 30 by 40, 1.000 of 60 by 80." in text
    assert "| image_dataset_from_directory, predict | " in text
    assert "transfer_recipe" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"RESULTS.md", "charts"}


def test_what_fails_leaves_the_last_results(tmp_path, monkeypatch):
    (tmp_path / "RESULTS.md").write_text("those of last week")

    def fails(quick):
        raise RuntimeError("no")

    monkeypatch.setattr(
        bench, "PARTS", [SimpleNamespace(__name__="a.b", measure=fails)]
    )
    with pytest.raises(RuntimeError, match="no"):
        bench.main(["--quick", "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["RESULTS.md"]
    assert (tmp_path / "RESULTS.md").read_text() == "those of last week"


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "PARTS", [None])  # would fail otherwise
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        bench.main(["--quick", "--out", str(tmp_path / "file" / "out")])


def test_each_runs_alone(monkeypatch, capsys):
    part = report.Part("Title", "Text.", [{"a": 1, "b": 2}])
    monkeypatch.setattr("sys.argv", ["one", "--quick"])
    report.alone(lambda quick: part._replace(text=f"quick: {quick}"), "About.\nMore.")
    assert capsys.readouterr().out == (
        "Title\n\nquick: True\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    )


def test_the_kept_charts_are_small():
    assert (
        sum(
            path.stat().st_size
            for path in (ROOT / "tools" / "benchmarks").glob("*/*.png")
        )
        < 150_000
    )
