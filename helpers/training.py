"""Transfer learning: features computed once, a head on top of them, fine-tuning in two stages."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from scipy.special import softmax
from tqdm import auto, std

from helpers.images import resize
from helpers.pictures import Pictures
from safeguards.keys import key_of, undescribed
from safeguards.logits import check_logits, picture_size
from safeguards.networks import (
    NetworkError,
    assembled,
    check_graph,
    knows_training,
    leaves,
    made_by,
    parts,
    replay,
    run,
    set_weights,
)
from safeguards.whole_files import atomic_write

PART = 8  # pictures that are decoded and computed at a time; more no longer fit a CPU's cache
COPYING = (
    "Register its class, and functions that it is given, with "
    "keras.saving.register_keras_serializable, and let its get_config return all that its "
    "__init__ takes; or use Keras's own layers in its place."
)
_bases = WeakKeyDictionary()  # network → its output, its base, and that compiled


def base_of(classifier):
    """The network without its classification layer: (n, size, size, 3) → float32 features (n, d).
    Everything up to the input of the last layer with weights, however deep that is nested, the same
    rule for every model: the pooled features of most, the 4096 outputs of the last hidden layer of
    VGG. The layers, and so the weights, are shared with `classifier.network`; the input must be
    preprocessed. ValueError for a network with a class of its own, whose layers cannot be told
    apart."""
    return _base(classifier.network)[0]


def extract_features(classifier, pictures, cache=None):
    """The base's features of all `Pictures`: float32 (n, d), in their order.
    They are kept on disk and used again for the same picture files and the same base, preparation
    and libraries (`safeguards.keys`); of anything that changed or is damaged they are computed
    anew. cache: the folder, else that named by TRANSFER_CACHE, else
    ~/.cache/transfer-learning/features; where it cannot be written, or the base has layers that
    are not Keras's own, a line says that they are not kept.
    Raises what `pictures.array` raises for an unreadable picture."""
    base, compiled = _base(classifier.network)
    folder = cache or os.environ.get("TRANSFER_CACHE") or "~/.cache/transfer-learning/features"
    why = undescribed(base)
    if why:
        print(f"Features of {classifier.name} are not kept, but computed each time: {why}")
    with progress_bar(len(pictures), "features") as bar:
        key = _key(classifier, base, pictures)
        path = Path(folder).expanduser() / f"{key}.float32"
        features = _read(path, key)
        if features is None:
            size, rule = classifier.size, classifier.rule
            features = _outputs(
                compiled,
                base.output_shape[-1],
                lambda part: classifier.preprocess_input(part.array(size, rule)),
                pictures,
                bar,
            )
            if not why:
                _write(path, key, features)
        bar.update(len(pictures) - bar.n)
    return features.reshape(len(pictures), base.output_shape[-1])


def fit_head(features, labels, n_classes, seed=0, epochs=30):
    """Train one Dense layer of logits on features: a keras.Sequential, (n, d) → (n, n_classes).
    It is logistic regression that starts from zero; features are standardised inside, with the
    statistics of these. The same for the same seed on one machine; sets Python's, NumPy's and
    TensorFlow's global seeds. ValueError for labels that do not fit."""
    from helpers import keras

    features, labels = _labelled(n_classes, (features, labels))
    # A feature that hardly varies in a few pictures may vary in others: without a floor under its
    # deviation it would drown the rest.
    variance = features.var(axis=0)
    variance += variance.mean() + 1e-12
    head = keras.Sequential(
        [
            keras.Input(features.shape[1:]),
            keras.layers.Normalization(mean=features.mean(axis=0), variance=variance),
            keras.layers.Dense(n_classes, kernel_initializer="zeros"),
        ]
    )
    fit(head, (features, labels), None, epochs, seed=seed)
    return head


