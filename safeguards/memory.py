"""Hold no more memory than a step needs, and give it back afterwards."""

import ctypes
import gc
import sys

import numpy as np

# A variable for kernels. C's library of Linux (glibc) keeps free memory apart for each
# thread, hundreds of MB for TensorFlow's and ours. It reads this when a program starts.
FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}


def one_at_a_time(network, pictures, **options):
    """A network's outputs for pictures that it gets one by one: an array (n, …).
    Called with all of them, Keras keeps what each layer made of each picture until the
    last layer is done: 60 MB a picture for EfficientNet-Lite0 at 224 pixels.
    network: pictures (n, …) → (n, …); options: what to call it with besides."""
    outputs = []
    for position in range(len(pictures)):
        output = network(pictures[position : position + 1], **options)
        outputs.append(np.asarray(output))
    return np.concatenate(outputs)


def give_back():
    """Collect garbage, and give what is free to the operating system.
    Converters allocate and free in small pieces. C's library keeps these for this
    process, several hundred MB after an export. Only that of Linux (glibc) can be
    asked for them; elsewhere this just collects."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # other C libraries have none
            trim(0)
