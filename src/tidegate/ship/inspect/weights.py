"""Formats whose layers ``tidegate.convert.read`` lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.convert import read
from tidegate.errors import InputError, visible
from tidegate.ship.inspect.inspection import Inspection
from tidegate.ship.target import FORMATS


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
    return f"{found.name} {found.kind} {found.input_size} -> {found.hidden_size}{stack}, {found.directions}{head}"


def _weighed(found: Any) -> int:
    """Multiplications of a step."""
    matrices = [
        value.size
        for of_layer in found.passes
        for pieces in of_layer
        for name, value in pieces.items()
        if getattr(value, "ndim", 0) == 2
    ]
    return int(sum(matrices)) + (found.head["weight"].size if found.head else 0)
