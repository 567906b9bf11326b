"""Plans as text. ``python -m tests.null.test_plan`` writes the golden files anew; read the difference."""

from pathlib import Path

import pytest

from tidegate.cell import Graph
from tidegate.emit.compiled import Compiled
from tidegate.emit.planner import backward_plan, forward_plan
from tidegate.passes import normalise, restart
from tidegate.zoo import GRU, LSTM, PeepholeLSTM

GOLDEN = Path(__file__).parent / "golden"
CHOSEN: dict[str, Graph] = {
    "lstm": LSTM.graph,
    "gru": GRU.graph,
    "gru_before": GRU.variant(reset="before").graph,
    "peepholelstm": PeepholeLSTM.graph,
    "normalised_lstm": normalise(LSTM.graph),  # reductions and joins
    "restarted_gru": restart(GRU.graph),  # masks
}
WIDTHS = {"I": 3, "H": 5}


def printed(graph: Graph) -> str:
    """The plans of a training step."""
    cell = Compiled(graph)
    plans = {
        "forward": forward_plan(cell, WIDTHS, "f32", saving=True),
        "backward": backward_plan(cell, WIDTHS, "f32", input_gradient=True),
    }
    text = "\n".join(f"{graph.name}, {name}, I = 3, H = 5\n{plan}\n" for name, plan in plans.items())
    return text.replace(cell.source.key, "KEY")  # which names the emitted text, of which there are golden files too


def golden(name: str) -> Path:
    return GOLDEN / f"{name}.plan"


@pytest.mark.parametrize("name", CHOSEN)
def test_golden(name):
    assert printed(CHOSEN[name]) == golden(name).read_text()


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.glob("*.plan")} == {golden(name).name for name in CHOSEN}


def test_what_nobody_asks_for_is_not_planned():
    cell = Compiled(LSTM.graph)
    forward = forward_plan(cell, WIDTHS, "f32", saving=False)
    assert all(phase.function.endswith("0_f32") for phase in forward.phases)
    backward = backward_plan(cell, WIDTHS, "f32", input_gradient=False)
    assert not backward.after
    assert not backward.input_gradient


def test_doubles_fill_half_as_many_lanes():
    cell = Compiled(LSTM.graph)
    widths = {dtype: forward_plan(cell, WIDTHS, dtype, saving=True).chunk_width for dtype in ("f32", "f64")}
    assert widths == {"f32": 4 * 16, "f64": 4 * 8}  # four gates of five units, rounded up to whole registers


def write() -> None:
    """Write every golden file."""
    for name, graph in CHOSEN.items():
        golden(name).write_text(printed(graph))


if __name__ == "__main__":
    write()
