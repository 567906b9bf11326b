"""What ``explain`` has to know of a task: sequences of it, the loss at one step, the names of what it reads."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch.nn.utils.rnn import pad_sequence

from tidegate.errors import InputError
from tidegate.language import say
from tidegate.train.batch import Batch
from tidegate.train.task import Split

SHARED = ("_modules", "_parameters", "_buffers")
LONGEST = 512  # steps of a sequence that is explained; of a longer one its last


class Reader(torch.nn.Module):
    """A model of a task that reads plain tensors, as every measurement passes them.

    It has the parts and parameters of the model, at the same paths: what replaces one here replaces it there.

    Args:
        model: reads batches.
        batch: has everything but the inputs.
        ask: what the model answers to a batch.
    """

    def __init__(self, model: torch.nn.Module, batch: Any, ask: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.batch, self.ask = batch, ask
        vars(self).update({name: vars(model)[name] for name in SHARED}, inner=model)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None, batch: Any = None) -> Any:
        """What the model answers to inputs [T, B, ...]; a batch takes the place of its own."""
        return self.ask(vars(self)["inner"], replace(batch or self.batch, inputs=x, lengths=lengths))


@dataclass(frozen=True)
class Aim:
    """One answer for each sequence, at its target step.

    Attributes:
        model: the module that is measured.
        x: its positional argument, or a tuple of several.
        named: its keyword arguments.
        steps: [B] the step of the answer in each sequence, from 0.
        lengths: [B] the number of steps of each.
        loss: from what the model returns to the losses [B], or to one number.
        answer: likewise to the answers that attributions sum to.
        batch: the sequences as the task has them; None for a model of the caller's.
        horizon: of a forecast; 0 for others.
        truth: of a forecast, [B]: what the answers should be.
    """

    model: torch.nn.Module
    x: Any
    named: dict[str, Any]
    steps: torch.Tensor
    lengths: torch.Tensor
    loss: Callable[[Any], torch.Tensor]
    answer: Callable[[Any], torch.Tensor]
    batch: Any = None
    horizon: int = 0
    truth: torch.Tensor | None = None

    @property
    def spans(self) -> torch.Tensor:
        """[B] the steps between the target and the start of a sequence, or its other end if that is read first, too."""
        both = any(getattr(module, "bidirectional", False) for module in self.model.modules())
        return self.steps.maximum(self.lengths - 1 - self.steps) if both else self.steps

    def mean(self, outputs: Any) -> torch.Tensor:
        """The mean of the losses, as one number."""
        return self.loss(outputs).mean()

    @torch.no_grad()
    def losses(self) -> torch.Tensor:
        """[B] the losses, or one number."""
        x = self.x if type(self.x) is tuple else (self.x,)
        return self.loss(self.model(*x, **self.named))


class Kind(ABC):
    """A trained model, and how its answers are asked for, step by step.

    Args:
        model: the trained module; it is copied, in evaluation mode and float64.
        task: the data.
        split: the part of them on which the model is explained.

    Attributes:
        default: the target unless the caller names one.
        each: whether there is an answer at every step, so that the lengths of sequences say nothing of what is needed.
        beside: the paths of embeddings that are not of the steps, such as those of a source.
        unit: of a loss.
        says: what the answer is whose attributions are taken, in words.
        answers_in: the unit of that answer.
    """

    default: str = "last"
    each: ClassVar[bool] = False
    beside: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[str] = "nats"
    says: ClassVar[str] = say("log-probability of what was right")
    answers_in: ClassVar[str] = "nats"

    def __init__(self, model: torch.nn.Module, task: Any, split: Split = "test") -> None:
        self.model: Any = copy.deepcopy(model).eval().double().requires_grad_()
        self.task, self.split = task, split

    @property
    def seconds(self) -> float | None:
        """The length of a step; None where the data do not say."""
        return None

    def left_out(self, aim: Aim) -> tuple[str, ...]:
        """What the gradient by lag of these answers does not have, and why."""
        del aim
        return ()

    def draw(self, count: int) -> Any:
        """At most so many sequences, spread over all of the part that is explained, in float64."""
        return drawn(self.task.batches(self.split), count)

    @abstractmethod
    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        """[B] the loss of each sequence at its target step, of what the model answers to the batch."""

    @abstractmethod
    def labels(self, batch: Any, row: int) -> list[str]:
        """The name of each step of a sequence."""

    def answer(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        """[B] the answer of each sequence, whose attributions are taken."""
        return -self.loss(outputs, batch, steps)

    def features(self, batch: Any) -> tuple[str, ...]:
        """The names of the features; none where they are embedded symbols."""
        del batch
        return ()

    @staticmethod
    def ask(model: Any, batch: Any) -> Any:
        """What a model answers to a batch, without a state from before."""
        return model(batch)[0]

    @staticmethod
    def size(batch: Any) -> int:
        """The number of sequences."""
        return int(batch.inputs.shape[1])

    def lengths(self, batch: Any) -> torch.Tensor:
        """[B] the number of steps of each sequence."""
        steps, rows = batch.inputs.shape[:2]
        return torch.full((rows,), steps) if batch.lengths is None else batch.lengths

    def steps(self, batch: Any, target: str) -> torch.Tensor:
        """[B] the target step of each sequence, from 0.

        Args:
            batch: the sequences.
            target: ``"last"``; ``"all"``, a step of its own for each sequence, spread over its second half, or over its
                middle half for a model of both directions; or the number of a step, from 1.

        Raises:
            InputError: there is no such step.
        """
        lengths = self.lengths(batch)
        if target == "last":
            return lengths - 1
        if target == "all":
            first = 0.25 if self.both_ways else 0.5
            share = first + 0.5 * (torch.arange(len(lengths)) + 1) / len(lengths)
            return ((lengths * share).long() - 1).clamp(min=0)
        at = int(target) if target.isdecimal() else 0
        if not 1 <= at <= int(lengths.min()):
            raise InputError(
                "TARGET",
                f"target={target!r} is neither last, all, nor one of the {int(lengths.min())} steps of all sequences",
                fix="choose target='last'",
            )
        return torch.full_like(lengths, at - 1)

    def aim(self, batch: Any, target: str) -> Aim:
        """The answers that are explained.

        Args:
            batch: the sequences.
            target: as ``steps`` takes it.

        Raises:
            InputError: there is no such step.
        """
        return self.at(batch, self.steps(batch, target))

    def at(self, batch: Any, steps: torch.Tensor) -> Aim:
        """The answers at these steps [B]."""
        lengths = self.lengths(batch)
        return Aim(
            Reader(self.model, batch, self.ask),
            batch.inputs,
            {} if batch.lengths is None else {"lengths": lengths},
            steps,
            lengths,
            lambda outputs: self.loss(outputs, batch, steps),
            lambda outputs: self.answer(outputs, batch, steps),
            batch,
        )

    def single(self, aim: Aim, row: int) -> Aim:
        """The answer of one sequence, without padding."""
        return self.at(trimmed(aim.batch.share(row, len(aim.steps))), aim.steps[row : row + 1])

    def shortened(self, aim: Aim, context: int) -> Aim | None:
        """The same answers from at most so many steps up to the target; None where that makes no sense.

        Models that read in both directions keep as many steps behind the target.
        """
        batch, steps = aim.batch, aim.steps
        ends = (steps + context).minimum(self.lengths(batch)) if self.both_ways else steps + 1
        starts = (steps + 1 - context).clamp(min=0)
        time = starts + torch.arange(int((ends - starts).max()))[:, None]  # [T, B]
        time, rows = time.minimum(ends - 1), torch.arange(len(steps))
        own = {name: value[time, rows] for name, value in stepwise(batch).items()}
        return self.at(replace(batch, **own, lengths=ends - starts), steps - starts)

    @property
    def both_ways(self) -> bool:
        """Whether a layer reads in both directions."""
        return any(getattr(module, "bidirectional", False) for module in self.model.modules())

    def target(self, target: str) -> str:
        """The target in words."""
        if target == "all":
            second = say("the loss at one step of each sequence, spread over their second halves")
            middle = say("the loss at one step of each sequence, spread over their middle halves")
            return middle if self.both_ways else second
        return say("the loss at the last step") if target == "last" else say("the loss at step {step}", step=target)

    def shares(self, aim: Aim) -> Mapping[str, float]:
        """The share that each part of the model has in its answers; nothing where the layers answer alone."""
        del aim
        return {}

    def season(self) -> tuple[int, str]:
        """The steps of a season of the data, and how they are known; 0 for none."""
        return 0, ""


def stepwise(batch: Batch) -> dict[str, torch.Tensor]:
    """The tensors of a batch that have a value for each step: inputs, and targets unless they are of something else."""
    values = {"inputs": batch.inputs, "targets": batch.targets}
    return {name: value for name, value in values.items() if value.shape[:2] == batch.inputs.shape[:2]}


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """All tensors of a batch by their names."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


