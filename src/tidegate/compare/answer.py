"""The answer of a comparison in words, which may be that there is no reliable difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tidegate.compare.statistic import ENOUGH_SEEDS
from tidegate.language import joined, listed, say
from tidegate.records import AnswerRecord, BaselineRecord, CellRecord, PairRecord

CHEAPER = 0.10  # a cell must need this share fewer operations for its cost to break a tie


class Verdict(NamedTuple):
    """The sentence about the cells, the winner, what to take, and why."""

    headline: str
    winner: str | None = None
    recommended: str | None = None
    why: str = ""


def answer(
    cells: Sequence[CellRecord], pairs: Sequence[PairRecord], baselines: Sequence[BaselineRecord], where: str
) -> AnswerRecord:
    """Name the winner if there is one; otherwise recommend one of the two best cells.

    A winner is reliably better than every other cell: by the paired t test of each pair, level 0.05, at least five
    seeds. The levels need no correction for the number of cells, since *every* one of these tests must reject
    (an intersection-union test; Berger 1982, Technometrics 24, 295-300, theorem 1).

    Without a winner, the best two cells by mean decide. If one is reliably better, or neither needs 10 % fewer
    operations than the other, the better mean is recommended; otherwise the cheaper one. So a cell that is worse in
    mean than two others is never recommended, and does not change which of the two is. A cell with a diverged run
    neither wins nor is recommended; if its other runs are the best of all, nobody wins.

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
        advice = say("No answer: every cell diverged in at least one run. Lower the learning rate.")
        return AnswerRecord(advice, (), tuple(_about_runs(cells)), None, None, "")
    best = steady[0]
    verdict = _verdict(cells, steady, pairs, where)
    rivals = sorted((line for line in baselines if line.rival), key=lambda line: line.score)
    alerts = [
        say(
            "Baseline {baseline} scores {score:.4g}; {best}, the best cell, {mean:.4g}.",
            baseline=line.name,
            score=line.score,
            best=best.name,
            mean=best.mean,
        )
        for line in rivals
    ]
    compared = [said_of(pair) for other in steady[1:] if (pair := _pair(best, other, pairs))]
    sentences = [*_rival_first(best, rivals), verdict.headline, *_failures(cells)]
    return AnswerRecord(
        joined(sentences),
        tuple(alerts),
        (*_about_runs(cells), *compared),
        verdict.winner,
        verdict.recommended,
        verdict.why,
    )


def with_rivals(cells: Sequence[CellRecord], baselines: Sequence[BaselineRecord]) -> tuple[BaselineRecord, ...]:
    """Mark the baselines that score as well as the best steady cell: inside its interval, or below it."""
    steady = _steady(cells)
    if not steady:
        return tuple(baselines)
    bound = _mean(steady[0]) if steady[0].high is None else steady[0].high
    return tuple(replace(line, rival=line.score <= bound) for line in baselines)


def said_of(pair: PairRecord) -> str:
    """What is said of two cells, which depends on their own scores alone."""
    if pair.difference == 0:
        return say("{a} and {b} have the same mean over {seeds} seeds.", a=pair.a, b=pair.b, seeds=pair.seeds)
    ahead = pair.difference < 0
    first, second = (pair.a, pair.b) if ahead else (pair.b, pair.a)
    wins = pair.wins if ahead else pair.seeds - pair.wins
    gap, half = abs(pair.difference), (pair.high - pair.low) / 2
    better = say(
        "by {gap:.2g} (95 % interval {low:.2g} to {high:.2g}), in {wins} of {seeds} runs",
        gap=gap,
        low=gap - half,
        high=gap + half,
        wins=wins,
        seeds=pair.seeds,
    )
    if pair.reliable:
        return say("{first} is reliably better than {second}: {better}.", first=first, second=second, better=better)
    missed = say(
        "more than a fifth of such experiments would miss a true difference below {difference:.2g}",
        difference=pair.detectable,
    )
    if pair.seeds < ENOUGH_SEEDS:
        return say(
            "{first} looks better than {second}: {better}; so few seeds decide nothing.",
            first=first,
            second=second,
            better=better,
        )
    return say(
        "No reliable difference between {first} and {second}: {first} is better {better}; {missed}.",
        first=first,
        second=second,
        better=better,
        missed=missed,
    )


