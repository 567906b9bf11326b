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
    answer = loss or At(counts - 1, steps, batch_first, seed)
    named = {} if lengths is None else {"lengths": counts}
    return Aim(probed.model, converted(x, probed.dtype), named, counts - 1, counts, answer, answer)


class At:
    """What a model returns at one step of each sequence, in a random direction.

    Args:
        steps: [B], from 0.
        length: the steps of the input, with padding.
        batch_first: whether sequences come before steps.
        seed: of the direction.
    """

    def __init__(self, steps: torch.Tensor, length: int, batch_first: bool, seed: int) -> None:
        self.steps, self.length, self.batch_first, self.seed = steps, length, batch_first, seed

    def __call__(self, outputs: Any) -> torch.Tensor:
        """[B] of outputs that begin with a tensor [T, B, ...]; of [B, ...] where there is no axis of steps."""
        first = outputs
        while isinstance(first, (tuple, list)) and first:
            first = first[0]
        values = self._held(first)
        if values.dim() > 2:
            values = values.transpose(0, 1) if self.batch_first else values
            values = values[self.steps, torch.arange(len(self.steps))]
        direction = torch.randn(
            values.shape[1:], generator=torch.Generator().manual_seed(self.seed), dtype=values.dtype
        )
        return (values * direction).reshape(len(values), -1).sum(1)

    def _held(self, values: Any) -> torch.Tensor:
        """The values; refuses what is neither an answer for each sequence nor one for each step of each."""
        size = len(self.steps)
        if not isinstance(values, torch.Tensor) or not values.is_floating_point():
            got = f"{values.dtype} {list(values.shape)}" if isinstance(values, torch.Tensor) else type(values).__name__
        else:
            shape = values.shape
            got, (steps, sequences) = f"shape {list(shape)}", self._axes(shape)
            if len(shape) == 2 and (steps, sequences) == (self.length, size):
                raise InputError(
                    "EXPLAIN_LOSS",
                    f"the model returns {got}, one number for each step of each sequence and no axis of features; "
                    f"expected {self.layout}, or [B, ...] of the last step",
                    fix=f"return a last axis of size 1, or pass loss=lambda output: {self.last}",
                )
            whole = sequences == size and steps > int(self.steps.max())
            if whole if len(shape) > 2 else shape[:1] == (size,):
                return values
        raise InputError(
            "EXPLAIN_LOSS",
            f"the model returns {got}; expected floating-point numbers {self.layout}, or [B, ...] of the last step, "
            f"with B = {size}",
            fix="pass loss=, from what the model returns to one number for each sequence",
        )

    def _axes(self, shape: torch.Size) -> tuple[int, ...]:
        """How many steps and sequences a shape that begins with both has."""
        pair = (*shape, 0, 0)[:2]
        return pair[::-1] if self.batch_first else pair

    @property
    def layout(self) -> str:
        """Of answers at every step."""
        return "[B, T, features]" if self.batch_first else "[T, B, features]"

    @property
    def last(self) -> str:
        """Code for the answers at the last step."""
        return "output[:, -1]" if self.batch_first else "output[-1]"


def _takes_lengths(model: torch.nn.Module) -> bool:
    parameters = inspect.signature(model.forward).parameters.values()
    return any(p.name == "lengths" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
