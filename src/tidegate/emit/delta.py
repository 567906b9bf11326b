"""Plans of delta networks, whose products are sums that are kept from step to step (Neil et al., ICML 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tidegate.emit.plan import Plan, Product

LINE_BYTES = 64  # what is remembered begins at whole lines


class Group(NamedTuple):
    """Neighbouring products of one operand.

    Attributes:
        kind: 0 if the operand is the input of the layer, 1 if it is a state or what a step makes of states.
        rows: of all its matrices together, that an element of the operand is multiplied by.
    """

    kind: int
    rows: int


class Remembered(NamedTuple):
    """What a delta run remembers of each sequence.

    Attributes:
        width: of a row of it.
        groups: by their numbers.
        biases: where sums begin as more than zeros: first column, tensor, first element, how many.
        multiplications: of a step of one sequence that sends everything, by kind.
    """

    width: int
    groups: tuple[Group, ...]
    biases: tuple[tuple[int, str, int, int], ...]
    multiplications: tuple[int, int]


def with_delta(plan: Plan, size: int, *, inputs: bool, states: bool) -> tuple[Plan, Remembered]:
    """The same forward run, whose products are sums of what changed.

    For each product M v the sum s(t) = s(t-1) + M (v(t) - sent(t-1)) is kept, where of the difference only those
    elements count that are above a threshold; these are sent(t), the others stay. At first s is the bias and sent is 0.

    Args:
        plan: a forward run, step after step.
        size: bytes of a number.
        inputs: whether products of the input are made so.
        states: whether all others are.
    """
    to_line = LINE_BYTES // size
    groups: list[Group] = []
    biases: list[tuple[int, str, int, int]] = []
    width = 0

    def room(columns: int) -> int:
        nonlocal width
        first, width = width, width + -(-columns // to_line) * to_line
        return first

    def remembered(products: Sequence[Product], kind: int) -> tuple[Product, ...]:
        made: list[Product] = []
        sent = 0
        for product in products:
            rows, heads = product.weight.rows, product.weight.heads
            if not made or made[-1].operand != product.operand:
                groups.append(Group(kind, 0))
                sent = room(product.weight.columns * heads)
            groups[-1] = Group(kind, groups[-1].rows + rows // heads)
            first = room(rows + (to_line if heads > 1 else 0))  # whole vectors are written, also where a head begins
            made.append(product._replace(group=len(groups) - 1, sum=first, sent=sent))
            if product.bias:
                biases.append((first, product.bias, product.bias_offset, rows))
        return tuple(made)

    whole = _multiplications(plan.before), sum(_multiplications(phase.products) for phase in plan.phases)
    if inputs:
        plan = plan._replace(before=remembered(plan.before, 0))
    if states:
        phases = [phase._replace(products=remembered(phase.products, 1)) for phase in plan.phases]
        plan = plan._replace(phases=tuple(phases))
    return plan, Remembered(width, tuple(groups), tuple(biases), whole)


def _multiplications(products: Sequence[Product]) -> int:
    return sum(product.weight.rows * product.weight.columns for product in products)
