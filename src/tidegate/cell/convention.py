"""Conventions in which libraries differ, derived from the equations.

A cell may declare where its reset gate acts and what its update gate keeps. These functions
derive the same facts from the graph, and a declaration that contradicts the equations is an error.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from tidegate.cell.evaluate import evaluate
from tidegate.cell.function import NUMBERS
from tidegate.cell.graph import Graph, Node, Op
from tidegate.errors import SpecError

TRIES = 64  # draws of numbers; some equations have a value at few of them
STEP = 1e-3  # of a difference quotient; what is asked for is linear, so rounding is its only error
EQUAL = 1e-6  # numbers closer than this are the same


class Carry(NamedTuple):
    """How much of a state one step keeps: ``shut + (open - shut) * gate``.

    Attributes:
        gate: the name of the gate; empty where the share is the same at every step.
        shut: the share at gate = 0.
        open: the share at gate = 1.
    """

    gate: str
    shut: float
    open: float


def reset_side(graph: Graph, gate: str = "r") -> str | None:
    """``"before"`` if the reset gate acts before a recurrent product, ``"after"`` if it acts after one.

    None if the cell has no such gate, or one that does something else, such as the highway gate of an SRU.
    """
    at = dict(graph.gates).get(gate)
    if at is None:
        return None
    if at in graph.reaches(tuple(operand for _, operand, _ in graph.products)):
        return "before"
    scaled = (arg for node in graph.nodes if node.op is Op.MUL and at in node.args for arg in node.args if arg != at)
    return "after" if any(_holds_recurrent_product(graph, arg) for arg in scaled) else None


def _holds_recurrent_product(graph: Graph, index: int) -> bool:
    """Whether a value is a product of something other than the input, or a sum with such a product in it."""
    node = graph.nodes[index]
    if node.op in (Op.ADD, Op.SUB, Op.MUL):
        return any(_holds_recurrent_product(graph, arg) for arg in node.args)
    return node.op is Op.PRODUCT and graph.nodes[node.args[0]].op is not Op.INPUT


def update_convention(graph: Graph, gate: str = "z") -> str | None:
    """``"keep"`` if z = 1 keeps the old output, ``"write"`` if z = 0 does, None if neither."""
    gates = dict(graph.gates)
    if gate not in gates:
        return None
    for convention, open_gate in (("keep", 1.0), ("write", 0.0)):
        kept = (_keeps_state(graph, gates[gate], open_gate, seed) for seed in range(TRIES))
        known = (keeps for keeps in kept if keeps is not None)
        if next(known, False) and all(known):
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


def carries(graph: Graph) -> dict[str, Carry]:
    """For each state of which a step keeps a share, unit by unit, what decides this share.

    It is the derivative of the new state by the old one, with products and reported gates held: f for the c of an LSTM,
    z for the h of a GRU, 1 - i where two gates are coupled, 1 for a plain sum. A state is left out if its share depends
    on several gates, or on a parameter.
    """
    return dict(_carries(graph))


@lru_cache(maxsize=256)  # it tries many numbers
def _carries(graph: Graph) -> tuple[tuple[str, Carry], ...]:
    updates = zip(graph.states, graph.updates, strict=True)
    shares = [(state.name, _carry(graph, state.name, update)) for state, update in updates]
    return tuple((name, carry) for name, carry in shares if carry is not None)


def _carry(graph: Graph, state: str, update: int) -> Carry | None:
    held = {name: node for name, node in graph.gates if node != update}

    def share(**gate: float) -> float | None:
        """The share at these values of gates, if it depends on nothing else."""
        return _only(_share(graph, state, update, held, gate, seed) for seed in range(TRIES))

    same = share()
    if same is not None:
        return Carry("", same, same) if same else None
    for gate in held:
        shut, half, opened = (share(**{gate: value}) for value in (0.0, 0.5, 1.0))
        if shut is not None and half is not None and opened is not None and abs(shut + opened - 2 * half) < EQUAL:
            return Carry(gate, shut, opened)
    return None


def _share(
    graph: Graph, state: str, update: int, held: Mapping[str, int], gates: Mapping[str, float], seed: int
) -> float | None:
    """The derivative of a new state by the old one at random numbers; None where the equations have no value."""
    draw = random.Random(seed)  # noqa: S311  not for secrets
    given = {node: gates.get(name, draw.uniform(0.1, 0.9)) for name, node in held.items()}
    drawn: dict[tuple[str, str, str], float] = {}

    def value_at(shift: float) -> float:
        def leaf(node: Node) -> float:
            if node.op is Op.CONST:
                return node.value
            value = drawn.setdefault((node.op, node.matrix, node.name), draw.uniform(0.1, 0.5))
            return value + shift if (node.op, node.name) == (Op.STATE, state) else value

        def product(node: Node, _: float) -> float:
            return drawn.setdefault((node.op, node.matrix, node.name), draw.uniform(-6.0, 6.0))

        result: float = evaluate(graph, NUMBERS, leaf, product, given)[update]
        return result

    try:
        return (value_at(STEP) - value_at(-STEP)) / (2 * STEP)
    except (ArithmeticError, ValueError):
        return None


def _only(numbers: Iterable[float | None]) -> float | None:
    """The number that all of these are, apart from unknown ones; None if two differ, and no more are asked for."""
    known = (number for number in numbers if number is not None)
    first = next(known, None)
    return first if first is not None and all(abs(number - first) < EQUAL for number in known) else None


def output_gate(graph: Graph) -> str | None:
    """The gate without which the output is zero, whatever else a step finds; None if there is none."""
    for name, node in graph.gates:
        closed, opened = ([_output(graph, node, value, seed) for seed in range(TRIES)] for value in (0.0, 1.0))
        if node not in graph.updates and _only(closed) == 0 and _only(opened) is None:
            return name
    return None


def _output(graph: Graph, gate: int, value: float, seed: int) -> float | None:
    """The new output where a gate has this value, at random numbers."""
    draw = random.Random(seed)  # noqa: S311  not for secrets
    drawn: dict[tuple[str, str, str], float] = {}

    def leaf(node: Node) -> float:
        key = (node.op, node.matrix, node.name)
        return node.value if node.op is Op.CONST else drawn.setdefault(key, draw.uniform(0.1, 2.0))

    def product(node: Node, operand: float) -> float:
        return drawn.setdefault((node.op, node.matrix, node.name), draw.uniform(-6.0, 6.0)) * operand

    try:
        result: float = evaluate(graph, NUMBERS, leaf, product, {gate: value})[graph.updates[0]]
    except (ArithmeticError, ValueError):
        return None
    return result


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
