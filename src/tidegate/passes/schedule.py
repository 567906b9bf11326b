"""Cut a step into phases: a product needs its operand in memory, whole, so it begins a new one."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.passes.program import MEMORY, Phase, Program, Step, verify_program
from tidegate.spec.graph import Node, Op

PRODUCTS = frozenset({Op.PRODUCT, Op.TRANSPOSE})

Key = tuple[int, str]


def schedule(step: Step) -> Program:
    """The phases of a step, in order."""
    nodes = step.nodes
    where = _keys(nodes)
    results = [(c.after, c.axis) for c in step.carried] + [(s.node, s.axis) for s in step.series]
    at = [where[n] or (0, axis) for n, axis in results]  # a leaf is handed on wherever its width is worked on
    keys = sorted({key for key in where if key} | set(at))
    count = len(step.carried)
    phases = []
    for key in keys:
        body = [i for i, k in enumerate(where) if k == key and nodes[i].op not in PRODUCTS]
        products = tuple(i for i, k in enumerate(where) if k == key and nodes[i].op in PRODUCTS)
        carries = tuple(k for k in range(count) if at[k] == key)
        writes = tuple(k - count for k in range(count, len(at)) if at[k] == key)
        handed = [step.carried[k].after for k in carries] + [step.series[k].node for k in writes]
        keeps = tuple(i for i in (*products, *body) if _leaves_phase(nodes, where, i, key))
        read = {arg for i in body for arg in nodes[i].args} | set(handed) | set(keeps)
        loads = tuple(sorted(i for i in read if nodes[i].op is not Op.CONST and i not in body))
        phases.append(Phase(key[1], products, loads, tuple(body), keeps, carries, writes))
    program = Program(step, tuple(phases))
    verify_program(program)
    return program


def _keys(nodes: Sequence[Node]) -> list[Key | None]:
    """For each computed node how many products lie behind it and its width; None for leaves."""
    keys: list[Key | None] = []
    for node in nodes:
        if node.op in MEMORY or node.op is Op.CONST:
            keys.append(None)
            continue
        levels = [key[0] for arg in node.args if (key := keys[arg])]
        behind = node.op in PRODUCTS and any(keys[arg] for arg in node.args)
        keys.append((max(levels, default=0) + behind, node.axis))
    return keys


def _leaves_phase(nodes: Sequence[Node], where: Sequence[Key | None], index: int, key: Key) -> bool:
    """Whether a phase other than its own reads this value, or a product does."""
    return any(index in node.args and (where[i] != key or node.op in PRODUCTS) for i, node in enumerate(nodes))
