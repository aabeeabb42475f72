"""Transfer learning: features computed once, a new head, fine-tuning in two stages."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from scipy.special import softmax

from helpers.pictures import Pictures
from safeguards.compiled import Compiled, compiled
from safeguards.copies import check_frozen, copy_layer, copy_network
from safeguards.cores import usable_cores
from safeguards.feature_files import read_features, write_features
from safeguards.folders import file_digest
from safeguards.keys import undescribed
from safeguards.logits import check_logits, picture_size
from safeguards.networks import assembled, leaves, parts, until_base, without_last_layer
from safeguards.progress import progress_bar
from safeguards.scaling import preprocessed

# Pictures that are decoded and computed at a time: more don't fit a CPU's cache.
AT_ONCE = 8
CACHE = "~/.cache/transfer-learning/features"
FLOOR = 1e-12  # of a feature's variance, where all are constant
_bases = WeakKeyDictionary()  # network → its output, its base, and that compiled


def base_of(classifier):
    """The network without its classification layer: (n, size, size, 3) → features.
    It's everything up to the input of the last layer with weights, however deep that is
    nested, by the same rule for every model: the pooled features of most, the 4096
    outputs of the last hidden layer of VGG. The layers, and so the weights, are shared
    with `classifier.network`; the input must be preprocessed. Its outputs are float32
    (n, d). ValueError for a network with a class of its own, whose layers cannot be
    told apart."""
    return _base(classifier.network)[0]


def extract_features(classifier, pictures, cache=None, faster=None):
    """The base's features of all `Pictures`: float32 (n, d), in their order.
    They are kept on disk and used again for the same picture files and the same base,
    preparation and libraries (`safeguards.keys`). If anything has changed or is
    damaged, they are computed again.
    cache: the folder, else that named by TRANSFER_CACHE, else
    ~/.cache/transfer-learning/features. If it can't be written, or the base has layers
    that are not Keras's own, a line says that features are not kept. faster: a function
    that may give another way to compute them, such as `faster_features` of
    apps.many.fast. Raises what `pictures.array` raises for an unreadable picture."""
    base, compiled_base = _base(classifier.network)
    folder = cache or os.environ.get("TRANSFER_CACHE") or CACHE
    reason = undescribed(base)
    if reason:
        print(
            f"Features of {classifier.name} are not kept, but computed each time: "
            f"{reason}"
        )

    def prepare(some):
        return some.array(classifier.size, classifier.rule)

    def compute(batch):
        return compiled_base(classifier.preprocess_input(batch))

    with progress_bar(len(pictures), "features") as bar:
        base_key = replace(classifier, network=base, classes=()).key()
        digests = [file_digest(path) for path in pictures.paths]
        key = sha256(base_key.encode() + b"".join(digests)).hexdigest()
        path = Path(folder).expanduser() / f"{key}.npz"
        features = read_features(path, key)
        if features is None:
            if faster and not reason:
                n = len(pictures)
                compute = faster(classifier, n, base_key, compute) or compute
            features = _outputs(compute, base.output_shape[-1], prepare, pictures, bar)
            if not reason:
                write_features(path, key, features)
        bar.update(len(pictures) - bar.n)
    return features


def fit_head(features, labels, n_classes, seed=0, epochs=30):
    """Train one Dense layer of logits on features: (n, d) → (n, n_classes).
    It's logistic regression that starts from zero; features are standardised inside,
    with the statistics of these. The result is the same for the same seed on one
    machine; this sets Python's, NumPy's and TensorFlow's global seeds. Returns a
    keras.Sequential. ValueError for labels that do not fit."""
    from helpers import keras

    features, labels = _labelled(n_classes, (features, labels))
    # A feature that hardly varies in a few pictures may vary in others: without a floor
    # under its deviation it would drown the rest.
    variance = features.var(axis=0)
    variance += variance.mean() + FLOOR
    standardise = keras.layers.Normalization(
        mean=features.mean(axis=0),
        variance=variance,
    )
    head = keras.Sequential(
        [
            keras.Input(features.shape[1:]),
            standardise,
            keras.layers.Dense(n_classes, kernel_initializer="zeros"),
        ]
    )
    fit(head, (features, labels), None, epochs, seed=seed)
    return head


def new_model(
    classifier, n_classes, pretrained=True, augment=None, dropout=0.0, seed=0
):
    """A new classifier on a copy of a pretrained base.
    It takes RGB in 0…255, (n, size, size, 3): [augmentation →] the network's own
    preprocessing, as layers → base → [dropout →] head: Dense logits (n, n_classes). The
    layers are called "augmentation", "preprocess", "base", "dropout" and "head".
    pretrained: with its weights, frozen; or False: the same network with fresh random
    weights, all trainable; augment: a layer such as `augmentation()`, copied.
    It sets the global seeds. ValueError where the preprocessing is no scaling of colour
    channels."""
    from helpers import keras

    keras.utils.set_random_seed(seed)
    base = copy_network(base_of(classifier), with_weights=pretrained)
    # A copied layer keeps what it was, whatever the base around it says.
    for layer in parts(base):
        layer.trainable = not pretrained
    inputs = keras.Input((classifier.size, classifier.size, 3))
    x = inputs
    if augment is not None:
        # A copy starts with the seed, whatever the original was used for.
        x = copy_layer(augment, name="augmentation")(x)
    x = preprocessed(x, classifier.preprocess_input)
    x = base(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    # From zero: with few pictures, what a random start adds would never be corrected.
    head = keras.layers.Dense(n_classes, kernel_initializer="zeros", name="head")
    model = keras.Model(inputs, head(x), name=classifier.name)
    model.rule = classifier.rule  # how `fit` and `predict` prepare pictures
    # Fresh weights are nobody else's.
    model.terms = classifier.terms if pretrained else ""
    return model


def augmentation(seed=0):
    """Random changes that leave the class as it is, for pictures of 0…255.
    Pictures are mirrored, rotated by up to 18°, zoomed and moved by up to 10 %,
    brightness and contrast changed by up to 20 %, in training only. Returns a
    keras.Sequential."""
    from helpers import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomRotation(0.05, seed=seed + 1),
            layers.RandomZoom(0.1, seed=seed + 2),
            layers.RandomTranslation(0.1, 0.1, seed=seed + 3),
            layers.RandomBrightness(0.2, value_range=(0, 255), seed=seed + 4),
            layers.RandomContrast(0.2, value_range=(0, 255), seed=seed + 5),
        ],
        name="augmentation",
    )


def unfreeze(model, layers=None):
    """Make the last `layers` layers of a model's base trainable, the others not.
    None: all. Where networks are nested in the base, their layers count, not they.
    BatchNorm layers stay frozen, each by itself: then they use their moving statistics
    and never update them, whatever the version of Keras.
    ValueError for a number of layers that the base does not have, for a network with a
    class of its own in it, whose layers cannot be told apart, and for a layer that
    changes its weights by itself even where it is frozen."""
    from helpers import keras

    base = model.get_layer("base")
    base_layers = leaves(base)
    count = len(base_layers)
    if layers is None:
        layers = count
    if not 0 <= layers <= count:
        raise ValueError(
            f"The base has {count} layers: layers={layers} should be 0…{count}."
        )
    base.trainable = False
    check_frozen(base)
    # Keras leaves out what is inside a frozen layer.
    for layer in parts(base):
        layer.trainable = True
    for position, layer in enumerate(base_layers):
        for inner in parts(layer):  # as in TimeDistributed
            is_norm = isinstance(inner, keras.layers.BatchNormalization)
            inner.trainable = position >= count - layers and not is_norm


def fit(
    model,
    train,
    validation,
    epochs,
    learning_rate=1e-3,
    seed=0,
    patience=None,
    class_weight=None,
    batch_size=32,
):
    """Train what is trainable in a model of logits, with Adam and cross-entropy.
    Where the base is frozen and nothing is augmented, it runs once over each picture
    instead of once an epoch. The result is the same for the same seed and a fresh model
    on one machine; this sets Python's, NumPy's and TensorFlow's global seeds. If you
    interrupt it, the model keeps what it learned: with patience that of the best epoch
    so far.
    train, validation: `Pictures`, decoded once into memory, or (array, labels);
    validation may be None; patience: stop after so many epochs without a lower
    validation loss; with it, the best epoch's weights are restored at the end, wherever
    that is. Returns a keras History.
    ValueError for labels the model has no output for, for a model whose last layers do
    not say that it puts out logits (see `logits_of` of safeguards.logits), for patience
    without validation, and for a frozen layer that would change its weights all the
    same."""
    from helpers import keras

    if patience is not None and validation is None:
        raise ValueError(
            "patience watches the validation loss: give validation pictures as well."
        )
    check_logits(model, "fit")
    keras.utils.set_random_seed(seed)
    train = _labelled(model.output_shape[-1], train)
    validation = _labelled(model.output_shape[-1], validation)
    _compile(model, learning_rate)
    trained = model
    prepare = partial(_pixels, model, dtype="uint8")
    with progress_bar(epochs, "epochs") as bar:
        ahead = until_base(model)
        if ahead:
            base, layers_after = ahead
            trained = keras.Sequential(layers_after)
            _compile(trained, learning_rate)
            width = base.output_shape[-1]
            prepare = partial(_outputs, Compiled(base), width, partial(_pixels, model))
        else:
            check_frozen(model)
        ended = []  # epochs; a bar that is not shown does not count

        def note(*_):
            ended.append(bar.update())

        callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=note)]
        best = None
        if patience is not None:
            best = keras.callbacks.EarlyStopping(
                patience=patience,
                restore_best_weights=True,
            )
            callbacks.append(best)
        # Made beforehand, like the metric's: `fit` would take longer and keep memory.
        trained.optimizer.build(trained.trainable_variables)
        try:
            history = trained.fit(
                prepare(train[0]),
                train[1],
                validation_data=validation and (prepare(validation[0]), validation[1]),
                epochs=epochs,
                batch_size=batch_size,
                class_weight=class_weight,
                callbacks=callbacks,
                verbose=0,
            )
            bar.total = bar.n  # a bar that ends early would turn red, as after a fault
            return history
        except KeyboardInterrupt:
            until = "now"
            if best and best.best_weights is not None:
                trained.set_weights(best.best_weights)
                until = f"its best epoch, {best.best_epoch + 1}"
            raise KeyboardInterrupt(  # without Keras's own fifty lines
                f"Stopped in epoch {len(ended) + 1} of {epochs}: the model keeps what "
                f"it had learned until {until}."
            ) from None


def fine_tune(
    model,
    train,
    validation,
    head_epochs=20,
    epochs=10,
    head_rate=1e-3,
    rate=1e-4,
    layers=None,
    seed=0,
    patience=None,
    batch_size=32,
):
    """Train a model of `new_model` in two stages.
    First the head on the frozen base, so that its first, large steps do not spoil the
    base; then, at a lower rate, also the base's last `layers` layers (None: all), as
    `unfreeze` sets them. The rest as in `fit`. Returns the History of the head and that
    of all."""
    check_logits(model, "fine_tune")
    unfreeze(model, layers)  # what it would refuse, it refuses before the first stage
    n_classes = model.output_shape[-1]
    train = _labelled(n_classes, train)
    validation = _labelled(n_classes, validation)
    # Decoded once for both stages.
    train = _pixels(model, train[0], "uint8"), train[1]
    if validation:
        validation = _pixels(model, validation[0], "uint8"), validation[1]
    model.get_layer("base").trainable = False
    options = {"seed": seed, "patience": patience, "batch_size": batch_size}
    head = fit(model, train, validation, head_epochs, head_rate, **options)
    unfreeze(model, layers)
    return head, fit(model, train, validation, epochs, rate, **options)


def predict(model, pictures):
    """A model's probabilities: float32 (n, classes), each row sums to 1.
    model: of logits, as from `new_model` or `fit_head`; pictures: `Pictures`, or an
    array of what the model takes. ValueError as in `fit` for a model of anything but
    logits, and where a loaded model does not know how to prepare `Pictures`."""
    check_logits(model, "predict")
    prepare = partial(_pixels, model)
    width = model.output_shape[-1]
    logits = _outputs(compiled(model), width, prepare, pictures)
    return softmax(logits, axis=-1)


def _base(network):
    """What `base_of` returns, and that `compiled`; made once for each network."""
    from helpers import keras

    output = network.outputs[0]
    known = _bases.get(network)
    if known is None or known[0] is not output:  # a Sequential can change meanwhile
        before = without_last_layer(network)
        features = before.outputs[0]
        if len(features.shape) > 2:  # MobileNetV3 classifies by a 1×1 convolution
            features = keras.layers.Flatten()(features)
        base = assembled(before.inputs, [features], "base")
        known = output, base, compiled(base)
        _bases[network] = known
    return known[1:]


def _compile(model, learning_rate):
    from helpers import keras

    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
        jit_compile=False,
    )


def _labelled(n_classes, data):
    """(Pictures or array, labels) of what `fit` takes, or None; labels checked."""
    if data is None:
        return None
    if isinstance(data, Pictures):
        data = data, data.labels
    pictures, labels = data
    labels = np.asarray(labels)
    if labels.shape != (len(pictures),):
        raise ValueError(
            f"{len(pictures)} pictures need as many labels, not {labels.shape}."
        )
    if not {*labels.tolist()} <= {*range(n_classes)} or not len(labels):
        raise ValueError(
            f"With {n_classes} outputs there should be labels and all in 0…"
            f"{n_classes - 1}: found {np.unique(labels)}. See the model's n_classes."
        )
    return pictures, labels


def _pixels(model, pictures, dtype="float32"):
    """What a model takes of `Pictures`; an array stays as it is."""
    if not isinstance(pictures, Pictures):
        return pictures
    if not hasattr(model, "rule"):  # a file does not keep it
        raise ValueError(
            "This model does not know how a picture becomes a square: set model.rule "
            "to its classifier's rule, or pass pictures.array(size, rule)."
        )
    return pictures.array(picture_size(model), model.rule, dtype)


def _outputs(compute, width, prepare, pictures, bar=None):
    """What a network makes of `Pictures` or an array, never all in memory.
    Returns float32 (n, width)."""
    outputs = np.empty((len(pictures), width), "float32")

    def work(start):
        batch = prepare(pictures[start : start + AT_ONCE])
        n = len(batch)
        if start and n < AT_ONCE:
            # A batch of another size would be compiled once more.
            batch = np.resize(batch, (AT_ONCE, *batch.shape[1:]))
        outputs[start : start + n] = compute(batch)[:n]
        return n

    starts = range(0, len(pictures), AT_ONCE)
    for start in starts[:1]:
        work(start)  # compiles the network, before threads do
    with (
        ThreadPoolExecutor(usable_cores()) as pool,
        closing(pool.map(work, starts[1:])) as counts,  # interrupted, it cancels
    ):
        for n in counts:
            if bar is not None:
                bar.update(n)
    return outputs
