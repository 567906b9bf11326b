"""Parameters that begin as their cell's definition says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tidegate.cell import Graph
from tidegate.cell.parameter import blocks_of


def _uniform(v: Tensor, low: float, high: float) -> Tensor:
    return torch.rand_like(v) * (high - low) + low


def _logit(u: Tensor) -> Tensor:
    return torch.log(u / (1 - u))


def _gate(v: Tensor) -> Tensor:
    edge = 1 / max(v.numel(), 2)
    return _logit(_uniform(v, edge, 1 - edge))


def _decay(v: Tensor, low: float, high: float, power: float) -> Tensor:
    return _logit(_uniform(v, low, high) ** (1 / power))


def _ring(v: Tensor, low: float, high: float) -> Tensor:
    return torch.log(-0.5 * torch.log(_uniform(v, low * low, high * high).clamp(1e-12, 1 - 1e-6)))


def _phase(v: Tensor, low: float, high: float) -> Tensor:
    return torch.tan(_uniform(v, low, high) / 2)


def _frequencies(v: Tensor, base: float) -> Tensor:
    units = torch.arange(v.numel(), dtype=v.dtype, device=v.device)
    return torch.tan(base ** (-2 * units / max(v.numel(), 1)) / 2)


RULES: Mapping[str, Callable[..., Tensor]] = {
    "constant": torch.full_like,
    "uniform": _uniform,
    "gate": _gate,
    "decay": _decay,
    "ring": _ring,
    "ring_gain": lambda v, nu: 0.5 * torch.log(-torch.expm1(-2 * torch.exp(nu))) + 0 * v,
    "phase": _phase,
    "frequencies": _frequencies,
}


def begin(graph: Graph, widths: Mapping[str, int], parameters: Mapping[str, Tensor]) -> None:
    """Set what the definition of a cell says about initial values, in place, after torch's own draw.

    Args:
        graph: the cell.
        widths: of its axes.
        parameters: of one layer and direction, by their names in the graph.
    """
    for initial in graph.initial:
        rule, arguments = initial.words
        others = [parameters[a] if isinstance(a, str) else a for a in arguments]
        blocks = blocks_of(graph, initial.name)
        parts = parameters[initial.name].split([widths[block.axis] for block in blocks])
        for block, part in zip(blocks, parts, strict=True):
            if initial.block in ("", block.name):
                part.copy_(RULES[rule](part, *others))
