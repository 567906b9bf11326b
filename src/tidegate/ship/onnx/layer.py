"""What a layer reads and gives in an ONNX graph, however it is lowered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.cell import Graph
from tidegate.ship.onnx.weights import Array, Weights
from tidegate.ship.onnx.writer import Writer

First = tuple[tuple[str, ...], ...]  # for each direction the states before the first step, [B, width] or [1, width]


@dataclass(frozen=True)
class Frame:
    """The sequences of one batch, as all layers see them.

    Attributes:
        writer: of the graph.
        steps: the name of T, as int64 [1].
        batch: the name of B, as int64 [1].
        lengths: int64 [B], each from 0 to T; "" where all have T steps.
        reset: booleans [T, B]; "" for none.
        spread: a state may be given once for all sequences.
        given: what cells read beside the input, by name: each [T, B, width], or [B, width] in a step.
    """

    writer: Writer
    steps: str
    batch: str
    lengths: str = ""
    reset: str = ""
    spread: bool = True
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def zero(self) -> str:
        """0 as [1]."""
        return self.writer.hold([0], "zero")

    @property
    def one(self) -> str:
        """1 as [1]."""
        return self.writer.hold([1], "one")

    @property
    def empty(self) -> str:
        """Whether a sequence has no step: [B, 1], or [1]."""
        if not self.lengths:
            return self.writer.add("Equal", self.steps, self.zero, name="is_empty")
        return self.writer.deepened(self.writer.add("Equal", self.lengths, self.zero, name="are_empty"), 1, "is_empty")

    def filled(self, value: str, width: int, name: str, *, deep: bool = False) -> str:
        """A state of all sequences: [B, width], or [1, B, width]."""
        if not self.spread:
            return self.writer.deepened(value, 0, name) if deep else value
        parts = [self.one] if deep else []
        parts += [self.batch, self.writer.hold([width], f"width{width}")]
        shape = self.writer.joined(parts, f"shape{width}", axis=0)
        return self.writer.add("Expand", value, shape, name=name)

    def padded(self, value: str, name: str) -> str:
        """A series [T, B, width] with at least one step, of zeros."""
        writer, none = self.writer, self.writer.hold([0, 0], "zeros")
        missing = writer.add("Sub", self.one, self.steps, name="missing_steps")
        missing = writer.add("Max", missing, self.zero, name="appended_steps")
        pads = writer.joined([self.zero, none, missing, none], "pads", axis=0)
        return writer.add("Pad", value, pads, name=name)

    @property
    def inside(self) -> str:
        """Whether a step is one of its sequence: [T, B, 1]."""
        writer = self.writer
        steps = writer.squeezed(self.steps, 0, "steps.number")
        order = writer.add("Range", writer.hold(0, "number0"), steps, writer.hold(1, "number1"), name="order")
        inside = writer.add("Less", writer.deepened(order, 1, "order.column"), self.lengths, name="are_inside")
        return writer.deepened(inside, 2, "is_inside")

    def zeroed(self, value: str) -> str:
        """A series that is zero after the end of each sequence."""
        return self.writer.add("Where", self.inside, value, self.writer.hold(0.0, "zero_float"), name="zeroed")

    def cut(self, value: str, name: str) -> str:
        """A series without an appended step."""
        return self.writer.add("Slice", value, self.zero, self.steps, self.zero, name=name)


@dataclass(frozen=True)
class Problem:
    """A layer of one cell, in one direction or two.

    Attributes:
        name: of the layer, which names of its values begin with.
        graph: the cell as it runs in evaluation.
        weights: of each direction.
        restart: for each direction the states after a reset, each [width].
    """

    name: str
    graph: Graph
    weights: tuple[Weights, ...]
    restart: tuple[tuple[Array, ...], ...]


@dataclass(frozen=True)
class Results:
    """What a layer gives.

    Attributes:
        output: [T, B, width of all directions].
        last: for each direction the states after the last step, each [B, width].
        zeroed: the output is zero after the end of each sequence, in every runtime that the model is meant for.
    """

    output: str
    last: tuple[tuple[str, ...], ...]
    zeroed: bool
