"""Attribution, ablation, exact checks and silence: do they hold where the truth is known, and abstain where it is not?

    python -m benchmarks.explain.attribution --output benchmarks/results/explain/attribution.md

Completeness of integrated gradients on healthy and on chaotic networks; sums and differences whose relevances are known
(in the manner of Arras et al. 2019); randomised weights (Adebayo et al. 2018); exact zeros of the checks for every cell
and option, and planted mistakes; planted leaks; networks that settle, rest at an offset or whistle. The script ends
with 1 if a number misses its target.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

import tidegate as tg
from tidegate.explain import (
    Attribution,
    attribute,
    check_chunks,
    check_leak,
    check_padding,
    check_resets,
    lyapunov,
    settle,
)
from tidegate.nn import Recurrent
from tidegate.zoo import CELLS

Row = list[str]
missed: list[str] = []  # the targets that were


def target(holds: bool, what: str) -> str:
    """How a table says whether a target was reached; what was not is remembered."""
    if not holds:
        missed.append(what)
    return "yes" if holds else "**no**"


def table(head: Row, rows: list[Row]) -> list[str]:
    """Lines of Markdown, printed as well."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    print("\n".join(lines), flush=True)
    return lines


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
        met = target(sum(map(abs, both)) / len(both) < 0.3 and min(again) == 1, f"randomised {name}")
        yield [name, f"{min(again):.2f}", *shown, met]


def contributions(model: Adder, x: Tensor) -> Tensor:
    return by_step(attribute(model, x, identity, unmarked(x))).nan_to_num()


# Exact checks

T, B, I, H = 13, 5, 3, 6
LENGTHS = [13, 4, 1, 9, 12]
OPTIONS: Mapping[str, dict] = {
    "zoneout": {"zoneout": 0.2},
    "recurrent dropout": {"recurrent_dropout": 0.2},
    "weight dropout": {"weight_dropout": 0.2},
    "input dropout": {"input_dropout": 0.2},
    "state clip": {"state_clip": 0.3},
    "layer norm": {"layer_norm": True},
    "learned initial state": {"learn_initial_state": True},
    "forget bias": {"forget_bias": 1.0},
    "chrono": {"chrono": 20},
    "orthogonal": {"orthogonal": True},
    "projected": {"proj_size": 4},
    "2 layers, dropout": {"num_layers": 2, "dropout": 0.2},
    "batch first": {"batch_first": True},
    "both directions": {"bidirectional": True},
    "2 layers, both directions": {"bidirectional": True, "num_layers": 2},
}


def layers() -> Iterator[tuple[str, Recurrent]]:
    for name, cell in CELLS.items():
        yield f"cell {name}", Recurrent(name, H if cell.graph.input_axis == "H" else I, H)
    for name, options in OPTIONS.items():
        yield f"LSTM {name}", tg.nn.LSTM(I, H, **options)
        if "projected" not in name and "forget bias" not in name and "chrono" not in name:
            yield f"GRU {name}", tg.nn.GRU(I, H, **options)


def exact() -> Iterator[Row]:
    values: dict[str, list[float]] = {"padding": [], "chunks": [], "resets": []}
    failed: list[str] = []
    torch.manual_seed(0)
    for name, layer in layers():
        x, reset = torch.randn(T, B, layer.input_size), torch.rand(T, B) < 0.2
        if layer.batch_first:
            x, reset = x.transpose(0, 1), reset.T
        checks = [check_padding(layer, x, LENGTHS), check_resets(layer, x, reset, lengths=LENGTHS)]
        if not layer.bidirectional:
            checks.append(check_chunks(layer, x, lengths=LENGTHS))
        for check in checks:
            values[check.name].append(check.value)
            failed += [] if check.passed else [f"{check.name} of {name}"]
    for check, found in values.items():
        zeros = sum(value == 0 for value in found)
        holds = not [name for name in failed if name.startswith(check)] and (check == "chunks" or zeros == len(found))
        yield [
            f"{check}, our layers", str(len(found)), str(zeros), f"{max(found):.1e}", target(holds, f"{check} of ours")
        ]  # fmt: skip


class Forgetful(torch.nn.Module):
    """A layer that is not told something."""

    def __init__(self, layer: torch.nn.Module, forgets: str) -> None:
        super().__init__()
        self.layer, self.forgets = layer, forgets

    def forward(self, x: Tensor, hx: object = None, lengths: object = None, reset: object = None) -> object:
        told = {"hx": hx, "lengths": lengths, "reset": reset} | {self.forgets: None}
        return self.layer(x, **told)


def planted() -> Iterator[Row]:
    for forgets, check in (("lengths", "padding"), ("hx", "chunks"), ("reset", "resets")):
        values, found = [], 0
        torch.manual_seed(0)
        for _, layer in layers():
            if layer.bidirectional and check != "padding":
                continue
            x, reset = torch.randn(T, B, layer.input_size), torch.rand(T, B) < 0.2
            if layer.batch_first:
                x, reset = x.transpose(0, 1), reset.T
            model = Forgetful(layer, forgets)
            if check == "padding":
                result = check_padding(model, x, LENGTHS)
            elif check == "chunks":
                result = check_chunks(model, x)
            else:
                result = check_resets(model, x, reset)
            values.append(result.value)
            found += not result.passed
        yield [
            f"{check}, forgotten {forgets}", str(len(values)), str(sum(value == 0 for value in values)),
            f"{min(values):.1e} to {max(values):.1e}", target(found == len(values), f"planted {forgets}"),
        ]  # fmt: skip


# Leaks


