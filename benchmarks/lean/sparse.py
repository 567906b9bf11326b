"""How much quicker is a layer of whose matrices only blocks are kept?

    python -m benchmarks.lean.sparse
    python -m benchmarks.lean.sparse --only product --output benchmarks/results/lean

Blocks of neighbouring rows times one column of U (and of W) are kept at random, equally many in all rows. Four tables:

- **product**: of an LSTM of 256 units, whose U fits the second-level cache. What a step takes with nothing kept is
  taken off, so what is compared is the product alone; "of the ideal" is the speed over the dense product's, times the
  density.
- **recurrence**: a whole step, with one feature of input: U, and everything but W.
- **layer**: as many features as units; as a layer, which packs its matrices at each call, and as a session.
- **training**: forward, and the gradients of the input and of all parameters; of sparse matrices, of what is kept.

Results must be those of dense matrices with zeros to the last bit. All take turns on one thread; times are those of the
thread, the best of all rounds. Next to each stands what U holds: from 512 units on a dense U leaves the second-level
cache, so part of what is won there is won by fitting into it again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from benchmarks.engine import processor

from tidegate import zoo
from tidegate.runtime import Rows, SizedCell, Steps, Stream, run_layer, sized

Call = Callable[[], object]
Tensors = list[torch.Tensor]
DENSITIES = (0.5, 0.2, 0.1)
BLOCKS = (64, 32, 16)
BATCHES = (1, 32)
UNITS = (256, 384, 512)
STEPS, TRAINED_STEPS = 128, 32
KEPT = 0.1
GRAPH = zoo.LSTM.graph


def mask(rows: int, columns: int, block: int, density: float) -> torch.Tensor:
    """Equally many blocks of every `block` rows."""
    order = torch.rand(rows // block, columns, generator=torch.Generator().manual_seed(0)).argsort(1)
    return (order < density * columns).repeat_interleave(block, 0)


def cell(features: int, units: int, sparse: tuple[str, ...] = (), *, kept: bool = False) -> SizedCell:
    return sized(GRAPH, (("I", features), ("H", units)), sparse, kept=kept)


def parameters(features: int, units: int, masks: Mapping[str, tuple[int, float]]) -> Tensors:
    """Those of the cell, of which only so much of some matrices is kept: block and density by name."""
    torch.manual_seed(0)
    own, made = cell(features, units), []
    for name, shape in zip(own.names, own.shapes[0], strict=True):
        value = torch.randn(shape) / units**0.5
        made.append(value * mask(*shape, *masks[name]) if name in masks else value)
    return made


def stream(features: int, units: int, batch: int, masks: Mapping[str, tuple[int, float]], *, listed: bool) -> Stream:
    sparse = tuple(name.removeprefix("weight_") for name in masks) if listed else ()
    return Stream([cell(features, units, sparse)], [parameters(features, units, masks)], batch)


def best(calls: Mapping[str, Call], rounds: int) -> dict[str, float]:
    """Seconds of each call, in turns."""
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            call()  # others have used the caches
            start = time.thread_time()
            call()
            found[name] = min(found[name], time.thread_time() - start)
    return found


def same(listed: object, dense: object) -> None:
    pairs = zip(listed, dense, strict=True) if isinstance(listed, (list, tuple)) else [(listed, dense)]  # type: ignore[arg-type]
    if not all(torch.equal(a, b) for a, b in pairs):
        sys.exit("lists change a result")


def kilobytes(units: int, density: float = 1.0) -> str:
    return f"{16 * units**2 * density / 1024:.0f}"


def product(rounds: int) -> Iterator[str]:
    """The product with U alone."""
    yield "| B | block | kept | U, KiB | a step, us | step over dense | product over dense | of the ideal |"
    yield "|---|---|---|---|---|---|---|---|"
    units = UNITS[0]
    for batch in BATCHES:
        x, made = torch.randn(2 * STEPS, batch, 1), {}
        for block, density in [(b, d) for b in BLOCKS for d in DENSITIES] + [(64, 0.0), (64, 1.0)]:
            masks = {"weight_U": (block, density)}
            listed, dense = (stream(1, units, batch, masks, listed=each) for each in (True, False))
            same(listed.run(x), dense.run(x))
            made[block, density] = dense if density == 1 else listed
        times = best({str(key): partial(run.run, x) for key, run in made.items()}, rounds)
        times = {key: seconds / len(x) for key, seconds in times.items()}
        whole, nothing = times[str((64, 1.0))], times[str((64, 0.0))]
        yield f"| {batch} | dense | 100% | {kilobytes(units)} | {whole * 1e6:.2f} | | | |"
        for block, density in [(b, d) for b in BLOCKS for d in DENSITIES]:
            step = times[str((block, density))]
            speed = (whole - nothing) / (step - nothing)
            yield (
                f"| {batch} | {block}x1 | {density:.0%} | {kilobytes(units, density)} | {step * 1e6:.2f} "
                f"| {whole / step:.2f} | {speed:.2f} | {speed * density:.2f} |"
            )


def recurrence(rounds: int) -> Iterator[str]:
    """A step with one feature of input."""
    yield "| H | B | block | U dense, KiB | U kept, KiB | dense, us | 10 % kept, us | over dense |"
    yield "|---|---|---|---|---|---|---|---|"
    for units in UNITS:
        for batch in BATCHES:
            x = torch.randn(STEPS, batch, 1)
            runs = {"dense": stream(1, units, batch, {}, listed=False)}
            for block in BLOCKS:
                runs[f"{block}x1"] = stream(1, units, batch, {"weight_U": (block, KEPT)}, listed=True)
            times = best({name: partial(run.run, x) for name, run in runs.items()}, rounds)
            dense = times.pop("dense")
            for name, seconds in times.items():
                yield (
                    f"| {units} | {batch} | {name} | {kilobytes(units)} | {kilobytes(units, KEPT)} "
                    f"| {dense / STEPS * 1e6:.2f} | {seconds / STEPS * 1e6:.2f} | {dense / seconds:.2f} |"
                )


def _layers(
    units: int, block: int, density: float = KEPT, *, kept: bool = False
) -> dict[str, tuple[SizedCell, Tensors]]:
    """A dense layer, one with a sparse U, and one with both."""
    own = {"weight_U": (block, density)}
    both = own | {"weight_W": (block, density)}
    return {
        "dense": (cell(units, units), parameters(units, units, {})),
        "U": (cell(units, units, ("U",), kept=kept), parameters(units, units, own)),
        "W and U": (cell(units, units, ("W", "U"), kept=kept), parameters(units, units, both)),
    }


def layer(rounds: int) -> Iterator[str]:
    """As many features as units."""
    yield f"| H = I | B | as | 10 % of | dense, ms of {STEPS} steps | kept, ms | over dense |"
    yield "|---|---|---|---|---|---|---|"
    for units in UNITS:
        for batch in BATCHES:
            x, rows = torch.randn(STEPS, batch, units), Steps.uniform(STEPS, batch)
            made = _layers(units, 64)
            calls: dict[str, Call] = {}
            for name, (own, tensors) in made.items():
                calls[f"session {name}"] = partial(Stream([own], [tensors], batch).run, x)
                calls[f"layer {name}"] = partial(
                    run_layer, own, Rows(x.view(-1, units), rows, None), batch, None, tensors
                )
            times = best(calls, rounds)
            for kind in ("layer", "session"):
                for name in ("U", "W and U"):
                    dense, kept = times[f"{kind} dense"], times[f"{kind} {name}"]
                    ratio = f"{dense * 1e3:.3f} | {kept * 1e3:.3f} | {dense / kept:.2f}"
                    yield f"| {units} | {batch} | {kind} | {name} | {ratio} |"


def _training_step(own: SizedCell, tensors: Tensors, x: torch.Tensor, batch: int, upstream: torch.Tensor) -> Tensors:
    steps = Steps.uniform(len(x) // batch, batch)
    _, (y, *_) = run_layer(own, Rows(x, steps, None), batch, None, tensors)
    return [y.detach(), *torch.autograd.grad(y, [x, *tensors], upstream)]


def training(rounds: int) -> Iterator[str]:
    """Forward and backward."""
    yield f"| H = I | B | block | kept | of | dense, ms of {TRAINED_STEPS} steps | kept, ms | over dense |"
    yield "|---|---|---|---|---|---|---|---|"
    for units, batch, block, density in (
        (512, 32, 64, 0.1), (512, 32, 32, 0.1), (512, 32, 64, 0.2), (512, 32, 64, 0.5),
        (256, 32, 64, 0.1), (512, 8, 64, 0.1), (512, 128, 64, 0.1),
    ):  # fmt: skip
        x = torch.randn(TRAINED_STEPS * batch, units, requires_grad=True)
        upstream, calls = torch.randn(len(x), units), dict[str, Call]()
        for name, (own, tensors) in _layers(units, block, density, kept=True).items():
            for tensor in tensors:
                tensor.requires_grad_()
            calls[name] = partial(_training_step, own, tensors, x, batch, upstream)
            y, dx, *found = calls[name]()  # type: ignore[misc]
            expected = _training_step(cell(units, units), tensors, x, batch, upstream)
            held = [f"weight_{matrix}" for matrix in own.sparse]
            masks = [value != 0 if part in held else 1 for part, value in zip(own.parameters, tensors, strict=True)]
            same([y, dx, *found], [*expected[:2], *(g * mask for g, mask in zip(expected[2:], masks, strict=True))])
        times = best(calls, rounds // 2)
        for name in ("U", "W and U"):
            ratio = f"{times['dense'] * 1e3:.2f} | {times[name] * 1e3:.2f} | {times['dense'] / times[name]:.2f}"
            yield f"| {units} | {batch} | {block}x1 | {density:.0%} | {name} | {ratio} |"


TABLES = {"product": product, "recurrence": recurrence, "layer": layer, "training": training}


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=TABLES, help="one table")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, help="a folder for the page, which is named after the processor")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    forced = os.environ.get("TIDEGATE_ISA", "")
    command = f"{f'TIDEGATE_ISA={forced} ' * bool(forced)}python -m benchmarks.lean.sparse"
    text = ["# Blocks kept of an LSTM", "", f"`{command}` on {processor()}, one thread.", ""]
    for name, table in TABLES.items():
        with torch.set_grad_enabled(name == "training"):
            lines = list(table(arguments.rounds)) if arguments.only in (None, name) else []
        text += [f"## {name.capitalize()}", "", *lines, ""] if lines else []
        print(*lines, sep="\n", flush=True)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"sparse-{processor().slug}{f'-as-{forced}' * bool(forced)}.md"
        path.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
