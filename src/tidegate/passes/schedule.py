"""Cut a step into phases: a product needs its operand in memory, whole, so it begins a new one.

So does a mean or a variance: the phase that computes its operands reduces each tile, and the next one begins with what
the tiles found. Work on one number a row is a phase of its own, before that of its level on vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.passes.program import Phase, Program, Step, verify_program
from tidegate.spec.graph import REDUCTIONS, Node, Op, is_narrow

PRODUCTS = frozenset({Op.PRODUCT, Op.TRANSPOSE})
MEMORY = frozenset({Op.STATE, Op.GIVEN, Op.VECTOR})  # leaves that lie in memory before the step begins

Key = tuple[int, str]


def schedule(step: Step) -> Program:
    """The phases of a step, in order."""
    nodes = step.nodes
    where = _keys(nodes)
    results = [(c.after, c.axis) for c in step.carried] + [(s.node, s.axis) for s in step.series]
    at = [where[n] or (0, axis) for n, axis in results]  # a leaf is handed on wherever its width is worked on
    reduced = [i for i, node in enumerate(nodes) if node.op in REDUCTIONS]
    begins = {i: _begins(nodes, where, i) for i in reduced}
    keys = sorted({key for key in where if key} | set(at) | set(begins.values()), key=_order)
    count = len(step.carried)
    phases = []
    for key in keys:
        body = [i for i, k in enumerate(where) if k == key and nodes[i].op not in PRODUCTS | REDUCTIONS]
        joins = tuple(i for i in reduced if where[i] == key)
        reduces = tuple(i for i in reduced if begins[i] == key)
        products = tuple(i for i, k in enumerate(where) if k == key and nodes[i].op in PRODUCTS)
        carries = tuple(k for k in range(count) if at[k] == key)
        writes = tuple(k - count for k in range(count, len(at)) if at[k] == key)
        handed = [step.carried[k].after for k in carries] + [step.series[k].node for k in writes]
        keeps = tuple(i for i in (*products, *body) if _leaves_phase(nodes, where, i, key))
        read = {arg for i in body for arg in nodes[i].args} | set(handed) | set(keeps)
        loads = tuple(sorted(i for i in read if nodes[i].op is not Op.CONST and i not in body))
        phases.append(Phase(key[1], joins, products, loads, tuple(body), keeps, carries, writes, reduces))
    program = Program(step, tuple(phases))
    verify_program(program)
    return program


def _keys(nodes: Sequence[Node]) -> list[Key | None]:
    """For each computed node how many products and reductions lie behind it and its width; None for leaves."""
    keys: list[Key | None] = []
    for node in nodes:
        if node.op in MEMORY or node.op is Op.CONST:
            keys.append(None)
            continue
        levels = [key[0] for arg in node.args if (key := keys[arg])]
        behind = node.op in REDUCTIONS or (node.op in PRODUCTS and any(keys[arg] for arg in node.args))
        keys.append((max(levels, default=0) + behind, node.axis))
    return keys


def _order(key: Key) -> tuple[int, bool, str]:
    level, axis = key
    return level, not is_narrow(axis), axis


def _begins(nodes: Sequence[Node], where: Sequence[Key | None], index: int) -> Key:
    """The phase behind which all operands of a reduction are in memory."""
    key = where[index]
    assert key is not None
    return key[0] - 1, nodes[nodes[index].args[0]].axis


def _leaves_phase(nodes: Sequence[Node], where: Sequence[Key | None], index: int, key: Key) -> bool:
    """Whether a phase other than its own reads this value, or a product does."""
    return any(index in node.args and (where[i] != key or node.op in PRODUCTS) for i, node in enumerate(nodes))