def history(count: int, generator: torch.Generator, kind: str) -> tuple[Tensor, Tensor]:
    """Inputs [20, B, 4] and answers [B]: three lagged inputs and noise; the last column is noise, or the answer."""
    x = torch.randn(20, count, 4, generator=generator)
    y = 0.7 * x[-4, :, 0] + 0.5 * x[-2, :, 1] - 0.5 * x[-1, :, 2] + 0.3 * torch.randn(count, generator=generator)
    if kind == "leak":
        x[-1, :, 3] = y
    if kind == "delayed leak":
        x[-2, :, 3] = y
    if kind == "easy":
        y = x[-1, :, 0] + 0.2 * torch.randn(count, generator=generator)
    return x, y


class Regressor(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = tg.nn.LSTM(4, 16), torch.nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][-1])[:, 0]


WANTED = {"none": False, "leak": True, "delayed leak": False, "easy": True}


def leaks(iterations: int) -> Iterator[Row]:
    for kind, wanted in WANTED.items():
        found, shares = 0, []
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            generator, model = torch.Generator().manual_seed(seed), Regressor()
            optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
            for _ in range(iterations):
                x, y = history(64, generator, kind)
                optimizer.zero_grad()
                (model(x) - y).square().mean().backward()
                optimizer.step()
            x, y = history(300, generator, kind)
            check = check_leak(model, x, y, identity)
            found += check.passed is False
            shares.append(check.value)
        met = target(found == (SEEDS if wanted else 0), f"leak: {kind}")
        yield [kind, f"{min(shares):.2f} to {max(shares):.2f}", f"{found} of {SEEDS}", "yes" if wanted else "no", met]


# Silence


def ring(units: int, gain: float, bias: float = 0.0) -> tg.nn.LSTM:
    """An LSTM h' = tanh(tanh(gain R h + bias)), R handing on each unit to the next, the last with the other sign."""
    layer = tg.nn.LSTM(1, units)
    hand_on = torch.eye(units).roll(1, 0)
    hand_on[0] *= -1
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0.copy_(torch.tensor([20.0, -20.0, bias, 20.0]).repeat_interleave(units))
        layer.weight_hh_l0[2 * units : 3 * units] = gain * hand_on
        layer.weight_ih_l0[2 * units] = 1.0
    return layer


def silence() -> Iterator[Row]:
    rate = 44_100.0
    torch.manual_seed(0)
    plain = tg.nn.LSTM(1, 32, bias=False)
    found = settle(plain, 2.0, rate)
    yield ["settles (torch's initial weights, no bias)", *heard(found), target(
        found.seconds is not None and found.offset_level < -90 and found.period is None, "an LSTM that settles"
    )]  # fmt: skip
    found = settle(ring(4, 0.5, bias=0.2), 2.0, rate)
    yield ["offset (candidates have a bias)", *heard(found), target(
        found.seconds is not None and found.offset_level > -90, "an offset"
    )]  # fmt: skip
    for units in (1, 10, 50, 441):
        found = settle(ring(units, 3.0), 2.0, rate)
        wanted = rate / (2 * units)
        right = found.period is not None and abs(1 / found.period / wanted - 1) < 1e-3
        yield [f"whistles at {wanted:,.1f} Hz", *heard(found), target(right, f"a whistle at {wanted:.0f} Hz")]


def heard(found: tg.explain.Silence) -> Row:
    return [
        "never" if found.seconds is None else f"{1e3 * found.seconds:.2f} ms",
        f"{found.offset_level:.1f} dB",
        f"{found.rest_level:.1f} dB",
        "-" if found.period is None else f"{1 / found.period:,.2f} Hz",
    ]


# All

COMPLETE = ["network", "top exponent", "above 0", "median error", "largest", "above 1 %", "abstained", "named chaos"]
Section = tuple[str, Row, Callable[[argparse.Namespace], Iterator[Row]]]
SECTIONS: list[Section] = [
    (
        f"Completeness: T {STEPS}, {ROWS} sequences, {SEEDS} seeds, 16 to 128 points; of each seed the worst error",
        [*COMPLETE, "met"],
        lambda _: completeness(),
    ),
    (
        "Sums with known relevances",
        ["task", "unexplained variance", "correlation with the truth", "baseline of zeros", "error", "at least 0.99"],
        lambda asked: known_relevances(asked.seeds, asked.iterations),
    ),
    (
        f"Rank correlation with contributions after weights are drawn anew, {DRAWS} times: mean size and range",
        ["task", "same weights", "head", "layer", "head and layer", "below 0.3"],
        lambda _: randomised(),
    ),
    (
        "Exact checks: every cell, and every option of LSTM and GRU",
        ["check", "layers", "exact zeros", "largest", "met"],
        lambda _: exact(),
    ),
    ("Planted mistakes", ["check", "layers", "exact zeros", "size", "all found"], lambda _: planted()),
    (
        f"Leaks, {SEEDS} seeds",
        ["data", "largest share at lag 0", "accused", "should be", "met"],
        lambda asked: leaks(asked.iterations // 4),
    ),
    (
        "Silence after 0.1 s of noise, 44,100 steps a second",
        ["network", "settles in", "offset", "what moves", "period", "met"],
        lambda _: silence(),
    ),
]


def main(arguments: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    begin = time.perf_counter()
    lines = ["# Attribution, checks and silence", ""]
    for title, head, rows in SECTIONS:
        print(f"\n{title}", flush=True)
        lines += [f"## {title}", "", *table(head, [*rows(arguments)]), ""]
    seconds = time.perf_counter() - begin
    lines += [f"`python -m benchmarks.explain.attribution`, {seconds:.0f} s on one thread, torch {torch.__version__}."]
    lines += [f"Missed: {', '.join(missed)}." if missed else "All targets are met."]
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(lines[-1])
    return 1 if missed else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="of the sums")
    parser.add_argument("--iterations", type=int, default=1500, help="training steps of a sum")
    parser.add_argument("--output", type=Path, help="a file for the tables")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
