"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from typing import Any

from tidegate.data import Dating, Reader
from tidegate.data.labelled import Columns, Labelled, Layout, read_labelled
from tidegate.errors import InputError
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.train.fitted import is_private, owner_of

ANY_SIZE = (".csv", ".tsv", ".jsonl", ".ndjson")  # of texts


def reader(setting: ClassificationSetting) -> Reader[dict[str, Labelled]]:
    """What reads the sequences to learn from and their classes, by part.

    Args:
        setting: how to read files.

    Raises:
        InputError: private training would have to fit something to rows without noise.
    """
    if is_private(setting):
        _check_private(setting)
    sizes = ANY_SIZE if setting.series is None else ()
    return Reader(read_labelled, (layout(setting, owner=owner_of(setting)),), folders=True, any_size=sizes)


def _check_private(setting: ClassificationSetting) -> None:
    learnt = {"votes": "votes are fitted to training rows", "calibrate": "a temperature is fitted to rows"}
    for name, what in learnt.items():
        if getattr(setting, name):
            raise InputError(
                "PRIVATE_SETTING",
                f"{name}=True does not go with epsilon=: {what} without noise",
                fix=f"leave out {name}=, or set it to False",
            )


def again(setting: ClassificationSetting, columns: Columns | None) -> Reader[dict[str, Labelled]]:
    """What reads sequences and their classes for a trained model.

    Args:
        setting: how to read files.
        columns: how the model has read its training data.
    """
    return Reader(read_labelled, (layout(setting, columns=columns),), folders=True)


def layout(setting: ClassificationSetting, **changes: Any) -> Layout:
    """How files are read under these settings."""
    names = ("text", "label", "separator", "label_end", "encoding", "flat", "series", "time")
    dating = Dating(setting.day_first, setting.date_format, setting.time_zone)
    decimal = None if setting.decimal == "auto" else setting.decimal
    own = {name: getattr(setting, name) for name in names}
    return Layout(**{**own, "dating": dating, "decimal": decimal, **changes})
