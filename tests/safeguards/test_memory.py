"""How much memory a step takes, and that it comes back."""

import ctypes
import sys

import numpy as np
import psutil
import pytest
import tiny

from safeguards.keys import SHOWN, key_of
from safeguards.memory import give_back, one_at_a_time
from safeguards.scaling import unchanged

MEGABYTE = 1_000_000


class Graph:
    """A file's graph, as `key_of` takes it, that notes how many pictures it gets."""

    digest = "the same"

    def __init__(self):
        self.lengths = []

    def __call__(self, pictures):
        self.lengths.append(len(pictures))
        return pictures.mean(axis=(1, 2))


def test_outputs_are_those_of_all_at_once():
    network = tiny.classifier().network
    size = network.input_shape[1]
    pictures = np.random.default_rng(0).uniform(0, 1, (5, size, size, 3))
    pictures = pictures.astype("float32")
    outputs = one_at_a_time(network, pictures, training=False)
    assert outputs.dtype == "float32"
    expected = network(pictures, training=False)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_pictures_go_in_one_by_one():
    graph = Graph()
    outputs = one_at_a_time(graph, np.ones((4, 8, 8, 3), "float32"))
    assert graph.lengths == [1, 1, 1, 1]
    assert outputs.shape == (4, 3)


def test_a_key_holds_what_layers_make_of_one_picture_only():
    graph = Graph()
    key_of(graph, 32, None, lambda *_: np.zeros((32, 32, 3), "uint8"), unchanged)
    assert graph.lengths == [1] * SHOWN


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only Linux's C library, glibc, can be asked for what is free",
)
def test_what_small_pieces_took_comes_back():
    # Pieces of C's library, of which every hundredth stays: no whole end gets free.
    pieces = [np.ones(8_000, "uint8") for _ in range(8_000)]
    kept = pieces[::100]
    before = psutil.Process().memory_info().rss
    del pieces
    give_back()
    after = psutil.Process().memory_info().rss
    assert len(kept) == 80
    assert before - after > 40 * MEGABYTE


def test_it_does_nothing_where_there_is_nothing_to_ask(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", None)  # calling it would fail
    give_back()
