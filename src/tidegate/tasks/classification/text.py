"""Training on texts as ``train`` does it: layers learn what votes of n-grams leave over."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from tidegate.tasks.classification.batch import Beside
from tidegate.tasks.classification.hold import Rows
from tidegate.tasks.classification.linear import Classes
from tidegate.tasks.classification.score import log_loss
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.stack import weighed
from tidegate.tasks.classification.voting import VotingTask
from tidegate.train.task import MakeLayer, Split

CLASSES = 256  # most classes for which n-grams vote by default: a regression takes long for more


class TextTask(VotingTask):
    """A task of texts whose layers learn what votes of n-grams leave over.

    Equations:
        error = -log softmax(z(x) + s votes(x))[class] in training and validation

    The votes of a training row are those of a regression that has not learnt from it: one of five, each of which has
    learnt from four fifths of the training rows. Otherwise they would be right on nearly all rows, and leave
    nothing over. s is the one factor that suits them best.

    Args:
        task: the task, whose data are read already.

    References:
        What a model leaves over is learnt: Friedman 2001, doi 10.1214/aos/1013203451. Answers for rows held out as the
        input of what learns next: Wolpert 1992, doi 10.1016/S0893-6080(05)80023-1.
    """

    what, plan = "texts", "ngrams"

    @property
    def voting(self) -> bool:
        """Whether n-grams vote."""
        longest = self.setting.ngrams or (2 if len(self.encoding.classes) <= CLASSES else 1)
        return super().voting and longest > 1

    def model(self, layer: MakeLayer, setting: ClassificationSetting | None = None) -> Any:
        if self.voting:
            _ = self._apart  # before the first epoch, whose time tells how long others take
        return super().model(layer, setting)

    def _beside(self, split: Split) -> Beside | None:
        if split == "test" or not self.voting:
            return None
        logits, scale = self._apart
        if split == "train" and self.content.source.large:  # votes have learnt from few of these rows
            votes = self.ballot.votes().float()
            return lambda batch, _: scale * votes(batch.inputs, batch.lengths).T
        own = slice(self._trained) if split == "train" else slice(self._trained, None)
        beside = (scale * logits[own]).float()
        return lambda _, rows: beside[rows].T

    @cached_property
    def _apart(self) -> tuple[torch.Tensor, float]:
        """[N, classes] logits for the rows of training, then of validation, from votes without them; and s."""
        logits: torch.Tensor = self.ballot.apart(self.known.apart())
        return logits, weighed([logits[: self._trained]], self.known.classes[: self._trained])[0][0]

    @property
    def _trained(self) -> int:
        return self.known.choice.train

    def _judged(self, held: torch.Tensor) -> tuple[Rows, torch.Tensor, torch.Tensor]:
        rows = self.known.holding.held
        return rows, held, self._apart[0][rows]

    def _alone_in_words(self, parts: Sequence[torch.Tensor], truth: Classes) -> str:
        votes = log_loss((weighed(parts[1:], truth)[0][0] * parts[1]).softmax(1).numpy(), truth)
        return f"votes of {self.ballot.voters} {votes:.4g}"
