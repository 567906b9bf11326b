"""One tile of a product in bfloat16, of each kind that this library has, against float64 with rounded factors."""

from ctypes import c_char_p, c_int, c_int64, c_void_p
from typing import NamedTuple

import pytest
import torch

from tests.backend.tiles import names
from tidegate.runtime import library

ZERO, BIAS, ADD, GO_ON = range(4)  # Start of engine/kernel.h
ROOM = 64  # floats, so that whole vectors may be read and written behind the last column


KINDS = names()
if not KINDS:
    pytest.skip("no engine here", allow_module_level=True)
ARGUMENTS = (c_char_p, c_int64, c_int64, c_int64, c_void_p, c_void_p, c_int, c_void_p, c_int, c_int, c_void_p, c_void_p)


class Case(NamedTuple):
    rows: int
    k: int
    n: int


CASES = (Case(1, 1, 1), Case(3, 7, 5), Case(6, 16, 64), Case(13, 33, 70), Case(2, 31, 129), Case(17, 128, 200))


def multiply(
    kind: str,
    a: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    start: int,
    at_once: int = 0,
    *,
    of_states: bool = False,
) -> torch.Tensor:
    """A [rows, k] times the transposed weight [n, k], as rows of a weight [k, n] and as columns of one [n, k]."""
    engine = library.load().engine
    engine.tg_dot.restype, engine.tg_dot.argtypes = c_int64, ARGUMENTS
    rows, (n, k) = len(a), weight.shape
    results = []
    for across in (0, 1):
        matrix = weight.mT.contiguous() if across else weight
        c = torch.full((rows * n + ROOM,), 0.5)
        shape = kind.encode(), rows, k, n
        given = a.data_ptr(), matrix.data_ptr(), across + 2 * of_states, bias.data_ptr(), start, at_once, c.data_ptr()
        size = engine.tg_dot(*shape, *given, None)
        assert size, f"this library has no tiles {kind}"
        space = torch.full((size + 2 * ROOM,), 0x7F, dtype=torch.uint8)  # what is not written is no zero
        engine.tg_dot(*shape, *given, -(-space.data_ptr() // ROOM) * ROOM)
        results.append(c[: rows * n].view(rows, n))
    torch.testing.assert_close(*results, rtol=0, atol=0, equal_nan=True)  # the same panel, packed either way
    return results[0]


def drawn(case: Case) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(case.rows)
    sizes = ((case.rows, case.k), (case.n, case.k), (case.n + ROOM,))
    return tuple(torch.randn(size, generator=generator) for size in sizes)  # type: ignore[return-value]


def by_hand(a: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return a.bfloat16().double() @ weight.bfloat16().double().mT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("start", [ZERO, BIAS, ADD, GO_ON])
def test_a_tile_is_the_product_of_rounded_factors(kind, case, start) -> None:
    a, weight, bias = drawn(case)
    expected = by_hand(a, weight) + {ZERO: 0, BIAS: bias[: case.n].double(), ADD: 0.5, GO_ON: 0.5}[start]
    torch.testing.assert_close(
        multiply(kind, a, weight, bias, start).double(), expected, rtol=0, atol=1e-6 * case.k**0.5 + 1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_once", [1, 2, 3, 4])
def test_one_row_by_several_panels_has_the_bits_of_a_tile(kind, at_once) -> None:
    a, weight, bias = drawn(Case(1, 37, 320))
    assert torch.equal(multiply(kind, a, weight, bias, BIAS, at_once), multiply(kind, a, weight, bias, BIAS))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_the_rows_beside_it(kind) -> None:
    a, weight, bias = drawn(Case(17, 50, 80))
    together = multiply(kind, a, weight, bias, BIAS)
    assert all(torch.equal(together[r : r + 1], multiply(kind, a[r : r + 1], weight, bias, BIAS)) for r in range(17))


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_is_to_nearest_and_ties_go_to_even(kind) -> None:
    values = torch.tensor([1.00390625, 1.01171875, -1.00390625, 1.0039063, 3.3895e38, 3.4e38, torch.inf, torch.nan])
    one, rounded = torch.ones(1, 1), values.bfloat16().float()
    for result in (
        multiply(kind, values.view(8, 1), one, torch.zeros(ROOM), ZERO)[:, 0],
        multiply(kind, one, values.view(8, 1), torch.zeros(8 + ROOM), ZERO)[0],
    ):
        torch.testing.assert_close(result, rounded, rtol=0, atol=0, equal_nan=True)
