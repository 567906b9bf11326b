"""Graph to graph, one verb a file; ``program`` holds what they lead to."""

from tidegate.passes.bound import Interval, bounds
from tidegate.passes.clip import clip
from tidegate.passes.drop import drop_recurrent
from tidegate.passes.factor import factor
from tidegate.passes.heads import split_into_heads, without_heads
from tidegate.passes.hold import hold
from tidegate.passes.lower import (
    BESIDE,
    INPUT,
    OF_INPUT,
    OF_STATE,
    OUTPUT,
    PREVIOUS,
    UPSTREAM,
    VALUE,
    Lowered,
    MatrixGradient,
    lower,
)
from tidegate.passes.normalise import Over, normalise
from tidegate.passes.program import Carried, Phase, Program, Series, Step, Use, is_literal
from tidegate.passes.project import project
from tidegate.passes.recurrence import Recurrence, recurrences, runs_unit_by_unit
from tidegate.passes.restart import restart
from tidegate.passes.schedule import schedule
from tidegate.passes.tie import tie_gates
from tidegate.passes.zoneout import zoneout

__all__ = [
    "BESIDE",
    "INPUT",
    "OF_INPUT",
    "OF_STATE",
    "OUTPUT",
    "PREVIOUS",
    "UPSTREAM",
    "VALUE",
    "Carried",
    "Interval",
    "Lowered",
    "MatrixGradient",
    "Over",
    "Phase",
    "Program",
    "Recurrence",
    "Series",
    "Step",
    "Use",
    "bounds",
    "clip",
    "drop_recurrent",
    "factor",
    "hold",
    "is_literal",
    "lower",
    "normalise",
    "project",
    "recurrences",
    "restart",
    "runs_unit_by_unit",
    "schedule",
    "split_into_heads",
    "tie_gates",
    "without_heads",
    "zoneout",
]
