"""The list of all cells, in groups that are read off their equations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.table import Table
from rich.text import Text

from tidegate.cell import Cell, Graph
from tidegate.cell.measure import flops, parameters
from tidegate.cell.width import axis_widths
from tidegate.cli.console import console, table
from tidegate.errors import InputError
from tidegate.passes import Recurrence, recurrences
from tidegate.zoo import CELLS

OF_ONE = "One state; every unit sees all others of the step before, through a matrix"
OF_SEVERAL = "A memory beside the output; every unit sees all others of the step before, through a matrix"
ALONE = "Units see their own past alone, and need no matrix in time"
SUMS = "Units are sums over time: of their past they take a share, and need no matrix in time"
GIVEN = "A second input: the time since the last step, or which values are missing"
WIDE = 110  # columns that the whole table needs
Counts = tuple[int, int]  # input features and hidden units assumed in counts
GROUPS = (OF_ONE, OF_SEVERAL, ALONE, SUMS, GIVEN)
KINDS = {Recurrence.NONE: SUMS, Recurrence.AFFINE: SUMS, Recurrence.UNITWISE: ALONE}


def kind_of(graph: Graph) -> str:
    """The group of a cell: how its states depend on the step before.

    Args:
        graph: the cell.
    """
    if getattr(graph, "given", ()):
        return GIVEN
    kind = max(recurrences(graph).values())
    return KINDS.get(kind, OF_SEVERAL if len(graph.states) > 1 else OF_ONE)


def widths_of(graph: Graph, inputs: int, units: int, own: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """The width of each axis; some cells read as many features as they have units.

    Args:
        graph: the cell.
        inputs: input features.
        units: hidden units.
        own: of axes that options add.
    """
    added = {axis: width for axis, width in own.items() if axis in graph.own_axes}
    return axis_widths(graph, units if graph.input_axis == "H" else inputs, units, added)


def variants_of(cell: type[Cell]) -> list[str]:
    """The names of a cell of the zoo in all its forms, the plain one first; nothing for a user's cell.

    Args:
        cell: the cell or one of its variants.
    """
    return [name for name in CELLS if name.partition("/")[0] == cell.name.lower().partition("/")[0]]


def print_list(words: str, inputs: int, units: int) -> None:
    """Print the cells of the zoo, each variant with its family.

    Args:
        words: which a cell must have; all cells have none.
        inputs: input features assumed in counts.
        units: hidden units assumed in counts.

    Raises:
        InputError: no cell has these words.
    """
    families = [cell for name, cell in CELLS.items() if "/" not in name]
    cells = [cell for cell in families if all(word in _known(cell) for word in words.lower().split())]
    if not cells:
        raise InputError("CELLS", f"no cell has {words!r}", fix="tidegate cells lists all")
    screen = console()
    width, first = max(len(cell.name) for cell in cells), True
    for group in GROUPS:
        if own := [cell for cell in cells if kind_of(cell.graph) == group]:
            screen.print(f"{group} ({len(own)})\n", style="bold")
            listing = _table(own, width, (inputs, units), narrow=screen.width < WIDE)
            listing.show_header, first = first, False
            screen.print(listing)
            screen.print()
    others = sum(len(variants_of(cell)) - 1 for cell in cells)
    screen.print(
        f"{len(cells)} cells and {others} variants. Counts assume {inputs} inputs and {units} units. "
        "tidegate cells NAME shows equations and settings, --filter TEXT fewer cells.",
        markup=False,
    )


def _table(cells: Sequence[type[Cell]], name_width: int, counts: Counts, *, narrow: bool) -> Table:
    """A row for each cell; a narrow screen has the name, the parameters and the text alone."""
    listing = table("cell", "gates", "parameters", "FLOPs per step", "what it is, and its source")
    for column, least in zip(listing.columns, (name_width, 7, 10, 14), strict=False):
        column.min_width = least
    listing.columns[1].justify = listing.columns[4].justify = "left"
    listing.columns[4].no_wrap = False
    for cell in cells:
        widths = widths_of(cell.graph, *counts)
        gates = " ".join(name for name, _ in cell.graph.gates)
        sizes = f"{parameters(cell.graph, widths):,}", f"{flops(cell.graph, widths):,}"
        listing.add_row(cell.name, gates, *sizes, _about(cell))
    if narrow:
        del listing.columns[3], listing.columns[1]
    return listing


def _about(cell: type[Cell]) -> Text:
    others = ", ".join(CELLS[name].name for name in variants_of(cell)[1:])
    first = f"{_summary(cell)} Also {others}." if others else _summary(cell)
    differs = f"; differs by: {cell.differs}" if cell.differs else ""
    return Text.assemble(first, "\n", (f"{cell.source}{differs}", "dim"))


def _summary(cell: type[Cell]) -> str:
    return (cell.__doc__ or "").strip().splitlines()[0]


def _known(cell: type[Cell]) -> str:
    """All words of a cell, in which a filter looks."""
    gates = " ".join(name for name, _ in cell.graph.gates)
    said = [*variants_of(cell), gates, _summary(cell), kind_of(cell.graph), cell.source, cell.differs, *cell.options]
    return " ".join(said).lower()
