"""What a classifier says of a batch: probabilities, and whether the pictures are like
those it learned from. The network runs once for both."""

import numpy as np
from scipy.special import softmax

from apps.sharing.exported import Exported
from safeguards.compiled import Compiled
from safeguards.logits import check_logits
from safeguards.networks import with_features


def answering(classifier):
    """A function of what `prepare` returns → (probabilities, judged).

    Probabilities are float32 (n, classes); judged is a list of n `Judged` of
    safeguards.familiar, or None for a classifier that doesn't know what it learned
    from."""
    if isinstance(classifier, Exported):
        return classifier.answers
    if classifier.familiar is None:
        return lambda batch: (softmax(classifier.forward(batch), axis=-1), None)
    check_logits(classifier.network, "a Classifier")
    compiled = Compiled(with_features(classifier.network), classifier.size)

    def answer(batch):
        features, logits = (np.asarray(output, "float32") for output in compiled(batch))
        judged = classifier.familiar.judge(features.reshape(len(batch), -1))
        return softmax(logits, axis=-1), judged

    return answer
