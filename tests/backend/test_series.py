"""What the engine writes down of every step: traces against the definition, adjoints against two references."""

from __future__ import annotations

import contextlib
import gc
import weakref

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tidegate as tg
from tests.backend.agreement import threads
from tests.backend.unrolled import Problem
from tests.reference import tolerance
from tests.reference.compare import assert_equal, relative_error
from tests.sample import VARIED
from tidegate.cell import Cell, layer_norm, mean, sigmoid, tanh
from tidegate.errors import BackendError, InputError
from tidegate.nn import GRU, LSTM, Recurrent
from tidegate.runtime import WatchedCall, eager_only, library, watch_adjoints
from tidegate.zoo import CELLS

try:
    library.load()
except library.BackendError as none:
    pytest.skip(f"no engine here: {none}", allow_module_level=True)

T, B, I, H = 5, 4, 3, 4
LENGTHS = (5, 2, 4, 0)
every_cell = pytest.mark.parametrize("name", VARIED)


class Everything(Cell):
    """Two operands of one matrix, one number a row, a vector, a norm, and a state that only copies another."""

    gates = "f n m"
    inputs = "f n"
    matrices = {"U": "f n"}
    state = "h c old"
    vectors = "p"

    def step(self, x, h, c, old, U, p):
        f = sigmoid(x.f + U(h).f + p * c)
        m = mean(f * c)
        n = tanh(layer_norm(x.n) + U(f * old).n + m)
        return f * h + (1 - f) * n, f * c + n, h


def problem(name: str | type[Cell], **options: object) -> Problem:
    """A layer in both directions over sequences of different lengths, with resets and first states."""
    torch.manual_seed(1)
    cell = CELLS[name] if isinstance(name, str) else name
    features = H if cell.graph.input_axis == "H" else I
    layer = Recurrent(cell, features, H, bidirectional=True, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    first = tuple(torch.randn(2, B, width, dtype=torch.float64) for width in layer.cells[0].state_widths)
    x = torch.randn(T, B, features, dtype=torch.float64)
    return Problem(layer, x, first, LENGTHS, torch.rand(T, B) < 0.2)


def as_hx(states: tuple[torch.Tensor, ...]) -> object:
    return states if len(states) > 1 else states[0]


def loss_of(y: torch.Tensor, last: object) -> torch.Tensor:
    """Of all outputs and last states, each with a weight of its own."""
    results = [y, *(last if isinstance(last, tuple) else (last,))]
    generator = torch.Generator().manual_seed(2)
    weights = [torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r.dtype) for r in results]
    return sum(((w * r).sum() for w, r in zip(weights, results, strict=True)), torch.zeros(()))


def call(p: Problem) -> tuple[torch.Tensor, object]:
    return p.layer(p.x, as_hx(p.first), lengths=p.lengths, reset=p.resets)


def watched(p: Problem) -> WatchedCall:
    with watch_adjoints() as calls:
        loss_of(*call(p)).backward()
    (found,) = calls
    return found


def by_name(p: Problem, found: WatchedCall) -> dict[tuple, torch.Tensor]:
    """Adjoints by the names that ``Problem`` has for them."""
    named = {}
    for d, adjoints in enumerate(found.directions):
        named |= {(d, "state", state): value for state, value in adjoints.states.items()}
        named |= {(d, "vector", names): value for names, value in adjoints.vectors.items()}
        for (_, _, group), product in zip(p.layer.graph.products, adjoints.products, strict=True):
            assert [p.layer.graph.nodes[i].name for i in group] == list(product.adjoints)
            named |= {(d, "product", i): v for i, v in zip(group, product.adjoints.values(), strict=True)}
    return named


# Traces


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", [*VARIED, Everything], ids=str)
def test_a_trace_is_that_of_the_definition(name, dtype):
    p = problem(name)
    layer, x, hx = p.layer.to(dtype), p.x.to(dtype), as_hx(tuple(s.to(dtype) for s in p.first))
    with torch.no_grad():
        with tg.strict():
            got = layer.trace(x, hx, lengths=LENGTHS, reset=p.resets)
        with eager_only():
            wanted = layer.trace(x, hx, lengths=LENGTHS, reset=p.resets)
    assert list(got) == list(wanted)
    limit = tolerance.FLOAT64 if dtype == torch.float64 else 50 * tolerance.FLOAT32_EPS
    for value in wanted:
        assert torch.equal(got[value].isnan(), wanted[value].isnan()), value
        assert relative_error(got[value].nan_to_num(), wanted[value].nan_to_num(), 1.0) <= limit, value


