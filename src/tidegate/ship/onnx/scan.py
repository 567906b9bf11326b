"""A layer as a Scan: for every cell, whatever its equations."""

from __future__ import annotations

from typing import NamedTuple

from tidegate.cell.graph import LEAVES, OUTSIDE, Node, Op
from tidegate.ship.onnx.layer import First, Frame, Problem, Results
from tidegate.ship.onnx.plan import FIXED, LATE, Plan
from tidegate.ship.onnx.values import EarlyValues, LateValues
from tidegate.ship.onnx.weights import Weights
from tidegate.ship.onnx.writer import BOOL, FLOAT, Writer, booleans, floats


def scan(frame: Frame, problem: Problem, x: str, first: First, *, hoisted: bool = True) -> Results:
    """Write a layer as one Scan for each direction.

    A Scan of no step is an error in onnxruntime, so one step of zeros is appended to an empty batch.

    Args:
        frame: the batch.
        problem: the layer.
        x: its input [T, B, I].
        first: the states before the first step.
        hoisted: the input is multiplied before the loop.
    """
    padded, writer = Padded(frame), frame.writer.scoped(problem.name)
    plan = Plan(problem.graph, hoisted=hoisted)
    runs = []
    for k, weights in enumerate(problem.weights):
        direction = Direction(padded, problem, plan, weights, reverse=bool(k))
        runs.append(direction.run(frame.padded(x, "x.padded"), first[k]))
    output = frame.cut(writer.joined([run[0] for run in runs], "output"), "output.cut")
    return Results(output, tuple(run[1] for run in runs), zeroed=False)


class Padded:
    """Sequences with at least one step.

    Args:
        frame: which may have none.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame, self.writer = frame, frame.writer

    @property
    def reset(self) -> str:
        """[T, B, 1]."""
        writer = self.writer
        bits = writer.add("Cast", self.frame.reset, name="reset.bits", to=FLOAT)  # booleans cannot be padded
        column = self.frame.padded(writer.deepened(bits, 2, "reset.column"), "reset.padded")
        return writer.add("Cast", column, name="reset.series", to=BOOL)

    def given(self, name: str) -> str:
        """What is given beside the input: [T, B, width]."""
        return self.frame.padded(self.frame.given[name], f"given.{name}.padded")

    @property
    def lengths(self) -> str:
        """Of the sequences, at least 1."""
        return self.writer.add("Max", self.frame.lengths, self.frame.one, name="lengths.positive")

    @property
    def last(self) -> str:
        """For each sequence the place of its last step, as pairs of step and sequence: [B, 2]."""
        writer, number = self.writer, self.writer.hold
        step = writer.deepened(writer.add("Sub", self.lengths, self.frame.one, name="last_step"), 1, "last_step.column")
        count = writer.squeezed(self.frame.batch, 0, "batch.number")
        rows = writer.add("Range", number(0, "number0"), count, number(1, "number1"), name="rows")
        return writer.joined([step, writer.deepened(rows, 1, "rows.column")], "last_places")

    def turned(self, value: str) -> str:
        """Each sequence from its last step to its first, and back."""
        name = f"{value}.turned"
        if self.frame.lengths:
            return self.writer.add("ReverseSequence", value, self.lengths, name=name, time_axis=0, batch_axis=1)
        last, beyond = self.writer.hold([-1], "last"), self.writer.hold([-(2**62)], "before_first")
        return self.writer.add("Slice", value, last, beyond, self.frame.zero, last, name=name)


class Body(NamedTuple):
    """The body of a Scan.

    Attributes:
        graph: of one step.
        series: the names outside of what it reads step by step.
    """

    graph: object
    series: list[str]


class Direction:
    """One direction of a layer.

    Args:
        padded: the input.
        problem: the layer.
        plan: of its cell.
        weights: of the direction.
        reverse: from the last step to the first.
    """

    def __init__(self, padded: Padded, problem: Problem, plan: Plan, weights: Weights, *, reverse: bool) -> None:
        self.padded, self.problem, self.plan, self.weights, self.reverse = padded, problem, plan, weights, reverse
        self.frame, self.graph = padded.frame, problem.graph
        self.writer = self.frame.writer.scoped(problem.name + ("reverse/" if reverse else ""))
        self.ragged = bool(self.frame.lengths)

    def run(self, x: str, first: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Output and last states."""
        states, widths = self.graph.states, [self.weights.widths[state.axis] for state in self.graph.states]
        body = self._body(self._walked(x))
        begun = [
            self.frame.filled(value, width, f"{state.name}.first")
            for value, width, state in zip(first, widths, states, strict=True)
        ]
        followed = states if self.ragged else states[:1]  # only these are written down at every step
        ends = [self.writer.name(f"{state.name}.end") for state in states]
        rows = [self.writer.name(f"{state.name}.series") for state in followed]
        self.writer.node(
            "Scan", [*begun, *body.series], [*ends, *rows], body=body.graph, num_scan_inputs=len(body.series)
        )
        last = ends
        if self.ragged:
            last = [
                self.writer.add("GatherND", row, self.padded.last, name=f"{state.name}.end")
                for row, state in zip(rows, states, strict=True)
            ]
        kept = [
            self.writer.add("Where", self.frame.empty, old, new, name=f"{state.name}.last")
            for old, new, state in zip(begun, last, states, strict=True)
        ]
        return self.padded.turned(rows[0]) if self.reverse else rows[0], tuple(kept)

    def _walked(self, value: str) -> str:
        """A series as the direction walks through it."""
        return self.padded.turned(value) if self.reverse else value

    def outside(self, node: Node, x: str) -> str:
        """The series of the input, or of what is given."""
        return x if node.op is Op.INPUT else self._walked(self.padded.given(node.name))

    def _body(self, x: str) -> Body:
        """The step, and what it reads of the series."""
        read = _Reading(self, x)
        inner, states = self.writer.inner(), self.graph.states
        before = [inner.name(f"{state.name}.before") for state in states]
        widths = [self.weights.widths[state.axis] for state in states]
        inputs = [floats(name, [None, width]) for name, width in zip(before, widths, strict=True)]
        given, added = read.declare(inner, inputs)
        current = before
        if self.frame.reset:
            current = self._after_reset(inner, before, read, inputs)
        named = {state.name: value for state, value in zip(states, current, strict=True)}
        leaves = {i: named[n.name] for i, n in enumerate(self.graph.nodes) if n.op is Op.STATE and n.name in named}
        values = LateValues(self.plan, self.weights, inner, {**given, **leaves}, added)
        values.write()
        new = [self._result(values, k, before[k]) for k in range(len(states))]
        followed = range(len(states)) if self.ragged else range(1)
        copies = [inner.node("Identity", [new[k]], [inner.name(f"{states[k].name}.row")])[0] for k in followed]
        outputs = [floats(name, [None, width]) for name, width in zip(new, widths, strict=True)]
        outputs += [floats(name, [None, widths[k]]) for k, name in zip(followed, copies, strict=True)]
        return Body(inner.graph(f"{self.graph.name} step", inputs, outputs), read.outside)

    def _after_reset(self, inner: Writer, before: list[str], read: _Reading, inputs: list[object]) -> list[str]:
        """The states with which a step begins: the first ones where it is reset."""
        reset = self.padded.turned(self.padded.reset) if self.reverse else self.padded.reset
        name = inner.name("reset.now")
        inputs.append(booleans(name, [None, 1]))
        read.outside.append(reset)
        starts = self.problem.restart[int(self.reverse)]
        return [
            inner.add("Where", name, inner.hold(start, "start"), value, name=value.removesuffix(".before"))
            for start, value in zip(starts, before, strict=True)
        ]

    def _result(self, values: LateValues, k: int, before: str) -> str:
        """The new value of a state, under a name that no other output of the body has."""
        index, name = self.graph.updates[k], self.graph.states[k].name
        fresh = self.plan.levels[index] == LATE and self.graph.nodes[index].op not in LEAVES
        if fresh and index not in self.graph.updates[:k]:
            return values.value(index)
        value, inner = values.value(index), values.writer
        if self.plan.levels[index] == FIXED:
            shape = inner.add("Shape", before, name="shape")
            return inner.node("Expand", [value, shape], [inner.name(name)])[0]
        return inner.node("Identity", [value], [inner.name(name)])[0]


