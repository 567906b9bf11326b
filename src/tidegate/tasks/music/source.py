"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from tidegate.data import PianoRolls, Reader, read_music
from tidegate.tasks.music.setting import MusicSetting


def reader(setting: MusicSetting) -> Reader[PianoRolls]:
    """What reads the pieces of each split."""
    return Reader(read_music, (setting.steps_per_quarter, setting.split_seed), folders=True)
