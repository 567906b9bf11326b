"""Whole layers by hand, all sequences at once: cells and options as equations, in whatever type the tensors have.

Nothing here is shared with the library. Gradients come from autograd through what is written here. A step of a cell
gets its products as lists of blocks; how masks, bounds, norms and resets act on them is written once for all cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tests.reference.normalised import standard

sigma, tanh = torch.sigmoid, torch.tanh
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Asked:
    """Options of a layer, with the masks of one direction.

    Attributes:
        zoneout: for each state the mask [T * B, H], or a number.
        drop: a factor of what recurrent matrices read, [B, H].
        weights: a factor of the recurrent matrix.
        bound: of each state; None for none.
        norm: None, ``"all"`` or ``"each"``.
        heads: of the recurrent matrix, each of which has its own units alone.
    """

    zoneout: Mapping[str, Tensor | float] = field(default_factory=dict)
    drop: Tensor | None = None
    weights: Tensor | None = None
    bound: float | None = None
    norm: str | None = None
    heads: int = 1


class Hand:
    """The parameters of one direction, by the names of a layer's first one."""

    def __init__(self, tensors: Mapping[str, Tensor], H: int, asked: Asked) -> None:
        self.tensors, self.H, self.asked = tensors, H, asked
        self.drop: Tensor | None = None
        self.beside: Tensors = {}

    def blocks(self, side: str, v: Tensor, first: int = 0, last: int | None = None) -> list[Tensor]:
        """``M v + b``, or ``gain LN(M v) + b``, cut into blocks; of the rows of these blocks alone."""
        weight = self.tensors[f"weight_{side}_l0"]
        weight = weight * self.asked.weights if side == "hh" and self.asked.weights is not None else weight
        rows = slice(first * self.H, None if last is None else last * self.H)
        product = self.by_heads(weight[rows], v) if side == "hh" else v @ weight[rows].T
        if self.asked.norm:
            parts = [product] if self.asked.norm == "all" else list(product.split(self.H, -1))
            product = self.tensors[f"norm_{side}_l0"] * torch.cat([standard(part) for part in parts], -1)
        bias = self.tensors.get(f"bias_{side}_l0")
        return list((product if bias is None else product + bias[rows]).split(self.H, -1))

    def by_heads(self, weight: Tensor, v: Tensor) -> Tensor:
        """Unit by unit of each block, each times the units of its head."""
        n, own = self.asked.heads, self.H // self.asked.heads
        blocks = [[weight[at + k * own : at + (k + 1) * own] for k in range(n)] for at in range(0, len(weight), self.H)]
        seen = [v[:, k * own : (k + 1) * own] for k in range(n)]
        return torch.cat([s @ w.T for block in blocks for w, s in zip(block, seen, strict=True)], -1)

    def U(self, h: Tensor, first: int = 0, last: int | None = None) -> list[Tensor]:
        return self.blocks("hh", h if self.drop is None else h * self.drop, first, last)

    def clip(self, value: Tensor) -> Tensor:
        bound = self.asked.bound
        return value if bound is None else torch.clamp(value, -bound, bound)

    def squash(self, c: Tensor) -> Tensor:
        if not self.asked.norm:
            return tanh(c)
        return tanh(self.tensors["norm_c_l0"] * standard(c) + self.tensors["bias_c_l0"])

    def peep(self, gate: str, c: Tensor) -> Tensor:
        return self.tensors[f"p_{gate}_l0"] * c


def rnn(s, w, h):
    return (s.clip(tanh(w[0] + s.U(h)[0])),)


def rnn_relu(s, w, h):
    return (s.clip(torch.relu(w[0] + s.U(h)[0])),)


def lstm(s, w, h, c):
    u = s.U(h)
    i, f, g, o = sigma(w[0] + u[0]), sigma(w[1] + u[1]), tanh(w[2] + u[2]), sigma(w[3] + u[3])
    c_new = s.clip(f * c + i * g)
    return s.clip(o * s.squash(c_new)), c_new


def peephole(s, w, h, c):
    u = s.U(h)
    i, f = sigma(w[0] + u[0] + s.peep("i", c)), sigma(w[1] + u[1] + s.peep("f", c))
    c_new = s.clip(f * c + i * tanh(w[2] + u[2]))
    return s.clip(sigma(w[3] + u[3] + s.peep("o", c_new)) * tanh(c_new)), c_new


