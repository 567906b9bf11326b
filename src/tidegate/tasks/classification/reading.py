"""How sequences become tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.train.fitted import Fitted
from tidegate.train.task import MakeLayer


class Reading(ABC):
    """How sequences become tensors, and the encoder that reads them."""

    @abstractmethod
    def encode(self, item: Any) -> torch.Tensor:
        """The steps of a sequence: [T] int64 units, [T, 1 + L] int32 units with their letters, or [T, F] float32."""

    @abstractmethod
    def encoder(self, setting: ClassificationSetting, layer: MakeLayer | None = None) -> tuple[torch.nn.Module, int]:
        """The module before the recurrent layers, and the number of features it gives.

        Args:
            setting: of the model.
            layer: makes the recurrent layers, and knows what their cell is given.
        """

    @abstractmethod
    def fitted(self, setting: ClassificationSetting) -> tuple[Fitted, ...]:
        """What of this was learnt from training sequences and not given by settings."""
