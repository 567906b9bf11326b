"""The units of a layer: which numbers belong to each, which are silent, and a layer with some of them only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tidegate.cell.graph import REDUCTIONS, Graph
from tidegate.cell.parameter import attribute
from tidegate.errors import InputError
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.sparse import Blocks
from tidegate.runtime import Rows, Steps, eager_only, run_layer

UNITS = "H"  # the axis


class Place(NamedTuple):
    """How a parameter is made up.

    Attributes:
        rows: the axis of each block of rows.
        columns: the axis of the columns; None for a vector.
    """

    rows: tuple[str, ...]
    columns: str | None

    def chosen(self, widths: dict[str, int], units: Tensor) -> Tensor:
        """The rows that are left where only these units are."""
        first, chosen = 0, []
        for axis in self.rows:
            chosen.append(first + (units if axis == UNITS else torch.arange(widths[axis])))
            first += widths[axis]
        return torch.cat(chosen)


class Direction:
    """One direction of one layer of a stack.

    Attributes:
        layer: the stack.
        number: of the layer.
        reverse: whether it runs backward in time.
        cell: with its widths.
        places: by parameter of the cell, how it is made up.
    """

    def __init__(self, layer: Recurrent, number: int, *, reverse: bool) -> None:
        self.layer, self.number, self.reverse = layer, number, reverse
        self.cell = layer.cells[number]
        self.places = _places(layer.graph)
        self._parameters = dict(layer.named_parameters(recurse=False))  # without what is shared, or parametrized

    @property
    def whole(self) -> bool:
        """Whether it has parameters of its own."""
        return all(self.attribute(name) in self._parameters for name in self.cell.parameters)

    def attribute(self, name: str) -> str:
        """The name of a parameter on the layer."""
        return attribute(name, self.number, reverse=self.reverse)

    def parameter(self, name: str) -> Tensor:
        return self._parameters[self.attribute(name)]

    def starts(self) -> dict[str, Tensor]:
        """The learned initial states of the units, by attribute."""
        graph = self.layer.graph
        names = zip(self.layer.options.first_states(graph), graph.states, strict=False)
        return {self.attribute(name): self.parameter(name) for name, state in names if state.axis == UNITS}

    def weights(self) -> Iterator[tuple[Tensor, Place]]:
        """All matrices."""
        for name, place in self.places.items():
            if place.columns is not None:
                yield self.parameter(name), place

    def own_rows(self, parameter: Tensor, place: Place) -> list[Tensor]:
        """The blocks of rows of a parameter that have a row for each unit."""
        parts = parameter.split([self.cell.widths[axis] for axis in place.rows])
        return [part for part, axis in zip(parts, place.rows, strict=True) if axis == UNITS]


def _places(graph: Graph) -> dict[str, Place]:
    places = {}
    for matrix in graph.matrices:
        places[f"weight_{matrix.name}"] = Place(tuple(block.axis for block in matrix.blocks), matrix.columns)
        if matrix.has_bias:
            places[f"bias_{matrix.name}"] = Place(tuple(block.axis for block in matrix.blocks if block.bias), None)
    return places | {v.name: Place(tuple(block.axis for block in v.blocks), None) for v in graph.vectors}


def directions(layer: Recurrent) -> list[Direction]:
    """All directions of all layers of a stack.

    Raises:
        InputError: units of this layer are no matter of rows and columns.
    """
    graph, reason = layer.graph, ""
    if any(node.op in REDUCTIONS for node in graph.nodes):
        reason = "a mean over its units counts each of them, also one of zeros"
    elif graph.input_axis == UNITS:
        reason = "its input is as wide as its units"
    elif layer.num_layers > 1 and "I" in [*(state.axis for state in graph.states), *(v.axis for v in graph.given)]:
        reason = "values of its upper layers are as wide as the layer below"
    elif any(matrix.heads > 1 for matrix in graph.matrices):
        reason = "its heads have to be equally wide"
    own = [
        Direction(layer, number, reverse=reverse)
        for number in range(layer.num_layers)
        for reverse in (False, True)[: 1 + layer.bidirectional]
    ]
    if not reason and not all(direction.whole for direction in own):
        reason = "parameters of it are shared, parametrized or pruned by torch.nn.utils.prune"
    if reason:
        raise InputError("UNITS", f"units cannot be taken out of {layer}: {reason}", fix="leave this layer as it is")
    return own


def silent(layer: Recurrent) -> list[Tensor]:
    """For each direction of each layer booleans [H]: the units whose states are zero at all steps, whatever comes in.

    Every row of such a unit is zero, so what it multiplies does not reach it; and from states of zeros, one step leads
    to states of zeros, so that the next one begins like the first. Initial states that are learned have to be zero.
    """
    return [_silent(direction) for direction in directions(layer)]


@torch.no_grad()
def _silent(direction: Direction) -> Tensor:
    cell = direction.cell
    quiet = torch.ones(cell.widths[UNITS], dtype=torch.bool)
    for weight, place in direction.weights():
        for own in direction.own_rows(weight, place):
            quiet &= (own == 0).all(1).cpu()
    parameters = [direction.parameter(name).detach().cpu().double() for name in cell.parameters]
    with eager_only():
        rows = Rows(torch.zeros(1, cell.features, dtype=torch.float64), Steps.uniform(1, 1), None)
        _, (_, *last) = run_layer(cell, rows, 1, None, parameters)
    for state, value in zip(cell.graph.states, last, strict=True):
        if state.axis == UNITS:
            quiet &= value[0, 0] == 0
    for start in direction.starts().values():
        quiet &= start.cpu() == 0
    return quiet


@torch.no_grad()
def unread(layer: Recurrent, stay: Sequence[Tensor], readers: Sequence[Tensor] | None) -> list[Tensor]:
    """For each direction of each layer booleans [H]: the units that nothing reads which stays.

    Args:
        layer: the stack.
        stay: for each direction of each layer the units that stay for certain.
        readers: the weights [..., D*H] of all that reads the output of the last layer; None if that is not known.
    """
    own = directions(layer)
    return [~_read(direction, own, stay, readers) for direction in own]


def _read(
    direction: Direction, own: Sequence[Direction], stay: Sequence[Tensor], readers: Sequence[Tensor] | None
) -> Tensor:
    """Booleans [H]: the units of which a column is not zero in a row that stays."""
    units = direction.cell.widths[UNITS]
    read = torch.zeros(units, dtype=torch.bool)
    for weight, place in direction.weights():
        if place.columns == UNITS:
            rows = place.chosen(direction.cell.widths, stay[own.index(direction)])
            read |= (weight[rows] != 0).any(0).cpu()
    if direction.layer.graph.output.axis != UNITS:
        return read
    following = [(d, left) for d, left in zip(own, stay, strict=True) if d.number == direction.number + 1]
    if following:
        name = "weight_W"
        readers = [d.parameter(name)[d.places[name].chosen(d.cell.widths, left)] for d, left in following]
    if readers is None:
        return ~torch.zeros_like(read)
    for weight in readers:
        read |= (weight.unflatten(1, (-1, units))[:, int(direction.reverse)] != 0).any(0).cpu()
    return read


@torch.no_grad()
def keep(layer: Recurrent, kept: Sequence[Tensor]) -> None:
    """Make this the layer with some of its units only.

    Args:
        layer: it gets new parameters.
        kept: for each direction of each layer the units that stay, all of one number.
    """
    own, count = directions(layer), 1 + layer.bidirectional
    held, new = layer.release(), dict[str, Tensor]()
    for k, direction in enumerate(own):
        widths, units = direction.cell.widths, kept[k]
        for name, place in direction.places.items():
            value = direction.parameter(name)[place.chosen(widths, units)]
            if place.columns == UNITS:
                value = value[:, units]
            elif place.columns == "I" and direction.number and layer.graph.output.axis == UNITS:
                value = value[:, columns(kept[(direction.number - 1) * count :][:count], layer.hidden_size)]
            new[direction.attribute(name)] = value
        new |= {name: start[units] for name, start in direction.starts().items()}
    stay = [axis for axis in layer.graph.own_axes if axis not in layer.added_widths()]
    if stay:
        vars(layer)["own_widths"] = {axis: layer.cells[0].widths[axis] for axis in stay}
    layer.hidden_size = len(kept[0])
    layer.set_variants()
    for name, value in new.items():
        setattr(layer, name, torch.nn.Parameter(value.clone(), requires_grad=getattr(layer, name).requires_grad))
    known = layer.weights()
    layer.hold_zero({n: Blocks.largest(new[n], 1.0, old.size, known[n].heights) for n, old in held.items()})


def columns(kept: Sequence[Tensor], width: int) -> Tensor:
    """Where the units that stay lie in the output of a layer, given those of each direction and its width before."""
    return torch.cat([d * width + units for d, units in enumerate(kept)])
