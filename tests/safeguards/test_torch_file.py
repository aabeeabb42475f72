"""The reader of PyTorch's old format: what it reads, and files made to do harm."""

import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import thorough_but

from safeguards import torch_file
from safeguards.torch_file import MAGIC, PROTOCOL, TorchFileError, read_torch_file

START = b"\x80\x02"
ORDERED_DICT = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def whole(value):
    """The pickle of a plain value."""
    return pickle.dumps(value, protocol=2)


def inner(value):
    """The opcodes that put a plain value on a pickle's stack."""
    return pickle.dumps(value, protocol=2)[2:-1]


def storage(key="1", count=6, kind=b"ctorch\nFloatStorage\n", name="storage"):
    """The opcodes of a reference to a storage."""
    return (
        b"("
        + inner(name)
        + kind
        + inner(key)
        + inner("cpu")
        + inner(count)
        + b"Nt"
        + b"Q"
    )


def tensor(source=None, offset=0, shape=(2, 3), strides=(3, 1)):
    """The opcodes of a tensor."""
    source = storage() if source is None else source
    rest = (
        inner(offset) + inner(shape) + inner(strides) + b"\x89" + ORDERED_DICT + b")R"
    )
    return REBUILD + b"(" + source + rest + b"tR"


def named(**tensors):
    """The pickle of an ordered dictionary of tensors."""
    items = b"".join(inner(name) + value for name, value in tensors.items())
    return START + ORDERED_DICT + b")R(" + items + b"u."


NUMBERS = np.arange(6, dtype="<f4")
DATA = struct.pack("<q", 6) + NUMBERS.tobytes()


def contents(
    magic=MAGIC, protocol=PROTOCOL, system=None, tensors=None, keys=("1",), data=DATA
):
    """The bytes of a file with one weight, "w", or of one that differs from it."""
    tensors = named(w=tensor()) if tensors is None else tensors
    system = whole({"little_endian": True}) if system is None else system
    return whole(magic) + whole(protocol) + system + tensors + whole(list(keys)) + data


@pytest.fixture
def read(tmp_path):
    """The reader, of bytes."""

    def read(data):
        path = tmp_path / "weights.pth"
        path.write_bytes(data)
        return read_torch_file(path)

    return read


def test_weights_are_read_as_they_were_written(read):
    (array,) = read(contents()).values()
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, NUMBERS.reshape(2, 3))


def test_strides_and_offsets_are_followed(read):
    """As of a transposed view: PyTorch keeps its numbers in the order of the
    original."""
    turned = tensor(shape=(3, 2), strides=(1, 3))
    late = tensor(offset=4, shape=(2,), strides=(1,))
    one = tensor(offset=5, shape=(), strides=())
    arrays = read(contents(tensors=named(turned=turned, late=late, one=one)))
    np.testing.assert_array_equal(arrays["turned"], NUMBERS.reshape(2, 3).T)
    np.testing.assert_array_equal(arrays["late"], [4, 5])
    assert arrays["one"] == 5
    assert list(arrays) == ["turned", "late", "one"]


def test_counters_are_read_too(read):
    counter = storage(count=1, kind=b"ctorch\nLongStorage\n")
    data = struct.pack("<qq", 1, 77)
    weights = named(n=tensor(counter, shape=(), strides=()))
    assert read(contents(tensors=weights, data=data))["n"] == 77


# -- files that want more than to be read ----------------------------------------------

FOREIGN = {
    "os.system": b"cos\nsystem\n(" + inner("touch harmed") + b"tR.",
    "builtins.eval": b"cbuiltins\neval\n(" + inner("open('harmed', 'w')") + b"tR.",
    "builtins.getattr": b"cbuiltins\ngetattr\n(" + inner("a") + inner("b") + b"tR.",
    "subprocess.Popen by instance": b"(isubprocess\nPopen\n.",
    "numpy": b"cnumpy.core.multiarray\n_reconstruct\n.",
    "torch's other loader": b"ctorch._utils\n_rebuild_parameter\n.",
    "torch's other storage": b"ctorch\nByteStorage\n.",
    "a dotted name": b"ccollections\nOrderedDict.fromkeys\n.",
    "an extension": b"\x82\x01.",
    "stack global": inner("os") + inner("system") + b"\x93.",
}


@pytest.mark.parametrize(
    "place", range(5), ids=["magic", "protocol", "system", "weights", "keys"]
)
@pytest.mark.parametrize("name", FOREIGN)
def test_no_pickle_of_the_five_can_name_anything_else(
    read, tmp_path, monkeypatch, name, place
):
    monkeypatch.chdir(tmp_path)
    parts = [whole(MAGIC), whole(PROTOCOL), whole({}), named(w=tensor()), whole(["1"])]
    parts[place] = START + FOREIGN[name]
    with pytest.raises(TorchFileError):
        read(b"".join(parts) + DATA)
    assert not Path("harmed").exists()


def test_a_pickle_cannot_change_what_the_next_one_is_read_with(read):
    """BUILD sets attributes of whatever it finds, such as a function's defaults."""
    state = (
        inner(None)
        + inner({"__defaults__": (1,), "__kwdefaults__": {"a": 1}})
        + b"\x86b"
    )
    for name in (REBUILD, ORDERED_DICT):
        read(contents(system=START + name + state + b"."))
    assert torch_file.WeightsUnpickler.tensor.__defaults__ is None
    assert torch_file.OrderedDict.__init__.__qualname__ == "OrderedDict.__init__"
    np.testing.assert_array_equal(read(contents())["w"], NUMBERS.reshape(2, 3))