def cifg(s, w, h, c):
    u = s.U(h)
    i = sigma(w[0] + u[0] + s.peep("i", c))
    c_new = s.clip(tanh(w[1] + u[1]) * i + c * (1 - i))
    return s.clip(tanh(c_new) * sigma(w[2] + u[2] + s.peep("o", c_new))), c_new


def mgu(s, w, h):
    f = sigma(w[0] + s.U(h, 0, 1)[0])
    n = tanh(w[1] + s.U(f * h, 1, 2)[0])
    return (s.clip((1 - f) * h + f * n),)


def gru(*, before: bool, write: bool) -> Callable[..., Any]:
    def step(s, w, h):
        u = s.U(h, 0, 2 if before else None)
        r, z = sigma(w[0] + u[0]), sigma(w[1] + u[1])
        n = tanh(w[2] + (s.U(r * h, 2, 3)[0] if before else r * u[2]))
        return (s.clip((1 - z) * h + z * n if write else z * h + (1 - z) * n),)

    return step


def fading(s, w, h):
    """``given.Fading``."""
    dt, m = s.beside["dt"], s.beside["m"]
    h = h * torch.exp(-torch.relu(s.tensors["tau_l0"]) * dt)
    u = s.U(h)
    n = tanh(w[1] + u[1] + dt * (m @ s.tensors["weight_V_l0"].T))
    z = sigma(w[0] + u[0])
    return (s.clip(z * h + (1 - z) * n),)


CELLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "rnn": (rnn, ("h",)),
    "rnn/relu": (rnn_relu, ("h",)),
    "lstm": (lstm, ("h", "c")),
    "peepholelstm": (peephole, ("h", "c")),
    "cifg": (cifg, ("h", "c")),
    "mgu": (mgu, ("h",)),
    "gru": (gru(before=False, write=False), ("h",)),
    "gru/write": (gru(before=False, write=True), ("h",)),
    "gru/before": (gru(before=True, write=False), ("h",)),
    "gru/before/write": (gru(before=True, write=True), ("h",)),
}
GIVEN = {"fading": (fading, ("h",))}  # cells that read more than their input; they stand in tests alone
NORMALISED = ("rnn", "lstm", "gru")  # what a norm does to the others, no paper says


@dataclass(frozen=True)
class Sequences:
    """What runs: inputs [T, B, I], how long each sequence is, where it begins anew, [T, B], and what is read beside."""

    x: Tensor
    lengths: Sequence[int]
    reset: Tensor | None = None
    beside: Mapping[str, Tensor] = field(default_factory=dict)


def direction(
    cell: str, tensors: Mapping[str, Tensor], given: Sequences, first: Mapping[str, Tensor], asked: Asked, *,
    reverse: bool = False,
) -> tuple[Tensor, Tensors]:  # fmt: skip
    """Outputs [T, B, H], zero after the end of a sequence, and last states [B, H].

    Rows that have ended are never computed with, so that nothing of theirs, NaN above all, can reach a gradient.
    """
    step, names = (CELLS | GIVEN)[cell]
    x, (T, B) = given.x, given.x.shape[:2]
    hand = Hand(tensors, first["h"].shape[-1], asked)
    lengths = torch.tensor(list(given.lengths), dtype=torch.long)
    states, begin = dict(first), {n: tensors.get(f"initial_{n}_l0") for n in names}
    outputs = [torch.zeros_like(first["h"])] * T
    for t in reversed(range(T)) if reverse else range(T):
        rows = (lengths > t).nonzero()[:, 0]
        old = {name: states[name][rows] for name in names}
        if given.reset is not None:
            anew = given.reset[t, rows][:, None]
            old = {name: value.masked_fill(anew, 0.0) for name, value in old.items()}
            r = anew.to(x)  # with learned states the equation is (1 - r) s + r initial, in which 0 times NaN is NaN
            old = {n: v if (start := begin[n]) is None else (1 - r) * v + r * start for n, v in old.items()}
        hand.beside = {name: value[t, rows] for name, value in given.beside.items()}
        hand.drop = None if asked.drop is None else asked.drop[rows]
        new = dict(zip(names, step(hand, hand.blocks("ih", x[t, rows]), *old.values()), strict=True))
        for name in names:
            mask = asked.zoneout.get(name, 0.0)
            m = mask.unflatten(0, (T, B))[t, rows] if isinstance(mask, Tensor) else mask
            mixed = m * old[name] + (1 - m) * new[name] if isinstance(m, Tensor) or m else new[name]
            states[name] = states[name].index_copy(0, rows, mixed)
            if name == "h":
                outputs[t] = outputs[t].index_copy(0, rows, mixed)
    return torch.stack(outputs), states
