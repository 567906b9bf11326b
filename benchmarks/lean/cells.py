"""How long each cell of the zoo takes, as a multiple of our LSTM of as many units.

    python -m benchmarks.lean.cells
    python -m benchmarks.lean.cells --output benchmarks/results/lean

Each layer takes turns with the LSTM on one thread, with as many features as units, and is timed by the thread's own
time: the best of all rounds. Training is a forward and a backward pass, to all parameters. Outputs are compared with
the definition, run by torch in float64, before anything is timed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import torch
from benchmarks.engine import processor

from tidegate import strict, zoo
from tidegate.nn import LSTM, Recurrent
from tidegate.passes import recurrences, runs_unit_by_unit
from tidegate.runtime import eager_only

SHAPES = ((1024, 1, 128), (128, 32, 128))  # steps, sequences, units


def check(cell: str) -> None:
    """Refuse to time a layer whose output is not that of its definition."""
    torch.manual_seed(0)
    layer, x = Recurrent(cell, 16, 16), torch.randn(20, 3, 16)
    y = layer(x)[0]
    with eager_only():
        wanted = layer.double()(x.double())[0]
    torch.testing.assert_close(y.double(), wanted, rtol=1e-4, atol=1e-5)


def calls(layer: Recurrent, x: torch.Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    """An inference, and a training step without the optimizer."""

    def infer() -> None:
        with torch.no_grad():
            layer(x)

    def train() -> None:
        layer.zero_grad(set_to_none=True)
        layer(x)[0].sum().backward()

    return infer, train


def seconds(call: Callable[[], object]) -> float:
    """Of the thread."""
    start = time.thread_time()
    call()
    return time.thread_time() - start


def ratios(cell: str, T: int, B: int, H: int, rounds: int) -> list[float]:
    """Inference and training, in times of the LSTM."""
    x = torch.randn(T, B, H)
    pairs = zip(calls(Recurrent(cell, H, H), x), calls(LSTM(H, H), x), strict=True)
    found = []
    for ours, yardstick in pairs:
        times = [(seconds(ours), seconds(yardstick)) for _ in range(rounds)]
        found.append(min(own for own, _ in times) / min(other for _, other in times))
    return found


def table(names: list[str], rounds: int) -> Iterator[str]:
    """One row for each cell."""
    shown = [f"{T},{B},{H} {mode}" for T, B, H in SHAPES for mode in ("inference", "training")]
    yield f"| cell | recurrence | {' | '.join(shown)} |"
    yield "|---|---|" + "---|" * len(shown)
    for name in names:
        check(name)
        graph = zoo.find(name).graph
        kind = max(recurrences(graph).values()).name.lower() + ", unit by unit" * runs_unit_by_unit(graph)
        values = [value for shape in SHAPES for value in ratios(name, *shape, rounds)]
        yield f"| `{name}` | {kind} | {' | '.join(f'{value:.2f}' for value in values)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [name for name, cell in zoo.CELLS.items() if not cell.graph.given]
    parser.add_argument("--only", nargs="*", choices=every, default=every)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="a folder for the page, which is named after the processor")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["# Cells of the zoo, in times of our LSTM", ""]
    lines += [f"{processor()}, one thread, float32; `python -m benchmarks.lean.cells`. Steps, sequences, units.", ""]
    with strict():
        for line in chain(lines[:], table(options.only, options.rounds)):
            print(line, flush=True)
            lines += [line] * line.startswith("|")
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"cells-{processor().slug}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
