"""Gradient by lag: against finite differences and against autograd through a loop over steps; and what bounds it."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import tidegate as tg
from tests.backend.test_series import Everything
from tests.sample import VARIED
from tidegate.cell import Cell, sigmoid
from tidegate.errors import InputError
from tidegate.explain import StepFunction, gradient_by_lag, probe, textbook_form
from tidegate.explain.bound import SUPREMUM, TEXTBOOK
from tidegate.nn import GRU, LSTM, RNN, Recurrent
from tidegate.runtime import eager_only, library
from tidegate.zoo import CELLS

try:
    library.load()
except library.BackendError as none:
    pytest.skip(f"no engine here: {none}", allow_module_level=True)

T, B, I, H = 6, 3, 3, 4
STEP = 1e-6  # of finite differences
every_cell = pytest.mark.parametrize("cell", [*VARIED, Everything, "own"], ids=str)


class Squared(Cell):
    """h' = f(W x + U h) in words of its own: a logistic function of a difference, and a second matrix."""

    gates = "h"
    matrices = {"U": "h", "V": "h"}
    biases = "W"

    def step(self, x, h, U, V):
        h = sigmoid(x.h - U(h).h + V(h).h)
        return h  # noqa: RET504  its name is what a trace reports


def layer_of(cell, *, steps: int = 0, **named) -> Recurrent:
    torch.manual_seed(1)
    kind = Squared if cell == "own" else CELLS[cell] if isinstance(cell, str) else cell
    features = H if kind.graph.input_axis == "H" else I
    layer = Recurrent(kind, features, H, dtype=torch.float64, **named)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1.5)
    return layer


def inputs_of(layer: torch.nn.Module, steps: int = T, size: int = B) -> torch.Tensor:
    return torch.randn(steps, size, layer.input_size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def rows(hx) -> tuple[torch.Tensor, ...]:
    return hx if isinstance(hx, tuple) else (hx,)


def weighed(y: torch.Tensor) -> torch.Tensor:
    """A loss of one step of all sequences, [B, width]."""
    return (y * torch.arange(1, y.numel() + 1, dtype=y.dtype).view(y.shape).cos()).sum()


def by_differences(layer: Recurrent, x: torch.Tensor, t: int) -> float:
    """|dL/ds[t]| for the loss ``weighed(y[-1])``, from runs that go on from a moved state."""
    with torch.no_grad():
        _, hx = layer(x[: t + 1])
        total = 0.0
        for k, state in enumerate(rows(hx)):
            for unit in range(state.numel()):
                losses = []
                for sign in (1, -1):
                    moved = [s.clone() for s in rows(hx)]
                    moved[k].view(-1)[unit] += sign * STEP
                    y, _ = layer(x[t + 1 :], tuple(moved) if len(moved) > 1 else moved[0])
                    losses.append(weighed(y[-1]).item())
                total += ((losses[0] - losses[1]) / (2 * STEP)) ** 2
    return math.sqrt(total)


@every_cell
def test_it_is_what_finite_differences_say(cell):
    layer = layer_of(cell)
    x = inputs_of(layer, size=1)
    (curve,) = gradient_by_lag(layer, lambda answer: weighed(answer[0][-1]), x).curves
    assert curve.lags == T
    for lag in range(1, T):
        assert 10 ** curve.norms[lag, 0].item() == pytest.approx(by_differences(layer, x, T - 1 - lag), rel=1e-4)


def by_loop(step: StepFunction, x: torch.Tensor) -> list[torch.Tensor]:
    """|dL/ds[t]| of each sequence by autograd through a loop over steps, for all states side by side."""
    with eager_only():
        states = [torch.zeros(x.shape[1], step.size, dtype=torch.float64)]
        for now in x:
            states.append(step(now, states[-1]).requires_grad_())
            states[-1].retain_grad()
        weighed(states[-1][:, step.output]).backward()
    return [state.grad.norm(dim=1) for state in states[1:]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: LSTM(I, H, 3),
        lambda: LSTM(I, 8, 2, proj_size=3),
        lambda: GRU(I, H, 2, zoneout=0.2, state_clip=0.4, layer_norm=True),
        lambda: GRU(I, H, 2, reset="before", dropout=0.5),
    ],
    ids=["deep", "projected", "options", "reset before"],
)
def test_a_stack_as_a_whole_is_one_state(make):
    torch.manual_seed(3)
    layer = make().double()
    x = inputs_of(layer)
    flow = gradient_by_lag(layer, lambda answer: weighed(answer[0][-1]), x, bounded=B)
    wanted = by_loop(StepFunction(layer), x)
    curve = flow.curves[-1]
    assert curve.number is None
    assert flow["(model)"] is curve
    assert [c.number for c in flow.curves[:-1]] == [*range(layer.num_layers)]
    for lag in range(1, T):
        torch.testing.assert_close(10 ** curve.norms[lag], wanted[T - 1 - lag], rtol=1e-10, atol=0)
    top = flow.curves[-2]  # its output is read by the loss alone, so it obeys a bound of its own
    assert (top.ratio[1:] <= top.bound.product[1:] + 1e-9).all()
    assert "layer above" in flow.curves[0].unbounded


