"""What callers pass to layers and cells: a cell, its choices, states, and a batch in some layout."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import torch

from tidegate.cell import Cell, Graph
from tidegate.errors import InputError, did_you_mean
from tidegate.runtime import SizedCell
from tidegate.zoo import find

States = tuple[torch.Tensor, ...]


class Outside:
    """The layout of the caller's batch. Layers compute on [T, B, ...].

    Args:
        batched: the batch has an axis of sequences.
        batch_first: the axis of sequences comes first.
    """

    def __init__(self, *, batched: bool, batch_first: bool) -> None:
        self.batched, self.batch_first = batched, batch_first

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """Convert from the caller's layout to [T, B, ...]."""
        if not self.batched:
            return x.unsqueeze(1)
        return x.transpose(0, 1) if self.batch_first else x

    def enter_mask(self, mask: torch.Tensor) -> torch.Tensor:
        """Convert a mask to [T, B]; ``check_resets`` rejects one of another rank."""
        if not isinstance(mask, torch.Tensor) or mask.dim() != (2 if self.batched else 1):
            return mask
        return self.enter(mask)

    def outer(self, steps: int, size: int) -> tuple[int, ...]:
        """The shape of the caller's batch without its features."""
        if not self.batched:
            return (steps,)
        return (size, steps) if self.batch_first else (steps, size)

    def leave(self, y: Any) -> Any:
        """Convert from [T, B, ...] to the caller's layout."""
        if not self.batched:
            return y.squeeze(1)
        return y.transpose(0, 1) if self.batch_first else y


def shown_widths(cell: SizedCell, said: Container[str] = ()) -> str:
    """How a module prints the widths of the cell's own axes but for those that are said otherwise; empty for none."""
    own = {axis: cell.widths[axis] for axis in cell.graph.own_axes if axis not in said}
    return f", widths={own}" if own else ""


def graph_of(cell: type[Cell] | Graph | str) -> Graph:
    """The graph of a cell that a caller has passed.

    Raises:
        InputError: it is not a cell, or a graph with masks.
    """
    if isinstance(cell, Graph):
        if cell.masks:
            names = " ".join(mask.name for mask in cell.masks)
            raise InputError(
                "CELL_MASKS", f"{cell.name} has masks ({names}), but a layer draws its masks itself",
                fix="pass the cell without masks, and zoneout= or recurrent_dropout= to the layer",
            )  # fmt: skip
        return cell
    if isinstance(cell, str):
        return find(cell).graph
    if isinstance(cell, type) and issubclass(cell, Cell) and hasattr(cell, "graph"):
        return cell.graph
    raise InputError(
        "CELL",
        f"{cell!r:.80} is not a cell",
        fix="pass a subclass of tidegate.Cell with a step, or a name such as 'gru'",
    )


def variant(family: type[Cell], **choices: str) -> type[Cell]:
    """The cell of a family with these choices, e.g. ``variant(zoo.GRU, reset="before")``.

    Raises:
        InputError: the family does not have this choice; the message lists its choices and the closest one.
    """
    for name, choice in choices.items():
        allowed = family.options[name]
        if choice not in allowed:
            near = did_you_mean(choice, allowed) if isinstance(choice, str) else ""
            raise InputError(
                "OPTION",
                f"{name} must be {' or '.join(map(repr, allowed))}, got {choice!r:.40}{near}",
                fix=f"pass {name}={allowed[0]!r} to get the layer of torch.nn",
            )
    return family.variant(**choices)


def as_states(hx: Any, names: list[str]) -> States:
    """The states that a caller has passed: a tensor for a cell with one state, else a tuple, list or stack of tensors.

    Raises:
        InputError: not one tensor for each name.
    """
    several = isinstance(hx, torch.Tensor) and hx.dim() > 0 and len(hx) == len(names) > 1  # torch unpacks a stack too
    states = tuple(hx) if several or isinstance(hx, (tuple, list)) else (hx,)
    if len(states) != len(names) or not all(isinstance(state, torch.Tensor) for state in states):
        got = ", ".join(type(state).__name__ for state in states)
        raise InputError(
            "STATE",
            f"this cell has the states {' '.join(names)}, but hx is ({got})",
            fix=f"pass {len(names)} tensor(s)",
        )
    return states
