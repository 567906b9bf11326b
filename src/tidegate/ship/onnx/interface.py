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
        return Frame(writer, steps, batch, self._lengths(steps, batch) if lengths else "", self.resets(reset))

    def frame_of_a_step(self, x: str) -> Frame:
        """The batch that an input [B, ...] has."""
        return Frame(
            self.writer, self.writer.hold([1], "one"), self.writer.add("Shape", x, name="batch", start=0, end=1)
        )

    def _lengths(self, steps: str, batch: str) -> str:
        """The lengths of all sequences. One beyond T is an error of the runtime."""
        writer, one = self.writer, self.writer.hold(1, "number1")
        given = self.input(integers("lengths", [self.rows]), np.array([EVERY_STEP]))
        most = writer.add("Add", writer.squeezed(steps, 0, "steps.number"), one, name="steps.and_one")
        known = writer.add("Range", writer.hold(0, "number0"), most, one, name="known_lengths")
        checked = writer.add("Gather", known, given, name="lengths.checked")  # which gives T for -1
        return writer.add("Expand", checked, batch, name="lengths.of_all") if self.optional else checked

    def resets(self, axes: Sequence[str]) -> str:
        """The input for resets by time, of these axes; "" for none."""
        if not axes:
            return ""
        given = self.input(booleans("reset", axes))
        batch_first = len(axes) == 2 and axes[0] == "batch"
        return self.writer.add("Transpose", given, name="reset.by_time", perm=[1, 0]) if batch_first else given
