"""A stack of layers in whole numbers as functions of C."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tidegate.emit.c99 import Names, number
from tidegate.ship.c.array import Arrays
from tidegate.ship.c.int8.function import FUNCTIONS
from tidegate.ship.c.int8.writer import whole_text
from tidegate.ship.c.kernel import Kernel
from tidegate.ship.c.stack import Unit
from tidegate.ship.int8 import unit as whole
from tidegate.ship.int8.stack import Quantised


@dataclass(frozen=True)
class WholeUnit(Unit):
    """One layer in one direction.

    Attributes:
        whole: the same in NumPy.
    """

    STATE: ClassVar[tuple[str, int]] = "int16_t", 2
    functions: ClassVar[Mapping[str, str]] = FUNCTIONS

    whole: whole.Unit

    @property
    def called(self) -> frozenset[str]:
        return self.text.functions | {"enter", "leave"}

    def entered(self, row: str) -> list[str]:
        held, features = self.whole.input, self.form.widths[self.graph.input_axis]
        scale = number(2.0**held.fraction)
        return [f"int16_t whole[{features}];", f"@enter(whole, {row}, {scale}, {held.most}, {features});"]

    def input(self, _row: str) -> str:
        return "whole"

    def left(self, row: str, member: str) -> str:
        width = self.form.widths[self.graph.output.axis]
        return f"@leave({row}, {member}, {number(2.0**-self.whole.output.fraction)}, {width});"


def whole_units(
    quantised: Quantised, arrays: Arrays, kernel: Kernel, prefix: str, label: str = ""
) -> Iterator[WholeUnit]:
    """The layers of a stack, each with its directions.

    Args:
        quantised: the stack in whole numbers.
        arrays: takes the weights.
        kernel: lays matrices out.
        prefix: of all names.
        label: before the number of a layer, where there are several stacks.
    """
    for k, directions in enumerate(quantised.units):
        for d, unit in enumerate(directions):
            suffix = f"{label}l{k}{'_reverse' if d else ''}"
            first = {
                name: arrays.add(f"@first_{name}_{suffix}", values.astype(np.int16)) if values.any() else ""
                for name, values in unit.first.items()
            }
            text = whole_text(unit, _named(unit, arrays, kernel, suffix), prefix)
            yield WholeUnit(suffix, unit.form, text, first, unit)


def _named(unit: whole.Unit, arrays: Arrays, kernel: Kernel, suffix: str) -> Names:
    """Put all arrays there; how they and the states are called."""
    form = unit.form
    weights: list[list[str]] = []
    for calls, matrices in zip(form.calls, unit.weights, strict=True):
        weights.append([])
        for call, own in zip(calls, matrices, strict=True):
            of_all = len(call.blocks) == len(form.graph.matrix(call.matrix).blocks)
            label = f"@{call.matrix}_{suffix}" if of_all else f"@{call.matrix}_{'_'.join(call.blocks)}_{suffix}"
            stored = arrays.add(label, kernel.arrange(own.values.astype(np.int8)))
            weights[-1].append(f"{stored}, {arrays.add(f'{label}_scale', own.scale.astype(np.int16))}")
    vectors = {}
    for index, values in unit.vectors.items():
        node = form.nodes[index]
        label = f"@{node.matrix}_{suffix}" if node.name == node.matrix else f"@{node.matrix}_{node.name}_{suffix}"
        vectors[node.matrix, node.name] = arrays.add(label, values.astype(np.int16))
    states = {state.name: f"{state.name}_{suffix}" for state in form.graph.states}
    bias = arrays.add(f"@b_{suffix}", unit.bias.astype(np.int32)) if unit.bias.any() else ""
    return Names(states, weights, vectors, bias)
