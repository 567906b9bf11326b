"""What a gradient by lag begins with: one number, that depends on one step of each sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from tidegate.errors import InputError
from tidegate.explain.probe import LayerCall

Loss = Callable[[Any], torch.Tensor] | str | int
TARGETS = ("last", "all")


def one_number(loss: Loss, answer: Any, calls: Sequence[LayerCall], seed: int) -> torch.Tensor:
    """The number that is differentiated.

    Args:
        loss: as ``gradient_by_lag`` takes it.
        answer: of the model.
        calls: of its layers; the last one says how steps and sequences are laid out.
        seed: of the directions in which a target is read.

    Raises:
        InputError: the loss is no number, or the target no step of every sequence.
    """
    call = calls[-1]
    if callable(loss):
        value = loss(answer)
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            raise InputError(
                "EXPLAIN_LOSS",
                f"the loss is {value!r:.60}, expected a tensor of floating-point numbers",
                fix="return e.g. torch.nn.functional.mse_loss(answer, targets)",
            )
        if value.numel() == 1:
            return value.reshape(())
        steps = _time_first(value, call)
        if steps is None:
            raise InputError(
                "EXPLAIN_LOSS",
                f"the loss has the shape {list(value.shape)}, expected one number, or one for each step",
                fix="return their mean, or one loss for each step of each sequence",
            )
        return _picked(steps, "all", call).sum()
    if isinstance(loss, bool) or not (isinstance(loss, int) or loss in TARGETS):
        raise InputError(
            "EXPLAIN_TARGET",
            f"got the loss {loss!r:.60}",
            fix="pass a function of what the model answers, a step, 'last' or 'all'",
        )
    values = _values(answer)
    steps = _time_first(values, call)
    if steps is not None:
        values = _picked(steps, loss, call)
    elif loss != "last":
        raise InputError(
            "EXPLAIN_TARGET",
            f"the model answers {list(values.shape)}, which is no answer at each of {len(call.x)} steps",
            fix="pass 'last', or a function of the answer",
        )
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(values.shape, generator=generator, dtype=values.dtype)
    return (values * direction).sum()


def _values(answer: Any) -> torch.Tensor:
    """The first tensor of what a model answers."""
    while isinstance(answer, (tuple, list)) and not isinstance(answer, PackedSequence) and answer:
        answer = answer[0]
    if isinstance(answer, PackedSequence):
        answer, _ = pad_packed_sequence(answer)
    if not isinstance(answer, torch.Tensor) or not answer.is_floating_point():
        raise InputError(
            "EXPLAIN_TARGET",
            f"the model answers {type(answer).__name__}, expected a tensor or a tuple that begins with one",
            fix="pass a function of the answer",
        )
    return answer


def _time_first(values: torch.Tensor, call: LayerCall) -> torch.Tensor | None:
    """[T, B, ...] of values that are laid out as the layer lays them out; None if they have none for each step."""
    packed = isinstance(call.output, PackedSequence)
    if not packed and call.output.dim() == 2 and values.dim():  # one sequence without a batch
        values = values.unsqueeze(1)
    elif not packed and call.layer.batch_first and values.dim() > 1:
        values = values.transpose(0, 1)
    return values if values.shape[:2] == call.x.shape[:2] else None


def _picked(values: torch.Tensor, target: str | int, call: LayerCall) -> torch.Tensor:
    """[B, ...]: of each sequence the value at its one step; sequences without steps are left out."""
    lengths = call.lengths
    rows = torch.arange(len(lengths))
    if target == "last":
        steps = lengths - 1
    elif target == "all":  # evenly from early to late, the last sequence at its end
        steps = -(-(rows + 1) * lengths // len(lengths)) - 1
    else:
        step = int(target)
        steps = lengths + step if step < 0 else torch.full_like(lengths, step)
        outside = (steps < 0) | (steps >= lengths)
        if outside.any():
            short = int(lengths[outside].min())
            raise InputError(
                "EXPLAIN_TARGET",
                f"step {target} was asked for, but a sequence has {short} steps",
                fix="choose a step that every sequence has, or 'last'",
            )
    there = steps >= 0
    return values[steps[there], rows[there]]