def new_model(classifier, n_classes, pretrained=True, augment=None, dropout=0.0, seed=0):
    """A new classifier on a copy of a pretrained base; it takes RGB 0…255 (n, size, size, 3).
    [augmentation →] the network's own preprocessing, as layers → base → [dropout →] head: Dense
    logits (n, n_classes). The layers are called "augmentation", "preprocess", "base", "dropout"
    and "head". pretrained: with its weights, frozen; or False: the same network with fresh random
    weights, all trainable. augment: a layer such as `augmentation()`, copied. Sets the global
    seeds. ValueError where the preprocessing is no scaling of colour channels."""
    from helpers import keras

    keras.utils.set_random_seed(seed)
    source = base_of(classifier)
    base = keras.models.clone_model(source, clone_function=_copy, recursive=True)
    if pretrained:
        set_weights(base, source.get_weights())
        _check_copy(source, base)
    for layer in parts(base):  # a copied layer keeps what it was, whatever the base around it says
        layer.trainable = not pretrained
    x = inputs = keras.Input((classifier.size, classifier.size, 3))
    if augment is not None:  # a copy starts with the seed, whatever the original was used for
        x = _copy(augment, name="augmentation")(x)
    x = base(preprocessed(x, classifier))
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    # From zero: what a random start adds stays where few pictures are there to correct it.
    outputs = keras.layers.Dense(n_classes, kernel_initializer="zeros", name="head")(x)
    model = keras.Model(inputs, outputs, name=classifier.name)
    model.rule = classifier.rule  # how `fit` and `predict` prepare pictures
    model.terms = classifier.terms if pretrained else ""  # fresh weights are nobody else's
    return model


def _copy(layer, **changes):
    """A layer of the same kind and settings, with weights of its own."""
    try:
        return type(layer).from_config(layer.get_config() | changes)
    except Exception as error:  # of somebody's own layer anything can come
        raise NetworkError(
            f"The layer {layer.name!r} ({type(layer).__name__}) cannot be copied. {COPYING}"
        ) from error


def _check_copy(source, copy):
    """NetworkError where a layer, such as somebody's own, does something else in the copy."""
    if undescribed(source) is None:  # Keras's own settings are all copied
        return
    wanted, found = [], []
    for network, outputs in ((source, wanted), (copy, found)):
        replay(network, _noise(network), partial(_noted, outputs))
    for (step, one), (_, other) in zip(wanted, found, strict=True):
        if not np.array_equal(one, other, equal_nan=True):
            raise NetworkError(
                f"The layer {step.name!r} ({type(step).__name__}) does something else when it is "
                f"copied. {COPYING}"
            )


def _noted(outputs, step, *arguments, **options):
    """Run a step of a network, and add what it puts out to a list."""
    from helpers import keras

    result = run(step, *arguments, **options)
    outputs += [(step, np.asarray(each)) for each in keras.tree.flatten(result)]
    return result


def _noise(network):
    """Two random inputs of a network, in a list: float32 0…255."""
    rng = np.random.default_rng(0)
    shapes = [[2, *(side or 32 for side in tensor.shape[1:])] for tensor in network.inputs]
    return [rng.uniform(0, 255, shape).astype("float32") for shape in shapes]


def preprocessed(x, classifier):
    """RGB 0…255, a Keras tensor (n, size, size, 3), through a classifier's own preprocessing, as
    layers. ValueError where that is no scaling of colour channels."""
    from helpers import keras

    flip, scale, offset = _scaling(classifier.preprocess_input)
    if flip:
        x = keras.ops.flip(x, axis=-1)
    if (scale, offset) != ([1, 1, 1], [0, 0, 0]):
        # In half precision neighbouring pixel values would become one.
        x = keras.layers.Rescaling(scale, offset, name="preprocess", dtype="float32")(x)
    return x


