"""What can be learnt: one folder a task, and this table, which names them all and loads none.

A task has its ``setting.py`` (loaded for ``--help``, so without torch), its ``task.py`` and its ``estimator.py``.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tidegate.errors import InputError, did_you_mean, explain_missing
from tidegate.train.setting import Training, task_of

if TYPE_CHECKING:
    from tidegate.data import Reader, Source
    from tidegate.tasks.classification.estimator import SequenceClassifier
    from tidegate.tasks.forecast.estimator import Forecaster
    from tidegate.tasks.language.estimator import LanguageModel
    from tidegate.tasks.music.estimator import Composer
    from tidegate.tasks.speech.estimator import Transcriber
    from tidegate.tasks.tagging.estimator import SequenceTagger
    from tidegate.tasks.translation.estimator import Translator
    from tidegate.train.estimator import Estimator
    from tidegate.train.task import AnyTask, Encoding


class Row(NamedTuple):
    """A task in the table: its classes, and the suffixes of files that it reads by default.

    A generated problem has no estimator: it serves ``compare`` only.
    """

    setting_class: str
    task_class: str
    estimator_class: str = ""
    suffixes: tuple[str, ...] = ()

    @property
    def reader(self) -> Callable[[Any], Reader[Any]]:
        """How given settings read a source; it loads no torch."""
        kind: Callable[[Any], Reader[Any]] = _load(f"{self.setting_class.partition('.')[0]}.source:reader")
        return kind

    @property
    def setting(self) -> type[Training]:
        """The class of its settings."""
        kind: type[Training] = _load(self.setting_class)
        return kind

    @property
    def task(self) -> type[AnyTask]:
        """The class of the task."""
        kind: type[AnyTask] = _load(self.task_class)
        return kind

    @property
    def estimator(self) -> type[Estimator[Any]]:
        """The class of the estimator."""
        kind: type[Estimator[Any]] = _load(self.estimator_class)
        return kind


def _load(path: str) -> Any:
    module, name = path.split(":")
    with explain_missing():
        return getattr(import_module(f"{__name__}.{module}"), name)


TABLE: Mapping[str, Row] = {
    "classification": Row(
        "classification.setting:ClassificationSetting",
        "classification.task:ClassificationTask",
        "classification.estimator:SequenceClassifier",
        (".ts", ".npz"),
    ),
    "forecast": Row(
        "forecast.setting:ForecastSetting",
        "forecast.task:ForecastTask",
        "forecast.estimator:Forecaster",
        (".csv", ".tsv"),
    ),
    "language": Row(
        "language.setting:LanguageSetting", "language.task:LanguageTask", "language.estimator:LanguageModel", (".txt",)
    ),
    "music": Row(
        "music.setting:MusicSetting",
        "music.task:MusicTask",
        "music.estimator:Composer",
        (".json", ".mat", ".mid", ".midi"),
    ),
    "speech": Row("speech.setting:SpeechSetting", "speech.task:SpeechTask", "speech.estimator:Transcriber"),
    "tagging": Row(
        "tagging.setting:TaggingSetting",
        "tagging.task:TaggingTask",
        "tagging.estimator:SequenceTagger",
        (".conll", ".conllu", ".bio", ".iob"),
    ),
    "translation": Row(
        "translation.setting:TranslationSetting",
        "translation.task:TranslationTask",
        "translation.estimator:Translator",
        (".dict",),
    ),
    "adding": Row("synthetic.setting:SyntheticSetting", "synthetic.task:Adding"),
    "copy": Row("synthetic.setting:SyntheticSetting", "synthetic.task:CopyMemory"),
    "selective": Row("synthetic.setting:SyntheticSetting", "synthetic.task:SelectiveCopy"),
    "order": Row("synthetic.setting:SyntheticSetting", "synthetic.task:TemporalOrder"),
    "timing": Row("synthetic.setting:SyntheticSetting", "synthetic.task:Timing"),
}
ESTIMATORS = {name: row for name, row in TABLE.items() if row.estimator_class}  # what can be trained and kept
AHEAD = 1 << 26  # most bytes of files that are read before torch is loaded
SUFFIXES = {suffix: name for name, row in TABLE.items() for suffix in row.suffixes}
_NAMES = {row.estimator_class.partition(":")[2]: row.estimator_class for row in ESTIMATORS.values()}

__all__ = [
    "ESTIMATORS",
    "TABLE",
    "Composer",
    "Forecaster",
    "LanguageModel",
    "SequenceClassifier",
    "SequenceTagger",
    "Transcriber",
    "Translator",
    "from_json",
    "from_pretrained",
    "load",
    "name_of",
    "read_ahead",
    "row_of",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return _load(_NAMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def row_of(name: str, *, trained: bool = False) -> Row:
    """Look a task up.

    Args:
        name: its name.
        trained: whether it must have an estimator.

    Raises:
        InputError: there is no such task.

    Example:
        >>> import tidegate as tg
        >>> tg.tasks.row_of("forecast").setting.__name__
        'ForecastSetting'
    """
    known = ESTIMATORS if trained else TABLE
    if name not in known:
        near = did_you_mean(name, known)
        raise InputError("TASK_UNKNOWN", f"there is no task {name!r}{near}", fix=f"choose one of {', '.join(known)}")
    return known[name]


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
            ``.conll``, ``.conllu``, ``.bio`` or ``.iob`` (tagging), ``.dict`` (translation). A bundled set has its own.
        setting: of that task; its defaults unless given.
        target: the column to forecast, as ``ForecastSetting(target=...)`` says it.
        encoding: that of a trained model, to apply it to the data.
        valid: a separate file for validation.
        test: a separate file for the test.

    Returns:
        The task.

    Raises:
        InputError: the data cannot be used, the task is unknown or does not fit the bundled set, or the task has no
            target column.

    Example:
        >>> import tidegate as tg
        >>> task = tg.tasks.load("names")
        >>> type(task).__name__
        'ClassificationTask'
    """
    named = task_of(setting) if setting else ""
    implied = named if named in TABLE else None  # the settings of generated problems do not name one
    kind = TABLE[name_of(data, task or implied)].task
    if target is not None:
        setting = _aimed(setting or kind.setting_type(), target)
    return kind.load(data, setting, encoding=encoding, valid=valid, test=test)


