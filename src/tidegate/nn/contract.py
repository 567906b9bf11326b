"""What users of torch.nn rely on, checked with torch's own error types and texts."""

from __future__ import annotations

import numbers
import warnings

import torch


def check_constructor(
    input_size: object,
    hidden_size: object,
    num_layers: int,
    bias: object,
    batch_first: object,
    dropout: object,
    proj_size: int,
) -> None:
    """Refuse what torch.nn.RNNBase refuses.

    Raises:
        ValueError: a number out of range.
        TypeError: a value of the wrong type.
    """
    if isinstance(dropout, bool) or not isinstance(dropout, numbers.Real) or not 0 <= float(dropout) <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
        )
    if float(dropout) > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
            f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,
        )
    for name, value, kind in (("bias", bias, bool), ("batch_first", batch_first, bool)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, int):
            raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if num_layers <= 0:
        raise ValueError("num_layers must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    assert isinstance(hidden_size, int)
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


def check_input(module: str, x: torch.Tensor, input_size: int, dtype: torch.dtype) -> None:
    """Refuse an input of the wrong rank, width or dtype.

    Raises:
        ValueError: rank or dtype.
        RuntimeError: width, or no steps at all.
    """
    if x.dim() not in (2, 3):
        tensor = " tensor" if module == "RNN" else ""
        raise ValueError(f"{module}: Expected input to be 2D or 3D, got {x.dim()}D{tensor} instead")
    check_data(x, input_size, dtype)


def check_data(x: torch.Tensor, input_size: int, dtype: torch.dtype) -> None:
    """Refuse values of the wrong dtype or width, packed ones included."""
    if x.dtype != dtype and not torch._C._is_any_autocast_enabled():  # noqa: SLF001  torch's own check is this call
        raise ValueError(
            f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). "
            f"Convert input: input.to({dtype}), or convert model: model.to({x.dtype})"
        )
    if x.size(-1) != input_size:
        raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {input_size}, got {x.size(-1)}")


def check_state_rank(states: tuple[torch.Tensor, ...], *, batched: bool) -> None:
    """Refuse states whose rank does not go with the input's.

    Raises:
        RuntimeError: as torch.nn does.
    """
    rank = 3 if batched else 2
    if all(state.dim() == rank for state in states):
        return
    kind = f"batched {rank}-D" if batched else f"unbatched {rank}-D"
    if len(states) == 1:
        got = f"{states[0].dim()}-D tensor"
        raise RuntimeError(f"For {kind} input, hx should also be {rank}-D but got {got}")
    got = ", ".join(f"{state.dim()}-D" for state in states)
    raise RuntimeError(f"For {kind} input, hx and cx should also be {rank}-D but got ({got}) tensors")


def check_state_shapes(states: tuple[torch.Tensor, ...], expected: list[tuple[int, int, int]]) -> None:
    """Refuse states of the wrong shape.

    Raises:
        RuntimeError: as torch.nn does.
    """
    for k, (state, shape) in enumerate(zip(states, expected, strict=True)):
        if tuple(state.shape) != shape:
            which = "hidden" if len(states) == 1 else f"hidden[{k}]"
            raise RuntimeError(f"Expected {which} size {shape}, got {list(state.shape)}")
