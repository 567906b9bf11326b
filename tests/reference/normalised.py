"""Float64 references of cells with layer norm, written by hand from Ba, Kiros & Hinton 2016 (arXiv 1607.06450).

For the LSTM the paper's supplement prints the gates as LN(U h; gain, bias) + LN(W x; gain, bias) and the output
as o tanh(LN(c; gain, bias)), each norm with a gain and a bias of its own. ``all``: one mean and one variance over the
four blocks of a product, as printed. ``each``: one for each block. RNN and GRU follow the same rule for each product.
Gradients come from autograd through what is written here; of the norm itself they are also derived by hand.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tests.reference.unroll import Parameters, Reference

sigma = torch.sigmoid
tanh = torch.tanh
EPSILON = 1e-5
CUTS = {"lstm": 4, "gru": 3, "rnn": 1}


def standard(v: Tensor) -> Tensor:
    """Each row less its mean, over its standard deviation."""
    units = v.shape[-1]
    mu = v.sum(-1, keepdim=True) / units
    square = ((v - mu) ** 2).sum(-1, keepdim=True) / units
    return (v - mu) / torch.sqrt(square + EPSILON)


def standard_back(v: Tensor, dy: Tensor) -> Tensor:
    """The gradient of the same by hand: what is neither along the mean nor along the row itself, scaled."""
    units = v.shape[-1]
    mu = v.sum(-1, keepdim=True) / units
    deviation = torch.sqrt(((v - mu) ** 2).sum(-1, keepdim=True) / units + EPSILON)
    y = (v - mu) / deviation
    along_mean, along_row = dy.sum(-1, keepdim=True) / units, (dy * y).sum(-1, keepdim=True) / units
    return (dy - along_mean - y * along_row) / deviation


def normed(p: Parameters, matrix: str, v: Tensor, blocks: int, over: str) -> list[Tensor]:
    """gain LN(M v) + bias, cut into blocks."""
    product = v @ p.tensors[f"weight_{matrix}_l0"].T
    parts = [product] if over == "all" else list(product.split(p.H, -1))
    whole = torch.cat([standard(part) for part in parts], -1)
    return list((p.tensors[f"norm_{matrix}_l0"] * whole + p.tensors[f"bias_{matrix}_l0"]).split(p.H, -1))


def lstm(over: str) -> Callable[..., tuple[Tensor, ...]]:
    def step(p, x, h, c):
        a, b = normed(p, "ih", x, 4, over), normed(p, "hh", h, 4, over)
        i, f, o = sigma(a[0] + b[0]), sigma(a[1] + b[1]), sigma(a[3] + b[3])
        c_new = f * c + i * tanh(a[2] + b[2])
        return o * tanh(p.vector("norm_c") * standard(c_new) + p.vector("bias_c")), c_new

    return step


def gru(over: str) -> Callable[..., tuple[Tensor, ...]]:
    def step(p, x, h):
        a, b = normed(p, "ih", x, 3, over), normed(p, "hh", h, 3, over)
        r, z = sigma(a[0] + b[0]), sigma(a[1] + b[1])
        return (z * h + (1 - z) * tanh(a[2] + r * b[2]),)

    return step


def rnn(over: str) -> Callable[..., tuple[Tensor, ...]]:
    def step(p, x, h):
        return (tanh(normed(p, "ih", x, 1, over)[0] + normed(p, "hh", h, 1, over)[0]),)

    return step


def _reference(reading: str, step: Callable[..., tuple[Tensor, ...]], blocks: int, states: int) -> Reference:
    both = {"ih": blocks, "hh": blocks}
    gains = {f"norm_{matrix}": count for matrix, count in both.items()}
    vectors = ("norm_c", "bias_c") if states == 2 else ()
    return Reference(reading, step, states, both, both, vectors, gains=gains)


NORMALISED = {
    f"{name}|{over}": _reference(
        f"Ba et al. 2016, {over} blocks of a product; stored as without norm", make(over), CUTS[name], states
    )
    for name, make, states in (("lstm", lstm, 2), ("gru", gru, 1), ("rnn", rnn, 1))
    for over in ("all", "each")
}