@every_cell
def test_no_gradient_is_above_the_product_of_norms_nor_that_above_the_bound(cell):
    layer = layer_of(cell)
    x = inputs_of(layer, steps=12)
    (curve,) = gradient_by_lag(layer, "all", x, bounded=B).curves
    bound = curve.bound
    simple = textbook_form(layer.graph) is not None
    assert bound.name == (TEXTBOOK if simple else SUPREMUM)
    there = ~bound.product.isnan()
    assert torch.equal(there[1:], ~curve.norms.isnan()[1:])
    room = math.log10(1 + 1e-9)
    assert (curve.ratio[there] <= bound.product[there] + room).all()
    assert (bound.product[there] <= bound.supremum[there] + room).all()


def test_the_textbook_form_is_read_off_the_equations():
    simple = {name for name, kind in CELLS.items() if textbook_form(kind.graph)}
    assert simple == {"rnn", "rnn/relu", "indrnn"}
    assert textbook_form(Squared.graph)
    layer = layer_of("own")
    (curve,) = gradient_by_lag(layer, "last", inputs_of(layer), bounded=1).curves
    weight = layer.weight_V_l0 - layer.weight_hh_l0
    assert curve.bound.beta_w == pytest.approx(torch.linalg.matrix_norm(weight, 2).item(), rel=1e-12)
    assert 0 < curve.bound.beta_f.item() <= 0.25  # the logistic function is nowhere steeper
    assert not textbook_form(RNN(I, H, state_clip=0.5).cells[0].graph)


def test_lags_count_from_the_end_of_each_sequence():
    layer = layer_of("gru")
    x, lengths = inputs_of(layer), [6, 3, 1]
    flow = gradient_by_lag(layer, "last", x, lengths=lengths, bounded=B)
    (curve,) = flow.curves
    assert curve.ends.tolist() == [5, 2, 0]
    assert (~curve.norms.isnan()).sum(0).tolist() == lengths
    for b, length in enumerate(lengths):
        (alone,) = gradient_by_lag(layer, partial(of_row, length, 0), x[:length, b : b + 1]).curves
        (whole,) = gradient_by_lag(layer, partial(of_row, length, b), x, lengths=lengths).curves
        torch.testing.assert_close(whole.norms[:length, b], alone.norms[:, 0])
        assert whole.ends.tolist() == [length - 1 if row == b else -1 for row in range(B)]


def of_row(length: int, b: int, answer) -> torch.Tensor:
    return weighed(answer[0][length - 1, b])


def test_layouts_do_not_matter():
    torch.manual_seed(4)
    first, lengths = LSTM(I, H, 2, dtype=torch.float64), [6, 3, 1]
    second = LSTM(I, H, 2, batch_first=True, dtype=torch.float64)
    second.load_state_dict(first.state_dict())
    x = inputs_of(first)
    wanted = gradient_by_lag(first, "last", x, lengths=lengths)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    for found in (
        gradient_by_lag(second, "last", x.transpose(0, 1), lengths=lengths),
        gradient_by_lag(first, "last", packed),
        gradient_by_lag(tg.restore(second), "last", pack_padded_sequence(x, lengths, enforce_sorted=False)),
    ):
        for curve, other in zip(found.curves, wanted.curves, strict=True):
            torch.testing.assert_close(curve.norms, other.norms, equal_nan=True)
    one = gradient_by_lag(first, "last", x[:, 0])
    assert [curve.norms.shape for curve in one.curves] == [(T, 1)] * 3
    assert not one.curves[-1].unbounded  # one step was read, not all


