"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from tidegate.data import PianoRolls, Reader, read_music
from tidegate.errors import InputError
from tidegate.tasks.music.setting import MusicSetting


def reader(setting: MusicSetting) -> Reader[PianoRolls]:
    """What reads the pieces of each split.

    Raises:
        InputError: public data are named, from which nothing would be learnt.
    """
    if setting.public_data is not None:
        raise InputError(
            "PRIVATE_DATA",
            "public_data= has no effect: a private model of music learns nothing beside its weights",
            fix="leave it out",
        )
    return Reader(read_music, (setting.steps_per_quarter, setting.split_seed), folders=True)
