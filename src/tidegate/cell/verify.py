"""The executable specification of a graph, checked wherever one is made or read.

Each rule is one function that yields complaints. The error lists all of them with the printed
program.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Container, Iterator
from math import lcm

from tidegate.cell.graph import (
    AXES,
    BINARY,
    DERIVED,
    LEAVES,
    ONE,
    REDUCTIONS,
    UNARY,
    Block,
    Graph,
    Node,
    Op,
    common_axis,
    is_narrow,
    narrow,
)
from tidegate.cell.parameter import KINDS, PROJECTION, TORCH_NAMES, bias_of, blocks_of, gain_of
from tidegate.errors import InternalError, SpecError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
CELL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}(/[A-Za-z0-9_]{1,31})*")
AXIS = re.compile(r"[A-Z][A-Za-z]{0,31}")
SETTING = re.compile(r"[A-Za-z0-9_(),. +-]{0,64}")  # of a constant, e.g. sub(1.0, dt); emitted comments have it
PREFIXES = tuple(f"{kind}_" for kind in KINDS)
MOST_HEADS = 1 << 16
EACH = ("step", "sequence")  # how long a mask stays the same
RESERVED = frozenset({"x", "raw", "self", "weight", "bias", *TORCH_NAMES.values(), PROJECTION})
ARITY = dict.fromkeys(LEAVES, 0) | dict.fromkeys(UNARY, 1) | dict.fromkeys(BINARY, 2) | {Op.PRODUCT: 1}


def check_name(name: object) -> str | None:
    """Say what is wrong with a declared name, or nothing.

    Names reach parameter names, emitted C++ and file names, so they are whitelisted here.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"{name!r} is not a name: use a letter, then letters, digits or underscores, at most 32"
    if keyword.iskeyword(name) or name in RESERVED or name.startswith(PREFIXES):
        return f"the name {name!r} is reserved"
    return None


def check_axis(axis: str, free: Container[str] = ("H",)) -> str | None:
    """Say what is wrong with the axis of a declared name, or nothing.

    Args:
        axis: as declared.
        free: which of the axes that every cell has may be named.
    """
    if axis in free:
        return None
    if not AXIS.fullmatch(axis):
        return f"{axis!r} is not an axis: use a capital letter, then letters, at most 32"
    if axis in AXES:
        return f"the axis {axis!r} is reserved"
    return None


def verify(graph: Graph) -> None:
    """Check every rule on a graph that an author wrote or a file holds.

    Args:
        graph: the cell.

    Raises:
        SpecError: with every broken rule and the program.

    Example:
        >>> from dataclasses import replace
        >>> from tidegate import zoo
        >>> from tidegate.cell import verify
        >>> verify(zoo.MGU.graph)  # sound
        >>> verify(replace(zoo.MGU.graph, nodes=zoo.MGU.graph.nodes[1:]))
        Traceback (most recent call last):
            ...
        tidegate.errors.SpecError: MGU: %1: arguments (1,) do not all stand before it; ...
    """
    if broken := _broken_rules(graph):
        fix = f"correct the declarations or step, which says\n{_listing(graph)}"
        raise SpecError("GRAPH_INVALID", f"{graph.name:.80}: {broken}", fix=fix)


def verify_derived(graph: Graph, maker: str) -> None:
    """Check every rule on a graph that a pass made of a valid one.

    Args:
        graph: the cell.
        maker: the name of the pass.

    Raises:
        InternalError: with every broken rule and the program; no author could have prevented it.
    """
    if broken := _broken_rules(graph):
        message = f"the pass {maker} made an invalid graph of {graph.name:.80}: {broken}\n{_listing(graph)}"
        raise InternalError("PASS_INVALID", message, fix="please report this program")


def _broken_rules(graph: Graph) -> str:
    rules = (_fields, _names, _order, _leaves, _axes, _products, _results, _initial)  # later ones rely on earlier ones
    for rule in rules:
        if complaints := list(rule(graph)):
            return "; ".join(complaints)
    return ""


