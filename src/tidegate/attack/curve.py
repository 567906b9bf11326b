"""What is left of a measure within each budget, and the smallest change that breaks each row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from tidegate.adversary import Found
from tidegate.attack.effort import Effort
from tidegate.attack.kind.base import Kind, put
from tidegate.phase import counted

ROUNDS = 7  # of bisection: a flip is known to 1/128 of the distance between two budgets
NEARLY = 0.25  # of an attack's steps: a bisection begins at a change that breaks


@dataclass(frozen=True)
class Curve:
    """The worst changes within rising budgets, of which none is weaker than one within a smaller budget.

    Attributes:
        budgets: rising; the first one is 0.
        found: for each of them, of all rows.
    """

    budgets: tuple[float, ...]
    found: tuple[Found, ...]

    @property
    def scores(self) -> torch.Tensor:
        """[budgets, rows]."""
        return torch.stack([one.score for one in self.found])


def curve_of(kind: Kind, budgets: Sequence[float], effort: Effort) -> Curve:
    """Attack all rows within each budget, from the smallest on.

    A search begins at the worst change within the budget before, and its result is kept only if it is worse. So what is
    found never gets weaker as budgets grow.

    Args:
        kind: what is attacked.
        budgets: any; 0 is put in front.
        effort: how hard to try.
    """
    rows = torch.arange(kind.count)
    rising = sorted({0.0, *map(float, budgets)})
    last = kind.search(rows, torch.zeros(kind.count), replace(effort, steps=1, restarts=1))
    found = [last]
    for budget in counted("attacking", rising[1:], len(rising) - 1):
        left = rows[last.score <= 0] if kind.settled else rows
        if len(left):
            own = kind.search(left, torch.full((len(left),), budget), effort, last.change[:, left])
            last = put(last, left, own)
        found.append(last)
    return Curve(tuple(rising), tuple(found))


def flips_of(kind: Kind, curve: Curve, effort: Effort) -> torch.Tensor:
    """[rows] the smallest budget within which a change breaks each row; infinite where none was found.

    Between the last budget that held and the first that broke, budgets are halved. Each round begins at the change that
    broke, scaled down; what it finds breaks the row for certain, so this is an upper bound of the truth.
    """
    broke = curve.scores > 0
    rows = torch.arange(kind.count)[broke.any(0)]
    budgets = torch.tensor(curve.budgets, dtype=torch.float64)
    smallest = torch.full((kind.count,), math.inf, dtype=torch.float64)
    first = broke[:, rows].int().argmax(0)
    high = budgets[first]
    smallest[rows] = high
    if kind.whole:
        return smallest
    low = budgets[(first - 1).clamp(min=0)]
    changes = (
        torch.stack([curve.found[at].change[:, row] for at, row in zip(first.tolist(), rows.tolist(), strict=True)], 1)
        if len(rows)
        else None
    )
    effort = replace(effort, steps=max(5, round(NEARLY * effort.steps)), restarts=1)
    for _ in counted("smallest changes", range(ROUNDS), ROUNDS):
        open_ = (high > low).nonzero()[:, 0]
        if not len(open_):
            break
        assert changes is not None
        middle = (low[open_] + high[open_]) / 2
        found = kind.search(rows[open_], middle.float(), effort, changes[:, open_])
        hit = found.score > 0
        changes[:, open_[hit]] = found.change[:, hit]
        high[open_[hit]], low[open_[~hit]] = middle[hit], middle[~hit]
    smallest[rows] = high
    return smallest
