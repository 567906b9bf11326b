"""Readers of real files, and the data sets that come with the package."""

from tidegate.data.calendar import Clock, cycles, later
from tidegate.data.catalogue import BUNDLED, Bundled
from tidegate.data.duplicate import shared_passages, shared_rows, shared_text
from tidegate.data.music import KEYS, PianoRolls, read_music
from tidegate.data.panel import Layout, Panel, csv_of, read_panel
from tidegate.data.source import PREFIX, Source, locate
from tidegate.data.text import decode

__all__ = [
    "BUNDLED",
    "KEYS",
    "PREFIX",
    "Bundled",
    "Clock",
    "Layout",
    "Panel",
    "PianoRolls",
    "Source",
    "csv_of",
    "cycles",
    "decode",
    "later",
    "locate",
    "read_music",
    "read_panel",
    "shared_passages",
    "shared_rows",
    "shared_text",
]
