"""What is attacked of the models of each task, one class a kind of object."""

from __future__ import annotations

from typing import Any

from tidegate.attack.kind.audio import AudioKind
from tidegate.attack.kind.base import Continuous, Kind
from tidegate.attack.kind.forecast import ForecastKind
from tidegate.attack.kind.limit import Limits
from tidegate.attack.kind.module import ModuleKind
from tidegate.attack.kind.series import SeriesKind
from tidegate.attack.kind.text import TextKind
from tidegate.errors import InputError
from tidegate.tasks.classification.scale import Scale

KINDS: dict[str, type[Kind]] = {"forecast": ForecastKind, "speech": AudioKind}
REFUSED = {
    "language": "the symbols that it reads are those that it has to predict",
    "music": "a key sounds or it does not, so there is no small change of one",
    "tagging": "its answers are tags of words, and an edit of one is an edit of what is tagged",
    "translation": "the right translation of an edited source is not known",
}


def kind_of(task: Any) -> type[Kind]:
    """How the models of a task are attacked.

    Raises:
        InputError: they are not.
    """
    if task.name == "classification":
        return SeriesKind if isinstance(task.encoding.reading, Scale) else TextKind
    if task.name in KINDS:
        return KINDS[task.name]
    reason = REFUSED.get(task.name, "nobody has said what a small change of it is")
    raise InputError(
        "ATTACK_TASK",
        f"a model of {task.data.name} ({task.name}) is not attacked: {reason}",
        fix="attack a classifier, a forecaster or a speech recogniser",
    )


__all__ = [
    "AudioKind",
    "Continuous",
    "ForecastKind",
    "Kind",
    "Limits",
    "ModuleKind",
    "SeriesKind",
    "TextKind",
    "kind_of",
]