def _listing(graph: Graph) -> str:
    return "\n".join(f"  %{i} = {node}" for i, node in enumerate(graph.nodes))


def _fields(graph: Graph) -> Iterator[str]:
    """A field that a node does not use holds its default, so that equal programs have equal hashes."""
    uses = {op: {"name"} for op in (Op.STATE, Op.MASK, Op.GIVEN)}
    uses |= {Op.CONST: {"name", "value"}, Op.PRODUCT: {"name", "matrix"}, Op.VECTOR: {"name", "matrix"}}
    plain = Node(Op.INPUT)
    for index, node in enumerate(graph.nodes):
        if node.op in DERIVED:
            yield f"%{index}: {node.op} stands in derived programs only"
        for field in {"name", "matrix", "value"} - uses.get(node.op, set()):
            if getattr(node, field) != getattr(plain, field):
                yield f"%{index}: {node.op} has no {field}"
    for matrix in graph.matrices:
        if not math.isfinite(matrix.mirror):
            yield f"{matrix.name} is mirrored by {matrix.mirror!r}, not by a finite number"
        if matrix.mirror and (matrix.heads > 1 or {block.axis for block in matrix.blocks} != {matrix.columns}):
            yield f"{matrix.name} is mirrored, so its blocks must be square, without heads"
        if type(matrix.heads) is not int or matrix.heads < 1:
            yield f"{matrix.name} has {matrix.heads!r:.40} heads, not 1 or more"
            return
    if (together := lcm(*(matrix.heads for matrix in graph.matrices))) > MOST_HEADS:
        yield f"widths must be multiples of {together} for the heads of all matrices, more than {MOST_HEADS}"
    blocks = [block for parameter in graph.parameters for block in parameter.blocks]
    axes = {state.axis for state in graph.states} | {block.axis for block in blocks}
    axes |= {matrix.columns for matrix in graph.matrices} | {mask.axis for mask in graph.masks}
    axes |= ({node.axis.removesuffix(ONE) for node in graph.nodes} | {value.axis for value in graph.given}) - {"", ONE}
    yield from (
        f"{axis!r:.40} is not an axis: begin with a capital" for axis in sorted(axes) if not AXIS.fullmatch(axis)
    )


def _names(graph: Graph) -> Iterator[str]:
    if not CELL_NAME.fullmatch(graph.name):
        yield f"{graph.name!r} is not a name for a cell"
    groups: dict[str, list[str]] = {
        "matrix": [m.name for m in graph.matrices if (m.name, m.blocks[:1]) != _projection(graph)],
        "state": [s.name for s in graph.states],
        "vector": [vector.name for vector in graph.vectors],
        "mask": [mask.name for mask in graph.masks],
        "given value": [value.name for value in graph.given],
        "gate": [name for name, _ in graph.gates],
    } | {f"block of {p.name}": [block.name for block in p.blocks] for p in graph.parameters}
    derived = _norm_vectors(graph)
    for kind, names in groups.items():
        yield from (f"{kind}: {wrong}" for name in names if name not in derived and (wrong := check_name(name)))
        yield from (f"{kind} {name!r} is declared twice" for name in sorted(set(names)) if names.count(name) > 1)
    biased = {bias_of(matrix.name) for matrix in graph.matrices if matrix.has_bias}
    yield from (f"vector {v.name!r} is the bias of a matrix" for v in graph.vectors if v.name in biased)
    if not graph.states:
        yield "a cell needs at least one state"
    elif graph.output.axis not in ("H", "P"):
        yield f"the first state, which is the output, has axis {graph.output.axis}, not H"
    if not graph.input_axis or not graph.matrices:
        yield "a cell reads its input, and has at least one matrix"
    elif "W" in [matrix.name for matrix in graph.matrices[1:]] or graph.input_axis not in ("I", "H"):
        yield "the first matrix must be W, applied to the input (axis I, or H where it is as wide as the units)"


