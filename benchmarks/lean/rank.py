"""How much quicker is a layer whose recurrent matrices are of low rank, or whose gates share one matrix?

    python -m benchmarks.lean.rank
    python -m benchmarks.lean.rank --only recurrence --output benchmarks/results/lean

- **recurrence**: a step with one feature of input: U, the pointwise work, and everything but W.
- **layer**: as many features as units, in a session, which packs its matrices once, and as a call of the layer.
- **training**: forward and backward of a layer with as many features as units.

Results in float64 must be those of a dense layer with the product of the factors, or with the rows of the shared matrix
scaled. All take turns on one thread; times are those of the thread, the best of all rounds. "Of the ideal" is the speed
over dense by the factor by which the multiplications of U become fewer. Next to each stands what U holds: a dense U of
more than the second-level cache is read from the third one at every step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from benchmarks.engine import processor
from benchmarks.lean.sparse import best

from tidegate import Session
from tidegate.nn import Recurrent

Call = Callable[[], object]
PARTS = (2, 4, 8)  # the rank is H over one of these
BATCHES, UNITS, CELLS = (1, 32), (256, 384, 512), ("lstm", "gru")
STEPS, TRAINED = 128, 32
OPTIONS: dict[str, Callable[[int], dict[str, object]]] = {
    "dense": lambda _: {},
    **{f"H/{part}": lambda units, part=part: {"rank": units // part} for part in PARTS},
    "semi-tied": lambda _: {"semi_tied": True},
}


def layer_of(cell: str, features: int, units: int, kind: str, dtype: torch.dtype = torch.float32) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(cell, features, units, dtype=dtype, **OPTIONS[kind](units))


def dense_of(layer: Recurrent) -> dict[str, torch.Tensor]:
    """The weights of the dense layer that computes the same."""
    own = layer.state_dict()
    if "weight_U_rank_l0" in own:
        own["weight_hh_l0"] = own["weight_hh_l0"] @ own.pop("weight_U_rank_l0")
    if "tied_l0" in own:
        scale = own.pop("tied_l0").unflatten(0, (-1, layer.hidden_size))
        for name in ("weight_ih_l0", "weight_hh_l0"):
            own[name] = torch.cat([rows[:, None] * own[name] for rows in scale])
    return own


def check(cell: str, units: int) -> None:
    """Hold every kind against the dense layer."""
    for kind in OPTIONS:
        layer, dense = (layer_of(cell, 3, units, name, torch.float64) for name in (kind, "dense"))
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        dense.load_state_dict(dense_of(layer))
        for batch in (1, 7):
            x = torch.randn(20, batch, 3, dtype=torch.float64)
            y = layer(x)[0]
            if layer.last_path != "fused" or not torch.allclose(y, dense(x)[0], rtol=1e-10, atol=1e-11):
                sys.exit(f"{cell} {kind} is not the dense layer that it stands for")


def kilobytes(layer: Recurrent) -> str:
    held = [p for name, p in layer.named_parameters() if name.startswith(("weight_hh", "weight_U"))]
    return f"{sum(p.numel() for p in held) * 4 / 1024:.0f}"


def fewer(layer: Recurrent, dense: Recurrent) -> float:
    """By which factor the multiplications of U are fewer."""
    own = sum(p.numel() for name, p in layer.named_parameters() if name.startswith(("weight_hh", "weight_U")))
    return dense.weight_hh_l0.numel() / own


def rows(cell: str, units: int, batch: int, features: int, calls: Mapping[str, Call], rounds: int) -> Iterator[str]:
    times = best(calls, rounds)
    dense, reference = times.pop("dense"), layer_of(cell, features, units, "dense")
    yield f"| {cell} | {units} | {batch} | dense | {kilobytes(reference)} | {dense * 1e3:.3f} | | |"
    for kind, seconds in times.items():
        layer = layer_of(cell, features, units, kind)
        ideal = f"{dense / seconds / fewer(layer, reference):.2f}"
        yield (
            f"| {cell} | {units} | {batch} | {kind} | {kilobytes(layer)} | {seconds * 1e3:.3f} | {dense / seconds:.2f} "
            f"| {ideal} |"
        )


def sessions(cell: str, features: int, units: int, batch: int) -> Mapping[str, Call]:
    x, found = torch.randn(STEPS, batch, features), dict[str, Call]()
    for kind in OPTIONS:
        session = Session(layer_of(cell, features, units, kind), batch)
        found[kind] = lambda session=session: session.run(x)  # type: ignore[misc]
    return found


def layers(cell: str, units: int, batch: int, *, training: bool) -> Mapping[str, Call]:
    x, found = torch.randn(TRAINED if training else STEPS, batch, units), dict[str, Call]()
    for kind in OPTIONS:
        layer = layer_of(cell, units, units, kind)
        if training:
            found[kind] = lambda layer=layer: layer(x)[0].sum().backward()  # type: ignore[misc]
        else:
            found[kind] = torch.inference_mode()(lambda layer=layer: layer(x))
    return found


def head(what: str) -> Iterator[str]:
    yield f"| cell | H | B | U | U, KiB | {what} | over dense | of the ideal |"
    yield "|---|---|---|---|---|---|---|---|"


def recurrence(rounds: int) -> Iterator[str]:
    """One feature of input."""
    yield from head(f"ms of {STEPS} steps")
    for cell, units, batch in ((c, u, b) for c in CELLS for u in UNITS for b in BATCHES):
        yield from rows(cell, units, batch, 1, sessions(cell, 1, units, batch), rounds)


def layer(rounds: int) -> Iterator[str]:
    """As many features as units."""
    for name, make in (("session", sessions), ("layer", None)):
        yield from head(f"{name}, ms of {STEPS} steps")
        for cell, units, batch in ((c, u, b) for c in CELLS for u in UNITS for b in BATCHES):
            calls = make(cell, units, units, batch) if make else layers(cell, units, batch, training=False)
            yield from rows(cell, units, batch, units, calls, rounds)
        yield ""


def training(rounds: int) -> Iterator[str]:
    yield from head(f"ms of {TRAINED} steps and back")
    for cell, units in ((c, u) for c in CELLS for u in (UNITS[0], UNITS[-1])):
        yield from rows(cell, units, 32, units, layers(cell, units, 32, training=True), rounds)


TABLES = {"recurrence": recurrence, "layer": layer, "training": training}


def main() -> None:
    """Check, measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=TABLES, help="one table")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, help="a folder for the page, which is named after the processor")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for cell in CELLS:
        check(cell, 48)
    text = ["# Low rank and semi-tied gates", ""]
    text += [f"`python -m benchmarks.lean.rank` on {processor()}, one thread.", ""]
    for name, table in TABLES.items():
        if arguments.only in (None, name):
            text += [f"## {name.capitalize()}", "", *table(arguments.rounds), ""]
            print(*text[-len(text) :], sep="\n", flush=True)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"rank-{processor().slug}.md"
        path.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
