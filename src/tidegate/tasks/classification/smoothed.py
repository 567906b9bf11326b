"""The answers of a smoothed classifier of series: the votes of noisy copies."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch.nn.functional import one_hot, pad

from tidegate.adversary import free
from tidegate.errors import InputError
from tidegate.tasks.classification.scale import Scale
from tidegate.tasks.classification.setting import ClassificationSetting

COPIES = 100  # of each series


def pliable(reading: Scale, batch: Any) -> torch.Tensor:
    """[T, B, width] bool: the values of series, but for those that are missing and so follow from others."""
    return free(batch.lengths, (*batch.inputs.shape[:2], reading.width)) & reading.observed(batch.inputs)


def changed(batch: Any, change: torch.Tensor) -> Any:
    """A batch whose values have moved by a change [T, B, width] in deviations of training."""
    return dataclasses.replace(batch, inputs=batch.inputs + pad(change, (0, batch.inputs.shape[-1] - change.shape[-1])))


def voted(model: torch.nn.Module, batch: Any, reading: Scale, sigma: float, seed: int) -> torch.Tensor:
    """Logits [B, classes], float64, whose softmax is the share of votes of noisy copies, each class lifted by a bit.

    Equations:
        logits[c] = log((votes for c + 1 / classes) / (copies + 1))

    All series meet the same noise, which is drawn step by step, so an answer depends neither on the batch nor on
    padding.
    """
    there, counts = pliable(reading, batch), torch.zeros(())
    shape = (len(there), 1, there.shape[2])
    for copy in range(COPIES):
        drawn = np.random.default_rng((seed, copy)).standard_normal(shape)
        change = torch.from_numpy(drawn).mul_(sigma).to(batch.inputs.dtype) * there
        logits = model(changed(batch, change))[0]
        counts = counts + one_hot(logits.argmax(1), logits.shape[1])
    return ((counts + 1 / counts.shape[1]) / (COPIES + 1)).double().log()


def answered(model: torch.nn.Module, batch: Any, reading: Any, setting: ClassificationSetting) -> torch.Tensor:
    """Logits [B, classes], float64: those of the model, or of the votes of its noisy copies where ``smooth`` is set."""
    if setting.smooth is None:
        logits: torch.Tensor = model(batch)[0].double()
        return logits
    return voted(model, batch, reading, setting.smooth, setting.seed)


def check_smooth(setting: ClassificationSetting) -> None:
    """Refuse noise on texts.

    Raises:
        InputError: it is asked for.
    """
    if setting.smooth is not None:
        raise InputError(
            "SMOOTH_TEXT",
            "smooth= is for series: texts are symbols, to which no noise can be added",
            fix="leave it out, or train against edits with adversarial=1",
        )
