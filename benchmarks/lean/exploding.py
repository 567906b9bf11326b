"""Does a recurrent matrix that begins twice too large learn anything, clipped or bounded?

    python -m benchmarks.lean.exploding --output benchmarks/results/lean
    python -m benchmarks.lean.exploding --steps 500 --seeds 0
    python -m benchmarks.lean.exploding --known PART.csv --output benchmarks/results/lean

The last line runs only what PART.csv does not have.

The adding task (Hochreiter & Schmidhuber 1997): 60 steps of a number from [0, 1] and a mark, which is 1 at two steps;
the answer is the sum of the two marked numbers. Who always says 1 has a mean squared error of 1/6. A simple network of
64 units learns it with Adam, one new batch of 32 sequences a step, from a recurrent matrix with entries of standard
deviation 2/sqrt(64), under which gradients explode. Contenders differ in one thing each:

- ``none``, and four kinds of clipping: ``norm`` (Pascanu et al. 2013, at most 1), ``value`` (each number at most 0.1),
  ``agc`` (Brock et al. 2021: of each unit's weights at most 0.01 of their norm), ``autoclip`` (Seetharaman et al. 2020:
  the norm at most the 10th percentile of all norms so far).
- ``spectral``: ``spectral=1.0``, from the same matrix, scaled down.
- ``orthogonal``: begins orthogonal instead; ``orthogonal, spectral`` keeps it within the bound as well. ``stays
  orthogonal`` is ``torch.nn.utils.parametrizations.orthogonal``.

Every 250 steps 1,000 further sequences are answered. A run has *learnt* when that error is at most 0.01, and ends
there; it has *diverged* if it ends with numbers that are none or with an error above 0.2, worse than saying 1 all the
time; what lies between is *level*.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from statistics import median

import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, parametrizations

import tidegate as tg

T, UNITS, BATCH, GAIN = 60, 64, 32, 2.0
CHANCE, LEARNT, WORSE = 1 / 6, 0.01, 0.2
EVERY, ANSWERED = 250, 1_000

Clip = Callable[[torch.nn.Module], object]


@dataclass(frozen=True)
class Run:
    """What came of one seed."""

    contender: str
    rate: float
    seed: int
    outcome: str
    steps: int
    error: float
    least: float
    gradient: float
    seconds: float


class Adder(torch.nn.Module):
    """A simple network and what reads its last state."""

    def __init__(self, *, scaled: bool, **options: object) -> None:
        super().__init__()
        self.rnn = tg.nn.RNN(2, UNITS, **options)
        self.head = torch.nn.Linear(UNITS, 1)
        weight = torch.randn(UNITS, UNITS) * GAIN / UNITS**0.5
        if scaled:
            with torch.no_grad():
                self.rnn.weight_hh_l0 = weight if "spectral" in options else torch.nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0][-1])[:, 0]


def sequences(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.rand(T, count, generator=generator)
    first = torch.randint(T, (count,), generator=generator)
    second = (first + torch.randint(1, T, (count,), generator=generator)) % T
    marks = torch.zeros(T, count).scatter_(0, torch.stack([first, second]), 1.0)
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(0)


def batches(generator: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Without an end; drawn a hundred at a time, which is quicker."""
    while True:
        x, y = sequences(100 * BATCH, generator)
        yield from zip(x.split(BATCH, 1), y.split(BATCH), strict=True)


def by_unit(model: torch.nn.Module, share: float = 0.01, least: float = 1e-3) -> None:
    """Adaptive clipping: no row of a gradient is longer than this share of its row of weights."""
    for parameter in model.parameters():
        gradient = parameter.grad
        rows = (
            (gradient, parameter.detach()) if parameter.dim() > 1 else (gradient[:, None], parameter.detach()[:, None])
        )
        of_gradient, of_weight = (row.norm(dim=1) for row in rows)
        allowed = share * of_weight.clamp_min(least)
        factor = (allowed / of_gradient.clamp_min(1e-12)).clamp(max=1)
        gradient.mul_(factor[:, None] if parameter.dim() > 1 else factor)


class Percentile:
    """Clips by the norm, at a percentile of all norms so far."""

    def __init__(self, percentile: float = 10) -> None:
        self.percentile, self.norms = percentile, list[float]()

    def __call__(self, model: torch.nn.Module) -> None:
        norm = float(clip_grad_norm_(model.parameters(), math.inf))
        self.norms.append(norm if math.isfinite(norm) else 1e30)
        at = sorted(self.norms)[int(len(self.norms) * self.percentile / 100)]
        clip_grad_norm_(model.parameters(), at)


