"""Flows: every operation against its equation, states against whole sequences, and what is refused."""

import numpy as np
import pytest
import torch

import tidegate as tg
from tidegate.errors import InputError
from tidegate.runtime import eager_only
from tidegate.ship.flow import OPS, Draft, Flow, Input, Kind, Node, Output

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(7, 3, 4))
LENGTHS = [7, 4, 0]


def made(op, *widths, **more):
    """A flow of one node that reads inputs of these widths."""
    draft = Draft("one")
    args = [draft.input(f"x{k}", width, "numbers") for k, width in enumerate(widths)]
    draft.output("y", draft.add(op, *args, **more), "the value")
    return draft.flow()


POINTWISE = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.where(x > 0, x, 0),
    "exp": np.exp,
    "wave": lambda x: np.sin(2 * np.pi * x),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "sort": lambda x: np.sort(x, -1),
    "sum": lambda x: np.array([x[: t + 1].sum(0) for t in range(len(x))]),
    "highest": lambda x: np.array([x[: t + 1].max(0) for t in range(len(x))]),
}
PAIRS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "minimum": lambda x, y: np.where(x < y, x, y),
    "maximum": lambda x, y: np.where(x > y, x, y),
}
ELSEWHERE = {"constant", "take", "concat", "embed", "number", "linear", "log", "recurrent", "window"}


def test_every_operation_has_a_test() -> None:
    assert set(OPS) == {*POINTWISE, *PAIRS, *ELSEWHERE}


@pytest.mark.parametrize("op", POINTWISE)
def test_an_operation_of_one_value_is_its_equation(op) -> None:
    np.testing.assert_allclose(made(op, 4).run({"x0": X}).outputs["y"], POINTWISE[op](X), atol=1e-14)


@pytest.mark.parametrize("op", PAIRS)
def test_an_operation_of_two_values_is_its_equation_and_one_number_counts_for_all(op) -> None:
    y = RANDOM.normal(size=X.shape)
    np.testing.assert_allclose(made(op, 4, 4).run({"x0": X, "x1": y}).outputs["y"], PAIRS[op](X, y))
    one = y[..., :1]
    np.testing.assert_allclose(made(op, 4, 1).run({"x0": X, "x1": one}).outputs["y"], PAIRS[op](X, one))
    np.testing.assert_allclose(made(op, 1, 4).run({"x0": one, "x1": X}).outputs["y"], PAIRS[op](one, X))


def test_logarithms_of_positive_numbers() -> None:
    np.testing.assert_allclose(made("log", 4).run({"x0": np.exp(X)}).outputs["y"], X, atol=1e-14)


def test_blocks_are_computed_each_by_itself() -> None:
    weight, bias = RANDOM.normal(size=(3, 2)), RANDOM.normal(size=3)
    y = made("linear", 4, weight=weight, bias=bias, blocks=2).run({"x0": X}).outputs["y"]
    np.testing.assert_allclose(y, np.concatenate([X[..., k : k + 2] @ weight.T + bias for k in (0, 2)], -1))
    for op in ("softmax", "sort"):
        y = made(op, 4, blocks=2).run({"x0": X}).outputs["y"]
        np.testing.assert_allclose(y, np.concatenate([POINTWISE[op](X[..., k : k + 2]) for k in (0, 2)], -1))


def test_layout_symbols_and_constants() -> None:
    draft, table = Draft("layout"), RANDOM.normal(size=(5, 2))
    x, symbols = draft.input("x", 4, "numbers"), draft.input("s", 3, "symbols", limit=5)
    draft.output("taken", draft.concat(x[2], x[::-1], x[(1, 1)]), "other orders")
    draft.output("embedded", draft.add("embed", symbols, table=table), "a sum of rows")
    draft.output("counted", draft.add("number", symbols[1:]) - 1.0, "numbers")
    draft.output("fixed", draft.constant([1.0, 2.0]), "constants", last=True)
    s = RANDOM.integers(0, 5, size=(7, 3, 3))
    values = draft.flow().run({"x": X, "s": s}, LENGTHS).outputs
    there = np.arange(7)[:, None, None] < np.array(LENGTHS)[:, None]
    np.testing.assert_allclose(values["taken"], there * X[..., [2, 3, 2, 1, 0, 1, 1]])
    np.testing.assert_allclose(values["embedded"], there * table[s].sum(2))
    np.testing.assert_allclose(values["counted"], there * (s[..., 1:] - 1))
    np.testing.assert_array_equal(values["fixed"], [[1, 2], [1, 2], [0, 0]])


