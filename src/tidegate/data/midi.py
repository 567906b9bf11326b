"""MIDI files to piano rolls and back, on a grid of equal steps."""

from __future__ import annotations

import io
import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import mido
import numpy as np
from mido.midifiles.meta import KeySignatureError
from numpy.typing import NDArray

from tidegate.data.source import Source
from tidegate.errors import InputError

KEYS = 88
LOWEST = 21  # MIDI number of the lowest key of a piano
DRUMS = 9  # channel of percussion, counted from 0; its notes are not pitches
LONGEST = 100_000  # steps of a piece: hours of music
TICKS = 480  # in a quarter note, in files that we write
VELOCITY = 80
RUN = 4096  # bytes with the high bit set, which mido would read as one endless number

Roll = NDArray[np.bool_]


@dataclass(frozen=True)
class Note:
    """A key that is held for some time, in steps of the grid."""

    pitch: int
    start: float
    end: float


def is_midi(raw: bytes) -> bool:
    """Whether the content begins like a MIDI file."""
    return raw[:4] == b"MThd"


def read_midi(source: Source, steps_per_quarter: int) -> tuple[Roll, int]:
    """The piano roll of a MIDI file, and the number of notes outside the range of a piano.

    Start and end of a note are rounded to the nearest step; each note sounds for at least one step. All tracks and
    channels except drums play on one piano; the pedal is ignored. Silence after the last note is cut off.

    Raises:
        InputError: the file is not MIDI, is damaged, or has no notes.
    """
    notes = list(_notes(source, steps_per_quarter))
    played = [note for note in notes if LOWEST <= note.pitch < LOWEST + KEYS]
    if not played:
        what = "only notes outside the 88 keys of a piano" if notes else "no notes except those of drums, if any"
        raise InputError("MIDI_SILENT", f"{source.title} has {what}", fix="leave this file out")
    starts = [round(note.start) for note in played]
    ends = [max(start + 1, round(note.end)) for start, note in zip(starts, played, strict=True)]
    roll = np.zeros((max(2, *ends), KEYS), bool)
    for note, start, end in zip(played, starts, ends, strict=True):
        roll[start:end, note.pitch - LOWEST] = True
    return roll, len(notes) - len(played)


def _notes(source: Source, steps_per_quarter: int) -> Iterator[Note]:
    """The notes, ordered by their end; a note that never ends lasts until the last event."""
    file = _parsed(source)
    sounding: dict[tuple[int, int], list[float]] = defaultdict(list)
    ticks, now = 0, 0.0
    for message in file.merged_track:
        ticks += message.time
        if ticks * steps_per_quarter > LONGEST * file.ticks_per_beat:
            fix = "leave this file out, or pass a smaller steps_per_quarter="
            raise InputError("MIDI_LONG", f"{source.title} lasts more than {LONGEST:,} steps", fix=fix)
        now = ticks * steps_per_quarter / file.ticks_per_beat
        if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
            continue
        held = sounding[message.channel, message.note]
        if message.type == "note_on" and message.velocity:
            held.append(now)
        elif held:
            yield Note(message.note, held.pop(0), now)
    for (_, pitch), starts in sounding.items():
        yield from (Note(pitch, start, now) for start in starts)


def _parsed(source: Source) -> mido.MidiFile:
    raw, fix = source.raw, "write the file again from the program that made it, or leave it out"
    if not is_midi(raw):
        raise InputError("MIDI_FORMAT", f"{source.title} is not a MIDI file: it does not begin with MThd", fix=fix)
    if re.search(rb"[\x80-\xff]{%d}" % RUN, raw):
        raise InputError(
            "MIDI_FORMAT", f"{source.title} is not a readable MIDI file: it has a number without an end", fix=fix
        )
    try:
        file = mido.MidiFile(file=io.BytesIO(raw), clip=True)
    except EOFError:
        raise InputError("MIDI_CUT", f"{source.title} was cut off after {len(raw):,} bytes", fix=fix) from None
    except (OSError, ValueError, LookupError, TypeError, OverflowError, struct.error, KeySignatureError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError("MIDI_FORMAT", f"{source.title} is not a readable MIDI file: {reason}", fix=fix) from None
    if file.type == 2:
        raise InputError("MIDI_TYPE", f"{source.title} is of MIDI type 2: its tracks do not sound together", fix=fix)
    if file.ticks_per_beat <= 0:
        raise InputError("MIDI_TIME", f"{source.title} counts time in seconds, not in quarter notes", fix=fix)
    return file


def to_midi(roll: Roll, *, steps_per_quarter: int = 1, tempo: float = 120) -> bytes:
    """A piano roll as a MIDI file.

    A roll does not say where a key is struck again, so consecutive steps with the same key become one held note.

    Args:
        roll: [T, 88].
        steps_per_quarter: steps in a quarter note.
        tempo: quarter notes per minute.
    """
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo), time=0)])
    padded = np.pad(roll.astype(np.int8), ((1, 1), (0, 0)))
    before = 0
    for step, change in enumerate(np.diff(padded, axis=0)):
        for key in sorted(np.flatnonzero(change), key=lambda key: change[key]):  # releases before attacks
            tick = round(step * TICKS / steps_per_quarter)
            kind = "note_on" if change[key] > 0 else "note_off"
            track.append(mido.Message(kind, note=LOWEST + int(key), velocity=VELOCITY, time=tick - before))
            before = tick
    file, content = mido.MidiFile(type=0, ticks_per_beat=TICKS, tracks=[track]), io.BytesIO()
    file.save(file=content)
    return content.getvalue()
