"""All measures of a model that verdicts on its layers rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tidegate.explain.curve import LagCurve
from tidegate.explain.flow import gradient_by_lag
from tidegate.explain.loss import Loss
from tidegate.explain.memory import Memory, memories
from tidegate.explain.probe import Probe, captured, probe
from tidegate.explain.readout import ReadOut, read_out
from tidegate.nn import Recurrent


@dataclass(frozen=True)
class LayerMeasures:
    """What was measured of one stack of recurrent layers.

    Attributes:
        path: of the stack in the model.
        layer: the stack itself, in the copy that was measured.
        curves: gradients by lag of its parts, and of the whole.
        memories: of its parts, by names such as ``"lstm.l0"``.
        reads: of its topmost layer in each direction, by the same names.
        size: the root mean square of what it was given, over sequences, real steps and features.
    """

    path: str
    layer: Recurrent
    curves: tuple[LagCurve, ...]
    memories: Mapping[str, Memory]
    reads: Mapping[str, ReadOut]
    size: float

    @property
    def whole(self) -> tuple[LagCurve, ...]:
        """For each direction the curve of the whole stack."""
        return tuple(curve for curve in self.curves if curve.number is None) or self.curves


def measure(model: torch.nn.Module | Probe, loss: Loss, x: Any, **named: Any) -> tuple[LayerMeasures, ...]:
    """Measure each stack of recurrent layers of a model: gradients by lag, gates and states, and what is read of them.

    Args:
        model: any model that holds recurrent layers.
        loss: as ``gradient_by_lag`` takes it.
        x: the argument of the model, or a tuple of several.
        **named: further arguments of the model, such as ``lengths=``.

    Raises:
        InputError: the model has no such layer, or the loss does not fit.

    Example:
        >>> import torch, tidegate as tg
        >>> (measured,) = tg.explain.measure(torch.nn.GRU(3, 4), "last", torch.linspace(-1, 1, 60).reshape(10, 2, 3))
        >>> [*measured.memories]
        ['(model).l0']
    """
    probed = probe(model)
    arguments = x if type(x) is tuple else (x,)
    flow = gradient_by_lag(probed, loss, x, **named)
    _, calls = captured(probed, *arguments, **named)
    kept, reads = memories(calls), read_out(probed, loss, *arguments, **named)
    return tuple(
        LayerMeasures(
            path,
            probed.layers[path],
            tuple(curve for curve in flow.curves if curve.layer == path),
            {name: memory for name, memory in kept.items() if name.rpartition(".")[0] == path},
            {name: own for name, own in reads.items() if name.rpartition(".")[0] == path},
            float(
                torch.cat([call.x[call.valid].flatten() for call in calls if call.name == path]).square().mean().sqrt()
            ),
        )
        for path in dict.fromkeys(call.name for call in calls)
    )
