"""Slow, obvious float64 references like those of ``equations.py``, of cells that read time and what is missing.

Their steps take what is given behind the states: dt [B, 1], the time since the step before, and m [B, I], 1 where x was
observed and else 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.reference.unroll import Reference

sigma = torch.sigmoid
tanh = torch.tanh


@dataclass(frozen=True)
class Timed:
    """A cell as its paper has it.

    Attributes:
        reading: the paper and how it is read.
        step: (parameters, x, states, given) to the new states, the output first.
        shapes: from the widths I and H, those of the parameters.
        states: the widths of the states, from I and H.
        given: the names of what is given.
        widths: of axes of the cell's own, from H.
    """

    reading: str
    step: Callable[..., tuple[Tensor, ...]]
    shapes: Callable[[int, int], dict[str, tuple[int, ...]]]
    states: Callable[[int, int], tuple[int, ...]]
    given: tuple[str, ...]
    widths: Callable[[int], dict[str, int]] = lambda H: {}


def gru_d(p, x, states, dt, m):
    """Equations (10) to (17): delta by variable, gamma, x-hat, h-hat and the gates."""
    h, last, gap = states
    delta = dt + gap
    gamma_x = torch.exp(-torch.clamp_min(p["d_w"] * delta + p["d_b"], 0))
    gamma_h = torch.exp(-torch.clamp_min(delta @ p["weight_D"].T + p["bias_D"], 0))
    mean = torch.zeros_like(last)
    x_hat = torch.where(m == 1, x, gamma_x * last + (1 - gamma_x) * mean)
    h_hat = gamma_h * h
    (wr, wz, w), (ur, uz, u), (vr, vz, v) = (p[f"weight_{name}"].chunk(3) for name in ("ih", "hh", "V"))
    br, bz, b = p["bias_ih"].chunk(3)
    r = sigma(x_hat @ wr.T + h_hat @ ur.T + m @ vr.T + br)
    z = sigma(x_hat @ wz.T + h_hat @ uz.T + m @ vz.T + bz)
    h_new = tanh(x_hat @ w.T + (r * h_hat) @ u.T + m @ v.T + b)
    after = torch.where(m == 1, torch.zeros_like(delta), delta)
    return (1 - z) * h_hat + z * h_new, torch.where(m == 1, x, last), after


def cfc(p, x, states, dt):
    (h,) = states
    k = 1.7159 * tanh(0.666 * (x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias_ih"]))
    f, g, a, b = (k @ p["weight_F"].T + p["bias_F"]).chunk(4, 1)
    s = sigma(a * dt + b)
    return (tanh(f) * (1 - s) + s * tanh(g),)


def t_lstm(p, x, states, dt):
    h, c = states
    short = tanh(c @ p["weight_D"].T + p["bias_D"])
    long = c - short
    adjusted = long + short / torch.log(math.e + dt)
    f, i, o, n = (x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias_ih"]).chunk(4, 1)
    c_new = sigma(f) * adjusted + sigma(i) * tanh(n)
    return sigma(o) * tanh(c_new), c_new


TIMED: dict[str, Timed] = {
    "grud": Timed(
        "Che et al. 2018, equations of GRU-D: the mean of each variable is 0, decay of x is diagonal",
        gru_d,
        lambda I, H: {
            "weight_ih": (3 * H, I),
            "weight_hh": (3 * H, H),
            "weight_V": (3 * H, I),
            "weight_D": (H, I),
            "bias_ih": (3 * H,),
            "bias_D": (H,),
            "d_w": (I,),
            "d_b": (I,),
        },
        lambda I, H: (H, I, I),
        ("dt", "m"),
    ),
    "cfc": Timed(
        "Hasani et al. 2022 as ncps has it: one backbone layer, two heads for the gate",
        cfc,
        lambda I, H: {
            "weight_ih": (H // 2 + 3, I),
            "weight_hh": (H // 2 + 3, H),
            "weight_F": (4 * H, H // 2 + 3),
            "bias_ih": (H // 2 + 3,),
            "bias_F": (4 * H,),
        },
        lambda I, H: (H,),
        ("dt",),
        lambda H: {"K": H // 2 + 3},
    ),
    "tlstm": Timed(
        "Baytas et al. 2017: decomposed memory, g(dt) = 1 / log(e + dt)",
        t_lstm,
        lambda I, H: {
            "weight_ih": (4 * H, I),
            "weight_hh": (4 * H, H),
            "weight_D": (H, H),
            "bias_ih": (4 * H,),
            "bias_D": (H,),
        },
        lambda I, H: (H, H),
        ("dt",),
    ),
}


def unrolled(ref: Timed, p: Mapping[str, Tensor], x: Tensor, states: Any, given: Mapping[str, Tensor]) -> Any:
    """All outputs [T, B, H] and the last states."""
    outputs = []
    for t, x_t in enumerate(x):
        states = ref.step(p, x_t, states, *(given[name][t] for name in ref.given))
        outputs.append(states[0])
    return torch.stack(outputs), states


def tau_gru(p, x, h, before):
    u = tanh(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0))
    z = tanh(p.W(1, x) + p.b(1) + p.U(1, before) + p.d(1))
    g = sigma(p.W(2, x) + p.b(2) + p.U(2, h) + p.d(2))
    a = sigma(p.W(3, x) + p.b(3) + p.U(3, h) + p.d(3))
    return (1 - g) * h + g * (u + a * z), h


DELAYED: dict[str, Reference] = {
    "taugru": Reference(
        "Erichson et al. 2022: alpha = beta = 1, the state of one step earlier",
        tau_gru,
        2,
        {"ih": 4, "hh": 4},
        {"ih": 4, "hh": 4},
    ),
}
