"""The features that heads learn from: a choice of three, in one pass over the pictures.

Each picture is opened and computed once, whatever asks for its features afterwards."""

from dataclasses import dataclass, field, replace

import numpy as np

from apps.many.fast import faster_features
from helpers.models import Classifier
from helpers.pictures import SQUARE, Pictures
from helpers.training import base_of, extract_features
from safeguards.folders import file_digest
from safeguards.networks import replay, run

USUAL = "the last layer's"  # features, those of lesson 05
QUARTERS = f"{USUAL}, by quarters"
EARLIER = "an earlier layer's, by quarters"


@dataclass(frozen=True, eq=False)
class Choices:
    """A network's features, and two others that it computes on the way there.

    bases: {name: a `Classifier` whose features they are}, each with a head that means
    nothing yet, but for the first; together: a `Classifier` whose features are all of
    these, side by side; columns: {name: where they are among these, a slice}."""

    bases: dict
    together: Classifier
    columns: dict

    def features(self, pictures):
        """All features of `Pictures`: float32 (n, d)."""
        return extract_features(self.together, pictures, faster=faster_features)


def feature_choices(classifier):
    """The `Choices` of a classifier.

    Its last layer's features are averages over the whole picture: they say what is
    there and lose where. The others are averages over each quarter of it, of the last
    feature maps, and of maps twice as fine, which know more of texture."""
    from helpers import keras

    image = keras.Input((classifier.size, classifier.size, 3))
    maps = []

    def noting_maps(step, *arguments, **options):
        outputs = run(step, *arguments, **options)
        shape = getattr(outputs, "shape", ())
        if len(shape) == 4 and shape[1] > 1:
            maps.append(outputs)
        return outputs

    tensors = {USUAL: replay(base_of(classifier), [image], noting_maps)}
    if maps:
        side = maps[-1].shape[1]
        tensors[QUARTERS] = _quarters(maps[-1])
        finer = [each for each in maps if each.shape[1] >= 2 * side]
        if finer:
            tensors[EARLIER] = _quarters(finer[-1])
    bases = {USUAL: classifier}
    for name in [*tensors][1:]:
        bases[name] = _ending_in(classifier, image, tensors[name])
    if len(tensors) == 1:
        return Choices(bases, classifier, {USUAL: slice(None)})
    all_features = keras.layers.Concatenate()(list(tensors.values()))
    ends = np.cumsum([tensor.shape[1] for tensor in tensors.values()])
    starts = [0, *ends[:-1]]
    slices = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    columns = dict(zip(tensors, slices, strict=True))
    return Choices(bases, _ending_in(classifier, image, all_features), columns)


def _quarters(maps):
    """The means of feature maps over each quarter: a symbolic tensor (n, 4 * d)."""
    from helpers import keras

    side = maps.shape[1]
    pool = keras.layers.AveragePooling2D((side + 1) // 2, side // 2)
    return keras.layers.Flatten()(pool(maps))


def _ending_in(classifier, image, features):
    """A `Classifier` with these features. image, features: symbolic tensors."""
    from helpers import keras

    head = keras.layers.Dense(2)  # `base_of` takes it off again
    network = keras.Model(image, head(features))
    classes = (("yes", "yes"), ("no", "no"))
    return replace(classifier, network=network, classes=classes)


class Known:
    """The features of one choice, which are kept: call it with `Pictures` to get
    float32 (n, d)."""

    def __init__(self, choices, name, pictures, features):
        """pictures, features: those that are known already, (n, d)."""
        self._choices = choices
        self._columns = choices.columns[name]
        self._rows = {}  # SHA-256 of a picture's file → its features
        self._keep(pictures, features)

    def __call__(self, pictures):
        keys = [file_digest(path) for path in pictures.paths]
        new = np.array([key not in self._rows for key in keys], bool)
        if new.any():
            features = self._choices.features(pictures[new])
            # A copy: a view would hold the other choices' features in memory, too.
            self._keep(pictures[new], features[:, self._columns].copy())
        return np.stack([self._rows[key] for key in keys])

    def _keep(self, pictures, features):
        for path, row in zip(pictures.paths, features, strict=True):
            self._rows[file_digest(path)] = row


@dataclass(frozen=True, eq=False, repr=False)
class Compared(Pictures):
    """`Pictures` of which some stay in memory as squares, once they were needed.

    compared: the paths of these; squares: {(path, size, rule): uint8 (size, size, 3)}.
    """

    compared: frozenset = frozenset()
    squares: dict = field(default_factory=dict)

    def array(self, size, rule=SQUARE, dtype="float32"):
        """As `Pictures.array`; the squares that were kept aren't read again."""
        array = np.empty((len(self), size, size, 3), dtype)
        for row, path in enumerate(self.paths):
            square = self.squares.get((path, size, rule))
            if square is None:
                (square,) = Pictures.array(self[row], size, rule, "uint8")
                if path in self.compared:
                    self.squares[path, size, rule] = square
            array[row] = square
        return array
