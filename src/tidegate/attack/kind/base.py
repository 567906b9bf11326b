"""What is attacked: a model as its users call it, on some rows, and the changes that are allowed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch

from tidegate.adversary import Ball, Found, by_gradient, by_queries, climb
from tidegate.attack.effort import Effort
from tidegate.attack.kind.limit import Limits
from tidegate.records import AttackedRecord, HonestyRecord
from tidegate.train.batch import Batch

TOGETHER = 128  # rows of a batch
PAIRS = 8  # of values, for a slope from values alone
NARROW = 0.1  # of the radius: the differences of such a slope

Rows = torch.Tensor
Loss = Callable[[torch.Tensor, Rows], torch.Tensor]


class Kind(ABC):
    """A model, rows to attack, and changes within a budget. Rows are independent of each other.

    The curve, the smallest changes, the checklist and the page know nothing of an attack but this. A change is what
    ``search`` puts into ``Found.change``; its score is above 0 where the answer is broken.

    Attributes:
        unit: of budgets, in words.
        measure: what a curve shows the mean of, such as ``"accuracy"``.
        better: which values of it are better.
        count: the number of rows.
        whole: whether budgets are whole numbers, such as edits; then nothing lies between them.
        settled: whether a row that is broken needs no further search.
        asks: the argument by which users give budgets.
        norm: how changes are measured, where no user can choose it.
    """

    unit: str
    measure: str
    better: Literal["higher", "lower"]
    count: int
    whole: ClassVar[bool] = False
    settled: bool = True
    asks: ClassVar[str] = "eps"
    norm: str = ""

    @property
    def sounds(self) -> Mapping[str, bytes]:
        """Files to write beside a page, by the end of their names."""
        return {}

    @classmethod
    def total(cls, task: Any) -> int:
        """How many rows the test part of a task has; of kinds that models of a task have."""
        raise NotImplementedError

    @classmethod
    def of(cls, estimator: Any, task: Any, rows: Sequence[int], limits: Limits) -> Kind:
        """The kind of a trained model.

        Args:
            estimator: the model as its users have it.
            task: whose test part is attacked.
            rows: places in it.
            limits: what may change.

        Raises:
            InputError: the limits name what is not there, or what this kind cannot do.
        """
        raise NotImplementedError

    @property
    @abstractmethod
    def budgets(self) -> tuple[float, ...]:
        """The budgets of a curve, unless a user gives some."""

    @property
    @abstractmethod
    def broken(self) -> str:
        """What counts as a broken answer, in words."""

    @property
    def factor(self) -> str:
        """A budget in the unit of the data, in words; empty where there is no one factor."""
        return ""

    @property
    def chance(self) -> tuple[float, str]:
        """The measure of an answer that knows nothing, and what that is in words; none unless a kind says one."""
        return math.nan, ""

    @abstractmethod
    def search(self, rows: Rows, budget: torch.Tensor, effort: Effort, start: torch.Tensor | None = None) -> Found:
        """The worst changes of some rows.

        Args:
            rows: [K] int64.
            budget: [K] of each.
            effort: how hard to try.
            start: changes of these rows within the budget, to begin at.
        """

    @abstractmethod
    def valued(self, rows: Rows, change: torch.Tensor) -> torch.Tensor:
        """[K] float64 the measure of changed rows, such as 1 for a right answer."""

    @abstractmethod
    def shown(self, row: int, change: torch.Tensor, budget: float) -> AttackedRecord:
        """One row with its change [T, 1, ...] as the report draws it."""

    def verified(self, rows: Rows, change: torch.Tensor) -> int | None:
        """How many of these changed rows the model breaks on as users call it; None where nobody can call it so."""
        del rows, change
        return None

    def checked(self, effort: Effort, budget: float) -> Sequence[HonestyRecord]:
        """The checklist, for a kind whose changes are no numbers; of others, see ``attack.checklist``."""
        raise NotImplementedError

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know: what is attacked, in which unit, what has no gradient."""
        return ()


