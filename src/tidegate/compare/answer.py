"""The answer of a comparison in words, which may be that there is no reliable difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tidegate.compare.statistic import ENOUGH_SEEDS
from tidegate.records import AnswerRecord, BaselineRecord, CellRecord, PairRecord


def answer(
    cells: Sequence[CellRecord], pairs: Sequence[PairRecord], baselines: Sequence[BaselineRecord], where: str
) -> AnswerRecord:
    """Name the winner if there is one; otherwise recommend the cheapest of the cells that cannot be told apart.

    A winner is reliably better than every other cell: paired t test, Holm's correction over all pairs, level 0.05, at
    least five seeds. A cell with a diverged run neither wins nor is recommended; if its other runs are the best of
    all, nobody wins.

    Args:
        cells: the results of each cell.
        pairs: the comparison of each pair.
        baselines: scores without a network, marked by ``with_rivals``.
        where: the name of the data.

    Returns:
        The headline, alerts about baselines, the reasons, the winner and the recommended cell, if there are any.
    """
    steady = _steady(cells)
    if not steady:
        advice = "No answer: every cell diverged in at least one run. Lower the learning rate."
        return AnswerRecord(advice, (), tuple(_about_runs(cells)), None, None)
    best = steady[0]
    worse = [cell for cell in steady[1:] if _reliable(best, cell, pairs)]
    equals = [cell for cell in steady if cell not in worse]
    headline, winner, recommended = _verdict(cells, steady, worse, equals, where)
    rivals = sorted((line for line in baselines if line.rival), key=lambda line: line.score)
    alerts = [
        f"Baseline {line.name} scores {line.score:.4g}; {best.name}, the best cell, {best.mean:.4g}." for line in rivals
    ]
    reasons = _about_runs(cells)
    if worse:
        reasons.append(f"Reliably worse than {best.name}: {_named(worse)}.")
    reasons += _about_resolution(equals, pairs)
    sentences = [*_rival_first(best, rivals), headline, *_failures(cells)]
    return AnswerRecord(" ".join(sentences), tuple(alerts), tuple(reasons), winner, recommended)


def with_rivals(cells: Sequence[CellRecord], baselines: Sequence[BaselineRecord]) -> tuple[BaselineRecord, ...]:
    """Mark the baselines that score as well as the best steady cell: inside its interval, or below it."""
    steady = _steady(cells)
    if not steady:
        return tuple(baselines)
    bound = _mean(steady[0]) if steady[0].high is None else steady[0].high
    return tuple(replace(line, rival=line.score <= bound) for line in baselines)


def _verdict(
    cells: Sequence[CellRecord],
    steady: Sequence[CellRecord],
    worse: Sequence[CellRecord],
    equals: Sequence[CellRecord],
    where: str,
) -> tuple[str, str | None, str | None]:
    """The sentence about the cells, the winner, and what to take."""
    best, seeds = steady[0], min(cell.finished + cell.diverged for cell in cells)
    cheapest = min(equals, key=lambda cell: (cell.flops_per_step, cell.parameters))
    unsettled = any(cell.diverged and _mean(cell) < _mean(best) for cell in cells)
    if len(cells) == 1:
        return f"{best.name} is the only cell on {where}: there is nothing to compare it with.", None, best.name
    if seeds < ENOUGH_SEEDS:
        runs = f"{seeds} run{'s' if seeds != 1 else ''} per cell, but at least {ENOUGH_SEEDS} are needed"
        return f"No evidence on {where}: {runs}; {best.name} looks best so far.", None, None
    if len(steady) == 1:
        return f"Take {best.name}: the only cell on {where} without a diverged run.", None, best.name
    if len(equals) == 1 and not unsettled:
        return f"Take {best.name}: reliably better on {where} than {_named(worse)}.", best.name, best.name
    if len(equals) == 1:
        return f"Take {best.name}: the best of the cells without a diverged run on {where}.", None, best.name
    headline = f"No reliable difference on {where} between {_named(equals)}: take {cheapest.name}, the cheapest."
    if worse:
        headline += f" {_named(worse)} {'is' if len(worse) == 1 else 'are'} reliably worse than {best.name}."
    return headline, None, cheapest.name


def _steady(cells: Sequence[CellRecord]) -> list[CellRecord]:
    """The cells without a diverged run, best first: only these are recommended or measured against a baseline."""
    return sorted((cell for cell in cells if not cell.diverged), key=_mean)


def _mean(cell: CellRecord) -> float:
    return math.inf if cell.mean is None else cell.mean


def _rival_first(best: CellRecord, rivals: Sequence[BaselineRecord]) -> list[str]:
    if not rivals:
        return []
    clearly = rivals[0].score < (_mean(best) if best.low is None else best.low)
    verdict = "beats every cell" if clearly else "does as well as the best cell"
    return [f"A baseline without any network ({rivals[0].name}) {verdict}."]


def _failures(cells: Sequence[CellRecord]) -> list[str]:
    failing = [cell for cell in cells if cell.diverged]
    return [f"Runs of {_named(failing)} diverged."] if failing else []


def _reliable(a: CellRecord, b: CellRecord, pairs: Sequence[PairRecord]) -> bool:
    return any({pair.a, pair.b} == {a.name, b.name} and pair.reliable for pair in pairs)


def _about_runs(cells: Sequence[CellRecord]) -> list[str]:
    return [
        f"{cell.diverged} of {cell.diverged + cell.finished} runs of {cell.name} diverged; they count as failures."
        for cell in cells
        if cell.diverged
    ]


def _about_resolution(equals: Sequence[CellRecord], pairs: Sequence[PairRecord]) -> list[str]:
    names = {cell.name for cell in equals}
    among = [pair for pair in pairs if {pair.a, pair.b} <= names]
    if not among:
        return []
    finest = max(pair.detectable for pair in among)
    return [
        (
            f"With {among[0].seeds} seeds, more than a fifth of such experiments would miss a difference "
            f"below {finest:.2g} among {_named(equals)}."
        )
    ]


def _named(cells: Sequence[CellRecord]) -> str:
    names = [cell.name for cell in cells]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
