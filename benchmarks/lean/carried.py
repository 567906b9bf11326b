"""Weights of another library's layer, carried over to ours without knowing how it orders its gates.

If two layers have the same equations, they have the same outputs where all matrices are one matrix and all vectors one
vector, in whatever order blocks stand. From there a change of one block of theirs is a change of one block of ours, and
outputs say of which. Then both get random weights; outputs that agree are proof, since no chance makes them equal.
Gates that are named the other way round (1 - z for z) have weights of the other sign, and biases that are added twice
are zero once: all ways are tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from typing import NamedTuple, TypeVar

import torch
from torch.nn.utils.parametrize import is_parametrized

from tidegate.nn import Recurrent

T = TypeVar("T")
SAME = 1e-9  # in float64
STEPS, ROWS = 10, 3


class Block(NamedTuple):
    """A row block of a parameter, written in place."""

    parameter: str
    gate: str
    values: torch.Tensor


class Way(NamedTuple):
    """A reading of theirs: blocks that are zero, by parameter and number, and gates of ours that are turned round."""

    zero: frozenset[tuple[str, str]]
    turned: tuple[str, ...]


class Carried:
    """Two layers of as many features as units, in float64.

    Args:
        theirs: a module that gives its outputs first.
        ours: a layer.
    """

    def __init__(self, theirs: torch.nn.Module, ours: Recurrent) -> None:
        self.theirs, self.ours = theirs.double(), ours.double()
        self.units = ours.hidden_size
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(STEPS, ROWS, self.units, generator=generator, dtype=torch.float64)
        self.matrix = 0.6 * torch.randn(self.units, self.units, generator=generator, dtype=torch.float64)
        self.change = 0.3 * torch.randn(self.units, self.units, generator=generator, dtype=torch.float64)
        self.generator = generator

    @torch.no_grad()
    def error(self) -> float | None:
        """The largest difference of outputs at random weights; None if no way makes the layers agree."""
        for way in self._ways():
            self._fill(way)
            if self._differ() < SAME and (pairs := self._pairs(way)):
                return self._at_random(way, pairs)
        return None

    def _ways(self) -> Iterator[Way]:
        gates = list(dict.fromkeys(block.gate for block in self._own()))
        biases = [block for block in self._other() if "bias" in block.parameter]
        whole = _subsets(list(dict.fromkeys(block.parameter for block in biases)))
        zeros = [[block for block in biases if block.parameter in names] for names in whole]
        zeros += _subsets([block for block in biases if block.parameter != "cells.0.bias_ih"])
        for turned in ((), *((gate,) for gate in gates)):
            for zero in zeros:
                yield Way(frozenset(block[:2] for block in zero), turned)

    def _fill(self, way: Way) -> None:
        for block in self._other():
            _write(block, torch.zeros_like(self.matrix) if block[:2] in way.zero else self.matrix)
        for block in self._own():
            _write(block, self._sign(block, way) * self.matrix)

    def _sign(self, block: Block, way: Way) -> int:
        return -1 if block.gate in way.turned else 1

    def _pairs(self, way: Way) -> list[tuple[Block, Block]]:
        """Each block of theirs that changes something, and the block of ours that changes the same."""
        free, pairs = self._own(), []
        for block in self._other():
            if block[:2] in way.zero:
                continue
            _write(block, self.matrix + self.change)
            if self._differ() > SAME:
                own = next((own for own in free if self._answers(own, way)), None)
                if own is None:
                    return []
                free.remove(own)
                pairs.append((block, own))
            _write(block, self.matrix)
        return pairs

    def _answers(self, own: Block, way: Way) -> bool:
        sign = self._sign(own, way)
        _write(own, sign * (self.matrix + self.change))
        same = self._differ() < SAME
        _write(own, sign * self.matrix)
        return same

    def _at_random(self, way: Way, pairs: list[tuple[Block, Block]]) -> float:
        for block in chain(self._own(), self._other()):
            block.values.zero_()
        for other, own in pairs:
            value = 0.5 * torch.randn(other.values.shape, generator=self.generator, dtype=torch.float64)
            other.values.copy_(value)
            own.values.copy_(self._sign(own, way) * value.expand_as(own.values))
        return self._differ()

    def _differ(self) -> float:
        theirs, ours = self.theirs(self.x)[0], self.ours(self.x)[0]
        return float((theirs - ours).abs().max())

    def _other(self) -> list[Block]:
        blocks = []
        for name, parameter in self.theirs.named_parameters():
            parts = parameter.data.split(self.units) if len(parameter.shape) and len(parameter) > 1 else ()
            blocks += [Block(name, str(k), part) for k, part in enumerate(parts or parameter.data.view(-1).split(1))]
        return [block for block in blocks if self.theirs.get_parameter(block.parameter).dim()]

    def _original(self, attribute: str) -> torch.nn.Parameter:
        """What is stored of a weight: of one that mirrors itself, a part."""
        if is_parametrized(self.ours, attribute):
            attribute = f"parametrizations.{attribute}.original"
        return self.ours.get_parameter(attribute)

    def _own(self) -> list[Block]:
        graph, blocks = self.ours.graph, list[Block]()
        names = zip(self.ours.cells[0].names, self.ours._all_weights[0], strict=True)  # noqa: SLF001  as torch's has it
        named = {name: self._original(attribute) for name, attribute in names}
        order = {f"weight_{matrix.name}": [b.name for b in matrix.blocks] for matrix in graph.matrices}
        order |= {f"bias_{matrix.name}": [b.name for b in matrix.blocks if b.bias] for matrix in graph.matrices}
        order |= {vector.name: [b.name for b in vector.blocks] for vector in graph.vectors}
        for name, parameter in named.items():
            blocks += [
                Block(name, gate, part)
                for gate, part in zip(order[name], parameter.data.split(self.units), strict=True)
            ]
        return blocks


def _write(block: Block, value: torch.Tensor) -> None:
    """A matrix as it is; a vector is its first number everywhere, so that one number stands for a vector of ours."""
    block.values.copy_(value if block.values.dim() == 2 else value[0, 0].expand_as(block.values))


def _subsets(items: list[T]) -> list[tuple[T, ...]]:
    return [subset for size in range(len(items) + 1) for subset in combinations(items, size)]
