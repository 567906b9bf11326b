"""Models in float64, whatever the precision of the data."""

from __future__ import annotations

from typing import Any

import torch

from tidegate.train.task import Batch


def doubled(model: torch.nn.Module) -> torch.nn.Module:
    """The model in float64. Batches of float32 are cast on their way in, so that no caller needs to know."""
    model.double().register_forward_pre_hook(_cast)
    return model


def _cast(model: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    del model
    return tuple(one.to(torch.float64) if isinstance(one, Batch) else one for one in arguments)
