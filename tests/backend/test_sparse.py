"""Matrices of which panels hold only what is not zero: every bit is that of the whole matrix, and zeros are skipped."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.backend.agreement import engine, poisoned, threads
from tests.backend.drawn import SPARSE, draw, kept
from tests.backend.test_engine import ISAS, run
from tidegate.errors import SpecError
from tidegate.runtime import Rows, SizedCell, Steps, Stream, described, eager_only, library, run_layer, sized
from tidegate.zoo import find

CELLS = ("lstm", "gru/before", "mgu", "mingru")
WIDTHS = (("I", 70), ("H", 150))
BOTH = ("W", "U")
FEW = 2


def pair(name: str) -> tuple[SizedCell, SizedCell]:
    """A cell without lists and with them."""
    graph = find(name).graph
    return sized(graph, WIDTHS), sized(graph, WIDTHS, tuple(m.name for m in graph.matrices))


def parameters_of(cell: SizedCell, which: str, dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(5)
    drawn = [(torch.randn(shape, dtype=torch.float64) / 8).to(dtype) for shape in cell.shapes[0]]
    named = zip(cell.parameters, drawn, strict=True)
    return [value * kept(value, which) if name.startswith("weight") else value for name, value in named]


def results(
    cell: SizedCell, which: str, steps: Steps, dtype: torch.dtype, resets: Tensor | None = None
) -> list[Tensor]:
    """The output, the gradient of the input, then those of the parameters."""
    parameters = [value.requires_grad_() for value in parameters_of(cell, which, dtype)]
    x = torch.randn(steps.rows, 70, dtype=torch.float64).to(dtype).requires_grad_()
    _, (y, *_) = run_layer(cell, Rows(x, steps, resets), steps.widest, None, parameters)
    return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *parameters])]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("which", [*SPARSE, "all"])
@pytest.mark.parametrize("name", CELLS)
def test_lists_change_no_bit(name, which, dtype) -> None:
    """Of one row and few, whole tiles and rows that are shared by units."""
    whole, listed = pair(name)
    for count, steps in ((1, (30, 1)), (2, (9, 4)), (1, (11, 40)), (1, (2, 3))):
        uniform = Steps.uniform(*steps)
        with engine(), poisoned(), threads(count):
            dense = results(whole, which, uniform, dtype)
            sparse = results(listed, which, uniform, dtype)
        assert all(map(torch.equal, sparse, dense))
        with eager_only():  # the masked product as torch makes it
            right = results(whole, which, uniform, torch.float64)
        for own, exact in zip(sparse, right, strict=True):
            allowed = (1e-12 if dtype == torch.float64 else 1e-4) * exact.abs().max()
            assert (own - exact).abs().max() <= allowed


@pytest.mark.parametrize("which", SPARSE)
@pytest.mark.parametrize("products", [None, "bfloat16"])
def test_lists_are_packed_with_the_weights_of_a_stream(which, products) -> None:
    whole, listed = pair("lstm")
    for sequences in (1, 7):
        x = torch.randn(20, sequences, 70)
        streams = [
            Stream([cell.with_products(products)], [parameters_of(cell, which, torch.float32)], sequences)
            for cell in (whole, listed)
        ]
        dense, sparse = (torch.cat([s.run(x), s.step(x[0])[None]]) for s in streams)
        if products:  # lists are multiplied number by number, whole matrices word by word
            torch.testing.assert_close(sparse, dense, rtol=0, atol=2e-3)
        else:
            assert torch.equal(sparse, dense)
        assert torch.equal(copy.deepcopy(streams[1]).run(x), streams[1].run(x))


def test_what_is_zero_in_a_panel_is_not_multiplied() -> None:
    """So it hides a number that is none, which the whole matrix would spread."""
    whole, listed = pair("lstm")
    parameters = parameters_of(whole, "all", torch.float32)
    parameters[whole.parameters.index("weight_W")][:, 3] = 0
    x = torch.randn(40, 70)
    x[:, 3] = float("nan")
    rows = Rows(x, Steps.uniform(20, 2), None)
    with engine(), torch.inference_mode():
        assert run_layer(whole, rows, 2, None, parameters)[1][0].isnan().all()
        assert run_layer(listed, rows, 2, None, parameters)[1][0].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("which", ["halves", "scattered", "all"])
@pytest.mark.parametrize("name", CELLS)
def test_only_what_is_kept_has_a_gradient(name, which, dtype) -> None:
    """The same bits as of the whole matrix there, by few sequences and many, shared by units and by rows."""
    whole, listed = pair(name)
    keeping = sized(whole.graph, WIDTHS, listed.sparse, kept=True)
    weights = parameters_of(whole, which, dtype)
    named = zip(whole.parameters, weights, strict=True)
    masks = [(value != 0) | (not part.startswith("weight")) for part, value in named]
    ragged = Steps(np.array([90, 90, 70, 70, 9, 8, 3, 1]))
    resets = (torch.arange(ragged.rows) % 7 == 2).to(torch.uint8)
    for count, steps, where in (
        (1, Steps.uniform(12, 1), None), (2, Steps.uniform(5, 10), None), (3, ragged, resets), (1, ragged, None),
    ):  # fmt: skip
        with engine(), poisoned(), threads(count):
            y, dx, *dense = results(whole, which, steps, dtype, where)
            found = results(keeping, which, steps, dtype, where)
        expected = [y, dx, *(gradient * mask for gradient, mask in zip(dense, masks, strict=True))]
        assert all(map(torch.equal, found, expected))
    with eager_only():
        defined = results(keeping, which, Steps.uniform(5, 10), dtype)
    assert all((gradient[~mask] == 0).all() for gradient, mask in zip(defined[2:], masks, strict=True))


def test_halves_of_a_panel_have_lists_of_their_own() -> None:
    """Units that do not read a feature do not see that it is no number, though their neighbours read it."""
    widths = (("I", 8), ("H", 64))
    cell = sized(find("lstm").graph, widths, BOTH)
    torch.manual_seed(2)
    parameters = [torch.randn(shape) for shape in cell.shapes[0]]
    parameters[cell.parameters.index("weight_U")].zero_()
    halves = parameters[cell.parameters.index("weight_W")].view(4, 2, 32, 8)
    halves[:, 0, :, 1::2] = 0
    halves[:, 1, :, ::2] = 0
    x = torch.randn(20, 8)
    x[:, 3] = float("nan")
    for steps, sequences in ((20, 1), (4, 5)):
        with engine(), torch.inference_mode():
            _, (y, *_) = run_layer(cell, Rows(x, Steps.uniform(steps, sequences), None), sequences, None, parameters)
        assert y[:, :32].isfinite().all()
        assert y[:, 32:].isnan().all()


@pytest.mark.parametrize("isa", ISAS)
def test_drawn_sparse_layers_agree_with_the_definition(isa) -> None:
    if isa not in library._available_isas():
        pytest.skip(f"this CPU cannot run {isa}")
    found = (seed for seed in range(1, 10**6) if draw(seed).sparse and draw(seed).cell == "lstm")
    done = run("-m", "tests.backend.agreement", *(str(next(found)) for _ in range(FEW)), TIDEGATE_ISA=isa)
    verdicts = [line for line in map(json.loads, done.stdout.splitlines()) if "complaints" in line]
    assert [v for v in verdicts if v["complaints"]] == []
    assert len(verdicts) == FEW, done.stderr


def test_a_sparse_cell_is_described_and_pickled() -> None:
    whole, listed = pair("lstm")
    assert described(listed.text) is listed
    assert described(whole.text) is whole
    assert pickle.loads(pickle.dumps(listed)) is listed
    keeping = sized(whole.graph, WIDTHS, BOTH, kept=True)
    assert described(keeping.text) is keeping
    assert pickle.loads(pickle.dumps(keeping)) is keeping
    assert keeping.text != listed.text
    assert listed.sparse == BOTH


def test_a_matrix_that_the_cell_lacks_is_refused() -> None:
    with pytest.raises(SpecError, match="LSTM has no matrix 'V' — name some of W, U"):
        sized(find("lstm").graph, WIDTHS, ("U", "V"))
