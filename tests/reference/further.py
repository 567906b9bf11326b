"""Slow, obvious float64 references like those of ``equations.py``, of gated cells and others that came later.

Among them are cells with more than one width, or whose random states must be moved to where a run can lead.
"""

from __future__ import annotations

import torch

from tests.reference.unroll import Reference, Step

sigma = torch.sigmoid
tanh = torch.tanh


def li_gru(p, x, h):
    z = sigma(p.W(0, x) + p.b(0) + p.U(0, h))
    n = torch.clamp_min(p.W(1, x) + p.b(1) + p.U(1, h), 0)
    return (z * h + (1 - z) * n,)


def ugrnn(p, x, h):
    g = sigma(p.U(0, h) + p.W(0, x) + p.b(0))
    c = tanh(p.U(1, h) + p.W(1, x) + p.b(1))
    return (g * h + (1 - g) * c,)


def mut1(p, x, h):
    z = sigma(p.W(0, x) + p.b(0))
    r = sigma(p.W(1, x) + p.U(0, h) + p.b(1))
    return (tanh(p.U(1, r * h) + tanh(x) + p.d(0)) * z + h * (1 - z),)


def mut2(p, x, h):
    z = sigma(p.W(0, x) + p.U(0, h) + p.b(0))
    r = sigma(x + p.U(1, h) + p.d(0))
    return (tanh(p.U(2, r * h) + p.W(1, x) + p.b(1)) * z + h * (1 - z),)


def mut3(p, x, h):
    z = sigma(p.W(0, x) + p.U(0, tanh(h)) + p.b(0))
    r = sigma(p.W(1, x) + p.U(1, h) + p.b(1))
    return (tanh(p.U(2, r * h) + p.W(2, x) + p.b(2)) * z + h * (1 - z),)


class WideInput(Reference):
    """A cell whose input is added to what its units hold."""

    def features(self, H, wanted):
        return H


def scrn(p, x, h, s):
    return _scrn(p, x, h, s, 0.95)


def adaptive_scrn(p, x, h, s):
    return _scrn(p, x, h, s, sigma(p.vector("beta")))


def _scrn(p, x, h, s, alpha):
    A, B = p.tensors["weight_ih_l0"].split([p.H, s.shape[-1]])
    s_new = (1 - alpha) * (x @ B.T) + alpha * s
    return sigma(s_new @ p.tensors["weight_P_l0"].T + x @ A.T + p.U(0, h)), s_new


class Context(Reference):
    """A cell whose second state has a width of its own, S."""

    def further(self, H):
        return {"S": H // 2 + 1}

    def state_widths(self, H):
        return H, self.further(H)["S"]

    def shapes(self, I, H):
        S = self.further(H)["S"]
        shapes = {"weight_ih_l0": (H + S, I), "weight_hh_l0": (H, H), "weight_P_l0": (H, S)}
        return shapes | {f"{name}_l0": (S,) for name in self.vectors}


def ind_rnn(p, x, h):
    return (torch.clamp_min(p.W(0, x) + p.vector("u") * h + p.b(0), 0),)


def slstm(*, forget: str) -> Step:
    def step(p, x, h, c, n, m):
        i_raw = p.W(0, x) + p.U(0, h) + p.b(0)
        f_raw = p.W(1, x) + p.U(1, h) + p.b(1)
        z = tanh(p.W(2, x) + p.U(2, h) + p.b(2))
        o = sigma(p.W(3, x) + p.U(3, h) + p.b(3))
        log_f = f_raw if forget == "exp" else -torch.logaddexp(torch.zeros_like(f_raw), -f_raw)
        m_new = torch.where(n == 0, i_raw, torch.maximum(log_f + m, i_raw))
        i = torch.exp(i_raw - m_new)
        f = torch.where(n == 0, 0, torch.exp(log_f + m - m_new))
        c_new = f * c + i * z
        n_new = f * n + i
        return o * c_new / n_new, c_new, n_new, m_new

    return step


class Stabilised(Reference):
    """A cell that divides by its third state, which no step leaves below 1."""

    def reachable(self, h, c, n, m):
        return h, c, 1 + n.abs(), m


MUTATED = "Jozefowicz et al. 2015: z writes; b_h where W or else U has its rows"


def _one_biased(reading: str, step: Step, blocks: int) -> Reference:
    return Reference(reading, step, 1, {"ih": blocks, "hh": blocks}, {"ih": blocks})


FURTHER: dict[str, Reference] = {
    "ligru": _one_biased(
        "Ravanelli et al. 2018, without the batch norm of W x: a bias is what is left of it", li_gru, 2
    ),
    "ugrnn": _one_biased("Collins et al. 2017: tanh for s; the candidate c is stored as n", ugrnn, 2),
    "mut1": WideInput(
        f"{MUTATED}; tanh(x) as it is, so x has H features", mut1, 1, {"ih": 2, "hh": 2}, {"ih": 2, "hh": 1}
    ),
    "mut2": WideInput(f"{MUTATED}; x as it is in r", mut2, 1, {"ih": 2, "hh": 3}, {"ih": 2, "hh": 1}),
    "mut3": _one_biased(MUTATED, mut3, 3),
    "scrn": Context("Mikolov et al. 2014: alpha 0.95; h above, s below in W; no bias", scrn, 2, {}, {}),
    "adaptivescrn": Context(
        "Mikolov et al. 2014, adaptive context: Q is the logistic function of beta",
        adaptive_scrn,
        2,
        {},
        {},
        ("beta",),
    ),
    "indrnn": Reference(
        "Li et al. 2018: the recurrent matrix is a vector; relu", ind_rnn, 1, {"ih": 1}, {"ih": 1}, ("u",)
    ),
    **{
        name: Stabilised(
            f"Beck et al. 2024: stabilised form, c and n start at 0, m with the first input gate; f is {forget}",
            slstm(forget=forget),
            4,
            {"ih": 4, "hh": 4},
            {"ih": 4},
        )
        for name, forget in (("slstm", "sigmoid"), ("slstm/exp", "exp"))
    },
}
