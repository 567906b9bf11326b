"""Sessions: what a layer computes, step by step, with states that stay."""

import copy
import pickle

import pytest
import torch

import tidegate as tg
from tidegate.errors import InputError

CELLS = ("lstm", "gru", "gru/before", "rnn", "peepholelstm", "fgr", "scrn", "mut1", "slstm", "indrnn")


def layer_of(cell: str, **options) -> tg.nn.Recurrent:
    torch.manual_seed(0)
    graph = tg.zoo.find(cell).graph
    features = 17 if graph.input_axis == "H" else 5
    return tg.nn.Recurrent(cell, features, 17, widths=dict.fromkeys(graph.own_axes, 6), **options)


def both_ways() -> tg.Session:
    return tg.Session(layer_of("gru", bidirectional=True), bidirectional=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_steps_and_runs_equal_the_layer(cell, batch, dtype):
    layer = layer_of(cell, num_layers=2, dtype=dtype)
    x = torch.randn(9, batch, layer.input_size, dtype=dtype)
    with torch.no_grad():
        y, last = layer(x)
    last = last if isinstance(last, tuple) else (last,)
    session = tg.Session(layer, batch)
    head = torch.stack([session.step(x[t]) for t in range(4)])
    tail = session.run(x[4:])
    limit = 1e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(torch.cat([head, tail]), y, atol=limit, rtol=0)
    for state, value in zip(session.state.values(), last, strict=True):
        torch.testing.assert_close(state, value, atol=limit, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_a_session_of_a_cell(name, batch, dtype):
    graph = tg.zoo.find(name).graph
    widths = dict.fromkeys(graph.own_axes, 6)
    torch.manual_seed(0)
    cell = tg.nn.RecurrentCell(name, 17 if graph.input_axis == "H" else 5, 17, widths=widths, dtype=dtype)
    session, hx, wanted = tg.Session(cell, batch), None, []
    x = torch.randn(9, batch, cell.input_size, dtype=dtype)
    with torch.no_grad():
        for row in x:
            hx = cell(row, hx)
            wanted.append(hx if isinstance(hx, torch.Tensor) else hx[0])
    found = [session.step(row) for row in x[:4]] + [*session.run(x[4:])]
    limit = 1e-6 if dtype == torch.float32 else 1e-14
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=limit, rtol=0)
    for state, value in zip(session.state.values(), hx if isinstance(hx, tuple) else (hx,), strict=True):
        torch.testing.assert_close(state[0], value, atol=limit, rtol=0)


def test_a_session_of_a_cell_of_another_nonlinearity_and_of_a_parametrized_one():
    cell, x = tg.nn.RNNCell(5, 7, nonlinearity="relu"), torch.randn(2, 5)
    torch.nn.utils.parametrizations.weight_norm(cell, "weight_hh")
    with torch.no_grad():
        torch.testing.assert_close(tg.Session(cell, 2).step(x), cell(x))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("lstm", {"num_layers": 3}),
        ("gru", {"dtype": torch.float64}),
        ("lstm", {"learn_initial_state": True, "num_layers": 2}),
        ("lstm", {"proj_size": 4, "num_layers": 2}),
        ("gru/before", {"layer_norm": True}),
    ],
)
def test_whole_sequences_in_two_directions(cell, options, threads):
    layer = layer_of(cell, bidirectional=True, **options).eval()
    for parameter in layer.parameters():  # learned states that are not zeros
        parameter.data.add_(0.05)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for batch in (1, 3):
            session = tg.Session(layer, batch, bidirectional=True)
            for steps in (1, 13, 2, 1, 40):
                x = torch.randn(steps, batch, layer.input_size, dtype=layer.weight_ih_l0.dtype)
                with torch.no_grad():
                    y, last = layer(x)
                torch.testing.assert_close(session.run(x), y, atol=1e-6, rtol=0)
                assert torch.equal(copy.deepcopy(session).run(x), session.run(x))
                last = last if isinstance(last, tuple) else (last,)
                for state, value in zip(session.state.values(), last, strict=True):
                    torch.testing.assert_close(state, value, atol=1e-6, rtol=0)
    finally:
        torch.set_num_threads(before)


def test_many_lengths_of_blocks_are_one_sequence():
    layer = layer_of("lstm")
    x = torch.randn(400, 1, 5)
    with torch.no_grad():
        wanted = layer(x)[0]
    session = tg.Session(layer)
    blocks = x.split([*range(1, 27), 49])
    torch.testing.assert_close(torch.cat([session.run(block) for block in blocks]), wanted)


def test_a_session_made_under_inference_mode_is_reset_outside():
    with torch.inference_mode():
        session = tg.Session(layer_of("lstm"))
        first = session.step(torch.ones(5)).clone()
    session.reset()
    assert torch.equal(session.step(torch.ones(5)), first)


