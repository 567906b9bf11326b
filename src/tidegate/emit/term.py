"""Equations with room for numbers: the values that they read, and what pointwise work makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tidegate.cell.graph import REDUCTIONS, Graph, Op
from tidegate.cell.norm import normal_at
from tidegate.emit.equation import ATOM, PLAIN, SUM, TERM, Rule, Writer, check_length, infix

READ = frozenset({Op.INPUT, Op.GIVEN, Op.STATE, Op.VECTOR, Op.MASK, Op.PRODUCT}) | REDUCTIONS
NUMBERS = replace(
    PLAIN,
    rules={
        **PLAIN.rules,
        Op.SUB: infix(" − ", SUM, right=TERM),  # noqa: RUF001  a minus, as numbers have it
        Op.MUL: infix(" · ", TERM),
        Op.NEG: Rule("−{0}", SUM, (TERM,)),  # noqa: RUF001
        Op.SIGMOID: Rule("σ({0})", ATOM, (0,)),  # noqa: RUF001
    },
    now="\0{}\0".format,
    scale=infix(" · ", TERM),
)


def terms(graph: Graph) -> dict[str, int]:
    """The values that the equations of one unit read, by their plain text, such as ``"W_z x[t] + b_z"`` and ``"z[t]"``.

    They are products with their biases, states before the step, vectors, inputs, what is normalised or averaged over
    all units, and gates and new states themselves.
    """
    read = _read(graph)
    return {text: index for index, text in read.items()} | {f"{n}[t]": i for n, i in graph.reported.items()}


def numbered(graph: Graph) -> list[tuple[str, list[str]]]:
    """For each gate and new state its name and its equation in pieces: text, then a key of ``terms``, in turns.

    Raises:
        EmitError: an equation is longer, or nested deeper, than anybody could read.
    """
    check_length(graph)
    names: dict[int, str] = _read(graph)
    lines = []
    for name, index in graph.reported.items():
        lines.append((f"{name}[t]", Writer(graph, NUMBERS, names).write(index)[0].split("\0")))
        names[index] = f"{name}[t]"
    return lines


def _read(graph: Graph) -> dict[int, str]:
    """The nodes at which equations begin, and their plain text."""
    named: Mapping[int, str] = {index: name for name, index in graph.reported.items()}
    found, waiting = dict[int, str](), [*graph.reported.values()]
    seen = set[int]()
    while waiting:
        index = waiting.pop()
        if index in seen:
            continue
        seen.add(index)
        if graph.nodes[index].op in READ or normal_at(graph, index):
            others = {node: name for node, name in named.items() if node != index}
            found[index] = Writer(graph, PLAIN, others).write(index)[0]
        else:
            waiting += graph.nodes[index].args
    return found
