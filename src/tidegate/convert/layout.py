"""How arrays store a cell, as data, and two functions that read it: to pieces, and back.

A piece is what belongs to one gate, named by its source and its gate as ``"W.i"``, in our orientation:

- ``W`` [H, I] multiplies the input, ``U`` [H, H] the output of the step before, [H, P] where projected;
- ``b`` [H] is the bias of W, ``d`` [H] that of U;
- ``p`` [H] are peepholes;
- ``hr`` [P, H] is the projection;
- ``initial`` [H], [P] of a projected output, is the state with which a sequence begins.

Conversion takes arrays to pieces by one layout, and pieces to arrays by another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.convert.activation import Activation
from tidegate.errors import InputError

Array = NDArray[Any]
Arrays = dict[str, Array]
Pieces = dict[str, Array]
Passes = list[list[Arrays]]  # of each layer, of each direction
Widths = Mapping[str, int]  # I, H, and P where projected

UNUSED = "_"  # the gate of rows that are there and that nobody reads


@dataclass(frozen=True)
class Block:
    """Rows of an array: one piece, or the sum of the same gate's pieces of several sources.

    Attributes:
        sources: what is stored.
        gate: to which it belongs; "" for a vector that belongs to none.
        negated: it is stored with the opposite sign.
        axes: those of a piece; what its source says by default.
    """

    sources: tuple[str, ...]
    gate: str
    negated: bool = False
    axes: tuple[str, ...] = ()

    @property
    def pieces(self) -> tuple[str, ...]:
        return tuple(f"{source}.{self.gate}" if self.gate else source for source in self.sources)


def each(source: str, gates: str) -> tuple[Block, ...]:
    """Blocks of a source for several gates, in order.

    Args:
        source: one of the module's, or a sum as ``"b+d"``.
        gates: their names; ``"-z"`` is stored with the opposite sign, ``"_"`` is there and unused.

    Example:
        >>> [block.pieces for block in each("b+d", "i f")]
        [('b.i', 'd.i'), ('b.f', 'd.f')]
    """
    sources = tuple(source.split("+"))
    return tuple(Block(sources, gate.removeprefix("-"), gate.startswith("-")) for gate in gates.split())


@dataclass(frozen=True)
class Stored:
    """One array.

    Attributes:
        name: as the other side calls it.
        blocks: its rows, in order.
        optional: it is left out where the cell has none of its pieces; else it is zeros there.
        stacked: for a bias the number of rows that its blocks are spread over.
    """

    name: str
    blocks: tuple[Block, ...]
    optional: bool = False
    stacked: int = 0

    @property
    def pieces(self) -> Iterator[str]:
        return (piece for block in self.blocks for piece in block.pieces)


@dataclass(frozen=True)
class Role:
    """An activation that the other side has one of for several gates.

    Attributes:
        name: of the setting that names it; "" where the other side has no choice.
        gates: whose activation it is; ``"h"`` is the output of an LSTM.
        names: what it may be, by the other side's names; anything that ONNX writes if there are none.
    """

    name: str
    gates: str
    names: Mapping[str, Activation] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """The arrays of one cell in one direction.

    Attributes:
        kind: what the other side calls the cell.
        arrays: in the other side's order.
        transposed: matrices are stored (in, out) instead of (out, in).
        settings: what the other side must be told, and must say when it is asked.
        roles: the activations that it can be told.
    """

    kind: str
    arrays: tuple[Stored, ...]
    transposed: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[Role, ...] = ()

    def unplaced(self, pieces: Pieces) -> list[str]:
        """Pieces that no array has a place for and that are not zero."""
        homes = {piece for stored in self.arrays for piece in stored.pieces}
        return [piece for piece, value in pieces.items() if piece not in homes and value.any()]


def to_pieces(layout: Layout, arrays: Arrays, widths: Widths | None = None) -> Pieces:
    """The pieces that arrays hold. A sum counts as its first piece.

    Args:
        layout: how they hold them.
        arrays: by the names of the layout.
        widths: of axes, where blocks of one array may have several; else all have as many rows.
    """
    pieces = {}
    for stored in layout.arrays:
        if stored.name in arrays:
            rows = _upright(layout, stored, arrays[stored.name])
            sizes = [_shape(block, widths)[0] for block in stored.blocks] if widths else None
            parts = np.split(rows, len(stored.blocks) if sizes is None else np.cumsum(sizes)[:-1])
            for block, part in zip(stored.blocks, parts, strict=True):
                if block.gate != UNUSED:
                    pieces[block.pieces[0]] = -part if block.negated else part
    return pieces


def from_pieces(layout: Layout, pieces: Pieces, widths: Widths) -> Arrays:
    """The arrays that hold these pieces; what is not among the pieces is zero."""
    arrays = {}
    for stored in layout.arrays:
        if not stored.optional or any(piece in pieces for piece in stored.pieces):
            rows = np.concatenate([_block_rows(block, pieces, widths) for block in stored.blocks])
            arrays[stored.name] = _as_stored(layout, stored, rows)
    return arrays


def check(layout: Layout, arrays: Arrays, widths: Widths, where: str) -> None:
    """Refuse arrays that are not those of a layout.

    Raises:
        InputError: one is missing, unknown or of another shape.
    """
    required = {stored.name for stored in layout.arrays if not stored.optional}
    missing, unknown = required - arrays.keys(), arrays.keys() - {stored.name for stored in layout.arrays}
    if missing or unknown:
        faults = [f"without {', '.join(sorted(missing))}"] if missing else []
        faults += [f"with unknown {', '.join(sorted(unknown))}"] if unknown else []
        raise InputError(
            "CONVERT_NAMES",
            f"{where} is no {layout.kind}: it comes {' and '.join(faults)}",
            fix=f"pass {', '.join(stored.name for stored in layout.arrays)}",
        )
    for stored in layout.arrays:
        expected = _stored_shape(layout, stored, widths)
        if stored.name in arrays and arrays[stored.name].shape != expected:
            raise InputError(
                "CONVERT_SHAPE",
                f"{where}: expected {stored.name} of shape {expected}, got {arrays[stored.name].shape}",
                fix="make the layer with the sizes and the cell of the other side",
            )


def check_pieces(layout: Layout, pieces: Pieces, widths: Widths, where: str) -> None:
    """Refuse pieces of a cell that are not all there, or of which one has another shape than the others ask for.

    Raises:
        InputError: names the first of them.
    """
    for block in (block for stored in layout.arrays for block in stored.blocks):
        for piece in block.pieces:
            expected = _shape(block, widths)
            if len(expected) > 1 and piece not in pieces:
                raise InputError("CONVERT_NAMES", f"{where} lacks {piece}", fix="pass the pieces of every gate")
            if piece in pieces and pieces[piece].shape != expected:
                raise InputError(
                    "CONVERT_SHAPE",
                    f"{where}: expected {piece} of shape {expected}, got {pieces[piece].shape}",
                    fix="pass arrays that fit each other",
                )


def _block_rows(block: Block, pieces: Pieces, widths: Widths) -> Array:
    present = [pieces[piece] for piece in block.pieces if piece in pieces]
    if not present:
        return np.zeros(_shape(block, widths), next(iter(pieces.values())).dtype)
    total = present[0] if len(present) == 1 else np.add(*present)
    return np.negative(total) if block.negated else total


def _shape(block: Block, widths: Widths) -> tuple[int, ...]:
    if block.axes:
        return tuple(widths[axis] for axis in block.axes)
    H, output = widths["H"], widths.get("P", widths["H"])
    shapes = {"W": (H, widths["I"]), "U": (H, output), "hr": (output, H)}
    return (output,) if block.pieces[0] == "initial.h" else shapes.get(block.sources[0], (H,))


def _stored_shape(layout: Layout, stored: Stored, widths: Widths) -> tuple[int, ...]:
    columns = _shape(stored.blocks[0], widths)[1:]
    rows = sum(_shape(block, widths)[0] for block in stored.blocks)
    if stored.stacked:
        return stored.stacked, rows // stored.stacked
    return (*columns, rows) if layout.transposed else (rows, *columns)


def _as_stored(layout: Layout, stored: Stored, rows: Array) -> Array:
    if stored.stacked:
        return rows.reshape(stored.stacked, -1)
    return np.ascontiguousarray(rows.T) if layout.transposed else rows


def _upright(layout: Layout, stored: Stored, array: Array) -> Array:
    if stored.stacked:
        return array.reshape(-1)
    return array.T if layout.transposed else array
