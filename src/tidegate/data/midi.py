"""MIDI files to piano rolls and back, on a grid of equal steps."""

from __future__ import annotations

import io
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import NamedTuple

import mido
import numpy as np
from numpy.typing import NDArray

from tidegate.data.midi_file import parse_midi
from tidegate.data.source import Source
from tidegate.errors import InputError

KEYS = 88
LOWEST = 21  # MIDI number of the lowest key of a piano
DRUMS = 9  # channel of percussion, counted from 0; its notes are not pitches
LONGEST = 100_000  # steps of a piece: hours of music
TICKS = 480  # in a quarter note, in files that we write
VELOCITY = 80

Roll = NDArray[np.bool_]


class Note(NamedTuple):
    """A key that is held for some time, in steps of the grid."""

    pitch: int
    start: float
    end: float


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
    pitches, *times = np.array(played).T
    keys, (starts, ends) = pitches.astype(int) - LOWEST, np.rint(times).astype(int)
    ends = np.maximum(starts + 1, ends)
    changes = np.zeros((max(2, ends.max()) + 1, KEYS), np.int32)
    np.add.at(changes, (starts, keys), 1)
    np.add.at(changes, (ends, keys), -1)
    return changes.cumsum(0)[:-1] > 0, len(notes) - len(played)


def _notes(source: Source, steps_per_quarter: int) -> Iterator[Note]:
    """The notes, ordered by their end; a note that never ends lasts until the last event."""
    file = parse_midi(source.raw, source.title)
    steps, ticks = steps_per_quarter, file.ticks_per_quarter
    if file.end * steps > LONGEST * ticks:
        fix = "leave this file out, or pass a smaller steps_per_quarter="
        raise InputError("MIDI_LONG", f"{source.title} lasts more than {LONGEST:,} steps", fix=fix)
    sounding: dict[tuple[int, int], deque[int]] = defaultdict(deque)
    for event in file.events:
        if event.channel == DRUMS:
            continue
        held = sounding[event.channel, event.pitch]
        if event.down:
            held.append(event.tick)
        elif held:
            yield Note(event.pitch, held.popleft() * steps / ticks, event.tick * steps / ticks)
    for (_, pitch), starts in sounding.items():
        yield from (Note(pitch, start * steps / ticks, file.end * steps / ticks) for start in starts)


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
