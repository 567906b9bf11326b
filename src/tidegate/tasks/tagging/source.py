"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from dataclasses import replace

from tidegate.data import Reader
from tidegate.tasks.tagging.reader import read_parts
from tidegate.tasks.tagging.record import Layout, Tagged
from tidegate.tasks.tagging.setting import TaggingSetting
from tidegate.train.fitted import owner_of


def reader(setting: TaggingSetting) -> Reader[dict[str, Tagged]]:
    """What reads the sentences by part."""
    return Reader(read_parts, (replace(layout(setting), owner=owner_of(setting)),))


def again(setting: TaggingSetting) -> Reader[dict[str, Tagged]]:
    """What reads sentences for a trained model."""
    return Reader(read_parts, (layout(setting),))


def layout(setting: TaggingSetting, *, labelled: bool = True) -> Layout:
    """How files are read under these settings."""
    return Layout(setting.word_column, setting.tag_column, labelled)