def _norm_vectors(graph: Graph) -> set[str]:
    """What ``passes.normalise`` adds: the vectors that may bear its reserved names."""
    names = [matrix.name for matrix in graph.matrices] + [state.name for state in graph.states]
    return {vector for name in names for vector in (gain_of(name), bias_of(name))}


def _projection(graph: Graph) -> tuple[str, tuple[Block, ...]]:
    """What ``passes.project`` adds: the one matrix that may bear its reserved name."""
    return PROJECTION, (Block(graph.states[0].name, "P"),) if graph.states else ()


def _order(graph: Graph) -> Iterator[str]:
    for index, node in enumerate(graph.nodes):
        if node.op in REDUCTIONS and not node.args:
            yield f"%{index}: {node.op} of nothing"
        if node.op not in REDUCTIONS and len(node.args) != ARITY[node.op]:
            yield f"%{index}: {node.op} takes {ARITY[node.op]} arguments, got {len(node.args)}"
        if not all(isinstance(arg, int) and 0 <= arg < index for arg in node.args):
            yield f"%{index}: arguments {node.args} do not all stand before it"


def _leaves(graph: Graph) -> Iterator[str]:
    states = {state.name: state.axis for state in graph.states}
    masks = {mask.name: mask.axis for mask in graph.masks}
    given = {value.name: value.axis for value in graph.given}
    yield from (f"{v.name!r} is a vector and a mask" for v in graph.vectors if v.name in masks)
    taken = masks.keys() | {item.name for item in (*graph.parameters, *graph.states)}
    yield from (f"given value {name!r} has a name that is taken" for name in given if name in taken)
    yield from (f"given value {name!r} has the axis of a projected output" for name in given if given[name] == "P")
    yield from (f"mask {m.name} is one each {m.each!r}: {' '.join(EACH)}" for m in graph.masks if m.each not in EACH)
    blocks = {(vector.name, block.name): block.axis for vector in graph.vectors for block in vector.blocks}
    inputs = [index for index, node in enumerate(graph.nodes) if node.op is Op.INPUT]
    yield from (f"%{index}: the input is %{inputs[0]}" for index in inputs[1:])
    for index, node in enumerate(graph.nodes):
        if node.op is Op.STATE and states.get(node.name) != node.axis:
            yield f"%{index}: no state {node.name!r} with axis {node.axis!r}"
        if node.op is Op.VECTOR and blocks.get((node.matrix, node.name)) != node.axis:
            yield f"%{index}: no vector {node.label!r} with axis {node.axis!r}"
        if node.op is Op.MASK and masks.get(node.name) != node.axis:
            yield f"%{index}: no mask {node.name!r} with axis {node.axis!r}"
        if node.op is Op.GIVEN and given.get(node.name) != node.axis:
            yield f"%{index}: nothing with the name {node.name!r} and axis {node.axis!r} is given"
        if node.op is Op.INPUT and node.axis != graph.input_axis:
            yield f"%{index}: the input has axis {graph.input_axis}, not {node.axis!r}"
        if node.op is Op.CONST and (node.axis or not isinstance(node.value, float) or not math.isfinite(node.value)):
            yield f"%{index}: a constant is a finite number without an axis"
        if node.op is Op.CONST and not SETTING.fullmatch(node.name):
            yield f"%{index}: {node.name!r:.40} is not a name: use at most 64 letters, digits and underscores"


def _axes(graph: Graph) -> Iterator[str]:
    for index, node in enumerate(graph.nodes):
        axes = {graph.nodes[arg].axis for arg in node.args}
        fits = True
        if node.op in BINARY | UNARY:
            fits = bool(axes - {""}) and node.axis == common_axis(axes)
        if node.op in REDUCTIONS:
            fits = len(axes) == 1 and not is_narrow(*axes) and axes != {""} and {node.axis} == set(map(narrow, axes))
        if not fits:
            yield f"%{index}: {node.op} of widths {sorted(axes - {''})} gives {node.axis!r}"