@pytest.mark.parametrize("before", ["first", -2.0])
def test_a_window_holds_the_last_rows_with_the_oldest_first(before) -> None:
    y = made("window", 4, rows=3, before=before).run({"x0": X}).outputs["y"]
    early = np.repeat(X[:1], 2, 0) if before == "first" else np.full((2, 3, 4), before)
    whole = np.concatenate([early, X])
    np.testing.assert_array_equal(y, np.concatenate([whole[k : k + 7] for k in range(3)], -1))


@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}, {"learn_initial_state": True}])
@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm"])
def test_recurrent_layers_are_the_layer_in_float64(cell, options) -> None:
    layer = tg.nn.Recurrent(cell, 4, 5, **options)
    for name, parameter in layer.named_parameters():
        if name.startswith("initial"):
            torch.nn.init.normal_(parameter)
    flow = Flow.of(layer, head := torch.nn.Linear(layer.output_size, 2))
    answer = flow.run({"x": X}, LENGTHS)
    double = layer.double()
    with torch.no_grad(), eager_only():
        y, last = double(torch.tensor(X), lengths=LENGTHS)
        wanted = head.double()(y) * (torch.arange(7)[:, None] < torch.tensor(LENGTHS))[..., None]
    np.testing.assert_allclose(answer.outputs["y"], wanted.numpy(), atol=1e-14)
    for state, value in zip(layer.graph.states, last if isinstance(last, tuple) else (last,), strict=True):
        np.testing.assert_allclose(answer.states[f"layer_{state.name}"], value.movedim(1, 0).numpy(), atol=1e-14)
    assert flow.streams == (not layer.bidirectional)


def remembering() -> Flow:
    """A flow with every operation that remembers."""
    draft = Draft("remembering")
    x = draft.input("x", 4, "numbers")
    hidden = draft.recurrent(x, tg.nn.PeepholeLSTM(4, 3, learn_initial_state=True))
    parts = [
        hidden,
        draft.window(hidden, 3, name="past"),
        draft.window(x, 4, 0.5, name="filled"),
        draft.add("sum", x, name="total"),
        draft.add("highest", hidden, name="most"),
    ]
    draft.output("each", draft.concat(*parts), "everything")
    draft.output("answer", draft.concat(*parts), "the same at the end", last=True)
    return draft.flow()


def test_steps_one_by_one_are_the_whole_sequence() -> None:
    flow = remembering()
    whole, states, each = flow.run({"x": X}), {}, []
    for row in X:
        answer = flow.run({"x": row[None]}, states=states)
        states = answer.states
        each.append(answer.outputs["each"][0])
    np.testing.assert_allclose(np.stack(each), whole.outputs["each"], atol=1e-14)
    np.testing.assert_allclose(answer.outputs["answer"], whole.outputs["answer"], atol=1e-14)
    assert {state.name for state in flow.states} == set(states) == set(whole.states)
    for name, value in states.items():
        np.testing.assert_allclose(value, whole.states[name], atol=1e-14, err_msg=name)


def test_a_shorter_sequence_answers_and_ends_as_if_it_were_alone() -> None:
    flow, padded = remembering(), X.copy()
    padded[4:, 1] = np.nan
    padded[:, 2] = np.nan
    answer = flow.run({"x": padded}, LENGTHS)
    alone = flow.run({"x": X[:4, 1:2]})
    np.testing.assert_allclose(answer.outputs["each"][:4, 1:2], alone.outputs["each"], atol=1e-14)
    np.testing.assert_allclose(answer.outputs["answer"][1:2], alone.outputs["answer"], atol=1e-14)
    assert not answer.outputs["each"][4:, 1].any()
    assert not answer.outputs["answer"][2].any()
    firsts = {state.name: state.first for state in flow.states}
    for name, value in answer.states.items():
        np.testing.assert_allclose(value[1:2], alone.states[name], atol=1e-14, err_msg=name)
        np.testing.assert_array_equal(value[2], firsts[name], err_msg=name)


def test_no_steps_leave_the_states_as_they_were() -> None:
    flow = remembering()
    before = flow.run({"x": X}).states
    answer = flow.run({"x": X[:0]}, states=before)
    assert answer.outputs["answer"].shape == (3, flow.kinds["concat_2"].width)
    for name, value in answer.states.items():
        np.testing.assert_array_equal(value, before[name])


