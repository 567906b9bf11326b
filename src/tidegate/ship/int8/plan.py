"""How each value of a cell is held in a whole number: how many bits lie behind the point, and what it may reach.

A rule for each operation says how its value follows from those of its arguments. Intervals of the whole numbers are
carried along, so no number can need more than 32 bits, whatever the input is. Where a product of two values needs a
shorter one than its interval allows, the range that calibration saw is kept, and what lies outside is cut off there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tidegate.cell.graph import Node, Op
from tidegate.emit.sums import Form
from tidegate.errors import EmitError
from tidegate.ship.int8.whole import ONE, SHORT, Whole

LARGEST = 2**30  # of any value, so that 32 bits have room for a sum of two, or for half a unit to round with
MOST_FRACTION = 24  # bits behind the point of a sum; more tell nothing new
MARGIN = 1.1  # by which a value may leave the range that calibration saw


@dataclass(frozen=True)
class Format:
    """How a value is held.

    Attributes:
        fraction: bits behind the point.
        low: the smallest whole number that it can be.
        high: the largest.
    """

    fraction: int
    low: int
    high: int

    @property
    def most(self) -> int:
        return max(-self.low, self.high)


Held = tuple[Whole, Format]


def symmetric(fraction: int, most: int) -> Format:
    return Format(fraction, -most, most)


def fraction_of(largest: float, most: int = SHORT) -> int:
    """The most bits behind the point with which a number of this size is still no larger than ``most``, about."""
    return min(MOST_FRACTION, math.floor(math.log2((most + 1) / largest))) if largest else ONE


class Planner:
    """Finds the expression of every node.

    Args:
        form: the step of the cell.
        ranges: the largest size of each node's values in calibration.
        leaves: the formats of the input, states, vectors and sums, by node.
        most: for what a matrix multiplies, the largest whole number that its sums have room for, by node.
        kept: the formats of computed values that a state keeps, by node.
    """

    def __init__(
        self,
        form: Form,
        ranges: Mapping[int, float],
        leaves: Mapping[int, Format],
        most: Mapping[int, int],
        kept: Mapping[int, Format],
    ) -> None:
        self.form, self.ranges = form, ranges
        self.formats: dict[int, Format] = dict(leaves)
        self.trees: dict[int, Whole] = {}
        for index, node in enumerate(form.nodes):
            if index in self.formats or node.op is Op.CONST or node.op is Op.PRODUCT:
                continue
            if index in self.inside_sums:
                continue
            tree, held = _rule(form, node)(self, node)
            if index in kept:
                tree, held = self.narrow(self.at((tree, held), kept[index].fraction), kept[index].most)
            elif index in most:
                tree, held = self.short((tree, held), index, most[index])
            self.trees[index], self.formats[index] = tree, held

    @property
    def inside_sums(self) -> frozenset[int]:
        return frozenset(part for row in self.form.sums for part in row.parts)

    def value(self, index: int) -> Held:
        return Whole("value", number=index), self.formats[index]

    def number(self, value: float, fraction: int) -> Held:
        whole = round(value * 2**fraction)
        return Whole("number", number=whole), Format(fraction, whole, whole)

    def constant(self, index: int) -> float | None:
        node = self.form.nodes[index]
        return node.value if node.op is Op.CONST else None

    def at(self, held: Held, fraction: int) -> Held:
        """The same with so many bits behind the point; to get more of them, what is too large is cut off."""
        tree, form = held
        bits = form.fraction - fraction
        if bits > 0:
            half = 1 << (bits - 1)
            return Whole("rounded", (tree,), bits), Format(
                fraction, (form.low + half) >> bits, (form.high + half) >> bits
            )
        if bits < 0:
            tree, form = self.narrow((tree, form), LARGEST >> -bits)
            return Whole("raised", (tree,), -bits), Format(fraction, form.low << -bits, form.high << -bits)
        return held

    def narrow(self, held: Held, most: int) -> Held:
        tree, form = held
        if form.most <= most:
            return held
        return Whole("narrowed", (tree,), most), Format(form.fraction, max(form.low, -most), min(form.high, most))

    def short(self, held: Held, index: int, most: int = 1 << ONE) -> Held:
        """So short that a product of two such values has room."""
        if held[1].most <= most:
            return held
        fraction = min(held[1].fraction, fraction_of(self.ranges[index] * MARGIN, most))
        return self.narrow(self.at(held, fraction), most)

    def alike(self, one: Held, other: Held) -> tuple[Held, Held]:
        """Both with the same bits behind the point."""
        fraction = min(one[1].fraction, other[1].fraction)
        return self.at(one, fraction), self.at(other, fraction)

    def pair(self, node: Node) -> tuple[Held, Held]:
        """Both arguments, a constant as exact as the other one is."""
        one, other = node.args
        constants = [self.constant(arg) for arg in node.args]
        if constants[0] is not None:
            held = self.value(other)
            return self.number(constants[0], self._room(held, constants[0])), held
        held = self.value(one)
        if constants[1] is not None:
            return held, self.number(constants[1], self._room(held, constants[1]))
        return held, self.value(other)

    def _room(self, held: Held, constant: float) -> int:
        return min(held[1].fraction, fraction_of(abs(constant), 2**29))


def _added(does: str, sign: int) -> Callable[[Planner, Node], Held]:
    def rule(planner: Planner, node: Node) -> Held:
        pair = planner.pair(node)
        fraction = min(held.fraction for _, held in pair)
        while True:
            a, b = (planner.at(held, fraction) for held in pair)
            ends = sorted(sign * end for end in (b[1].low, b[1].high))
            held = Format(fraction, a[1].low + ends[0], a[1].high + ends[1])
            if held.most <= LARGEST:
                return Whole(does, (a[0], b[0])), held
            fraction -= 1

    return rule


def _multiplied(planner: Planner, node: Node) -> Held:
    constants = [planner.constant(arg) for arg in node.args]
    if any(c is not None for c in constants):
        place = 0 if constants[0] is not None else 1
        return _scaled(planner, node.args[1 - place], float(constants[place] or 0.0))
    a, b = (planner.short(planner.value(arg), arg) for arg in node.args)
    corners = [v * w for v in (a[1].low, a[1].high) for w in (b[1].low, b[1].high)]
    return Whole("multiply", (a[0], b[0])), Format(a[1].fraction + b[1].fraction, min(corners), max(corners))


def _scaled(planner: Planner, index: int, factor: float) -> Held:
    """Times a number; a power of two only moves the point."""
    tree, held = planner.value(index)
    mantissa, exponent = math.frexp(factor)
    if mantissa == 0.5:
        return tree, replace(held, fraction=held.fraction - exponent + 1)
    one, other = planner.short((tree, held), index), planner.number(factor, fraction_of(abs(factor)))
    ends = sorted(end * other[1].low for end in (one[1].low, one[1].high))
    return Whole("multiply", (one[0], other[0])), Format(one[1].fraction + other[1].fraction, *ends)


def _divided(planner: Planner, node: Node) -> Held:
    divisor = planner.constant(node.args[1])
    if not divisor:
        raise _refused(planner.form, node)
    return _scaled(planner, node.args[0], 1 / divisor)


def _negated(planner: Planner, node: Node) -> Held:
    tree, held = planner.value(node.args[0])
    return Whole("negate", (tree,)), Format(held.fraction, -held.high, -held.low)


def _extreme(does: str, chosen: Callable[[int, int], int]) -> Callable[[Planner, Node], Held]:
    def rule(planner: Planner, node: Node) -> Held:
        a, b = planner.alike(*planner.pair(node))
        ends = chosen(a[1].low, b[1].low), chosen(a[1].high, b[1].high)
        return Whole(does, (a[0], b[0])), Format(a[1].fraction, *ends)

    return rule


def _positive(planner: Planner, node: Node) -> Held:
    tree, held = planner.value(node.args[0])
    return Whole("larger", (tree, Whole("number"))), Format(held.fraction, max(held.low, 0), max(held.high, 0))


def _clamped(planner: Planner, node: Node) -> Held:
    a, b = planner.alike(*planner.pair(node))
    high = Whole("smaller", (a[0], b[0]))
    most = min(a[1].most, max(b[1].high, 0))
    return Whole("larger", (high, Whole("negate", (b[0],)))), symmetric(a[1].fraction, most)


def _function(does: str, fraction: int, low: int) -> Callable[[Planner, Node], Held]:
    def rule(planner: Planner, node: Node) -> Held:
        tree, _ = planner.at(planner.value(node.args[0]), fraction)
        return Whole(does, (tree,)), Format(ONE, low, 1 << ONE)

    return rule


RULES: Mapping[Op, Callable[[Planner, Node], Held]] = {
    Op.ADD: _added("add", 1),
    Op.SUB: _added("subtract", -1),
    Op.MUL: _multiplied,
    Op.DIV: _divided,
    Op.NEG: _negated,
    Op.MAXIMUM: _extreme("larger", max),
    Op.MINIMUM: _extreme("smaller", min),
    Op.RELU: _positive,
    Op.CLAMP: _clamped,
    Op.TANH: _function("tanh", ONE, -(1 << ONE)),
    Op.SIGMOID: _function("sigmoid", ONE - 1, 0),
}


def _rule(form: Form, node: Node) -> Callable[[Planner, Node], Held]:
    if node.op not in RULES:
        raise _refused(form, node)
    return RULES[node.op]


def _refused(form: Form, node: Node) -> EmitError:
    return EmitError(
        "INT8_OPERATION",
        f"{form.graph.name} has an operation without a form in whole numbers: {node.op}",
        fix="ship it with weights of float32",
    )
