"""Attribution: is it complete where it can be, and right where the truth is known?

    python -m benchmarks.explain.attribution --output benchmarks/results/explain/attribution.md

Completeness of integrated gradients on healthy and on chaotic networks, where they abstain; sums and differences whose
relevances are known (in the manner of Arras et al. 2019), with and without numbers that do not count; weights that are
drawn anew (Adebayo et al. 2018). The script ends with 1 if a number misses its target.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import torch
from benchmarks.explain.table import Row, Section, target, write
from torch import Tensor

import tidegate as tg
from tidegate.explain import Attribution, attribute, lyapunov
from tidegate.nn import Recurrent


def last(output: tuple[Tensor, object]) -> Tensor:
    """[B] one number: the first unit at the last step."""
    return output[0][-1, :, 0]


# Completeness


def gained(kind: type[Recurrent], gain: float) -> Callable[[], Recurrent]:
    """Layers of 64 units whose recurrent matrices have a spectral radius of about ``gain`` in each gate."""

    def make() -> Recurrent:
        layer = kind(3, 64)
        torch.nn.init.normal_(layer.weight_hh_l0, std=gain / math.sqrt(64))
        return layer

    return make


HEALTHY: Mapping[str, Callable[[], Recurrent]] = {
    "RNN": lambda: tg.nn.RNN(3, 64),
    "RNN orthogonal": lambda: tg.nn.RNN(3, 64, orthogonal=True),
    "LSTM": lambda: tg.nn.LSTM(3, 64),
    "LSTM chrono 100": lambda: tg.nn.LSTM(3, 64, chrono=100),
    "LSTM, 2 layers, both directions": lambda: tg.nn.LSTM(3, 32, num_layers=2, bidirectional=True),
    "GRU": lambda: tg.nn.GRU(3, 64),
    "JANET chrono 100": lambda: Recurrent("janet", 3, 64, chrono=100),
}
CHAOTIC: Mapping[str, Callable[[], Recurrent]] = {
    "RNN gain 1.5": gained(tg.nn.RNN, 1.5),
    "RNN gain 3": gained(tg.nn.RNN, 3.0),
    "GRU gain 3": gained(tg.nn.GRU, 3.0),
    "LSTM gain 5": gained(tg.nn.LSTM, 5.0),
}
SEEDS, STEPS, ROWS = 20, 100, 4


def completeness() -> Iterator[Row]:
    for name, make in {**HEALTHY, **CHAOTIC}.items():
        errors, exponents, abstained, right, named = [], [], 0, 0, 0
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            layer, x = make(), torch.randn(STEPS, ROWS, 3)
            found = attribute(layer, x, last)
            error = found.error.max().item()
            errors.append(error)
            if not layer.bidirectional:
                exponents.append(lyapunov(layer, x, k=1).top)
            abstained += bool(found.abstained)
            right += bool(found.abstained) == (error > 0.01)
            named += "top Lyapunov exponent" in found.abstained
        positive = sum(value > 0 for value in exponents)
        shown = f"{min(exponents):+.3f} to {max(exponents):+.3f}" if exponents else "-"
        if name in HEALTHY:
            met = target(max(errors) <= 1e-6, f"completeness of {name}")
        else:
            met = target(right == SEEDS and named == abstained, f"abstention of {name}")
        yield [
            name, shown, str(positive), f"{median(errors):.1e}", f"{max(errors):.1e}",
            str(sum(error > 0.01 for error in errors)), str(abstained), str(named), met,
        ]  # fmt: skip


# Sums with known relevances


class Adder(torch.nn.Module):
    """One LSTM layer and a linear map of its last output."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layer, self.head = tg.nn.LSTM(features, 16), torch.nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][-1])[:, 0]


def sums(count: int, generator: torch.Generator, *, sign: int, noise: bool, steps: int = 8) -> tuple[Tensor, Tensor]:
    """Inputs [T, B, features] and relevances [T, B]: the answer is n_a + n_b, or n_a - n_b.

    Without noise n_a stands in the first feature and n_b in the second, all else is zero. With noise every step has a
    number in the first feature, and the other two mark a and b.
    """
    order = torch.rand(count, steps, generator=generator).argsort(1)
    a, b = order[:, :2].sort(1).values.T
    rows, numbers = torch.arange(count), 2 * torch.rand(steps, count, generator=generator) - 1
    truth = torch.zeros(steps, count)
    truth[a, rows], truth[b, rows] = numbers[a, rows], sign * numbers[b, rows]
    if noise:
        x = torch.zeros(steps, count, 3)
        x[..., 0], x[a, rows, 1], x[b, rows, 2] = numbers, 1.0, 1.0
    else:
        x = torch.zeros(steps, count, 2)
        x[a, rows, 0], x[b, rows, 1] = numbers[a, rows], numbers[b, rows]
    return x, truth


