"""Save a classifier as one .keras file: classes and preprocessing travel along."""

from zipfile import ZipFile

import numpy as np
from scipy.special import softmax

from apps.sharing.answers import difference, trial_pictures
from apps.sharing.contents import documents_of, path_ending_in, raw_network
from apps.sharing.faults import check_answers
from apps.sharing.portable import for_older_keras
from helpers.models import load_classifier
from safeguards.compiled import compiled
from safeguards.copies import check_configuration
from safeguards.familiar import written
from safeguards.keys import undescribed
from safeguards.logits import check_logits
from safeguards.model_files import ModelFileError, check_finite
from safeguards.whole_files import atomic_write


def save_classifier(classifier, path):
    """Save a `Classifier` as one .keras file for RGB 0…255; `load_classifier` reads it.
    The model's own preprocessing is in it, as layers, so that nobody can get it wrong.
    Beside Keras's own members, which `keras.models.load_model` reads, there are
    classes.json, the (wnid, name) pairs, and classifier.json: name, size, resize rule
    and the terms of pretrained weights; and where it's known which images the
    classifier learned from, what tells others from them. Outputs stay logits.
    The file appears whole or not at all, and only if it answers as the classifier does.
    Returns its path.
    ValueError for another suffix, preprocessing that isn't scaling, layers that aren't
    Keras's own, outputs that aren't logits, weights that aren't numbers, a classifier
    whose answers aren't numbers or change each time, and a file that answers
    otherwise."""
    path = path_ending_in(".keras", path)
    check_finite(classifier.network, classifier.name)
    check_logits(classifier.network, "a Classifier")
    with atomic_write(path) as draft:
        raw = raw_network(classifier)
        raw.save(draft)
        for_older_keras(draft)
        with ZipFile(draft, "a") as file:
            members = documents_of(classifier) | written(classifier.familiar)
            for name, content in members.items():
                file.writestr(name, content)
        try:
            network = load_classifier(draft).network
        except ModelFileError as error:
            raise ValueError(
                f"{classifier.name} is not saved: its file could not be loaded safely. "
                f"{_advice(classifier.network)}"
            ) from error
        check_configuration(raw)
        check_answers(classifier)
        pictures = trial_pictures(classifier.size)
        with np.errstate(invalid="ignore"):  # `difference` tells what isn't a number
            logits = compiled(network)(pictures).numpy()
            probabilities = softmax(logits, axis=-1)
        reason = difference(classifier, pictures, probabilities)
        if reason is not None:
            raise ValueError(f"{classifier.name} is not saved: its file {reason}.")
    return path


def _advice(network):
    """What to do about a network that can't be loaded from its file."""
    if undescribed(network):
        return "Replace Lambda and custom layers by Keras's own."
    return (
        "Its layers are Keras's own, but Keras does not find their weights again, as "
        "where one network lies in two others: build it so that each lies in one."
    )
