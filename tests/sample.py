"""Which cells of the zoo the slow tests run: those that differ in something that another part of the library sees.

The equations of every cell are held to its reference (``tests/reference/test_cells.py``) and to its ONNX form. What
depends on what a cell is made of alone, such as a trace, an adjoint or a typeset line, takes a compilation or a drawing
each. So of the later cells those are run that are made of something that no cell before them has.
"""

from __future__ import annotations

from tests.reference.irregular import DELAYED
from tests.reference.lean import LEAN
from tests.reference.peers import PEERS
from tidegate.cell import Graph
from tidegate.passes import lower, recurrences, schedule
from tidegate.zoo import CELLS

LATER = {**LEAN, **PEERS, **DELAYED}
ALONE = [name for name, cell in CELLS.items() if not cell.graph.given]
"""The cells that read nothing beside their input; the others have ``tests/reference/test_irregular.py``."""


def made_of(graph: Graph) -> set[object]:
    """What a part of the library may treat in its own way."""
    return {
        *(node.op for node in graph.nodes),
        *(("multiplied", graph.nodes[operand].op) for _, operand, _ in graph.products),
        ("states", len(graph.states)),
        ("vectors", bool(graph.vectors)),
        ("input", graph.input_axis, graph.own_axes),
        ("phases", len(schedule(lower(graph).forward).phases)),
        ("mirrored", any(matrix.mirror for matrix in graph.matrices)),
        ("settings", any(node.is_setting for node in graph.nodes)),
        ("recurrences", frozenset(recurrences(graph).values())),
    }


def _varied() -> list[str]:
    chosen = [name for name in ALONE if name not in LATER]
    seen = set[object]().union(*(made_of(CELLS[name].graph) for name in chosen))
    for name in ALONE:
        own = made_of(CELLS[name].graph)
        if not own <= seen:
            chosen.append(name)
            seen |= own
    return chosen


VARIED = _varied()
