"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from typing import Any

from tidegate.data import Reader
from tidegate.data.labelled import Labelled, Layout, read_labelled
from tidegate.tasks.classification.setting import ClassificationSetting


def reader(setting: ClassificationSetting) -> Reader[dict[str, Labelled]]:
    """What reads the sequences and their classes, by part."""
    return Reader(read_labelled, (layout(setting),), folders=True, any_size=(".csv", ".tsv", ".jsonl", ".ndjson"))


def layout(setting: ClassificationSetting, **changes: Any) -> Layout:
    """How files are read under these settings."""
    names = ("text", "label", "separator", "label_end", "encoding", "flat")
    return Layout(**{**{name: getattr(setting, name) for name in names}, **changes})
