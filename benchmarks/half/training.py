"""How much quicker does ``tidegate train`` run with ``--precision bfloat16``?

    python -m benchmarks.half.training
    python -m benchmarks.half.training --units 256 --tasks characters --rounds 3    # a look
    python -m benchmarks.half.training --output benchmarks/results/half

The same batches are learnt from in float32 and in bfloat16, in turns, in one process on one thread. A step is all that
``tidegate train`` does for a batch: forward, loss, backward, clipping, Adam. Times are those of the thread; of each
batch the lowest of all rounds counts. An epoch is its steps and the validation, which is float32 in both.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from benchmarks.engine import processor
from benchmarks.half.loss import NETWORKS, Network, started, validated

TASKS = ("characters", "chorales", "tags")
UNITS = (256, 512)
BATCHES = 6  # learnt from again and again, spread over lengths by the order of the epoch
PRECISIONS = ("float32", "bfloat16")


def measured(network: Network, units: int, rounds: int) -> tuple[dict[str, float], int, float]:
    """Seconds of a step by precision, steps of an epoch, and seconds of a validation."""
    chosen = Network(network.data, network.what, {**network.options, "hidden_size": units})
    running: Mapping[str, Any] = {name: started(chosen, name, 0) for name in PRECISIONS}
    count = running["float32"].count()
    batches = {name: list(islice(step.batches(0), BATCHES)) for name, step in running.items()}
    best = {name: [float("inf")] * len(batches[name]) for name in PRECISIONS}
    for _ in range(rounds + 1):  # the first one compiles and is never the best
        for place in range(len(batches["float32"])):
            for name, step in running.items():
                begun = time.thread_time()
                step.take(batches[name][place], 1e-4)
                best[name][place] = min(best[name][place], time.thread_time() - begun)
    begun = time.thread_time()
    validated(running["float32"].task, running["float32"].model)
    checked = time.thread_time() - begun
    return {name: sum(times) / len(times) for name, times in best.items()}, count, checked


def row(name: str, units: int, step: Mapping[str, float], count: int, checked: float) -> str:
    """A line of the table."""
    whole = {precision: count * seconds + checked for precision, seconds in step.items()}
    cells = [
        f"{NETWORKS[name].what.split(',')[0]}, {NETWORKS[name].options['cell']} of {units}",
        *(f"{1e3 * step[precision]:.1f} ms, {1 / step[precision]:.1f}/s" for precision in PRECISIONS),
        f"{step['float32'] / step['bfloat16']:.2f}",
        *(f"{whole[precision]:.3g} s" for precision in PRECISIONS),
        f"{whole['float32'] / whole['bfloat16']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=NETWORKS, default=list(TASKS))
    parser.add_argument("--units", nargs="+", type=int, default=list(UNITS))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    lines = [
        "| network | step, float32 | step, bfloat16 | ratio | epoch, float32 | epoch, bfloat16 | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for name in asked.tasks:
        for units in asked.units:
            lines.append(row(name, units, *measured(NETWORKS[name], units, asked.rounds)))
            print(lines[-1], flush=True)
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        command = shlex.join(["python", "-m", "benchmarks.half.training", *sys.argv[1:]])
        head = [f"`{command}`, {processor()}, torch {torch.__version__}, one thread", ""]
        path = asked.output / f"{processor().slug}-training.md"
        path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
