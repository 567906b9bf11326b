"""What every task is: data cut into batches, a model around a recurrent layer, a loss, a metric, baselines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch

from tidegate.nn import Recurrent
from tidegate.records import BaselineRecord, DataRecord

Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Batch:
    """Sequences that are run together.

    Attributes:
        inputs: [T, B, features] float, or [T, B] token ids.
        targets: what the task's loss wants beside the outputs.
        lengths: [B] valid steps of each row, or None where all are full.
        starts: True for the first batch of a stream; False continues with the (detached) state
            of the batch before.
        context: so many leading steps only inform the state: they are neither scored nor learnt from.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor | None = None
    starts: bool = True
    context: int = 0

    def scored(self) -> torch.Tensor:
        """[T, B] bool: the steps that count, neither context nor padding."""
        steps, rows = self.inputs.shape[:2]
        time = torch.arange(steps, device=self.inputs.device)[:, None]
        ends = torch.full((rows,), steps) if self.lengths is None else self.lengths
        return (time >= self.context) & (time < ends.to(time.device))


@dataclass(frozen=True)
class Measure:
    """Sums over one batch: the loss to minimise, the metric's error, and how many terms each sum has."""

    loss: torch.Tensor
    error: float
    count: int


@dataclass(frozen=True)
class Recipe:
    """How a task trains by default; the same for every cell.

    Attributes:
        parameters: the budget of trainable parameters that hidden sizes are solved for.
        trials: learning rates that a comparison tries in each run; see ``compare.run``.
        learning_rate: of Adam; halved when validation has not improved for ``patience_rate`` epochs.
        dropout: on the outputs of the recurrent layer.
        epochs: the cap.
        patience: early stopping after so many epochs without a better validation score.
        patience_rate: epochs without a better validation score before the rate is halved.
        clip: the largest norm of a gradient.
    """

    parameters: int
    trials: int = 2
    learning_rate: float = 4e-3
    dropout: float = 0.0
    epochs: int = 100
    patience: int = 10
    patience_rate: int = 3
    clip: float = 1.0


class SequenceModel(torch.nn.Module):
    """Encoder, recurrent layer, dropout, linear head: the shape of every model that answers at each step.

    Where the layer takes another number of features than the encoder gives, a linear map stands between them.
    """

    def __init__(
        self,
        encoder: torch.nn.Module,
        features: int,
        layer: Callable[[int], Recurrent],
        dropout: float,
        outputs: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.layer = layer(features)
        if self.layer.input_size != features:
            self.encoder = torch.nn.Sequential(encoder, torch.nn.Linear(features, self.layer.input_size))
        self.dropout = dropout
        self.head = torch.nn.Linear(self.layer.output_size, outputs)

    def forward(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Outputs [T, B, outputs] and the state after the last valid step."""
        hidden, state = self.layer(self.encoder(batch.inputs), state, lengths=batch.lengths)
        return self.head(self._dropped(hidden)), state

    def _dropped(self, hidden: torch.Tensor) -> torch.Tensor:
        """Dropout in half of the time that torch's takes, which draws Bernoulli numbers one by one."""
        if not (self.training and self.dropout):
            return hidden
        return hidden * torch.rand_like(hidden).ge_(self.dropout).div_(1 - self.dropout)


class Task(ABC):
    """One thing to be learnt from one data set."""

    name: str
    metric: str  # better when lower
    unit: str
    recipe: Recipe
    data: DataRecord

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain data from which ``tasks.from_json`` makes the same task again, in another process too."""

    @abstractmethod
    def model(self, layer: Callable[[int], Recurrent], dropout: float) -> SequenceModel:
        """A fresh model; ``layer`` makes the recurrent layer from the number of features, which it may not heed."""

    @abstractmethod
    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Batch]:
        """The batches of one pass; training passes draw their order from ``order``."""

    @abstractmethod
    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        """Loss and error of a model's outputs."""

    @abstractmethod
    def baselines(self) -> list[BaselineRecord]:
        """Scores on the test split that need no recurrent network."""

    def score(self, error: float, count: int) -> float:
        """The metric from summed errors; their mean unless a task says otherwise."""
        return error / count
