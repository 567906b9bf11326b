"""What torch.save wrote: a ``state_dict``, or a checkpoint that has one; nothing else is unpickled."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from tidegate.convert.file.archive import check_size, opened, refusing
from tidegate.convert.file.named import layers_of
from tidegate.convert.file.tree import leaves
from tidegate.convert.found import FoundLayer
from tidegate.convert.own import as_array
from tidegate.errors import InputError, visible

GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
DAMAGES = (  # what torch raises of damaged files, which may be nearly anything
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(TypeError, ValueError, struct.error, zlib.error),
)


def read(path: Path) -> list[FoundLayer]:
    """Its recurrent layers, by the names of their arrays.

    Raises:
        InputError: it is damaged, much larger when unpacked, or asks for more than tensors.
    """
    if zipfile.is_zipfile(path):
        with opened(path):
            pass
    with refusing(path, *DAMAGES):
        held = _loaded(path)
        tensors = dict(leaves(held, torch.Tensor))
        for tensor in tensors.values():
            check_size(path, tensor.nelement() * tensor.element_size())
        return layers_of({name: as_array(tensor) for name, tensor in tensors.items() if not tensor.is_sparse})


def _loaded(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = GLOBAL.search(str(error))
        what = f"asks for {visible(found[1])}" if found else "is no plain pickle of tensors"
        raise InputError(
            "READ_PICKLE",
            f"{visible(str(path))} {what}; only tensors are unpickled, since anything else may run code",
            fix="save model.state_dict() where you trust the file, or a .safetensors",
        ) from error
