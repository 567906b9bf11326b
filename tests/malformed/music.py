"""Piano rolls and MIDI files that cannot be used, and what the error must say."""

import io
import json
import struct

import mido
import numpy as np
from scipy.io import savemat

from tests.malformed.case import Case

ROLL = {"train": [[[60], [62]]], "valid": [[[60], [62]]], "test": [[[60], [62]]]}
PIECE = np.eye(4, 88, dtype=np.uint8)


def midi(*notes, channel=0, kind=1, ticks=480):
    file, content = mido.MidiFile(type=kind, ticks_per_beat=ticks), io.BytesIO()
    track = mido.MidiTrack()
    for note in notes:
        track.append(mido.Message("note_on", note=note, channel=channel, time=0))
        track.append(mido.Message("note_off", note=note, channel=channel, time=480))
    file.tracks.append(track)
    file.save(file=content)
    return content.getvalue()


def endless():
    """A delta time that is a number of 50,000 bits."""
    events = b"\xff" * 7200 + b"\x00\x90\x3c\x40"
    return midi()[:14] + b"MTrk" + struct.pack(">I", len(events)) + events


def cells(**variables):
    content = io.BytesIO()
    savemat(content, variables)
    return content.getvalue()


def pieces(*rolls):
    made = np.empty((1, len(rolls)), object)
    for place, roll in enumerate(rolls):
        made[0, place] = roll
    return made


def matlab(**changed):
    parts = {f"{split}data": pieces(PIECE, PIECE) for split in ("train", "valid", "test")}
    return cells(**{**parts, **changed})


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(kind, shape, name, content):
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + element(1, name) + content)


def nested(depth):
    """Cells in cells in cells."""
    content = matrix(9, (1, 1), b"", element(2, b"\1"))
    for _ in range(depth):
        content = matrix(1, (1, 1), b"", content)
    return cells()[:128] + matrix(1, (1, 1), b"traindata", content)


def claimed():
    """A cell array that says it has half a billion cells."""
    return cells()[:128] + matrix(1, (1, 500_000_000), b"traindata", b"")


GOOD = midi(60, 62, 64)


def music(name, files, says, *options, data=None):
    files = files if isinstance(files, dict) else {data or "a.json": files}
    return Case(name, task="music", files=files, data=data or next(iter(files)), options=list(options), says=says)


def rolls(name, says, **changed):
    return music(name, json.dumps({**ROLL, **changed}).encode(), ["a.json", *says])


CASES = [
    music("empty", b"", ["a.json is empty"]),
    music("cut JSON", b'{"train": [[[60], [6', ["a.json", "line 1"]),
    music("latin-1", b'{"caf\xe9": 1}', ["a.json", "UTF-8", "0xe9"]),
    music("no splits", b"[[[60], [62]]]", ["a.json", "a list of 1"]),
    rolls("no pieces", ["'valid'", "at least one piece"], valid=[]),
    rolls("one step", ["piece 0 of 'test'", "at least two steps"], test=[[[60]]]),
    rolls("not a number", ["step 1 of piece 0 of 'train'", "NaN"], train=[[[60], [float("nan")]]]),
    rolls("infinite", ["contains Infinity"], train=[[[60], [float("inf")]]]),
    rolls("beyond the keys", ["contains 109", "21 to 108"], train=[[[60], [109]]]),
    rolls("text for a note", ['"C4"'], train=[[[60], ["C4"]]]),
    music("huge number", b'{"train": ' + b"9" * 5000 + b"}", ["a.json", "JSON"]),
    music("deep JSON", b"[" * 100_000, ["a.json", "JSON"]),
    music("MIDI cut off", GOOD[:-9], ["a.mid", "cut off after"], data="a.mid"),
    music("MIDI header alone", GOOD[:14], ["a.mid", "cut off after 14 bytes"], data="a.mid"),
    music("MIDI garbage", GOOD[:22] + b"\x05\x05\x05" + GOOD[25:], ["a.mid", "MIDI"], data="a.mid"),
    music("MIDI number without an end", endless(), ["a.mid", "without an end"], data="a.mid"),
    music("MIDI in seconds", midi(60, 62, ticks=-6376), ["a.mid", "seconds"], data="a.mid"),
    music("MIDI of type 2", midi(60, 62, kind=2), ["a.mid", "type 2"], data="a.mid"),
    music("drums alone", midi(36, 38, channel=9), ["a.mid", "no notes except those of drums"], data="a.mid"),
    music("empty track", midi(), ["a.mid", "no notes"], data="a.mid"),
    music("notes above the piano", midi(120, 127), ["a.mid", "outside the 88 keys"], data="a.mid"),
    music("one piece", GOOD, ["a.mid", "1 different piece", "--valid"], data="a.mid"),
    music("folder without MIDI", {"tunes/readme.txt": b"hello"}, ["tunes", "no MIDI files"], data="tunes"),
    music("folder of equal pieces", {f"tunes/{k}.mid": GOOD for k in range(5)}, ["1 different"], data="tunes"),
    music("a bad file in a folder", {"tunes/a.mid": GOOD, "tunes/b.mid": b"RIFF"}, ["b.mid", "MThd"], data="tunes"),
    music("bad grid", GOOD, ["--steps-per-quarter 0 "], "--steps-per-quarter", "0", data="a.mid"),
    music("MATLAB without cells", cells(x=PIECE), ["a.mat", "'traindata'"], data="a.mat"),
    music("MATLAB cut off", matlab()[:-40], ["a.mat", "cut off"], data="a.mat"),
    music("MATLAB matrix", matlab(traindata=PIECE), ["a.mat", "not a cell array"], data="a.mat"),
    music("87 keys", matlab(validdata=pieces(PIECE[:, 1:])), ["a.mat", "4 x 87"], data="a.mat"),
    music("velocities", matlab(testdata=pieces(64 * PIECE)), ["a.mat", "numbers other than 0 and 1"], data="a.mat"),
    music("NaN in MATLAB", matlab(testdata=pieces(np.full((4, 88), np.nan))), ["a.mat", "0 and 1"], data="a.mat"),
    music("text in MATLAB", matlab(testdata=pieces("hello")), ["a.mat", "not a matrix of numbers"], data="a.mat"),
    music("nested cells", nested(2000), ["a.mat", "cell 0 of 'traindata'"], data="a.mat"),
    music("claimed cells", claimed(), ["a.mat", "'traindata'"], data="a.mat"),
    music("MATLAB 7.3", b"MATLAB 7.3 MAT-file".ljust(512), ["a.mat", "version 5 to 7"], data="a.mat"),
]
