"""Where values lie side by side in one row: what a forward run saves, and the chunk of a backward run."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple, TypeVar

from tidegate.cell import Graph
from tidegate.cell.graph import all_widths
from tidegate.emit.compiled import Compiled
from tidegate.passes import BESIDE, INPUT, OF_STATE, OUTPUT, PREVIOUS, Lowered

Key = TypeVar("Key", bound=Hashable)
Offsets = dict[Key, int]  # first columns of values that lie side by side


def side_by_side(parts: Iterable[tuple[Key, int]]) -> tuple[Offsets[Key], int]:
    """First columns of values of these widths, and the width of all."""
    offsets: Offsets[Key] = {}
    at = 0
    for name, width in parts:
        offsets[name] = at
        at += width
    return offsets, at


def beside(graph: Graph) -> list[str]:
    """What is given beside the input, among the tensors of a call."""
    return [BESIDE.format(value.name) for value in graph.given]


def saved_offsets(cell: Compiled, widths: Mapping[str, int]) -> tuple[Offsets[str], int]:
    """What a forward run saves for a backward run."""
    return side_by_side((s.name, widths[s.axis]) for s in cell.lowered.forward.series if s.saved)


def backward_chunk(lowered: Lowered, widths: Mapping[str, int], *, input_gradient: bool) -> tuple[Offsets[str], int]:
    """Adjoints of products, then of vectors; what a step adds to the gradient of the input if nobody asks for that."""
    order = [series for gradient in lowered.matrices for _, series in gradient.blocks]
    elsewhere = {*series_of_states(lowered), *([lowered.input] if input_gradient else [])}
    axes = {s.name: s.axis for s in lowered.backward.series}
    return side_by_side((s, widths[axes[s]]) for s in dict.fromkeys([*order, *axes]) if s not in elsewhere)


Chunk = tuple[Offsets[str], int]


def whole_chunk(lowered: Lowered, widths: Mapping[str, int], *, input_gradient: bool) -> tuple[Chunk, Chunk]:
    """All of a chunk, and nothing beside it."""
    return backward_chunk(lowered, widths, input_gradient=input_gradient), ({}, 0)


def products_and_vectors(lowered: Lowered, widths: Mapping[str, int], *, input_gradient: bool) -> tuple[Chunk, Chunk]:
    """The same chunk in two: adjoints of products, and of vectors alone (and what is added to the input's gradient)."""
    chunk, _ = backward_chunk(lowered, widths, input_gradient=input_gradient)
    axes = {s.name: s.axis for s in lowered.backward.series}
    products = dict.fromkeys(series for gradient in lowered.matrices for _, series in gradient.blocks)
    vectors = [name for name in chunk if name not in products]
    return side_by_side((s, widths[axes[s]]) for s in products), side_by_side((s, widths[axes[s]]) for s in vectors)


def series_of_states(lowered: Lowered) -> list[str]:
    """The series of adjoints of states, which a backward run writes where it is watched."""
    names = {OF_STATE.format(state.name) for state in lowered.graph.states}
    return [s.name for s in lowered.backward.series if s.name in names]


class Operand(Enum):
    """What a matrix is applied to, where that is not a saved value."""

    INPUT = INPUT
    PREVIOUS = PREVIOUS  # the output of the step before
    OUTPUT = OUTPUT


class ProductColumns(NamedTuple):
    """Where a backward run finds what is known of a matrix with one operand.

    Attributes:
        matrix: its name.
        adjoints: for each block the columns of the chunk.
        operand: the columns of what the forward run saved, or where else it is: of what is given, its number.
    """

    matrix: str
    adjoints: Mapping[str, slice]
    operand: slice | Operand | int


class Watched(NamedTuple):
    """What a watched backward run leaves in the chunk: of products, and by block the summands of vectors' gradients."""

    products: tuple[ProductColumns, ...]
    vectors: Mapping[tuple[str, str], slice]


def watched_columns(cell: Compiled, widths: Mapping[str, int]) -> Watched:
    """Where everything lies that a watched backward run tells, apart from the adjoints of states."""
    lowered, widths = cell.lowered, all_widths(widths)
    axes = {s.name: s.axis for s in (*lowered.forward.series, *lowered.backward.series)}
    first = saved_offsets(cell, widths)[0] | backward_chunk(lowered, widths, input_gradient=True)[0]
    at = {name: slice(start, start + widths[axes[name]]) for name, start in first.items()}
    there: dict[str, slice | int] = {**at, **{name: number for number, name in enumerate(beside(cell.graph))}}
    products = [
        ProductColumns(
            gradient.matrix,
            {block: at[series] for block, series in gradient.blocks},
            there[gradient.operand] if gradient.operand in there else Operand(gradient.operand),
        )
        for gradient in lowered.matrices
    ]
    return Watched(tuple(products), {names: at[series] for names, series in lowered.vectors.items()})


class Span(NamedTuple):
    """The rows of a block in its parameter, and the first element of its bias, if it has one."""

    row: int
    rows: int
    bias: int | None


def spans(graph: Graph, widths: Mapping[str, int]) -> dict[tuple[str, str], Span]:
    """Where each block of each parameter lies, by the names of both."""
    found = {}
    for parameter in graph.parameters:
        row = bias = 0
        for block in parameter.blocks:
            rows = widths[block.axis]
            found[parameter.name, block.name] = Span(row, rows, bias if block.bias else None)
            row += rows
            bias += rows if block.bias else 0
    return found
