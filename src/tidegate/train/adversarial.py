"""Training on the worst change of each input instead of the input itself."""

from __future__ import annotations

from typing import Any

import torch

from tidegate.train.batch import Batch
from tidegate.train.plan import Plan, derive
from tidegate.train.step import Kept, Step
from tidegate.train.task import AnyTask
from tidegate.train.world import World
from tidegate.train.worst import attacked, learnable

RISING = 0.5  # of the epochs: within the whole bound from the first step on, few rows teach nothing


class AdversarialStep(Step):
    """The plain step, on the worst change of each row that a short attack finds.

    Equations:
        minimise over the weights: sum over rows b of max over changes d of row b of loss(x_b + d)

    The attack sees the model without dropout and begins at random. The bound of series and features rises over the
    first half of the epochs. Validation is attacked, too, within the whole bound but from no change at all, so that
    the epoch that is kept is the one that bears the attack best. The change of a row depends on that row and the
    weights alone.

    References:
        Madry et al. 2018, arXiv 1706.06083; the choice of the epoch: Rice et al. 2020, arXiv 2002.11569.
    """

    def __init__(self, task: AnyTask, model: torch.nn.Module, plan: Plan, world: World) -> None:
        super().__init__(task, model, plan, world)
        self._draws = torch.Generator().manual_seed(derive(plan.setting.seed, "adversary", str(world.rank)))
        self._epochs = 0

    def hardened(self, batch: Batch) -> Batch:
        training = self.model.training
        share = min(1.0, (self._epochs + 1) / (RISING * self.setting.epochs)) if training else 1.0
        with attacked(self.model):
            return self.task.worst(self.model, learnable(batch), self._draws if training else None, share)

    def end_epoch(self) -> None:
        super().end_epoch()
        self._epochs += 1

    def own(self) -> dict[str, torch.Tensor]:
        return {**super().own(), "adversary": self._draws.get_state()}

    def data(self) -> dict[str, Any]:
        return {**super().data(), "epochs": self._epochs}

    def load(self, kept: Kept) -> None:
        super().load(kept)
        self._epochs = int(kept.data["epochs"])
        self._draws.set_state(kept.own["adversary"])
