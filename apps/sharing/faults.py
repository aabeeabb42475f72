"""Which layer is at fault where a classifier, or a file made from it, fails."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from apps.sharing.answers import trial_pictures, unsound
from apps.sharing.contents import raw_network
from safeguards.memory import one_at_a_time
from safeguards.networks import replay, run
from safeguards.scaling import unchanged

CLASSES = ("a", "b", "c", "d")  # of a classifier cut short


def check_answers(classifier):
    """ValueError where a classifier itself gives no numbers for the trial pictures, or
    others each time. It names the layer from which on this happens."""
    reason = unsound(classifier)
    if reason is None:
        return
    layer = layer_at_fault(classifier, lambda front: unsound(front) is not None)
    if layer is None:  # the same weights work in float32
        to_do = (
            "Half precision cannot hold its numbers: build it in float32, with these "
            "weights"
        )
    else:
        to_do = f"Mend or replace its layer {layer.name!r} ({type(layer).__name__})"
    raise ValueError(f"{classifier.name} cannot be passed on: it {reason}. {to_do}.")


class _Call(NamedTuple):
    """A step of a network with the symbolic tensors it got and gave."""

    step: object
    inputs: list
    outputs: list


def layer_at_fault(classifier, fails):
    """The first step of a classifier's network, at any depth, with which it fails, or
    None where the network in float32 doesn't.
    fails: says whether a `Classifier` that it's given does. It takes long, so the step
    is found by halving."""
    from helpers import keras

    image = keras.Input((classifier.size, classifier.size, 3))
    calls = _calls(raw_network(classifier), image)
    pictures = trial_pictures(classifier.size)

    def front_fails(count):
        """Whether a classifier made of the first steps fails, `count` of them."""
        logits = _four_logits(calls[:count], image, pictures)
        if logits is None:
            return False
        front = replace(
            classifier,
            network=keras.Model(image, logits),
            classes=tuple((name, name) for name in CLASSES),
            preprocess_input=unchanged,
            familiar=None,
        )
        return fails(front)

    if not front_fails(len(calls)):
        return None
    working = 0
    failing = len(calls)
    while failing - working > 1:
        middle = (working + failing) // 2
        if front_fails(middle):
            failing = middle
        else:
            working = middle
    return calls[failing - 1].step


def _calls(network, image):
    """All steps of a network, at any depth, in order: a list of `_Call`.
    image: the symbolic tensor to start from."""
    from helpers import keras

    calls = []

    def call(step, *arguments, **options):
        result = run(step, *arguments, **options)
        inputs = keras.tree.flatten((arguments, options))
        outputs = keras.tree.flatten(result)
        calls.append(_Call(step, inputs, outputs))
        return result

    replay(network, [image], call)
    return calls


def _four_logits(calls, image, pictures):
    """Whatever some steps leave to the steps after them, as four numbers a picture:
    a symbolic tensor, or None if they leave nothing.
    Fixed random weights turn it into numbers of about 1."""
    from helpers import keras

    used = {id(tensor) for call in calls for tensor in call.inputs}
    summands = []
    for tensor in (tensor for call in calls for tensor in call.outputs):
        # Without a free first axis it's of no picture, such as a mean over several.
        if id(tensor) in used or tensor.shape[0] is not None:
            continue
        flat = keras.layers.Flatten()(keras.ops.cast(tensor, "float32"))
        front = keras.Model(image, flat)
        values = np.abs(one_at_a_time(front, pictures, training=False))
        largest = np.nan_to_num(values, posinf=0).max()
        scaled = keras.layers.Rescaling(1 / max(largest, 1e-6))(flat)
        weights = keras.initializers.LecunNormal(seed=len(calls))
        dense = keras.layers.Dense(len(CLASSES), kernel_initializer=weights)
        summands.append(dense(scaled))
    if not summands:
        return None
    if len(summands) == 1:
        return summands[0]
    return keras.layers.Add()(summands)
