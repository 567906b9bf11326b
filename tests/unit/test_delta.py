"""Delta sessions against the paper's equations in float64, and what they remember."""

import copy
import pickle

import pytest
import torch
from torch.testing import assert_close

import tidegate as tg
from tests.backend.agreement import threads
from tests.reference import delta as paper
from tests.unit.test_session import CELLS, layer_of
from tidegate.errors import InputError
from tidegate.runtime import delta as runtime_delta

F64 = torch.float64


def walk_of(*shape: int, dtype: torch.dtype = F64) -> torch.Tensor:
    """An input that moves slowly, [T, B, I]."""
    torch.manual_seed(1)
    return (torch.randn(*shape, dtype=F64).cumsum(0) / 8).to(dtype)


def memory_of(session: tg.Session) -> runtime_delta.DeltaMemory:
    return session._stream._layers[0].memory[0]


@pytest.mark.parametrize("period", [1000, 7])
@pytest.mark.parametrize("thresholds", [(0.1, 0.02), (0.0, 0.05), (0.05, 0.0)])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_it_computes_what_the_paper_writes(name, thresholds, period, monkeypatch):
    monkeypatch.setattr(runtime_delta, "PERIOD", period)
    layer, x = layer_of(name, dtype=F64), walk_of(40, 3, 5)
    session = tg.Session(layer, 3, delta=thresholds)
    found = torch.cat([torch.stack([session.step(row) for row in x[:5]]), session.run(x[5:])])
    made = [0, 0]
    for b in range(3):
        products = paper.products_of(layer, *thresholds)
        for product in products:
            product.period = period
        assert_close(found[:, b], getattr(paper, name)(x[:, b], *products), atol=1e-12, rtol=0)
        made = [count + product.made for count, product in zip(made, products, strict=True)]
    whole = [120 * product.matrix.numel() for product in products]
    shares = made[0] / whole[0], made[1] / whole[1], sum(made) / sum(whole)
    assert session.sent == pytest.approx(shares)
    assert 0 < session.sent.overall < 1


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_sends_changes_alone(cell, dtype):
    """Of one layer by the graph; layers above read what comes below, with the threshold of states."""
    layer = layer_of(cell, num_layers=2, dtype=dtype)
    x = walk_of(30, 1, layer.input_size, dtype=dtype)
    session = tg.Session(layer, delta=(0.05, 0.02))
    found = session.run(x)[:, 0]
    expected, made = x[:, 0].double(), 0
    for k, own in enumerate(layer.cells):
        parameters = [value.detach().double() for value in layer.layer_parameters(k)]
        named, before = dict(zip(own.names, parameters, strict=True)), made
        expected, made = paper.walk(layer.graph, named, own.widths, expected, 0.02 if k else 0.05, 0.02)
        made += before
    if dtype == F64:
        assert_close(found, expected, atol=1e-12, rtol=0)
        whole = sum(rows.numel() for k in (0, 1) for rows in layer.layer_parameters(k) if rows.dim() == 2)
        assert session.sent.overall == pytest.approx(made / (30 * whole))
    else:  # a rounding may decide whether a number is sent, which moves it by the threshold
        assert (found - expected).abs().max() < 0.05


def test_shares_of_a_cell_that_multiplies_no_state():
    session = tg.Session(layer_of("indrnn"), delta=(0.01, 0.05))
    session.run(torch.ones(100, 1, 5))
    assert session.sent == (0.01, None, 0.01)


@pytest.mark.parametrize("cell", ["gru/before", "indrnn"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}])
def test_a_threshold_of_zero_is_the_plain_session(cell, options):
    layer = layer_of(cell, num_layers=2, **options)
    x = torch.randn(20, 2, 5)
    plain, zero = (tg.Session(layer, 2, **options, **more) for more in ({}, {"delta": 0}))
    assert torch.equal(zero.run(x), plain.run(x))
    assert zero.sent.overall == 1


def test_norms_projections_and_learned_states():
    torch.manual_seed(0)
    layer = tg.nn.LSTM(5, 17, proj_size=9, dtype=F64)
    x = walk_of(30, 1, 5)
    own = layer.cells[0]
    named = dict(zip(own.names, (p.detach() for p in layer.layer_parameters(0)), strict=True))
    expected, _ = paper.walk(layer.graph, named, own.widths, x[:, 0], 0.05, 0.02)
    assert_close(tg.Session(layer, delta=(0.05, 0.02)).run(x)[:, 0], expected, atol=1e-12, rtol=0)
    normed = layer_of("gru", layer_norm=True, learn_initial_state=True)
    with torch.no_grad():
        normed.initial_h_l0.normal_()
    x = x.float()
    tiny, plain = tg.Session(normed, delta=1e-7), tg.Session(normed)
    for _ in range(2):
        assert_close(tiny.run(x), plain.run(x), atol=1e-5, rtol=0)
        tiny.reset()
        plain.reset()


