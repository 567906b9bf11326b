"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from typing import Any

from tidegate.data import Dating, Reader
from tidegate.data.labelled import Columns, Labelled, Layout, read_labelled
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.train.fitted import owner_of

ANY_SIZE = (".csv", ".tsv", ".jsonl", ".ndjson")  # of texts


def reader(setting: ClassificationSetting) -> Reader[dict[str, Labelled]]:
    """What reads the sequences to learn from and their classes, by part.

    Args:
        setting: how to read files.
    """
    sizes = ANY_SIZE if setting.series is None else ()
    return Reader(read_labelled, (layout(setting, owner=owner_of(setting)),), folders=True, any_size=sizes)


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
