"""What is attacked of the models of each task, one class a kind of object."""

from __future__ import annotations

from typing import Any

from tidegate.attack.kind.base import Continuous, Kind
from tidegate.attack.kind.forecast import ForecastKind
from tidegate.attack.kind.limit import Limits
from tidegate.attack.kind.module import ModuleKind
from tidegate.attack.kind.series import SeriesKind
from tidegate.errors import InputError
from tidegate.tasks.classification.scale import Scale


def kind_of(task: Any) -> type[Kind]:
    """How the models of a task are attacked.

    Raises:
        InputError: they are not.
    """
    if task.name == "classification" and isinstance(task.encoding.reading, Scale):
        return SeriesKind
    if task.name == "forecast":
        return ForecastKind
    raise InputError(
        "ATTACK_TASK",
        f"a model of {task.data.name} ({task.name}) is not attacked: its inputs are neither series nor forecasts",
        fix="attack a classifier of series or a forecaster",
    )


__all__ = ["Continuous", "ForecastKind", "Kind", "Limits", "ModuleKind", "SeriesKind", "kind_of"]
