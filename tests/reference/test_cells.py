"""Every cell of the zoo against the equations of its paper, forward and every gradient."""

import pytest
import torch

from tests.reference import measure, tolerance
from tests.reference.compare import assert_equal, by_layer, by_reference, draw, errors, layer_of, public
from tests.reference.equations import REFERENCES
from tests.reference.unroll import gradients_by_autograd, gradients_by_hand
from tests.sample import ALONE, LATER, VARIED
from tidegate.zoo import CELLS

every_cell = pytest.mark.parametrize("cell", ALONE)
varied = pytest.mark.parametrize("cell", VARIED)
BY_HAND = [name for name, reference in REFERENCES.items() if reference.back]


def test_every_cell_has_a_reference():
    assert set(ALONE) == REFERENCES.keys()
    assert all(reference.reading for reference in REFERENCES.values())


def test_gradients_are_derived_by_hand_where_promised():
    promised = {"rnn", "rnn/relu", "lstm", "peepholelstm", "gru", "gru/write", "gru/before", "gru/before/write", "mgu"}
    assert promised <= set(BY_HAND)


@pytest.mark.parametrize("cell", BY_HAND)
def test_gradients_by_hand_equal_autograd_of_the_same_equations(cell):
    case = draw(cell, 5, 3, 4)
    arguments = (case.reference, case.params, case.x, case.states, (case.dy, case.dlast))
    assert_equal(gradients_by_hand(*arguments), gradients_by_autograd(*arguments))


@every_cell
def test_parameters(cell):
    case = draw(cell, 1, 1, 3)
    found = {public(name): tuple(value.shape) for name, value in layer_of(case).named_parameters()}
    assert found == REFERENCES[cell].shapes(case.x.shape[-1], 3)


def sizes_of(some, few):
    """Cells and sizes: how sizes are treated is no matter of a cell, so later ones are run at few of them."""
    pairs = [(cell, *size) for cell in ALONE for size in (few if cell in LATER else some)]
    return pytest.mark.parametrize(("cell", "T", "B", "H"), pairs)


@sizes_of(measure.SOME, measure.SOME[5:8:2])
def test_forward_and_gradients(cell, T, B, H):
    for case in measure.plain(cell, T, B, H):
        assert_equal(by_layer(case), by_reference(case))


@sizes_of([(1, 1, 1), (2, 3, 64), (63, 3, 17)], [(63, 3, 17)])
def test_saturating_input(cell, T, B, H):
    case = measure.saturated(cell, T, B, H)
    assert_equal(by_layer(case), by_reference(case), floor=tolerance.SATURATED_FLOOR)


@varied
@pytest.mark.parametrize(("T", "B", "H"), [(2, 1, 17), (63, 3, 17)])
def test_input_that_is_not_contiguous(cell, T, B, H):
    case = measure.not_contiguous(cell, T, B, H)
    assert not case.x.is_contiguous()
    assert_equal(by_layer(case), by_reference(case))


@varied
def test_first_and_second_derivatives_equal_differences(cell):
    assert measure.gradients_check(cell, fast=True)


@varied
def test_a_trace_ends_in_the_states_and_shows_every_gate(cell):
    case = draw(cell, 4, 3, 5)
    layer = layer_of(case)
    with torch.no_grad():
        y, _ = layer(case.x, None)
        seen = layer.trace(case.x, None)
    graph = CELLS[cell].graph
    assert set(seen) == {f"{name}_l0" for name in graph.reported}
    widths = {"H": 5, "I": case.x.shape[-1]} | case.reference.further(5)
    for name, index in graph.reported.items():
        assert seen[f"{name}_l0"].shape == (4, 3, widths[graph.nodes[index].axis])
    assert_equal({"y": seen[f"{graph.output.name}_l0"]}, {"y": y})


@pytest.mark.parametrize("cell", [name for name in VARIED if REFERENCES[name].biases])
def test_without_bias_equals_bias_zero(cell):
    from tidegate.nn import Recurrent

    case = draw(cell, 5, 2, 3)
    params = {k: torch.zeros_like(v) if k.startswith("bias") else v for k, v in case.params.items()}
    zero = type(case)(case.cell, params, case.x, case.states, case.dy, case.dlast)
    bare = Recurrent(CELLS[cell], case.x.shape[-1], 3, bias=False, dtype=torch.float64)
    held = {public(name): name for name in bare.state_dict()}
    bare.load_state_dict({held[k]: v for k, v in params.items() if not k.startswith("bias")})
    assert_equal({"y": bare(case.x)[0]}, {"y": layer_of(zero)(case.x)[0]})


def test_saturated_gates_stay_finite_far_outside_of_float64s_exponent():
    case = draw("lstm", 2, 1, 3, scale=1e6)
    assert max(errors(by_layer(case), by_reference(case), floor=tolerance.SATURATED_FLOOR).values()) < 1e-9
