"""Slow, obvious float64 references of every cell, written by hand from the papers.

Nothing here is shared with the library: rows are sliced by number, every equation is spelled out, and the
gradients of the RNN, the LSTM with and without peepholes, the GRU in four readings and the MGU are derived by
hand. Gradients of the others come from autograd through the forward written here. What each reference takes from
its paper, and what it reads into it, stands in its ``reading``.

Notation: ``W(k, x)`` is row block k of the input matrix times x, ``U(k, h)`` the same of the recurrent one, ``b(k)``
and ``d(k)`` are the row blocks of their biases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.reference.further import FURTHER
from tests.reference.irregular import DELAYED
from tests.reference.lean import LEAN
from tests.reference.peers import PEERS
from tests.reference.unroll import Reference, Step, Tensors

sigma = torch.sigmoid
tanh = torch.tanh


def _dsigma(s: Tensor) -> Tensor:
    return s * (1 - s)


def _dtanh(y: Tensor) -> Tensor:
    return 1 - y * y


def _input_side(A: Tensor, x: Tensor) -> Tensors:
    return {"weight_ih_l0": A.T @ x, "bias_ih_l0": A.sum(0)}


def _hidden_side(A: Tensor, h: Tensor) -> Tensors:
    return {"weight_hh_l0": A.T @ h, "bias_hh_l0": A.sum(0)}


def rnn_tanh(p, x, h):
    return (tanh(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0)),)


def rnn_relu(p, x, h):
    return (torch.clamp_min(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0), 0),)


def _rnn_back(p, x, h, dh, slope):
    A = dh * slope
    grads = _input_side(A, x) | _hidden_side(A, h)
    return A @ p.tensors["weight_ih_l0"], (A @ p.tensors["weight_hh_l0"],), grads


def rnn_tanh_back(p, x, states, dnew):
    (new,) = rnn_tanh(p, x, *states)
    return _rnn_back(p, x, states[0], dnew[0], _dtanh(new))


def rnn_relu_back(p, x, states, dnew):
    (new,) = rnn_relu(p, x, *states)
    return _rnn_back(p, x, states[0], dnew[0], (new > 0).to(new.dtype))


def lstm(p, x, h, c):
    i = sigma(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0))
    f = sigma(p.W(1, x) + p.b(1) + p.U(1, h) + p.d(1))
    g = tanh(p.W(2, x) + p.b(2) + p.U(2, h) + p.d(2))
    o = sigma(p.W(3, x) + p.b(3) + p.U(3, h) + p.d(3))
    c_new = f * c + i * g
    return o * tanh(c_new), c_new


def lstm_back(p, x, states, dnew):
    (h, c), (dh, dc) = states, dnew
    i = sigma(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0))
    f = sigma(p.W(1, x) + p.b(1) + p.U(1, h) + p.d(1))
    g = tanh(p.W(2, x) + p.b(2) + p.U(2, h) + p.d(2))
    o = sigma(p.W(3, x) + p.b(3) + p.U(3, h) + p.d(3))
    squashed = tanh(f * c + i * g)
    dc = dc + dh * o * _dtanh(squashed)
    a_o = dh * squashed * _dsigma(o)
    a_i, a_f, a_g = dc * g * _dsigma(i), dc * c * _dsigma(f), dc * i * _dtanh(g)
    A = torch.cat([a_i, a_f, a_g, a_o], dim=-1)  # [B, 4H]
    grads = _input_side(A, x) | _hidden_side(A, h)
    return A @ p.tensors["weight_ih_l0"], (A @ p.tensors["weight_hh_l0"], dc * f), grads


def peephole(p, x, h, c):
    i = sigma(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0) + p.vector("p_i") * c)
    f = sigma(p.W(1, x) + p.b(1) + p.U(1, h) + p.d(1) + p.vector("p_f") * c)
    g = tanh(p.W(2, x) + p.b(2) + p.U(2, h) + p.d(2))
    c_new = f * c + i * g
    o = sigma(p.W(3, x) + p.b(3) + p.U(3, h) + p.d(3) + p.vector("p_o") * c_new)
    return o * tanh(c_new), c_new


def peephole_back(p, x, states, dnew):
    (h, c), (dh, dc) = states, dnew
    i = sigma(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0) + p.vector("p_i") * c)
    f = sigma(p.W(1, x) + p.b(1) + p.U(1, h) + p.d(1) + p.vector("p_f") * c)
    g = tanh(p.W(2, x) + p.b(2) + p.U(2, h) + p.d(2))
    c_new = f * c + i * g
    o = sigma(p.W(3, x) + p.b(3) + p.U(3, h) + p.d(3) + p.vector("p_o") * c_new)
    a_o = dh * tanh(c_new) * _dsigma(o)
    dc = dc + dh * o * _dtanh(tanh(c_new)) + a_o * p.vector("p_o")  # the output gate saw the new cell state
    a_i, a_f, a_g = dc * g * _dsigma(i), dc * c * _dsigma(f), dc * i * _dtanh(g)
    A = torch.cat([a_i, a_f, a_g, a_o], dim=-1)
    peeps = {"p_i_l0": (a_i * c).sum(0), "p_f_l0": (a_f * c).sum(0), "p_o_l0": (a_o * c_new).sum(0)}
    dc_old = dc * f + a_i * p.vector("p_i") + a_f * p.vector("p_f")
    grads = _input_side(A, x) | _hidden_side(A, h) | peeps
    return A @ p.tensors["weight_ih_l0"], (A @ p.tensors["weight_hh_l0"], dc_old), grads


def _gru_gates(p, x, h):
    r = sigma(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0))
    z = sigma(p.W(1, x) + p.b(1) + p.U(1, h) + p.d(1))
    return r, z


def _gru_candidate(p, x, h, r, before):
    if before:
        return tanh(p.W(2, x) + p.b(2) + p.U(2, r * h) + p.d(2))
    return tanh(p.W(2, x) + p.b(2) + r * (p.U(2, h) + p.d(2)))


def gru(*, before: bool, write: bool) -> Step:
    def step(p, x, h):
        r, z = _gru_gates(p, x, h)
        n = _gru_candidate(p, x, h, r, before)
        return ((1 - z) * h + z * n if write else z * h + (1 - z) * n,)

    return step


def gru_back(*, before: bool, write: bool) -> Callable[..., Any]:
    reset_back = _reset_before_back if before else _reset_after_back

    def back(p, x, states, dnew):
        (h,), (dh,) = states, dnew
        r, z = _gru_gates(p, x, h)
        n = _gru_candidate(p, x, h, r, before)
        kept, written = (1 - z, z) if write else (z, 1 - z)
        a_z = dh * ((n - h) if write else (h - n)) * _dsigma(z)
        a_n = dh * written * _dtanh(n)
        a_r, dh_reset, U_n, d_n = reset_back(p, h, r, a_n)
        A_x = torch.cat([a_r, a_z, a_n], dim=-1)
        gates = torch.cat([a_r, a_z], dim=-1)
        dh_old = dh * kept + dh_reset + a_r @ p.cut("weight_hh_l0", 0) + a_z @ p.cut("weight_hh_l0", 1)
        hidden = {
            "weight_hh_l0": torch.cat([gates.T @ h, U_n]),
            "bias_hh_l0": torch.cat([gates.sum(0), d_n]),
        }
        return A_x @ p.tensors["weight_ih_l0"], (dh_old,), _input_side(A_x, x) | hidden

    return back


def _reset_after_back(p, h, r, a_n):
    """n = tanh(... + r q) with q = U h + d."""
    q = p.U(2, h) + p.d(2)
    dq = a_n * r
    return a_n * q * _dsigma(r), dq @ p.cut("weight_hh_l0", 2), dq.T @ h, dq.sum(0)


def _reset_before_back(p, h, r, a_n):
    """n = tanh(... + U s + d) with s = r h."""
    ds = a_n @ p.cut("weight_hh_l0", 2)
    return ds * h * _dsigma(r), ds * r, a_n.T @ (r * h), a_n.sum(0)


def lstm1997(p, x, h, c):
    i = sigma(p.W(0, x) + p.b(0) + p.U(0, h))
    g = 4 / (1 + torch.exp(-(p.W(1, x) + p.b(1) + p.U(1, h)))) - 2
    o = sigma(p.W(2, x) + p.b(2) + p.U(2, h))
    c_new = c + i * g
    return o * (2 / (1 + torch.exp(-c_new)) - 1), c_new


def vanilla(p, x, h, c):
    i = sigma(p.W(0, x) + p.U(0, h) + p.vector("p_i") * c + p.b(0))
    f = sigma(p.W(1, x) + p.U(1, h) + p.vector("p_f") * c + p.b(1))
    z = tanh(p.W(2, x) + p.U(2, h) + p.b(2))
    c_new = z * i + c * f
    o = sigma(p.W(3, x) + p.U(3, h) + p.vector("p_o") * c_new + p.b(3))
    return tanh(c_new) * o, c_new


def nig(p, x, h, c):
    f = sigma(p.W(0, x) + p.U(0, h) + p.vector("p_f") * c + p.b(0))
    z = tanh(p.W(1, x) + p.U(1, h) + p.b(1))
    c_new = z + c * f
    o = sigma(p.W(2, x) + p.U(2, h) + p.vector("p_o") * c_new + p.b(2))
    return tanh(c_new) * o, c_new


def nfg(p, x, h, c):
    i = sigma(p.W(0, x) + p.U(0, h) + p.vector("p_i") * c + p.b(0))
    z = tanh(p.W(1, x) + p.U(1, h) + p.b(1))
    c_new = z * i + c
    o = sigma(p.W(2, x) + p.U(2, h) + p.vector("p_o") * c_new + p.b(2))
    return tanh(c_new) * o, c_new


def nog(p, x, h, c):
    i = sigma(p.W(0, x) + p.U(0, h) + p.vector("p_i") * c + p.b(0))
    f = sigma(p.W(1, x) + p.U(1, h) + p.vector("p_f") * c + p.b(1))
    z = tanh(p.W(2, x) + p.U(2, h) + p.b(2))
    c_new = z * i + c * f
    return tanh(c_new), c_new


def niaf(p, x, h, c):
    i = sigma(p.W(0, x) + p.U(0, h) + p.vector("p_i") * c + p.b(0))
    f = sigma(p.W(1, x) + p.U(1, h) + p.vector("p_f") * c + p.b(1))
    z = p.W(2, x) + p.U(2, h) + p.b(2)
    c_new = z * i + c * f
    o = sigma(p.W(3, x) + p.U(3, h) + p.vector("p_o") * c_new + p.b(3))
    return tanh(c_new) * o, c_new


def noaf(p, x, h, c):
    i = sigma(p.W(0, x) + p.U(0, h) + p.vector("p_i") * c + p.b(0))
    f = sigma(p.W(1, x) + p.U(1, h) + p.vector("p_f") * c + p.b(1))
    z = tanh(p.W(2, x) + p.U(2, h) + p.b(2))
    c_new = z * i + c * f
    o = sigma(p.W(3, x) + p.U(3, h) + p.vector("p_o") * c_new + p.b(3))
    return c_new * o, c_new


def cifg(p, x, h, c):
    i = sigma(p.W(0, x) + p.U(0, h) + p.vector("p_i") * c + p.b(0))
    f = 1 - i
    z = tanh(p.W(1, x) + p.U(1, h) + p.b(1))
    c_new = z * i + c * f
    o = sigma(p.W(2, x) + p.U(2, h) + p.vector("p_o") * c_new + p.b(2))
    return tanh(c_new) * o, c_new


def no_peepholes(p, x, h, c):
    i = sigma(p.W(0, x) + p.U(0, h) + p.b(0))
    f = sigma(p.W(1, x) + p.U(1, h) + p.b(1))
    z = tanh(p.W(2, x) + p.U(2, h) + p.b(2))
    o = sigma(p.W(3, x) + p.U(3, h) + p.b(3))
    c_new = z * i + c * f
    return tanh(c_new) * o, c_new


def fgr(p, x, h, c, *gates_old):
    i_old, f_old, o_old = gates_old

    def from_gates(k):
        return p.times("R_i", k, i_old) + p.times("R_f", k, f_old) + p.times("R_o", k, o_old)

    i = sigma(p.W(0, x) + p.U(0, h) + p.vector("p_i") * c + p.b(0) + from_gates(0))
    f = sigma(p.W(1, x) + p.U(1, h) + p.vector("p_f") * c + p.b(1) + from_gates(1))
    z = tanh(p.W(2, x) + p.U(2, h) + p.b(2))
    c_new = z * i + c * f
    o = sigma(p.W(3, x) + p.U(3, h) + p.vector("p_o") * c_new + p.b(3) + from_gates(2))
    return tanh(c_new) * o, c_new, i, f, o


def mgu(p, x, h):
    f = sigma(p.W(0, x) + p.U(0, h) + p.b(0))
    n = tanh(p.W(1, x) + p.U(1, f * h) + p.b(1))
    return ((1 - f) * h + f * n,)


def mgu_back(p, x, states, dnew):
    (h,), (dh,) = states, dnew
    f = sigma(p.W(0, x) + p.U(0, h) + p.b(0))
    n = tanh(p.W(1, x) + p.U(1, f * h) + p.b(1))
    a_n = dh * f * _dtanh(n)
    ds = a_n @ p.cut("weight_hh_l0", 1)  # s = f h
    a_f = (dh * (n - h) + ds * h) * _dsigma(f)
    A = torch.cat([a_f, a_n], dim=-1)
    dh_old = dh * (1 - f) + ds * f + a_f @ p.cut("weight_hh_l0", 0)
    grads = _input_side(A, x) | {"weight_hh_l0": torch.cat([a_f.T @ h, a_n.T @ (f * h)])}
    return A @ p.tensors["weight_ih_l0"], (dh_old,), grads


def janet(p, x, h):
    s = p.U(0, h) + p.W(0, x) + p.b(0)
    n = tanh(p.U(1, h) + p.W(1, x) + p.b(1))
    return (sigma(s) * h + (1 - sigma(s - 1)) * n,)


def min_gru(p, x, h):
    z = sigma(p.W(0, x) + p.b(0))
    n = p.W(1, x) + p.b(1)
    return ((1 - z) * h + z * n,)


def min_lstm(p, x, h):
    f = sigma(p.W(0, x) + p.b(0))
    i = sigma(p.W(1, x) + p.b(1))
    n = p.W(2, x) + p.b(2)
    return (f / (f + i) * h + i / (f + i) * n,)


def misprint_lstm(p, x, h, c):
    def concatenated(k):
        return p.W(k, x) + p.U(k, h)

    i = sigma(concatenated(0) + p.b(0) + p.times("R", 0, h) + p.W(4, x))
    f = sigma(concatenated(1) + p.b(1) + p.times("R", 1, h) + p.W(5, x))
    o = sigma(concatenated(2) + p.b(2) + p.times("R", 2, h) + p.W(6, x))
    W_h = p.U(3, h) + p.W(7, x)
    g = tanh(p.W(3, x) + W_h * (1 - f) + p.times("C", 0, c))
    c_new = f * c + i * g
    return o * tanh(c_new), c_new


def misprint_gru(p, x, h):
    def concatenated(k):
        return p.W(k, x) + p.U(k, h)

    z = sigma(concatenated(0) + p.b(0) + p.times("R", 0, h) + p.W(3, x))
    r = sigma(concatenated(1) + p.b(1) + p.times("R", 1, h) + p.W(4, x))
    return ((1 - z) * tanh(concatenated(2) * (1 - r) + p.times("R", 2, h) * r),)


PEEPHOLES = ("p_i", "p_f", "p_o")
ODYSSEY = "Greff et al. 2017: block input z is stored as g, y is h, one bias a gate, tanh for both g(.) and h(.)"
CHO = "Cho et al. 2014: h = z h + (1-z) n"
CHUNG = "Chung et al. 2014: h = (1-z) h + z n"
INSIDE = "U (r h); the papers print no bias, so each side has one"
OUTSIDE = "r (U h + b'), the form of cuDNN, whose recurrent bias is inside the reset"


def _two_biased(reading: str, step: Step, states: int, blocks: int, **more: Any) -> Reference:
    both = {"ih": blocks, "hh": blocks}
    return Reference(reading, step, states, both, both, **more)


def _one_biased(reading: str, step: Step, states: int, blocks: int, **more: Any) -> Reference:
    return Reference(reading, step, states, {"ih": blocks, "hh": blocks}, {"ih": blocks}, **more)


def _grus() -> dict[str, Reference]:
    found = {}
    for before in (False, True):
        for write in (False, True):
            name = "gru" + "/before" * before + "/write" * write
            reading = f"{CHUNG if write else CHO}; {INSIDE if before else OUTSIDE}"
            how = {"before": before, "write": write}
            found[name] = _two_biased(reading, gru(**how), 1, 3, back=gru_back(**how))
    return found


REFERENCES: dict[str, Reference] = {
    "rnn": _two_biased(
        "Elman 1990: hidden units see the input and their copy; tanh, two biases", rnn_tanh, 1, 1, back=rnn_tanh_back
    ),
    "rnn/relu": _two_biased("the same with relu, whose slope at 0 is 0", rnn_relu, 1, 1, back=rnn_relu_back),
    "lstm": _two_biased(
        "Gers et al. 2000, one cell a block; tanh for g and h; stored i f g o", lstm, 2, 4, back=lstm_back
    ),
    "peepholelstm": _two_biased(
        "Gers & Schmidhuber 2000: i and f see c of the step before, o the new c; diagonal peepholes",
        peephole,
        2,
        4,
        vectors=PEEPHOLES,
        back=peephole_back,
    ),
    **_grus(),
    "lstm1997": _one_biased(
        "Hochreiter & Schmidhuber 1997: g from -2 to 2, h from -1 to 1, no forget gate, gates see x and h alone",
        lstm1997,
        2,
        3,
    ),
    "v": _one_biased(ODYSSEY, vanilla, 2, 4, vectors=PEEPHOLES),
    "nig": _one_biased(f"{ODYSSEY}; i = 1", nig, 2, 3, vectors=("p_f", "p_o")),
    "nfg": _one_biased(f"{ODYSSEY}; f = 1", nfg, 2, 3, vectors=("p_i", "p_o")),
    "nog": _one_biased(f"{ODYSSEY}; o = 1", nog, 2, 3, vectors=("p_i", "p_f")),
    "niaf": _one_biased(f"{ODYSSEY}; g(x) = x", niaf, 2, 4, vectors=PEEPHOLES),
    "noaf": _one_biased(f"{ODYSSEY}; h(x) = x", noaf, 2, 4, vectors=PEEPHOLES),
    "cifg": _one_biased(f"{ODYSSEY}; f = 1 - i", cifg, 2, 3, vectors=("p_i", "p_o")),
    "np": _one_biased(f"{ODYSSEY}; no peepholes", no_peepholes, 2, 4),
    "fgr": Reference(
        f"{ODYSSEY}; each of i, f, o also sees i, f, o of the step before, which start as states",
        fgr,
        5,
        {"ih": 4, "hh": 4, "R_i": 3, "R_f": 3, "R_o": 3},
        {"ih": 4},
        PEEPHOLES,
    ),
    "mgu": _one_biased(
        "Zhou et al. 2016: W [h, x] + b split by columns; f resets before the product and writes",
        mgu,
        1,
        2,
        back=mgu_back,
    ),
    "janet": _one_biased("van der Westhuizen & Lasenby 2018: beta = 1, as in its experiments; h is c", janet, 1, 2),
    **FURTHER,
    **LEAN,
    **PEERS,
    **DELAYED,
    "mingru": Reference("Feng et al. 2024, sequential mode, not in log space", min_gru, 1, {"ih": 2}, {"ih": 2}),
    "minlstm": Reference(
        "Feng et al. 2024, sequential mode, not in log space; f and i divided by their sum",
        min_lstm,
        1,
        {"ih": 3},
        {"ih": 3},
    ),
    "misprintlstm": Reference(
        "as printed: only the gates have a bias; W [h, x] is U h + W x, U and V of the print are R and later rows of W",
        misprint_lstm,
        2,
        {"ih": 8, "hh": 4, "R": 3, "C": 1},
        {"ih": 3},
    ),
    "misprintgru": Reference(
        "as printed: only the gates have a bias; W [h, x] is U h + W x, U and V of the print are R and later rows of W",
        misprint_gru,
        1,
        {"ih": 5, "hh": 3, "R": 3},
        {"ih": 2},
    ),
}
