"""Training as ``train`` does it: votes that are fitted by themselves, beside the recurrent layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from tidegate.tasks.classification.hold import Rows
from tidegate.tasks.classification.linear import Classes
from tidegate.tasks.classification.model import Classifier
from tidegate.tasks.classification.score import log_loss, temperature
from tidegate.tasks.classification.smoothed import COPIES
from tidegate.tasks.classification.stack import stacked, weighed
from tidegate.tasks.classification.task import ClassificationTask


class VotingTask(ClassificationTask):
    """A task whose model has votes beside its layers, by shares that are chosen on rows held out.

    Args:
        task: the task, whose data are read already.

    Attributes:
        what: the sequences are called.
        plan: the field of the encoding that describes the votes.
    """

    what: ClassVar[str]
    plan: ClassVar[str]

    def __init__(self, task: ClassificationTask) -> None:
        vars(self).update(vars(task))
        self._told = ""
        few, all_rows = len(self.known.voting.last), len(self.known.holding.last)
        if few < all_rows:
            drawn = f"votes, and baselines like them, learn from {few:,} of {all_rows:,} {self.what}, drawn"
            self.data = dataclasses.replace(self.data, warnings=(*self.data.warnings, drawn))

    @property
    def voting(self) -> bool:
        """Whether there are votes; what is fitted without an adversary does not bear one."""
        return self.setting.votes and self.setting.adversarial is None and self.setting.smooth is None

    def settle(self, model: torch.nn.Module) -> torch.nn.Module:
        """Keep the model that has learnt from all rows, and let votes have their share."""
        held, kept = self._unseen(model), self._kept(model)
        if not self.voting:
            if self.setting.calibrate and self.setting.smooth is None:
                kept.temperature.fill_(temperature(held, torch.from_numpy(self.known.classes[self.known.holding.held])))
            return kept
        rows, layers, votes = self._judged(held)
        truth = self.known.classes[rows]
        shares = stacked([layers, votes], truth)
        self._told = self._in_words([layers, votes], shares, truth)
        self.encoding = dataclasses.replace(self.encoding, **{self.plan: self.ballot.plan})
        kept.hear(self.ballot.votes(), shares)
        return kept

    def remarks(self, model: torch.nn.Module) -> tuple[str, ...]:
        del model
        if self.setting.votes and self.setting.adversarial is not None:
            return ("the layers answer alone: votes beside them do not learn to bear an attack",)
        if self.setting.smooth is not None:
            return (f"each answer is that of most of {COPIES} copies with noise of {self.setting.smooth:g}",)
        return (self._told,) if self._told else ()

    def _kept(self, model: Any) -> Classifier:
        """The model that is kept."""
        return model  # type: ignore[no-any-return]

    def _unseen(self, model: torch.nn.Module) -> torch.Tensor:
        """[N, classes] logits of the layers for the rows held out, in their order."""
        return self._logits(model, "valid")

    def _judged(self, held: torch.Tensor) -> tuple[Rows, torch.Tensor, torch.Tensor]:
        """Rows that neither layers nor votes have learnt from, and the logits of both.

        Args:
            held: those of the layers for all rows held out.
        """
        raise NotImplementedError

    def _in_words(self, parts: Sequence[torch.Tensor], shares: Sequence[float], truth: Classes) -> str:
        """What layers and votes are worth on rows held out, and which of them answer."""
        start = f"log loss of {len(truth):,} {self.what} held out: {self._alone_in_words(parts, truth)}"
        if not shares[0]:
            return f"{start}; the layers added nothing, so the votes answer alone"
        if not shares[1]:
            return f"{start}; the votes added nothing, so the layers answer alone"
        both = shares[0] * parts[0] + shares[1] * parts[1]
        return f"{start}, together {log_loss(both.softmax(1).numpy(), truth):.4g}"

    def _alone_in_words(self, parts: Sequence[torch.Tensor], truth: Classes) -> str:
        layers, votes = (log_loss((weighed([part], truth)[0][0] * part).softmax(1).numpy(), truth) for part in parts)
        return f"layers {layers:.4g}, votes of {' and '.join(self.ballot.voters)} {votes:.4g}"
