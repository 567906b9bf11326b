"""Layers beyond what torch.nn has: values that no row changes, names, lengths, traces."""

import inspect
import re
import subprocess
import sys

import pytest
import torch

from tidegate import nn
from tidegate.cell import Cell, sigmoid, tanh
from tidegate.emit.equation import plain
from tidegate.errors import InputError, SpecError
from tidegate.nn import Recurrent, RecurrentCell
from tidegate.option import OPTIONS
from tidegate.passes import project
from tidegate.runtime import strict
from tidegate.zoo import GRU, LSTM


class Decay(Cell):
    """A learned decay: its gate and its second state depend on parameters alone."""

    gates = "f n"
    inputs = "n"
    matrices = {"U": "n"}
    state = "h c"
    vectors = "a"

    def step(self, x, h, c, U, a):
        f = sigmoid(a)
        n = tanh(x.n + U(h).n + c)
        return f * h + (1 - f) * n, 2 * a


@pytest.mark.parametrize("lengths", [None, [5, 3, 0]])
def test_values_that_no_row_changes_have_rows_all_the_same(lengths) -> None:
    layer = Recurrent(Decay, 4, 6)
    _, (h, c) = layer(torch.randn(5, 3, 4), lengths=lengths)
    assert h.shape == c.shape == (1, 3, 6)
    ran = torch.tensor([n > 0 for n in lengths or [5, 5, 5]])[:, None]
    assert torch.equal(c[0], torch.where(ran, 2 * layer.a_l0, torch.zeros(6)))
    gates = layer.trace(torch.randn(5, 3, 4))
    assert gates["f_l0"].shape == (5, 3, 6)
    torch.testing.assert_close(gates["f_l0"][2, 1], torch.sigmoid(layer.a_l0))


@pytest.mark.parametrize("name", ["ih", "hh", "hr", "weight", "bias"])
@pytest.mark.parametrize("kind", ["matrices", "vectors"])
def test_names_that_would_meet_a_parameter_of_torch_are_reserved(kind, name) -> None:
    def step(self, x, h, U):
        n = x.n + U(h).n
        return n  # noqa: RET504  a gate is a local name

    declared = {"matrices": {"U": "n", name: "n"}} if kind == "matrices" else {"vectors": name}
    with pytest.raises(SpecError, match="reserved"):
        type("Broken", (Cell,), {"gates": "n", "step": step, **declared})


def test_a_projected_graph_keeps_its_projection() -> None:
    graph = project(LSTM.graph)
    layer = Recurrent(graph, 4, 6, proj_size=3)
    torch.manual_seed(0)
    assert layer(torch.randn(5, 2, 4))[0].shape == (5, 2, 3)
    with pytest.raises(InputError, match="proj_size"):
        Recurrent(graph, 4, 6)


def test_a_cell_that_uses_its_output_itself_is_not_projected() -> None:
    with pytest.raises(SpecError, match="cannot be projected"):
        Recurrent(GRU, 4, 6, proj_size=3)


@pytest.mark.parametrize("layer", [Recurrent, RecurrentCell])
@pytest.mark.parametrize(
    ("cell", "widths", "complaint"),
    [
        ("scrn", {"Q": 3}, "SCRN has no axis 'Q' of its own .*some of S"),
        ("scrn", {"H": 3}, "SCRN has no axis 'H' of its own"),
        ("lstm", {"S": 3}, "LSTM has no axis 'S' of its own .*leave out"),
        ("scrn", {"S": 0}, "the width of S is 0, expected at least 1"),
        ("scrn", {"S": 2.0}, "the width of S is 2.0"),
        ("scrn", {"S": True}, "the width of S is True"),
        ("scrn", 3, "widths is 3, expected a mapping"),
        ("mut1", None, r"MUT1 takes as many features as it has units.* expected 6, got 4 .*Linear\(4, 6\)"),
    ],
)
def test_widths_that_cannot_be_meant_are_one_clear_error(layer, cell, widths, complaint) -> None:
    with pytest.raises(InputError, match=complaint):
        layer(cell, 4, 6, widths=widths)


def test_a_layer_above_two_directions_is_not_as_wide_as_its_units() -> None:
    with pytest.raises(InputError, match=r"second layer would get both directions, 12 .*Linear\(12, 6\)"):
        Recurrent("mut1", 6, 6, num_layers=2, bidirectional=True)
    assert Recurrent("mut1", 6, 6, num_layers=2)(torch.zeros(3, 2, 6))[0].shape == (3, 2, 6)
    assert Recurrent("mut1", 6, 6, bidirectional=True)(torch.zeros(3, 2, 6))[0].shape == (3, 2, 12)


def test_widths_are_the_layers_own_and_shown() -> None:
    widths = {"S": 3}
    layer = Recurrent("scrn", 4, 6, 2, bidirectional=True, widths=widths)
    widths["S"] = 5
    assert repr(layer) == "Recurrent(SCRN, 4, 6, num_layers=2, bidirectional=True, widths={'S': 3})"
    assert repr(RecurrentCell("scrn", 4, 6, widths={"S": 3})) == "RecurrentCell(SCRN, 4, 6, widths={'S': 3})"
    y, (h, s) = layer(torch.zeros(5, 2, 4))
    assert (y.shape, h.shape, s.shape) == ((5, 2, 12), (4, 2, 6), (4, 2, 3))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size \(4, 2, 3\)"):
        layer(torch.zeros(5, 2, 4), (h, torch.zeros(4, 2, 6)))


