"""What an audit does with the rows of a task: other rows to learn from, rows that are made up, the loss of each."""

from __future__ import annotations

import copy
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.errors import InputError
from tidegate.phase import counted
from tidegate.train.batch import Batch
from tidegate.train.bucket import by_length

ROWS = 256  # of a batch for scoring
LEAST, MOST = 4, 400  # steps of a canary

R = TypeVar("R")
T = TypeVar("T", bound=Any)


class Examples(ABC, Generic[T, R]):
    """The rows of a task as an audit needs them. A row is a unit of training: a text with its class, a pair, a piece.

    Args:
        task: whose data are read.

    Attributes:
        what: what rows are, in the plural.
        canary_is: what a canary is, in words.
        nats: the unit of losses, in nats.
        cached: what the task has derived from its training rows, which a copy must derive again.
    """

    what: ClassVar[str]
    canary_is: ClassVar[str]
    nats: ClassVar[float] = 1.0
    cached: ClassVar[tuple[str, ...]] = ("_counts",)

    def __init__(self, task: T) -> None:
        self.task = task

    @abstractmethod
    def rows(self, split: Any) -> Sequence[R]:
        """The rows of a part of the data.

        Args:
            split: the part.
        """

    @abstractmethod
    def length(self, row: R) -> int:
        """The steps of a row."""

    @abstractmethod
    def canary(self, generator: np.random.Generator, steps: int) -> R:
        """Draw a row that no data hold: its inputs and its answer are random, each by itself.

        Args:
            generator: draws it.
            steps: its length.
        """

    def space(self, steps: int) -> float:
        """The binary logarithm of how many different canaries there are.

        Args:
            steps: of each.
        """
        del steps
        return math.inf

    @abstractmethod
    def batch(self, rows: Sequence[R]) -> Batch:
        """Rows as one batch, in their order, as the model reads them when it is used.

        Args:
            rows: at least one.
        """

    @abstractmethod
    def _learning_from(self, task: T, rows: Sequence[R]) -> None:
        """Make the training part of a copy of the task these rows."""

    def learning_from(self, rows: Sequence[R]) -> T:
        """The same task with these rows as its training part; what it learnt from data besides weights stays.

        Args:
            rows: to learn from.
        """
        task = copy.copy(self.task)
        for name in self.cached:
            vars(task).pop(name, None)
        self._learning_from(task, rows)
        return task

    @property
    def steps(self) -> int:
        """The length of canaries: the median of the training rows, within limits."""
        lengths = [self.length(row) for row in self.rows("train")]
        return int(np.clip(np.median(lengths), LEAST, MOST))

    @torch.inference_mode()
    def losses(self, model: torch.nn.Module, rows: Sequence[R]) -> NDArray[np.float64]:
        """The loss of each row, in nats.

        Args:
            model: put into evaluation mode.
            rows: any.
        """
        model.eval()
        found = np.zeros(len(rows))
        groups = by_length([self.length(row) for row in rows], ROWS)
        for group in counted("scoring single rows", groups, len(groups)):
            batch = self.batch([rows[place] for place in group])
            outputs, _ = model(batch)
            found[group] = self.task.losses(outputs, batch).double().numpy()
        return found * self.nats

    def digest(self, rows: Sequence[R]) -> str:
        """A hash of rows as the model reads them.

        Args:
            rows: any.
        """
        whole = hashlib.sha256()
        for begin in range(0, len(rows), ROWS):
            batch = self.batch(rows[begin : begin + ROWS])
            for tensor in (batch.inputs, batch.targets):
                whole.update(str(tuple(tensor.shape)).encode() + tensor.contiguous().numpy().tobytes())
        return whole.hexdigest()


def in_memory(task: Any) -> None:
    """Refuse data that are not in memory.

    Raises:
        InputError: they are not.
    """
    if task.source.large:
        raise InputError(
            "AUDIT_LARGE",
            f"{task.source.title} is read from the disk piece by piece, and its rows cannot be exchanged there",
            fix="audit a training on a part of it",
        )
