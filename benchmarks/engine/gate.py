"""Right before fast: what a contestant computes is held against float64, and only then is it timed."""

from __future__ import annotations

import warnings

import numpy as np
from benchmarks.engine.item import Item
from benchmarks.engine.peer.own import Eager
from benchmarks.engine.peer.torch_nn import TorchLayer
from benchmarks.engine.problem import Array, Arrays, problem

# The largest error allowed in any tensor, as a part of its largest value: of the type of the products, where that is
# another one than the numbers have.
TOLERANCE = {"float32": 2e-5, "float64": 1e-12, "bfloat16": 0.1, "float16": 0.02, "int8": 0.1}


def reference(item: Item) -> Arrays:
    """The results in float64, by torch.nn where it has the cell, else by the eager definition."""
    peer = Eager() if TorchLayer().supports(item) else TorchLayer()
    prepared = peer.prepare(problem(item).in_double())
    assert prepared.read is not None
    with prepared.around(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says where it is slow
        return prepared.read(prepared.call())


def needed(item: Item) -> set[str]:
    """What a contestant must show: the output, and in training every gradient."""
    return {"y", "x", *item.shapes} if item.mode == "training" else {"y"}


def worst_error(item: Item, found: Arrays, wanted: Arrays) -> float:
    """The largest error of any tensor, as a part of its largest value; infinite if one is missing or misshapen."""
    if not needed(item) <= found.keys():
        return float("inf")
    errors = [_error(value, wanted[name]) for name, value in found.items()]
    return max(errors, key=lambda error: (np.isnan(error), error))


def verdict(item: Item, error: float) -> str | None:
    """Why a contestant must not be timed, None if it may."""
    limit = TOLERANCE[item.products or item.dtype]
    return None if error <= limit else f"wrong by {error:.1e}, allowed are {limit:.0e}"


def _error(found: Array, wanted: Array) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    scale = float(np.abs(wanted).max()) or 1.0
    return float(np.abs(found - wanted).max()) / scale
