"""``tidegate cells``: a table of all cells, or one cell's equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.text import Text

from tidegate.cell import Cell, Graph
from tidegate.cell.convention import output_gate_sees, reset_side, update_convention
from tidegate.cell.measure import flops, parameters
from tidegate.cell.parameter import TORCH_NAMES, attribute
from tidegate.cell.width import axis_widths
from tidegate.cli.cell import load
from tidegate.cli.check import check_number
from tidegate.cli.console import console, shown_as, table
from tidegate.emit import latex
from tidegate.emit.equation import plain
from tidegate.zoo import CELLS

LARGEST = 10**9  # larger sizes are useless, and their counts too long to print


@dataclass(frozen=True)
class Cells:
    """List all cells, or show one: its equations, its parameters and its source."""

    cell: Annotated[str, tyro.conf.Positional, shown_as("[CELL]")] = ""
    """Cell to show, such as PeepholeLSTM, gru/before or my.py:MyCell; all cells unless given."""
    input: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 64
    """Input features assumed when counting parameters and operations."""
    hidden: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 64
    """Hidden units assumed when counting parameters and operations."""

    def run(self) -> None:
        """Print the table or the cell."""
        check_number("input", self.input, high=LARGEST)
        check_number("hidden", self.hidden, high=LARGEST)
        if self.cell:
            _show(load(self.cell), self.input, self.hidden)
        else:
            _list(self.input, self.hidden)


def _widths(graph: Graph, inputs: int, units: int) -> dict[str, int]:
    """The width of each axis; some cells read as many features as they have units."""
    return axis_widths(graph, units if graph.input_axis == "H" else inputs, units)


def _list(inputs: int, units: int) -> None:
    listing = table("cell", "gates", "states", "parameters", "FLOPs per step", "")
    listing.columns[1].justify = listing.columns[2].justify = listing.columns[5].justify = "left"
    listing.columns[5].no_wrap = False
    for cell in CELLS.values():
        graph = cell.graph
        widths = _widths(graph, inputs, units)
        listing.add_row(
            cell.name,
            " ".join(name for name, _ in graph.gates),
            " ".join(state.name for state in graph.states),
            f"{parameters(graph, widths):,}",
            f"{flops(graph, widths):,}",
            _summary(cell),
        )
    screen = console()
    screen.print(listing)
    screen.print(f"\nCounts assume {inputs} inputs and {units} units. tidegate cells NAME shows a cell's equations.")


def _summary(cell: type[Cell]) -> Text:
    chosen = ", ".join(f"{option} {getattr(cell, option)}" for option in cell.options)
    first_line = (cell.__doc__ or "").strip().splitlines()[0]
    return Text(f"{first_line} [{chosen}]" if chosen else first_line)


def _show(cell: type[Cell], inputs: int, units: int) -> None:
    screen = console()
    graph = cell.graph
    widths = _widths(graph, inputs, units)
    sizes = [f"{widths['I']} inputs", f"{units} units", *(f"{axis} = {widths[axis]}" for axis in graph.own_axes)]
    screen.print(Text.assemble((graph.name, "bold"), "  ", (cell.__doc__ or "").strip(), "\n"))
    screen.print(plain(graph), markup=False)
    screen.print()
    screen.print(_parameter_table(graph, widths))
    facts = [
        ("parameters", f"{parameters(graph, widths):,} ({', '.join(sizes)})"),
        ("FLOPs per step", f"{flops(graph, widths):,} per sequence"),
        ("reset gate", reset_side(graph) and f"acts {reset_side(graph)} the recurrent product"),
        ("update gate", _update_words(graph)),
        ("output gate", output_gate_sees(graph) and f"sees the {output_gate_sees(graph)} cell state"),
        ("source", cell.source),
        ("differs by", cell.differs),
    ]
    screen.print()
    for name, fact in facts:
        if fact:
            screen.print(f"{name:<15} {fact}", markup=False, soft_wrap=True)
    screen.print("\nLaTeX:", style="bold")
    screen.print(latex.align(graph), markup=False, soft_wrap=True)


def _update_words(graph: Graph) -> str | None:
    convention = update_convention(graph)
    return convention and {"keep": "z = 1 keeps the old state", "write": "z = 1 writes the new one"}[convention]


def _parameter_table(graph: Graph, widths: dict[str, int]) -> object:
    listing = table("parameter", "shape", "row blocks in storage order")
    listing.columns[2].justify = "left"
    for matrix in graph.matrices:
        blocks = " ".join(block.name for block in matrix.blocks)
        rows = sum(widths[block.axis] for block in matrix.blocks)
        layer_name = TORCH_NAMES.get(matrix.name, matrix.name)
        listing.add_row(f"{matrix.name}  (weight_{layer_name}_l0)", f"{rows} x {widths[matrix.columns]}", blocks)
        biased = [block for block in matrix.blocks if block.bias]
        if biased:
            name = "b" if matrix.name == "W" else f"b{matrix.name}"
            name += f"  (bias_{layer_name}_l0)"
            listing.add_row(name, str(sum(widths[b.axis] for b in biased)), " ".join(b.name for b in biased))
    for vector in graph.vectors:
        name, several = attribute(vector.name, 0, reverse=False), vector.blocks[1:]
        rows = sum(widths[block.axis] for block in vector.blocks)
        listing.add_row(
            f"{vector.name}  ({name})", str(rows), " ".join(b.name for b in vector.blocks) if several else ""
        )
    return listing
