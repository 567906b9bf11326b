"""Small valid files of each kind, whose rows are known."""

import io
import json
import math
import struct
from datetime import date, timedelta
from functools import cache

import mido
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.io import savemat

ROWS = 40
WORDS = ["tide", "gate", "river", "moon", "salt", "wind", "harbour", "stone"]
RATE = 8000
SPEECH = {
    "rate": RATE,
    "window": 256,
    "hop": 160,
    "low": 60.0,
    "high": 3800.0,
    "peak": True,
    "least": -9.0,
    "most": 8.0,
}


def sentence(row: int) -> str:
    """A sentence that no other row has."""
    return f"{WORDS[row % 8]} and {WORDS[row // 8 % 8]}, {row} times"


def table(columns: dict[str, list], separator: str = ",", decimal: str = ".") -> bytes:
    lines = [columns, *zip(*columns.values(), strict=True)]
    marks = ',;|\t"' if decimal == "." else ';"'
    return "".join(
        separator.join(_cell(str(value).replace(".", decimal), marks) for value in line) + "\n" for line in lines
    ).encode()


def _cell(text: str, marks: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in marks) else text


def json_lines(columns: dict[str, list]) -> bytes:
    rows = zip(*columns.values(), strict=True)
    return "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows).encode()


def parquet(columns: dict[str, list], **options: object) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content, **options)
    return content.getvalue()


def npz(arrays: dict[str, np.ndarray], *, save=np.savez) -> bytes:
    content = io.BytesIO()
    save(content, **arrays)
    return content.getvalue()