@pytest.mark.parametrize(("units", "heads"), [(48, 2), (60, 3), (140, 4)])
def test_heads(units, heads):
    """That end within registers and within panels."""
    torch.manual_seed(0)
    layer, x = tg.nn.GRU(5, units, heads=heads, dtype=F64), walk_of(30, 1, 5)
    own = layer.cells[0]
    named = dict(zip(own.names, (p.detach() for p in layer.layer_parameters(0)), strict=True))
    expected, made = paper.walk(layer.graph, named, own.widths, x[:, 0], 0.05, 0.02)
    session = tg.Session(layer, delta=(0.05, 0.02))
    assert_close(session.run(x)[:, 0], expected, atol=1e-12, rtol=0)
    whole = 30 * sum(value.numel() for value in named.values() if value.dim() == 2)
    plain = 30 * 3 * units * (5 + units)  # the reference multiplies by the zeros between heads
    assert session.sent.overall * whole <= made <= plain
    reduced = tg.Session(layer.float(), delta=(0.05, 0.02)).run(x.float())
    assert (reduced[:, 0] - expected).abs().max() < 0.05


def test_what_is_given_is_an_input():
    torch.manual_seed(0)
    layer, x = tg.nn.Recurrent("grud", 5, 17), walk_of(30, 1, 5, dtype=torch.float32)
    given = {"dt": torch.rand(30, 1, 1), "m": (torch.rand(30, 1, 5) > 0.3).float()}
    tiny, wide = tg.Session(layer, delta=1e-7), tg.Session(layer, delta=(10.0, 0.0))
    assert_close(tiny.run(x, given=given), tg.Session(layer).run(x, given=given), atol=1e-5, rtol=0)
    wide.run(x, given=given)
    assert wide.sent[:2] == (0, 1)


def test_bfloat16_weights():
    layer, x = layer_of("gru"), walk_of(30, 1, 5, dtype=torch.float32)
    found = tg.Session(layer, weights="bfloat16", delta=(0.05, 0.0)).run(x)
    for name, value in layer.named_parameters():
        if name.startswith("weight"):
            value.data = value.data.bfloat16().float()
    of_x, of_h = paper.products_of(layer, 0.05, 0.0)
    assert_close(found[:, 0].double(), paper.gru(x[:, 0].double(), of_x, of_h), atol=1e-5, rtol=0)


def test_roundings_do_not_add_up(monkeypatch):
    layer, x = layer_of("lstm"), walk_of(2500, 1, 5, dtype=torch.float32)
    session = tg.Session(layer, delta=1e-5)
    own = {n: v.detach().double() for n, v in layer.named_parameters()}

    def drift() -> float:
        remembered = memory_of(session).rows[0].double()
        sent, sums = remembered[:5], [remembered[16 + 32 * k :][:17] for k in range(4)]  # 17 units in two lines
        exact = (own["bias_ih_l0"] + own["weight_ih_l0"] @ sent).view(4, 17)
        return float((torch.stack(sums) - exact).abs().max())

    session.run(x[:1000])
    assert drift() < 1e-4
    session.run(x[1000:1001])
    assert drift() < 2e-6


def test_reset_forgets_and_restore_starts_afresh():
    layer, x = layer_of("gru/before"), walk_of(30, 3, 5, dtype=torch.float32)
    session, other = (tg.Session(layer, 3, delta=0.1) for _ in range(2))
    first = session.run(x)
    session.reset()
    assert torch.equal(session.run(x), first)
    session.reset(torch.tensor([False, True, False]))
    again = session.run(x)
    assert torch.equal(again[:, 1], first[:, 1])
    assert not torch.equal(again[:, 0], first[:, 0])
    plain = tg.Session(layer, 3)
    other.restore(session.snapshot())
    plain.restore(session.snapshot())
    assert_close(other.step(x[0]), plain.step(x[0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_goes_on_from_what_was_sent(duplicate):
    layer, x = layer_of("lstm", num_layers=2), walk_of(30, 1, 5, dtype=torch.float32)
    session = tg.Session(layer, delta=0.1)
    session.run(x[:20])
    twin = duplicate(session)
    assert torch.equal(twin.run(x[20:]), session.run(x[20:]))
    assert twin.sent == session.sent


def test_two_directions_and_threads():
    layer, x = layer_of("gru", bidirectional=True), walk_of(30, 5, 5, dtype=torch.float32)
    session = tg.Session(layer, 5, bidirectional=True, delta=0.1)
    with threads(1):
        alone = session.run(x)
    with threads(3):
        assert torch.equal(session.run(x), alone)
    forth = tg.Session(layer, 5, bidirectional=True, delta=1e-6).run(x)
    with torch.no_grad():
        assert_close(forth, layer(x)[0], atol=1e-4, rtol=0)


def test_what_is_no_number_is_not_hidden():
    session = tg.Session(layer_of("gru"), delta=0.1)
    session.step(torch.zeros(5))
    assert session.step(torch.full((5,), torch.nan)).isnan().all()


@pytest.mark.parametrize("delta", [-0.1, float("nan"), float("inf"), "0.1", (0.1,), (0.1, -1.0), None])
def test_other_thresholds_are_refused(delta):
    with pytest.raises(InputError, match="expected a number from 0 on"):
        tg.Session(layer_of("gru"), delta=delta)
