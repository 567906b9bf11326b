"""Tiles of int8, of each kind that this library has, against whole numbers in NumPy."""

import pytest
import torch

from tests.backend.test_dot import ADD, BIAS, CASES, ROOM, ZERO, Case, drawn, multiply
from tests.reference import whole
from tidegate.runtime import library
from tidegate.runtime.tiles import runnable

OTHER = {"x86-64-v4": "avx_vnni", "x86-64-v3": "avx512_vnni", "baseline": "avx512_vnni avx_vnni"}
KINDS = [own.name for own in runnable(library.processor(), "int8") if own.name not in OTHER[library.isa()].split()]


def by_hand(a: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(whole.product(a.numpy(), weight.numpy()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_sums_of_whole_numbers_are_exact(kind, case) -> None:
    generator = torch.Generator().manual_seed(case.k)
    a = torch.randint(-(2**14), 2**14, (case.rows, case.k), generator=generator).float()
    weight = torch.randint(-127, 128, (case.n, case.k), generator=generator).float()
    a[:, 0], weight[:, 0] = 2**14, 127  # so that both scales are 1
    a[:, 4:] = a[:, 4:] % 256  # sums below 2^24, which float32 holds
    assert torch.equal(
        multiply(kind, a, weight, torch.zeros(case.n + ROOM), ZERO).double(), a.double() @ weight.double().mT
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("start", [ZERO, BIAS, ADD])
def test_a_tile_is_the_product_of_whole_numbers(kind, case, start) -> None:
    a, weight, bias = drawn(case)
    a *= torch.logspace(-6, 6, case.rows)[:, None]  # each row has a scale of its own
    before = {ZERO: 0, BIAS: bias[: case.n].double(), ADD: 0.5}[start]
    found, expected = multiply(kind, a, weight, bias, start).double(), by_hand(a, weight) + before
    limit = 4e-7 * (a.abs().double() @ weight.abs().double().mT + 1)
    assert ((found - expected).abs() <= limit).all()
    assert (
        case.k < 8 or ((found - (a.double() @ weight.double().mT + before)).abs() > limit).any()
    )  # a limit that tells


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_once", [1, 2, 3, 4])
def test_one_row_by_several_panels_has_the_bits_of_a_tile(kind, at_once) -> None:
    a, weight, bias = drawn(Case(1, 37, 320))
    assert torch.equal(multiply(kind, a, weight, bias, BIAS, at_once), multiply(kind, a, weight, bias, BIAS))


def test_all_kinds_have_the_same_bits() -> None:
    a, weight, bias = drawn(Case(17, 391, 200))
    results = [multiply(kind, a, weight, bias, BIAS) for kind in KINDS]
    assert all(torch.equal(results[0], result) for result in results)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_the_rows_beside_it(kind) -> None:
    a, weight, bias = drawn(Case(17, 50, 80))
    a[3] *= 1e6
    together = multiply(kind, a, weight, bias, BIAS)
    assert all(torch.equal(together[r : r + 1], multiply(kind, a[r : r + 1], weight, bias, BIAS)) for r in range(17))


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_at_the_edges(kind) -> None:
    values = [0.0, 2.0**-100, 1e-30, 3.4e38, 1 - 2.0**-24, -(1 - 2.0**-24), -1.0, 1.5 + 2.0**-16, torch.inf, torch.nan]
    a = torch.tensor(values)[:, None] * torch.tensor([1.0, -0.5, 2.0**-15, 0.0, 0.0])
    weight = torch.tensor(
        [[1.0, 1.0, 1.0, 1.0, 0.1], [0.0] * 5, [1.0, 0.0, torch.nan, 0.0, 0.0], [-1.0, 0.5, 0, 0, torch.inf]]
    )
    found = multiply(kind, a, weight, torch.zeros(4 + ROOM), ZERO)
    expected = by_hand(a, weight)
    torch.testing.assert_close(found.double(), expected, rtol=4e-7, atol=1e-44, equal_nan=True)
    assert found[8:].isnan().all()
    assert found[:, 2:].isnan().all()
    assert (found[:8, 1] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_sum_overflows_before_its_bound(kind) -> None:
    k = 20_000
    a, weight = torch.full((1, k), 1 - 2.0**-15), torch.full((1, k), 1.0)
    for sign in (1, -1):
        found = multiply(kind, sign * a, weight, torch.zeros(1 + ROOM), ZERO).item()
        assert abs(found - sign * k * (1 - 2.0**-15)) < 1e-2
