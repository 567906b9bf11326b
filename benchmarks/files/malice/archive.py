"""Archives and arrays that promise more, or something else, than they hold."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from benchmarks.files import sound
from benchmarks.files.damage import Bad
from benchmarks.files.malice.code import DEEP, Call
from benchmarks.files.sound import zipped


def archives(canary: Path) -> Iterator[Bad]:
    zeros = bytes(16 << 20)
    for suffix, name in {".npz": "gru.weight_hh_l0.npy", ".pt": "a/data.pkl", ".keras": "config.json"}.items():
        others = {"metadata.json": b"{}", "model.weights.h5": b""} if suffix == ".keras" else {}
        yield Bad("a zip bomb", suffix, zipped({**others, name: zeros}, deflated=True))
    yield Bad("a zip bomb", ".ts", zipped({"a/data.pkl": zeros, "a/constants.pkl": b""}, deflated=True))
    later = bytearray(zipped({"gru.weight_hh_l0.npy": b""}))
    later[later.rindex(b"PK\x01\x02") + 6] = 235
    yield Bad("an archive of a later version", ".npz", bytes(later))
    bomb = bytearray(zipped({"gru.weight_hh_l0.npy": zeros[: 8 << 20]}, deflated=True))
    where = bomb.rindex(b"PK\x01\x02")
    bomb[where + 24 : where + 28] = struct.pack("<I", 100)
    yield Bad("a zip bomb that says it is small", ".npz", bytes(bomb))
    stream = io.BytesIO()
    np.savez(stream, **{"gru.weight_hh_l0": np.array([Call(Path.touch, canary)], object)})
    yield Bad("a pickled object", ".npz", stream.getvalue())
    for what, header in {
        "a huge shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999)}",
        "a negative shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
        "code in its header": f"{{'descr': '<f4', 'fortran_order': False, 'shape': (open({str(canary)!r}, 'w'),)}}",
        "nested brackets": "(" * 9000,
        "an unknown dtype": "{'descr': '|V0', 'fortran_order': False, 'shape': (1 << 40,)}",
    }.items():
        array = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header) + 1) + header.encode() + b"\n"
        yield Bad(f"{what} of an array", ".npz", zipped({"gru.weight_hh_l0.npy": array}))
    text = sound.arrays() | {"gru.weight_hh_l0": np.array(["a"] * 8)}
    for what, value in {
        "text": text["gru.weight_hh_l0"],
        "integers": np.ones((24, 8), int),
        "no rows": np.ones(0),
    }.items():
        stream = io.BytesIO()
        np.savez(stream, **{**sound.arrays(), "gru.weight_hh_l0": value})
        yield Bad(f"{what} as weights", ".npz", stream.getvalue())


def tensors() -> Iterator[Bad]:
    good = {"gru.weight_hh_l0": {"dtype": "F32", "shape": [24, 8], "data_offsets": [0, 768]}}
    entry = good["gru.weight_hh_l0"]
    for what, header in {
        "beyond the end": {**entry, "data_offsets": [0, 1 << 40]},
        "backwards": {**entry, "data_offsets": [768, 0]},
        "negative": {**entry, "data_offsets": [-768, 0]},
        "of another size": {**entry, "shape": [1 << 32, 1 << 32]},
        "of an unknown dtype": {**entry, "dtype": "F3"},
        "of no shape": {"dtype": "F32"},
    }.items():
        text = json.dumps({"gru.weight_hh_l0": header}).encode()
        yield Bad(f"a tensor {what}", ".safetensors", struct.pack("<Q", len(text)) + text + bytes(768))
    text = b'{"a":' + b"[" * DEEP
    yield Bad("a nested header", ".safetensors", struct.pack("<Q", len(text)) + text)
    yield Bad("a header without end", ".safetensors", struct.pack("<Q", (1 << 63) - 1) + b"{}" + bytes(99))
    text = json.dumps({name: {**entry} for name in ("a", "gru.weight_hh_l0")}).encode()
    yield Bad("two tensors in one place", ".safetensors", struct.pack("<Q", len(text)) + text + bytes(768))
