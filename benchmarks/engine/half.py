"""Rows of half precision and int8, as data: what they must reach stands in each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from benchmarks.engine.grid import MODES, able
from benchmarks.engine.item import NORMED, OWN, Item
from benchmarks.engine.row import Entrant, Role, Row

PRODUCTS = ("bfloat16", "float16", "int8")
SHAPES = (  # T, B, I, H
    *((1, 1, 256, 256), (1, 32, 256, 256)),
    *((128, 1, 64, 64), (128, 1, 256, 256), (100, 32, 128, 128), (64, 64, 256, 256)),
    *((128, 32, 256, 256), (64, 64, 512, 512), (100, 64, 512, 512)),
)
MIDDLE, LARGE = (100, 32, 128, 128), (128, 32, 256, 256)
FEWER = ((128, 1, 256, 256), MIDDLE, LARGE, (64, 64, 512, 512))
STORAGE = ((128, 1, 256, 256), MIDDLE)  # of float16, in which torch takes up to 40 times as long
LOOP = (50, 32, 128, 128)
OTHERS = (NORMED, "peepholelstm", "gru/before", OWN)  # what torch.nn has not
SHORT = tuple(Item("lstm", T, B, 384, 384, layers=3, bidirectional=True) for T, B in ((13, 1), (13, 32)))
LARGE_H, LARGE_B = 256, 32
OVER_FLOAT32 = 1.6  # from here on, where the processor multiplies pairs of bfloat16
AS_QUICK = 1.0  # as a peer in the same type


def half(threads: int, products: str) -> list[Row]:
    """The rows of a type of products for so many threads."""
    rows = _int8(threads) if products == "int8" else _layers(threads, products)
    return list(rows)


def _layers(threads: int, products: str) -> Iterator[Row]:
    """Layers, input and output in this type. Of float16, which is storage alone, a few."""
    few = products == "float16"
    most = STORAGE if few else SHAPES
    shapes = {"lstm": most, "gru": most, "rnn": () if few else FEWER}
    kinds = [
        *((cell, shape, False) for cell, of_cell in shapes.items() for shape in of_cell),
        *((cell, LARGE, True) for cell in (() if few else ("lstm", "gru"))),
        *((cell, shape, False) for cell in OTHERS for shape in ((LARGE,) if few else (MIDDLE, LARGE))),
    ]
    for (cell, shape, ragged), mode in product(kinds, MODES):
        yield _layer(Item(cell, *shape, mode, threads=threads, ragged=ragged, products=products))
    for cell, mode in product(("lstm", "gru"), () if few else MODES):
        yield _loop(Item(cell, *LOOP, mode, threads=threads, products=products))


def _layer(item: Item) -> Row:
    """Against torch's module in the same type, our layer in float32, and in inference sessions in both."""
    plain = replace(item, products="")
    entrants = [
        _entrant("tidegate", item, "ours"),
        _entrant("torch.nn", item, "peer", AS_QUICK),
        _entrant("tidegate", plain, "yardstick", _over_float32(item)),
        *(_entrant("tidegate session", one, "yardstick") for one in (item, plain)),
    ]
    kind = "cells that torch lacks" if item.cell in OTHERS else "ragged batches" if item.ragged else item.cell
    return Row(f"{item.products}: {kind} {item.mode}", item, able(entrants))


def _loop(item: Item) -> Row:
    entrants = (
        _entrant("tidegate cells", item, "ours"),
        _entrant("torch cells", item, "peer", AS_QUICK),
        _entrant("tidegate cells", replace(item, products=""), "yardstick"),
    )
    return Row(f"{item.products}: cells in a loop {item.mode}", item, entrants)


def _int8(threads: int) -> Iterator[Row]:
    """Sessions, which alone have weights of eight bits, against onnxruntime's and the other types."""
    kinds = [*product(("lstm", "gru"), FEWER), *((cell, LARGE) for cell in OTHERS)]
    items = [Item(cell, *shape) for cell, shape in kinds]
    for item in (*SHORT, *items):
        of = [replace(item, threads=threads, products=name) for name in ("int8", "bfloat16", "")]
        entrants = [
            _entrant("tidegate session", of[0], "ours"),
            _entrant("onnxruntime int8", of[0], "peer", AS_QUICK),
            *(_entrant("tidegate session", one, "yardstick") for one in of[1:]),
            _entrant("onnxruntime", of[2], "yardstick"),
        ]
        kind = "short calls" if item.stacked else "cells that torch lacks" if item.cell in OTHERS else item.cell
        yield Row(f"int8: {kind} inference", of[0], able(entrants))


def _over_float32(item: Item) -> float:
    large = item.H >= LARGE_H and item.B >= LARGE_B
    return OVER_FLOAT32 if large and item.products == "bfloat16" else 0.0


def _entrant(peer: str, item: Item, role: Role, target: float = 0.0) -> Entrant:
    label = peer if peer.endswith("int8") else f"{peer} {item.products or item.dtype}"
    return Entrant(peer, item, role, label, target)
