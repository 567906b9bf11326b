"""The numbers of an item: every process draws the same ones from the same seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from benchmarks.engine.item import Item
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]
SEED = 20260


@dataclass(frozen=True)
class Problem:
    """An item with its numbers.

    Attributes:
        item: the work.
        weights: by the keys of ``item.places``, from U(-1/sqrt(H), 1/sqrt(H)) as layers draw them.
        x: [T, B, I], standard normal.
        upstream: the gradient that comes back to the output, as wide as it, standard normal.
        lengths: of each row where the item is ragged, else None.
    """

    item: Item
    weights: Arrays
    x: Array
    upstream: Array
    lengths: tuple[int, ...] | None

    def weights_of(self, layer: int, *, reverse: bool = False) -> Arrays:
        """Those of one pass, by their names in the graph."""
        places = self.item.places.items()
        return {name: self.weights[key] for key, (name, *place) in places if place == [layer, reverse]}

    def in_double(self) -> Problem:
        """The same numbers as float64, for the reference, which rounds no product."""
        weights = {name: value.astype(np.float64) for name, value in self.weights.items()}
        item = replace(self.item, dtype="float64", products="")
        return replace(self, item=item, weights=weights, x=self.x.astype(float), upstream=self.upstream.astype(float))


def problem(item: Item) -> Problem:
    """Draw the numbers of an item; of half precision such as this type holds, so that all contestants get the same."""
    draw = np.random.default_rng(SEED)
    bound = item.H**-0.5
    rounded = ROUNDED.get(item.products, lambda value: value)

    def drawn(values: Array) -> Array:
        return rounded(values.astype(item.dtype))

    weights = {name: drawn(draw.uniform(-bound, bound, shape)) for name, shape in item.shapes.items()}
    x = drawn(draw.standard_normal((item.T, item.B, item.I)))
    upstream = drawn(draw.standard_normal((item.T, item.B, item.output_size)))
    return Problem(item, weights, x, upstream, _lengths(item, draw) if item.ragged else None)


def _to_bfloat16(values: Array) -> Array:
    """The nearest of those float32 whose lower half is zero, of two equally near the even one."""
    words = values.view(np.uint32)
    nearest = (words + 0x7FFF + (words >> 16 & 1)) & np.uint32(0xFFFF0000)
    return nearest.astype(np.uint32).view(np.float32)


ROUNDED = {"bfloat16": _to_bfloat16, "float16": lambda values: values.astype(np.float16).astype(values.dtype)}


def _lengths(item: Item, draw: np.random.Generator) -> tuple[int, ...]:
    """Uniform lengths from 1 to T - 1 in pairs that sum to T, so that exactly half of the batch is padding."""
    drawn = draw.integers(1, item.T, item.B // 2)
    return tuple(int(n) for n in np.concatenate([drawn, item.T - drawn]))
