"""What callers pass to layers and cells: a cell, states, a layout of the batch."""

from __future__ import annotations

from typing import Any

import torch

from tidegate.cell import Cell, Graph
from tidegate.errors import InputError, did_you_mean
from tidegate.runtime import SizedCell
from tidegate.zoo import find

States = tuple[torch.Tensor, ...]


class Outside:
    """The caller's layout of a batch, against [T, B, ...] inside."""

    def __init__(self, *, batched: bool, batch_first: bool) -> None:
        self.batched, self.batch_first = batched, batch_first

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        if not self.batched:
            return x.unsqueeze(1)
        return x.transpose(0, 1) if self.batch_first else x

    def enter_mask(self, mask: torch.Tensor) -> torch.Tensor:
        if not isinstance(mask, torch.Tensor) or mask.dim() != (2 if self.batched else 1):
            return mask  # refused where its shape is checked
        return self.enter(mask)

    def leave(self, y: Any) -> Any:
        if not self.batched:
            return y.squeeze(1)
        return y.transpose(0, 1) if self.batch_first else y


def shown_widths(cell: SizedCell) -> str:
    """What a module prints of the axes that its cell has of its own."""
    own = {axis: cell.widths[axis] for axis in cell.graph.own_axes}
    return f", widths={own}" if own else ""


def graph_of(cell: type[Cell] | Graph | str) -> Graph:
    """The graph of what a caller names as a cell.

    Raises:
        InputError: it is none.
    """
    if isinstance(cell, Graph):
        if cell.masks:
            names = " ".join(mask.name for mask in cell.masks)
            raise InputError(
                "CELL_MASKS", f"{cell.name} has masks ({names}), which a layer draws itself",
                fix="pass the cell without them, and zoneout= or recurrent_dropout= to the layer",
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
        InputError: a choice that the family does not have; the message names those that it has, and the nearest.
    """
    for name, choice in choices.items():
        allowed = family.options[name]
        if choice not in allowed:
            near = did_you_mean(choice, allowed) if isinstance(choice, str) else ""
            raise InputError(
                "OPTION",
                f"{name} must be {' or '.join(map(repr, allowed))}, got {choice!r:.40}{near}",
                fix=f"pass {name}={allowed[0]!r} for the layer that torch.nn has",
            )
    return family.variant(**choices)


def as_states(hx: Any, names: list[str]) -> States:
    """The states as a caller passes them: a tensor for a cell with one state, else a tuple, a list or a stack of them.

    Raises:
        InputError: they are not one tensor for each name.
    """
    several = isinstance(hx, torch.Tensor) and hx.dim() > 0 and len(hx) == len(names) > 1  # torch takes these apart too
    states = tuple(hx) if several or isinstance(hx, (tuple, list)) else (hx,)
    if len(states) != len(names) or not all(isinstance(state, torch.Tensor) for state in states):
        got = ", ".join(type(state).__name__ for state in states)
        raise InputError(
            "STATE",
            f"this cell has the states {' '.join(names)}, but hx is ({got})",
            fix=f"pass {len(names)} tensor(s)",
        )
    return states
