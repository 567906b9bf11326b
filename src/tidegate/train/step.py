"""One step of a training: the batches of an epoch, what is learnt from one, and what a checkpoint keeps of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from tidegate.records import PrivacyRecord
from tidegate.train.batch import Batch, Measure
from tidegate.train.carry import detached, flattened, unflattened
from tidegate.train.checkpoint import compartment, prefixed
from tidegate.train.plan import Plan
from tidegate.train.precision import in_full, rounding
from tidegate.train.setting import Training
from tidegate.train.task import AnyTask
from tidegate.train.world import World


@dataclass(frozen=True)
class Taken:
    """What a step was like, over all processes.

    Attributes:
        loss: summed over the terms.
        count: the number of terms.
        norm: of the gradient, before it was scaled down; if it is not finite, nothing was learnt.
        due: whether any process asked for a checkpoint.
    """

    loss: float
    count: int
    norm: float
    due: bool


@dataclass(frozen=True)
class Kept:
    """What a checkpoint has for a step.

    Attributes:
        tensors: all of them.
        own: those of this process.
        data: plain data.
        steps: the number of steps before.
        finished: whether there are no further steps.
    """

    tensors: dict[str, torch.Tensor]
    own: dict[str, torch.Tensor]
    data: dict[str, Any]
    steps: int
    finished: bool


class Step:
    """The plain step: gradient of the mean loss, scaled down to ``clip``, then Adam.

    Args:
        task: gives the batches and measures what the model answers.
        model: learns.
        plan: the recipe and its seeds.
        world: the processes that share each batch.
    """

    def __init__(self, task: AnyTask, model: torch.nn.Module, plan: Plan, world: World) -> None:
        self.task, self.model, self.setting, self.world = task, model, plan.setting, world
        self.dtype = dtype_of(model)
        self.joined = world.joined(model)
        self.optimizer = _optimizer(model, self.setting)
        self._order = torch.Generator().manual_seed(plan.order_seed)
        self._order_state = self._order.get_state()  # at the beginning of the current epoch
        self._carry: Any = None

    def count(self) -> int:
        """The number of steps in the current epoch."""
        order = torch.Generator()
        order.set_state(self._order_state)
        batches = self.task.batches("train", order)
        if isinstance(batches, Sequence):
            return self._capped(len(batches))
        return sum(1 for _ in islice(batches, self.setting.steps))

    def batches(self, first: int) -> Iterator[Any]:
        """The batches of the current epoch, for ``take``.

        Args:
            first: the number of those that were learnt from before.
        """
        self._order.set_state(self._order_state)
        batches = self.task.batches("train", self._order)
        if not isinstance(batches, Sequence):
            yield from islice(batches, first, self.setting.steps)
            return
        for place in range(first, self._capped(len(batches))):  # those before are not even read
            yield batches[place]

    def _capped(self, steps: int) -> int:
        return steps if self.setting.steps is None else min(steps, self.setting.steps)

    def take(self, whole: Batch, rate: float, *, due: bool = False) -> Taken:
        """Learn from a batch.

        Args:
            whole: the batch of all processes.
            rate: the learning rate.
            due: whether this process asks for a checkpoint.
        """
        batch, counts = self.world.share(whole.to(self.dtype))
        measure = self._measured(batch)
        share = measure.loss * float(counts)
        loss, count, asked = self.world.total(float(share.detach()), counts * measure.count, due)
        self.optimizer.zero_grad(set_to_none=True)
        (share * (self.world.size / max(1, count))).backward()  # the mean over all terms of all processes
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.setting.clip))
        if math.isfinite(norm):
            self._learn(rate)
        return Taken(loss, int(count), norm, bool(asked))

    def statement(self, steps: int) -> PrivacyRecord | None:
        """What is promised after so many steps; None for nothing."""
        del steps
        return None

    def _measured(self, batch: Batch) -> Measure:
        """The loss on a batch of this process; the state of a stream goes on."""
        with rounding(self.setting):
            batch = self.hardened(batch)
            outputs, self._carry = self.joined(batch, None if batch.starts else detached(self._carry))
        return self.task.measure(in_full(outputs), batch)

    def hardened(self, batch: Batch) -> Batch:
        """The batch to learn from, or to validate by, in place of one: the same."""
        return batch

    def _learn(self, rate: float) -> None:
        """Follow the gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()

    def end_epoch(self) -> None:
        """The next batches are those of another epoch."""
        self._carry, self._order_state = None, self._order.get_state()

    def tensors(self) -> dict[str, torch.Tensor]:
        """What a checkpoint keeps and is the same in every process."""
        return {**self._moments(), "order": self._order_state}

    def _moments(self) -> dict[str, torch.Tensor]:
        moments = {
            f"{k}.{name}": tensor
            for k, moment in self.optimizer.state_dict()["state"].items()
            for name, tensor in moment.items()
        }
        return prefixed("adam", moments)

    def own(self) -> dict[str, torch.Tensor]:
        """What a checkpoint keeps of this process."""
        return prefixed("carry", flattened(self._carry))

    def data(self) -> dict[str, Any]:
        """What a checkpoint keeps as plain data."""
        return {}

    def finish(self) -> bool:
        """End the last step; whether the checkpoint must be written again, without what nobody may know."""
        return False

    def load(self, kept: Kept) -> None:
        """Go on from a checkpoint.

        Raises:
            KeyError, ValueError, RuntimeError, InputError: something is missing, or does not fit the model.
        """
        self._load_moments(kept)
        self._carry = unflattened(compartment("carry", kept.own))
        self._order_state = kept.tensors["order"]

    def _load_moments(self, kept: Kept) -> None:
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in compartment("adam", kept.tensors).items():
            k, name = key.split(".")
            moments.setdefault(int(k), {})[name] = tensor
        if len({frozenset(moment) for moment in moments.values()}) != min(1, kept.steps):
            raise ValueError("moments of some parameters are missing")  # the optimizer would not notice
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})


def dtype_of(model: torch.nn.Module) -> torch.dtype:
    """The type of the parameters; float32 if there are none."""
    return next((parameter.dtype for parameter in model.parameters()), torch.float32)


def _optimizer(model: torch.nn.Module, setting: Training) -> torch.optim.Optimizer:
    if setting.weight_decay:
        return torch.optim.AdamW(
            model.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay, fused=True
        )
    return torch.optim.Adam(model.parameters(), lr=setting.learning_rate, fused=True)
