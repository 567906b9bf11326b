"""The notes of a MIDI file.

Messages that say nothing about notes are passed over without a look at their content, so damage there does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from operator import length_hint
from typing import NamedTuple

from tidegate.data.riff import chunks
from tidegate.errors import InputError

FIX = "write the file again from the program that made it, or leave it out"
NUMBER = 4  # the most bytes of a number, by the standard
END = 0x2F  # the meta message that ends a track
SYSTEM = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes of system messages; the others have none


class Event(NamedTuple):
    """A key that goes down or up.

    Attributes:
        tick: when, from the start of the piece.
        down: whether the key goes down.
        channel: from 0.
        pitch: the MIDI number of the key.
    """

    tick: int
    down: bool
    channel: int
    pitch: int


@dataclass(frozen=True)
class MidiFile:
    """A parsed file.

    Attributes:
        ticks_per_quarter: the unit of time.
        events: in the order of time.
        end: the tick of the last message of any kind.
    """

    ticks_per_quarter: int
    events: tuple[Event, ...]
    end: int


def is_midi(raw: bytes) -> bool:
    """Whether the content begins like a MIDI file, bare or wrapped in RIFF."""
    return raw[:4] == b"MThd" or (raw[:4] == b"RIFF" and raw[8:12] == b"RMID")


def parse_midi(raw: bytes, name: str) -> MidiFile:
    """Read a MIDI file of type 0 or 1.

    Raises:
        InputError: the file is not MIDI, is cut off or damaged, or has no common time in quarter notes.
    """
    raw = _unwrapped(raw, name)
    ticks, stated = _header(raw, name)
    tracks = list(_tracks(raw, name))
    if len(tracks) < stated:
        raise _cut(raw, name)
    events, end = list[Event](), 0
    for number, (start, stop) in enumerate(tracks, 1):
        track = _Track(raw, start, stop, f"{name} is not a readable MIDI file: track {number}")
        events += track.events()
        end = max(end, track.tick)
    return MidiFile(ticks, tuple(sorted(events, key=lambda event: event.tick)), end)


def _unwrapped(raw: bytes, name: str) -> bytes:
    """The MIDI file in a RIFF file; other content unchanged."""
    if is_midi(raw) and raw[:4] == b"RIFF":
        for chunk in chunks(raw):
            if chunk.name == b"data":
                return raw[chunk.start : chunk.start + chunk.size]
    if raw[:4] != b"MThd":
        raise InputError("MIDI_FORMAT", f"{name} is not a MIDI file: it does not begin with MThd", fix=FIX)
    return raw


def _header(raw: bytes, name: str) -> tuple[int, int]:
    """Ticks in a quarter note, and the number of tracks."""
    if len(raw) < 14:
        raise _cut(raw, name)
    kind, tracks = (int.from_bytes(raw[at : at + 2]) for at in (8, 10))
    ticks = int.from_bytes(raw[12:14], signed=True)
    if kind > 1:
        raise InputError("MIDI_TYPE", f"{name} is of MIDI type {kind}: its tracks do not sound together", fix=FIX)
    if ticks < 0:
        raise InputError("MIDI_TIME", f"{name} counts time in seconds (SMPTE), not in quarter notes", fix=FIX)
    if ticks == 0:
        raise InputError("MIDI_TIME", f"{name} divides a quarter note into 0 ticks", fix=FIX)
    return ticks, tracks


def _tracks(raw: bytes, name: str) -> Iterator[tuple[int, int]]:
    """Where the messages of each track begin and end; chunks of other kinds are passed over, as the standard says."""
    start = 0
    while start + 8 <= len(raw):
        kind, size = raw[start : start + 4], int.from_bytes(raw[start + 4 : start + 8])
        start += 8
        if kind == b"MTrk":
            if start + size > len(raw):
                raise _cut(raw, name)
            yield start, start + size
        start += size


def _cut(raw: bytes, name: str) -> InputError:
    return InputError("MIDI_CUT", f"{name} was cut off after {len(raw):,} bytes", fix=FIX)


class _Track:
    """Reads the messages of one track.

    Attributes:
        tick: the time of the last message read.
    """

    def __init__(self, raw: bytes, start: int, stop: int, complaint: str) -> None:
        self.left, self.stop, self.complaint = iter(raw[start:stop]), stop, complaint
        self.tick, self.running = 0, 0

    def events(self) -> Iterator[Event]:
        """The keys that go down or up."""
        try:
            for byte in self.left:
                self.tick += self._number(byte)
                status = next(self.left)
                if status >= 0xF0:
                    if self._ends(status):
                        return
                elif event := self._key(status):
                    yield event
        except StopIteration:
            raise self._wrong("ends inside a message") from None

    def _key(self, byte: int) -> Event | None:
        """Read a message of a channel, which may leave out its first byte if that is the same as before."""
        if byte >= 0x80:
            self.running, byte = byte, next(self.left)
        elif not self.running:
            raise self._wrong("begins with a message without a status")
        kind = self.running >> 4
        if kind in (0xC, 0xD):
            return None
        second = next(self.left)
        pitch = byte if byte < 0x80 else 0x7F
        return Event(self.tick, kind == 9 and second > 0, self.running & 15, pitch) if kind in (8, 9) else None

    def _ends(self, status: int) -> bool:
        """Pass over a message of the whole instrument; whether it ends the track."""
        if status == 0xFF and next(self.left) == END:
            return True
        size = SYSTEM.get(status, 0) if status not in (0xFF, 0xF0, 0xF7) else self._number(next(self.left))
        if length_hint(self.left) < size:
            raise self._wrong("ends inside a message")
        next(islice(self.left, size, size), None)
        return False

    def _number(self, byte: int) -> int:
        value = byte & 0x7F
        for _ in range(NUMBER):
            if byte < 0x80:
                return value
            byte = next(self.left)
            value = value << 7 | byte & 0x7F
        raise self._wrong("has a number without an end")

    def _wrong(self, what: str) -> InputError:
        place = self.stop - length_hint(self.left)
        return InputError("MIDI_FORMAT", f"{self.complaint} {what}, at byte {place:,}", fix=FIX)