WRONG = {
    "negative count": {"tensors": named(w=tensor(storage(count=-6)))},
    "count that is text": {"tensors": named(w=tensor(storage(count="6")))},
    "count that is true": {"tensors": named(w=tensor(storage(count=True)))},
    "huge count": {"tensors": named(w=tensor(storage(count=2**62)))},
    "count of gigabytes": {"tensors": named(w=tensor(storage(count=2**28)))},
    "negative offset": {"tensors": named(w=tensor(offset=-1))},
    "offset beyond": {"tensors": named(w=tensor(offset=1))},
    "negative side": {"tensors": named(w=tensor(shape=(-2, 3)))},
    "no side": {"tensors": named(w=tensor(shape=(0, 3)))},
    "fraction": {"tensors": named(w=tensor(shape=(2.0, 3)))},
    "huge shape": {"tensors": named(w=tensor(shape=(2**40, 2**40)))},
    "huge shape on one number": {
        "tensors": named(w=tensor(shape=(2**20, 2**20), strides=(0, 0)))
    },
    "negative stride": {"tensors": named(w=tensor(strides=(-3, 1)))},
    "stride beyond": {"tensors": named(w=tensor(strides=(4, 1)))},
    "fewer strides": {"tensors": named(w=tensor(strides=(3,)))},
    "no storage": {"tensors": named(w=tensor(inner("storage")))},
    "reference to something else": {"tensors": named(w=tensor(storage(name="module")))},
    "key that is no text": {"tensors": named(w=tensor(storage(key=1)))},
    "two descriptions": {
        "tensors": named(
            w=tensor(), v=tensor(storage(count=3), shape=(3,), strides=(1,))
        )
    },
    "no tensor": {"tensors": named(w=inner(1))},
    "name that is no text": {
        "tensors": START + ORDERED_DICT + b")R(" + inner(1) + tensor() + b"u."
    },
    "plain dictionary": {"tensors": START + b"}(" + inner("w") + tensor() + b"u."},
    "only a tensor": {"tensors": START + tensor() + b"."},
    "arguments for the dictionary": {
        "tensors": START + ORDERED_DICT + b"(" + inner([]) + b"tR."
    },
    "other magic": {"magic": MAGIC + 1},
    "other protocol": {"protocol": 1002},
    "key missing": {"keys": ()},
    "key twice": {"keys": ("1", "1")},
    "other key": {"keys": ("2",)},
    "key of another kind": {"keys": ([],)},
    "other count in the data": {"data": struct.pack("<q", 5) + NUMBERS.tobytes()},
    "negative count in the data": {"data": struct.pack("<q", -1) + NUMBERS.tobytes()},
    "more data": {"data": DATA + b"\0"},
    "no data": {"data": b""},
    "remembered at a huge place": {
        "system": START + b"}r" + struct.pack("<I", 2**32 - 1) + b"x."
    },
    "text of 8 exabytes": {
        "system": START + b"\x8d" + struct.pack("<Q", 2**63 - 1) + b"a."
    },
    "bytes of 4 gigabytes": {
        "system": START + b"B" + struct.pack("<I", 2**32 - 1) + b"a."
    },
    "a frame of 8 exabytes": {
        "system": b"\x80\x04\x95" + struct.pack("<Q", 2**63 - 1) + b"N."
    },
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_does_not_fit_is_refused(read, fault):
    with pytest.raises(TorchFileError):
        read(contents(**WRONG[fault]))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"PK\x03\x04", b"<!doctype html>", bytes(1000)]
)
def test_what_is_no_such_file_is_refused(read, data):
    with pytest.raises(TorchFileError):
        read(data)


def test_every_truncation_is_noticed(read):
    data = contents()
    for end in range(len(data)):
        with pytest.raises(TorchFileError):
            read(data[:end])


def test_damage_is_noticed_or_harmless(read):
    """Each byte changed in turn: a typed error or, for a number or a name, another
    value."""
    data = bytearray(contents())
    for place in range(len(data)):
        damaged = data.copy()
        damaged[place] ^= 0x55
        try:
            arrays = read(bytes(damaged))
        except TorchFileError:
            continue
        assert all(array.size <= 6 for array in arrays.values())


def test_a_large_file_is_not_even_read(tmp_path):
    path = tmp_path / "large.pth"
    with path.open("wb") as file:
        file.truncate(torch_file.MAX_BYTES + 1)
    with pytest.raises(TorchFileError, match="over 256 MB"):
        read_torch_file(path)


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "none.pth")


MEASURE = """
import resource, sys
import numpy
from safeguards.torch_file import TorchFileError, read_torch_file
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_torch_file(sys.argv[1])
except TorchFileError:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
GREEDY = {
    "remembered at a huge place": WRONG["remembered at a huge place"],
    "count of gigabytes": WRONG["count of gigabytes"],
    "huge shape on one number": WRONG["huge shape on one number"],
    "bytes of 4 gigabytes": WRONG["bytes of 4 gigabytes"],
    "a list that holds itself": {"system": START + b"]q\0" + b"h\0a" * 100_000 + b"."},
}


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel counts in kilobytes on Linux only"
)
@pytest.mark.parametrize("fault", thorough_but(GREEDY, "count of gigabytes"))
def test_memory_is_bounded_by_the_file(tmp_path, fault):
    path = tmp_path / "greedy.pth"
    path.write_bytes(contents(**GREEDY[fault]))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30_000, "kilobytes"
