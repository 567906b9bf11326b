"""Products in words, in every layout of rows: each kind of tile against the definition, any number of threads the same.

How exact each number is, `tests/reference` says, step by step. Here whole runs are compared, in which a number that
lies between two numbers of bfloat16 may be rounded to either.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pytest
import torch

from tests.backend.agreement import engine, threads
from tests.backend.tiles import names, tiles
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only

TILES = names()
if not TILES:
    pytest.skip("no engine here", allow_module_level=True)

T, I, H = 7, 33, 150  # two panels and more, of which the last is narrow; k ends within a word


class Layout(NamedTuple):
    cell: str
    sequences: int
    ragged: bool = False
    options: Mapping[str, object] = {}


LAYOUTS = {
    "one row": Layout("lstm", 1),
    "a few rows": Layout("gru", 3),
    "full": Layout("lstm", 17),
    "ragged, with resets": Layout("lstm", 13, ragged=True),
    "phases": Layout("gru/before", 14),
    "phases of one ragged row and more": Layout("gru/before", 5, ragged=True),
    "unit by unit, alone": Layout("mingru", 2),
    "unit by unit, side by side": Layout("mingru", 30, ragged=True),
    "heads": Layout("lstm", 8, options={"heads": 3}),
    "layer norm": Layout("lstm", 9, options={"layer_norm": True}),
}


class Problem:
    """A layer in two directions and its input."""

    def __init__(self, layout: Layout) -> None:
        torch.manual_seed(len(layout.cell) + layout.sequences)
        self.layer = Recurrent(layout.cell, I, H, bidirectional=True, **layout.options)
        self.layer.autocast_keeps_dtype = True
        self.x = torch.randn(T, layout.sequences, I)
        self.weight = torch.randn(T, layout.sequences, 2 * H)
        self.lengths = [T - k % T for k in range(layout.sequences)] if layout.ragged else None
        self.reset = torch.rand(T, layout.sequences) < 0.2 if layout.ragged else None

    def results(self, *, half: bool = True) -> list[torch.Tensor]:
        """The output, then gradients of the input and of all parameters."""
        x = self.x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y, _ = self.layer(x, lengths=self.lengths, reset=self.reset)
        return [y.detach(), *torch.autograd.grad((y * self.weight).sum(), [x, *self.layer.parameters()])]


def share(found: list[torch.Tensor], expected: list[torch.Tensor], exact: list[torch.Tensor]) -> float:
    """How far results are from what is expected, as a share of what all rounding changes."""
    return max(float((f - e).norm() / (x - e).norm()) for f, e, x in zip(found, expected, exact, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_of_tile_is_the_definition(layout) -> None:
    problem = Problem(LAYOUTS[layout])
    with eager_only():
        expected, exact = problem.results(), problem.results(half=False)
    for kind in TILES:
        with tiles(kind), engine():
            assert share(Problem(LAYOUTS[layout]).results(), expected, exact) < 0.4, kind


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", TILES)
def test_no_bit_depends_on_the_number_of_threads(layout, kind) -> None:
    with tiles(kind), engine():
        problem = Problem(LAYOUTS[layout])
        with threads(1):
            alone = problem.results()
        for count in (2, 5):
            with threads(count):
                assert all(torch.equal(a, b) for a, b in zip(problem.results(), alone, strict=True))
