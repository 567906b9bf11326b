"""Gradients of matrices in bfloat16, against sums of rounded factors in float64.

A watched backward run leaves the adjoints of products and their operands: the very numbers that gradients are made of.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.backend.tiles import names, tiles
from tidegate.nn import Recurrent
from tidegate.runtime import Adjoints, Rows, SizedCell, Steps, run_layer, sized, watch_adjoints
from tidegate.zoo import find

TILES = names()
if not TILES:
    pytest.skip("no engine here", allow_module_level=True)

T, B = 91, 7  # more rows than are added up at a time; an odd number of them


@pytest.fixture(params=TILES, autouse=True)
def each_kind_of_tile(request: pytest.FixtureRequest) -> Iterator[None]:
    with tiles(request.param):
        yield


def rounded(values: torch.Tensor) -> torch.Tensor:
    return values.bfloat16().double()


def by_hand(adjoints: Adjoints, matrix: str, factor: object = rounded) -> torch.Tensor:
    """The gradient of a matrix, block of rows by block of rows; heads meet their own part of the operand."""
    blocks: dict[str, torch.Tensor] = {}
    for product in adjoints.products:
        if product.matrix != matrix:
            continue
        operand = factor(product.operand).flatten(0, 1).chunk(product.heads, 1)
        for name, values in product.adjoints.items():
            heads = factor(values).flatten(0, 1).chunk(product.heads, 1)
            blocks[name] = torch.cat([a.mT @ o for a, o in zip(heads, operand, strict=True)])
    return torch.cat([*blocks.values()])


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def run(layer: Recurrent, *, ragged: bool) -> tuple[Adjoints, ...]:
    """The loss of all outputs, each with a weight of its own."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(T, B, layer.input_size, generator=generator)
    lengths = [T, 3, T - 1, 0, 40, 77, 1] if ragged else None
    reset = torch.rand(T, B, generator=generator) < 0.1 if ragged else None
    with watch_adjoints() as calls, torch.autocast("cpu", torch.bfloat16):
        y, _ = layer(x, lengths=lengths, reset=reset)
    assert layer.last_path == "fused"
    (y.float() * torch.randn(y.shape, generator=generator)).sum().backward()
    return calls[0].directions


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(
    ("cell", "hidden", "options"),
    [("lstm", 35, {}), ("gru/before", 70, {}), ("lstm", 40, {"heads": 4}), ("mingru", 33, {})],
)
def test_both_factors_are_rounded_and_sums_are_float32(cell, hidden, options, ragged) -> None:
    torch.manual_seed(1)
    layer = Recurrent(cell, 21, hidden, bidirectional=True, **options)
    for d, adjoints in enumerate(run(layer, ragged=ragged)):
        for name in dict.fromkeys(product.matrix for product in adjoints.products):
            weight = layer.get_parameter(layer.attribute_of(f"weight_{name}", 0, reverse=bool(d)))
            exact = by_hand(adjoints, name)
            assert error(weight.grad, exact) < 1e-6
            assert error(by_hand(adjoints, name, torch.Tensor.double), exact) > 1e-3, "rounding that shows"


def gradients_of(cell: SizedCell) -> list[torch.Tensor]:
    """Of both matrices of a layer whose weights have no columns but every third one in half of their rows."""
    generator = torch.Generator().manual_seed(2)
    parameters = [torch.randn(shape, generator=generator) / 8 for shape in cell.shapes[0]]
    for weight in parameters[:2]:
        rows = len(weight) // 2 // 16 * 16
        weight[:rows] = weight[:rows] * (torch.arange(weight.shape[1]) % 3 == 0)
    parameters = [parameter.requires_grad_() for parameter in parameters]
    steps = Steps.uniform(T, B)
    x = torch.randn(steps.rows, cell.features, generator=generator)
    _, (y, *_) = run_layer(cell, Rows(x, steps, None), B, None, parameters)
    found = torch.autograd.grad(y.square().sum(), parameters[:2])
    return [torch.where(p != 0, g, 0) for p, g in zip(parameters, found, strict=False)]


def test_what_is_kept_of_a_matrix_has_the_same_gradient() -> None:
    graph, widths = find("lstm").graph, (("I", 70), ("H", 100))
    whole = gradients_of(sized(graph, widths, products="bfloat16"))
    kept = gradients_of(sized(graph, widths, ("W", "U"), kept=True, products="bfloat16"))
    plain = gradients_of(sized(graph, widths, ("W", "U"), kept=True))
    for own, other, unrounded in zip(kept, whole, plain, strict=True):
        assert error(own, other) < 5e-4  # sums in another order, which may change how the next factor is rounded
        assert error(unrounded, other) > 1e-3


@pytest.mark.parametrize(("name", "writes"), [("lstm", True), ("gru", True), ("rnn", False)])
def test_an_output_in_bfloat16_changes_no_bit(name, writes) -> None:
    """It is rounded anyway, and products read it so."""
    torch.manual_seed(3)
    layer = Recurrent(name, 20, 37, 2, bidirectional=True).bfloat16()
    x, weights = torch.randn(T, B, 20).bfloat16(), torch.randn(T, B, 74).bfloat16()
    lengths, reset = [T, 3, T - 1, 0, 40, 77, 1], torch.rand(T, B) < 0.1
    cells = [cell.with_products("bfloat16") for cell in layer.cells]
    found, kept = [], []
    for plain in (False, True):
        vars(cells[1]).pop("rounds_output", None)
        assert cells[1].rounds_output is writes
        if plain:
            vars(cells[1])["rounds_output"] = False
        layer.zero_grad()
        own, kinds = x.clone().requires_grad_(), list[torch.dtype]()
        with torch.autograd.graph.saved_tensors_hooks(lambda t, k=kinds: k.append(t.dtype) or t, lambda t: t):
            y, last = layer(own, lengths=lengths, reset=reset)
        y.backward(weights)
        found.append([y.detach(), *(last if isinstance(last, tuple) else (last,)), own.grad])
        found[-1] += [parameter.grad for parameter in layer.parameters()]
        kept.append(kinds.count(torch.float32))
    vars(cells[1]).pop("rounds_output")
    assert all(map(torch.equal, *found))
    assert (kept[1] > kept[0]) is writes  # no float32 copy of the result is held
