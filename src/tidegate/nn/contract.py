"""Checks of arguments, inputs and states that raise the same errors as torch.nn, with the same texts."""

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
    """Reject the arguments that torch.nn.RNNBase rejects.

    Raises:
        ValueError: a number out of range.
        TypeError: a value of the wrong type.
    """
    rate = float(dropout)  # type: ignore[arg-type]  # torch converts it first too, so Python's own error is torch's
    if isinstance(dropout, bool) or not isinstance(dropout, numbers.Real) or not 0 <= rate <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
        )
    if rate > 0 and num_layers == 1:
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
    """Reject an input of the wrong rank, width or dtype.

    Raises:
        ValueError: the wrong rank or dtype.
        RuntimeError: the wrong width.
    """
    if x.dim() not in (2, 3):
        tensor = " tensor" if module == "RNN" else ""
        raise ValueError(f"{module}: Expected input to be 2D or 3D, got {x.dim()}D{tensor} instead")
    check_data(x, input_size, dtype)


def check_data(x: torch.Tensor, input_size: int, dtype: torch.dtype) -> None:
    """Reject values of the wrong dtype or width, padded or packed.

    Raises:
        ValueError: the wrong dtype.
        RuntimeError: the wrong width.
    """
    if x.dtype != dtype and not torch._C._is_any_autocast_enabled():  # noqa: SLF001  torch asks the same way
        raise ValueError(
            f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). "
            f"Convert input: input.to({dtype}), or convert model: model.to({x.dtype})"
        )
    if x.size(-1) != input_size:
        raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {input_size}, got {x.size(-1)}")


def check_states(states: tuple[torch.Tensor, ...], expected: list[tuple[int, int, int]], *, batched: bool) -> None:
    """Reject states of the wrong rank or shape.

    Args:
        states: as the caller passed them.
        expected: the shape of each for a batched input; without a batch the middle axis is missing.
        batched: whether the input has a batch.

    Raises:
        RuntimeError: with torch.nn's text.
    """
    if batched and [state.shape for state in states] == expected:  # all is right: each step pays for what follows
        return
    _check_state_rank(states, batched=batched)
    for k, (state, shape) in enumerate(zip(states, expected, strict=True)):
        got = [*state.shape] if batched else [state.shape[0], 1, *state.shape[1:]]
        if tuple(got) != shape:
            which = "hidden" if len(states) == 1 else f"hidden[{k}]"
            raise RuntimeError(f"Expected {which} size {shape}, got {got}")


def _check_state_rank(states: tuple[torch.Tensor, ...], *, batched: bool) -> None:
    rank = 3 if batched else 2
    if all(state.dim() == rank for state in states):
        return
    kind = f"batched {rank}-D" if batched else f"unbatched {rank}-D"
    if len(states) == 1:
        got = f"{states[0].dim()}-D tensor"
        raise RuntimeError(f"For {kind} input, hx should also be {rank}-D but got {got}")
    got = ", ".join(f"{state.dim()}-D" for state in states)
    raise RuntimeError(f"For {kind} input, hx and cx should also be {rank}-D but got ({got}) tensors")


def check_step_rank(module: str, role: str, value: torch.Tensor) -> None:
    """Reject an input or a state of a single step that is neither a row nor a batch of rows.

    Raises:
        ValueError: with the text of torch.nn's cells.
    """
    if value.dim() not in (1, 2):
        raise ValueError(f"{module}: Expected {role} to be 1D or 2D, got {value.dim()}D instead")


def check_lstm_states(hx: object, *, batched: bool) -> None:
    """Reject states that torch.nn.LSTMCell rejects. For an input without a batch, it unpacks a tensor too.

    Raises:
        TypeError: not a sequence of tensors.
        RuntimeError: not two states.
    """
    if isinstance(hx, torch.Tensor) and not batched:
        return
    if not isinstance(hx, (tuple, list)):
        raise TypeError(f"lstm_cell(): argument 'hx' (position 2) must be tuple of Tensors, not {type(hx).__name__}")
    if len(hx) != 2 and batched:
        raise RuntimeError("lstm_cell expects two hidden states")


def check_step_sizes(
    x: torch.Tensor, states: tuple[torch.Tensor, ...] | None, input_size: int, widths: tuple[int, ...]
) -> None:
    """Reject a single step whose input and states do not match each other or the module.

    Raises:
        RuntimeError: with the texts of torch.nn's cells.
    """
    rows, features = x.shape
    if features != input_size:
        raise RuntimeError(f"input has inconsistent input_size: got {features} expected {input_size}")
    for k, (state, width) in enumerate(zip(states or (), widths, strict=False)):
        if state.shape == (rows, width):
            continue
        if state.size(0) != rows:
            raise RuntimeError(f"Input batch size {rows} doesn't match hidden{k} batch size {state.size(0)}")
        if state.size(1) != width:
            raise RuntimeError(f"hidden{k} has inconsistent hidden_size: got {state.size(1)}, expected {width}")
        if state.dim() != 2:
            # torch.nn.RNNCell broadcasts such a state, which has H rows; torch's other cells fail
            raise RuntimeError(f"For unbatched 1-D input, hidden{k} should also be 1-D but got 2-D tensor")