def _products(graph: Graph) -> Iterator[str]:
    declared = {(m.name, b.name): (m, b) for m in graph.matrices for b in m.blocks}
    operand: dict[tuple[str, str], int] = {}
    seen: set[Node] = set()
    for index, node in enumerate(graph.nodes):
        if node.op is Op.PRODUCT:
            yield from _product(graph, index, node, declared.keys())
            if operand.setdefault((node.matrix, node.name), node.args[0]) != node.args[0]:
                yield (
                    f"%{index}: block {node.name} of {node.matrix} multiplies two different values; "
                    "one block, one operand: declare a second matrix"
                )
            elif node in seen:
                yield f"%{index}: block {node.name} of {node.matrix} is multiplied twice by one value"
            seen.add(node)
    yield from (f"block {b} of {m} is declared but never used" for m, b in declared if (m, b) not in operand)


def _product(graph: Graph, index: int, node: Node, declared: Container[tuple[str, str]]) -> Iterator[str]:
    if (node.matrix, node.name) not in declared:
        yield f"%{index}: no block {node.name!r} in a matrix {node.matrix!r}"
        return
    matrix = graph.matrix(node.matrix)
    block = next(block for block in matrix.blocks if block.name == node.name)
    if graph.nodes[node.args[0]].axis != matrix.columns:
        yield f"%{index}: {matrix.name} has columns {matrix.columns}, its operand {graph.nodes[node.args[0]].axis!r}"
    if node.axis != block.axis:
        yield f"%{index}: block {block.name} has axis {block.axis}, the node {node.axis!r}"


def _results(graph: Graph) -> Iterator[str]:
    if len(graph.updates) != len(graph.states):
        yield f"{len(graph.states)} states, but {len(graph.updates)} new values"
        return
    results = [*graph.updates, *(index for _, index in graph.gates)]
    if not all(isinstance(index, int) and 0 <= index < len(graph.nodes) for index in results):
        yield f"results {results} are not all nodes"
        return
    for state, index in zip(graph.states, graph.updates, strict=True):
        if graph.nodes[index].axis != state.axis:
            yield f"new value of state {state.name} has axis {graph.nodes[index].axis!r}, not {state.axis!r}"
    used = graph.reaches(graph.updates)
    read = {(graph.nodes[i].matrix, graph.nodes[i].name) for i in used if graph.nodes[i].op is Op.VECTOR}
    for vector in graph.vectors:
        if not vector.blocks or any((vector.name, block.name) not in read for block in vector.blocks):
            yield f"vector {vector.name} is declared but never used"
        if any(block.bias for block in vector.blocks):
            yield f"vector {vector.name} has a bias, which only matrices have"
    idle = [node for i, node in enumerate(graph.nodes) if node.op is Op.PRODUCT and i not in used]
    yield from (f"block {node.name} of {node.matrix} does not influence any state" for node in idle)
    drawn = {graph.nodes[i].name for i in used if graph.nodes[i].op is Op.MASK}
    yield from (f"mask {m.name} is declared but never used" for m in graph.masks if m.name not in drawn)
    read_of_given = {graph.nodes[i].name for i in used if graph.nodes[i].op is Op.GIVEN}
    yield from (f"given {v.name} is declared but never used" for v in graph.given if v.name not in read_of_given)
    for name, index in graph.gates:
        if index not in used:
            yield f"gate {name} does not influence any state"
        if name in (names := [s.name for s in graph.states]) and graph.updates[names.index(name)] != index:
            yield f"gate {name} has the name of a state but not its value"


def _initial(graph: Graph) -> Iterator[str]:
    vectors = {vector.name for vector in graph.vectors}
    for initial in graph.initial:
        blocks = [block.name for block in blocks_of(graph, initial.name)]
        if not blocks or initial.block not in ("", *blocks):
            yield f"{initial.name}.{initial.block} begins as {initial.rule!r:.60}, but is no bias and no vector"
        try:
            _, arguments = initial.words
        except SpecError as error:
            yield f"{error.message}: {error.fix}"
        else:
            unknown = [a for a in arguments if isinstance(a, str) and a not in vectors]
            yield from (f"{initial.rule!r:.60} names {name!r:.40}, which is no vector" for name in unknown)
