"""The recurrent layers of Keras as its documentation words them: one step after the other, one branch for the mask.

Nothing here is shared with the library or with Keras. Keras itself is no reference in float64: its products of
float64 matrices are made in float32 (3.15.1, torch).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": lambda v: v,
    "relu": torch.nn.functional.relu,
    "relu6": torch.nn.functional.relu6,
    "hard_sigmoid": lambda v: torch.nn.functional.relu6(v + 3) / 6,  # torch's own has a slope of 1/6 in float32
    "hard_sigmoid_keras2": lambda v: torch.clamp(v / 5 + 0.5, 0, 1),
    "hard_tanh": torch.nn.functional.hardtanh,
    "silu": torch.nn.functional.silu,
    "softsign": torch.nn.functional.softsign,
    "exponential": torch.exp,
}
States = tuple[Tensor, ...]


def simple_rnn(w: list[Tensor], x: Tensor, states: States, phi: Any, _gate: Any) -> States:
    kernel, recurrent, *bias = w
    return (phi(x @ kernel + states[0] @ recurrent + sum(bias)),)


def lstm(w: list[Tensor], x: Tensor, states: States, phi: Any, gate: Any) -> States:
    h, c = states
    a = x @ w[0] + h @ w[1] + sum(w[2:])
    n = h.shape[1]
    c = gate(a[:, n : 2 * n]) * c + gate(a[:, :n]) * phi(a[:, 2 * n : 3 * n])
    return gate(a[:, 3 * n :]) * phi(c), c


def peephole_lstm(w: list[Tensor], x: Tensor, states: States, phi: Any, gate: Any) -> States:
    h, c = states
    *w, peepholes = w
    a = x @ w[0] + h @ w[1] + sum(w[2:])
    n = h.shape[1]
    new = gate(a[:, n : 2 * n] + peepholes[1] * c) * c + gate(a[:, :n] + peepholes[0] * c) * phi(a[:, 2 * n : 3 * n])
    return gate(a[:, 3 * n :] + peepholes[2] * new) * phi(new), new


def gru(w: list[Tensor], x: Tensor, states: States, phi: Any, gate: Any) -> States:
    (h,), n = states, states[0].shape[1]
    bias = w[2] if len(w) > 2 else torch.zeros(2, 1, dtype=h.dtype)
    of_x, of_h = x @ w[0] + bias[0], h @ w[1] + bias[1]
    z, r = gate(of_x[:, :n] + of_h[:, :n]), gate(of_x[:, n : 2 * n] + of_h[:, n : 2 * n])
    return (z * h + (1 - z) * phi(of_x[:, 2 * n :] + r * of_h[:, 2 * n :]),)


def gru_before(w: list[Tensor], x: Tensor, states: States, phi: Any, gate: Any) -> States:
    (h,), n = states, states[0].shape[1]
    of_x = x @ w[0] + sum(w[2:])
    z = gate(of_x[:, :n] + h @ w[1][:, :n])
    r = gate(of_x[:, n : 2 * n] + h @ w[1][:, n : 2 * n])
    return (z * h + (1 - z) * phi(of_x[:, 2 * n :] + (r * h) @ w[1][:, 2 * n :]),)


def run(
    step: Callable[..., States],
    w: Sequence[Tensor],
    x: Tensor,
    first: States,
    mask: Tensor | None = None,
    *,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    backwards: bool = False,
    zeros: bool = False,
) -> tuple[Tensor, States]:
    """All outputs [B, T, H], in the order in which they were made, and the last states, each [B, H].

    A masked step keeps the states and repeats the output before it, at first zeros; with ``zeros`` its output is zero.
    """
    phi, gate = FUNCTIONS[activation], FUNCTIONS[recurrent_activation]
    finals, rows = [], []
    for b in range(x.shape[0]):
        states, shown, outputs = tuple(state[b : b + 1] for state in first), torch.zeros_like(first[0][:1]), []
        for t in reversed(range(x.shape[1])) if backwards else range(x.shape[1]):
            if mask is None or mask[b, t]:
                states = step([*w], x[b : b + 1, t], states, phi, gate)
                shown = states[0]
                outputs.append(shown)
            else:
                outputs.append(torch.zeros_like(shown) if zeros else shown)
        rows.append(torch.stack(outputs, 1))
        finals.append(states)
    return torch.cat(rows), tuple(map(torch.cat, zip(*finals, strict=True)))
