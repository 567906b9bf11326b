"""A cell's graph as a function of one step, for libraries that compile a scan over time.

Written as one would by hand: the products with the input are done for all steps at once, products that share matrix
and operand are one product, and a bias that is only added to an input product is added there, before the loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, product
from typing import Any

from tidegate.cell.evaluate import evaluate
from tidegate.cell.function import Table
from tidegate.cell.graph import Graph, Matrix, Node, Op
from tidegate.passes.recurrence import Recurrence, recurrences, runs_unit_by_unit


class Step:
    """One step of a cell on arrays of some library.

    Args:
        graph: the cell.
        weights: by their names in the graph.
        widths: of the axes.
        table: what each pointwise operation does to these arrays.
        library: numpy, or what has its ``concatenate``, ``split`` and ``zeros_like``.
    """

    def __init__(
        self, graph: Graph, weights: Mapping[str, Any], widths: Mapping[str, int], table: Table, library: Any
    ) -> None:
        weights = _with_early_biases(graph, weights, widths, library)
        self._graph, self._weights, self._table = graph, weights, table
        self._blocks = {vector.name: _places(vector.blocks, widths) for vector in graph.vectors}
        self._products = {
            (name, operand): _Product(
                graph.matrix(name), [graph.nodes[index].name for index in group], weights, widths, library
            )
            for name, operand, group in graph.products
        }
        self._early = [key for key in self._products if graph.nodes[key[1]].op is Op.INPUT]
        itself = (index for index, node in enumerate(graph.nodes) if node.op is Op.INPUT)
        users = (node for node in graph.nodes if node.op is not Op.PRODUCT)
        self._raw = any(index in node.args for node, index in product(users, [*itself]))

    def inputs(self, x: Any) -> tuple[Any, ...]:
        """The products with the input, for all steps, and the input if a step reads it: what the scan runs over."""
        return (*(self._products[key].of(x) for key in self._early), *[x] * self._raw)

    def __call__(self, states: Sequence[Any], inputs: Sequence[Any]) -> tuple[Any, ...]:
        """The new states; the first one is the output. Given whole series, it does that for every step."""
        made = {key: self._products[key].split(v) for key, v in zip(self._early, inputs, strict=False)}
        named = {state.name: value for state, value in zip(self._graph.states, states, strict=True)}

        def leaf(node: Node) -> Any:
            if node.op is Op.CONST:
                return node.value
            if node.op is Op.INPUT:
                return inputs[-1] if self._raw else None
            if node.op is Op.VECTOR:
                return self._weights[node.matrix][self._blocks[node.matrix][node.name]]
            return named.get(node.name)

        def multiplied(node: Node, operand: Any) -> Any:
            key = (node.matrix, node.args[0])
            if key not in made:
                made[key] = self._products[key].split(self._products[key].of(operand))
            return made[key][node.name]

        values = evaluate(self._graph, self._table, leaf, multiplied)
        return tuple(values[index] for index in self._graph.updates)


def affine(graph: Graph) -> bool:
    """Whether the only state h of a cell is a_t h + b_t, with a_t and b_t of the input alone."""
    return runs_unit_by_unit(graph) and [*recurrences(graph).values()] == [Recurrence.AFFINE]


def combined(earlier: tuple[Any, Any], later: tuple[Any, Any]) -> tuple[Any, Any]:
    """Two steps a h + b as one: what an associative scan takes."""
    return earlier[0] * later[0], later[0] * earlier[1] + later[1]


class _Product:
    """The chosen row blocks of a matrix, multiplied at once."""

    def __init__(
        self, matrix: Matrix, chosen: list[str], weights: Mapping[str, Any], widths: Mapping[str, int], library: Any
    ) -> None:
        blocks = [block for block in matrix.blocks if block.name in chosen]
        rows = _places(matrix.blocks, widths)
        weight, bias = weights[f"weight_{matrix.name}"], weights.get(f"bias_{matrix.name}")
        self._places, self._library = _places(blocks, widths), library
        self._weight = library.concatenate([weight[rows[block.name]] for block in blocks]).T  # once, not at each step
        self._bias = None
        if bias is not None:
            biased = _places([block for block in matrix.blocks if block.bias], widths)
            none = library.zeros_like(weight[:, 0])
            parts = [bias[biased[b.name]] if b.bias else none[rows[b.name]] for b in blocks]
            self._bias = library.concatenate(parts)

    def of(self, operand: Any) -> Any:
        value = operand @ self._weight
        return value if self._bias is None else value + self._bias

    def split(self, value: Any) -> dict[str, Any]:
        """The product by blocks; not by slices, whose gradients would be padded and added."""
        *ends, _ = (place.stop for place in self._places.values())
        return dict(zip(self._places, self._library.split(value, ends, -1), strict=True))


def _with_early_biases(
    graph: Graph, weights: Mapping[str, Any], widths: Mapping[str, int], library: Any
) -> dict[str, Any]:
    """The weights, with biases of recurrent products moved to those of the input where that is the same."""
    first, *recurrent = graph.matrices
    moved = dict(weights)
    for matrix in recurrent:
        movable = {block.name for block in matrix.blocks if block.bias and _meets_input(graph, matrix.name, block.name)}
        if not movable:
            continue
        bias = _parts(matrix, weights, widths)
        early = _parts(first, moved, widths)
        moved[f"bias_{first.name}"] = library.concatenate(
            [early[n] + bias[n] if n in movable else early[n] for n in early]
        )
        rest = [library.zeros_like(bias[n]) if n in movable else bias[n] for n in bias]
        moved[f"bias_{matrix.name}"] = None if movable == bias.keys() else library.concatenate(rest)
    return moved


def _meets_input(graph: Graph, matrix: str, block: str) -> bool:
    """Whether a product does nothing but be added to the product of the input of the same name, which has a bias."""
    first = graph.matrices[0]
    of = {(node.matrix, node.name): index for index, node in enumerate(graph.nodes) if node.op is Op.PRODUCT}
    mine, other = of.get((matrix, block)), of.get((first.name, block))
    users = [node for node in graph.nodes if mine in node.args]
    biased = any(b.name == block and b.bias for b in first.blocks)
    return biased and [set(node.args) for node in users if node.op is Op.ADD] == [{mine, other}] and len(users) == 1


def _parts(matrix: Matrix, weights: Mapping[str, Any], widths: Mapping[str, int]) -> dict[str, Any]:
    """The bias of a matrix, block by block."""
    places = _places([block for block in matrix.blocks if block.bias], widths)
    return {name: weights[f"bias_{matrix.name}"][place] for name, place in places.items()}


def _places(blocks: Sequence[Any], widths: Mapping[str, int]) -> dict[str, slice]:
    """Where each block lies when they stand below each other."""
    sizes = [widths[block.axis] for block in blocks]
    return {b.name: slice(end - n, end) for b, n, end in zip(blocks, sizes, accumulate(sizes), strict=True)}
