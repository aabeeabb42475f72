"""One picture at a time: what `predict` adds to the network, and where a start's time
goes."""

import os
import subprocess
import sys

import pytest

from apps.sharing import export_onnx, load_exported
from helpers import load_classifier, load_image
from helpers.timing import latency
from tools.benchmarks import one_picture
from tools.benchmarks import start_up as bench


@pytest.fixture(scope="module")
def classifier():
    return load_classifier()


@pytest.mark.thorough
def test_predict_costs_little_more_than_its_network(classifier, record_property):
    """Within 1.15 times on a machine that does nothing else; here others may take turns
    with it."""
    found = latency(one_picture.ways(classifier, load_image("cat")), repeats=15)
    bare = found["compiled"]
    ours = found["classifier.predict"]
    theirs = found["Keras's predict"]
    record_property("predict / compiled network", f"{ours.median / bare.median:.2f}")
    record_property(
        "keras_model.predict / predict", f"{theirs.median / ours.median:.1f}"
    )
    assert ours.low < 1.3 * bare.high and ours.median < 1.6 * bare.median
    assert theirs.median > 2 * ours.median, "3 to 4 times without a load"


@pytest.mark.thorough
def test_an_exported_file_takes_half_the_time(classifier, tmp_path, record_property):
    exported = load_exported(export_onnx(classifier, tmp_path / "lite0.onnx"))
    picture = load_image("cat")
    calls = {
        "ours": lambda: classifier.predict(picture),
        "exported": lambda: exported.predict(picture),
    }
    found = latency(calls, repeats=30)
    share = found["exported"].median / found["ours"].median
    record_property("exported.predict / classifier.predict", f"{share:.2f}")
    assert share < 0.8, "under 0.5 without a load"


@pytest.mark.thorough
def test_batches_of_any_length_are_compiled_once(classifier):
    classifier.logits("cat")
    graph = classifier._compiled
    for n in (1, 2, 7):
        assert classifier.logits(["cat"] * n).shape == (n, 1000)
    assert classifier._compiled is graph
    assert graph._function.structured_input_signature[0][0].shape[0] is None


@pytest.mark.thorough
def test_a_start_is_mostly_tensorflow(record_property):
    steps = bench.start_up()
    assert [*steps] == [
        "import helpers",
        "import TensorFlow",
        "load the model",
        "load a picture",
        "first prediction",
        "second prediction",
    ]
    share = bench.share_of_tensorflow(steps)
    record_property(
        "TensorFlow's import, of a first prediction's CPU time", f"{share:.0%}"
    )
    assert share > 0.5
    assert steps["second prediction"][1] < steps["first prediction"][1]


def test_the_table_is_printed(monkeypatch, capsys):
    steps = {"import TensorFlow": (2, 4), "rest": (1, 1)}
    steps["second prediction"] = (9, 9)
    monkeypatch.setattr(bench, "start_up", lambda model: steps)
    bench.main(["--repeats", "2"])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "import TensorFlow      2.000 s   4.000 s CPU"
    assert shown[-1].startswith("TensorFlow's import: 80%")


KERNELS = 8
# What a learner's kernel does: features, a head with folds, some answers.
WORK = """
from helpers import load_classifier
from helpers.cleaning import out_of_fold
from helpers.datasets import load_dataset
from helpers.training import extract_features

classifier = load_classifier()
pictures = load_dataset().validation
features = extract_features(classifier, pictures)
out_of_fold(features, pictures)
for path in pictures.paths[:20]:
    classifier.predict(path)
"""


def processor_seconds(processes):
    """What processes that were started took in all; each has to end well."""
    seconds = 0
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        seconds += usage.ru_utime + usage.ru_stime
    return seconds


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="Windows tells no times of it")
def test_eight_kernels_at_once_take_little_more_than_in_turn(tmp_path, record_property):
    """More threads than cores would wait for each other, and be awake meanwhile."""

    def start(name):
        # A cache of its own: nothing is known already.
        environment = os.environ | {"TRANSFER_CACHE": str(tmp_path / name)}
        return subprocess.Popen([sys.executable, "-c", WORK], env=environment)

    in_turn = sum(processor_seconds([start(f"alone{n}")]) for n in range(3)) / 3
    at_once = processor_seconds([start(f"beside{n}") for n in range(KERNELS)]) / KERNELS
    record_property(
        "processor seconds, eight at once / one", f"{at_once / in_turn:.2f}"
    )
    assert at_once < 1.3 * in_turn
