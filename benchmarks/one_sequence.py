"""How fast does one sequence stream its recurrent matrix, in bytes a cycle?

    python -m benchmarks.one_sequence
    python -m benchmarks.one_sequence --output benchmarks/results/one_sequence

At batch 1 a step of an LSTM reads all of U, 16 H^2 bytes, and does nothing else that takes long. What a step costs is
the difference between long and short sequences, so neither the call nor the packing of weights counts; they are in a
column of their own, as what a call costs without its steps. Input of one feature makes the products of the input free.
"Reading alone" is the time to read U forth and back, which no step can beat. All take turns in one process on one
thread; times are those of the thread, the best of all rounds. A cycle is measured as well: the processor's peak of
multiply-adds has two instructions in each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.engine import processor
from benchmarks.engine.item import Item
from benchmarks.engine.peer import PEERS
from benchmarks.engine.problem import problem

WHO = ("tidegate session", "tidegate", "onnxruntime", "torch.nn")
UNITS = (64, 128, 256, 384, 512)
SHORT, LONG = 64, 320  # steps
LANES = {"x86-64-v4": 16, "x86-64-v3": 8, "baseline": 4}


def cycles_a_second() -> float:
    """The clock of this processor under vector arithmetic, if it starts two multiply-adds in each cycle."""
    from tidegate.runtime import fma_peak, isa

    return max(fma_peak(1, 0.02) for _ in range(10)) / (4 * LANES[isa()])


def reading(units: int) -> float:
    """Seconds that one thread needs to read U once."""
    from tidegate.runtime import read_peak

    size = 16 * units**2
    return size / max(read_peak(size, 0.02) for _ in range(10))


def best(calls: list[Callable[[], object]], seconds: float) -> list[float]:
    """Seconds of each call, in turns."""
    times = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for k, call in enumerate(calls):
            call()  # others have used the caches
            start = time.thread_time()
            call()
            call()
            times[k] = min(times[k], (time.thread_time() - start) / 2)
    return times


def rows(seconds: float) -> list[tuple[int, str, float, float]]:
    """Units, who, seconds of a step, seconds of a call without its steps."""
    import torch

    torch.set_num_threads(1)
    found = []
    for units in UNITS:
        able = [name for name in WHO if PEERS[name].missing(Item("lstm", SHORT, 1, 1, units)) is None]
        calls = [
            PEERS[name].prepare(problem(Item("lstm", steps, 1, 1, units))).call
            for name in able
            for steps in (SHORT, LONG)
        ]
        with torch.inference_mode():
            times = best(calls, seconds * len(calls))
        found.append((units, "reading alone", reading(units), 0.0))
        for name, short, long in zip(able, times[::2], times[1::2], strict=True):
            step = (long - short) / (LONG - SHORT)
            found.append((units, name, step, short - SHORT * step))
    return found


def page(measured: list[tuple[int, str, float, float]], clock: float) -> str:
    """The table."""
    lines = [
        "# One sequence",
        "",
        f"`python -m benchmarks.one_sequence` on {processor()}, one thread, {clock / 1e9:.2f} GHz under multiply-adds.",
        "",
        "| H | U, KiB | who | a step, us | bytes of U a cycle | a call without its steps, us |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for units, name, step, rest in measured:
        size = 16 * units**2
        lines.append(
            f"| {units} | {size >> 10:,} | {name} | {step * 1e6:.2f} | {size / step / clock:.1f} | {rest * 1e6:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="of each call of each row")
    parser.add_argument("--output", type=Path, help="a folder for the page, which is named after the processor")
    arguments = parser.parse_args()
    text = page(rows(arguments.seconds), cycles_a_second())
    print(text)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / f"{processor().slug}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
