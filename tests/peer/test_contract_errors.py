"""What torch.nn refuses, ours refuse with the same type and text; what it takes, ours take."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from tests.peer.side import CELLS, KINDS, H, I, answers, assert_same, normal, raised, state_for
from tidegate.errors import InputError

T, B = 5, 2
LAYERS = ("rnn", "lstm", "gru")

CONSTRUCTIONS = {
    "dropout beyond 1": {"num_layers": 2, "dropout": 1.5},
    "dropout below 0": {"num_layers": 2, "dropout": -0.1},
    "dropout a bool": {"num_layers": 2, "dropout": True},
    "dropout a word": {"num_layers": 2, "dropout": "0.5"},
    "dropout None": {"num_layers": 2, "dropout": None},
    "dropout an integer": {"num_layers": 2, "dropout": 1},
    "dropout with one layer": {"dropout": 0.5},
    "dropout an integer with one layer": {"dropout": 1},
    "bias an integer": {"bias": 1},
    "bias a word": {"bias": "True"},
    "bias None": {"bias": None},
    "batch_first an integer": {"batch_first": 0},
    "input_size a float": {"input_size": 3.0},
    "input_size zero": {"input_size": 0},
    "input_size negative": {"input_size": -1},
    "hidden_size a float": {"hidden_size": 4.0},
    "hidden_size zero": {"hidden_size": 0},
    "hidden_size None": {"hidden_size": None},
    "num_layers zero": {"num_layers": 0},
    "num_layers a float": {"num_layers": 2.0},
    "num_layers a word": {"num_layers": "2"},
    "proj_size negative": {"proj_size": -1},
    "proj_size as wide as hidden_size": {"proj_size": 4},
    "proj_size zero": {"proj_size": 0},
    "device unknown": {"device": "nowhere"},
    "two at once": {"bias": 1, "hidden_size": 0},
    "several at once": {"dropout": 7, "bias": 1, "hidden_size": 0},
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("what", CONSTRUCTIONS)
def test_constructions(kind, what):
    options = {"input_size": I, "hidden_size": H} | CONSTRUCTIONS[what]
    assert_same(*answers(lambda side: repr(side.kind(**options)), kind))


@pytest.mark.parametrize("nonlinearity", ["gelu", None, "TANH", "relu"])
def test_nonlinearities(nonlinearity):
    for more in ({}, {"proj_size": 2}):
        assert_same(*answers(lambda side, more=more: repr(side.kind(I, H, nonlinearity=nonlinearity, **more)), "rnn"))
        assert_same(*answers(lambda side, more=more: repr(side.kind(I, H, 1, nonlinearity, **more)), "rnn"))


def paired(module, *shape):
    """Given tensors of a shape, as many as the module has states."""
    return (
        (normal(*shape), normal(*shape)) if isinstance(module, (torch.nn.LSTM, torch.nn.LSTMCell)) else normal(*shape)
    )


def rows_of(module):
    return module.num_layers * (2 if module.bidirectional else 1)


CALLS = {
    "no axis": lambda m: m(normal()),
    "one axis": lambda m: m(normal(I)),
    "four axes": lambda m: m(normal(1, T, B, I)),
    "four axes and a state": lambda m: m(normal(1, T, B, I), paired(m, 2, B, H)),
    "features": lambda m: m(normal(T, B, 7)),
    "features, no batch": lambda m: m(normal(T, 7)),
    "features and type": lambda m: m(normal(T, B, 7).float()),
    "type": lambda m: m(normal(T, B, I).float()),
    "half": lambda m: m(normal(T, B, I).half()),
    "integers": lambda m: m(torch.ones(T, B, I, dtype=torch.long)),
    "no steps": lambda m: m(normal(0, B, I)),
    "no steps, no batch": lambda m: m(normal(0, I)),
    "state of other rows": lambda m: m(normal(T, B, I), paired(m, rows_of(m), B + 1, H)),
    "state of other layers": lambda m: m(normal(T, B, I), paired(m, rows_of(m) + 1, B, H)),
    "state of other units": lambda m: m(normal(T, B, I), paired(m, rows_of(m), B, H + 1)),
    "state of two axes": lambda m: m(normal(T, B, I), paired(m, B, H)),
    "state of three axes, no batch": lambda m: m(normal(T, I), paired(m, rows_of(m), 1, H)),
    "state of other units, no batch": lambda m: m(normal(T, I), paired(m, rows_of(m), H + 1)),
    "state of other layers, no batch": lambda m: m(normal(T, I), paired(m, rows_of(m) + 1, H)),
    "state batch first": lambda m: m(normal(T, B, I), paired(m, B, rows_of(m), H)),
    "features before the state": lambda m: m(normal(T, B, 7), paired(m, 1, 1, 1)),
    "packed in an order by hand": lambda m: m(PackedSequence(normal(3, I), torch.tensor([2, 1]))),
    "list of states": lambda m: m(normal(T, B, I), aslist(state_for(m, B))),
    "state by name": lambda m: m(input=normal(T, B, I), hx=state_for(m, B)),
    "no state by name": lambda m: m(normal(T, B, I), hx=None),
}


def packed(features, dtype=torch.float64):
    return pack_padded_sequence(normal(T, 3, features, dtype=dtype), torch.tensor([2, 5, 3]), enforce_sorted=False)


def aslist(state):
    return list(state) if isinstance(state, tuple) else state


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", CALLS)
def test_calls(kind, what):
    for options in ({}, {"num_layers": 2, "bidirectional": True, "batch_first": True}):
        assert_same(*answers(lambda side, options=options: raised(lambda: CALLS[what](side.make(**options))), kind))


PACKED = {
    "features": lambda m: m(packed(7)),
    "type": lambda m: m(packed(I, torch.float32)),
    "state of other units": lambda m: m(packed(I), paired(m, rows_of(m), 3, H + 1)),
    "state of more rows": lambda m: m(packed(I), paired(m, rows_of(m), 5, H)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("what", PACKED)
def test_packed_calls(kind, what):
    """On purpose more is refused than by torch, whose LSTM checks nothing here, and which drops rows without a word."""
    mine, theirs = answers(lambda side: raised(lambda: PACKED[what](side.make())), kind)
    if kind != "lstm" and what != "state of more rows":
        assert_same(mine, theirs)
    texts = {"features": "input.size(-1) must be", "type": "RNN input dtype (torch.float32) does not match"}
    assert mine[0][1].startswith(texts.get(what, "Expected hidden"))


SECOND = {
    "units": lambda h, c: (h, c[..., :-1]),
    "rows": lambda h, c: (h, c[:, :1]),
    "axes": lambda h, c: (h, c[0]),
    "both axes": lambda h, c: (h[0], c[0]),
    "first units": lambda h, c: (h[..., :-1], c),
    "exchanged sizes": lambda h, c: (c[:1], h),
}


@pytest.mark.parametrize("what", SECOND)
def test_the_second_state_of_an_lstm(what):
    def row(side):
        module = side.make(num_layers=2)
        return raised(lambda: module(normal(T, B, I), SECOND[what](*state_for(module, B))))

    for kind in ("lstm", "lstm projected"):
        assert_same(*answers(row, kind))


def test_an_lstm_without_a_batch_takes_its_states_in_one_tensor():
    def row(side):
        module = side.make(num_layers=2)
        return module(normal(T, I), torch.stack(state_for(module)))

    assert_same(*answers(row, "lstm"))


@pytest.mark.parametrize(
    ("kind", "hx"),
    [
        ("lstm", (None, None)),
        ("lstm", (normal(1, B, H),)),
        ("lstm", (normal(1, B, H),) * 3),
        ("lstm", normal(1, B, H)),
        ("gru", (normal(1, B, H), normal(1, B, H))),
        ("rnn", (None,)),
    ],
)
def test_states_that_torch_stumbles_over_are_one_clear_error(kind, hx):
    """On purpose not torch's: those are of tuples without dim, indices out of range, arguments that fit no overload."""
    mine, theirs = answers(lambda side: raised(lambda: side.make()(normal(T, B, I), hx)), kind)
    assert issubclass(mine[0][0], InputError)
    assert "hx is" in mine[0][1]
    assert issubclass(theirs[0][0], (AttributeError, IndexError, TypeError, RuntimeError))


CELL_CALLS = {
    "three axes": lambda m: m(normal(1, 1, I)),
    "no axis": lambda m: m(normal()),
    "state of three axes": lambda m: m(normal(B, I), paired(m, 1, B, H)),
    "features": lambda m: m(normal(B, 5)),
    "units": lambda m: m(normal(B, I), paired(m, B, 5)),
    "rows": lambda m: m(normal(B, I), paired(m, 3, H)),
    "type": lambda m: m(normal(B, I).float()),
    "state by name": lambda m: m(input=normal(B, I), hx=state_for(m, B)),
}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("what", CELL_CALLS)
def test_cells(kind, what):
    assert_same(*answers(lambda side: raised(lambda: CELL_CALLS[what](side.make())), kind))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("sizes", [(0, H), (I, 0), (I, -1), (I, 4.0), ("3", H), ()])
def test_constructions_of_cells(kind, sizes):
    """Sizes are not looked at: a cell of no units is one."""
    assert_same(*answers(lambda side: repr(side.kind(*sizes, **side.options)), kind))
