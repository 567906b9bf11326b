"""A small network that has learnt to answer as a model does, from its answers alone."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tidegate.attack.effort import Effort
from tidegate.attack.kind.base import Continuous
from tidegate.nn import GRU

HIDDEN = 32
LESSONS = 150
RATE = 0.01
LONGEST = 64  # steps that it reads; longer inputs are averaged
COPIES = 3  # of each row, changed by chance, beside itself


class Surrogate(torch.nn.Module):
    """A GRU over the inputs, its mean and its last state, and a linear map."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.layer = GRU(features, HIDDEN)
        self.head = torch.nn.Linear(2 * HIDDEN, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, outputs] from [T, B, ...]."""
        flat = x.flatten(2)
        if len(flat) > LONGEST:
            flat = torch.nn.functional.adaptive_avg_pool1d(flat.permute(1, 2, 0), LONGEST).permute(2, 0, 1)
        hidden = self.layer(flat)[0]
        answers: torch.Tensor = self.head(torch.cat([hidden.mean(0), hidden[-1]], 1))
        return answers


def surrogate_of(
    kind: Continuous, budget: float, effort: Effort
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Train a surrogate on a model's answers to rows, and to rows changed by chance within a budget.

    Args:
        kind: whose model answers.
        budget: of the changes.
        effort: its seed counts.
    """
    generator, rows = effort.generator(), torch.arange(kind.count)
    ball = kind.ball.of(kind.radius(torch.full((kind.count,), budget), rows))
    inputs = [kind.x, *(ball.moved(kind.x, ball.start(kind.x, generator)) for _ in range(COPIES))]
    with torch.no_grad():
        answers = [kind.outputs(x, rows) for x in inputs]
    shape = answers[0].shape[1:]
    wanted = torch.cat(answers).flatten(1)
    middle, spread = wanted.mean(0), wanted.std().clamp(min=1e-6)  # one scale: the order of classes stays
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(effort.seed)
        model = Surrogate(kind.x[0, 0].numel(), wanted.shape[1])
        optimizer = torch.optim.Adam(model.parameters(), RATE)
        x, truth = torch.cat(inputs, 1), (wanted - middle) / spread
        for _ in range(LESSONS):
            chosen = torch.randint(len(truth), (min(len(truth), 64),), generator=generator)
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x[:, chosen]), truth[chosen]).backward()
            optimizer.step()
    model.eval().requires_grad_(requires_grad=False)
    return lambda x, _rows: (model(x) * spread + middle).unflatten(1, shape)
