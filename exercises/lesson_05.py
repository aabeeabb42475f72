"""Lesson 05, reuse features: its exercises and their judges."""

import numpy as np

from exercises._core import Explore, Fill, Hint, Predict, call, numbers, recognise

N_INPUTS = 6  # numbers of a "picture", which is quicker than a real one
N_KNOWN = 24  # few: the fewer, the closer all ways to the same head end up
N_NEW = 9
N_CLASSES = 4
TOLERANCE = 1e-3  # of a probability


def new_head(answer):
    """Judge a function (network, known, labels, new) → probabilities of `new`.

    They should come from a head fitted to the scaled features of `known`.
    """
    random = np.random.default_rng()
    network, feature_model = _tiny_network()
    labels = np.arange(N_KNOWN) % N_CLASSES
    known = random.normal(size=(N_KNOWN, N_INPUTS))
    new = random.normal(1, 3, (N_NEW, N_INPUTS))
    result = numbers(call(answer, network, known.copy(), labels.copy(), new.copy()))
    if result.shape == (N_NEW,):
        raise Hint(
            "One number a picture: these look like labels. predict_proba gives "
            "probabilities."
        )
    expected_shape = (N_NEW, N_CLASSES)
    if result.shape != expected_shape:
        raise Hint(
            f"Shape {result.shape}, but {N_NEW} new pictures and {N_CLASSES} new "
            f"classes make {expected_shape}."
        )
    if not np.allclose(result.sum(axis=1), 1, atol=TOLERANCE):
        raise Hint("A picture's numbers should sum to 1: probabilities, not scores.")

    known_features = feature_model.predict_on_batch(known)
    new_features = feature_model.predict_on_batch(new)
    expected = _scaled_head(known_features, labels, new_features)
    if np.allclose(result, expected, atol=TOLERANCE):
        return "Right: features, scaled by the known ones alone, and a head."

    all_features = np.concatenate([known_features, new_features])
    known_outputs = network.predict_on_batch(known)
    new_outputs = network.predict_on_batch(new)
    mistakes = {
        "New pictures take part in the scaling. From which alone may mean and "
        "deviation come?": (
            _scaled_head(
                known_features,
                labels,
                new_features,
                scale_known_by=all_features,
                scale_new_by=all_features,
            )
        ),
        "New and known pictures are scaled differently. What does the head then see?": (
            _scaled_head(
                known_features, labels, new_features, scale_new_by=new_features
            )
        ),
        "These are made from what the network puts out. Which layer's input are the "
        "features?": _scaled_head(known_outputs, labels, new_outputs),
        "These are made from the pictures themselves. Where is the network?": (
            _scaled_head(known, labels, new)
        ),
        "The features are right, but were they standardised?": (
            _head(known_features, labels, new_features)
        ),
    }
    recognise(mistakes, lambda mistake: np.allclose(result, mistake, atol=TOLERANCE))
    raise Hint(
        "The shape is right, the numbers are not: are features, scaling and head as "
        "asked?"
    )


def _tiny_network():
    """A random network of three classes, and the model that ends at its features."""
    from helpers import keras

    inputs = keras.Input((N_INPUTS,))
    features = keras.layers.Dense(12, "tanh")(inputs)
    outputs = keras.layers.Dense(3, "softmax")(features)
    return keras.Model(inputs, outputs), keras.Model(inputs, features)


def _head(known, labels, new):
    """The probabilities of `new`, from a logistic regression fitted to `known`."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=1000).fit(known, labels)
    return fitted.predict_proba(new)


def _scaled_head(known, labels, new, scale_known_by=None, scale_new_by=None):
    """`_head` after standardising; both by `known`, unless told otherwise."""
    from sklearn.preprocessing import StandardScaler

    known_scaler = StandardScaler().fit(
        known if scale_known_by is None else scale_known_by
    )
    new_scaler = StandardScaler().fit(known if scale_new_by is None else scale_new_by)
    return _head(known_scaler.transform(known), labels, new_scaler.transform(new))


EXERCISES = {
    "05.1": Predict(20, 60, 120, "more"),
    "05.2": Fill(new_head),
    "05.3": Explore(),
}