ALL = {"zoneout": 0.2, "recurrent_dropout": 0.3, "state_clip": 0.5, "learn_initial_state": True, "layer_norm": True}
LAYERS = {
    "stacked, batch first": (lambda: LSTM(I, H, 3, batch_first=True, bidirectional=True), {"lengths": [5, 2, 0, 1]}),
    "projected": (lambda: LSTM(I, 8, 2, proj_size=3), {}),
    "reset before": (lambda: GRU(I, H, 2, reset="before"), {"reset": torch.rand(T, B) < 0.3}),
    "options, in training": (lambda: LSTM(I, H, 2, dropout=0.2, **ALL), {"reset": torch.rand(T, B) < 0.3}),
    "options, in evaluation": (lambda: LSTM(I, H, 2, **ALL).eval(), {"lengths": [5, 2, 0, 1]}),
    "no steps at all": (lambda: LSTM(I, H), {"lengths": [0, 0, 0, 0]}),
    "wide": (lambda: GRU(I, 130, bidirectional=True), {}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_trace_of_any_layer_and_its_gradients_are_those_of_the_definition(name):
    make, named = LAYERS[name]
    torch.manual_seed(3)
    layer = make().double()
    x = torch.randn(T, B, I, dtype=torch.float64)
    x = x.transpose(0, 1) if layer.batch_first else x
    if layer.batch_first and "reset" in named:
        named = named | {"reset": named["reset"].T}
    results = []
    for path in (tg.strict, eager_only):
        layer.zero_grad()
        with path():
            found = layer.trace(x, generator=torch.Generator().manual_seed(4), **named)
        loss = sum((value.nan_to_num() ** 2).sum() for value in found.values())
        if loss.requires_grad:  # no step at all depends on nothing
            loss.backward()
        gradients = {f"d {n}": v.grad.clone() for n, v in layer.named_parameters() if v.grad is not None}
        results.append({n: v.detach().nan_to_num() for n, v in found.items()} | gradients)
    assert_equal(*results, limit=1e-11)


def test_a_trace_of_packed_sequences_is_packed_alike():
    layer, x = LSTM(I, H, 2, bidirectional=True), torch.randn(T, 3, I)
    packed = pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False)
    got, y = layer.trace(packed), layer(packed)[0]
    assert torch.equal(torch.cat([got["h_l1"].data, got["h_l1_reverse"].data], -1), y.data)
    assert torch.equal(got["f_l0"].batch_sizes, packed.batch_sizes)
    padded, _ = pad_packed_sequence(got["f_l0"])
    assert torch.equal(padded, layer.trace(x, lengths=[2, 5, 3])["f_l0"].nan_to_num())


def test_a_trace_of_a_single_sequence_and_of_none():
    layer = LSTM(I, H)
    assert layer.trace(torch.randn(T, I))["f_l0"].shape == (T, H)
    assert layer.trace(torch.randn(T, 0, I))["f_l0"].shape == (T, 0, H)


def test_values_of_a_trace_may_be_changed():
    """Each has memory of its own: nothing else changes with it, and nothing forbids it."""
    found = LSTM(I, H).trace(torch.randn(T, B, I))
    before = found["c_l0"].clone()
    with torch.no_grad():
        found["f_l0"].zero_()
    assert torch.equal(found["c_l0"], before)
    assert found["f_l0"].is_contiguous()


# Adjoints


@pytest.mark.parametrize("name", [*VARIED, Everything], ids=str)
def test_adjoints_and_operands_are_those_of_the_unrolled_equations(name):
    p = problem(name)
    found = watched(p)
    results = p.run()
    assert abs(loss_of(*call(p)) - loss_of(*results)) <= 1e-12 * loss_of(*results).abs()
    wanted = torch.autograd.grad(loss_of(*results), list(p.added.values()), materialize_grads=True, allow_unused=True)
    got = by_name(p, found)
    assert got.keys() <= p.added.keys()  # a vector that nothing depends on has no adjoint
    assert {key for key in p.added if key[1] != "vector"} <= got.keys()
    for key, adjoint in zip(p.added, wanted, strict=True):
        assert relative_error(got.get(key, torch.zeros_like(adjoint)), adjoint, 1e-6) <= 10 * tolerance.FLOAT64, key
    for d, adjoints in enumerate(found.directions):
        for (_, operand, _), product in zip(p.layer.graph.products, adjoints.products, strict=True):
            assert relative_error(product.operand, p.operands[d, operand]) <= tolerance.FLOAT64


@pytest.mark.parametrize("name", ["lstm", "peepholelstm", "gru/before", Everything], ids=str)
def test_adjoints_are_limits_of_differences(name):
    """Of every series at every step of every sequence, in a direction drawn at random."""
    p = problem(name)
    got, eps = by_name(p, watched(p)), 1e-6
    with torch.no_grad():
        for key, adjoint in got.items():
            for t in range(T):
                direction, losses = torch.randn(adjoint.shape[1:], dtype=torch.float64), []
                for sign in (1, -1):
                    p.added[key][t] = sign * eps * direction
                    losses.append(loss_of(*p.run()))
                p.added[key][t] = 0
                quotient = (losses[0] - losses[1]) / (2 * eps)
                scale = max(1.0, adjoint.abs().max().item())
                assert abs(quotient - (adjoint[t] * direction).sum()) <= 1e-6 * scale, (key, t)


def test_adjoints_of_states_are_limits_of_differences_of_the_engine_itself():
    """The sequence is cut in two, and the state between them changed."""
    torch.manual_seed(5)
    layer, x = LSTM(I, H, dtype=torch.float64), torch.randn(T, B, I, dtype=torch.float64)
    weight = torch.randn(T, B, H, dtype=torch.float64)
    with watch_adjoints() as calls:
        (layer(x)[0] * weight).sum().backward()
    (adjoints,) = calls[0].directions
    for t in range(T - 1):
        for state in "hc":
            change, losses = torch.randn(1, B, H, dtype=torch.float64), []
            for eps in (1e-6, -1e-6):
                with torch.no_grad():
                    y, last = layer(x[: t + 1])
                    last = dict(zip("hc", last, strict=True))
                    last[state] = last[state] + eps * change
                    y[t] += eps * change[0] if state == "h" else 0
                    rest, _ = layer(x[t + 1 :], tuple(last.values()))
                    losses.append((torch.cat([y, rest]) * weight).sum())
            quotient = (losses[0] - losses[1]) / 2e-6
            assert abs(quotient - (adjoints.states[state][t] * change[0]).sum()) <= 1e-6


@pytest.mark.parametrize("planted", ["a step late", "without the loss", "another gate"])
def test_the_comparison_finds_wrong_adjoints(planted):
    p = problem("lstm")
    wanted = torch.autograd.grad(loss_of(*p.run()), list(p.added.values()))
    found = by_name(p, watched(p))
    if planted == "a step late":
        found[0, "state", "c"] = found[0, "state", "c"].roll(1, 0)
    elif planted == "without the loss":
        found[0, "state", "h"] = found[0, "state", "h"] - 1e-9
    else:
        first, second = [key for key in found if key[:2] == (1, "product")][:2]
        found[first] = found[second]
    errors = [relative_error(found[key], adjoint, 1e-6) for key, adjoint in zip(p.added, wanted, strict=True)]
    assert max(errors) > 10 * tolerance.FLOAT64


def gradients(layer: Recurrent) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in layer.named_parameters()}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_watching_changes_no_gradient_and_threads_no_bit_of_a_series(name, dtype):
    make, named = LAYERS[name]
    torch.manual_seed(3)
    layer = make().to(dtype)
    x = torch.randn(T, B, I, dtype=dtype)
    found, series = [], []
    for count, watch in ((1, contextlib.nullcontext), (1, watch_adjoints), (2, watch_adjoints), (7, watch_adjoints)):
        layer.zero_grad()
        own = (x.transpose(0, 1) if layer.batch_first else x).clone().requires_grad_()
        with threads(count), watch() as calls:
            results = layer(own, generator=torch.Generator().manual_seed(4), **named)
            loss_of(*results).backward()
        found.append({"x": own.grad} | gradients(layer))
        if calls is not None:
            directions = [d for one in calls for d in one.directions]
            series.append([*(v for d in directions for v in d.states.values())])
            series[-1] += [v for d in directions for p in d.products for v in (*p.adjoints.values(), p.operand)]
            assert len(calls) == layer.num_layers
    assert_equal(found[1], found[0], limit=1e-12 if dtype == torch.float64 else 1e-5)  # by other roundings
    for others in found[2:]:
        assert all(torch.equal(found[1][n], others[n]) for n in found[1])
    for others in series[1:]:
        assert all(torch.equal(one, other) for one, other in zip(series[0], others, strict=True))


