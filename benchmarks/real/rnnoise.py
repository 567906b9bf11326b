"""RNNoise: what is noise in speech? Three GRUs between two convolutions and a plain layer, in C."""

from __future__ import annotations

import ctypes
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.real.subject import Package, Subject

import tidegate as tg

PACKAGE = Package("pyrnnoise", "0.4.5")
INPUTS, WIDTH, FRAMES = 65, 384, 1000
ENOUGH = 1 << 17  # bytes for its structures of model and state, which are smaller
FLOAT, INT = 0, 1  # kinds of its arrays


def load(blob: Path, name: str) -> Any:
    return tg.convert.read(blob)[name].layer()


def subjects(folder: Path) -> Iterator[Subject]:
    its = Its(next(folder.rglob("librnnoise.so")))
    with tempfile.TemporaryDirectory() as scratch:
        blob = Path(scratch, "weights_blob.bin")
        blob.write_bytes(its.blob())
        ours = Ours(its.arrays, [load(blob, f"gru{k}") for k in (1, 2, 3)])
    x = np.random.default_rng(0).standard_normal((FRAMES, INPUTS)).astype(np.float32)
    about: dict[str, Any] = {
        "cells": "3 GRU 384", "source": "arrays in the library, as RNNoise's file", "judge": "its compute_rnn in C",
        "glue": (load,), "allowed": 0.01,
        "note": f"its sigmoid is off by up to {its.off(1, sigmoid):.0e}, its tanh by {its.off(2, np.tanh):.0e}",
    }  # fmt: skip
    for name, work, call in (
        ("RNNoise, as a sequence", f"{FRAMES} frames, 10 s", ours.whole),
        ("RNNoise, frame by frame", f"{FRAMES} single frames", ours.stream),
    ):
        yield Subject(
            name=name, work=work, theirs=lambda: its(x), ours=lambda call=call: call(torch.from_numpy(x)), **about
        )


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


class Array(ctypes.Structure):
    """A line of its table of weights."""

    _fields_ = [("name", ctypes.c_char_p), ("kind", ctypes.c_int), ("size", ctypes.c_int), ("data", ctypes.c_void_p)]


class Its:
    """Its library: its weights, and its network."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        table = (Array * 1).in_dll(self.library, "rnnoise_arrays")
        self.lines = list(_lines(ctypes.addressof(table)))
        kinds = {FLOAT: np.float32, INT: np.int32}
        self.arrays = {name: np.frombuffer(data, kinds[kind]) for name, kind, data in self.lines if kind in kinds}
        self.model = ctypes.create_string_buffer(ENOUGH)
        if self.library.init_rnnoise(self.model, table):
            raise RuntimeError("init_rnnoise refuses its own weights")

    def blob(self) -> bytes:
        """The file that RNNoise's own ``write_weights`` makes of the table."""
        found = b""
        for name, kind, data in self.lines:
            room = -len(data) % 64
            found += struct.pack("<4siiii44s", b"DNNw", 0, kind, len(data), len(data) + room, name.encode())
            found += data + bytes(room)
        return found

    def __call__(self, x: Any) -> list[Any]:
        state, gains, speech = ctypes.create_string_buffer(ENOUGH), np.empty((len(x), 32), "f4"), np.empty(len(x), "f4")
        pointer = ctypes.c_void_p
        for k in range(len(x)):
            places = [pointer(row.ctypes.data) for row in (gains[k], speech[k:], x[k])]
            self.library.compute_rnn(self.model, state, *places, 0)
        return [gains, speech]

    def off(self, activation: int, exact: Any) -> float:
        """How far an activation of the library is from the exact one."""
        x = np.linspace(-8, 8, 10001, dtype="f4")
        y = np.empty_like(x)
        places = [ctypes.c_void_p(array.ctypes.data) for array in (y, x)]
        self.library.rnn_compute_activation_c(*places, len(x), activation)
        return float(np.abs(y - exact(x.astype(float))).max())


class Ours:
    """Its network in torch, with our GRUs."""

    def __init__(self, arrays: Mapping[str, Any], grus: list[tg.nn.GRU]) -> None:
        self.arrays = {name: torch.from_numpy(value) for name, value in arrays.items() if value.dtype == np.float32}
        self.grus = grus
        self.sessions = [tg.Session(gru) for gru in self.grus]

    def whole(self, x: torch.Tensor) -> list[torch.Tensor]:
        past = [x.new_zeros(2, INPUTS), x.new_zeros(2, 128)]
        layers = [self.front(x, past)[:, None]]
        for gru in self.grus:
            layers.append(gru(layers[-1])[0])
        return self.heads(torch.cat(layers, -1)[:, 0])

    def stream(self, x: torch.Tensor) -> list[torch.Tensor]:
        past, found = [x.new_zeros(2, INPUTS), x.new_zeros(2, 128)], []
        for session in self.sessions:
            session.reset()
        for frame in x.split(1):
            layers = [self.front(frame, past)]
            for session in self.sessions:
                layers.append(session.step(layers[-1]))
            found.append(self.heads(torch.cat(layers, -1)))
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    def front(self, x: torch.Tensor, past: list[torch.Tensor]) -> torch.Tensor:
        """Two convolutions over three frames each; ``past`` holds the two frames before, and is brought up to date."""
        for k, name in enumerate(("conv1", "conv2")):
            seen = torch.cat([past[k], x])
            past[k] = seen[-2:]
            x = self.plain(name, seen.unfold(0, 3, 1).transpose(1, 2).flatten(1)).tanh()
        return x

    def heads(self, joined: torch.Tensor) -> list[torch.Tensor]:
        return [self.plain("dense_out", joined).sigmoid(), self.plain("vad_dense", joined).sigmoid()[:, 0]]

    def plain(self, name: str, x: torch.Tensor) -> torch.Tensor:
        bias = self.arrays[f"{name}_bias"]
        return torch.addmm(bias, x, self.arrays[f"{name}_weights_float"].reshape(-1, len(bias)))


def _lines(address: int) -> Iterator[tuple[str, int, bytes]]:
    """Its table of arrays, up to the line without a name."""
    while (line := Array.from_address(address)).name:
        yield line.name.decode(), line.kind, ctypes.string_at(line.data, line.size)
        address += ctypes.sizeof(Array)
