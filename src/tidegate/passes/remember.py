"""Which values of a step to save for its derivative, and which to compute again.

Saved are results of functions (they cost time) and what no arithmetic can bring back. Computed again is arithmetic
on saved values, and a function of them: of an LSTM the four gates and the old cell state are saved, the new cell state
and its tanh are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidegate.spec.graph import Node, Op

FREE = frozenset({Op.CONST, Op.VECTOR, Op.MASK})  # there without being saved
CHEAP = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.MAXIMUM, Op.MINIMUM, Op.CLAMP, Op.RELU, Op.GREATER})
FUNCTIONS = frozenset({Op.SIGMOID, Op.TANH, Op.EXP, Op.LOG, Op.DIV})


def remember(nodes: Sequence[Node], needed: Iterable[int], forced: Iterable[int]) -> tuple[int, ...]:
    """The nodes to save so that all ``needed`` ones are there again.

    Args:
        nodes: the program.
        needed: nodes that the derivative reads.
        forced: nodes that must lie in memory as they are: operands of matrices, for the gradient of those.
    """
    needed = sorted(needed)
    saved = set(forced)
    saved |= {i for i in needed if nodes[i].op not in FREE | CHEAP}
    for index in needed:
        if nodes[index].op in CHEAP:
            missing = _sources(nodes, index, saved) - saved
            saved |= missing if len(missing) <= 1 else {index}
    for index in sorted(saved - set(forced), reverse=True):
        node, rest = nodes[index], saved - {index}
        again = set().union(*(_sources(nodes, arg, rest) for arg in node.args)) if node.args else {index}
        if node.op in CHEAP | FUNCTIONS and again <= rest:
            saved = rest
    return tuple(sorted(saved))


def _sources(nodes: Sequence[Node], index: int, saved: set[int]) -> set[int]:
    """What a value is made of by arithmetic alone, going no further than what is saved."""
    node = nodes[index]
    if node.op in FREE:
        return set()
    if index in saved or node.op not in CHEAP:
        return {index}
    return set().union(*(_sources(nodes, arg, saved) for arg in node.args))
