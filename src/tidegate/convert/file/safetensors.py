"""A .safetensors file: arrays by name, as a ``state_dict`` has them."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from tidegate.convert.file.archive import refusing
from tidegate.convert.file.named import layers_of
from tidegate.convert.found import FoundLayer
from tidegate.convert.own import as_array


def read(path: Path) -> list[FoundLayer]:
    """Its recurrent layers, by the names of their arrays.

    Raises:
        InputError: it is damaged.
    """
    with refusing(path, SafetensorError, OSError, ValueError, RuntimeError):
        held = load_file(path)
    return layers_of({name: as_array(value) for name, value in held.items()})
