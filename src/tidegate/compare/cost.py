"""The cost of one step of each cell: operations, counted, and microseconds, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from tidegate.cell.measure import flops
from tidegate.errors import BackendError
from tidegate.nn import Recurrent, Session

ROUNDS = 300
WARM_UP = 30


def flops_per_step(model: Any) -> int:
    """Operations of all recurrent layers in all directions, and of the linear map in front of them, if there is one."""
    maps = [module for module in model.encoder.modules() if isinstance(module, torch.nn.Linear)]
    projection = sum(linear.out_features * (2 * linear.in_features + 1) for linear in maps)
    directions: int = 1 + model.layer.bidirectional
    layers = sum(flops(model.layer.graph, cell.widths) for cell in model.layer.cells)
    return projection + directions * layers


def step_latency_us(layers: Mapping[str, Recurrent]) -> dict[str, tuple[float, float]]:
    """Time one step at batch size 1 on one thread.

    The layers take turns, so that a slower machine slows all of them alike.

    Args:
        layers: the layers by name.

    Returns:
        The median and the 99th percentile of each, in microseconds.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {name: [] for name in layers}
    try:
        with torch.inference_mode():
            inputs = {
                name: torch.zeros(1, 1, layer.input_size) if layer.bidirectional else torch.zeros(1, layer.input_size)
                for name, layer in layers.items()
            }
            steps = {name: _stepper(layer) for name, layer in layers.items()}
            for round_ in range(WARM_UP + ROUNDS):
                for name, step in steps.items():
                    start = time.perf_counter_ns()
                    step(inputs[name])
                    if round_ >= WARM_UP:
                        times[name].append((time.perf_counter_ns() - start) / 1000)
    finally:
        torch.set_num_threads(threads)
    return {name: (float(np.median(t)), float(np.percentile(t, 99))) for name, t in times.items()}


def _stepper(layer: Recurrent) -> Callable[[torch.Tensor], object]:
    """One step of a session, or of the layer itself if it is bidirectional or the engine cannot run it."""
    if layer.bidirectional:
        return layer
    try:
        return Session(layer).step
    except BackendError:
        return layer
