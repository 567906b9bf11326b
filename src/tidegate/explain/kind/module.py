"""Any torch module, with an input and a loss of the caller's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.explain.kind.base import Aim
from tidegate.explain.probe import converted, probe


def aim_of(
    model: torch.nn.Module,
    x: Any,
    loss: Callable[[Any], torch.Tensor] | None,
    lengths: torch.Tensor | Sequence[int] | None,
    seed: int = 0,
) -> Aim:
    """The answers of a model at the last step of each sequence.

    Args:
        model: reads x, and ``lengths=`` if they are given.
        x: [T, B, features], [T, B] tokens, or a tuple that begins with one; batch first where the layers are.
        loss: from what the model returns to one number, or to one for each sequence. Unless given, what the model
            returns at the last step, in a random direction.
        lengths: of the sequences.
        seed: of the direction.

    Raises:
        InputError: x has no axes of steps and sequences, or the model does not take lengths.
    """
    first = x[0] if isinstance(x, tuple) and x else x
    if not isinstance(first, torch.Tensor) or first.dim() < 2:
        got = f"shape {list(first.shape)}" if isinstance(first, torch.Tensor) else type(first).__name__
        raise InputError(
            "EXPLAIN_INPUT",
            f"x has {got}, expected [T, B, features], or tokens [T, B]",
            fix="pass a batch of sequences",
        )
    if lengths is not None and not _takes_lengths(model):
        raise InputError(
            "EXPLAIN_LENGTHS",
            f"{type(model).__name__} takes no lengths=",
            fix="give its forward an argument lengths that it passes on to its layers",
        )
    probed = probe(model)
    batch_first = any(getattr(module, "batch_first", False) for module in model.modules())
    size, steps = first.shape[:2] if batch_first else first.shape[1::-1]
    counts = torch.full((size,), steps) if lengths is None else torch.as_tensor(lengths)
    answer = loss or At(counts - 1, batch_first, seed)
    named = {} if lengths is None else {"lengths": counts}
    return Aim(probed.model, converted(x, probed.dtype), named, counts - 1, counts, answer, answer)


class At:
    """What a model returns at one step of each sequence, in a random direction.

    Args:
        steps: [B], from 0.
        batch_first: whether sequences come before steps.
        seed: of the direction.
    """

    def __init__(self, steps: torch.Tensor, batch_first: bool, seed: int) -> None:
        self.steps, self.batch_first, self.seed = steps, batch_first, seed

    def __call__(self, outputs: Any) -> torch.Tensor:
        """[B] of outputs that begin with a tensor [T, B, ...]; of [B, ...] where there is no axis of steps."""
        values = outputs
        while isinstance(values, (tuple, list)) and values:
            values = values[0]
        if (
            not isinstance(values, torch.Tensor)
            or not values.is_floating_point()
            or len(self.steps) not in values.shape[:2]
        ):
            got = f"shape {list(values.shape)}" if isinstance(values, torch.Tensor) else type(values).__name__
            raise InputError("EXPLAIN_LOSS", f"the model returns {got}, which names no answer", fix="pass loss=")
        values = values.transpose(0, 1) if self.batch_first and values.dim() > 2 else values
        if values.dim() > 2:
            values = values[self.steps, torch.arange(len(self.steps))]
        direction = torch.randn(
            values.shape[1:], generator=torch.Generator().manual_seed(self.seed), dtype=values.dtype
        )
        return (values * direction).flatten(1).sum(1)


def _takes_lengths(model: torch.nn.Module) -> bool:
    parameters = inspect.signature(model.forward).parameters.values()
    return any(p.name == "lengths" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