def test_two_directions_have_lags_from_both_ends():
    layer = layer_of("lstm", bidirectional=True)
    x = inputs_of(layer)

    def of_ends(answer):
        last = answer[0]
        return weighed(torch.cat([last[-1, :, :H], last[0, :, H:]], -1))

    forward, backward = gradient_by_lag(layer, of_ends, x, bounded=1).curves
    assert forward.ends.tolist() == [T - 1] * B
    assert backward.ends.tolist() == [0] * B
    assert forward.lags == backward.lags == T
    turned = Recurrent("lstm", I, H, dtype=torch.float64)
    turned.load_state_dict(
        {n.removesuffix("_reverse"): v for n, v in layer.state_dict().items() if n.endswith("_reverse")}
    )

    def of_last(answer):
        return weighed(torch.cat([torch.zeros_like(answer[0][-1]), answer[0][-1]], -1))

    (alone,) = gradient_by_lag(turned, of_last, x.flip(0), bounded=1).curves
    torch.testing.assert_close(backward.norms, alone.norms)
    torch.testing.assert_close(backward.bound.product, alone.bound.product, equal_nan=True)


def test_one_step_a_row_gives_exact_curves():
    layer = layer_of("lstm")
    x = inputs_of(layer)
    (curve,) = gradient_by_lag(layer, lambda answer: answer[0].square().sum(-1), x).curves
    assert curve.ends.tolist() == [1, 3, 5]
    for b, end in enumerate((1, 3, 5)):
        alone = gradient_by_lag(layer, lambda answer: answer[0][-1].square().sum(), x[: end + 1, b : b + 1])
        torch.testing.assert_close(curve.norms[: end + 1, b], alone.curves[0].norms[:, 0])
    (target,) = gradient_by_lag(layer, -2, x).curves
    assert target.ends.tolist() == [4] * B


def test_a_reset_is_the_beginning():
    layer = layer_of("lstm", learn_initial_state=True)
    x, reset = inputs_of(layer), torch.zeros(T, B, dtype=torch.bool)
    reset[2, 0] = reset[5, 1] = True
    (curve,) = gradient_by_lag(layer, "last", x, reset=reset, bounded=B).curves
    assert (~curve.norms.isnan()).sum(0).tolist() == [4, 1, 6]
    assert (curve.ratio[1:, 0] <= curve.bound.product[1:, 0] + 1e-9)[:3].all()
    both = layer_of("lstm", bidirectional=True)
    (_, backward) = gradient_by_lag(both, 0, x, reset=reset).curves
    assert (~backward.norms.isnan()).sum(0).tolist() == [3, 6, 6]


