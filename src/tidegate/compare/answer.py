"""From numbers to an answer, which may be that there is none."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.compare.statistic import LEVEL
from tidegate.records import AnswerRecord, BaselineRecord, CellRecord, PairRecord

ENOUGH_SEEDS = 5


def answer(
    cells: Sequence[CellRecord], pairs: Sequence[PairRecord], baselines: Sequence[BaselineRecord], where: str
) -> AnswerRecord:
    """Name a winner if the experiment found one; else say so and name the cheapest of the equals.

    A winner is a cell that is reliably better than every other one: paired t test, Holm's
    correction over all pairs, level 0.05, at least five seeds, and no diverged run of its own.
    """
    scored = sorted((cell for cell in cells if cell.mean is not None), key=lambda cell: cell.mean or 0.0)
    if not scored:
        return AnswerRecord("Every run diverged: no answer. Lower the learning rate.", (), None, None)
    best = scored[0]
    worse = [cell for cell in scored[1:] if _reliable(best, cell, pairs)]
    equals = [cell for cell in scored if cell not in worse]
    cheapest = min(equals, key=lambda cell: (cell.flops_per_step, cell.parameters))
    reasons = [*_about_baselines(best, baselines), *_about_runs(cells)]
    if worse:
        reasons.append(f"Reliably worse than {best.name}: {_listed(worse)}.")
    winner = None
    if len(cells) == 1:
        headline, recommended = f"{best.name} alone on {where}: nothing to compare it with.", best.name
    elif min(cell.finished for cell in cells) < ENOUGH_SEEDS:
        seeds = min(cell.finished for cell in cells)
        runs = f"{seeds} finished run{'s' if seeds != 1 else ''} per cell"
        headline = f"No evidence on {where}: {runs}, at least {ENOUGH_SEEDS} are needed; {best.name} looks best so far."
        recommended = None
    elif len(equals) == 1 and not best.diverged:
        winner = recommended = best.name
        headline = f"Take {best.name}: reliably better on {where} than {_listed(worse)}."
    else:
        recommended = cheapest.name
        headline = f"No reliable difference on {where} between {_listed(equals)}: take {cheapest.name}, the cheapest."
        if worse:
            headline += f" {_listed(worse)} {'is' if len(worse) == 1 else 'are'} reliably worse than {best.name}."
    beating = _at_least_as_good(best, baselines)
    if beating:
        clearly = beating[0].score < (best.low if best.low is not None else best.mean or 0.0)
        verdict = "beats every cell" if clearly else "does as well as the best cell"
        headline = f"A baseline without any network ({beating[0].name}) {verdict}. {headline}"
    return AnswerRecord(headline, (*reasons, *_about_resolution(equals, pairs)), winner, recommended)


def _reliable(a: CellRecord, b: CellRecord, pairs: Sequence[PairRecord]) -> bool:
    return any({pair.a, pair.b} == {a.name, b.name} and pair.p_holm < LEVEL for pair in pairs)


def _at_least_as_good(best: CellRecord, baselines: Sequence[BaselineRecord]) -> list[BaselineRecord]:
    """Baselines that lie inside the interval of the best cell, or below it."""
    bound = best.mean if best.high is None else best.high
    assert bound is not None
    return sorted((line for line in baselines if line.score <= bound), key=lambda line: line.score)


def _about_baselines(best: CellRecord, baselines: Sequence[BaselineRecord]) -> list[str]:
    return [
        f"Baseline {line.name} scores {line.score:.4g}; the best cell, {best.name}, {best.mean:.4g}."
        for line in _at_least_as_good(best, baselines)
    ]


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
            f"Differences below {finest:.2g} among {_listed(equals)} would have gone unseen "
            f"in more than a fifth of such experiments ({among[0].seeds} seeds)."
        )
    ]


def _listed(cells: Sequence[CellRecord]) -> str:
    names = [cell.name for cell in cells]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
