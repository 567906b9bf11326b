"""Layers in whole numbers, one behind another: what ``tg.ship.quantise`` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate.ship.int8.unit import Unit, entered

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Quantised:
    """A recurrent layer in whole numbers, as its C computes it.

    Attributes:
        units: for each layer its directions.
        batch_first: the layout of inputs and outputs, as the layer has it.
    """

    units: Sequence[Sequence[Unit]]
    batch_first: bool

    def run(self, x: Any, hx: Any = None, *, lengths: Any = None) -> tuple[Floats, Floats | tuple[Floats, ...]]:
        """Run all layers over whole sequences, with the integers that the C computes.

        Args:
            x: float32 ``[T, B, I]``, or ``[B, T, I]`` of a layer with ``batch_first``.
            hx: the states before the first step, as the layer takes them; the layer's own first states by default.
            lengths: the number of steps of each sequence; all by default.

        Returns:
            The output, zero after the end of a sequence, and the last states, as the layer returns them.
        """
        values = np.asarray(x, np.float32)
        values = values.swapaxes(0, 1) if self.batch_first else values
        ends = np.full(values.shape[1], len(values)) if lengths is None else np.asarray(lengths)
        last: list[dict[str, Floats]] = []
        for k, directions in enumerate(self.units):
            outputs = []
            for d, unit in enumerate(directions):
                at = k * len(directions) + d
                output, states = _run(unit, values, ends, None if hx is None else _rows(hx, at), reverse=bool(d))
                outputs.append(output)
                last.append(states)
            values = np.concatenate(outputs, axis=-1)
        ends_of = tuple(np.stack([one[name] for one in last]) for name in last[0])
        output = values.swapaxes(0, 1) if self.batch_first else values
        return output, ends_of if len(ends_of) > 1 else ends_of[0]

    @property
    def size(self) -> int:
        """Bytes of the weights, their scales, biases and first states, in flash."""
        return sum(unit.size for directions in self.units for unit in directions)

    def __str__(self) -> str:
        rows = [f"{'layer':8}{'value':10}{'bits behind the point':>24}{'reaches':>12}"]
        for k, directions in enumerate(self.units):
            for d, unit in enumerate(directions):
                named = {"x": unit.input, **unit.states}
                for name, held in named.items():
                    label = f"l{k}{'_reverse' * d}"
                    rows.append(f"{label:8}{name:10}{held.fraction:24}{held.most / 2**held.fraction:12.4g}")
        return "\n".join(rows)


def _rows(hx: Any, at: int) -> list[Floats]:
    given = hx if isinstance(hx, tuple) else (hx,)
    return [np.asarray(state, np.float32)[at] for state in given]


def _run(
    unit: Unit, x: Floats, ends: npt.NDArray[Any], first: Sequence[Floats] | None, *, reverse: bool
) -> tuple[Floats, dict[str, Floats]]:
    order = backwards(ends, len(x)) if reverse else None
    values = x if order is None else np.take_along_axis(x, order[..., None], 0)
    alive = np.arange(len(x))[:, None] < ends
    held = unit.states
    if first is None:
        states = {name: np.tile(value, (x.shape[1], 1)) for name, value in unit.first.items()}
    else:
        states = {n: entered(v, held[n]) for n, v in zip(held, first, strict=True)}
    outputs, last = unit.run(entered(values, unit.input), alive, states)
    result = (outputs * 2.0**-unit.output.fraction).astype(np.float32)
    result = result if order is None else np.take_along_axis(result, order[..., None], 0)
    return result, {name: (value * 2.0 ** -held[name].fraction).astype(np.float32) for name, value in last.items()}


def backwards(ends: npt.NDArray[Any], steps: int) -> npt.NDArray[np.int64]:
    """For each step the one that a reverse direction reads: from the end of each sequence to its beginning."""
    t = np.arange(steps)[:, None]
    return np.where(t < ends, ends - 1 - t, t)
