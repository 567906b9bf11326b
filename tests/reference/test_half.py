"""The emulation of fewer bits itself, that the comparison by steps sees what is wrong, and the library by it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.backend.tiles import names, tiles
from tests.reference import drawn_half, half_zoo, stepping
from tests.reference.half import BFLOAT16, FORMATS, Rounding, rounded
from tests.reference.half_zoo import Shape
from tidegate.nn import GRU, Recurrent, RecurrentCell, Session
from tidegate.runtime import eager_only
from tidegate.zoo import CELLS

TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
every_format = pytest.mark.parametrize("name", FORMATS)


def every_tie(dtype: torch.dtype) -> torch.Tensor:
    """All numbers of a type, what lies in the middle between neighbours, and the float32 beside these."""
    numbers = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(dtype).float()
    finite = numbers[numbers.isfinite()].double().unique()
    ties = ((finite[1:] + finite[:-1]) / 2).float()
    end = torch.finfo(dtype).max * (1 + torch.finfo(dtype).eps / torch.tensor([2.0, 4.0, 0.5], dtype=torch.float64))
    beside = [torch.nextafter(ties, torch.tensor(float(to))) for to in ("inf", "-inf")]
    return torch.cat([numbers, ties, *beside, end.float(), -end.float()])


@every_format
def test_rounding_is_that_of_torch_for_all_numbers_and_ties(name):
    points = every_tie(TYPES[name])
    ours = rounded(points, replace(FORMATS[name], subnormal=True))
    torch.testing.assert_close(ours, points.to(TYPES[name]).float(), rtol=0, atol=0, equal_nan=True)
    assert torch.equal(ours.signbit(), points.signbit())


def test_numbers_that_the_engine_flushes_are_zero():
    points = torch.tensor([2.0**-126, 2.0**-127, -(2.0**-140), 2.0**-24], dtype=torch.float64)
    assert rounded(points, BFLOAT16).tolist() == [2.0**-126, 0, 0, 2.0**-24]
    assert rounded(points, FORMATS["float16"]).tolist() == [0, 0, 0, 2.0**-24]


@every_format
def test_a_product_rounds_both_factors_and_perhaps_its_adjoint(name):
    v, matrix, dp = (torch.randn(shape, requires_grad=True) for shape in ((3, 4), (5, 4), (3, 5)))
    with Rounding(FORMATS[name]):
        product = v @ matrix.T
    found = torch.autograd.grad(product, [v, matrix], dp)
    a, m, d = (value.detach().to(TYPES[name]).float() for value in (v, matrix, dp))
    d = d if name == "bfloat16" else dp.detach()
    for ours, right in zip((product, *found), (a @ m.T, d @ m, d.T @ a), strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-6, atol=1e-6)


class Planted(Rounding):
    """Leaves one of the factors as it is."""

    def __init__(self, name, left) -> None:
        super().__init__(FORMATS[name])
        self.left = left

    def factor(self, number, name, value):
        return value if name == self.left else super().factor(number, name, value)


def compared(name, left="", cell="gru/before", **changed):
    case = half_zoo.draw(cell, Shape(3, 2, 19, 5))
    imitated = stepping.imitation(case.step, case.parameters, partial(Planted, name, left))
    return stepping.compare(case.call, imitated, case.step, case.parameters, FORMATS[name], draws=3, **changed)


@every_format
def test_an_imitation_agrees_to_the_accuracy_of_float32(name):
    verdict = compared(name)
    assert (verdict.share < 0.2, verdict.steps) == (True, 6)
    assert verdict.typical < 1e-7
    assert verdict.draws == 0


@pytest.mark.parametrize("left", ["v", "matrix", "dp"])
@every_format
def test_a_factor_that_is_not_rounded_is_found(name, left):
    if (name, left) != ("float16", "dp"):  # whose adjoints are left as they are
        assert compared(name, left).share > 10


def test_a_step_the_other_way_round_is_found():
    assert compared("bfloat16", reverse=True).share > 100


# --- the library: benchmarks/half/exact.py has all cells and shapes, benchmarks/fuzz_layers.py thousands of calls ---

WHEEL = ("lstm", "gru", "gru/before", "rnn", "peepholelstm", "mgu", "cifg", "indrnn")  # compiled with the engine


@every_format
@pytest.mark.parametrize("cell", WHEEL)
def test_cells_are_their_equations_with_rounded_factors(cell, name):
    case = half_zoo.draw(cell, Shape(3, 3, 33, 7), lengths=(3, 0, 2), resets=True)
    layer = half_zoo.layer_of(case)
    verdict = stepping.compare(case.call, half_zoo.examined(layer, name), case.step, case.parameters, FORMATS[name])
    assert layer.last_path == "fused"
    assert verdict.share <= 1, verdict.where
    assert verdict.typical < 1e-7
    assert verdict.unlike == ()


@every_format
def test_every_cell_of_the_zoo_by_its_definition(name):
    wrong = {}
    with eager_only():
        for cell in CELLS:
            case = half_zoo.draw(cell, Shape(1, 2, 9, 5))
            layer = half_zoo.examined(half_zoo.layer_of(case), name)
            verdict = stepping.compare(case.call, layer, case.step, case.parameters, FORMATS[name])
            if not verdict.share <= 1:
                wrong[cell] = verdict.where, verdict.share
    assert wrong == {}


EDGES = (float("nan"), float("inf"), 3.4e38, 1e-39, -0.0, 6.6e4)  # 3.4e38 is infinite in bfloat16, 6.6e4 in float16


@pytest.mark.parametrize("tile", [*names(), None])
def test_values_at_the_edges(tile):
    name = "bfloat16" if tile else "float16"
    with tiles(tile) if tile else nullcontext():
        case = half_zoo.draw("gru", Shape(2, len(EDGES), 21, 17))
        case.call.x[0, :, 3] = torch.tensor(EDGES)
        case.parameters["weight_ih_l0"][5, 3] = 1e38 if tile else 2e4  # shows what a flushed number would have made
        layer = half_zoo.examined(half_zoo.layer_of(case), name)
        verdict = stepping.compare(case.call, layer, case.step, case.parameters, FORMATS[name])
        assert verdict.share <= 1, verdict.where
        y = layer(case.call).y
        assert y[:, 0].isnan().any()
        assert y[:, 3:5].isfinite().all()


@every_format
def test_nothing_to_do(name):
    layer = GRU(5, 9).to(TYPES[name])
    y, h = layer(torch.zeros(3, 0, 5, dtype=TYPES[name]))
    assert (y.shape, h.shape, y.dtype) == ((3, 0, 9), (1, 0, 9), TYPES[name])
    x = torch.full((3, 2, 5), torch.nan, dtype=TYPES[name])
    y, h = layer(x, lengths=[0, 0])
    assert not y.any()
    assert not h.any()
    with pytest.raises(RuntimeError, match="larger than 0"):
        layer(x[:0])


@every_format
@pytest.mark.parametrize("cell", ["lstm", "gru/before", "mingru"])
def test_stacks_sessions_and_cells_have_the_bits_of_a_layer(cell, name):
    def run(module, *call):
        module.autocast_keeps_dtype = True
        with torch.autocast("cpu", TYPES[name]):
            found = module(*call)
        return found[0] if isinstance(found, tuple) else found

    stack, low, high = (Recurrent(cell, i, 19, n, bidirectional=True) for i, n in ((7, 2), (7, 1), (38, 1)))
    own = dict(stack.named_parameters())
    low.load_state_dict({n: own[n] for n, _ in low.named_parameters()})
    high.load_state_dict({n: own[n.replace("l0", "l1")] for n, _ in high.named_parameters()})
    x = torch.randn(6, 5, 7)
    assert torch.equal(run(stack, x), run(high, run(low, x)))
    layer = Recurrent(cell, 7, 19)
    assert torch.equal(Session(layer, 5, weights=name).run(x), run(layer, x))
    one = RecurrentCell(cell, 7, 19)
    one.load_state_dict({n.removesuffix("_l0"): value for n, value in layer.state_dict().items()})
    assert torch.equal(run(one, x[0]), run(layer, x[:1])[0])


def small(configuration):
    return 0 < configuration.T * configuration.B < 40


@every_format
def test_drawn_layers_agree_with_the_equations(name):
    seeds = [seed for seed in range(40) if small(drawn_half.configured(seed, options=False))][:12]
    verdicts = {seed: drawn_half.judge(seed, name, options=False) for seed in seeds}
    assert {seed: verdict for seed, verdict in verdicts.items() if verdict[0] != "right"} == {}
