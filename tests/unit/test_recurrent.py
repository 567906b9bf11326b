"""Layers beyond what torch.nn has: values that no row changes, names, lengths, traces."""

import subprocess
import sys

import pytest
import torch

from tidegate.errors import InputError, SpecError
from tidegate.nn import Recurrent
from tidegate.passes import project
from tidegate.spec import Cell, sigmoid, tanh
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
    assert torch.equal(gates["f_l0"][2, 1], torch.sigmoid(layer.a_l0))


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
