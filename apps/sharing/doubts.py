"""When the likeliest class is no answer, and what tables and pages say then."""

UNLIKE = "like nothing it learned from"
UNSURE = "not sure"

# The probability from which a class is an answer, and not a toss. Below a half, a
# network itself thinks its best class wrong more often than right; and of ImageNet's
# pictures EfficientNet-Lite0 names half rightly there, and nine in ten above
# (test_page.py measures it). Of two classes one always has a half, as by a coin: there
# it takes more.
SURE = 0.5
SURE_OF_TWO = 0.6


def sure_from(classes):
    """The probability from which the best of so many classes is an answer, 0…1."""
    return SURE_OF_TWO if classes == 2 else SURE


def doubt(probability, classes, judged=None):
    """What's to be said of an answer: UNLIKE, UNSURE, or None for a plain one.

    probability: of the likeliest class, 0…1; classes: how many there are; judged: a
    `Judged`, where it's known what the classifier learned from."""
    if judged is not None and judged.unlike:
        return UNLIKE
    if probability < sure_from(classes):
        return UNSURE
    return None
