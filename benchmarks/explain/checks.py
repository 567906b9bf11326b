"""Checks: exact zeros of our layers, planted mistakes, leaks, and networks that do not fall silent.

    python -m benchmarks.explain.checks --output benchmarks/results/explain/checks.md

Padding, chunks and resets for every cell of the zoo and every option of LSTM and GRU; the same with a mistake planted
around each; models trained on data with and without a leaked column; LSTMs that settle, rest at an offset or whistle.
The script ends with 1 if a number misses its target.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from benchmarks.explain.table import Row, Section, target, write
from torch import Tensor

import tidegate as tg
from tidegate.explain import Silence, check_chunks, check_leak, check_padding, check_resets, settle
from tidegate.nn import Recurrent
from tidegate.records import CheckRecord
from tidegate.zoo import CELLS

# Exact checks

T, B, I, H = 13, 5, 3, 6
LENGTHS = [13, 4, 1, 9, 12]
FEW = "chunks of at most 8 rows"  # the engine multiplies so few without packing the weights, and sums in another order
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
    found: dict[str, list[CheckRecord]] = {name: [] for name in ("padding", "resets", "chunks", FEW)}
    torch.manual_seed(0)
    for _, layer in layers():
        x, reset = torch.randn(T, B, layer.input_size), torch.rand(T, B) < 0.2
        many = torch.randn(T, 16, layer.input_size)
        if layer.batch_first:
            x, reset, many = x.transpose(0, 1), reset.T, many.transpose(0, 1)
        found["padding"].append(check_padding(layer, x, LENGTHS))
        found["resets"].append(check_resets(layer, x, reset, lengths=LENGTHS))
        if not layer.bidirectional:
            found["chunks"].append(check_chunks(layer, many))
            found[FEW].append(check_chunks(layer, x, lengths=LENGTHS))
    for name, checks in found.items():
        values = [check.value for check in checks]
        zeros = sum(value == 0 for value in values)
        holds = all(check.passed for check in checks) and (name == FEW or zeros == len(values))
        yield [
            f"{name}, our layers",
            str(len(values)),
            str(zeros),
            f"{max(values):.1e}",
            target(holds, f"{name} of ours"),
        ]


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


SEEDS, ITERATIONS = 20, 375


def leaks() -> Iterator[Row]:
    for kind, wanted in WANTED.items():
        found, shares = 0, []
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            generator, model = torch.Generator().manual_seed(seed), Regressor()
            optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
            for _ in range(ITERATIONS):
                x, y = history(64, generator, kind)
                optimizer.zero_grad()
                (model(x) - y).square().mean().backward()
                optimizer.step()
            x, y = history(300, generator, kind)
            check = check_leak(model, x, y, lambda output: output)
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


def heard(found: Silence) -> Row:
    return [
        "never" if found.seconds is None else f"{1e3 * found.seconds:.2f} ms",
        f"{found.offset_level:.1f} dB",
        f"{found.rest_level:.1f} dB",
        "-" if found.period is None else f"{1 / found.period:,.2f} Hz",
    ]


SECTIONS: list[Section] = [
    (
        "Exact checks: every cell, and every option of LSTM and GRU",
        ["check", "layers", "exact zeros", "largest", "met"],
        exact,
    ),
    ("Planted mistakes", ["check", "layers", "exact zeros", "size", "all found"], planted),
    (f"Leaks, {SEEDS} seeds", ["data", "share of the attribution", "accused", "should be", "met"], leaks),
    (
        "Silence after 0.1 s of noise, 44,100 steps a second",
        ["network", "settles in", "offset", "what moves", "period", "met"],
        silence,
    ),
]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, help="a file for the tables")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(write("Checks", "python -m benchmarks.explain.checks", SECTIONS, parsed().output))
