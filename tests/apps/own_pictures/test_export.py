"""The files that a run writes answer as was measured, or the run stops."""

import pytest
import tiny

from apps.own_pictures import export, learn
from helpers.datasets import load_dataset


@pytest.fixture(scope="module")
def learned():
    """(a network with a head, test pictures, what was measured on them)"""
    computers = load_dataset("computers")
    test = computers.validation.subset(4)
    learned, _ = learn.learn(tiny.classifier(), computers.train.subset(12), alike=[])
    model = learn.with_head(learned, test.classes)
    return model, test, learn.answer(learned, test)


def test_both_files_answer_as_was_measured(learned, tmp_path):
    model, test, measured = learned
    _, exported, agreement = export.write_models(
        model, None, test, measured, "mine", tmp_path
    )
    assert agreement.same.value == 1
    assert agreement.difference < 0.001
    assert exported.probabilities(list(test.paths)) == pytest.approx(measured, abs=0.01)


def test_files_that_answer_otherwise_than_was_measured_stop_the_run(learned, tmp_path):
    model, test, measured = learned
    with pytest.raises(RuntimeError, match="otherwise than what was measured.*report"):
        export.write_models(model, None, test, measured[::-1], "mine", tmp_path)
