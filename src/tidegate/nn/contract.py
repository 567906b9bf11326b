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
    rate = float(dropout)  # type: ignore[arg-type]  # torch reads it first, and lets Python refuse what is no number
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


def check_step_rank(module: str, role: str, value: torch.Tensor) -> None:
    """Refuse the input or a state of a single step that is neither one row nor a batch of them.

    Raises:
        ValueError: as torch.nn's cells do.
    """
    if value.dim() not in (1, 2):
        raise ValueError(f"{module}: Expected {role} to be 1D or 2D, got {value.dim()}D instead")


def check_lstm_states(hx: object, *, batched: bool) -> None:
    """Refuse states that torch.nn.LSTMCell cannot take apart; without a batch it takes the rows of a tensor too.

    Raises:
        TypeError: no sequence of tensors.
        RuntimeError: not two of them.
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
    """Refuse a single step whose input and states do not fit each other or the module.

    Raises:
        RuntimeError: as torch.nn's cells do.
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
            # torch.nn.RNNCell broadcasts here, if there are as many states as units, and the others fail in doing so
            raise RuntimeError(f"For unbatched 1-D input, hidden{k} should also be 1-D but got 2-D tensor")
