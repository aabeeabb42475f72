"""Find wrong labels with a classifier that hasn't learned from the picture."""

import numpy as np

from helpers.datasets import find_near_duplicates, groups
from safeguards.text import counted


def out_of_fold(features, pictures, folds=5, seed=0, alike=None):
    """Class probabilities of each picture from a head trained on other pictures only.
    The head is the standardised logistic regression of lesson 05, the folds hold equal
    shares of each class (scikit-learn's `cross_val_predict`), and pictures that look
    alike (see `find_near_duplicates`) share a fold, so that none is judged by its own
    copy.
    features: (n, d), in the order of the `Pictures`; alike: pairs of paths that look
    alike, None: look for them. Returns float (n, classes), each row sums to 1.
    ValueError where a class has too few pictures for the folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    labels = pictures.labels
    n = len(pictures)
    if len(features) != n:
        raise ValueError(
            f"{len(features)} rows of features, {n} pictures: give one row a picture."
        )
    counts = np.bincount(labels, minlength=len(pictures.classes))
    if counts.min(initial=folds) < folds:
        rarest = pictures.classes[counts.argmin()]
        raise ValueError(
            f"{counted(counts.min(), 'picture')} of {rarest} for {folds} folds: add "
            "pictures, or take fewer folds."
        )
    if alike is None:
        alike = find_near_duplicates(pictures)
    splits = _split(features, pictures, groups(pictures, alike), folds, seed)
    regression = LogisticRegression(C=0.01, max_iter=1000)
    head = make_pipeline(StandardScaler(), regression)
    # With matrices this small, several threads mostly wait for each other; where other
    # programs want the cores as well, that took tens of times as long.
    with threadpool_limits(1, user_api="blas"):
        return cross_val_predict(
            head, features, labels, cv=splits, method="predict_proba"
        )


def _split(features, pictures, group_of_each, folds, seed):
    """Each fold's rows to train on and to predict; all classes are in each training."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = pictures.labels
    if len(set(group_of_each)) < len(pictures):
        folding = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    else:
        folding = StratifiedKFold(folds, shuffle=True, random_state=seed)
        group_of_each = None
    splits = list(folding.split(features, labels, group_of_each))
    for train, _ in splits:
        all_labels = set(range(len(pictures.classes)))
        missing = all_labels - set(labels[train].tolist())
        if missing:
            name = pictures.classes[missing.pop()]
            raise ValueError(
                f"Nearly all pictures of {name} look alike: add pictures of something "
                "else. If they show different things, pass alike=find_near_duplicates("
                "pictures, threshold=…), with a threshold nearer to 1."
            )
    return splits


def suspicion(probabilities, labels):
    """How surprising each given label is: minus the logarithm of its probability, (n,).
    The larger, the likelier it's wrong (or the picture is a hard one).
    probabilities: floats (n, classes), from a head that hasn't learned from the
    picture; labels: class positions (n,). ValueError for anything else."""
    probabilities = np.asarray(probabilities)
    labels = np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            "Give probabilities (n, classes) and labels (n,), not "
            f"{probabilities.shape} and {labels.shape}."
        )
    classes = probabilities.shape[1]
    whole_numbers = labels.dtype.kind in "iu"
    if not whole_numbers or (labels < 0).any() or (labels >= classes).any():
        raise ValueError(
            f"Labels should be positions of classes, whole numbers in 0…{classes - 1}."
        )
    in_range = (probabilities >= 0) & (probabilities <= 1)  # False of NaN
    if not in_range.all():
        raise ValueError(
            "Probabilities should be from 0 to 1: softmax makes them of logits."
        )
    probability_of_label = probabilities[np.arange(len(labels)), labels]
    return -np.log(probability_of_label.clip(1e-12))