def augmentation(seed=0):
    """Random changes that leave the class as it is, for pictures of 0…255; at training only.
    A keras.Sequential: mirrored, rotated by up to 18°, zoomed and moved by up to 10 %, brightness
    and contrast by up to 20 %."""
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
    """Make the last `layers` layers of a model's base trainable (None: all), the others not.
    Where networks are nested in the base, their layers count, not they. BatchNorm layers stay
    frozen, each by itself: then they use their moving statistics and never update them, whatever
    the version of Keras. ValueError for a number of layers that the base does not have, for a
    network with a class of its own in it, whose layers cannot be told apart, and for a layer that
    changes its weights by itself even where it is frozen."""
    from helpers import keras

    base = model.get_layer("base")
    single = leaves(base)
    count = len(single)
    layers = count if layers is None else layers
    if not 0 <= layers <= count:
        raise ValueError(f"The base has {count} layers: layers={layers} should be 0…{count}.")
    base.trainable = False
    _check_frozen(base)
    before = [(layer, layer.trainable) for layer in parts(base)]
    base.trainable = False
    try:
        _check_frozen(base)
    finally:
        for layer, trainable in before:
            layer.trainable = trainable
    for layer in parts(base):  # what is nested, too: Keras leaves out what stands in a frozen one
        layer.trainable = True
    for position, layer in enumerate(single):
        for part in parts(layer):  # a layer can have others inside, such as TimeDistributed
            frozen = isinstance(part, keras.layers.BatchNormalization)
            part.trainable = position >= count - layers and not frozen


