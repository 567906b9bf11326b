"""Our own side: which row of the table a layer is, how its arrays hold it, reading and writing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from tidegate.cell import Graph
from tidegate.cell.graph import Block as StoredBlock
from tidegate.cell.graph import Matrix, State, Vector
from tidegate.cell.parameter import parameter_shapes, step_attribute
from tidegate.convert.activation import Activation, in_onnx, write_onnx
from tidegate.convert.layout import Array, Arrays, Block, Layout, Stored, Widths
from tidegate.convert.structure import Identity, identify
from tidegate.errors import InputError
from tidegate.nn import Recurrent, RecurrentCell
from tidegate.runtime.heads import stored, whole

BIAS_OF = {"W": "b", "U": "d"}


class Own:
    """A layer, or a cell of one step, as the table sees it.

    Attributes:
        layer: the layer or the cell.
        graph: its equations.
        identity: what it is in the table; None for a cell that no other framework has.
        layout: how its arrays hold the cell, named as in ``parameter_shapes``, in the words of its row.
        pieces: the same in its own words, for pieces by gate.
        layers: how many are stacked.

    Raises:
        InputError: it is neither a layer nor a cell of ours.
    """

    layer: Any

    def __init__(self, layer: Any) -> None:
        if not isinstance(layer, (Recurrent, RecurrentCell)):
            raise InputError(
                "CONVERT_LAYER",
                f"expected a layer or a cell of tidegate.nn, got {type(layer).__name__}",
                fix="tidegate.accelerate makes torch's layers Tidegate's",
            )
        self.layer = layer
        self.is_step = isinstance(layer, RecurrentCell)
        self.graph: Graph = layer.graph
        self.initial: tuple[str, ...] = () if self.is_step else self.layer.options.first_states(self.graph)
        self.identity = identify(self.graph)
        self.pieces = _layout(self.graph, None, self.initial)
        self.layout = _layout(self.graph, self.identity, self.initial)
        self.layers: int = 1 if self.is_step else self.layer.num_layers

    @property
    def row(self) -> str:
        return self.identity.row if self.identity else ""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.graph.name}{'' if self.layer.bias else ' without bias'}"

    @property
    def directions(self) -> tuple[bool, ...]:
        """Whether each pass over the input is the reverse one."""
        return (False, True) if not self.is_step and self.layer.bidirectional else (False,)

    def passes(self) -> Iterator[tuple[int, bool, Widths]]:
        """Layer, direction and widths of each pass, layers first."""
        for layer in range(self.layers):
            cell = self.layer.definition() if self.is_step else self.layer.cells[layer]
            for reverse in self.directions:
                yield layer, reverse, cell.widths

    def read(self, layer: int, *, reverse: bool) -> Arrays:
        widths = self.layer.definition().widths if self.is_step else self.layer.cells[layer].widths
        names = [*parameter_shapes(self.graph, widths), *self.initial]
        held = {n: as_array(getattr(self.layer, self._attribute(n, layer, reverse=reverse))) for n in names}
        for matrix in self._in_heads:
            weight = torch.from_numpy(held[f"weight_{matrix.name}"])
            held[f"weight_{matrix.name}"] = whole(weight, _rows(matrix, widths), matrix.heads).numpy()
        return held

    def write(self, arrays: dict[tuple[int, bool], Arrays]) -> None:
        """All arrays of all passes, rounded to the layer's dtype.

        Raises:
            InputError: a parametrized layer, a matrix in which units see other heads than the layer lets them, or
                different values for what is shared.
        """
        for layer, reverse, widths in self.passes():
            self._cut_heads(arrays[layer, reverse], widths)
        new: dict[str, torch.Tensor] = {}
        for (layer, reverse), of_pass in arrays.items():
            for name, value in of_pass.items():
                here, tensor = (
                    self._attribute(name, layer, reverse=reverse),
                    torch.from_numpy(np.ascontiguousarray(value)),
                )
                if not torch.equal(new.setdefault(here, tensor), tensor):
                    raise InputError(
                        "CONVERT_LAYER",
                        f"{here} is shared in {self.layer}, but what is loaded has different values for it",
                        fix="load into a layer without share=",
                    )
        held = self.layer.state_dict()
        if not new.keys() <= held.keys():
            raise InputError(
                "CONVERT_LAYER",
                f"the layer does not hold {', '.join(sorted(new.keys() - held.keys()))} itself, as when parametrized",
                fix="load into a plain layer first, then parametrize it",
            )
        self.layer.load_state_dict({**held, **new})

    @property
    def _in_heads(self) -> list[Matrix]:
        """The matrices that the layer stores without the zeros between heads, which others store with them."""
        return [matrix for matrix in self.graph.matrices if matrix.heads > 1]

    def _cut_heads(self, arrays: Arrays, widths: Widths) -> None:
        for matrix in self._in_heads:
            name = f"weight_{matrix.name}"
            kept = stored(torch.from_numpy(np.ascontiguousarray(arrays[name])), _rows(matrix, widths), matrix.heads)
            if kept is None:
                raise InputError(
                    "CONVERT_HEADS",
                    f"{matrix.name} of {self.name} has {matrix.heads} heads, but units of the matrix to be loaded see "
                    "other heads",
                    fix="load it into a layer without heads",
                )
            arrays[name] = kept.numpy()

    def _attribute(self, name: str, layer: int, *, reverse: bool) -> str:
        return step_attribute(name) if self.is_step else self.layer.attribute_of(name, layer, reverse=reverse)


def _rows(matrix: Matrix, widths: Widths) -> list[int]:
    return [widths[block.axis] for block in matrix.blocks]


def settings_of(own: Own, layout: Layout) -> dict[str, Any] | str:
    """What the other side must be told of the activations of a cell; a text that says why that cannot be."""
    assert own.identity is not None
    chosen: list[Activation] = []
    settings: dict[str, Any] = {}
    for role in layout.roles:
        functions = {gate: own.identity.activations[gate] for gate in role.gates.split()}
        one, *others = dict.fromkeys(functions.values())
        if others:
            shown = ", ".join(f"{gate} {function or 'unknown'}" for gate, function in functions.items())
            return f"has one activation for several gates, which here are different: {shown}"
        if one is None:
            return f"has no place for the activation of {role.gates.split()[0]}, which is one of your own"
        chosen.append(one)
        name = next((name for name, function in role.names.items() if function == one), None)
        if role.names and name is None:
            return f"has no activation {one}, which {own.name} has for {role.gates}"
        settings |= {role.name: name} if role.name and role.names else {}
    if layout.roles and not layout.roles[0].names:
        if lacking := [one for one in chosen if not in_onnx(one)]:
            return f"has no activation {' and '.join(map(str, lacking))}"
        return {**settings, **write_onnx(chosen)}
    return settings


def as_array(value: Any) -> Array:
    """What any framework holds numbers in, as NumPy's; bfloat16, which NumPy does not have, as float32."""
    if isinstance(value, torch.Tensor):
        plain = (value.dequantize() if value.is_quantized else value).detach().cpu()
        return np.asarray((plain.float() if plain.dtype is torch.bfloat16 else plain).numpy())
    return np.asarray(value)


