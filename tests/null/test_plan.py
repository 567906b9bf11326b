"""Plans as text. ``python -m tests.null.test_plan`` writes the golden files anew; read the difference."""

from pathlib import Path

import pytest

from tidegate.cell import Graph
from tidegate.emit.compiled import Compiled
from tidegate.emit.planner import backward_plan, forward_plan, gradient_plan, tallied_sums
from tidegate.passes import OF_STATE, VALUE, normalise, restart
from tidegate.zoo import CELLS, GRU, LSTM, PeepholeLSTM

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


SERIES = "gru_before_series"


def printed(name: str) -> str:
    """The plans of a training step, or those that write series."""
    graph = CHOSEN[name.removesuffix("_series")]
    cell = Compiled(graph)
    forward, backward = (cell.traced, cell.watched) if name == SERIES else (cell, cell)
    plans = {
        "forward": forward_plan(forward, WIDTHS, "f32", saving=name != SERIES),
        "backward": backward_plan(backward, WIDTHS, "f32", input_gradient=True),
    }
    text = "\n".join(f"{graph.name}, {kind}, I = 3, H = 5\n{plan}\n" for kind, plan in plans.items())
    for own in (forward, backward):  # the key names the emitted text, of which there are golden files too
        text = text.replace(own.source.key, "KEY")
    return text


def golden(name: str) -> Path:
    return GOLDEN / f"{name}.plan"


@pytest.mark.parametrize("name", [*CHOSEN, SERIES])
def test_golden(name):
    assert printed(name) == golden(name).read_text()


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.glob("*.plan")} == {golden(name).name for name in (*CHOSEN, SERIES)}


@pytest.mark.parametrize("name", CELLS)
def test_series_that_nobody_asks_for_are_in_no_plain_plan_and_no_plain_text(name):
    cell = Compiled(CELLS[name].graph)
    widths = dict.fromkeys(("I", "H", "P", *cell.graph.own_axes), 5)
    reported = [VALUE.format(n) for n in cell.graph.reported if n != cell.graph.output.name]
    states = [OF_STATE.format(state.name) for state in cell.graph.states]
    plain = forward_plan(cell, widths, "f32", saving=True), backward_plan(cell, widths, "f32", input_gradient=True)
    traced = forward_plan(cell.traced, widths, "f32", saving=False)
    watched = backward_plan(cell.watched, widths, "f32", input_gradient=True)
    assert [t for t in traced.tensors if t not in plain[0].tensors] == reported
    assert [t for t in watched.tensors if t not in plain[1].tensors] == [*states, watched.chunk]
    assert watched.saved_width == plain[0].saved_width  # it reads what a plain forward run saves
    assert not any(plan.chunk for plan in plain)
    assert not any(series in str(plan) + cell.source.text for plan in plain for series in reported + states)
    assert len({own.source.key for own in cell.variants}) == 3


def test_what_nobody_asks_for_is_not_planned():
    cell = Compiled(LSTM.graph)
    forward = forward_plan(cell, WIDTHS, "f32", saving=False)
    assert all(phase.function.endswith("0_f32") for phase in forward.phases)
    backward = backward_plan(cell, WIDTHS, "f32", input_gradient=False)
    assert not backward.after
    assert not backward.input_gradient


@pytest.mark.parametrize("name", ["lstm", "gru/before", "peepholelstm"])
def test_a_backward_run_and_its_gradients_apart_make_what_a_plain_one_makes(name):
    cell = Compiled(CELLS[name].graph)
    plain = backward_plan(cell, WIDTHS, "f32", input_gradient=True)
    apart = backward_plan(cell, WIDTHS, "f32", input_gradient=True, apart=True)
    later = gradient_plan(cell, WIDTHS, "f32")
    # it has no emitted text of its own
    assert [phase.function for phase in apart.phases] == [phase.function for phase in plain.phases]
    assert not apart.gradients
    assert not apart.sums
    assert later.gradients == plain.gradients
    assert later.source == apart.chunk
    made = {(s.tensor, s.offset, s.width) for s in (*later.sums, *tallied_sums(cell, WIDTHS))}
    assert made == {(s.tensor, s.offset, s.width) for s in plain.sums}
    assert bool(apart.tally) == bool(tallied_sums(cell, WIDTHS)) == (name == "peepholelstm")
    assert not any(part in str(plain) for part in ("tally", "weights", "the chunk"))


def test_doubles_fill_half_as_many_lanes():
    cell = Compiled(LSTM.graph)
    widths = {dtype: forward_plan(cell, WIDTHS, dtype, saving=True).chunk_width for dtype in ("f32", "f64")}
    assert widths == {"f32": 4 * 16, "f64": 4 * 8}  # four gates of five units, rounded up to whole registers


def write() -> None:
    """Write every golden file."""
    for name in (*CHOSEN, SERIES):
        golden(name).write_text(printed(name))


if __name__ == "__main__":
    write()
