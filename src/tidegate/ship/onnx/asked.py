"""What the caller of ``onnx`` asked for."""

from __future__ import annotations

from typing import NamedTuple


class Asked(NamedTuple):
    """How a model is written.

    Attributes:
        step: the model of one step instead of that of sequences.
        lengths: a model of sequences takes lengths.
        reset: it takes resets.
        optional: lengths and states need not be given.
        native: use the nodes of ONNX where they fit.
        opset: of the default domain.
    """

    step: bool
    lengths: bool
    reset: bool
    optional: bool
    native: bool
    opset: int

    @property
    def takes_lengths(self) -> bool:
        """Whether the model takes lengths; one of a step has none to take."""
        return self.lengths and not self.step
