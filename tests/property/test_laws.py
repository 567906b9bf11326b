"""Laws that hold for every cell, at numbers drawn by Hypothesis."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.property.random_cell import compiled, random_cells
from tests.reference import tolerance
from tests.reference.compare import as_state, assert_equal, draw, errors, from_state, layer_of, public
from tests.sample import ALONE
from tidegate.cell import Graph
from tidegate.cell.graph import all_widths
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.zoo import CELLS

few = settings(max_examples=6)
every_cell = pytest.mark.parametrize("cell", ALONE)
steps = st.integers(1, 6)
sizes = st.integers(1, 4)


def drawn(cell: str, T: int, B: int, H: int):
    case = draw(cell, T, B, H, seed=T + 10 * B + 100 * H)
    return layer_of(case), case.x, as_state(case.states)


def like(layer: Recurrent, *, cell: Graph | None = None, bidirectional: bool = False) -> Recurrent:
    """Another layer of these sizes."""
    own, sizes = layer.own_widths, (layer.input_size, layer.hidden_size)
    return Recurrent(cell or layer.graph, *sizes, bidirectional=bidirectional, dtype=torch.float64, widths=own)


def outputs(y: Tensor, state: Tensor | tuple[Tensor, ...]) -> dict[str, Tensor]:
    return {"y": y, **{f"last {k}": s for k, s in enumerate(from_state(state))}}


def on_states(change, state):
    """Apply a function to each state of a layer."""
    return as_state(tuple(change(s) for s in from_state(state)))


@every_cell
@given(steps, steps, sizes, sizes)
@few
def test_a_run_can_be_cut_anywhere(cell, first, second, B, H):
    layer, x, state = drawn(cell, first + second, B, H)
    head, between = layer(x[:first], state)
    tail, last = layer(x[first:], between)
    assert_equal(outputs(torch.cat([head, tail]), last), outputs(*layer(x, state)))


@every_cell
@given(steps, st.permutations(range(4)), sizes)
@few
def test_permuting_the_batch_permutes_the_output(cell, T, order, H):
    layer, x, state = drawn(cell, T, len(order), H)
    y, last = layer(x, state)
    got = outputs(*layer(x[:, order], on_states(lambda s: s[order], state)))
    assert_equal(got, outputs(y[:, order], on_states(lambda s: s[order], last)))


@every_cell
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), sizes)
@few
def test_each_sequence_of_a_ragged_batch_runs_as_if_alone(cell, lengths, H):
    layer, x, state = drawn(cell, 5, len(lengths), H)
    y, last = layer(x, state, lengths=lengths)
    for b, length in enumerate(lengths):
        one = on_states(lambda s, b=b: s[b : b + 1], state)
        alone, end = layer(x[:length, b : b + 1], one) if length else (y[:0, b : b + 1], one)
        assert not y[length:, b].any()
        assert_equal(outputs(y[:length, b : b + 1], on_states(lambda s, b=b: s[b : b + 1], last)), outputs(alone, end))


@every_cell
@given(steps, sizes, sizes)
@few
def test_no_state_is_a_state_of_zeros(cell, T, B, H):
    layer, x, state = drawn(cell, T, B, H)
    assert_equal(outputs(*layer(x)), outputs(*layer(x, on_states(torch.zeros_like, state))))


@every_cell
@given(steps, sizes, sizes)
@few
def test_the_second_direction_is_a_layer_on_the_reversed_sequence(cell, T, B, H):
    layer, x, _ = drawn(cell, T, B, H)
    both = like(layer, bidirectional=True)
    held = {public(name): name for name in both.state_dict()}
    params = {public(name): value for name, value in layer.state_dict().items()}
    both.load_state_dict({held[n + end]: value for n, value in params.items() for end in ("", "_reverse")})
    y, _ = both(x)
    want = torch.cat([layer(x)[0], layer(x.flip(0))[0].flip(0)], dim=-1)
    assert_equal({"y": y}, {"y": want})


@every_cell
@given(steps, sizes, sizes)
@few
def test_a_saved_cell_runs_as_the_cell(cell, T, B, H):
    layer, x, state = drawn(cell, T, B, H)
    again = like(layer, cell=Graph.from_json(CELLS[cell].graph.to_json()))
    again.load_state_dict(layer.state_dict())
    assert_equal(outputs(*again(x, state)), outputs(*layer(x, state)), limit=0.0)


def random_case(made, T, B, H):
    """A layer of a random cell and what to run it on: input, states, and what is given."""
    torch.manual_seed(T + 10 * B + 100 * H)
    graph = made.cell.graph
    features = H if graph.input_axis == "H" else 3
    layer = Recurrent(graph, features, H, dtype=torch.float64, widths=dict.fromkeys(graph.own_axes, H // 2 + 1))
    widths = layer.cells[0].state_widths
    states = tuple(torch.randn(B, width, dtype=torch.float64, requires_grad=True) for width in widths)
    axes = all_widths(layer.cells[0].widths)
    beside = {v.name: torch.rand(T, B, axes[v.axis], dtype=torch.float64) for v in graph.given}
    return layer, torch.randn(T, B, features, dtype=torch.float64, requires_grad=True), states, beside


def with_gradients(found: dict[str, Tensor], leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    """Results and the gradients of a weighted sum of them."""
    weight = torch.Generator().manual_seed(4)
    loss = sum((v * torch.randn(v.shape, generator=weight, dtype=v.dtype)).sum() for v in found.values())
    grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True, allow_unused=True)
    return found | {f"d {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def by_hand(made, params, x, states, beside):
    """Results of the step and their gradients, and the gates."""
    y, last, gates = made.run(params, x, states, beside)
    leaves = {"x": x, **params, **{f"state{k}": s for k, s in enumerate(states)}}
    return with_gradients({"y": y, **{f"last {k}": s for k, s in enumerate(last)}}, leaves), leaves, gates


def nudged(value: Tensor) -> Tensor:
    """The same but for the last few hundred roundings."""
    noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(6), dtype=value.dtype)
    return (value.detach() * (1 + 1e-13 * noise)).requires_grad_()


def compare_with_its_step(made, T, B, H):
    layer, x, states, beside = random_case(made, T, B, H)
    params = dict(layer.named_parameters())
    want, leaves, gates = by_hand(made, params, x, states, beside)
    got = with_gradients(outputs(*layer(x, as_state(states), given=beside or None)), leaves)
    # a norm of units that are nearly equal magnifies what was rounded before it, hundreds of times in every step
    near, _, _ = by_hand(made, {n: nudged(p) for n, p in params.items()}, nudged(x), tuple(map(nudged, states)), beside)
    found, spread = errors(got, want), errors(near, want)
    wrong = {name: error for name, error in found.items() if not error <= max(tolerance.FLOAT64, spread[name])}
    assert not wrong, "; ".join(f"{name} off by {error:.1e}" for name, error in wrong.items())
    seen = layer.trace(x, as_state(states), given=beside or None)
    assert_equal({name: seen[f"{name}_l0"] for name in gates}, gates)


@given(random_cells(timed=True), st.integers(1, 4), sizes, sizes)
@settings(max_examples=25)
def test_a_random_cell_as_an_eager_layer_equals_its_step_run_by_hand(made, T, B, H):
    note(made.source)
    with eager_only():
        compare_with_its_step(made, T, B, H)


@given(random_cells(timed=True), st.integers(1, 4), sizes, sizes)
@settings(max_examples=3)  # each is compiled, which takes about two seconds
def test_a_random_cell_as_a_fused_layer_equals_its_step_run_by_hand(made, T, B, H):
    note(made.source)
    compare_with_its_step(made, T, B, H)


def test_the_comparison_finds_a_step_that_differs():
    body = "i = sigmoid(x.i + U(h).i)\n    f = tanh(x.f + U(h).f)\n"
    source = f"def step(self, x, h, U):\n    {body}    return i * h + f\n\n"
    right, wrong = (
        source + f"def observed(x, h, U):\n    {body}    return ({result},), dict(i=i, f=f)\n"
        for result in ("i * h + f", "f * h + i")
    )
    compare_with_its_step(compiled(right, gates="i f"), 3, 2, 4)
    with pytest.raises(AssertionError, match="y off by"):
        compare_with_its_step(compiled(wrong, gates="i f"), 3, 2, 4)
