"""Tiny networks for tests in which the network is not the point."""

from functools import cache

import numpy as np

from helpers import keras
from helpers.datasets import load_dataset
from helpers.images import ResizeRule
from helpers.labels import imagenet_classes
from helpers.models import Classifier
from safeguards.scaling import unchanged

SIZE = 32  # pixels a side
EPOCHS = 10  # of the trained one; its accuracy hardly grows any more
SURE = 200  # times larger logits give a random network clear answers


def network(n_classes, size=SIZE, seed=0):
    """A convolutional network of three stages, with batch normalisation and random
    weights, for RGB 0…255 (n, size, size, 3) → logits (n, n_classes)."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    x = inputs = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    for channels in (16, 32, 64):
        x = layers.Conv2D(channels, 3, 2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(n_classes)(x), name="tiny")


def classifier(n_classes=10, size=SIZE, seed=0, classes=None):
    """A `Classifier` with random weights, of the first ImageNet classes or of those
    given."""
    classes = imagenet_classes()[:n_classes] if classes is None else tuple(classes)
    return Classifier(
        "tiny",
        network(len(classes), size, seed),
        size,
        ResizeRule(),
        unchanged,
        classes,
    )


def sure(samples, n_classes=200):
    """A `Classifier` of ImageNet's first classes with random weights, whose answers are
    clear and differ from sample to sample: large logits, less what they are on
    average."""
    one = classifier(n_classes)
    usual = one.logits([*samples]).mean(axis=0)
    head = one.network.layers[-1]
    kernel, bias = head.get_weights()
    head.set_weights([SURE * kernel, SURE * (bias - usual)])
    return one


@cache
def trained():
    """A `Classifier` that has learned the shipped *computers* in a few seconds, better
    than chance by far; one for all tests of a process: none may change it."""
    train = load_dataset("computers").train
    model = network(len(train.classes))
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    pixels = train.array(SIZE)
    model.fit(pixels, train.labels, batch_size=32, epochs=EPOCHS, verbose=0)
    pairs = tuple((name, name) for name in train.classes)
    return Classifier("tiny", model, SIZE, ResizeRule(), unchanged, pairs)


def accuracy(one, pictures):
    """The share of labelled pictures that a classifier names rightly."""
    best = one.forward(pictures.array(one.size)).argmax(axis=1)
    return float(np.mean(best == pictures.labels))
