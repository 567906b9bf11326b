"""Matrices of low rank, semi-tied gates, bound norms and shared layers, against dense layers written by hand.

The reference builds the dense matrices that the options stand for, in float64, and runs the equations of the plain cell
with them. Nothing of it is shared with the passes.
"""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from tests.backend.agreement import engine, poisoned
from tests.reference.compare import assert_equal
from tests.reference.option import STEPS, Asked, Sequences, direction
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only

T, I, H, R = 6, 3, 5, 2
LENGTHS = (4, 0, 6, 6, 1)
# gates in storage order; in a GRU that resets before the product the last one reads r * h
GATES = {"lstm": 4, "gru": 3, "gru/before": 3}


def of_low_rank(cell: str, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """U = A B, where the candidate of a GRU that resets before has a B of its own."""
    A, B = own["weight_hh_l0"], own["weight_U_rank_l0"]
    pairs = [(A[: 2 * H], B[:R]), (A[2 * H :], B[R:])] if cell == "gru/before" else [(A, B)]
    return {**own, "weight_hh_l0": torch.cat([a @ b for a, b in pairs])}


def semi_tied(cell: str, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every gate's block is the shared one with its rows scaled."""
    scale = own["tied_l0"].unflatten(0, (GATES[cell], H))
    W = torch.cat([s[:, None] * own["weight_ih_l0"] for s in scale])
    if cell == "gru/before":
        shared, alone = own["weight_hh_l0"].split(H)
        U = torch.cat([scale[0][:, None] * shared, scale[1][:, None] * shared, alone])
    else:
        U = torch.cat([s[:, None] * own["weight_hh_l0"] for s in scale])
    return {**own, "weight_ih_l0": W, "weight_hh_l0": U}


def both_of_them(cell: str, own: dict[str, Tensor]) -> dict[str, Tensor]:
    A, B = own["weight_hh_l0"], own["weight_U_rank_l0"]
    return semi_tied(cell, {**own, "weight_hh_l0": A @ B})


def of_bound_norm(cell: str, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each gate's block divided by its largest singular value, where that is above 0.7."""
    blocks = own["parametrizations.weight_hh_l0.original"].split(H)
    norms = [torch.linalg.svdvals(block)[0] for block in blocks]
    assert min(norms) < 0.7 < max(norms)
    scaled = [block * (0.7 / norm).clamp(max=1) for block, norm in zip(blocks, norms, strict=True)]
    return {**own, "weight_hh_l0": torch.cat(scaled)}


CASES = {
    "rank of lstm": ("lstm", {"rank": R}, of_low_rank),
    "rank of gru before": ("gru/before", {"rank": R}, of_low_rank),
    "semi-tied lstm": ("lstm", {"semi_tied": True}, semi_tied),
    "semi-tied gru before": ("gru/before", {"semi_tied": True}, semi_tied),
    "semi-tied gru of low rank": ("gru", {"semi_tied": True, "rank": R}, both_of_them),
    "spectral gru": ("gru", {"spectral": 0.7}, of_bound_norm),
}


def layer_of(name: str, D: int) -> Recurrent:
    cell, options, _ = CASES[name]
    torch.manual_seed(3)
    layer = Recurrent(cell, I, H, bidirectional=D == 2, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.5)
        if "spectral" in options:
            layer.parametrizations.weight_hh_l0.original[:H].mul_(0.1)  # one block within the bound
    return layer


def outcome(outputs: dict[str, Tensor], leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    weights = torch.Generator().manual_seed(5)
    loss = sum((v * torch.randn(v.shape, generator=weights, dtype=v.dtype)).sum() for v in outputs.values())
    grads = torch.autograd.grad(loss, list(leaves.values()))
    return {n: v.detach() for n, v in outputs.items()} | {f"d {n}": g for n, g in zip(leaves, grads, strict=True)}


def both(name: str, *, eagerly: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    cell, _, dense = CASES[name]
    D = 1 if "spectral" in name else 2
    layer, states = layer_of(name, D), STEPS[cell][1]
    B = len(LENGTHS)
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    reset = torch.rand(T, B) < 0.3
    leaves = {"x": x, **dict(layer.named_parameters())}
    for _ in range(100 if "spectral" in name else 0):
        layer.weight_hh_l0  # noqa: B018  its norms are found step by step
    with eager_only() if eagerly else engine(), nullcontext() if eagerly else poisoned():
        y, last = layer(x, lengths=LENGTHS, reset=reset)
    lasts = last if isinstance(last, tuple) else (last,)
    ours = outcome({"y": y, **dict(zip(states, lasts, strict=True))}, leaves)
    zeros = torch.zeros(B, H, dtype=torch.float64)
    found = []
    for d in range(D):
        own = {n.removesuffix("_reverse"): p for n, p in leaves.items() if n.endswith("_reverse") == bool(d)}
        begin = {n: torch.zeros(H, dtype=torch.float64) for n in states}
        given = Sequences(x, LENGTHS, reset)
        first = dict.fromkeys(states, zeros)
        found.append(direction(cell, dense(cell, own), given, first, begin, Asked(), reverse=bool(d)))
    y = torch.cat([part for part, _ in found], -1)
    return ours, outcome({"y": y, **{n: torch.stack([last[n] for _, last in found]) for n in states}}, leaves)


@pytest.mark.parametrize("path", ["fused", "eager"])
@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_the_dense_one_that_its_factors_make(name, path):
    assert_equal(*both(name, eagerly=path == "eager"))


def test_the_comparison_finds_a_factor_of_the_wrong_operand(monkeypatch):
    cell, options, _ = CASES["rank of gru before"]

    def swapped(cell, own):
        B = own["weight_U_rank_l0"]
        return of_low_rank(cell, {**own, "weight_U_rank_l0": torch.cat([B[R:], B[:R]])})

    monkeypatch.setitem(CASES, "rank of gru before", (cell, options, swapped))
    with pytest.raises(AssertionError, match="off by"):
        assert_equal(*both("rank of gru before", eagerly=True))


@pytest.mark.parametrize(("share", "D", "L"), [("layers", 1, 3), ("directions", 2, 2), ("layers", 2, 2)])
def test_shared_layers_are_layers_with_equal_parameters_whose_gradients_add_up(share, D, L):
    torch.manual_seed(0)
    features = D * H if share == "layers" else I
    shared = Recurrent("gru", features, H, L, bidirectional=D == 2, dtype=torch.float64, share=share)
    plain = Recurrent("gru", features, H, L, bidirectional=D == 2, dtype=torch.float64)
    owner = {
        name: name.replace("_reverse", "") if share == "directions" else re.sub("_l[0-9]", "_l0", name)
        for name, _ in plain.named_parameters()
    }
    own = dict(shared.named_parameters())
    assert set(own) == set(owner.values())
    plain.load_state_dict({name: own[of].detach() for name, of in owner.items()})
    x = torch.randn(T, 3, features, dtype=torch.float64)
    with engine():
        (y, h), (y_plain, h_plain) = shared(x), plain(x)
    assert shared.last_path == "fused"
    assert torch.equal(y, y_plain)
    assert torch.equal(h, h_plain)
    weights = torch.randn_like(y)
    (y * weights).sum().backward()
    (y_plain * weights).sum().backward()
    for name, parameter in own.items():
        summed = sum(p.grad for n, p in plain.named_parameters() if owner[n] == name)
        assert torch.allclose(parameter.grad, summed, rtol=1e-12, atol=1e-14), name
