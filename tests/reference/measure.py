"""The grid of comparisons, shared by the tests and by the printed table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

from tests.reference import tolerance
from tests.reference.compare import Case, as_state, draw, from_state, layer_of, public, strided

STEPS = (1, 2, 63)
BATCHES = (1, 3)
WIDTHS = (1, 17, 64)
SATURATING = 50.0
SOME = ((1, 1, 1), (1, 3, 17), (1, 1, 64), (2, 3, 1), (2, 1, 17), (2, 3, 64), (31, 1, 1), (63, 3, 17), (31, 1, 64))
"""What the tests run of the grid: every two of these sizes are together once. ``worst.py`` runs all of it."""


def plain(cell: str, T: int, B: int, H: int) -> Iterator[Case]:
    """With and without a given state."""
    for given in (True, False):
        yield draw(cell, T, B, H, given=given, seed=T + 100 * B + 1000 * H)


def saturated(cell: str, T: int, B: int, H: int) -> Case:
    return draw(cell, T, B, H, scale=SATURATING, seed=T + B + H)


def not_contiguous(cell: str, T: int, B: int, H: int) -> Case:
    return strided(draw(cell, T, B, H, seed=T + B + H))


def sizes() -> Iterator[tuple[int, int, int]]:
    return product(STEPS, BATCHES, WIDTHS)


def differentiable(cell: str, *, steps: int = 2, batch: int = 1, width: int = 2) -> tuple[Callable[..., object], list]:
    """A layer as a function of its input, states and parameters, and a point to differentiate it at."""
    case = draw(cell, steps, batch, width, features=2, seed=3)
    layer = layer_of(case)
    held = {public(name): name for name in layer.state_dict()}
    names = [held[name] for name in case.params]
    count = len(case.dlast)

    def function(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        params = dict(zip(names, rest[count:], strict=True))
        y, state = torch.func.functional_call(layer, params, (x, as_state(rest[:count])))
        return (y, *from_state(state))

    return function, [v.clone().requires_grad_() for v in (case.x, *case.states, *case.params.values())]


def gradients_check(cell: str, *, fast: bool = False, **size: int) -> bool:
    """First and second derivatives against central differences; fast takes the second along a random direction."""
    function, point = differentiable(cell, **size)
    limits = {"eps": tolerance.GRADCHECK_EPS, "atol": tolerance.GRADCHECK_ATOL, "rtol": tolerance.GRADCHECK_RTOL}
    first = torch.autograd.gradcheck(function, point, **limits)
    return first and torch.autograd.gradgradcheck(function, point, **limits, fast_mode=fast)
