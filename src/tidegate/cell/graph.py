"""A cell as data: the graph that a definition is traced to.

The rest of the package knows a cell only as its graph: a list of nodes, each after its
arguments, and the declarations of how parameters are stored. A graph can be written to JSON
and read back without running code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from math import lcm
from typing import Any

from tidegate.cell.initial import Initial

AXES = ("I", "H", "P")  # input features, units, projected output; a cell may have more of its own


class Op(StrEnum):
    """What a node computes. Arguments are other nodes; leaves have none."""

    INPUT = "input"  # x_t, all features
    GIVEN = "given"  # what the caller passes beside it at every step, such as the time since the last one
    STATE = "state"  # a state before this step
    VECTOR = "vector"  # one block of a vector parameter
    MASK = "mask"  # random factors that the caller draws
    CONST = "const"  # a number; one with a name is a setting, which emitted code reads as an argument
    PRODUCT = "product"  # one row block of (matrix @ argument + bias)
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    NEG = "neg"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    CLAMP = "clamp"  # the first argument, no further from zero than the second
    SIGMOID = "sigmoid"
    TANH = "tanh"
    RELU = "relu"
    EXP = "exp"
    LOG = "log"
    LOG_SIGMOID = "log_sigmoid"
    SQRT = "sqrt"
    MEAN = "mean"  # of all units of its arguments: one number for each row
    VARIANCE = "variance"  # of the same, around their mean, over their number
    # The following occur only in programs that passes derive, never in a cell.
    SERIES = "series"  # one row of a series: a product made for all steps at once, a saved value, an upstream gradient
    TRANSPOSE = "transpose"  # sum over row blocks of a matrix, each transposed, times an argument
    GREATER = "greater"  # 1 where the first argument is greater than the second, else 0
    SELECT = "select"  # the second argument where the first is not 0, else 0, whatever the second is
    SPREAD = "spread"  # the number of each row, for every unit of it


DERIVED = frozenset({Op.SERIES, Op.TRANSPOSE, Op.GREATER, Op.SELECT, Op.SPREAD})
LEAVES = frozenset({Op.INPUT, Op.GIVEN, Op.STATE, Op.VECTOR, Op.MASK, Op.CONST})
BINARY = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MAXIMUM, Op.MINIMUM, Op.CLAMP})
UNARY = frozenset({Op.NEG, Op.SIGMOID, Op.TANH, Op.RELU, Op.EXP, Op.LOG, Op.LOG_SIGMOID, Op.SQRT})
OUTSIDE = frozenset({Op.INPUT, Op.GIVEN})  # what a caller knows of all steps beforehand
REDUCTIONS = frozenset({Op.MEAN, Op.VARIANCE})
ONE = "1"


def narrow(axis: str) -> str:
    """The axis of one number for each row of ``axis``: H1 for H, and 1 for what is one number a row everywhere."""
    return axis + ONE


def is_narrow(axis: str) -> bool:
    return axis.endswith(ONE)


def common_axis(axes: Iterable[str]) -> str | None:
    """The axis of what pointwise work makes of values of these axes, or None if they do not fit.

    Numbers ("") fit everything, and so does what is one number a row everywhere (1); that of one axis (H1) fits it (H).
    """
    some = set(axes) - {""}
    left = some - {narrow(axis) for axis in some}
    left = left - {ONE} or left
    return None if len(left) > 1 else "".join(left)


def all_widths(widths: Mapping[str, int]) -> dict[str, int]:
    """The widths of axes, and of one number for each row of them."""
    return {**widths, ONE: 1, **{narrow(axis): 1 for axis in widths}}


@dataclass(frozen=True)
class Node:
    """One value.

    Attributes:
        op: what it computes.
        args: the nodes that it computes it from, by their places in the program.
        name: of a leaf, or of the block of a matrix or vector; of a constant that is a setting.
        matrix: the matrix or vector that the block belongs to.
        value: of a constant.
        axis: the width; "" for numbers, H1 for one number per row, 1 for one that holds for every axis.
    """

    op: Op
    args: tuple[int, ...] = ()
    name: str = ""
    matrix: str = ""
    value: float = 0.0
    axis: str = ""

    @property
    def label(self) -> str:
        """What it is called: of a parameter with blocks, which one."""
        return f"{self.matrix}.{self.name}" if self.matrix not in ("", self.name) else self.name

    @property
    def is_setting(self) -> bool:
        """A number that somebody chose for a layer: cells that differ in it alone run the same compiled code."""
        return self.op is Op.CONST and bool(self.name)

    def __str__(self) -> str:
        label = f"{self.name} = {self.value!r}".removeprefix(" = ") if self.op is Op.CONST else self.label
        inside = ", ".join(filter(None, [label, *(f"%{arg}" for arg in self.args)]))
        return f"{self.op}({inside}){f': {self.axis}' if self.axis else ''}"


@dataclass(frozen=True)
class Block:
    """A block of rows of a matrix.

    Attributes:
        name: of the gate that reads it.
        axis: the block has as many rows as this axis is wide.
        bias: whether the rows have a bias.
    """

    name: str
    axis: str = "H"
    bias: bool = False


@dataclass(frozen=True)
class Matrix:
    """A matrix parameter.

    Attributes:
        name: of the matrix.
        blocks: its row blocks in storage order.
        columns: the axis of what it multiplies.
        heads: how many groups of units see nothing of each other. Head k of a block of rows, and of the columns, is
            the k-th of as many equal parts; its rows multiply its columns and no others. So the matrix is stored as
            [rows, columns / heads].
        mirror: layers hold M in its place, of which it is ``M + mirror M^T``, block by block; 0 for the matrix itself.
    """

    name: str
    blocks: tuple[Block, ...]
    columns: str
    heads: int = 1
    mirror: float = 0.0

    @property
    def has_bias(self) -> bool:
        return any(block.bias for block in self.blocks)


@dataclass(frozen=True)
class Vector:
    """A vector parameter. One number for each unit is a single block.

    Attributes:
        name: of the vector.
        blocks: its blocks in storage order.
    """

    name: str
    blocks: tuple[Block, ...]

    @staticmethod
    def of_units(name: str, axis: str = "H") -> Vector:
        """One number for each unit."""
        return Vector(name, (Block(name, axis),))


@dataclass(frozen=True)
class State:
    """What a cell passes from step to step; the first state is the output.

    Attributes:
        name: of the state.
        axis: its width.
    """

    name: str
    axis: str = "H"


@dataclass(frozen=True)
class Given:
    """What the caller passes at every step beside the input, such as time or what is missing.

    Attributes:
        name: of the value.
        axis: its width; ``"1"`` for one number for each row.
    """

    name: str
    axis: str


@dataclass(frozen=True)
class Mask:
    """Factors from outside without a derivative, such as those of dropout.

    Attributes:
        name: of the mask.
        axis: its width.
        each: ``"step"`` if they change at every step of a sequence, ``"sequence"`` if they stay the same.
    """

    name: str
    axis: str = "H"
    each: str = "step"


@dataclass(frozen=True)
class Graph:
    """A traced cell.

    Attributes:
        name: the display name of the cell.
        matrices: ``W`` (applied to the input) first, where there is one, then the recurrent ones.
        states: the values passed from step to step; the first is the output.
        vectors: vector parameters.
        nodes: the program.
        updates: for each state, the node that holds its new value.
        gates: reported values, as pairs of name and node.
        masks: random factors that the caller draws, in addition to input, states and parameters.
        given: what the caller passes at every step beside the input.
        initial: how biases and vectors begin, where that is not as torch.nn draws them.

    Example:
        >>> from tidegate import zoo
        >>> graph = zoo.GRU.graph
        >>> [block.name for block in graph.matrix("U").blocks]
        ['r', 'z', 'n']
        >>> graph == type(graph).from_json(graph.to_json())
        True
    """

    name: str
    matrices: tuple[Matrix, ...]
    states: tuple[State, ...]
    vectors: tuple[Vector, ...]
    nodes: tuple[Node, ...]
    updates: tuple[int, ...]
    gates: tuple[tuple[str, int], ...]
    masks: tuple[Mask, ...] = ()
    given: tuple[Given, ...] = ()
    initial: tuple[Initial, ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:  # computed once: graphs are keys of caches that every call of a layer looks into
        declared = (self.name, self.matrices, self.states, self.vectors, self.masks, self.given, self.initial)
        return hash((declared, self.nodes, self.updates, self.gates))

    def matrix(self, name: str) -> Matrix:
        return next(matrix for matrix in self.matrices if matrix.name == name)

    @property
    def parameters(self) -> tuple[Matrix | Vector, ...]:
        return (*self.matrices, *self.vectors)

    def vector(self, name: str) -> Vector:
        return next(vector for vector in self.vectors if vector.name == name)

    @property
    def reported(self) -> dict[str, int]:
        """Gates and new states by name: what a trace shows, in the order of computation."""
        named = dict(self.gates) | {s.name: n for s, n in zip(self.states, self.updates, strict=True)}
        return dict(sorted(named.items(), key=lambda pair: pair[1]))

    @property
    def output(self) -> State:
        return self.states[0]

    @cached_property
    def input_axis(self) -> str:
        """``"I"``, or ``"H"`` where the input must be as wide as the units."""
        if self.matrices and self.matrices[0].name == "W":
            return self.matrices[0].columns
        return next((node.axis for node in self.nodes if node.op is Op.INPUT), "")

    @property
    def unit_widths(self) -> dict[str, int]:
        """The least width of each axis."""
        return dict.fromkeys((*AXES, *self.own_axes), lcm(*(matrix.heads for matrix in self.matrices)))

    @cached_property
    def own_axes(self) -> tuple[str, ...]:
        """The axes other than input, units and projected output; a layer may choose their widths."""
        axes = [state.axis for state in self.states] + [b.axis for p in self.parameters for b in p.blocks]
        axes += [value.axis for value in self.given if value.axis != ONE]
        return tuple(dict.fromkeys(axis for axis in axes if axis not in AXES))

    @cached_property
    def products(self) -> tuple[tuple[str, int, tuple[int, ...]], ...]:
        """Products that share matrix and operand, so that each operand is multiplied once.

        Returns triples of matrix name, operand node and product nodes in storage order.
        """
        groups: dict[tuple[str, int], list[int]] = {}
        for index, node in enumerate(self.nodes):
            if node.op is Op.PRODUCT:
                groups.setdefault((node.matrix, node.args[0]), []).append(index)
        return tuple(
            (name, operand, tuple(sorted(group, key=lambda i: self._storage_position(self.nodes[i]))))
            for (name, operand), group in groups.items()
        )

    def _storage_position(self, node: Node) -> int:
        return [block.name for block in self.matrix(node.matrix).blocks].index(node.name)

    def is_recurrent(self, operand: int) -> bool:
        """Whether what a matrix multiplies is made of the units, and not a form of the input or of what is given."""
        node = self.nodes[operand]
        return node.op not in OUTSIDE and node.axis != "I"

    def reaches(self, roots: tuple[int, ...]) -> frozenset[int]:
        """Every node that the roots depend on, the roots themselves included."""
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            index = stack.pop()
            if index not in seen:
                seen.add(index)
                stack.extend(self.nodes[index].args)
        return frozenset(seen)

    def without_bias(self) -> Graph:
        """The same cell with no bias anywhere (``bias=False`` of a layer)."""
        plain = tuple(
            replace(matrix, blocks=tuple(replace(block, bias=False) for block in matrix.blocks))
            for matrix in self.matrices
        )
        biases = {f"bias_{matrix.name}" for matrix in self.matrices}
        return replace(self, matrices=plain, initial=tuple(i for i in self.initial if i.name not in biases))

    def to_json(self) -> dict[str, Any]:
        """Plain data that ``Graph.from_json`` reads back."""
        from tidegate.cell.saved import to_plain  # which imports this module

        return to_plain(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Graph:
        """Build and verify a graph from plain data; nothing in it is run.

        Raises:
            SpecError: ``data`` is not a graph, or not a valid one.
        """
        from tidegate.cell.saved import from_plain  # which imports this module

        return from_plain(data)

    @cached_property
    def hash(self) -> str:
        """Content hash of everything but the display name."""
        data = self.to_json()
        del data["name"]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
