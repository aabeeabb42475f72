"""Learn from somebody's own pictures: which features, which head, and whether to
fine-tune."""

from collections.abc import Callable
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from apps.many.fast import seconds_a_picture
from apps.own_pictures.features import USUAL, Compared, Known, feature_choices
from helpers.cleaning import out_of_fold
from helpers.datasets import split
from helpers.evaluate import difference
from helpers.models import load_classifier
from helpers.neighbours import familiar_within
from helpers.pictures import Pictures
from helpers.training import augmentation, fit, new_model, predict, unfreeze
from safeguards.familiar import familiar
from safeguards.folders import name_of

SHARES = (0.7, 0.3)  # of the pictures, to learn from and to judge by
COMPARED = 100  # test pictures that the exported file answers as well
TUNED_SIZE = 160  # pixels: training at the network's own size takes twice as long
HEAD_EPOCHS = 40
EPOCHS = 8
RATE = 3e-4  # of fine-tuning, with BatchNorm frozen
BATCH = 16
FOLDS = 3
STEP = 4  # a training step's time, in that of an answer
TRACING = 12  # seconds until the first step of a whole network


class Learned(NamedTuple):
    """What was learned from frozen features.

    name: which features; base: a `Classifier` whose features they are; features: floats
    (n, d) of the training pictures; head: a fitted scikit-learn pipeline; out_of_fold:
    probabilities (n, classes) from heads that hadn't learned from the picture;
    features_of: a function that returns those of any `Pictures`, each computed once;
    pictures: the training `Pictures`."""

    name: str
    base: object
    features: np.ndarray
    head: object
    out_of_fold: np.ndarray
    features_of: Callable
    pictures: Pictures


class Tuned(NamedTuple):
    """What fine-tuning gave on validation folds of the training pictures.

    gain: how much more often it was right than the frozen features, a `Difference`;
    model: fine-tuned on all training pictures, or None where the gain may be chance."""

    gain: object
    model: object


def part(found):
    """(pictures to learn from, pictures to judge by) of an `Intake`: seven tenths and
    three, look-alikes together. Those to judge by that are `compared` when models are
    exported stay in memory once they were needed."""
    train, test = split(found.pictures, SHARES, alike=found.alike)
    kept = {each.name: getattr(test, each.name) for each in fields(test)}
    paths = [test.paths[row] for row in compared(test)]
    return train, Compared(**kept, compared=frozenset(paths))


def compared(test):
    """The positions of the test `Pictures` that the exported file answers as well."""
    return np.random.default_rng(0).permutation(len(test))[:COMPARED]


def new_head():
    """Standardised logistic regression, as in lesson 05: not fitted yet."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))


def learn(classifier, train, alike):
    """Fit heads to the `feature_choices` of training `Pictures`, and choose one.

    The last layer's features are taken unless others are right more often *out of
    fold*, that is, about training pictures they hadn't learned from, by more than
    chance explains: the 95 % interval of the paired difference is above 0.
    alike: pairs of paths that look alike. Returns (the chosen `Learned`, {name: how
    much more often right than the last layer's, a `Difference`})."""
    choices = feature_choices(classifier)
    all_features = choices.features(train)
    learned = {}
    for name, base in choices.bases.items():
        features = all_features[:, choices.columns[name]].copy()
        by_others = out_of_fold(features, train, alike=alike)
        with threadpool_limits(1, user_api="blas"):
            head = new_head().fit(features, train.labels)
        known = Known(choices, name, train, features)
        learned[name] = Learned(name, base, features, head, by_others, known, train)
    answers = {name: each.out_of_fold.argmax(axis=1) for name, each in learned.items()}
    usual = answers.pop(USUAL)
    gains = {
        name: difference(train.labels, usual, others)
        for name, others in answers.items()
    }
    better = [name for name, gain in gains.items() if gain.low > 0]
    chosen = max(better, key=lambda name: gains[name].value, default=USUAL)
    return learned[chosen], gains


def answer(learned, pictures):
    """What was learned says of `Pictures`: probabilities (n, classes)."""
    features = learned.features_of(pictures)
    with threadpool_limits(1, user_api="blas"):
        return learned.head.predict_proba(features)


def known_images(learned, train):
    """What tells an image from all that was learned from: a `Familiar`.

    The limit is set by the training pictures alone (`familiar_within`)."""
    names = [name_of(path) for path in train.paths]
    within = familiar_within(learned.features)
    return familiar(learned.features, names, within)


def with_head(learned, classes):
    """One network from pixels to logits: the base, and the head as its last layer.

    The head's scaling is multiplied into its weights, as in lesson 07. Of two classes
    scikit-learn keeps the weights of the second only: the first one's logit is 0.
    classes: names. Returns a Keras model, as `new_model` does."""
    scaler, regression = learned.head
    kernel = regression.coef_.T / scaler.scale_[:, None]
    bias = regression.intercept_ - scaler.mean_ @ kernel
    if len(classes) == 2:
        kernel = np.hstack([0 * kernel, kernel])
        bias = np.append(0, bias)
    model = new_model(learned.base, len(classes))
    model.get_layer("head").set_weights([kernel, bias])
    return model


def tune(learned, train, alike):
    """Fine-tune the whole network, and keep that only where it pays → `Tuned`, or None
    where you interrupt it.

    On each of three folds of the training pictures, a network fine-tuned on the others
    answers, at 160 pixels; so it's compared with the frozen features' out-of-fold
    answers on the same pictures. It's fine-tuned once more, on all of them, only if
    that gains more than chance explains, as in `learn`. An estimate of the time is
    printed first. The test pictures take no part in this."""
    classifier = load_classifier(learned.base.name, size=TUNED_SIZE)
    print(f"Fine-tuning {FOLDS} times: ≈{_estimate(classifier, train):.0f} s")
    try:
        answers = np.empty(len(train), int)
        for fold in split(train, [1 / FOLDS] * FOLDS, alike=alike):
            in_fold = np.isin(train.paths, fold.paths)
            model = _fine_tuned(classifier, train[~in_fold])
            answers[in_fold] = predict(model, train[in_fold]).argmax(axis=1)
        frozen = learned.out_of_fold.argmax(axis=1)
        gain = difference(train.labels, frozen, answers)
        model = _fine_tuned(classifier, train) if gain.low > 0 else None
    except KeyboardInterrupt:
        print("Stopped: the classifier with frozen features stays.")
        return None
    return Tuned(gain, model)


def _fine_tuned(classifier, pictures):
    """A network that was fine-tuned on these `Pictures`."""
    from helpers import keras

    keras.backend.clear_session()  # otherwise earlier networks would stay in memory
    n_classes = len(pictures.classes)
    # The head first, without augmentation: the base runs over each picture once only.
    plain = new_model(classifier, n_classes)
    fit(plain, pictures, None, HEAD_EPOCHS)
    model = new_model(classifier, n_classes, augment=augmentation())
    model.get_layer("head").set_weights(plain.get_layer("head").get_weights())
    unfreeze(model)
    fit(model, pictures, None, EPOCHS, RATE, batch_size=BATCH)
    return model


def _estimate(classifier, train):
    """The seconds that fine-tuning on each fold takes on this computer, about."""
    learned_from = (FOLDS - 1) * len(train)  # in all folds together
    answers = STEP * EPOCHS * learned_from
    return FOLDS * TRACING + answers * seconds_a_picture(classifier)
