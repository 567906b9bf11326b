"""Drawn cells of any shape have diagrams in which nothing overlaps."""

from hypothesis import assume, given, settings

from tests.null.test_diagram import corners, faults
from tests.null.test_diagram_meaning import exact_differences
from tests.property.random_cell import RandomCell, random_cells
from tidegate.emit.diagram.picture import Picture


@settings(max_examples=3)
@given(random_cells(timed=True))
def test_any_cell_can_be_drawn(random: RandomCell) -> None:
    picture = Picture(random.cell.graph)
    assert not faults(picture)
    assert not corners(picture)


@settings(max_examples=10)
@given(random_cells(timed=True))
def test_its_boxes_compute_what_the_equations_compute(random: RandomCell) -> None:
    graph = random.cell.graph
    readers = [(node.args, node.name) for node in graph.nodes if node.op == "product"]
    assume(len(set(readers)) == len(readers))  # two matrices on one value are one line
    assert not exact_differences(graph)
