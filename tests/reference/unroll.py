"""A hand-written cell over time: forward, and backward by hand or by autograd. Float64, one plain loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
Step = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Parameters:
    """Parameters of one layer by their public names, cut into blocks of H rows."""

    tensors: Mapping[str, Tensor]
    H: int

    def cut(self, name: str, k: int) -> Tensor:
        return self.tensors[name][k * self.H : (k + 1) * self.H]

    def times(self, matrix: str, k: int, v: Tensor) -> Tensor:
        return v @ self.cut(f"weight_{matrix}_l0", k).T

    def W(self, k: int, x: Tensor) -> Tensor:
        return self.times("ih", k, x)

    def U(self, k: int, h: Tensor) -> Tensor:
        return self.times("hh", k, h)

    def b(self, k: int) -> Tensor:
        return self.cut("bias_ih_l0", k)

    def d(self, k: int) -> Tensor:
        return self.cut("bias_hh_l0", k)

    def vector(self, name: str) -> Tensor:
        return self.tensors[f"{name}_l0"]


@dataclass(frozen=True)
class Reference:
    """A cell as its paper has it.

    Attributes:
        reading: the paper and how it is read.
        step: (parameters, x, *states) to the new states, the output first.
        states: how many states there are.
        weights: matrices and how many blocks of H rows each has.
        biases: the same for biases.
        vectors: names of the per-unit parameters.
        gains: vectors that have blocks as a matrix, and how many.
        back: the step's vector-Jacobian product by hand: (parameters, x, states, gradients of the new states) to
            (gradient of x, gradients of the states, gradients of the parameters).
    """

    reading: str
    step: Step
    states: int
    weights: Mapping[str, int]
    biases: Mapping[str, int]
    vectors: tuple[str, ...] = ()
    back: Callable[..., tuple[Tensor, tuple[Tensor, ...], Tensors]] | None = field(default=None)
    gains: Mapping[str, int] = field(default_factory=dict)

    def shapes(self, I: int, H: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter of one layer."""
        shapes: dict[str, tuple[int, ...]] = {}
        for matrix, blocks in self.weights.items():
            shapes[f"weight_{matrix}_l0"] = (blocks * H, I if matrix == "ih" else H)
        shapes |= {f"bias_{matrix}_l0": (blocks * H,) for matrix, blocks in self.biases.items()}
        shapes |= {f"{name}_l0": (blocks * H,) for name, blocks in self.gains.items()}
        return shapes | {f"{name}_l0": (H,) for name in self.vectors}

    def features(self, H: int, wanted: int) -> int:
        """How many of the input a layer of H units takes, where a test wants so many."""
        return wanted

    def further(self, H: int) -> dict[str, int]:
        """The widths of axes that the cell has of its own, in a layer of H units."""
        return {}

    def state_widths(self, H: int) -> tuple[int, ...]:
        return (H,) * self.states

    def reachable(self, *states: Tensor) -> tuple[Tensor, ...]:
        """Random states, moved to where a run of the cell can lead."""
        return states


def forward(ref: Reference, params: Mapping[str, Tensor], x: Tensor, states: tuple[Tensor, ...]) -> Any:
    """All outputs [T, B, H] and the last states, each [B, H]."""
    p = Parameters(params, states[0].shape[-1])
    outputs = []
    for x_t in x:
        states = ref.step(p, x_t, *states)
        outputs.append(states[0])
    return torch.stack(outputs), states


def gradients_by_hand(
    ref: Reference,
    params: Mapping[str, Tensor],
    x: Tensor,
    states: tuple[Tensor, ...],
    upstream: tuple[Tensor, tuple[Tensor, ...]],
) -> Tensors:
    """Backward through time with the hand-written products of each step.

    ``upstream`` is the gradient of the loss by all outputs, and by each last state.
    """
    dy, dlast = upstream
    p = Parameters(params, states[0].shape[-1])
    before = [states]
    for x_t in x:
        before.append(ref.step(p, x_t, *before[-1]))
    grads = {name: torch.zeros_like(value) for name, value in params.items()}
    dx = torch.zeros_like(x)
    for t in reversed(range(len(x))):
        dlast = (dlast[0] + dy[t], *dlast[1:])
        dx[t], dlast, found = ref.back(p, x[t], before[t], dlast)
        for name, value in found.items():
            grads[name] += value
    return {"x": dx, **{f"state{k}": value for k, value in enumerate(dlast)}, **grads}


def gradients_by_autograd(
    ref: Reference,
    params: Mapping[str, Tensor],
    x: Tensor,
    states: tuple[Tensor, ...],
    upstream: tuple[Tensor, tuple[Tensor, ...]],
) -> Tensors:
    """The same from autograd through the forward of this file."""
    dy, dlast = upstream
    leaves = {"x": x, **{f"state{k}": value for k, value in enumerate(states)}, **params}
    leaves = {name: value.detach().clone().requires_grad_() for name, value in leaves.items()}
    inner = {name: leaves[name] for name in params}
    y, last = forward(ref, inner, leaves["x"], tuple(leaves[f"state{k}"] for k in range(len(states))))
    loss = (y * dy).sum() + sum((a * b).sum() for a, b in zip(last, dlast, strict=True))
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if grad is None else grad
        for (name, leaf), grad in zip(leaves.items(), found, strict=True)
    }


def gradients(ref: Reference, *arguments: Any) -> Tensors:
    """By hand where that is written, else by autograd."""
    return (gradients_by_hand if ref.back else gradients_by_autograd)(ref, *arguments)
