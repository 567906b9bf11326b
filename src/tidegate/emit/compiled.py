"""What the engine runs of a cell, whatever its widths: three programs and their emitted text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property

from tidegate.cell import Graph
from tidegate.cell.parameter import parameter_shapes
from tidegate.emit.cpp import Source, emit
from tidegate.passes import Lowered, Program, lower, runs_unit_by_unit, schedule


class Compiled:
    """The programs of a cell and their emitted text; both are independent of its widths.

    Args:
        graph: the cell.

    Attributes:
        lowered: the steps that forward and backward runs take.
        programs: the same steps, scheduled: ``forward``, ``backward`` and ``ending``.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lowered: Lowered = lower(graph)
        self.programs: Mapping[str, Program] = {
            "forward": schedule(self.lowered.forward),
            "backward": schedule(self.lowered.backward),
            "ending": schedule(self.lowered.ending),
        }

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters of one direction, in the order of ``cell.parameter.parameter_shapes``."""
        return tuple(parameter_shapes(self.graph, defaultdict(int)))  # widths have no part in the names

    @cached_property
    def settings(self) -> Mapping[str, float]:
        """The numbers that somebody chose for the layer, and what simplification made of them, by name."""
        nodes = (node for program in self.programs.values() for node in program.step.nodes)
        return {node.name: node.value for node in nodes if node.is_setting}

    @cached_property
    def by_unit(self) -> bool:
        """Whether each unit runs through all steps by itself; there is then no order of phases to keep."""
        return runs_unit_by_unit(self.graph) and all(len(program.phases) == 1 for program in self.programs.values())

    @cached_property
    def source(self) -> Source:
        """The pointwise C++ of all programs."""
        return emit(self.graph, self.programs)
