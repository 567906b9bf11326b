"""Training on the worst change of each input instead of the input itself."""

from __future__ import annotations

import torch

from tidegate.train.batch import Batch
from tidegate.train.plan import Plan, derive
from tidegate.train.step import Kept, Step
from tidegate.train.task import AnyTask
from tidegate.train.world import World
from tidegate.train.worst import attacked, learnable


class AdversarialStep(Step):
    """The plain step, on the worst change of each row that a short attack finds.

    Equations:
        minimise over the weights: sum over rows b of max over changes d of row b of loss(x_b + d)

    The attack sees the model without dropout and begins at random. Validation is attacked, too, but from no change at
    all, so that the epoch that is kept is the one that bears the attack best. The change of a row depends on that row
    and the weights alone.

    References:
        Madry et al. 2018, arXiv 1706.06083; the choice of the epoch: Rice et al. 2020, arXiv 2002.11569.
    """

    def __init__(self, task: AnyTask, model: torch.nn.Module, plan: Plan, world: World) -> None:
        super().__init__(task, model, plan, world)
        self._draws = torch.Generator().manual_seed(derive(plan.setting.seed, "adversary", str(world.rank)))

    def hardened(self, batch: Batch) -> Batch:
        generator = self._draws if self.model.training else None
        with attacked(self.model):
            return self.task.worst(self.model, learnable(batch), generator)

    def own(self) -> dict[str, torch.Tensor]:
        return {**super().own(), "adversary": self._draws.get_state()}

    def load(self, kept: Kept) -> None:
        super().load(kept)
        self._draws.set_state(kept.own["adversary"])
