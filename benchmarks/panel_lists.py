"""How much quicker is a product of a matrix of which only some is kept?

    python -m benchmarks.panel_lists
    python -m benchmarks.panel_lists --units 512 --output benchmarks/results/panel_lists

An LSTM steps through a long sequence with weights that are packed once. Of its recurrent matrix blocks of 64 rows times
one column are kept at random (or, in the last rows, blocks along the diagonal, as of heads). What a step takes with
nothing kept is taken off, so what is compared is the product alone; "of the ideal" is the speed over the dense
product's, times the density. Outputs must be those of the dense matrix to the last bit. All take turns on one thread;
times are those of the thread, the best of all rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from benchmarks.engine import processor

from tidegate import zoo
from tidegate.runtime import Stream, sized

DENSITIES = (1.0, 0.8, 0.5, 0.2, 0.1, 0.05)
HEADS = (2, 4)
BATCHES = (1, 6, 32)
BLOCK, STEPS = 64, 256


def masks(units: int) -> Mapping[str, torch.Tensor]:
    """What is kept of [4 H, H], by name."""
    draw = torch.Generator().manual_seed(0)
    order = torch.rand(4 * units // BLOCK, units, generator=draw).argsort(1)
    kept = {f"{density:.0%}": (order < density * units).repeat_interleave(BLOCK, 0) for density in DENSITIES}
    heads = {n: torch.block_diag(*[torch.ones(units // n, units // n)] * n).bool().repeat(4, 1) for n in HEADS}
    return kept | {f"{n} heads": mask for n, mask in heads.items()} | {"0%": torch.zeros(4 * units, units).bool()}


def streams(units: int, batch: int) -> dict[str, tuple[Stream, Stream]]:
    """For each mask one whose panels have lists, and one that multiplies by all zeros."""
    widths = (("I", 1), ("H", units))
    dense, listed = sized(zoo.LSTM.graph, widths), sized(zoo.LSTM.graph, widths, ("U",))
    torch.manual_seed(0)
    parameters = {
        name: torch.randn(shape) / units**0.5 for name, shape in zip(dense.names, dense.shapes[0], strict=True)
    }
    found = {}
    for name, mask in masks(units).items():
        own = [value * mask if key == "weight_U" else value for key, value in parameters.items()]
        found[name] = (Stream([listed], [own], batch), Stream([dense], [own], batch))
    return found


def seconds_of(stream: Stream, x: torch.Tensor) -> float:
    start = time.thread_time()
    stream.run(x)
    return (time.thread_time() - start) / len(x)


def measure(units: int, batch: int, rounds: int) -> dict[str, float]:
    """Seconds of a step by mask, and "dense" without lists."""
    made, x = streams(units, batch), torch.randn(STEPS, batch, 1)
    for listed, dense in made.values():
        if not torch.equal(listed.run(x), dense.run(x)):
            sys.exit("lists change a result")
    run = {name: listed for name, (listed, _) in made.items()} | {"dense": made["100%"][1]}
    best = dict.fromkeys(run, float("inf"))
    for _ in range(rounds):
        for name, stream in run.items():
            stream.run(x)  # others have used the caches
            best[name] = min(best[name], seconds_of(stream, x))
    return best


def lines(units: int, batch: int, best: Mapping[str, float]) -> list[str]:
    product = best["dense"] - best["0%"]
    shown = []
    for name, mask in masks(units).items():
        density = float(mask.float().mean())
        if density:
            speed = product / (best[name] - best["0%"])
            step = best["dense"] / best[name]
            shown.append(
                f"| {batch} | {name} | {best[name] * 1e6:.2f} | {step:.2f} | {speed:.2f} | {speed * density:.2f} |"
            )
    return shown


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--units", type=int, default=256, help="U has 16 H^2 bytes: 1 MiB")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, help="a folder for the page, which is named after the processor")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    text = [
        f"# Panel lists, LSTM, H = {arguments.units}",
        "",
        f"`python -m benchmarks.panel_lists --units {arguments.units}` on {processor()}, one thread.",
        "",
        "| B | kept | a step, us | step over dense | product over dense | of the ideal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with torch.inference_mode():
        for batch in BATCHES:
            text += lines(arguments.units, batch, measure(arguments.units, batch, arguments.rounds))
    print(*text, sep="\n")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"{processor().slug}-{arguments.units}.md"
        path.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
