"""The step of private training: units are drawn by coins, their gradients clipped, added up and hidden in noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tidegate._version import __version__
from tidegate.errors import InputError
from tidegate.phase import phase
from tidegate.private.account import accountant, auto_delta, epsilon_of, sigma_for
from tidegate.private.generator import seed_default
from tidegate.private.gradient import Gradients
from tidegate.private.noise import add_noise
from tidegate.private.sampler import PoissonSampler
from tidegate.private.stream import SecretStream
from tidegate.records import PrivacyRecord
from tidegate.train.fitted import accepted
from tidegate.train.plan import Plan
from tidegate.train.promise import public_parts
from tidegate.train.protected import Protected
from tidegate.train.setting import Training
from tidegate.train.step import Kept, Step, Taken
from tidegate.train.task import AnyTask
from tidegate.train.world import World

PIECE = 64  # units whose gradients are made at once; a draw may be larger than the memory


@dataclass(frozen=True)
class Budget:
    """What a private training may spend, and how it spends it; all of it is known before it begins.

    Attributes:
        units: N.
        rate: the probability q that a unit takes part in a step.
        each: steps of an epoch.
        steps: of all epochs.
        delta: the chance that epsilon does not hold.
        sigma: the noise multiplier.
    """

    units: int
    rate: float
    each: int
    steps: int
    delta: float
    sigma: float

    @classmethod
    def of(cls, units: int, setting: Training) -> Budget:
        """The budget of a training.

        Equations:
            q = batch_size / N,  an epoch has 1 / q steps

        Args:
            units: N.
            setting: of the training.

        Raises:
            InputError: delta is too large for so many units, or no noise brings epsilon about.
            MissingError: dp-accounting is not installed.
        """
        assert setting.epsilon is not None
        rate = min(1.0, setting.batch_size / units)
        each = min(max(1, round(1 / rate)), setting.steps or units)
        delta = auto_delta(units) if setting.delta is None else setting.delta
        if delta * units >= 1:
            raise InputError(
                "PRIVATE_DELTA",
                f"delta={delta:g} allows a training to publish one of {units:,} units",
                fix=f"set delta={auto_delta(units):.1g}, or leave it out",
            )
        phase("finding the noise for epsilon")
        steps = each * setting.epochs
        return cls(units, rate, each, steps, delta, sigma_for(setting.epsilon, rate, steps, delta))


class PrivateStep(Step):
    """A step of differentially private training (DP-SGD, here followed by Adam).

    Equations:
        each unit takes part with probability q
        g = (sum_b g[b] min(1, C / |g[b]|) + n) / (q N),  n ~ N(0, sigma² C²)

    where g[b] is the gradient of the sum of the loss terms of unit b. Whatever chance there is, also that of dropout
    and of windows, comes from a secret stream; the seed of the settings makes the initial weights alone.

    Raises:
        InputError: something else is learnt from the training rows and not accepted as public, the task has no units,
            or several processes train.

    References:
        Abadi et al. 2016, arXiv 1607.00133.
    """

    def __init__(self, task: AnyTask, model: torch.nn.Module, plan: Plan, world: World) -> None:
        if world.size > 1:
            raise InputError(
                "PRIVATE_PROCESSES",
                f"epsilon= trains in one process, and torchrun started {world.size}",
                fix="run tidegate train without torchrun; --threads uses more cores",
            )
        super().__init__(task, model, plan, world)
        self._public = accepted(task.fitted, public_parts(self.setting))
        self._protected: Protected = task.protected(self.setting.protect)
        self.budget = Budget.of(len(self._protected), self.setting)
        self._gradients = Gradients(model, self.setting.clip_norm)
        self._stream: SecretStream | None = SecretStream.fresh(self.setting.insecure_seed)
        seed_default(self._stream)

    def count(self) -> int:
        return self.budget.each

    def batches(self, first: int) -> Iterator[torch.Tensor]:
        """The places of the units of each step, drawn when they are asked for."""
        assert self._stream is not None
        sampler = PoissonSampler(self.budget.units, self.budget.rate, self._stream)
        for _ in range(first, self.budget.each):
            yield sampler.draw()

    def take(self, whole: torch.Tensor, rate: float, *, due: bool = False) -> Taken:  # type: ignore[override]
        """Learn from some units.

        Args:
            whole: their places; there may be none.
            rate: the learning rate.
            due: whether a checkpoint is asked for.
        """
        assert self._stream is not None
        self._gradients.clear()
        loss = sum(self._add(places) for places in whole.split(PIECE) if len(places))
        sums = self._gradients.sums
        add_noise(list(sums.values()), self.setting.clip_norm, self.budget.sigma, self._stream)
        for parameter, total in sums.items():
            parameter.grad = total / (self.budget.rate * self.budget.units)
        norm = float(torch.nn.utils.get_total_norm([total.grad for total in sums if total.grad is not None]))
        if np.isfinite(norm):
            self._learn(rate)
        return Taken(loss, len(whole), norm, due)

    def _add(self, places: torch.Tensor) -> float:
        """Add the clipped gradients of some units; their loss."""
        batch, owner = self._protected.batch(places.tolist())
        found: list[float] = []

        def losses() -> tuple[torch.Tensor, torch.Tensor]:
            converted = batch.to(self.dtype)
            outputs, _ = self.model(converted)
            each = self.task.losses(outputs, converted)
            found.append(float(each.detach().sum()))
            return each, owner

        self._gradients.add(losses, len(places))
        return sum(found)

    def statement(self, steps: int) -> PrivacyRecord:
        """What is promised after so many steps."""
        setting, budget = self.setting, self.budget
        secret = setting.insecure_seed is None
        return PrivacyRecord(
            epsilon=epsilon_of(budget.rate, budget.sigma, steps, budget.delta) if secret else None,
            delta=budget.delta,
            unit=self._protected.unit,
            noise_multiplier=budget.sigma,
            clip_norm=setting.clip_norm,
            sampling_rate=budget.rate,
            steps=steps,
            accountant=accountant(),
            public=self._public,
            insecure_seed=setting.insecure_seed,
            versions={"tidegate": __version__, "torch": torch.__version__},
        )

    def end_epoch(self) -> None:
        """Steps do not depend on epochs."""

    def tensors(self) -> dict[str, torch.Tensor]:
        return self._moments()

    def data(self) -> dict[str, Any]:
        """The secret, for the checkpoint alone."""
        return {"stream": None if self._stream is None else self._stream.state()}

    def finish(self) -> bool:
        """Forget the secret."""
        self._stream = None
        return True

    def load(self, kept: Kept) -> None:
        self._load_moments(kept)
        stream = kept.data.get("stream")
        if stream is None and not kept.finished:
            raise ValueError("the secret of the noise is missing")
        self._stream = None if stream is None else SecretStream.from_state(stream)
