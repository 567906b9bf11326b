"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from tidegate.data import Pairs, Reader, read_splits
from tidegate.tasks.translation.setting import TranslationSetting
from tidegate.train.fitted import owner_of


def reader(setting: TranslationSetting) -> Reader[dict[str, Pairs]]:
    """What reads the pairs of each split to learn from."""
    return _reader(setting, owner_of(setting))


def again(setting: TranslationSetting) -> Reader[dict[str, Pairs]]:
    """What reads pairs for a trained model."""
    return _reader(setting, None)


def _reader(setting: TranslationSetting, owner: str | None) -> Reader[dict[str, Pairs]]:
    names = (setting.source_column, setting.target_column)
    return Reader(read_splits, (names, setting.stress, setting.separator, owner), folders=True)