class Continuous(Kind):
    """Inputs that are numbers [T, B, ...], which change within a ball.

    Attributes:
        x: [T, B, ...] the inputs that users could pass, in the unit of budgets.
        ball: where changes may be; its radius is of no account.
        losses: what gradients are of, by name: [K] of the outputs for some rows. Runs take them in turns.
        model: the model as its users call it.
        imitated: whether a small network can learn to answer as the model does.
    """

    imitated: bool = True
    x: torch.Tensor
    ball: Ball
    losses: Mapping[str, Loss]
    model: torch.nn.Module

    @abstractmethod
    def outputs(self, x: torch.Tensor, rows: Rows) -> torch.Tensor:
        """The answers [K, ...] of the whole model to inputs [T, K, ...], with gradients as far as there are some."""

    @abstractmethod
    def score(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        """[K] by how much an answer is broken; 0 or less where it is not."""

    @abstractmethod
    def value(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        """[K] the measure of answers."""

    @property
    def budgets(self) -> tuple[float, ...]:
        """Six from 0 on: half a standard deviation in each number, or a quarter of that length."""
        most = 0.5 if self.ball.norm == "linf" else 0.25 * float(self.ball.free(self.x).median()) ** 0.5
        return tuple(float(f"{most * k / 5:.2g}") for k in range(6))

    def stuffed(self, rows: Rows) -> torch.Tensor | None:
        """The answers to unchanged rows whose padding holds other numbers; None where no row is padded."""
        del rows
        return None

    @property
    def unbounded(self) -> float:
        """A budget within which inputs can become anything that they ever were."""
        free = self.x if self.ball.mask is None else self.x * self.ball.mask
        reach = 4 * float(free.abs().max()) or 1.0
        return reach if self.ball.norm == "linf" else reach * float(self.ball.free(self.x).max()) ** 0.5

    def radius(self, budget: torch.Tensor, rows: Rows) -> torch.Tensor:
        """[K] the radius of each row's ball."""
        del rows
        return budget

    def search(
        self,
        rows: Rows,
        budget: torch.Tensor,
        effort: Effort,
        start: torch.Tensor | None = None,
        loss: str = "",
    ) -> Found:
        losses = [self.losses[loss]] if loss else [*self.losses.values()]

        def slope(part: Rows, ball: Ball, generator: torch.Generator, run: int) -> Any:
            del ball, generator
            own = losses[run % len(losses)]

            def judged(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                outputs = self.outputs(x, part)
                return own(outputs, part), self.score(outputs, part)

            return by_gradient(judged)

        return self._climbed(slope, rows, budget, effort, start)

    def queried(self, rows: Rows, budget: torch.Tensor, effort: Effort) -> Found:
        """The worst changes that an ascent finds from answers alone, without a gradient."""

        def slope(part: Rows, ball: Ball, generator: torch.Generator, run: int) -> Any:
            del run
            width = torch.as_tensor(ball.radius) * NARROW
            if ball.norm == "l2":  # a direction of signs is longer
                width = width / ball.free(self.x[:, part]).clamp(min=1).sqrt()
            return by_queries(lambda x: self._scored(x, part), width.clamp(min=1e-6), PAIRS, generator, ball.mask)

        return self._climbed(slope, rows, budget, effort)

    def transferred(
        self, rows: Rows, budget: torch.Tensor, effort: Effort, surrogate: Callable[[torch.Tensor, Rows], torch.Tensor]
    ) -> Found:
        """The worst changes on the way along the gradient of another model."""
        own = next(iter(self.losses.values()))

        def slope(part: Rows, ball: Ball, generator: torch.Generator, run: int) -> Any:
            del ball, generator, run
            return by_gradient(lambda x: (own(surrogate(x, part), part), self._scored(x.detach(), part)))

        return self._climbed(slope, rows, budget, effort)

    def noise(self, rows: Rows, budget: torch.Tensor, effort: Effort, tries: int) -> Found:
        """The worst of changes drawn where balls end."""
        generator, parts = effort.generator(), []
        for part, radius in self._parts(rows, budget):
            x, ball = self.x[:, part], self.ball.rows(part).of(radius)
            none = torch.zeros_like(x)
            best = Found(none, self._scored(x, part), torch.zeros(len(part)))
            for _ in range(tries):
                change = ball.edge(x, generator)
                best = best.worse(Found(change, self._scored(ball.moved(x, change), part), best.silent))
            parts.append(best)
        return joined(parts)

    def judged(self, rows: Rows, change: torch.Tensor) -> torch.Tensor:
        """[K] the scores of changed rows."""
        parts = torch.arange(len(rows)).split(TOGETHER)
        return torch.cat([self._scored(self._moved(rows[part], change[:, part]), rows[part]) for part in parts])

    def valued(self, rows: Rows, change: torch.Tensor) -> torch.Tensor:
        found = []
        with torch.no_grad():
            for part in torch.arange(len(rows)).split(TOGETHER):
                outputs = self.outputs(self._moved(rows[part], change[:, part]), rows[part])
                found.append(self.value(outputs, rows[part]).double())
        return torch.cat(found)

    def _moved(self, rows: Rows, change: torch.Tensor) -> torch.Tensor:
        return self.ball.rows(rows).moved(self.x[:, rows], change)

    def _scored(self, x: torch.Tensor, rows: Rows) -> torch.Tensor:
        with torch.no_grad():
            return self.score(self.outputs(x, rows), rows)

    def _parts(self, rows: Rows, budget: torch.Tensor) -> list[tuple[Rows, torch.Tensor]]:
        radius = self.radius(budget, rows)
        return list(zip(rows.split(TOGETHER), radius.split(TOGETHER), strict=True))

    def _climbed(
        self,
        slope: Callable[[Rows, Ball, torch.Generator, int], Any],
        rows: Rows,
        budget: torch.Tensor,
        effort: Effort,
        start: torch.Tensor | None = None,
    ) -> Found:
        generator, parts, at = effort.generator(), [], 0
        for part, radius in self._parts(rows, budget):
            x, ball, begin = (
                self.x[:, part],
                self.ball.rows(part).of(radius),
                None if start is None else start[:, at : at + len(part)],
            )
            whole = climb(
                slope(part, ball, generator, 0),
                x,
                ball,
                steps=effort.steps,
                restarts=1,
                start=begin,
                enough=self._enough,
            )
            for run in range(1, effort.restarts):
                left = (whole.score <= self._enough).nonzero()[:, 0]
                if not len(left):
                    break
                inner = ball.rows(left)
                drawn = inner.start(x[:, left], generator)
                own = slope(part[left], inner, generator, run)
                found = climb(own, x[:, left], inner, steps=effort.steps, restarts=1, start=drawn, enough=self._enough)
                whole = put(whole, left, found)
            parts.append(whole)
            at += len(part)
        return joined(parts)

    @property
    def _enough(self) -> float:
        """The score from which on a row is left alone."""
        return 0.0 if self.settled else math.inf


def joined(parts: Sequence[Found]) -> Found:
    """The changes of rows that were searched apart."""
    return Found(
        torch.cat([part.change for part in parts], 1),
        torch.cat([part.score for part in parts]),
        torch.cat([part.silent for part in parts]),
    )


def put(whole: Found, rows: torch.Tensor, part: Found) -> Found:
    """The same changes, but for rows whose new ones are worse."""
    change, score, silent = whole.change.clone(), whole.score.clone(), whole.silent.clone()
    own = Found(whole.change[:, rows], whole.score[rows], whole.silent[rows]).worse(part)
    change[:, rows], score[rows], silent[rows] = own.change, own.score, part.silent
    return Found(change, score, silent)


def padded_otherwise(batch: Batch) -> torch.Tensor | None:
    """[T, B, C] the inputs with other numbers behind the end of each sequence; None where no sequence is padded."""
    assert batch.lengths is not None
    behind = torch.arange(len(batch.inputs))[:, None] >= batch.lengths
    if not behind.any():
        return None
    other = torch.randn(batch.inputs.shape, generator=torch.Generator().manual_seed(0))
    return torch.where(behind[..., None], other, batch.inputs)
