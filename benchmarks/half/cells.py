"""Cells in a loop, in half precision, against torch's: ``python -m benchmarks.half.cells``.

    python -m benchmarks.half.cells --rounds 5    # a look
    python -m benchmarks.half.cells --output benchmarks/results/half

LSTMCell and GRUCell take the steps of a loop, in inference and in training, as parameters of the type and under
autocast; ``tidegate.accelerate`` makes ours of torch's. Contestants take turns in one process on one thread. Times are
those of the thread; the lowest of all rounds counts, its median stands in brackets. Before a row is timed, results are
compared with the same loop in float64, where ours may be no further off than torch's.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from benchmarks.cell_steps import stepped, trained
from benchmarks.engine.machine import machine, processor

import tidegate as tg

Work = Callable[[], Any]
STEPS = 20
SHAPES = ((1, 64), (1, 256), (32, 128), (32, 256))  # sequences, units
TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
WAYS = ("parameters", "autocast")


def loop(way: str, half: torch.dtype, mode: str, cell: torch.nn.Module, steps: tuple[torch.Tensor, ...]) -> Any:
    """What is timed: the last state, or the gradients."""
    with torch.set_grad_enabled(mode == "training"), torch.autocast("cpu", half, enabled=way == "autocast"):
        return trained(cell, steps) if mode == "training" else stepped(cell, steps)


def checked(works: dict[str, Work], exact: torch.Tensor) -> None:
    """Refuse to time what is further from float64 than torch's."""
    off = {name: float((work().double() - exact).abs().mean()) for name, work in works.items()}
    if not off["tidegate"] <= 1.05 * off["torch"]:
        raise SystemExit(f"the mean error of tidegate is {off['tidegate']:.2e}, of torch {off['torch']:.2e}")


def timed(works: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """Microseconds of a step, round by round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 2):  # the first two are not counted
        for name, work in works.items():
            begun = time.thread_time()
            work()
            if turn > 1:
                times[name].append((time.thread_time() - begun) / STEPS * 1e6)
    return times


def rows(names: list[str], rounds: int) -> Iterator[str]:
    """The table."""
    kinds = product(names, WAYS, ("LSTMCell", "GRUCell"), SHAPES, ("inference", "training"))
    for name, way, kind, (batch, units), mode in kinds:
        half = TYPES[name]
        full, steps = getattr(torch.nn, kind)(units, units), torch.randn(STEPS, batch, units).unbind(0)
        exact = stepped(copy.deepcopy(full).double(), tuple(x.double() for x in steps)).detach()
        ours32 = tg.accelerate(copy.deepcopy(full)).model
        theirs = copy.deepcopy(full).to(half) if way == "parameters" else full
        ours = tg.accelerate(copy.deepcopy(theirs)).model
        read = tuple(x.to(half) for x in steps) if way == "parameters" else steps
        cells = {"tidegate": (ours, read), "torch": (theirs, read)}
        checked({who: partial(loop, way, half, "inference", *own) for who, own in cells.items()}, exact)
        works: dict[str, Work] = {who: partial(loop, way, half, mode, *own) for who, own in cells.items()}
        works["tidegate, float32"] = partial(loop, "parameters", half, mode, ours32, steps)
        times = timed(works, rounds)
        best, middle = ({who: of(own) for who, own in times.items()} for of in (min, median))
        shown = [f"{best[who]:.1f} ({middle[who]:.1f})" for who in works]
        ratios = [f"{best[who] / best['tidegate']:.2f}" for who in ("torch", "tidegate, float32")]
        yield f"| {' | '.join([name, way, kind, f'{batch}, {units}', mode, *shown, *ratios])} |"


def main(arguments: argparse.Namespace) -> int:
    """Print the table, and write it to a file of this processor."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    heads = ("type", "way", "cell", "B, H", "mode", "tidegate", "torch", "tidegate, float32", "torch /", "float32 /")
    facts = [f"{name}: {value}" for name, value in {**machine(), "torch": torch.__version__}.items()]
    lines = ["# Cells in a loop, in half precision", "", *facts, "", f"Microseconds of one step of {STEPS}.", ""]
    lines += [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows(arguments.types, arguments.rounds):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
        lines.append(row)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"{processor().slug}-cells.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def parsed() -> argparse.Namespace:
    """The settings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--types", nargs="+", choices=TYPES, default=["bfloat16"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--output", type=Path, help="a folder, e.g. benchmarks/results/half")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