def read_ahead(
    data: str | os.PathLike[str],
    task: str,
    setting: Training,
    *,
    target: str | None = None,
    valid: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Read data before torch is loaded, so that what cannot be used is refused at once.

    Args:
        data: the name of a bundled set, or the path of a file or folder.
        task: the name of the task.
        setting: of that task.
        target: the column to forecast, as ``load`` takes it.
        valid: a separate file for validation.
        test: a separate file for the test.

    Returns:
        ``data``, ``valid`` and ``test`` for ``load`` and ``Estimator.fit``, which need not read the files again.

    Raises:
        InputError: as ``load``.
    """
    unread = {"data": data, "valid": valid, "test": test}
    files = [Path(part) for part in unread.values() if part is not None]
    if not TABLE[task].estimator_class or sum(file.stat().st_size for file in files if file.is_file()) > AHEAD:
        return unread
    from tidegate.train.opened import completed, opened  # slow to load: not for --help

    reader = TABLE[task].reader(completed(task, data, _aimed(setting, target)))
    source = opened(data, folders=reader.folders, valid=valid, test=test)
    source.read_ahead(reader)
    return {"data": source}


def name_of(data: str | os.PathLike[str] | Source, task: str | None = None) -> str:
    """The name of the task for some data, by the bundled set or by the suffix of the file.

    Args:
        data: as ``load`` takes it.
        task: the name, if it is known already.

    Raises:
        InputError: the file does not exist, its suffix is that of no task, or the task is unknown.

    Example:
        >>> import tidegate as tg
        >>> tg.tasks.name_of("elnino"), tg.tasks.name_of("jsb")
        ('forecast', 'music')
    """
    from tidegate.data import Source, address_of, bundled_at  # slow to load: not for --help

    address = data.address if isinstance(data, Source) else address_of(data)
    bundled = bundled_at(address)
    name = task or (bundled.task if bundled else _guessed(Path(address)))
    row_of(name)
    return name


def _aimed(setting: Training, target: str | None) -> Training:
    """The settings with this target column."""
    if target is None:
        return setting
    if "target" not in {field.name for field in dataclasses.fields(setting)}:
        raise InputError(
            "TASK_TARGET",
            f"the task {task_of(setting)!r} has no target column, but {target!r} was given",
            fix="leave the target out, or use the task forecast",
        )
    values: dict[str, Any] = {"target": target}
    return dataclasses.replace(setting, **values)


def from_json(data: dict[str, Any]) -> AnyTask:
    """Restore a task from JSON data.

    Args:
        data: from ``Task.to_json``.

    Raises:
        InputError: ``data`` does not describe a task, or the file is missing or has changed.

    Example:
        >>> import tidegate as tg
        >>> task = tg.tasks.load("adding")
        >>> tg.tasks.from_json(task.to_json()).to_json() == task.to_json()
        True
    """
    from tidegate.data import Source  # slow to load: not for --help

    try:
        row = TABLE[data["task"]]
        setting = row.setting(**data["setting"])
        any_size = row.reader(setting).any_size if row.estimator_class else ()
        task = row.task(Source.from_json(data, any_size), setting)
    except (KeyError, TypeError) as error:
        raise InputError("TASK_RECORD", f"this does not describe a task: {error}") from error
    if "half" in data:
        from tidegate.train.canary import chosen_half  # as above

        task, _ = chosen_half(task, int(data["half"]))
    if task.source.large:  # whose hash is known only now
        task.source.check_hash(data["hash"])
    return task


def from_pretrained(folder: str | os.PathLike[str]) -> Estimator[Any]:
    """Load a saved model of any task.

    Args:
        folder: where ``save_pretrained`` or ``tidegate train`` wrote it.

    Returns:
        A fitted estimator of the model's task.

    Raises:
        InputError: the folder does not exist, or holds no model or a damaged one.
    """
    from tidegate.train.card import read_card  # slow to load: not for --help

    task = read_card(Path(folder))["task"]
    if task not in ESTIMATORS:
        raise InputError(
            "MODEL_TASK", f"{folder} holds a model of the task {task!r}, which is unknown here", fix="update Tidegate"
        )
    return ESTIMATORS[task].estimator.from_pretrained(folder)


def _guessed(path: Path) -> str:
    from tidegate.data import locate  # slow to load: not for --help

    suffix = path.suffix.casefold()
    if not path.exists():
        locate(path)  # raises, with a suggestion
    if suffix not in SUFFIXES:
        known = ", ".join(f"{ending} ({name})" for ending, name in SUFFIXES.items())
        raise InputError(
            "TASK_SUFFIX",
            f"the suffix of {path.name} belongs to no task; known are {known}",
            fix=f"name the task: {', '.join(TABLE)}",
        )
    return SUFFIXES[suffix]
