"""Tensors whose memory does not have the shape that a layer reads are refused by name, by every way in."""

import json
import warnings
from contextlib import nullcontext

import pytest
import torch
from torch.func import functional_call
from torch.nn.utils.rnn import PackedSequence

import tidegate as tg
from tests.backend.misuse import outcome
from tidegate.errors import InputError, SpecError
from tidegate.nn.operator import run_operator
from tidegate.runtime import Steps, eager_only, sized
from tidegate.runtime.call import MOST_PREPARED
from tidegate.runtime.library import load
from tidegate.runtime.prepared import HEAD, PreparedCall
from tidegate.runtime.rows import MOST_KEPT_STEPS

WRONG = [
    ("LSTM", (64, 512), "weight_hh_l0", (8, 4), "weight_hh_l0 has the shape [8, 4], but this layer reads [2048, 512]"),
    ("LSTM", (3, 4), "weight_ih_l0", (2, 2), "weight_ih_l0 has the shape [2, 2], but this layer reads [16, 3]"),
    ("GRU", (3, 4), "bias_hh_l0", (1,), "bias_hh_l0 has the shape [1], but this layer reads [12]"),
    ("RNN", (3, 4), "weight_hh_l0", (16,), "weight_hh_l0 has the shape [16], but this layer reads [4, 4]"),
    ("PeepholeLSTM", (3, 4), "p_f_l0", (1,), "p_f_l0 has the shape [1], but this layer reads [4]"),
    ("LSTM", (6, 24), "weight_ih_l0", (6, 96), "weight_ih_l0 has the shape [6, 96], but this layer reads [96, 6]"),
]


def x_for(layer, *rows: int) -> torch.Tensor:
    return torch.randn(*rows, layer.input_size)


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize(("kind", "sizes", "name", "shape", "message"), WRONG)
def test_a_parameter_of_another_shape(kind, sizes, name, shape, message, eagerly) -> None:
    layer = getattr(tg.nn, kind)(*sizes)
    x = x_for(layer, 5, 2)
    with eager_only() if eagerly else nullcontext():
        with pytest.raises(InputError) as error:
            functional_call(layer, {name: torch.randn(shape)}, (x,))
        assert message in str(error.value)
        setattr(layer, name, torch.nn.Parameter(torch.randn(shape)))
        for call in (lambda: layer(x), lambda: layer.trace(x), lambda: tg.Session(layer)):
            with pytest.raises(InputError) as error:
                call()
            assert message in str(error.value)


def test_the_layer_and_the_direction_are_named() -> None:
    layer = tg.nn.GRU(3, 4, 2, bidirectional=True)
    layer.weight_hh_l1_reverse.data = torch.randn(4, 12)
    with pytest.raises(InputError, match=r"weight_hh_l1_reverse has the shape \[4, 12\]"):
        layer(x_for(layer, 5, 2))


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_a_parameter_of_a_cell(kind) -> None:
    cell = getattr(tg.nn, kind)(3, 4)
    cell.weight_hh.data = torch.randn(2, 2)
    with pytest.raises(InputError, match=r"weight_hh has the shape \[2, 2\]"):
        cell(torch.randn(2, 3))


@pytest.mark.parametrize("sizes", [[2, 3], [1, 4], [3, -1, 3], [3, 3], [9], [5, 0], [0, 5], []])
def test_batch_sizes_that_are_not_those_of_the_rows(sizes) -> None:
    layer = tg.nn.LSTM(64, 8)
    with pytest.raises((InputError, RuntimeError), match="batch_sizes"):
        layer(PackedSequence(torch.randn(5, 64), torch.tensor(sizes, dtype=torch.int64)))


def test_indices_of_other_sequences() -> None:
    layer, sizes = tg.nn.LSTM(4, 8), torch.tensor([3, 2])
    for indices in (torch.tensor([0, 1]), torch.tensor([2, 1, 7])):
        with pytest.raises((InputError, RuntimeError, IndexError), match=r"sorted_indices|out of"):
            layer(PackedSequence(torch.randn(5, 4), sizes, indices, indices), torch_states(layer, 3))


