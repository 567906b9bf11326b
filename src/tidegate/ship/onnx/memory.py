"""What remembers in a flow, in ONNX: for all steps at once, and for one step.

A rule gets a value and the states of its node, and returns the new value and the states after the last step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tidegate.ship.flow import Node
from tidegate.ship.onnx.layer import Frame
from tidegate.ship.onnx.writer import BOOL, Writer, floats


@dataclass(frozen=True)
class Memory:
    """A node that remembers.

    Attributes:
        frame: the batch.
        node: the node.
        width: of its argument.
        x: its argument, [T, B, width], or [B, width] in a step.
        states: by part, each [B, ...].
    """

    frame: Frame
    node: Node
    width: int
    x: str
    states: Mapping[str, str]

    @property
    def writer(self) -> Writer:
        """Of the graph, with names that begin with that of the node."""
        return self.frame.writer.scoped(f"{self.node.name}/")

    def at_ends(self, whole: str, ahead: int = 0) -> str:
        """Of a series that has ``ahead`` more rows in front, the row behind the last step of each sequence.

        With more than one row ahead, as many of them: [B, ahead, width].
        """
        writer, frame = self.writer, self.frame
        offsets = writer.hold([list(range(ahead))], "offsets")  # [1, ahead]
        step = writer.add("Add", writer.deepened(self.steps_of_each, 1, "ends"), offsets, name="rows_kept")
        numbers = writer.add("Range", writer.hold(0, "number0"), writer.squeezed(frame.batch, 0, "batch.number"),
                             writer.hold(1, "number1"), name="sequences")  # fmt: skip
        which = writer.add("Expand", writer.deepened(numbers, 1, "column"), writer.add("Shape", step), name="of_each")
        places = writer.joined([writer.deepened(step, 2, "row"), writer.deepened(which, 2, "sequence")], "places")
        return writer.add("GatherND", whole, places, name="rows_at_ends")

    @property
    def steps_of_each(self) -> str:
        """The lengths of all sequences."""
        frame = self.frame
        return frame.lengths or self.writer.add("Expand", frame.steps, frame.batch, name="lengths.even")

    def kept(self, new: str, part: str, axes: int) -> str:
        """The state after the last step: the old one of a sequence without a step."""
        empty = self.frame.empty if axes == 2 else self.writer.deepened(self.frame.empty, 2, "is_empty.deep")
        return self.writer.add("Where", empty, self.states[part], new, name=f"{part}.last")


Result = tuple[str, dict[str, str]]
Rule = Callable[[Memory], Result]


# --- for all steps ---


def _window(memory: Memory) -> Result:
    writer, frame, rows = memory.writer, memory.frame, memory.node.attributes["rows"]
    old, after = memory.states["rows"], {}
    if "begun" in memory.states:
        filled = frame.padded(memory.x, f"{memory.node.name}/x.padded")
        start = writer.add("Slice", filled, frame.zero, frame.one, frame.zero, name="first_row")
        old = _begun(memory, writer.add("Transpose", start, name="first_row.by_batch", perm=[1, 0, 2]))
        after["begun"] = memory.kept(writer.hold([[1.0]], "begun"), "begun", 2)
    old_rows = writer.add("Transpose", old, name="rows.before", perm=[1, 0, 2])
    whole = writer.joined([old_rows, memory.x], "rows.all", axis=0)
    steps = writer.squeezed(frame.steps, 0, "steps.number")
    order = writer.add("Range", writer.hold(0, "number0"), steps, writer.hold(1, "number1"), name="order")
    places = writer.add("Add", writer.deepened(order, 1, "order.column"), writer.hold([[*range(rows)]], "window"))
    windows = writer.add("Gather", whole, places, name="windows", axis=0)  # [T, rows, B, width]
    by_batch = writer.add("Transpose", windows, name="windows.by_batch", perm=[0, 2, 1, 3])
    ahead = writer.joined([frame.steps, frame.batch, writer.hold([rows * memory.width], "width")], "shape", axis=0)
    value = writer.add("Reshape", by_batch, ahead, name="value", allowzero=1)
    return value, {"rows": memory.kept(memory.at_ends(whole, rows - 1), "rows", 3), **after}


def _begun(memory: Memory, first: str) -> str:
    """The remembered rows, or as many of the first one where there are none yet."""
    writer = memory.writer
    begun = writer.deepened(writer.add("Cast", memory.states["begun"], name="begun.now", to=BOOL), 2, "begun.deep")
    return writer.add("Where", begun, memory.states["rows"], first, name="rows.known")


def _sum(memory: Memory) -> Result:
    writer = memory.writer
    whole = writer.joined([writer.deepened(memory.states["sum"], 0, "before"), memory.x], "terms", axis=0)
    sums = writer.add("CumSum", whole, writer.hold(0, "number0"), name="sums")
    return _behind_first(memory, sums), {"sum": writer.squeezed(memory.at_ends(sums, 1), 1, "sum.last")}


def _highest(memory: Memory) -> Result:
    """ONNX has no running maximum, so it is a Scan."""
    writer, frame = memory.writer, memory.frame
    body = writer.inner()
    before, x, highest, row = (writer.name(name) for name in ("before", "x", "highest", "row"))  # none comes later
    body.node("Max", [before, x], [highest])
    body.node("Identity", [highest], [row])
    inputs = [floats(name, [None, memory.width]) for name in (before, x)]
    graph = body.graph("running maximum", inputs, [floats(name, [None, memory.width]) for name in (highest, row)])
    names = [writer.name("highest.end"), writer.name("highest.series")]
    padded = frame.padded(memory.x, f"{memory.node.name}/x.padded")
    series = writer.node("Scan", [memory.states["highest"], padded], names, body=graph, num_scan_inputs=1)[1]
    whole = writer.joined([writer.deepened(memory.states["highest"], 0, "before"), series], "highest.all", axis=0)
    end = writer.squeezed(memory.at_ends(whole, 1), 1, "highest.last")
    return frame.cut(series, f"{memory.node.name}/value"), {"highest": end}


def _behind_first(memory: Memory, whole: str) -> str:
    """A series without its first row."""
    most, frame = memory.writer.hold([2**62], "end"), memory.frame
    return memory.writer.add("Slice", whole, frame.one, most, frame.zero, name="value")


# --- for one step ---


def _window_step(memory: Memory) -> Result:
    writer, rows = memory.writer, memory.node.attributes["rows"]
    row, old, after = writer.deepened(memory.x, 1, "row"), memory.states["rows"], {}
    if "begun" in memory.states:
        old = _begun(memory, row)
        shape = writer.add("Shape", memory.states["begun"], name="begun.shape")
        after["begun"] = writer.add("Expand", writer.hold([[1.0]], "begun"), shape, name="begun.next")
    whole = writer.joined([old, row], "rows.all", axis=1)
    value = writer.add("Reshape", whole, writer.hold([0, rows * memory.width], "shape"), name="value")
    ends = [writer.hold([number], "number") for number in (1, rows, 1)]
    return value, {"rows": writer.add("Slice", whole, *ends, name="rows.next"), **after}


def _fold_step(part: str, operator: str) -> Rule:
    def rule(memory: Memory) -> Result:
        value = memory.writer.add(operator, memory.states[part], memory.x, name=part)
        return value, {part: value}

    return rule


SEQUENCES: Mapping[str, Rule] = {"window": _window, "sum": _sum, "highest": _highest}
STEPS: Mapping[str, Rule] = {
    "window": _window_step,
    "sum": _fold_step("sum", "Add"),
    "highest": _fold_step("highest", "Max"),
}
