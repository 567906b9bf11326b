"""Readers of real files, and the data sets that come with the package."""

from tidegate.data.catalogue import BUNDLED, Bundled
from tidegate.data.duplicate import shared_passages, shared_rows, shared_text
from tidegate.data.midi import KEYS, LOWEST, Roll, to_midi
from tidegate.data.music import PianoRolls, read_music, read_piece
from tidegate.data.series import Series, read_series
from tidegate.data.source import PREFIX, Source, locate
from tidegate.data.text import decode

__all__ = [
    "BUNDLED",
    "KEYS",
    "LOWEST",
    "PREFIX",
    "Bundled",
    "PianoRolls",
    "Roll",
    "Series",
    "Source",
    "decode",
    "locate",
    "read_music",
    "read_piece",
    "read_series",
    "shared_passages",
    "shared_rows",
    "shared_text",
    "to_midi",
]
