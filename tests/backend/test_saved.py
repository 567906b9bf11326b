"""What is saved in bfloat16: every bit is that of a backward run that reads rounded values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.backend.agreement import poisoned, threads
from tidegate.errors import SpecError
from tidegate.nn import Recurrent
from tidegate.runtime import (
    Forward,
    Rows,
    SizedCell,
    Steps,
    described,
    library,
    run_layer,
    run_layer_backward,
    run_layer_saving,
    sized,
    withhold,
)
from tidegate.zoo import find

try:
    library.load()
except library.BackendError as none:
    pytest.skip(f"no engine here: {none}", allow_module_level=True)

# Phases, operands of gradients that are saved, one number a row, units by themselves.
CELLS = ("lstm", "gru/before", "mingru", "grud")
SIZES = {"one": [1] * 9, "even": [13] * 20, "ragged": [23, 23, 20, 7, 7, 1]}


def pair(name: str, products: object = None) -> tuple[SizedCell, SizedCell]:
    graph = find(name).graph
    widths = tuple(dict.fromkeys(("I", "H", *graph.own_axes), 70).items())
    return sized(graph, widths, products=products), sized(graph, widths, products=products, saved="bfloat16")


class Run:
    """Both directions of a layer, forward and backward, with everything that gradients need."""

    def __init__(self, cell: SizedCell, sizes: list[int], *, resets: bool) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.cell, self.sequences = cell, max(sizes)
        steps = Steps(np.array(sizes, dtype=np.int64))
        marked = (torch.rand(steps.rows, generator=self.generator) < 0.2).to(torch.uint8) if resets else None
        self.rows = Rows(self.drawn(steps.rows, cell.features), steps, marked)
        beside = [self.drawn(steps.rows, width).abs() for width in cell.strides[len(cell.parameters) :]]
        self.parameters = [t for _ in range(2) for t in (*[self.drawn(*s) / 8 for s in cell.shapes[0]], *beside)]
        self.first = tuple([self.drawn(2, self.sequences, width) for width in cell.state_widths])
        self.d_output = self.drawn(steps.rows, 2 * cell.output_width)
        self.d_last = [self.drawn(2, self.sequences, width) for width in cell.state_widths]

    def drawn(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def forward(self, cell: SizedCell) -> Forward:
        found = run_layer_saving(cell, self.rows, self.sequences, self.first, self.parameters, saved_rows=1)
        assert found is not None
        return found

    def gradients(self, cell: SizedCell, run: Forward) -> list[Tensor]:
        found = run_layer_backward(
            cell, self.rows, self.sequences, self.first, self.parameters, run, self.d_output, self.d_last
        )
        assert found is not None
        return [t for t in (found.x, *found.first, *found.parameters) if t is not None]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", CELLS)
def test_bits_are_those_of_rounded_values(name, sizes) -> None:
    plain, half = pair(name)
    for count in (1, 2):
        with poisoned(), threads(count):
            run = Run(plain, SIZES[sizes], resets=sizes != "one")
            whole, saved = run.forward(plain), run.forward(half)
            assert saved.saved.dtype == torch.bfloat16
            assert torch.equal(saved.saved, whole.saved.bfloat16())
            assert all(map(torch.equal, (saved.output, *saved.last), (whole.output, *whole.last)))
            expected = run.gradients(plain, whole._replace(saved=whole.saved.bfloat16().float()))
            found = run.gradients(half, saved)
        assert all(map(torch.equal, found, expected))
        exact = run.gradients(plain, whole)
        assert any(not torch.equal(own, other) for own, other in zip(found, exact, strict=True)), "rounding shows"


def test_products_in_bfloat16_read_saved_values_too() -> None:
    plain, half = pair("gru/before", "bfloat16")
    run = Run(plain, SIZES["ragged"], resets=True)
    whole, saved = run.forward(plain), run.forward(half)
    expected = run.gradients(plain, whole._replace(saved=whole.saved.bfloat16().float()))
    assert all(map(torch.equal, run.gradients(half, saved), expected))


def test_float64_is_saved_as_it_is() -> None:
    _, half = pair("lstm")
    steps = Steps.uniform(3, 2)
    parameters = [torch.zeros(shape, dtype=torch.float64) for shape in half.shapes[0]]
    x = torch.zeros(steps.rows, half.features, dtype=torch.float64)
    run = run_layer_saving(half, Rows(x, steps, None), 2, None, parameters, saved_rows=1)
    assert run is not None
    assert run.saved.dtype == torch.float64


def test_a_cell_carries_what_it_saves() -> None:
    _, half = pair("lstm")
    assert described(half.text) is half
    assert half.with_products("bfloat16").saved == "bfloat16"
    with pytest.raises(SpecError, match="saved in 'float8'"):
        sized(half.graph, tuple(half.widths.items()), saved="float8")


def test_a_layer_saves_half_as_much() -> None:
    plain, half = pair("lstm")

    def kept(cell: SizedCell) -> int:
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
            run = Run(cell, SIZES["even"], resets=False)
            parameters = [p.requires_grad_() for p in run.parameters]
            run_layer(cell, run.rows, run.sequences, run.first, parameters)
        return sum(sizes)

    saved = 2 * sum(SIZES["even"]) * plain.saved_width
    assert kept(plain) - kept(half) == 2 * saved  # two bytes of four


@pytest.mark.parametrize("half", [False, True])
def test_the_option_of_a_layer_is_what_its_cells_save(half) -> None:
    torch.manual_seed(0)
    x, sizes = torch.randn(20, 6, 8), []
    found = []
    for saved in (None, "bfloat16"):
        torch.manual_seed(1)
        layer = Recurrent("lstm", 8, 16, 2, bidirectional=True, saved_activations=saved)
        layer, own = (layer.bfloat16(), x.bfloat16()) if half else (layer, x)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
            y, _ = layer(own)
        assert layer.last_path == "fused"
        y.float().square().sum().backward()
        found.append((sum(sizes), y.detach(), layer.weight_hh_l1.grad))
        sizes.clear()
    (bytes_, y, gradient), (fewer, same, rounded) = found
    assert bytes_ - fewer == 2 * 2 * 20 * 6 * 5 * 16 * 2  # layers, directions, rows, five series, bytes
    assert torch.equal(y, same)
    assert 0 < (gradient - rounded).norm() / gradient.norm() < 0.01


@pytest.mark.parametrize("steps", [40, 4])  # by tiles of gradients, by pairs of steps
def test_norms_of_single_sequences_read_what_is_saved(steps) -> None:
    """A GRU that resets before the product saves an operand of a matrix."""
    torch.manual_seed(2)
    layer = Recurrent("gru/before", 12, 20, saved_activations="bfloat16")
    x, weights = torch.randn(steps, 3, 12), torch.randn(steps, 3, 20)
    with withhold() as entries:
        y, _ = layer(x)
    (y * weights).sum().backward()
    (entry,) = entries
    count = len(layer.cells[0].gradients.tensors)
    squares = entry.square_norms([[True] * count]).sum((0, 1))
    for b in range(3):
        alone = entry.weighted(torch.eye(3)[b])
        assert squares[b].item() == pytest.approx(sum(float(g.double().square().sum()) for g in alone), rel=1e-5)
