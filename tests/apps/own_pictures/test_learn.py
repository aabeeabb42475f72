"""Which features are learned from, the head as a network, and whether tuning pays."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from cases import thorough_but

from apps.own_pictures import features, learn
from helpers.datasets import load_dataset
from helpers.evaluate import Difference
from helpers.training import base_of, predict


@pytest.fixture(scope="module")
def computers():
    return load_dataset("computers").train.subset(12)


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSFER_CACHE", str(tmp_path))


def test_the_choices_are_means_over_quarters():
    classifier = tiny.classifier(size=64)
    choices = features.feature_choices(classifier)
    assert next(iter(choices.bases)) == features.USUAL
    batch = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    last, earlier = (choices.bases[name] for name in list(choices.bases)[1:])
    maps = classifier.network.layers[-3].output  # the last, before they are averaged
    from helpers import keras

    expected = keras.Model(classifier.network.input, maps)(batch).numpy()
    side = expected.shape[1] // 2
    quarters = expected.reshape(2, 2, side, 2, side, -1).mean(axis=(2, 4))
    found = base_of(last)(batch).numpy()
    assert found == pytest.approx(quarters.reshape(2, -1), abs=1e-4)
    assert base_of(earlier)(batch).shape == (2, 4 * 32)
    together = base_of(choices.together)(batch).numpy()
    for name, base in choices.bases.items():
        alone = base_of(base)(batch).numpy()
        assert together[:, choices.columns[name]] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("name", thorough_but([0, 1, 2], 0))
@pytest.mark.parametrize("n_classes", thorough_but([2, 4], 4))
def test_the_head_as_a_layer_answers_as_the_head(computers, own_cache, name, n_classes):
    pictures = computers[computers.labels < n_classes]
    pictures = replace(pictures, classes=pictures.classes[:n_classes])
    learned, gains = learn.learn(tiny.classifier(), pictures, alike=[])
    choices = features.feature_choices(tiny.classifier())
    chosen = list(choices.bases)[name]
    table = choices.features(pictures)[:, choices.columns[chosen]]
    known = features.Known(choices, chosen, pictures, table)
    learned = learned._replace(
        name=chosen,
        base=choices.bases[chosen],
        head=learn.new_head().fit(table, pictures.labels),
        features_of=known,
    )
    model = learn.with_head(learned, pictures.classes)
    assert predict(model, pictures) == pytest.approx(
        learn.answer(learned, pictures), abs=2e-3
    )
    assert all(isinstance(gain, Difference) for gain in gains.values())


def test_other_features_have_to_be_better_than_chance_explains(
    computers, own_cache, monkeypatch
):
    """Where the class is in a corner of the picture, quarters tell it, means don't."""
    classifier = tiny.classifier()
    random = np.random.default_rng(0)
    means = random.normal(size=(len(computers), 8))
    a_little_better = random.normal(size=(len(computers), 8))
    quarters = np.eye(4)[computers.labels] + random.normal(0, 0.1, (48, 4))
    table = np.hstack([means, a_little_better, quarters])
    columns = {learn.USUAL: slice(0, 8), "b": slice(8, 16), "c": slice(16, 20)}
    choices = features.Choices(dict.fromkeys(columns), None, columns)
    monkeypatch.setattr(learn, "feature_choices", lambda _: choices)
    monkeypatch.setattr(features, "extract_features", lambda *_, **__: table)
    learned, gains = learn.learn(classifier, computers, alike=[])
    assert learned.name == "c"
    assert gains["c"].low > 0
    del choices.bases["c"]
    learned, _ = learn.learn(classifier, computers, alike=[])
    assert learned.name == learn.USUAL


class TestTuning:
    """With a tiny network in the place of the real one."""

    @pytest.fixture
    def learned(self, computers, own_cache, monkeypatch):
        one = tiny.classifier()
        monkeypatch.setattr(learn, "load_classifier", lambda *_, **__: one)
        monkeypatch.setattr(learn, "EPOCHS", 1)
        monkeypatch.setattr(learn, "HEAD_EPOCHS", 1)
        found, _ = learn.learn(one, computers, alike=[])
        return found

    @pytest.mark.thorough
    @pytest.mark.parametrize("frozen_is", ["right", "wrong"])
    def test_it_is_kept_only_where_it_was_right_more_often(
        self, learned, computers, frozen_is, capsys
    ):
        labels = (
            computers.labels if frozen_is == "right" else (computers.labels + 1) % 4
        )
        learned = learned._replace(out_of_fold=np.eye(4)[labels])
        tuned = learn.tune(learned, computers, alike=[])
        assert (tuned.model is None) == (frozen_is == "right")
        assert (tuned.gain.value > 0) == (frozen_is == "wrong")
        assert tuned.gain.n == len(computers)
        assert "Fine-tuning 3 times: ≈" in capsys.readouterr().out

    @pytest.mark.parametrize("n_wrong, model", [(0, None), (1, None), (24, "tuned")])
    def test_a_gain_that_may_be_chance_is_not_kept(
        self, learned, computers, monkeypatch, n_wrong, model
    ):
        """The frozen features are wrong about so many of 48, fine-tuned about none."""
        monkeypatch.setattr(learn, "_fine_tuned", lambda *_: "tuned")
        monkeypatch.setattr(learn, "predict", lambda _, part: np.eye(4)[part.labels])
        frozen = computers.labels.copy()
        frozen[:n_wrong] = (frozen[:n_wrong] + 1) % 4
        learned = learned._replace(out_of_fold=np.eye(4)[frozen])
        tuned = learn.tune(learned, computers, alike=[])
        assert tuned.gain.value == pytest.approx(n_wrong / 48)
        assert tuned.model == model

    def test_interrupted_it_leaves_what_is_there(
        self, learned, computers, monkeypatch, capsys
    ):
        def stop(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(learn, "fit", stop)
        assert learn.tune(learned, computers, alike=[]) is None
        assert "the classifier with frozen features stays" in capsys.readouterr().out
