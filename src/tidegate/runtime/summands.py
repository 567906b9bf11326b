"""What the gradients of the parameters of a direction are made of."""

from __future__ import annotations

from typing import NamedTuple

from tidegate.emit.plan import Gradient, Sum


class Summands(NamedTuple):
    """What the gradients of the parameters of a direction are made of, in this order.

    Attributes:
        matrices: products over steps.
        sums: over steps.
        tallied: those that a backward run has made already for each sequence.
    """

    matrices: tuple[Gradient, ...]
    sums: tuple[Sum, ...]
    tallied: tuple[Sum, ...]

    @property
    def tensors(self) -> list[str]:
        """Whose gradient each of them is, as parameters of the cell are named."""
        own = [*(m.tensor for m in self.matrices), *(v.tensor for v in (*self.sums, *self.tallied))]
        return [tensor.removeprefix("d ") for tensor in own]

    @property
    def places(self) -> list[slice]:
        """Which rows of it."""
        vectors = [slice(v.offset, v.offset + v.width) for v in (*self.sums, *self.tallied)]
        return [*(slice(m.row, m.row + m.rows) for m in self.matrices), *vectors]

    @property
    def columns(self) -> list[slice]:
        """Where the adjoints are: columns of the chunk, or of the tally."""
        vectors = [slice(v.adjoint, v.adjoint + v.width) for v in (*self.sums, *self.tallied)]
        return [*(slice(m.adjoint, m.adjoint + m.rows) for m in self.matrices), *vectors]
