"""What a caller passes beside the input, such as time: checked once, at the edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tidegate.cell.graph import ONE, all_widths
from tidegate.errors import InputError, did_you_mean
from tidegate.runtime import SizedCell


def taken(cell: SizedCell, given: Any, outer: Sequence[int], dtype: torch.dtype) -> list[torch.Tensor]:
    """What is given to a call, in the order of the cell.

    Args:
        cell: with its widths.
        given: what the caller passed, by name; None for nothing.
        outer: the shape of the input without its features.
        dtype: of the layer.

    Returns:
        For each value [*outer, width], of this dtype.

    Raises:
        InputError: a value is missing, is none that the cell reads, or has another shape or type.
    """
    if given is None and not cell.graph.given:
        return []
    _check_names(cell, given)
    axes = all_widths(cell.widths)
    return [_value(v.name, given[v.name], outer, axes[v.axis], v.axis == ONE, dtype) for v in cell.graph.given]


def _check_names(cell: SizedCell, given: Any) -> None:
    graph = cell.graph
    names = [value.name for value in graph.given]
    example = ", ".join(f"{name!r}: {name}" for name in names)
    fix = f"pass given={{{example}}}" if names else "leave given= out"
    if not names:
        raise InputError("GIVEN", f"{graph.name} reads nothing beside its input, but given= was passed", fix=fix)
    if not isinstance(given, Mapping):
        got = "nothing" if given is None else type(given).__name__
        raise InputError("GIVEN", f"{graph.name} reads {' and '.join(names)} beside its input, got {got}", fix=fix)
    if missing := [name for name in names if name not in given]:
        raise InputError("GIVEN", f"{graph.name} reads {missing[0]!r}, which given= lacks", fix=fix)
    if odd := [name for name in given if name not in names]:
        near = did_you_mean(odd[0], names) if isinstance(odd[0], str) else ""
        raise InputError("GIVEN", f"given= has {odd[0]!r:.40}, which {graph.name} does not read{near}", fix=fix)


def _value(
    name: str, value: Any, outer: Sequence[int], width: int, is_number: bool, dtype: torch.dtype
) -> torch.Tensor:
    """One of them, [*outer, width]."""
    shape = [*outer, width]
    if not isinstance(value, torch.Tensor):
        got = type(value).__name__
        raise InputError("GIVEN", f"given {name!r} is a {got}, expected a tensor", fix=f"pass a tensor {shape}")
    if [*value.shape] == [*outer] and is_number:
        value = value.unsqueeze(-1)
    if [*value.shape] != shape:
        expected = f"{[*outer]}, one number for each row" if is_number else f"{shape}"
        raise InputError(
            "GIVEN", f"given {name!r} has the shape {[*value.shape]}, expected {expected}", fix="reshape it"
        )
    cast = torch.is_autocast_enabled("cpu") and value.is_floating_point()
    if value.dtype not in (dtype, torch.bool) and not cast:
        raise InputError(
            "GIVEN", f"given {name!r} is {value.dtype}, the layer {dtype}", fix=f"pass .to({dtype}), or booleans"
        )
    rows: torch.Tensor = value.to(dtype)
    return rows
