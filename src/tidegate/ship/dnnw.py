"""RNNoise's weights as a file: records of arrays by name, of the programs that Opus and RNNoise are built with."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from tidegate.convert.layout import Array
from tidegate.convert.own import as_array
from tidegate.convert.table import KERAS
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.ship.part import Target, affine, finite
from tidegate.ship.statement import privacy_of

TARGET = Target("RNNoise", {"gru": KERAS["gru"]})
HEAD = struct.Struct("<4siiii44s")  # magic, version, kind, bytes of the array, bytes until the next record, name
MAGIC, VERSION, ALIGNED = b"DNNw", 0, 64
KINDS = {"float32": 0, "int32": 1, "int8": 3}
BLOCK_IN, BLOCK_OUT = 4, 8  # inputs and outputs of a block
LONGEST = 43  # bytes of a name
PRIVACY = "tidegate_privacy"  # a text among the arrays, which readers that ask for others pass over
WIDEST = 1024  # units of a GRU that its C has room for
Record = tuple[str, Array]


def dnnw(layers: Mapping[str, Any], weights: str = "int8", floating: Collection[str] = ()) -> bytes:
    """GRUs, linear layers and convolutions over time as a "DNNw" file, which RNNoise's C loads.

    A GRU called NAME becomes two linear layers, ``NAME_input`` and ``NAME_recurrent``, with the gates z r n; of several
    layers NAME1, NAME2 and so on. Its matrices are blocks of 4 inputs and 8 outputs, of which those with zeros alone
    are left out, and the diagonals of the recurrent ones stand apart. ``int8`` has a scale for each output.

    Where a layer is int8, RNNoise rounds its input to 1/127: it must lie in [-1, 1].

    Args:
        layers: by name, as the C program calls them: ``tg.nn.GRU`` that resets after the product, ``torch.nn.Linear``,
            ``torch.nn.Conv1d``.
        weights: ``"int8"``; or ``"float32"``, which adds the exact weights. The C program then takes those, but does
            not load without the others.
        floating: names of linear layers and convolutions that are kept in float32 alone.

    Returns:
        The content of the file.

    Raises:
        EmitError: another cell, or something that such a file has no place for.
        InputError: another module, a size that no block fits, or an unknown name in ``floating``.

    Example:
        >>> import torch, tidegate as tg
        >>> content = tg.ship.dnnw({"gru": tg.nn.GRU(16, 32), "out": torch.nn.Linear(32, 8)})
        >>> content[:4], len(content)
        (b'DNNw', 9408)
    """
    if weights not in ("int8", "float32"):
        raise InputError("SHIP_WEIGHTS", f"there are no weights of {weights!r}", fix="take 'int8' or 'float32'")
    unknown = [name for name in floating if name not in layers or isinstance(layers[name], Recurrent)]
    if unknown:
        raise InputError("SHIP_NAMES", f"floating names {', '.join(unknown)}, which are no linear layers of these")
    exact = weights == "float32"
    records: list[Record] = []
    for name, layer in layers.items():
        if isinstance(layer, Recurrent):
            records += _gru(name, layer, exact=exact)
        else:
            records += _plain(name, layer, exact=exact or name in floating, quantised=name not in floating)
    if promise := privacy_of(layers.values()):
        records.append((PRIVACY, np.frombuffer(promise.encode(), np.int8)))
    return b"".join(_record(name, array) for name, array in records)


def _gru(name: str, layer: Recurrent, *, exact: bool) -> Iterator[Record]:
    if layer.hidden_size > WIDEST:
        raise InputError("SHIP_SIZE", f"{name} has {layer.hidden_size} units, RNNoise has room for {WIDEST}")
    for k, held in enumerate(TARGET.layers(layer), 1):
        own = f"{name}{k if layer.num_layers > 1 else ''}"
        kernel, recurrent, (bias, second) = held.arrays.values()
        yield from _sparse(f"{own}_input", kernel, bias, exact=exact)
        recurrent = recurrent.copy()
        units, gates = np.arange(layer.hidden_size), np.arange(recurrent.shape[1]).reshape(3, -1)
        diagonal = recurrent[units, gates].ravel()
        recurrent[units, gates] = 0
        yield f"{own}_recurrent_weights_diag", diagonal
        yield from _sparse(f"{own}_recurrent", recurrent, second, exact=exact)


def _sparse(name: str, weight: Array, bias: Array, *, exact: bool) -> Iterator[Record]:
    """A matrix (in, out) as blocks; the index says for each 8 outputs how many, and where the inputs of each begin."""
    blocks = _blocks(name, weight)
    used = np.any(blocks, axis=(2, 3))
    index = [np.r_[row.sum(), BLOCK_IN * np.flatnonzero(row)] for row in used]
    scale, rounded = quantise(weight)
    yield f"{name}_weights_int8", _blocks(name, rounded)[used].swapaxes(1, 2)
    if exact:
        yield f"{name}_weights_float", blocks[used]
    yield f"{name}_weights_idx", np.concatenate(index).astype(np.int32)
    yield from _scaled(name, bias, scale, rounded)
    yield f"{name}_bias", bias


def _plain(name: str, module: Any, *, exact: bool, quantised: bool) -> Iterator[Record]:
    """All of a matrix; a convolution is one of the last frames, the oldest first."""
    if isinstance(module, torch.nn.Conv1d):
        kernel = as_array(module.weight).astype(np.float32)
        plain = {"stride": (1,), "padding": (0,), "dilation": (1,), "groups": 1}
        if other := [f"{key}={getattr(module, key)}" for key, value in plain.items() if getattr(module, key) != value]:
            raise InputError("SHIP_VALUE", f"RNNoise has no place for {', '.join(other)} of {name}")
        weight = kernel.transpose(2, 1, 0).reshape(-1, len(kernel))
        bias = np.zeros(len(kernel), np.float32) if module.bias is None else as_array(module.bias).astype(np.float32)
        finite(name, weight, bias)
    else:
        rows, bias = affine(module, getattr(module, "in_features", 0))
        weight = rows.T
    if quantised:
        scale, rounded = quantise(weight)
        yield f"{name}_weights_int8", _blocks(name, rounded).swapaxes(2, 3)
        yield from _scaled(name, bias, scale, rounded)
    if exact:
        yield f"{name}_weights_float", weight
    yield f"{name}_bias", bias


def quantise(weight: Array) -> tuple[Array, Array]:
    """The scale of each output, and the weights in it as int8.

    Two products are added in 16 bits by some processors, so the sum of two neighbouring weights is bounded too.
    """
    pairs = np.abs(weight[::2] + weight[1::2]).max(0)
    scale = np.maximum(np.maximum(np.abs(weight).max(0) / 127, pairs / 129), np.float32(1e-30))
    return scale, np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)


def _scaled(name: str, bias: Array, scale: Array, rounded: Array) -> Iterator[Record]:
    """The bias for inputs that are stored from 0 to 254, and the scale of products with inputs of 1/127."""
    yield f"{name}_subias", (bias - (rounded * scale).sum(0)).astype(np.float32)
    yield f"{name}_scale", (scale / 127).astype(np.float32)


def _blocks(name: str, weight: Array) -> Array:
    """[out / 8, in / 4, 4, 8]."""
    inputs, outputs = weight.shape
    if inputs % BLOCK_IN or outputs % BLOCK_OUT:
        raise InputError(
            "SHIP_SIZE",
            f"{name} has {inputs} inputs and {outputs} outputs, but blocks have {BLOCK_IN} and {BLOCK_OUT}",
            fix="take a multiple of 8 units, or name a linear layer in floating",
        )
    return weight.reshape(inputs // BLOCK_IN, BLOCK_IN, outputs // BLOCK_OUT, BLOCK_OUT).transpose(2, 0, 1, 3)


def _record(name: str, array: Array) -> bytes:
    content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    stored = -len(content) % ALIGNED
    encoded = name.encode()
    if len(encoded) > LONGEST:
        raise InputError("SHIP_NAMES", f"{name} is longer than {LONGEST} bytes, which RNNoise has room for")
    head = HEAD.pack(MAGIC, VERSION, KINDS[array.dtype.name], len(content), len(content) + stored, encoded)
    return head + content + bytes(stored)
