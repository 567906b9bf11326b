"""Layers with options, written out by hand in float64: one sequence, one step, one equation at a time.

Nothing here is shared with the library. Masks are given, so that they are the ones a layer has drawn; ``recorded``
listens to a layer drawing them. Gradients come from autograd through the forward written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

import torch
from torch import Tensor

from tests.reference.unroll import Parameters

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Asked:
    """What a layer is asked for, with the masks of one direction.

    Attributes:
        zoneout: for each state the mask [T, B, H], or one number for all.
        drop: what every recurrent product's operand is multiplied by, [B, H].
        bounds: for each state its bound; None for none.
    """

    zoneout: Mapping[str, Tensor | float] = field(default_factory=dict)
    drop: Tensor | float = 1.0
    bounds: Mapping[str, float] = field(default_factory=dict)

    def clipped(self, name: str, value: Tensor) -> Tensor:
        return torch.clamp(value, -self.bounds[name], self.bounds[name]) if name in self.bounds else value

    def mixed(self, name: str, old: Tensor, new: Tensor, t: int, b: int) -> Tensor:
        mask = self.zoneout.get(name, 0.0)
        m = mask[t, b] if isinstance(mask, Tensor) else mask
        return m * old + (1 - m) * new


def lstm(p: Parameters, x: Tensor, h: Tensor, c: Tensor, asked: Asked, drop: Tensor | float) -> dict[str, Tensor]:
    seen = h * drop
    i = torch.sigmoid(p.W(0, x) + p.b(0) + p.U(0, seen) + p.d(0))
    f = torch.sigmoid(p.W(1, x) + p.b(1) + p.U(1, seen) + p.d(1))
    g = torch.tanh(p.W(2, x) + p.b(2) + p.U(2, seen) + p.d(2))
    o = torch.sigmoid(p.W(3, x) + p.b(3) + p.U(3, seen) + p.d(3))
    c_new = asked.clipped("c", f * c + i * g)
    return {"h": asked.clipped("h", o * torch.tanh(c_new)), "c": c_new}


def gru(p: Parameters, x: Tensor, h: Tensor, asked: Asked, drop: Tensor | float) -> dict[str, Tensor]:
    seen = h * drop
    r = torch.sigmoid(p.W(0, x) + p.b(0) + p.U(0, seen) + p.d(0))
    z = torch.sigmoid(p.W(1, x) + p.b(1) + p.U(1, seen) + p.d(1))
    n = torch.tanh(p.W(2, x) + p.b(2) + r * (p.U(2, seen) + p.d(2)))
    return {"h": asked.clipped("h", (1 - z) * n + z * h)}


def gru_before(p: Parameters, x: Tensor, h: Tensor, asked: Asked, drop: Tensor | float) -> dict[str, Tensor]:
    seen = h * drop
    r = torch.sigmoid(p.W(0, x) + p.b(0) + p.U(0, seen) + p.d(0))
    z = torch.sigmoid(p.W(1, x) + p.b(1) + p.U(1, seen) + p.d(1))
    n = torch.tanh(p.W(2, x) + p.b(2) + p.U(2, r * seen) + p.d(2))
    return {"h": asked.clipped("h", (1 - z) * n + z * h)}


STEPS = {"lstm": (lstm, ("h", "c")), "gru": (gru, ("h",)), "gru/before": (gru_before, ("h",))}


@dataclass(frozen=True)
class Sequences:
    """What runs: inputs [T, B, I], how long each sequence is, and where it begins anew."""

    x: Tensor
    lengths: Sequence[int]
    reset: Tensor | None = None  # [T, B]


def direction(
    cell: str,
    tensors: Mapping[str, Tensor],
    given: Sequences,
    first: Mapping[str, Tensor],
    begin: Mapping[str, Tensor],
    asked: Asked,
    *,
    reverse: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs [T, B, H] and last states [B, H] of one layer in one direction.

    Args:
        cell: its name.
        tensors: the parameters by the names of a layer's first direction.
        given: the sequences.
        first: of each state the values before the first step, [B, H].
        begin: of each state what a reset leads to, [H].
        asked: the options.
        reverse: from the last step to the first.
    """
    step, names = STEPS[cell]
    H = first["h"].shape[-1]
    p = Parameters(tensors, H)
    outputs: dict[tuple[int, int], Tensor] = {}
    last: dict[str, list[Tensor]] = {name: [] for name in names}
    for b, length in enumerate(given.lengths):
        states = {name: first[name][b] for name in names}
        drop = asked.drop[b] if isinstance(asked.drop, Tensor) else asked.drop
        for t in reversed(range(length)) if reverse else range(length):
            if given.reset is not None and given.reset[t, b]:
                states = {name: begin[name] for name in names}
            new = step(p, given.x[t, b], *states.values(), asked, drop)
            states = {name: asked.mixed(name, states[name], new[name], t, b) for name in names}
            outputs[t, b] = states["h"]
        for name in names:
            last[name].append(states[name])
    zero = torch.zeros(H, dtype=given.x.dtype)
    T, B = given.x.shape[:2]
    y = torch.stack([torch.stack([outputs.get((t, b), zero) for b in range(B)]) for t in range(T)])
    return y, {name: torch.stack(values) for name, values in last.items()}


@contextmanager
def recorded() -> Iterator[list[Tensors]]:
    """The masks that layers draw in here by name, one entry for each layer and direction."""
    from tidegate.nn import Options

    drawn: list[Tensors] = []
    draw = Options.masks

    def listening(self, sources, draws):
        masks = draw(self, sources, draws)
        if sources:
            drawn.append({source.mask.name: mask for source, mask in zip(sources, masks, strict=True)})
        return masks

    with mock.patch.object(Options, "masks", listening):
        yield drawn


def unsorted(mask: Tensor, lengths: Sequence[int], T: int) -> Tensor:
    """A mask of rows without padding, longest sequence first, as [T, B, H]; one of sequences as [B, H]."""
    order = sorted(range(len(lengths)), key=lambda b: -lengths[b])
    if len(mask) == len(lengths) and len(mask) != sum(lengths):
        return torch.stack([mask[order.index(b)] for b in range(len(lengths))])
    found = torch.full((T, len(lengths), mask.shape[-1]), float("nan"), dtype=mask.dtype)
    rows = iter(mask)
    for t in range(T):
        for b in order:
            if t < lengths[b]:
                found[t, b] = next(rows)
    assert next(rows, None) is None, "more rows than steps"
    return found
