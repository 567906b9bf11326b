"""sLSTM with heads as its authors write it: xLSTM, arXiv 2405.04517, equations 8 to 17, head by head in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.backend.agreement import engine, poisoned
from tidegate.convert import from_xlstm
from tidegate.errors import InputError
from tidegate.nn import Recurrent

DOUBLE = torch.float64


def by_hand(x: Tensor, W: Tensor, R: Tensor, b: Tensor) -> Tensor:
    """h of all steps, [T, B, heads, d], from states that do not exist yet.

    Args:
        x: [T, B, I].
        W: [4, heads, d, I].
        R: [4, heads, d, d]: each head has its own.
        b: [4, heads, d].
    """
    T, B, _ = x.shape
    heads, d = R.shape[1:3]
    outputs = [[x.new_zeros(B, d)] * heads for _ in range(T)]
    for k in range(heads):
        h, c, n, m = x.new_zeros(B, d), x.new_zeros(B, d), x.new_zeros(B, d), None
        for t in range(T):
            i, f, z, o = (x[t] @ W[g, k].T + h @ R[g, k].T + b[g, k] for g in range(4))
            z, o = torch.tanh(z), torch.sigmoid(o)  # 11, 14
            log_f = torch.log(torch.sigmoid(f))
            new = i if m is None else torch.maximum(log_f + m, i)  # 15
            scaled_i = torch.exp(i - new)  # 16
            scaled_f = torch.zeros_like(f) if m is None else torch.exp(log_f + m - new)  # 17
            c = scaled_f * c + scaled_i * z  # 8
            n = scaled_f * n + scaled_i  # 9
            h, m = o * (c / n), new  # 10
            outputs[t][k] = h
    return torch.stack([torch.stack(row, 1) for row in outputs])


@pytest.mark.parametrize(("heads", "d", "batch"), [(4, 6, 3), (2, 64, 1), (3, 40, 13)])
def test_a_layer_computes_equations_8_to_17(heads: int, d: int, batch: int) -> None:
    torch.manual_seed(0)
    layer = Recurrent("slstm", 5, heads * d, heads=heads, dtype=DOUBLE)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, 2 / parameter.shape[-1] ** 0.5)
    x = torch.randn(12, batch, 5, dtype=DOUBLE, requires_grad=True)
    upstream = torch.randn(12, batch, heads * d, dtype=DOUBLE)
    leaves = [x, layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0]
    with engine(), poisoned():
        y, _ = layer(x)
        ours = [y, *torch.autograd.grad(y, leaves, upstream)]
    W = layer.weight_ih_l0.view(4, heads, d, 5)
    exact = by_hand(x, W, layer.weight_hh_l0.view(4, heads, d, d), layer.bias_ih_l0.view(4, heads, d)).flatten(2)
    right = [exact, *torch.autograd.grad(exact, leaves, upstream)]
    for own, wanted in zip(ours, right, strict=True):
        assert (own - wanted).abs().max() <= 1e-10 * wanted.abs().max()


@pytest.mark.parametrize("for_gpus", [True, False])
def test_weights_of_xlstm_and_tirex_are_taken_over(for_gpus: bool) -> None:
    torch.manual_seed(0)
    heads, d = 2, 6
    draw = torch.Generator().manual_seed(0)
    W, R, b = (torch.randn(4, heads, *shape, generator=draw, dtype=DOUBLE) for shape in ((d, d), (d, d), (d,)))
    weights = {f"a.{name}.weight": one for name, one in zip(("fgate", "igate", "zgate", "ogate"), W, strict=True)}
    if for_gpus:
        weights["a.slstm_cell._recurrent_kernel_"] = R.permute(1, 3, 0, 2).reshape(heads, d, 4 * d)
        weights["a.slstm_cell._bias_"] = b.transpose(0, 1).reshape(-1)
    else:
        weights["a.slstm_cell._recurrent_kernel_"] = R.transpose(0, 1).reshape(heads, 4 * d, d)
        weights["a.slstm_cell._bias_"] = b.reshape(-1)
    x = torch.randn(9, 3, heads * d, generator=draw, dtype=DOUBLE)
    own = torch.zeros(4, heads, d, heads * d, dtype=DOUBLE)
    for k in range(heads):
        own[:, k, :, k * d : (k + 1) * d] = W[:, k]
    y, _ = from_xlstm(weights, "a.")(x)
    torch.testing.assert_close(y, by_hand(x, own, R, b).flatten(2), rtol=1e-10, atol=1e-12)


def test_what_is_no_layer_of_theirs_is_refused_by_name() -> None:
    weights = {f"{gate}gate.weight": torch.zeros(2, 3, 3) for gate in "fizo"}
    with pytest.raises(InputError, match=r"the weights lack slstm_cell._recurrent_kernel_, there are fgate"):
        from_xlstm(weights)
    weights |= {"slstm_cell._recurrent_kernel_": torch.zeros(2, 3, 4), "slstm_cell._bias_": torch.zeros(24)}
    with pytest.raises(InputError, match="shapes of no sLSTM layer"):
        from_xlstm(weights)
    with pytest.raises(InputError, match="read a convolution of the input"):
        from_xlstm(weights | {"conv1d.conv.weight": torch.zeros(1)})
