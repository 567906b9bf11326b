"""The recurrent cells in an HDF5 file of Keras: their arrays, and the names of the layers around them.

Only datasets of the file itself are read: no link to another file is followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.convert.file.archive import check_size, refusing
from tidegate.convert.layout import Arrays
from tidegate.errors import InputError, explain_missing, visible

NAMES = ("kernel", "recurrent_kernel", "bias")
CONTAINERS = ("layers", "_layer_checkpoint_dependencies", "cells", "cell", "vars")  # of Keras 3, between the layers
SIDE = re.compile(r"(forward|backward)_")
DAMAGES = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    UnicodeError,
    MemoryError,
)


@dataclass
class Unit:
    """A layer of a file: what stands under one name.

    Attributes:
        names: of it and of the models around it, as their author calls them.
        path: the same as Keras 3 numbers them by their classes.
        sides: its arrays by the names of ``NAMES``, those of a backward half under True.
    """

    names: tuple[str, ...]
    path: tuple[str, ...]
    sides: dict[bool, Arrays] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """What an HDF5 file of Keras says: its layers, its version, its configuration as JSON."""

    units: list[Unit]
    version: str
    config: str


def content(path: Path, data: bytes | None = None) -> Content:
    """Read a file.

    Args:
        path: of the file, or of the archive that it is a member of.
        data: of a member.

    Raises:
        InputError: it is damaged.
        MissingError: the package h5py is not installed.
    """
    with explain_missing():
        import h5py  # optional, and only files of Keras need it
    with refusing(path, *DAMAGES), h5py.File(path if data is None else BytesIO(data), "r") as file:
        places: dict[str, dict[str, Any]] = {}
        called: dict[str, str] = {}

        def visit(name: str, item: Any) -> None:
            parent, _, last = name.rpartition("/")
            if isinstance(item, h5py.Dataset):
                places.setdefault(parent, {})[last.partition(":")[0]] = item
            elif last == "vars" and "name" in item.attrs:
                called[parent] = _text(item.attrs["name"])

        file.visititems(visit)
        attributes = dict(file.attrs.items())
        root = file.get("model_weights", file)
        version = _text(attributes.get("keras_version", root.attrs.get("keras_version", "")))
        return Content(_units(path, places, called), version, _text(attributes.get("model_config", "")))


def _units(path: Path, places: Mapping[str, dict[str, Any]], called: Mapping[str, str]) -> list[Unit]:
    units: dict[tuple[str, ...], Unit] = {}
    for place, datasets in places.items():
        parts = place.split("/")
        arrays = _cell(parts, datasets)
        if arrays is None or parts[0] == "optimizer_weights":
            continue
        names = list(_names(parts, called))
        backward = "backward_layer" in parts or any(name.startswith("backward_") for name in names[1:])
        key = (*names[:1], *(SIDE.sub("", name) for name in names[1:]))
        unit = units.setdefault(key, Unit(key, tuple(part for part in parts if part not in CONTAINERS)))
        if backward in unit.sides:
            raise InputError("READ_NAMES", f"{visible(place)} has the name of another layer", fix="save it again")
        unit.sides[backward] = {name: _array(path, dataset) for name, dataset in arrays.items()}
    return list(units.values())


def _cell(parts: list[str], datasets: Mapping[str, Any]) -> dict[str, Any] | None:
    """The datasets of a recurrent cell by the names that old files give them; None if they belong to something else."""
    if parts[-1] == "vars" and ("cell" in parts[-2:-1] or "cells" in parts[-3:-2]):
        numbered = dict(zip(NAMES, (datasets.get(str(k)) for k in range(3)), strict=True))
        found = {name: dataset for name, dataset in numbered.items() if dataset is not None}
    else:
        found = {name: dataset for name, dataset in datasets.items() if name in NAMES}
    return found if "recurrent_kernel" in found else None


def _names(parts: list[str], called: Mapping[str, str]) -> Iterator[str]:
    """The names on the way to a cell, each once, without those of the cell itself."""
    before = ""
    for k, part in enumerate(parts):
        name = called.get("/".join(parts[: k + 1]), part)
        is_cell = re.fullmatch(r".*cell(_\d+)?|cell|vars|stacked_rnn_cells(_\d+)?", name)
        if (part in CONTAINERS and name == part) or part == "model_weights" or name == before:
            continue
        if not is_cell or parts[k - 1].startswith(("cells", "stacked_rnn_cells")):
            yield name
        before = name


def _array(path: Path, dataset: Any) -> Any:
    if dataset.external or dataset.is_virtual:
        raise InputError(
            "READ_FILE", f"{visible(dataset.name)} of {visible(str(path))} lies in another file", fix="do not trust it"
        )
    if dataset.dtype.kind != "f":
        raise InputError("READ_FILE", f"{visible(dataset.name)} holds {dataset.dtype}, no floating-point numbers")
    check_size(path, dataset.nbytes)
    return np.asarray(dataset[()])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
