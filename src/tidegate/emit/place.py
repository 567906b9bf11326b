"""Where the values of a run lie: tensors of the call, columns of series, and neighbouring blocks of a matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tidegate.cell import Node, Op
from tidegate.emit.compiled import Compiled
from tidegate.emit.layout import Offsets, Span, beside
from tidegate.emit.plan import Kind, Place
from tidegate.passes import BESIDE, INPUT, OUTPUT, UPSTREAM

SAVED = "saved[t]"  # the tensor that holds all saved series side by side
ADJOINTS = "adjoints[t]"  # the tensor that takes the chunk of a backward run that is watched, or makes no gradients
TALLY = "tally"  # the tensor that takes the summands of gradients of vectors, added up for each sequence
WEIGHTS = "weights"  # the tensor of the weight of each sequence


class Memory(NamedTuple):
    """Where the values of a run lie: first columns by name."""

    cell: Compiled
    widths: Mapping[str, int]
    dtype: str
    saving: bool
    saved: Offsets[str]
    chunk: Offsets[str]
    chunk_at: Place  # where its first column lies
    carried: Offsets[str]
    blocks: Mapping[tuple[str, str], Span]
    tally: Mapping[str, int] = MappingProxyType({})  # columns of a second chunk, which is added up for each sequence
    asked: Sequence[str] = ()  # series that are tensors of their own, since somebody asked for them


def outside(leaf: Node) -> Place:
    """Where the input lies, or what is given."""
    return Place(Kind.SERIES, tensor=INPUT if leaf.op is Op.INPUT else BESIDE.format(leaf.name))


def series_place(memory: Memory, name: str) -> Place:
    """Where a series lies."""
    if name in memory.chunk:
        return memory.chunk_at._replace(offset=memory.chunk[name])
    if name in memory.tally:
        return Place(Kind.CHUNK, memory.tally[name])
    if name in memory.saved:
        if not memory.saving:  # never touched, but it must lie somewhere
            return Place(Kind.VECTOR, tensor=OUTPUT)
        return Place(Kind.SERIES, memory.saved[name], SAVED)
    if name in (INPUT, OUTPUT, UPSTREAM, memory.cell.lowered.input, *memory.asked, *beside(memory.cell.graph)):
        return Place(Kind.SERIES, tensor=name)
    return Place(Kind.ROWS, tensor=f"d first {name[2:]}")  # the ending program writes "d h"


def runs(memory: Memory, matrix: str, blocks: Iterable[tuple[str, Place]]) -> list[tuple[int, int, Place]]:
    """First row, number of rows and adjoint of blocks; those that are neighbours in both are one, but for heads."""
    whole = memory.cell.graph.matrix(matrix).heads == 1
    runs: list[tuple[int, int, Place]] = []
    for block, place in blocks:
        row, rows, _ = memory.blocks[matrix, block]
        first, count, at = runs[-1] if runs else (0, 0, place)
        following = (first + count, at.kind, at.tensor, at.offset + count)
        if runs and whole and following == (row, place.kind, place.tensor, place.offset):
            runs[-1] = (first, count + rows, at)
        else:
            runs.append((row, rows, place))
    return runs
