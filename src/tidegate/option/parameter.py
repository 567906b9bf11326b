"""Which parameters of a cell options change: the recurrent matrices, and the biases of a gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidegate.cell import Block, Graph
from tidegate.cell.convention import forget_gate
from tidegate.cell.parameter import PROJECTION, bias_of
from tidegate.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def recurrent_matrices(graph: Graph) -> list[str]:
    """The matrices that multiply something other than the input, in storage order. The projection is none of them."""
    recurrent = {name for name, operand, _ in graph.products if graph.is_recurrent(operand)}
    return [matrix.name for matrix in graph.matrices if matrix.name in recurrent - {PROJECTION}]


def keeping_gate(graph: Graph, option: str) -> tuple[str, int]:
    """The gate that keeps the state, and the sign of a bias that makes it keep more.

    Raises:
        InputError: the cell has no such gate, or the gate has no bias.
    """
    found = forget_gate(graph)
    if found is None:
        gates = " ".join(name for name, _ in graph.gates) or "none"
        raise InputError(
            "OPTION_GATE",
            f"{option} needs a gate that keeps the state; {graph.name} has the gates {gates}",
            fix=f"leave {option} out",
        )
    if not any(block.name == found[0] for blocks in biased_blocks(graph).values() for block in blocks):
        raise InputError(
            "OPTION_BIAS", f"{option} sets the bias of gate {found[0]}, which has none here", fix="pass bias=True"
        )
    return found


def gate_biases(graph: Graph, widths: Mapping[str, int], parameters: Mapping[str, Tensor], gate: str) -> list[Tensor]:
    """The biases of a gate, that of the input side first; views, so that they can be written to."""
    biases = []
    for name, blocks in biased_blocks(graph).items():
        parts = parameters[name].split([widths[block.axis] for block in blocks])
        biases += [part for block, part in zip(blocks, parts, strict=True) if block.name == gate]
    return biases


def set_sum(biases: list[Tensor], value: Tensor | float) -> None:
    """Make the biases of a gate add up to this."""
    for k, bias in enumerate(biases):
        bias.zero_()
        if k == 0:
            bias.add_(value)


def biased_blocks(graph: Graph) -> dict[str, list[Block]]:
    """The blocks of each bias by its name. In a normalised cell the biases of matrices are vectors."""
    own = {bias_of(m.name): [block for block in m.blocks if block.bias] for m in graph.matrices if m.has_bias}
    names = {bias_of(matrix.name) for matrix in graph.matrices}
    return own | {vector.name: [*vector.blocks] for vector in graph.vectors if vector.name in names}