def node(op="tanh", args=("x",), attributes=None, **parameters):
    return Node("y", op, args, attributes or {}, parameters)


ONE = Input("x", Kind(4), "numbers")
WRONG = {
    "an unknown operation": lambda: Flow("f", (ONE,), (node("cosh"),), (Output("y", "y", ""),)),
    "what comes later": lambda: Flow("f", (ONE,), (node(args=("z",)),), (Output("y", "y", ""),)),
    "itself": lambda: Flow("f", (ONE,), (node(args=("y",)),), (Output("y", "y", ""),)),
    "a name twice": lambda: Flow("f", (ONE,), (node(), node()), (Output("y", "y", ""),)),
    "a name that C has no room for": lambda: Flow("f", (Input("a b", Kind(4), ""),), (), (Output("y", "a b", ""),)),
    "no output": lambda: Flow("f", (ONE,), (node(),), ()),
    "an output of nothing": lambda: Flow("f", (ONE,), (node(),), (Output("y", "z", ""),)),
    "labels of other numbers": lambda: Flow("f", (ONE,), (node(),), (Output("y", "y", "", labels=("a",)),)),
    "an attribute it does not take": lambda: made("linear", 4, weight=np.ones((2, 4)), block=2),
    "no weights": lambda: made("linear", 4),
    "weights of another width": lambda: made("linear", 4, weight=np.ones((2, 3))),
    "a bias of another width": lambda: made("linear", 4, weight=np.ones((2, 4)), bias=np.ones(3)),
    "weights that are not finite": lambda: made("linear", 4, weight=np.full((2, 4), np.nan)),
    "blocks that do not fit": lambda: made("softmax", 4, blocks=3),
    "two widths": lambda: made("add", 4, 3),
    "too many arguments": lambda: made("tanh", 4, 4),
    "indices out of range": lambda: made("take", 4, indices=(4,)),
    "a window of one row": lambda: made("window", 4, rows=1, before="first"),
    "a window that begins with nothing": lambda: made("window", 4, rows=2, before="last"),
    "numbers as symbols": lambda: made("embed", 4, table=np.ones((2, 2))),
    "a layer of another width": lambda: made("recurrent", 4, layer=tg.nn.GRU(3, 2)),
    "no layer": lambda: made("recurrent", 4),
    "a symbol without a limit": lambda: Flow("f", (Input("x", Kind(1, "int"), ""),), (), (Output("y", "x", ""),)),
    "again from nothing": lambda: Flow("f", (ONE,), (node(),), (Output("y", "y", ""),), {"x": "z"}),
    "again into nothing": lambda: Flow("f", (ONE,), (node(),), (Output("y", "y", ""),), {"z": "y"}),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_program_is_refused(what) -> None:
    with pytest.raises(InputError):
        WRONG[what]()


SYMBOLS = Flow("f", (Input("s", Kind(1, "int"), "a symbol", limit=3),), (), (Output("y", "s", "the same"),))
ASKED = {
    "another input": lambda: SYMBOLS.run({"x": np.zeros((2, 1, 1), int)}),
    "another width": lambda: SYMBOLS.run({"s": np.zeros((2, 1, 2), int)}),
    "numbers for symbols": lambda: SYMBOLS.run({"s": np.zeros((2, 1, 1))}),
    "a symbol out of range": lambda: SYMBOLS.run({"s": np.full((2, 1, 1), 3)}),
    "too long a sequence": lambda: SYMBOLS.run({"s": np.zeros((2, 1, 1), int)}, [3]),
    "an unknown state": lambda: SYMBOLS.run({"s": np.zeros((2, 1, 1), int)}, states={"h": np.zeros(1)}),
    "a state of another shape": lambda: remembering().run({"x": X}, states={"total_sum": np.zeros((3, 5))}),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_a_flow_cannot_read_is_refused(what) -> None:
    with pytest.raises(InputError):
        ASKED[what]()


def test_symbols_behind_the_end_of_a_sequence_may_be_anything() -> None:
    padded = np.array([[[1], [2]], [[9], [9]]])
    assert SYMBOLS.run({"s": padded}, [1, 1]).outputs["y"].ravel().tolist() == [1, 2, 0, 0]
