"""What all models have in common: inputs that may be left out, lengths and resets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tidegate.ship.onnx.layer import Frame
from tidegate.ship.onnx.writer import Array, Writer, booleans, integers, tensor

EVERY_STEP = -1  # the length of a sequence that has all steps


class Interface:
    """The inputs of a model.

    Args:
        writer: of its graph.
        optional: lengths and states need not be given.

    Attributes:
        inputs: as declared.
        defaults: of those that need not be given.
    """

    def __init__(self, writer: Writer, *, optional: bool) -> None:
        self.writer, self.optional = writer, optional
        self.inputs: list[Any] = []
        self.defaults: list[Any] = []

    @property
    def rows(self) -> str:
        """The name of the first dimension of a state."""
        return "batch_or_1" if self.optional else "batch"

    def input(self, declared: Any, default: Array | None = None) -> str:
        """Declare an input, and what it is where it is not given."""
        self.inputs.append(declared)
        name = self.writer.name(declared.name)
        if default is not None and self.optional:
            self.defaults.append(tensor(default, name))
        return name

    def frame(self, x: str, *, lengths: bool, reset: Sequence[str] = ()) -> Frame:
        """The batch that an input [T, B, ...] has, with inputs for lengths and for resets of these axes."""
        writer = self.writer
        steps = writer.add("Shape", x, name="steps", start=0, end=1)
        batch = writer.add("Shape", x, name="batch", start=1, end=2)
        known = self._lengths(steps, batch) if lengths else ""
        return Frame(writer, steps, batch, known, self.resets(reset), spread=self.optional)

    def frame_of_a_step(self, x: str) -> Frame:
        """The batch that an input [B, ...] has."""
        return Frame(
            self.writer, self.writer.hold([1], "one"), self.writer.add("Shape", x, name="batch", start=0, end=1)
        )

    def _lengths(self, steps: str, batch: str) -> str:
        """The lengths of all sequences."""
        writer, zero = self.writer, self.writer.hold([0], "zero")
        given = self.input(integers("lengths", [self.rows]), np.array([EVERY_STEP]))
        if not self.optional:
            return given
        every = writer.add("Less", given, zero, name="lengths.are_missing")
        known = writer.add("Where", every, steps, given, name="lengths.known")
        return writer.add("Expand", known, batch, name="lengths.of_all")

    def resets(self, axes: Sequence[str]) -> str:
        """The input for resets by time, of these axes; "" for none."""
        if not axes:
            return ""
        given = self.input(booleans("reset", axes))
        batch_first = len(axes) == 2 and axes[0] == "batch"
        return self.writer.add("Transpose", given, name="reset.by_time", perm=[1, 0]) if batch_first else given