def _check_frozen(network):
    """ValueError, with its name, for a frozen layer of a network that changes its weights while
    others learn. Found by letting the network do so once, with noise, if it has any layer that
    might: of Keras's own BatchNormalization does not, and SpectralNormalization does."""
    from helpers import keras

    layers = [part for part in parts(network) if not isinstance(part, keras.Model)]
    if all(
        type(layer).__module__.startswith("keras.")
        and not isinstance(layer, keras.layers.SpectralNormalization)
        for layer in layers
    ):
        return
    before = [(variable, variable.numpy()) for variable in network.variables]
    noise = _noise(network)
    network(noise[0] if len(noise) == 1 else noise, training=True)
    moved = {id(v) for v, was in before if not np.array_equal(v.numpy(), was)}
    for variable, was in before:
        variable.assign(was)
    for layer in layers:
        if not layer.trainable and moved & {id(weight) for weight in layer.weights}:
            raise ValueError(
                f"The layer {layer.name!r} ({type(layer).__name__}) changes its weights in "
                "training even where it is frozen. If it is yours, let its call change them only "
                "where `training and self.trainable` holds, as BatchNormalization does; else use "
                "another in its place."
            )


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
    """Train what is trainable in a model of logits, with Adam and cross-entropy → keras History.
    train, validation: `Pictures`, decoded once into memory, or (array, labels); validation may be
    None. patience: stop after so many epochs without a lower validation loss; with it, the best
    epoch's weights are restored at the end, wherever that is. Where the base is frozen and nothing
    is augmented, it runs once over each picture instead of once an epoch. The same for the same
    seed and a fresh model on one machine; sets Python's, NumPy's and TensorFlow's global seeds.
    ValueError for labels the model has no output for, for a model whose last layers do not say
    that it puts out logits (see `logits_of` of safeguards.logits), for patience without
    validation, and for a frozen layer that would change its weights all the same. Whoever
    interrupts it keeps what was learned: with patience that of the best epoch so far."""
    from helpers import keras

    if patience is not None and validation is None:
        raise ValueError("patience watches the validation loss: give validation pictures as well.")
    check_logits(model, "fit")
    keras.utils.set_random_seed(seed)
    train, validation = (_labelled(model.output_shape[-1], data) for data in (train, validation))
    _compile(model, learning_rate)
    trained, prepare = model, partial(_pixels, model, dtype="uint8")
    with progress_bar(epochs, "epochs") as bar:
        front, top = _front(model)
        if front is not None:
            trained = keras.Sequential(top)
            _compile(trained, learning_rate)
            width = front.output_shape[-1]
            prepare = partial(_outputs, _compiled(front), width, partial(_pixels, model))
        else:
            _check_frozen(model)
        ended, best = [], None  # a bar that is not shown does not count
        tick = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ended.append(bar.update()))
        if patience is not None:
            best = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
        # Like the metric's, made beforehand: inside `fit` they would take time and keep memory.
        trained.optimizer.build(trained.trainable_variables)
        try:
            return trained.fit(
                prepare(train[0]),
                train[1],
                validation_data=validation and (prepare(validation[0]), validation[1]),
                epochs=epochs,
                batch_size=batch_size,
                class_weight=class_weight,
                callbacks=[tick, best] if best else [tick],
                verbose=0,
            )
        except KeyboardInterrupt:
            until = "now"
            if best and best.best_weights is not None:
                trained.set_weights(best.best_weights)
                until = f"its best epoch, {best.best_epoch + 1}"
            raise KeyboardInterrupt(  # without Keras's own fifty lines
                f"Stopped in epoch {len(ended) + 1} of {epochs}: the model keeps what it had "
                f"learned until {until}."
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
    """Train a model of `new_model` in two stages → (History of the head, History of all).
    First the head on the frozen base, so that its first, large steps do not spoil the base; then,
    at a lower rate, also the base's last `layers` layers (None: all), as `unfreeze` sets them. The
    rest as in `fit`."""
    check_logits(model, "fine_tune")
    unfreeze(model, layers)  # what it would refuse, it refuses now, before the first stage
    train, validation = (
        data and (_pixels(model, data[0], "uint8"), data[1])
        for data in (_labelled(model.output_shape[-1], data) for data in (train, validation))
    )
    model.get_layer("base").trainable = False
    options = {"seed": seed, "patience": patience, "batch_size": batch_size}
    head = fit(model, train, validation, head_epochs, head_rate, **options)
    unfreeze(model, layers)
    return head, fit(model, train, validation, epochs, rate, **options)


def predict(model, pictures):
    """A model's probabilities: float32 (n, classes), each row sums to 1.
    model: of logits, as from `new_model` or `fit_head`; pictures: `Pictures`, or an array of what
    the model takes. ValueError as in `fit` for a model of anything but logits, and where a loaded
    model does not know how to prepare `Pictures`."""
    check_logits(model, "predict")
    pixels, width = partial(_pixels, model), model.output_shape[-1]
    return softmax(_outputs(model.predict_on_batch, width, pixels, pictures), axis=-1)


def _front(model):
    """A model up to its base's features, and the layers after that; or None and a list, where
    something up to there learns or varies, or what follows is no row of single layers."""
    from helpers import keras

    features, top = model.outputs[0], []
    step, given, _ = made_by(features)
    while step.name != "base":
        if len(given) != 1 or not isinstance(step, keras.Layer) or step in top:
            return None, top
        features, top = given[0], [step, *top]
        step, given, _ = made_by(features)
    front = keras.Model(model.inputs[0], features)
    varied = any(knows_training(other) for other in front.operations if other is not step)
    return (None if varied or front.trainable_weights or not top else front), top


def _base(network):
    """What `base_of` returns, and `_compiled` of it; made once for each network."""
    from helpers import keras

    check_graph(network)
    output, *found = _bases.get(network, [None])
    if output is not network.outputs[0]:  # new, or changed meanwhile, as a Sequential can be
        features = _features(network)
        if len(features.outputs[0].shape) > 2:  # MobileNetV3 classifies by a 1×1 convolution
            outputs = keras.layers.Flatten()(features.outputs[0])
            features = assembled(features.inputs, [outputs])
        base = assembled(features.inputs, features.outputs, "base")
        found = base, _compiled(base)
        _bases[network] = network.outputs[0], *found
    return found


def _features(network):
    """A network without its last layer with weights, and what follows it: a keras.Model."""
    from helpers import keras

    last = next((layer for layer in reversed(network.layers) if layer.weights), None)
    if last is None:
        raise NetworkError(f"{network.name!r} has no layer with weights: it has learned nothing.")
    inner = _features(last) if isinstance(last, keras.Model) else None
    before = []

    def call(layer, *arguments, **options):
        if layer is last:
            before.append(inner(*arguments) if inner else keras.tree.flatten(arguments))
        return layer(*arguments, **options)

    # Not layer.input: a layer can be part of several models.
    whole = assembled(network.inputs, network.outputs)
    whole = keras.models.clone_model(whole, clone_function=lambda same: same, call_function=call)
    features = keras.tree.flatten(before)
    if len(features) > 1:
        raise NetworkError(
            f"The last layer with weights, {last.name!r}, gets {len(features)} inputs, so there "
            "are no features that it alone works on. Give it one, by Concatenate for example."
        )
    return assembled(whole.inputs, features)


def _compiled(network):
    """A network as a function that starts in half the time of its own `predict_on_batch`."""
    import tensorflow as tf

    return tf.function(partial(network, training=False), autograph=False, reduce_retracing=True)


def progress_bar(total, title, initial=0, show=True):
    """One line that disappears: a widget in notebooks, nothing where text goes to a file."""
    disable = not show or (None if auto.notebook_tqdm is std.tqdm else False)
    return auto.tqdm(total=total, desc=title, initial=initial, leave=False, disable=disable)


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
    pictures, labels = (data, data.labels) if isinstance(data, Pictures) else data
    labels = np.asarray(labels)
    if labels.shape != (len(pictures),):
        raise ValueError(f"{len(pictures)} pictures need as many labels, not {labels.shape}.")
    if not len(labels) or labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(
            f"With {n_classes} outputs there should be labels and all in 0…"
            f"{n_classes - 1}: found {np.unique(labels)}. See n_classes of new_model and fit_head."
        )
    return pictures, labels


def _pixels(model, pictures, dtype="float32"):
    """What a model takes of `Pictures`; an array stays as it is."""
    if not isinstance(pictures, Pictures):
        return pictures
    if not hasattr(model, "rule"):  # a file does not keep it
        raise ValueError(
            "This model does not know how a picture becomes a square: set model.rule to its "
            "classifier's rule, or pass pictures.array(size, rule)."
        )
    return pictures.array(picture_size(model), model.rule, dtype)


def _outputs(compute, width, prepare, pictures, bar=None):
    """What a network makes of `Pictures` or an array, never all in memory: float32 (n, width)."""
    outputs = np.empty((len(pictures), width), "float32")
    parts = [slice(start, start + PART) for start in range(0, len(pictures), PART)]
    with ThreadPoolExecutor(1) as pool:  # decodes the next part while the network runs
        coming = [pool.submit(prepare, pictures[part]) for part in parts[:1]]
        for part, following in zip_longest(parts, parts[1:]):
            batch = coming.pop().result()
            if following:
                coming.append(pool.submit(prepare, pictures[following]))
            n = len(batch)
            if part.start and n < PART:  # a batch of another size would be compiled anew
                batch = np.resize(batch, (PART, *batch.shape[1:]))
            outputs[part] = compute(batch)[:n]
            if bar is not None:
                bar.update(n)
    return outputs


def _scaling(preprocess_input):
    """(whether colours are reversed, scale, offset) of a preprocess_input, from what it does."""
    colours = np.float32([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255], [9, 99, 199]])
    black, white, red, blue, other = preprocess_input(colours[:, None, None])[:, 0, 0]
    flip = bool((red - black).argmax() > (blue - black).argmax())
    scale, offset = (white - black) / 255, black
    if not np.allclose(
        other, (colours[4][::-1] if flip else colours[4]) * scale + offset, atol=1e-3
    ):
        raise ValueError("preprocess_input must scale and shift each colour by itself.")
    return flip, scale.tolist(), offset.tolist()


def _key(classifier, base, pictures):
    """SHA-256 of all that features depend on: the base and its preparation, and the files."""
    base_key = key_of(base, classifier.size, classifier.rule, resize, classifier.preprocess_input)
    key = sha256(base_key.encode())
    for position, path in enumerate(pictures.paths):
        try:
            key.update(sha256(path.read_bytes()).digest())
        except OSError:
            pictures[position].images()  # its error says what to do
            raise
    return key.hexdigest()


def _read(path, key):
    """Features from the cache, or None where there are none or the file is damaged."""
    with suppress(OSError):
        data = path.read_bytes()
        if data[:32] == sha256(key.encode() + data[32:]).digest():
            return np.frombuffer(data[32:], "float32").copy()
    return None


def _write(path, key, features):
    """Put features into the cache, or say why they are not kept."""
    data = features.tobytes()
    try:
        with atomic_write(path) as part:
            part.write_bytes(sha256(key.encode() + data).digest() + data)
    except OSError as error:
        print(
            f"Features are not kept: {path.parent} cannot be written ({error.strerror}). Set "
            "TRANSFER_CACHE to a folder of yours."
        )