def labelled() -> dict[str, list]:
    return {"text": [sentence(row) for row in range(ROWS)], "label": ["ebb", "flow"] * (ROWS // 2)}


def class_lines() -> bytes:
    return "".join(f"{'ebb' if row % 2 else 'flow'} {sentence(row)}\n" for row in range(ROWS)).encode()


def series() -> dict[str, np.ndarray]:
    step, row = np.meshgrid(np.arange(6), np.arange(ROWS))
    return {"x": np.sin(step + row)[..., None].astype(np.float64), "y": np.array(["ebb", "flow"])[np.arange(ROWS) % 2]}


def ts() -> bytes:
    head = "@problemName tide\n@timeStamps false\n@univariate true\n@classLabel true ebb flow\n@data\n"
    rows = [f"{row},{row / 2},{math.sin(row):.3f},1:{'ebb' if row % 2 else 'flow'}\n" for row in range(ROWS)]
    return (head + "".join(rows)).encode()


def stamped() -> bytes:
    """Series of two channels whose steps have times of their own."""
    head = "@problemName tide\n@timeStamps true\n@classLabel true ebb flow\n@data\n"
    rows = [f"(0,{row}),(1.5,{row / 2}):(0,1),(4,?):{'ebb' if row % 2 else 'flow'}\n" for row in range(ROWS)]
    return (head + "".join(rows)).encode()


def soundings() -> dict[str, list]:
    """A row for each step of each series, at uneven times, with gaps."""
    rows = [(row, step) for row in range(ROWS) for step in range(3)]
    return {
        "buoy": [f"b{row:02}" for row, _ in rows],
        "hour": [f"{step * step + row % 3 / 4}" for row, step in rows],
        "depth": ["" if (row + step) % 4 == 0 else f"{10 + math.sin(row + step):.3f}" for row, step in rows],
        "salt": ["" if (row * step) % 5 == 1 else f"{row % 7 + step / 8}" for row, step in rows],
        "tide": ["ebb" if row % 2 else "flow" for row, _ in rows],
    }


def measured() -> dict[str, list]:
    """Two series of 50 days each."""
    days = [str(date(2021, 1, 1) + timedelta(day)) for day in range(50)]
    values = [f"{10 + math.sin(row / 2) + row % 7 / 10:.3f}" for row in range(100)]
    wind = [f"{math.cos(row / 3):.3f}" for row in range(100)]
    return {"day": days * 2, "port": ["Rye"] * 50 + ["Hull"] * 50, "level": values, "wind": wind}


def german() -> bytes:
    """The series as a German spreadsheet writes them: cells between semicolons, and a comma before decimals."""
    return table(measured(), ";", decimal=",")


def prose() -> bytes:
    return "".join(f"The {sentence(row)}.\n" for row in range(ROWS)).encode()


def pairs() -> dict[str, list]:
    return {"source": [sentence(row) for row in range(ROWS)], "target": [sentence(row)[::-1] for row in range(ROWS)]}


def bare_pairs() -> bytes:
    return "".join(f"{left}\t{right}\n" for left, right in zip(*pairs().values(), strict=True)).encode()


def lexicon() -> bytes:
    sounds = ["AH0", "B", "K", "T IY1", "S"]
    return "".join(f"WORD{row}  {sounds[row % 5]} {sounds[row // 5 % 5]}\n" for row in range(ROWS)).encode()


def columns_of_words(separator: str = "\t") -> bytes:
    """As in CoNLL 2003: a word and its tag on each line."""
    blocks = [[(word, "B-LOC" if word in WORDS else "O") for word in sentence(row).split()] for row in range(ROWS)]
    return "\n".join("".join(f"{word}{separator}{tag}\n" for word, tag in block) for block in blocks).encode()


def universal() -> bytes:
    """CoNLL-U."""
    blocks = (
        "".join(
            f"{place}\t{word}\t_\t{'NOUN' if word in WORDS else 'X'}\t_\t_\t0\t_\t_\t_\n"
            for place, word in enumerate(sentence(row).split(), 1)
        )
        for row in range(ROWS)
    )
    return "\n".join(blocks).encode()


def tagged_lines() -> bytes:
    words = [sentence(row).split() for row in range(ROWS)]
    return json_lines({"words": words, "tags": [["B-LOC" if w in WORDS else "O" for w in line] for line in words]})


def rolls() -> bytes:
    return json.dumps({part: [_piece(k + 10 * at) for k in range(4)] for at, part in enumerate(PARTS)}).encode()


PARTS = ("train", "valid", "test")


def _piece(k: int) -> list[list[int]]:
    return [[48 + (step + k) % 24, 60 + step * k % 12] for step in range(6)]


def matlab(*, compress: bool = False) -> bytes:
    cells = {}
    for part, pieces in json.loads(rolls()).items():
        cells[f"{part}data"] = np.empty((1, len(pieces)), object)
        for at, piece in enumerate(pieces):
            cells[f"{part}data"][0, at] = _matrix(piece)
    content = io.BytesIO()
    savemat(content, cells, do_compression=compress)
    return content.getvalue()


def _matrix(piece: list[list[int]]) -> np.ndarray:
    matrix = np.zeros((len(piece), 88), np.uint8)
    for step, notes in enumerate(piece):
        matrix[step, [note - 21 for note in notes]] = 1
    return matrix


def midi(k: int) -> bytes:
    track = mido.MidiTrack()
    for notes in _piece(k):
        track += [mido.Message("note_on", note=note, time=0) for note in notes]
        track += [mido.Message("note_off", note=note, time=120 * (at == 0)) for at, note in enumerate(notes)]
    content = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=480, tracks=[track]).save(file=content)
    return content.getvalue()


@cache
def wav(k: int, before: bytes = b"", size: int | None = None) -> bytes:
    """A tone of a fifth of a second, with chunks in front of it."""
    time = np.arange(RATE // 5) / RATE
    sound = (8000 * np.sin(2 * np.pi * (300 + 40 * k) * time)).astype("<i2").tobytes()
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) + before
    body += b"data" + struct.pack("<I", len(sound) if size is None else size) + sound
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def recordings(count: int = 20) -> dict[str, bytes]:
    return {f"{k}.wav": wav(k) for k in range(count)}


def spoken(count: int = 20) -> dict[str, list]:
    split = [PARTS[0 if k < 12 else 1 + k % 2] for k in range(count)]
    return {"path": [f"{k}.wav" for k in range(count)], "text": [WORDS[k % 4] for k in range(count)], "split": split}


def spectra() -> dict[str, np.ndarray]:
    rng, names = np.random.default_rng(0), spoken()
    return {
        "frames": rng.integers(0, 255, (20 * 30, 16), dtype=np.uint8),
        "lengths": np.full(20, 30, np.uint16),
        "names": np.array(names["path"]),
        "texts": np.array(names["text"]),
        "speakers": np.array(["ada"] * 20),
        "splits": np.array(names["split"]),
        "made": np.array(json.dumps(SPEECH)),
    }
