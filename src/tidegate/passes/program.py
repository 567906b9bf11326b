"""One step as a program: what the engine runs at every step of a sequence, forward or backward.

The derivative of a step is again a step, run from the last to the first: it passes on adjoints
where the step passes on states. Both are the same kind of program, and one engine runs both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tidegate.cell import Node, Op
from tidegate.errors import InternalError

MEMORY = frozenset(
    {Op.STATE, Op.SERIES, Op.GIVEN, Op.VECTOR, Op.MASK}
)  # leaves that lie in memory before a step begins


def is_literal(node: Node) -> bool:
    """A number that stands in the emitted text; a setting lies in memory."""
    return node.op is Op.CONST and not node.is_setting


@dataclass(frozen=True)
class Carried:
    """A value that one step hands to the next. Inside the step, its old value is ``Op.STATE``.

    Attributes:
        name: of the value.
        axis: its width.
        after: the node of its new value.
    """

    name: str
    axis: str
    after: int


@dataclass(frozen=True)
class Series:
    """A value that is written down at every step.

    Attributes:
        name: of the series.
        axis: its width.
        node: the value.
        saved: written only where a backward run will follow.
    """

    name: str
    axis: str
    node: int
    saved: bool = False


@dataclass(frozen=True)
class Step:
    """The program of one step, before it is scheduled."""

    nodes: tuple[Node, ...]
    carried: tuple[Carried, ...]
    series: tuple[Series, ...]

    @property
    def written(self) -> frozenset[int]:
        """Nodes that lie in memory as results, from the phase on that computes them."""
        return frozenset([c.after for c in self.carried] + [s.node for s in self.series if not s.saved])


class Use(StrEnum):
    """What a phase does with a row of values."""

    LOAD = "load"  # a node
    KEEP = "keep"  # a node
    CARRY = "carry"  # a position in Step.carried
    WRITE = "write"  # a position in Step.series


@dataclass(frozen=True)
class Phase:
    """Products, then pointwise work on values of one width, tile by tile.

    Attributes:
        axis: the width.
        joins: the reductions that are finished first, from what an earlier phase found of its tiles.
        products: the nodes (``PRODUCT`` or ``TRANSPOSE``) that are multiplied first.
        loads: nodes whose values lie in memory: leaves, results of earlier phases, ``products``.
        body: the nodes that are computed here.
        keeps: nodes that later phases of the same step read, unless they are results, which are in memory anyway.
        carries: positions in ``Step.carried`` whose new value is written here.
        writes: positions in ``Step.series`` that are written here.
        reduces: the reductions whose operands are now in memory: each tile is reduced when its pointwise work is done.
    """

    axis: str
    joins: tuple[int, ...]
    products: tuple[int, ...]
    loads: tuple[int, ...]
    body: tuple[int, ...]
    keeps: tuple[int, ...]
    carries: tuple[int, ...]
    writes: tuple[int, ...]
    reduces: tuple[int, ...]

    @property
    def does_something(self) -> bool:
        """Whether it is more than what later phases make again."""
        return bool(
            self.body or self.loads or self.products or self.joins or self.reduces or self.carries or self.writes
        )

    @property
    def places(self) -> tuple[tuple[Use, int], ...]:
        """Every row that the phase reads or writes, in the order in which emitted code knows them."""
        groups = ((Use.LOAD, self.loads), (Use.KEEP, self.keeps), (Use.CARRY, self.carries), (Use.WRITE, self.writes))
        return tuple((use, item) for use, items in groups for item in items)


@dataclass(frozen=True)
class Program:
    """A step and its phases, in order."""

    step: Step
    phases: tuple[Phase, ...]


def verify_program(program: Program) -> None:
    """The executable specification of a scheduled program.

    Raises:
        InternalError: a value is read before it is there, in the wrong width, or a result is never written.
    """
    nodes = program.step.nodes
    _refuse(program, _out_of_range(program))  # before anything is looked up by them
    memory = {i for i, node in enumerate(nodes) if node.op in MEMORY or node.is_setting}
    begun: set[int] = set()
    complaints: list[str] = []
    for number, phase in enumerate(program.phases):
        before = {*memory, *phase.joins}
        results = [*phase.keeps]
        results += [program.step.carried[k].after for k in phase.carries]
        results += [program.step.series[k].node for k in phase.writes]
        memory = before | {*phase.keeps, *(i for i in results if i in program.step.written)}
        faults = [f"nothing of %{i} was reduced" for i in phase.joins if i not in begun]
        faults += _work_faults(program, phase, before, results)
        faults += [f"%{a} of %{i} is not in memory" for i in phase.reduces for a in nodes[i].args if a not in memory]
        complaints += [f"phase {number}: {complaint}" for complaint in faults]
        begun |= set(phase.reduces)
    for what, count, written in (
        ("carried value", len(program.step.carried), [k for p in program.phases for k in p.carries]),
        ("series", len(program.step.series), [k for p in program.phases for k in p.writes]),
    ):
        if sorted(written) != list(range(count)):
            complaints.append(f"{what}s written: {sorted(written)} of {count}")
    _refuse(program, complaints)


def _work_faults(program: Program, phase: Phase, memory: set[int], results: Sequence[int]) -> Iterator[str]:
    """What is wrong with the products and the pointwise work of a phase, given what lies in memory."""
    nodes = program.step.nodes
    for product in phase.products:
        free = [a for a in nodes[product].args if a not in memory]
        yield from (f"operand %{a} of %{product} is not in memory" for a in free)
    yield from (f"%{i} is not in memory" for i in phase.loads if i not in memory | set(phase.products))
    known = set(phase.loads) | {i for i, node in enumerate(nodes) if is_literal(node)}
    for index in phase.body:
        yield from (f"%{index} reads %{a} before it is there" for a in nodes[index].args if a not in known)
        if nodes[index].axis != phase.axis:
            yield f"%{index} has another width than {phase.axis}"
        known.add(index)
    yield from (f"result %{i} is not there" for i in results if i not in known)


def _out_of_range(program: Program) -> list[str]:
    step, complaints = program.step, []
    for number, phase in enumerate(program.phases):
        groups = (
            (
                "node",
                len(step.nodes),
                (*phase.joins, *phase.products, *phase.loads, *phase.body, *phase.keeps, *phase.reduces),
            ),
            ("carried value", len(step.carried), phase.carries),
            ("series", len(step.series), phase.writes),
        )
        complaints += [
            f"phase {number}: there is no {what} {index}"
            for what, count, indices in groups
            for index in indices
            if not 0 <= index < count
        ]
    return complaints


def _refuse(program: Program, complaints: list[str]) -> None:
    if complaints:
        listing = "\n".join(f"  %{i} = {node}" for i, node in enumerate(program.step.nodes))
        raise InternalError("PROGRAM_INVALID", f"{'; '.join(complaints)}\n{listing}", fix="please report this")
