"""What the compiler says of a recurrence, against numbers: the derivative of states by earlier ones, and mixtures."""

from __future__ import annotations

import torch
from hypothesis import given, note, settings
from torch import Tensor

from tests.property.random_cell import RandomCell, random_cells
from tests.property.random_recurrence import recurrent_cells
from tests.property.test_laws import random_case
from tests.reference.compare import as_state, from_state
from tidegate.cell import Graph
from tidegate.nn import Recurrent
from tidegate.passes import Recurrence, recurrences, runs_unit_by_unit
from tidegate.runtime import eager_only

T, H = 4, 3
many = settings(max_examples=25)


@given(recurrent_cells())
@many
def test_each_state_is_what_it_was_drawn_as(drawn):
    made, kinds = drawn
    note(made.source)
    assert recurrences(made.cell.graph) == kinds
    assert runs_unit_by_unit(made.cell.graph) == (Recurrence.DENSE not in kinds.values())


def last_states(layer: Recurrent, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    with eager_only():
        return from_state(layer(x, as_state(states))[1])


def slopes(layer: Recurrent, x: Tensor, states: tuple[Tensor, ...], after: int, before: int) -> Tensor:
    """How each unit of a last state depends on each of a first one, [width after, width before]."""
    last = last_states(layer, x, states)[after][0]
    rows = [
        torch.autograd.grad(one, states[before], retain_graph=True, allow_unused=True, materialize_grads=True)[0][0]
        for one in last
    ]
    return torch.stack(rows)


def together(graph: Graph, layer: Recurrent, x: Tensor, states: tuple[Tensor, ...], state: int) -> list[int]:
    """The states that a state depends on and that depend on it, as the numbers say."""
    every = range(len(states))
    return [k for k in every if slopes(layer, x, states, state, k).any() and slopes(layer, x, states, k, state).any()]


def claims_hold(made: RandomCell) -> None:
    """No unit sees another one and no mixture is bent where the compiler says so."""
    graph = made.cell.graph
    layer, x, states, _ = random_case(made, T, 1, H)
    for k, (name, kind) in enumerate(recurrences(graph).items()):
        own = together(graph, layer, x, states, k)
        assert not (kind is Recurrence.NONE and own), name
        for other in own if kind <= Recurrence.UNITWISE else ():
            found = slopes(layer, x, states, k, other)
            assert torch.equal(found, found.diag().diag()), f"{name} sees other units of state {other}"
        if kind <= Recurrence.AFFINE:
            assert_straight(layer, x, states, k, own)


def assert_straight(layer: Recurrent, x: Tensor, states: tuple[Tensor, ...], k: int, own: list[int]) -> None:
    """Of a mixture of first states comes the mixture of last ones."""
    ends = [s.detach() + 1.5 if j in own else s.detach() for j, s in enumerate(states)]
    middle = [0.25 * s.detach() + 0.75 * end for s, end in zip(states, ends, strict=True)]
    first, last, between = (last_states(layer, x, tuple(part))[k] for part in (states, ends, middle))
    torch.testing.assert_close(between, 0.25 * first + 0.75 * last, rtol=1e-9, atol=1e-9)


@given(recurrent_cells())
@many
def test_what_is_said_of_a_recurrence_holds_in_numbers(drawn):
    note(drawn[0].source)
    claims_hold(drawn[0])


@given(random_cells())
@settings(max_examples=15)
def test_what_is_said_of_any_cell_holds_in_numbers(made):
    note(made.source)
    claims_hold(made)


@given(recurrent_cells())
@settings(max_examples=10)
def test_a_dense_state_sees_other_units_and_no_other_does(drawn):
    made, kinds = drawn
    layer, x, states, _ = random_case(made, T, 1, H)
    for k, kind in enumerate(kinds.values()):
        found = slopes(layer, x, states, k, k)
        assert (kind is Recurrence.DENSE) == (not torch.equal(found, found.diag().diag()))
