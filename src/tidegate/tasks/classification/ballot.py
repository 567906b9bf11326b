"""Linear votes for the class of a series: of random convolutions, and of its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

from tidegate.phase import phase
from tidegate.tasks.classification.convolution import Convolution, Convolutions
from tidegate.tasks.classification.hold import Holding
from tidegate.tasks.classification.linear import Classes, Linear, logistic, ridge
from tidegate.tasks.classification.stack import stacked

STEPS = 64  # of a resampled series
FEATURES = 9_996  # of random convolutions, as published
FEWER = 2_520  # of many rows, so that a decomposition takes seconds
MANY = 2_500  # rows
WEIGHTS = 1 << 21  # most numbers in a linear map, unless that leaves less than one feature a kernel
NUMBERS = 1 << 25  # most features of all rows that are learnt from
COMPARED = 50_000_000_000  # most comparisons with thresholds to learn, about a minute


class SeriesVotes(torch.nn.Module):
    """The votes of a series: linear in the features of random convolutions, and in its values at 64 even steps.

    Equations:
        votes = A features(x) + B resampled(x) + c

    All of it is fitted in closed form or by a convex loss, not by the gradient steps of the recurrent layers, and kept
    in buffers.

    Args:
        plan: which convolutions there are.
        classes: the number of classes.

    Shapes:
        values [T, B, C] and lengths [B] to [B, classes].
    """

    by_features: torch.Tensor
    by_values: torch.Tensor
    bias: torch.Tensor

    def __init__(self, plan: Convolution, classes: int) -> None:
        super().__init__()
        self.channels = plan.channels
        self.convolutions = Convolutions(plan)
        self.register_buffer("by_features", torch.zeros(classes, plan.features))
        self.register_buffer("by_values", torch.zeros(classes, STEPS * plan.channels))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        features = self.convolutions(values, lengths).to(self.bias.dtype)
        even = resampled(values, lengths).flatten(1).to(self.bias.dtype)
        votes: torch.Tensor = features @ self.by_features.T + even @ self.by_values.T + self.bias
        return votes


@dataclass(frozen=True)
class Ballot:
    """Fitted votes, and what they say of rows that they have not learnt from.

    Attributes:
        convolutions: the transform.
        random: the map of its features.
        values: the map of the values at 64 even steps.
        weights: of both, by ``stack.stacked``.
        held: [N, classes] logits of the rows held out.
        learnt: the number of rows that the maps have learnt from.
    """

    convolutions: Convolutions
    random: Linear
    values: Linear
    weights: tuple[float, ...]
    held: torch.Tensor
    learnt: int

    @classmethod
    def of(
        cls, values: torch.Tensor, lengths: torch.Tensor, truth: Classes, kinds: int, holding: Holding, seed: int
    ) -> Self:
        """Fit votes.

        Args:
            values: [T, N, C] in standard deviations.
            lengths: [N].
            truth: [N] classes.
            kinds: the number of classes.
            holding: the rows to choose by and to learn from.
            seed: of the thresholds and of the channels of each convolution.
        """
        phase("random convolutions: drawing thresholds")
        convolutions = Convolutions(Convolution.of(values.shape[2], len(values), features_for(len(truth), kinds)))
        last = torch.from_numpy(holding.last)
        convolutions.fit(values[:, last], lengths[last], seed)
        phase("random convolutions: ridge regression")
        random = ridge(convolutions(values, lengths), truth, kinds, holding)
        phase("logistic regression on the values")
        even = logistic(resampled(values, lengths).flatten(1), truth, kinds, holding)
        weights = stacked([random.held, even.held], truth[holding.held])
        held = weights[0] * random.held + weights[1] * even.held
        return cls(convolutions, random, even, weights, held, len(holding.last))

    @property
    def voters(self) -> tuple[str, ...]:
        """Those whose weight is not 0."""
        names = ("random convolutions", "a linear map of the values")
        return tuple(name for name, weight in zip(names, self.weights, strict=True) if weight)

    @property
    def plan(self) -> Convolution:
        """Which convolutions there are."""
        return self.convolutions.plan

    def votes(self) -> SeriesVotes:
        """The votes as a module."""
        made = SeriesVotes(self.convolutions.plan, len(self.random.bias))
        made.convolutions.load_state_dict(self.convolutions.state_dict())
        ours, theirs = self.weights
        made.by_features.copy_(ours * self.random.weight)
        made.by_values.copy_(theirs * self.values.weight)
        made.bias.copy_(ours * self.random.bias + theirs * self.values.bias)
        return made


def features_for(rows: int, kinds: int) -> int:
    """About how many features of random convolutions so many rows and classes allow."""
    return min(FEATURES if rows <= MANY else FEWER, WEIGHTS // kinds)


def rows_for(rows: int, kinds: int, steps: int) -> int:
    """The largest number of rows, of so many steps, that votes learn from."""
    features = features_for(rows, kinds)
    return min(NUMBERS // features, COMPARED // (features * steps))


def resampled(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """[T, B, C] series of some lengths to [B, 64, C], linear between steps."""
    at = torch.linspace(0, 1, STEPS, dtype=torch.float64) * (lengths[:, None] - 1)
    before = at.floor().clamp(max=lengths[:, None] - 1)
    share = (at - before)[..., None]
    rows = torch.arange(len(lengths))[:, None]
    first = values[before.long(), rows].double()
    after = values[(before.long() + 1).minimum(lengths[:, None] - 1), rows].double()
    return first + share * (after - first)
