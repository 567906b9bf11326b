"""What passes share that change some values of a cell: its nodes copied, one by one, into a new graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tidegate.cell.graph import Graph, Mask, Node, Op, Vector
from tidegate.cell.symbol import Symbol, Tracer
from tidegate.cell.verify import verify

Change = Callable[["Rewriter", int, Sequence[Symbol]], Symbol | None]


class Rewriter(Tracer):
    """A tracer that begins with the nodes of a graph.

    Args:
        graph: what is copied.
        change: called with the rewriter, the position of a node and its arguments in the copy; returns what stands for
            the node, None for the node as it is.

    Attributes:
        values: for each node of the graph what stands for it.
    """

    def __init__(self, graph: Graph, change: Change | None = None) -> None:
        super().__init__()
        self.graph, self.values = graph, list[Symbol]()
        self._masks = {mask.name: mask for mask in graph.masks}
        self._vectors = {vector.name: vector for vector in graph.vectors}
        for index, node in enumerate(graph.nodes):
            args = [self.values[arg] for arg in node.args]
            changed = change(self, index, args) if change else None
            self.values.append(self.copy(node, args) if changed is None else changed)

    def copy(self, node: Node, args: Sequence[Symbol]) -> Symbol:
        """The node with these arguments."""
        return self.add(replace(node, args=tuple(arg.index for arg in args)))

    def mask(self, name: str, axis: str, each: str) -> Symbol:
        """A mask, declared where it is not yet."""
        self._masks.setdefault(name, Mask(name, axis, each))
        return self.add(Node(Op.MASK, name=name, axis=axis))

    def vector(self, name: str, axis: str) -> Symbol:
        """A per-unit parameter, declared where it is not yet."""
        self._vectors.setdefault(name, Vector.of_units(name, axis))
        return self.add(Node(Op.VECTOR, name=name, matrix=name, axis=axis))

    def finished(self, updates: Sequence[Symbol] | None = None) -> Graph:
        """The new graph, whose states take these values; unless given, what stands for the old ones.

        Raises:
            SpecError: it breaks a rule of ``spec.verify``.
        """
        graph, values = self.graph, self.values
        updates = [values[index] for index in graph.updates] if updates is None else updates
        of_state = {state.name: new for state, new in zip(graph.states, updates, strict=True)}
        gates = [(name, of_state.get(name, values[index]).index) for name, index in graph.gates]
        done = replace(
            graph,
            nodes=tuple(self.nodes),
            vectors=tuple(self._vectors.values()),
            updates=tuple(update.index for update in updates),
            gates=tuple(gates),
            masks=tuple(self._masks.values()),
        )
        verify(done)
        return done