def drawn(batches: Iterable[Batch], count: int) -> Batch:
    """A batch of at most so many sequences, evenly chosen from batches that have their rows in some order.

    A long sequence keeps its last ``LONGEST`` steps.

    Raises:
        InputError: there is no sequence.
    """
    rows = [(batch, row) for batch in batches for row in range(batch.inputs.shape[1]) if _steps(batch, row)]
    if not rows:
        raise InputError("EXPLAIN_EMPTY", "the part of the data to explain holds no sequence", fix="pass other data")
    places = torch.linspace(0, len(rows) - 1, min(count, len(rows))).round().long().tolist()
    chosen = (rows[place] for place in places)
    return together([trimmed(batch.share(row, batch.inputs.shape[1])) for batch, row in chosen])


def _steps(batch: Batch, row: int) -> int:
    return len(batch.inputs) if batch.lengths is None else int(batch.lengths[row])


def trimmed(row: Batch) -> Batch:
    """One sequence without padding, and not too long."""
    length = len(row.inputs) if row.lengths is None else int(row.lengths)
    first = max(0, length - LONGEST)
    own: dict[str, Any] = {name: value[first:length] for name, value in stepwise(row).items()}
    return replace(row, **own, lengths=torch.tensor([length - first]))


def together(rows: Sequence[Batch]) -> Batch:
    """Single sequences as one batch in float64, padded."""
    merged: dict[str, Any] = {}
    for name, value in tensors(rows[0]).items():
        values = [tensors(row)[name] for row in rows]
        merged[name] = torch.cat(values) if value.dim() == 1 else _padded(values)
    return replace(rows[0], **merged, starts=True, context=0).to(torch.float64)


def _padded(values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Values [T, 1, ...] as [T, B, ...], those with fewer features (letters of a word) filled with zeros."""
    if values[0].dim() > 2:
        width = max(value.shape[-1] for value in values)
        values = [torch.nn.functional.pad(value, (0, width - value.shape[-1])) for value in values]
    return pad_sequence([value[:, 0] for value in values])


def in_all(sizes: Mapping[str, float]) -> dict[str, float]:
    """Sizes as shares of their sum; nothing where all are zero, since then nothing is known."""
    whole = sum(sizes.values())
    return {name: size / whole for name, size in sizes.items()} if whole else {}


def halved(most: int) -> list[int]:
    """Contexts to try: powers of two up to the longest, which comes last.

    Examples:
        >>> halved(20)
        [1, 2, 4, 8, 16, 20]
    """
    return sorted({*(1 << k for k in range(most.bit_length())), most})
