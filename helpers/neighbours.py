"""How near an image lies to those that a classifier learned from, in feature space.

A classifier answers with one of its classes whatever it is shown. The largest
probability doesn't tell that an image shows none of them; the distance to the nearest
training image does (k-nearest-neighbour novelty detection, as in Sun et al. 2022, with
k = 1). Distances are cosine distances: 1 minus the cosine of the angle between two
images' features, from 0 to 2. Features are taken as the base makes them: standardised
ones tell much less.
"""

import numpy as np
from sklearn.neighbors import NearestNeighbors

FAMILIAR = 0.95  # of the training images count as familiar, by default


def nearest(features, training_features):
    """The nearest training image of each image → (distances, positions).

    features: floats (n, d); training_features: floats (m, d), m at least 1.
    Returns float64 (n,) cosine distances and int (n,) rows of `training_features`.
    ValueError for other shapes, and for numbers that aren't finite.
    """
    features, training_features = _checked(features, training_features)
    distances, positions = _search(training_features).kneighbors(features)
    return distances[:, 0], positions[:, 0]


def familiar_within(training_features, share=FAMILIAR):
    """The distance within which an image counts as like those learned from.

    It's the `share` quantile of the distances from each training image to the nearest
    *other* one, so it needs no image but those of training.
    training_features: floats (m, d), m at least 2; share: 0…1. Returns a float.
    ValueError for other shapes, and for numbers that aren't finite.
    """
    (training_features,) = _checked(training_features)
    if len(training_features) < 2:
        raise ValueError("One image has no neighbour: give two or more.")
    # Without arguments an image is never its own neighbour.
    distances, _ = _search(training_features).kneighbors()
    return float(np.quantile(distances[:, 0], share))


def _search(training_features):
    """What finds the nearest training image."""
    search = NearestNeighbors(n_neighbors=1, metric="cosine")
    return search.fit(training_features)


def _checked(*tables):
    """Tables of features as float arrays of one width; ValueError otherwise."""
    tables = [np.asarray(table, float) for table in tables]
    shapes = [table.shape for table in tables]
    are_tables = all(len(shape) == 2 and shape[0] > 0 for shape in shapes)
    widths = {shape[-1:] for shape in shapes}
    if not are_tables or len(widths) > 1:
        named_shapes = ", ".join(str(shape) for shape in shapes)
        raise ValueError(
            f"Shapes {named_shapes}: give features (images, numbers), of the same base."
        )
    if not all(np.isfinite(table).all() for table in tables):
        raise ValueError("A feature is not a finite number: is an image damaged?")
    return tables
