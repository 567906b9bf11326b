"""Jacobians of a step, Lyapunov exponents and fixed points, against definitions, closed forms and known values."""

from __future__ import annotations

import math

import pytest
import torch
from benchmarks.explain.known import Henon, Linear, linear
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.backend.test_series import Everything
from tests.property.random_cell import random_cells
from tests.sample import VARIED
from tests.unit.test_explain_gradient import B, H, I, T, inputs_of, layer_of
from tidegate.cell import Cell
from tidegate.errors import InputError
from tidegate.explain import StepFunction, captured, fixed_points, jacobian, lyapunov, probe
from tidegate.nn import GRU, LSTM, RNN, Recurrent
from tidegate.runtime import eager_only

every_cell = pytest.mark.parametrize("cell", [*VARIED, Everything], ids=str)


# A relu that is off forgets, and so does a maximum of which the other side counts; in NOG and FGR h is a function of
# the other new states, and some later cells do not read it. The Jacobians of all other cells are regular along the run.
SINGULAR = {"rnn/relu", "indrnn", "nog", "fgr", "slstm", "slstm/exp", "sru", "qrnn", "hgrn", "intersectionrnn"}


def reference(step: StepFunction, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """The same Jacobians by torch.func over the definition."""
    with eager_only():
        each = torch.func.jacrev(lambda s, x: step(x[None], s[None])[0])
        return torch.stack([each(s, one) for s, one in zip(state, x, strict=True)])


# A run, written down


@pytest.mark.parametrize("reverse", [False, True])
@every_cell
def test_steps_repeat_the_run(cell, reverse):
    learns = cell in {"lstm", "scrn"}  # of every other cell another program would be compiled
    layer = layer_of(cell, bidirectional=True, learn_initial_state=learns)
    with torch.no_grad():
        for value in layer.parameters():
            value.add_(0.1)
    x, reset = inputs_of(layer), torch.rand(T, B) < 0.2
    with torch.no_grad():
        _, (call,) = captured(probe(layer), x, lengths=[6, 4, 0], reset=reset)
        run = call.trajectory(0, reverse=reverse)
        step = StepFunction(layer, 0, reverse=reverse)
        made = step(run.x[run.valid], run.before[run.valid])
    torch.testing.assert_close(made, run.after[run.valid], rtol=1e-12, atol=1e-14)
    assert run.valid.sum(0).tolist() == [6, 4, 0]


def test_steps_of_a_stack_repeat_its_run():
    torch.manual_seed(0)
    layer = LSTM(I, 6, 3, batch_first=True, proj_size=4)
    x = torch.randn(B, T, I)
    with torch.no_grad():
        _, (call,) = captured(probe(layer), x, lengths=[6, 2, 4])
        run, step = call.trajectory(), StepFunction(layer)
        torch.testing.assert_close(step(run.x[run.valid], run.before[run.valid]), run.after[run.valid])
        assert step.size == 3 * 10
        _, hx = layer.double()(x.double(), lengths=[6, 2, 4])
    ends = run.after[call.lengths - 1, torch.arange(B)]
    torch.testing.assert_close(step.join(hx), ends)


# Jacobians


@every_cell
def test_a_jacobian_is_that_of_the_definition(cell):
    layer = layer_of(cell)
    step = StepFunction(layer)
    x, state = torch.randn(3, layer.input_size, dtype=torch.float64), torch.rand(3, step.size, dtype=torch.float64)
    torch.testing.assert_close(step.jacobians(x, state), reference(step, x, state), rtol=1e-11, atol=1e-12)


def test_a_jacobian_of_a_stack_is_that_of_the_definition():
    layer = GRU(I, H, 2, layer_norm=True, zoneout=0.1)
    step = StepFunction(layer)
    x, state = torch.randn(I), torch.randn(2 * H)
    found = jacobian(layer, x, state)
    torch.testing.assert_close(found, reference(step, x.double()[None], state.double()[None])[0])
    assert torch.equal(found, jacobian(layer, x, state.view(2, 1, H)))
    assert torch.equal(found, jacobian(layer, x[None], state)[0])
    lower, upper = step.slices[0, "h"], step.slices[1, "h"]
    assert not found[lower, upper].any()  # what lies below reads nothing from above
    assert found[upper, lower].any()


@given(random_cells(), st.integers(1, 4))
@settings(max_examples=8)
def test_a_jacobian_of_a_random_cell_is_that_of_its_definition(made, size):
    note(made.source)
    torch.manual_seed(size)
    graph = made.cell.graph
    features = size if graph.input_axis == "H" else I
    layer = Recurrent(graph, features, size, dtype=torch.float64, widths=dict.fromkeys(graph.own_axes, size // 2 + 1))
    step = StepFunction(layer)
    x, state = torch.randn(2, features, dtype=torch.float64), torch.randn(2, step.size, dtype=torch.float64)
    torch.testing.assert_close(step.jacobians(x, state), reference(step, x, state), rtol=1e-8, atol=1e-10)


def test_many_jacobians_are_those_of_each(monkeypatch):
    layer = layer_of("lstm")
    step = StepFunction(layer)
    x, state = torch.randn(7, I, dtype=torch.float64), torch.randn(7, step.size, dtype=torch.float64)
    whole = step.jacobians(x, state)
    alone = torch.cat([step.jacobians(x[n : n + 1], state[n : n + 1]) for n in range(7)])
    torch.testing.assert_close(whole, alone)
    monkeypatch.setattr("tidegate.explain.step.MOST_NUMBERS", 3 * step.size**2)
    parts = torch.cat([step.jacobians(x[at], state[at]) for at in step.in_parts(7)])
    assert len([*step.in_parts(7)]) == 3
    torch.testing.assert_close(parts, whole)


def test_what_has_no_step_is_refused():
    both = LSTM(I, H, bidirectional=True)
    for ask in (jacobian, lyapunov, fixed_points):
        with pytest.raises(InputError, match="reads sequences from both ends"):
            ask(both, torch.zeros(I))
    with pytest.raises(InputError, match="expected one recurrent layer, got Linear"):
        jacobian(torch.nn.Linear(2, 2), torch.zeros(2))
    with pytest.raises(InputError, match=r"is \[4\], expected \[3\]"):
        jacobian(GRU(I, H), torch.zeros(4))
    with pytest.raises(InputError, match=r"shapes \[2, 1, 4\], expected \[1, B, 4\]"):
        jacobian(GRU(I, H), torch.zeros(I), torch.zeros(2, 1, 4))
    with pytest.raises(InputError, match="1 layers in 1 directions"):
        StepFunction(GRU(I, H), 1)


# Exponents


def rank_of_product(jacobians: torch.Tensor) -> int:
    """The rank of J[T-1] ... J[0], whatever its size: an orthonormal basis of what is left after each factor."""
    basis = torch.eye(jacobians.shape[-1], dtype=jacobians.dtype)
    for one in jacobians:
        if not basis.numel():
            return 0
        left, sizes, _ = torch.linalg.svd(one @ basis, full_matrices=False)
        basis = left[:, sizes > 1e-13 * max(sizes.max().item(), 1e-300)]
    return basis.shape[1]


def test_henons_map_has_its_exponents():
    found = lyapunov(Recurrent(Henon, 1, 1), torch.zeros(2000, 1), discard=100)
    assert found.values.tolist() == pytest.approx([0.419, -1.623], abs=0.03)
    assert found.values.sum().item() == pytest.approx(math.log(0.3), abs=1e-12)


def test_a_normal_linear_system_has_the_logarithms_of_its_eigenvalues():
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    sizes = torch.tensor([1.1, 0.9, 0.7, 0.5, 0.3, 0.1], dtype=torch.float64)
    layer = linear(basis @ torch.diag(sizes) @ basis.T)
    found = lyapunov(layer, torch.zeros(200, 1), discard=50)
    torch.testing.assert_close(found.values, sizes.log(), rtol=0, atol=1e-4)
    few = lyapunov(layer, torch.zeros(200, 1), k=2, every=5, discard=50)
    torch.testing.assert_close(few.values, sizes.log()[:2], rtol=0, atol=1e-4)


@every_cell
def test_exponents_add_up_to_the_determinants(cell):
    layer = layer_of(cell)
    x = inputs_of(layer, steps=17, size=2)
    found = lyapunov(layer, x, discard=5)
    with torch.no_grad():
        _, (call,) = captured(probe(layer), x)
    run, step = call.trajectory(), StepFunction(layer)
    each = step.jacobians(run.x[5:].flatten(0, 1), run.before[5:].flatten(0, 1)).unflatten(0, (12, 2))
    deficit = torch.tensor([step.size - rank_of_product(each[:, b]) for b in range(2)])
    assert (found.each == -torch.inf).sum(1).tolist() == deficit.tolist()
    assert deficit.any() == (cell in SINGULAR)
    if cell not in SINGULAR:
        wanted = torch.linalg.slogdet(each).logabsdet.mean(0)
        torch.testing.assert_close(found.each.sum(1), wanted, rtol=0, atol=1e-10)


def test_a_free_run_feeds_itself():
    """The output comes back through the input, so that the step as a whole is the linear map U + W."""
    matrix = torch.diag(torch.tensor([0.5, 0.2], dtype=torch.float64))
    layer = Recurrent(Linear, 2, 2, dtype=torch.float64)
    layer.weight_hh_l0.data.copy_(matrix)
    layer.weight_ih_l0.data.copy_(torch.eye(2))
    x = torch.randn(40, 2, dtype=torch.float64)
    driven = lyapunov(layer, x)
    assert not driven.free
    torch.testing.assert_close(driven.values, matrix.diagonal().log())
    free = lyapunov(layer, x, free_running=lambda y: 0.3 * y, steps=60)
    assert free.free
    assert free.steps == 60 - 15
    torch.testing.assert_close(free.values, (matrix.diagonal() + 0.3).log())
    zeros = lyapunov(layer, x, free_running="zeros")
    torch.testing.assert_close(zeros.values, matrix.diagonal().log())
    by_module = torch.nn.Linear(2, 2, bias=False)
    by_module.weight.data.copy_(0.3 * torch.eye(2))
    torch.testing.assert_close(
        lyapunov(layer, x, free_running=by_module, steps=60).values, free.values, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    ("named", "text"),
    [
        ({"k": 9}, "k must lie between 1 and 4"),
        ({"every": 0}, "every must be at least 1"),
        ({"discard": 20}, "of 20 steps none is left"),
        ({"steps": 5}, "for a free run"),
        ({"free_running": "ones"}, "free_running is 'ones'"),
        ({"free_running": lambda y: y}, r"free_running gave \[1, 4\] for 1 outputs, expected \[1, 3\]"),
    ],
)
def test_exponents_that_cannot_be_had_are_refused(named, text):
    with pytest.raises(InputError, match=text):
        lyapunov(GRU(I, H), torch.zeros(20, I), **named)


def test_exponents_do_not_hang_on_layout_or_class():
    torch.manual_seed(0)
    layer = torch.nn.LSTM(I, H, 2, batch_first=True)
    x = torch.randn(B, 24, I)
    found = lyapunov(layer, x, 3)
    turned = LSTM(I, H, 2)
    turned.load_state_dict(layer.state_dict())
    torch.testing.assert_close(lyapunov(turned, x.transpose(0, 1), 3).each, found.each)
    assert found.each.shape == (B, 3)
    assert found.spread.shape == (3,)
    assert found.top == found.values[0].item()


# Fixed points


def test_a_switch_has_its_points():
    """Two units h' = tanh(2 h): each rests at 0, which repels, and at two places that attract."""
    layer = RNN(1, 2, bias=False)
    layer.weight_hh_l0.data.copy_(2 * torch.eye(2))
    found = fixed_points(layer, starts=128)
    rest = 0.9575040240772687  # tanh(2 h) = h
    nearest = (found.points / rest).round()
    torch.testing.assert_close(found.points, rest * nearest, rtol=0, atol=1e-9)
    assert len({tuple(place) for place in nearest.tolist()}) == len(found.points) == 9
    at_zero = (nearest == 0).sum(1)
    assert torch.equal(found.unstable_modes, at_zero)
    assert torch.equal(found.stable, at_zero == 0)
    assert (found.speed < 1e-20).all()
    assert found.reached.sum() + found.lost == 128
    assert not len(found.slow)
    slopes = torch.where(nearest == 0, 2, 2 * (1 - rest**2)).sort(descending=True).values
    torch.testing.assert_close(found.eigenvalues.real, slopes.double(), rtol=1e-6, atol=1e-6)
    assert found.place(found.points).shape == (9, 2)
    assert found.share.sum().item() == pytest.approx(1)


def test_a_ghost_is_a_slow_point():
    """Just beyond a saddle-node nothing rests, but the state lingers where two points have met."""

    class Ghost(Cell):
        gates = "h"
        matrices = {}
        biases = ""

        def step(self, x, h):
            h = h + h * h + x.h
            return h  # noqa: RET504  its name is what a trace reports

    layer = Recurrent(Ghost, 1, 1, dtype=torch.float64)
    layer.weight_ih_l0.data.fill_(1.0)
    found = fixed_points(layer, 1e-5)
    assert not len(found.points)
    assert found.slow.tolist() == [[pytest.approx(0, abs=1e-2)]]
    assert found.slow_speed.item() == pytest.approx(0.5e-10, rel=1e-6)
    there = fixed_points(layer, -0.04, starts=torch.tensor([[0.3], [-0.3]]))
    assert sorted(there.points.flatten().tolist()) == pytest.approx([-0.2, 0.2])
    assert there.unstable_modes.sum() == 1


def test_points_of_a_stack_rest():
    torch.manual_seed(0)
    layer = LSTM(I, H, 2)
    x = torch.randn(I)
    found = fixed_points(layer, x, starts=16)
    assert found.reached.tolist() == [16]
    state = (found.points[0, :H], found.points[0, 2 * H : 3 * H])
    cells = (found.points[0, H : 2 * H], found.points[0, 3 * H :])
    hx = tuple(torch.stack(part)[:, None] for part in (state, cells))
    _, after = layer.double()(x.double()[None, None], hx)
    for now, before in zip(after, hx, strict=True):
        torch.testing.assert_close(now, before, rtol=0, atol=1e-9)
    with pytest.raises(InputError, match=r"starts have the shape \[2, 3\], expected \[n, 16\]"):
        fixed_points(layer, starts=torch.zeros(2, 3))
    with pytest.raises(InputError, match=r"shape \[2\], expected one finite number or \[3\]"):
        fixed_points(layer, torch.zeros(2))
    with pytest.raises(InputError, match="the input is nan"):
        fixed_points(layer, math.nan)
    with pytest.raises(InputError, match="starts is 0"):
        fixed_points(layer, starts=0)


def test_a_trained_memory_of_a_bit_has_two_points():
    """A flip-flop: the output is the last pulse, so without pulses the state rests at two places."""
    torch.manual_seed(0)
    layer, head = GRU(1, 8), torch.nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    for _ in range(150):
        pulse = torch.randint(-1, 2, (25, 32, 1)) * (torch.rand(25, 32, 1) < 0.3)
        target = torch.zeros(32, 1)
        wanted = torch.stack([target := torch.where(now != 0, now.float(), target) for now in pulse])
        loss = (head(layer(pulse.float())[0]) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = fixed_points(layer, starts=64)
    with torch.no_grad():
        answers = head(found.points[found.stable].float()).flatten()
    assert sorted(answers.round().tolist()) == [-1, 1]
