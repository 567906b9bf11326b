"""What can be learnt, each thing with its head, loss, metric and baselines."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from tidegate.data import BUNDLED, PREFIX, Bundled, Source, address_of, locate, with_parts
from tidegate.errors import InputError
from tidegate.setting import Training
from tidegate.tasks.classification import Classification
from tidegate.tasks.forecast import Forecast
from tidegate.tasks.language import Language
from tidegate.tasks.music import Music
from tidegate.tasks.speech import Speech
from tidegate.tasks.synthetic import Adding, CopyMemory, SelectiveCopy, TemporalOrder
from tidegate.tasks.task import AnyTask, Batch, Encoding, MakeLayer, Measure, Recipe, SequenceModel, Split, Task
from tidegate.tasks.translation import Translation

__all__ = [
    "TASKS",
    "Adding",
    "AnyTask",
    "Batch",
    "Classification",
    "CopyMemory",
    "Encoding",
    "Forecast",
    "Language",
    "MakeLayer",
    "Measure",
    "Music",
    "Recipe",
    "SelectiveCopy",
    "SequenceModel",
    "Speech",
    "Split",
    "Task",
    "TemporalOrder",
    "Translation",
    "from_json",
    "load",
    "name_of",
]

KINDS: tuple[type[AnyTask], ...] = (
    Music,
    Forecast,
    Language,
    Classification,
    Speech,
    Translation,
    Adding,
    CopyMemory,
    SelectiveCopy,
    TemporalOrder,
)
TASKS = {kind.name: kind for kind in KINDS}
SUFFIXES = {
    ".json": "music",
    ".mat": "music",
    ".mid": "music",
    ".midi": "music",
    ".csv": "forecast",
    ".tsv": "forecast",
    ".txt": "language",
    ".ts": "classification",
    ".npz": "classification",
    ".dict": "translation",
}


def load(
    data: str | os.PathLike[str] | Source,
    task: str | None = None,
    setting: Training | None = None,
    *,
    target: str | None = None,
    encoding: Encoding[Any] | None = None,
    valid: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
) -> AnyTask:
    """The task of a bundled set or of a file of the user's.

    Args:
        data: the name of a bundled set, the path of a file, or a source read already.
        task: the name of a task; told by a file's suffix unless given: ``.json`` or ``.mat`` piano rolls and ``.mid``
            (music), ``.csv`` or ``.tsv`` (forecast), ``.txt`` (language), ``.ts`` or ``.npz`` (classification),
            ``.dict`` (translation). A bundled set has its own.
        setting: of that task; ``Task.standard`` unless given.
        target: the column to forecast, as ``Forecast(target=...)`` says it.
        encoding: of a trained model that the data are for.
        valid: a file of its own for validation, where the task reads such.
        test: the same for the test.

    Raises:
        InputError: the data cannot be used, the task is unknown or another one than that of a bundled set, or
            ``target`` is absent or of no use.
    """
    address, entry = _found(data)
    told = setting.task if setting and setting.task in TASKS else None  # generated problems share their settings
    name = name_of(data, task or told)
    kind = TASKS[name]
    source = data if isinstance(data, Source) else locate(address, folders=kind.reads_folders)
    source = with_parts(source, valid=valid, test=test, folders=kind.reads_folders)
    if entry and (name != entry.task or target is not None):
        raise InputError(
            "BUNDLED_TASK",
            f"the bundled set {source.title} has its own task ({entry.task}) and target",
            fix="leave --task and --target out, or pass a file of yours",
        )
    setting = setting or kind.standard()
    return kind(source, _aimed(setting, target or (entry.target if entry else None)), encoding)


def name_of(data: str | os.PathLike[str] | Source, task: str | None = None) -> str:
    """The task that is named, or else that of a bundled set or of a file's suffix, as ``load`` takes them.

    Raises:
        InputError: the file is not there, its name does not say what is to be learnt, or the task is unknown.
    """
    address, entry = _found(data)
    name = task or (entry.task if entry else _guessed(Path(address)))
    if name not in TASKS:
        raise InputError("TASK_UNKNOWN", f"there is no task {name!r}", fix=f"take one of {', '.join(TASKS)}")
    return name


def _found(data: str | os.PathLike[str] | Source) -> tuple[str, Bundled | None]:
    """Where the data are, and what is known of them if they are bundled."""
    address = data.address if isinstance(data, Source) else address_of(data)
    return address, BUNDLED.get(address.removeprefix(PREFIX)) if address.startswith(PREFIX) else None


def _aimed(setting: Training, target: str | None) -> Training:
    """The settings with the column that stands apart from them."""
    if target is None:
        return setting
    if "target" not in {field.name for field in dataclasses.fields(setting)}:
        raise InputError(
            "TASK_TARGET",
            f"the task {setting.task!r} has no target column, but {target!r} was given",
            fix="leave the target out, or name the task forecast",
        )
    values: dict[str, Any] = {"target": target}
    return dataclasses.replace(setting, **values)


def from_json(data: dict[str, Any]) -> AnyTask:
    """The task that ``Task.to_json`` described, if its data are still the same.

    Raises:
        InputError: ``data`` describes no task, or the file is gone or has changed since.
    """
    try:
        kind = TASKS[data["task"]]
        return kind(Source.from_json(data), kind.setting_type(**data["setting"]))
    except (KeyError, TypeError) as error:
        raise InputError("TASK_RECORD", f"this does not describe a task: {error}") from error


def _guessed(path: Path) -> str:
    suffix = path.suffix.casefold()
    if not path.exists():
        locate(path)  # says so, and what was meant perhaps
    if suffix not in SUFFIXES:
        known = ", ".join(f"{ending} ({name})" for ending, name in SUFFIXES.items())
        raise InputError(
            "TASK_SUFFIX",
            f"the name {path.name} does not say what is to be learnt: known endings are {known}",
            fix=f"name the task: {', '.join(TASKS)}",
        )
    return SUFFIXES[suffix]
