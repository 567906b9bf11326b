"""Run a graph on any kind of value, given a table of what each operation does to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidegate.cell.function import Table
from tidegate.cell.graph import LEAVES, Graph, Node, Op

Leaf = Callable[[Node], Any]
Product = Callable[[Node, Any], Any]


def evaluate(
    graph: Graph, table: Table, leaf: Leaf, product: Product, given: Mapping[int, Any] | None = None
) -> list[Any]:
    """The value of every node.

    Args:
        graph: the program.
        table: what each pointwise operation does.
        leaf: the value of an input, state, vector, mask or constant node.
        product: the value of a product node, from the node and the value of its operand.
        given: values that replace those of some nodes.
    """
    values: list[Any] = []
    for index, node in enumerate(graph.nodes):
        if given is not None and index in given:
            values.append(given[index])
        elif node.op in LEAVES:
            values.append(leaf(node))
        elif node.op is Op.PRODUCT:
            values.append(product(node, values[node.args[0]]))
        else:
            values.append(table[node.op](*(values[arg] for arg in node.args)))
    return values
