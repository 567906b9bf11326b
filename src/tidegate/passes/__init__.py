"""Graph to graph, one verb a file; ``program`` holds what they lead to."""

from tidegate.passes.lower import INPUT, OUTPUT, PREVIOUS, UPSTREAM, Lowered, MatrixGradient, lower
from tidegate.passes.normalise import Over, normalise
from tidegate.passes.program import Carried, Phase, Program, Series, Step, Use
from tidegate.passes.project import project
from tidegate.passes.schedule import schedule

__all__ = [
    "INPUT",
    "OUTPUT",
    "PREVIOUS",
    "UPSTREAM",
    "Carried",
    "Lowered",
    "MatrixGradient",
    "Over",
    "Phase",
    "Program",
    "Series",
    "Step",
    "Use",
    "lower",
    "normalise",
    "project",
    "schedule",
]
