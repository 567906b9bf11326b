"""A cell of one's own: written as its equations, trained at the engine's speed.

    python examples/own_cell.py

The first run compiles the cell for this processor, which takes a second or two; later runs find it on disk.
"""

import statistics
import time

import torch

import tidegate as tg
from tidegate.cell import Cell, sigmoid, tanh
from tidegate.runtime import eager_only


class Leaky(Cell):
    """Two candidates, a fast and a slow one, mixed by gates that see both the state and its own past change."""

    gates = "f s n m"
    state = "h d"
    vectors = "p_f p_s"

    def step(self, x, h, d, U, p):
        f = sigmoid(x.f + U(h).f + p.f * d)
        s = sigmoid(x.s + U(h).s + p.s * d)
        n = tanh(x.n + U(h).n)
        m = tanh(x.m + U(h).m)
        new = f * h + (1 - f) * (s * n + (1 - s) * m)
        return new, new - h


def seconds_per_step(layer: torch.nn.Module, x: torch.Tensor, rounds: int) -> float:
    """Median seconds of forward and backward."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        y, _ = layer(x)
        y.square().mean().backward()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    """Compare the fused layer with the eager one, in results and in time."""
    layer = tg.nn.Recurrent(Leaky, 64, 128)
    x = torch.randn(100, 32, 64)
    start = time.perf_counter()
    y, _ = layer(x)
    print(f"first call, compilation included: {time.perf_counter() - start:.2f} s")
    with eager_only():
        expected, _ = layer(x)
    print(f"largest difference from the eager layer: {(y - expected).abs().max().item():.1e}")
    fused = seconds_per_step(layer, x, 20)
    with eager_only():
        eager = seconds_per_step(layer, x, 5)
    print(f"forward and backward: {1e3 * fused:.2f} ms fused, {1e3 * eager:.2f} ms eager: {eager / fused:.1f} times")


if __name__ == "__main__":
    main()
