"""Whole models, trained with torch's layers and with ours: seconds of a training step, paired, and equality.

Three models are written for torch.nn and given to ``tidegate.accelerate`` as they are: a tagger with packed input, a
forecaster, and a policy of reinforcement learning whose states are set back at ends of episodes, step by step as such
programs do it; and once more rewritten, with ``reset=``. Two more are a published example, a module around
nn.LSTM(input_size, hidden_size, num_layers, batch_first=True, dropout=0.5) and the same with nn.GRU, of which only the
import differs.

    python benchmarks/models.py --out benchmarks/results/models.md
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tidegate as tg


class Tagger(nn.Module):
    """A label for each word of sentences of different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm = nn.Embedding(2000, 64), nn.LSTM(64, 128, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(256, 17)

    def forward(self, words: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(self.embed(words), lengths, batch_first=True, enforce_sorted=False)
        return self.head(pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0])

    @staticmethod
    def batch() -> tuple[torch.Tensor, ...]:
        lengths = torch.randint(5, 41, (32,)).clamp_(max=40)
        lengths[0] = 40
        return torch.randint(0, 2000, (32, 40)), lengths


class Forecaster(nn.Module):
    """The next day from the hours of a week, seven series at once."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(7, 64, 2, batch_first=True, dropout=0.2), nn.Linear(64, 24)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        return self.head(self.gru(series)[0][:, -1])

    @staticmethod
    def batch() -> tuple[torch.Tensor, ...]:
        return (torch.randn(32, 168, 7),)


class Policy(nn.Module):
    """Action scores of 16 environments over 128 steps; states are zeros again where an episode has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.lstm = nn.Sequential(nn.Linear(8, 128), nn.Tanh()), nn.LSTM(128, 128)
        self.head = nn.Linear(128, 5)

    def forward(self, seen: torch.Tensor, done: torch.Tensor) -> torch.Tensor:
        state = tuple(seen.new_zeros(1, seen.shape[1], 128) for _ in range(2))
        outputs = []
        for x, ended in zip(self.body(seen), done, strict=True):
            keep = (1 - ended.float())[None, :, None]
            y, state = self.lstm(x[None], (keep * state[0], keep * state[1]))
            outputs.append(y)
        return self.head(torch.cat(outputs))

    @staticmethod
    def batch() -> tuple[torch.Tensor, ...]:
        return torch.randn(128, 16, 8), torch.rand(128, 16) < 0.03


class ResetPolicy(Policy):
    """The same policy, with all steps in one call."""

    def forward(self, seen: torch.Tensor, done: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.body(seen), reset=done)[0])


class Published(nn.Module):
    """The example as tutorials print it, around ``layers.LSTM`` or ``layers.GRU``."""

    def __init__(self, kind: str, layers: object = nn) -> None:
        super().__init__()
        self.layer = getattr(layers, kind)(10, 128, 2, batch_first=True, dropout=0.5)
        self.head = nn.Linear(128, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x)[0][:, -1])

    @staticmethod
    def batch() -> tuple[torch.Tensor, ...]:
        return (torch.randn(64, 50, 10),)


class Pair(NamedTuple):
    name: str
    theirs: nn.Module
    mine: nn.Module
    batch: tuple[torch.Tensor, ...]


def pairs() -> list[Pair]:
    torch.manual_seed(0)
    found = []
    for kind in (Tagger, Forecaster, Policy):
        theirs = kind()
        mine = copy.deepcopy(theirs)
        report = tg.accelerate(mine)
        print(f"{kind.__name__}\n{report}")
        found.append(Pair(f"{kind.__name__}, accelerated", theirs, mine, kind.batch()))
    rewritten = tg.accelerate(ResetPolicy()).model
    rewritten.load_state_dict(found[-1].theirs.state_dict())
    theirs = copy.deepcopy(found[-1].theirs)  # each pair is trained
    found.append(Pair("Policy, accelerated and with reset=", theirs, rewritten, found[-1].batch))
    for kind in ("LSTM", "GRU"):
        theirs, mine = Published(kind), Published(kind, tg.nn)
        mine.load_state_dict(theirs.state_dict())
        found.append(Pair(f"published example, {kind}", theirs, mine, Published.batch()))
    return found


def trainer(model: nn.Module, batch: tuple[torch.Tensor, ...]) -> Callable[[], float]:
    """A step of training; the loss is that of the outputs' squares, the same for all models."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> float:
        optimizer.zero_grad()
        loss = model(*batch).square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def row(pair: Pair, rounds: int, steps: int) -> str:
    assert_equal(pair)
    both = [trainer(pair.theirs, pair.batch), trainer(pair.mine, pair.batch)]
    seconds: list[list[float]] = [[], []]
    losses = [0.0, 0.0]
    for turn in range(rounds + 1):
        for k in (0, 1) if turn % 2 else (1, 0):
            torch.manual_seed(turn)  # the same dropout for both
            start = time.perf_counter()
            for _ in range(steps):
                losses[k] = both[k]()
            seconds[k].append((time.perf_counter() - start) / steps)
    ratios = sorted(a / b for a, b in zip(seconds[0][1:], seconds[1][1:], strict=True))  # the first round warms up
    theirs, mine = (1000 * statistics.median(values[1:]) for values in seconds)
    gap = abs(losses[0] - losses[1]) / abs(losses[0])
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    return f"| {pair.name} | {theirs:.1f} | {mine:.1f} | {ratio} | {losses[0]:.6g} | {gap:.1e} |"


def assert_equal(pair: Pair) -> None:
    """No speed without equality: output and every gradient, under the same seed."""
    results = []
    for model in (pair.theirs, pair.mine):
        torch.manual_seed(0)
        y = model(*pair.batch)
        results.append([y, *torch.autograd.grad(y.square().sum(), [*model.parameters()])])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.detach().abs().max()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=3, help="of training in each round")
    arguments = parser.parse_args()
    how = f"{arguments.rounds} alternating rounds of {arguments.steps} steps, behind a check of outputs and gradients"
    lines = [
        "# Whole models, trained",
        "",
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; {how}.",
        "",
        "| model | torch, ms a step | ours, ms a step | ratio (range) | torch's last loss | ours differs by |",
        "|---|---|---|---|---|---|",
    ]
    for pair in pairs():
        lines.append(row(pair, arguments.rounds, arguments.steps))
        print(lines[-1], flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
