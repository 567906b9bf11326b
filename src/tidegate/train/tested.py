"""The data that a trained model is tested on, read again."""

from __future__ import annotations

import json
import os
from typing import Any

from tidegate.data import BUNDLED, Source
from tidegate.errors import InputError, note
from tidegate.records import DataRecord
from tidegate.train.opened import called, opened
from tidegate.train.task import AnyTask, Encoding

DIGITS = 5  # of a mean in an encoding; the last ones depend on the number of threads


def tested(
    kind: type[AnyTask],
    setting: Any,
    encoding: Encoding[Any],
    record: DataRecord,
    data: str | os.PathLike[str] | Source | None,
) -> AnyTask:
    """The task whose test split a model is tested on.

    Args:
        kind: the class of the task.
        setting: of the model.
        encoding: of the model.
        record: of the data that it was trained on.
        data: other data, all of which are the test. Of the data of the training, the test is what training kept for
            it. Unless given, they are those of the training, if they are bundled.

    Raises:
        InputError: the data cannot be used, or are not given and not bundled.
    """
    if data is None and not record.test:
        data = _bundled(record)
    if data is None:
        raise InputError(
            "TEST_DATA",
            f"a model does not hold the data that it was tested on, {record.test or record.name}",
            fix=f"pass {record.test}"
            if record.test
            else "pass data; of the file that it was trained on, only the test part is used",
        )
    source = opened(data, folders=kind.reader(setting).folders)
    if record.test and called(source) == record.name:  # its hash is not that of the training, which had a further file
        raise InputError(
            "TEST_DATA", f"{record.name} is what the model was trained on, not tested", fix=f"pass {record.test}"
        )
    if source.hash == record.hash:
        task = kind.load(source, setting)
        if _alike(task.encoding, encoding):
            return task
        note(f"{source.title} is read otherwise than by the version that trained the model: all of it is the test")
    if not record.hash and called(source) == record.name:
        task = kind.load(source, setting)
        if _alike(task.encoding, encoding):
            note(f"a private model has no hash of its data: the test is that of {record.name} as it is now")
            return task
    return kind.load(source, setting, encoding=encoding)


def trained_on(
    kind: type[AnyTask],
    setting: Any,
    encoding: Encoding[Any],
    record: DataRecord,
    data: str | os.PathLike[str] | Source | None,
    *,
    valid: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
) -> AnyTask:
    """The task with the very data that a model was trained on.

    Args:
        kind: the class of the task.
        setting: of the model.
        encoding: of the model.
        record: of the data that it was trained on.
        data: the data of the training; those of a bundled set unless given.
        valid: the file for validation, if there was one.
        test: the file for the test, if there was one.

    Raises:
        InputError: the data cannot be used, are not those of the training, or are not given and not bundled.
    """
    data = _bundled(record) if data is None else data
    if data is None:
        raise InputError(
            "TRAINING_DATA",
            f"a model does not hold the data that it was trained on, {record.name}",
            fix=f"pass {record.name}" + (f", and test={record.test}" if record.test else ""),
        )
    source = opened(data, folders=kind.reader(setting).folders, valid=valid, test=test)
    if record.hash and source.hash != record.hash:  # a private model names none
        raise InputError(
            "TRAINING_DATA",
            f"{source.title} is not what the model was trained on, or its files for validation and test are others",
            fix=f"pass {record.name}, and valid= and test= as for the training",
        )
    task = kind.load(source, setting)
    if not _alike(task.encoding, encoding):
        raise InputError(
            "TRAINING_DATA",
            f"{source.title} is not what the model was trained on: the model has learnt another encoding from it",
            fix=f"pass {record.name} of the training; if it is that, train the model again with this version",
        )
    return task


def _bundled(record: DataRecord) -> str | None:
    """The bundled set of this name."""
    return next((name for name, entry in BUNDLED.items() if entry.title == record.name), None)


def _alike(fresh: Encoding[Any], known: Encoding[Any]) -> bool:
    """Whether what was learnt again from the data is what the model learnt; what it adds after training aside."""
    ours, theirs = (
        json.loads(json.dumps(one.to_json()), parse_float=lambda text: f"{float(text):.{DIGITS}g}")
        for one in (fresh, known)
    )
    return all(theirs.get(name) == value for name, value in ours.items() if value is not None)
