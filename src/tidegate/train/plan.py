"""What determines a run beside its task and its layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tidegate.train.setting import Training


@dataclass(frozen=True)
class Plan:
    """Everything that determines a run beside its task and its layers.

    Attributes:
        initial_seed: of the first parameters and of dropout.
        order_seed: of the order of the training data.
        learning_rate: of Adam at the start.
        dropout: on the outputs of the recurrent layer.
        epochs: the cap.
        patience: stop after so many epochs without a better validation score.
        patience_rate: under the schedule ``"plateau"``, halve the rate after so many.
        clip: the largest norm of the gradient.
        schedule: ``"plateau"``, ``"cosine"`` over all epochs, or ``"constant"``.
        warmup: steps over which the rate rises from zero.
        weight_decay: decoupled, as in AdamW.
        averaging: the share of the running mean of the parameters that stays at each step; 0 for no mean.
        precision: ``"float32"``, ``"float64"``, or ``"bfloat16"`` for autocast.
    """

    initial_seed: int
    order_seed: int
    learning_rate: float
    dropout: float
    epochs: int
    patience: int
    patience_rate: int
    clip: float
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    warmup: int = 0
    weight_decay: float = 0.0
    averaging: float = 0.0
    precision: Literal["float32", "float64", "bfloat16"] = "float32"

    @classmethod
    def of(cls, setting: Training) -> Plan:
        """The plan that the settings of a task ask for."""
        shared = {
            name: getattr(setting, name)
            for name in cls.__dataclass_fields__
            if name not in ("initial_seed", "order_seed")
        }
        return cls(initial_seed=setting.seed, order_seed=setting.seed, **shared)

    def factor(self, epoch: int, step: int) -> float:
        """What the rate is multiplied by in a step; epochs and steps of all epochs count from 0.

        Equations:
            cosine: (1 + cos(pi epoch / epochs)) / 2;  warm-up: (step + 1) / warmup
        """
        fallen = (1 + math.cos(math.pi * epoch / self.epochs)) / 2 if self.schedule == "cosine" else 1.0
        return fallen * min(1.0, (step + 1) / self.warmup) if self.warmup else fallen

    def staying(self, step: int) -> float:
        """The share of the running mean of the parameters that stays in a step; steps count from 0.

        Equations:
            min(averaging, (step + 1) / (step + 10)), so that the first parameters are soon forgotten
        """
        return min(self.averaging, (step + 1) / (step + 10))
