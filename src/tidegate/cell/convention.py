"""Conventions in which libraries differ, derived from the equations.

A cell may declare where its reset gate acts and what its update gate keeps. These functions
derive the same facts from the graph, and a declaration that contradicts the equations is an error.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from tidegate.cell.evaluate import evaluate
from tidegate.cell.function import NUMBERS
from tidegate.cell.graph import Graph, Node, Op
from tidegate.errors import SpecError

TRIES = 64  # draws of numbers; some equations have a value at few of them


def reset_side(graph: Graph, gate: str = "r") -> str | None:
    """``"before"`` if the reset gate acts before a recurrent product, ``"after"`` if it acts after one.

    None if the cell has no such gate.
    """
    gates = dict(graph.gates)
    if gate not in gates:
        return None
    operands = tuple(operand for _, operand, _ in graph.products)
    return "before" if gates[gate] in graph.reaches(operands) else "after"


def update_convention(graph: Graph, gate: str = "z") -> str | None:
    """``"keep"`` if z = 1 keeps the old output, ``"write"`` if z = 0 does, None if neither."""
    gates = dict(graph.gates)
    if gate not in gates:
        return None
    for convention, open_gate in (("keep", 1.0), ("write", 0.0)):
        kept = {_keeps_state(graph, gates[gate], open_gate, seed) for seed in range(TRIES)}
        if kept - {None} == {True}:
            return convention
    return None


def _keeps_state(graph: Graph, gate: int, value: float, seed: int) -> bool | None:
    """Whether the output stays as it was when the gate has this value, at random numbers.

    None where the equations have no value at these numbers, e.g. the logarithm of a negative one.
    """
    draw = random.Random(seed)  # noqa: S311  not for secrets
    leaves: dict[tuple[str, str], float] = {}

    def leaf(node: Node) -> float:
        return node.value if node.op is Op.CONST else leaves.setdefault((node.op, node.name), draw.uniform(0.1, 2.0))

    def product(node: Node, operand: float) -> float:
        return leaves.setdefault((node.matrix, node.name), draw.uniform(-6.0, 6.0)) * operand

    try:
        values = evaluate(graph, NUMBERS, leaf, product, given={gate: value})
    except (ArithmeticError, ValueError):
        return None
    old = leaves.get((Op.STATE, graph.output.name))
    return old is not None and abs(values[graph.updates[0]] - old) < 1e-12


def forget_gate(graph: Graph) -> tuple[str, int] | None:
    """The gate that says how much of the old state stays, and the sign of a bias that makes it stay.

    It is the gate f; in a cell without one the update gate z, where its convention is known. None if there is neither.
    """
    gates = [name for name, _ in graph.gates]
    name = "f" if "f" in gates else "z"
    convention = update_convention(graph, name)
    if name == "z" and convention is None:
        return None
    return name, -1 if convention == "write" else 1


def output_gate_sees(graph: Graph, gate: str = "o", state: str = "c") -> str | None:
    """Which cell state the output gate reads directly: ``"new"``, ``"old"``, or None for neither."""
    gates = dict(graph.gates)
    names = [s.name for s in graph.states]
    if gate not in gates or state not in names:
        return None
    new = graph.updates[names.index(state)]
    seen = graph.reaches((gates[gate],))
    old = any(graph.nodes[index].op is Op.STATE and graph.nodes[index].name == state for index in seen)
    return "new" if new in seen else "old" if old else None


DERIVED = {"reset": reset_side, "update": update_convention}


def check_conventions(graph: Graph, declared: Mapping[str, str]) -> None:
    """Check a cell's declared conventions against its equations.

    Raises:
        SpecError: they disagree.
    """
    for name in declared.keys() & DERIVED.keys():
        derived = DERIVED[name](graph)
        if derived != declared[name]:
            raise SpecError(
                "CONVENTION",
                f"{graph.name} declares {name} = {declared[name]!r}, but its equations say {derived!r}",
                fix="correct the declaration or the equations",
            )
