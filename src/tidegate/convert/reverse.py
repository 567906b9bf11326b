"""``Reverse``: a layer that reads each sequence from its end."""

from __future__ import annotations

from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.nn.rows import Lengths, checked_lengths


class Reverse(torch.nn.Module):
    """A layer of ours over reversed sequences, as ONNX's ``direction="reverse"`` and Keras's ``go_backwards``.

    Each sequence is reversed within its own length; what comes after its end stays there.

    Args:
        layer: in one direction.
        aligned: the output of a step has the index of the input that it read, as ONNX has it; else it stays in the
            order in which it was computed, as Keras leaves it.

    Shapes:
        - input: [T, B, I], [B, T, I] if the layer is ``batch_first``, or [T, I].
        - output, final states: as those of the layer. The states are those after the first step of the input.

    Raises:
        InputError: a layer with two directions.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.convert.Reverse(tg.nn.GRU(3, 4))
        >>> y, h = layer(torch.randn(5, 2, 3), lengths=[5, 2])
        >>> bool((y[0] == h[0]).all())
        True
    """

    def __init__(self, layer: Recurrent, *, aligned: bool = True) -> None:
        super().__init__()
        if layer.bidirectional:
            raise InputError("CONVERT_DIRECTION", f"{layer} has two directions", fix="pass a layer with one")
        self.layer, self.aligned = layer, aligned

    def forward(self, input: torch.Tensor, hx: Any = None, *, lengths: Lengths | None = None) -> tuple[Any, Any]:
        """Run the layer from the end of each sequence to its beginning.

        Args:
            input: The sequences.
            hx: The states with which the end begins; zeros, or the learned initial states, by default.
            lengths: The number of steps of each sequence; all by default.

        Returns:
            The output and the final states.

        Raises:
            ValueError, RuntimeError: for what the layer refuses.
            InputError: for lengths or states that do not fit.
        """
        if not isinstance(input, torch.Tensor):
            raise InputError("INPUT", f"expected a tensor, got {type(input).__name__}", fix="pass it with lengths=")
        is_batch = input.dim() > 2
        axis = int(is_batch and self.layer.batch_first)
        if lengths is None or input.dim() not in {2, 3}:  # the layer refuses other shapes
            order = None
        else:
            counts = checked_lengths(lengths, input.shape[axis], input.shape[1 - axis] if is_batch else 1)
            order = _order(torch.as_tensor(counts, device=input.device), input.shape[axis], axis=axis, batch=is_batch)
        y, states = self.layer(_reversed(input, order, axis), hx, lengths=lengths)
        return (_reversed(y, order, axis) if self.aligned else y), states


def _order(counts: torch.Tensor, steps: int, *, axis: int, batch: bool) -> torch.Tensor:
    """Of each step and sequence the step to read, laid out as the input: [T, B, 1], [B, T, 1] or [T, 1]."""
    ordinary = torch.arange(steps, device=counts.device)[:, None]
    order = torch.where(ordinary < counts, counts - 1 - ordinary, ordinary)
    order = order.T if axis else order
    return order[..., None] if batch else order


def _reversed(values: torch.Tensor, order: torch.Tensor | None, axis: int) -> torch.Tensor:
    if order is None:
        return values.flip(axis)
    return values.gather(axis, order.expand(*order.shape[:-1], values.shape[-1]))
