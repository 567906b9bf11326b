"""What do the series of a run cost: every gate and state of a forward pass, every adjoint of a backward pass?

    python -m benchmarks.series_cost --output benchmarks/results/series_cost.md
    python -m benchmarks.series_cost --before ../other/src       # plain runs against those of another checkout

A trace is timed against a forward pass without gradients, a watched backward pass against a plain one, in turns, in one
process. Before that, the trace is held against that of the definition, and the gradients that adjoints and operands
make against autograd's, in float64; a row that fails is not timed, and the script ends with 1. ``--before`` runs plain
passes in processes of both checkouts, in turns. A ratio is the median over the rounds with its 95 % interval, and
behind it that of the quickest rounds, which a busy machine disturbs least. There ``--processor`` helps, too: it counts
the time that the one thread has a processor, not what passes meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from benchmarks.engine.statistic import paired

import tidegate as tg
from tidegate.nn import GRU, LSTM, Recurrent
from tidegate.runtime import eager_only

SHAPES = ((100, 32, 64), (100, 32, 256), (1000, 1, 64), (1000, 1, 256))  # T, B, I = H
KINDS: dict[str, type[Recurrent]] = {"LSTM": LSTM, "GRU": GRU}
LIMIT = 1e-10  # of the largest element, in float64
PLAIN = ("forward", "backward")
clock = time.perf_counter
HEAD = ("layer, T, B, H", "plain ms", "ms", "times the plain run (95 % interval)", "quickest", "asked for at most")


class Work:
    """One layer at one shape, and the four runs that are timed."""

    def __init__(self, kind: str, shape: tuple[int, int, int], dtype: torch.dtype = torch.float32) -> None:
        steps, batch, hidden = shape
        torch.manual_seed(0)
        self.layer = KINDS[kind](hidden, hidden, dtype=dtype)
        self.x = torch.randn(steps, batch, hidden, dtype=dtype, requires_grad=True)
        self.dy = torch.randn(steps, batch, hidden, dtype=dtype)

    def forward(self) -> float:
        with torch.no_grad():
            begin = clock()
            self.layer(self.x)
            return clock() - begin

    def trace(self) -> float:
        with torch.no_grad():
            begin = clock()
            self.layer.trace(self.x)
            return clock() - begin

    def backward(self) -> float:
        y, _ = self.layer(self.x)
        begin = clock()
        torch.autograd.grad(y, [self.x, *self.layer.parameters()], self.dy)
        return clock() - begin

    def watched(self) -> float:
        with tg.runtime.watch_adjoints() as calls:
            y, _ = self.layer(self.x)
        begin = clock()
        torch.autograd.grad(y, [self.x, *self.layer.parameters()], self.dy)
        assert calls[0].directions
        return clock() - begin

    def error(self) -> float:
        """How far a trace is from the definition's, and what adjoints and operands make from the gradient of U."""
        with torch.no_grad():
            ours = self.layer.trace(self.x)
            with eager_only():
                exact = self.layer.trace(self.x)
        assert self.layer.last_path == "eager: eager_only is on"
        with tg.runtime.watch_adjoints() as calls:
            y, _ = self.layer(self.x)
            (wanted,) = torch.autograd.grad(y, [self.layer.weight_hh_l0], self.dy)
        product = next(p for p in calls[0].directions[0].products if p.matrix == "U")
        made = torch.cat(list(product.adjoints.values()), -1).flatten(0, 1).T @ product.operand.flatten(0, 1)
        return max(relative(made, wanted), *(relative(ours[name], exact[name]) for name in exact))


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


def in_turns(seconds: float, *runs: Callable[[], float]) -> list[list[float]]:
    """The times of each, in rounds that go through them forward and backward in turns, for so long."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(3):
        for run in runs:
            run()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(times[0]) < 10:
        for order in (range(len(runs)), reversed(range(len(runs)))):
            for k in order:
                times[k].append(runs[k]())
    return times


def row(name: str, plain: list[float], more: list[float], target: str) -> str:
    ratio = paired(more, plain)
    cells = [
        name,
        f"{1e3 * median(plain):.3f}",
        f"{1e3 * median(more):.3f}",
        f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})",
        f"{min(more) / min(plain):.2f}",
        target,
    ]
    return "| " + " | ".join(cells) + " |"


def series(arguments: argparse.Namespace) -> tuple[list[str], bool]:
    """Rows of traces and of watched backward passes, and whether all were right."""
    lines, right = [], True
    for kind in KINDS:
        for shape in SHAPES:
            name = f"{kind} {', '.join(map(str, shape))}"
            error = Work(kind, shape, torch.float64).error()
            if not error <= LIMIT:
                lines.append(f"| {name} | off by {error:.1e}: not timed |")
                right = False
                continue
            work = Work(kind, shape)
            forward, trace = in_turns(arguments.seconds, work.forward, work.trace)
            backward, watched = in_turns(arguments.seconds, work.backward, work.watched)
            lines.append(row(f"trace of {name}", forward, trace, "1.5" if shape[1] > 1 else "3"))
            lines.append(row(f"adjoints of {name}", backward, watched, "1.25"))
            print("\n".join(lines[-2:]), flush=True)
    return lines, right


def plain_rounds(arguments: argparse.Namespace) -> None:
    """Print the quickest plain passes of this checkout, as JSON."""
    found = {}
    for kind in KINDS:
        for shape in SHAPES:
            work = Work(kind, shape)
            times = in_turns(arguments.seconds, work.forward, work.backward)
            found |= {
                f"{run} of {kind} {', '.join(map(str, shape))}": min(t) for run, t in zip(PLAIN, times, strict=True)
            }
    print(json.dumps(found))


def against(arguments: argparse.Namespace) -> list[str]:
    """Rows of plain passes of this checkout against those of another one."""
    here = Path(tg.__file__).parents[1]
    times: dict[Path, list[dict[str, float]]] = {arguments.before: [], here: []}
    for number in range(arguments.processes):
        for source in list(times)[:: 1 if number % 2 else -1]:
            command = [sys.executable, "-m", "benchmarks.series_cost", "--plain", "--seconds", str(arguments.seconds)]
            command += ["--threads", str(arguments.threads), *(["--processor"] if arguments.processor else [])]
            settings = os.environ | {"PYTHONPATH": str(source.resolve())}
            done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, text=True, check=True)
            times[source].append(json.loads(done.stdout))
    before, after = times.values()
    lines = [row(name, [t[name] for t in before], [t[name] for t in after], "1.03") for name in before[0]]
    print("\n".join(lines))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each pair of runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processor", action="store_true", help="count processor time; for one thread")
    parser.add_argument("--before", type=Path, help="the src folder of another checkout")
    parser.add_argument("--processes", type=int, default=8, help="of each checkout")
    parser.add_argument("--output", type=Path, help="a file for the table")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.processor and arguments.threads > 1:
        parser.error("--processor sees one thread only")
    global clock  # noqa: PLW0603  a script with one measure
    clock = time.thread_time if arguments.processor else clock
    torch.set_num_threads(arguments.threads)
    if arguments.plain:
        plain_rounds(arguments)
        return 0
    lines, right = (against(arguments), True) if arguments.before else series(arguments)
    if arguments.output:
        head = [f"float32, {arguments.threads} thread(s), {tg.runtime.isa()}.", ""]
        head += ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
        arguments.output.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
