"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from tidegate.data import Pairs, Reader, read_splits
from tidegate.tasks.translation.setting import TranslationSetting


def reader(setting: TranslationSetting) -> Reader[dict[str, Pairs]]:
    """What reads the pairs of each split."""
    names = (setting.source_column, setting.target_column)
    return Reader(read_splits, (names, setting.stress, setting.separator), folders=True)
