"""Training on series as ``train`` does it: few of them in folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.tasks.classification.batch import Sequences, padded
from tidegate.tasks.classification.model import Classifier
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.task import SCORED, ClassificationTask, passes
from tidegate.tasks.classification.voting import VotingTask
from tidegate.train.bucket import by_length
from tidegate.train.task import MakeLayer, Split

Rows = list[int]


class Members(torch.nn.Module):
    """Several models that share nothing but their steps.

    Args:
        members: each of them reads the rows of a batch that name it.
    """

    def __init__(self, members: Iterable[Classifier]) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList(members)

    def readers(self) -> dict[str, list[str]]:
        """What reads the recurrent layers of each, see ``tidegate.shrink``."""
        said = {}
        for number, member in enumerate(self.members):
            assert isinstance(member, Classifier)
            for path, names in member.readers().items():
                said[f"members.{number}.{path}"] = [f"members.{number}.{name}" for name in names]
        return said

    def forward(self, batch: Sequences, state: Any = None) -> tuple[torch.Tensor, None]:
        """Logits [B, classes]; batches share no state."""
        del state
        assert batch.member is not None
        answers, idle = [], []
        for number, member in enumerate(self.members):
            rows = (batch.member == number).nonzero()[:, 0]
            if len(rows):
                answers.append(member(_part(batch, rows))[0])
            else:
                idle += list(member.parameters())
        logits = torch.cat(answers)
        if self.training:  # several processes wait for a gradient of every parameter
            logits = logits + 0 * sum(parameter.sum() for parameter in idle)
        return logits, None


def _part(batch: Sequences, rows: torch.Tensor) -> Sequences:
    assert batch.lengths is not None
    lengths = batch.lengths[rows]
    return Sequences(batch.inputs[: int(lengths.max()), rows], batch.targets[rows], lengths)


class SeriesTask(VotingTask):
    """A task of series whose model is chosen in folds where rows are few, and has votes.

    With folds there is a model for each, which learns from the other folds and is scored on its own, and one that
    learns from all rows. They take their steps together, so that the best epoch is that of the folds, and one
    checkpoint holds them all. Only the last model is kept.

    Args:
        task: the task, whose data are read already.
    """

    what, plan = "series", "convolution"

    def __init__(self, task: ClassificationTask) -> None:
        super().__init__(task)
        holding = self.known.holding
        self.folded = holding.folded
        self._framed = [sequence for split in ("train", "valid") for sequence in self.sequences[split]]
        if self.folded:
            folds = f"validated in {len(holding.pairs)} folds of training and validation, then trained on both"
            self.data = dataclasses.replace(self.data, split=f"{self.data.split}; {folds}")

    def model(self, layer: MakeLayer, setting: ClassificationSetting | None = None) -> Any:
        if not self.folded:
            return super().model(layer, setting)
        count = len(self.known.holding.pairs) + 1
        return Members([super(SeriesTask, self).model(layer, setting) for _ in range(count)])

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterable[Sequences]:
        """Batches of one model, or of all members where there are folds."""
        if not self.folded or split == "test":
            return super().batches(split, order)
        return map(self._joined, self._held() if split == "valid" else self._steps(order))

    def remarks(self, model: torch.nn.Module) -> tuple[str, ...]:
        series = self._kept(model).series
        return (*((series.says,) if series and series.observed else ()), *super().remarks(model))

    def _steps(self, order: torch.Generator | None) -> Iterator[list[tuple[int, Rows]]]:
        """For each training step, the rows of each member."""
        holding, turns = self.known.holding, []
        for rows in (*(pair.fit for pair in holding.pairs), holding.last):
            lengths = [len(self._framed[row]) for row in rows]
            turns.append([rows[group].tolist() for group in passes(lengths, self.setting.batch_size, order)])
        for step in zip(*turns, strict=False):
            yield list(enumerate(step))

    def _held(self) -> Iterator[list[tuple[int, Rows]]]:
        """The rows that each member has not learnt from."""
        for number, pair in enumerate(self.known.holding.pairs):
            for group in by_length([len(self._framed[row]) for row in pair.held], SCORED):
                yield [(number, pair.held[group].tolist())]

    def _joined(self, parts: list[tuple[int, Rows]]) -> Sequences:
        rows = [row for _, group in parts for row in group]
        member = torch.tensor([number for number, group in parts for _ in group])
        batch = padded([self._framed[row] for row in rows], torch.from_numpy(self.known.classes[rows]))
        return dataclasses.replace(batch, member=member)

    def _kept(self, model: Any) -> Classifier:
        kept: Any = model.members[-1] if isinstance(model, Members) else model
        return kept  # type: ignore[no-any-return]

    def _judged(self, held: torch.Tensor) -> tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]:
        rows, (ours, theirs) = _common(self.known.holding.held, self.known.voting.held)
        return rows, held[ours], self.ballot.held[theirs]

    def _unseen(self, model: torch.nn.Module) -> torch.Tensor:
        """[N, classes] logits of the layers for the rows held out, in their order."""
        if not self.folded:
            return super()._unseen(model)
        model.eval()
        rows = [row for step in self._held() for _, group in step for row in group]
        with torch.inference_mode():
            logits = torch.cat([model(batch)[0].double() for batch in self.batches("valid")])
        place = {row: index for index, row in enumerate(rows)}
        return logits[[place[row] for row in self.known.holding.held.tolist()]]


def _common(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[torch.Tensor]]:
    """The rows in both, and their places in each."""
    rows, *places = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    return rows, [torch.from_numpy(place) for place in places]
