"""What does a private step cost over a plain one: forward, backward, gradients of single sequences, their clipped sum?

    python -m benchmarks.private.cost --output benchmarks/results/private/cost.md
    python -m benchmarks.private.cost --zoo --output benchmarks/results/private/cost_zoo.md

A plain step is a forward pass of a layer, the loss, and a backward pass that makes the gradients of all parameters. A
private one makes the clipped sum of the gradients of all sequences instead (``tidegate.private.Gradients``, C = 1).
Both take turns in one process, on one thread, by the time that the thread has a processor; a row is the quickest round
of each, which a busy machine disturbs least. Before, in float64, the clipped sum is held against clipped gradients of
single sequences, made one by one. Input gradients are not made: the layer is the first one. Memory is the peak of the
resident set over what it was before the steps, of each in a process of its own, at the first shape.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch

import tidegate as tg
from tidegate.nn import GRU, LSTM, PeepholeLSTM, Recurrent
from tidegate.private import Gradients, Recorder
from tidegate.zoo import CELLS

LIMIT = 1e-12
KINDS: dict[str, Callable[..., Recurrent]] = {
    "LSTM": LSTM,
    "GRU": GRU,
    "GRU, reset before": lambda *a, **k: GRU(*a, reset="before", **k),
    "PeepholeLSTM": PeepholeLSTM,
    "LSTM, layer norm": lambda *a, **k: LSTM(*a, layer_norm=True, **k),
}
SHAPES = ("100,64,64,128", "100,16,64,128", "20,64,64,128", "300,16,64,128", "100,64,128,256", "12,256,64,128")
HEAD = (
    "layer",
    "T, B, I, H",
    "plain ms",
    "private ms",
    "ratio",
    "forward",
    "backward",
    "norms",
    "weighted sum",
    "MB",
    "MB private",
)
clock = time.thread_time


class Work(NamedTuple):
    """A layer, its input, what its outputs are multiplied by to be a loss, and what makes clipped sums."""

    layer: Recurrent
    x: torch.Tensor
    given: dict[str, torch.Tensor]
    dy: torch.Tensor
    gradients: Gradients

    @classmethod
    def of(cls, kind: str, shape: str, dtype: torch.dtype = torch.float32) -> Work:
        steps, batch, features, hidden = map(int, shape.split(","))
        torch.manual_seed(0)
        if kind in KINDS:
            layer = KINDS[kind](features, hidden, dtype=dtype)
        else:
            features = hidden if CELLS[kind].graph.input_axis == "H" else features
            layer = Recurrent(kind, features, hidden, dtype=dtype)
        x = torch.randn(steps, batch, features, dtype=dtype)
        widths = layer.cells[0].widths
        given = {
            v.name: torch.rand(steps, batch, *(() if v.axis == "1" else (widths[v.axis],)), dtype=dtype)
            for v in layer.graph.given
        }
        dy = torch.randn(steps, batch, layer.output_size, dtype=dtype) / steps
        return cls(layer, x, given, dy, Gradients(layer, 1.0))

    def losses(self) -> torch.Tensor:
        """Of each sequence."""
        return (self.layer(self.x, given=self.given or None)[0] * self.dy).sum((0, 2))

    def plain(self) -> None:
        for parameter in self.layer.parameters():
            parameter.grad = None
        self.losses().sum().backward()

    def private(self) -> None:
        self.gradients.clear()
        self.gradients.add(self.losses, len(self.dy[0]))

    def parts(self) -> list[float]:
        """Seconds of the parts of a private run of the layer alone."""
        times = [clock()]
        with Recorder() as recorder:
            losses = self.losses()
        times.append(clock())
        losses.sum().backward()
        times.append(clock())
        (call,) = recorder.calls
        norms = torch.stack([*call.squares().values()]).sum(0).sqrt()
        times.append(clock())
        call.weighted((1 / norms).clamp(max=1))
        times.append(clock())
        return [after - before for before, after in pairwise(times)]

    def error(self) -> float:
        """Of the clipped sum, over clipped gradients of single sequences."""
        self.private()
        losses, parameters = self.losses(), [*self.layer.parameters()]
        wanted = [torch.zeros_like(p) for p in parameters]
        for loss in losses:
            own = torch.autograd.grad(loss, parameters, retain_graph=True)
            norm = torch.stack([g.norm() for g in own]).norm()
            wanted = [total + g * (1 / norm).clamp(max=1) for total, g in zip(wanted, own, strict=True)]
        pairs = zip(parameters, wanted, strict=True)
        return max(((self.gradients.sums[p] - w).norm() / w.norm().clamp_min(1e-30)).item() for p, w in pairs)


def timed(run: Callable[[], object]) -> float:
    begin = clock()
    run()
    return clock() - begin


def measured(kind: str, shape: str, seconds: float, *, memory: bool) -> list[str]:
    """A row of the table."""
    small = ",".join(str(min(int(n), most)) for n, most in zip(shape.split(","), (40, 4, 16, 24), strict=True))
    error = Work.of(kind, small, torch.float64).error()
    if not error <= LIMIT:
        return [kind, shape, f"off by {error:.1e}: not timed", *[""] * (len(HEAD) - 3)]
    work, best, parts = Work.of(kind, shape), [9e9, 9e9], [9e9] * 4
    for _ in range(10):  # owners of rows are measured in some of the first steps
        work.private()
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end or number < 6:
        runs = [(0, work.plain), (1, work.private)]
        for k, run in runs if number % 2 else reversed(runs):
            best[k] = min(best[k], timed(run))
        parts = [*map(min, parts, work.parts())]
        number += 1
    cells = [kind, shape.replace(",", ", "), *(f"{1e3 * t:.2f}" for t in best), f"{best[1] / best[0]:.2f}"]
    peaks = [f"{peak(kind, shape, which):.0f}" if memory else "" for which in ("plain", "private")]
    return [*cells, *(f"{1e3 * t:.2f}" for t in parts), *peaks]


def peak(kind: str, shape: str, which: str) -> float:
    """Megabytes that steps take at most, in a process of their own."""
    command = [sys.executable, "-m", "benchmarks.private.cost", "--peak", kind, shape, which]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def resident(field: str) -> float:
    """Megabytes: ``VmRSS`` now, ``VmHWM`` at most since the last reset."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def print_peak(kind: str, shape: str, which: str) -> None:
    Work.of(kind, "3,2,8,8").private()  # loads what has to be loaded
    work = Work.of(kind, shape)
    run = work.plain if which == "plain" else work.private
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    for _ in range(5):
        run()
    print(resident("VmHWM") - before)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--zoo", action="store_true", help="every cell of the zoo, without memory")
    parser.add_argument("--kinds", nargs="*", help="instead of all")
    parser.add_argument("--shapes", nargs="*", help="T,B,I,H each; of the zoo the first of those that are usual")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row")
    parser.add_argument("--output", type=Path, help="a file for the table")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peak:
        print_peak(*arguments.peak)
        return 0
    kinds = arguments.kinds or ([*CELLS] if arguments.zoo else [*KINDS])
    rows = []
    for kind in kinds:
        for number, shape in enumerate(arguments.shapes or SHAPES[: 1 if arguments.zoo else None]):
            rows.append(measured(kind, shape, arguments.seconds, memory=not (number or arguments.zoo)))
            print("| " + " | ".join(rows[-1]) + " |", flush=True)
    if arguments.zoo:
        rows.sort(key=lambda row: row[4], reverse=True)
    if arguments.output:
        lines = [
            f"python -m benchmarks.private.cost{' --zoo' * arguments.zoo}, float32, one thread, {tg.runtime.isa()}.",
            "",
        ]
        lines += ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if all("off by" not in row[2] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
