"""RNNoise's weights as a file: records of arrays by name."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.convert.file.archive import check_size
from tidegate.convert.file.text import damaged
from tidegate.convert.found import PRIVACY, FoundLayer, usual
from tidegate.convert.layout import Array, to_pieces
from tidegate.convert.table import KERAS

HEAD = struct.Struct("<4siiii44s")  # magic, version, kind, bytes of the array, bytes until the next record, name
MAGIC = b"DNNw"
TYPES = {0: "<f4", 1: "<i4", 3: "<i1"}
BLOCK_IN, BLOCK_OUT = 4, 8  # inputs and outputs of a block
INPUT_STEPS = 127  # to 1, of inputs of int8 layers
SIDES = ("input", "recurrent")
TEXT = "tidegate_privacy"  # a text that ``ship.dnnw`` puts among the arrays


def read(path: Path) -> list[FoundLayer]:
    """The GRUs: pairs of linear layers NAME_input and NAME_recurrent; exact if float weights are there, else of int8.

    Raises:
        InputError: it is damaged.
    """
    held = _records(path)
    names = [name.removesuffix("_recurrent_bias") for name in held if name.endswith("_recurrent_bias")]
    return [_gru(path, held, name) for name in names if f"{name}_input_bias" in held]


def _records(path: Path) -> dict[str, Array]:
    content, at, found = path.read_bytes(), 0, {}
    while at < len(content):
        if at + HEAD.size > len(content):
            raise damaged(path, "it ends within a record")
        magic, version, kind, size, room, name = HEAD.unpack_from(content, at)
        at += HEAD.size
        if magic != MAGIC or version or not 0 <= size <= room <= len(content) - at:
            raise damaged(path, f"its record at byte {at - HEAD.size} is none")
        text = name.rstrip(b"\0").decode("latin1")
        if text in found:
            raise damaged(path, f"it has two arrays called {text}")
        if kind in TYPES and size % np.dtype(TYPES[kind]).itemsize == 0:
            found[text] = np.frombuffer(content[at : at + size], TYPES[kind])
        at += room
    return found


def _gru(path: Path, held: Mapping[str, Array], name: str) -> FoundLayer:
    biases = [held[f"{name}_{side}_bias"] for side in SIDES]
    H, odd = divmod(len(biases[1]), 3)
    if odd or not H or any(bias.dtype != np.float32 or bias.shape != (3 * H,) for bias in biases):
        raise damaged(path, f"the biases of {name} are not those of a GRU")
    kernel, recurrent = (_matrix(path, held, f"{name}_{side}", 3 * H) for side in SIDES)
    arrays = {"kernel": kernel, "recurrent_kernel": recurrent[:H], "bias": np.stack(biases)}
    if len(recurrent) < H:
        arrays["recurrent_kernel"] = np.vstack([recurrent, np.zeros((H - len(recurrent), 3 * H), np.float32)])
    diagonal = held.get(f"{name}_recurrent_weights_diag", np.zeros(3 * H, np.float32))
    if diagonal.shape != (3 * H,) or len(recurrent) > H:
        raise damaged(path, f"the recurrent matrix of {name} is not square for each gate")
    units, gates = np.arange(H), np.arange(3 * H).reshape(3, H)
    arrays["recurrent_kernel"][units, gates] += diagonal[gates]
    pieces = to_pieces(KERAS["gru"], arrays)
    where = "float32" if f"{name}_recurrent_weights_float" in held else "int8"
    told = {PRIVACY: held[TEXT].tobytes().decode(errors="replace")} if TEXT in held else {}
    return FoundLayer(name, "gru", ((pieces,),), usual("gru"), where=where, facts=told)


def _matrix(path: Path, held: Mapping[str, Array], name: str, outputs: int) -> Array:
    """A matrix (in, out). Where an index names its blocks, inputs after the last one are not there."""
    exact = held.get(f"{name}_weights_float")
    scale = np.ones(outputs, np.float32)
    weights, index = exact, held.get(f"{name}_weights_idx")
    if weights is None:
        weights, scale = held.get(f"{name}_weights_int8"), held.get(f"{name}_scale", scale[:0]) * INPUT_STEPS
    if weights is None or weights.dtype == np.int32 or scale.shape != (outputs,) or outputs % BLOCK_OUT:
        raise damaged(path, f"{name} lacks its weights or its scale")
    if index is not None and index.dtype != np.int32:
        raise damaged(path, f"the index of {name} holds {index.dtype}")
    if index is None and exact is not None:
        return exact.reshape(-1, outputs).copy() if exact.size % outputs == 0 else _misfit(path, name)
    shape = (-1, BLOCK_IN, BLOCK_OUT) if exact is not None else (-1, BLOCK_OUT, BLOCK_IN)
    blocks = weights.reshape(shape) if weights.size % (BLOCK_IN * BLOCK_OUT) == 0 else _misfit(path, name)
    blocks = blocks if exact is not None else blocks.swapaxes(1, 2)
    places = _all(len(blocks), outputs) if index is None else _named(path, name, index.tolist(), outputs)
    inputs = max((at for _, at in places), default=0) + BLOCK_IN
    if len(places) != len(blocks):
        _misfit(path, name)
    check_size(path, 4 * inputs * outputs)
    matrix = np.zeros((inputs, outputs), np.float32)
    for (row, at), block in zip(places, blocks, strict=True):
        matrix[at : at + BLOCK_IN, row : row + BLOCK_OUT] = block
    return matrix * scale


def _all(blocks: int, outputs: int) -> list[tuple[int, int]]:
    """The place of each of so many blocks: its first output and its first input."""
    columns = blocks * BLOCK_OUT // outputs
    return [(row, BLOCK_IN * k) for row in range(0, outputs, BLOCK_OUT) for k in range(columns)]


def _named(path: Path, name: str, index: list[int], outputs: int) -> list[tuple[int, int]]:
    """The same of blocks that an index names: for each 8 outputs how many there are, and their first inputs."""
    places: list[tuple[int, int]] = []
    rest = iter(index)
    for row in range(0, outputs, BLOCK_OUT):
        count = next(rest, 0)
        found = [(row, at) for at in itertools.islice(rest, max(0, count))]
        if len(found) != count or any(at < 0 or at % BLOCK_IN for _, at in found):
            _misfit(path, name)
        places += found
    return places if next(rest, None) is None else _misfit(path, name)


def _misfit(path: Path, name: str) -> Any:
    raise damaged(path, f"the blocks of {name} do not fit its outputs")
