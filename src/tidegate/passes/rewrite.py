"""Copies a cell node by node into a new graph: the base of all passes that change some of its values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tidegate.cell.graph import Graph, Mask, Matrix, Node, Op, Vector
from tidegate.cell.initial import Initial
from tidegate.cell.symbol import Symbol, Tracer
from tidegate.cell.verify import check_name, verify_derived
from tidegate.errors import SpecError

Change = Callable[["Rewriter", int, Sequence[Symbol]], Symbol | None]


class Rewriter(Tracer):
    """A tracer that begins with the nodes of a graph.

    Args:
        maker: the name of the pass, for the error if its graph is invalid.
        graph: what is copied.
        change: called with the rewriter, the position of a node and its arguments in the copy; returns what stands for
            the node, None for the node as it is.

    Attributes:
        values: for each node of the graph what stands for it.
    """

    def __init__(self, maker: str, graph: Graph, change: Change | None = None) -> None:
        super().__init__()
        self._maker = maker
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

    def setting(self, name: str, value: float) -> Symbol:
        """A number that somebody chose for the layer. It is no part of the compiled code, as a constant would be."""
        return self.add(Node(Op.CONST, name=name, value=float(value)))

    def mask(self, name: str, axis: str, each: str) -> Symbol:
        """A mask, declared at its first use.

        Args:
            name: of the mask.
            axis: its width.
            each: ``"step"`` or ``"sequence"``; see ``cell.Mask``.

        Raises:
            SpecError: the definition of the cell uses this name, or it is too long.
        """
        self._check_free(name)
        self._masks.setdefault(name, Mask(name, axis, each))
        return self.add(Node(Op.MASK, name=name, axis=axis))

    def vector(self, name: str, axis: str) -> Symbol:
        """A vector parameter, declared at its first use.

        Args:
            name: of the parameter.
            axis: its width.

        Raises:
            SpecError: the definition of the cell uses this name, or it is too long.
        """
        self._check_free(name)
        self._vectors.setdefault(name, Vector.of_units(name, axis))
        return self.add(Node(Op.VECTOR, name=name, matrix=name, axis=axis))

    def _check_free(self, name: str) -> None:
        """Refuse what only the author of the cell can change."""
        if complaint := check_name(name):
            message = f"{self._maker} adds a name to {self.graph.name}, but {complaint}"
            raise SpecError("NAME_DERIVED", message, fix="shorten the name in the cell that it is made from")
        declared = [*self.graph.parameters, *self.graph.states, *self.graph.given]
        if name in {item.name for item in declared} | {gate for gate, _ in self.graph.gates}:
            raise SpecError(
                "NAME_TAKEN",
                f"{self.graph.name} declares {name}, a name that {self._maker} needs for itself",
                fix="give it another name in the definition of the cell",
            )

    def free(self, name: str) -> str:
        """The name of a parameter that the pass adds.

        Raises:
            SpecError: the definition of the cell uses this name, or it is too long.
        """
        self._check_free(name)
        return name

    def finished(
        self,
        updates: Sequence[Symbol] | None = None,
        matrices: tuple[Matrix, ...] | None = None,
        vectors: tuple[Vector, ...] | None = None,
        initial: tuple[Initial, ...] | None = None,
    ) -> Graph:
        """The new graph.

        Args:
            updates: the new values of the states; unless given, what stands for the old ones.
            matrices: in the place of those of the graph.
            vectors: in the place of those of the graph and of those that the pass has declared.
            initial: how parameters begin, in the place of what the graph says.

        Raises:
            InternalError: the pass broke a rule of ``cell.verify``.
        """
        graph, values = self.graph, self.values
        updates = [values[index] for index in graph.updates] if updates is None else updates
        of_state = {state.name: new for state, new in zip(graph.states, updates, strict=True)}
        gates = [(name, of_state.get(name, values[index]).index) for name, index in graph.gates]
        rewritten = replace(
            graph,
            matrices=graph.matrices if matrices is None else matrices,
            nodes=tuple(self.nodes),
            vectors=tuple(self._vectors.values()) if vectors is None else vectors,
            updates=tuple(update.index for update in updates),
            gates=tuple(gates),
            masks=tuple(self._masks.values()),
            initial=graph.initial if initial is None else initial,
        )
        verify_derived(rewritten, self._maker)
        return rewritten
