"""What the machine allows: its multiply-add peak, one matrix-vector product, and the products of a whole series."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.problem import Problem

from tidegate import runtime
from tidegate.passes.recurrence import runs_unit_by_unit

SIZE = 1024  # of the stand-in's matrices


def _matmul_rate(_threads: int) -> float:
    """FLOP/s of a float32 matrix product of torch, which uses the threads that this process has."""
    square = torch.ones(SIZE, SIZE)
    start = time.perf_counter()
    torch.mm(square, square)
    return 2 * SIZE**3 / (time.perf_counter() - start)


MEASURED: bool = hasattr(runtime, "fma_peak")
PEAK: Callable[[int], float] = getattr(runtime, "fma_peak", _matmul_rate)


class Peak(Peer):
    """The time that the FLOPs of an item would take at the multiply-add peak of the machine.

    ``tidegate.runtime.fma_peak(threads)`` measures that peak in FLOP/s. Until the engine has it, a matrix product
    of torch stands in: it reaches less than the peak, and tables call it what it is.
    """

    name = "FMA peak" if MEASURED else "torch matmul (for want of the FMA peak)"

    def supports(self, item: Item) -> str | None:
        return None if item.dtype == "float32" else "measured in float32"

    def prepare(self, problem: Problem) -> Prepared:
        item = problem.item
        return Prepared(lambda: PEAK(item.threads), None, clock=lambda: item.flops / PEAK(item.threads))


class Reading(Peer):
    """The time that one thread needs to read the recurrent matrices once for each step, forth and back."""

    name = "reading U"

    def supports(self, item: Item) -> str | None:
        plain = item.B == item.threads == 1 and item.mode == "inference" and item.dtype == "float32"
        return None if plain else "inference of one sequence on one thread only"

    def prepare(self, problem: Problem) -> Prepared:
        recurrent = [w for name, w in problem.weights.items() if name.startswith("weight_") and name != "weight_W"]
        size = sum(weight.nbytes for weight in recurrent)

        def clock() -> float:
            return problem.item.T * size / runtime.read_peak(size, 0.005)

        return Prepared(clock, None, clock=clock)


class Products(Peer):
    """``torch.mm`` of all products with the input, and in training of those of the gradients."""

    name = "torch.mm"

    def supports(self, item: Item) -> str | None:
        return None if runs_unit_by_unit(item.graph) else "not all products are with the input"

    def prepare(self, problem: Problem) -> Prepared:
        weight, x = torch.from_numpy(problem.weights["weight_W"]), torch.from_numpy(problem.x).flatten(0, 1)
        y, of_x, of_weight = x.new_ones(len(x), len(weight)), torch.empty_like(x), torch.empty_like(weight)

        def call() -> None:
            torch.mm(x, weight.T, out=y)
            if problem.item.mode == "training":
                torch.mm(y, weight, out=of_x)
                torch.mm(y.T, x, out=of_weight)

        return Prepared(call, None, torch.inference_mode)


class MatrixVector(Peer):
    """The product of all weights with one vector by numpy's BLAS, its call included: what a step cannot do without."""

    name = "matrix-vector"
    packages = ("numpy",)

    def supports(self, item: Item) -> str | None:
        return None if item.tokens == 1 and item.mode == "inference" else "single steps of one row only"

    def prepare(self, problem: Problem) -> Prepared:
        weights = np.concatenate([problem.weights["weight_W"], problem.weights["weight_U"]], axis=1)
        vector, made = np.ones(weights.shape[1], weights.dtype), np.empty(len(weights), weights.dtype)
        return Prepared(lambda: np.dot(weights, vector, out=made), None)