def stays_orthogonal() -> Adder:
    model = Adder(scaled=False, orthogonal=True)
    parametrizations.orthogonal(model.rnn, "weight_hh_l0")
    return model


CLIPS: dict[str, Callable[[], Clip]] = {
    "none": lambda: lambda _: None,
    "norm": lambda: lambda model: clip_grad_norm_(model.parameters(), 1.0),
    "value": lambda: lambda model: clip_grad_value_(model.parameters(), 0.1),
    "agc": lambda: by_unit,
    "autoclip": Percentile,
}
MODELS: dict[str, Callable[[], Adder]] = {
    "spectral": lambda: Adder(scaled=True, spectral=1.0),
    "orthogonal": lambda: Adder(scaled=False, orthogonal=True),
    "orthogonal, spectral": lambda: Adder(scaled=False, orthogonal=True, spectral=1.0),
    "stays orthogonal": stays_orthogonal,
}
CONTENDERS = [*CLIPS, *MODELS]


def train(contender: str, rate: float, seed: int, steps: int) -> Run:
    torch.manual_seed(seed)
    model = MODELS[contender]() if contender in MODELS else Adder(scaled=True)
    clip = CLIPS.get(contender, CLIPS["none"])()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    data = batches(torch.Generator().manual_seed(1_000 + seed))
    x_test, y_test = sequences(ANSWERED, torch.Generator().manual_seed(7))
    norms, errors, start, step = list[float](), list[float](), time.thread_time(), 0
    for step in range(1, steps + 1):
        x, y = next(data)
        optimizer.zero_grad(set_to_none=True)
        (model(x) - y).square().mean().backward()
        if step % 50 == 1:
            norms.append(float(clip_grad_norm_(model.parameters(), math.inf)))
        clip(model)
        optimizer.step()
        if step % EVERY == 0 or step == steps:
            model.eval()
            with torch.no_grad():
                errors.append(float((model(x_test) - y_test).square().mean()))
            model.train()
            if not errors[-1] > LEARNT:
                break
    assert model.rnn.last_path == "fused"
    return Run(
        contender, rate, seed, outcome(errors), step, errors[-1], min(errors), median(norms), time.thread_time() - start
    )


def outcome(errors: list[float]) -> str:
    if not math.isfinite(errors[-1]) or errors[-1] > WORSE:
        return "diverged"
    return "learnt" if errors[-1] <= LEARNT else "level"


def table(runs: Iterable[Run]) -> str:
    """A row for each contender and rate."""
    groups: dict[tuple[str, float], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.contender, run.rate), []).append(run)
    lines = [
        "| contender | rate | learnt | level | diverged | steps until learnt | error | least error | gradient norm |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (contender, rate), own in groups.items():
        counts = [sum(run.outcome == name for run in own) for name in ("learnt", "level", "diverged")]
        until = [run.steps for run in own if run.outcome == "learnt"]
        shown = f"{median(until):,.0f}" if until else "-"
        lines.append(
            f"| {contender} | {rate:g} | {counts[0]} | {counts[1]} | {counts[2]} | {shown} "
            f"| {median(run.error for run in own):.3f} | {min(run.least for run in own):.3f} "
            f"| {median(run.gradient for run in own):.2g} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--known", type=Path, nargs="+", default=[], help="runs that are there already")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    known = {(run.contender, run.rate, run.seed): run for path in asked.known for run in read(path)}
    runs: list[Run] = []
    for case in product(asked.seeds, asked.rates, asked.contenders):
        seed, rate, contender = case
        runs.append(known.get((contender, rate, seed)) or train(contender, rate, seed, asked.steps))
        print(runs[-1], file=sys.stderr, flush=True)
        if asked.output:
            save(asked.output, runs, asked.steps)
    print(table(runs))


def read(path: Path) -> list[Run]:
    kinds = {field.name: {"str": str, "int": int, "float": float}[str(field.type)] for field in fields(Run)}
    with path.open(newline="") as file:
        return [Run(**{name: kinds[name](text) for name, text in row.items()}) for row in csv.DictReader(file)]


def save(folder: Path, runs: list[Run], steps: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "exploding.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*asdict(runs[0])])
        writer.writeheader()
        writer.writerows(map(asdict, runs))
    head = (
        f"Adding task of {T} steps, RNN of {UNITS} units, gain {GAIN:g}, Adam, batches of {BATCH}, to an error of "
        f"{LEARNT} or {steps:,} steps; chance is {CHANCE:.3f}. Steps, last errors and norms are medians over seeds; a "
        "norm is that of a gradient before clipping. `python -m benchmarks.lean.exploding`\n\n"
    )
    (folder / "exploding.md").write_text(head + table(runs) + os.linesep)


if __name__ == "__main__":
    main()
