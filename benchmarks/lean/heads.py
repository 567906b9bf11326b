"""How much quicker is a layer whose recurrent matrices have heads than a dense one?

    python -m benchmarks.lean.heads
    python -m benchmarks.lean.heads --units 256 512 --output benchmarks/results/lean
    python -m benchmarks.lean.heads --units 256 --cells lstm --heads 32 64 128 256    # of less than 16 units

- **recurrence**: a step with one feature of input: U, the pointwise work, and everything but W.
- **layer**: as many features as units, in a session, which packs its matrices once, and as a call of the layer.
- **training**: forward and backward of a layer with as many features as units.

Results in float64 must be those of the dense layer with a block diagonal matrix. All take turns on one thread; times
are those of the thread, the best of all rounds. Next to each stands what U holds: a dense U of more than the
second-level cache is read from the third one at every step, which one with heads is not.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from benchmarks.engine import processor
from benchmarks.lean.sparse import best

from tidegate import Session
from tidegate.nn import Recurrent
from tidegate.runtime.heads import whole

HEADS = (2, 4, 8, 16)
BATCHES = (1, 32)
UNITS = (256, 384, 512)
STEPS = 128
Call = Callable[[], object]


def layer_of(cell: str, features: int, units: int, heads: int, dtype: torch.dtype = torch.float32) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(cell, features, units, heads=heads, dtype=dtype)


def check(cell: str, units: int) -> None:
    """Hold every number of heads against the dense layer."""
    for heads in HEADS:
        layer, dense = (layer_of(cell, 3, units, n, torch.float64) for n in (heads, 1))
        rows = [units] * (len(layer.weight_hh_l0) // units)
        dense.load_state_dict(layer.state_dict() | {"weight_hh_l0": whole(layer.weight_hh_l0, rows, heads)})
        for batch in (1, 7):
            x = torch.randn(20, batch, 3, dtype=torch.float64)
            if not torch.allclose(layer(x)[0], dense(x)[0], rtol=1e-11, atol=1e-12):
                sys.exit(f"{cell} with {heads} heads is not the dense layer with a block diagonal matrix")


def sessions(cell: str, features: int, units: int, batch: int, numbers: Sequence[int]) -> Mapping[int, Call]:
    """A run of a session by heads."""
    x = torch.randn(STEPS, batch, features)
    found = {}
    for heads in (1, *numbers):
        session = Session(layer_of(cell, features, units, heads), batch)
        found[heads] = lambda session=session: session.run(x)
    return found


def calls(cell: str, units: int, batch: int, numbers: Sequence[int]) -> Mapping[int, Call]:
    """A call of a layer by heads."""
    x = torch.randn(STEPS, batch, units)
    found = {}
    for heads in (1, *numbers):
        layer = layer_of(cell, units, units, heads)
        found[heads] = lambda layer=layer: layer(x)
    return found


def trainings(cell: str, units: int, batch: int, numbers: Sequence[int]) -> Mapping[int, Call]:
    """Forward and backward by heads."""
    x = torch.randn(STEPS, batch, units, requires_grad=True)
    dy = torch.randn(STEPS, batch, units)
    found = {}
    for heads in (1, *numbers):
        layer = layer_of(cell, units, units, heads)
        leaves = [*layer.parameters(), x]
        found[heads] = lambda layer=layer, leaves=leaves: torch.autograd.grad(layer(x)[0], leaves, dy)
    return found


def row(cell: str, units: int, batch: int, what: str, made: Mapping[int, Call], rounds: int) -> str:
    with torch.set_grad_enabled(what == "training"):
        times = best({str(heads): call for heads, call in made.items()}, rounds)
    dense = times["1"]
    ratios = " | ".join(f"{dense / times[str(heads)]:.2f}" for heads in made if heads > 1)
    gates = len(layer_of(cell, 1, units, 1).weight_hh_l0) // units
    kept = gates * units * units * 4 / 1024
    return f"| {cell} | {units} | {batch} | {what} | {kept:.0f} | {dense / STEPS * 1e6:.1f} | {ratios} |"


def tables(arguments: argparse.Namespace) -> Iterator[str]:
    numbers = " | ".join(f"{heads} heads" for heads in arguments.heads)
    yield f"| cell | H | B | | KiB of dense U | dense, us a step | {numbers} |"
    yield "|" + " --- |" * (6 + len(arguments.heads))
    for cell in arguments.cells:
        check(cell, UNITS[0])
        for units in arguments.units:
            for batch in BATCHES:
                kinds: dict[str, Callable[[], Mapping[int, Call]]] = {
                    "recurrence": partial(sessions, cell, 1, units, batch, arguments.heads),
                    "session": partial(sessions, cell, units, units, batch, arguments.heads),
                    "layer": partial(calls, cell, units, batch, arguments.heads),
                    "training": partial(trainings, cell, units, batch, arguments.heads),
                }
                for what, make in kinds.items():
                    if arguments.only in (None, what):
                        yield row(
                            cell, units, batch, what, make(), arguments.rounds if batch == 1 else arguments.rounds // 3
                        )


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=("recurrence", "session", "layer", "training"))
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru"])
    parser.add_argument("--units", nargs="+", type=int, default=UNITS)
    parser.add_argument("--heads", nargs="+", type=int, default=HEADS)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, help="a folder for the page, which is named after the processor")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    text = []
    for line in tables(arguments):
        print(line, flush=True)
        text.append(line)
    if arguments.output:
        command = f"`python -m benchmarks.lean.heads {shlex.join(sys.argv[1:])}` on {processor()}, one thread."
        head = ["# Heads", "", f"{command} Speed over the dense layer.", ""]
        arguments.output.mkdir(parents=True, exist_ok=True)
        own = "" if tuple(arguments.heads) == HEADS else f"-{max(arguments.heads)}"
        path = arguments.output / f"heads{own}-{processor().slug}.md"
        path.write_text("\n".join([*head, *text]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
