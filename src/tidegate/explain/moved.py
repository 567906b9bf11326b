"""What a check compares, and what it puts in place of an input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.explain.arguments import Answer, Arguments, answers, tensors
from tidegate.explain.probe import Probe


def compared(probed: Probe, arguments: Arguments, answer: Answer | None, reset: Tensor | None = None) -> list[Tensor]:
    """All tensors of the output, or the answer."""
    output = arguments.run(probed.model, reset)
    found = [*tensors(output)] if answer is None else [answers(answer, output, arguments)]
    if not found:
        raise InputError(
            "EXPLAIN_ANSWER", f"the model returned {type(output).__name__}, without a tensor", fix="pass answer="
        )
    return found


def moved(one: Sequence[Tensor], other: Sequence[Tensor], arguments: Arguments, kept: Tensor | None = None) -> float:
    """The largest difference, of tensors with steps where ``kept`` [T, B] has them."""
    steps = arguments.valid() if kept is None else kept
    return largest(
        arguments.time_major(size)[steps] if arguments.timed(size) else size for size in map(difference, one, other)
    )


def difference(a: Tensor, b: Tensor) -> Tensor:
    """The size of a difference; zero of two that are no numbers."""
    return torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a.double() - b.double()).abs())


def largest(values: Iterable[Tensor]) -> float:
    """The largest element; infinite if one is no number."""
    return max((value.nan_to_num(torch.inf).max().item() for value in values if value.numel()), default=0.0)


def replaced(value: Tensor, where: Tensor, size: float, generator: torch.Generator) -> Tensor:
    """A value [T, B, ...] with others in some places: noise, the other truth value, or tokens that it has elsewhere."""
    if value.is_floating_point():
        scale = value[~where].std().nan_to_num(0.0).clamp(min=1e-3) if (~where).sum() > 1 else value.new_ones(())
        other = torch.randn(value.shape, generator=generator, dtype=value.dtype) * scale * size
    elif value.dtype is torch.bool:
        other = ~value
    else:  # whole steps: a token of several numbers has each of them in a range of its own
        known = torch.cat([value.flatten(0, 1), value.new_zeros(1, *value.shape[2:])])
        other = known[torch.randint(len(known), where.shape, generator=generator)]
    return torch.where(where.view(*where.shape, *[1] * (value.dim() - 2)), other, value)
