"""Which unit each row of a tensor belongs to, measured by backward runs.

Between a model's input and its losses the rows of a batch are transposed, flattened, sorted and chosen. Where they go
is not guessed from shapes, since a wrong guess would be a wrong guarantee.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch.autograd.graph import get_gradient_edge

from tidegate.errors import InputError

DIGIT = 64  # weights of a run are 2^0 ... 2^63, and float32 holds 2^127
SILENT = 2.0**-100  # adjoints below this are none: with fewer bits left their ratios are not exact


class Rows:
    """The rows of one tensor of a run.

    Args:
        name: what the tensor is, for errors.
        tensor: what autograd recorded.
        count: how many leading dimensions number the rows after ``arrange``.
        arrange: brings the tensor, or its adjoint, into an order with those dimensions in front.

    Attributes:
        adjoint: as ``arrange`` lays it out; None as long as no backward run came there.
        shape: of the rows.
        edge: where the adjoint arrives.
    """

    def __init__(
        self,
        name: str,
        tensor: torch.Tensor,
        count: int,
        arrange: Callable[[torch.Tensor], torch.Tensor] = lambda values: values,
    ) -> None:
        self.name, self.count, self.arrange = name, count, arrange
        self.shape = arrange(tensor.detach()).shape[:count]
        self.edge = get_gradient_edge(tensor)
        self._arrived: torch.Tensor | None = None
        tensor.register_hook(partial(_arrive, weakref.ref(self)))  # the graph must not hold what holds its edge

    @property
    def adjoint(self) -> torch.Tensor | None:
        return None if self._arrived is None else self.arrange(self._arrived)

    def owners(self, weighted: Sequence[torch.Tensor | None], units: int) -> torch.Tensor:
        """The unit of each row; -1 where nothing came back, so that nobody can tell, nor needs to.

        Args:
            weighted: the adjoint, as it arrived, of a run with each of ``weightings``.
            units: how many losses there are.

        Shapes:
            the result [*shape] int64.

        Raises:
            InputError: a row belongs to several units.
        """
        if self.adjoint is None or not self.adjoint.numel():
            return torch.full(self.shape, -1)
        runs = [torch.zeros_like(self.adjoint) if run is None else self.arrange(run) for run in weighted]
        return owners(self.adjoint, runs, self.count, units, self.name)


def _arrive(rows: weakref.ref[Rows], adjoint: torch.Tensor) -> None:
    there = rows()
    if there is not None:
        there._arrived = adjoint  # noqa: SLF001


def weightings(units: int) -> list[torch.Tensor]:
    """Weights of the units' losses, from which the rows' owners can be read: one power of two for each digit.

    Backward runs are linear in the adjoint, and to multiply by a power of two is exact. So a row that belongs to unit b
    alone gets exactly 2^digit(b) times what it gets in a run without weights.

    Args:
        units: how many losses there are.

    Shapes:
        each [units].
    """
    places = torch.arange(units, dtype=torch.float64)
    digits = max(1, math.ceil(math.log(max(2, units), DIGIT)))
    return [2.0 ** (places // DIGIT**k % DIGIT) for k in range(digits)]


def owners(adjoint: torch.Tensor, weighted: Sequence[torch.Tensor], rows: int, units: int, what: str) -> torch.Tensor:
    """The unit of each row; -1 where nothing came back, so that nobody can tell, nor needs to.

    Args:
        adjoint: of a run without weights.
        weighted: of a run with each of ``weightings``.
        rows: how many leading dimensions number the rows.
        units: how many losses there are.
        what: names the tensor, for the error.

    Shapes:
        adjoint and each weighted: [*rows, ...]; the result [*rows] int64.

    Raises:
        InputError: a row belongs to several units.
    """
    shape = adjoint.shape[:rows]
    values = adjoint.reshape(*shape, -1)
    if not values.numel():
        return torch.full(shape, -1)
    size, at = values.abs().max(-1, keepdim=True)
    known = size > SILENT
    owner = torch.zeros(shape, dtype=torch.int64)
    for k, run in enumerate(weighted):
        other = run.reshape(values.shape)
        ratio = torch.where(known, other.gather(-1, at) / values.gather(-1, at), 1.0)
        power = ratio.abs().log2().round().clamp(0, DIGIT - 1)
        apart = (other - values * 2.0**power).abs() > 2.0**power * size * torch.finfo(values.dtype).eps * 8
        if bool((apart & known).any()):
            raise mixed(what)
        owner += power[..., 0].long() * DIGIT**k
    owner[~known[..., 0]] = -1
    if bool((owner >= units).any()):
        raise mixed(what)
    return owner


def mixed(what: str) -> InputError:
    """The error where a row belongs to several units.

    Args:
        what: names the tensor.
    """
    return InputError(
        "PRIVATE_MIXED",
        f"{what} belongs to several units of the batch at once, so no gradient is that of a single unit",
        fix="let the model treat each row of a batch by itself, and give one loss for each row",
    )


class Known:
    """What runs have told of the rows of one call.

    Attributes:
        axis: the one whose index is the unit; None where none is known.
        settled: whether rows go where data say, as after a choice or a sort, and so are to be measured in every run.
        seen: the number of runs.
    """

    def __init__(self) -> None:
        self.axis: int | None = None
        self.settled, self.seen = False, 0

    @property
    def due(self) -> bool:
        """Whether to measure: as long as no axis is known, and to be sure of it in the 1st, 2nd, 4th, 8th, ... run."""
        return self.axis is None or not self.seen & (self.seen - 1)

    def meet(self, shape: Sequence[int], units: int) -> None:
        """Forget an axis that cannot number the units of the coming run.

        Args:
            shape: of the rows.
            units: how many there are.
        """
        if self.axis is not None and (len(shape) <= self.axis or shape[self.axis] != units):
            self.axis, self.settled = None, True

    def learn(self, owner: torch.Tensor, units: int) -> None:
        """Take what was measured.

        Args:
            owner: of each row; -1 where it is not known.
            units: how many there are.
        """
        known = owner >= 0
        if self.settled or len(owner[known].unique()) < 2:  # of one unit every axis might be
            return
        axes = []
        for axis, size in enumerate(owner.shape):
            index = torch.arange(size).view(-1, *[1] * (owner.dim() - 1 - axis))
            if size == units and bool(((owner == index) | ~known).all()):
                axes.append(axis)
        self.settled = not axes
        self.axis = axes[0] if len(axes) == 1 else None
