"""TorchScript: its archive read as data. The code in it is never compiled or run."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from tidegate.convert.file.archive import check_size, opened, refusing
from tidegate.convert.file.named import layers_of
from tidegate.convert.file.tree import leaves
from tidegate.convert.found import FoundLayer
from tidegate.convert.own import as_array
from tidegate.errors import visible

TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
DAMAGES = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError, StopIteration, TypeError),
    *(ValueError, pickle.UnpicklingError, struct.error),
)


def read(path: Path) -> list[FoundLayer]:
    """Its recurrent layers, by the paths of their parameters in the scripted module.

    Raises:
        InputError: it is damaged, much larger when unpacked, or its data ask for something that no module has.
    """
    with opened(path) as archive, refusing(path, *DAMAGES):
        root = next(name for name in archive.namelist() if name.endswith("data.pkl")).removesuffix("data.pkl")
        if _text(archive, f"{root}byteorder") == "big":
            raise ValueError("its numbers are big-endian")
        module = _Reader(path, archive, root).load()
        tensors = {name: as_array(tensor) for name, tensor in leaves(module, torch.Tensor)}
    return layers_of(tensors)


class _Module(dict[str, Any]):
    """An object of a scripted class: its attributes and nothing else."""

    def __setstate__(self, state: Any) -> None:
        self.update(state if isinstance(state, dict) else {"state": state})


def _rebuilt(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    """A view of a storage; torch checks that it lies inside."""
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _same(values: Any, *_: Any) -> Any:
    return values


FUNCTIONS: Mapping[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
    ("torch._utils", "_rebuild_parameter"): _same,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch.jit._pickle", "restore_type_tag"): _same,
    **{("torch.jit._pickle", f"build_{kind}list"): _same for kind in ("int", "double", "bool", "tensor")},
}


class _Reader(pickle.Unpickler):
    """Reads the pickle of an archive. A name in it is one of ``FUNCTIONS``, or only marks an object of the module."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(BytesIO(archive.read(f"{root}data.pkl")))
        self.path, self.archive, self.root = path, archive, root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in FUNCTIONS:
            return FUNCTIONS[module, name]
        if module == "torch" and name in TYPES:
            return TYPES[name]
        if module.partition(".")[0] == "__torch__":
            return _Module
        raise pickle.UnpicklingError(f"it asks for {visible(f'{module}.{name}')}, which no scripted module has")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError("it refers to something that is no storage")
        check_size(self.path, count * dtype.itemsize)
        data = bytearray(self.archive.read(f"{self.root}data/{key}"))
        return torch.frombuffer(data, dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)


def _text(archive: zipfile.ZipFile, name: str) -> str:
    return archive.read(name).decode() if name in archive.namelist() else ""
