"""Certificates of smoothed models, and whether any is violated: ``python -m benchmarks.robust.smoothing``.

Each set is learnt twice from its official training part, plainly and with noise. Rows of its official test part are
certified. Then projected gradient looks for a change inside each certified radius that takes the majority of the votes
away: it climbs the mean loss of noisy copies (Salman et al. 2019, arXiv 1906.04584), from many random starts. Data lie
in ``../shared/data/series_classification``, or in the folder that the variable SERIES names.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from benchmarks.series_classification import DATA

from tidegate.adversary import Ball, cross_entropy, projected_gradient
from tidegate.adversary.smoothing import LEVEL, noise, predicted
from tidegate.attack.certificate import SELECT, Certified, Voter, _singles, certified_rows, repeated
from tidegate.tasks import SequenceClassifier

RESULTS = Path(__file__).parents[1] / "results" / "robust"
SETS = {"ItalyPowerDemand": 0.6, "JapaneseVowels": 0.3, "GunPoint": 0.1}  # with their share of the tries
RADII = (0.25, 0.5, 1.0)
INSIDE = 0.999  # of the radius
COPIES, STEPS, VOTES, SURE = 4, 5, 100, 10_000
STRICT = 1e-6  # level at which many votes call an answer another one

NOTE = """\
`python -m benchmarks.robust.smoothing`: 32 units, all other settings the defaults but for votes, which are off.
{examples} rows of each test part, {draws:,} copies a row, certain to {sure:g} % a row. The plain column is the accuracy
of a model of the same size that was trained without noise. Radii are l2 lengths over all values of a row together, in
standard deviations of the training part; noise has a deviation of {sigma:g}. Certified columns are the share of rows
that are right and certified at that radius. A try is a random start of projected gradient ({steps} steps on the mean of
{copies} noisy copies) inside the row's own radius; it counts as a violation where {votes:,} votes have another majority
and {many:,} further votes confirm it at {strict:g}."""


class Tries(NamedTuple):
    """How many changes were tried, how many took most of a hundred votes, and how many took the majority for sure."""

    made: int
    suspicious: int
    violations: int


def learnt(name: str, sigma: float | None) -> SequenceClassifier:
    """A model of a set."""
    model = SequenceClassifier(hidden_size=32, smooth=sigma, votes=False)
    return model.fit(str(DATA / f"{name}_TRAIN.ts"), test=str(DATA / f"{name}_TEST.ts"))


def attacked(model: Any, task: Any, found: Certified, examples: int, tries: int, seed: int) -> Tries:
    """Projected gradient inside every certified radius."""
    generator, network = torch.Generator().manual_seed(seed), model.model_.requires_grad_(requires_grad=False)
    singles = list(_singles(task, examples))
    sure = [k for k, row in enumerate(found.rows) if row.answer is not None]
    each = -(-tries // len(sure))
    made, suspicious, violations = 0, 0, 0
    for k in sure:
        row, batch = found.rows[k], repeated(singles[k], each)
        answers = torch.full((each,), int(row.answer))
        free = task.pliable(batch)

        def loss(change: torch.Tensor, batch: Any = batch, free: Any = free, answers: Any = answers) -> torch.Tensor:
            drawn = [noise(free, found.sigma, change.dtype, generator) for _ in range(COPIES)]
            moved = [network(task.changed(batch, change + one))[0] for one in drawn]
            return torch.stack([cross_entropy(logits, answers) for logits in moved]).mean(0)

        ball = Ball("l2", INSIDE * row.radius, free)
        start = ball.start(torch.zeros(free.shape), generator)
        change = projected_gradient(loss, start * 0, ball, steps=STEPS, restarts=1, start=start).change
        made += each
        voters = [_voter(task, model, batch, change, at, found.sigma, generator) for at in range(each)]
        for voter in voters:
            with torch.inference_mode():
                votes = voter(VOTES)
                if sum(vote == row.answer for vote in votes) * 2 <= len(votes):
                    suspicious += 1
                    violations += predicted(voter, SURE, STRICT) not in (row.answer, None)
    return Tries(made, suspicious, violations)


def _voter(task: Any, model: Any, batch: Any, change: Any, at: int, sigma: float, generator: Any) -> Voter:
    """Votes on one changed row."""
    rows = task.changed(batch, change.detach())
    return Voter(task, model.model_, rows.share(at, len(batch.targets)), sigma, generator)


def measured(name: str, share: float, asked: argparse.Namespace) -> dict[str, Any]:
    """A row of the table."""
    began = time.process_time()
    plain, model = learnt(name, None), learnt(name, asked.sigma)
    task = model.tested(str(DATA / f"{name}_TEST.ts"))
    found = certified_rows(model, task, None, asked.draws, LEVEL, asked.examples, 0)
    tries = attacked(model, task, found, asked.examples, round(share * asked.tries), 1)
    accuracy = {score.name: score.value for score in plain.scores_}["accuracy"]
    smoothed = {score.name: score.value for score in model.scores_}["accuracy"]
    return {
        "set": name,
        "rows": len(found.rows),
        "plain": accuracy,
        "smoothed": smoothed,
        **{f"certified at {radius:g}": found.accuracy(radius) for radius in RADII},
        "abstain": sum(row.answer is None for row in found.rows),
        "tries": tries.made,
        "votes lost": tries.suspicious,
        "violations": tries.violations,
        "seconds": round(time.process_time() - began),
    }


def main() -> None:
    """Measure, print, and write the table with its raw figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sigma", type=float, default=0.5)
    parser.add_argument("--tries", type=int, default=10_000)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name in asked.sets.split(","):
        rows.append(measured(name, SETS[name], asked))
        print(rows[-1], flush=True)
    if not os.access(asked.out, os.W_OK):
        return
    heads = list(rows[0])
    with (asked.out / "smoothing.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, heads)
        writer.writeheader()
        writer.writerows(rows)
    note = NOTE.format(
        examples=asked.examples,
        draws=asked.draws,
        sure=100 * (1 - LEVEL),
        sigma=asked.sigma,
        steps=STEPS,
        copies=COPIES,
        votes=VOTES,
        many=SURE,
        strict=STRICT,
    )
    lines = [f"| {' | '.join(heads)} |", f"|---{'|---:' * (len(heads) - 1)}|"]
    lines += [f"| {' | '.join(_shown(row[head]) for head in heads)} |" for row in rows]
    total = {head: sum(row[head] for row in rows) for head in ("tries", "votes lost", "violations")}
    ending = f"In all {total['tries']:,} tries: {total['votes lost']:,} lost votes, {total['violations']:,} violations."
    text = "\n".join(["# Smoothing", "", note, "", *lines, "", ending, ""])
    (asked.out / "smoothing.md").write_text(text)
    print(text, f"({SELECT} votes choose the answer)")


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
