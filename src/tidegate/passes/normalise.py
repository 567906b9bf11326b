"""Layer normalisation of any cell: graph to graph (Ba, Kiros & Hinton 2016, arXiv 1607.06450)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from tidegate.cell.graph import Block, Graph, Node, Op, Vector
from tidegate.cell.norm import layer_norm
from tidegate.cell.parameter import PROJECTION, bias_of, factor_of, factored, gain_of
from tidegate.cell.symbol import Symbol, Tracer
from tidegate.cell.verify import verify_derived
from tidegate.errors import SpecError

Over = Literal["all", "each"]


def normalise(graph: Graph, over: Over = "all") -> Graph:
    """The same cell with its products and its cell state normalised.

    Row blocks of one matrix that multiply one operand are normalised over all their units together, or each by
    itself, times a gain for each unit, plus what was the bias of the matrix:

        ``W x + b`` becomes ``norm_W * layer_norm(W x) + b``

    Where a cell has one more state than its output (c of an LSTM), whatever else a step makes of its new
    value, the output above all, sees ``norm_c * layer_norm(c) + bias_c``. The next step still gets c itself.

    For an LSTM this is what the paper prints: W x and U h each over four blocks, and the cell state before its tanh. Of
    the paper's three biases of a gate those of the two norms are kept; the third would add nothing. Elsewhere this
    differs from the paper, which normalises the sum W x + U h of an RNN at once, and of a GRU z and r together but n
    by itself. A GRU is normalised as it is written: a reset gate after the product acts on the normalised one. A
    gate that sees the new cell state through a peephole sees the normalised one, of which the paper says nothing.

    Args:
        graph: the cell. A projection is left alone.
        over: ``"all"`` blocks together, or ``"each"`` by itself.

    Raises:
        SpecError: the cell is normalised already.
    """
    if any(vector.name == gain_of(matrix.name) for vector in graph.vectors for matrix in graph.matrices):
        raise SpecError("NORMALISED", f"{graph.name} is normalised already", fix="drop layer_norm=")
    normal = _Normaliser(graph, over).graph_of()
    verify_derived(normal, "normalise")
    return normal


class _Normaliser:
    """Copies a cell node by node and inserts the norms."""

    def __init__(self, graph: Graph, over: Over) -> None:
        self.graph, self.over = graph, over
        self.plain = {PROJECTION, *map(factor_of, factored(graph))}  # matrices that are left alone
        self.tracer = Tracer()
        self.inner = _inner_state(graph)
        self.products: dict[int, Symbol] = {}  # normalised, with gain and bias
        self.values: list[Symbol] = []  # of each node of the cell
        self.seen: list[Symbol] = []  # as later nodes see them
        for index, node in enumerate(graph.nodes):
            self.values.append(self._value(index, node))
            self.seen.append(self._as_seen(index))

    def _value(self, index: int, node: Node) -> Symbol:
        if node.op is not Op.PRODUCT or node.matrix in self.plain:
            return self._copied(node)
        if index not in self.products:
            group = next(group for _, _, group in self.graph.products if index in group)
            for together in self._together(group):
                self._normalise(together)
        return self.products[index]

    def _copied(self, node: Node) -> Symbol:
        return self.tracer.add(replace(node, args=tuple(self.seen[arg].index for arg in node.args)))

    def _together(self, group: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Which products of a group are normalised together: of one width, if at all."""
        if self.over == "each":
            return [(index,) for index in group]
        axes = dict.fromkeys(self.graph.nodes[index].axis for index in group)
        return [tuple(i for i in group if self.graph.nodes[i].axis == axis) for axis in axes]

    def _normalise(self, together: tuple[int, ...]) -> None:
        nodes = [self.graph.nodes[index] for index in together]
        normal = layer_norm(*map(self._copied, nodes))
        for index, node, value in zip(together, nodes, normal if len(nodes) > 1 else (normal,), strict=True):
            block = next(block for block in self.graph.matrix(node.matrix).blocks if block.name == node.name)
            self.products[index] = self._scaled(value, node.matrix, block)

    def _scaled(self, value: Symbol, name: str, block: Block) -> Symbol:
        """Times a gain, and plus a bias if the block has one."""
        scaled = self._block(gain_of(name), block) * value
        return scaled + self._block(bias_of(name), block) if block.bias else scaled

    def _block(self, vector: str, block: Block) -> Symbol:
        return self.tracer.add(Node(Op.VECTOR, name=block.name, matrix=vector, axis=block.axis))

    def _as_seen(self, index: int) -> Symbol:
        if self.inner is None or index != self.graph.updates[1]:
            return self.values[index]
        return self._scaled(layer_norm(self.values[index]), self.inner.name, self.inner)

    def graph_of(self) -> Graph:
        matrices = self.graph.matrices
        biased = [Vector(bias_of(m.name), tuple(_plain(b) for b in m.blocks if b.bias)) for m in matrices if m.has_bias]
        gains = [Vector(gain_of(m.name), tuple(map(_plain, m.blocks))) for m in matrices if m.name not in self.plain]
        if self.inner:
            names = [gain_of, bias_of] if self.inner.bias else [gain_of]
            gains += [Vector(name(self.inner.name), (_plain(self.inner),)) for name in names]
        return replace(
            self.graph,
            matrices=tuple(replace(matrix, blocks=tuple(map(_plain, matrix.blocks))) for matrix in matrices),
            vectors=(*biased, *self.graph.vectors, *gains),
            nodes=tuple(self.tracer.nodes),
            updates=tuple(self.values[index].index for index in self.graph.updates),
            gates=tuple((name, self.values[index].index) for name, index in self.graph.gates),
        )


def _plain(block: Block) -> Block:
    return replace(block, bias=False)


def _inner_state(graph: Graph) -> Block | None:
    """The one further state, if its new value is computed and the output made from it."""
    if len(graph.states) != 2:
        return None
    output, update = graph.updates
    if update == output or not graph.nodes[update].args or update not in graph.reaches((output,)):
        return None
    state = graph.states[1]
    return Block(state.name, state.axis, bias=any(matrix.has_bias for matrix in graph.matrices))