def torch_states(layer, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(1, size, layer.hidden_size), torch.randn(1, size, layer.hidden_size)


# The registered operation, whose arguments nobody has checked


def problem(layer) -> dict:
    cell = layer.cells[0]
    return {
        "x": torch.randn(5, 2, layer.input_size),
        "first": [],
        "parameters": [parameter.detach() for parameter in layer.layer_parameters(0)],
        "masks": [],
        "lengths": None,
        "resets": None,
        "cell": cell.text,
    }


def described(layer, **changes) -> str:
    data = json.loads(layer.cells[0].text)
    return json.dumps(data | {"widths": data["widths"] | changes})


LAYER = tg.nn.LSTM(3, 4)
MISUSES = {
    "weights of one element": {"parameters": [torch.randn(1) for _ in range(4)]},
    "a wider cell": {"cell": described(LAYER, H=4096)},
    "a negative width": {"cell": described(LAYER, H=-4)},
    "a width that is a text": {"cell": described(LAYER, H="4")},
    "no width": {"cell": json.dumps(json.loads(LAYER.cells[0].text) | {"widths": {}})},
    "no cell": {"cell": "{}"},
    "no text of a cell": {"cell": "lstm"},
    "too few parameters": {"parameters": [torch.randn(16, 3)]},
    "no parameters": {"parameters": []},
    "masks that it has not": {"masks": [torch.randn(2, 4)]},
    "an input without a batch": {"x": torch.randn(5, 3)},
    "an input of another width": {"x": torch.randn(5, 2, 7)},
    "states of another batch": {"first": [torch.randn(1, 9, 4), torch.randn(1, 9, 4)]},
    "one state": {"first": [torch.randn(1, 2, 4)]},
    "resets of another batch": {"resets": torch.zeros(5, 7, dtype=torch.bool)},
    "lengths beyond the steps": {"lengths": torch.tensor([9, 1])},
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_the_operation_refuses(misuse) -> None:
    right, saving = problem(LAYER), False
    torch.ops.tidegate.layer(*right.values(), saving)
    with pytest.raises((InputError, SpecError)):
        torch.ops.tidegate.layer(*(right | MISUSES[misuse]).values(), saving)


@pytest.mark.parametrize(
    "change",
    [
        {"output": torch.randn(5, 2, 3)},
        {"saved": torch.randn(1, 5, 1, 4)},
        {"d_output": torch.randn(4, 2, 4)},
        {"d_last": [torch.randn(1, 2, 4), torch.randn(1, 1, 4)]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_derivative_of_the_operation_refuses(change) -> None:
    right, saving = problem(LAYER), True
    output, *_, saved = torch.ops.tidegate.layer(*right.values(), saving)
    d_last = [torch.randn(1, 2, 4), torch.randn(1, 2, 4)]
    given = {"output": output, "saved": saved, "d_output": torch.randn_like(output), "d_last": d_last}
    torch.ops.tidegate.layer_backward(*right.values(), *given.values())
    with pytest.raises(InputError, match="has the shape"):
        torch.ops.tidegate.layer_backward(*right.values(), *(given | change).values())


def test_a_parameter_under_a_transform() -> None:
    cell = sized(LAYER.graph, tuple(LAYER.cells[0].widths.items()))
    tensors = [parameter.detach() for parameter in LAYER.layer_parameters(0)]
    with pytest.raises(InputError, match="weight_hh has the shape"):
        run_operator(cell, torch.randn(5, 2, 3), None, None, None, [tensors[0], torch.randn(2, 2), *tensors[2:]])


# Memory of tables, which grows with the lengths that a process has seen


def test_tables_of_steps_and_prepared_calls_are_bounded() -> None:
    for count in range(MOST_KEPT_STEPS, MOST_KEPT_STEPS + 40):
        Steps.uniform(count, 3)
    assert Steps.uniform(MOST_KEPT_STEPS, 3) is Steps.uniform(MOST_KEPT_STEPS, 3)
    assert Steps.uniform(MOST_KEPT_STEPS + 1, 3) is not Steps.uniform(MOST_KEPT_STEPS + 1, 3)
    layer = tg.nn.RNN(1, 1)
    plan = layer.cells[0].forward_plan(torch.float32, saving=False)
    with torch.no_grad():
        for T in range(1, MOST_PREPARED + 9):
            layer(torch.zeros(T, 1, 1))
    assert len(plan.prepared) <= MOST_PREPARED


def test_drawn_misuses_end_in_an_error_or_in_right_numbers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ended = [outcome(seed) for seed in range(200)]
    assert [end for end in ended if end[1] not in ("error", "right")] == []
    assert {what for what, _ in ended} >= {"parameter", "input", "state", "packed", "session", "operation: saved"}


def test_a_workspace_is_as_large_as_the_engine_asks_for_whatever_ran_before(monkeypatch) -> None:
    """A batch with sequences of no steps needs less than a full one of as many steps and sequences."""
    given: list[tuple[int, int]] = []

    def listening(self, addresses) -> None:
        ran(self, addresses)
        words = self._words.tobytes()[8 * HEAD :]
        given.append((self._need, load().engine.tg_workspace(words, self._words[0], self._words[1])))

    ran = PreparedCall.run
    monkeypatch.setattr(PreparedCall, "run", listening)
    layer, x = tg.nn.GRU(3, 4), torch.randn(9, 6, 3)
    for lengths in ([9, 0, 0, 0, 0, 0], [9] * 6, [9, 9, 0, 9, 0, 0], [9, 5, 0, 1, 2, 3], None):
        layer(x, lengths=lengths)[0].sum().backward()
    layer(x)[0].sum().backward()  # by the calls that are there
    assert len(given) == 12
    assert all(own >= asked for own, asked in given)
