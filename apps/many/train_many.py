"""Fine-tune on several devices of one machine, or on several machines: the same result, sooner.

python apps/many/train_many.py OUT.keras [--data computers] [--size 128] [--devices 2]
python apps/many/train_many.py OUT.keras [--data computers] --hosts A:PORT B:PORT --index 0

The second form runs once on each host, with its own --index; all need the same data, and host 0
writes the file. docs/scale.md says when this pays, and why it is written as it is.
"""

import argparse
import json
import os
import sys
from dataclasses import replace

from apps.sharing.share import save_classifier
from helpers import keras, load_classifier
from helpers.datasets import load_dataset
from helpers.models import DEFAULT, unchanged
from helpers.training import fine_tune, new_model, unfreeze

EPOCHS, RATES = (20, 10), (1e-3, 1e-4)  # of the head alone, then of all


def fit_on_devices(classifier, train, devices, epochs=EPOCHS, seed=0):
    """Fine-tune on the devices of one machine → the model. Each holds a copy of the weights, takes
    its share of every batch, and adds the others' gradients to its own. devices: their names, as
    in ["GPU:0", "GPU:1"]; epochs: of the head alone, then of all."""
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(devices).scope():
        model = new_model(classifier, len(train.classes), seed=seed)
        fine_tune(model, train, None, *epochs, *RATES, seed=seed)
    return model


def join(hosts, index):
    """Meet the other hosts → their strategy; before anything else is done with TensorFlow.
    hosts: addresses of all, host:port; index: which of them this one is."""
    import tensorflow as tf

    cluster = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    return tf.distribute.MultiWorkerMirroredStrategy()


def fit_on_hosts(strategy, index, classifier, train, epochs=EPOCHS, batch_size=32, seed=0):
    """The same on several machines: each runs this, and each returns the same model.
    strategy, index: of `join`; a host that is lost stops all."""
    import tensorflow as tf

    hosts = strategy.num_replicas_in_sync
    with strategy.scope():
        model = new_model(classifier, len(train.classes), seed=seed)
    summed = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

    def share(pictures, labels):  # every host draws the same batches, and takes its part of each
        return pictures[index::hosts], labels[index::hosts], tf.size(labels)

    for count, rate in zip(epochs, RATES, strict=True):
        with strategy.scope():
            optimizer = keras.optimizers.Adam(rate)

        def learn(pictures, labels, size, optimizer=optimizer):
            with tf.GradientTape() as tape:
                loss = summed(labels, model(pictures, training=True)) / tf.cast(size, "float32")
            weights = model.trainable_variables
            # In a strategy this adds up the gradients of all hosts before it applies them.
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

        step = tf.function(lambda *part, learn=learn: strategy.run(learn, part))
        data = train.batches(classifier, batch_size, seed).map(share)
        for _ in range(count):
            for part in data:
                step(*part)
        unfreeze(model)
    return model


def main():
    """The command line; returns the exit status."""
    import tensorflow as tf

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="the file that load_classifier will read, .keras")
    parser.add_argument("--data", default="computers", help="what load_dataset takes")
    parser.add_argument("--model", default=DEFAULT, help="what load_classifier takes")
    pixels = "pixels a side; otherwise the network's own"
    parser.add_argument("--size", type=int, help=pixels)
    parser.add_argument("--epochs", type=int, nargs=2, default=EPOCHS, help="of the head, of all")
    parser.add_argument("--devices", type=int, default=1, help="GPUs, else parts of the CPU")
    parser.add_argument("--hosts", nargs="+", help="addresses of all hosts, as in 10.0.0.1:9000")
    parser.add_argument("--index", type=int, default=0, help="which of them this is, from 0")
    asked = parser.parse_args()
    if asked.hosts and not 0 <= asked.index < len(asked.hosts):
        parser.error(f"--index is one of 0…{len(asked.hosts) - 1}")
    if asked.hosts:
        strategy = join(asked.hosts, asked.index)
    elif not (gpus := tf.config.list_physical_devices("GPU")):
        parts = [tf.config.LogicalDeviceConfiguration()] * asked.devices
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, parts)
    classifier = load_classifier(asked.model, asked.size)
    train = load_dataset(asked.data).train
    if asked.hosts:
        model = fit_on_hosts(strategy, asked.index, classifier, train, asked.epochs)
    else:
        devices = [f"{'GPU' if gpus else 'CPU'}:{i}" for i in range(asked.devices)]
        model = fit_on_devices(classifier, train, devices, asked.epochs)
    if asked.index == 0:
        names = tuple((name, name) for name in train.classes)
        taught = replace(classifier, network=model, preprocess_input=unchanged, classes=names)
        print(f"{save_classifier(taught, asked.out)} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
