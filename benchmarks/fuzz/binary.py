"""Mutations that know the form of a binary file: arrays, Parquet, sound, music, tensors."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import seed
from .form import edited
from .mutation import BYTES, ESCAPES, Change, Mutation, named

# --- arrays ---


def arrays(raw: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(raw)) as file:
        return {name: file[name] for name in file.files}


ARRAYS: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda old: old[:0],
    lambda old: old[..., None],
    lambda old: old.reshape(-1),
    lambda old: old[:-1],
    lambda _: np.array(1.5),
    lambda old: np.full(old.shape, np.nan),
    lambda old: np.full(old.shape, 1e300),
    lambda old: np.full(old.shape, -1),
    lambda old: np.full(old.shape, 2**62),
    lambda old: np.full(old.shape, "2021-01-01", "datetime64[D]"),
    lambda old: np.full(old.shape, 1 + 1j),
    lambda old: np.full(old.shape, ESCAPES),
    lambda old: np.full(old.shape, b"x"),
    lambda old: np.array([None] * len(np.atleast_1d(old)), object),
    lambda old: np.zeros(old.shape, [("a", "i4"), ("b", "f8")]),
    lambda old: np.zeros(old.shape, np.bool_),
    lambda _: np.zeros((0, 3)),
    lambda old: np.zeros((len(np.atleast_1d(old)), 0)),
    lambda old: np.zeros((len(np.atleast_1d(old)), 1, 1, 1)),
    lambda _: np.array("[1, 2]"),
    lambda _: np.array('{"rate": "x"}'),
    lambda old: np.zeros(old.shape, np.longdouble),
    lambda old: np.zeros(old.shape, np.float16),
]


def odd_array(rng: Random, raw: bytes) -> bytes:
    held = arrays(raw)
    name = rng.choice(list(held))
    held[name] = rng.choice(ARRAYS)(held[name])
    return seed.npz(held)


def array_gone(rng: Random, raw: bytes) -> bytes:
    held = arrays(raw)
    old = held.pop(rng.choice(list(held)))
    return seed.npz({**held, rng.choice(["z", ESCAPES, "a/b"]): old})


def members(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        return {name: file.read(name) for name in file.namelist()}


def odd_member(rng: Random, raw: bytes) -> bytes:
    """An array whose bytes are damaged, in an archive that is not."""
    held, content = members(raw), io.BytesIO()
    name = rng.choice(list(held))
    held[name] = rng.choice(BYTES).change(rng, held[name])
    how = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(content, "w", how) as file:
        for one, part in held.items():
            file.writestr(one, part)
    return content.getvalue()


def claims(rng: Random, raw: bytes) -> bytes:
    """An array whose header claims a huge shape."""
    held, content = members(raw), io.BytesIO()
    shape = rng.choice([(1 << 33, 1), (-1, 1), (1 << 62, 9)])
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode()
    held[rng.choice(list(held))] = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + head + b"\n" + bytes(64)
    with zipfile.ZipFile(content, "w") as file:
        for one, part in held.items():
            file.writestr(one, part)
    return content.getvalue()


def flagged(rng: Random, raw: bytes) -> bytes:
    """Flags of zip that say encrypted or patched, in the directory and in each member."""
    changed = bytearray(raw)
    for magic, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        start = raw.find(magic)
        while start >= 0:
            changed[start + offset] ^= rng.choice([0x01, 0x20, 0x40])
            start = raw.find(magic, start + 4)
    return bytes(changed)


NPZ = [
    *named([odd_array] * 8 + [odd_member] * 4 + [array_gone, claims, flagged]),
    Mutation("deflated", lambda _, raw: seed.npz(arrays(raw), save=np.savez_compressed), keeps=True, rows=0),
    Mutation("other order", lambda _, raw: seed.npz(dict(reversed(arrays(raw).items()))), keeps=True, rows=0),
    Mutation(
        "big endian",
        lambda _, raw: seed.npz({n: a.astype(a.dtype.newbyteorder(">")) for n, a in arrays(raw).items()}),
        keeps=True,
    ),
    Mutation("Fortran", lambda _, raw: seed.npz({n: np.asfortranarray(a) for n, a in arrays(raw).items()}), keeps=True),
]


# --- Parquet ---


COLUMNS: list[Callable[[int], Any]] = [
    lambda n: pa.array([[1, 2]] * n),
    lambda n: pa.array([{"a": 1}] * n),
    lambda n: pa.array([b"\xff\xfe"] * n),
    lambda n: pa.array([None] * n),
    lambda n: pa.array([True] * n),
    lambda n: pa.array([ESCAPES] * n),
    lambda n: pa.array([float("nan")] * n),
    lambda n: pa.array([1e308] * n),
    lambda n: pa.array([2**63 - 1] * n),
    lambda n: pa.array([2**64 - 1] * n, pa.uint64()),
    lambda n: pa.array([0] * n, pa.timestamp("ns", "UTC")),
    lambda n: pa.array([2**62] * n, pa.timestamp("ms")),
    lambda n: pa.array([-(2**31)] * n, pa.date32()),
    lambda n: pa.array([1] * n, pa.time64("us")),
    lambda n: pa.array(["1.50"] * n).cast(pa.decimal128(10, 2)),
    lambda n: pa.array(list(range(n)), pa.int8()),
    lambda n: pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int64())),
]


def read_parquet(raw: bytes) -> dict[str, Any]:
    table = pq.read_table(io.BytesIO(raw))
    return dict(zip(table.column_names, table.columns, strict=True))


def odd_column(rng: Random, raw: bytes) -> bytes:
    held = read_parquet(raw)
    name = rng.choice(list(held))
    held[name] = rng.choice(COLUMNS)(len(held[name]))
    return seed.parquet(held)


def odd_columns(rng: Random, raw: bytes) -> bytes:
    """Columns of odd names, one less, one more."""
    held = read_parquet(raw)
    old = held.pop(rng.choice(list(held)))
    names = rng.choice([[ESCAPES], [""], ["a", "b"], ["=1+1"], ["a\nb"], ["__index_level_0__"]])
    return seed.parquet({**held, **dict.fromkeys(names, old)})


def twice_named(rng: Random, raw: bytes) -> bytes:
    held, content = read_parquet(raw), io.BytesIO()
    name = rng.choice(list(held))
    pq.write_table(pa.Table.from_arrays([*held.values(), held[name]], [*held, name]), content)
    return content.getvalue()


def no_rows(_: Random, raw: bytes) -> bytes:
    return seed.parquet({name: column.slice(0, 0) for name, column in read_parquet(raw).items()})


def no_utf8(rng: Random, raw: bytes) -> bytes:
    """Bytes of a text, so that it is no longer UTF-8; pages have no checksum."""
    plain = bytearray(seed.parquet(read_parquet(raw), compression="none", use_dictionary=False))
    for _ in range(5):
        plain[rng.randrange(4, len(plain) // 2)] = 0xFF
    return bytes(plain)


PARQUET = [
    *named([odd_column] * 8 + [odd_columns] * 3 + [twice_named, no_rows, no_utf8, no_utf8]),
    *(
        Mutation(how, lambda _, raw, how=how: seed.parquet(read_parquet(raw), compression=how), keeps=True, rows=0)
        for how in ("none", "gzip", "zstd")
    ),
    Mutation("row groups", lambda _, raw: seed.parquet(read_parquet(raw), row_group_size=7), keeps=True, rows=0),
    Mutation("no dictionary", lambda _, raw: seed.parquet(read_parquet(raw), use_dictionary=False), keeps=True, rows=0),
    Mutation(
        "dictionary type",
        lambda _, raw: seed.parquet({n: c.dictionary_encode() for n, c in read_parquet(raw).items()}),
        keeps=True,
        rows=0,
    ),
    Mutation(
        "large strings",
        lambda _, raw: seed.parquet({n: c.cast(pa.large_string()) for n, c in read_parquet(raw).items()}),
        keeps=True,
        rows=0,
    ),
]


# --- sound and music ---


def chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


WAV = [
    Mutation("a list in front", lambda _, __: seed.wav(0, chunk(b"LIST", b"INFOISFT\x05\0\0\0tide\0")), keeps=True),
    Mutation("an unknown chunk", lambda _, __: seed.wav(0, chunk(b"tide", b"abc")), keeps=True),
    Mutation("of a pipe", lambda _, __: seed.wav(0, size=0xFFFFFFFF), keeps=True),
    Mutation("1 Hz", lambda _, raw: raw[:24] + struct.pack("<I", 1) + raw[28:]),
]


def event(content: bytes) -> Change:
    """A message at the front of the track."""

    def change(_: Random, raw: bytes) -> bytes:
        size = struct.unpack(">I", raw[18:22])[0]
        return raw[:18] + struct.pack(">I", size + len(content)) + content + raw[22:]

    return change


MIDI = [
    Mutation("a text", event(b"\x00\xff\x01\x03abc"), keeps=True),
    Mutation("text not UTF-8", event(b"\x00\xff\x03\x03\xff\xfe\x80"), keeps=True),
    Mutation("odd key signature", event(b"\x00\xff\x59\x02\x09\x07"), keeps=True),
    Mutation("odd SMPTE offset", event(b"\x00\xff\x54\x05\xff\xff\xff\xff\xff"), keeps=True),
    Mutation("an unknown meta message", event(b"\x00\xff\x60\x02\x01\x02"), keeps=True),
    Mutation("a system message", event(b"\x00\xf0\x03\x01\x02\xf7"), keeps=True),
    Mutation("an unknown chunk", lambda _, raw: raw + b"XFIH\0\0\0\2ab", keeps=True),
    Mutation("no end", event(b"\xff" * 3000)),
    Mutation("late", event(b"\xff\xff\xff\x7f\x90\x3c\x40")),
    *(Mutation(f"runs of {n}", event((b"\x80" * n + b"\x01") * (400_000 // n))) for n in (7, 4095)),
    Mutation("many notes", event(b"\x00\x90\x3c\x40" * 100_000)),
]


# --- tensors ---


def _tensor_head(raw: bytes) -> tuple[str, bytes]:
    size = struct.unpack("<Q", raw[:8])[0]
    return raw[8 : 8 + size].decode(), raw[8 + size :]


def _with_head(text: str, data: bytes) -> bytes:
    head = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(head)) + head + data


def odd_tensor_head(rng: Random, raw: bytes) -> bytes:
    text, data = _tensor_head(raw)
    return _with_head(edited(rng, text), data)


def odd_numbers(rng: Random, raw: bytes) -> bytes:
    text, data = _tensor_head(raw)
    odd = struct.pack("<f", rng.choice([float("nan"), float("inf"), 1e38, -0.0, 1e-45]))
    return _with_head(text, odd + data[4:] if rng.randrange(2) else odd * (len(data) // 4))


def odd_metadata(rng: Random, raw: bytes) -> bytes:
    """The plain data of a checkpoint, which lie as JSON in the JSON of the head."""
    text, data = _tensor_head(raw)
    head = json.loads(text)
    kept = head.get("__metadata__", {})
    if "data" in kept:
        kept["data"] = edited(rng, kept["data"])
    return _with_head(json.dumps(head), data)


TENSORS = [
    *named([odd_tensor_head] * 6 + [odd_numbers] * 3 + [odd_metadata] * 6),
    Mutation(
        "indented head", lambda _, raw: _with_head(_tensor_head(raw)[0] + " " * 16, _tensor_head(raw)[1]), keeps=True
    ),
]
