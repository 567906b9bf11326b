"""The cost of one step of each cell: operations, counted, and microseconds, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from tidegate.cell.graph import all_widths
from tidegate.cell.measure import flops
from tidegate.errors import BackendError
from tidegate.nn import Recurrent, Session

ROUNDS = 300
WARM_UP = 30


def flops_per_step(model: Any) -> int:
    """Operations of all recurrent layers in all directions, and of the linear map in front of them, if there is one.

    What a layer holds at zero is not multiplied.
    """
    maps = [module for module in model.encoder.modules() if isinstance(module, torch.nn.Linear)]
    projection = sum(linear.out_features * (2 * linear.in_features + 1) for linear in maps)
    directions: int = 1 + model.layer.bidirectional
    layers = sum(flops(model.layer.graph, cell.widths) for cell in model.layer.cells)
    return projection + directions * layers - 2 * _zeros(model.layer)


def _zeros(layer: Recurrent) -> int:
    """How many products are spared in all directions; a weight that several share spares as many times its zeros."""
    products = len(layer.graph.matrices) * len(layer.cells) * (1 + layer.bidirectional)
    zeros = sum(int(zero.sum()) for zero in layer.masks().values())
    return zeros * products // len(layer.weights())


def step_latency_us(layers: Mapping[str, Recurrent]) -> dict[str, tuple[float, float]]:
    """Time one step at batch size 1 on one thread.

    The layers take turns, so that a slower machine slows all of them alike.

    Args:
        layers: the layers by name.

    Returns:
        The median and the 99th percentile of each, in microseconds.
    """
    times = _timed(list(layers.values()), ROUNDS)
    return {name: (float(np.median(t)), float(np.percentile(t, 99))) for name, t in zip(layers, times, strict=True)}


def step_ratio(layer: Recurrent, reference: Recurrent) -> float:
    """How many times as long a step of ``layer`` takes as one of ``reference``, where nothing disturbs them."""
    own, other = np.percentile(_timed([layer, reference], 3 * ROUNDS), 20, axis=1)
    return float(own / other)


def _timed(layers: Sequence[Recurrent], rounds: int) -> np.ndarray:
    """[layer, round] microseconds of single steps, taken in turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = np.empty((len(layers), WARM_UP + rounds))
    try:
        with torch.inference_mode():
            sizes = [(1, 1, layer.input_size) if layer.bidirectional else (1, layer.input_size) for layer in layers]
            inputs, steps = [torch.zeros(size) for size in sizes], [_stepper(layer) for layer in layers]
            for round_ in range(WARM_UP + rounds):
                for place, (step, values) in enumerate(zip(steps, inputs, strict=True)):
                    start = time.perf_counter_ns()
                    step(values)
                    times[place, round_] = (time.perf_counter_ns() - start) / 1000
    finally:
        torch.set_num_threads(threads)
    return times[:, WARM_UP:]


def _stepper(layer: Recurrent) -> Callable[[torch.Tensor], object]:
    """One step of a session, or of the layer itself if it is bidirectional or the engine cannot run it."""
    axes = all_widths(layer.cells[0].widths)
    given = {value.name: torch.zeros(1, axes[value.axis]) for value in layer.graph.given}
    beside: dict[str, Any] = {"given": given} if given else {}
    if layer.bidirectional:
        return partial(layer, **beside)
    try:
        return partial(Session(layer).step, **beside)
    except BackendError:
        return partial(layer, **beside)
