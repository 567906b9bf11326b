"""``tidegate cells``: a list of all cells, or one cell's equations and options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.text import Text

from tidegate.cell import Graph
from tidegate.cell.convention import output_gate_sees, reset_side, update_convention
from tidegate.cell.measure import flops, parameters
from tidegate.cell.parameter import TORCH_NAMES, attribute, parameter_shapes
from tidegate.cli.cell import load_spec
from tidegate.cli.check import check_number, write_file
from tidegate.cli.console import console, print_line, shown_as, table
from tidegate.cli.listing import kind_of, print_list, variants_of, widths_of
from tidegate.emit import diagram, latex
from tidegate.emit.equation import plain
from tidegate.errors import InputError, TidegateError
from tidegate.option import Option, Options
from tidegate.train.setting import SETTING_OPTIONS
from tidegate.train.spec import Spec

LARGEST = 10**9  # larger sizes are useless, and their counts too long to print


@dataclass(frozen=True)
class Cells:
    """List all cells by what they keep from step to step, or show one: equations, parameters, source and options."""

    cell: Annotated[str, tyro.conf.Positional, shown_as("[CELL]")] = ""
    """Cell to show, such as PeepholeLSTM, gru/before, my.py:MyCell or gru[layer_norm]; all cells unless given."""
    filter: Annotated[str | None, shown_as("TEXT")] = None
    """List only cells with these words in name, gates, description, group, source or what differs from it."""
    input: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 64
    """Input features assumed when counting parameters and operations."""
    hidden: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 64
    """Hidden units assumed when counting parameters and operations."""
    diagram: Annotated[Path | None, shown_as("FILE.svg")] = None
    """Draw the cell into this new SVG file instead of printing it."""

    def run(self) -> None:
        """Print the table or the cell."""
        check_number("input", self.input, high=LARGEST)
        check_number("hidden", self.hidden, high=LARGEST)
        if self.diagram is not None:
            _draw(self.cell, self.filter, self.diagram)
        elif not self.cell:
            print_list(self.filter or "", self.input, self.hidden)
        elif self.filter is None:
            _show(load_spec(self.cell), self.input, self.hidden)
        else:
            raise InputError("CELLS", "--filter chooses among all cells", fix=f"leave out --filter or {self.cell}")


def _draw(cell: str, words: str | None, path: Path) -> None:
    if not cell or words is not None:
        raise InputError(
            "CELLS", "--diagram draws one cell", fix="name it, e.g. tidegate cells lstm --diagram lstm.svg"
        )
    if path.suffix.lower() != ".svg":
        raise InputError("OUT", f"--diagram {path} does not end in .svg", fix="name an SVG file")
    if path.exists() and not path.is_dir():
        raise InputError("OUT", f"--diagram {path} exists already", fix="name a new file, or remove this one")
    write_file("diagram", path, diagram.svg(load_spec(cell).graph))
    print_line(console(), f"wrote {path}")


def _show(spec: Spec, inputs: int, units: int) -> None:
    screen, cell, graph = console(), spec.cell, spec.graph
    widths = widths_of(graph, inputs, units, spec.layer.widths)
    spec.layer.check_widths(graph, widths)
    shapes = parameter_shapes(graph, widths)  # raises where heads do not divide them
    sizes = [f"{widths['I']} inputs", f"{units} units", *(f"{axis} = {widths[axis]}" for axis in graph.own_axes)]
    screen.print(Text.assemble((spec.name, "bold"), "  ", (cell.__doc__ or "").strip(), "\n"))
    screen.print(plain(graph), markup=False)
    screen.print()
    screen.print(_parameter_table(graph, widths, shapes))
    facts = [
        ("parameters", f"{parameters(graph, widths):,} ({', '.join(sizes)})"),
        ("FLOPs per step", f"{flops(graph, widths):,} per sequence"),
        ("reset gate", reset_side(graph) and f"acts {reset_side(graph)} the recurrent product"),
        ("update gate", _update_words(graph)),
        ("output gate", output_gate_sees(graph) and f"sees the {output_gate_sees(graph)} cell state"),
        ("recurrence", kind_of(graph).lower()),
        ("source", cell.source),
        ("differs by", cell.differs),
        ("numbers", ", ".join(f"{name} = {getattr(cell, name):g}" for name in cell.settings)),
        ("variants", ", ".join(variants_of(cell)[1:])),
    ]
    screen.print()
    for name, fact in facts:
        if fact:
            screen.print(f"{name:<15} {fact}", markup=False, soft_wrap=True)
    screen.print("\nLaTeX:", style="bold")
    screen.print(latex.align(graph), markup=False, soft_wrap=True)
    screen.print(
        f"\nSettings: --NAME VALUE in tidegate train, {cell.name.lower()}[NAME=VALUE] in compare", style="bold"
    )
    screen.print(_settings(cell.graph))


def _settings(graph: Graph) -> object:
    """A row for each option of a layer: what it does, or why this cell has no place for it."""
    listing = table("NAME", "VALUE", "")
    listing.columns[1].justify = listing.columns[2].justify = "left"
    listing.columns[2].no_wrap = False
    for option in SETTING_OPTIONS:
        reason = obstacle(option, graph)
        words = Text(reason, "dim") if reason else Text(re.split(r"(?<=\.) ", option.doc)[0].rstrip("."))
        listing.add_row(option.name, _values(option), words)
    return listing


def _values(option: Option) -> str:
    return "" if option.setting is bool else option.rule.removeprefix("be ").removeprefix("lie ")


def obstacle(option: Option, graph: Graph) -> str:
    """Why an option is refused by a cell, or has no effect; empty if it has one.

    Args:
        option: of a layer.
        graph: the cell.
    """
    try:
        options = Options(**{option.name: option.sample})
        options.check(changed := options.define(graph))
    except TidegateError as error:
        return error.message
    return next(iter(options.without_effect(changed)), "")


def _update_words(graph: Graph) -> str | None:
    convention = update_convention(graph)
    return convention and {"keep": "z = 1 keeps the old state", "write": "z = 1 writes the new one"}[convention]


def _parameter_table(graph: Graph, widths: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> object:
    listing = table("parameter", "shape", "row blocks in storage order")
    listing.columns[2].justify = "left"
    for matrix in graph.matrices:
        blocks = " ".join(block.name for block in matrix.blocks)
        layer_name = TORCH_NAMES.get(matrix.name, matrix.name)
        shape = " x ".join(map(str, shapes[f"weight_{matrix.name}"]))
        listing.add_row(f"{matrix.name}  (weight_{layer_name}_l0)", shape, blocks)
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