@pytest.mark.parametrize("name", ["lstm", "gru/before", "peepholelstm", Everything], ids=str)
def test_norms_of_the_gradients_of_each_sample_need_no_gradient(name):
    """As differential privacy wants them, of every parameter together; of sequences of all lengths."""
    p = problem(name)
    found = watched(p)
    square = torch.zeros(B, dtype=torch.float64)
    for adjoints in found.directions:
        by_parameter: dict[str, list] = {}
        for product in adjoints.products:
            by_parameter.setdefault(product.matrix, []).append(product)
        for matrix, uses in by_parameter.items():
            blocks = [block.name for block in p.layer.graph.matrix(matrix).blocks]
            for block in blocks:  # a block that is applied to several operands has the cross terms of these, too
                own = [(use.adjoints[block], use.operand) for use in uses if block in use.adjoints]
                a, o = (torch.cat(parts) for parts in zip(*own, strict=True))
                square += (torch.einsum("tbi,ubi->btu", a, a) * torch.einsum("tbi,ubi->btu", o, o)).sum((1, 2))
                if next(b for b in p.layer.graph.matrix(matrix).blocks if b.name == block).bias:
                    square += sum(a for a, _ in own).sum(0).square().sum(-1)
        for value in adjoints.vectors.values():
            square += value.sum(0).square().sum(-1)
    for b in range(B):
        p.layer.zero_grad()
        y, last = call(p)
        only = torch.zeros(B, dtype=torch.float64)
        only[b] = 1
        mask = only[:, None]
        states = last if isinstance(last, tuple) else (last,)
        loss_of(y * mask, as_hx(tuple(s * mask for s in states))).backward()
        norm = sum(v.grad.square().sum() for v in p.layer.parameters())
        assert abs(square[b] - norm) <= 1e-12 * max(norm.item(), 1e-300)