def trained(seed: int, *, sign: int, noise: bool, iterations: int) -> tuple[Adder, float]:
    """A trained model and its share of unexplained variance."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Adder(3 if noise else 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    for _ in range(iterations):
        x, truth = sums(64, generator, sign=sign, noise=noise)
        loss = (model(x) - truth.sum(0)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    x, truth = sums(1000, generator, sign=sign, noise=noise)
    with torch.no_grad():
        return model, ((model(x) - truth.sum(0)).square().mean() / truth.sum(0).var()).item()


def correlation(one: Tensor, other: Tensor) -> float:
    return torch.corrcoef(torch.stack([one.flatten().double(), other.flatten().double()]))[0, 1].item()


def ranked(one: Tensor, other: Tensor) -> float:
    """Spearman's correlation."""
    return correlation(one.flatten().argsort().argsort(), other.flatten().argsort().argsort())


def by_step(found: Attribution) -> Tensor:
    return found.values["x"].sum(-1)


def identity(output: Tensor) -> Tensor:
    return output


models: dict[str, list[Adder]] = {}  # of the sums, by task


def unmarked(x: Tensor) -> Tensor:
    """The baseline that is data as well: with noise the same markers, and zeros for all numbers."""
    baseline = x.clone()
    baseline[..., 0] = 0
    return baseline if x.shape[-1] == 3 else torch.zeros_like(x)


def known_relevances(seeds: int, iterations: int) -> Iterator[Row]:
    for sign, noise in ((1, False), (-1, False), (1, True), (-1, True)):
        name = f"{'sum' if sign > 0 else 'difference'}{', noise and markers' if noise else ''}"
        unexplained, agree, zeros, errors = [], [], [], []
        for seed in range(seeds):
            model, left = trained(seed, sign=sign, noise=noise, iterations=iterations)
            x, truth = sums(500, torch.Generator().manual_seed(1000 + seed), sign=sign, noise=noise)
            for values, baseline in ((agree, unmarked(x)), (zeros, None)):
                found = attribute(model, x, identity, baseline)
                kept = found.values["x"].isfinite().all(2).all(0)
                values.append(correlation(by_step(found)[:, kept], truth[:, kept]))
                errors.append(found.error[kept].max().item())
            unexplained.append(left)
            models.setdefault(name, []).append(model)
        yield [
            name, f"{max(unexplained):.1e}", f"{min(agree):.4f} to {max(agree):.4f}",
            f"{min(zeros):.4f} to {max(zeros):.4f}", f"{max(errors):.1e}",
            target(min(agree) >= 0.99, f"relevances of the {name}"),
        ]  # fmt: skip


DRAWS = 10


def randomised() -> Iterator[Row]:
    parts = {"head": ["head"], "layer": ["layer"], "head and layer": ["head", "layer"]}
    for name in [name for name in models if "noise" in name]:
        found: dict[str, list[float]] = {part: [] for part in parts}
        again = []
        for seed, model in enumerate(models[name]):
            x, _ = sums(500, torch.Generator().manual_seed(2000 + seed), sign=1, noise=True)
            reference = contributions(model, x)
            again.append(ranked(contributions(copy.deepcopy(model), x), reference))
            for draw in range(DRAWS):
                for part, modules in parts.items():
                    torch.manual_seed(3000 + 100 * seed + draw)
                    other = copy.deepcopy(model)
                    for module in modules:
                        getattr(other, module).reset_parameters()
                    found[part].append(ranked(contributions(other, x), reference))
        shown = [f"{sum(map(abs, v)) / len(v):.2f} ({min(v):+.2f} to {max(v):+.2f})" for v in found.values()]
        both = found["head and layer"]
        met = target(sum(map(abs, both)) / len(both) < 0.3 and min(again) > 0.999, f"randomised {name}")
        yield [name, f"{min(again):.2f}", *shown, met]


def contributions(model: Adder, x: Tensor) -> Tensor:
    return by_step(attribute(model, x, identity, unmarked(x))).nan_to_num()


# All

COMPLETE = ["network", "top exponent", "above 0", "median error", "largest", "above 1 %", "abstained", "named chaos"]


def sections(seeds: int, iterations: int) -> list[Section]:
    return [
        (
            f"Completeness: T {STEPS}, {ROWS} sequences, {SEEDS} seeds, 16 to 128 points; of each seed the worst error",
            [*COMPLETE, "met"],
            completeness,
        ),
        (
            "Sums with known relevances",
            [
                "task",
                "unexplained variance",
                "correlation with the truth",
                "baseline of zeros",
                "error",
                "at least 0.99",
            ],
            lambda: known_relevances(seeds, iterations),
        ),
        (
            f"Rank correlation with contributions after weights are drawn anew, {DRAWS} times: mean size and range",
            ["task", "same weights", "head", "layer", "head and layer", "below 0.3"],
            randomised,
        ),
    ]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="of the sums")
    parser.add_argument("--iterations", type=int, default=1500, help="training steps of a sum")
    parser.add_argument("--output", type=Path, help="a file for the tables")
    return parser.parse_args()


if __name__ == "__main__":
    asked = parsed()
    work = sections(asked.seeds, asked.iterations)
    sys.exit(write("Attribution", "python -m benchmarks.explain.attribution", work, asked.output))
