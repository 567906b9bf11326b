"""The types of a training: float32, float64, or float32 with products of bfloat16 numbers."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import Any

import torch

from tidegate.errors import TidegateWarning
from tidegate.nn import Recurrent
from tidegate.nn.precision import has_instructions
from tidegate.train.batch import Batch
from tidegate.train.setting import Training

ROUNDED = "trained with matrix products in bfloat16; weights, scores and answers are float32"
SLOW = (
    "this processor has no instructions for bfloat16: training in it is no quicker than in float32, and far slower "
    "without AVX-512, since torch's products outside the recurrent layers are"
)


def prepared(model: torch.nn.Module, setting: Training) -> torch.nn.Module:
    """Give a model the types of a training, before its first step.

    Args:
        model: as the task makes it, float32.
        setting: of the training.

    Warns:
        TidegateWarning: bfloat16 brings nothing on this processor.
    """
    if setting.precision == "float64":
        return doubled(model)
    if setting.precision == "bfloat16":
        if not has_instructions(torch.bfloat16):
            warnings.warn(SLOW, TidegateWarning, stacklevel=2)
        for layer in model.modules():
            if isinstance(layer, Recurrent):  # its states go on to the next batch, and its outputs into sums over time
                layer.autocast_keeps_dtype = True
                layer.register_forward_pre_hook(_in_full)
    return model


def rounding(setting: Training) -> AbstractContextManager[Any]:
    """Where the model runs in a training step: with bfloat16, factors of matrix products are rounded there.

    Equations:
        M v -> sum over k, in float32, of bfloat16(M[j, k]) bfloat16(v[k]),  and so in the derivative

    Args:
        setting: of the training.
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=setting.precision == "bfloat16")


def in_full(outputs: torch.Tensor) -> torch.Tensor:
    """Outputs as losses read them: float32, or float64."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def noted(setting: Training) -> tuple[str, ...]:
    """What a finished model says of its precision, unless all was float32 or float64."""
    return (ROUNDED,) if setting.precision == "bfloat16" else ()


def doubled(model: torch.nn.Module) -> torch.nn.Module:
    """Convert a model to float64. It converts its input batches itself, so callers need not know its precision."""
    model.double().register_forward_pre_hook(_cast)
    return model


def _cast(model: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    del model
    return tuple(value.to(torch.float64) if isinstance(value, Batch) else value for value in arguments)


def _in_full(layer: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    del layer
    return (in_full(arguments[0]), *arguments[1:])
