"""Cut a step into phases: a product needs its operand in memory, whole, so it begins a new one.

So does a mean or a variance: the phase that computes its operands reduces each tile, and the next one begins with what
the tiles found. Work on one number a row is a phase of its own, before that of its level on vectors.

What one phase computes and another reads is kept in memory, unless a little arithmetic makes it again from what is
there anyway: between the phases of a layer norm's derivative that leaves 10 rows of 40.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidegate.cell.graph import REDUCTIONS, Node, Op, is_narrow
from tidegate.passes.program import MEMORY, Phase, Program, Step, is_literal, verify_program
from tidegate.passes.remember import CHEAP

PRODUCTS = frozenset({Op.PRODUCT, Op.TRANSPOSE})
MOST_SOURCES = 3  # vectors that a value is made of again from; one of them at most is not a leaf

Key = tuple[int, str]


def schedule(step: Step) -> Program:
    """The phases of a step, in order."""
    nodes = step.nodes
    where = _keys(nodes)
    results = [(c.after, c.axis) for c in step.carried] + [(s.node, s.axis) for s in step.series]
    at = [where[n] or (0, axis) for n, axis in results]  # a leaf is handed on wherever its width is worked on
    begins = {i: _begins(nodes, where, i) for i, node in enumerate(nodes) if node.op in REDUCTIONS}
    keys = sorted({key for key in where if key} | set(at) | set(begins.values()), key=_order)
    count = len(step.carried)
    again = _recomputed(nodes, {n for n, _ in results})
    kept = {arg for node in nodes if node.op in PRODUCTS | REDUCTIONS for arg in node.args if where[arg]}
    phases = []
    for key in reversed(keys):  # what later phases read is kept by earlier ones
        products = tuple(i for i, k in enumerate(where) if k == key and nodes[i].op in PRODUCTS)
        carries = tuple(k for k in range(count) if at[k] == key)
        writes = tuple(k - count for k in range(count, len(at)) if at[k] == key)
        joins = tuple(i for i in begins if where[i] == key)
        reduces = tuple(i for i in begins if begins[i] == key)
        handed = [step.carried[k].after for k in carries] + [step.series[k].node for k in writes]
        keeps = tuple(sorted(i for i in kept - step.written if where[i] == key and i not in begins))
        loads, body = _work(nodes, where, key, again, {*handed, *keeps})
        kept.update(i for i in loads if where[i] and i not in products)
        phases.append(Phase(key[1], joins, products, loads, body, keeps, carries, writes, reduces))
    program = Program(step, tuple(phase for phase in reversed(phases) if phase.does_something))
    verify_program(program)
    return program


def _keys(nodes: Sequence[Node]) -> list[Key | None]:
    """For each computed node, how many products and reductions precede it, and its width; None for leaves."""
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
    """The phase after which all operands of a reduction are in memory."""
    key = where[index]
    assert key is not None
    return key[0] - 1, nodes[nodes[index].args[0]].axis


def _work(
    nodes: Sequence[Node], where: Sequence[Key | None], key: Key, again: Iterable[int], wanted: Iterable[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a phase loads, and what it computes, to have the wanted values."""
    loads, body, stack = set[int](), set[int](), list(wanted)
    while stack:
        index = stack.pop()
        node = nodes[index]
        if is_literal(node) or index in loads or index in body:
            continue
        here = where[index] == key and node.op not in PRODUCTS | REDUCTIONS
        if here or index in again:
            body.add(index)
            stack.extend(node.args)
        else:
            loads.add(index)
    return tuple(sorted(loads)), tuple(sorted(body))


def _recomputed(nodes: Sequence[Node], results: Iterable[int]) -> set[int]:
    """Vectors that are computed again where they are read, since they take little and few others to do so."""
    in_memory = {arg for node in nodes if node.op in PRODUCTS | REDUCTIONS for arg in node.args} | set(results)
    sources: list[set[int]] = []
    recomputed = set()
    for index, node in enumerate(nodes):
        if node.op is Op.CONST or is_narrow(node.axis):
            sources.append(set())
            continue
        of = set[int]().union(*(sources[arg] for arg in node.args))
        leaves = {i for i in of if nodes[i].op in MEMORY}
        easy = node.op in CHEAP and len(of) <= MOST_SOURCES and len(of - leaves) <= 1
        if index in in_memory or not easy:
            of = {index}
        else:
            recomputed.add(index)
        sources.append(of)
    return recomputed