class Model(torch.nn.Module):
    """Two layers of torch's behind an embedding, a pool over time, and a cell in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(7, I)
        self.below, self.above = torch.nn.GRU(I, H, batch_first=True), torch.nn.LSTM(H, H, batch_first=True)
        self.idle, self.cell = torch.nn.RNN(I, H), torch.nn.GRUCell(H, H)
        self.head = torch.nn.Linear(H, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        y, _ = self.above(self.below(self.table(tokens))[0])
        return self.head(self.cell(y[:, -1]))


def test_a_model_of_torchs_layers_is_measured_and_what_is_left_out_is_said():
    torch.manual_seed(5)
    model, tokens = Model(), torch.randint(7, (B, T))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=False)
    flow = gradient_by_lag(model, "last", tokens, bounded=1)
    assert [curve.name for curve in flow.curves] == ["below", "above"]
    assert type(model.above) is torch.nn.LSTM  # as it was
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert flow.left_out.keys() == {"idle", "cell"}
    assert "did not call" in flow.left_out["idle"]
    assert flow["above"].bound is not None
    assert "more steps than one" in flow["below"].unbounded
    with pytest.raises(InputError, match="choose of below, above"):
        flow["beside"]


def test_a_layer_that_the_loss_does_not_read_is_left_out():
    torch.manual_seed(5)
    model = torch.nn.ModuleDict({"one": LSTM(I, H), "other": LSTM(I, H)})
    model.forward = lambda x: (model["one"](x)[0], model["other"](x)[0])
    copied = probe(model)
    copied.model.forward = lambda x: (copied.model["one"](x)[0], copied.model["other"](x)[0])
    flow = gradient_by_lag(copied, lambda answer: answer[0][-1].sum(), inputs_of(LSTM(I, H)))
    assert [curve.name for curve in flow.curves] == ["one"]
    assert "does not depend on it" in flow.left_out["other"]


def test_a_bound_ends_where_it_is_told_to():
    torch.manual_seed(5)
    layer = layer_of("gru")
    x = inputs_of(layer)
    whole, part = (gradient_by_lag(layer, "last", x, bounded=2, bounded_lags=most).curves[0] for most in (None, 3))
    assert part.bound.product.shape == (4, 2)
    assert torch.equal(part.bound.product[1:], whole.bound.product[1:4])
    assert torch.equal(part.norms, whole.norms)
    with pytest.raises(InputError, match="bounded_lags"):
        gradient_by_lag(layer, "last", x, bounded_lags=-1)


def test_tiny_gradients_are_numbers():
    """A tenth a step over 200 steps is 1e-200, whose square is no number."""

    class Tenth(Cell):
        gates = "h"
        matrices = {}
        biases = ""

        def step(self, x, h):
            h = 0.1 * h + x.h
            return h  # noqa: RET504  its name is what a trace reports

    layer = Recurrent(Tenth, I, H)
    (curve,) = gradient_by_lag(layer, "last", torch.zeros(200, 2, I), bounded=1).curves
    assert curve.at(199) == pytest.approx(-198, abs=1e-9)
    assert curve.slope == pytest.approx(math.log(0.1), abs=1e-12)
    assert curve.bound.supremum[199, 0].item() == pytest.approx(-198, abs=1e-9)
    assert curve.quartiles[:, 199].tolist() == pytest.approx([-198] * 3, abs=1e-9)


@pytest.mark.parametrize("gain", [0.8, 1.8])
def test_the_slope_is_the_exponent_of_the_step(gain):
    torch.manual_seed(0)
    layer = RNN(8, 64, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(gain * torch.randn(64, 64) / 8)
    x = torch.randn(120, 8, 8, dtype=torch.float64)
    (curve,) = gradient_by_lag(layer, "last", x).curves
    assert curve.slope == pytest.approx(tg.explain.lyapunov(layer, x, 1).top, abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((torch.nn.Linear(2, 2), "last", torch.zeros(3, 2)), "no recurrent layer"),
        (("layer", "last", torch.zeros(3, 2)), "expected a torch.nn.Module"),
        ((LSTM(I, H), "first", torch.zeros(T, B, I)), "got the loss 'first'"),
        ((LSTM(I, H), 6, torch.zeros(T, B, I)), "step 6 was asked for, but a sequence has 6 steps"),
        ((LSTM(I, H), lambda answer: 1.0, torch.zeros(T, B, I)), "the loss is 1.0"),
        ((LSTM(I, H), lambda answer: answer[0].sum((1, 2)), torch.zeros(T, B, I)), r"the loss has the shape \[6\]"),
        ((LSTM(I, H), lambda answer: torch.zeros(()), torch.zeros(T, B, I)), "depends on no layer"),
        ((Model(), 2, torch.zeros(B, T, dtype=torch.long)), "no answer at each of 6 steps"),
        ((torch.nn.utils.parametrizations.weight_norm(torch.nn.LSTM(I, H), "weight_hh_l0"), 1, 0), "parametrized"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, text):
    with pytest.raises(InputError, match=text):
        gradient_by_lag(*arguments)


def test_what_overflows_is_no_number_and_ends_nothing():
    layer = RNN(I, H, nonlinearity="relu", dtype=torch.float64)
    x = inputs_of(layer)
    with torch.no_grad():
        layer.weight_hh_l0.fill_(1e160)
        layer.weight_ih_l0.abs_()
    (curve,) = gradient_by_lag(layer, "last", x.abs(), bounded=B).curves
    assert curve.norms[-1].isinf().all()
    assert curve.at(T - 1) == math.inf
    (curve,) = gradient_by_lag(GRU(I, H), "last", torch.full((T, B, I), math.nan), bounded=B).curves
    assert curve.norms[1:].isnan().all()
    assert math.isnan(curve.slope)
    assert curve.bound.product[2:].isnan().all()


def test_short_sequences_have_short_curves():
    layer = layer_of("lstm")
    (curve,) = gradient_by_lag(layer, "last", inputs_of(layer, steps=1), bounded=B).curves
    assert (curve.lags, math.isnan(curve.slope), math.isnan(curve.at(1))) == (1, True, True)
    (curve,) = gradient_by_lag(layer, "last", inputs_of(layer), lengths=[0, 3, 1], bounded=B).curves
    assert curve.ends.tolist() == [-1, 2, 0]
    with pytest.raises(InputError, match="bounded is -1"):
        gradient_by_lag(layer, "last", inputs_of(layer), bounded=-1)
