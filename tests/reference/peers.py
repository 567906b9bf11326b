"""Slow, obvious float64 references like those of ``equations.py``, of cells that other libraries have."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.reference.further import WideInput
from tests.reference.unroll import Reference

sigma = torch.sigmoid
tanh = torch.tanh


def relu(v: Tensor) -> Tensor:
    return torch.clamp_min(v, 0)


def atr(p, x, h):
    into, past = p.W(0, x) + p.b(0), p.U(0, h)
    return (sigma(into + past) * into + sigma(into - past) * h,)


def intersection(p, x, y, h):
    s, m, g, n = (p.W(k, x) + p.U(k, h) + p.b(k) for k in range(4))
    return sigma(s) * x + (1 - sigma(s)) * relu(m), sigma(g) * h + (1 - sigma(g)) * tanh(n)


def light_ru(p, x, h):
    f = sigma(p.W(1, x) + p.b(1) + p.U(0, h))
    return ((1 - f) * h + f * tanh(p.W(0, x) + p.b(0)),)


def mc_lstm(p, x, h, v, c):
    f, i, o, m, g = (p.W(k, x) + p.b(k) + p.U(k, v) for k in range(5))
    c_new = sigma(f) * c + sigma(i) * tanh(g)
    return sigma(o) * tanh(c_new), sigma(m) * tanh(c_new), c_new


def minimal_rnn(p, x, h):
    z = tanh(p.W(0, x) + p.b(0))
    u = sigma(p.U(0, h) + p.d(0) + p.times("Z", 0, z))
    return (u * h + (1 - u) * z,)


def miru1(p, x, h):
    r = sigma(p.W(0, x) + p.b(0) + p.U(0, h))
    return (0.5 * h + 0.5 * tanh(p.W(1, x) + p.b(1) + p.U(1, r * h)),)


def miru2(p, x, h):
    return (0.5 * h + 0.5 * tanh(p.W(0, x) + p.b(0) + p.U(0, 0.5 * h)),)


def nas(p, x, h, m):
    into, past = [p.W(k, x) for k in range(8)], [p.U(k, h) + p.d(k) for k in range(8)]
    both = [a * b if k == 3 else a + b for k, (a, b) in enumerate(zip(into, past, strict=True))]
    first = [act(v) for act, v in zip((sigma, relu, sigma, relu, tanh, sigma, tanh, sigma), both, strict=True)]
    second = tanh(first[0] * first[1]), tanh(first[2] + first[3]), tanh(first[4] * first[5]), sigma(first[6] + first[7])
    m_new = tanh(second[0] + m) * second[1]
    return tanh(m_new * tanh(second[2] + second[3])), m_new


def res_lstm(p, x, h, c):
    i, f, g, o = (p.W(k, x) + p.U(k, h) + p.b(k) for k in range(4))
    c_new = sigma(f + p.vector("p_f") * c) * c + sigma(i + p.vector("p_i") * c) * tanh(g)
    return sigma(o + p.vector("p_o") * c_new) * (p.times("P", 0, tanh(c_new)) + p.W(4, x)), c_new


def sgrn(p, x, h):
    into = p.W(0, x)
    f = sigma(into + p.U(0, h) + p.d(0))
    return (tanh((1 - f) * into + f * h),)


def _sgu(p, x, h):
    g = tanh(p.times("G", 0, (p.W(0, x) + p.b(0)) * h) + p.tensors["bias_G_l0"])
    return g, torch.clamp(0.2 * (p.W(1, x) + p.b(1) + p.U(0, h)) + 0.5, 0, 1)


def sgu(p, x, h):
    g, z = _sgu(p, x, h)
    return ((1 - z) * h + z * torch.log(1 + torch.exp(g * h)),)


def dsgu(p, x, h):
    g, z = _sgu(p, x, h)
    return ((1 - z) * h + z * sigma(p.times("O", 0, g * h)),)


def typed_gru(p, x, h, *last):
    z, f, o = (last[k] + p.W(k, x) + p.b(k) for k in range(3))
    return sigma(f) * h + z * tanh(o), p.W(3, x), p.W(4, x), p.W(5, x)


def typed_lstm(p, x, h, c, *last):
    z, f, o = (last[k] + p.W(k, x) + p.b(k) for k in range(3))
    c_new = sigma(f) * c + (1 - sigma(f)) * z
    return c_new * tanh(o), c_new, p.W(3, x), p.W(4, x), p.W(5, x)


def wmc_lstm(p, x, h, c):
    def memory(k, cell):
        return tanh(p.times("M", k, cell) + p.cut("bias_M_l0", k))

    i, f, g, o = (p.W(k, x) + p.U(k, h) + p.b(k) for k in range(4))
    c_new = sigma(f + memory(1, c)) * c + sigma(i + memory(0, c)) * tanh(g)
    return sigma(o + memory(2, c_new)) * tanh(c_new), c_new


PEERS: dict[str, Reference] = {
    "atr": Reference("Zhang et al. 2018: p = W x, q = U h", atr, 1, {"ih": 1, "hh": 1}, {"ih": 1}),
    "intersectionrnn": WideInput(
        "Collins et al. 2017: relu for y, tanh for h; y comes out", intersection, 2, {"ih": 4, "hh": 4}, {"ih": 4}
    ),
    "lightru": Reference("Ye et al. 2024: f writes", light_ru, 1, {"ih": 2, "hh": 1}, {"ih": 2}),
    "mclstm": Reference("as in torchrecurrent 0.2.5: gates see v", mc_lstm, 3, {"ih": 5, "hh": 5}, {"ih": 5}),
    "minimalrnn": Reference(
        "Chen 2017: tanh of one layer encodes", minimal_rnn, 1, {"ih": 1, "hh": 1, "Z": 1}, {"ih": 1, "hh": 1}
    ),
    "miru1": Reference("as in torchrecurrent 0.2.5: lambda is 1/2", miru1, 1, {"ih": 2, "hh": 2}, {"ih": 2}),
    "miru2": Reference("as in torchrecurrent 0.2.5: lambda and theta are 1/2", miru2, 1, {"ih": 1, "hh": 1}, {"ih": 1}),
    "nas": Reference("Zoph & Le 2017: TensorFlow's NASCell", nas, 2, {"ih": 8, "hh": 8}, {"hh": 8}),
    "reslstm": Reference(
        "Kim et al. 2017: peepholes, a projection and a shortcut of x", res_lstm, 2, {"ih": 5, "hh": 4, "P": 1},
        {"ih": 4}, ("p_i", "p_f", "p_o"),
    ),
    "sgrn": Reference(
        "Zu & Wei 2020 as LuxRecurrentLayers.jl has it: W x is the candidate, without the bias of the gate",
        sgrn, 1, {"ih": 1, "hh": 1}, {"hh": 1},
    ),
    "sgu": Reference(
        "Gao & Glowacka 2016: tanh, softplus, hard sigmoid", sgu, 1, {"ih": 2, "G": 1, "hh": 1}, {"ih": 2, "G": 1}
    ),
    "dsgu": Reference(
        "the same, one matrix deeper", dsgu, 1, {"ih": 2, "G": 1, "O": 1, "hh": 1}, {"ih": 2, "G": 1}
    ),
    "typedgru": Reference("Balduzzi & Ghifary 2016: T-GRU, tanh for o", typed_gru, 4, {"ih": 6}, {"ih": 3}),
    "typedlstm": Reference("Balduzzi & Ghifary 2016: T-LSTM, tanh for o", typed_lstm, 5, {"ih": 6}, {"ih": 3}),
    "wmclstm": Reference(
        "Landi et al. 2021: o sees the new c", wmc_lstm, 2, {"ih": 4, "hh": 4, "M": 3}, {"ih": 4, "M": 3}
    ),
}  # fmt: skip
