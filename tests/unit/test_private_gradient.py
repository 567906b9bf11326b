"""Norms and clipped sums of the gradients of single units, held to a loop over the units."""

import gc
import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

import tidegate as tg
from tidegate.errors import InputError
from tidegate.private.gradient import Gradients
from tidegate.private.rows import Rows

STEPS, UNITS = 7, 5
TIGHT = 1e-12


def loop(model, losses: torch.Tensor, owner: torch.Tensor, units: int, clip: float) -> tuple[torch.Tensor, list]:
    """What ``Gradients`` should find, by one backward run of torch's for each unit."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    sums, norms = [torch.zeros_like(p) for p in parameters], []
    for unit in range(units):
        chosen = losses[owner == unit].sum() if bool((owner == unit).any()) else losses.sum() * 0
        own = torch.autograd.grad(chosen, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
        norms.append(torch.stack([gradient.square().sum() for gradient in own]).sum().sqrt())
        factor = min(1.0, clip / float(norms[-1])) if norms[-1] else 1.0
        sums = [total + factor * gradient for total, gradient in zip(sums, own, strict=True)]
    return torch.stack(norms), sums


def check(model, run: Callable[[], object], units: int = UNITS, runs: int = 3) -> None:
    """A model against the loop; several times, since what is measured once is remembered."""
    answer = run()
    losses, owner = answer if isinstance(answer, tuple) else (answer, torch.arange(units))
    free, _ = loop(model, losses, owner, units, math.inf)
    clip = float(free.median())  # some are clipped, some are not
    norms, sums = loop(model, losses, owner, units, clip)
    gradients = Gradients(model, clip)
    for _ in range(runs):
        gradients.clear()
        found = gradients.add(run, units)
        assert torch.allclose(found, norms, rtol=TIGHT, atol=0)
        size = max(float(right.abs().max()) for right in sums)
        for (name, parameter), right in zip(model.named_parameters(), sums, strict=True):
            assert parameter.grad is None
            assert float((gradients.sums[parameter] - right).abs().max()) < TIGHT * size, name


class Everything(torch.nn.Module):
    """Time-major; every kind of arithmetic with a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.rms = torch.nn.Linear(4, 6), torch.nn.LayerNorm(6), torch.nn.RMSNorm(6)
        self.gain, self.slope = torch.nn.Parameter(torch.randn(6)), torch.nn.PReLU(6)
        self.place, self.scale = torch.nn.Parameter(torch.randn(STEPS, 1, 6)), torch.nn.Parameter(torch.tensor(1.5))
        self.matrix, self.begin = torch.nn.Parameter(torch.randn(6, 3)), torch.nn.Parameter(torch.randn(6))
        self.mixer = torch.nn.Parameter(torch.randn(3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.first(x)) * self.gain + self.place
        h = torch.cat([self.begin.expand(1, x.shape[1], 6), h])
        h = self.rms(self.norm(2 - self.scale / (3 + h.square())))
        h = self.slope(h.flatten(0, 1)).view_as(h)
        return torch.einsum("tbi,ij->tbj", torch.relu_(h @ self.matrix), self.mixer)


class Computed(torch.nn.Module):
    """Reads what is computed from parameters alone."""

    def __init__(self) -> None:
        super().__init__()
        self.normal = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 6))
        self.begin, self.places = torch.nn.Parameter(torch.randn(6)), torch.nn.Parameter(torch.randn(3 * STEPS, 1, 6))
        self.parts = torch.nn.ParameterList([torch.randn(3, 4), torch.randn(3, 2)])
        self.rate = torch.nn.Parameter(torch.tensor(0.3))
        self.register_buffer("mask", torch.tensor([1.0, 0.0, 2.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.normal(x) + self.places[: len(x)] + self.begin[None, None].repeat(1, x.shape[1], 1)
        matrix, other = torch.cat([*self.parts], 1).t().chunk(2)
        h = h.tanh() * self.rate.exp()
        return h[..., :3] @ matrix.T + F.linear(h[..., 3:], other * self.mask, self.begin[:3].type_as(h))


class Convolutions(torch.nn.Module):
    """Channels in the middle, the batch in front."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv1d(4, 6, 3, padding="same", groups=2), torch.nn.GroupNorm(2, 6), torch.nn.ReLU(inplace=True),
            torch.nn.Conv1d(6, 3, 2, stride=2, padding=1, dilation=2, padding_mode="circular"),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.permute(1, 2, 0)).permute(2, 0, 1)


class Tied(torch.nn.Module):
    """An embedding that is looked up twice and is the head, too: cross terms of both kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.bias = torch.nn.Embedding(9, 4, padding_idx=0), torch.nn.Parameter(torch.zeros(9))
        self.between = torch.nn.Linear(4, 4)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        h = self.between(torch.tanh(self.between(self.table(rows) + self.table(rows.flip(0)))))
        return F.linear(h, self.table.weight, self.bias)


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(STEPS, UNITS, 4, dtype=torch.float64)


def each(outputs: torch.Tensor) -> torch.Tensor:
    """Unlike losses of the sequences of [T, B, ...]."""
    return outputs.square().flatten(2).sum((0, 2)) * torch.linspace(0.1, 2, outputs.shape[1], dtype=outputs.dtype)


@pytest.mark.parametrize("make", [Everything, Computed, Convolutions])
def test_functions_of_torch(make, x) -> None:
    model = make().double()
    check(model, lambda: each(model(x)))


def test_an_embedding_that_is_the_head_too() -> None:
    torch.manual_seed(0)
    model, rows = Tied().double(), torch.randint(0, 9, (STEPS, UNITS))
    check(model, lambda: each(model(rows)))


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags_of_embeddings(mode) -> None:
    torch.manual_seed(1)
    model = torch.nn.EmbeddingBag(9, 4, mode=mode, padding_idx=0).double()
    rows = torch.randint(0, 9, (STEPS, UNITS, 3))
    check(model, lambda: each(model(rows.flatten(0, 1)).unflatten(0, (STEPS, UNITS))))


def test_rows_may_be_chosen_sorted_and_flattened(x) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).double()
    order, there = torch.tensor([3, 0, 4, 1, 2]), torch.rand(STEPS, UNITS) < 0.6
    back = order.argsort()

    def run() -> torch.Tensor:
        chosen = there[:, order]
        hidden = model[:2](x.movedim(1, 0)[order])
        answers = torch.zeros(STEPS, UNITS, 3, dtype=x.dtype)
        answers[chosen] = model[2](hidden.transpose(0, 1)[chosen])
        return each(answers[:, back])

    check(model, run)


class Twice(torch.nn.Module):
    """One layer that reads forwards and, batch in front and rows turned round, its own output; then a head."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(9, 4)
        self.layer = tg.nn.LSTM(4, 4, bidirectional=True, proj_size=2)
        self.again = tg.nn.LSTM(4, 4, batch_first=True)
        self.again.weight_ih_l0 = self.again.weight_hh_l0
        self.begin = torch.nn.Parameter(torch.randn(1, 1, 4))

    def forward(self, rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        first = self.layer(self.table(rows), lengths=lengths)[0]
        second, _ = self.layer(first, lengths=lengths)
        state = self.begin.expand(1, rows.shape[1], 4)
        turned, (_, c) = self.again(second.transpose(0, 1).flip(0), (state, state * 2), lengths=lengths.flip(0))
        return F.linear(turned.flip(0).transpose(0, 1) + c.flip(1), self.table.weight)


@pytest.mark.parametrize("owner", [None, torch.tensor([1, 0, 1, 2, 1])])
def test_layers_that_are_called_twice_with_weights_that_are_shared(owner) -> None:
    torch.manual_seed(0)
    model, rows, lengths = Twice().double(), torch.randint(0, 9, (STEPS, UNITS)), torch.tensor([7, 2, 5, 7, 1])

    def run() -> object:
        losses = each(model(rows, lengths))
        return losses if owner is None else (losses, owner)

    check(model, run, units=UNITS if owner is None else 3)


def test_a_unit_may_have_several_rows_or_none(x) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.LayerNorm(6), torch.nn.Linear(6, 3)).double()
    owner = torch.tensor([2, 0, 2, 3, 2])
    check(model, lambda: (each(model(x)), owner), units=4)


def test_a_batch_of_one_and_as_many_steps_as_units(x) -> None:
    model = Everything().double()
    gradients = Gradients(model, 0.5)
    for units in (1, 2, 3, 1, 5, 4):
        gradients.clear()
        norms, sums = loop(model, each(model(x[:, :units])), torch.arange(units), units, 0.5)
        assert torch.allclose(gradients.add(lambda n=units: each(model(x[:, :n])), units), norms, rtol=TIGHT)
        for total, right in zip(gradients.sums.values(), sums, strict=True):
            assert torch.allclose(total, right, rtol=TIGHT, atol=TIGHT)


def test_pieces_add_up_and_nobody_adds_nothing(x) -> None:
    model = Everything().double()
    whole, parts = Gradients(model, 0.7), Gradients(model, 0.7)
    whole.add(lambda: each(model(x)), UNITS)
    weights = torch.linspace(0.1, 2, UNITS, dtype=x.dtype)
    for part in torch.arange(UNITS).split(2):
        parts.add(lambda part=part: model(x[:, part]).square().sum((0, 2)) * weights[part], len(part))
    parts.add(lambda: each(model(x[:, :0])), 0)
    for one, other in zip(whole.sums.values(), parts.sums.values(), strict=True):
        assert torch.allclose(one, other, rtol=TIGHT, atol=TIGHT)


def test_a_frozen_parameter_gets_nothing(x) -> None:
    model = Everything().double()
    for parameter in (model.first.weight, model.norm.bias, model.gain):
        parameter.requires_grad_(False)  # noqa: FBT003  # a dtype
    gradients = Gradients(model, math.inf)
    gradients.add(lambda: each(model(x)), UNITS)
    right = torch.autograd.grad(each(model(x)).sum(), list(gradients.sums))
    assert len(right) == len(list(model.parameters())) - 3
    for total, own in zip(gradients.sums.values(), right, strict=True):
        assert torch.allclose(total, own, rtol=TIGHT, atol=TIGHT)


def test_float32_norms_of_gradients_that_cancel_are_not_too_small() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 4, bias=False)
    x = torch.randn(1, UNITS, 3).expand(STEPS, -1, -1)
    sign = torch.tensor([1, -1, 1, -1, 1, -1, 1e-5])[:, None]
    gradients = Gradients(layer, 1.0)
    found = gradients.add(lambda: (layer(x).sum(2) * sign * 1000).sum(0), UNITS)
    right = 0.01 * 2 * x[0].double().norm(dim=1)  # four equal rows, times 1000 times 1e-5
    assert bool((found >= right * (1 - 1e-5)).all())


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        (torch.nn.BatchNorm1d(4), "PRIVATE_BATCH_NORM"),
        (torch.nn.BatchNorm1d(4, affine=False), "PRIVATE_BATCH_NORM"),
        (torch.nn.LSTM(4, 4), "PRIVATE_FUNCTION"),
        (torch.nn.GRUCell(4, 4), "PRIVATE_FUNCTION"),
        (torch.nn.MultiheadAttention(4, 2), "PRIVATE_FUNCTION"),
    ],
)
def test_modules_that_cannot_be_private_are_refused_by_name(layer, code, x) -> None:
    model = torch.nn.ModuleDict({"odd": layer, "head": torch.nn.Linear(4, 2)}).double()

    def run() -> torch.Tensor:
        three = isinstance(layer, torch.nn.MultiheadAttention)
        answer = layer(*[x] * 3) if three else layer(x if isinstance(layer, torch.nn.LSTM) else x[0])
        answer = answer[0][0] if isinstance(answer, tuple) else answer
        return model["head"](answer).square().sum(1)

    with pytest.raises(InputError) as caught:
        Gradients(model, 1.0).add(run, UNITS)
    assert caught.value.code == code


def test_units_that_change_each_other_are_refused(x) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)).double()

    def run() -> torch.Tensor:
        h = model[0](x)
        return each(model[1](h - h.mean(1, keepdim=True)))

    with pytest.raises(InputError, match=r"linear\(0.weight, 0.bias\)") as caught:
        Gradients(model, 1.0).add(run, UNITS)
    assert caught.value.code == "PRIVATE_MIXED"


def test_what_only_looks_private_is_refused(x) -> None:
    layer = torch.nn.Linear(4, 4).double()

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x)
            return x @ weight.T

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return None, g.flatten(0, 1).T @ x.flatten(0, 1)

    def changed() -> torch.Tensor:
        own = x.clone()
        answer = each(layer(own))
        own.zero_()
        return answer

    unit = torch.full((UNITS,), UNITS)
    runs = [
        ("PRIVATE_FUNCTION", lambda: each(Own.apply(x, layer.weight))),
        ("PRIVATE_FUNCTION", lambda: each(Own.apply(x, layer.weight * 2))),
        ("PRIVATE_FUNCTION", lambda: each(x.clone().add_(layer.bias))),
        ("PRIVATE_FUNCTION", lambda: each(torch.cat([x, layer.bias.expand(1, UNITS, 4), layer.weight[:, None]], 1))),
        ("PRIVATE_IN_PLACE", changed),
        ("PRIVATE_MIXED", lambda: each(layer(x)) / layer(x).mean()),
        ("PRIVATE_MIXED", lambda: each(layer(x).cumsum(1))),
        ("PRIVATE_LOSSES", lambda: layer(x).sum()),
        ("PRIVATE_LOSSES", lambda: each(layer(x))[:3]),
        ("PRIVATE_LOSSES", lambda: (each(layer(x)), unit)),
        ("PRIVATE_LOSSES", lambda: each(x)),
        ("PRIVATE_LOSSES", lambda: 3.0),
        ("PRIVATE_PARAMETER", lambda: each(layer(x) + torch.nn.Parameter(torch.ones(4, dtype=x.dtype)))),
    ]
    for code, run in runs:
        with pytest.raises(InputError) as caught:
            Gradients(layer, 1.0).add(run, UNITS)
        assert caught.value.code == code


def test_nothing_of_a_run_stays(x) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    gradients = Gradients(model, 1.0)
    gradients.add(lambda: each(model(x)), UNITS)
    gc.collect()
    assert not any(type(thing) is Rows for thing in gc.get_objects())
