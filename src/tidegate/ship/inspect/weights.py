"""Formats whose layers ``tidegate.convert.read`` lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.convert import read
from tidegate.errors import InputError, visible
from tidegate.ship.inspect.inspection import Inspection
from tidegate.ship.target import FORMATS

PRUNED = 0.01  # a layer of which a larger share is zero says so


def weights_file(file: Path, content: bytes) -> Inspection:
    """Formats whose layers ``tidegate.convert.read`` lists."""
    if file.name.endswith(".facts.json"):
        raise InputError(
            "INSPECT", f"{visible(str(file))} has the facts of shipped files", fix="pass the files that it names"
        )
    to = {".nam": "nam", ".json": "rtneural", ".safetensors": "safetensors"}.get(file.suffix, "")
    to = "dnnw" if content[:4] == b"DNNw" else to
    if not to:
        known = ".onnx, .c, .h, .nam, .json, .safetensors and DNNw files"
        raise InputError(
            "INSPECT", f"{visible(str(file))} is of no format that is known here", fix=f"pass one of {known}"
        )
    reading = read(file)
    facts: dict[str, str] = {}
    for found in reading:
        facts |= {str(key): str(value)[:80] for key, value in found.facts.items()}
    return Inspection(
        file,
        FORMATS[to].says.removeprefix("a "),
        len(content),
        facts,
        layers=[_line(found) for found in reading],
        multiplies=sum(_weighed(found) for found in reading) or None,
        runs=FORMATS[to].runs,
        beware=FORMATS[to].beware,
    )


def _line(found: Any) -> str:
    if found.fault:
        return f"{found.name}: {found.fault}"
    stack = f", {found.layers} layers" if found.layers > 1 else ""
    head = f", linear head of {len(found.head['weight'])}" if found.head else ""
    size = f"{found.input_size} -> {found.hidden_size}"
    return f"{found.name} {found.kind} {size}{stack}, {found.directions}{head}{_zeros(found)}"


def _zeros(found: Any) -> str:
    """How many weights of a pruned layer are zero; nothing of others."""
    zeros = sum(int((matrix == 0).sum()) for matrix in _matrices(found))
    return f", {zeros:,} of its weights are zero" if zeros > PRUNED * _weighed(found) else ""


def _matrices(found: Any) -> list[Any]:
    pieces = [value for of_layer in found.passes for own in of_layer for value in own.values()]
    return [value for value in pieces if getattr(value, "ndim", 0) == 2]


def _weighed(found: Any) -> int:
    """Multiplications of a step."""
    own = sum(matrix.size for matrix in _matrices(found))
    return int(own) + (found.head["weight"].size if found.head else 0)
