"""Drawn layers whose products are of fewer bits, for sanitizers: ``python -m tests.backend.fewer bfloat16 1 2 3``.

Memory that nobody wrote is NaN, so a result that is no number read some. What is right, tests/reference says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import torch

from tests.backend.agreement import by_engine, engine, outcome, poisoned, prepared, say, threads
from tests.backend.drawn import Configuration, Problem, arguments_of, draw, flat, problem_of
from tidegate.nn.call import RowCall

Tensors = dict[str, torch.Tensor]
TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def configured(seed: int) -> Configuration:
    """The configuration of a seed; without what saturates, which float16 does not hold."""
    return replace(draw(seed), dtype=torch.float32, saturated=False)


@contextmanager
def multiplying(products: str) -> Iterator[None]:
    """In here layers of float32 multiply in fewer bits; int8 has no public call but sessions."""
    plain = RowCall.run

    def run(self: RowCall, cell: Any, *rest: Any, **named: Any) -> Any:
        return plain(self, cell.with_products(products), *rest, **named)

    with mock.patch.object(RowCall, "run", run):
        yield


def forward(problem: Problem) -> Tensors:
    """Results alone: int8 has no derivative."""
    c = problem.configuration
    args, named, _ = arguments_of(problem, c.dtype)
    with engine(), poisoned(), threads(c.threads), torch.no_grad():
        y, state = prepared(problem, c.dtype)(*args, **named)
    states = state if isinstance(state, tuple) else (state,)
    return {"y": flat(y), **{f"last {k}": value for k, value in enumerate(states)}}


def whole(problem: Problem, dtype: torch.dtype) -> Tensors:
    """All tensors of the layer are of fewer bits, which the engine reads and writes as they are."""
    c = problem.configuration
    with engine(), poisoned(), threads(c.threads):
        return outcome(problem, prepared(problem, c.dtype).to(dtype))[0]


def complaints(products: str, seed: int) -> list[str]:
    """The results of a seed that read what nobody wrote."""
    problem = problem_of(configured(seed))
    with multiplying(products):
        found = forward(problem) if products == "int8" else by_engine(problem)
    if products != "int8":
        found |= {f"{name} in half precision": value for name, value in whole(problem, TYPES[products]).items()}
    return [f"{name} has numbers that are none" for name, value in found.items() if not value.isfinite().all()]


def main(products: str, *seeds: str) -> None:
    torch.set_num_threads(1)
    for seed in map(int, seeds):
        say({"start": seed})
        say({"seed": seed, "complaints": complaints(products, seed)})


if __name__ == "__main__":
    main(*sys.argv[1:])
