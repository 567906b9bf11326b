"""Readers of real files, and the data sets that come with the package."""

from tidegate.errors import explain_missing

with explain_missing():
    from tidegate.data.audio import SUFFIXES, read_sound, resample
    from tidegate.data.calendar import Clock, cycles
    from tidegate.data.catalogue import BUNDLED, Bundled
    from tidegate.data.category import columns_of, texts_of
    from tidegate.data.column import in_text, several
    from tidegate.data.date import ISO
    from tidegate.data.duplicate import shared_passages, shared_rows, shared_text
    from tidegate.data.frame import csv_of
    from tidegate.data.group import cut_by_group, group_of
    from tidegate.data.midi import KEYS, LOWEST, Roll, to_midi
    from tidegate.data.music import PianoRolls, read_music, read_piece
    from tidegate.data.pair import Pairs, cleaned, read_pairs
    from tidegate.data.panel import Layout, Panel, read_panel
    from tidegate.data.parallel import read_splits
    from tidegate.data.reading import NUMBER, Dating
    from tidegate.data.source import Reader, Source, address_of, bundled_at, locate, with_parts
    from tidegate.data.speech import Corpus, Recording, read_speech
    from tidegate.data.step import check_step, later
    from tidegate.data.target import ALL
    from tidegate.data.text import decode

__all__ = [
    "ALL",
    "BUNDLED",
    "ISO",
    "KEYS",
    "LOWEST",
    "NUMBER",
    "SUFFIXES",
    "Bundled",
    "Clock",
    "Corpus",
    "Dating",
    "Layout",
    "Pairs",
    "Panel",
    "PianoRolls",
    "Reader",
    "Recording",
    "Roll",
    "Source",
    "address_of",
    "bundled_at",
    "check_step",
    "cleaned",
    "columns_of",
    "csv_of",
    "cut_by_group",
    "cycles",
    "decode",
    "group_of",
    "in_text",
    "later",
    "locate",
    "read_music",
    "read_pairs",
    "read_panel",
    "read_piece",
    "read_sound",
    "read_speech",
    "read_splits",
    "resample",
    "several",
    "shared_passages",
    "shared_rows",
    "shared_text",
    "texts_of",
    "to_midi",
    "with_parts",
]
