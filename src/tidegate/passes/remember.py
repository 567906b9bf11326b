"""Which values of a step to save for its derivative, and which to compute again.

Saved are results of functions (they cost time) and what no arithmetic can bring back. Computed again is arithmetic
on saved values, and a function of them: of an LSTM the four gates and the old cell state are saved, the new cell state
and its tanh are not. One number a row costs nothing to save, and a mean or a variance much to compute again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidegate.cell.graph import Node, Op, is_narrow

FREE = frozenset({Op.CONST, Op.VECTOR, Op.MASK, Op.GIVEN})  # there without being saved
CHEAP = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.MAXIMUM, Op.MINIMUM, Op.CLAMP, Op.RELU})
CHEAP |= {Op.GREATER, Op.SELECT, Op.SPREAD}
FUNCTIONS = frozenset({Op.SIGMOID, Op.TANH, Op.EXP, Op.LOG, Op.LOG_SIGMOID, Op.SQRT, Op.DIV})


def remember(nodes: Sequence[Node], needed: Iterable[int], forced: Iterable[int]) -> tuple[int, ...]:
    """The nodes to save so that all ``needed`` ones are there again.

    Args:
        nodes: the program.
        needed: nodes that the derivative reads.
        forced: nodes that must lie in memory as they are: operands of matrices, for the gradient of those.
    """
    needed = sorted(needed)
    saved = set(forced)
    saved |= {i for i in needed if nodes[i].op not in FREE | CHEAP or (is_narrow(nodes[i].axis) and nodes[i].args)}
    for index in needed:
        if nodes[index].op in CHEAP:
            missing = _sources(nodes, index, saved) - saved
            vectors = [i for i in missing if not is_narrow(nodes[i].axis)]
            saved |= missing if len(vectors) <= 1 else {index}
    for index in sorted(saved - set(forced), reverse=True):
        node, rest = nodes[index], saved - {index}
        if is_narrow(node.axis):
            continue
        again = set().union(*(_sources(nodes, arg, rest) for arg in node.args)) if node.args else {index}
        if node.op in CHEAP | FUNCTIONS and again <= rest:
            saved = rest
    return tuple(sorted(saved))


def _sources(nodes: Sequence[Node], index: int, saved: set[int]) -> set[int]:
    """What a value is made of by arithmetic alone, going no further than what is saved."""
    found, seen, stack = set[int](), set[int](), [index]
    while stack:
        at = stack.pop()
        node = nodes[at]
        if at in seen or node.op in FREE:
            continue
        seen.add(at)
        if at in saved or node.op not in CHEAP or is_narrow(node.axis):
            found.add(at)
        else:
            stack.extend(node.args)
    return found
