"""What do the options of a layer cost, against the plain layer and against the definition?

    python -m benchmarks.option_cost                    # H 128, B 32, T 100, LSTM and GRU, forward and backward
    python -m benchmarks.option_cost --rounds 40 --threads 2 --output benchmarks/results/option_cost.md

Each option is timed in the same rounds as the plain layer and as the same option by its definition, in turns, so that
what slows the machine for a while slows all alike. A ratio is the median over the rounds, with the least and the most
of them. Before anything is timed, the engine's results and gradients are held, in float64, against those of the
definition with the same masks; an option that fails is not timed, and the script ends with 1.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median

import torch
from benchmarks.engine.statistic import paired

import tidegate as tg
from tidegate.nn import GRU, LSTM, Recurrent
from tidegate.runtime import eager_only

ASKED = {
    "zoneout": {"zoneout": 0.1},
    "recurrent dropout": {"recurrent_dropout": 0.25},
    "state clip": {"state_clip": 1.0},
    "learned state": {"learn_initial_state": True},
    "learned state, resets": {"learn_initial_state": True},
    "all of these": {
        "zoneout": 0.1, "recurrent_dropout": 0.25, "state_clip": 1.0, "learn_initial_state": True,
    },
    "layer norm": {"layer_norm": True},
}  # fmt: skip
LIMIT = 1e-10  # of the largest element, in float64: over 100 steps a layer norm magnifies roundings a thousandfold


def known() -> dict[str, dict]:
    """The options that the constructor has."""
    names = inspect.signature(Recurrent).parameters
    return {what: options for what, options in ASKED.items() if options.keys() <= names.keys()}


class Work:
    """Forward and backward of one layer, with masks that are drawn anew in every run."""

    def __init__(self, kind: type[Recurrent], options: dict, reset: torch.Tensor | None, x: torch.Tensor) -> None:
        torch.manual_seed(0)
        self.layer = kind(x.shape[-1], x.shape[-1], **options).to(x.dtype)
        self.x, self.reset = x.clone().requires_grad_(), reset
        self.dy = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x.dtype)

    def run(self, generator: torch.Generator | None = None) -> list[torch.Tensor]:
        """The output and all gradients."""
        y, _ = self.layer(self.x, reset=self.reset, generator=generator)
        return [y, *torch.autograd.grad(y, [self.x, *self.layer.parameters()], self.dy)]

    def seconds(self, *, eagerly: bool) -> float:
        with eager_only() if eagerly else nullcontext():
            begin = time.perf_counter()
            self.run()
            return time.perf_counter() - begin

    def error(self) -> float:
        """How far the engine is from the definition, with the same masks."""
        with tg.strict():
            ours = self.run(torch.Generator().manual_seed(2))
        with eager_only():
            exact = self.run(torch.Generator().manual_seed(2))
        return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(ours, exact, strict=True))


def rows(arguments: argparse.Namespace, kind: type[Recurrent]) -> Iterator[tuple[str, list[str]]]:
    """For each option its name and what is printed of it; empty where it disagrees with the definition."""
    torch.manual_seed(0)
    x = torch.randn(arguments.steps, arguments.batch, arguments.hidden)
    resets = torch.rand(arguments.steps, arguments.batch) < 0.05
    plain = {False: Work(kind, {}, None, x), True: Work(kind, {}, resets, x)}
    for what, options in known().items():
        with_resets = "resets" in what
        asked = Work(kind, options, resets if with_resets else None, x)
        error = Work(kind, options, asked.reset, x.double()).error()
        if not error <= LIMIT:
            yield f"{kind.__name__} {what}", []
            continue
        times = measured(
            arguments.rounds,
            lambda asked=asked: asked.seconds(eagerly=False),
            lambda reset=with_resets: plain[reset].seconds(eagerly=False),
            lambda asked=asked: asked.seconds(eagerly=True),
        )
        yield f"{kind.__name__} {what}", printed(times, error)


def measured(rounds: int, *work: Callable[[], float]) -> list[list[float]]:
    """The seconds of each in every round, after one that does not count; every other round goes the other way."""
    times: list[list[float]] = [[] for _ in work]
    for number in range(-1, rounds):
        order = range(len(work)) if number % 2 else reversed(range(len(work)))
        for k in order:
            seconds = work[k]()
            if number >= 0:
                times[k].append(seconds)
    return times


def printed(times: Sequence[Sequence[float]], error: float) -> list[str]:
    """Milliseconds, and the ratios to the plain layer and of the definition."""
    ours, plain, definition = times
    cost, gain = paired(ours, plain), paired(definition, ours)
    return [
        f"{1e3 * median(ours):.2f}",
        f"{1e3 * min(ours):.2f} to {1e3 * max(ours):.2f}",
        f"{cost.median:.2f} ({cost.least:.2f} to {cost.most:.2f})",
        f"{gain.median:.2f} ({gain.least:.2f} to {gain.most:.2f})",
        f"{error:.1e}",
    ]


HEAD = [
    "layer and option",
    "ms",
    "range",
    "times the plain layer",
    "the definition takes so many times as long",
    "error",
]


def table(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Lines of Markdown, and the names of what disagrees."""
    shape = f"T {arguments.steps}, B {arguments.batch}, I = H {arguments.hidden}, float32"
    lines = [f"Forward and backward, {shape}, {arguments.threads} thread(s), {arguments.rounds} rounds.", ""]
    lines += ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    wrong = []
    for kind in (LSTM, GRU):
        for name, cells in rows(arguments, kind):
            wrong += [] if cells else [name]
            lines.append("| " + " | ".join([name, *(cells or ["disagrees with the definition"])]) + " |")
            print(lines[-1], flush=True)
    return lines, wrong


def main(arguments: argparse.Namespace) -> int:
    torch.set_num_threads(arguments.threads)
    lines, wrong = table(arguments)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if wrong else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="a file for the table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
