"""How each state depends on the past, read off the graph.

States that depend on each other, in whatever number of steps, recur together: they are a strongly connected component
of what reads what. Whatever a component reads of states outside of it can be known for all steps beforehand, like the
input. So its kind says what a run over time needs: a sum and a product for each unit, some function for each unit, or
a matrix.

References:
    Tarjan 1972, Depth-First Search and Linear Graph Algorithms, SIAM Journal on Computing 1.
    Martin & Cundy 2018, Parallelizing Linear Recurrent Neural Nets Over Sequence Length, arXiv 1709.04057: affine ones.
"""

from __future__ import annotations

from enum import IntEnum

from tidegate.cell import Graph, Node, Op
from tidegate.cell.graph import OUTSIDE, REDUCTIONS

SUMS = frozenset({Op.ADD, Op.SUB, Op.NEG})


class Recurrence(IntEnum):
    """How a state depends on the old values of its component. Each kind includes those before it."""

    NONE = 0  # not at all: it is a map of the input and of other states
    AFFINE = 1  # h' = a h + b, unit by unit; a and b depend on no state of the component
    UNITWISE = 2  # of each unit on the same unit alone, by whatever function
    DENSE = 3  # of each unit on others, through a matrix, a mean or a variance


def recurrences(graph: Graph) -> dict[str, Recurrence]:
    """The kind of each state, by its name.

    Args:
        graph: the cell.
    """
    reads = _reads(graph)
    kinds = {}
    for state in reads:
        together = {other for other in reads if other in reads[state] and state in reads[other]}
        kinds[state] = _kind(graph, together) if together else Recurrence.NONE
    return kinds


def runs_unit_by_unit(graph: Graph) -> bool:
    """Whether each unit can run through all steps by itself, once the input has been multiplied.

    Args:
        graph: the cell.
    """
    alone = all(kind <= Recurrence.UNITWISE for kind in recurrences(graph).values())
    of_input = (graph.nodes[operand].op in OUTSIDE for _, operand, _ in graph.products)
    return alone and all(of_input) and not any(node.op in REDUCTIONS for node in graph.nodes)


def _reads(graph: Graph) -> dict[str, set[str]]:
    """For each state those whose earlier values it depends on, in one step or in several."""
    reads = {}
    for state, update in zip(graph.states, graph.updates, strict=True):
        nodes = (graph.nodes[index] for index in graph.reaches((update,)))
        reads[state.name] = {node.name for node in nodes if node.op is Op.STATE}
    for between, through in reads.items():  # Warshall's closure
        for own in reads.values():
            own.update(through if between in own else ())
    return reads


def _kind(graph: Graph, together: set[str]) -> Recurrence:
    """The kind of a component of states."""
    kinds: list[Recurrence] = []
    for node in graph.nodes:
        own = node.op is Op.STATE and node.name in together
        kinds.append(Recurrence.AFFINE if own else _of_node(node, [kinds[arg] for arg in node.args]))
    updates = zip(graph.states, graph.updates, strict=True)
    return max(kinds[update] for state, update in updates if state.name in together)


def _of_node(node: Node, args: list[Recurrence]) -> Recurrence:
    """The kind of a value, by those of its arguments."""
    most = max(args, default=Recurrence.NONE)
    if most is Recurrence.NONE:
        return most
    if node.op is Op.PRODUCT or node.op in REDUCTIONS:
        return Recurrence.DENSE
    scaled = node.op is Op.MUL and min(args) is Recurrence.NONE
    divided = node.op is Op.DIV and args[1] is Recurrence.NONE
    if node.op in SUMS or scaled or divided:
        return most
    return max(most, Recurrence.UNITWISE)
