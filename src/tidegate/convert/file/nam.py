"""Neural Amp Modeler: its .nam files, JSON with all numbers in one list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.convert.file.text import array, damaged, facts, json_object, whole
from tidegate.convert.found import PRIVACY, FoundLayer, usual
from tidegate.convert.layout import Array, Pieces, to_pieces
from tidegate.convert.table import NAM
from tidegate.errors import InputError, visible

LSTM = "LSTM"
CONTAINER = "SlimmableContainer"  # several models of one amplifier
VERSION = re.compile(r"0\.[567]\.\d+")
KNOWN = ("version", "architecture", "config", "weights")


def read(path: Path) -> list[FoundLayer]:
    """The LSTMs of a file: of the model itself, or of the models in a container.

    Raises:
        InputError: it is damaged, of another version than 0.5 to 0.7, or has no LSTM.
    """
    return layers(path, json_object(path))


def layers(path: Path, file: Mapping[str, Any]) -> list[FoundLayer]:
    """The same of what a file holds."""
    found, others = [], []
    for name, model in _models(path, file, LSTM.lower()):
        if model["architecture"] == LSTM:
            found.append(_layer(path, model, name))
        else:
            others.append(str(model["architecture"]))
    if not found:
        raise InputError(
            "READ_LAYER", f"{visible(str(path))} holds {visible(', '.join(others) or 'nothing')}, no LSTM",
            fix="its convolutions are none of our layers",
        )  # fmt: skip
    return found


def _models(path: Path, file: Any, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(file, dict) or not all(key in file for key in KNOWN) or not isinstance(file["config"], dict):
        raise damaged(path, f"{name} lacks one of {', '.join(KNOWN)}")
    if not VERSION.fullmatch(str(file["version"])):
        raise damaged(path, f"it is of version {str(file['version'])[:20]}; 0.5 to 0.7 are read")
    if file["architecture"] != CONTAINER:
        yield name, file
        return
    inside = file["config"].get("submodels")
    for k, one in enumerate(inside if isinstance(inside, list) else [None]):
        yield from _models(path, one.get("model") if isinstance(one, dict) else None, f"submodels.{k}")


def _layer(path: Path, model: Mapping[str, Any], name: str) -> FoundLayer:
    config = model["config"]
    I, H, count = (whole(path, config, key) for key in ("input_size", "hidden_size", "num_layers"))
    O = whole(path, config, "out_channels", 1)
    expected = sum(4 * H * (width + H + 1) + 2 * H for width in (I, H)[:count]) + O * (H + 1)
    expected += max(0, count - 2) * (4 * H * (2 * H + 1) + 2 * H)
    numbers = array(path, model["weights"], "weights")
    if numbers.ndim != 1 or len(numbers) != expected:
        raise damaged(path, f"{count} layer(s) of {H} units need {expected} weights, there are {numbers.size}")
    rest = _Rest(numbers)
    passes = tuple((rest.layer(I if k == 0 else H, H),) for k in range(count))
    head = {"weight": rest.take(O, H), "bias": rest.take(O)}
    return FoundLayer(
        name,
        "lstm",
        passes,
        usual("lstm"),
        where=f"version {model['version']}",
        head=head,
        facts=_facts(model),
    )


class _Rest:
    """Numbers that have not been taken yet."""

    def __init__(self, numbers: Array) -> None:
        self.numbers = numbers

    def take(self, *shape: int) -> Array:
        taken, self.numbers = np.split(self.numbers, [int(np.prod(shape))])
        return taken.reshape(shape)

    def layer(self, width: int, H: int) -> Pieces:
        both = self.take(4 * H, width + H)
        arrays = {
            "W": both[:, :width],
            "U": both[:, width:],
            "b": self.take(4 * H),
            "h": self.take(H),
            "c": self.take(H),
        }
        return to_pieces(NAM["lstm"], arrays)


def _facts(model: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says in single values, and the promise of privacy among its metadata."""
    metadata = model.get("metadata")
    promise = {PRIVACY: metadata[PRIVACY]} if isinstance(metadata, dict) and PRIVACY in metadata else {}
    return {**facts(model, *KNOWN), **promise}