def _layout(graph: Graph, identity: Identity | None, initial: tuple[str, ...]) -> Layout:
    """The arrays of a cell: in the words of its row of the table, or in its own where there is no identity."""
    words = _Words(graph, identity)
    weights, biases = [], []
    for matrix in graph.matrices:
        rows = [words.block(matrix, block, matrix.columns) for block in matrix.blocks]
        weights.append(Stored(f"weight_{matrix.name}", tuple(rows)))
        if matrix.has_bias:
            of_bias = [words.bias(matrix, block) for block in matrix.blocks if block.bias]
            biases.append(Stored(f"bias_{matrix.name}", tuple(of_bias)))
    vectors = [Stored(v.name, tuple(words.block(v, block) for block in v.blocks)) for v in graph.vectors]
    states = [words.state(state) for state in graph.states] if initial else []
    first = [Stored(name, (state,)) for name, state in zip(initial, states, strict=True)]
    return Layout(graph.name, (*weights, *biases, *vectors, *first))


class _Words:
    """What the parameters of a cell are called as pieces."""

    def __init__(self, graph: Graph, identity: Identity | None) -> None:
        self.graph, self.identity = graph, identity
        biased = [self._piece(matrix, block) for matrix in graph.matrices for block in matrix.blocks if block.bias]
        self.biased_gates = Counter(gate for _, gate in biased)

    def block(self, stored: Matrix | Vector, block: StoredBlock, *columns: str) -> Block:
        """Rows of a matrix, or a block of a vector."""
        source, gate = self._piece(stored, block)
        return Block((source,), gate, self._is_negated(gate), (block.axis, *columns))

    def bias(self, matrix: Matrix, block: StoredBlock) -> Block:
        """A single bias stands for the sum of two, but in a candidate whose reset gate comes after the product."""
        source, gate = self._piece(matrix, block)
        own = BIAS_OF.get(source, f"bias_{source}")
        alone = self.identity is not None and self.biased_gates[gate] == 1
        summed = alone and not (self.identity.row == "gru" and gate == "n")  # type: ignore[union-attr]
        return Block(("b", "d") if summed else (own,), gate, self._is_negated(gate), (block.axis,))

    def state(self, state: State) -> Block:
        """What a sequence begins with."""
        return Block(
            ("initial",), self.identity.states[state.name] if self.identity else state.name, axes=(state.axis,)
        )

    def _piece(self, stored: Matrix | Vector, block: StoredBlock) -> tuple[str, str]:
        if self.identity is not None:
            return self.identity.pieces[stored.name, block.name]
        if stored.name != block.name:
            return stored.name, block.name
        prefix, _, gate = block.name.partition("_")
        return (prefix, gate) if isinstance(stored, Vector) else (stored.name, block.name)

    def _is_negated(self, gate: str) -> bool:
        return self.identity is not None and gate in self.identity.negated
