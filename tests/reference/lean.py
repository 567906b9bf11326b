"""Slow, obvious float64 references like those of ``equations.py``, of lean cells and of those that came after them.

Complex states are complex numbers here, angles are angles, and softplus is softplus, where the library has other words.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tests.reference.further import WideInput
from tests.reference.unroll import Reference

sigma = torch.sigmoid
tanh = torch.tanh


def sru(p, x, h, c):
    f = sigma(p.W(1, x) + p.vector("v_f") * c + p.b(0))
    r = sigma(p.W(2, x) + p.vector("v_r") * c + p.b(1))
    c_new = f * c + (1 - f) * p.W(0, x)
    return r * c_new + (1 - r) * x, c_new


def qrnn(p, x, h, c):
    z, f, o = tanh(p.W(0, x) + p.b(0)), sigma(p.W(1, x) + p.b(1)), sigma(p.W(2, x) + p.b(2))
    c_new = f * c + (1 - f) * z
    return o * c_new, c_new


def qrnn2(p, x, h, c, *last):
    """W^1 x[t-1] + W^2 x[t]; ``last`` is W^1 x[t-1] of each gate."""
    z = tanh(last[0] + p.W(0, x) + p.b(0))
    f = sigma(last[1] + p.W(1, x) + p.b(1))
    o = sigma(last[2] + p.W(2, x) + p.b(2))
    c_new = f * c + (1 - f) * z
    return o * c_new, c_new, p.W(3, x), p.W(4, x), p.W(5, x)


def rg_lru(p, x, h):
    r, i = sigma(p.W(0, x) + p.b(0)), sigma(p.W(1, x) + p.b(1))
    softplus = torch.log1p(torch.exp(-p.vector("decay")))
    a = torch.exp(-8 * softplus * r)
    return (a * h + torch.sqrt(torch.clamp_min(1 - a**2, 1e-6)) * (i * x),)


def _turn(u: Tensor) -> Tensor:
    """exp(i angle) of the angle that is held as u = tan(angle / 2)."""
    return torch.exp(2j * torch.atan(u))


def lru(p, x, h, k):
    turning = torch.exp(-torch.exp(p.vector("nu"))) * _turn(p.vector("u"))
    B_x = torch.complex(p.W(0, x), p.W(1, x))
    new = turning * torch.complex(h, k) + torch.exp(p.vector("gamma")) * B_x
    return new.real, new.imag


def hgrn(p, x, h, re, im):
    bound = sigma(p.vector("low"))
    forget = bound + (1 - bound) * sigma(p.W(0, x) + p.b(0))
    g = sigma(p.W(1, x) + p.b(1))
    silu = torch.nn.functional.silu
    c = torch.complex(silu(p.W(2, x) + p.b(2)), silu(p.W(3, x) + p.b(3)))
    new = forget * _turn(p.vector("u")) * torch.complex(re, im) + (1 - forget) * c
    return g * new.real, new.real, new.imag


def ur_lstm(p, x, h, c):
    f = sigma(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0) + p.vector("u"))
    r = sigma(p.W(1, x) + p.b(1) + p.U(1, h) + p.d(1) - p.vector("u"))
    g = (1 - r) * f**2 + r * (1 - (1 - f) ** 2)
    c_new = g * c + (1 - g) * tanh(p.W(2, x) + p.b(2) + p.U(2, h) + p.d(2))
    return sigma(p.W(3, x) + p.b(3) + p.U(3, h) + p.d(3)) * tanh(c_new), c_new


def _skew(p, x, h, k):
    M = p.tensors["weight_hh_l0"]
    A = M - M.T - 0.01 * torch.eye(p.H, dtype=M.dtype)
    return h @ A.T + p.W(k, x) + p.b(k)


def antisymmetric(p, x, h):
    return (h + 0.1 * tanh(_skew(p, x, h, 0)),)


def gated_antisymmetric(p, x, h):
    return (h + 0.1 * sigma(_skew(p, x, h, 0)) * tanh(_skew(p, x, h, 1)),)


def lipschitz(p, x, h):
    def made(name):
        M, beta = p.tensors[f"weight_{name}_l0"], 0.75
        return (1 - beta) * (M + M.T) + beta * (M - M.T) - 0.001 * torch.eye(p.H, dtype=M.dtype)

    rate = h @ made("A").T + tanh(h @ made("hh").T + p.W(0, x) + p.b(0))
    return (h + 0.03 * rate,)


def co_rnn(p, x, h, z):
    dt, gamma, epsilon = 0.042, 2.7, 4.7
    force = tanh(p.W(0, x) + p.b(0) + p.U(0, h) + p.times("Z", 0, z))
    z_new = z + dt * force - dt * gamma * h - dt * epsilon * z
    return h + dt * z_new, z_new


def unicornn(p, x, h, z):
    dt, alpha = 0.19, 30.65
    z_new = z - dt * sigma(p.vector("c")) * (tanh(p.vector("w") * h + p.W(0, x) + p.b(0)) + alpha * h)
    return h + dt * sigma(p.vector("c")) * z_new, z_new


def lem(p, x, h, z):
    dt_y = sigma(p.W(0, x) + p.U(0, h) + p.b(0))
    dt_z = sigma(p.W(1, x) + p.U(1, h) + p.b(1))
    z_new = (1 - dt_z) * z + dt_z * tanh(p.W(2, x) + p.U(2, h) + p.b(2))
    return (1 - dt_y) * h + dt_y * tanh(p.W(3, x) + p.times("Z", 0, z_new) + p.b(3)), z_new


def brc(p, x, h):
    return _brc(p, x, h, p.vector("w_a") * h, p.vector("w_c") * h)


def nbrc(p, x, h):
    return _brc(p, x, h, p.U(0, h), p.U(1, h))


def _brc(p, x, h, to_a, to_c):
    a = 1 + tanh(p.W(0, x) + p.b(0) + to_a)
    c = sigma(p.W(1, x) + p.b(1) + to_c)
    return (c * h + (1 - c) * tanh(p.W(2, x) + p.b(2) + a * h),)


def star(p, x, h):
    k = sigma(p.W(1, x) + p.U(0, h) + p.b(1))
    return (tanh((1 - k) * h + k * tanh(p.W(0, x) + p.b(0))),)


def fast_rnn(p, x, h):
    candidate = tanh(p.W(0, x) + p.U(0, h) + p.b(0))
    return (sigma(p.vector("alpha")) * candidate + sigma(p.vector("beta")) * h,)


def fast_grnn(p, x, h):
    both = p.W(0, x) + p.U(0, h)
    z, candidate = sigma(both + p.vector("b_z")), tanh(both + p.vector("b_n"))
    return ((sigma(p.vector("zeta")) * (1 - z) + sigma(p.vector("nu"))) * candidate + z * h,)


def rhn(p, x, h):
    s = h
    for layer in range(3):
        n, t = p.U(2 * layer, s) + p.d(2 * layer), p.U(2 * layer + 1, s) + p.d(2 * layer + 1)
        n, t = tanh(n + p.W(0, x) * (layer == 0)), sigma(t + p.W(1, x) * (layer == 0))
        s = n * t + s * (1 - t)
    return (s,)


def multiplicative_lstm(p, x, h, c):
    m = p.W(0, x) * p.U(0, h)
    i, f, g, o = (p.W(k + 1, x) + p.times("M", k, m) + p.b(k) for k in range(4))
    c_new = sigma(f) * c + sigma(i) * tanh(g)
    return tanh(c_new) * sigma(o), c_new


def mogrifier(p, x, h, c):
    def rows(name, k, width, v):
        return v @ p.tensors[f"weight_{name}_l0"][k * width : (k + 1) * width].T

    for k in range(5):
        if k % 2 == 0:
            x = 2 * sigma(rows("Q", k // 2, x.shape[-1], h)) * x
        else:
            h = 2 * sigma(rows("R", k // 2, p.H, x)) * h
    i, f, g, o = (p.times("V", k, x) + p.U(k, h) + p.cut("bias_V_l0", k) for k in range(4))
    c_new = sigma(f) * c + sigma(i) * tanh(g)
    return sigma(o) * tanh(c_new), c_new


class Mogrified(Reference):
    """A cell that multiplies the input by no matrix before it has changed it."""

    def shapes(self, I, H):
        shapes = {"weight_Q_l0": (3 * I, H), "weight_R_l0": (2 * H, I), "weight_V_l0": (4 * H, I)}
        return shapes | {"weight_hh_l0": (4 * H, H), "bias_V_l0": (4 * H,)}


def ran(p, x, h, c):
    i, f = sigma(p.U(0, h) + p.W(1, x) + p.b(0)), sigma(p.U(1, h) + p.W(2, x) + p.b(1))
    c_new = i * p.W(0, x) + f * c
    return tanh(c_new), c_new


def cfn(p, x, h):
    theta, eta = sigma(p.U(0, h) + p.W(0, x) + p.b(0)), sigma(p.U(1, h) + p.W(1, x) + p.b(1))
    return (theta * tanh(h) + eta * tanh(p.W(2, x)),)


LEAN: dict[str, Reference] = {
    "sru": WideInput(
        "Lei et al. 2018, second version: f and r see v c; W, W_f, W_r in this order",
        sru, 2, {"ih": 3}, {"ih": 2}, ("v_f", "v_r"),
    ),
    "qrnn": Reference("Bradbury et al. 2017: window of one step, fo-pooling", qrnn, 2, {"ih": 3}, {"ih": 3}),
    "qrnn2": Reference("the same with a window of two steps", qrnn2, 5, {"ih": 6}, {"ih": 3}),
    "rglru": WideInput(
        "De et al. 2024: log a = -c softplus(-decay) r, c = 8; the root of at least 1e-6",
        rg_lru, 1, {"ih": 2}, {"ih": 2}, ("decay",),
    ),
    "lru": Reference(
        "Orvieto et al. 2023: lambda = exp(-exp(nu) + i angle), exp(gamma) B x, B complex; the real part comes out",
        lru, 2, {"ih": 2}, {}, ("nu", "u", "gamma"),
    ),
    "hgrn": Reference(
        "Qin et al. 2023: the bound of one layer, complex h with the angle of a unit; the real part gated",
        hgrn, 3, {"ih": 4}, {"ih": 4}, ("low", "u"),
    ),
    "urlstm": Reference(
        "Gu et al. 2020: g = (1 - r) f^2 + r (1 - (1 - f)^2), the input gate is 1 - g; one bias u for f, -u for r",
        ur_lstm, 2, {"ih": 4, "hh": 4}, {"ih": 4, "hh": 4}, ("u",),
    ),
    "antisymmetricrnn": Reference(
        "Chang et al. 2019: W - W^T - gamma I, epsilon 0.1, gamma 0.01", antisymmetric, 1, {"ih": 1, "hh": 1}, {"ih": 1}
    ),
    "gatedantisymmetricrnn": Reference(
        "the same with a gate of the same matrix", gated_antisymmetric, 1, {"ih": 2, "hh": 1}, {"ih": 2}
    ),
    "lipschitzrnn": Reference(
        "Erichson et al. 2021: beta 0.75, gamma 0.001, Euler", lipschitz, 1, {"ih": 1, "hh": 1, "A": 1}, {"ih": 1}
    ),
    "cornn": Reference(
        "Rusch & Mishra 2021: the authors' code, damped by the old z", co_rnn, 2, {"ih": 1, "hh": 1, "Z": 1}, {"ih": 1}
    ),
    "unicornn": Reference("Rusch & Mishra 2021: the authors' code", unicornn, 2, {"ih": 1}, {"ih": 1}, ("w", "c")),
    "lem": Reference("Rusch et al. 2022: the authors' code, dt = 1", lem, 2, {"ih": 4, "hh": 3, "Z": 1}, {"ih": 4}),
    "brc": Reference("Vecoven et al. 2021: a and c see w h", brc, 1, {"ih": 3}, {"ih": 3}, ("w_a", "w_c")),
    "nbrc": Reference("Vecoven et al. 2021: a and c see W h", nbrc, 1, {"ih": 3, "hh": 2}, {"ih": 3}),
    "star": Reference("Turkoglu et al. 2021: z and k, tanh of the new state", star, 1, {"ih": 2, "hh": 1}, {"ih": 2}),
    "fastrnn": Reference(
        "Kusupati et al. 2018; alpha and beta logistic", fast_rnn, 1, {"ih": 1, "hh": 1}, {"ih": 1},
        ("alpha", "beta"),
    ),
    "fastgrnn": Reference(
        "Kusupati et al. 2018; zeta and nu logistic", fast_grnn, 1, {"ih": 1, "hh": 1}, {},
        ("b_z", "b_n", "zeta", "nu"),
    ),
    "rhn": Reference("Zilly et al. 2017: three layers, c = 1 - t", rhn, 1, {"ih": 2, "hh": 6}, {"hh": 6}),
    "multiplicativelstm": Reference(
        "Krause et al. 2016, their later code: gates of m; tanh of c alone",
        multiplicative_lstm, 2, {"ih": 5, "hh": 1, "M": 4}, {"ih": 4},
    ),
    "mogrifierlstm": Mogrified("Melis et al. 2020: five rounds, Q and R of full rank", mogrifier, 2, {}, {}),
    "ran": Reference("Lee et al. 2017: tanh for the output", ran, 2, {"ih": 3, "hh": 2}, {"ih": 2}),
    "cfn": Reference("Laurent & von Brecht 2017: theta and eta", cfn, 1, {"ih": 3, "hh": 2}, {"ih": 2}),
}  # fmt: skip
