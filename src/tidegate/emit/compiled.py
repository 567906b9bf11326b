"""What the engine runs of a cell, whatever its widths: three programs and their emitted text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

from tidegate.cell import Graph
from tidegate.cell.parameter import parameter_shapes
from tidegate.emit.cpp import Source, emit
from tidegate.passes import Lowered, Program, lower, runs_unit_by_unit, schedule

Name = Literal["forward", "backward", "ending"]
ALL: tuple[Name, ...] = ("forward", "backward", "ending")


class Compiled:
    """The programs of a cell and their emitted text; both are independent of its widths.

    Args:
        lowered: the cell, or the steps that its runs take.
        names: of the steps to make.

    Attributes:
        graph: the cell.
        lowered: the steps that forward and backward runs take.
        programs: the same steps, scheduled: ``forward``, ``backward`` and ``ending``.
    """

    def __init__(self, lowered: Graph | Lowered, names: Sequence[Name] = ALL) -> None:
        self.lowered = lower(lowered) if isinstance(lowered, Graph) else lowered
        self.graph = self.lowered.graph
        self.programs: Mapping[str, Program] = {name: schedule(getattr(self.lowered, name)) for name in names}

    @cached_property
    def traced(self) -> Compiled:
        """The same cell, whose forward run writes every reported value; it has no other run."""
        return Compiled(replace(self.lowered, forward=self.lowered.traced), ("forward",))

    @cached_property
    def watched(self) -> Compiled:
        """The same cell, whose backward run writes the adjoints of states too; it has no forward run."""
        return Compiled(replace(self.lowered, backward=self.lowered.watched), ("backward", "ending"))

    @property
    def variants(self) -> tuple[Compiled, ...]:
        """Plain, traced and watched."""
        return self, self.traced, self.watched

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