class _Reading:
    """What the body of a direction reads step by step.

    Args:
        direction: whose body it is.
        x: the input, as the direction walks through it.
    """

    def __init__(self, direction: Direction, x: str) -> None:
        plan, graph = direction.plan, direction.graph
        nodes = ((i, graph.nodes[i]) for i in plan.needed)
        inputs = {i: direction.outside(node, x) for i, node in nodes if node.op in OUTSIDE}
        self.direction, self.plan = direction, plan
        self.outside: list[str] = []
        self.early = EarlyValues(plan, direction.weights, direction.writer, inputs)
        self.groups = {group.sums[0].node: group for group in plan.groups.values() if group.with_early}
        self.values = [i for i in plan.needed if self._is_read(i)]

    def _is_read(self, index: int) -> bool:
        """Whether an early value is read inside, other than by a sum that adds it before the loop."""
        node, plan = self.direction.graph.nodes[index], self.plan
        if plan.levels[index] == LATE:
            return node.op in OUTSIDE
        if plan.levels[index] == FIXED or index in plan.inlined:
            return False
        readers = [i for i in plan.needed if index in self.direction.graph.nodes[i].args and plan.levels[i] == LATE]
        outright = [i for i in readers if i not in plan.groups and i not in plan.inlined]
        return bool(outright) or index in self.direction.graph.updates

    def declare(self, inner: Writer, inputs: list[object]) -> tuple[dict[int, str], dict[int, str]]:
        """Write what comes before the loop, and declare it inside: values by node, and what groups add."""
        self.early.write(self.values)
        given, added = {}, {}
        for index in self.values:
            given[index] = self._declared(
                inner, inputs, self.early.value(index), self.early.hint(index), self._width(index)
            )
        for node, group in self.groups.items():
            name = "_".join(self.early.hint(of.node) for of in group.sums)
            width = sum(self.early.width(of) for of in group.sums)
            added[node] = self._declared(
                inner, inputs, self.early.of_group(group, f"{name}.early"), f"{name}.early", width
            )
        return given, added

    def _width(self, index: int) -> int:
        return self.direction.weights.widths.get(self.direction.graph.nodes[index].axis, 1)

    def _declared(self, inner: Writer, inputs: list[object], outside: str, name: str, width: int) -> str:
        inside = inner.name(f"{name}.now")
        inputs.append(floats(inside, [None, width]))
        self.outside.append(outside)
        return inside
