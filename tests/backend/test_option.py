"""Options by the engine and by the definition, with the same masks."""

from dataclasses import replace

import pytest
import torch

from tests.backend.agreement import judge
from tests.backend.drawn import ALL_OPTIONS, draw
from tidegate.nn import GRU
from tidegate.runtime import eager_only, library
from tidegate.zoo import CELLS

SMALL = replace(
    draw(1), projected=0, T=5, B=7, features=3, hidden=19, layers=1, bidirectional=True, bias=True, layout="lengths",
    lengths=(5, 0, 3, 5, 1, 2, 4), resets=True, given=False, place="whole", saturated=False, dtype=torch.float64,
    threads=2, loss="all", input_gradient=True, frozen=0.0, extras=(), options=ALL_OPTIONS,
)  # fmt: skip


# Each takes seconds to compile. These differ in what options change: one state and several, gates and vectors that
# read a state, a state of another width, an input as wide as the state, no recurrent matrix, a memory in logarithms.
VARIED = ("rnn", "lstm", "gru/before", "peepholelstm", "adaptivescrn", "mut1", "hgrn", "indrnn", "slstm/exp", "fgr")


def test_those_that_differ_are_among_the_cells():
    graphs = [CELLS[cell].graph for cell in VARIED]
    assert {len(graph.states) for graph in graphs} == {len(cell.graph.states) for cell in CELLS.values()}
    assert {graph.input_axis for graph in graphs} == {cell.graph.input_axis for cell in CELLS.values()}
    assert any(graph.own_axes for graph in graphs)


@pytest.mark.parametrize("cell", VARIED)
def test_cells_agree_with_their_definition(cell):
    wide = CELLS[cell].graph.input_axis == "H"  # and so are two directions below another layer not
    fitting = {"features": SMALL.hidden, "layers": 1} if wide else {}
    assert judge(replace(SMALL, cell=cell, **fitting)).complaints == []


SHAPES = {
    "given states": replace(SMALL, given=True),
    "a stack": replace(SMALL, layers=2, bidirectional=False),
    "a full batch": replace(SMALL, layout="full", lengths=None),
    "batch first": replace(SMALL, layout="batch first", lengths=None),
    "packed": replace(SMALL, layout="packed", lengths=(5, 1, 3, 5, 1, 2, 4), resets=False),
    "one sequence": replace(SMALL, layout="single", lengths=None, B=1),
    "one step of one sequence": replace(SMALL, layout="full", lengths=None, T=1, B=1),
    "no steps at all": replace(SMALL, lengths=(0,) * 7),
    "no sequences": replace(SMALL, layout="full", lengths=None, B=0),
    "shared by units": replace(SMALL, layout="full", lengths=None, B=3, hidden=150, threads=4),
    "many sequences": replace(SMALL, layout="lengths", lengths=tuple(k % 6 for k in range(300)), B=300),
    "projected": replace(SMALL, projected=4),
    "in float32": replace(SMALL, dtype=torch.float32),
    "whatever the threads": replace(SMALL, extras=("threads",)),
    "back twice, and without gradients": replace(SMALL, extras=("retain", "inference", "functional", "data")),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_other_shapes_and_calls_agree(shape):
    assert judge(replace(SHAPES[shape], cell="lstm")).complaints == []


def test_three_values_of_an_option_are_one_compilation(monkeypatch, tmp_path):
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(library.load(), "_cells", {})
    compiled, compile_cell = [], library._compile
    monkeypatch.setattr(library, "_compile", lambda *args: (compiled.append(args), compile_cell(*args)))
    for value in (0.25, 1.0, 3.0):
        layer = GRU(3, 5, state_clip=value / 2, zoneout=value / 4).eval()
        x = torch.randn(4, 2, 3) * 3
        y, _ = layer(x)
        found = torch.autograd.grad(y.sum(), layer.weight_hh_l0)
        assert layer.last_path == "fused"
        with eager_only():
            wanted, _ = layer(x)
            torch.testing.assert_close(y, wanted)
            torch.testing.assert_close(found, torch.autograd.grad(wanted.sum(), layer.weight_hh_l0))
    assert len(compiled) == 1
