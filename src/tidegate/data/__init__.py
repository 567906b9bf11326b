"""Readers of real files, and the data sets that come with the package."""

from tidegate.data.catalogue import BUNDLED, Bundled
from tidegate.data.duplicate import shared_passages, shared_rows, shared_text
from tidegate.data.music import KEYS, PianoRolls, read_music
from tidegate.data.series import Series, read_series
from tidegate.data.source import PREFIX, Source, locate, with_parts
from tidegate.data.text import decode

__all__ = [
    "BUNDLED",
    "KEYS",
    "PREFIX",
    "Bundled",
    "PianoRolls",
    "Series",
    "Source",
    "decode",
    "locate",
    "read_music",
    "read_series",
    "shared_passages",
    "shared_rows",
    "shared_text",
    "with_parts",
]
