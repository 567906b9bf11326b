"""What a conversion is tested on: a cell of ours, the framework on the other side, and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

T, B, I, H = 7, 3, 5, 6  # no two widths alike, so that a transposed matrix cannot fit
P = 4  # where projected


@dataclass(frozen=True)
class Case:
    """One layer or stack. ``cell`` is the name in our zoo; "lstm/projected" is an LSTM with a projection."""

    target: str
    cell: str
    layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    dtype: str = "float64"

    def __str__(self) -> str:
        parts = [self.target, self.cell, f"{self.layers}x{'bi' if self.bidirectional else 'uni'}", self.dtype]
        return "-".join([*parts, *([] if self.bias else ["nobias"])])

    @property
    def family(self) -> str:
        """rnn, lstm, peepholelstm, cifg or gru."""
        return self.cell.split("/")[0]

    @property
    def projected(self) -> bool:
        return self.cell == "lstm/projected"

    @property
    def directions(self) -> int:
        return 1 + self.bidirectional

    @property
    def widths(self) -> list[int]:
        """Of the input of each layer."""
        return [I] + [(P if self.projected else H) * self.directions] * (self.layers - 1)


class Side(Protocol):
    """Another framework, running its own code."""

    def why_not(self, case: Case) -> str | None:
        """What is not there on the other side, so that nothing can be compared."""

    def run(self, case: Case, weights: Any, x: np.ndarray) -> np.ndarray:
        """The output [T, B, ...] of its layers, with the weights that ``dump`` made."""

    def drawn(self, case: Case, x: np.ndarray) -> tuple[Any, np.ndarray]:
        """Its own layers with every weight drawn at random, as ``load`` takes them, and their output."""


def inputs(case: Case) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(T, B, I)).astype(case.dtype)


class Draw:
    """Weights of any shape, none of them zero."""

    def __init__(self, case: Case) -> None:
        self.numbers, self.dtype = np.random.default_rng(2), case.dtype

    def __call__(self, *shape: int) -> np.ndarray:
        return self.numbers.uniform(-0.7, 0.7, shape).astype(self.dtype)


STACKS = ((1, False), (2, False), (1, True), (2, True))
COMPILED = ("linen", "linen/optimized", "nnx", "nnx/optimized")  # a second for each case, so tests take fewer


def stacks(target: str, cell: str) -> Iterator[Case]:
    """Every size in both dtypes."""
    for layers, bidirectional in STACKS:
        for dtype in ("float32", "float64"):
            yield Case(target, cell, layers, bidirectional, dtype=dtype)


def chosen(target: str, cell: str) -> Iterator[Case]:
    """Those that tests run, and one without biases.

    Of what takes long, a stack in float64: planted bugs run a single layer, and the way there and back float32.
    """
    for case in stacks(target, cell):
        if target not in COMPILED or case == Case(target, cell, 2, bidirectional=True):
            yield case
    if target not in COMPILED:
        yield Case(target, cell, 2, bidirectional=True, bias=False, dtype="float32")