@pytest.mark.parametrize("cell", ["mut1", "mut2"])
def test_an_input_that_needs_no_gradient_may_still_be_read_by_itself(cell) -> None:
    torch.manual_seed(0)
    layer, x = Recurrent(cell, 6, 6), torch.randn(5, 2, 6)
    found = []
    for needs in (False, True):
        with strict():
            y, _ = layer(x.requires_grad_(needs))
        found.append(torch.autograd.grad(y.sum(), list(layer.parameters())))
    for without, beside in zip(*found, strict=True):
        torch.testing.assert_close(without, beside)


@pytest.mark.parametrize("lengths", [[5, 3], [5, 3, 6], [5, -1, 2], [5.0, 3.0, 2.0], [None, 1, 2], "abc", [[1, 2, 3]]])
def test_lengths_that_cannot_be_meant_are_one_clear_error(lengths) -> None:
    with pytest.raises(InputError, match="lengths"):
        Recurrent("gru", 4, 6)(torch.randn(5, 3, 4), lengths=lengths)


def test_no_rows_and_no_lengths_go_together() -> None:
    y, h = Recurrent("gru", 4, 6)(torch.randn(5, 0, 4), lengths=[])
    assert y.shape == (5, 0, 6)
    assert h.shape == (1, 0, 6)


def test_a_trace_agrees_with_the_output_and_marks_what_is_missing() -> None:
    layer = Recurrent("lstm", 4, 6, num_layers=2, bidirectional=True, batch_first=True)
    x = torch.randn(3, 5, 4)
    y, _ = layer(x, lengths=[5, 2, 4])
    gates = layer.trace(x, lengths=[5, 2, 4])
    assert set(gates) == {
        f"{name}_l{k}{end}" for name in ("i", "f", "g", "o", "c", "h") for k in (0, 1) for end in ("", "_reverse")
    }
    both = torch.cat([gates["h_l1"], gates["h_l1_reverse"]], dim=-1)
    torch.testing.assert_close(torch.nan_to_num(both), y)
    assert torch.isnan(gates["f_l0"][1, 2:]).all()
    assert not torch.isnan(gates["f_l0"][1, :2]).any()


def test_defining_a_cell_disturbs_no_profiler() -> None:
    code = "import cProfile; cProfile.run('import tidegate.zoo; tidegate.zoo.GRU.variant(reset=\"before\")')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "function calls" in done.stdout


def test_a_variant_is_made_once() -> None:
    assert GRU.variant(reset="before") is GRU.variant(reset="before")


@pytest.mark.parametrize("kind", ["GRU", "GRUCell"])
@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"reset": "befor"}, "reset must be 'after' or 'before', got 'befor'; did you mean 'before'?"),
        ({"update": "kepe"}, "update must be 'keep' or 'write', got 'kepe'; did you mean 'keep'?"),
        ({"reset": None}, "reset must be 'after' or 'before', got None"),
    ],
)
def test_a_reading_that_the_gru_does_not_have_is_refused_with_the_nearest(kind, choice, message) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        getattr(nn, kind)(4, 8, **choice)
    assert isinstance(caught.value, ValueError)
    assert caught.value.code == "OPTION"


LAYERS = [nn.RNN, nn.LSTM, nn.PeepholeLSTM, nn.GRU, Recurrent]
CELLS = [nn.RNNCell, nn.LSTMCell, nn.PeepholeLSTMCell, nn.GRUCell, nn.RecurrentCell]


@pytest.mark.parametrize("kind", LAYERS + CELLS, ids=lambda kind: kind.__name__)
def test_the_docstring_has_every_argument(kind) -> None:
    text = inspect.getdoc(kind)
    for name in inspect.signature(kind).parameters:
        assert f"\n    {name}: " in text
    assert "{arguments}" not in text
    assert "{equations}" not in text


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_the_signature_of_a_layer_has_every_option(kind) -> None:
    parameters = inspect.signature(kind).parameters
    assert {name: parameters[name].default for name in OPTIONS} == {n: option.default for n, option in OPTIONS.items()}


@pytest.mark.parametrize("kind", CELLS, ids=lambda kind: kind.__name__)
def test_the_signature_of_a_single_step_cell_has_no_option_of_layers(kind) -> None:
    known = {"heads", "rank", "semi_tied"}  # they change the equations, whoever steps through time
    assert not (set(OPTIONS) - known) & set(inspect.signature(kind).parameters)


@pytest.mark.parametrize("kind", LAYERS[:-1] + CELLS[:-1], ids=lambda kind: kind.__name__)
def test_the_docstring_has_the_equations_of_the_definition(kind) -> None:
    text = inspect.getdoc(kind)
    assert all(f"    {line}\n" in text for line in plain(kind(3, 4).graph).splitlines())


def test_a_subclass_has_the_signature_of_its_own_constructor() -> None:
    class Mine(nn.LSTM):
        def __init__(self, size: int) -> None:
            super().__init__(size, size)

    assert [*inspect.signature(Mine).parameters] == ["size"]
