"""Weights from a file in PyTorch's old format, without PyTorch and without its code.

Such a file holds five pickles one after another: a magic number, the protocol, system
information, the tensors' shapes, the list of storage keys. Then, for each key, comes an
int64 count and as many little-endian numbers. A pickle can call any function it names,
so this reader knows four names and refuses every other. Source:
`torch/serialization.py` (`_legacy_load`)."""

import io
import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MAX_BYTES = 256 * 2**20  # of a file: ten times the largest that is read here
MAX_TENSORS = 10_000
STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}


class TorchFileError(ValueError):
    """A file isn't one of weights in PyTorch's old format; says what is wrong."""


class Storage(NamedTuple):
    """A row of numbers that tensors point into: its name in the file, dtype, length."""

    key: str
    dtype: np.dtype
    count: int


class Tensor(NamedTuple):
    """Where a tensor's numbers are: in `storage`, from `offset`, `strides` apart.

    All three count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


# Python's own unpickler, as the one in C makes room for as many remembered objects as a
# file claims.
class WeightsUnpickler(pickle._Unpickler):
    """Unpickles tensors' names and shapes; refuses all else that a pickle asks for."""

    def find_class(self, module, name):
        """What stands for one of the four names; `TorchFileError` for any other."""
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # New functions each time: a pickle could change attributes of shared ones.
            return lambda *arguments: self.tensor(*arguments)
        if (module, name) == ("collections", "OrderedDict"):
            return lambda: OrderedDict()
        if module == "torch" and name in STORAGES:
            return name
        full_name = f"{module}.{name}"
        raise TorchFileError(f"it asks for {full_name:.100}, which is not weights")

    def persistent_load(self, pid):
        """The `Storage` that a pickle refers to; `TorchFileError` for anything else."""
        kind, storage_type, key, _device, count = pid[:5]
        is_known = kind == "storage" and storage_type in STORAGES
        if not is_known or not isinstance(key, str):
            raise TorchFileError(f"it refers to {pid!r:.100}, which is not a storage")
        check_counts(count)
        return Storage(key, STORAGES[storage_type], count)

    @staticmethod
    def tensor(storage, offset, shape, strides, *_gradient):
        """The arguments of PyTorch's `_rebuild_tensor_v2` → a `Tensor`."""
        if not isinstance(storage, Storage):
            raise TorchFileError("a tensor has no storage")
        check_counts(offset, *shape, *strides)
        last = offset
        for side, stride in zip(shape, strides, strict=True):
            last += (side - 1) * stride
        if 0 in shape or last >= storage.count or math.prod(shape) > storage.count:
            raise TorchFileError("a tensor is empty or reaches beyond its storage")
        return Tensor(storage, offset, tuple(shape), tuple(strides))


def check_counts(*counts):
    """TorchFileError unless each is an int from 0 to the size of the largest file."""
    for count in counts:
        if type(count) is not int or not 0 <= count <= MAX_BYTES:
            raise TorchFileError(f"it holds the count {count!r:.50}")


def read_torch_file(path):
    """The weights in a file of PyTorch's old format: {name: array}, in the file's
    order.

    Arrays are float32 or int64, in PyTorch's layout, and read-only. No code from the
    file runs, and it takes no more memory than a few times the file's size. Raises an
    OSError where it can't be read, a TorchFileError if it's damaged, of another format,
    over MAX_BYTES, or asks for anything but weights."""
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise TorchFileError(f"{path}: over {MAX_BYTES // 2**20} MB")
    file = io.BytesIO(path.read_bytes())
    try:
        return read_weights(file)
    except TorchFileError as error:
        raise TorchFileError(f"{path}: {error}") from None
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # an unpickler may raise anything on a damaged file
        raise TorchFileError(f"{path}: damaged ({error!r:.100})") from error


def read_weights(file):
    """What `read_torch_file` does, from a binary file in memory."""
    magic = _unpickle(file)
    protocol = _unpickle(file)
    _unpickle(file)  # information on the system that wrote it
    tensors = _unpickle(file)
    keys = _unpickle(file)
    if (magic, protocol) != (MAGIC, PROTOCOL):
        raise TorchFileError("not PyTorch's old format")
    _check_tensors(tensors)
    storages = _storages_of(tensors)
    is_list = isinstance(keys, list) and len(keys) == len(storages)
    if not is_list or set(keys) != set(storages):
        raise TorchFileError("its list of storages is another than its weights need")
    numbers = {}
    for key in keys:
        numbers[key] = read_storage(file, storages[key])
    if file.read(1):
        raise TorchFileError("something follows the last weight")
    arrays = {}
    for name, tensor in tensors.items():
        arrays[name] = _array_of(tensor, numbers[tensor.storage.key])
    return arrays


def _unpickle(file):
    """The next pickle in a file."""
    return WeightsUnpickler(file).load()


def _check_tensors(tensors):
    """TorchFileError unless this is an OrderedDict of names and tensors."""
    if not isinstance(tensors, OrderedDict) or len(tensors) > MAX_TENSORS:
        raise TorchFileError("it holds no list of named weights")
    if not all(isinstance(name, str) for name in tensors):
        raise TorchFileError("a weight has no name")
    if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise TorchFileError("it holds more than weights")


def _storages_of(tensors):
    """The storages that tensors need: {key: `Storage`}."""
    storages = {}
    for tensor in tensors.values():
        storage = tensor.storage
        if storages.setdefault(storage.key, storage) != storage:
            raise TorchFileError("a storage is described in two ways")
    return storages


def read_storage(file, storage):
    """The next count and numbers in a file, which must be those of `storage`."""
    count = int.from_bytes(file.read(8), "little", signed=True)
    if count != storage.count:
        raise TorchFileError(f"a storage has {count} numbers, not {storage.count}")
    byte_count = count * storage.dtype.itemsize
    data = file.read(byte_count)
    if len(data) < byte_count:
        raise TorchFileError("its end is missing")
    return np.frombuffer(data, storage.dtype)


def _array_of(tensor, numbers):
    """A tensor as an array that shares the memory of its storage's numbers."""
    item_size = tensor.storage.dtype.itemsize
    byte_strides = [stride * item_size for stride in tensor.strides]
    start = numbers[tensor.offset :]
    return as_strided(start, tensor.shape, byte_strides, writeable=False)
