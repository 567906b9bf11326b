"""sLSTM layers of NX-AI's packages xlstm and tirex, as layers of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.passes import split_into_heads
from tidegate.zoo import SLSTM

PROJECTIONS = ("fgate", "igate", "zgate", "ogate")  # in this order they become i f z o there
GATES = 4


def from_xlstm(weights: Mapping[str, torch.Tensor], prefix: str = "") -> Recurrent:
    """The recurrence of an sLSTM layer of the packages xlstm or tirex, with its weights.

    There each head has its own part of the input, of the states and of the four gates. So W and U of the layer that
    is made are both block diagonal. It computes what the cell there puts out, from the same input; the norm by heads
    and the feed-forward network around it stay what they are. Where sequences of one batch begin at different times,
    it differs: there the whole batch is at its first step, or none of it is.

    Args:
        weights: a state_dict with ``fgate.weight`` and so on, ``slstm_cell._recurrent_kernel_`` and
            ``slstm_cell._bias_``, as tirex and both backends of xlstm store them.
        prefix: of these names, such as ``"blocks.0.slstm_layer."`` in a whole model.

    Returns:
        A layer of H features and H units, float32 on the CPU unless the weights are of another type.

    Raises:
        InputError: a weight is missing, shapes do not fit each other, or the gates read a convolution of the input.

    References:
        Beck et al. 2024, xLSTM: Extended Long Short-Term Memory, arXiv 2405.04517, equations 8 to 17.

    Example:
        >>> import torch, tidegate as tg
        >>> weights = {f"{gate}gate.weight": torch.randn(2, 8, 8) for gate in "fizo"}
        >>> weights |= {"slstm_cell._recurrent_kernel_": torch.randn(2, 8, 32), "slstm_cell._bias_": torch.randn(64)}
        >>> layer = tg.convert.from_xlstm(weights)
        >>> layer(torch.zeros(5, 3, 16))[0].shape
        torch.Size([5, 3, 16])
    """
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    if any(name.startswith("conv1d") for name in own):
        raise InputError(
            "CONVERT_XLSTM",
            "the gates i and f of this layer read a convolution of the input, z and o the input itself",
            fix="train it with conv1d_kernel_size=0, as tirex has it",
        )
    inputs = [_found(own, f"{name}.weight") for name in PROJECTIONS]
    kernel, bias = (_found(own, f"slstm_cell.{name}") for name in ("_recurrent_kernel_", "_bias_"))
    heads, width = _sizes(inputs, kernel, bias)
    units = heads * width
    layer = Recurrent(split_into_heads(SLSTM.graph, heads, ["W", "U"]), units, units, dtype=kernel.dtype)
    if kernel.shape[1] == width:  # the layout for GPUs, and of tirex: [head, from, gate, to]
        kernel = kernel.reshape(heads, width, GATES, width).permute(2, 0, 3, 1)
        bias = bias.reshape(heads, GATES, width).transpose(0, 1)
    else:
        kernel = kernel.reshape(heads, GATES, width, width).transpose(0, 1)
    read = {
        "weight_ih_l0": torch.cat([one.reshape(units, width) for one in inputs]),
        "weight_hh_l0": kernel.reshape(GATES * units, width),
        "bias_ih_l0": bias.reshape(-1),
    }
    layer.load_state_dict(read)
    return layer


def _sizes(inputs: Sequence[torch.Tensor], kernel: torch.Tensor, bias: torch.Tensor) -> tuple[int, int]:
    """Heads, and the units of each."""
    heads, *_, width = (*inputs[0].shape, 0, 0)[:3]
    sized = [tuple(one.shape) for one in inputs] == [(heads, width, width)] * GATES
    laid = tuple(kernel.shape) in ((heads, width, GATES * width), (heads, GATES * width, width))
    if not sized or not laid or bias.numel() != GATES * heads * width or not heads * width:
        shapes = ", ".join(str(tuple(one.shape)) for one in (*inputs, kernel, bias))
        raise InputError(
            "CONVERT_XLSTM",
            f"shapes of no sLSTM layer: {shapes}",
            fix="expected four of (heads, d, d), (heads, d, 4 d) or (heads, 4 d, d), and (4 heads d,)",
        )
    return heads, width


def _found(weights: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    if name in weights:
        return weights[name].detach()
    known = ", ".join([*weights][:6]) or "none with this prefix"
    raise InputError("CONVERT_XLSTM", f"the weights lack {name}, there are {known}", fix="pass prefix=")
