"""Options of a layer as passes over its graph: what they say, what they declare, what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from tidegate.cell import Cell, Graph, Mask, Node, Op, Vector, sigmoid, tanh, verify
from tidegate.cell.convention import forget_gate
from tidegate.emit.compiled import Compiled
from tidegate.emit.equation import plain
from tidegate.emit.planner import backward_plan, forward_plan
from tidegate.errors import InternalError, SpecError
from tidegate.passes import clip, drop_recurrent, lower, project, restart, zoneout
from tidegate.passes.rewrite import Rewriter
from tidegate.zoo import CELLS, FGR, GRU, LSTM, MGU

every_cell = pytest.mark.parametrize("cell", CELLS)


def lines(graph):
    """The equations by what stands on their left."""
    return {left.strip(): right for left, right in (line.split(" = ", 1) for line in plain(graph).split("\n"))}


def test_zoneout_mixes_behind_the_step():
    drawn = lines(zoneout(LSTM.graph, {"h": 0.1, "c": 0.5}, drawn=True))
    assert drawn["h[t]"] == "zoneout_h * h[t-1] + (1 - zoneout_h) * o[t] * tanh(f[t] * c[t-1] + i[t] * g[t])"
    assert drawn["c[t]"] == "zoneout_c * c[t-1] + (1 - zoneout_c) * (f[t] * c[t-1] + i[t] * g[t])"
    expected = lines(zoneout(LSTM.graph, {"c": 0.5}, drawn=False))
    assert expected["c[t]"] == "0.5 * c[t-1] + 0.5 * (f[t] * c[t-1] + i[t] * g[t])"
    assert expected["h[t]"] == "o[t] * tanh(f[t] * c[t-1] + i[t] * g[t])"


def test_zoneout_of_nothing_changes_nothing():
    assert zoneout(GRU.graph, {"h": 0.0}, drawn=True) == GRU.graph


def limited(graph: Graph, bound: float, rate: float) -> Compiled:
    """As a layer with ``state_clip`` and ``zoneout`` is in evaluation."""
    states = [state.name for state in graph.states]
    clipped = clip(graph, dict.fromkeys(states, bound))
    return Compiled(zoneout(clipped, dict.fromkeys(states, rate), drawn=False))


@every_cell
def test_numbers_of_options_are_arguments_of_the_emitted_code(cell):
    graph = CELLS[cell].graph
    values = [(0.25, 0.1), (1.0, 0.5), (3.0, 1.0)]  # some of which the equations have too
    cells = [limited(graph, *numbers) for numbers in values]
    assert len({cell.source for cell in cells}) == 1
    widths = {"I": 3, "H": 3} | dict.fromkeys(graph.own_axes, 2)
    for plan in (
        lambda cell: forward_plan(cell, widths, "f32", saving=True),
        lambda cell: backward_plan(cell, widths, "f32", input_gradient=True),
    ):
        plans = [plan(cell) for cell in cells]
        assert len({plan._replace(settings=()) for plan in plans}) == 1
        for (bound, rate), one in zip(values, plans, strict=True):
            assert {bound, rate, 1 - rate} <= set(one.settings)


def test_settings_with_names_that_are_none_are_refused():
    clipped = clip(GRU.graph, {"h": 2.0})
    index = next(k for k, node in enumerate(clipped.nodes) if node.is_setting)
    broken = Node(Op.CONST, name="\n#include <x>", value=2.0)
    with pytest.raises(SpecError, match="is not a name"):
        verify(replace(clipped, nodes=(*clipped.nodes[:index], broken, *clipped.nodes[index + 1 :])))


def test_recurrent_dropout_masks_what_recurrent_matrices_read():
    graph = drop_recurrent(GRU.variant(reset="before").graph)
    assert lines(graph)["z[t]"] == "sigmoid(W_z x[t] + b_z + U_z (h[t-1] * dropout_H) + bU_z)"
    assert lines(graph)["n[t]"] == "tanh(W_n x[t] + b_n + U_n (r[t] * h[t-1] * dropout_H) + bU_n)"
    assert lines(graph)["h[t]"] == "z[t] * h[t-1] + (1 - z[t]) * n[t]"
    assert graph.masks == (Mask("dropout_H", "H", "sequence"),)


def test_recurrent_dropout_with_a_mask_for_each_gate():
    graph = drop_recurrent(LSTM.graph, each_gate=True)
    assert [mask.name for mask in graph.masks] == [f"dropout_U_{gate}" for gate in "ifgo"]
    assert "U_f (h[t-1] * dropout_U_f)" in lines(graph)["f[t]"]


def test_recurrent_dropout_leaves_the_projection_alone():
    graph = drop_recurrent(project(LSTM.graph))
    assert graph.masks == (Mask("dropout_P", "P", "sequence"),)
    assert "dropout" not in lines(graph)["h[t]"]


def test_recurrent_dropout_of_a_cell_without_recurrent_matrices_is_the_cell():
    assert drop_recurrent(CELLS["mingru"].graph) == CELLS["mingru"].graph


def test_what_a_step_makes_of_a_new_state_sees_it_clipped():
    graph = clip(LSTM.graph, {"c": 3.0})
    assert lines(graph)["h[t]"] == "o[t] * tanh(c[t])"
    assert lines(graph)["c[t]"] == "clamp(f[t] * c[t-1] + i[t] * g[t], 3)"
    assert lines(clip(GRU.graph, {"h": 2.0}))["h[t]"] == "clamp(z[t] * h[t-1] + (1 - z[t]) * n[t], 2)"


class Delay(Cell):
    """Its second state is the first one a step ago: a new value that is also an old one."""

    gates = "n"
    state = "h d"

    def step(self, x, h, d, U):
        n = tanh(x.n + U(h).n + d)
        return n, h


def test_clipping_an_old_value_clips_it_only_where_it_is_handed_on():
    found = lines(clip(Delay.graph, {"d": 0.5}))
    assert found["d[t]"] == "clamp(h[t-1], 0.5)"
    assert "U_n h[t-1]" in found["n[t]"]


def test_a_restart_replaces_every_old_state():
    graph = restart(LSTM.graph)
    assert graph.vectors == (Vector.of_units("initial_h"), Vector.of_units("initial_c"))
    assert graph.masks == (Mask("reset_H", "H", "step"),)
    begins = "((1 - reset_H) * c[t-1] + reset_H * initial_c)"
    assert lines(graph)["c[t]"] == f"f[t] * {begins} + i[t] * g[t]"


def test_a_restart_of_a_projected_cell_has_vectors_of_both_widths():
    vectors = (Vector.of_units("initial_h", "P"), Vector.of_units("initial_c", "H"))
    assert restart(project(LSTM.graph)).vectors == vectors


def test_a_gate_with_the_name_of_a_state_reports_the_state():
    graph = zoneout(FGR.graph, {"i": 0.5}, drawn=True)
    assert dict(graph.gates)["i"] == graph.updates[[s.name for s in graph.states].index("i")]


@every_cell
@pytest.mark.parametrize("drawn", [True, False])
def test_a_graph_with_masks_and_settings_is_saved_and_read_back(cell, drawn):
    graph = CELLS[cell].graph
    numbers = {state.name: 0.25 for state in graph.states}
    options = restart(drop_recurrent(zoneout(clip(graph, numbers), numbers, drawn=drawn)))
    again = Graph.from_json(json.loads(json.dumps(options.to_json())))
    assert again == options
    assert hash(again) == hash(options)
    assert len({graph.hash, options.hash, restart(graph).hash}) == 3


def test_a_graph_that_was_saved_before_there_were_masks_is_read():
    data = LSTM.graph.to_json()
    del data["masks"]
    assert Graph.from_json(data) == LSTM.graph


@every_cell
def test_masks_are_never_saved_since_they_are_there(cell):
    graph = CELLS[cell].graph
    lowered = lower(drop_recurrent(zoneout(graph, {graph.output.name: 0.5}, drawn=True)))
    saved = [lowered.forward.nodes[series.node] for series in lowered.forward.series if series.saved]
    assert not any(node.op is Op.MASK for node in saved)


ZONED = zoneout(GRU.graph, {"h": 0.1}, drawn=True)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (replace(ZONED, masks=()), "no mask 'zoneout_h'"),
        (replace(ZONED, masks=(Mask("zoneout_h", "I"),)), "no mask 'zoneout_h' with axis 'H'"),
        (replace(ZONED, masks=(*ZONED.masks, Mask("other"))), "mask other is declared but never used"),
        (replace(ZONED, masks=(*ZONED.masks, *ZONED.masks)), "declared twice"),
        (replace(ZONED, masks=(Mask("zoneout_h", "H", "epoch"),)), "each 'epoch': step sequence"),
        (replace(ZONED, masks=(Mask("zoneout_h", "z"),)), "not an axis"),
        (replace(ZONED, masks=(Mask("zoneout_h;"),)), "not a name"),
        (replace(ZONED, vectors=(Vector.of_units("zoneout_h"),)), "is a vector and a mask"),
        (replace(LSTM.graph, masks=(Mask("m"),)), "mask m is declared but never used"),
    ],
)
def test_masks_that_cannot_be_meant_are_refused(broken, message):
    with pytest.raises(SpecError, match=message):
        verify(broken)


def test_a_vector_that_has_the_name_of_a_mask_is_refused():
    class Clash(Cell):
        gates = "n"
        vectors = "zoneout_h"

        def step(self, x, h, U, zoneout_h):
            n = tanh(x.n + U(h).n + zoneout_h)
            return 2 * n

    with pytest.raises(SpecError, match="Clash declares zoneout_h, a name that zoneout needs"):
        zoneout(Clash.graph, {"h": 0.1}, drawn=True)


def test_a_learned_state_does_not_share_the_authors_vector():
    class Clash(Cell):
        gates = "n"
        vectors = "initial_h"

        def step(self, x, h, U, initial_h):
            n = tanh(x.n + U(h).n + initial_h)
            return 2 * n

    with pytest.raises(SpecError, match="Clash declares initial_h, a name that restart needs"):
        restart(Clash.graph)


def test_a_state_whose_name_leaves_no_room_for_a_prefix_is_the_authors_to_rename():
    class Long(Cell):
        gates = "n"
        state = "h memory_of_everything_seen_so_far"

        def step(self, x, h, memory_of_everything_seen_so_far, U):
            n = tanh(x.n + U(h).n)
            memory_of_everything_seen_so_far = memory_of_everything_seen_so_far + n
            return n * memory_of_everything_seen_so_far, memory_of_everything_seen_so_far

    with pytest.raises(SpecError, match=r"at most 32 .* shorten the name"):
        restart(Long.graph)


def test_an_invalid_graph_of_a_pass_is_our_bug_and_prints_the_program():
    def change(rewriter, index, args):
        node = LSTM.graph.nodes[index]
        return rewriter.copy(node, args) * math.inf if node.op is Op.SIGMOID else None

    with pytest.raises(InternalError, match=r"the pass broken made an invalid graph of LSTM: ") as caught:
        Rewriter("broken", LSTM.graph, change).finished()
    assert "%0 = state(h): H" in caught.value.message
    assert "step" not in caught.value.fix


def test_the_forget_gate_is_read_off_the_equations():
    class Mixed(Cell):
        gates = "z n"

        def step(self, x, h, U):
            z = sigmoid(x.z + U(h).z)
            n = tanh(x.n + U(h).n)
            return z * h + n

    assert forget_gate(LSTM.graph) == ("f", 1)
    assert forget_gate(GRU.graph) == ("z", 1)
    assert forget_gate(GRU.variant(update="write").graph) == ("z", -1)
    assert forget_gate(MGU.graph) == ("f", -1)
    assert forget_gate(CELLS["rnn"].graph) is forget_gate(CELLS["cifg"].graph) is None
    assert forget_gate(Mixed.graph) is None


def test_a_pass_that_masks_the_input_takes_its_products_into_the_step():
    def change(rewriter, index, args):
        if LSTM.graph.nodes[index].op is not Op.INPUT:
            return None
        return rewriter.copy(LSTM.graph.nodes[index], args) * rewriter.mask("dropout_I", "I", "sequence")

    masked = Rewriter("mask_input", LSTM.graph, change).finished()  # so an InputTransform is the way
    multiplied = [{n.matrix for n in lower(g).forward.nodes if n.op is Op.PRODUCT} for g in (LSTM.graph, masked)]
    assert multiplied == [{"U"}, {"U", "W"}]
