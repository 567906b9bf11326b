"""Tiles of int8, of each kind that this library has, against whole numbers in NumPy."""

import pytest
import torch

from tests.backend.test_dot import ADD, BIAS, CASES, ROOM, ZERO, Case, drawn, multiply
from tests.reference import whole
from tidegate.runtime import library
from tidegate.runtime.tiles import runnable

OTHER = {"x86-64-v4": "avx_vnni", "x86-64-v3": "avx512_vnni", "baseline": "avx512_vnni avx_vnni"}
KINDS = [own.name for own in runnable(library.processor(), "int8") if own.name not in OTHER[library.isa()].split()]


def by_hand(a: torch.Tensor, weight: torch.Tensor, *, of_states: bool) -> torch.Tensor:
    return torch.from_numpy(whole.product(a.numpy(), weight.numpy(), outside=not of_states))


every_kind = pytest.mark.parametrize("kind", KINDS)
both = pytest.mark.parametrize("of_states", [False, True])


@every_kind
@both
@pytest.mark.parametrize("case", CASES, ids=str)
def test_sums_of_whole_numbers_are_exact(kind, case, of_states) -> None:
    generator = torch.Generator().manual_seed(case.k)
    most = 127 if of_states else 2**14  # in the first column, so that units are 1
    a = torch.randint(-most, most, (case.rows, case.k), generator=generator).float()
    weight = torch.randint(-127, 128, (case.n, case.k), generator=generator).float()
    a[:, 0], weight[:, 0] = most, 127
    a[:, 4:] = a[:, 4:] % 256 % most  # sums below 2^24, which float32 holds
    found = multiply(kind, a, weight, torch.zeros(case.n + ROOM), ZERO, of_states=of_states)
    assert torch.equal(found.double(), a.double() @ weight.double().mT)


@every_kind
@both
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("start", [ZERO, BIAS, ADD])
def test_a_tile_is_the_product_of_whole_numbers(kind, case, start, of_states) -> None:
    a, weight, bias = drawn(case)
    a *= torch.logspace(-6, 6, case.rows)[:, None]  # each row has a unit of its own
    before = {ZERO: 0, BIAS: bias[: case.n].double(), ADD: 0.5}[start]
    found = multiply(kind, a, weight, bias, start, of_states=of_states).double()
    limit = 4e-7 * (a.abs().double() @ weight.abs().double().mT + 1)
    assert ((found - before - by_hand(a, weight, of_states=of_states)).abs() <= limit).all()
    if case.k > 8:  # the limit tells this from others
        for other in (by_hand(a, weight, of_states=not of_states), a.double() @ weight.double().mT):
            assert ((found - before - other).abs() > limit).any()


@every_kind
@both
@pytest.mark.parametrize("at_once", [1, 2, 3, 4])
def test_one_row_by_several_panels_has_the_bits_of_a_tile(kind, at_once, of_states) -> None:
    a, weight, bias = drawn(Case(1, 37, 320))
    alone = multiply(kind, a, weight, bias, BIAS, of_states=of_states)
    assert torch.equal(multiply(kind, a, weight, bias, BIAS, at_once, of_states=of_states), alone)


@both
def test_all_kinds_have_the_same_bits(of_states) -> None:
    a, weight, bias = drawn(Case(17, 391, 200))
    results = [multiply(kind, a, weight, bias, BIAS, of_states=of_states) for kind in KINDS]
    assert all(torch.equal(results[0], result) for result in results)


@every_kind
@both
def test_a_row_does_not_depend_on_the_rows_beside_it(kind, of_states) -> None:
    a, weight, bias = drawn(Case(17, 50, 80))
    a[3] *= 1e6
    together = multiply(kind, a, weight, bias, BIAS, of_states=of_states)
    for r, row in enumerate(a):
        assert torch.equal(together[r : r + 1], multiply(kind, row[None], weight, bias, BIAS, of_states=of_states))


@every_kind
@both
def test_numbers_at_the_edges(kind, of_states) -> None:
    values = [0.0, 2.0**-100, 1e-30, 3.4e38, 1 - 2.0**-24, -(1 - 2.0**-24), -1.0, 1.5 + 2.0**-16, torch.inf, torch.nan]
    a = torch.tensor(values)[:, None] * torch.tensor([1.0, -0.5, 2.0**-15, 0.0, 0.0])
    weight = torch.tensor(
        [[1.0, 1.0, 1.0, 1.0, 0.1], [0.0] * 5, [1.0, 0.0, torch.nan, 0.0, 0.0], [-1.0, 0.5, 0, 0, torch.inf]]
    )
    found = multiply(kind, a, weight, torch.zeros(4 + ROOM), ZERO, of_states=of_states)
    expected = by_hand(a, weight, of_states=of_states)
    torch.testing.assert_close(found.double(), expected, rtol=4e-7, atol=1e-44, equal_nan=True)
    assert found[8:].isnan().all()
    assert found[:, 2:].isnan().all()
    assert (found[:8, 1] == 0).all()


@every_kind
@both
def test_no_sum_overflows_before_its_bound(kind, of_states) -> None:
    k = 20_000
    a, weight = torch.full((1, k), 1 - 2.0**-15), torch.full((1, k), 1.0)
    for sign in (1, -1):
        found = multiply(kind, sign * a, weight, torch.zeros(1 + ROOM), ZERO, of_states=of_states).item()
        assert abs(found - sign * k * (1 - 2.0**-15)) < 1e-2
