"""Gradient by lag: is it right, what does it cost, and does its slope tell the exponent of the layer?

    python -m benchmarks.explain.gradient --output benchmarks/results/explain/gradient.md

Four tables. The norms against finite differences, for every cell of the zoo, in float64. The cost against a training
step (forward, backward, Adam), in turns in one process, next to a loop over single steps that keeps each state for
autograd: what one would write without the engine's adjoints. The slope against the exponent by forward differentiation
along the same run, on twelve layers. The Jacobian of a step, at one state and at 64, against torch.func.jacrev of the
definition (vectorised over the states) and a loop of one backward run a row.
The script ends with 1 if a number misses its target.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

import tidegate as tg
from tidegate.explain import StepFunction, captured, gradient_by_lag, probe
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.zoo import CELLS

STEP = 1e-6  # of finite differences
SHAPES = ((100, 32, 128), (1000, 1, 128))  # T, B, I = H
GAINS = (0.8, 1.2, 1.8, 3.0)
DIFFERENCES, COST, SLOPE, JACOBIAN = 1e-4, 1.3, 0.02, 1e-12  # the targets


# Against finite differences


def worst_difference(cell: str, steps: int = 6, hidden: int = 4) -> float:
    """The largest relative error of |dL/ds[t]| over the lags."""
    torch.manual_seed(0)
    features = hidden if CELLS[cell].graph.input_axis == "H" else 3
    layer = Recurrent(cell, features, hidden, dtype=torch.float64)
    x = torch.randn(steps, 1, features, dtype=torch.float64)
    weight = torch.randn(1, hidden, dtype=torch.float64)
    (curve,) = gradient_by_lag(layer, lambda answer: (weight * answer[0][-1]).sum(), x).curves
    worst = 0.0
    for lag in range(1, steps):
        found = 10 ** curve.norms[lag, 0].item()
        wanted = moved(layer, x, weight, steps - 1 - lag)
        worst = max(worst, abs(found / wanted - 1) if wanted else found)
    return worst


@torch.no_grad()
def moved(layer: Recurrent, x: torch.Tensor, weight: torch.Tensor, t: int) -> float:
    """|dL/ds[t]| from runs that go on from a state of which one number was moved."""
    _, hx = layer(x[: t + 1])
    states, total = hx if isinstance(hx, tuple) else (hx,), 0.0
    for k, state in enumerate(states):
        for unit in range(state.numel()):
            losses = []
            for sign in (1, -1):
                copies = [s.clone() for s in states]
                copies[k].view(-1)[unit] += sign * STEP
                y, _ = layer(x[t + 1 :], tuple(copies) if len(copies) > 1 else copies[0])
                losses.append((weight * y[-1]).sum().item())
            total += ((losses[0] - losses[1]) / (2 * STEP)) ** 2
    return math.sqrt(total)


# Cost


class Work:
    """One layer at one shape, and the three runs that are timed."""

    def __init__(self, kind: str, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        steps, batch, hidden = shape
        torch.manual_seed(0)
        self.layer = Recurrent(kind, hidden, hidden, dtype=dtype)
        self.x = torch.randn(steps, batch, hidden, dtype=dtype)
        self.optimizer, self.dtype = torch.optim.Adam(self.layer.parameters(), 1e-5), dtype

    def training(self) -> None:
        self.optimizer.zero_grad()
        self.layer(self.x)[0][-1].sum().backward()
        self.optimizer.step()

    def measured(self) -> torch.Tensor:
        flow = gradient_by_lag(self.layer, lambda answer: answer[0][-1].sum(), self.x, dtype=self.dtype)
        return flow.curves[0].norms

    def by_loop(self) -> torch.Tensor:
        """The same by single steps whose states are kept for autograd."""
        hx, kept = None, []
        for now in self.x:
            y, hx = self.layer(now[None], hx)
            states = hx if isinstance(hx, tuple) else (hx,)
            for state in states:
                state.retain_grad()
            kept.append(states)
        y[-1].sum().backward()
        norms = [sum(s.grad.square().sum(-1) for s in states).sqrt().log10() for states in kept[:-1]]
        return torch.stack(norms[::-1])[:, 0]


def quickest(seconds: float, *runs: Callable[[], object]) -> list[float]:
    """The least processor time of each, in turns; there is one thread."""
    least = [math.inf] * len(runs)
    for run in runs:
        run()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for k, run in enumerate(runs):
            begin = time.thread_time()
            run()
            least[k] = min(least[k], time.thread_time() - begin)
    return least


def cost_rows(seconds: float) -> tuple[list[str], bool]:
    rows, right = [], True
    for kind in ("lstm", "gru"):
        for shape in SHAPES:
            for dtype in (torch.float32, torch.float64):
                work = Work(kind, shape, dtype)
                error = (work.measured()[1:] - work.by_loop()).abs().max().item()
                right &= error < (1e-2 if dtype is torch.float32 else 1e-9)
                step, ours = quickest(seconds, work.training, work.measured)
                alone, loop = quickest(seconds / 2, work.training, work.by_loop)
                right &= ours / step <= COST
                name = f"{kind} {', '.join(map(str, shape))}, {str(dtype).removeprefix('torch.')}"
                cells = (name, f"{1e3 * step:.1f}", f"{1e3 * ours:.1f}", f"{ours / step:.2f}", f"{loop / alone:.1f}")
                rows.append(f"| {' | '.join(cells)} |")
                print(rows[-1], flush=True)
    return rows, right


# The slope


def with_gain(kind: str, gain: float, hidden: int = 64) -> Recurrent:
    """A layer whose recurrent matrix has normal numbers of this gain."""
    torch.manual_seed(0)
    layer = Recurrent(kind, 8, hidden, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.normal_(std=gain / hidden**0.5)
    return layer


def forward_exponent(layer: Recurrent, x: torch.Tensor, skip: int) -> float:
    """The mean growth of a small difference along the run, by forward differentiation of the definition."""
    with torch.no_grad():
        _, (call,) = captured(probe(layer), x)
    run, step = call.trajectory(), StepFunction(layer)
    tangent = torch.randn(x.shape[1], step.size, dtype=x.dtype)
    grown = []
    with eager_only():
        for now, state in zip(run.x, run.before, strict=True):
            _, tangent = torch.func.jvp(lambda s, now=now: step(now, s), (state,), (tangent,))
            size = tangent.norm(dim=1, keepdim=True)
            grown.append(size.log())
            tangent = tangent / size
    return torch.stack(grown[skip:]).mean().item()


def slope_rows(batch: int = 16, steps: int = 120) -> tuple[list[str], bool]:
    rows, right = [], True
    for kind in ("rnn", "gru", "lstm"):
        for gain in GAINS:
            layer = with_gain(kind, gain)
            x = torch.randn(steps, batch, 8, dtype=torch.float64)
            exponent = forward_exponent(layer, x, 20)
            slope = gradient_by_lag(layer, "last", x).curves[0].slope
            right &= abs(slope - exponent) <= SLOPE
            rows.append(f"| {kind} | {gain} | {exponent:+.4f} | {slope:+.4f} | {slope - exponent:+.4f} |")
            print(rows[-1], flush=True)
    return rows, right


# Jacobians


def jacobian_rows(seconds: float) -> tuple[list[str], bool]:
    rows, right = [], True
    for kind in ("lstm", "gru", "rnn"):
        for count in (1, 64):
            torch.manual_seed(0)
            step = StepFunction(Recurrent(kind, 64, 64))
            x, state = torch.randn(count, 64, dtype=torch.float64), torch.rand(count, step.size, dtype=torch.float64)
            work = Jacobians(step, x, state)
            error = (work.ours() - work.by_transform()).abs().max().item()
            right &= error <= JACOBIAN
            times = quickest(seconds, work.ours, work.by_transform, work.by_rows)
            cells = [f"{kind} 64, S {step.size}, {count} states", f"{error:.0e}", *(f"{1e3 * t:.2f}" for t in times)]
            cells += [f"{t / times[0]:.1f}" for t in times[1:]]
            rows.append(f"| {' | '.join(cells)} |")
            print(rows[-1], flush=True)
    return rows, right


class Jacobians(NamedTuple):
    """The three ways to the same Jacobians."""

    step: StepFunction
    x: torch.Tensor
    state: torch.Tensor

    def ours(self) -> torch.Tensor:
        return self.step.jacobians(self.x, self.state)

    def by_transform(self) -> torch.Tensor:
        def definition(s: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return self.step(x[None], s[None])[0]

        with eager_only():
            return torch.func.vmap(torch.func.jacrev(definition))(self.state, self.x)

    def by_rows(self) -> torch.Tensor:
        found = torch.autograd.functional.jacobian
        each = zip(self.x.split(1), self.state.split(1), strict=True)
        return torch.stack([found(lambda s, x=x: self.step(x, s)[0], s)[:, 0] for x, s in each])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each pair of runs")
    parser.add_argument("--output", type=Path, help="a file for the tables")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    differences = {cell: worst_difference(cell) for cell in CELLS}
    worst = max(differences, key=differences.__getitem__)
    first = f"{len(differences)} cells, largest relative error {differences[worst]:.1e} ({worst})."
    print(first)
    slopes, slopes_right = slope_rows()
    jacobians, jacobians_right = jacobian_rows(arguments.seconds)
    costs, costs_right = cost_rows(arguments.seconds)
    lines = [
        f"float64 unless said, processor time of 1 thread, {tg.runtime.isa()}. `python -m benchmarks.explain.gradient`",
        "",
        f"Norms by lag against central finite differences of {STEP:.0e} (at most {DIFFERENCES:.0e}): {first}",
        "",
        "| T, B, I = H | training step ms | gradient by lag ms | ratio (at most 1.3) | ratio of single steps |",
        *("|---|---|---|---|---|", *costs),
        "",
        "| cell, 64 units | gain of U | exponent along the run | slope by lag | difference (at most 0.02) |",
        *("|---|---|---|---|---|", *slopes),
        "",
        "| step | error (at most 1e-12) | ms | jacrev ms | row by row ms | times jacrev | times row by row |",
        *("|---|---|---|---|---|---|---|", *jacobians),
    ]
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if slopes_right and jacobians_right and costs_right and differences[worst] <= DIFFERENCES else 1


if __name__ == "__main__":
    sys.exit(main())
