"""Drawn cells of any shape have diagrams in which nothing overlaps."""

from hypothesis import given, settings

from tests.null.test_diagram import corners, faults
from tests.property.random_cell import RandomCell, random_cells
from tidegate.emit.diagram.picture import Picture


@settings(max_examples=6)
@given(random_cells(timed=True))
def test_any_cell_can_be_drawn(random: RandomCell) -> None:
    picture = Picture(random.cell.graph)
    assert not faults(picture)
    assert not corners(picture)
