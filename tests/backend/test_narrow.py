"""Tensors in bfloat16 that the engine reads as they are: the numbers are those of float32 tensors of these values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.backend.tiles import names, tiles
from tidegate import zoo
from tidegate.nn import Recurrent
from tidegate.runtime import Rows, Steps, run_layer, run_step
from tidegate.runtime.sized import Half

TILES = names()
if not TILES:
    pytest.skip("no engine here", allow_module_level=True)

NOW = {"lstm": {}, "gru/before": {}, "peepholelstm": {}, "mingru": {}, "lstm heads": {"heads": 2}}
BOTH = Half(inputs=True, parameters=True)


@pytest.fixture(params=TILES)
def each_kind_of_tile(request: pytest.FixtureRequest) -> Iterator[None]:
    with tiles(request.param):
        yield


def layer_of(name: str, features: int, hidden: int) -> Recurrent:
    torch.manual_seed(0)
    cell = zoo.find(name.split(maxsplit=1)[0])
    return Recurrent(cell, features, hidden, bidirectional=True, **NOW[name]).bfloat16()


def run(layer: Recurrent, x: torch.Tensor, steps: Steps, *, wide: bool) -> list[torch.Tensor]:
    """The output and all gradients, from tensors in bfloat16 or from the same numbers in float32."""
    own = [p.detach() for p in layer.layer_parameters(0)]
    x, *own = [(t.float() if wide else t.clone()).requires_grad_() for t in (x, *own)]
    cell, sequences = layer.cells[0].with_products("bfloat16"), steps.widest
    resets = torch.arange(steps.rows) % 11 == 10
    obstacle, (output, *last) = run_layer(cell, Rows(x, steps, resets), sequences, None, own)
    assert obstacle is None
    with torch.no_grad():
        _, (again, *_) = run_layer(cell, Rows(x, steps, resets), sequences, None, own)
    assert torch.equal(output, again)
    assert {t.dtype for t in (output, *last)} == {torch.float32}
    upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad(output, [x, *own], upstream)
    assert all(gradient.dtype == tensor.dtype for gradient, tensor in zip(found, (x, *own), strict=True))
    return [output, *(gradient.bfloat16() for gradient in found)]


@pytest.mark.usefixtures("each_kind_of_tile")
@pytest.mark.parametrize("name", NOW)
@pytest.mark.parametrize(("features", "hidden"), [(32, 64), (19, 22)])  # rows of whole words, and some with an odd end
def test_results_are_those_of_float32_tensors(name: str, features: int, hidden: int) -> None:
    layer = layer_of(name, features, hidden)
    steps = Steps(np.array([7, 7, 5, 5, 2, 1]))
    x = torch.randn(steps.rows, features).bfloat16()
    for narrow, wide in zip(run(layer, x, steps, wide=False), run(layer, x, steps, wide=True), strict=True):
        assert torch.equal(narrow, wide)


@pytest.mark.usefixtures("each_kind_of_tile")
@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("features", [64, 37])
def test_few_rows_read_a_matrix_as_it_is_stored(rows: int, features: int) -> None:
    layer = layer_of("lstm", features, 21)
    x = torch.randn(rows, features).bfloat16()
    steps = Steps.uniform(1, rows)
    for narrow, wide in zip(run(layer, x, steps, wide=False), run(layer, x, steps, wide=True), strict=True):
        torch.testing.assert_close(narrow, wide, rtol=2**-6, atol=1e-6)  # sums in another order; gradients are rounded
    _, (narrow, *_) = run_layer(
        layer.cells[0].with_products("bfloat16"), Rows(x, steps), rows, None, layer.layer_parameters(0)
    )
    exact = reference(layer, x)
    assert (narrow.double() - exact).abs().max() < 1e-6


def reference(layer: Recurrent, x: torch.Tensor) -> torch.Tensor:
    """The output of one step from zeros, in float64: all numbers are bfloat16 already."""
    found = []
    for suffix in ("", "_reverse"):
        w, b, c = (getattr(layer, f"{name}_l0{suffix}").double() for name in ("weight_ih", "bias_ih", "bias_hh"))
        i, _, g, o = (x.double() @ w.mT + b + c).chunk(4, -1)
        found.append(o.sigmoid() * (i.sigmoid() * g.tanh()).tanh())
    return torch.cat(found, -1)


@pytest.mark.parametrize("name", ["lstm", "gru/before", "peepholelstm"])
def test_a_step_reads_its_tensors_as_a_layer_does(name: str) -> None:
    layer = layer_of(name, 19, 22)
    cell, own = layer.cells[0].with_products("bfloat16"), layer.layer_parameters(0)[: len(layer.cells[0].names)]
    x, state = torch.randn(5, 19).bfloat16(), torch.randn(5, 22).bfloat16()
    states = [state] * len(cell.state_widths)
    first = tuple(state.float()[None] for state in states)
    new = run_step(cell, x, states, own)
    _, (output, *_) = run_layer(cell, Rows(x.float(), Steps.uniform(1, 5)), 5, first, [p.float() for p in own])
    assert torch.equal(new[0], output.bfloat16())
    x.requires_grad_()
    found = torch.autograd.grad(run_step(cell, x, states, own)[0].float().sum(), [x, *own])
    _, (output, *_) = run_layer(cell, Rows(x, Steps.uniform(1, 5)), 5, first, own)
    for step, of_layer in zip(found, torch.autograd.grad(output.sum(), [x, *own]), strict=True):
        assert torch.equal(step, of_layer)


def test_what_is_read_as_it_is() -> None:
    def narrow(name: str, half: Half = BOTH) -> set[str]:
        cell = layer_of(name, 8, 8).cells[0].with_products("bfloat16")
        return set(cell.forward_plan(torch.float32, saving=False, half=half).narrow)

    whole = {"weight_W", "weight_U", "bias_W", "bias_U"}
    assert narrow("lstm") == narrow("peepholelstm") == {"x[t]", *whole}
    assert narrow("lstm", Half(inputs=False, parameters=True)) == whole
    assert narrow("mingru") == {"weight_W", "bias_W"}  # a strip of steps reads its input itself
    assert not narrow("lstm heads") & {"weight_U"}
    cell = layer_of("lstm", 8, 8).cells[0]
    assert not cell.forward_plan(torch.float32, saving=False, half=BOTH).narrow  # products in float32
    backward = cell.with_products("bfloat16").backward_plan(torch.float32, input_gradient=True, half=BOTH)
    assert backward.narrow == {"x[t]", *whole}  # gradients of matrices read x; biases are not read at all