def test_a_projected_layer():
    layer = tg.nn.LSTM(5, 17, proj_size=4)
    x = torch.randn(6, 2, 5)
    with torch.no_grad():
        torch.testing.assert_close(tg.Session(layer, 2).run(x), layer(x)[0])


def test_bfloat16_weights_are_near():
    layer = tg.nn.LSTM(64, 100)
    x = torch.randn(20, 1, 64)
    with torch.no_grad():
        y, _ = layer(x)
    error = (tg.Session(layer, weights="bfloat16").run(x) - y).abs().max().item()
    assert 0 < error < 2e-2  # seven bits behind the point


def test_weights_are_a_copy():
    layer = layer_of("gru")
    session = tg.Session(layer)
    x = torch.randn(1, 5)
    before = session.snapshot()
    y = session.step(x)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    session.restore(before)
    assert torch.equal(session.step(x), y)


def test_reset_of_some_rows():
    session = tg.Session(layer_of("lstm"), 3)
    session.run(torch.randn(4, 3, 5))
    session.reset(torch.tensor([True, False, True]))
    state = session.state
    assert not state["h"][:, [0, 2]].any()
    assert state["c"][:, 1].any()
    session.reset()
    assert not any(value.any() for value in session.state.values())


def test_a_snapshot_is_not_changed_by_later_steps():
    session = tg.Session(layer_of("gru"))
    session.step(torch.randn(5))
    kept = session.snapshot()
    value = kept.states["h"].clone()
    session.step(torch.randn(5))
    assert torch.equal(kept.states["h"], value)


def test_no_steps_at_all():
    assert tg.Session(layer_of("gru"), 2).run(torch.empty(0, 2, 5)).shape == (0, 2, 17)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tg.Session(torch.nn.GRU(3, 4)), "GRU is not a layer or a cell of tidegate.nn"),
        (lambda: tg.Session(layer_of("gru", bidirectional=True)), r"False, but the layer has 2 direction\(s\)"),
        (lambda: tg.Session(layer_of("gru"), bidirectional=True), r"True, but the layer has 1 direction\(s\)"),
        (lambda: tg.Session(tg.nn.GRUCell(3, 4), bidirectional=True), r"1 direction\(s\)"),
        (lambda: both_ways().step(torch.zeros(1, 5)), "no single steps"),
        (lambda: both_ways().snapshot(), "remembers nothing"),
        (lambda: both_ways().restore(tg.nn.Snapshot({})), "remembers nothing"),
        (lambda: both_ways().run(torch.zeros(3, 2, 5)), r"expected \[T, 1, 5\]"),
        (lambda: tg.Session(layer_of("gru"), 0), "batch_size is 0"),
        (lambda: tg.Session(layer_of("gru"), weights="int3"), "weights='int3'"),
        (lambda: tg.Session(layer_of("gru", dtype=torch.float64), weights="bfloat16"), "for a layer of float64"),
        (lambda: tg.Session(layer_of("gru")).step(torch.zeros(1, 4)), r"\[1, 4\], expected \[1, 5\]"),
        (lambda: tg.Session(layer_of("gru")).run(torch.zeros(7, 5)), r"expected \[T, 1, 5\]"),
        (lambda: tg.Session(layer_of("gru")).step(torch.zeros(1, 5).double()), "float64 on cpu"),
        (lambda: tg.Session(layer_of("gru")).reset(torch.zeros(2)), "expected 1 booleans"),
        (lambda: tg.Session(layer_of("gru")).restore(tg.nn.Snapshot({})), "nothing for h"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))])
@pytest.mark.parametrize(
    ("options", "weights", "batch"),
    [
        ({}, None, 1),
        ({"num_layers": 2, "dtype": torch.float64}, None, 3),
        ({"learn_initial_state": True}, "bfloat16", 2),
        ({"dtype": torch.float16}, None, 2),
    ],
)
def test_a_copy_goes_on_alone(duplicate, options, weights, batch):
    layer = layer_of("lstm", **options)
    session = tg.Session(layer, batch, weights=weights)
    x = torch.randn(6, batch, 5, dtype=layer.weight_ih_l0.dtype)
    session.run(x)
    before, other = session.state, duplicate(session)
    found = torch.stack([other.step(step) for step in x])
    for name, state in session.state.items():
        assert torch.equal(state, before[name])
    assert torch.equal(session.run(x), found)
    for name, state in session.state.items():
        assert torch.equal(state, other.state[name])
    other.reset()
    assert torch.equal(other.run(x), tg.Session(layer, batch, weights=weights).run(x))
