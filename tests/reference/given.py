"""A cell that reads time and what is missing, and its equations written by hand."""

from __future__ import annotations

import torch

from tidegate.cell import Cell, exp, relu, sigmoid, tanh


class Timed(Cell):
    """All that a given value can do: decay a state, fill gaps, be multiplied, and make numbers of its own."""

    gates = "z n"
    state = "h last:I"
    matrices = {"U": "z n", "V": "z", "G": "d"}
    vectors = "tau rest:I"
    biases = "W G"
    given = "dt:1 m:I"

    def step(self, x, h, last, W, U, V, G, tau, rest, dt, m):
        seen = m * x.raw + (1 - m) * (exp(-dt) * last + (1 - exp(-dt)) * rest)
        h = h * exp(-relu(tau) * dt) + 0.1 * relu(G(m).d)
        z = sigmoid(W(seen).z + U(h).z + V(m).z)
        n = tanh(W(seen).n + U(z * h).n)
        return (1 - z) * h + z * n, m * x.raw + (1 - m) * last


class Fading(Cell):
    """A state that fades with time, and is told what is missing; its units are all as wide as H."""

    gates = "z n"
    matrices = {"U": "z n", "V": "n"}
    vectors = "tau"
    biases = "W U"
    given = "dt:1 m:I"

    def step(self, x, h, U, V, tau, dt, m):
        h = h * exp(-relu(tau) * dt)
        z = sigmoid(x.z + U(h).z)
        n = tanh(x.n + U(h).n + dt * V(m).n)
        return z * h + (1 - z) * n


def timed(own, x, h, last, dt, m):
    """One step of ``Timed`` on rows: x [B, I], h [B, H], last [B, I], dt [B], m [B, I]."""
    wz, wn = own["weight_ih"].chunk(2)
    bz, bn = own["bias_ih"].chunk(2)
    uz, un = own["weight_hh"].chunk(2)
    fade = torch.exp(-dt)[:, None]
    seen = torch.where(m, x, fade * last + (1 - fade) * own["rest"])
    old = h * torch.exp(-own["tau"].clamp(min=0) * dt[:, None])
    old = old + 0.1 * (m.to(x) @ own["weight_G"].T + own["bias_G"]).clamp(min=0)
    z = torch.sigmoid(seen @ wz.T + bz + old @ uz.T + m.to(x) @ own["weight_V"].T)
    n = torch.tanh(seen @ wn.T + bn + (z * old) @ un.T)
    return (1 - z) * old + z * n, torch.where(m, x, last)