def test_packed_sequences_have_packed_adjoints():
    torch.manual_seed(6)
    layer, x = LSTM(I, H, dtype=torch.float64), torch.randn(T, 3, I, dtype=torch.float64)
    packed = pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False)
    with watch_adjoints() as calls:
        layer(packed)[0].data.sum().backward()
        layer(x, lengths=[2, 5, 3])[0].sum().backward()
    one, other = (c.directions[0] for c in calls)
    padded, lengths = pad_packed_sequence(one.states["c"])
    assert lengths.tolist() == [2, 5, 3]
    assert torch.equal(padded, other.states["c"])
    operand, _ = pad_packed_sequence(one.products[1].operand)
    assert torch.equal(operand, other.products[1].operand)


# The block


def test_calls_are_listed_in_order_and_only_those_that_are_recorded():
    layer, cell = GRU(I, H, 2), tg.nn.LSTMCell(I, H)
    x = torch.randn(T, B, I)
    with watch_adjoints() as calls:
        with torch.no_grad():
            layer(x)
        y, _ = layer(x)
        h, _ = cell(x[0])
    layer(x)
    assert [c.graph.name for c in calls] == ["GRU", "GRU", "LSTM"]
    assert calls[1].parameters[0] is layer.weight_ih_l1
    with pytest.raises(InputError, match="no backward run of the engine came"):
        _ = calls[0].directions
    (y.sum() + h.sum()).backward()  # outside of the block
    assert calls[2].directions[0].states["h"].shape == (B, H)
    assert calls[0].directions[0].states["h"].shape == (T, B, H)


def test_the_last_of_several_backward_runs_counts():
    layer, x = LSTM(I, H), torch.randn(T, B, I)
    with watch_adjoints() as calls:
        y, _ = layer(x)
    y.sum().backward(retain_graph=True)
    first = calls[0].directions[0].states["c"].clone()
    (3 * y.sum()).backward()
    torch.testing.assert_close(calls[0].directions[0].states["c"], 3 * first)


def test_what_is_kept_is_freed_with_the_list():
    """At once, without Python's collector of cycles: these are the largest tensors of a training step."""
    gc.disable()
    try:
        with watch_adjoints() as calls:
            LSTM(I, H)(torch.randn(T, B, I))[0].sum().backward()
        value = weakref.ref(calls[0].directions[0].states["c"])
        del calls
        assert value() is None
    finally:
        gc.enable()


def test_what_leaves_no_adjoints_is_refused():
    layer, x = LSTM(I, H), torch.randn(T, B, I)
    with watch_adjoints() as calls:
        with eager_only(), pytest.raises(InputError, match="own backward run, got eager: eager_only is on"):
            layer(x)
        with pytest.raises(InputError, match="dtype is complex64"):
            LSTM(I, H, dtype=torch.complex64)(x.to(torch.complex64))
        with pytest.raises(InputError, match="compiles or transforms"):
            torch.func.vmap(lambda v: layer(v)[0])(x[None])
        y, _ = layer(x)
        with pytest.raises(BackendError, match="differentiated twice"):
            torch.autograd.grad(y.sum(), layer.weight_ih_l0, create_graph=True)
    assert len(calls) == 1
    with eager_only():
        layer(x)
