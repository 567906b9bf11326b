"""A cell of your own: written as its equations, run on compiled kernels.

    python examples/own_cell.py

The first run compiles the cell, which takes a second or two; later runs load it from disk.
"""

import statistics
import time

import torch

import tidegate as tg
from tidegate.runtime import eager_only


class Leaky(tg.Cell):
    """Two candidates, mixed by gates that see the state and its last change."""

    gates = "f s n m"
    state = "h d"
    vectors = "p_f p_s"

    def step(self, x, h, d, U, p):
        f = tg.sigmoid(x.f + U(h).f + p.f * d)
        s = tg.sigmoid(x.s + U(h).s + p.s * d)
        n = tg.tanh(x.n + U(h).n)
        m = tg.tanh(x.m + U(h).m)
        new = f * h + (1 - f) * (s * n + (1 - s) * m)
        return new, new - h


def seconds_per_step(layer: torch.nn.Module, x: torch.Tensor, rounds: int) -> float:
    """Median time of a forward and a backward pass."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        y, _ = layer(x)
        y.square().mean().backward()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Compare the results and the time of the fused and the eager layer."""
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
    print(f"forward and backward: {1e3 * fused:.2f} ms fused, {1e3 * eager:.2f} ms eager: {eager / fused:.1f}x")


if __name__ == "__main__":
    main()