def _verdict(
    cells: Sequence[CellRecord], steady: Sequence[CellRecord], pairs: Sequence[PairRecord], where: str
) -> Verdict:
    best, seeds = steady[0], min(cell.finished + cell.diverged for cell in cells)
    if len(cells) == 1:
        headline = say(
            "{cell} is the only cell on {where}: there is nothing to compare it with.", cell=best.name, where=where
        )
        return Verdict(headline, None, best.name, say("The only cell that ran."))
    if seeds < ENOUGH_SEEDS:
        one = say("1 run per cell, but at least {least} are needed", least=ENOUGH_SEEDS)
        several = say("{seeds} runs per cell, but at least {least} are needed", seeds=seeds, least=ENOUGH_SEEDS)
        runs = one if seeds == 1 else several
        return Verdict(
            say("No evidence on {where}: {runs}; {best} looks best so far.", where=where, runs=runs, best=best.name)
        )
    if len(steady) == 1:
        headline = say("Take {cell}: the only cell on {where} without a diverged run.", cell=best.name, where=where)
        return Verdict(headline, None, best.name, say("The only cell without a diverged run."))
    worse = [cell for cell in steady[1:] if _reliable(best, cell, pairs)]
    if len(worse) < len(steady) - 1:
        return _tie(steady, worse, pairs, where)
    if any(cell.diverged and _mean(cell) < _mean(best) for cell in cells):
        headline = say(
            "Take {cell}: the best of the cells without a diverged run on {where}.", cell=best.name, where=where
        )
        return Verdict(headline, None, best.name, say("It is reliably better than every cell without a diverged run."))
    headline = say(
        "Take {cell}: reliably better on {where} than {worse}.", cell=best.name, where=where, worse=_named(worse)
    )
    return Verdict(headline, best.name, best.name, say("It is reliably better than every other cell."))


def _tie(steady: Sequence[CellRecord], worse: Sequence[CellRecord], pairs: Sequence[PairRecord], where: str) -> Verdict:
    """The verdict if some cell is not reliably worse than the best: the first two decide, by cost or by mean."""
    best, second = steady[:2]
    level = _named([cell for cell in steady if cell not in worse])
    cheaper = second.flops_per_step <= (1 - CHEAPER) * best.flops_per_step
    if cheaper and not _reliable(best, second, pairs):
        saved = 100 * (1 - second.flops_per_step / best.flops_per_step)
        taken = second
        why = say(
            "{saved:.0f} % fewer operations per step than {best}, the best on average", saved=saved, best=best.name
        )
    elif best.mean == second.mean:
        taken, why = best, say("the same mean as {second} and no more operations", second=second.name)
    else:
        taken, why = best, say("the best mean")
    if taken is best and best.mean != second.mean:
        headline = say(
            "No reliable difference on {where} between {cells}: take {cell}, probably: it has {why}.",
            where=where, cells=level, cell=taken.name, why=why,
        )  # fmt: skip
    else:
        headline = say(
            "No reliable difference on {where} between {cells}: take {cell}, with {why}.",
            where=where, cells=level, cell=taken.name, why=why,
        )  # fmt: skip
    reason = say("No cell is reliably better than every other. This one has {why}.", why=why)
    return Verdict(joined([headline, _worse(worse, best)]), None, taken.name, reason)


def _worse(worse: Sequence[CellRecord], best: CellRecord) -> str:
    """Who is reliably worse than the best cell; nothing if nobody is."""
    if not worse:
        return ""
    if len(worse) == 1:
        return say("{cell} is reliably worse than {best}.", cell=worse[0].name, best=best.name)
    return say("{cells} are reliably worse than {best}.", cells=_named(worse), best=best.name)


def _steady(cells: Sequence[CellRecord]) -> list[CellRecord]:
    """The cells without a diverged run, best first: only these are recommended or measured against a baseline."""
    return sorted((cell for cell in cells if not cell.diverged), key=lambda cell: (_mean(cell), cell.flops_per_step))


def _mean(cell: CellRecord) -> float:
    return math.inf if cell.mean is None else cell.mean


def _rival_first(best: CellRecord, rivals: Sequence[BaselineRecord]) -> list[str]:
    if not rivals:
        return []
    clearly = rivals[0].score < (_mean(best) if best.low is None else best.low)
    verdict = say("beats every cell") if clearly else say("does as well as the best cell")
    return [say("A baseline without any network ({baseline}) {verdict}.", baseline=rivals[0].name, verdict=verdict)]


def _failures(cells: Sequence[CellRecord]) -> list[str]:
    failing = [cell for cell in cells if cell.diverged]
    return [say("Runs of {cells} diverged.", cells=_named(failing))] if failing else []


def _pair(a: CellRecord, b: CellRecord, pairs: Sequence[PairRecord]) -> PairRecord | None:
    return next((pair for pair in pairs if {pair.a, pair.b} == {a.name, b.name}), None)


def _reliable(a: CellRecord, b: CellRecord, pairs: Sequence[PairRecord]) -> bool:
    pair = _pair(a, b, pairs)
    return pair is not None and pair.reliable


def _about_runs(cells: Sequence[CellRecord]) -> list[str]:
    return [
        say(
            "{diverged} of {runs} runs of {cell} diverged; they count as failures.",
            diverged=cell.diverged,
            runs=cell.diverged + cell.finished,
            cell=cell.name,
        )
        for cell in cells
        if cell.diverged
    ]


def _named(cells: Sequence[CellRecord]) -> str:
    return listed([cell.name for cell in cells])
