"""Cells whose units recur each by itself: panel by panel through time, against equations by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.backend.agreement import engine, must_equal, poisoned, threads
from tests.property.random_recurrence import recurrent_cells
from tests.property.test_laws import compare_with_its_step
from tests.reference.compare import assert_equal
from tests.reference.unitwise import UNITWISE
from tidegate.cell import Graph
from tidegate.nn import Recurrent
from tidegate.passes import Recurrence
from tidegate.runtime import eager_only, library
from tidegate.runtime.job import Job, packed_call
from tidegate.runtime.rows import Steps
from tidegate.runtime.sized import compiled, sized
from tidegate.zoo import CELLS

try:
    library.load()
except library.BackendError as none:
    pytest.skip(f"no engine here: {none}", allow_module_level=True)

sigma, tanh = torch.sigmoid, torch.tanh
Tensors = dict[str, Tensor]
Step = Callable[..., tuple[Tensor, ...]]


# The equations once more, in plain torch. w: the blocks of W x + b in storage order.


def min_gru(p, x, w, h):
    z = sigma(w[0])
    return ((1 - z) * h + z * w[1],)


def min_lstm(p, x, w, h):
    f, i = sigma(w[0]), sigma(w[1])
    return (f / (f + i) * h + i / (f + i) * w[2],)


def ind_rnn(p, x, w, h):
    return (torch.clamp_min(w[0] + p.u * h, 0),)


def sru(p, x, w, h, c):
    f, r = sigma(w[1] + p.v * c), sigma(w[2] + p.w * c)
    c = f * c + (1 - f) * w[0]
    return r * c + (1 - r) * x, c


def qrnn(p, x, w, h, c):
    c = sigma(w[1]) * c + sigma(w[3]) * tanh(w[0])
    return sigma(w[2]) * c, c


def rotated(p, x, w, h, k):
    z = torch.complex(p.r, p.i) * torch.complex(h, k) + torch.complex(w[0], w[1])
    return z.real, z.imag


def griffin(p, x, w, h):
    a = sigma(w[0])
    return (a * h + torch.sqrt(1.01 - a**2) * w[1],)


def scalar_memory(p, x, w, h, c, n, m):
    new = torch.maximum(w[1] + m, w[0])
    kept, taken = torch.exp(w[1] + m - new), torch.exp(w[0] - new)
    c, n = kept * c + taken * tanh(w[2]), kept * n + taken
    return c / torch.clamp_min(n, 1), c, n, new


def turns(p, x, w, h, k):
    return w[0] + k, tanh(h)


STEPS: dict[str, Step] = {
    "mingru": min_gru,
    "minlstm": min_lstm,
    "indrnn": ind_rnn,
    "sru": sru,
    "qrnn": qrnn,
    "complex": rotated,
    "griffin": griffin,
    "scalar memory": scalar_memory,
    "turns": turns,
}


def graph_of(name: str) -> Graph:
    return (UNITWISE.get(name) or CELLS[name]).graph


class Case:
    """A layer, a batch, and where the loss comes from."""

    def __init__(self, name: str, T: int, B: int, H: int, *, dtype: torch.dtype = torch.float64, **options: object):
        torch.manual_seed(T + 10 * B + 1000 * H)
        graph = graph_of(name)
        self.step, self.features = STEPS[name], H if graph.input_axis == "H" else 9
        self.layer = Recurrent(graph, self.features, H, dtype=dtype, **options)
        with torch.no_grad():
            for parameter in self.layer.parameters():
                parameter.uniform_(-0.6, 0.6)
        self.x = torch.randn(T, B, self.features, dtype=dtype, requires_grad=True)
        self.states = [torch.randn(B, H, dtype=dtype, requires_grad=True) for _ in graph.states]
        self.lengths, self.reset = [T] * B, torch.zeros(T, B, dtype=torch.bool)

    def ragged(self) -> Case:
        T, B = self.x.shape[:2]
        self.lengths = [(7 * b + 3) % (T + 1) for b in range(B)]
        self.reset = torch.rand(T, B) < 0.15
        return self

    @property
    def blocks(self) -> Tensors:
        return {name.removesuffix("_l0"): p for name, p in self.layer.named_parameters()}

    def by_hand(self) -> Tensors:
        """Each sequence by itself, one plain loop over its steps."""
        p, H = SimpleNamespace(**self.blocks), self.layer.hidden_size
        y, last = torch.zeros(*self.x.shape[:2], H, dtype=self.x.dtype), [s.clone() for s in self.states]
        for b, length in enumerate(self.lengths):
            state = [s[b] for s in self.states]
            for t in range(length):
                if self.reset[t, b]:
                    state = [torch.zeros_like(s) for s in state]
                w = (p.weight_ih @ self.x[t, b] + getattr(p, "bias_ih", 0)).split(H)
                state = list(self.step(p, self.x[t, b], w, *state))
                y[t, b] = state[0]
            for k, s in enumerate(state):
                last[k][b] = s
        return self.with_gradients(y, last)

    def by_engine(self, count: int = 1) -> Tensors:
        given = [s.unsqueeze(0) for s in self.states]
        named = {"lengths": self.lengths, "reset": self.reset}
        with engine(), poisoned(), threads(count):
            y, last = self.layer(self.x, given[0] if len(given) == 1 else tuple(given), **named)
            last = last if isinstance(last, tuple) else (last,)
            return self.with_gradients(y, [s[0] for s in last])

    def with_gradients(self, y: Tensor, last: Sequence[Tensor]) -> Tensors:
        found = {"y": y, **{f"last {k}": s for k, s in enumerate(last)}}
        weight = torch.Generator().manual_seed(4)
        loss = sum((v * torch.randn(v.shape, generator=weight, dtype=v.dtype)).sum() for v in found.values())
        leaves = {"x": self.x, **{f"state {k}": s for k, s in enumerate(self.states)}, **self.blocks}
        grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True, allow_unused=True)
        return {n: v.detach() for n, v in found.items()} | {f"d {n}": g for n, g in zip(leaves, grads, strict=True)}


SHAPES = [(1, 1, 5), (75, 1, 70), (19, 4, 33), (7, 31, 130)]  # a sequence at a time, and side by side


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(("T", "B", "H"), SHAPES)
def test_results_and_gradients_are_those_of_the_equations(name, T, B, H):
    assert compiled(graph_of(name)).by_unit
    for case in (Case(name, T, B, H), Case(name, T, B, H).ragged()):
        assert_equal(case.by_engine(), case.by_hand())


@pytest.mark.parametrize("name", ["minlstm", "sru"])
def test_every_bit_is_the_same_for_any_number_of_threads(name):
    for T, B, H in ((300, 1, 150), (301, 3, 200), (40, 50, 64), (30, 90, 100)):
        case = Case(name, T, B, H, dtype=torch.float32).ragged()
        once = case.by_engine()
        for count in (2, 7):
            must_equal(f"{count} threads", case.by_engine(count), once)


def test_a_long_sequence_may_begin_late_and_end_early_in_a_chunk():
    case = Case("mingru", 2500, 2, 3)
    case.lengths, case.reset[::97] = [2500, 1111], True
    assert_equal(case.by_engine(), case.by_hand())


@pytest.mark.parametrize(
    "options", [{"layer_norm": True}, {"zoneout": 0.3}, {"state_clip": 0.2}, {"bidirectional": True}]
)
def test_options_keep_their_numbers(options):
    """Those that need means of all units leave the order, which no number shows."""
    torch.manual_seed(3)
    layer = Recurrent(CELLS["mingru"], 9, 70, dtype=torch.float64, **options)
    x = torch.randn(23, 3, 9, dtype=torch.float64, requires_grad=True)

    def outcome() -> Tensors:
        torch.manual_seed(5)
        y, last = layer(x, lengths=[23, 0, 11])
        leaves = {"x": x, **dict(layer.named_parameters())}
        grads = torch.autograd.grad((y * y).sum() + last.sum(), list(leaves.values()))
        return {"y": y.detach(), "last": last.detach()} | {f"d {n}": g for n, g in zip(leaves, grads, strict=True)}

    with engine(), poisoned():
        got = outcome()
    with eager_only():
        assert_equal(got, outcome())
    assert compiled(layer.graph).by_unit == ("layer_norm" not in options)


def test_the_workspace_does_not_grow_with_the_steps():
    cell = sized(CELLS["minlstm"].graph, (("I", 64), ("H", 200)))
    plans = [cell.forward_plan(torch.float32, saving=True), cell.backward_plan(torch.float32, input_gradient=True)]
    jobs = [Job(cell, Steps.uniform(T, 2), 2, 1, None) for T in (5000, 50000)]
    for plan in plans:
        nothing = [0] * plan.struct.tensors
        calls = [packed_call(job, plan, nothing, nothing) for job in jobs]
        short, long = (library.load().engine.tg_workspace(call, 4, 1) for call in calls)
        assert short == long


@given(recurrent_cells(most=Recurrence.UNITWISE), st.integers(1, 9), st.integers(1, 15), st.integers(1, 20))
@settings(max_examples=3)  # each is compiled
def test_a_random_cell_equals_its_step_run_by_hand(drawn, T, B, H):
    made, _ = drawn
    note(made.source)
    assert compiled(made.cell.graph).by_unit
    compare_with_its_step(made, T, B, H)
