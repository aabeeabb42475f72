"""Fine-tune on several devices or several machines: the same result, sooner.

python apps/many/train_many.py OUT.keras [--data computers] [--size 128] [--devices 2]
python apps/many/train_many.py OUT.keras [--data computers] --hosts A:PORT B:PORT
--index 0

The second form runs once on each host, with its own --index; all need the same data,
and host 0 writes the file. docs/scale.md says when this pays, and why it's done so."""

import argparse
import json
import os
import sys
from dataclasses import replace

from apps.sharing.saving import save_classifier
from helpers import load_classifier
from helpers.datasets import load_dataset
from helpers.models import DEFAULT
from helpers.training import fine_tune, new_model, unfreeze
from safeguards.printing import run_tool
from safeguards.scaling import unchanged

# Of the head alone, then of all layers.
EPOCHS = (20, 10)
RATES = (1e-3, 1e-4)


def fit_on_devices(classifier, train, devices, epochs=EPOCHS, seed=0):
    """Fine-tune on the devices of one machine → the model.

    Each device holds a copy of the weights, takes its share of every batch, and adds
    the others' gradients to its own.

    classifier: the `Classifier` to start from.
    train: `Pictures` with labels.
    devices: their names, as in ["GPU:0", "GPU:1"].
    epochs: of the head alone, then of all layers."""
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        model = new_model(classifier, len(train.classes), seed=seed)
        fine_tune(model, train, None, *epochs, *RATES, seed=seed)
    return model


def join(hosts, index):
    """Meet the other hosts → their strategy; call it before anything else of
    TensorFlow.

    hosts: the addresses of all, host:port.
    index: which of them this one is."""
    import tensorflow as tf

    cluster = {
        "cluster": {"worker": hosts},
        "task": {"type": "worker", "index": index},
    }
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    return tf.distribute.MultiWorkerMirroredStrategy()


def fit_on_hosts(
    strategy,
    index,
    classifier,
    train,
    epochs=EPOCHS,
    batch_size=32,
    seed=0,
):
    """Fine-tune on several machines: each runs this, and each returns the same model.

    strategy, index: as `join` returned and took them.
    batch_size: pictures a step, of all hosts together.

    The rest is as in `fit_on_devices`. If a host is lost, all of them stop."""
    import tensorflow as tf

    from helpers import keras

    hosts = strategy.num_replicas_in_sync
    with strategy.scope():
        model = new_model(classifier, len(train.classes), seed=seed)

    def own_share(images, labels):
        """This host's share of a batch that all of them draw, and the batch's size."""
        return images[index::hosts], labels[index::hosts], tf.size(labels)

    batches = train.batches(classifier, batch_size, seed).map(own_share)
    for count, rate in zip(epochs, RATES, strict=True):
        with strategy.scope():
            optimizer = keras.optimizers.Adam(rate)
        step = _training_step(strategy, model, optimizer)
        for _ in range(count):
            for share in batches:
                step(*share)
        unfreeze(model)
    return model


def _training_step(strategy, model, optimizer):
    """A function that learns from each host's share of one batch."""
    import tensorflow as tf

    from helpers import keras

    # A sum, to be divided by the size of the whole batch and not of a host's share.
    summed_loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True,
        reduction="sum",
    )

    def learn(images, labels, batch_size):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = summed_loss(labels, logits) / tf.cast(batch_size, "float32")
        weights = model.trainable_variables
        gradients = tape.gradient(loss, weights)
        # In a strategy this adds up the gradients of all hosts before it applies them.
        optimizer.apply_gradients(zip(gradients, weights, strict=True))

    @tf.function
    def step(*share):
        strategy.run(learn, share)

    return step


def _parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="the file that load_classifier will read, .keras")
    parser.add_argument("--data", default="computers", help="what load_dataset takes")
    parser.add_argument("--model", default=DEFAULT, help="what load_classifier takes")
    parser.add_argument(
        "--size",
        type=int,
        help="pixels a side; otherwise the network's own",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        nargs=2,
        default=EPOCHS,
        help="of the head, of all",
    )
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        help="GPUs, else parts of the CPU",
    )
    parser.add_argument(
        "--hosts",
        nargs="+",
        help="addresses of all hosts, as in 10.0.0.1:9000",
    )
    parser.add_argument(
        "--index",
        type=int,
        default=0,
        help="which of them this is, from 0",
    )
    options = parser.parse_args()
    if options.hosts and not 0 <= options.index < len(options.hosts):
        parser.error(f"--index is one of 0…{len(options.hosts) - 1}")
    return options


def _devices(count):
    """The names of so many GPUs; on a machine without any, of parts of its CPU."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return [f"GPU:{i}" for i in range(count)]
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, parts)
    return [f"CPU:{i}" for i in range(count)]


def main():
    """The command line; returns the exit status."""
    options = _parse_options()
    # TensorFlow has to know its hosts or devices before it computes anything.
    strategy = None
    devices = None
    if options.hosts:
        strategy = join(options.hosts, options.index)
    else:
        devices = _devices(options.devices)
    classifier = load_classifier(options.model, options.size)
    train = load_dataset(options.data).train
    if strategy:
        model = fit_on_hosts(strategy, options.index, classifier, train, options.epochs)
    else:
        model = fit_on_devices(classifier, train, devices, options.epochs)
    if options.index == 0:
        trained = replace(
            classifier,
            network=model,
            preprocess_input=unchanged,
            classes=tuple((name, name) for name in train.classes),
        )
        path = save_classifier(trained, options.out)
        print(f"{path} is written")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
