"""The promise of privacy of a model, on the layers that files are made of."""

from __future__ import annotations

import torch

from tidegate.nn import Recurrent
from tidegate.records import PrivacyRecord, privacy_sentence


def promised(model: torch.nn.Module, record: PrivacyRecord | None) -> torch.nn.Module:
    """The model, whose recurrent layers say under which promise they were trained.

    Args:
        model: of a task.
        record: its differential privacy; None if it has none.
    """
    for layer in model.modules():
        if isinstance(layer, Recurrent) and record is not None:
            layer.privacy = privacy_sentence(record)
    return model
