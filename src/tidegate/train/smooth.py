"""Training with Gaussian noise on the inputs, for a model that answers by the votes of noisy copies."""

from __future__ import annotations

import torch

from tidegate.adversary.smoothing import noise
from tidegate.train.batch import Batch
from tidegate.train.plan import Plan, derive
from tidegate.train.step import Kept, Step
from tidegate.train.task import AnyTask
from tidegate.train.world import World


class SmoothStep(Step):
    """The plain step, on each row with Gaussian noise of deviation ``smooth`` wherever the task may be changed.

    Equations:
        minimise over the weights: sum over rows b of E[loss(x_b + n)], n ~ N(0, sigma² I)

    Each pass draws fresh noise. Validation has noise, too, the same at every call, so that the epoch that is kept is
    the one that bears it best.

    References:
        Cohen, Rosenfeld and Kolter 2019, arXiv 1902.02918, section 3.3.
    """

    def __init__(self, task: AnyTask, model: torch.nn.Module, plan: Plan, world: World) -> None:
        super().__init__(task, model, plan, world)
        self._seed = derive(plan.setting.seed, "smooth", str(world.rank))
        self._draws = torch.Generator().manual_seed(self._seed)

    def hardened(self, batch: Batch) -> Batch:
        generator = self._draws if self.model.training else torch.Generator().manual_seed(self._seed)
        sigma = self.setting.smooth
        assert sigma is not None
        return self.task.changed(batch, noise(self.task.pliable(batch), sigma, batch.inputs.dtype, generator))

    def own(self) -> dict[str, torch.Tensor]:
        return {**super().own(), "smooth": self._draws.get_state()}

    def load(self, kept: Kept) -> None:
        super().load(kept)
        self._draws.set_state(kept.own["smooth"])
